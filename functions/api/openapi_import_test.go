package api

import (
	"encoding/json"
	"maps"
	"reflect"
	"testing"
)

// example is an example of a request to a route.
func (d *document) example(path, name string) string {
	data, _ := json.Marshal(d.at("paths", path, "post", "requestBody", "content", "application/json", "examples", name, "value").value)
	return string(data)
}

func (l *live) imports() {
	const path = "/api/import"
	for range 2 { // the second finds what the first has made
		l.ask(200, "post "+path, path, l.document.example(path, "file"))
	}
	l.ask(200, "post "+path, path, `{"from": "v2-yaml", "document": "{name: a, trigger: {type: sunrise}, create_monitor: {x: 1}}"}`)
	l.badBodies("post "+path, path)
	l.ask(400, "post "+path, path+"?x=1", `{"from": "v1"}`)
	l.ask(409, "post "+path, path, l.document.example(path, "moved")) // there is no workspace
	l.ask(422, "post "+path, path, `{"from": "v3"}`)
}

// What is answered of a workspace's schedules conforms, too, whatever has become of them.
func (s *site) conforms(text string) {
	s.t.Helper()
	if err := readDocument(s.t).at("components", "schemas", "Import").check(decoded(s.t, []byte(text))); err != nil {
		s.t.Errorf("%s does not conform: %v", text, err)
	}
}

func TestContractFieldsOfImports(t *testing.T) {
	d := readDocument(t)
	for name, value := range map[string]any{"Import": imported{}, "Imported": importedItem{}, "ImportSource": importedSource{}} {
		got, want := d.at("components", "schemas", name).properties(map[string]bool{}), fields(reflect.TypeOf(value))
		if !maps.Equal(got, want) {
			t.Errorf("%s: the document has (required: true) %v, %T has %v", name, got, value, want)
		}
	}
}
