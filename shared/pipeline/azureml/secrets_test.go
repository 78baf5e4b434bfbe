package azureml_test

import (
	"encoding/json"
	"strings"
	"testing"

	azlog "github.com/Azure/azure-sdk-for-go/sdk/azcore/log"

	"carillon/shared/pipeline"
	"carillon/shared/pipeline/azureml"
	"carillon/shared/pipeline/azureml/azuremltest"
)

// says is a failure in the service's form, with a text in its message and another in its details.
func says(status int, message, detail string) azuremltest.Fault {
	var body struct {
		Error struct {
			Code    string              `json:"code"`
			Message string              `json:"message"`
			Details []map[string]string `json:"details"`
		} `json:"error"`
	}
	body.Error.Code, body.Error.Message = "UserError", message
	body.Error.Details = []map[string]string{{"code": "Detail", "message": detail}}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return azuremltest.Fault{Status: status, Body: string(text)}
}

// However a service quotes what it was sent, no value of a parameter stands in the SDK's log or in the error, and it says
// which one was meant.
func TestSecretsAreNotTold(t *testing.T) {
	var logged strings.Builder
	azlog.SetListener(func(_ azlog.Event, text string) { logged.WriteString(text) })
	defer azlog.SetListener(nil)
	for _, c := range []struct{ value, quoted string }{
		{"hush-hush", "hush-hush"},
		{"hush-hush", strings.Repeat("x", 990) + "hush-hush"}, // it would be cut there
		{"hush" + strings.Repeat("-hush", 500), "hush" + strings.Repeat("-hush", 500)},
		{"hush \"hush\"\nhush", "hush \"hush\"\nhush"},
		{`hush "hush"`, `{"who":"hush \"hush\""}`},
		{"hush hush/hush", "?who=hush+hush%2Fhush"},
		{"hush hush/hush", "/hush%20hush%2Fhush/"},
	} {
		for _, to := range []struct {
			kind, id string
			op       azuremltest.Op
			again    bool
		}{
			{azureml.Published, succeeds, azuremltest.Submit, false},
			{azureml.Published, succeeds, azuremltest.FindRuns, true},
			{azureml.PipelineEndpoint, succeedsEP, azuremltest.SubmitTo, false},
			{azureml.BatchEndpoint, "train", azuremltest.GetBatchEndpoint, false},
			{azureml.BatchEndpoint, "train", azuremltest.Invoke, false},
			{azureml.BatchEndpoint, "train", azuremltest.ListJobs, true},
			{azureml.PipelineJob, "component:train:1", azuremltest.PutJob, false},
			{azureml.PipelineJob, "component:train:1", azuremltest.GetJob, true},
		} {
			f := newFar(t)
			for _, status := range []int{400, 500} {
				logged.Reset()
				s := of(to.kind, to.id, "a")
				s.Again, s.Parameters = to.again, map[string]string{"who": c.value}
				f.Fail(to.op, says(status, "the value "+c.quoted+" of who", "it is "+c.quoted))
				_, err := f.targets[to.kind].Submit(t.Context(), s)
				if err == nil || !strings.Contains(err.Error(), "UserError: the value ") {
					t.Fatalf("%s, %s: %v", to.kind, to.op, err)
				}
				told := logged.String() + err.Error()
				if logged.Len() == 0 || strings.Contains(told, "hush") || strings.Contains(told, "eyJ") {
					t.Errorf("%s, %s, %d: logged %s, error %v", to.kind, to.op, status, logged.String(), err)
				}
				if len(c.quoted) < 100 && !strings.Contains(err.Error(), "[value of who]") {
					t.Errorf("%s, %s: it does not say of what: %v", to.kind, to.op, err)
				}
			}
		}
	}
}

// What is no secret is told: short values, and names.
func TestWhatIsToldOfARefusal(t *testing.T) {
	f := newFar(t)
	s := submission("a")
	s.Parameters = map[string]string{"who": "me", "where": "hush-hush-hush", "whom": "hush-hush", "set": `dataset:{"Id":"7"}`, "file": "uri_file(download):hushed"}
	f.Fail(azuremltest.Submit, says(400, `me and hush-hush-hush and hush-hush, {"Id":"7"}, hushed`, ""))
	_, err := f.targets[azureml.Published].Submit(t.Context(), s)
	if wantOutcome(t, err, pipeline.Refused); !strings.Contains(err.Error(), "me and [value of where] and [value of whom], [value of set], [value of file]") {
		t.Error(err)
	}
}

// A signature in an address is struck out, whoever names it: the error of a request or of a run.
func TestSignaturesAreNotTold(t *testing.T) {
	for _, address := range []string{
		"https://bells.blob.core.windows.net/in/a.csv?sv=2024-11-04&sig=hush%2Bhush%3D&se=2026",
		"https://bells.blob.core.windows.net/in/a.csv?sv=2024-11-04\\u0026SIG=hush/hush=",
		"https%3A%2F%2Fbells.blob.core.windows.net%2Fin%3Fsv%3D1%26sig%3Dhush%252Bhush",
		`"?sig=hush"`,
	} {
		f := newFar(t)
		f.Fail(azuremltest.Submit, says(400, "no "+address, "not "+address+" either"))
		_, err := f.targets[azureml.Published].Submit(t.Context(), submission("a"))
		if wantOutcome(t, err, pipeline.Refused); strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), "…") {
			t.Error(err)
		}
		id := f.begin(t)
		f.Tell(id, azuremltest.Step{Name: "read", Status: "Failed", Error: "no " + address})
		f.Move(id, "Failed", "no "+address)
		r := f.status(t, id)
		steps, _ := f.steps(t, azureml.Published, id)
		if strings.Contains(r.Error+steps[0].Error, "hush") || !strings.HasPrefix(r.Error, "no ") || !strings.HasPrefix(steps[0].Error, "no ") {
			t.Errorf("%+v, %+v", r, steps)
		}
	}
}
