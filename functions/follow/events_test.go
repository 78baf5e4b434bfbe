package follow_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/functions/follow"
	"carillon/shared/queue"
)

const (
	one   = "1abc-20261122T100000Z"
	other = "2def-20261122T100000Z-m7"
)

// changed is an event as recorded from a workspace, and completed one as documented, which names the parts otherwise.
func changed(words string) string {
	return `{"topic":"/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w","eventType":"Microsoft.MachineLearningServices.RunStatusChanged",
		"subject":"experiments/a4badd35/runs/2a7b95bb","id":"1280a0fd","data":{"runStatus":"Completed","experimentId":"a4badd35","experimentName":"e","runId":"2a7b95bb",
		"runType":"azureml.PipelineRun",` + words + `},"dataVersion":"2","metadataVersion":"1","eventTime":"2021-04-28T04:33:45.5390469Z"}`
}

func completed(words string) string {
	return `{"specversion":"1.0","source":"/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w","type":"Microsoft.MachineLearningServices.RunCompleted",
		"subject":"experiments/0fa9dfaa/runs/AutoML_ad912b2d","time":"2017-06-26T18:41:00.9584103Z","id":"831e1650","data":{"ExperimentId":"0fa9dfaa","ExperimentName":"e",
		"RunId":"AutoML_ad912b2d","RunType":null,` + words + `}}`
}

const (
	tags       = `"runTags":{"carillon_occurrence":"` + one + `","carillon_schedule":"s"},"runProperties":{"azureml.runsource":"azureml.PipelineRun"}`
	properties = `"RunTags":{},"RunProperties":{"carillon_occurrence":"` + other + `","nothing":null,"number":1}`
	nobodys    = `"runTags":{"azureml.pipelineComponent":"pipelinerun"},"runProperties":{}`
	blob       = `{"eventType":"Microsoft.Storage.BlobCreated","subject":"/blobServices/default/containers/c/blobs/a","data":{"eTag":"0x8D4"}}`
)

func TestRunEvents(t *testing.T) {
	quoted, _ := json.Marshal(changed(tags))
	encoded := base64.StdEncoding.EncodeToString
	for _, c := range []struct {
		name, body  string
		occurrences []string
		rest        string // "" for nothing, "=" for the body
	}{
		{"one, in its own schema", changed(tags), []string{one}, ""},
		{"one, as a CloudEvent", completed(properties), []string{other}, ""},
		{"a list", "[" + changed(tags) + "," + completed(properties) + "]", []string{one, other}, ""},
		{"each once", "[" + changed(tags) + "," + completed(tags) + "," + changed(tags) + "]", []string{one}, ""},
		{"in base64", encoded([]byte(changed(tags))), []string{one}, ""},
		{"in base64, twice", encoded([]byte(encoded([]byte(changed(tags))))), []string{one}, ""},
		{"in a string", string(quoted), []string{one}, ""},
		{"with a byte order mark", "\ufeff " + changed(tags), []string{one}, ""},
		{"of nobody", changed(nobodys), nil, ""},
		{"of a step without words", changed(`"runTags":null,"runProperties":null`), nil, ""},
		{"of no occurrence that can be", changed(`"runTags":{"carillon_occurrence":"../x"}`), nil, ""},
		{"of an occurrence that is no text", changed(`"runTags":{"carillon_occurrence":7}`), nil, ""},
		{"with data that are no object", `{"eventType":"Microsoft.MachineLearningServices.RunCompleted","data":"text"}`, nil, ""},
		{"among others", "[" + blob + "," + changed(tags) + "]", []string{one}, "[" + blob + "]"},
		{"nobody's, among others", "[" + changed(nobodys) + "," + blob + "," + blob + "]", nil, "[" + blob + "," + blob + "]"},
		{"others", blob, nil, "="},
		{"a list of others", "[ " + blob + " ]", nil, "="},
		{"of another kind of run", strings.ReplaceAll(changed(tags), "RunStatusChanged", "ModelRegistered"), nil, "="},
		{"Carillon's own", `{"look":["s"]}`, nil, "="},
		{"nothing", "", nil, "="},
		{"an empty list", "[]", nil, "="},
		{"half a list", "[" + changed(tags), nil, "="},
		{"a list of other things", `[1, "` + one + `", null]`, nil, "="},
		{"no JSON", "\x00\xff", nil, "="},
		{"a number", "17", nil, "="},
	} {
		if c.rest == "=" {
			c.rest = c.body
		}
		occurrences, rest := follow.RunEvents([]byte(c.body))
		if !slices.Equal(occurrences, c.occurrences) || string(rest) != c.rest {
			t.Errorf("%s: got %v and %q, want %v and %q", c.name, occurrences, rest, c.occurrences, c.rest)
		}
	}
}

