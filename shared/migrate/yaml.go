package migrate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	maxNodes = 20_000 // of all documents, each alias counted as what it stands for
	maxDepth = 50
)

// readYAML reads the documents of a file, each an object. Numbers come as Python writes them, as parameters travel as
// texts: 1.10 is 1.1.
func readYAML(data []byte) (trees []any, err error) {
	defer func() { // the library panics where it meets what its author thought impossible
		if failure := recover(); failure != nil {
			err = fmt.Errorf("this YAML cannot be read: %v", failure)
		}
	}()
	d := yaml.NewDecoder(bytes.NewReader(data))
	r := yamlReader{left: maxNodes}
	for {
		var node yaml.Node
		if err := d.Decode(&node); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("this cannot be read: %w", err)
		}
		root := node.Content[0]
		if root.ShortTag() == "!!null" {
			continue
		}
		if root.Kind != yaml.MappingNode {
			return nil, fmt.Errorf("line %d: a schedule's document has to be an object with named fields", root.Line)
		}
		v, err := r.value(root, 0)
		if err != nil {
			return nil, err
		}
		trees = append(trees, v)
	}
	if len(trees) == 0 {
		return nil, errors.New("there is no document in it")
	}
	return trees, nil
}

type yamlReader struct{ left int }

func (r *yamlReader) value(n *yaml.Node, depth int) (any, error) {
	if r.left--; r.left < 0 || depth > maxDepth {
		return nil, fmt.Errorf("line %d: the document is too large, each alias counted as what it stands for", n.Line)
	}
	switch n.Kind {
	case yaml.AliasNode:
		return r.value(n.Alias, depth+1)
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			v, err := r.value(item, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case yaml.MappingNode:
		return r.mapping(n, depth)
	}
	return scalar(n)
}

func (r *yamlReader) mapping(n *yaml.Node, depth int) (any, error) {
	fields := map[string]any{}
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" {
			return nil, fmt.Errorf("line %d: a field's name has to be a text, and << is not read here", key.Line)
		}
		if _, twice := fields[key.Value]; twice {
			return nil, fmt.Errorf("line %d: %q is given twice", key.Line, key.Value)
		}
		v, err := r.value(n.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		fields[key.Value] = v
	}
	return fields, nil
}

func scalar(n *yaml.Node) (any, error) {
	switch n.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true"), nil
	case "!!int", "!!float":
		return numeral(n), nil
	case "!!str", "!!timestamp":
		return n.Value, nil
	}
	return nil, fmt.Errorf("line %d: the tag %s is not read here", n.Line, n.Tag)
}

var decimal = regexp.MustCompile(`^[-+]?[0-9][0-9_]*$`)

// numeral is a number. One with a zero in front is decimal, as to the old clients: it was octal once.
func numeral(n *yaml.Node) any {
	var i int64
	var f float64
	var err error
	switch plain := n.Style&yaml.TaggedStyle == 0; {
	case plain && decimal.MatchString(n.Value):
		i, err = strconv.ParseInt(strings.ReplaceAll(n.Value, "_", ""), 10, 64)
	case n.ShortTag() == "!!int":
		err = n.Decode(&i)
	default:
		if n.Decode(&f) == nil {
			return pythonFloat(f)
		}
		return n.Value
	}
	if err != nil {
		return n.Value
	}
	return json.Number(strconv.FormatInt(i, 10))
}

// pythonFloat is a number as Python writes it: 1.0, 1e-05, 1e+16.
func pythonFloat(f float64) any {
	switch {
	case math.IsInf(f, 0):
		return strings.TrimPrefix(strings.ToLower(strconv.FormatFloat(f, 'g', -1, 64)), "+")
	case math.IsNaN(f):
		return "nan"
	case f != 0 && (math.Abs(f) >= 1e16 || math.Abs(f) < 1e-4):
		return json.Number(strconv.FormatFloat(f, 'e', -1, 64))
	}
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return json.Number(text)
}
