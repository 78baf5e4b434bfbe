package api

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// site is the API over memory, with a clock that the test moves.
type site struct {
	t      *testing.T
	f      *Function
	now    time.Time
	fake   *pipeline.Fake
	queue  *queue.Mem
	server http.Handler
}

func newSite(t *testing.T) *site {
	s := &site{t: t, now: time.Date(2026, 11, 22, 10, 0, 7, 0, time.UTC), fake: &pipeline.Fake{}, queue: queue.NewMem()}
	s.fake.Put(pipeline.Pipeline{
		Ref: schedule.PipelineRef{Kind: "local", ID: "hello"}, Name: "Hello", Parameters: map[string]string{"who": "world"},
	})
	db, err := store.Open(t.Context(), store.NewMem(), s.now)
	if err != nil {
		t.Fatal(err)
	}
	s.f = &Function{
		DB: db, Targets: map[string]pipeline.Target{"local": s.fake}, Submit: s.queue,
		Now: func() time.Time { return s.now }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	s.server = s.f.Handler()
	return s
}

type reply struct {
	status int
	header http.Header
	text   string
	json   map[string]any
}

func (s *site) call(method, path, body string, headers ...string) reply {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set(ActorHeader, "ann")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.server.ServeHTTP(w, r)
	out := reply{status: w.Code, header: w.Result().Header, text: w.Body.String()}
	json.Unmarshal(w.Body.Bytes(), &out.json)
	return out
}

// want fails the test unless the reply has the status, and returns it.
func (s *site) want(status int, r reply) reply {
	s.t.Helper()
	if r.status != status {
		s.t.Fatalf("got %d, want %d: %s", r.status, status, r.text)
	}
	return r
}

func body15(name string) string {
	return fmt.Sprintf(`{"name": %q, "pipeline": {"kind": "local", "id": "hello"}, "experiment": "demo",
		"trigger": {"type": "recurrence", "frequency": "minute", "interval": 15}}`, name)
}

func (r reply) items() []any { items, _ := r.json["items"].([]any); return items }

func TestScheduleFromCreationToDeletion(t *testing.T) {
	s := newSite(t)
	made := s.want(201, s.call("POST", "/api/schedules", body15("s")))
	if made.header.Get("Location") != "/api/schedules/s" || made.json["when"] != "every 15 minutes" || made.json["next"] != "2026-11-22T10:15:00Z" {
		t.Errorf("created: %v %s", made.header, made.text)
	}
	if s.call("POST", "/api/schedules", body15("s")).json["code"] != "exists" {
		t.Error("created twice")
	}
	first := made.header.Get("ETag")

	patched := s.want(200, s.call("PATCH", "/api/schedules/s", `{"description": "new", "parameters": {"who": "you"}}`, "If-Match", first))
	if patched.json["description"] != "new" || patched.json["revision"] != 2.0 || patched.json["updated_by"] != "ann" {
		t.Errorf("patched: %s", patched.text)
	}
	if r := s.call("PATCH", "/api/schedules/s", `{"description": "newer"}`, "If-Match", first); r.status != 412 || r.json["code"] != "changed" {
		t.Errorf("patched with an old If-Match: %d %s", r.status, r.text)
	}
	cleared := s.want(200, s.call("PATCH", "/api/schedules/s", `{"description": null, "parameters": {"who": null}}`))
	if cleared.json["description"] != nil || cleared.json["parameters"] != nil {
		t.Errorf("cleared: %s", cleared.text)
	}
	same := s.want(200, s.call("PATCH", "/api/schedules/s", `{"experiment": "demo"}`))
	if same.json["revision"] != cleared.json["revision"] {
		t.Errorf("a change that changes nothing makes revision %v", same.json["revision"])
	}

	back := s.want(200, s.call("PATCH", "/api/schedules/s", s.call("GET", "/api/schedules/s", "").text))
	if back.json["revision"] != same.json["revision"] {
		t.Errorf("sent back as it was got: %s", back.text)
	}

	s.now = s.now.Add(time.Minute)
	off := s.want(200, s.call("POST", "/api/schedules/s/disable", `{"note": "data feed is down"}`))
	note, _ := off.json["status_note"].(map[string]any)
	if off.json["status"] != "Disabled" || off.json["next"] != nil || note["note"] != "data feed is down" || note["by"] != "ann" || note["at"] != "2026-11-22T10:01:07Z" {
		t.Errorf("disabled: %s", off.text)
	}
	if got := s.want(200, s.call("GET", "/api/schedules?active=true", "")).items(); len(got) != 0 {
		t.Errorf("active ones: %v", got)
	}
	on := s.want(200, s.call("POST", "/api/schedules/s/enable", ""))
	if on.json["status"] != "Active" || on.json["next"] != "2026-11-22T10:15:00Z" {
		t.Errorf("enabled: %s", on.text)
	}
	next := s.want(200, s.call("GET", "/api/schedules/s/next?n=3", "")).items()
	if len(next) != 3 || next[2].(map[string]any)["utc"] != "2026-11-22T10:45:00Z" {
		t.Errorf("next: %v", next)
	}
	if r := s.want(200, s.call("DELETE", "/api/schedules/s", "")); strings.TrimSpace(r.text) != "{}" {
		t.Errorf("deleted: %q", r.text)
	}
	s.want(404, s.call("GET", "/api/schedules/s", ""))
}

func TestTriggerNow(t *testing.T) {
	s := newSite(t)
	s.want(201, s.call("POST", "/api/schedules", body15("s")))
	asked := s.want(202, s.call("POST", "/api/schedules/s/trigger", `{"parameters": {"who": "me"}}`, "Idempotency-Key", "k"))
	if asked.json["status"] != "Waiting" || asked.json["kind"] != "manual" || asked.json["by"] != "ann" {
		t.Errorf("asked: %s", asked.text)
	}
	s.now = s.now.Add(time.Hour)
	again := s.want(202, s.call("POST", "/api/schedules/s/trigger", `{"parameters": {"who": "me"}}`, "Idempotency-Key", "k"))
	if again.json["id"] != asked.json["id"] || len(s.queue.Pending()) != 1 {
		t.Errorf("the same request made %v, %d messages", again.json["id"], len(s.queue.Pending()))
	}
	other := s.want(202, s.call("POST", "/api/schedules/s/trigger", ""))
	if other.json["id"] == asked.json["id"] {
		t.Error("another request made the same run")
	}
	if got := s.want(200, s.call("GET", "/api/runs?schedule=s&status=waiting", "")).items(); len(got) != 2 {
		t.Errorf("waiting runs: %v", got)
	}
	id := asked.json["id"].(string)
	s.want(202, s.call("POST", "/api/runs/"+id+"/cancel", ""))
	if got := s.want(200, s.call("GET", "/api/runs/"+id, "")); got.json["status"] != "Canceled" {
		t.Errorf("cancelled: %s", got.text)
	}
	if r := s.call("POST", "/api/runs/"+id+"/cancel", ""); r.status != 409 || r.json["code"] != "conflict" {
		t.Errorf("cancelled twice: %d %s", r.status, r.text)
	}
	if r := s.call("GET", "/api/runs/"+id+"/output", ""); r.status != 404 {
		t.Errorf("output of what never ran: %d", r.status)
	}
}

func TestListsInPages(t *testing.T) {
	s := newSite(t)
	for i := range 7 {
		s.want(201, s.call("POST", "/api/schedules", body15(fmt.Sprint("s", i))))
		s.want(202, s.call("POST", fmt.Sprintf("/api/schedules/s%d/trigger", i), ""))
		s.now = s.now.Add(time.Second)
	}
	for _, list := range []string{"/api/schedules?limit=3", "/api/runs?limit=3"} {
		seen, token := 0, ""
		for pages := 0; ; pages++ {
			page := s.want(200, s.call("GET", list+"&token="+token, ""))
			seen += len(page.items())
			next, _ := page.json["next"].(string)
			if token = strings.ReplaceAll(next, "|", "%7C"); token == "" || pages > 7 {
				break
			}
		}
		if seen != 7 {
			t.Errorf("%s: %d items in all", list, seen)
		}
	}
	if got := s.want(200, s.call("GET", "/api/schedules?pipeline=local:other", "")).items(); got == nil || len(got) != 0 {
		t.Errorf("schedules of another pipeline: %v", got)
	}
	got := s.want(200, s.call("GET", "/api/pipelines", "")).items()
	if len(got) != 1 || got[0].(map[string]any)["name"] != "Hello" {
		t.Errorf("pipelines: %v", got)
	}
}

func TestBadInput(t *testing.T) {
	s := newSite(t)
	s.want(201, s.call("POST", "/api/schedules", body15("s")))
	many := strings.Repeat("x", MaxBody)
	for _, row := range []struct {
		method, path, body string
		headers            []string
		status             int
		code, says         string
	}{
		{"POST", "/api/schedules", "", nil, 415, "unsupported_media", "JSON"},
		{"POST", "/api/schedules", "name: x", []string{"Content-Type", "application/yaml"}, 415, "unsupported_media", "JSON"},
		{"POST", "/api/schedules", "{", nil, 400, "bad_request", "not JSON"},
		{"POST", "/api/schedules", "{} {}", nil, 400, "bad_request", "not JSON"},
		{"POST", "/api/schedules", "[]", nil, 422, "invalid_fields", "wrong"},
		{"POST", "/api/schedules", `{"x": "` + many + `"}`, nil, 413, "too_large", "1048576"},
		{"POST", "/api/schedules", strings.Replace(body15("x"), "local", "remote", 1), nil, 422, "invalid_fields", "local"},
		{"POST", "/api/schedules", strings.Replace(body15("x"), "hello", "goodbye", 1), nil, 422, "invalid_fields", "goodbye"},
		{"POST", "/api/schedules", strings.Replace(body15("x"), `"demo"`, `"demo", "parameters": {"wo": "x"}`, 1), nil, 422, "invalid_fields", "who"},
		{"POST", "/api/schedules", strings.Replace(body15("x"), "15", "0", 1), nil, 422, "invalid_fields", "interval"},
		{"PATCH", "/api/schedules/s", `{"name": "other"}`, nil, 422, "invalid_fields", "name"},
		{"PATCH", "/api/schedules/s", `{"trigger": {"interval": 99999999}}`, nil, 422, "invalid_fields", "trigger.interval"},
		{"PATCH", "/api/schedules/s", `[1]`, nil, 400, "bad_request", "object"},
		{"PATCH", "/api/schedules/none", `{}`, nil, 404, "not_found", "none"},
		{"POST", "/api/schedules/none/trigger", ``, nil, 404, "not_found", "none"},
		{"POST", "/api/schedules/s/trigger", `{"parameter": {}}`, nil, 400, "bad_request", "parameter"},
		{"POST", "/api/schedules/s/trigger", `{"parameters": {"wo": "x"}}`, nil, 422, "invalid_fields", "who"},
		{"POST", "/api/schedules/s/trigger", `{"parameters": {"who": "` + many[:20000] + `"}}`, nil, 422, "invalid_fields", "bytes"},
		{"POST", "/api/schedules/s/disable", `{"note": 5}`, nil, 400, "bad_request", "note"},
		{"DELETE", "/api/schedules/s", ``, []string{"If-Match", `"x.1"`}, 412, "changed", "look at it again"},
		{"GET", "/api/schedules?limit=0", "", nil, 400, "bad_request", "limit"},
		{"GET", "/api/schedules?limit=x", "", nil, 400, "bad_request", "limit"},
		{"GET", "/api/schedules?colour=red", "", nil, 400, "bad_request", "colour"},
		{"GET", "/api/schedules?active=maybe", "", nil, 400, "bad_request", "active"},
		{"GET", "/api/schedules?pipeline=hello", "", nil, 400, "bad_request", "KIND:ID"},
		{"GET", "/api/schedules?token=%2F..", "", nil, 400, "bad_request", "token"},
		{"GET", "/api/schedules/s/next?n=1001", "", nil, 400, "bad_request", "1000"},
		{"GET", "/api/schedules/a%7Cb", "", nil, 404, "not_found", "a|b"},
		{"GET", "/api/schedules/a%20b", "", nil, 404, "not_found", "a b"},
		{"GET", "/api/runs?status=Great", "", nil, 400, "bad_request", "Completed"},
		{"GET", "/api/runs?token=%2500", "", nil, 400, "bad_request", "token"},
		{"GET", "/api/runs/nothing", "", nil, 404, "not_found", "nothing"},
		{"GET", "/api/runs/9abc-20261122T101500Z", "", nil, 404, "not_found", "9abc"},
		{"GET", "/api/runs/0abc-20261122T101500Z-" + many[:600], "", nil, 404, "not_found", "0abc"},
		{"GET", "/api/nothing", "", nil, 404, "not_found", "openapi"},
		{"PUT", "/api/schedules", "{}", nil, 405, "method_not_allowed", "GET, POST"},
	} {
		r := s.call(row.method, row.path, row.body, row.headers...)
		if r.status != row.status || r.json["code"] != row.code || !strings.Contains(r.text, row.says) {
			t.Errorf("%s %s %.60s: got %d %s\nwant %d %s with %q", row.method, row.path, row.body, r.status, r.text, row.status, row.code, row.says)
		}
		if got := r.header.Get("Content-Type"); got != "application/problem+json" {
			t.Errorf("%s %s: content type %s", row.method, row.path, got)
		}
	}
	if r := s.want(200, s.call("GET", "/api/schedules/s", "")); r.json["revision"] != 1.0 {
		t.Errorf("bad input has changed the schedule: %s", r.text)
	}
}

func TestContractIsServed(t *testing.T) {
	r := newSite(t).call("GET", "/api/openapi.yaml", "")
	if r.status != 200 || !strings.HasPrefix(r.text, "openapi: 3.1") || r.header.Get("Content-Type") != "application/yaml" {
		t.Errorf("%d %v %.40s", r.status, r.header, r.text)
	}
}
