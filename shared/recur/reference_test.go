package recur

import (
	"slices"
	"time"
)

// reference is a slow engine that goes by the letter of the rules: it tries every minute of every date, and asks package
// time, one instant after the other, what clocks show. It shares nothing with the engine but the Spec.
type reference struct {
	spec    Spec
	loc     *time.Location
	started bool
	anchor  time.Time // its wall time, in UTC
	first   time.Time // no occurrence before
	end     time.Time
}

func newReference(s Spec, loc *time.Location, created time.Time) *reference {
	r := &reference{spec: s, loc: loc, first: created.Truncate(time.Second).Add(time.Second)}
	shown := created.In(loc)
	r.anchor = wallTime(shown.Year(), shown.Month(), shown.Day(), shown.Hour(), shown.Minute(), 0)
	if s.StartTime != "" {
		r.started = true
		r.anchor, r.first = r.read(s.StartTime)
	}
	if s.EndTime != "" {
		_, r.end = r.read(s.EndTime)
	}
	return r
}

func wallTime(y int, m time.Month, d, h, min, sec int) time.Time {
	return time.Date(y, m, d, h, min, sec, 0, time.UTC)
}

// read gives the wall time, in UTC, and the instant of a written time.
func (r *reference) read(s string) (wall, instant time.Time) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		l := t.In(r.loc)
		return wallTime(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second()), t
	}
	wall, err := time.Parse("2006-01-02T15:04:05", s)
	if err != nil {
		wall, err = time.Parse("2006-01-02T15:04", s)
	}
	if err != nil {
		panic(err)
	}
	instant, _ = r.instant(wall)
	return wall, instant
}

// offsetsAround lists, in order, the offsets that hold within a day and more of a wall time.
func (r *reference) offsetsAround(wall time.Time) (offsets []int) {
	for t := wall.Add(-30 * time.Hour); t.Before(wall.Add(30 * time.Hour)); t = t.Add(15 * time.Minute) {
		if _, off := t.In(r.loc).Zone(); len(offsets) == 0 || offsets[len(offsets)-1] != off {
			offsets = append(offsets, off)
		}
	}
	return offsets
}

// instant is the first instant at which clocks show wall; if they never do, the one that the gap moves it to. gap is the
// length of that gap.
func (r *reference) instant(wall time.Time) (t time.Time, gap time.Duration) {
	offsets := r.offsetsAround(wall)
	var best time.Time
	for _, off := range offsets {
		u := wall.Add(-time.Duration(off) * time.Second)
		if _, shown := u.In(r.loc).Zone(); shown == off && (best.IsZero() || u.Before(best)) {
			best = u
		}
	}
	if !best.IsZero() {
		return best, 0
	}
	for i := 1; i < len(offsets); i++ {
		u := wall.Add(-time.Duration(offsets[i-1]) * time.Second)
		if _, shown := u.In(r.loc).Zone(); shown == offsets[i] && offsets[i] > offsets[i-1] {
			return u, time.Duration(offsets[i]-offsets[i-1]) * time.Second
		}
	}
	panic("no instant for " + wall.String())
}

// between lists the occurrences with from <= t < to.
func (r *reference) between(from, to time.Time) []time.Time {
	var list []time.Time
	switch i := frequencyIndex(r.spec.Frequency); {
	case r.spec.Kind == KindCron && r.real():
		list = r.realMinutes(from, to)
	case r.spec.Kind == KindRecurrence && frequencies[i].seconds > 0:
		list = r.elapsed(from, to, time.Duration(frequencies[i].seconds)*time.Second)
	default:
		list = r.walls(from, to)
	}
	list = slices.DeleteFunc(list, func(t time.Time) bool {
		return t.Before(from) || !t.Before(to) || t.Before(r.first) || !r.end.IsZero() && t.After(r.end)
	})
	slices.SortFunc(list, time.Time.Compare)
	return slices.CompactFunc(list, time.Time.Equal)
}

func (r *reference) elapsed(from, to time.Time, period time.Duration) (list []time.Time) {
	anchor := r.first
	if !r.started {
		_, off := r.first.Add(-time.Second).In(r.loc).Zone()
		anchor = r.anchor.Add(-time.Duration(off) * time.Second)
	}
	step := period * time.Duration(r.spec.Interval)
	if skip := from.Sub(anchor)/step - 1; skip > 0 {
		anchor = anchor.Add(skip * step)
	}
	for t := anchor; t.Before(to); t = t.Add(step) {
		list = append(list, t)
	}
	return list
}

