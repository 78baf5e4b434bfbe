package recur

import (
	"cmp"
	"slices"
	"strings"
)

// Decode reads a definition from JSON: an object with "type" and the fields of Spec in snake case. Everything that
// is wrong is reported at once; what is unknown is rejected, null and empty lists are the same as nothing. Names
// may have any letter case, weekdays three letters, and hours, minutes and week_days may stand beside frequency as
// they did in v1. The Spec comes in its canonical form; with errors it is of no use.
//
// What depends on the instant of creation (a time that is over, a definition without start_time that never
// fires) is left to Compile.
func Decode(data []byte) (Spec, FieldErrors) {
	var errs FieldErrors
	o, ok := ReadObject("", data, &errs)
	if !ok {
		return Spec{}, errs
	}
	s := o.definition("")
	errs.sort()
	return s, errs
}

// definition reads and checks a Spec; kind is its type when none is written.
func (o *Object) definition(kind Kind) Spec {
	before := len(*o.errs)
	s, flat := o.spec()
	if s.Kind == "" {
		s.Kind = kind
	}
	allowed := kindFields[s.Kind]
	if allowed == nil {
		allowed = fieldOrder[1:12]
	}
	o.Strangers(append([]string{"type"}, allowed...))

	c := compiler{spec: s, created: minWall, uncreated: true, flat: flat}
	_, found := c.compile()
	o.merge(found)
	if len(*o.errs) == before {
		s.canonical()
	}
	return s
}

// merge adds what a check of the values found, save for fields whose form is wrong already.
func (o *Object) merge(found FieldErrors) {
	known := slices.Clone(*o.errs)
	for _, f := range found {
		f.Field = o.path + f.Field
		if !slices.ContainsFunc(known, func(e FieldError) bool { return e.Field == f.Field }) {
			*o.errs = append(*o.errs, f)
		}
	}
}

// spec reads the fields of every kind. flat names the lists that stood beside schedule rather than in it.
func (o *Object) spec() (s Spec, flat map[string]bool) {
	s.Kind = Kind(strings.ToLower(o.Text("type")))
	s.Frequency = o.Text("frequency")
	s.Interval = o.interval()
	s.Expression = o.Text("expression")
	s.At = o.Text("at")
	s.StartTime = o.Text("start_time")
	s.EndTime = o.Text("end_time")
	s.TimeZone = o.Text("time_zone")
	s.TimeOfDay = o.Text("time_of_day")

	var p Pattern
	if raw := o.Value("schedule"); raw != nil {
		if inner, ok := ReadObject(o.path+"schedule", raw, o.errs); ok {
			inner.pattern(&p)
			inner.Strangers([]string{"minutes", "hours", "week_days", "month_days", "monthly_occurrences"})
		}
	}
	flat = o.flatten(&p)
	if !p.empty() {
		s.Schedule = &p
	}
	return s, flat
}

func (o *Object) interval() int {
	n, ok := o.integer("interval")
	if ok && n == 0 { // which in a Spec means absent
		o.Fail("interval", "0 is too small: the smallest is 1")
	}
	return n
}

func (o *Object) pattern(p *Pattern) {
	p.Minutes = o.integers("minutes", 0)
	p.Hours = o.integers("hours", 0)
	p.WeekDays = o.texts("week_days", "Monday")
	p.MonthDays = o.integers("month_days", 1)
	for _, m := range o.list("monthly_occurrences") {
		p.MonthlyOccurrences = append(p.MonthlyOccurrences, o.occurrence(m))
	}
}

func (o *Object) occurrence(m member) MonthlyOccurrence {
	inner, ok := ReadObject(o.path+m.name, m.value, o.errs)
	if !ok {
		return MonthlyOccurrence{Day: "Monday"} // stands for what is reported
	}
	mo := MonthlyOccurrence{Day: inner.Text("day")}
	place, ok := inner.integer("occurrence")
	if mo.Occurrence = place; ok && place == 0 {
		inner.Fail("occurrence", "0 is outside 1 to 5 and -1 (the last) to -5; leave it out for every one")
	}
	inner.Strangers([]string{"day", "occurrence"})
	return mo
}

// flatten moves the lists that v1 has beside frequency into the pattern.
func (o *Object) flatten(p *Pattern) map[string]bool {
	beside := Pattern{
		Hours:    o.integers("hours", 0),
		Minutes:  o.integers("minutes", 0),
		WeekDays: o.texts("week_days", "Monday"),
	}
	flat := map[string]bool{}
	move(o, flat, "hours", beside.Hours, &p.Hours)
	move(o, flat, "minutes", beside.Minutes, &p.Minutes)
	move(o, flat, "week_days", beside.WeekDays, &p.WeekDays)
	return flat
}

func move[T any](o *Object, flat map[string]bool, name string, from []T, to *[]T) {
	switch {
	case len(from) == 0:
	case len(*to) > 0:
		o.Fail(name, "given in schedule, too: keep one of them")
	default:
		*to, flat[name] = from, true
	}
}

func (p *Pattern) empty() bool {
	return p == nil || len(p.Minutes)+len(p.Hours)+len(p.WeekDays)+len(p.MonthDays)+len(p.MonthlyOccurrences) == 0
}

// canonical gives a definition without errors the one form that all ways to write it share.
func (s *Spec) canonical() {
	s.Frequency = strings.ToLower(s.Frequency)
	s.Expression = strings.Join(strings.Fields(s.Expression), " ")
	if sec, ok := parseHourMinute(s.TimeOfDay); ok {
		if s.Schedule == nil {
			s.Schedule = new(Pattern)
		}
		s.Schedule.Hours, s.Schedule.Minutes = []int{int(sec / 3600)}, []int{int(sec / 60 % 60)}
		s.TimeOfDay = ""
	}
	if p := s.Schedule; p != nil {
		p.canonical()
	}
}

func (p *Pattern) canonical() {
	p.Minutes, p.Hours, p.MonthDays = sorted(p.Minutes), sorted(p.Hours), sorted(p.MonthDays)
	var days []int
	for _, name := range p.WeekDays {
		d, _ := weekdayIndex(name)
		days = append(days, d)
	}
	p.WeekDays = nil
	for _, d := range sorted(days) {
		p.WeekDays = append(p.WeekDays, weekdayNames[d])
	}
	for i, o := range p.MonthlyOccurrences {
		d, _ := weekdayIndex(o.Day)
		p.MonthlyOccurrences[i].Day = weekdayNames[d]
	}
	slices.SortFunc(p.MonthlyOccurrences, func(a, b MonthlyOccurrence) int {
		x, _ := weekdayIndex(a.Day)
		y, _ := weekdayIndex(b.Day)
		return cmp.Or(cmp.Compare(x, y), cmp.Compare(a.Occurrence, b.Occurrence))
	})
	p.MonthlyOccurrences = slices.Compact(p.MonthlyOccurrences)
}

func sorted(list []int) []int {
	slices.Sort(list)
	return slices.Compact(list)
}
