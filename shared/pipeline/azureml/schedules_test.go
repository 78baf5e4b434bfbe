package azureml_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"carillon/shared/pipeline/azureml"
	"carillon/shared/pipeline/azureml/azuremltest"
)

const (
	byTime = "55555555-0000-4000-8000-000000000001"
	byData = "55555555-0000-4000-8000-000000000002"
)

// olds is a workspace with old schedules.
func olds(t *testing.T) (far, *azureml.Workspace) {
	t.Helper()
	f := newFar(t)
	f.PutV1Schedule(
		azuremltest.V1Entity(byTime, "nightly", succeeds, "night", map[string]any{
			"Recurrence": map[string]any{"Frequency": "Day", "Interval": 1, "StartTime": "2020-01-01T00:00:00", "TimeZone": nil, "Schedule": map[string]any{"Hours": []int{9}, "Minutes": []int{30}}},
		}),
		azuremltest.V1Entity(byData, "<changes>", succeeds, "change", map[string]any{
			"ScheduleType": "DataStore", "DataStoreTriggerInfo": map[string]any{"DataStoreName": "inbox", "PollingInterval": 5}, "EntityStatus": "Disabled",
		}),
	)
	for _, name := range []string{"daily", "weekly", "monthly"} {
		f.PutV2ScheduleOf(name, "2024-03-01T10:11:12Z", map[string]any{
			"isEnabled": name != "monthly", "displayName": name, "tags": map[string]any{},
			"trigger": map[string]any{"triggerType": "Cron", "expression": "0 9 * * *", "timeZone": "UTC"},
			"action": map[string]any{"actionType": "CreateJob", "jobDefinition": map[string]any{
				"jobType": "Pipeline", "experimentName": "e", "status": "NotStarted", "sourceJobId": f.scopeID() + "/jobs/one", "inputs": map[string]any{},
			}},
		})
	}
	w, err := azureml.Open(f.config())
	if err != nil {
		t.Fatal(err)
	}
	w.Pause(time.Millisecond)
	return f, w
}

func (f far) scopeID() string {
	return "/subscriptions/" + f.Subscription + "/resourceGroups/" + f.ResourceGroup + "/providers/Microsoft.MachineLearningServices/workspaces/" + f.Workspace
}

func TestListOldSchedules(t *testing.T) {
	for _, numeric := range []bool{false, true} {
		f, w := olds(t)
		f.Behave(azuremltest.Manners{NumericEnums: numeric})
		v1, err := w.V1Schedules(t.Context())
		if err != nil || len(v1) != 2 {
			t.Fatalf("%s, %v", v1, err)
		}
		if status := `"EntityStatus":2`; strings.Contains(string(v1[0]), status) != numeric {
			t.Errorf("as the service has it: %s", v1[0])
		}
		v2, err := w.V2Schedules(t.Context()) // two pages
		if err != nil || len(v2) != 3 || f.Asked(azuremltest.ListV2Schedules) != 2 {
			t.Errorf("%d, %v, in %d pages", len(v2), err, f.Asked(azuremltest.ListV2Schedules))
		}
	}
}

func TestOldSchedulesThatCannotBeListed(t *testing.T) {
	for _, fault := range []azuremltest.Fault{
		{Status: 500}, {Status: 403}, {Status: 200, Drop: true}, {Status: 200, Body: `{"value":7}`},
	} {
		f, w := olds(t)
		f.Fail(azuremltest.ListSchedules, fault)
		f.Fail(azuremltest.ListV2Schedules, fault)
		if all, err := w.V1Schedules(t.Context()); err == nil {
			t.Errorf("%+v: %s", fault, all)
		}
		if all, err := w.V2Schedules(t.Context()); err == nil {
			t.Errorf("%+v: %s", fault, all)
		}
	}
}

// More than can be held is no list, and the rest is not asked for.
func TestTooManyOldSchedules(t *testing.T) {
	f, w := olds(t)
	f.PageSize = 2000
	const most = 10_000
	for i := range most - 2 {
		f.PutV1Schedule(map[string]any{"Id": fmt.Sprint("old-", i)})
	}
	for i := range most - 3 {
		f.PutV2ScheduleOf(fmt.Sprint("old-", i), "2024-03-01T10:11:12Z", map[string]any{})
	}
	v1, err := w.V1Schedules(t.Context())
	if err != nil || len(v1) != most {
		t.Errorf("%d of v1, %v", len(v1), err)
	}
	v2, err := w.V2Schedules(t.Context())
	if err != nil || len(v2) != most {
		t.Errorf("%d of v2, %v", len(v2), err)
	}
	f.PutV1Schedule(map[string]any{"Id": "more"})
	for i := range 5000 {
		f.PutV2ScheduleOf(fmt.Sprint("more-", i), "2024-03-01T10:11:12Z", map[string]any{})
	}
	if v1, err := w.V1Schedules(t.Context()); v1 != nil || err == nil || !strings.Contains(err.Error(), "more than 10000 v1 schedules") || !strings.Contains(err.Error(), "v1-yaml") {
		t.Errorf("%d of v1, %v", len(v1), err)
	}
	asked := f.Asked(azuremltest.ListV2Schedules)
	if v2, err := w.V2Schedules(t.Context()); v2 != nil || err == nil || !strings.Contains(err.Error(), "v2-yaml") || f.Asked(azuremltest.ListV2Schedules) != asked+6 {
		t.Errorf("%d of v2, %v, in %d pages", len(v2), err, f.Asked(azuremltest.ListV2Schedules)-asked)
	}
	long := `"` + strings.Repeat("x", 3<<20) + `"`
	f.Fail(azuremltest.ListSchedules, azuremltest.Fault{Status: 200, Body: "[" + strings.Repeat(long+",", 21) + long + "]"})
	if _, err := w.V1Schedules(t.Context()); err == nil || !strings.Contains(err.Error(), "64 MiB") {
		t.Error(err)
	}
}

