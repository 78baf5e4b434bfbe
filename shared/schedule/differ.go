package schedule

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"strconv"
	"unicode/utf8"
)

// byEntry are the fields of a definition of which a record of a change has those entries only that differ.
var byEntry = map[string]bool{"parameters": true, "outputs": true, "settings": true, "tags": true}

// maxWhole is how many bytes of JSON another field may have to stand in a record of a change as a whole: of a longer one
// there is what differs, too.
const maxWhole = 4 << 10

// differing are the parts of two values of a field that the other has not, or has otherwise; nil for none.
func differing(field string, before, after json.RawMessage) (was, is json.RawMessage) {
	if len(before) <= maxWhole && len(after) <= maxWhole && !byEntry[field] {
		return before, after
	}
	if b, a := object(before), object(after); b != nil && a != nil {
		for name := range union(b, a) {
			if bytes.Equal(b[name], a[name]) {
				delete(b, name)
				delete(a, name)
				continue
			}
			was, is := differing("", b[name], a[name])
			set(b, name, was)
			set(a, name, is)
		}
		return entriesOf(b), entriesOf(a)
	}
	if b, a := list(before), list(after); b != nil && a != nil {
		if left, more := lacking(b, a), lacking(a, b); len(left)+len(more) > 0 { // else their order alone is another
			return itemsOf(left), itemsOf(more)
		}
	}
	return before, after
}

// lacking are the items that are not in another list.
func lacking(items, other []json.RawMessage) (left []json.RawMessage) {
	there := map[string]bool{}
	for _, item := range other {
		there[string(item)] = true
	}
	for _, item := range items {
		if !there[string(item)] {
			left = append(left, item)
		}
	}
	return left
}

// Cut is the record with texts of more than so many bytes cut, which they say: of two that differ, from where they do.
func (a Audit) Cut(most int) Audit {
	before, after := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	for name := range union(a.Before, a.After) {
		was, is := cut(a.Before[name], a.After[name], most)
		set(before, name, was)
		set(after, name, is)
	}
	a.Before, a.After = orNone(before), orNone(after)
	return a
}

// cut cuts the texts of two values; nil stands for none.
func cut(before, after json.RawMessage, most int) (was, is json.RawMessage) {
	if len(before) <= most && len(after) <= most {
		return before, after
	}
	if b, a := object(before), object(after); (b != nil || before == nil) && (a != nil || after == nil) {
		for name := range union(b, a) {
			was, is := cut(b[name], a[name], most)
			set(b, name, was)
			set(a, name, is)
		}
		return entriesOf(b), entriesOf(a)
	}
	return cutOne(before, after, most), cutOne(after, before, most)
}

// cutOne cuts the texts of a value, beside another.
func cutOne(value, other json.RawMessage, most int) json.RawMessage {
	var text, beside string
	switch {
	case len(value) <= most:
		return value
	case json.Unmarshal(value, &text) == nil:
		if json.Unmarshal(other, &beside) != nil {
			beside = ""
		}
		return cutText(text, beside, most)
	case object(value) != nil:
		alone, _ := cut(value, nil, most)
		return alone
	case value[0] != '[':
		return value
	}
	items := list(value)
	for i, item := range items {
		items[i] = cutOne(item, nil, most)
	}
	return itemsOf(items)
}

// cutBefore is how many bytes before their first difference texts are shown from.
const cutBefore = 20

// wasCut is a text that was cut before, to more bytes.
var wasCut = regexp.MustCompile(`(?s)^(.*?)(?: …)? \(cut, of ([0-9]+) bytes\)$`)

func cutText(text, other string, most int) json.RawMessage {
	whole := strconv.Itoa(len(text))
	more := ""
	if parts := wasCut.FindStringSubmatch(text); parts != nil {
		text, whole, more = parts[1], parts[2], " …"
	}
	from := 0
	for from < min(len(text), len(other)) && text[from] == other[from] {
		from++
	}
	from = max(min(from-cutBefore, len(text)-most), 0)
	to := min(from+most, len(text))
	for from > 0 && !utf8.RuneStart(text[from]) {
		from--
	}
	for to < len(text) && !utf8.RuneStart(text[to]) {
		to--
	}
	shown := text[from:to]
	if from > 0 {
		shown = "… " + shown
	}
	if to < len(text) {
		more = " …"
	}
	return written(shown + more + " (cut, of " + whole + " bytes)")
}

// object is a value's entries, nil when it is no object; list are its items.
func object(value json.RawMessage) (entries map[string]json.RawMessage) {
	_ = json.Unmarshal(value, &entries)
	return entries
}

func list(value json.RawMessage) (items []json.RawMessage) {
	_ = json.Unmarshal(value, &items)
	return items
}

// entriesOf is object the other way round, nil for no entries; itemsOf is list.
func entriesOf(entries map[string]json.RawMessage) json.RawMessage {
	if len(entries) == 0 {
		return nil
	}
	return written(entries)
}

func itemsOf(items []json.RawMessage) json.RawMessage {
	if len(items) == 0 {
		return nil
	}
	return written(items)
}

// written is plain data as JSON, as people read it.
func written(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func union(a, b map[string]json.RawMessage) map[string]json.RawMessage {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]json.RawMessage{}
	}
	maps.Copy(all, b)
	return all
}

// set sets an entry, or deletes it where there is no value.
func set(entries map[string]json.RawMessage, name string, value json.RawMessage) {
	if value != nil {
		entries[name] = value
	} else {
		delete(entries, name)
	}
}
