package recur

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// String describes a definition in an English sentence without a full stop: "every 2 weeks on Monday and Friday at
// 10:30, Europe/Vienna". One that is not valid is described as far as that goes.
func (s Spec) String() string {
	var b strings.Builder
	switch s.Kind {
	case KindAt:
		b.WriteString("once at " + s.At)
	case KindCron:
		b.WriteString(cronSentence(s.Expression))
	default:
		b.WriteString(s.sentence())
	}
	if i := frequencyIndex(s.Frequency); i < 0 || frequencies[i].seconds == 0 || s.StartTime+s.EndTime != "" {
		zone := s.TimeZone
		if zone == "" {
			zone = "UTC"
		}
		b.WriteString(", " + zone)
	}
	if s.StartTime != "" {
		b.WriteString(", from " + s.StartTime)
	}
	if s.EndTime != "" && s.StartTime == "" {
		b.WriteString(",")
	}
	if s.EndTime != "" {
		b.WriteString(" until " + s.EndTime)
	}
	return b.String()
}

func (s Spec) sentence() string {
	p := s.Schedule
	if p == nil {
		p = new(Pattern)
	}
	text := every(s.Interval, strings.ToLower(s.Frequency))
	switch {
	case len(p.WeekDays) > 0:
		text += " on " + and(weekdayList(p.WeekDays))
	case len(p.MonthDays) > 0:
		text += " on " + and(monthDayList(p.MonthDays))
	case len(p.MonthlyOccurrences) > 0:
		text += " on " + and(occurrenceList(p.MonthlyOccurrences))
	}
	return text + s.timesOfDay(p)
}

// every is "every day", "every 2 days".
func every(n int, unit string) string {
	if n == 1 {
		return "every " + unit
	}
	return fmt.Sprintf("every %d %ss", n, unit)
}

// timesOfDay is " at 10:30" as far as the definition itself tells: without start_time the rest is the instant of
// creation's.
func (s Spec) timesOfDay(p *Pattern) string {
	i := frequencyIndex(s.Frequency)
	if i < 0 || frequencies[i].seconds > 0 {
		return ""
	}
	if s.TimeOfDay != "" {
		return " at " + s.TimeOfDay
	}
	hours, minutes := sorted(slices.Clone(p.Hours)), sorted(slices.Clone(p.Minutes))
	if wall, ok := s.startWall(); ok {
		if p.empty() && wall%60 != 0 {
			return " at " + time.Unix(wall, 0).UTC().Format("15:04:05")
		}
		if len(hours) == 0 {
			hours = []int{int(mod(wall, day) / 3600)}
		}
		if len(minutes) == 0 {
			minutes = []int{int(mod(wall, 3600) / 60)}
		}
	}
	if len(hours) > 0 && len(minutes) == 0 {
		minutes = []int{0}
	}
	return atTimes(hours, minutes)
}

// startWall is the wall time of start_time.
func (s Spec) startWall() (wall int64, ok bool) {
	start, err := parseClock(s.StartTime)
	z, err2 := loadZone(s.TimeZone)
	if err != nil || err2 != nil {
		return 0, false
	}
	return start.in(z), true
}

// atTimes lists the times of a day, or, when they are many, their hours and minutes.
func atTimes(hours, minutes []int) string {
	const most = 6
	if len(hours) == 0 || len(minutes) == 0 {
		return ""
	}
	if len(hours)*len(minutes) > most {
		return fmt.Sprintf(" at %s of %s", plural("minute", minutes), plural("hour", hours))
	}
	var times []string
	for _, h := range hours {
		for _, m := range minutes {
			times = append(times, fmt.Sprintf("%02d:%02d", h, m))
		}
	}
	return " at " + and(times)
}

// plural is "minute 5", "minutes 5 and 10", "hours 8 to 17".
func plural(noun string, numbers []int) string {
	if len(numbers) == 1 {
		return fmt.Sprintf("%s %d", noun, numbers[0])
	}
	return noun + "s " + and(runs(numbers, strconv.Itoa))
}

// runs shortens three and more neighbours to "8 to 17".
func runs(numbers []int, name func(int) string) (parts []string) {
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		switch {
		case j-i >= 2:
			parts = append(parts, name(numbers[i])+" to "+name(numbers[j]))
		case j > i:
			parts = append(parts, name(numbers[i]), name(numbers[j]))
		default:
			parts = append(parts, name(numbers[i]))
		}
		i = j + 1
	}
	return parts
}

