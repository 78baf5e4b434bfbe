package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"carillon/shared/host"
	"carillon/shared/pipeline"
	"carillon/shared/problem"
	"carillon/shared/recur"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// document is openapi.yaml as plain JSON values. Its schemas are JSON Schema 2020-12, and compiled as that.
type document struct {
	t        *testing.T
	root     any
	compiler *jsonschema.Compiler
}

// node is a value in the document and its JSON pointer.
type node struct {
	*document
	value   any
	pointer string
}

func readDocument(t *testing.T) *document {
	t.Helper()
	var tree any
	if err := yaml.Unmarshal(openAPI, &tree); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	d := &document{t: t, root: decoded(t, data), compiler: jsonschema.NewCompiler()}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource("openapi.json", d.root); err != nil {
		t.Fatal(err)
	}
	return d
}

func decoded(t *testing.T, data []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	return v
}

// at finds a value by the names on the way to it; its value is nil when there is none. References are followed.
func (d *document) at(names ...string) node { return node{d, d.root, ""}.in(names...) }

func (n node) in(names ...string) node {
	for _, name := range names {
		value := n.object()[name]
		if list, ok := n.value.([]any); ok {
			value = nil
			if i, err := strconv.Atoi(name); err == nil {
				value = list[i]
			}
		}
		n = node{n.document, value, n.pointer + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)}
		if ref := n.text("$ref"); ref != "" && len(n.object()) == 1 {
			n = n.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
		}
	}
	return n
}

func (n node) object() map[string]any {
	o, _ := n.value.(map[string]any)
	return o
}

func (n node) text(name string) string {
	s, _ := n.object()[name].(string)
	return s
}

func (n node) texts(name string) (list []string) {
	items, _ := n.object()[name].([]any)
	for _, item := range items {
		list = append(list, item.(string))
	}
	return list
}

func (n node) names() []string { return slices.Sorted(maps.Keys(n.object())) }

// check holds a value against the schema that the node is.
func (n node) check(value any) error {
	s, err := n.compiler.Compile("openapi.json#" + (&url.URL{Path: n.pointer}).EscapedPath())
	if err != nil {
		return err
	}
	return s.Validate(value)
}

func TestContractIsOpenAPI(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil { // examples against their schemas, too
		t.Error(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("openapi: %s", doc.OpenAPI)
	}
	for name := range readDocument(t).at("components", "schemas").object() {
		if err := readDocument(t).at("components", "schemas", name).check(0); err != nil && !errors.As(err, new(*jsonschema.ValidationError)) {
			t.Error(err)
		}
	}
}

// The document has the routes, and no others, each under the right that it takes.
func TestContractRoutes(t *testing.T) {
	d := readDocument(t)
	wanted := map[string]bool{}
	for _, route := range Routes {
		wanted[strings.ToLower(route.Method)+" "+route.Path] = true
		operation := d.at("paths", route.Path, strings.ToLower(route.Method))
		right := host.RightFor(httptest.NewRequest(route.Method, route.Path, nil)).String()
		if got := operation.text("x-carillon-right"); got != right {
			t.Errorf("%s %s: the right is %q, want %q", route.Method, route.Path, got, right)
		}
		for _, status := range []string{"401", "403"} { // which the platform answers
			if operation.in("responses", status).value == nil {
				t.Errorf("%s %s: there is no %s", route.Method, route.Path, status)
			}
		}
	}
	for _, path := range d.at("paths").names() {
		for _, method := range d.at("paths", path).names() {
			if method != "parameters" && !wanted[method+" "+path] {
				t.Errorf("there is no route %s %s", method, path)
			}
		}
	}
}

// constants are the values of all constants of a type, as the source has them.
func constants(t *testing.T, folder, typeName string) (values []string) {
	t.Helper()
	files, _ := filepath.Glob(folder + "/*.go")
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
				name, typed := spec.Type.(*ast.Ident)
				literal, isLiteral := spec.Values[0].(*ast.BasicLit)
				if typed && isLiteral && name.Name == typeName {
					value, _ := strconv.Unquote(literal.Value)
					values = append(values, value)
				}
			}
			return true
		})
	}
	slices.Sort(values)
	return values
}

