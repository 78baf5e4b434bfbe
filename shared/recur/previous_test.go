package recur

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestPrevious(t *testing.T) {
	const vienna = `"time_zone":"Europe/Vienna"`
	for _, row := range []struct{ name, json, created, before, want string }{
		{"of minutes", `"frequency":"minute","interval":15,"start_time":"2026-01-01T00:00"`, "", "2026-03-01T10:15:00Z", "2026-03-01T10:00:00Z"},
		{"strictly before", `"frequency":"minute","interval":15,"start_time":"2026-01-01T00:00"`, "", "2026-03-01T10:15:00.000000001Z", "2026-03-01T10:15:00Z"},
		{"the start itself", `"frequency":"hour","interval":1,"start_time":"2026-01-01T00:00"`, "", "2026-01-01T01:00:00Z", "2026-01-01T00:00:00Z"},
		{"none before the start", `"frequency":"hour","interval":1,"start_time":"2026-01-01T00:00"`, "", "2026-01-01T00:00:00Z", "none"},
		{"none at the creation", `"frequency":"hour","interval":1`, "2026-01-01T00:00:30Z", "2026-01-01T01:00:00Z", "none"},
		{"one after the creation", `"frequency":"hour","interval":1`, "2026-01-01T00:00:30Z", "2026-01-01T01:00:01Z", "2026-01-01T01:00:00Z"},
		{"before the first that fits", `"frequency":"week","interval":1,"start_time":"2026-01-01T00:00","schedule":{"hours":[9],"week_days":["Monday"]}`, "", "2026-01-05T09:00:00Z", "none"},
		{"a week ago", `"frequency":"week","interval":1,"start_time":"2026-01-01T00:00","schedule":{"hours":[9],"week_days":["Monday"]}`, "", "2026-01-12T09:00:00Z", "2026-01-05T09:00:00Z"},
		{"after the end", `"frequency":"day","interval":1,"time_of_day":"09:00","end_time":"2026-01-05T09:00"`, "", "2036-01-01T00:00:00Z", "2026-01-05T09:00:00Z"},
		{"wall time before a gap", `"frequency":"day","interval":1,"time_of_day":"02:30",` + vienna, "2026-03-01T00:00:00Z", "2026-03-30T00:30:00Z", "2026-03-29T03:30:00+02:00"},
		{"an hour that comes twice", `{"type":"cron","expression":"30 * * * *",` + vienna + `}`, "", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00+02:00"},
		{"leap days", `{"type":"cron","expression":"0 0 29 2 *"}`, "", "2032-02-29T00:00:00Z", "2028-02-29T00:00:00Z"},
		{"centuries ago", `"frequency":"month","interval":1000,"start_time":"2026-01-20T12:00"`, "", "9999-01-01T00:00:00Z", "9942-09-20T12:00:00Z"},
		{"at", `{"type":"at","at":"2026-06-01T10:00"}`, "", "2030-01-01T00:00:00Z", "2026-06-01T10:00:00Z"},
		{"before at", `{"type":"at","at":"2026-06-01T10:00"}`, "", "2026-06-01T10:00:00Z", "none"},
		{"the last instant of all", `"frequency":"month","interval":1,"start_time":"9999-10-31T06:00"`, "", "9999-12-31T06:00:00Z", "9999-10-31T06:00:00Z"},
	} {
		rule, errs := mustDecode(t, row.json).Compile(mustTime(t, cmpOr(row.created, "2026-01-01T00:00:00Z")))
		if errs != nil {
			t.Fatal(row.name, errs)
		}
		got := "none"
		if u, ok := rule.Previous(mustTime(t, row.before)); ok {
			got = u.Format(time.RFC3339)
		} else if !u.IsZero() {
			t.Errorf("%s: none, but %v", row.name, u)
		}
		if got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
}

// Previous and Next are held against one another: nothing lies between an instant's two neighbours.
func TestPreviousLaws(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 31))
	for range 2000 {
		e := chooser{r.IntN}.example()
		rule, errs := e.spec.Compile(e.created)
		if errs != nil {
			continue
		}
		got, ok := rule.Previous(e.at)
		first, any := rule.Next(time.Unix(rule.lo-1, 0))
		if ok != (any && first.Before(e.at)) {
			t.Fatalf("%v: Previous %v, %t; the first is %v", e, got, ok, first)
		}
		if !ok {
			continue
		}
		if next, more := rule.Next(got); !got.Before(e.at) || got.Before(first) || got.Location() != e.loc || more && next.Before(e.at) {
			t.Fatalf("%v: Previous %v, and then %v", e, got, next)
		}
		if same, has := rule.Next(got.Add(-time.Nanosecond)); !has || !same.Equal(got) {
			t.Fatalf("%v: Previous %v is no occurrence", e, got)
		}
	}
}

func TestPreviousAllocatesNothing(t *testing.T) {
	for _, s := range []Spec{every15("America/New_York"), mondays("America/New_York"), cron("0 0 29 2 1", "Pacific/Apia")} {
		rule, errs := s.Compile(benchCreated)
		if errs != nil {
			t.Fatal(errs)
		}
		at := benchCreated.AddDate(60, 0, 0)
		if n := testing.AllocsPerRun(20, func() { rule.Previous(at) }); n > 0 {
			t.Errorf("%v: %v allocations", s, n)
		}
	}
}

func BenchmarkPrevious(b *testing.B) {
	far := time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name string
		spec Spec
		at   time.Time
	}{
		{"every15", every15("America/New_York"), benchCreated.AddDate(1, 0, 0)},
		{"mondays", mondays("America/New_York"), benchCreated.AddDate(1, 0, 0)},
		{"monthly", monthly("America/New_York"), benchCreated.AddDate(1, 0, 0)},
		{"29-February-on-a-Monday", cron("0 0 29 2 1", "America/New_York"), time.Date(2116, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"gap-for-ever", cron("* */24 25-31 3 0", "Asia/Beirut"), far},
	} {
		b.Run(c.name, func(b *testing.B) {
			created := benchCreated
			if c.at.Equal(far) {
				created = time.Date(1985, 1, 1, 0, 0, 0, 0, time.UTC)
			}
			r, errs := c.spec.Compile(created)
			if errs != nil {
				b.Fatal(errs)
			}
			b.ReportAllocs()
			for b.Loop() {
				r.Previous(c.at)
			}
		})
	}
}
