package facade_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"carillon/functions/facade"
	"carillon/functions/follow"
	"carillon/functions/submit"
	"carillon/shared/pipeline"
	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

const (
	endpoint  = "a275bc5d-c04f-442d-9906-ac64497ec17d" // stands for forecast
	published = "579BBA1B-6dfa-4806-8a5c-fc0f6d3186e4" // for forecast too
	scoring   = "c777e1d2-b698-4a75-a37b-b45dc4d5afc9" // for score
	unmade    = "d06ce911-1a30-45d6-8aa5-26be57165420" // for a schedule that is not there
	workspace = "/subscriptions/63dac7f9-dae6-4cf2-8be6-cc2d527d0cd3/resourceGroups/ML-Modeling/providers/Microsoft.MachineLearningServices/workspaces/My_Workspace"
	pipelines = "/api/azureml/pipelines/v1.0" + workspace
	history   = "/api/azureml/history/v1.0" + workspace
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// world is Carillon in memory behind the façade; everything is submitted and looked at when a test says so.
type world struct {
	t        *testing.T
	now      time.Time
	db       *store.DB
	fake     *pipeline.Fake
	function *facade.Function
	handler  http.Handler
	submits  *queue.Mem
	follows  *queue.Mem
	submit   *submit.Function
	follow   *follow.Function
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: noon, fake: &pipeline.Fake{}, submits: queue.NewMem(), follows: queue.NewMem(), db: store.New(store.NewMem())}
	now := func() time.Time { return w.now }
	w.submits.Now, w.follows.Now = now, now
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	targets := map[string]pipeline.Target{"local": w.fake}
	schedules, err := facade.Parse(endpoint + "=forecast, " + published + "=forecast," + scoring + "=score," + unmade + "=unmade,")
	if err != nil {
		t.Fatal(err)
	}
	w.function = &facade.Function{Schedules: schedules, DB: w.db, Targets: targets, Submit: w.submits, Follow: w.follows, Now: now, Log: log}
	w.handler = w.function.Handler("/api/azureml", http.HandlerFunc(func(a http.ResponseWriter, _ *http.Request) { a.WriteHeader(http.StatusTeapot) }))
	w.submit = &submit.Function{DB: w.db, Targets: targets, Submit: w.submits, Follow: w.follows, Owner: "me", Void: func(string) bool { return false }, Now: now, Log: log}
	w.follow = &follow.Function{DB: w.db, Targets: targets, Follow: w.follows, Submit: w.submits, Now: now, Log: log}
	w.fake.Put(
		pipeline.Pipeline{Ref: schedule.PipelineRef{Kind: "local", ID: "forecast"}, Parameters: map[string]string{"input_path": "", "output_path": "", "horizon": "12", "nodes": "4"}},
		pipeline.Pipeline{Ref: schedule.PipelineRef{Kind: "local", ID: "score"}},
	)
	w.create("forecast", `"parameters": {"horizon": "24", "nodes": "{{.Schedule.Name}}"}, "status": "Disabled"`)
	w.create("score", `"status": "Active"`)
	w.create("other", `"status": "Active"`)
	return w
}

func (w *world) create(name, more string) {
	w.t.Helper()
	id := name
	if name == "other" {
		id = "score"
	}
	d, errs := schedule.Decode([]byte(fmt.Sprintf(
		`{"name":%q,"pipeline":{"kind":"local","id":%q},"experiment":"own","trigger":{"type":"recurrence","frequency":"day","interval":1},%s}`, name, id, more)))
	if len(errs) > 0 {
		w.t.Fatal(errs)
	}
	if err := w.db.Create(w.t.Context(), schedule.New(d, store.NewScheduleID(name), "me", w.now)); err != nil {
		w.t.Fatal(err)
	}
}

// ask sends a request as a client does, with a bearer token. More are names and values of headers.
func (w *world) ask(method, path, body string, more ...string) (int, string) {
	w.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer secret")
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	for i := 0; i+1 < len(more); i += 2 {
		r.Header.Set(more[i], more[i+1])
	}
	a := httptest.NewRecorder()
	w.handler.ServeHTTP(a, r)
	if a.Body.Len() == 0 && a.Code < 300 {
		w.t.Errorf("%s %s: an answer without a body", method, path)
	}
	return a.Code, a.Body.String()
}

// must asks, and reads an answer that is a success.
func (w *world) must(method, path, body string, into any, more ...string) {
	w.t.Helper()
	status, text := w.ask(method, path, body, more...)
	if status != http.StatusOK {
		w.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		w.t.Fatalf("%s %s: %v: %s", method, path, err, text)
	}
}

// refused asks, and returns what is said of a refusal.
func (w *world) refused(want int, method, path, body string, more ...string) (code, message string) {
	w.t.Helper()
	status, text := w.ask(method, path, body, more...)
	var e struct {
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(text), &e); status != want || err != nil || e.Error.Code == "" || e.Error.Message == "" {
		w.t.Fatalf("%s %s: %d %s, want %d", method, path, status, text, want)
	}
	return e.Error.Code, e.Error.Message
}

// send submits what was asked for.
func (w *world) send() {
	w.t.Helper()
	for _, body := range w.submits.Take(w.now) {
		if err := w.submit.Handle(w.t.Context(), body); err != nil {
			w.t.Error(err)
		}
	}
}

// look looks at a run.
func (w *world) look(id string) {
	w.t.Helper()
	if err := w.follow.Handle(w.t.Context(), queue.Messages([]string{id})[0]); err != nil {
		w.t.Error(err)
	}
}

// hints looks at the runs that somebody has hinted at by now.
func (w *world) hints() {
	w.t.Helper()
	for _, body := range w.follows.Take(w.now) {
		if err := w.follow.Handle(w.t.Context(), body); err != nil {
			w.t.Error(err)
		}
	}
}

func (w *world) occurrence(id string) schedule.Occurrence {
	w.t.Helper()
	o, err := w.db.Occurrence(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return o.Value
}

// change writes another state of an occurrence.
func (w *world) change(id string, to func(schedule.Occurrence) schedule.Occurrence) {
	w.t.Helper()
	o, err := w.db.Occurrence(context.Background(), id)
	if err == nil {
		err = w.db.Save(context.Background(), []store.Change{{From: o, To: to(o.Value)}})[0]
	}
	if err != nil {
		w.t.Fatal(err)
	}
}
