package recur

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Calendar says when schedules that name it do not fire. Dates, ranges and recurrences exclude whole local days;
// spans exclude instants.
type Calendar struct {
	TimeZone    string      `json:"time_zone,omitempty"`   // IANA or Windows id; absent is the schedule's
	Dates       []string    `json:"dates,omitempty"`       // YYYY-MM-DD
	DateRanges  []DateRange `json:"date_ranges,omitempty"` // both ends excluded, too
	Spans       []Span      `json:"spans,omitempty"`
	Recurrences []Spec      `json:"recurrences,omitempty"` // the days on which they have occurrences
}

// DateRange is the days from First to Last, both written YYYY-MM-DD.
type DateRange struct {
	First string `json:"first"`
	Last  string `json:"last"`
}

// Span is the instants From <= t < To, written as a start_time is.
type Span struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// DecodeCalendar reads a calendar from JSON in the manner of Decode. Its recurrences have the calendar's zone and
// may leave out type; without start_time they have to tell their days by themselves: every one of them, not
// every second.
func DecodeCalendar(data []byte) (Calendar, FieldErrors) {
	var errs FieldErrors
	o, ok := ReadObject("", data, &errs)
	if !ok {
		return Calendar{}, errs
	}
	c := Calendar{TimeZone: o.Text("time_zone")}
	z, err := loadZone(c.TimeZone)
	if err != nil {
		o.Fail("time_zone", "%v", err)
		z = utc
	}
	c.Dates = o.dates()
	for _, m := range o.list("date_ranges") {
		c.DateRanges = append(c.DateRanges, o.dateRange(m))
	}
	for _, m := range o.list("spans") {
		c.Spans = append(c.Spans, o.span(m, z))
	}
	for _, m := range o.list("recurrences") {
		c.Recurrences = append(c.Recurrences, o.days(m))
	}
	o.Strangers([]string{"time_zone", "dates", "date_ranges", "spans", "recurrences"})
	if len(errs) == 0 && len(c.Dates)+len(c.DateRanges)+len(c.Spans)+len(c.Recurrences) == 0 {
		o.Fail("dates", "the calendar is empty: give dates, date_ranges, spans or recurrences")
	}
	return c, errs
}

const badDate = "%q is no date: write it as 2026-01-31"

func (o *Object) dates() []string {
	dates := o.texts("dates", "2026-01-31")
	for i, d := range dates {
		if !isDate(d) {
			o.Fail(fmt.Sprintf("dates[%d]", i), badDate, shorten(d))
		}
	}
	slices.Sort(dates)
	return slices.Compact(dates)
}

func isDate(s string) bool {
	_, ok := parseDate(s)
	return ok && len(s) == len("2026-01-31")
}

func (o *Object) dateRange(m member) DateRange {
	inner, ok := ReadObject(o.path+m.name, m.value, o.errs)
	if !ok {
		return DateRange{}
	}
	r := DateRange{inner.Text("first"), inner.Text("last")}
	inner.Strangers([]string{"first", "last"})
	before := len(*o.errs)
	if !isDate(r.First) {
		inner.Fail("first", badDate, shorten(r.First))
	}
	if !isDate(r.Last) {
		inner.Fail("last", badDate, shorten(r.Last))
	}
	if len(*o.errs) == before && r.Last < r.First {
		inner.Fail("last", "is before first")
	}
	return r
}

func (o *Object) span(m member, z *zone) Span {
	inner, ok := ReadObject(o.path+m.name, m.value, o.errs)
	if !ok {
		return Span{}
	}
	s := Span{inner.Text("from"), inner.Text("to")}
	inner.Strangers([]string{"from", "to"})
	from, err := parseClock(s.From)
	if err != nil {
		inner.Fail("from", "%q is %v", shorten(s.From), err)
	}
	to, err2 := parseClock(s.To)
	if err2 != nil {
		inner.Fail("to", "%q is %v", shorten(s.To), err2)
	}
	if err == nil && err2 == nil && to.instant(z) <= from.instant(z) {
		inner.Fail("to", "is not after from")
	}
	return s
}

func (o *Object) days(m member) Spec {
	inner, ok := ReadObject(o.path+m.name, m.value, o.errs)
	if !ok {
		return Spec{}
	}
	s := inner.definition(KindRecurrence)
	switch p := s.Schedule; {
	case s.Kind != KindRecurrence:
		inner.merge(FieldErrors{{"type", "only recurrence: a calendar has no other"}})
	case s.TimeZone != "":
		inner.Fail("time_zone", "is the calendar's: write it there")
	case s.StartTime != "":
	case s.Interval > 1:
		inner.Fail("start_time", "required with an interval: it tells which days count")
	case strings.EqualFold(s.Frequency, "week") && (p == nil || len(p.WeekDays) == 0):
		inner.Fail("schedule.week_days", "required without start_time")
	case strings.EqualFold(s.Frequency, "month") && (p == nil || len(p.MonthDays)+len(p.MonthlyOccurrences) == 0):
		inner.Fail("schedule.month_days", "required without start_time (or monthly_occurrences)")
	}
	return s
}

// Excludes reports whether the calendar excludes an instant. zone is the schedule's, for a calendar that has none.
// To ask for many instants, use In.
func (c Calendar) Excludes(t time.Time, zone *time.Location) bool { return c.In(zone)(t) }

// In compiles the calendar for a schedule's zone, which holds for a calendar that has none: the function reports whether
// an instant is excluded. What a calendar that was never decoded holds wrongly excludes nothing.
func (c Calendar) In(zone *time.Location) func(t time.Time) bool {
	z := zoneOf(zone)
	if c.TimeZone != "" {
		own, err := loadZone(c.TimeZone)
		if err != nil {
			return func(time.Time) bool { return false }
		}
		z = own
	}
	var days []*Rule
	for _, s := range c.Recurrences {
		compiler := compiler{spec: s, created: minWall, base: z}
		if rule, errs := compiler.compile(); len(errs) == 0 {
			days = append(days, rule)
		}
	}
	return func(t time.Time) bool {
		date := t.In(z.loc).Format(time.DateOnly)
		return slices.Contains(c.Dates, date) ||
			slices.ContainsFunc(c.DateRanges, func(r DateRange) bool { return r.First <= date && date <= r.Last }) ||
			slices.ContainsFunc(c.Spans, func(s Span) bool { return s.holds(t.Unix(), z) }) ||
			slices.ContainsFunc(days, func(r *Rule) bool { return r.hasDay(t.Unix(), z) })
	}
}

func (s Span) holds(u int64, z *zone) bool {
	from, err := parseClock(s.From)
	to, err2 := parseClock(s.To)
	return err == nil && err2 == nil && from.instant(z) <= u && u < to.instant(z)
}

// hasDay reports whether an occurrence falls on the local day of u.
func (r *Rule) hasDay(u int64, z *zone) bool {
	date := floorDiv(u+z.offset(z.find(u)), day)
	first, _ := r.next(z.resolve(date*day), -1)
	return first < z.resolve((date+1)*day)
}