// Whatever becomes of requests and answers, the schedule is disabled at the end, or an error says that it may not be; it
// is sent whole, and never without having looked.
func TestDisableOldSchedules(t *testing.T) {
	lost, busy := azuremltest.Fault{Drop: true, AfterWork: true}, azuremltest.Fault{Status: 429, RetryAfter: "0"}
	for name, c := range map[string]struct {
		look, put []azuremltest.Fault
		manners   azuremltest.Manners
		puts      int
		disabled  bool
		err       string
	}{
		"at once":                    {puts: 1, disabled: true},
		"numbers":                    {manners: azuremltest.Manners{NumericEnums: true}, puts: 1, disabled: true},
		"a slow change":              {manners: azuremltest.Manners{SchedulesLag: 5}, puts: 1, disabled: true},
		"a slow change, not named":   {manners: azuremltest.Manners{SchedulesLag: 5, NoOperations: true}, puts: 1, disabled: true},
		"too many requests":          {look: []azuremltest.Fault{busy}, put: []azuremltest.Fault{busy, busy}, puts: 3, disabled: true},
		"out of order":               {look: []azuremltest.Fault{{Status: 503}}, put: []azuremltest.Fault{{Status: 500}}, puts: 2, disabled: true},
		"an answer that was lost":    {put: []azuremltest.Fault{lost}, puts: 1, disabled: true},
		"a request that was lost":    {put: []azuremltest.Fault{{Drop: true}}, puts: 2, disabled: true},
		"lost, then out of order":    {look: []azuremltest.Fault{{}, {Status: 500}, {Status: 500}}, put: []azuremltest.Fault{lost}, puts: 1, disabled: true},
		"in conflict":                {put: []azuremltest.Fault{{Status: 409}}, puts: 2, disabled: true},
		"not allowed":                {put: []azuremltest.Fault{{Status: 403}}, puts: 1, err: "not known to be disabled: the workspace answered 403"},
		"may not be looked at":       {look: []azuremltest.Fault{{Status: 403}}, err: "cannot be told"},
		"gone":                       {look: []azuremltest.Fault{{Status: 404}}, err: "404"},
		"never taken":                {put: []azuremltest.Fault{{Status: 500}, {Status: 500}, {Status: 500}}, puts: 3, err: "could not be disabled"},
		"not what was asked for":     {look: []azuremltest.Fault{{Status: 200, Body: `{"Id": "another", "name": "another"}`}}, err: `schedule "another"`},
		"nothing is said of it":      {look: []azuremltest.Fault{{Status: 200, Body: `{"Id": "` + byTime + `", "name": "daily"}`}}, err: "does not say"},
		"an answer without an end":   {look: []azuremltest.Fault{{Status: 200, Drop: true}}, puts: 1, disabled: true},
		"one after the work, at 500": {put: []azuremltest.Fault{{Status: 500, AfterWork: true}}, puts: 1, disabled: true},
	} {
		for _, v := range []struct {
			get, put azuremltest.Op
			id       string
			disable  func(*azureml.Workspace, context.Context, string) error
		}{
			{azuremltest.GetSchedule, azuremltest.PutSchedule, byTime, (*azureml.Workspace).DisableV1Schedule},
			{azuremltest.GetV2Schedule, azuremltest.PutV2Schedule, "daily", (*azureml.Workspace).DisableV2Schedule},
		} {
			f, w := olds(t)
			f.Behave(c.manners)
			f.Fail(v.get, c.look...)
			f.Fail(v.put, c.put...)
			err := v.disable(w, t.Context(), v.id)
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s, %s: %v", name, v.id, err)
			}
			if f.Fires(v.id) == c.disabled || f.Asked(v.put) != c.puts {
				t.Errorf("%s, %s: fires %t, %d requests to change it, want %d", name, v.id, f.Fires(v.id), f.Asked(v.put), c.puts)
			}
			if err := v.disable(w, t.Context(), v.id); c.disabled && (err != nil || f.Asked(v.put) != c.puts) {
				t.Errorf("%s, %s, again: %v, %d requests to change it", name, v.id, err, f.Asked(v.put))
			}
		}
	}
}

