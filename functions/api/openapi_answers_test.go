package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/problem"
	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// live asks a running API over memory and holds what it answers against the document.
type live struct {
	document *document
	db       *store.DB
	driver   *failing
	fake     *stepped
	handler  http.Handler
	now      time.Time
	seen     map[string]bool // "get /api/runs 200"
	headers  http.Header     // of the last answer
}

// failing is a store that answers with an error while there is one, but for some reads that still succeed.
type failing struct {
	store.Driver
	err   error
	spare int // reads
}

func (f *failing) Get(ctx context.Context, part, sort string) (store.Row, error) {
	if f.spare--; f.err != nil && f.spare < 0 {
		return store.Row{}, f.err
	}
	return f.Driver.Get(ctx, part, sort)
}

func (f *failing) Scan(ctx context.Context, part, from, to string, max int) ([]store.Row, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Driver.Scan(ctx, part, from, to, max)
}

func (f *failing) Apply(ctx context.Context, part string, ops ...store.Op) error {
	return cmp.Or(f.err, f.Driver.Apply(ctx, part, ops...))
}

// stepped is a Fake whose runs have steps, and that does not list while there is an error.
type stepped struct {
	*pipeline.Fake
	err error
}

func (s *stepped) Status(ctx context.Context, kind, id string) (pipeline.Report, error) {
	r, err := s.Fake.Status(ctx, kind, id)
	r.Steps = []pipeline.Step{{Name: "one", Status: schedule.Failed, Started: noon, Ended: noon, Exit: 3, Error: "exit status 3"}, {Name: "two", Status: schedule.Waiting}}
	return r, err
}

func (s *stepped) List(ctx context.Context, after string, max int) ([]pipeline.Pipeline, error) {
	if s.err != nil {
		return nil, s.err
	}
	return s.Fake.List(ctx, after, max)
}

var noon = time.Date(2026, 1, 5, 12, 0, 30, 0, time.UTC)

func newLive(t *testing.T) *live {
	t.Helper()
	l := &live{document: readDocument(t), driver: &failing{Driver: store.NewMem()}, fake: &stepped{Fake: &pipeline.Fake{}}, now: noon, seen: map[string]bool{}}
	var err error
	if l.db, err = store.Open(t.Context(), l.driver); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"hello", "report"} {
		l.fake.Put(pipeline.Pipeline{
			Ref: schedule.PipelineRef{Kind: "local", ID: id}, Name: id, Description: "d", Parameters: map[string]string{"who": "world"},
		})
	}
	l.fake.Put(pipeline.Pipeline{
		Ref: schedule.PipelineRef{Kind: "local", ID: "strict"}, Name: "strict", Parameters: map[string]string{"path": ""}, Required: []string{"path"},
	})
	l.fake.Put(pipeline.Pipeline{Ref: schedule.PipelineRef{Kind: "local", ID: "broken"}, Name: "broken", Problem: "no steps"})
	f := &Function{
		DB: l.db, Targets: map[string]pipeline.Target{"local": l.fake}, Submit: queue.NewMem(), Now: func() time.Time { return l.now },
		Log: slog.New(slog.DiscardHandler),
	}
	l.handler = f.Handler()
	return l
}

