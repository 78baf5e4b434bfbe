package studio

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"carillon/shared/schedule"
)

// yaml writes a definition as people do, in the order of its fields: what `carillon schedules create -f` reads.
func yaml(d schedule.Definition) string {
	data, err := json.Marshal(d)
	if err != nil {
		return err.Error() // it cannot: a definition is plain data
	}
	var b strings.Builder
	block(&b, data, "")
	return b.String()
}

// block writes the fields of an object, one to a line.
func block(b *strings.Builder, object json.RawMessage, indent string) {
	each(object, func(name string, value json.RawMessage) {
		b.WriteString(indent + scalar(name) + ":")
		if value[0] == '{' && string(value) != "{}" {
			b.WriteString("\n")
			block(b, value, indent+"  ")
			return
		}
		b.WriteString(" " + flow(value) + "\n")
	})
}

// flow writes a value in one line.
func flow(value json.RawMessage) string {
	var parts []string
	switch value[0] {
	case '{':
		each(value, func(name string, v json.RawMessage) { parts = append(parts, scalar(name)+": "+flow(v)) })
		return "{" + strings.Join(parts, ", ") + "}"
	case '[':
		var items []json.RawMessage
		json.Unmarshal(value, &items)
		for _, item := range items {
			parts = append(parts, flow(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case '"':
		var text string
		json.Unmarshal(value, &text)
		return scalar(text)
	}
	return string(value)
}

// each calls do for the fields of a valid JSON object, in order.
func each(object json.RawMessage, do func(name string, value json.RawMessage)) {
	d := json.NewDecoder(bytes.NewReader(object))
	d.Token()
	for d.More() {
		name, _ := d.Token()
		var value json.RawMessage
		d.Decode(&value)
		do(name.(string), value)
	}
}

// unquoted is text that YAML reads as that text, in lists too, and reserved what it reads as something else.
var (
	unquoted = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./-]*( [A-Za-z0-9_./-]+)*$`)
	reserved = regexp.MustCompile(`(?i)^(true|false|yes|no|y|n|on|off|null)$`)
)

// scalar writes text. Go's escapes are all among YAML's.
func scalar(text string) string {
	if unquoted.MatchString(text) && !reserved.MatchString(text) {
		return text
	}
	return strconv.Quote(text)
}
