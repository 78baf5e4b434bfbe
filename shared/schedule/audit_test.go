package schedule

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"carillon/shared/recur"
)

// recorded writes down what a record says: what, with the fields before and after.
func recorded(a Audit) string {
	before, _ := json.Marshal(a.Before)
	after, _ := json.Marshal(a.After)
	return string(a.What) + " " + string(before) + " " + string(after)
}

func TestAudited(t *testing.T) {
	s, now := every(15), at("11:00:00")
	revised := func(change func(*Definition)) *Schedule {
		d := s.Definition
		change(&d)
		next := s.Revise(d, "bob", "", now)
		return &next
	}
	disabled := s.StoppedBy("bob", "because", true, now)
	enabled := disabled.Revise(s.Definition, "bob", "again", now)
	stopped, finished := disabled.StoppedBy("bob", "", false, now), s.Finished(now)
	const whole = `{"experiment":"demo","pipeline":{"kind":"local","id":"hello"},"status":"Active","trigger":{"type":"recurrence","frequency":"minute","interval":15}}`
	for _, row := range []struct {
		name      string
		old, next *Schedule
		want      string
		note      string
		revision  int
	}{
		{"created", nil, &s, "created null " + whole, "", 1},
		{"deleted", &s, nil, "deleted " + whole + " null", "", 1},
		{"a field", &s, revised(func(d *Definition) { d.Experiment = "e" }), `changed {"experiment":"demo"} {"experiment":"e"}`, "", 2},
		{"a field that was not there", &s, revised(func(d *Definition) { d.MaxRuns = 3 }), `changed null {"max_runs":3}`, "", 2},
		{"the trigger", &s, revised(func(d *Definition) { d.Trigger = every(5).Trigger }), `changed {"trigger":{"type":"recurrence","frequency":"minute","interval":15}} {"trigger":{"type":"recurrence","frequency":"minute","interval":5}}`, "", 2},
		{"a long field", &s, revised(func(d *Definition) { d.Parameters = Parameters{"a": strings.Repeat("x", 5000)} }), `changed null {"parameters":"…"}`, "", 2},
		{"disabled", &s, &disabled, `disabled {"status":"Active"} {"status":"Disabled"}`, "because", 2},
		{"enabled", &disabled, &enabled, `enabled {"status":"Disabled"} {"status":"Active"}`, "again", 3},
		{"disabled once more", &disabled, &stopped, `disabled null null`, "", 3},
		{"done", &s, &finished, `disabled {"status":"Active"} {"status":"Disabled"}`, "done", 2},
	} {
		a := Audited(row.old, row.next, "bob", now)
		if recorded(a) != row.want || a.Note != row.note || a.Revision != row.revision || a.By != "bob" || a.Schedule != "s" || !a.At.Equal(now) {
			t.Errorf("%s: %s, %+v; want %s", row.name, recorded(a), a, row.want)
		}
	}
}

func TestAuditedCalendar(t *testing.T) {
	old, next := &recur.Calendar{Dates: []string{"2026-12-24"}}, &recur.Calendar{Dates: []string{"2026-12-25"}}
	for want, c := range map[string][2]*recur.Calendar{
		`created null {"dates":["2026-12-25"]}`:                     {nil, next},
		`changed {"dates":["2026-12-24"]} {"dates":["2026-12-25"]}`: {old, next},
		`deleted {"dates":["2026-12-24"]} null`:                     {old, nil},
	} {
		if a := AuditedCalendar("holidays", c[0], c[1], "bob", at("11:00:00")); recorded(a) != want || a.Calendar != "holidays" || a.By != "bob" {
			t.Errorf("%s, %+v; want %s", recorded(a), a, want)
		}
	}
}

func TestAuditedFill(t *testing.T) {
	b := Backfill{From: at("08:00:00"), To: at("09:00:00"), Newest: true, By: "ann", Parameters: Parameters{"a": "b"}}
	a := AuditedFill(every(15), b, 5, at("11:00:00").In(time.FixedZone("", 3600)))
	const want = `backfilled null {"at_once":1,"from":"2026-11-22T08:00:00Z","order":"newest","parameters":{"a":"b"},"runs":5,"to":"2026-11-22T09:00:00Z"}`
	if recorded(a) != want || a.By != "ann" || a.Schedule != "s" || a.At.Location() != time.UTC {
		t.Errorf("%s, %+v; want %s", recorded(a), a, want)
	}
}
