package recur

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// awkward zones: gaps of 20 and 30 minutes, of 2 and of 24 hours, at midnight and over it, negative summer time,
// quarter hours, Ramadan, and ordinary ones.
var awkward = []string{
	"Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca", "Antarctica/Troll", "Pacific/Chatham",
	"America/Nuuk", "Europe/Dublin", "Asia/Beirut", "Africa/Cairo", "America/Havana", "America/Sao_Paulo", "Pacific/Kwajalein",
	"Africa/Monrovia", "Asia/Tehran", "Antarctica/Casey", "America/New_York", "Europe/Vienna", "UTC", "Pacific/Fakaofo",
}

// chooser draws a definition and an instant from a stream of choices; pick(n) is 0 to n-1.
type chooser struct{ pick func(n int) int }

func (c chooser) some(most, lo, hi int) (list []int) {
	for range c.pick(most + 1) {
		list = append(list, lo+c.pick(hi-lo+1))
	}
	return sorted(list)
}

// moment is an instant near a clock change of the zone, between 1970 and 2200.
func (c chooser) moment(loc *time.Location) time.Time {
	t := time.Unix(int64(c.pick(230*366))*day, 0).In(loc)
	if _, end := t.ZoneBounds(); !end.IsZero() && end.After(t) {
		t = end
	}
	return t.Add(time.Duration(c.pick(72*60)-36*60) * time.Minute).Add(time.Duration(c.pick(60)) * time.Second)
}

func (c chooser) bound(t time.Time, loc *time.Location) string {
	t = t.Add(time.Duration(c.pick(48*60)-24*60) * time.Minute)
	switch c.pick(4) {
	case 0:
		return t.UTC().Format("2006-01-02T15:04:05Z")
	case 1:
		return t.In(loc).Format("2006-01-02T15:04:05")
	case 2:
		return t.UTC().Format("2006-01-02T15:04") // a wall time, perhaps in a gap
	}
	return t.In(loc).Format("2006-01-02T15:04")
}

func (c chooser) recurrence() Spec {
	s := Spec{Kind: KindRecurrence, Frequency: frequencies[c.pick(5)].name, Interval: 1}
	if c.pick(2) == 0 {
		s.Interval = 1 + c.pick(6)
	}
	if s.Frequency == "minute" || s.Frequency == "hour" || c.pick(5) == 0 {
		return s
	}
	p := Pattern{Minutes: c.some(3, 0, 59), Hours: c.some(3, 0, 23)}
	if s.Frequency == "week" {
		for _, d := range c.some(3, 0, 6) {
			p.WeekDays = append(p.WeekDays, weekdayNames[d])
		}
	}
	if s.Frequency == "month" {
		switch c.pick(3) {
		case 0:
			p.MonthDays = slices.DeleteFunc(c.some(4, -31, 31), func(d int) bool { return d == 0 })
		case 1:
			for range c.pick(3) {
				p.MonthlyOccurrences = append(p.MonthlyOccurrences, MonthlyOccurrence{weekdayNames[c.pick(7)], c.pick(11) - 5})
			}
		}
	}
	if !p.empty() {
		s.Schedule = &p
	}
	return s
}

func (c chooser) cron() Spec {
	hours := []string{"*", "*/2", "1-3", "0,2", "2", "23", "1/5", "0-23/2", "0-3"}
	days := []string{"*", "*", "*", "1-7", "25-31", "*/2", "31"}
	months := []string{"*", "*", "3-4,9-10", "MAR", "*/3"}
	weekdays := []string{"*", "*", "Sun", "mon-fri", "6,7", "5-7"}
	minutes := []string{"*/15", "30", "0", "10,40", "5/20", "59"}
	from := func(list []string) string { return list[c.pick(len(list))] }
	return Spec{Kind: KindCron, Expression: strings.Join(
		[]string{from(minutes), from(hours), from(days), from(months), from(weekdays)}, " ")}
}

// example is a definition with instants around which it is looked at.
type example struct {
	spec      Spec
	loc       *time.Location
	created   time.Time
	at, other time.Time
}

func (c chooser) example() example {
	zone := awkward[c.pick(len(awkward))]
	loc, err := LoadZone(zone)
	if err != nil {
		panic(err)
	}
	e := example{loc: loc}
	e.at = c.moment(loc)
	e.created = e.at.Add(-time.Duration(c.pick(40*24*3600)) * time.Second)
	if e.spec = c.recurrence(); c.pick(4) == 0 {
		e.spec = c.cron()
	}
	e.spec.TimeZone = zone
	if c.pick(2) == 0 {
		e.spec.StartTime = c.bound(e.at.AddDate(0, 0, -c.pick(3)*15), loc)
	}
	if c.pick(5) == 0 {
		e.spec.EndTime = c.bound(e.at.AddDate(0, 0, 2), loc)
	}
	e.other = e.at.Add(time.Duration(c.pick(4*24*60)) * time.Minute)
	return e
}

