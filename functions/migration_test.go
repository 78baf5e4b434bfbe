package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"carillon/functions/api"
	"carillon/functions/datastore"
	"carillon/functions/follow"
	"carillon/functions/recurrence"
	"carillon/functions/submit"
	"carillon/shared/pipeline/azureml"
	"carillon/shared/pipeline/azureml/azuremltest"
	"carillon/shared/queue"
	"carillon/shared/recur"
	"carillon/shared/schedule"
	"carillon/shared/source"
	"carillon/shared/store"
	"carillon/shared/store/storetest"
)

// moved is Carillon over memory beside a workspace with old schedules, and a clock that is moved by hand.
type moved struct {
	t         *testing.T
	now       time.Time
	workspace *azuremltest.Server
	inbox     *source.Mem
	db        *store.DB
	web       *api.Function
	clock     *recurrence.Function
	submit    *submit.Function
	follow    *follow.Function
	changes   *datastore.Function
	submits   *queue.Mem
	follows   *queue.Mem
	marks     *queue.Mem
	minutes   int
	faulty    *storetest.Faulty
	olds      map[string]*recur.Rule // the times of old schedules, by their ids
	files     []file                 // that have come, and may be found by the old schedule
	polled    time.Time              // by the old schedule
}

type file struct {
	path string
	at   time.Time
}

const trainID = "aaaaaaaa-0000-4000-8000-000000000001"