func weekdayList(names []string) []string {
	var days []int
	for _, name := range names {
		if d, ok := weekdayIndex(name); ok {
			days = append(days, d)
		}
	}
	return runs(sorted(days), func(d int) string { return weekdayNames[d] })
}

func monthDayList(days []int) (parts []string) {
	fromStart := slices.DeleteFunc(sorted(slices.Clone(days)), func(d int) bool { return d < 0 })
	if len(fromStart) > 0 {
		parts = append(parts, "the "+and(runs(fromStart, ordinal)))
	}
	for _, d := range slices.Backward(sorted(slices.Clone(days))) {
		if d < 0 {
			parts = append(parts, "the "+fromEnd(d)+" day")
		}
	}
	return parts
}

func occurrenceList(list []MonthlyOccurrence) (parts []string) {
	for _, o := range list {
		switch {
		case o.Occurrence > 0:
			parts = append(parts, "the "+ordinal(o.Occurrence)+" "+o.Day)
		case o.Occurrence < 0:
			parts = append(parts, "the "+fromEnd(o.Occurrence)+" "+o.Day)
		default:
			parts = append(parts, "every "+o.Day)
		}
	}
	return parts
}

// fromEnd is "last", "2nd last".
func fromEnd(n int) string {
	if n == -1 {
		return "last"
	}
	return ordinal(-n) + " last"
}

func ordinal(n int) string {
	suffix := "th"
	if n/10%10 != 1 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return strconv.Itoa(n) + suffix
}

func and(parts []string) string { return join(parts, " and ") }

// join puts commas between all but the last two parts.
func join(parts []string, word string) string {
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	last := len(parts) - 1
	return strings.Join(parts[:last], ", ") + word + parts[last]
}

// cronSentence describes an expression; one that cannot be read stands as it is.
func cronSentence(text string) string {
	x := parseCron(text)
	if len(x.problems) > 0 {
		return "cron " + text
	}
	return x.timesOfDay() + x.dates()
}

func (x *cronExpr) timesOfDay() string {
	minutes, hours := x.numbers(0), x.numbers(1)
	switch {
	case x.restricted(1) && len(minutes)*len(hours) <= 6:
		return strings.TrimPrefix(atTimes(hours, minutes), " ")
	case !x.restricted(0) && !x.restricted(1):
		return "every minute"
	}
	text := "at " + plural("minute", minutes)
	if step, ok := x.stepOf(0); ok {
		text = every(step, "minute")
	} else if !x.restricted(0) {
		text = "every minute"
	}
	if step, ok := x.stepOf(1); ok {
		return text + " of " + every(step, "hour")
	}
	if !x.restricted(1) {
		if _, ok := x.stepOf(0); ok {
			return text
		}
		return text + " of every hour"
	}
	return text + " of " + plural("hour", hours)
}

// stepOf reports a field that is nothing but */n.
func (x *cronExpr) stepOf(field int) (int, bool) {
	list, f := x.items[field], cronFields[field]
	if len(list) != 1 || !list[0].star || list[0].step < 2 || (f.hi+1-f.lo)%list[0].step != 0 {
		return 0, false
	}
	return list[0].step, true
}

func (x *cronExpr) dates() (text string) {
	if x.restricted(2) {
		text += " on " + plural("day", x.numbers(2)) + " of the month"
	}
	if x.restricted(4) {
		days := runs(x.mondayFirst(), func(d int) string { return weekdayNames[d] })
		if x.restricted(2) {
			text += " if that is a " + join(days, " or ")
		} else {
			text += " on " + and(days)
		}
	}
	if x.restricted(3) {
		text += " in " + and(runs(x.numbers(3), func(m int) string { return cronFields[3].names[m-1] }))
	}
	return text
}

func (x *cronExpr) numbers(field int) (list []int) {
	for n := range 64 {
		if x.bits[field]>>n&1 == 1 {
			list = append(list, n)
		}
	}
	return list
}

func (x *cronExpr) mondayFirst() (days []int) {
	for d := range 7 {
		if x.bits[4]>>((d+1)%7)&1 == 1 {
			days = append(days, d)
		}
	}
	return days
}
