package schedule

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"
	"time"

	"carillon/shared/recur"
)

// Values are what the templates of a run's parameters can use. A parameter's value that holds "{{" is a template in the
// manner of text/template; {{"{{"}} writes the braces themselves, and ${{name}}, which is Azure ML's own, stays. There are
//
//	.Schedule.Name                  the schedule's name
//	.Nominal                        the nominal time
//	.Window.Start, .Window.End      of recurrence and cron: from the nominal time before this one, which no calendar
//	                                excludes, to this one; of a batch: its window; of all_of: from its opening to its firing
//	.Change.Path, .ETag, .Datastore in mode each the change, with all_of the one that completed it
//	.Changes                        all changes: written as their paths with a comma between them; range gives one by one,
//	                                each with .Path, .ETag and .Datastore
//	.Previous.RunID, .Status        the run before this one
//
// and the functions utc (the same instant in UTC: utc .Nominal), format (a time in a Go layout, which shows how 2 January
// 2006 15:04:05 is written: format "2006-01-02" .Nominal), len and index of .Changes, eq ne lt le gt ge for texts and
// numbers, and, or, not; and if, with, range (over .Changes, not within another) and variables that are set once. Times are
// written in RFC 3339, in the schedule's zone. What a run does not have (the start of the first window, a change when
// somebody asked for the run, an element of .Changes that is not there) is empty, counts as false, and is written as "".
type Values struct {
	Zone     *time.Location // the schedule's; nil is UTC
	Schedule string         // its name
	Nominal  time.Time
	Window   Span // either end may be zero
	Change   Change
	Changes  []Change
	Previous struct {
		RunID  string
		Status Status
	}
}

// Uses is what runs of a trigger have of Values, beside what all runs have.
type Uses struct{ Change, Changes, Window bool }

// Need is what templates read of Values that the caller may have to look up.
type Need struct{ Window, Changes, Previous bool }

const (
	// maxRendered is how many bytes the templates of a run's field may have as JSON, together, once they are filled in, and
	// how many each may have as it is written.
	maxRendered = MaxOwnParameters
	// maxSteps bounds how often anything is evaluated within range: some tenths of a second.
	maxSteps = 1_000_000
	// maxLayout is how many bytes a layout of format may have.
	maxLayout = 64
)

// CheckTemplates finds what is wrong with the templates among the texts of a field, for a trigger whose runs have uses.
// Templates that pass can be filled in whatever their values are, unless they become too long or there are too many changes.
func CheckTemplates(field string, p Parameters, uses Uses) recur.FieldErrors {
	var errs recur.FieldErrors
	for _, name := range templates(p) {
		if _, err := readTemplate(p[name], uses); err != nil {
			errs = append(errs, recur.FieldError{Field: field + "." + name, Message: err.Error()})
		}
	}
	for _, v := range []Values{{}, sample()} {
		if len(errs) == 0 {
			_, errs = render(field, p, v)
		}
	}
	return errs
}

// Needs tells what the templates among the texts read.
func Needs(all ...Parameters) (need Need) {
	for _, p := range all {
		for _, name := range templates(p) {
			if t, err := readTemplate(p[name], Uses{true, true, true}); err == nil {
				need.Window = need.Window || t.need.Window
				need.Changes = need.Changes || t.need.Changes
				need.Previous = need.Previous || t.need.Previous
			}
		}
	}
	return need
}

// Render returns the texts of a field with their templates filled in; p stays as it is. It takes bounded time, also with
// templates that were never checked, and its error is a recur.FieldErrors: another try would not help.
func Render(field string, p Parameters, v Values) (Parameters, error) {
	out, errs := render(field, p, v)
	if len(errs) > 0 {
		return nil, errs
	}
	return out, nil
}