func TestContractWords(t *testing.T) {
	d := readDocument(t)
	schemas := d.at("components", "schemas")
	for _, c := range []struct {
		folder, name string
		listed       []string
	}{
		{"../../shared/problem", "Code", schemas.in("Code").texts("enum")},
		{"../../shared/schedule", "Status", schemas.in("Status").texts("enum")},
		{"../../shared/schedule", "Reason", schemas.in("Reason").texts("enum")},
		{"../../shared/schedule", "Kind", schemas.in("Kind").texts("enum")},
		{"../../shared/schedule", "Activity", schemas.in("Activity").texts("enum")},
		{"../../shared/schedule", "CatchUpPolicy", schemas.in("CatchUp", "properties", "policy").texts("enum")},
		{"../../shared/recur", "Kind", schemas.in("Trigger", "discriminator", "mapping").names()},
	} {
		slices.Sort(c.listed)
		if want := constants(t, c.folder, c.name); len(want) == 0 || !slices.Equal(c.listed, want) {
			t.Errorf("%s: the document lists %v, the source %v", c.name, c.listed, want)
		}
	}
	answered := map[string]bool{string(problem.MethodNotAllowed): true} // told in words: it belongs to no operation
	for _, name := range d.at("components", "responses").names() {
		properties := d.at("components", "responses", name, "content", problem.ContentType, "schema", "properties")
		code, status := problem.Code(properties.in("code").text("const")), properties.in("status").object()["const"]
		if code == "" {
			continue
		}
		answered[string(code)] = true
		if want := problem.Newf(code, "").Status; status != json.Number(strconv.Itoa(want)) {
			t.Errorf("response %s: %s has the status %v, want %d", name, code, status, want)
		}
	}
	for _, code := range constants(t, "../../shared/problem", "Code") {
		if !answered[code] {
			t.Errorf("no response has the code %s", code)
		}
	}
}

// fields are the JSON fields of a struct, and whether each is always there.
func fields(of reflect.Type) map[string]bool {
	out := map[string]bool{}
	for _, f := range reflect.VisibleFields(of) {
		name, options, tagged := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && !f.Anonymous {
			out[name] = !tagged || !strings.Contains(options, "omit")
		}
	}
	return out
}

// properties are a schema's, and whether each is required: those of the schemas that it is made of, too.
func (n node) properties(into map[string]bool) map[string]bool {
	for name := range n.in("properties").object() {
		into[name] = into[name] || false
	}
	for _, name := range n.texts("required") {
		into[name] = true
	}
	all, _ := n.object()["allOf"].([]any)
	for i := range all {
		n.in("allOf", strconv.Itoa(i)).properties(into)
	}
	return into
}

// What Go writes and what the document says have the same fields, and the same ones always.
func TestContractFields(t *testing.T) {
	d := readDocument(t)
	for name, value := range map[string]any{
		"Schedule": scheduleView{}, "Run": runView{}, "OccurrenceTime": occurrenceTime{}, "StatusNote": schedule.StatusNote{},
		"PipelineRef": schedule.PipelineRef{}, "CatchUp": schedule.CatchUp{}, "Pipeline": pipeline.Pipeline{}, "Step": pipeline.Step{},
		"Pattern": recur.Pattern{}, "MonthlyOccurrence": recur.MonthlyOccurrence{}, "Problem": problem.Problem{}, "Field": problem.Field{},
		"Preview": previewed{}, "NamedCalendar": store.NamedCalendar{}, "CalendarFields": recur.Calendar{}, "DateRange": recur.DateRange{}, "Span": recur.Span{},
		"SchedulePage": page{}, "RunPage": page{}, "PipelinePage": page{}, "CalendarPage": page{}, "OccurrenceTimePage": page{},
	} {
		got, want := d.at("components", "schemas", name).properties(map[string]bool{}), fields(reflect.TypeOf(value))
		if !maps.Equal(got, want) {
			t.Errorf("%s: the document has (required: true) %v, %T has %v", name, got, value, want)
		}
	}
	definition := slices.Sorted(maps.Keys(fields(reflect.TypeFor[schedule.Definition]())))
	for _, name := range []string{"DefinitionFields", "Change"} {
		if got := d.at("components", "schemas", name, "properties").names(); !slices.Equal(got, definition) {
			t.Errorf("%s: the document has %v, a definition %v", name, got, definition)
		}
	}
	written, read := map[string]bool{}, fields(reflect.TypeFor[recur.Spec]())
	for _, name := range []string{"Recurrence", "Cron", "At"} {
		for field := range d.at("components", "schemas", name, "properties").object() {
			written[field] = true
			if d.at("components", "schemas", name, "properties", field).object()["writeOnly"] == nil && !slices.Contains(slices.Collect(maps.Keys(read)), field) {
				t.Errorf("%s: a trigger has no field %s", name, field)
			}
		}
	}
	for field := range read {
		if !written[field] {
			t.Errorf("no trigger of the document has the field %s", field)
		}
	}
	days := d.at("components", "schemas", "Recurrence", "properties").names()
	days = slices.DeleteFunc(days, func(field string) bool { return field == "time_zone" })
	if got := d.at("components", "schemas", "CalendarRecurrence", "properties").names(); !slices.Equal(got, days) {
		t.Errorf("CalendarRecurrence: the document has %v, a recurrence but for its zone %v", got, days)
	}
}

