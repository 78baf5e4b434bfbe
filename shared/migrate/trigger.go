package migrate

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"carillon/shared/recur"
)

// The numbers of v1's enumerations.
var (
	frequencies = []string{"Month", "Week", "Day", "Hour", "Minute"}
	weekdays    = []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}
)

// recurrence reads a trigger by frequency and interval, whose times of the day and days stand in times.
func recurrence(r, times object, bounded ...string) map[string]any {
	t := map[string]any{"type": "recurrence"}
	if f := r.enum("frequency", frequencies...); f != "" {
		t["frequency"] = strings.TrimSuffix(strings.ToLower(f), "s") // both spellings stand in the documentation
	}
	if interval := r.get("interval"); interval != nil {
		t["interval"] = number(interval)
	}
	bounds(t, r, bounded...)
	if clock := r.text("time_of_day"); clock != "" {
		t["time_of_day"] = padded(clock)
	}
	part := map[string]any{}
	for _, name := range []string{"minutes", "hours", "month_days"} {
		var list []any
		for _, n := range times.list(name) {
			list = append(list, number(n))
		}
		if len(list) > 0 {
			part[name] = list
		}
	}
	var days []any
	for _, day := range times.list("week_days") {
		days = append(days, enumName(day, weekdays...))
	}
	if len(days) > 0 {
		part["week_days"] = days
	}
	if len(part) > 0 {
		t["schedule"] = part
	}
	return t
}

// recurring reads a recurrence of the old schedule. Its times stand beside the rest, or in a part of their own that has
// one of the names.
func (o *old) recurring(path string, r object, parts []string, bounded ...string) {
	part := r.get(parts...)
	if part == nil {
		o.trigger = recurrence(r, r, bounded...)
		o.stray(path, r)
		return
	}
	times := objectOf(part)
	if times.fields == nil {
		o.refuse("%s%s has to be an object: hours, minutes and days", path, parts[0])
	}
	o.trigger = recurrence(r, times, bounded...)
	o.stray(path, r)
	o.stray(path+parts[0]+".", times)
}

// bounds reads what triggers by time have besides: some of start_time and end_time, and a zone.
func bounds(t map[string]any, r object, bounded ...string) {
	for _, name := range bounded {
		if at := wall(r.text(name)); at != "" {
			t[name] = at
		}
	}
	switch zone := r.text("time_zone"); zone {
	case "":
	case "Türkiye Standard Time": // as v2's reference writes it
		t["time_zone"] = "Turkey Standard Time"
	default:
		t["time_zone"] = zone
	}
}

var (
	fraction = regexp.MustCompile(`(:\d\d)\.\d+`)
	dateOnly = regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)
)

// wall is a time as the services and their clients write it: with a space for the T, with parts of a second.
func wall(text string) string {
	text = fraction.ReplaceAllString(strings.TrimSpace(text), "$1")
	if dateOnly.MatchString(text) {
		return text + "T00:00:00"
	}
	return strings.Replace(text, " ", "T", 1)
}

// padded is a time of day with two digits for the hour: v1 took 4:50.
func padded(clock string) string {
	if len(clock) == len("4:50") && clock[1] == ':' {
		return "0" + clock
	}
	return clock
}

// spec is the trigger as its rule is computed; false when it is wrong, which is reported elsewhere.
func spec(t map[string]any) (recur.Spec, bool) {
	data, err := json.Marshal(t)
	if err != nil {
		return recur.Spec{}, false
	}
	s, errs := recur.Decode(data)
	return s, len(errs) == 0
}

// instant is what a time of a trigger stands for.
func instant(s recur.Spec, at string) (time.Time, bool) {
	when := recur.Spec{Kind: recur.KindAt, At: at, TimeZone: s.TimeZone}
	rule, errs := when.Compile(time.Time{})
	if len(errs) > 0 {
		return time.Time{}, false
	}
	return rule.Next(time.Time{})
}

