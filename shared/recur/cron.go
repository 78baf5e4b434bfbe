package recur

import (
	"fmt"
	"strconv"
	"strings"
)

// cronField is one of the five fields of an expression.
type cronField struct {
	name   string
	lo, hi int      // hi is where steps end
	alias  int      // a number above hi that is allowed and means lo; 0 for none
	names  []string // of lo, lo+1, …
}

var cronFields = [5]cronField{
	{name: "minute", hi: 59},
	{name: "hour", hi: 23},
	{name: "day", lo: 1, hi: 31},
	{name: "month", lo: 1, hi: 12, names: []string{
		"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}},
	{name: "weekday", hi: 6, alias: 7, names: []string{
		"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}},
}

// cronItem is an element of a field's list: the numbers from, from+step, … to.
type cronItem struct {
	from, to, step int
	star, open     bool // written *; written a/n, which goes on to the end
	stepped        bool // written with a /
}

// cronExpr is a parsed expression, or its problems.
type cronExpr struct {
	items    [5][]cronItem
	bits     [5]uint64
	problems []string
}

func parseCron(text string) cronExpr {
	var x cronExpr
	fields := strings.Fields(text)
	if len(fields) > 0 && strings.HasPrefix(fields[0], "@") {
		x.fail("macros as %s are not supported: write five fields, as 0 0 * * * for every midnight", shorten(fields[0]))
		return x
	}
	switch n := len(fields); {
	case n == 6:
		x.fail("has 6 fields: seconds are not supported; give minute hour day month weekday")
		return x
	case n != 5:
		x.fail("has %d fields: give five, minute hour day month weekday (seconds are not supported)", n)
		return x
	}
	for i, text := range fields {
		f := &cronFields[i]
		for item := range strings.SplitSeq(text, ",") {
			parsed, problem := f.item(item)
			if problem != "" {
				x.fail("%s: %s", f.name, problem)
				continue
			}
			x.items[i] = append(x.items[i], parsed)
			x.bits[i] |= f.bits(parsed)
		}
	}
	return x
}

func (x *cronExpr) fail(format string, args ...any) {
	const most = 20
	if len(x.problems) < most {
		x.problems = append(x.problems, fmt.Sprintf(format, args...))
	}
}

// item reads *, a, a-b, and each with /n behind it. The problem is empty when it is well-formed.
func (f *cronField) item(text string) (it cronItem, problem string) {
	body, step, stepped := strings.Cut(text, "/")
	it = cronItem{step: 1, stepped: stepped}
	if stepped {
		n, ok := digits(step, 1<<30)
		if !ok || n == 0 {
			return it, fmt.Sprintf("%q: the step has to be a number from 1", shorten(text))
		}
		it.step = int(n)
	}
	if body == "*" {
		it.star, it.from, it.to = true, f.lo, f.hi
		return it, ""
	}
	first, second, isRange := strings.Cut(body, "-")
	if it.from, problem = f.value(first, text); problem != "" {
		return it, problem
	}
	it.to = it.from
	switch {
	case isRange:
		if it.to, problem = f.value(second, text); problem != "" {
			return it, problem
		}
		if it.to < it.from {
			return it, fmt.Sprintf("%q is a reversed range: write it as two, with a comma", shorten(text))
		}
	case stepped:
		it.open, it.from, it.to = true, f.plain(it.from), f.hi
	}
	return it, ""
}

func (f *cronField) value(s, item string) (int, string) {
	if i, ok := indexName(f.names, s); ok {
		return f.lo + i, ""
	}
	n, err := strconv.Atoi(s)
	if _, ok := digits(s, 1<<30); !ok || err != nil {
		return 0, f.unreadable(s, item)
	}
	if n < f.lo || n > max(f.hi, f.alias) {
		return 0, fmt.Sprintf("%d is outside %d to %d", n, f.lo, f.hi)
	}
	return n, ""
}

// unreadable explains what is neither a number nor a name of the field.
func (f *cronField) unreadable(s, item string) string {
	if strings.ContainsAny(s, "?LlWw#") {
		return fmt.Sprintf("%q is not supported: ?, L, W and # are not; a monthly recurrence has last and nth days", shorten(item))
	}
	if f.names != nil {
		return fmt.Sprintf("%q is not understood: give %d to %d, or a name as %s or %s", shorten(item), f.lo, f.hi, f.names[1], f.names[1][:3])
	}
	return fmt.Sprintf("%q is not understood: give *, numbers %d to %d, ranges a-b, and steps */n", shorten(item), f.lo, f.hi)
}

// plain replaces the alias by what it means.
func (f *cronField) plain(n int) int {
	if n > f.hi {
		return f.lo
	}
	return n
}

func (f *cronField) bits(it cronItem) (set uint64) {
	for n := it.from; n <= it.to; n += it.step {
		set |= 1 << f.plain(n)
	}
	return set
}

func (f *cronField) full() uint64 { return 1<<(f.hi+1) - 1<<f.lo }

// pattern combines the fields. Day and weekday both have to match. Days and weeks are less work than months.
func (x *cronExpr) pattern() pattern {
	const sinceEver = -1 << 32
	p := pattern{minutes: x.bits[0], hours: uint32(x.bits[1]), first: sinceEver, interval: 1}
	mondayFirst := uint32(x.bits[4]>>1 | x.bits[4]&1<<6)
	switch {
	case x.restricted(2) || x.restricted(3):
		p.unit, p.months, p.days = byMonth, uint16(x.bits[3]>>1), x.monthTable(mondayFirst)
	case x.restricted(4):
		p.unit, p.weekdays = byWeek, uint8(mondayFirst)
	}
	return p
}

func (x *cronExpr) monthTable(weekdays uint32) *monthTable {
	const weeks = 1 | 1<<7 | 1<<14 | 1<<21 | 1<<28
	t := new(monthTable)
	for i := range t {
		inMonth := uint32(x.bits[2]) & (1<<(29+i) - 1)
		for first := range t[i] {
			fromFirst := (weekdays | weekdays<<7) >> first & 127 // bit 0: the first day's weekday
			t[i][first] = inMonth & uint32(uint64(fromFirst)*weeks<<1)
		}
	}
	return t
}

// real reports whether the expression goes by each real minute, rather than by written hours.
func (x *cronExpr) real() bool {
	for _, it := range x.items[1] {
		if it.star || it.stepped {
			return true
		}
	}
	return false
}

// restricted reports whether a field leaves any of its numbers out.
func (x *cronExpr) restricted(field int) bool { return x.bits[field] != cronFields[field].full() }

func (x *cronExpr) notices() (notices []string) {
	if x.restricted(2) && x.restricted(4) {
		notices = append(notices, "day and weekday are both given: it fires on days that match both, not either (NCRONTAB)")
	}
	for i, items := range x.items {
		f := &cronFields[i]
		for _, it := range items {
			if (it.star || it.open) && it.step > f.hi-f.lo && it.step > 1 {
				notices = append(notices, fmt.Sprintf("%s: a step of %d leads out of the field: only %d matches", f.name, it.step, it.from))
			}
		}
	}
	return notices
}