// realMinutes goes through the minutes that clocks show.
func (r *reference) realMinutes(from, to time.Time) (list []time.Time) {
	x := parseCron(r.spec.Expression)
	for t := from.Truncate(time.Second); t.Before(to); t = t.Add(time.Minute) {
		l := t.In(r.loc)
		if s := l.Second(); s > 0 {
			t = t.Add(time.Duration(60-s) * time.Second)
			l = t.In(r.loc)
		}
		if l.Second() == 0 && cronHas(x, l) {
			list = append(list, t)
		}
	}
	return list
}

func (r *reference) real() bool {
	x := parseCron(r.spec.Expression)
	return x.real()
}

func cronHas(x cronExpr, l time.Time) bool {
	for i, v := range []int{l.Minute(), l.Hour(), l.Day(), int(l.Month()), int(l.Weekday())} {
		if x.bits[i]>>v&1 == 0 {
			return false
		}
	}
	return true
}

// walls tries the minutes of the dates around.
func (r *reference) walls(from, to time.Time) (list []time.Time) {
	has := r.date
	minutes, hours, second := r.timesOfDay()
	if r.spec.Kind == KindCron {
		x := parseCron(r.spec.Expression)
		has = func(d time.Time) bool {
			return x.bits[2]>>d.Day()&1 == 1 && x.bits[3]>>int(d.Month())&1 == 1 && x.bits[4]>>int(d.Weekday())&1 == 1
		}
	}
	start := from.UTC().Truncate(24 * time.Hour).Add(-48 * time.Hour)
	for d := start; d.Before(to.Add(48 * time.Hour)); d = d.AddDate(0, 0, 1) {
		if !has(d) {
			continue
		}
		for minute := range 24 * 60 {
			if slices.Contains(hours, minute/60) && slices.Contains(minutes, minute%60) {
				wall := d.Add(time.Duration(minute)*time.Minute + time.Duration(second)*time.Second)
				if t, gap := r.instant(wall); gap < 24*time.Hour {
					list = append(list, t)
				}
			}
		}
	}
	return list
}

func (r *reference) timesOfDay() (minutes, hours []int, second int) {
	if r.spec.Kind == KindCron {
		x := parseCron(r.spec.Expression)
		return x.numbers(0), x.numbers(1), 0
	}
	p := r.spec.Schedule
	if p == nil {
		return []int{r.anchor.Minute()}, []int{r.anchor.Hour()}, r.anchor.Second()
	}
	minutes, hours = p.Minutes, p.Hours
	if minutes == nil && hours != nil && !r.started {
		minutes = []int{0}
	}
	if minutes == nil {
		minutes = []int{r.anchor.Minute()}
	}
	if hours == nil {
		hours = []int{r.anchor.Hour()}
	}
	return minutes, hours, 0
}

// date reports whether the definition takes a day.
func (r *reference) date(d time.Time) bool {
	p := r.spec.Schedule
	if p == nil {
		p = new(Pattern)
	}
	anchor := r.anchor.Truncate(24 * time.Hour)
	periods := 0
	switch r.spec.Frequency {
	case "day":
		periods = int(d.Sub(anchor) / (24 * time.Hour))
	case "week":
		periods = int(monday(d).Sub(monday(anchor)) / (7 * 24 * time.Hour))
	case "month":
		periods = (d.Year()-anchor.Year())*12 + int(d.Month()-anchor.Month())
	}
	if periods < 0 || periods%r.spec.Interval != 0 || d.Before(anchor) && r.spec.Frequency == "day" {
		return false
	}
	switch {
	case r.spec.Frequency == "day":
		return true
	case r.spec.Frequency == "week" && p.WeekDays == nil:
		return d.Weekday() == anchor.Weekday()
	case r.spec.Frequency == "week":
		return slices.Contains(p.WeekDays, d.Weekday().String())
	case len(p.MonthDays)+len(p.MonthlyOccurrences) == 0:
		return d.Day() == anchor.Day()
	case len(p.MonthDays) > 0:
		length := d.AddDate(0, 1, -d.Day()).Day()
		return slices.Contains(p.MonthDays, d.Day()) || slices.Contains(p.MonthDays, d.Day()-length-1)
	}
	return slices.ContainsFunc(p.MonthlyOccurrences, func(o MonthlyOccurrence) bool { return nth(d, o) })
}

func monday(d time.Time) time.Time {
	return d.AddDate(0, 0, -(int(d.Weekday())+6)%7)
}

func nth(d time.Time, o MonthlyOccurrence) bool {
	if d.Weekday().String() != o.Day {
		return false
	}
	before, after := 1, 1 // its place among its like, from both ends
	for e := d.AddDate(0, 0, -7); e.Month() == d.Month(); e = e.AddDate(0, 0, -7) {
		before++
	}
	for e := d.AddDate(0, 0, 7); e.Month() == d.Month(); e = e.AddDate(0, 0, 7) {
		after++
	}
	return o.Occurrence == 0 || o.Occurrence == before || o.Occurrence == -after
}
