package migrate_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"
	_ "time/tzdata"

	"carillon/shared/migrate"
	"carillon/shared/recur"
	"carillon/shared/schedule"
)

// TestOldAndNewTimes holds the times of new schedules against what the old services did, minute by minute over two years:
// where an old one did something else than its definition says, old tells it by the rule that the plan claims.
func TestOldAndNewTimes(t *testing.T) {
	london, vienna := zone(t, "Europe/London"), zone(t, "Europe/Vienna")
	created := time.Date(2026, 3, 1, 10, 11, 12, 0, time.UTC)
	for name, c := range map[string]struct {
		kind, document string
		old            func(at time.Time) bool // UTC, in whole minutes
		but            []time.Time             // that are new
		second         time.Duration
	}{
		"v1 takes a start_time without zone for London's": {
			migrate.FileV1, `{recurrence: {frequency: Day, interval: 1, start_time: "2020-01-01T00:00:00", time_of_day: "09:30"}}`,
			func(at time.Time) bool { return clock(at.In(london)) == "09:30" }, nil, 0,
		},
		"v1's client takes hours for London's, though the start_time has an offset": {
			migrate.FileV1, `{recurrence: {frequency: Day, interval: 1, start_time: "2020-01-01T00:00:00Z", hours: ["9"], minutes: 30.0}}`,
			func(at time.Time) bool { return clock(at.In(london)) == "09:30" }, nil, 0,
		},
		"v1 leaves out a start_time that is one of the times": {
			migrate.FileV1, `{recurrence: {frequency: Week, interval: 1, start_time: "2026-08-03T10:00:00", time_zone: W. Europe Standard Time, hours: [10], minutes: [0], week_days: [Monday, Friday]}}`,
			func(at time.Time) bool {
				local := at.In(vienna)
				start := time.Date(2026, 8, 3, 10, 0, 0, 0, vienna)
				return at.After(start) && clock(local) == "10:00" && (local.Weekday() == time.Monday || local.Weekday() == time.Friday)
			}, []time.Time{time.Date(2026, 8, 3, 8, 0, 0, 0, time.UTC)}, 0,
		},
		"v1 begins at a start_time without times": {
			migrate.FileV1, `{recurrence: {frequency: Minute, interval: 45, start_time: "2026-08-03T10:00:00", time_zone: UTC}}`,
			func(at time.Time) bool {
				since := at.Sub(time.Date(2026, 8, 3, 10, 0, 0, 0, time.UTC))
				return since >= 0 && since%(45*time.Minute) == 0
			}, nil, 0,
		},
		"v2 does not heed days and months of cron": {
			migrate.FileV2, `{name: a, create_job: "azureml:j", trigger: {type: cron, expression: "15 6,18 13 2-11 FRI", time_zone: W. Europe Standard Time}}`,
			func(at time.Time) bool {
				local := at.In(vienna)
				return local.Weekday() == time.Friday && (clock(local) == "06:15" || clock(local) == "18:15")
			}, nil, 0,
		},
		"v2 skips months without the 31st": {
			migrate.FileV2, `{name: a, create_job: "azureml:j", trigger: {type: recurrence, frequency: month, interval: 1, schedule: {month_days: [31], hours: 2, minutes: 0}, start_time: "2020-01-01T00:00:00"}}`,
			func(at time.Time) bool { return at.Day() == 31 && clock(at) == "02:00" }, nil, 0,
		},
		"v2 counts from the creation": {
			migrate.LiveV2, `[{"name": "a", "systemData": {"createdAt": "2026-03-01T10:11:12.5Z"}, "properties": {"trigger": {"triggerType": "Recurrence", "frequency": "Hour", "interval": 7},
			  "action": {"actionType": "CreateJob", "jobDefinition": {"jobType": "Pipeline", "sourceJobId": "/subscriptions/s/jobs/j"}}}}]`,
			func(at time.Time) bool { return at.Add(12*time.Second).Sub(created)%(7*time.Hour) == 0 }, nil, 12 * time.Second,
		},
	} {
		rule := ruleOf(t, c.kind, c.document)
		var got, want []time.Time
		from, to := now, now.AddDate(2, 0, 0)
		for at, ok := rule.Next(from); ok && at.Before(to); at, ok = rule.Next(at) {
			got = append(got, at.UTC())
		}
		for at := from.Add(time.Minute); at.Before(to); at = at.Add(time.Minute) {
			if c.old(at) {
				want = append(want, at.Add(c.second))
			}
		}
		want = append(want, c.but...)
		slices.SortFunc(want, time.Time.Compare)
		if len(want) == 0 || !slices.EqualFunc(got, want, time.Time.Equal) {
			t.Errorf("%s: %d times, want %d; first %v, want %v", name, len(got), len(want), got[:min(3, len(got))], want[:min(3, len(want))])
		}
	}
}