// templates are the names of the texts that are templates, in order.
func templates(p Parameters) (names []string) {
	for name, value := range p {
		if strings.Contains(value, "{{") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func render(field string, p Parameters, v Values) (Parameters, recur.FieldErrors) {
	names := templates(p)
	if len(names) == 0 {
		return p, nil
	}
	out, d, size := maps.Clone(p), v.data(), 0
	for _, name := range names {
		text, err := fill(p[name], d)
		if err == nil {
			size += jsonSize(text)
			if size > maxRendered {
				err = errTooLong
			}
		}
		if err != nil {
			return nil, recur.FieldErrors{{Field: field + "." + name, Message: err.Error()}}
		}
		out[name] = text
	}
	return out, nil
}

func jsonSize(text string) int {
	written, _ := json.Marshal(text) // a string is always written
	return len(written)
}

var errTooLong = fmt.Errorf("becomes too long: the templates of a run may become %d bytes together. "+
	"A long list can be left out: {{if lt (len .Changes) 100}}{{.Changes}}{{end}}", maxRendered)

func fill(text string, d data) (string, error) {
	read, err := readTemplate(text, Uses{true, true, true})
	if err != nil {
		return "", err
	}
	if n := len(d.Changes); n > 0 && read.steps > maxSteps/n {
		return "", fmt.Errorf("does too much for each of %d changes: write less within range", n)
	}
	t, err := template.New(templateName).Funcs(functions).AddParseTree(templateName, read.tree)
	if err != nil {
		return "", err
	}
	var b bounded
	if err := t.Execute(&b, d); err != nil {
		return "", err
	}
	return b.String(), nil
}

// bounded takes no more than maxRendered, and then stops the template.
type bounded struct{ strings.Builder }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxRendered {
		return 0, errTooLong
	}
	return b.Builder.Write(p)
}

// data is Values as templates see them. No method of its parts can be called: see templateReader.field.
type data struct {
	Schedule struct{ Name string }
	Nominal  *moment
	Window   struct{ Start, End *moment }
	Change   Change
	Changes  changes
	Previous struct{ RunID, Status string }
}

func (v Values) data() (d data) {
	d.Schedule.Name = v.Schedule
	d.Nominal = v.moment(v.Nominal)
	d.Window.Start, d.Window.End = v.moment(v.Window.Start), v.moment(v.Window.End)
	d.Change, d.Changes = v.Change, v.Changes
	d.Previous.RunID, d.Previous.Status = v.Previous.RunID, string(v.Previous.Status)
	return d
}

func (v Values) moment(t time.Time) *moment {
	switch {
	case t.IsZero():
		return nil
	case v.Zone == nil:
		return &moment{t.UTC()}
	}
	return &moment{t.In(v.Zone)}
}

func sample() Values {
	v := Values{Schedule: "daily", Nominal: time.Date(2026, 1, 31, 10, 30, 0, 0, time.UTC)}
	v.Window = Span{Start: v.Nominal.AddDate(0, 0, -1), End: v.Nominal}
	v.Change = Change{Datastore: "inbox", Path: "incoming/a.csv", ETag: "0x8DE60A1B2C3D4E5"}
	v.Changes = []Change{v.Change, {Datastore: "inbox", Path: "incoming/b.csv", ETag: "0x8DE60A1B2C3D4E6"}}
	v.Previous.RunID, v.Previous.Status = "k3v9-20260130T103000Z", Completed
	return v
}

// moment is an instant in a zone; nil is none, as text/template takes every struct for true.
type moment struct{ at time.Time }

func (m *moment) String() string {
	if m == nil {
		return ""
	}
	return m.at.Format(time.RFC3339)
}

type changes []Change

// String is the paths, as far as they may become part of a parameter: what is longer is refused where it is written.
func (c changes) String() string {
	var b strings.Builder
	for i, change := range c {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(change.Path)
		if b.Len() > maxRendered {
			break
		}
	}
	return b.String()
}

// functions are those that text/template does not have, or not so: its index fails when there is no such element.
var functions = template.FuncMap{
	"utc": func(m *moment) *moment {
		if m == nil {
			return nil
		}
		return &moment{m.at.UTC()}
	},
	"format": func(layout string, m *moment) string {
		if m == nil {
			return ""
		}
		return m.at.Format(layout)
	},
	"index": func(c changes, i int) Change {
		if i < 0 || i >= len(c) {
			return Change{}
		}
		return c[i]
	},
}
