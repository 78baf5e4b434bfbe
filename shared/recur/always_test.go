package recur

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// Before its creation a definition has the times that it would have had, in step with those that it has.
func TestAlways(t *testing.T) {
	const vienna = `,"time_zone":"Europe/Vienna"`
	for _, row := range []struct{ name, json, created, from, want string }{
		{"quarters of an hour", `"frequency":"minute","interval":15`, "2026-11-22T10:07:30Z", "2026-11-22T09:30:00Z", "2026-11-22T09:37:00Z 2026-11-22T09:52:00Z 2026-11-22T10:07:00Z 2026-11-22T10:22:00Z"},
		{"every 7 hours", `"frequency":"hour","interval":7`, "2026-11-22T10:07:00Z", "2026-11-21T00:00:00Z", "2026-11-21T06:07:00Z 2026-11-21T13:07:00Z 2026-11-21T20:07:00Z 2026-11-22T03:07:00Z"},
		{"days, at the time of the creation", `"frequency":"day","interval":1` + vienna, "2026-11-22T10:07:30Z", "2026-10-24T00:00:00Z", "2026-10-24T11:07:00+02:00 2026-10-25T11:07:00+01:00"},
		{"every 3rd day", `"frequency":"day","interval":3,"time_of_day":"06:00"`, "2026-11-22T10:07:30Z", "2026-11-15T00:00:00Z", "2026-11-16T06:00:00Z 2026-11-19T06:00:00Z 2026-11-22T06:00:00Z 2026-11-25T06:00:00Z"},
		{"every other week", `"frequency":"week","interval":2,"schedule":{"hours":[9],"week_days":["Monday"]}`, "2026-11-22T10:07:30Z", "2026-10-20T00:00:00Z", "2026-11-02T09:00:00Z 2026-11-16T09:00:00Z 2026-11-30T09:00:00Z"},
		{"every quarter, the 31st", `"frequency":"month","interval":3,"schedule":{"hours":[0],"month_days":[31]}`, "2026-07-22T10:07:30Z", "2026-01-01T00:00:00Z", "2026-01-31T00:00:00Z 2026-07-31T00:00:00Z 2026-10-31T00:00:00Z"},
		{"cron", `{"type":"cron","expression":"0 6 * * 1"` + vienna + `}`, "2026-11-22T10:07:30Z", "2026-11-08T00:00:00Z", "2026-11-09T06:00:00+01:00 2026-11-16T06:00:00+01:00 2026-11-23T06:00:00+01:00"},
		{"a start_time stays", `"frequency":"day","interval":1,"start_time":"2026-11-20T00:00"`, "2026-11-22T10:07:30Z", "2026-01-01T00:00:00Z", "2026-11-20T00:00:00Z 2026-11-21T00:00:00Z"},
		{"an end_time stays", `"frequency":"day","interval":1,"end_time":"2026-11-21T12:00"`, "2026-11-22T10:07:30Z", "2026-11-20T00:00:00Z", "2026-11-20T10:07:00Z 2026-11-21T10:07:00Z"},
		{"one instant", `{"type":"at","at":"2026-11-23T10:30"}`, "2026-11-22T10:07:30Z", "2026-01-01T00:00:00Z", "2026-11-23T10:30:00Z"},
		{"the year 1", `"frequency":"month","interval":1000`, "2026-11-22T10:07:30Z", "0001-01-01T00:00:00Z", "0026-11-22T10:07:00Z 0110-03-22T10:07:00Z"},
	} {
		rule, errs := mustDecode(t, row.json).Compile(mustTime(t, row.created))
		if errs != nil {
			t.Fatal(row.name, errs)
		}
		want, got := strings.Fields(row.want), []string(nil)
		for at := range rule.Always().All(mustTime(t, row.from)) {
			if got = append(got, at.Format(time.RFC3339)); len(got) == len(want) {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", row.name, got, want)
		}
	}
}

// From the creation on nothing changes, and what comes before has one order in both directions.
func TestAlwaysLaws(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	for range 2000 {
		e := chooser{r.IntN}.example()
		rule, errs := e.spec.Compile(e.created)
		if errs != nil {
			continue
		}
		all, after := rule.Always(), e.created
		for range 5 {
			want, ok := rule.Next(after)
			if got, is := all.Next(after); is != ok || !got.Equal(want) {
				t.Fatalf("%v: after %v comes %v, want %v", e, after, got, want)
			}
			if after = want; !ok {
				break
			}
		}
		at := e.created
		for range 5 {
			before, ok := all.Previous(at)
			if !ok {
				break
			}
			if again, _ := all.Next(before.Add(-time.Second)); !again.Equal(before) {
				t.Fatalf("%v: before %v is %v, which is none", e, at, before)
			}
			if next, ok := all.Next(before); ok && next.Before(at) {
				t.Fatalf("%v: between %v and %v is %v", e, before, at, next)
			}
			at = before
		}
	}
}
