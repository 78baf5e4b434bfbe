package local

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

type entry struct {
	name       string
	key, value *yaml.Node
}

// entries returns what stands in a mapping, in order. Nothing, or a null, is an empty one.
func (r *reader) entries(n *yaml.Node, path string) (list []entry) {
	n = resolve(n)
	if isNull(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		r.fail(n, path, "has to be a mapping, with lines such as name: value")
		return nil
	}
	seen := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		key := resolve(n.Content[i])
		switch {
		case key.Kind != yaml.ScalarNode:
			r.fail(key, path, "has a key that is not text")
		case seen[key.Value]:
			r.fail(key, path, "has %s twice", key.Value)
		default:
			seen[key.Value] = true
			list = append(list, entry{key.Value, key, resolve(n.Content[i+1])})
		}
	}
	return list
}

// mapping returns the values of a mapping that has only the allowed fields. A null is the same as an absent one.
func (r *reader) mapping(n *yaml.Node, path string, allowed ...string) map[string]*yaml.Node {
	fields := map[string]*yaml.Node{}
	if isNull(resolve(n)) {
		r.fail(n, path, "is empty; it may have %s", strings.Join(allowed, ", "))
	}
	for _, e := range r.entries(n, path) {
		if !slices.Contains(allowed, e.name) {
			r.fail(e.key, path, "%s is not a field here; there are %s", e.name, strings.Join(allowed, ", "))
		} else if !isNull(e.value) {
			fields[e.name] = e.value
		}
	}
	return fields
}

func (r *reader) list(n *yaml.Node, path string) []*yaml.Node {
	n = resolve(n)
	if isNull(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.fail(n, path, "has to be a list")
		return nil
	}
	return n.Content
}

// text returns a scalar as it is written, so that 1.50 stays 1.50. Nothing is "".
func (r *reader) text(n *yaml.Node, path string) string {
	if n == nil {
		return ""
	}
	n = resolve(n)
	switch {
	case n.Kind != yaml.ScalarNode || isNull(n) || n.ShortTag() == "!!binary":
		r.fail(n, path, "has to be text, a number, true or false")
	case strings.ContainsRune(n.Value, 0):
		r.fail(n, path, "may not hold a zero byte")
	}
	return n.Value
}

// required is the text of a field that has to be there. need says what it is.
func (r *reader) required(n *yaml.Node, fields map[string]*yaml.Node, path, name, need string) string {
	before := len(r.problems)
	text := r.text(fields[name], path+"."+name)
	if text == "" && len(r.problems) == before {
		r.fail(n, path+"."+name, "is required: %s", need)
	}
	return text
}

func isNull(n *yaml.Node) bool {
	return n == nil || n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}