// firesAt reports whether a trigger fires at an instant.
func firesAt(s recur.Spec, at time.Time) bool {
	rule, errs := s.Compile(at.Add(-time.Hour))
	if len(errs) > 0 {
		return false
	}
	next, ok := rule.Next(at.Add(-time.Second))
	return ok && next.Equal(at)
}

// CountsFromCreation reports whether a trigger without start_time would fire at other times had it been created at another.
func CountsFromCreation(s recur.Spec) bool {
	if s.Kind != recur.KindRecurrence || s.StartTime != "" {
		return false
	}
	p := s.Schedule
	if p == nil || s.Interval > 1 || s.Frequency == "minute" || s.Frequency == "hour" || len(p.Hours) == 0 || len(p.Minutes) == 0 {
		return true
	}
	return s.Frequency == "week" && len(p.WeekDays) == 0 || s.Frequency == "month" && len(p.MonthDays) == 0
}

// began says what the old service did without a start_time, and lets the trigger count from the old one's creation
// where that is known.
func (o *old) began(service string, created time.Time) {
	s, ok := spec(o.trigger)
	if !ok || s.StartTime != "" {
		return
	}
	o.differ("it has no start_time: %s ran it for the first time when it was created. The import starts nothing at once", service)
	switch {
	case !CountsFromCreation(s):
	case created.IsZero():
		o.differ("without start_time its times count from its creation: here from that of the new one. Give it the start_time from which the old one counts to keep its times")
	default:
		o.trigger["start_time"] = created.UTC().Format("2006-01-02T15:04:05Z")
		o.differ("its times count from the creation of the old one: start_time is %s", o.trigger["start_time"])
	}
}

// calendar says what is worth knowing of the days on which it fires.
func (o *old) calendar(service string) {
	s, ok := spec(o.trigger)
	if !ok || s.Kind != recur.KindRecurrence {
		return
	}
	if open := leftOpen(s); open != "" {
		from := "takes them from start_time"
		if s.StartTime == "" {
			from = "takes minute 0, and the days from its creation"
		}
		o.differ("it leaves its %s open: Carillon %s. What %s does is not documented: compare the next occurrences", open, from, service)
	}
	if s.Frequency == "week" && s.Interval > 1 {
		o.differ("it runs every %d weeks: here they count from the Monday of the week that holds its start_time. How %s counts them is not documented: compare the next occurrences", s.Interval, service)
	}
	if day := lateDay(s); s.Frequency == "month" && day > 28 {
		o.differ("months without a day %d are skipped, as %s: month_days: [-1] is the last day of every month", day, map[string]string{
			"v1": "are those of v1 by all that is known", "v2": "v2 documents it"}[service])
	}
	if s.EndTime == "" {
		return
	}
	if end, ok := instant(s, s.EndTime); ok && firesAt(s, end) {
		o.differ("an occurrence falls on its end_time: here it fires. What %s does with it is not documented", service)
	}
}

// leftOpen is what a trigger with times or days does not say of them.
func leftOpen(s recur.Spec) string {
	p := s.Schedule
	if p == nil {
		return ""
	}
	var of []string
	for _, part := range []struct {
		name string
		open bool
	}{
		{"hours", len(p.Hours) == 0}, {"minutes", len(p.Minutes) == 0},
		{"week_days", s.Frequency == "week" && len(p.WeekDays) == 0},
		{"month_days", s.Frequency == "month" && len(p.MonthDays) == 0},
	} {
		if part.open {
			of = append(of, part.name)
		}
	}
	return strings.Join(of, " and ")
}

// lateDay is the latest day of the month on which a monthly trigger fires; 0 when it is not known.
func lateDay(s recur.Spec) (day int) {
	if s.Schedule != nil && len(s.Schedule.MonthDays) > 0 {
		for _, d := range s.Schedule.MonthDays {
			day = max(day, d)
		}
		return day
	}
	fmt.Sscanf(s.StartTime, "%4d-%2d-%2d", new(int), new(int), &day)
	return day
}