// ask sends a request of an operation ("get /api/runs") and wants a status: one that the document has for it, with
// the headers and the body that it says. A request that is answered well has to conform, too.
func (l *live) ask(want int, operation, path, body string, headers ...string) any {
	t := l.document.t
	t.Helper()
	method, pattern, _ := strings.Cut(operation, " ")
	r := httptest.NewRequest(strings.ToUpper(method), path, strings.NewReader(body))
	r.Header.Set(ActorHeader, "tester")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	l.handler.ServeHTTP(w, r)
	l.headers = w.Header()
	if w.Code != want {
		t.Fatalf("%s: %d, want %d: %s", operation, w.Code, want, w.Body)
	}
	at := l.document.at("paths", pattern, method)
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); want < 400 && body != "" {
		if err := at.in("requestBody", "content", media, "schema").check(decoded(t, []byte(body))); err != nil {
			t.Errorf("%s takes %s, which does not conform: %v", operation, body, err)
		}
	}
	answer := at.in("responses", strconv.Itoa(want))
	if answer.value == nil {
		t.Fatalf("%s: the document has no %d", operation, want)
	}
	l.seen[operation+" "+strconv.Itoa(want)] = true
	for _, name := range answer.in("headers").names() {
		header, given := answer.in("headers", name), w.Header().Get(name)
		if header.object()["required"] == true || given != "" {
			if err := header.in("schema").check(given); err != nil || given == "" {
				t.Errorf("%s: %d: the header %s: %q does not conform: %v", operation, want, name, given, err)
			}
		}
	}
	media, _, _ := mime.ParseMediaType(w.Header().Get("Content-Type"))
	schema := answer.in("content", media, "schema")
	if schema.value == nil {
		t.Fatalf("%s: %d: the document has no %s", operation, want, media)
	}
	var value any = w.Body.String()
	if strings.HasSuffix(media, "json") {
		value = decoded(t, w.Body.Bytes())
	}
	if err := schema.check(value); err != nil {
		t.Errorf("%s: %d: %s does not conform: %v", operation, want, w.Body, err)
	}
	return value
}

// items asks for a page and returns how many there are on it, and the token of the next one.
func (l *live) items(operation, path string) (n int, next string) {
	l.document.t.Helper()
	answer := l.ask(200, operation, path, "").(map[string]any)
	next, _ = answer["next"].(string)
	return len(answer["items"].([]any)), next
}

