package schedule

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"carillon/shared/recur"
)

var everything = Uses{Change: true, Changes: true, Window: true}

// nightly is a run of a schedule in Vienna, over the night in which its clocks went back.
func nightly(t *testing.T) Values {
	t.Helper()
	zone, err := recur.LoadZone("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	v := Values{Zone: zone, Schedule: "nightly", Nominal: time.Date(2026, 10, 25, 9, 30, 0, 0, time.UTC)}
	v.Window = Span{Start: time.Date(2026, 10, 24, 8, 30, 0, 0, time.UTC), End: v.Nominal}
	v.Change = Change{Datastore: "inbox", Path: "in/b.csv", ETag: "0x2"}
	v.Changes = []Change{{Datastore: "inbox", Path: "in/a.csv", ETag: "0x1"}, v.Change, {Datastore: "lake", Path: "é <&> {{x}}", ETag: "0x3"}}
	v.Previous.RunID, v.Previous.Status = "id-20261024T083000Z", Failed
	return v
}

// Each row is what a template gives for a run that has everything, and for one that has nothing.
func TestRender(t *testing.T) {
	for _, row := range []struct{ template, want, nothing string }{
		{`{{.Schedule.Name}}`, "nightly", ""},
		{`{{.Nominal}}`, "2026-10-25T10:30:00+01:00", ""},
		{`{{.Window.Start}}/{{.Window.End}}`, "2026-10-24T10:30:00+02:00/2026-10-25T10:30:00+01:00", "/"},
		{`{{.Change.Path}} {{.Change.ETag}} {{.Change.Datastore}}`, "in/b.csv 0x2 inbox", "  "},
		{`{{.Changes}}`, "in/a.csv,in/b.csv,é <&> {{x}}", ""},
		{`{{.Previous.RunID}} {{.Previous.Status}}`, "id-20261024T083000Z Failed", " "},

		{`{{utc .Nominal}}`, "2026-10-25T09:30:00Z", ""},
		{`{{.Nominal | utc | format "15:04"}}`, "09:30", ""},
		{`{{format "2006-01-02" .Nominal}}`, "2026-10-25", ""},
		{`{{format "Mon 2 Jan 15:04:05.000 -0700 MST" .Window.Start}}`, "Sat 24 Oct 10:30:00.000 +0200 CEST", ""},
		{"{{format `20060102T150405Z` (utc .Window.Start)}}", "20261024T083000Z", ""},
		{`{{len .Changes}} {{len .Change.Path}}`, "3 8", "0 0"},
		{`{{(index .Changes 2).Datastore}}`, "lake", ""},
		{`{{with index .Changes 7}}{{.Path}}{{end}}{{(index .Changes -1).Path}}`, "", ""},
		{`{{eq .Previous.Status "Completed" "Failed"}} {{ne 1 2}} {{lt 1 2}} {{le 2 1}} {{gt "b" "a"}} {{ge 1 1}}`,
			"true true true false true true", "false true true false true true"},
		{`{{or .Previous.RunID "none"}}`, "id-20261024T083000Z", "none"},
		{`{{or .Window.Start "the beginning"}}`, "2026-10-24T10:30:00+02:00", "the beginning"},
		{`{{format "2006" (or .Window.Start .Nominal)}}`, "2026", ""},
		{`{{and .Change.Path .Previous.RunID}}`, "id-20261024T083000Z", ""},
		{`{{not .Changes}}{{not (or .Nominal 0)}}`, "falsefalse", "truetrue"},

		{`{{if .Window.Start}}from {{.Window.Start | utc}}{{else}}from the start{{end}}`, "from 2026-10-24T08:30:00Z", "from the start"},
		{`{{if .Change.Path}}a{{else if .Previous.RunID}}b{{else}}c{{end}}`, "a", "c"},
		{`{{with .Window}}{{.Start}}{{end}}`, "2026-10-24T10:30:00+02:00", ""},
		{`{{with .Previous.RunID}}after {{.}}{{else}}first of {{.Schedule.Name}}{{end}}`, "after id-20261024T083000Z", "first of "},
		{`{{with $p := .Previous.RunID}}{{$p}}{{$.Schedule.Name}}{{end}}`, "id-20261024T083000Znightly", ""},
		{`{{range .Changes}}[{{.Path}}@{{.ETag}}]{{else}}none of {{.Schedule.Name}}{{end}}`, "[in/a.csv@0x1][in/b.csv@0x2][é <&> {{x}}@0x3]", "none of "},
		{`{{range $i, $c := .Changes}}{{if $i}};{{end}}{{$i}}={{$c.Datastore}}{{end}}`, "0=inbox;1=inbox;2=lake", ""},
		{`{{range $c := .Changes}}{{$c.ETag}} of {{len $.Changes}} {{end}}`, "0x1 of 3 0x2 of 3 0x3 of 3 ", ""},
		{`{{$day := format "2006-01-02" .Nominal}}{{$day}}/{{$day}}`, "2026-10-25/2026-10-25", "/"},
		{`{{/* a comment */}}a {{- " b " -}} c`, "a b c", "a b c"},
		{`${{name}}/${{ creation_context.trigger_time }}/{{.Schedule.Name}}`, "${{name}}/${{ creation_context.trigger_time }}/nightly", "${{name}}/${{ creation_context.trigger_time }}/"},
		{`${{.Schedule.Name}} ${{utc .Nominal}}`, "$nightly $2026-10-25T09:30:00Z", "$ $"},
		{`{{"{{"}} {{1}} {{true}} {{-7}}`, "{{ 1 true -7", "{{ 1 true -7"},
		{"é\n{{.Schedule.Name}}\n", "é\nnightly\n", "é\n\n"},
	} {
		p := Parameters{"x": row.template}
		if errs := CheckTemplates("parameters", p, everything); errs != nil {
			t.Errorf("%s: %v", row.template, errs)
			continue
		}
		for _, run := range []struct {
			v    Values
			want string
		}{{nightly(t), row.want}, {Values{}, row.nothing}} {
			if got, err := Render("parameters", p, run.v); err != nil || got["x"] != run.want {
				t.Errorf("%s:\n got %q, %v\nwant %q", row.template, got["x"], err, run.want)
			}
		}
	}
}

func TestCheckTemplatesNamesWhatIsWrong(t *testing.T) {
	for _, row := range []struct{ template, message string }{
		{`{{.Nominl}}`, "there are .Schedule.Name, .Nominal, .Window.Start, .Window.End, .Change.Path, .Change.ETag, .Change.Datastore, .Changes, .Previous.RunID, .Previous.Status"},
		{`{{if .Previous.RunID}}{{else}}{{.Nominl}}{{end}}`, ".Nominl does not exist"},
		{`{{.Schedule.name}}`, ".name does not exist: use its .Name"},
		{`{{.Window.Begin}}`, "use its .Start, .End"},
		{`{{.Change.Modified}}`, "use its .Path, .ETag, .Datastore"},
		{`{{.Change.Key}}`, "does not exist"},
		{`{{.Nominal.String}}`, `a time has no parts; format "15:04" .Nominal`},
		{`{{.Nominal.at}}`, "a time has no parts"},
		{`{{.Changes.Path}}`, "see range"},
		{`{{.Schedule.Name.X}}`, "it has no parts"},
		{`{{range .Changes}}{{.Nominal}}{{end}}`, "write $.Nominal"},
		{`{{with .Previous.RunID}}{{.Changes}}{{end}}`, "write $.Changes"},
		{`{{.}}`, "cannot be written: there are .Schedule.Name"},
		{`{{.Window}}`, "cannot be written: use its .Start, .End"},
		{`{{range .Changes}}{{.}}{{end}}`, "cannot be written: use its .Path"},
		{`{{if .Change}}a{{end}}`, "is always there: use its .Path"},
		{`{{with .Window}}a{{else}}b{{end}}`, "is always there"},

		{`{{`, `line 1: unclosed action. The braces themselves are written {{"{{"}}`},
		{"a\nb {{end}}", "line 2: unexpected {{end}}"},
		{`{{if .Nominal}}`, "unexpected EOF"},
		{`{{.Nominal}`, "cannot be read as a template"},
		{`{{"a}}`, "unterminated"},
		{`{{$x}}`, "undefined variable"},
		{`{{if .Nominal}}{{$x := 1}}{{else}}{{$x}}{{end}}`, "$x is not known here"},
		{`{{range $c := .Changes}}{{else}}{{$c.Path}}{{end}}`, "$c is not known here"},
		{`{{range $c, $c .Changes}}{{end}}`, "$c is no function"},
		{`{{range $c, $c}}{{end}}`, "$c is not known here"},
		{`{{$x := 1}}{{$x = 2}}`, "set once"},
		{`{{if or true ($x := 1)}}{{$x}}{{end}}`, "within parentheses"},

		{`{{range 5}}a{{end}}`, "range goes over .Changes only"},
		{`{{range .Schedule.Name}}a{{end}}`, "range goes over .Changes only"},
		{`{{range .Changes}}{{range $.Changes}}a{{end}}{{end}}`, "stands within another range"},
		{`{{range .Changes}}{{break}}{{end}}`, "{{break}} is not for parameters"},
		{`{{range .Changes}}{{continue}}{{end}}`, "{{continue}} is not for parameters"},
		{`{{template "x"}}`, "is not for parameters"},
		{`{{define "x"}}a{{end}}`, "{{define}} and {{block}} are not for parameters"},
		{`{{define "parameter"}}a{{end}}`, "{{define}} and {{block}} are not for parameters"},
		{`{{block "x" .}}a{{end}}`, "{{define}} and {{block}} are not for parameters"},

		{`{{printf "%1000000d" 1}}`, "printf is no function here: there are utc, format, len, index, eq, ne, lt, le, gt, ge, and, or, not"},
		{`{{print .Nominal}}`, "print is no function here"},
		{`{{call .Nominal}}`, "call is no function here"},
		{`{{html "a"}}`, "html is no function here"},
		{`{{slice "abc" 1}}`, "slice is no function here"},
		{`{{len}}`, "len cannot take these"},
		{`{{len 5}}`, "write len .Changes"},
		{`{{utc "2026"}}`, "write utc .Nominal"},
		{`{{utc .Nominal .Nominal}}`, "write utc .Nominal"},
		{`{{format "2006"}}`, `write format "2006-01-02" .Nominal`},
		{`{{format .Nominal "2006"}}`, `write format "2006-01-02" .Nominal`},
		{`{{format (format "1" .Nominal) .Nominal}}`, "write the layout there"},
		{`{{format "YYYY-MM-DD" .Nominal}}`, "a layout shows how 2 January 2006 15:04:05 is written"},
		{`{{format "2006-MM-DD" .Nominal}}`, "a layout shows"},
		{`{{format "%Y" .Nominal}}`, "a layout shows"},
		{`{{format "" .Nominal}}`, "a layout shows"},
		{`{{format "yesterday" .Nominal}}`, "a layout shows"},
		{`{{format "` + strings.Repeat("2006 ", 20) + `" .Nominal}}`, "a layout may have 64 bytes, this has 100"},
		{`{{index .Changes "a"}}`, "write (index .Changes 0).Path"},
		{`{{index .Schedule.Name 0}}`, "write (index .Changes 0).Path"},
		{`{{eq .Nominal .Window.Start}}`, "times are compared as texts"},
		{`{{eq "a"}}`, "eq cannot take these"},
		{`{{eq 1 "a"}}`, "eq cannot take these"},
		{`{{lt 1 2 3}}`, "lt cannot take these"},
		{`{{or}}`, "or cannot take these"},
		{`{{or .Change .Nominal}}`, "or cannot take these"},
		{`{{.Nominal "a"}}`, ".Nominal is no function"},
		{`{{"a" | .Nominal}}`, ".Nominal is no function"},
		{`{{"a" | (utc)}}`, "is no function"},
		{`{{nil}}`, "nil cannot be used"},
		{`{{1.5}}`, "whole numbers of up to 9 digits"},
		{`{{1i}}`, "whole numbers"},
		{`{{0x10}}`, "whole numbers"},
		{`{{12345678901}}`, "whole numbers"},
		{`{{'a'}}`, "whole numbers"},
		{`{{"\x00"}}`, "zero byte"},
		{`{{"\xff"}}`, "not UTF-8"},
		{`{{.Nominal}}` + strings.Repeat("x", maxRendered), "may have 12288 bytes as a template, this has 12300"},
		{`{{true}}` + strings.Repeat("<", maxRendered/2), "may become 12288 bytes together"}, // six bytes each as JSON
	} {
		errs := CheckTemplates("parameters", Parameters{"fine": "{{.Nominal}}", "p": row.template}, everything)
		if len(errs) != 1 || errs[0].Field != "parameters.p" || !strings.Contains(errs[0].Message, row.message) {
			t.Errorf("%.80s:\n got %v\nwant parameters.p: … %s", row.template, errs, row.message)
		} else if len(errs[0].Message) > 400 {
			t.Errorf("%.80s: a message of %d bytes", row.template, len(errs[0].Message))
		}
		if _, err := Render("parameters", Parameters{"p": row.template}, Values{}); err == nil || !strings.HasPrefix(err.Error(), "parameters.p: ") {
			t.Errorf("%.80s is filled in unchecked: %v", row.template, err)
		}
	}
}

// What the runs of a trigger do not have is an error when the schedule is created, and is not offered.
func TestCheckTemplatesKnowsTheTrigger(t *testing.T) {
	change, changes, window := "{{.Change.Path}}", "{{len .Changes}}", "{{$.Window.End}}"
	for _, row := range []struct {
		name string
		uses Uses
		want map[string]string
	}{
		{"recurrence, cron", Uses{Window: true}, map[string]string{change: "only triggers of type datastore", changes: "only triggers of type datastore"}},
		{"at", Uses{}, map[string]string{change: "only triggers of type datastore", changes: "only triggers of type datastore", window: "for no span of time"}},
		{"each", Uses{Change: true}, map[string]string{changes: "There is .Change", window: "for no span of time"}},
		{"batch", Uses{Changes: true, Window: true}, map[string]string{change: "There is .Changes"}},
		{"all_of", everything, nil},
	} {
		for _, text := range []string{change, changes, window, "{{.Nominal}}"} {
			errs := CheckTemplates("parameters", Parameters{"p": text}, row.uses)
			if want, wrong := row.want[text]; wrong != (len(errs) == 1) || wrong && !strings.Contains(errs[0].Message, want) {
				t.Errorf("%s: %s: got %v, want %q", row.name, text, errs, want)
			}
		}
	}
	errs := CheckTemplates("parameters", Parameters{"p": "{{.X}}"}, Uses{Change: true})
	if want := "there are .Schedule.Name, .Nominal, .Change.Path, .Change.ETag, .Change.Datastore, .Previous.RunID, .Previous.Status"; !strings.HasSuffix(errs.Error(), want) {
		t.Errorf("got %v, want … %s", errs, want)
	}
}

func TestCheckTemplatesNamesEverything(t *testing.T) {
	errs := CheckTemplates("parameters", Parameters{"c": "{{.X}}", "a": "{{", "b": "{{.Nominal}}", "d": "}} {"}, everything)
	if len(errs) != 2 || errs[0].Field != "parameters.a" || errs[1].Field != "parameters.c" {
		t.Errorf("got %v", errs)
	}
	half := strings.Repeat("x", maxRendered/2)
	errs = CheckTemplates("parameters", Parameters{"a": "{{1}}" + half, "b": "{{2}}" + half, "c": half}, everything)
	if len(errs) != 1 || errs[0].Field != "parameters.b" {
		t.Errorf("too long together: got %v", errs)
	}
}

func TestRenderLeavesTextsAlone(t *testing.T) {
	p := Parameters{"a": "plain", "b": "}} { {", "c": ""}
	got, err := Render("parameters", p, Values{})
	if err != nil || !maps.Equal(got, p) {
		t.Errorf("got %v, %v", got, err)
	}
	if n := testing.AllocsPerRun(10, func() { _, _ = Render("parameters", p, Values{}) }); n > 0 {
		t.Errorf("%v allocations without a template", n)
	}
	if got, err := Render("parameters", nil, Values{}); got != nil || err != nil {
		t.Errorf("no parameters: %v, %v", got, err)
	}
	p["d"] = "{{.Schedule.Name}}"
	if got, err := Render("parameters", p, nightly(t)); err != nil || got["d"] != "nightly" || got["a"] != "plain" || p["d"] != "{{.Schedule.Name}}" {
		t.Errorf("got %v, %v; given %v", got, err, p)
	}
}

// What templates take is bounded by the number of bytes that they write, and of steps.
func TestRenderIsBounded(t *testing.T) {
	v := nightly(t)
	for range 100_000 {
		v.Changes = append(v.Changes, Change{Path: strings.Repeat("p", 1000)})
	}
	for _, row := range []struct{ template, want string }{
		{`{{.Changes}}`, "becomes too long: the templates of a run may become 12288 bytes together"},
		{`{{range .Changes}}{{.Path}}{{end}}`, "becomes too long"},
		{`{{range .Changes}}{{$.Changes}}{{end}}`, "becomes too long"},
		{`{{range .Changes}}` + strings.Repeat(`{{if lt (len $.Changes) 1}}{{end}}`, 300) + `{{end}}`, "does too much for each of 100003 changes"},
		{`{{range .Changes}}{{$x := 1` + strings.Repeat(`|not`, 300) + `}}{{end}}`, "does too much for each"},
		{`{{if lt (len .Changes) 100}}{{.Changes}}{{else}}{{len .Changes}} files{{end}}`, "100003 files"},
		{`{{range $i, $c := .Changes}}{{if lt $i 2}}{{.Path}};{{end}}{{end}}`, "in/a.csv;in/b.csv;"},
	} {
		p := Parameters{"p": row.template}
		if errs := CheckTemplates("parameters", p, everything); errs != nil {
			t.Errorf("%.80s: %v", row.template, errs)
		}
		got, err := Render("parameters", p, v)
		if text := fmt.Sprint(got["p"], err); !strings.Contains(text, row.want) {
			t.Errorf("%.80s: got %.200s, want %s", row.template, text, row.want)
		}
	}
}

func TestNeeds(t *testing.T) {
	for _, row := range []struct {
		text string
		want Need
	}{
		{"plain .Changes", Need{}},
		{"{{.Nominal}} {{.Change.Path}} .Window", Need{}},
		{`{{".Changes"}} {{/* .Previous */}}`, Need{}},
		{"{{.Window.Start}}", Need{Window: true}},
		{"{{if .Schedule.Name}}{{else}}{{with $}}{{len .Changes}}{{end}}{{end}}", Need{Changes: true}},
		{"{{with $p := .Previous}}{{.RunID}}{{end}}", Need{Previous: true}},
		{"{{or .Window.End .Previous.Status (len .Changes)}}", Need{true, true, true}},
		{"{{.X", Need{}},
	} {
		if got := Needs(Parameters{"a": "{{.Nominal}}", "b": row.text}); got != row.want {
			t.Errorf("%s: got %+v, want %+v", row.text, got, row.want)
		}
	}
	if got := Needs(Parameters{"a": "{{.Window.Start}}", "b": "{{.Changes}}"}); got != (Need{Window: true, Changes: true}) {
		t.Errorf("of two: %+v", got)
	}
}

// tokens are what templates are made of; a fuzzer that puts them together gets further than one that spells.
var tokens = []string{
	"{{", "}}", "{{if ", "{{with ", "{{range ", "{{else}}", "{{else if ", "{{else with ", "{{end}}", "{{end}}", " ", " | ", "(", ")",
	".Nominal", ".Window", ".Window.Start", ".Change", ".Change.Path", ".Changes", ".Previous", ".Previous.Status", ".Schedule.Name",
	".Path", ".ETag", ".Start", ".RunID", ".", "$", "$.Changes", "$x", "$x := ", "$i, $x := ", "$i", "$x.Path", "$x = ",
	"utc ", `format "2006-01-02" `, "format ", "len ", "index ", "eq ", "lt ", "and ", "or ", "not ", `"a"`, `"{{"`, "0", "-1", "true", "nil",
	"text", "{{- ", " -}}", "{{/* c */}}", "{{break}}", "{{template ", "{{define ", "{{block ",
}

func compose(choices []byte) string {
	var b strings.Builder
	for _, c := range choices {
		b.WriteString(tokens[int(c)%len(tokens)])
	}
	return b.String()
}

// holds checks that a template that passes is filled in, within bounds, also where there is nothing to fill in; and
// reports whether it passes.
func holds(t *testing.T, text string) bool {
	p, full := Parameters{"p": text}, sample()
	if errs := CheckTemplates("parameters", p, everything); errs != nil {
		if _, err := Render("parameters", p, full); err == nil {
			t.Errorf("%q is filled in, but not allowed: %v", text, errs)
		}
		if _, err := readTemplate(text, everything); err == nil && !strings.Contains(errs.Error(), "too long") {
			t.Errorf("%q is found wrong only by filling it in: %v", text, errs)
		}
		return false
	}
	for _, v := range []Values{{}, full, {Changes: full.Changes}, {Nominal: full.Nominal, Previous: full.Previous}, {Change: full.Change, Window: Span{End: full.Nominal}}} {
		got, err := Render("parameters", p, v)
		if err != nil && !strings.Contains(err.Error(), "too long") {
			t.Errorf("%q: %v", text, err)
		}
		if strings.Contains(text, "{{") && len(got["p"]) > maxRendered || utf8.ValidString(text) && !utf8.ValidString(got["p"]) {
			t.Errorf("%q: becomes %q", text, got["p"])
		}
	}
	return strings.Contains(text, "{{")
}

func FuzzTemplates(f *testing.F) {
	for _, text := range []string{
		`{{range $i, $c := .Changes}}{{if $i}};{{end}}{{$i}}={{$c.Datastore}}{{else}}{{with .Previous}}{{.RunID}}{{end}}{{end}}`,
		`{{or .Window.Start "a" | and true | not}}{{$x := format "2006-01-02" (utc .Nominal)}}{{eq $x "a" "b"}}`,
		`{{with index .Changes -1}}{{.ETag}}{{end}}{{(index .Changes 0).Path}}{{len .Change.Path}}{{"{{"}}`,
		`{{define "parameter"}}a{{end}}{{block "x" $}}{{break}}{{end}}{{template "x" nil}}`,
		`{{if .Nominal -}} {{/* c */}} {{- else if lt 1 2}}{{1i}}{{end}}{{range .Changes}}{{continue}}{{end}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		holds(t, string(data))
		holds(t, compose(data))
	})
}

// composer writes templates that are often right, and sometimes only nearly.
type composer struct{ *rand.Rand }

func (c composer) one(list ...string) string { return list[c.IntN(len(list))] }

func (c composer) value(deep int) string {
	if deep <= 0 {
		return c.one(".Nominal", ".Window.End", ".Change.Path", ".Changes", "$.Changes", ".Previous.Status", ".Path", "$x", "$i", "$x.ETag", ".", "$", `"a"`, "3", "true")
	}
	v := func() string { return c.value(c.IntN(deep)) }
	switch c.IntN(6) {
	case 0:
		return "(" + c.one("utc ", `format "15:04" `, "len ", "not ") + v() + ")"
	case 1:
		return "(" + c.one("eq ", "lt ", "and ", "or ", "index ", "ne ") + v() + " " + v() + ")"
	case 2:
		return "(" + v() + " | " + c.one("utc", `format "2006"`, "len", "not", "or .Nominal", "and $x", "index .Changes", "eq 3") + ")"
	case 3:
		return "(index .Changes " + v() + ").Path"
	}
	return c.value(0)
}

func (c composer) list(deep int) string {
	var b strings.Builder
	for range 1 + c.IntN(2) {
		b.WriteString(c.node(deep))
	}
	return b.String()
}

func (c composer) node(deep int) string {
	v := c.one("", "", "$x := ") + c.value(2)
	otherwise := ""
	if deep > 0 && c.IntN(2) == 0 {
		otherwise = "{{else}}" + c.list(deep-1)
	}
	switch c.IntN(4 + 3*min(deep, 1)) {
	case 0:
		return "text "
	case 4:
		return "{{if " + v + "}}" + c.list(deep-1) + otherwise + "{{end}}"
	case 5:
		return "{{with " + v + "}}" + c.list(deep-1) + otherwise + "{{end}}"
	case 6:
		return "{{range " + c.one("", "$x := ", "$i, $x := ") + c.one(".Changes", "$.Changes", v) + "}}" + c.list(deep-1) + otherwise + "{{end}}"
	}
	return "{{" + v + "}}"
}

func TestTemplatesAtRandom(t *testing.T) {
	c, passed := composer{rand.New(rand.NewPCG(5, 22))}, 0
	for range 20_000 {
		if holds(t, c.list(3)) {
			passed++
		}
	}
	if passed < 1000 {
		t.Errorf("only %d of 20,000 pass: that says little", passed)
	}
}

func BenchmarkTemplates(b *testing.B) {
	v := sample()
	p := Parameters{"day": `{{format "2006-01-02" .Nominal}}`, "from": "{{.Window.Start}}", "to": "{{.Window.End}}", "epochs": "10"}
	many := v
	for range 250_000 {
		many.Changes = append(many.Changes, Change{Path: "incoming/a.csv", ETag: "0x8DE60A1B2C3D4E5"})
	}
	for _, c := range []struct {
		name string
		v    Values
		p    Parameters
	}{
		{"three", v, p}, {"none", v, Parameters{"epochs": "10"}},
		{"most-steps", many, Parameters{"p": `{{range .Changes}}{{if .Path}}{{end}}{{end}}`}},
	} {
		b.Run("Render/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Render("parameters", c.p, c.v); err != nil && c.name != "most-steps" {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("Check", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if errs := CheckTemplates("parameters", p, everything); errs != nil {
				b.Fatal(errs)
			}
		}
	})
}
