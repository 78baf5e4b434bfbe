package recur

import (
	"fmt"
	"slices"
	"strings"
)

var weekdayNames = []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}

// weekdayIndex is 0 for Monday, from a full or a three-letter name in any letter case.
func weekdayIndex(name string) (int, bool) { return indexName(weekdayNames, name) }

func indexName(names []string, name string) (int, bool) {
	i := slices.IndexFunc(names, func(full string) bool {
		return strings.EqualFold(full, name) || strings.EqualFold(full[:3], name)
	})
	return i, i >= 0
}

// frequencies are the periods of a recurrence, with the longest interval of each.
var frequencies = []struct {
	name    string
	longest int
	seconds int64 // of elapsed time; 0 where the wall clock counts
	unit    unit
}{
	{"minute", 72000, 60, 0}, {"hour", 12000, 3600, 0}, {"day", 1000, 0, byDay}, {"week", 1000, 0, byWeek}, {"month", 1000, 0, byMonth},
}

func frequencyIndex(name string) int {
	for i, f := range frequencies {
		if strings.EqualFold(f.name, name) {
			return i
		}
	}
	return -1
}

func (c *compiler) recurrence() {
	s := c.spec
	i := frequencyIndex(s.Frequency)
	if i < 0 {
		c.fail("frequency", "%s: give minute, hour, day, week or month", missingOr(s.Frequency))
		c.interval(frequencies[0].longest)
		return
	}
	f := frequencies[i]
	c.interval(f.longest)
	part := s.Schedule
	if part == nil {
		part = new(Pattern)
	}
	if f.seconds > 0 {
		c.elapsed(f.seconds, part)
		return
	}
	w := &c.rule.wall
	w.unit, w.interval, w.months = f.unit, int64(s.Interval), 1<<12-1
	c.times(part)
	c.weekdays(part)
	c.monthDays(part)
	w.first = f.unit.period(floorDiv(c.anchor, day))
}

func missingOr(value string) string {
	if value == "" {
		return "required"
	}
	return fmt.Sprintf("%q is none", shorten(value))
}

func (c *compiler) interval(longest int) {
	switch n := c.spec.Interval; {
	case n == 0:
		c.fail("interval", "required: a whole number, 1 to %d", longest)
	case n < 0 || n > longest:
		c.fail("interval", "%d is outside 1 to %d", n, longest)
	}
}

// elapsed makes a rule that counts real time from the anchor.
func (c *compiler) elapsed(seconds int64, part *Pattern) {
	r := c.rule
	r.step = seconds * int64(c.spec.Interval)
	r.anchor = r.lo
	if !c.started {
		r.anchor = c.created - mod(clock{wall: c.created, fixed: true}.in(r.zone), 60)
	}
	const only = "only with frequency day, week or month"
	c.unfit("time_of_day", c.spec.TimeOfDay != "", only)
	c.unfit(c.path("minutes"), len(part.Minutes) > 0, only)
	c.unfit(c.path("hours"), len(part.Hours) > 0, only)
	c.weekdays(part)
	c.monthDays(part)
}

func (c *compiler) unfit(field string, given bool, message string) {
	if given {
		c.fail(field, "%s", message)
	}
}

func (c *compiler) path(list string) string {
	if c.flat[list] {
		return list
	}
	return "schedule." + list
}

// period is the number of the day, week or month that holds a date.
func (u unit) period(date int64) int64 {
	switch u {
	case byWeek:
		return weekOf(date)
	case byMonth:
		month, _ := monthOf(date)
		return month
	}
	return date
}