func clock(at time.Time) string { return at.Format("15:04") }

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func ruleOf(t *testing.T, kind, document string) *recur.Rule {
	t.Helper()
	var plans []migrate.Plan
	if kind == migrate.LiveV2 {
		var list []json.RawMessage
		if err := json.Unmarshal([]byte(document), &list); err != nil {
			t.Fatal(err)
		}
		plans = migrate.V2(list, migrate.Own{}, now)
	} else {
		var err error
		if plans, err = migrate.Read(kind, []byte(document), own, now); err != nil {
			t.Fatal(err)
		}
	}
	d, errs := schedule.Decode(plans[0].Definition)
	if len(plans[0].Problems) > 0 || len(errs) > 0 {
		t.Fatalf("%s: %v, %v", document, plans[0].Problems, errs)
	}
	rule, errs := d.Trigger.Compile(now)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return rule
}

// FuzzRead: whatever a document holds, it is planned or refused, and what is planned without a problem can be created.
func FuzzRead(f *testing.F) {
	f.Add("v1-yaml", "Schedule: {recurrence: {frequency: Day, interval: 1}, pipeline_parameters: {a: '{{{${{name}}'}}")
	f.Add("v2-yaml", "{name: a, trigger: {type: cron, expression: '0 9 1 * *'}, create_job: {job: 'azureml:x', inputs: {a: '{${{name}}}}', b: {path: x, type: y}}}}")
	f.Add("v1", `{"Id": "x", "ScheduleType": 1, "DataStoreTriggerInfo": {"DataStoreName": "a", "PathOnDataStore": "\\"}, "EntityStatus": 0}`)
	f.Add("v1", `{"Id": "x", "Name": "a_", "ScheduleType": 0, "EntityStatus": 0, "PipelineId": "p", "Recurrence": {"Frequency": 1, "Interval": "2", "StartTime": "2020-01-01T00:00:00Z", "Schedule": {"Hours": ["9"], "WeekDays": [0]}}, "PipelineSubmissionInfo": {"ExperimentName": "e"}}`)
	f.Add("v2", `{"name": "x", "properties": {"trigger": {"triggerType": "Recurrence", "frequency": "Month", "interval": 1, "endTime": "2026-07-02", "schedule": {"hours": 1, "minutes": [0], "monthDays": [31, -1]}},
		"action": {"actionType": "CreateJob", "jobDefinition": {"sourceJobId": "/subscriptions/s/jobs/j", "inputs": {"a": {"value": "{{"}}, "settings": {"continue_on_step_failure": true}}}}}`)
	f.Add("v2", `{"name": "x", "properties": {"trigger": {"triggerType": "Cron"}, "action": {"actionType": "InvokeBatchEndpoint", "endpointInvocationDefinition": []}}}`)
	f.Fuzz(func(t *testing.T, kind, document string) {
		var plans []migrate.Plan
		switch kind {
		case migrate.LiveV1:
			plans = migrate.V1([]json.RawMessage{json.RawMessage(document), json.RawMessage(document)}, migrate.Own{}, now)
		case migrate.LiveV2:
			plans = migrate.V2([]json.RawMessage{json.RawMessage(document)}, migrate.Own{}, now)
		default:
			plans, _ = migrate.Read(kind, []byte(document), own, now)
		}
		for _, p := range plans {
			if len(p.Problems) > 0 {
				continue
			}
			d, errs := schedule.Decode(p.Definition)
			if len(errs) == 0 && d.Trigger.Watch == nil {
				_, errs = d.Trigger.Compile(now)
			}
			if len(errs) > 0 {
				t.Errorf("%s cannot be created: %v", p.Definition, errs)
			}
		}
	})
}

// What a parameter held is what a run gets, whatever braces there are in it.
func TestBraces(t *testing.T) {
	for _, text := range []string{"{{", "{{{", "{{{{", "}}", "a {{ .Nominal }} b", "{{/* */}}", `{{"{{"}}`, "{ {{", "$", "{{- x -}}"} {
		document, _ := json.Marshal(map[string]any{
			"recurrence":          map[string]any{"frequency": "Day", "interval": 1, "hours": 1, "minutes": 0},
			"pipeline_parameters": map[string]string{"a": text},
		})
		plans, err := migrate.Read(migrate.FileV1, document, own, now)
		if err != nil || len(plans[0].Problems) > 0 {
			t.Errorf("%s: %v, %v", text, plans, err)
			continue
		}
		d, _ := schedule.Decode(plans[0].Definition)
		got, err := schedule.Render("parameters", d.Parameters, schedule.Values{})
		if err != nil || got["a"] != text {
			t.Errorf("%s became %s, %v", text, got["a"], err)
		}
	}
}
