package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/functions/datastore"
	"carillon/shared/pipeline"
	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/source"
)

// shore is a site with datastores: inbox is looked at when the test says so, hot sends its changes.
type shore struct {
	*site
	inbox, hot *source.Mem
	marks      *queue.Mem
	intake     *datastore.Function
	workspace  error // why it lists no datastores
}

func newShore(t *testing.T) *shore {
	s := &shore{site: newSite(t), inbox: &source.Mem{}, hot: &source.Mem{}, marks: queue.NewMem()}
	s.fake.Put(pipeline.Pipeline{
		Ref: schedule.PipelineRef{Kind: "local", ID: "score"}, Name: "Score", Parameters: map[string]string{"data": "", "who": "x"}, Required: []string{"data"},
	})
	stores := source.NewDatastores(func() ([]source.Datastore, error) {
		return []source.Datastore{
			{Name: "inbox", Source: s.inbox},
			{Name: "hot", Account: "acme", Container: "hot", Events: true, Source: s.hot},
			{Name: "warm", Account: "ACME", Container: "hot", Source: s.hot},
		}, nil
	}, func(context.Context) ([]source.Datastore, error) { return nil, s.workspace })
	s.f.Datastores, s.marks.Now = stores, func() time.Time { return s.now }
	s.intake = &datastore.Function{
		DB: s.f.DB, Datastores: stores, Submit: s.queue, Marks: s.marks, Now: s.f.Now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	return s
}

// create makes a schedule of a trigger's fields.
func (s *shore) create(name, trigger string, more ...string) reply {
	s.t.Helper()
	return s.want(201, s.call("POST", "/api/schedules", watches(name, trigger, more...)))
}

func watches(name, trigger string, more ...string) string {
	return fmt.Sprintf(`{"name": %q, "pipeline": {"kind": "local", "id": "hello"}, "experiment": "demo", "trigger": {"type": "datastore", %s}%s}`,
		name, trigger, strings.Join(append([]string{""}, more...), ", "))
}

// told delivers a change of a file, or marks.
func (s *shore) told(body string) {
	s.t.Helper()
	if err := s.intake.Handle(s.t.Context(), []byte(body)); err != nil {
		s.t.Error(err)
	}
}

func (s *shore) event(datastore, path string) {
	s.t.Helper()
	s.told(fmt.Sprintf(`{"datastore": %q, "path": %q}`, datastore, path))
}

// look looks at the folders of schedules.
func (s *shore) look(names ...string) {
	s.t.Helper()
	for _, body := range (queue.Marks{Look: names}).Bodies() {
		s.intake.Handle(s.t.Context(), body) // what fails is noted with the schedule
	}
}

func (s *shore) explained(datastore, path string) (x explanation) {
	s.t.Helper()
	r := s.want(200, s.call("GET", "/api/explain?"+url.Values{"datastore": {datastore}, "path": {path}}.Encode(), ""))
	if err := json.Unmarshal([]byte(r.text), &x); err != nil {
		s.t.Fatal(err)
	}
	return x
}

// fates are the verdicts by schedule, and those that are near.
func fates(x explanation) (out []string) {
	for _, m := range x.Matches {
		out = append(out, m.Schedule+" "+string(m.Verdict))
	}
	for _, n := range x.Near {
		out = append(out, n.Schedule+": "+n.Why)
	}
	return out
}

func (s *shore) wantFates(datastore, path string, want ...string) explanation {
	s.t.Helper()
	x := s.explained(datastore, path)
	if got := fates(x); !slices.Equal(got, want) {
		s.t.Errorf("%s/%s:\n\t%s\nwant\n\t%s", datastore, path, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
	return x
}

func TestExplain(t *testing.T) {
	s := newShore(t)
	s.hot.Put("in/old.csv", s.now.Add(-time.Hour))
	s.create("csv", `"datastore": "hot", "path_on_datastore": "in", "include": ["*.csv"]`)
	s.create("png", `"datastore": "hot", "path_on_datastore": "in", "include": ["*.png"], "exclude": "x*"`)
	s.create("deep", `"datastore": "hot", "recursive": true, "exclude": ["**/*.tmp"], "mode": "batch"`)
	s.create("flat", `"datastore": "hot"`)
	s.create("other", `"datastore": "inbox"`)
	s.create("gone", `"datastore": "hot", "path_on_datastore": "in"`)
	s.create("off", `"datastore": "hot", "path_on_datastore": "in", "recursive": true`, `"status": "Disabled"`)
	s.create("both", `"all_of": [{"datastore": "hot", "path_on_datastore": "in"}, {"datastore": "hot", "path_on_datastore": "b"}]`)
	s.want(200, s.call("PATCH", "/api/schedules/gone", `{"trigger": {"path_on_datastore": "out"}}`))

	flat, png := "flat: it is in a subfolder, and the schedule is not recursive", "png: none of include (*.png) matches "
	s.wantFates("hot", "in/new.csv", "both absent", "csv absent", "deep absent", "off absent", flat, png+"new.csv")
	s.wantFates("hot", "in/old.csv", "both baseline", "csv baseline", "deep baseline", "off disabled", flat, png+"old.csv")
	s.wantFates("hot", "in/sub/x.csv", "deep absent", "off absent",
		"both: it is in a subfolder, and the schedule is not recursive", "csv: it is in a subfolder, and the schedule is not recursive", flat,
		"png: it is in a subfolder, and the schedule is not recursive")
	s.wantFates("hot", "in/x.png", "both absent", "deep absent", "off absent",
		"csv: none of include (*.csv) matches x.png", flat, "png: exclude has x*")
	s.wantFates("hot", "top", "deep absent", "flat absent")
	s.wantFates("inbox", "top", "other absent")

	s.now = s.now.Add(time.Minute)
	f := s.hot.Put("in/new.csv", s.now)
	s.wantFates("hot", "in/new.csv", "both unseen", "csv unseen", "deep unseen", "off disabled", flat, png+"new.csv")
	s.event("hot", "in/new.csv")
	x := s.wantFates("hot", "in/new.csv", "both held", "csv fired", "deep waiting", "off disabled", flat, png+"new.csv")
	csv := x.Matches[1]
	if csv.Run == "" || csv.Folder != "hot/in (*.csv)" || csv.Status != schedule.Active || csv.Change == nil || csv.Change.ETag != f.ETag ||
		!strings.Contains(csv.Says, "run "+csv.Run+" is Waiting") {
		t.Errorf("csv: %+v", csv)
	}
	if !x.Exists || x.ETag != f.ETag || !x.Modified.Equal(f.Modified) || x.Problem != "" {
		t.Errorf("the file: %+v", x)
	}
	if want := []string{"datastore warm is the same container: ask for it, too"}; !slices.Equal(x.Notices, want) {
		t.Errorf("notices: %q", x.Notices)
	}
	run := s.want(200, s.call("GET", "/api/runs/"+csv.Run, ""))
	if c, _ := run.json["change"].(map[string]any); run.json["kind"] != "change" || run.json["changes"] != 1.0 || c["path"] != "in/new.csv" || run.json["window"] != nil {
		t.Errorf("the run: %s", run.text)
	}
	s.event("hot", "b/x")
	s.hot.Put("b/x", s.now)
	s.event("hot", "b/x")
	x = s.wantFates("hot", "in/new.csv", "both fired", "csv fired", "deep waiting", "off disabled", flat, png+"new.csv")
	if says := x.Matches[0].Says; !strings.Contains(says, "fired with 2 changes in all") {
		t.Errorf("both: %s", says)
	}
	s.hot.Delete("in/new.csv")
	if x = s.wantFates("hot", "in/new.csv", "both fired", "csv fired", "deep waiting", "off absent", flat, png+"new.csv"); x.Exists || x.ETag != "" {
		t.Errorf("after its deletion: %+v", x)
	}
	s.want(200, s.call("DELETE", "/api/schedules/csv", ""))
	s.wantFates("hot", "in/new.csv", "both fired", "deep waiting", "off absent", flat, png+"new.csv")
}

func TestExplainWhatCannotBeRead(t *testing.T) {
	s := newShore(t)
	s.create("s", `"datastore": "hot"`)
	f := s.hot.Put("a", s.now.Add(time.Second))
	s.hot.Before = func(op string) error { return source.ErrDenied }
	body := fmt.Sprintf(`{"eventType": "Microsoft.Storage.BlobCreated", "eventTime": %q, "subject": "/blobServices/default/containers/hot/blobs/a",
		"data": {"api": "PutBlob", "eTag": %q, "url": "https://acme.blob.core.windows.net/hot/a"}}`, s.now.Add(time.Second).Format(time.RFC3339), f.ETag)
	s.intake.Handle(t.Context(), []byte(body))
	x := s.wantFates("hot", "a", "s unreadable")
	if x.Exists || !strings.Contains(x.Problem, "may not be read") || !strings.Contains(x.Matches[0].Says, "may not be read") {
		t.Errorf("denied: %+v", x)
	}
	got := s.want(200, s.call("GET", "/api/schedules", "")).items()[0].(map[string]any)["watch"].(map[string]any)
	if problem, _ := got["problem"].(string); !strings.Contains(problem, "may not be read") || got["problem_since"] != "2026-11-22T10:00:07Z" {
		t.Errorf("the list shows %v", got)
	}

	// The host gives its event up, and then the datastore can be read again: the event is kept, and tried again.
	s.told(fmt.Sprintf(`{"Type": "BlobTrigger", "FunctionId": "Host.Functions.blob_hot", "ContainerName": "hot", "BlobName": "a", "ETag": %q}`, f.ETag))
	s.hot.Before = nil
	if x := s.wantFates("hot", "a", "s unreadable"); !x.Exists {
		t.Errorf("readable again: %+v", x)
	}
}

func TestExplainWhereNothingIs(t *testing.T) {
	s := newShore(t)
	s.create("s", `"datastore": "inbox"`)
	s.f.Datastores = nil
	if x := s.wantFates("inbox", "a", "s unreadable"); !strings.Contains(x.Problem, "there is no datastore inbox") || x.Exists {
		t.Errorf("a datastore that is not configured any more: %+v", x)
	}
	for query, want := range map[string]int{
		"":                                       400,
		"?datastore=inbox":                       400,
		"?datastore=a|b&path=x":                  400,
		"?datastore=hot&path=/x":                 400,
		"?datastore=hot&path=x/":                 400,
		"?datastore=hot&path=x%5Cy":              400,
		"?datastore=hot&path=x/../y":             400,
		"?datastore=hot&path=x&colour=red":       400,
		"?datastore=hot&path=x":                  404,
		"?datastore=inbox&path=%C3%A4%20b%23%25": 200,
	} {
		r := s.call("GET", "/api/explain"+strings.ReplaceAll(query, "|", "%7C"), "")
		if r.status != want {
			t.Errorf("%s: %d %s", query, r.status, r.text)
		}
	}
}

func TestExplainBoundsItself(t *testing.T) {
	s := newShore(t)
	for i := range maxExplained + 5 {
		s.create(fmt.Sprintf("s%03d", i), `"datastore": "inbox", "include": ["*.csv"]`)
	}
	s.create("z", `"datastore": "inbox"`)
	x := s.explained("inbox", "a")
	if len(x.Matches) != 1 || len(x.Near) != maxExplained-1 || len(x.Notices) != 1 || !strings.Contains(x.Notices[0], "106 schedules") {
		t.Errorf("%d match, %d are near, %q", len(x.Matches), len(x.Near), x.Notices)
	}
}

func TestWatchedSchedule(t *testing.T) {
	s := newShore(t)
	made := s.create("s", `"datastore": "inbox", "path_on_datastore": "in/", "mode": "batch", "polling_interval": 10, "recursive": true`)
	if made.json["next"] != nil || made.json["next_five"] != nil || made.json["when"] != "when files have changed in inbox/in (with subfolders), all of 10m together" {
		t.Errorf("created: %s", made.text)
	}
	watch := func() map[string]any {
		w, _ := s.want(200, s.call("GET", "/api/schedules/s", "")).json["watch"].(map[string]any)
		return w
	}
	if w := watch(); w["next_look"] != "2026-11-22T10:00:07Z" || w["looked"] != nil {
		t.Errorf("before the first look: %v", w)
	}
	s.look("s")
	if w := watch(); w["next_look"] != "2026-11-22T10:10:07Z" || w["looked"] != "2026-11-22T10:00:07Z" || w["window"] != nil {
		t.Errorf("after the first look: %v", w)
	}
	s.inbox.Put("in/a", s.now)
	s.now = s.now.Add(10 * time.Minute)
	s.inbox.Put("in/x/b", s.now)
	s.look("s")
	want := map[string]any{"opened": "2026-11-22T10:10:07Z", "closes": "2026-11-22T10:20:07Z", "changes": 2.0}
	if w, _ := watch()["window"].(map[string]any); fmt.Sprint(w) != fmt.Sprint(want) {
		t.Errorf("with a window: %v", w)
	}
	s.want(200, s.call("PATCH", "/api/schedules/s", s.want(200, s.call("GET", "/api/schedules/s", "")).text))

	s.now = s.now.Add(10 * time.Minute)
	for _, body := range (queue.Marks{Close: []string{"s"}}).Bodies() {
		s.told(string(body))
	}
	run := s.want(200, s.call("GET", "/api/runs?schedule=s", "")).items()[0].(map[string]any)
	if fmt.Sprint(run["window"]) != "map[end:2026-11-22T10:20:07Z start:2026-11-22T10:10:07Z]" || run["changes"] != 2.0 || run["change"] != nil {
		t.Errorf("the run: %v", run)
	}
	id, _ := run["id"].(string)
	first := s.want(200, s.call("GET", "/api/runs/"+id+"/changes?limit=1", ""))
	rest := s.want(200, s.call("GET", "/api/runs/"+id+"/changes?token="+url.QueryEscape(fmt.Sprint(first.json["next"])), ""))
	var paths []string
	for _, item := range append(first.items(), rest.items()...) {
		c := item.(map[string]any)
		paths = append(paths, fmt.Sprint(c["path"]))
		if c["recorded"] != "2026-11-22T10:10:07Z" || c["etag"] == nil || c["modified"] == nil {
			t.Errorf("a change: %v", c)
		}
	}
	if slices.Sort(paths); !slices.Equal(paths, []string{"in/a", "in/x/b"}) || len(first.items()) != 1 || rest.json["next"] != nil {
		t.Errorf("changes: %s %s", first.text, rest.text)
	}
	if off := s.want(200, s.call("POST", "/api/schedules/s/disable", "")); strings.Contains(off.text, "next_look") {
		t.Errorf("disabled: %s", off.text)
	}
	manual := s.want(202, s.call("POST", "/api/schedules/s/trigger", "")).json["id"].(string)
	if none := s.want(200, s.call("GET", "/api/runs/"+manual+"/changes", "")); none.items() == nil || len(none.items()) != 0 {
		t.Errorf("changes of a run that somebody asked for: %s", none.text)
	}
}

func TestAllOfWaits(t *testing.T) {
	s := newShore(t)
	made := s.create("s", `"all_of": [{"datastore": "hot", "path_on_datastore": "a"}, {"datastore": "inbox"}, {"datastore": "hot", "path_on_datastore": "c", "recursive": true}], "within": "1h"`)
	s.now = s.now.Add(time.Minute)
	s.hot.Put("a/x", s.now)
	s.event("hot", "a/x")
	window := func() string {
		w := s.want(200, s.call("GET", "/api/schedules/s", "")).json["watch"].(map[string]any)["window"]
		return fmt.Sprint(w)
	}
	if got := window(); got != "map[changes:1 opened:2026-11-22T10:01:07Z waits_for:[inbox/ hot/c (with subfolders)]]" {
		t.Errorf("the window: %s", got)
	}
	s.now = s.now.Add(2 * time.Hour)
	if got := window(); !strings.Contains(got, "waits_for:[hot/a inbox/ hot/c (with subfolders)]") {
		t.Errorf("the window later: %s", got)
	}
	for _, path := range []string{"a/y", "c/d/e"} {
		s.hot.Put(path, s.now)
		s.event("hot", path)
	}
	s.inbox.Put("f", s.now)
	s.event("inbox", "f")
	s.wantFates("hot", "a/x", "s stale")
	s.wantFates("hot", "a/y", "s fired")
	run := s.want(200, s.call("GET", "/api/runs?schedule=s", "")).items()[0].(map[string]any)
	changes := s.want(200, s.call("GET", fmt.Sprintf("/api/runs/%s/changes", run["id"]), ""))
	if run["changes"] != 3.0 || len(changes.items()) != 3 || run["change"].(map[string]any)["path"] != "f" || made.json["notices"] != nil {
		t.Errorf("the run: %v, its changes: %s", run, changes.text)
	}
}

func TestDatastoreTriggersAreChecked(t *testing.T) {
	s := newShore(t)
	is := func(trigger string, more ...string) string { return watches("s", trigger, more...) }
	score := func(definition string) string { return strings.Replace(definition, "hello", "score", 1) }
	for _, row := range []struct{ body, says string }{
		{is(`"datastore": "inbex"`), `"trigger.datastore","message":"there is no datastore inbex; there are: hot, inbox, warm; on Azure the setting CARILLON_DATASTORES=`},
		{is(`"all_of": [{"datastore": "inbox"}, {"datastore": "cold"}]`), `"trigger.all_of[1].datastore"`},
		{is(`"datastore": "a b"`), `"fields":[{"field":"trigger.datastore","message":"\"a b\" cannot be it`},
		{is(`"datastore": "inbox", "path_on_datastore": "a\\b"`), "backslash"},
		{is(`"datastore": "inbox", "data_path_parameter_name": "input"`), `"trigger.data_path_parameter_name","message":"input is no parameter of pipeline local:hello, which has: who"`},
		{score(is(`"datastore": "inbox"`)), `"parameters.data","message":"is required`},
		{score(is(`"datastore": "inbox", "data_path_parameter_name": "data"`, `"parameters": {"data": "x"}`)), `"parameters.data","message":"gets its value from the change`},
		{is(`"datastore": "inbox", "mode": "batch"`, `"parameters": {"who": "{{.Change.Path}}"}`), `"parameters.who"`},
		{is(`"datastore": "inbox"`, `"jitter": "5m"`), `"jitter"`},
	} {
		for _, path := range []string{"/api/schedules", "/api/preview"} {
			r := s.call("POST", path, row.body)
			if r.status != 422 || !strings.Contains(r.text, row.says) {
				t.Errorf("%s %s: %d %s\nwant %s", path, row.body, r.status, r.text, row.says)
			}
		}
	}
	s.want(201, s.call("POST", "/api/schedules", score(is(`"datastore": "inbox", "data_path_parameter_name": "data"`, `"parameters": {"who": "{{.Change.Path}}"}`))))
	s.want(202, s.call("POST", "/api/schedules/s/trigger", `{"parameters": {"who": "{{.Change.ETag}}"}}`))
	if r := s.want(422, s.call("POST", "/api/schedules/s/trigger", `{"parameters": {"who": "{{.Window.Start}}"}}`)); !strings.Contains(r.text, "parameters.who") {
		t.Errorf("a template that its runs cannot fill in: %s", r.text)
	}
	s.workspace = errors.New("it does not answer")
	if r := s.want(422, s.call("PATCH", "/api/schedules/s", `{"trigger": {"datastore": "lake"}}`)); !strings.Contains(r.text, "trigger.datastore") {
		t.Errorf("a datastore that is not known: %s", r.text)
	}
}

// A workspace that cannot be asked hides none of the others.
func TestDatastoresWithoutTheWorkspace(t *testing.T) {
	s := newShore(t)
	s.workspace = errors.New("it does not answer")
	want := `{"items":[{"name":"hot","account":"acme","container":"hot","events":true},{"name":"inbox","events":false},{"name":"warm","account":"ACME","container":"hot","events":false}],` +
		`"notices":["the workspace's datastores cannot be listed: it does not answer"]}`
	if r := s.want(200, s.call("GET", "/api/datastores", "")); strings.TrimSpace(r.text) != want {
		t.Errorf("datastores: %s", r.text)
	}
	r := s.call("POST", "/api/schedules", watches("s", `"datastore": "lake"`))
	if !strings.Contains(r.text, `"trigger.datastore","message":"cannot be looked up: the workspace's`) {
		t.Errorf("created: %s", r.text)
	}
	s.create("s", `"datastore": "inbox"`)
	s.f.Datastores = nil
	if r := s.want(200, s.call("GET", "/api/datastores", "")); strings.TrimSpace(r.text) != `{"items":[]}` {
		t.Errorf("no datastores: %s", r.text)
	}
}

func TestPreviewOfData(t *testing.T) {
	s := newShore(t)
	body := watches("s", `"datastore": "inbox", "recursive": true`, `"overlap": "skip"`)
	got := s.want(200, s.call("POST", "/api/preview", body))
	notices, _ := got.json["notices"].([]any)
	if got.json["when"] != "when a file changes in inbox/ (with subfolders)" || got.items() == nil || len(got.items()) != 0 || len(notices) != 3 ||
		!strings.Contains(got.text, "every file of datastore inbox counts") || !strings.Contains(got.text, "overlap is skip: a file that changes") ||
		notices[2] != "it has no times of its own: it fires when a file changes in inbox/ (with subfolders)" {
		t.Errorf("preview: %s", got.text)
	}
	made := s.want(201, s.call("POST", "/api/schedules", body))
	if fmt.Sprint(made.json["notices"]) != fmt.Sprint(notices[:2]) {
		t.Errorf("created: %s", made.text)
	}
	s.want(200, s.call("POST", "/api/schedules/s/disable", ""))
	const none = `{"items":[],"notices":["it has no times of its own: it fires when a file changes in inbox/ (with subfolders)","it is disabled, and does not fire"]}`
	if next := s.want(200, s.call("GET", "/api/schedules/s/next", "")); strings.TrimSpace(next.text) != none {
		t.Errorf("next: %s", next.text)
	}
}

func TestChangingATrigger(t *testing.T) {
	s := newShore(t)
	s.create("s", `"datastore": "inbox", "path_on_datastore": "in", "mode": "batch", "quiet_period": "5m", "time_zone": "Europe/Vienna"`)
	for _, step := range []struct{ change, trigger string }{
		{`{"include": ["*.csv"]}`, `"datastore":"inbox","path_on_datastore":"in","include":["*.csv"],"mode":"batch","quiet_period":"5m"`},
		{`{"all_of": [{"datastore": "inbox"}, {"datastore": "hot"}], "within": "1h"}`, `"all_of":[{"datastore":"inbox"},{"datastore":"hot"}],"within":"1h"`},
		{`{"within": null, "polling_interval": 7}`, `"all_of":[{"datastore":"inbox"},{"datastore":"hot"}],"polling_interval":7`},
		{`{"datastore": "hot", "mode": "each"}`, `"datastore":"hot","polling_interval":7,"mode":"each"`},
		{`{"path_on_datastore": "b", "all_of": null}`, `"datastore":"hot","path_on_datastore":"b","polling_interval":7,"mode":"each"`},
	} {
		r := s.want(200, s.call("PATCH", "/api/schedules/s", `{"trigger": `+step.change+`}`))
		want := `"trigger":{"type":"datastore","time_zone":"Europe/Vienna",` + step.trigger + "}"
		if !strings.Contains(r.text, want) {
			t.Errorf("%s: %s\nwant %s", step.change, r.text, want)
		}
	}
	s.want(422, s.call("PATCH", "/api/schedules/s", `{"trigger": {"datastore": "inbox", "all_of": [{"datastore": "inbox"}, {"datastore": "hot"}]}}`))
	r := s.want(200, s.call("PATCH", "/api/schedules/s", `{"trigger": {"type": "cron", "expression": "0 6 * * *"}}`))
	if !strings.Contains(r.text, `"trigger":{"type":"cron","expression":"0 6 * * *"}`) || r.json["watch"] != nil || r.json["next"] == nil {
		t.Errorf("another type: %s", r.text)
	}
	r = s.want(200, s.call("PATCH", "/api/schedules/s", `{"trigger": {"type": "Datastore", "datastore": "hot"}}`))
	if !strings.Contains(r.text, `"trigger":{"type":"datastore","datastore":"hot"}`) || r.json["watch"] == nil || r.json["next"] != nil {
		t.Errorf("and back: %s", r.text)
	}
}

func TestExplainNamesThatNobodyLooksAt(t *testing.T) {
	f := &Function{}
	for path, want := range map[string]int{".a.csv": 1, "in/.b/c.csv": 1, "in/a.csv": 0, "in/a.b": 0} {
		if got := f.hints(t.Context(), source.Datastore{Name: "inbox"}, path); len(got) != want {
			t.Errorf("%s: %q", path, got)
		}
	}
}
