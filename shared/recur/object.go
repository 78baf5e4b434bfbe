package recur

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Object reads the fields of a JSON object one by one and keeps what is wrong with them. Unlike encoding/json it
// tells letter case apart, and reports what is given twice, what nobody reads, and all of it at once.
type Object struct {
	path   string // of the object itself, with a dot at its end; "" for the document
	fields []member
	read   []string
	errs   *FieldErrors
}

type member struct {
	name  string
	value json.RawMessage
}

const maxFields = 1000 // of one object

var errNoObject = errors.New("has to be an object with named fields")

// members takes a JSON object apart, in the order of the document.
func members(data []byte) ([]member, error) {
	if !json.Valid(data) {
		return nil, errors.New("is not valid JSON" + whatsWrong(data))
	}
	list, ok := split(data, '{')
	if !ok {
		return nil, errNoObject
	}
	return list, nil
}

func whatsWrong(data []byte) string {
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		return ": " + err.Error()
	}
	return ""
}

// split gives the members of an object or the elements, without names, of an array; data is valid JSON. It is false
// when data does not open with open.
func split(data []byte, open byte) (list []member, ok bool) {
	i := space(data, 0)
	if data[i] != open {
		return nil, false
	}
	for i = space(data, i+1); data[i] != open+2; i = space(data, i) { // in ASCII the closing bracket is two further
		var m member
		if data[i] == ',' {
			i = space(data, i+1)
		}
		if open == '{' {
			end := valueEnd(data, i)
			m.name, _ = unquote(data[i:end])
			i = space(data, space(data, end)+1)
		}
		end := valueEnd(data, i)
		m.value = data[i:end]
		list = append(list, m)
		i = end
	}
	return list, true
}

// space is the index of what follows white space.
func space(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\t' || data[i] == '\n' || data[i] == '\r') {
		i++
	}
	return i
}

// valueEnd is the index after the value at i.
func valueEnd(data []byte, i int) int {
	for depth := 0; i < len(data); i++ {
		switch c := data[i]; c {
		case '"':
			for i++; data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']', ',', ' ', '\t', '\n', '\r', ':':
			if depth == 0 {
				return i
			}
			if c == '}' || c == ']' {
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
	}
	return i
}

// unquote is the text of a JSON string; false when the value is none.
func unquote(raw []byte) (s string, ok bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return string(inner), true
	}
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

// ReadObject opens an object that stands at a field of the document, "" for the document itself. What is wrong with it
// goes to errs. One that cannot be read at all is reported, has no fields, and false.
func ReadObject(field string, data []byte, errs *FieldErrors) (*Object, bool) {
	o := &Object{errs: errs}
	if field != "" {
		o.path = field + "."
	}
	list, err := members(data)
	if err == nil && len(list) > maxFields {
		err = fmt.Errorf("has %d fields: %d are the most", len(list), maxFields)
	}
	if err != nil {
		*errs = append(*errs, FieldError{field, err.Error()})
		return o, false
	}
	for _, m := range list {
		if slices.ContainsFunc(o.fields, func(f member) bool { return f.name == m.name }) {
			o.Fail(m.name, "given twice")
			continue
		}
		o.fields = append(o.fields, m)
	}
	return o, true
}

// Fail reports what is wrong with a field.
func (o *Object) Fail(name, format string, args ...any) {
	*o.errs = append(*o.errs, FieldError{o.path + shorten(name), fmt.Sprintf(format, args...)})
}

// Value is a field's text; nil when it is absent or null.
func (o *Object) Value(name string) json.RawMessage {
	o.read = append(o.read, name)
	for _, f := range o.fields {
		if f.name == name && string(f.value) != "null" {
			return f.value
		}
	}
	return nil
}

// All are the fields, in the order of the document, each as its text in JSON.
func (o *Object) All() iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		for _, f := range o.fields {
			if !yield(f.name, f.value) {
				return
			}
		}
	}
}

// Strangers reports the fields that nobody has asked for.
func (o *Object) Strangers(allowed []string) {
	for _, f := range o.fields {
		if !slices.Contains(o.read, f.name) {
			o.Fail(f.name, "unknown field; allowed: %s", strings.Join(allowed, ", "))
		}
	}
}

// Text is a field's string; "" when it is absent or none.
func (o *Object) Text(name string) string {
	raw := o.Value(name)
	s, ok := unquote(raw)
	if raw != nil && !ok {
		o.Fail(name, "has to be a string")
	}
	return s
}

// integer is a number; false when it is absent or none.
func (o *Object) integer(name string) (int, bool) {
	raw := o.Value(name)
	n, ok := number(raw)
	if raw != nil && !ok {
		o.Fail(name, "has to be a whole number")
	}
	return n, ok
}

func number(raw json.RawMessage) (n int, ok bool) {
	n, err := strconv.Atoi(string(raw))
	return n, err == nil
}

// list is the elements of a field, with their names for error messages.
func (o *Object) list(name string) []member {
	const most = 400
	raw := o.Value(name)
	if raw == nil {
		return nil
	}
	list, ok := split(raw, '[')
	if !ok {
		o.Fail(name, "has to be a list")
		return nil
	}
	if len(list) > most {
		o.Fail(name, "has %d elements: %d are the most", len(list), most)
		return nil
	}
	for i := range list {
		list[i].name = name + "[" + strconv.Itoa(i) + "]"
	}
	return list
}

// integers reads a list of numbers. An element that is none is reported, and neutral stands for it.
func (o *Object) integers(name string, neutral int) []int {
	var numbers []int
	for _, m := range o.list(name) {
		n, ok := number(m.value)
		if !ok {
			o.Fail(m.name, "has to be a whole number")
			n = neutral
		}
		numbers = append(numbers, n)
	}
	return numbers
}

// texts reads a list of strings. An element that is none is reported, and neutral stands for it.
func (o *Object) texts(name, neutral string) []string {
	var texts []string
	for _, m := range o.list(name) {
		s, ok := unquote(m.value)
		if !ok {
			o.Fail(m.name, "has to be a string")
			s = neutral
		}
		texts = append(texts, s)
	}
	return texts
}