func (e example) String() string {
	text, _ := json.Marshal(e.spec)
	return fmt.Sprintf("%s created %s at %s", text, e.created.UTC().Format(time.RFC3339Nano), e.at.Format(time.RFC3339Nano))
}

// check holds an example against the reference and the laws.
func (e example) check(t *testing.T) {
	rule, errs := e.spec.Compile(e.created)
	if errs != nil {
		return
	}
	ref := newReference(e.spec, e.loc, e.created)
	from, to := e.at.Add(-36*time.Hour), e.at.Add(36*time.Hour)
	want := ref.between(from, to)
	var got []time.Time
	for o := range rule.All(from) {
		if !o.Before(to) {
			break
		}
		got = append(got, o)
	}
	if !slices.EqualFunc(got, want, time.Time.Equal) {
		t.Fatalf("%v\ngot  %v\nwant %v", e, got, want)
	}
	e.laws(t, rule, got)
	e.counts(t, rule, got, from, to)
	e.moved(t, rule, ref, got)
}

// laws: Next is strictly later; from any instant in the gap before an occurrence it is that occurrence; the sequences
// from two instants agree after the later one.
func (e example) laws(t *testing.T, rule *Rule, list []time.Time) {
	for i, o := range list {
		before := e.at.Add(-36*time.Hour - time.Nanosecond)
		if i > 0 {
			before = list[i-1]
		}
		for _, after := range []time.Time{before, before.Add(o.Sub(before) / 2), o.Add(-time.Nanosecond)} {
			if next, ok := rule.Next(after); after.Before(o) && (!ok || !next.Equal(o)) {
				t.Fatalf("%v: Next(%v) = %v, want %v", e, after, next, o)
			}
		}
		if o.Location() != e.loc || o.Nanosecond() != 0 {
			t.Fatalf("%v: %v is not in the zone, or not whole", e, o)
		}
	}
	next, ok := rule.Next(e.other)
	if ok && !next.After(e.other) {
		t.Fatalf("%v: Next(%v) = %v is not later", e, e.other, next)
	}
	for o := range rule.All(e.at) {
		if o.After(e.other) {
			if !o.Equal(next) {
				t.Fatalf("%v: after %v comes %v from %v, else %v", e, e.other, o, e.at, next)
			}
			break
		}
	}
}

func (e example) counts(t *testing.T, rule *Rule, list []time.Time, from, to time.Time) {
	n, first, last := rule.CountBetween(from.Add(-1), to.Add(-1), 1<<30)
	few, _, same := rule.CountBetween(from.Add(-1), to.Add(-1), 2)
	if n != len(list) || few != min(2, n) || !same.Equal(last) {
		t.Fatalf("%v: counted %d and %d to %v and %v, want %d", e, n, few, last, same, len(list))
	}
	if n > 0 && (!first.Equal(list[0]) || !last.Equal(list[n-1])) {
		t.Fatalf("%v: first %v, last %v, want %v, %v", e, first, last, list[0], list[n-1])
	}
}

// moved: what clocks do not show as the definition has it, and only that, is marked.
func (e example) moved(t *testing.T, rule *Rule, ref *reference, list []time.Time) {
	if rule.step > 0 || rule.real {
		return
	}
	minutes, hours, second := ref.timesOfDay()
	for _, o := range list {
		shown := slices.Contains(minutes, o.Minute()) && slices.Contains(hours, o.Hour()) && o.Second() == second
		if e.spec.Kind == KindRecurrence {
			shown = shown && ref.date(wallTime(o.Year(), o.Month(), o.Day(), 0, 0, 0))
		}
		if e.spec.Kind == KindCron {
			shown = shown && cronHas(parseCron(e.spec.Expression), o)
		}
		if rule.Moved(o) == shown {
			t.Fatalf("%v: Moved(%v) = %t", e, o, rule.Moved(o))
		}
	}
}

func TestLaws(t *testing.T) {
	n := 4000
	if testing.Short() {
		n = 400
	}
	r := rand.New(rand.NewPCG(2, 30))
	for range n {
		chooser{r.IntN}.example().check(t)
	}
}

func FuzzLaws(f *testing.F) {
	f.Add([]byte("recurrence"))
	f.Add([]byte{7, 1, 3, 60, 2, 200, 9, 0, 4, 17, 99})
	f.Fuzz(func(t *testing.T, data []byte) {
		chooser{func(n int) int {
			v := 0
			for size := 1; size < n; size <<= 8 {
				b := byte(len(data))
				if len(data) > 0 {
					b, data = data[0], data[1:]
				}
				v = v<<8 | int(b)
			}
			return v % n
		}}.example().check(t)
	})
}
