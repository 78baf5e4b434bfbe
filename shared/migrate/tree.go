package migrate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// tree reads JSON; numbers keep the text as which they are written.
func tree(data []byte) any {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil
	}
	return v
}

// object reads the fields of an object whose names may be written week_days, weekdays, weekDays or WeekDays.
type object struct {
	fields map[string]any
	read   map[string]bool // by the names as they are written
	none   bool            // the text None is no value: in the samples of v1's files it stands where Python's None is meant
}

func objectOf(v any) object {
	fields, _ := v.(map[string]any)
	return object{fields: fields, read: map[string]bool{}}
}

func folded(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// get is the first of the fields that is there and not null. Another that says the same in other words stays unread.
func (o object) get(names ...string) any {
	key, v := o.find(names)
	o.read[key] = true
	return v
}

func (o object) find(names []string) (key string, v any) {
	for _, name := range names {
		for _, key := range slices.Sorted(maps.Keys(o.fields)) {
			if v := o.fields[key]; folded(key) == folded(name) && v != nil && !(o.none && v == "None") {
				return key, v
			}
		}
	}
	return "", nil
}

// object is a field that is an object; one that is none stays unread.
func (o object) object(names ...string) object {
	key, v := o.find(names)
	part := objectOf(v)
	part.none = o.none
	o.read[key] = o.read[key] || part.fields != nil
	return part
}

// text is a field as a text; numbers as they are written.
func (o object) text(names ...string) string {
	text, _ := textOf(o.get(names...))
	return text
}

// flag is a field that is true or false, as YAML and the clients let it be written; said is false where it is neither.
func flag(v any) (on, said bool) {
	text, _ := textOf(v)
	switch strings.ToLower(text) {
	case "true", "yes", "on", "y", "t", "1":
		return true, true
	case "false", "no", "off", "n", "f", "0":
		return false, true
	}
	return false, false
}

// number is a whole number as JSON has it, however it is written; anything else as it is.
func number(v any) any {
	text, _ := textOf(v)
	if f, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err == nil && f == math.Trunc(f) && math.Abs(f) < 1e9 {
		return json.Number(strconv.FormatFloat(f, 'f', 0, 64))
	}
	return v
}

// list is a field's elements, of which a single one need not stand in a list.
func (o object) list(names ...string) []any {
	switch v := o.get(names...).(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}

// enum is a value by its name or number.
func (o object) enum(name string, values ...string) string {
	return enumName(o.get(name), values...)
}

func enumName(v any, values ...string) string {
	text, _ := textOf(v)
	for i, value := range values {
		if strings.EqualFold(text, value) || text == fmt.Sprint(i) {
			return value
		}
	}
	return text
}

// left are the names of fields that nobody has read and that say something. Services write out what nobody has given, and
// what they alone know.
func (o object) left() (names []string) {
	for _, key := range slices.Sorted(maps.Keys(o.fields)) {
		if v := o.fields[key]; !o.read[key] && !empty(v) && !(o.none && v == "None") && !slices.Contains(readOnly, folded(key)) {
			names = append(names, key)
		}
	}
	return names
}

// readOnly are the fields of entities and resources that say nothing of what a schedule does, wherever they stand.
var readOnly = []string{
	"id", "etag", "systemdata", "creationcontext", "resourcegroup", "provisioningstate", "createddate", "createdby", "lastmodifieddate", "lastmodifiedby",
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// textOf is a scalar as Python's clients sent it: True and False.
func textOf(v any) (text string, ok bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return map[bool]string{true: "True", false: "False"}[v], true
	}
	return "", false
}

// sorted are the names of user's own fields, which are told apart by letter case.
func sorted(v any) []string {
	fields, _ := v.(map[string]any)
	return slices.Sorted(maps.Keys(fields))
}
