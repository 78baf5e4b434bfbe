package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"carillon/shared/host"
	"carillon/shared/problem"
	"carillon/shared/schedule"
)

const (
	one     = "/api/schedules/{name}"
	mine    = "/api/schedules/every-15-minutes"
	unknown = "/api/schedules/unknown"
	aRun    = "/api/runs/{id}"
	noRun   = "/api/runs/0abc-20260105T120000Z"
	change  = "/api/runs/{id}/changes"
	named   = "/api/calendars/{name}"
)

// Every answer that the document has for an operation is given by it, and conforms; so does every other one here.
// What the platform answers (401, 403) is left out, and what the host does (elsewhere).
func TestContractAnswers(t *testing.T) {
	l := newLive(t)
	l.calendars()
	l.create()
	l.preview()
	l.change()
	l.operate()
	l.look()
	l.follow()
	l.backfills()
	l.everything()
	l.data()
	l.pipelines()
	l.imports()
	l.remove()
	l.fail(errors.New("the disk is gone"), 500)
	l.fail(context.DeadlineExceeded, 503)
	for _, path := range l.document.at("paths").names() {
		for _, method := range l.document.at("paths", path).names() { // parameters among them, which have no responses
			for _, status := range l.document.at("paths", path, method, "responses").names() {
				if status != "401" && status != "403" && path != host.WebhookPath && !l.seen[method+" "+path+" "+status] {
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
	const revision = "get " + one + "/revisions/{revision}"
	for n, want := range []string{"world", "everybody"} {
		got := l.ask(200, revision, fmt.Sprint(mine, "/revisions/", n+1), "").(map[string]any)
		if who := got["parameters"].(map[string]any)["who"]; who != want {
			l.document.t.Errorf("revision %d greets %v", n+1, who)
		}
	}
	l.ask(400, revision, mine+"/revisions/0", "")
	l.ask(404, revision, mine+"/revisions/99", "")
	l.ask(404, revision, unknown+"/revisions/1", "")
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
	n, next := l.items("get /api/schedules", "/api/schedules?limit=5")
	if n != 5 || next == "" {
		t.Errorf("a page of %d schedules, then %q", n, next)
	}
	if n, next = l.items("get /api/schedules", "/api/schedules?limit=5&token="+next); n != 3 || next != "" {
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

// data has files that change, and looks at what that has led to.
func (l *live) data() {
	t := l.document.t
	const list, explain = "get /api/datastores", "get /api/explain"
	if x := l.ask(200, list, "/api/datastores", "").(map[string]any); len(x["items"].([]any)) != 2 || len(x["notices"].([]any)) != 1 {
		t.Errorf("without the workspace: %v", x)
	}
	l.absent = nil
	l.function.Datastores = l.stores() // a failure is remembered for a while
	l.items("get "+one+"/next", "/api/schedules/score/next")
	l.now = noon.Add(time.Hour)
	l.inbox.Put("incoming/a.csv", l.now)
	l.inbox.Put("orders/a", l.now)
	for _, path := range []string{"incoming/a.csv", "orders/a"} {
		if err := l.changed.Handle(t.Context(), []byte(`{"datastore": "inbox", "path": "`+path+`"}`)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"score", "retrain", "join"} {
		l.ask(200, "get "+one, "/api/schedules/"+name, "")
	}
	runs := l.ask(200, "get /api/runs", "/api/runs?schedule=score", "").(map[string]any)["items"].([]any)
	id := runs[0].(map[string]any)["id"].(string)
	l.submit(id)
	l.ask(200, "get "+aRun, "/api/runs/"+id, "")
	if n, _ := l.items("get "+change, "/api/runs/"+id+"/changes"); n != 1 || len(runs) != 1 {
		t.Errorf("%d runs, the last one for %d changes", len(runs), n)
	}
	l.ask(400, "get "+change, "/api/runs/"+id+"/changes?limit=0", "")
	l.ask(404, "get "+change, noRun+"/changes", "")

	n, next := l.items(list, "/api/datastores?limit=1")
	if m, end := l.items(list, "/api/datastores?limit=1&token="+next); n != 1 || m != 1 || end != "" {
		t.Errorf("pages of %d and %d datastores, then %q", n, m, end)
	}
	l.ask(400, list, "/api/datastores?limit=0", "")
	for path, want := range map[string][2]int{"incoming/a.csv": {2, 0}, "incoming/a.txt": {1, 1}, "orders/a": {1, 0}, "other": {0, 0}} {
		x := l.ask(200, explain, "/api/explain?datastore=inbox&path="+path, "").(map[string]any)
		if got := [2]int{len(x["matches"].([]any)), len(x["near"].([]any))}; got != want {
			t.Errorf("%s: %d schedules match and are near, want %d", path, got, want)
		}
	}
	l.ask(400, explain, "/api/explain?datastore=inbox", "")
	l.ask(404, explain, "/api/explain?datastore=unknown&path=x", "")
	l.now = noon
}

// pipelines are disabled, and enabled again.
func (l *live) pipelines() {
	t := l.document.t
	const list, get, hello = "get /api/pipelines", "get /api/pipelines/{kind}", "/api/pipelines/local?id=hello"
	l.ask(200, get, hello, "")
	for _, id := range []string{"", "%20", strings.Repeat("x", 1025)} {
		l.ask(400, get, "/api/pipelines/local?id="+id, "")
	}
	l.ask(400, get, hello+"&x=y", "")
	l.ask(404, get, "/api/pipelines/local?id=unknown", "")
	l.ask(404, get, "/api/pipelines/unknown?id=hello", "")
	for _, verb := range []string{"disable", "enable"} {
		operation, path := "post /api/pipelines/{kind}/"+verb, "/api/pipelines/local/"+verb
		l.ask(400, operation, path, "")
		l.ask(404, operation, path+"?id=unknown", "")
		l.ask(422, operation, path+"?id=hello", `{"note": "`+strings.Repeat("n", 5000)+`", "with": 1}`)
		l.badBodies(operation, path+"?id=hello")
	}
	const disable, enable = "post /api/pipelines/{kind}/disable", "post /api/pipelines/{kind}/enable"
	l.ask(409, disable, "/api/pipelines/local/disable?id=hello", "")
	l.ask(422, disable, "/api/pipelines/local/disable?id=hello", `{"with_schedules": "yes"}`)
	example, _ := json.Marshal(l.document.at("paths", "/api/pipelines/{kind}/disable", "post", "requestBody", "content", "application/json", "example").value)
	l.ask(200, disable, "/api/pipelines/local/disable?id=hello", string(example))
	l.ask(200, get, hello, "")
	l.ask(422, "post "+one+"/enable", mine+"/enable", "")
	l.ask(422, "patch "+one, mine, `{"status": "Active"}`)
	if n, _ := l.items(list, "/api/pipelines?active=false&kind=local"); n != 1 {
		t.Errorf("%d pipelines are disabled", n)
	}
	l.ask(400, list, "/api/pipelines?kind=unknown", "")
	l.ask(200, enable, "/api/pipelines/local/enable?id=hello", `{"note": "fixed"}`)
	l.ask(200, "post "+one+"/enable", mine+"/enable", "")
	l.fake.err = errors.New("no answer")
	l.ask(503, list, "/api/pipelines?kind=local", "")
	if x := l.ask(200, list, "/api/pipelines", "").(map[string]any); len(x["items"].([]any)) != 0 || len(x["notices"].([]any)) != 1 {
		t.Errorf("a far side that does not answer: %v", x)
	}
	l.fake.err = nil
	if n, _ := l.items("get /api/experiments", "/api/experiments"); n < 2 {
		t.Errorf("%d experiments", n)
	}
	l.ask(400, "get /api/experiments", "/api/experiments?token=a/b", "")
}

func (l *live) remove() {
	l.now = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	l.ask(409, "post "+one+"/enable", "/api/schedules/new-year/enable", "") // its time is over
	l.ask(200, "post "+one+"/disable", "/api/schedules/new-year/disable", "")
	l.ask(409, "patch "+one, "/api/schedules/new-year", `{"status": "Active"}`)
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
		case "get /api/openapi.yaml", "get /api/datastores":
			continue
		case "post /api/schedules", "patch " + one:
			sent = string(body)
		case "put " + named:
			sent = `{"dates": ["2026-12-24"]}`
		case "post " + one + "/backfill":
			sent = `{"from": "2026-01-01", "to": "2026-01-02"}`
		case "post /api/import":
			sent = l.document.example("/api/import", "file")
		case "post /api/preview": // which finds its calendar, and then no more
			sent = l.previewed()
			l.driver.spare.Store(1)
		}
		if operation == "get /api/explain" {
			route.Path += "?datastore=inbox&path=a"
		}
		if strings.Contains(route.Path, "{kind}") {
			route.Path += "?id=hello"
		}
		path := strings.NewReplacer("{name}", "new-year", "{revision}", "1", "{kind}", "local", "{id}", strings.TrimPrefix(noRun, "/api/runs/")).Replace(route.Path)
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