// A change that is under way is waited for, as long as the caller has time.
func TestDisableWithoutTime(t *testing.T) {
	f, w := olds(t)
	f.Behave(azuremltest.Manners{SchedulesLag: 1000})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := w.DisableV2Schedule(ctx, "daily"); err == nil || !f.Fires("daily") {
		t.Errorf("%v", err)
	}
	f.Behave(azuremltest.Manners{})
	f.Fail(azuremltest.GetSchedule, azuremltest.Fault{Status: 429, RetryAfter: "3600"})
	soon, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := w.DisableV1Schedule(soon, byTime); err == nil || soon.Err() != nil {
		t.Errorf("it waits for what it has no time for: %v", err)
	}
}

func TestDisableWhatCannotBeNamed(t *testing.T) {
	f, w := olds(t)
	for _, name := range []string{"", "a/b", "..", "a?b"} {
		if w.DisableV1Schedule(t.Context(), name) == nil || w.DisableV2Schedule(t.Context(), name) == nil {
			t.Errorf("%q", name)
		}
	}
	if f.Asked(azuremltest.GetSchedule)+f.Asked(azuremltest.GetV2Schedule) > 0 {
		t.Error("it was asked for")
	}
}

// What a schedule holds is sent back as it was, large numbers and signs too.
func TestAScheduleIsSentWhole(t *testing.T) {
	f, w := olds(t)
	f.PutV1Schedule(azuremltest.V1Entity(byTime, "a <&> ☃", succeeds, "night", map[string]any{
		"PipelineSubmissionInfo": map[string]any{"ParameterAssignments": map[string]any{"n": "1.10"}, "Odd": json.Number("12345678901234567890")},
	}))
	if err := w.DisableV1Schedule(t.Context(), byTime); err != nil || f.Fires(byTime) {
		t.Errorf("%v", err)
	}
}

func TestWhetherOldSchedulesFire(t *testing.T) {
	f, w := olds(t)
	for from, want := range map[string]bool{
		"v1:" + byTime: true, "v1:" + byData: false, "v2:daily": true, "v2:monthly": false, "v1:55555555-0000-4000-8000-000000000009": false, "v2:gone": false,
	} {
		if fires, err := w.Fires(t.Context(), from); err != nil || fires != want {
			t.Errorf("%s: %v, %v", from, fires, err)
		}
	}
	for _, from := range []string{"", "v1:", "v1-yaml:nightly", "v1:../x", "v2:a/b"} {
		if _, err := w.Fires(t.Context(), from); err == nil {
			t.Errorf("%q names one", from)
		}
	}
	f.Fail(azuremltest.GetSchedule, azuremltest.Fault{Status: 503})
	if _, err := w.Fires(t.Context(), "v1:"+byTime); err == nil {
		t.Error("no answer counts as one")
	}
}

// Whether an old schedule has made a run for a file is told by its runs' times: an older version's run does not count.
func TestRunsOfAnOldSchedule(t *testing.T) {
	f, w := olds(t)
	f.PutV1Schedule(azuremltest.V1Entity(byData, "changes", succeeds, "change", map[string]any{
		"ScheduleType": "DataStore", "DataStoreTriggerInfo": map[string]any{"DataStoreName": "inbox", "DataPathParameterName": "input"},
	}))
	made := time.Date(2026, 11, 22, 10, 0, 7, 5e8, time.UTC)
	f.Now = func() time.Time { return made }
	f.Fire(byData, &azuremltest.DataPath{DataStoreName: "inbox", RelativePath: "in/a.csv"})
	for _, c := range []struct {
		path  string
		since time.Time
		want  bool
	}{
		{"in/a.csv", made.Add(-time.Hour), true}, {"in/a.csv", made, true}, {"in/a.csv", made.Add(time.Second), false}, {"in/b.csv", made.Add(-time.Hour), false},
	} {
		if ran, err := w.Ran(t.Context(), "v1:"+byData, "inbox", c.path, c.since); err != nil || ran != c.want {
			t.Errorf("%s since %v: %v, %v", c.path, c.since, ran, err)
		}
	}
	if n := f.Asked(azuremltest.ListScheduled); n != 1 {
		t.Errorf("many files ask for its runs %d times", n)
	}
	for name, fire := range map[string]func(f far){
		"runs that do not say for which file": func(f far) {
			f.PutV1Schedule(azuremltest.V1Entity(byData, "changes", succeeds, "change", nil))
			f.Fire(byData, nil)
		},
		"no answer": func(f far) { f.Fail(azuremltest.ListScheduled, azuremltest.Fault{Status: 500}) },
	} {
		f, w := olds(t)
		fire(f)
		if _, err := w.Ran(t.Context(), "v1:"+byData, "inbox", "in/a.csv", made); err == nil {
			t.Errorf("%s: that is known", name)
		}
	}
	if _, err := w.Ran(t.Context(), "v2:daily", "inbox", "a", made); err == nil {
		t.Error("v2 does not look at data")
	}
}