// The document and the decoder take the same definitions, as far as a schema can tell; what the decoder gives back
// conforms as well.
func TestContractDefinitions(t *testing.T) {
	definition := readDocument(t).at("components", "schemas", "Definition")
	with := func(fields string) string {
		return `{"name": "a", "pipeline": {"kind": "local", "id": "x"}, "experiment": "e"` + fields + `}`
	}
	on := func(trigger string) string { return with(`, "trigger": ` + trigger) }
	minutely := `, "trigger": {"type": "recurrence", "frequency": "minute", "interval": 1}`
	for _, c := range []struct {
		text string
		good bool
	}{
		{with(minutely), true},
		{with(minutely + `, "description": "d", "parameters": {"a.b": "x", "n": 1, "b": true}, "status": "Disabled", "continue_on_step_failure": true`), true},
		{with(minutely + `, "catch_up": {"policy": "all", "window": "1d12h"}`), true},
		{with(minutely + `, "jitter": "1h30m", "calendars": ["holidays", "Blackout-2"], "max_runs": 1000`), true},
		{with(minutely + `, "calendars": []`), true},
		{on(`{"type": "recurrence", "frequency": "week", "interval": 2, "week_days": ["Monday"], "hours": [1, 2], "minutes": []}`), true},
		{on(`{"type": "recurrence", "frequency": "day", "interval": 1, "time_of_day": "07:30", "start_time": "2026-01-01T00:00:00+01:00", "end_time": "2027-01-01T00:00", "time_zone": "W. Europe Standard Time"}`), true},
		{on(`{"type": "recurrence", "frequency": "month", "interval": 1, "start_time": "2026-01-01T00:00:00.000Z", "schedule": {"month_days": [-1, 5], "hours": [3]}}`), true},
		{on(`{"type": "recurrence", "frequency": "month", "interval": 1, "start_time": "2026-01-01T00:00", "schedule": {"monthly_occurrences": [{"day": "Friday"}, {"day": "Monday", "occurrence": -2}]}}`), true},
		{on(`{"type": "cron", "expression": "0 6 * * 1-5", "time_zone": "UTC", "start_time": "2026-01-01T00:00", "end_time": "2027-01-01T00:00"}`), true},
		{on(`{"type": "at", "at": "2030-01-01T00:00", "time_zone": "Europe/Vienna"}`), true},
		{`{}`, false},
		{`[]`, false},
		{with(""), false},
		{with(minutely + `, "colour": "red"`), false},
		{with(minutely + `, "status": "Paused"`), false},
		{with(minutely + `, "catch_up": {"policy": "some"}`), false},
		{with(minutely + `, "catch_up": {"window": "soon"}`), false},
		{with(minutely + `, "catch_up": {"length": "1h"}`), false},
		{with(minutely + `, "jitter": "soon"`), false},
		{with(minutely + `, "jitter": 5`), false},
		{with(minutely + `, "calendars": "holidays"`), false},
		{with(minutely + `, "calendars": ["a b"]`), false},
		{with(minutely + `, "calendars": ["a", "a"]`), false},
		{with(minutely + `, "calendars": ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"]`), false},
		{with(minutely + `, "max_runs": 0`), false},
		{with(minutely + `, "max_runs": "5"`), false},
		{with(minutely + `, "parameters": {"1st": "x"}`), false},
		{with(minutely + `, "parameters": {"a": {}}`), false},
		{with(minutely + `, "description": 1`), false},
		{strings.Replace(with(minutely), `"a"`, `"-a"`, 1), false},
		{strings.Replace(with(minutely), `"local"`, `"Local"`, 1), false},
		{strings.Replace(with(minutely), `, "id": "x"`, ``, 1), false},
		{strings.Replace(with(minutely), `"e"`, `""`, 1), false},
		{on(`{"type": "sometimes"}`), false},
		{on(`{"frequency": "day", "interval": 1}`), false},
		{on(`{"type": "recurrence", "frequency": "minute"}`), false},
		{on(`{"type": "recurrence", "frequency": "minute", "interval": 0}`), false},
		{on(`{"type": "recurrence", "frequency": "minute", "interval": 72001}`), false},
		{on(`{"type": "recurrence", "frequency": "year", "interval": 1}`), false},
		{on(`{"type": "recurrence", "frequency": "minute", "interval": 1, "at": "2030-01-01T00:00"}`), false},
		{on(`{"type": "recurrence", "frequency": "day", "interval": 1, "time_of_day": "24:00"}`), false},
		{on(`{"type": "recurrence", "frequency": "day", "interval": 1, "start_time": "tomorrow"}`), false},
		{on(`{"type": "recurrence", "frequency": "day", "interval": 1, "schedule": {"hours": [24]}}`), false},
		{on(`{"type": "recurrence", "frequency": "day", "interval": 1, "schedule": {"hours": [1], "minutes": [-1]}}`), false},
		{on(`{"type": "recurrence", "frequency": "day", "interval": 1, "schedule": {"hours": [1], "seconds": [1]}}`), false},
		{on(`{"type": "recurrence", "frequency": "week", "interval": 1, "week_days": ["Someday"]}`), false},
		{on(`{"type": "recurrence", "frequency": "month", "interval": 1, "schedule": {"month_days": [0], "hours": [1]}}`), false},
		{on(`{"type": "recurrence", "frequency": "month", "interval": 1, "schedule": {"monthly_occurrences": [{"day": "Friday", "occurrence": 6}], "hours": [1]}}`), false},
		{on(`{"type": "cron"}`), false},
		{on(`{"type": "cron", "expression": "0 6 * * *", "interval": 1}`), false},
		{on(`{"type": "at", "at": "2030-01-01"}`), false},
	} {
		schemaErr := definition.check(decoded(t, []byte(c.text)))
		got, errs := schedule.Decode([]byte(c.text))
		if (schemaErr == nil) != c.good || (len(errs) == 0) != c.good {
			t.Errorf("%s: the schema says %v, the decoder %v; want good: %v", c.text, schemaErr, errs, c.good)
		}
		if canonical, _ := json.Marshal(got); c.good && definition.check(decoded(t, canonical)) != nil {
			t.Errorf("the canonical form does not conform: %s: %v", canonical, definition.check(decoded(t, canonical)))
		}
	}
}

