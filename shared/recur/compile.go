package recur

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Compile makes the rule of a definition; everything that is wrong with it is reported at once, by field.
// created is the instant at which the schedule was created: the anchor of a definition without start_time, which
// then fires after it only. Whatever the Spec holds, Compile takes bounded time.
func (s Spec) Compile(created time.Time) (*Rule, FieldErrors) {
	c := compiler{spec: s, created: min(max(created.Unix(), minWall), maxWall)}
	return c.compile()
}

// compiler checks a Spec and builds its rule in one pass, so that nothing is checked that is not built so.
type compiler struct {
	spec      Spec
	created   int64
	uncreated bool            // created stands for an instant that is not known yet
	base      *zone           // where time_zone is absent; nil is UTC
	flat      map[string]bool // lists of Schedule that were written beside it; nil for none
	errs      FieldErrors
	rule      *Rule
	started   bool
	anchor    int64 // wall time: start_time, or created cut to the minute
}

func (c *compiler) compile() (*Rule, FieldErrors) {
	c.rule = &Rule{zone: cmp.Or(c.base, utc)}
	switch c.spec.Kind {
	case KindRecurrence:
		c.bounds()
		c.recurrence()
	case KindCron:
		c.bounds()
		c.cron()
	case KindAt:
		c.at()
	default:
		c.fail("type", `give "recurrence", "cron" or "at"`)
	}
	c.strangers()
	if len(c.errs) == 0 {
		c.possible()
	}
	if len(c.errs) > 0 {
		c.errs.sort()
		return nil, c.errs
	}
	return c.rule, nil
}

func (c *compiler) fail(field, format string, args ...any) {
	c.errs = append(c.errs, FieldError{field, fmt.Sprintf(format, args...)})
}

// strangers reports fields that the kind does not have.
func (c *compiler) strangers() {
	s := c.spec
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"frequency", s.Frequency != ""}, {"interval", s.Interval != 0}, {"expression", s.Expression != ""},
		{"at", s.At != ""}, {"start_time", s.StartTime != ""}, {"end_time", s.EndTime != ""},
		{"time_of_day", s.TimeOfDay != ""}, {"schedule", s.Schedule != nil && len(c.flat) == 0},
		{"hours", c.flat["hours"]}, {"minutes", c.flat["minutes"]}, {"week_days", c.flat["week_days"]},
	} {
		if allowed := kindFields[s.Kind]; f.given && allowed != nil && !slices.Contains(allowed, f.name) {
			c.fail(f.name, "not used with type %s, which has %s", s.Kind, strings.Join(allowed, ", "))
		}
	}
}

var kindFields = map[Kind][]string{
	KindRecurrence: {"frequency", "interval", "start_time", "end_time", "time_zone", "time_of_day", "schedule", "hours", "minutes", "week_days"},
	KindCron:       {"expression", "start_time", "end_time", "time_zone"},
	KindAt:         {"at", "time_zone"},
}

// zone reads time_zone.
func (c *compiler) zone() {
	if c.spec.TimeZone == "" {
		return
	}
	z, err := loadZone(c.spec.TimeZone)
	if err != nil {
		c.fail("time_zone", "%v", err)
		return
	}
	c.rule.zone = z
}

// bounds reads time_zone, start_time and end_time: the anchor, and between which instants the rule may fire.
func (c *compiler) bounds() {
	c.zone()
	r, z := c.rule, c.rule.zone
	shown := clock{wall: c.created, fixed: true}.in(z)
	c.anchor = shown - mod(shown, 60)
	r.lo, r.hi = c.created+1, lastInstant(z)
	if start, ok := c.clock("start_time", c.spec.StartTime); ok {
		c.started = true
		c.anchor, r.lo = start.in(z), start.instant(z)
	}
	r.created = !c.started
	if end, ok := c.clock("end_time", c.spec.EndTime); ok {
		r.hi = min(r.hi, end.instant(z))
		if c.started && r.hi < r.lo {
			c.fail("end_time", "is before start_time")
		}
	}
}

