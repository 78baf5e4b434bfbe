package facade

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// filter tells which runs a list is to have. Its text is that of the run history: comparisons (eq, ne, gt, ge, lt, le) with and,
// or, not and parentheses, in any letter case. Values stand in quotes of either sort, or without, as Microsoft's own client
// writes them: then they go as far as the next parenthesis, and, or.
type filter func(historyRun) bool

const (
	maxFilter = 4096
	maxNested = 100
)

// readFilter reads a filter; "" lets everything through. A field that is not known is refused: clients cancel what a list has.
func readFilter(text string) (filter, error) {
	if len(text) > maxFilter {
		return nil, fmt.Errorf("it may have %d bytes", maxFilter)
	}
	r := filterReader{rest: strings.TrimSpace(text)}
	if r.rest == "" {
		return func(historyRun) bool { return true }, nil
	}
	all := r.or()
	if r.err == nil && r.rest != "" {
		r.fail("%.40q is left over", r.rest)
	}
	return all, r.err
}

// filterReader reads what is left of a filter. After an error nothing that it returns counts.
type filterReader struct {
	rest   string
	nested int
	err    error
}

func (r *filterReader) fail(format string, args ...any) filter {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
	return nil
}

var (
	keyword = regexp.MustCompile(`(?i)^(and|or|not)(?:\s+|[(]|$)`)
	fields  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./:-]*`)
	bare    = regexp.MustCompile(`(?is)^(.*?)(?:\)|\s+(?:and|or)(?:[\s(]|$)|$)`)
	compare = regexp.MustCompile(`(?i)^\s+(eq|ne|gt|ge|lt|le)\s+`)
)

// took reports whether a keyword comes next, and takes it.
func (r *filterReader) took(word string) bool {
	parts := keyword.FindStringSubmatch(r.rest)
	if parts == nil || !strings.EqualFold(parts[1], word) {
		return false
	}
	r.skip(len(word))
	return true
}

func (r *filterReader) skip(n int) { r.rest = strings.TrimSpace(r.rest[n:]) }

func (r *filterReader) or() filter {
	left := r.and()
	for r.err == nil && r.took("or") {
		one, other := left, r.and()
		left = func(h historyRun) bool { return one(h) || other(h) }
	}
	return left
}

func (r *filterReader) and() filter {
	left := r.one()
	for r.err == nil && r.took("and") {
		one, other := left, r.one()
		left = func(h historyRun) bool { return one(h) && other(h) }
	}
	return left
}

func (r *filterReader) one() filter {
	if r.nested++; r.nested > maxNested {
		return r.fail("it is nested too deeply")
	}
	defer func() { r.nested-- }()
	if r.took("not") {
		inner := r.one()
		return func(h historyRun) bool { return !inner(h) }
	}
	if !strings.HasPrefix(r.rest, "(") {
		return r.comparison()
	}
	r.skip(1)
	inner := r.or()
	if r.err == nil && !strings.HasPrefix(r.rest, ")") {
		return r.fail("a parenthesis is not closed")
	}
	if r.err == nil {
		r.skip(1)
	}
	return inner
}

func (r *filterReader) comparison() filter {
	field := fields.FindString(r.rest)
	of, err := fieldOf(field)
	if err != nil {
		return r.fail("%.40q: %w", r.rest, err)
	}
	operator := compare.FindStringSubmatch(r.rest[len(field):])
	if operator == nil {
		return r.fail("after %s one of eq, ne, gt, ge, lt, le has to come, with spaces around it", field)
	}
	r.skip(len(field) + len(operator[0]))
	value, isNull := r.value()
	if r.err != nil {
		return nil
	}
	op := strings.ToLower(operator[1])
	if isNull {
		return func(h historyRun) bool {
			_, state := of(h)
			return state == null && op == "eq" || state == set && op == "ne"
		}
	}
	if strings.HasSuffix(strings.ToLower(field), "utc") {
		return r.moment(of, op, value)
	}
	return func(h historyRun) bool {
		got, state := of(h)
		switch {
		case state == missing:
			return false
		case state == null:
			return op == "ne"
		}
		return holds(op, strings.Compare(strings.ToLower(got), strings.ToLower(value)))
	}
}

// moment compares times, which are written in RFC 3339, without an offset meaning UTC, or as a date.
func (r *filterReader) moment(of field, op, value string) filter {
	want, ok := readTime(value)
	if !ok {
		return r.fail("%.40q is no time; write 2026-01-31T10:30:00Z", value)
	}
	return func(h historyRun) bool {
		text, state := of(h)
		got, err := time.Parse(time.RFC3339Nano, text)
		return state == set && err == nil && holds(op, got.Compare(want)) || state == null && op == "ne"
	}
}

func readTime(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func holds(op string, compared int) bool {
	switch op {
	case "eq":
		return compared == 0
	case "ne":
		return compared != 0
	case "gt":
		return compared > 0
	case "ge":
		return compared >= 0
	case "lt":
		return compared < 0
	}
	return compared <= 0
}

// value reads what a field is compared with.
func (r *filterReader) value() (text string, isNull bool) {
	if r.rest != "" && (r.rest[0] == '\'' || r.rest[0] == '"') {
		quote := r.rest[:1]
		var b strings.Builder
		for rest := r.rest[1:]; ; {
			part, after, closed := strings.Cut(rest, quote)
			b.WriteString(part)
			if !closed {
				r.fail("%.40q lacks its closing quote", r.rest)
				return "", false
			}
			if !strings.HasPrefix(after, quote) { // a doubled one stands for itself
				r.rest = strings.TrimSpace(after)
				return b.String(), false
			}
			b.WriteString(quote)
			rest = after[1:]
		}
	}
	text = bare.FindStringSubmatch(r.rest)[1]
	r.skip(len(text))
	if text = strings.TrimSpace(text); text == "" {
		r.fail("a value is missing")
	}
	return text, strings.EqualFold(text, "null")
}

// field reads a part of a run. What a dictionary does not have is missing: nothing holds of it, not even that it is null. So
// Microsoft's client asks whether there is a tag: (Tags/name ne null or Tags/name eq null).
type field func(historyRun) (string, fieldState)

type fieldState int

const (
	set fieldState = iota
	null
	missing
)

func fieldOf(path string) (field, error) {
	head, name, _ := strings.Cut(path, "/")
	text := func(read func(historyRun) string) (field, error) {
		return func(h historyRun) (string, fieldState) { return read(h), set }, nil
	}
	moment := func(read func(historyRun) instant) (field, error) {
		return func(h historyRun) (string, fieldState) {
			at := time.Time(read(h))
			if at.IsZero() {
				return "", null
			}
			return at.Format(time.RFC3339Nano), set
		}, nil
	}
	entry := func(read func(historyRun) map[string]string) (field, error) {
		return func(h historyRun) (string, fieldState) {
			for key, value := range read(h) {
				if strings.EqualFold(key, name) {
					return value, set
				}
			}
			return "", missing
		}, nil
	}
	if name != "" {
		switch strings.ToLower(head) {
		case "tags":
			return entry(func(h historyRun) map[string]string { return h.Tags })
		case "properties":
			return entry(func(h historyRun) map[string]string { return h.Properties })
		case "runtypev2":
			return entry(func(historyRun) map[string]string { return nil })
		}
	}
	switch strings.ToLower(path) {
	case "runid", "rootrunid":
		return text(func(h historyRun) string { return h.RunID })
	case "status":
		return text(func(h historyRun) string { return h.Status })
	case "runtype":
		return text(func(h historyRun) string { return h.RunType })
	case "hidden":
		return text(func(historyRun) string { return "false" })
	case "parentrunid", "target":
		return func(historyRun) (string, fieldState) { return "", null }, nil
	case "createdutc":
		return moment(func(h historyRun) instant { return h.Created })
	case "starttimeutc":
		return moment(func(h historyRun) instant { return h.Started })
	case "endtimeutc":
		return moment(func(h historyRun) instant { return h.Ended })
	}
	return nil, fmt.Errorf("no such field can be compared here; there are Status, RunId, RootRunId, ParentRunId, RunType, Hidden, Target, CreatedUtc, StartTimeUtc, EndTimeUtc, Tags/NAME, Properties/NAME and RunTypeV2/NAME")
}
