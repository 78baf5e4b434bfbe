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
	"carillon/shared/store/storetest"
)

// site is the API over memory, with a clock that the test moves.
type site struct {
	t       *testing.T
	f       *Function
	now     time.Time
	fake    *pipeline.Fake
	queue   *queue.Mem
	follows *queue.Mem
	server  http.Handler
}

func newSite(t *testing.T) *site {
	s := &site{t: t, now: time.Date(2026, 11, 22, 10, 0, 7, 0, time.UTC), fake: &pipeline.Fake{}, queue: queue.NewMem(), follows: queue.NewMem()}
	s.fake.Put(pipeline.Pipeline{
		Ref: schedule.PipelineRef{Kind: "local", ID: "hello"}, Name: "Hello", Parameters: map[string]string{"who": "world"},
	})
	db, err := store.Open(t.Context(), store.NewMem())
	if err != nil {
		t.Fatal(err)
	}
	s.f = &Function{
		DB: db, Targets: map[string]pipeline.Target{"local": s.fake}, Submit: s.queue, Follow: s.follows,
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

// with is a definition with more fields.
func with(definition, fields string) string { return "{" + fields + ", " + definition[1:] }

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

func TestRunOnCreate(t *testing.T) {
	s := newSite(t)
	s.want(201, s.call("POST", "/api/schedules", strings.Replace(body15("s"), `"experiment"`, `"run_on_create": true, "experiment"`, 1)))
	s.want(201, s.call("POST", "/api/schedules", strings.Replace(body15("off"), `"experiment"`, `"run_on_create": true, "status": "Disabled", "experiment"`, 1)))
	s.want(200, s.call("PATCH", "/api/schedules/s", `{"description": "changed"}`))
	runs := s.want(200, s.call("GET", "/api/runs", "")).items()
	if len(runs) != 1 || runs[0].(map[string]any)["kind"] != "manual" || len(s.queue.Pending()) != 1 {
		t.Errorf("runs: %v, %d messages", runs, len(s.queue.Pending()))
	}
}

// A schedule and the run that is asked for with it are there, both or neither, whatever call of the store fails, and the
// request can be sent again.
func TestRunOnCreateWhateverFails(t *testing.T) {
	for n, failed := int64(1), true; failed; n++ {
		s := newSite(t)
		failed = false
		rows := &storetest.Faulty{Driver: store.NewMem(), Fail: func(storetest.Call) storetest.Fault { return storetest.Works }}
		db, err := store.Open(t.Context(), rows)
		if err != nil {
			t.Fatal(err)
		}
		s.f.DB = db
		calls := int64(0)
		rows.Fail = func(c storetest.Call) storetest.Fault {
			if calls++; calls == n {
				failed = true
				return storetest.Fault(1 + n%2)
			}
			return storetest.Works
		}
		request := strings.Replace(body15("s"), `"experiment"`, `"run_on_create": true, "experiment"`, 1)
		s.call("POST", "/api/schedules", request)
		rows.Fail = func(storetest.Call) storetest.Fault { return storetest.Works }
		s.call("POST", "/api/schedules", request)
		if runs := s.want(200, s.call("GET", "/api/runs", "")).items(); len(runs) != 1 {
			t.Errorf("call %d: %d runs", n, len(runs))
		}
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

// A pipeline is one in whatever letter case its id is written, where its far side takes it so.
func TestSchedulesOfOnePipeline(t *testing.T) {
	s := newSite(t)
	s.f.Targets["batch_endpoint"] = s.fake
	for name, id := range map[string]string{"big": "Train/Blue", "small": "train/blue", "other": "train"} {
		s.fake.Put(pipeline.Pipeline{Ref: schedule.PipelineRef{Kind: "batch_endpoint", ID: id}})
		s.want(201, s.call("POST", "/api/schedules", strings.Replace(body15(name), `"local", "id": "hello"`, `"batch_endpoint", "id": "`+id+`"`, 1)))
	}
	if got := s.want(200, s.call("GET", "/api/schedules?pipeline=batch_endpoint:TRAIN/blue", "")).list("items"); len(got) != 2 || got[0]["name"] != "big" || got[1]["name"] != "small" {
		t.Errorf("schedules of one pipeline in two spellings: %v", got)
	}
}

const (
	midnight = `{"name": "new-year", "pipeline": {"kind": "local", "id": "hello"}, "experiment": "demo",
		"trigger": {"type": "at", "at": "2027-01-01T00:00", "time_zone": "Europe/Vienna"}}`
	night = `{"name": "night", "pipeline": {"kind": "local", "id": "hello"}, "experiment": "demo", "trigger": {"type": "recurrence",
		"frequency": "day", "interval": 1, "start_time": "2027-03-27T02:30", "time_zone": "Europe/Vienna"}}`
)

func TestCalendarFromCreationToDeletion(t *testing.T) {
	s := newSite(t)
	put := s.want(200, s.call("PUT", "/api/calendars/holidays", `{"dates": ["2026-12-26", "2026-12-25", "2026-12-25"]}`))
	const want = `{"name":"holidays","dates":["2026-12-25","2026-12-26"]}`
	got := s.want(200, s.call("GET", "/api/calendars/holidays", ""))
	if strings.TrimSpace(put.text) != want || got.text != put.text {
		t.Errorf("put: %s, got: %s", put.text, got.text)
	}
	s.want(200, s.call("PUT", "/api/calendars/holidays", got.text))
	for i := range 4 {
		s.want(200, s.call("PUT", fmt.Sprintf("/api/calendars/c%d", i), `{"time_zone": "Asia/Tokyo", "dates": ["2026-12-25"]}`))
	}
	first := s.want(200, s.call("GET", "/api/calendars?limit=3", ""))
	rest := s.want(200, s.call("GET", "/api/calendars?limit=3&token="+fmt.Sprint(first.json["next"]), ""))
	if len(first.items()) != 3 || len(rest.items()) != 2 || rest.items()[1].(map[string]any)["name"] != "holidays" || rest.json["next"] != nil {
		t.Errorf("pages: %s %s", first.text, rest.text)
	}

	for _, name := range []string{"b", "a"} {
		s.want(201, s.call("POST", "/api/schedules", with(body15(name), `"calendars": ["c1", "holidays"]`)))
	}
	refused := s.want(409, s.call("DELETE", "/api/calendars/holidays", ""))
	if refused.json["code"] != "conflict" || !strings.Contains(refused.text, "named by schedules: a, b;") {
		t.Errorf("deleted while schedules name it: %s", refused.text)
	}
	s.want(200, s.call("PATCH", "/api/schedules/a", `{"calendars": ["c1"]}`))
	s.want(200, s.call("DELETE", "/api/schedules/b", ""))
	if r := s.want(200, s.call("DELETE", "/api/calendars/holidays", "")); strings.TrimSpace(r.text) != "{}" {
		t.Errorf("deleted: %q", r.text)
	}
	s.want(404, s.call("GET", "/api/calendars/holidays", ""))
}

// What is put over a calendar holds for the schedules that name it.
func TestNextSaysWhatCalendarExcludes(t *testing.T) {
	s := newSite(t)
	s.want(200, s.call("PUT", "/api/calendars/c", `{"dates": ["2026-11-23"]}`))
	s.want(201, s.call("POST", "/api/schedules", with(body15("s"), `"calendars": ["c"], "jitter": "5m", "max_runs": 7`)))
	if got := s.want(200, s.call("GET", "/api/schedules/s", "")); got.json["jitter"] != "5m" || got.json["max_runs"] != 7.0 || strings.Contains(got.text, "excluded") {
		t.Errorf("got: %s", got.text)
	}
	s.want(200, s.call("PUT", "/api/calendars/c", `{"spans": [{"from": "2026-11-22T10:30", "to": "2026-11-22T11:00"}]}`))
	const want = `{"items":[{"time":"2026-11-22T10:15:00Z","utc":"2026-11-22T10:15:00Z"},` +
		`{"time":"2026-11-22T10:30:00Z","utc":"2026-11-22T10:30:00Z","excluded":"c"},` +
		`{"time":"2026-11-22T10:45:00Z","utc":"2026-11-22T10:45:00Z","excluded":"c"},` +
		`{"time":"2026-11-22T11:00:00Z","utc":"2026-11-22T11:00:00Z"}]}`
	if got := s.want(200, s.call("GET", "/api/schedules/s/next?n=4", "")); strings.TrimSpace(got.text) != want {
		t.Errorf("next: %s", got.text)
	}
}

func TestPreview(t *testing.T) {
	s := newSite(t)
	s.want(200, s.call("PUT", "/api/calendars/holidays", `{"dates": ["2027-03-29"]}`))
	const want = `{"when":"every day at 02:30, Europe/Vienna, from 2027-03-27T02:30","items":[` +
		`{"time":"2027-03-27T02:30:00+01:00","utc":"2027-03-27T01:30:00Z"},` +
		`{"time":"2027-03-28T03:30:00+02:00","utc":"2027-03-28T01:30:00Z","moved":true},` +
		`{"time":"2027-03-29T02:30:00+02:00","utc":"2027-03-29T00:30:00Z","excluded":"holidays"}]}`
	for _, more := range []string{`"calendars": ["holidays"]`, `"calendars": ["holidays"], "status": "Disabled"`, `"calendars": ["holidays"], "id": "x", "next_five": []`} {
		if got := s.want(200, s.call("POST", "/api/preview?n=3", with(night, more))); strings.TrimSpace(got.text) != want {
			t.Errorf("preview with %s: %s", more, got.text)
		}
	}
	both := s.want(200, s.call("POST", "/api/preview", strings.Replace(body15("s"), `"type": "recurrence", "frequency": "minute", "interval": 15`, `"type": "cron", "expression": "0 0 1 * 1"`, 1)))
	if notices, _ := both.json["notices"].([]any); len(notices) != 1 || len(both.items()) != 5 {
		t.Errorf("preview of a cron expression with two kinds of days: %s", both.text)
	}
	over := s.want(200, s.call("POST", "/api/preview", strings.Replace(body15("s"), `15}`, `15, "end_time": "2026-11-22T10:00"}`, 1)))
	if over.items() == nil || len(over.items()) != 0 {
		t.Errorf("preview of a trigger that is over: %s", over.text)
	}
	list := s.want(200, s.call("GET", "/api/schedules", ""))
	if runs := s.want(200, s.call("GET", "/api/runs", "")); len(list.items()) != 0 || len(runs.items()) != 0 || len(s.queue.Pending()) != 0 {
		t.Errorf("previews have made schedules %s, runs %s, %d messages", list.text, runs.text, len(s.queue.Pending()))
	}
}

// A time that is over does not come again by being enabled.
func TestEnableWhatIsOver(t *testing.T) {
	s := newSite(t)
	s.want(201, s.call("POST", "/api/schedules", midnight))
	s.want(200, s.call("POST", "/api/schedules/new-year/disable", ""))
	s.want(200, s.call("POST", "/api/schedules/new-year/enable", ""))
	s.want(200, s.call("POST", "/api/schedules/new-year/disable", ""))
	s.now = time.Date(2027, 1, 1, 9, 0, 0, 0, time.UTC)
	refused := s.want(409, s.call("POST", "/api/schedules/new-year/enable", ""))
	if refused.json["code"] != "conflict" || !strings.Contains(refused.text, "another at") {
		t.Errorf("enabled: %s", refused.text)
	}
	s.want(200, s.call("PATCH", "/api/schedules/new-year", `{"description": "over", "parameters": {"who": "nobody"}}`))
	s.want(422, s.call("PATCH", "/api/schedules/new-year", `{"trigger": {"at": "2027-01-01T08:00"}}`))
	s.want(200, s.call("PATCH", "/api/schedules/new-year", `{"trigger": {"at": "2028-01-01T00:00"}}`))
	if on := s.want(200, s.call("POST", "/api/schedules/new-year/enable", "")); on.json["next"] != "2028-01-01T00:00:00+01:00" {
		t.Errorf("enabled for another time: %s", on.text)
	}
}

func TestBadInput(t *testing.T) {
	s := newSite(t)
	s.fake.Put(pipeline.Pipeline{Ref: schedule.PipelineRef{Kind: "local", ID: "strict"}, Required: []string{"path"}})
	s.fake.Put(pipeline.Pipeline{Ref: schedule.PipelineRef{Kind: "local", ID: "places"}, Places: true, Settings: true, Outputs: map[string]string{"model": "uri_folder"}})
	s.fake.Put(pipeline.Pipeline{Ref: schedule.PipelineRef{Kind: "local", ID: "behind"}, Deployed: true})
	s.want(201, s.call("POST", "/api/schedules", body15("s")))
	s.want(201, s.call("POST", "/api/schedules", with(strings.Replace(body15("p"), "hello", "places", 1), `"outputs": {"model": "x"}, "settings": {"a": 1}`)))
	many := strings.Repeat("x", MaxBody)
	span := `{"from": "2026-01-01T00:00:00.` + strings.Repeat("0", 90) + `Z", "to": "2026-01-02T00:00"}`
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
		{"POST", "/api/schedules", with(body15("x"), `"calendars": ["holidays"]`), nil, 422, "invalid_fields", `"calendars[0]","message":"there is no calendar holidays"`},
		{"POST", "/api/schedules", with(body15("x"), `"calendars": ["a", "a"]`), nil, 422, "invalid_fields", `"calendars[1]"`},
		{"POST", "/api/schedules", with(body15("x"), `"outputs": {"model": "x"}`), nil, 422, "invalid_fields", `"outputs","message":"are for pipeline jobs and batch endpoints (v2)`},
		{"POST", "/api/schedules", with(body15("x"), `"settings": {"force_rerun": true}`), nil, 422, "invalid_fields", `"settings","message":"are for pipeline jobs (v2)`},
		{"POST", "/api/schedules", with(strings.Replace(body15("x"), "hello", "places", 1), `"outputs": {"modle": "x"}`), nil, 422, "invalid_fields", `"outputs.modle","message":"is no output of pipeline local:places, which has: model"`},
		{"POST", "/api/schedules", with(strings.Replace(body15("x"), "hello", "behind", 1), `"continue_on_step_failure": false`), nil, 422, "invalid_fields", `"continue_on_step_failure"`},
		{"POST", "/api/schedules", with(strings.Replace(body15("x"), "hello", "behind", 1), `"continue_on_step_failure": true`), nil, 422, "invalid_fields", `"continue_on_step_failure","message":"is a setting of the deployment behind pipeline local:behind`},
		{"POST", "/api/schedules", with(body15("x"), `"jitter": "25h"`), nil, 422, "invalid_fields", `"jitter","message":"may be 24h at most"`},
		{"POST", "/api/schedules", with(body15("x"), `"max_runs": 0`), nil, 422, "invalid_fields", `"max_runs"`},
		{"POST", "/api/schedules", strings.Replace(body15("x"), "hello", "strict", 1), nil, 422, "invalid_fields", `"parameters.path","message":"is required by pipeline local:strict"`},
		{"PATCH", "/api/schedules/s", `{"calendars": ["holidays"]}`, nil, 422, "invalid_fields", `"calendars[0]"`},
		{"PATCH", "/api/schedules/s", `{"pipeline": {"id": "strict"}}`, nil, 422, "invalid_fields", `"parameters.path"`},
		{"POST", "/api/preview", "", nil, 415, "unsupported_media", "JSON"},
		{"POST", "/api/preview", strings.Replace(body15("x"), "15", "0", 1), nil, 422, "invalid_fields", "trigger.interval"},
		{"POST", "/api/preview", strings.Replace(body15("x"), "hello", "goodbye", 1), nil, 422, "invalid_fields", "goodbye"},
		{"POST", "/api/preview", with(body15("x"), `"calendars": ["holidays"]`), nil, 422, "invalid_fields", `"calendars[0]"`},
		{"POST", "/api/preview?n=1001", body15("x"), nil, 400, "bad_request", "1000"},
		{"GET", "/api/preview", "", nil, 405, "method_not_allowed", "POST"},
		{"PUT", "/api/calendars/a%20b", `{"dates": ["2026-12-25"]}`, nil, 400, "bad_request", "a b"},
		{"PUT", "/api/calendars/c", `{"dates": ["2026-12-32"]}`, nil, 422, "invalid_fields", "dates[0]"},
		{"PUT", "/api/calendars/c", `{"holidays": []}`, nil, 422, "invalid_fields", "date_ranges"},
		{"PUT", "/api/calendars/c", `{"spans": [` + strings.Repeat(span+",", 399) + span + `]}`, nil, 422, "invalid_fields", "too large"},
		{"GET", "/api/calendars/none", "", nil, 404, "not_found", "none"},
		{"DELETE", "/api/calendars/none", "", nil, 404, "not_found", "none"},
		{"GET", "/api/calendars?token=%2F..", "", nil, 400, "bad_request", "token"},
		{"PATCH", "/api/schedules/s", `{"name": "other"}`, nil, 422, "invalid_fields", "name"},
		{"PATCH", "/api/schedules/s", `{"trigger": {"interval": 99999999}}`, nil, 422, "invalid_fields", "trigger.interval"},
		{"PATCH", "/api/schedules/s", `[1]`, nil, 400, "bad_request", "object"},
		{"PATCH", "/api/schedules/none", `{}`, nil, 404, "not_found", "none"},
		{"POST", "/api/schedules/none/trigger", ``, nil, 404, "not_found", "none"},
		{"POST", "/api/schedules/s/trigger", `{"parameter": {}}`, nil, 422, "invalid_fields", "parameter"},
		{"POST", "/api/schedules/s/trigger", `{"parameters": {"wo": "x"}}`, nil, 422, "invalid_fields", "who"},
		{"POST", "/api/schedules/s/trigger", `{"parameters": {"who": "` + many[:20000] + `"}}`, nil, 422, "invalid_fields", "bytes"},
		{"POST", "/api/schedules/s/disable", `{"note": 5}`, nil, 422, "invalid_fields", "note"},
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