func (c *compiler) clock(field, written string) (clock, bool) {
	if written == "" {
		return clock{}, false
	}
	t, err := parseClock(written)
	if err != nil {
		c.fail(field, "%q is %v", shorten(written), err)
	}
	return t, err == nil
}

// lastInstant is the end of the year 9999, in the zone and in UTC: no format for times has a fifth digit.
func lastInstant(z *zone) int64 { return min(maxWall, z.resolve(maxWall)) }

// at makes the rule of one instant: elapsed time whose first and last occurrence are the same.
func (c *compiler) at() {
	c.zone()
	if c.spec.At == "" {
		c.fail("at", "required: a time, as 2026-01-31T10:30")
		return
	}
	t, ok := c.clock("at", c.spec.At)
	if !ok {
		return
	}
	u := t.instant(c.rule.zone)
	c.rule.anchor, c.rule.step, c.rule.lo, c.rule.hi = u, 1, u, u
	if u <= c.created {
		c.fail("at", "is over already")
	}
}

func (c *compiler) cron() {
	if strings.TrimSpace(c.spec.Expression) == "" {
		c.fail("expression", "required: five fields, minute hour day month weekday")
		return
	}
	x := parseCron(c.spec.Expression)
	for _, message := range x.problems {
		c.fail("expression", "%s", message)
	}
	if len(x.problems) == 0 {
		c.rule.wall, c.rule.real, c.rule.notices = x.pattern(), x.real(), x.notices()
	}
}

// possible rejects what does not fire within 400 years of its beginning: then it never does. end_time is left out
// of it, so the verdict does not hang on when it is asked for.
func (c *compiler) possible() {
	if c.spec.Kind == KindAt || c.uncreated && !c.started && c.spec.Kind == KindRecurrence {
		return
	}
	trial := *c.rule
	trial.hi = min(lastInstant(trial.zone), trial.lo+cycleLen)
	trial.wall.last, _ = monthOf(floorDiv(trial.hi, day) + 1)
	if u, _ := trial.next(trial.lo, -1); u == never {
		c.fail(c.suspect(), "never fires: no date within 400 years fits")
	}
	c.rule.wall.last = 9999*12 + 11
}

// suspect is the field that most likely makes a definition impossible.
func (c *compiler) suspect() string {
	p := c.spec.Schedule
	switch {
	case c.spec.Kind == KindCron:
		return "expression"
	case p != nil && len(p.MonthDays) > 0:
		return "schedule.month_days"
	case p != nil && len(p.MonthlyOccurrences) > 0:
		return "schedule.monthly_occurrences"
	}
	return "start_time"
}

var fieldOrder = []string{
	"type", "frequency", "interval", "expression", "at", "start_time", "end_time", "time_zone", "time_of_day",
	"hours", "minutes", "week_days", "schedule", "schedule.minutes", "schedule.hours", "schedule.week_days",
	"schedule.month_days", "schedule.monthly_occurrences",
}

// sort puts the errors in the order of the fields, and of the elements of a list; those of fields that a definition
// does not have come last.
func (e FieldErrors) sort() {
	slices.SortStableFunc(e, func(a, b FieldError) int {
		x, i := a.rank()
		y, j := b.rank()
		return cmp.Or(cmp.Compare(x, y), cmp.Compare(i, j))
	})
}

// rank is the place of the field among all, and of the element in its list.
func (f FieldError) rank() (field, element int) {
	name, rest, _ := strings.Cut(f.Field, "[")
	number, _, _ := strings.Cut(rest, "]")
	element, _ = strconv.Atoi(number)
	if i := slices.Index(fieldOrder, name); i >= 0 {
		return i, element
	}
	return len(fieldOrder), element
}

func mod(a, b int64) int64 { return a - floorDiv(a, b)*b }