func newMoved(t *testing.T) *moved {
	m := &moved{t: t, now: time.Date(2026, 10, 15, 8, 0, 20, 0, time.UTC), workspace: azuremltest.Start(t), inbox: &source.Mem{}}
	now, log := func() time.Time { return m.now }, slog.New(slog.NewTextHandler(io.Discard, nil))
	m.workspace.Now = now
	m.putOld()
	m.olds = rules(t, map[string]string{
		"v1-time":  `{"type":"recurrence","frequency":"day","interval":1,"start_time":"2020-01-01T00:00:00","time_zone":"Europe/London","schedule":{"hours":[9],"minutes":[30]}}`,
		"v2-hours": `{"type":"recurrence","frequency":"hour","interval":6,"start_time":"2026-01-01T00:20:00","time_zone":"Europe/Vienna"}`,
		"v2-cron":  `{"type":"cron","expression":"15 6 * * 1-5","time_zone":"Europe/Vienna"}`,
	})
	w, err := azureml.Open(azureml.Config{
		Subscription: m.workspace.Subscription, ResourceGroup: m.workspace.ResourceGroup, Workspace: m.workspace.Workspace,
		BaseURL: m.workspace.URL, Credential: &azuremltest.Credential{}, Transport: m.workspace.Transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	m.faulty = &storetest.Faulty{Driver: store.NewMem(), Fail: func(storetest.Call) storetest.Fault { return storetest.Works }}
	if m.db, err = store.Open(t.Context(), m.faulty); err != nil {
		t.Fatal(err)
	}
	m.submits, m.follows, m.marks = queue.NewMem(), queue.NewMem(), queue.NewMem()
	m.submits.Now, m.follows.Now, m.marks.Now = now, now, now
	stores := source.NewDatastores(func() ([]source.Datastore, error) {
		return []source.Datastore{{Name: "inbox", Account: "acme", Container: "inbox", Source: m.inbox}}, nil
	}, nil)
	targets := w.Targets()
	m.web = &api.Function{DB: m.db, Targets: targets, Datastores: stores, Old: w, Submit: m.submits, Now: now, Log: log}
	m.clock = &recurrence.Function{DB: m.db, Submit: m.submits, Follow: m.follows, Marks: m.marks, Retention: 90 * 24 * time.Hour, Now: now, Log: log}
	m.submit = &submit.Function{
		DB: m.db, Targets: targets, Submit: m.submits, Follow: m.follows, Owner: "me", Void: func(string) bool { return false }, Old: w, Now: now, Log: log,
	}
	m.follow = &follow.Function{DB: m.db, Targets: targets, Follow: m.follows, Submit: m.submits, Now: now, Log: log}
	m.changes = &datastore.Function{DB: m.db, Datastores: stores, Submit: m.submits, Marks: m.marks, Now: now, Log: log}
	return m
}

// putOld puts up the old schedules: of v1 by time, by data and disabled, of v2 by recurrence and cron.
func (m *moved) putOld() {
	s := m.workspace
	s.Put(azuremltest.Pipeline{ID: trainID, Name: "train", Parameters: map[string]string{"who": "world", "input": ""}})
	s.PutComponent(azuremltest.Component{Name: "score", Version: "3", Inputs: map[string]azuremltest.ComponentInput{
		"at": {Type: "string"}, "n": {Type: "integer", Default: "1"},
	}, Outputs: map[string]string{"scores": "uri_folder"}})
	daily := map[string]any{"Frequency": "Day", "Interval": 1, "StartTime": "2020-01-01T00:00:00", "TimeZone": nil, "Schedule": map[string]any{"Hours": []int{9}, "Minutes": []int{30}}}
	s.PutV1Schedule(
		azuremltest.V1Entity("v1-time", "by time", trainID, "night", map[string]any{
			"Recurrence": daily,
			"PipelineSubmissionInfo": map[string]any{
				"ExperimentName": "night", "ParameterAssignments": map[string]any{"who": "{{x}}"},
				"DataPathAssignments": map[string]any{"input": map[string]any{"DataStoreName": "inbox", "RelativePath": "fixed/place"}},
			},
		}),
		azuremltest.V1Entity("v1-data", "by-data", trainID, "change", map[string]any{
			"ScheduleType": "DataStore",
			"DataStoreTriggerInfo": map[string]any{
				"DataStoreName": "inbox", "PollingInterval": 5, "PathOnDataStore": "in", "DataPathParameterName": "input",
			},
		}),
		azuremltest.V1Entity("v1-off", "off", trainID, "night", map[string]any{"Recurrence": daily, "EntityStatus": "Disabled"}),
	)
	job := map[string]any{
		"jobType": "Pipeline", "experimentName": "scores", "settings": map[string]any{"continue_on_step_failure": false, "force_rerun": true},
		"componentId": "/subscriptions/" + s.Subscription + "/resourceGroups/bells/providers/Microsoft.MachineLearningServices/workspaces/tower/components/score/versions/3",
		"inputs":      map[string]any{"at": map[string]any{"jobInputType": "literal", "value": "${{creation_context.trigger_time}}"}},
		"outputs": map[string]any{"scores": map[string]any{
			"jobOutputType": "uri_folder", "mode": "Upload", "uri": "azureml://datastores/d/paths/${{name}}/${{creation_context.trigger_time}}/",
		}},
		"tags": map[string]any{"team": "bells"},
	}
	inline := maps.Clone(job) // of its own steps, as the command line makes of a file
	delete(inline, "componentId")
	inline["jobs"] = map[string]any{"step": map[string]any{"type": "command"}}
	inline["identity"] = map[string]any{"identityType": "Managed"}
	of := map[string]map[string]any{"v2-hours": job, "v2-cron": inline}
	for name, trigger := range map[string]map[string]any{
		"v2-hours": {"triggerType": "Recurrence", "frequency": "Hour", "interval": 6, "startTime": "2026-01-01 00:20:00", "timeZone": "W. Europe Standard Time"},
		"v2-cron":  {"triggerType": "Cron", "expression": "15 6 13 * MON-FRI", "timeZone": "W. Europe Standard Time"},
	} {
		s.PutV2ScheduleOf(name, "2026-01-01T00:00:00Z", map[string]any{
			"isEnabled": true, "trigger": trigger, "action": map[string]any{"actionType": "CreateJob", "jobDefinition": of[name]},
		})
	}
}

// old lets the old schedules do what they do in a minute. Their times are those that people know of them: v1 took a start
// without a zone for London's, v2 does not heed the days of a cron expression.
func (m *moved) old() {
	minute := m.now.Truncate(time.Minute)
	for id, rule := range m.olds {
		if next, ok := rule.Next(minute.Add(-time.Second)); ok && next.Equal(minute) {
			m.workspace.Fire(id, nil)
		}
	}
	if minute.Minute()%5 > 0 {
		return
	}
	for _, f := range m.files {
		if f.at.After(m.polled) {
			m.workspace.Fire("v1-data", &azuremltest.DataPath{DataStoreName: "inbox", RelativePath: f.path})
		}
	}
	m.polled = m.now
}

// rules are the triggers of old schedules.
func rules(t *testing.T, triggers map[string]string) map[string]*recur.Rule {
	rules := map[string]*recur.Rule{}
	for id, text := range triggers {
		spec, errs := recur.Decode([]byte(text))
		rule, wrong := spec.Compile(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		if len(errs)+len(wrong) > 0 {
			t.Fatal(errs, wrong)
		}
		rules[id] = rule
	}
	return rules
}

// until lets time go by, minute after minute, with faults now and then that leave no doubt or one that can be cleared up.
func (m *moved) until(end time.Time) {
	faults := []azuremltest.Fault{{Status: 429, RetryAfter: "30"}, {Status: 500, AfterWork: true}, {Drop: true, AfterWork: true}, {Status: 503, RetryAfter: "60", AfterWork: true}}
	for ; m.now.Before(end); m.now = m.now.Add(time.Minute) {
		if m.minutes++; m.minutes%500 == 0 {
			fault := faults[m.minutes/500%len(faults)]
			m.workspace.Fail(azuremltest.Submit, fault)
			m.workspace.Fail(azuremltest.PutJob, fault)
			m.workspace.Fail(azuremltest.GetDetails, azuremltest.Fault{Status: 500})
		}
		m.old()
		if err := m.clock.Tick(m.t.Context(), m.now, m.now.Add(time.Minute)); err != nil {
			m.t.Fatal(err)
		}
		m.deliver()
		for _, run := range m.workspace.Runs() {
			if !azuremltest.Ended(run.Status) {
				m.workspace.Move(run.ID, "Completed", "")
			}
		}
	}
}

// deliver hands out what is on its way. What fails is brought again by the clock.
func (m *moved) deliver() {
	ctx := m.t.Context()
	for range 3 {
		for _, body := range m.marks.Take(m.now) {
			m.changes.Handle(ctx, body)
		}
		for _, body := range m.submits.Take(m.now) {
			m.submit.Handle(ctx, body)
		}
		for _, body := range m.follows.Take(m.now) {
			m.follow.Handle(ctx, body)
		}
	}
}

// importAll asks as the command line does, until all is done.
func (m *moved) importAll(body string) (text string) {
	for range 10 {
		r := httptest.NewRequest("POST", "/api/import", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		m.web.Handler().ServeHTTP(w, r)
		var answer struct {
			AgainAt time.Time `json:"again_at"`
			Items   []struct{ Problems []string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 200 {
			m.t.Fatal(w.Code, w.Body)
		}
		m.deliver()
		for _, item := range answer.Items {
			if len(item.Problems) > 0 {
				m.t.Fatal(item.Problems)
			}
		}
		if answer.AgainAt.IsZero() {
			return w.Body.String()
		}
		m.until(answer.AgainAt)
	}
	m.t.Fatal("the import does not come to an end")
	return ""
}

// crash sends the request, and lets the process die before it asks the store for something for the nth time.
func (m *moved) crash(body string, n int) {
	defer func() {
		m.faulty.Fail = func(storetest.Call) storetest.Fault { return storetest.Works }
		if recover() == nil {
			m.t.Errorf("there is no call %d", n)
		}
	}()
	calls := 0
	m.faulty.Fail = func(storetest.Call) storetest.Fault {
		if calls++; calls == n {
			panic("crash")
		}
		return storetest.Works
	}
	r := httptest.NewRequest("POST", "/api/import", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	m.web.Handler().ServeHTTP(httptest.NewRecorder(), r)
}

// The schedules of a workspace are moved, at the very time at which one is due, while files come, with faults and a crash,
// and run for weeks, over the end of summer time: of each time and each file there is one run, the old schedules' and the
// new ones' together.
func TestMovedSchedulesRun(t *testing.T) {
	for crash, days := range map[int]int{0: 21, 8: 2, 12: 2, 16: 2} { // 0 for none
		t.Run(fmt.Sprint(crash), func(t *testing.T) {
			t.Parallel()
			m := newMoved(t)
			began := m.now
			m.inbox.Put("in/old.csv", m.now.Add(-time.Hour))
			m.polled = m.now.Add(-time.Minute)
			if plan := m.importAll(`{"from":"v1"}`); !strings.Contains(plan, "London") {
				t.Errorf("the plan: %s", plan)
			}
			m.fill(began.Add(28*time.Minute), 2*time.Minute) // by time is due at 08:30
			m.workspace.Behave(azuremltest.Manners{SchedulesLag: 2})
			m.workspace.Fail(azuremltest.PutSchedule, azuremltest.Fault{Drop: true, AfterWork: true}, azuremltest.Fault{Status: 429, RetryAfter: "0"})
			m.workspace.Fail(azuremltest.PutV2Schedule, azuremltest.Fault{Status: 500, AfterWork: true})
			if crash > 0 {
				m.crash(`{"from":"v1","create":true,"disable_source":true}`, crash)
				m.fill(m.now.Add(3*time.Minute), time.Minute)
			}
			m.importAll(`{"from":"v1","create":true,"disable_source":true}`)
			m.fill(m.now.Add(5*time.Minute), time.Minute)
			m.importAll(`{"from":"v2","create":true,"disable_source":true}`)
			for _, id := range []string{"v1-time", "v1-data", "v1-off", "v2-hours", "v2-cron"} {
				if m.workspace.Fires(id) {
					t.Errorf("%s still fires", id)
				}
			}
			m.fill(m.now.Add(time.Hour), 7*time.Minute)
			m.fill(m.now.AddDate(0, 0, days), 9*time.Hour)
			m.until(m.now.Add(10 * time.Minute))
			m.check("by-time", "v1-time", began, "Europe/London", func(at time.Time) bool { return at.Format("15:04") == "09:30" })
			m.check("v2-hours", "v2-hours", began, "UTC", func(at time.Time) bool { return at.Minute() == 20 && at.Hour()%6 == 5 })
			m.check("v2-cron", "v2-cron", began, "Europe/Vienna", func(at time.Time) bool {
				return at.Format("15:04") == "06:15" && at.Weekday() != time.Saturday && at.Weekday() != time.Sunday
			})
			m.check("off", "v1-off", began, "UTC", func(time.Time) bool { return false })
			m.checkChanges()
		})
	}
}

// fill lets files come, each of its own, while time goes by.
func (m *moved) fill(end time.Time, every time.Duration) {
	for m.now.Before(end) {
		f := file{fmt.Sprintf("in/f%d.csv", len(m.files)), m.now.Add(-3 * time.Second)}
		m.inbox.Put(f.path, f.at)
		m.files = append(m.files, f)
		m.until(m.now.Add(every))
	}
}

// occurrences are those of a schedule that were not skipped.
func (m *moved) occurrences(name string) []schedule.Occurrence {
	all, _, err := m.db.Occurrences(m.t.Context(), "", 100_000, func(o schedule.Occurrence) bool { return o.Schedule == name })
	if err != nil {
		m.t.Fatal(err)
	}
	return all
}

// check holds the runs of a schedule and of its old one against the minutes at which one is due, in a zone.
func (m *moved) check(name, old string, from time.Time, zone string, due func(time.Time) bool) {
	in, err := time.LoadLocation(zone)
	if err != nil {
		m.t.Fatal(err)
	}
	want := map[time.Time]bool{}
	for at := from.Truncate(time.Minute).Add(time.Minute); at.Before(m.now); at = at.Add(time.Minute) {
		if due(at.In(in)) {
			want[at] = true
		}
	}
	for _, run := range m.workspace.Runs() {
		if at := run.Created.Truncate(time.Minute); run.Schedule == old {
			if !want[at] {
				m.t.Errorf("%s of %v was run by the old schedule, and twice or not due", name, at)
			}
			delete(want, at)
		}
	}
	for _, o := range m.occurrences(name) {
		if o.Reason == schedule.ReasonOldSchedule {
			continue
		}
		if n := m.workspace.Submissions(o.ID); !want[o.Nominal.UTC()] || n != 1 || o.Status != schedule.Completed {
			m.t.Errorf("%s of %v: %d runs, %s %s", name, o.Nominal, n, o.Status, o.Error)
		}
		delete(want, o.Nominal.UTC())
	}
	if len(want) > 0 {
		m.t.Errorf("%s: %d were not run: %v", name, len(want), want)
	}
}

// checkChanges wants a run for each file, and the parameters of the other schedules as they were.
func (m *moved) checkChanges() {
	ran := map[string]int{}
	for _, run := range m.workspace.Runs() {
		if run.Schedule == "v1-data" || run.Tags["carillon_schedule"] == "by-data" {
			ran[run.DataPaths["input"].RelativePath]++
		}
	}
	for _, f := range m.files {
		if ran[f.path] != 1 {
			m.t.Errorf("%s of %v: %d runs", f.path, f.at, ran[f.path])
		}
		delete(ran, f.path)
	}
	if len(ran) > 0 {
		m.t.Errorf("there are runs of other files: %v", ran)
	}
	for _, run := range m.workspace.Runs() {
		path := run.DataPaths["input"]
		if run.Schedule != "" {
			continue
		}
		switch run.Tags["carillon_schedule"] {
		case "by-data":
			if path.DataStoreName != "inbox" || !strings.HasPrefix(path.RelativePath, "in/f") {
				m.t.Errorf("a run for %v", path)
			}
		case "by-time":
			if path.RelativePath != "fixed/place" || run.Parameters["who"] != "{{x}}" {
				m.t.Errorf("a run with %v, %v", path, run.Parameters)
			}
		default:
			at, out, settings := run.Job.Inputs["at"].Value, run.Job.Outputs["scores"].Value, run.Job.Definition["settings"].(map[string]any)
			if !strings.HasPrefix(at, "2026-1") || out != "azureml://datastores/d/paths/${{name}}/"+at+"/" || settings["force_rerun"] != true || run.Tags["team"] != "bells" {
				m.t.Errorf("a run at %q to %s, with %v, %v", at, out, settings, run.Tags)
			}
			if run.Tags["carillon_schedule"] == "v2-cron" && (run.Job.Definition["jobs"] == nil || run.Job.Definition["identity"] == nil) {
				m.t.Errorf("a run of %v", run.Job.Definition)
			}
		}
	}
}
