package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"net/http"
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

// elsewhere are routes that the host answers without this function.
var elsewhere = []Route{{Method: http.MethodPost, Path: host.WebhookPath}, {Method: http.MethodOptions, Path: host.WebhookPath}}

// The document has the routes, and no others, each under the right that it takes.
func TestContractRoutes(t *testing.T) {
	d := readDocument(t)
	wanted := map[string]bool{}
	for _, route := range slices.Concat(Routes, elsewhere) {
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

// constants are the values of all constants of a type, as the source has them; of one of another package, it names that.
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
				literal, isLiteral := spec.Values[0].(*ast.BasicLit)
				if spec.Type != nil && isLiteral && types.ExprString(spec.Type) == typeName {
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
		{"../../shared/schedule", "What", schemas.in("What").texts("enum")},
		{"../../shared/schedule", "Activity", schemas.in("Activity").texts("enum")},
		{"../../shared/schedule", "CatchUpPolicy", schemas.in("CatchUp", "properties", "policy").texts("enum")},
		{"../../shared/schedule", "Overlap", schemas.in("DefinitionFields", "properties", "overlap").texts("enum")},
		{"../../shared/schedule", "Mode", schemas.in("DatastoreChange", "properties", "mode").texts("enum")},
		{".", "fate", schemas.in("Fate").texts("enum")},
		{".", "side", schemas.in("Pipeline", "properties", "disabled_in", "items").texts("enum")},
	} {
		slices.Sort(c.listed)
		if want := constants(t, c.folder, c.name); len(want) == 0 || !slices.Equal(c.listed, want) {
			t.Errorf("%s: the document lists %v, the source %v", c.name, c.listed, want)
		}
	}
	kinds := append(constants(t, "../../shared/recur", "Kind"), constants(t, "../../shared/schedule", "recur.Kind")...)
	slices.Sort(kinds)
	if got := schemas.in("Trigger", "discriminator", "mapping").names(); !slices.Equal(got, kinds) {
		t.Errorf("types of triggers: the document lists %v, the source %v", got, kinds)
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
		"PipelineRef": schedule.PipelineRef{}, "CatchUp": schedule.CatchUp{}, "Pipeline": pipelineView{}, "Step": pipeline.Step{},
		"Pattern": recur.Pattern{}, "MonthlyOccurrence": recur.MonthlyOccurrence{}, "Problem": problem.Problem{}, "Field": problem.Field{},
		"Preview": previewed{}, "NamedCalendar": store.NamedCalendar{}, "CalendarFields": recur.Calendar{}, "DateRange": recur.DateRange{}, "Span": recur.Span{},
		"SchedulePage": page{}, "RunPage": page{}, "PipelinePage": notedPage{}, "PipelineUser": userView{}, "Experiment": experimentView{}, "ExperimentPage": page{}, "CalendarPage": page{}, "OccurrenceTimePage": notedPage{},
		"Backfilled": backfilled{}, "Swept": swept{}, "Audit": schedule.Audit{}, "AuditPage": page{},
		"Watch": watchView{}, "FileChange": changeView{}, "FileChangePage": page{}, "DataPath": schedule.DataPath{},
		"Datastore": datastoreView{}, "DatastorePage": notedPage{}, "Explanation": explanation{}, "Match": matchView{}, "Near": nearView{},
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
	folder := slices.Sorted(maps.Keys(fields(reflect.TypeFor[schedule.Folder]())))
	if got := d.at("components", "schemas", "Folder", "properties").names(); !slices.Equal(got, folder) {
		t.Errorf("Folder: the document has %v, want %v", got, folder)
	}
	window, span := d.at("components", "schemas", "Watch", "properties", "window"), d.at("components", "schemas", "Run", "properties", "window")
	if got, want := window.properties(map[string]bool{}), fields(reflect.TypeFor[windowView]()); !maps.Equal(got, want) {
		t.Errorf("a window: the document has (required: true) %v, want %v", got, want)
	}
	if got, want := span.properties(map[string]bool{}), fields(reflect.TypeFor[schedule.Span]()); !maps.Equal(got, want) {
		t.Errorf("the window of a run: the document has (required: true) %v, want %v", got, want)
	}
	written, read := map[string]bool{}, fields(reflect.TypeFor[schedule.Trigger]())
	for _, name := range []string{"Recurrence", "Cron", "At", "DatastoreChange"} {
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
