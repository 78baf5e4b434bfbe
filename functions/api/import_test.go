package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

// oldWorkspace has schedules of its own. What comes of a request to disable one, turn decides, if it is there.
type oldWorkspace struct {
	v1, v2   map[string]map[string]any
	asked    []string
	turn     func(ctx context.Context, id string) (done bool, err error)
	asking   func() error         // whether one fires
	ran      map[string]time.Time // files for which one has made a run
	unlisted error
}

func (o *oldWorkspace) list(of map[string]map[string]any) (all []json.RawMessage, err error) {
	for _, id := range sortedIDs(of) {
		data, err := json.Marshal(of[id])
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, o.unlisted
}

func sortedIDs(of map[string]map[string]any) (ids []string) {
	for id := range of {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (o *oldWorkspace) V1Schedules(context.Context) ([]json.RawMessage, error) { return o.list(o.v1) }
func (o *oldWorkspace) V2Schedules(context.Context) ([]json.RawMessage, error) { return o.list(o.v2) }

func (o *oldWorkspace) disable(ctx context.Context, id string, off func()) error {
	o.asked = append(o.asked, id)
	done, err := true, error(nil)
	if o.turn != nil {
		done, err = o.turn(ctx, id)
	}
	if done {
		off()
	}
	return err
}

func (o *oldWorkspace) DisableV1Schedule(ctx context.Context, id string) error {
	return o.disable(ctx, id, func() { o.v1[id]["EntityStatus"] = "Disabled" })
}

func (o *oldWorkspace) DisableV2Schedule(ctx context.Context, name string) error {
	return o.disable(ctx, name, func() { o.v2[name]["properties"].(map[string]any)["isEnabled"] = false })
}

func (o *oldWorkspace) Fires(_ context.Context, from string) (bool, error) {
	if o.asking != nil {
		if err := o.asking(); err != nil {
			return false, err
		}
	}
	_, id, _ := strings.Cut(from, ":")
	return o.fires(id), nil
}

func (o *oldWorkspace) Ran(_ context.Context, _, _, path string, since time.Time) (bool, error) {
	at, ran := o.ran[path]
	return ran && !at.Before(since), nil
}

// fires reports whether an old schedule is enabled.
func (o *oldWorkspace) fires(id string) bool {
	if e, ok := o.v1[id]; ok {
		return e["EntityStatus"] == "Active"
	}
	return o.v2[id]["properties"].(map[string]any)["isEnabled"] == true
}

// aV1 is an entity of the v1 service that fires each day at ten in UTC.
func aV1(id, name string) map[string]any {
	return map[string]any{
		"Id": id, "Name": name, "PipelineId": "hello", "ScheduleType": "Recurrence", "EntityStatus": "Active",
		"Recurrence": map[string]any{"Frequency": "Day", "Interval": 1, "StartTime": "2020-01-01T00:00:00", "TimeZone": "UTC",
			"Schedule": map[string]any{"Hours": []int{10}, "Minutes": []int{0}}},
		"PipelineSubmissionInfo": map[string]any{"ExperimentName": "night", "ParameterAssignments": map[string]string{"who": "me"}},
	}
}

func aV2(name string, trigger map[string]any) map[string]any {
	return map[string]any{"name": name, "properties": map[string]any{"isEnabled": true, "trigger": trigger, "action": map[string]any{
		"actionType":    "CreateJob",
		"jobDefinition": map[string]any{"jobType": "Pipeline", "experimentName": "e", "componentId": "/subscriptions/s/components/train/versions/1"},
	}}}
}

// newOld is a site beside a workspace with old schedules.
func newOld(t *testing.T) (*site, *oldWorkspace) {
	s := newSite(t)
	s.now = time.Date(2026, 11, 22, 9, 0, 7, 0, time.UTC)
	s.fake.Put(pipeline.Pipeline{Ref: schedule.PipelineRef{Kind: "published", ID: "hello"}, Parameters: map[string]string{"who": "world"}})
	s.fake.Put(pipeline.Pipeline{Ref: schedule.PipelineRef{Kind: "pipeline_job", ID: "component:train:1"}})
	s.f.Targets = map[string]pipeline.Target{"local": s.fake, "published": s.fake, "pipeline_job": s.fake}
	o := &oldWorkspace{
		v1: map[string]map[string]any{"one": aV1("one", "daily"), "two": aV1("two", "off")},
		v2: map[string]map[string]any{"cron": aV2("cron", map[string]any{"triggerType": "Cron", "expression": "0 10 * * *"})},
	}
	o.v1["two"]["EntityStatus"] = "Disabled"
	s.f.Old = o
	return s, o
}

func (s *site) imports(body string) imported {
	s.t.Helper()
	out, text := s.asksForImports(body)
	s.conforms(text)
	return out
}

func (s *site) asksForImports(body string) (out imported, text string) {
	s.t.Helper()
	r := s.want(200, s.call("POST", "/api/import", body))
	if err := json.Unmarshal([]byte(r.text), &out); err != nil {
		s.t.Fatal(err)
	}
	return out, r.text
}

func (s *site) schedule(name string) schedule.Schedule {
	s.t.Helper()
	r, err := s.f.DB.Schedule(s.t.Context(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	return r.Schedule.Value
}

func TestImportIsAPlanUntilItIsToBeDone(t *testing.T) {
	s, o := newOld(t)
	for _, from := range []string{"v1", "v2"} {
		out := s.imports(`{"from":"` + from + `"}`)
		if len(out.Items) == 0 || len(out.Notes) == 0 || len(out.Items[0].Problems) > 0 || out.Items[0].Created || !out.AgainAt.IsZero() {
			t.Errorf("%+v", out)
		}
	}
	if _, _, err := s.f.DB.Schedules(t.Context(), "", 10, func(schedule.Schedule) bool { t.Error("a plan creates"); return true }); err != nil {
		t.Error(err)
	}
	if len(o.asked) > 0 {
		t.Errorf("a plan disables %v", o.asked)
	}
}

func TestImportOfAFile(t *testing.T) {
	s, _ := newOld(t)
	file, _ := json.Marshal("Schedule: {recurrence: {frequency: Day, interval: 1, start_time: '2026-12-01T00:00:00', time_of_day: '10:00'}}")
	request := `{"from":"v1-yaml","name":"mine","pipeline":"published:hello","experiment":"night","create":true,"document":` + string(file) + `}`
	for range 2 {
		item := s.imports(request).Items[0]
		if !item.Created || item.Status != "Active" || item.Name != "mine" || !strings.Contains(strings.Join(item.Differences, ";"), "London") {
			t.Errorf("%+v", item)
		}
	}
	if got := s.schedule("mine"); got.Trigger.TimeZone != "Europe/London" || got.Revision != 1 || got.Origin.From != "v1-yaml:mine" {
		t.Errorf("%+v", got)
	}
}

// Beside an old schedule that still fires the new one waits; and it begins when the old one is disabled, later too.
func TestImportBesideTheOldOnes(t *testing.T) {
	s, o := newOld(t)
	out := s.imports(`{"from":"v1","create":true}`)
	if out.Items[0].Status != "Disabled" || !s.schedule("daily").Waits() || len(out.Items[0].Done) != 1 {
		t.Errorf("%+v", out.Items[0])
	}
	if got := s.schedule("off"); got.Status != schedule.Disabled || got.Waits() {
		t.Errorf("the one that was disabled: %+v", got)
	}
	s.now = s.now.Add(time.Minute)
	out = s.imports(`{"from":"v1","create":true,"disable_source":true,"only":["one"]}`)
	if got := s.schedule("daily"); got.Status != schedule.Active || got.Waits() || o.fires("one") || !out.Items[0].Source.Disabled || !slices.Equal(o.asked, []string{"one"}) {
		t.Errorf("%+v, %+v, %v", out.Items, got, o.asked)
	}
}

func TestImportThatCannotBe(t *testing.T) {
	s, o := newOld(t)
	s.want(201, s.call("POST", "/api/schedules", body15("daily")))
	o.v1["three"] = aV1("three", "unknown")
	o.v1["three"]["PipelineId"] = "nothing"
	out := s.imports(`{"from":"v1","create":true,"disable_source":true}`)
	for i, want := range []string{"there is a schedule daily already", "", "there is no pipeline published:nothing"} {
		got := strings.Join(out.Items[i].Problems, ";")
		if !strings.Contains(got, want) || (got == "") != (want == "") || out.Items[i].Created != (want == "") {
			t.Errorf("%d: %+v", i, out.Items[i])
		}
	}
	if !o.fires("one") || !o.fires("three") || len(o.asked) > 0 {
		t.Errorf("disabled without a new one: %v", o.asked)
	}
	for body, want := range map[string]string{
		`{}`:                                  "from",
		`{"from":"v3"}`:                       "from",
		`{"from":"v1","document":"x"}`:        "document",
		`{"from":"v1-yaml"}`:                  "document",
		`{"from":"v2-yaml","document":"[a"}`:  "document",
		`{"from":"v1","disable_source":true}`: "disable_source",
		`{"from":"v1-yaml","document":"a: 1","create":true,"disable_source":true}`:            "disable_source",
		`{"from":"v1","create":true,"disable_source":true,"cut_over":"2026-11-22T08:00:00Z"}`: "cut_over",
		`{"from":"v1","create":true,"disable_source":true,"cut_over":"2026-11-23T08:00:00Z"}`: "cut_over",
		`{"from":"v1","create":true,"disable_source":true,"cut_over":"2026-11-22T09:04:00Z"}`: "cut_over",
		`{"from":"v1","create":true,"cut_over":"2026-11-22T09:30:00Z"}`:                       "cut_over",
		`{"from":"v1","create":true,"disable_source":true,"cut_over":"soon"}`:                 "cut_over",
		`{"from":"v1","create":1}`:                          "create",
		`{"from":"v1","only":"one"}`:                        "only",
		`{"from":"v1","only":["four"]}`:                     "only[0]",
		`{"from":"v1","pipeline":"x"}`:                      "pipeline",
		`{"from":"v1","surprise":true}`:                     "surprise",
		`{"from":"v2-yaml","document":"a: 1","only":["x"]}`: "only",
	} {
		r := s.call("POST", "/api/import", body)
		if r.status != 422 || !strings.Contains(r.text, `"field":"`+want+`"`) {
			t.Errorf("%s: %d %s", body, r.status, r.text)
		}
	}
	if r := s.call("POST", "/api/import", `{"from":"v1","name":"x"}`); r.status != 400 {
		t.Errorf("one name for several: %d %s", r.status, r.text)
	}
	o.unlisted = errors.New("it is away")
	if r := s.call("POST", "/api/import", `{"from":"v1"}`); r.status != 503 {
		t.Errorf("%d %s", r.status, r.text)
	}
	s.f.Old = nil
	if r := s.call("POST", "/api/import", `{"from":"v2"}`); r.status != 409 || !strings.Contains(r.text, "CARILLON_AZUREML") {
		t.Errorf("%d %s", r.status, r.text)
	}
}

// The old one is disabled, and the new one begins as soon as that is seen.
func TestCutOver(t *testing.T) {
	s, o := newOld(t)
	o.turn = func(context.Context, string) (bool, error) {
		if got := s.schedule("cron"); got.Status != schedule.Active || !got.Unsettled() {
			t.Errorf("while the old one is disabled the new one is %+v", got)
		}
		s.now = s.now.Add(3 * time.Second)
		return true, nil
	}
	out := s.imports(`{"from":"v2","create":true,"disable_source":true}`)
	want := time.Date(2026, 11, 22, 9, 6, 0, 0, time.UTC)
	if item := out.Items[0]; !out.CutOver.Equal(want) || !item.Begins.Equal(s.now) || item.Status != "Active" || !item.Source.Disabled || o.fires("cron") || s.schedule("cron").Unsettled() {
		t.Errorf("%+v", out)
	}
	again := s.imports(`{"from":"v2","create":true,"disable_source":true}`)
	if got := s.schedule("cron"); !again.Items[0].Created || len(o.asked) != 1 || got.Status != schedule.Active {
		t.Errorf("again: %+v, asked %v, %+v", again, o.asked, got)
	}
	for text, want := range map[string]string{"2026-11-22T09:06:00Z": "09:06", "2026-11-22T09:30:30Z": "09:30", "2026-11-22T10:30:00+01:00": "09:30"} {
		s, _ := newOld(t)
		out := s.imports(`{"from":"v2","create":true,"disable_source":true,"cut_over":"` + text + `"}`)
		if got := out.CutOver.Format("15:04"); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// An old one that cannot be seen to be disabled keeps the new one from beginning, until another try.
func TestCutOverThatIsInDoubt(t *testing.T) {
	for name, c := range map[string]struct {
		done  bool
		err   error
		again bool
	}{
		"not done":        {false, errors.New("the workspace answered 403"), false},
		"done, not known": {true, errors.New("the workspace answered 500"), false},
		"takes too long":  {false, fmt.Errorf("not known: %w", context.DeadlineExceeded), true},
	} {
		s, o := newOld(t)
		o.turn = func(ctx context.Context, id string) (bool, error) {
			if got := s.schedule("cron"); !got.Unsettled() || !got.Origin.Until.After(s.now.Add(4*time.Minute)) {
				t.Errorf("%s: the new one is %+v while the old one is disabled", name, got)
			}
			if until, ok := ctx.Deadline(); !ok || time.Until(until) > time.Minute {
				t.Errorf("%s: no deadline", name)
			}
			return c.done, c.err
		}
		out := s.imports(`{"from":"v2","create":true,"disable_source":true}`)
		item := out.Items[0]
		if got := s.schedule("cron"); !got.Waits() || item.Status != "Disabled" || item.Source.Disabled || len(item.Problems) != 1 ||
			!strings.Contains(got.StatusNote.Note, c.err.Error()) || out.AgainAt.IsZero() == c.again {
			t.Errorf("%s: %+v, %+v", name, out, got)
		}
		s.now, o.turn = s.now.Add(time.Minute), nil
		item = s.imports(`{"from":"v2","create":true,"disable_source":true}`).Items[0]
		if got := s.schedule("cron"); got.Status != schedule.Active || got.Waits() || !item.Source.Disabled || o.fires("cron") || len(item.Problems) > 0 {
			t.Errorf("%s, again: %+v, %+v", name, item, got)
		}
	}
}

// What somebody has disabled here since is not brought to life, nor is its old one disabled.
func TestCutOverOfWhatSomebodyStopped(t *testing.T) {
	s, o := newOld(t)
	s.imports(`{"from":"v2","create":true}`)
	enabled := s.want(200, s.call("POST", "/api/schedules/cron/enable", ""))
	if !strings.Contains(enabled.text, "which is asked at each of its times whether it still fires") {
		t.Errorf("nobody is told: %s", enabled.text)
	}
	s.want(200, s.call("POST", "/api/schedules/cron/disable", ""))
	item := s.imports(`{"from":"v2","create":true,"disable_source":true}`).Items[0]
	if len(item.Problems) != 1 || !o.fires("cron") || s.schedule("cron").Status != schedule.Disabled {
		t.Errorf("%+v", item)
	}
}

// Who disables the new one, or everything, while the old one is being disabled has the last word.
func TestCutOverWhileSomebodyStops(t *testing.T) {
	for name, c := range map[string]struct {
		path string
		err  error
	}{
		"one":                 {"/api/schedules/cron/disable", nil},
		"all":                 {"/api/disable-all", nil},
		"one, and it fails":   {"/api/schedules/cron/disable", errors.New("the workspace answered 500")},
		"it is deleted, alas": {"", nil},
	} {
		s, o := newOld(t)
		o.turn = func(context.Context, string) (bool, error) {
			if c.path == "" {
				s.want(200, s.call("DELETE", "/api/schedules/cron", ""))
				return false, errors.New("the workspace answered 500")
			}
			s.want(200, s.call("POST", c.path, `{"note":"stop"}`))
			return true, c.err
		}
		r := s.call("POST", "/api/import", `{"from":"v2","create":true,"disable_source":true}`)
		if c.path == "" {
			if r.status == 200 || !o.fires("cron") {
				t.Errorf("%s: %d %s", name, r.status, r.text)
			}
			continue
		}
		got := s.schedule("cron")
		if got.Status != schedule.Disabled || got.StatusNote.Note != "stop" || got.Waits() || got.DisabledWithAll() != (name == "all") {
			t.Errorf("%s: %+v, %s", name, got, r.text)
		}
		s.now = s.now.Add(time.Minute)
		s.imports(`{"from":"v2","create":true,"disable_source":true}`)
		if got := s.schedule("cron"); got.Status != schedule.Disabled || got.StatusNote.Note != "stop" {
			t.Errorf("%s, again: %+v", name, got)
		}
	}
}

// An old one that somebody has enabled again beside the new one is disabled again, and it is said that both ran.
func TestCutOverOfBoth(t *testing.T) {
	s, o := newOld(t)
	s.imports(`{"from":"v2","create":true,"disable_source":true}`)
	o.v2["cron"]["properties"].(map[string]any)["isEnabled"] = true
	s.now = s.now.Add(10 * time.Minute)
	item := s.imports(`{"from":"v2","create":true,"disable_source":true}`).Items[0]
	if got := s.schedule("cron"); o.fires("cron") || got.Status != schedule.Active || got.Unsettled() || !strings.Contains(strings.Join(item.Done, ";"), "both") {
		t.Errorf("%+v", item)
	}
}

// One old schedule has one new one, whatever names are asked for.
func TestOneOldScheduleIsImportedOnce(t *testing.T) {
	s, _ := newOld(t)
	s.imports(`{"from":"v1","only":["one"],"name":"mine","create":true}`)
	item := s.imports(`{"from":"v1","only":["one"],"create":true,"disable_source":true}`).Items[0]
	if len(item.Problems) != 1 || !strings.Contains(item.Problems[0], "imported as schedule mine") || item.Created {
		t.Errorf("%+v", item)
	}
	s.want(200, s.call("DELETE", "/api/schedules/mine", ""))
	if item := s.imports(`{"from":"v1","only":["one"],"create":true}`).Items[0]; !item.Created || len(item.Problems) > 0 {
		t.Errorf("once that is deleted: %+v", item)
	}
}

// Of a schedule that counts from a creation that nobody tells it is not known when it starts runs: that is said, and keeps
// nothing from being done.
func TestCutOverOfWhatCountsFromItsCreation(t *testing.T) {
	s, o := newOld(t)
	o.v1 = map[string]map[string]any{"one": aV1("one", "six")}
	o.v1["one"]["Recurrence"] = map[string]any{"Frequency": "Hour", "Interval": 6}
	item := s.imports(`{"from":"v1","create":true,"disable_source":true}`).Items[0]
	if o.fires("one") || item.Status != "Active" || !strings.Contains(strings.Join(item.Done, ";"), "counts from its creation") {
		t.Errorf("%+v", item)
	}
}

// One request does not take for ever: what is left is done by the next.
func TestImportInParts(t *testing.T) {
	s, o := newOld(t)
	for i := range 5 {
		name := fmt.Sprintf("n%d", i)
		o.v2[name] = aV2(name, map[string]any{"triggerType": "Cron", "expression": "0 12 * * *"})
	}
	o.turn = func(context.Context, string) (bool, error) { s.now = s.now.Add(4 * time.Second); return true, nil }
	requests := 0
	for again := true; again && requests < 10; requests++ {
		again = !s.imports(`{"from":"v2","create":true,"disable_source":true}`).AgainAt.IsZero()
	}
	if requests != 2 || len(o.asked) != 6 {
		t.Errorf("%d requests, asked %v", requests, o.asked)
	}
}