// The document and the decoder take the same calendars, too.
func TestContractCalendars(t *testing.T) {
	calendar := readDocument(t).at("components", "schemas", "Calendar")
	days := func(recurrence string) string { return `{"recurrences": [` + recurrence + `]}` }
	for _, c := range []struct {
		text string
		good bool
	}{
		{`{"time_zone": "Europe/Vienna", "dates": ["2026-12-08"], "date_ranges": [{"first": "2026-12-24", "last": "2027-01-06"}]}`, true},
		{`{"dates": [], "spans": [{"from": "2026-07-01T18:00", "to": "2026-07-02T06:00:00Z"}]}`, true},
		{days(`{"frequency": "week", "interval": 1, "schedule": {"week_days": ["Saturday"]}}, {"type": "recurrence", "frequency": "month", "interval": 1, "schedule": {"month_days": [-1]}}`), true},
		{days(`{"frequency": "week", "interval": 2, "start_time": "2026-01-05T00:00", "end_time": "2027-01-01T00:00", "week_days": ["Monday"], "time_of_day": "10:00"}`), true},
		{days(`{"frequency": "day", "interval": 3, "start_time": "2026-01-05T00:00", "hours": [1], "minutes": [2]}`), true},
		{`{}`, false},
		{`[]`, false},
		{`{"time_zone": "UTC"}`, false},
		{`{"dates": [], "spans": []}`, false},
		{`{"dates": "2026-12-08"}`, false},
		{`{"dates": ["2026-02-30"]}`, false},
		{`{"dates": ["2026-12-08T00:00"]}`, false},
		{`{"dates": [20261208]}`, false},
		{`{"dates": ["2026-12-08"], "holidays": []}`, false},
		{`{"date_ranges": [{"first": "2026-12-24"}]}`, false},
		{`{"date_ranges": [{"first": "2026-12-24", "last": "2027-01-06", "to": "x"}]}`, false},
		{`{"spans": [{"from": "2026-07-01", "to": "2026-07-02"}]}`, false},
		{`{"spans": [{"from": "2026-07-01T18:00"}]}`, false},
		{days(`{"frequency": "week"}`), false},
		{days(`{"frequency": "year", "interval": 1}`), false},
		{days(`{"frequency": "day", "interval": 1, "time_zone": "UTC"}`), false},
		{days(`{"type": "cron", "expression": "0 6 * * *"}`), false},
	} {
		schemaErr := calendar.check(decoded(t, []byte(c.text)))
		got, errs := recur.DecodeCalendar([]byte(c.text))
		if (schemaErr == nil) != c.good || (len(errs) == 0) != c.good {
			t.Errorf("%s: the schema says %v, the decoder %v; want good: %v", c.text, schemaErr, errs, c.good)
		}
		if canonical, _ := json.Marshal(got); c.good && calendar.check(decoded(t, canonical)) != nil {
			t.Errorf("the canonical form does not conform: %s: %v", canonical, calendar.check(decoded(t, canonical)))
		}
	}
}
