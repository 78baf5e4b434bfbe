// Package peers measures shared/recur beside four other engines in one run. It is a module of its own so that none of
// them becomes a dependency of Carillon.
//
//	cd scripts/peers && go test -mod=mod -bench .
//
// BenchmarkNext gives every engine's time for one next occurrence. Carillon, robfig/cron, cronexpr and gronx are asked
// without state, from the occurrence before; rrule-go's iterator goes on from where it stands. BenchmarkFigures holds
// the worst of Carillon's three against the promise: at most the worst of rrule-go's, a quarter of robfig/cron's.
package peers

import (
	"testing"
	"time"

	"carillon/shared/recur"
	"github.com/adhocore/gronx"
	"github.com/gorhill/cronexpr"
	"github.com/robfig/cron/v3"
	"github.com/teambition/rrule-go"
)

// definition is one set of times in the languages of all.
type definition struct {
	name  string
	recur string // the fields of a recurrence, less its type and zone
	cron  string
	rrule rrule.ROption
}

var definitions = []definition{
	{"every15", `"frequency":"minute","interval":15`, "*/15 * * * *",
		rrule.ROption{Freq: rrule.MINUTELY, Interval: 15}},
	{"mondays", `"frequency":"week","interval":1,"schedule":{"hours":[10],"minutes":[30],"week_days":["Monday","Friday"]}`, "30 10 * * 1,5",
		rrule.ROption{Freq: rrule.WEEKLY, Byweekday: []rrule.Weekday{rrule.MO, rrule.FR}, Byhour: []int{10}, Byminute: []int{30}, Bysecond: []int{0}}},
	{"monthly", `"frequency":"month","interval":1,"schedule":{"hours":[6],"month_days":[1]}`, "0 6 1 * *",
		rrule.ROption{Freq: rrule.MONTHLY, Bymonthday: []int{1}, Byhour: []int{6}, Byminute: []int{0}, Bysecond: []int{0}}},
}

var zones = []string{"UTC", "America/New_York"}

// engine gives one occurrence after the other, and starts again in 2026 when it has come to 2056.
type engine struct {
	name string
	make func(tb testing.TB, d definition, zone *time.Location) func()
}

var engines = []engine{
	{"carillon", carillon("recurrence")},
	{"carillon-cron", carillon("cron")},
	{"rrule-go", func(tb testing.TB, d definition, zone *time.Location) func() {
		d.rrule.Dtstart = begin(zone)
		rule, err := rrule.NewRRule(d.rrule)
		check(tb, err)
		next := rule.Iterator()
		return func() {
			if t, ok := next(); !ok || over(t) {
				next = rule.Iterator()
			}
		}
	}},
	{"robfig-cron", func(tb testing.TB, d definition, zone *time.Location) func() {
		schedule, err := cron.ParseStandard(d.cron)
		check(tb, err)
		return stateless(zone, schedule.Next)
	}},
	{"cronexpr", func(tb testing.TB, d definition, zone *time.Location) func() {
		expression, err := cronexpr.Parse(d.cron)
		check(tb, err)
		return stateless(zone, expression.Next)
	}},
	{"gronx", func(tb testing.TB, d definition, zone *time.Location) func() {
		return stateless(zone, func(t time.Time) time.Time {
			t, err := gronx.NextTickAfter(d.cron, t, false)
			check(tb, err)
			return t
		})
	}},
}

func carillon(kind string) func(testing.TB, definition, *time.Location) func() {
	return func(tb testing.TB, d definition, zone *time.Location) func() {
		fields := d.recur
		if kind == "cron" {
			fields = `"expression":"` + d.cron + `"`
		}
		spec, errs := recur.Decode([]byte(`{"type":"` + kind + `",` + fields + `,"time_zone":"` + zone.String() + `"}`))
		if errs != nil {
			tb.Fatal(errs)
		}
		rule, errs := spec.Compile(begin(zone))
		if errs != nil {
			tb.Fatal(errs)
		}
		return stateless(zone, func(t time.Time) time.Time {
			t, _ = rule.Next(t)
			return t
		})
	}
}

func stateless(zone *time.Location, next func(time.Time) time.Time) func() {
	t := begin(zone)
	return func() {
		if t = next(t); over(t) {
			t = begin(zone)
		}
	}
}

func begin(zone *time.Location) time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, zone) }

var last = time.Date(2056, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

func over(t time.Time) bool { return t.Unix() > last }

func check(tb testing.TB, err error) {
	if err != nil {
		tb.Fatal(err)
	}
}

func load(tb testing.TB, name string) *time.Location {
	zone, err := time.LoadLocation(name)
	check(tb, err)
	return zone
}

func BenchmarkNext(b *testing.B) {
	for _, zone := range zones {
		for _, d := range definitions {
			for _, e := range engines {
				b.Run(zone+"/"+d.name+"/"+e.name, func(b *testing.B) {
					next := e.make(b, d, load(b, zone))
					b.ReportAllocs()
					for b.Loop() {
						next()
					}
				})
			}
		}
	}
}

// BenchmarkFigures fails when a promise is broken. Its time is meaningless; the metrics are the worst of the three.
func BenchmarkFigures(b *testing.B) {
	for _, zone := range zones {
		b.Run(zone, func(b *testing.B) {
			worst := map[string]float64{}
			for b.Loop() {
			}
			for _, e := range engines[:4] {
				for _, d := range definitions {
					worst[e.name] = max(worst[e.name], nanoseconds(e.make(b, d, load(b, zone))))
				}
				b.ReportMetric(worst[e.name], e.name+"-ns")
			}
			for _, own := range []string{"carillon", "carillon-cron"} {
				if worst[own] > worst["rrule-go"] || worst[own] > worst["robfig-cron"]/4 {
					b.Errorf("%s: %v", own, worst)
				}
			}
		})
	}
}

// nanoseconds is the time of a call, the best of five rounds.
func nanoseconds(next func()) float64 {
	const calls = 2000
	best := time.Hour
	for range 5 {
		start := time.Now()
		for range calls {
			next()
		}
		best = min(best, time.Since(start))
	}
	return float64(best.Nanoseconds()) / calls
}
