package recur

import (
	"testing"
	"time"
)

var benchCreated = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func benchRule(b *testing.B, s Spec) *Rule {
	b.Helper()
	r, errs := s.Compile(benchCreated)
	if errs != nil {
		b.Fatal(errs)
	}
	return r
}

// every15, mondays and monthly are the definitions of the peers' benchmark.
func every15(zone string) Spec {
	return Spec{Kind: KindRecurrence, Frequency: "minute", Interval: 15, TimeZone: zone}
}

func mondays(zone string) Spec {
	return Spec{Kind: KindRecurrence, Frequency: "week", Interval: 1, TimeZone: zone,
		Schedule: &Pattern{Hours: []int{10}, Minutes: []int{30}, WeekDays: []string{"Monday", "Friday"}}}
}

func monthly(zone string) Spec {
	return Spec{Kind: KindRecurrence, Frequency: "month", Interval: 1, TimeZone: zone,
		Schedule: &Pattern{Hours: []int{6}, Minutes: []int{0}, MonthDays: []int{1}}}
}

func cron(expression, zone string) Spec {
	return Spec{Kind: KindCron, Expression: expression, TimeZone: zone}
}

func BenchmarkNext(b *testing.B) {
	for _, zone := range []string{"UTC", "America/New_York"} {
		for _, c := range []struct {
			name string
			spec Spec
		}{
			{"every15", every15(zone)}, {"mondays", mondays(zone)}, {"monthly", monthly(zone)},
			{"cron-every15", cron("*/15 * * * *", zone)}, {"cron-mondays", cron("30 10 * * Mon,Fri", zone)},
			{"cron-monthly", cron("0 6 1 * *", zone)},
		} {
			b.Run(zone+"/"+c.name, func(b *testing.B) {
				r := benchRule(b, c.spec)
				t, end := benchCreated, benchCreated.AddDate(60, 0, 0)
				b.ReportAllocs()
				for b.Loop() {
					if t, _ = r.Next(t); t.After(end) {
						t = benchCreated
					}
				}
			})
		}
	}
}

// BenchmarkWorst is what takes Next and Compile longest.
func BenchmarkWorst(b *testing.B) {
	gap := cron("* */24 25-31 3 0", "Asia/Beirut") // never shown since 1993: clocks go from 0:00 to 1:00 on these days
	ancient := time.Date(1985, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name    string
		spec    Spec
		created time.Time
		after   time.Time
	}{
		{"29-February-on-a-Monday", cron("0 0 29 2 1", "America/New_York"), benchCreated, time.Date(2088, 3, 1, 0, 0, 0, 0, time.UTC)},
		{"gap-for-ever", gap, ancient, benchCreated},
		{"every-83-years", Spec{Kind: KindRecurrence, Frequency: "month", Interval: 996, TimeZone: "America/New_York",
			StartTime: "2024-02-01T00:00", Schedule: &Pattern{MonthDays: []int{29}}}, benchCreated, time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)},
	} {
		b.Run("Next/"+c.name, func(b *testing.B) {
			r, errs := c.spec.Compile(c.created)
			if errs != nil {
				b.Fatal(errs)
			}
			b.ReportAllocs()
			for b.Loop() {
				r.Next(c.after)
			}
		})
	}
	for _, c := range []struct {
		name string
		spec Spec
	}{
		{"30-February", cron("0 0 30 2 *", "America/New_York")},
		{"odd-29-February", Spec{Kind: KindRecurrence, Frequency: "month", Interval: 24, StartTime: "2023-02-01T00:00",
			Schedule: &Pattern{MonthDays: []int{29}}}},
		{"gap-for-ever", gap},
	} {
		b.Run("Compile/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, errs := c.spec.Compile(benchCreated); errs == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	const zone = "America/New_York"
	started := mondays(zone)
	started.StartTime, started.EndTime = "2026-01-05T08:00", "2030-01-05T08:00"
	for _, c := range []struct {
		name string
		spec Spec
	}{
		{"every15", every15(zone)}, {"mondays", mondays(zone)}, {"monthly", monthly(zone)}, {"started", started},
		{"last-friday", Spec{Kind: KindRecurrence, Frequency: "month", Interval: 1, TimeZone: zone,
			Schedule: &Pattern{Hours: []int{6}, MonthlyOccurrences: []MonthlyOccurrence{{"Friday", -1}, {"Monday", 2}}}}},
		{"cron", cron("*/15 8-18 * 1,4,7,10 Mon-Fri", zone)},
		{"windows", every15("W. Europe Standard Time")},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				benchRule(b, c.spec)
			}
		})
	}
}

// BenchmarkDecode is from JSON to a checked definition.
func BenchmarkDecode(b *testing.B) {
	data := []byte(`{"type":"recurrence","frequency":"week","interval":2,"time_zone":"Europe/Vienna","schedule":{"hours":[10],"minutes":[30],"week_days":["Monday","Friday"]}}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, errs := Decode(data); errs != nil {
			b.Fatal(errs)
		}
	}
}

// BenchmarkYear enumerates a year of every-minute occurrences: 525,600 of them an operation.
func BenchmarkYear(b *testing.B) {
	for _, zone := range []string{"UTC", "America/New_York"} {
		for _, c := range []struct {
			name string
			spec Spec
		}{
			{"minute", Spec{Kind: KindRecurrence, Frequency: "minute", Interval: 1, TimeZone: zone}},
			{"cron", cron("* * * * *", zone)},
			{"cron-hours", cron("* 0-23 * * *", zone)},
		} {
			b.Run(zone+"/"+c.name, func(b *testing.B) {
				r := benchRule(b, c.spec)
				end := benchCreated.AddDate(1, 0, 0)
				n := 0
				for b.Loop() {
					for t := range r.All(benchCreated) {
						if !t.Before(end) {
							break
						}
						n++
					}
				}
				b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "M/s")
			})
		}
	}
}

// BenchmarkZone is the first use of a zone in a process.
func BenchmarkZone(b *testing.B) {
	for b.Loop() {
		loc, err := time.LoadLocation("America/New_York")
		if err != nil {
			b.Fatal(err)
		}
		newZone(loc)
	}
}