// times sets hours, minutes and second: those that are given, or else the anchor's.
func (c *compiler) times(part *Pattern) {
	w := &c.rule.wall
	hours, minutes := len(part.Hours) > 0, len(part.Minutes) > 0
	w.hours = uint32(c.set(c.path("hours"), part.Hours, 23))
	w.minutes = c.set(c.path("minutes"), part.Minutes, 59)
	if text := c.spec.TimeOfDay; text != "" {
		sec, ok := parseHourMinute(text)
		if !ok {
			c.fail("time_of_day", "%q is not a time of day: write it as 07:30", shorten(text))
		}
		c.unfit("time_of_day", hours || minutes, "not together with hours or minutes")
		w.hours, w.minutes = 1<<(sec/3600), 1<<(sec/60%60)
		return
	}
	if !hours {
		w.hours = 1 << (mod(c.anchor, day) / 3600)
	}
	switch {
	case minutes && !hours && !c.started:
		c.unfit(c.path("minutes"), c.spec.StartTime == "", "give hours or start_time")
	case !minutes && hours && !c.started:
		w.minutes = 1
	case !minutes:
		w.minutes = 1 << (mod(c.anchor, 3600) / 60)
	}
	if !hours && !minutes && len(part.WeekDays)+len(part.MonthDays)+len(part.MonthlyOccurrences) == 0 {
		w.second = mod(c.anchor, 60)
	}
}

// set makes the bits of the numbers 0 to most.
func (c *compiler) set(field string, values []int, most int) (bits uint64) {
	for i, v := range values {
		if v < 0 || v > most {
			c.fail(fmt.Sprintf("%s[%d]", field, i), "%d is outside 0 to %d", v, most)
			continue
		}
		bits |= 1 << v
	}
	return bits
}

func (c *compiler) weekdays(part *Pattern) {
	w := &c.rule.wall
	field := c.path("week_days")
	if len(part.WeekDays) > 0 && !strings.EqualFold(c.spec.Frequency, "week") {
		c.fail(field, "only with frequency week")
		return
	}
	for i, name := range part.WeekDays {
		d, ok := weekdayIndex(name)
		if !ok {
			c.fail(fmt.Sprintf("%s[%d]", field, i), "%q is no weekday: give Monday to Sunday or Mon to Sun", shorten(name))
			continue
		}
		w.weekdays |= 1 << d
	}
	if len(part.WeekDays) == 0 {
		w.weekdays = 1 << weekday(floorDiv(c.anchor, day))
	}
}

// monthDays sets the days of months of every shape.
func (c *compiler) monthDays(part *Pattern) {
	const only = "only with frequency month"
	if !strings.EqualFold(c.spec.Frequency, "month") {
		c.unfit("schedule.month_days", len(part.MonthDays) > 0, only)
		c.unfit("schedule.monthly_occurrences", len(part.MonthlyOccurrences) > 0, only)
		return
	}
	m := new(monthTable)
	for i, d := range part.MonthDays {
		if d == 0 || d < -31 || d > 31 {
			c.fail(fmt.Sprintf("schedule.month_days[%d]", i), "%d is outside 1 to 31 and -1 (the last day) to -31", d)
			continue
		}
		m.add(d)
	}
	for i, o := range part.MonthlyOccurrences {
		c.occurrence(fmt.Sprintf("schedule.monthly_occurrences[%d]", i), o, m)
	}
	c.unfit("schedule.monthly_occurrences", len(part.MonthDays) > 0 && len(part.MonthlyOccurrences) > 0, "not together with month_days")
	if len(part.MonthDays)+len(part.MonthlyOccurrences) == 0 {
		_, dom := monthOf(floorDiv(c.anchor, day))
		m.add(int(dom))
	}
	c.rule.wall.days = m
}

func (c *compiler) occurrence(field string, o MonthlyOccurrence, m *monthTable) {
	d, ok := weekdayIndex(o.Day)
	if !ok {
		c.fail(field+".day", "%s: give Monday to Sunday or Mon to Sun", missingOr(o.Day))
	}
	if o.Occurrence < -5 || o.Occurrence > 5 {
		c.fail(field+".occurrence", "%d is outside 1 to 5 and -1 (the last) to -5", o.Occurrence)
		return
	}
	if ok {
		m.addWeekday(d, o.Occurrence)
	}
}
