package recur

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// object reads the fields of a JSON object one by one and keeps what is wrong with them. Unlike encoding/json it
// tells letter case apart, and reports what is given twice, what nobody reads, and all of it at once.
type object struct {
	path   string // of the object itself, with a dot at its end; "" for the document
	fields []member
	read   []string
	errs   *FieldErrors
}

type member struct {
	name  string
	value json.RawMessage
}

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

// readObject opens an object; one that cannot be read is reported, and false.
func readObject(field string, data []byte, errs *FieldErrors) (*object, bool) {
	o := &object{errs: errs}
	if field != "" {
		o.path = field + "."
	}
	list, err := members(data)
	if err != nil {
		*errs = append(*errs, FieldError{field, err.Error()})
		return o, false
	}
	for _, m := range list {
		if slices.ContainsFunc(o.fields, func(f member) bool { return f.name == m.name }) {
			o.fail(m.name, "given twice")
			continue
		}
		o.fields = append(o.fields, m)
	}
	return o, true
}

func (o *object) fail(name, format string, args ...any) {
	*o.errs = append(*o.errs, FieldError{o.path + shorten(name), fmt.Sprintf(format, args...)})
}

// value is a field's text; nil when it is absent or null.
func (o *object) value(name string) json.RawMessage {
	o.read = append(o.read, name)
	for _, f := range o.fields {
		if f.name == name && string(f.value) != "null" {
			return f.value
		}
	}
	return nil
}

// strangers reports the fields that nobody has asked for.
func (o *object) strangers(allowed []string) {
	for _, f := range o.fields {
		if !slices.Contains(o.read, f.name) {
			o.fail(f.name, "unknown field; allowed: %s", strings.Join(allowed, ", "))
		}
	}
}

func (o *object) text(name string) string {
	raw := o.value(name)
	s, ok := unquote(raw)
	if raw != nil && !ok {
		o.fail(name, "has to be a string")
	}
	return s
}

// integer is a number; false when it is absent or none.
func (o *object) integer(name string) (int, bool) {
	raw := o.value(name)
	n, ok := number(raw)
	if raw != nil && !ok {
		o.fail(name, "has to be a whole number")
	}
	return n, ok
}

func number(raw json.RawMessage) (n int, ok bool) {
	n, err := strconv.Atoi(string(raw))
	return n, err == nil
}

// list is the elements of a field, with their names for error messages.
func (o *object) list(name string) []member {
	const most = 400
	raw := o.value(name)
	if raw == nil {
		return nil
	}
	list, ok := split(raw, '[')
	if !ok {
		o.fail(name, "has to be a list")
		return nil
	}
	if len(list) > most {
		o.fail(name, "has %d elements: %d are the most", len(list), most)
		return nil
	}
	for i := range list {
		list[i].name = name + "[" + strconv.Itoa(i) + "]"
	}
	return list
}

// integers reads a list of numbers. An element that is none is reported, and neutral stands for it.
func (o *object) integers(name string, neutral int) []int {
	var numbers []int
	for _, m := range o.list(name) {
		n, ok := number(m.value)
		if !ok {
			o.fail(m.name, "has to be a whole number")
			n = neutral
		}
		numbers = append(numbers, n)
	}
	return numbers
}

// texts reads a list of strings. An element that is none is reported, and neutral stands for it.
func (o *object) texts(name, neutral string) []string {
	var texts []string
	for _, m := range o.list(name) {
		s, ok := unquote(m.value)
		if !ok {
			o.fail(m.name, "has to be a string")
			s = neutral
		}
		texts = append(texts, s)
	}
	return texts
}