func FuzzRunEvents(f *testing.F) {
	for _, body := range []string{changed(tags), completed(properties), "[" + blob + "," + changed(tags) + "]", "[]", `"x"`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		_, rest := follow.RunEvents(body)
		if again, same := follow.RunEvents(rest); len(again) > 0 || string(same) != string(rest) {
			t.Errorf("of %q %q is left, and of that %v and %q", body, rest, again, same)
		}
	})
}

func newFollower() (*follow.Function, *queue.Mem) {
	sent := queue.NewMem()
	sent.Now = func() time.Time { return time.Unix(0, 0) }
	return &follow.Function{Follow: sent, Log: slog.New(slog.DiscardHandler)}, sent
}

func TestTold(t *testing.T) {
	failed := errors.New("failed")
	for _, c := range []struct{ body, handed, sent string }{
		{changed(tags), "none", `{"occurrences":["` + one + `"]}`},
		{changed(nobodys), "none", ""},
		{blob, blob, ""},
		{"[" + blob + "," + changed(tags) + "]", "[" + blob + "]", `{"occurrences":["` + one + `"]}`},
		{"", "", ""},
	} {
		f, sent := newFollower()
		handed := "none"
		err := f.Told(func(_ context.Context, body []byte) error {
			handed = string(body)
			return failed
		})(t.Context(), []byte(c.body))
		if handed != c.handed || (handed == "none") != (err == nil) {
			t.Errorf("%s: handed on %q, %v, want %q", c.body, handed, err, c.handed)
		}
		var got string
		for _, body := range sent.Take(time.Unix(0, 0)) {
			got += string(body)
		}
		if got != c.sent {
			t.Errorf("%s: sent %q, want %q", c.body, got, c.sent)
		}
	}
}

func TestWebhook(t *testing.T) {
	for _, c := range []struct {
		name, method, body, handed string
		sent                       int
	}{
		{"events of runs", "POST", "[" + changed(tags) + "," + completed(properties) + "]", "none", 1},
		{"among others", "POST", "[" + changed(tags) + "," + blob + "]", "[" + blob + "]", 1},
		{"others", "POST", blob, blob, 0},
		{"nothing", "POST", "", "", 0},
		{"a handshake", "OPTIONS", "", "", 0},
		{"too much", "POST", changed(tags) + strings.Repeat(" ", 1<<20), changed(tags) + strings.Repeat(" ", 1<<20), 0},
	} {
		f, sent := newFollower()
		handed := "none"
		next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil || r.ContentLength >= 0 && int(r.ContentLength) != len(body) {
				t.Errorf("%s: %d of %d bytes, %v", c.name, len(body), r.ContentLength, err)
			}
			handed = string(body)
			w.WriteHeader(http.StatusAccepted)
		})
		w := httptest.NewRecorder()
		f.Webhook(next).ServeHTTP(w, httptest.NewRequest(c.method, "/api/events", strings.NewReader(c.body)))
		if handed != c.handed || len(sent.Take(time.Unix(0, 0))) != c.sent {
			t.Errorf("%s: handed on %d bytes, want %d", c.name, len(handed), len(c.handed))
		}
		if handed == "none" && (w.Code != http.StatusOK || strings.TrimSpace(w.Body.String()) != "{}") {
			t.Errorf("%s: answered %d %s", c.name, w.Code, w.Body)
		}
	}
}
