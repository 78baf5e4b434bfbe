package schedule

import (
	"encoding/json"
	"fmt"
	"slices"
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
	long := strings.Repeat("x", 3000)
	much := func(change Parameters) *Schedule {
		next := s
		next.Parameters = Parameters{}
		for i := range 10 {
			next.Parameters[fmt.Sprintf("p%02d", i)] = long
		}
		for name, value := range change {
			if next.Parameters[name] = value; value == "" {
				delete(next.Parameters, name)
			}
		}
		return &next
	}
	far := func(value string) *Schedule {
		next := s
		next.Outputs, next.Settings = Parameters{"o": value, "same": "1"}, Settings{"s": []byte(`{"x":` + value + `}`), "same": []byte("1")}
		next.Tags = Tags{"t": value, "same": "1"}
		return &next
	}
	globs := func(last string) *Schedule {
		next := s
		next.Trigger = Trigger{Spec: recur.Spec{Kind: KindDatastore}, Watch: &Watch{Folder: Folder{Datastore: "d"}}}
		for i := range 5 {
			next.Trigger.Watch.Exclude = append(next.Trigger.Watch.Exclude, fmt.Sprint(i, long[:1000]))
		}
		next.Trigger.Watch.Exclude = append(next.Trigger.Watch.Exclude, last)
		return &next
	}
	turned := func(s *Schedule) *Schedule {
		slices.Reverse(s.Trigger.Watch.Exclude)
		return s
	}
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
		{"a parameter of many", much(nil), much(Parameters{"p07": "new", "p08": "", "more": "1"}),
			`changed {"parameters":{"p07":"` + long + `","p08":"` + long + `"}} {"parameters":{"more":"1","p07":"new"}}`, "", 1},
		{"a parameter that goes", much(Parameters{"more": "1"}), much(nil), `changed {"parameters":{"more":"1"}} null`, "", 1},
		{"outputs, settings, tags", far("1"), far("2"),
			`changed {"outputs":{"o":"1"},"settings":{"s":{"x":1}},"tags":{"t":"1"}} {"outputs":{"o":"2"},"settings":{"s":{"x":2}},"tags":{"t":"2"}}`, "", 1},
		{"one of many globs", globs("a"), globs("b"), `changed {"trigger":{"exclude":["a"]}} {"trigger":{"exclude":["b"]}}`, "", 1},
		{"their order", globs("a"), turned(globs("a")), "", "", 1},
		{"disabled", &s, &disabled, `disabled {"status":"Active"} {"status":"Disabled"}`, "because", 2},
		{"enabled", &disabled, &enabled, `enabled {"status":"Disabled"} {"status":"Active"}`, "again", 3},
		{"disabled once more", &disabled, &stopped, `disabled null null`, "", 3},
		{"done", &s, &finished, `disabled {"status":"Active"} {"status":"Disabled"}`, "done", 2},
	} {
		a := Audited(row.old, row.next, "bob", now)
		if row.want == "" { // all of it
			if len(a.Before["trigger"]) < 5000 || len(a.After["trigger"]) < 5000 {
				t.Errorf("%s: %.100s", row.name, recorded(a))
			}
			continue
		}
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

// What is too long for a record is cut, and says so: of two texts that differ, from where they do.
func TestAuditCut(t *testing.T) {
	x, far := strings.Repeat("x", 300), strings.Repeat("é", 200)
	a := Audit{
		Before: map[string]json.RawMessage{
			"parameters": []byte(`{"a":"` + x + `1` + x + `","b":"short"}`), "description": []byte(`"` + far + `"`), "jitter": []byte(`"5m"`),
		},
		After: map[string]json.RawMessage{
			"parameters": []byte(`{"a":"` + x + `2` + x + `"}`), "calendars": []byte(`["a","` + x + `"]`), "jitter": []byte(`"6m"`),
		},
	}
	const want = `{"description":"ééééé … (cut, of 400 bytes)","jitter":"5m","parameters":{"a":"… xxxxxxxxxxxxxxxxxxxx1xxxxxxxxxxxxxxxxxxx … (cut, of 601 bytes)","b":"short"}} ` +
		`{"calendars":["a","xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx … (cut, of 300 bytes)"],"jitter":"6m","parameters":{"a":"… xxxxxxxxxxxxxxxxxxxx2xxxxxxxxxxxxxxxxxxx … (cut, of 601 bytes)"}}`
	if got := recorded(a.Cut(40)); strings.TrimPrefix(got, " ") != strings.Replace(want, "ééééé", far[:40], 1) {
		t.Errorf("%s, want\n%s", got, want)
	}
	if got := recorded(a.Cut(100).Cut(40)); got != recorded(a.Cut(40)) {
		t.Errorf("cut twice: %s", got)
	}
	if got := recorded(a.Cut(10_000)); got != recorded(a) {
		t.Errorf("what is short enough is cut: %s", got)
	}
	odd := strings.Repeat("x", 15) + far // whose letters have two bytes: the cut falls into one
	cutOff := Audit{After: map[string]json.RawMessage{"description": []byte(`"` + odd + `"`)}}.Cut(40)
	if got := string(cutOff.After["description"]); got != `"`+odd[:39]+` … (cut, of 415 bytes)"` {
		t.Error(got)
	}
	mixed := Audit{
		Before: map[string]json.RawMessage{"settings": []byte(`{"s":"short"}`), "trigger": []byte(`"t"`)},
		After:  map[string]json.RawMessage{"settings": []byte(`{"s":[{"a":"` + x + `","b":1}]}`), "trigger": []byte(`{"t":"` + x + `"}`)},
	}.Cut(40)
	if got := recorded(mixed); got != ` {"settings":{"s":"short"},"trigger":"t"} {"settings":{"s":[{"a":"`+x[:40]+` … (cut, of 300 bytes)","b":1}]},"trigger":{"t":"`+x[:40]+` … (cut, of 300 bytes)"}}` {
		t.Error(got)
	}
	end := Audit{Before: map[string]json.RawMessage{"d": []byte(`"` + x + `1"`)}, After: map[string]json.RawMessage{"d": []byte(`"` + x + `"`)}}.Cut(40)
	if got := recorded(end); got != ` {"d":"… `+x[:39]+`1 (cut, of 301 bytes)"} {"d":"… `+x[:40]+` (cut, of 300 bytes)"}` {
		t.Error(got)
	}
}

func TestAuditedRun(t *testing.T) {
	asked := Asked(every(15), "", "x", "ann", Parameters{"a": "b"}, at("11:00:00.5"))
	o := asked
	o.Nominal = at("08:00:00")
	for want, a := range map[string]Audit{
		`triggered null {"parameters":{"a":"b"}}`:                                  AuditedRun(asked, WasTriggered, "ann", asked.Recorded),
		`triggered null {"nominal":"2026-11-22T08:00:00Z","parameters":{"a":"b"}}`: AuditedRun(o, WasTriggered, "ann", asked.Recorded),
		`cancelled null null`: AuditedRun(asked, WasCancelled, "ann", asked.Recorded),
	} {
		if recorded(a) != want || a.By != "ann" || a.Schedule != "s" || a.Run != asked.ID || a.Revision != 1 || !a.At.Equal(asked.Recorded) || !a.What.OfRun() {
			t.Errorf("%s, %+v; want %s", recorded(a), a, want)
		}
	}
}

func TestAuditedFill(t *testing.T) {
	b := Backfill{From: at("08:00:00"), To: at("09:00:00"), Newest: true, By: "ann", Parameters: Parameters{"a": "b"}}
	asked := AuditedFill(every(15), b, at("11:00:00").In(time.FixedZone("", 3600)))
	a := asked.Making(5)
	const want = `backfilled null {"at_once":1,"from":"2026-11-22T08:00:00Z","order":"newest","parameters":{"a":"b"},"runs":5,"to":"2026-11-22T09:00:00Z"}`
	if recorded(a) != want || a.By != "ann" || a.Schedule != "s" || a.At.Location() != time.UTC || a.What.OfRun() {
		t.Errorf("%s, %+v; want %s", recorded(a), a, want)
	}
	if strings.Contains(recorded(asked), "runs") {
		t.Errorf("before it is known how many it makes: %s", recorded(asked))
	}
}