// step changes a run as the functions behind the queue do.
func (l *live) step(id string, to func(o schedule.Occurrence) schedule.Occurrence) {
	t := l.document.t
	t.Helper()
	from, err := l.db.Occurrence(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	record, err := l.db.Schedule(t.Context(), from.Value.Schedule)
	if err != nil {
		t.Fatal(err)
	}
	change := store.Change{From: from, To: to(from.Value), State: record.Counted(schedule.State{Last: id})}
	if err := l.db.Save(t.Context(), []store.Change{change})[0]; err != nil {
		t.Fatal(err)
	}
}

// submit starts a triggered run on the far side and returns the id that it has there.
func (l *live) submit(id string) (run string) {
	l.step(id, func(o schedule.Occurrence) schedule.Occurrence {
		record, err := l.db.Schedule(context.Background(), o.Schedule)
		if err != nil {
			l.document.t.Fatal(err)
		}
		o = o.Prepared(record.Schedule.Value.Definition).Claimed("me", "cme", noon)
		run, err = l.fake.Submit(context.Background(), pipeline.Submission{Name: id, Pipeline: o.Pipeline, Parameters: o.Parameters})
		if err != nil {
			l.document.t.Fatal(err)
		}
		return o.Accepted(run, noon)
	})
	return run
}

const (
	one     = "/api/schedules/{name}"
	mine    = "/api/schedules/every-15-minutes"
	unknown = "/api/schedules/unknown"
	aRun    = "/api/runs/{id}"
	noRun   = "/api/runs/0abc-20260105T120000Z"
	named   = "/api/calendars/{name}"
)

// Every answer that the document has for an operation is given by it, and conforms; so does every other one here.
// What the platform answers (401, 403) is left out.
func TestContractAnswers(t *testing.T) {
	l := newLive(t)
	l.calendars()
	l.create()
	l.preview()
	l.change()
	l.operate()
	l.look()
	l.follow()
	l.remove()
	l.fail(errors.New("the disk is gone"), 500)
	l.fail(context.DeadlineExceeded, 503)
	for _, path := range l.document.at("paths").names() {
		for _, method := range l.document.at("paths", path).names() { // parameters among them, which have no responses
			for _, status := range l.document.at("paths", path, method, "responses").names() {
				if status != "401" && status != "403" && !l.seen[method+" "+path+" "+status] {
					t.Errorf("%s %s has not been seen to answer %s", method, path, status)
				}
			}
		}
	}
}

// badBodies are what every operation with a body refuses.
func (l *live) badBodies(operation, path string) {
	l.ask(400, operation, path, "{")
	l.ask(413, operation, path, strings.Repeat(" ", MaxBody)+"{}")
	l.ask(415, operation, path, "name: x", "Content-Type", "application/yaml")
}

func (l *live) calendars() {
	examples := l.document.at("paths", named, "put", "requestBody", "content", "application/json", "examples")
	for _, name := range examples.names() {
		body, _ := json.Marshal(examples.in(name, "value").value)
		l.ask(200, "put "+named, "/api/calendars/"+name, string(body))
		got, _ := json.Marshal(l.ask(200, "get "+named, "/api/calendars/"+name, ""))
		l.ask(200, "put "+named, "/api/calendars/"+name, string(got))
	}
	l.badBodies("put "+named, "/api/calendars/x")
	l.ask(422, "put "+named, "/api/calendars/x", `{"dates": ["tomorrow"], "colour": "red"}`)
	n, next := l.items("get /api/calendars", "/api/calendars?limit=1")
	if n != 1 || next == "" {
		l.document.t.Errorf("a page of %d calendars, then %q", n, next)
	}
	if n, next = l.items("get /api/calendars", "/api/calendars?token="+next); n != 1 || next != "" {
		l.document.t.Errorf("a second page of %d calendars, then %q", n, next)
	}
	l.ask(400, "get /api/calendars", "/api/calendars?limit=0", "")
	l.ask(404, "get "+named, "/api/calendars/unknown", "")
}

// previewed is the document's example of what can be previewed.
func (l *live) previewed() string {
	body, _ := json.Marshal(l.document.at("paths", "/api/preview", "post", "requestBody", "content", "application/json", "example").value)
	return string(body)
}

func (l *live) preview() {
	const preview = "post /api/preview"
	answer := l.ask(200, preview, "/api/preview?n=3", l.previewed()).(map[string]any)
	if n := len(answer["items"].([]any)); n != 3 {
		l.document.t.Errorf("a preview of %d times", n)
	}
	l.ask(200, preview, "/api/preview", strings.Replace(l.previewed(), `"recurrence"`, `"recurrence", "end_time": "2026-03-28T12:00"`, 1))
	l.ask(400, preview, "/api/preview?n=0", l.previewed())
	l.badBodies(preview, "/api/preview")
	l.ask(422, preview, "/api/preview", `{"name": "a b", "calendars": ["unknown"]}`)
}

func (l *live) create() {
	const create = "post /api/schedules"
	examples := l.document.at("paths", "/api/schedules", "post", "requestBody", "content", "application/json", "examples")
	for _, name := range examples.names() {
		body, _ := json.Marshal(examples.in(name, "value").value)
		l.ask(201, create, "/api/schedules", string(body))
		l.ask(409, create, "/api/schedules", string(body))
	}
	l.badBodies(create, "/api/schedules")
	l.ask(422, create, "/api/schedules", `{"name": "a b", "trigger": {"type": "cron", "expression": "@daily"}, "colour": "red"}`)
}

func (l *live) change() {
	const change = "patch " + one
	example := l.document.at("paths", one, "patch", "requestBody", "content", "application/merge-patch+json", "example")
	body, _ := json.Marshal(example.value)
	l.ask(200, "get "+one, mine, "")
	first := l.headers.Get("ETag")
	l.ask(200, change, mine, string(body), "Content-Type", "application/merge-patch+json", "If-Match", first)
	l.ask(200, change, mine, `{"trigger": {"type": "cron", "expression": "*/15 * 1 * Mon"}, "catch_up": {"window": "90m"}}`)
	l.ask(412, change, mine, string(body), "If-Match", first)
	l.badBodies(change, mine)
	l.ask(404, change, unknown, string(body))
	l.ask(422, change, mine, `{"name": "other"}`)
	l.ask(422, change, mine, `{"pipeline": {"id": "unknown"}}`)
	l.ask(200, change, mine, `{"trigger": {"type": "recurrence", "frequency": "minute", "interval": 15}}`)
}

func (l *live) operate() {
	for _, verb := range []string{"/disable", "/enable"} {
		operation := "post " + one + verb
		l.ask(200, operation, mine+verb, `{"note": "data feed is down"}`, "If-Match", "*")
		l.ask(200, operation, mine+verb, "")
		l.ask(412, operation, mine+verb, "", "If-Match", `"other.1"`)
		l.ask(404, operation, unknown+verb, "")
		l.ask(422, operation, mine+verb, `{"notes": "x"}`)
		l.badBodies(operation, mine+verb)
	}
	const trigger = "post " + one + "/trigger"
	first := l.ask(202, trigger, mine+"/trigger", `{"parameters": {"who": "me"}}`, "Idempotency-Key", "1").(map[string]any)
	again := l.ask(202, trigger, mine+"/trigger", `{"parameters": {"who": "me"}}`, "Idempotency-Key", "1").(map[string]any)
	if first["id"] != again["id"] {
		l.document.t.Errorf("the same request made %v and %v", first["id"], again["id"])
	}
	l.ask(400, trigger, mine+"/trigger", "", "Idempotency-Key", strings.Repeat("k", 257))
	l.ask(404, trigger, unknown+"/trigger", "")
	l.ask(422, trigger, mine+"/trigger", `{"parameters": {"whom": "me"}}`)
	l.badBodies(trigger, mine+"/trigger")
}

func (l *live) look() {
	t := l.document.t
	n, next := l.items("get /api/schedules", "/api/schedules?limit=3")
	if n != 3 || next == "" {
		t.Errorf("a page of %d schedules, then %q", n, next)
	}
	if n, next = l.items("get /api/schedules", "/api/schedules?limit=3&token="+next); n != 2 || next != "" {
		t.Errorf("a second page of %d schedules, then %q", n, next)
	}
	if n, _ = l.items("get /api/schedules", "/api/schedules?active=true&pipeline=local:report"); n != 2 {
		t.Errorf("%d active schedules of a pipeline", n)
	}
	l.ask(400, "get /api/schedules", "/api/schedules?limit=0", "")
	l.ask(404, "get "+one, unknown, "")
	if n, next = l.items("get "+one+"/next", mine+"/next?n=7"); n != 7 || next != "" {
		t.Errorf("%d next times, then %q", n, next)
	}
	l.items("get "+one+"/next", "/api/schedules/workdays/next")
	l.ask(400, "get "+one+"/next", mine+"/next?n=0", "")
	l.ask(404, "get "+one+"/next", unknown+"/next", "")
	if n, next = l.items("get /api/pipelines", "/api/pipelines?limit=2"); n != 2 || next == "" {
		t.Errorf("a page of %d pipelines, then %q", n, next)
	}
	l.items("get /api/pipelines", "/api/pipelines?token="+next)
	l.ask(400, "get /api/pipelines", "/api/pipelines?page=2", "")
	l.ask(200, "get /api/openapi.yaml", "/api/openapi.yaml", "")
}

// follow takes runs through their lives and looks at them.
func (l *live) follow() {
	trigger := func() string {
		run := l.ask(202, "post "+one+"/trigger", mine+"/trigger", "").(map[string]any)
		return run["id"].(string)
	}
	skipped, waiting, ended, running := trigger(), trigger(), trigger(), trigger()
	l.step(skipped, func(o schedule.Occurrence) schedule.Occurrence {
		o.Last, o.Count = noon.Add(time.Hour), 5
		return o.Skip(schedule.ReasonMissed, noon)
	})
	l.submit(ended)
	l.step(ended, func(o schedule.Occurrence) schedule.Occurrence {
		return o.Observed(schedule.Observation{Status: schedule.Failed, Started: noon, Ended: noon, Error: "no", Link: "https://example.com"}, noon)
	})
	l.fake.Write(l.submit(running), "hello\n")
	for _, id := range []string{skipped, waiting, ended, running} {
		l.ask(200, "get "+aRun, "/api/runs/"+id, "")
	}
	l.ask(200, "get "+one, mine, "")
	for query, want := range map[string]int{"": 5, "?schedule=every-15-minutes&status=skipped,Queued": 2, "?schedule=unknown": 0, "?limit=2": 2} {
		if n, _ := l.items("get /api/runs", "/api/runs"+query); n != want {
			l.document.t.Errorf("%d runs at %q, want %d", n, query, want)
		}
	}
	l.ask(400, "get /api/runs", "/api/runs?status=Good", "")
	l.ask(404, "get "+aRun, noRun, "")
	if output := l.ask(200, "get "+aRun+"/output", "/api/runs/"+running+"/output", ""); output != "hello\n" {
		l.document.t.Errorf("the output: %q", output)
	}
	l.ask(404, "get "+aRun+"/output", "/api/runs/"+waiting+"/output", "")
	for id, want := range map[string]int{waiting: 202, running: 202, ended: 409, skipped: 409} {
		l.ask(want, "post "+aRun+"/cancel", "/api/runs/"+id+"/cancel", "")
	}
	l.ask(404, "post "+aRun+"/cancel", noRun+"/cancel", "")
}

func (l *live) remove() {
	l.now = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	l.ask(409, "post "+one+"/enable", "/api/schedules/new-year/enable", "") // its time is over
	l.now = noon
	l.ask(412, "delete "+one, mine, "", "If-Match", `"other.1"`)
	l.ask(200, "delete "+one, mine, "")
	l.ask(404, "delete "+one, mine, "")
	l.ask(409, "delete "+named, "/api/calendars/holidays", "") // mondaysInVienna names it
	l.ask(200, "delete "+named, "/api/calendars/blackout", "")
	l.ask(404, "delete "+named, "/api/calendars/blackout", "")
}

// fail asks everything while store and target fail.
func (l *live) fail(err error, want int) {
	l.driver.err, l.fake.err = err, err
	defer func() { l.driver.err, l.fake.err = nil, nil }()
	body, _ := json.Marshal(l.document.at("paths", "/api/schedules", "post", "requestBody", "content", "application/json", "examples", "once", "value").value)
	for _, route := range Routes {
		operation, sent := strings.ToLower(route.Method)+" "+route.Path, ""
		switch operation {
		case "get /api/openapi.yaml":
			continue
		case "post /api/schedules", "patch " + one:
			sent = string(body)
		case "put " + named:
			sent = `{"dates": ["2026-12-24"]}`
		case "post /api/preview": // which finds its calendar, and then no more
			sent, l.driver.spare = l.previewed(), 1
		}
		path := strings.NewReplacer("{name}", "new-year", "{id}", strings.TrimPrefix(noRun, "/api/runs/")).Replace(route.Path)
		l.ask(want, operation, path, sent)
	}
}

// What belongs to no operation is a problem as well.
func TestContractElsewhere(t *testing.T) {
	l := newLive(t)
	for path, want := range map[string]int{"/api/nothing": 404, "/api/schedules": 405, noRun: 405} {
		w := httptest.NewRecorder()
		l.handler.ServeHTTP(w, httptest.NewRequest(http.MethodPut, path, nil))
		if w.Code != want || w.Header().Get("Content-Type") != problem.ContentType {
			t.Errorf("PUT %s: %d, %s", path, w.Code, w.Header().Get("Content-Type"))
		}
		if err := l.document.at("components", "schemas", "Problem").check(decoded(t, w.Body.Bytes())); err != nil {
			t.Errorf("PUT %s: %s does not conform: %v", path, w.Body, err)
		}
	}
}
