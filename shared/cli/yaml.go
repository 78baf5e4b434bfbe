package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

const (
	maxNodes = 100_000 // of one document, each alias counted as what it stands for
	maxDepth = 100
)

// number is what JSON takes as one.
var number = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// yamlDocuments makes each YAML document a JSON object. Scalars keep the text as which they are written: 1.10 is the
// number 1.10; a time, 0x1F, 1_000, yes and no are texts, as YAML 1.2 or JSON have nothing else for them. Refused, with
// their line: names that are given twice or are no texts, infinities, tags of other kinds.
func yamlDocuments(file string, data []byte) ([]document, error) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	var found []document
	for {
		node, err := nextNode(d)
		if err == io.EOF {
			return found, nil
		}
		if err != nil {
			line, text := placed(err, data)
			return nil, wrong(file, line, "%s", text)
		}
		root := node.Content[0]
		if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
			continue
		}
		if root.Kind != yaml.MappingNode {
			return nil, wrong(file, root.Line, "%s", notAnObject)
		}
		c := converter{file: file}
		if err := c.value(root, 0); err != nil {
			return nil, err
		}
		if err := c.count(root, 0); err != nil { // the last text may have been a long one
			return nil, err
		}
		found = append(found, document{where: fmt.Sprintf("%s:%d", file, root.Line), json: c.out.Bytes()})
	}
}

// nextNode reads one document. The library panics where it meets what its author thought impossible.
func nextNode(d *yaml.Decoder) (node *yaml.Node, err error) {
	defer func() {
		if failure := recover(); failure != nil {
			err = fmt.Errorf("this YAML cannot be read: %v", failure)
		}
	}()
	node = new(yaml.Node)
	err = d.Decode(node)
	return node, err
}

var (
	libraryLine   = regexp.MustCompile(`^yaml: line (\d+): (?s)(.*)$`)
	libraryAnchor = regexp.MustCompile(`^yaml: unknown anchor '(.*)' referenced$`)

	// fromZero are the errors of the library's parser, whose lines count from 0; those of its scanner count from 1.
	fromZero = regexp.MustCompile(`^did not find expected (<|node content|'-'|key|',')`)
)

// inQuotes is said where YAML takes a glob for a name of its own.
const inQuotes = "; text that begins with * or & has to be in quotes"

// placed finds the line of an error of the library, which gives it in its text, if at all.
func placed(err error, data []byte) (line int, text string) {
	text = strings.TrimPrefix(err.Error(), "yaml: ")
	if m := libraryLine.FindStringSubmatch(err.Error()); m != nil {
		line, _ = strconv.Atoi(m[1])
		if fromZero.MatchString(m[2]) {
			line = min(line+1, lineAt(data, len(bytes.TrimRight(data, "\n"))))
		}
		if m[2] == "did not find expected alphabetic or numeric character" {
			m[2] += inQuotes
		}
		return line, m[2]
	}
	if m := libraryAnchor.FindStringSubmatch(err.Error()); m != nil {
		text += inQuotes
		if at := bytes.Index(data, []byte("*"+m[1])); at >= 0 {
			return lineAt(data, at), text
		}
	}
	for at := 0; at < len(data); {
		c, size := utf8.DecodeRune(data[at:])
		if c == utf8.RuneError && size == 1 || c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7f {
			return lineAt(data, at), text
		}
		at += size
	}
	return 1, text
}

// converter writes one document as JSON.
type converter struct {
	file  string
	out   bytes.Buffer
	nodes int
}

func (c *converter) wrong(n *yaml.Node, format string, args ...any) error {
	return wrong(c.file, n.Line, format, args...)
}

func (c *converter) value(n *yaml.Node, depth int) error {
	if err := c.count(n, depth); err != nil {
		return err
	}
	switch n.Kind {
	case yaml.AliasNode:
		return c.value(n.Alias, depth+1)
	case yaml.MappingNode:
		return c.mapping(n, depth)
	case yaml.SequenceNode:
		return c.sequence(n, depth)
	}
	return c.scalar(n)
}

// count keeps aliases from growing a small document without bounds, or for ever.
func (c *converter) count(n *yaml.Node, depth int) error {
	c.nodes++
	switch {
	case depth > maxDepth:
		return c.wrong(n, "this is nested more than %d deep, or an alias stands for something that contains it", maxDepth)
	case c.nodes > maxNodes:
		return c.wrong(n, "the document has more than %d values, each alias counted as what it stands for", maxNodes)
	case c.out.Len() > maxDocument:
		return c.wrong(n, "the document has more than %d bytes as JSON, each alias counted as what it stands for", maxDocument)
	}
	return nil
}

func (c *converter) sequence(n *yaml.Node, depth int) error {
	if n.ShortTag() != "!!seq" {
		return c.wrong(n, "the tag %s is not read here", n.Tag)
	}
	c.out.WriteByte('[')
	for i, item := range n.Content {
		if i > 0 {
			c.out.WriteByte(',')
		}
		if err := c.value(item, depth+1); err != nil {
			return err
		}
	}
	c.out.WriteByte(']')
	return nil
}

func (c *converter) mapping(n *yaml.Node, depth int) error {
	fields, err := c.fields(n, depth)
	if err != nil {
		return err
	}
	c.out.WriteByte('{')
	for i, f := range fields {
		if i > 0 {
			c.out.WriteByte(',')
		}
		c.text(f.name)
		c.out.WriteByte(':')
		if err := c.value(f.value, depth+1); err != nil {
			return err
		}
	}
	c.out.WriteByte('}')
	return nil
}

type field struct {
	name  string
	value *yaml.Node
}

// fields are a mapping's own, then those that << merges into it: what it has itself wins, then what is merged first.
func (c *converter) fields(n *yaml.Node, depth int) ([]field, error) {
	if n.ShortTag() != "!!map" {
		return nil, c.wrong(n, "the tag %s is not read here", n.Tag)
	}
	var fields []field
	var merged *yaml.Node
	lines := map[string]int{}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge" && merged == nil {
			merged = value
			continue
		}
		name, err := c.name(key)
		if err != nil {
			return nil, err
		}
		if line := lines[name]; line > 0 {
			return nil, c.wrong(key, "%q is given twice, first in line %d", name, line)
		}
		lines[name] = key.Line
		fields = append(fields, field{name, value})
	}
	if merged == nil {
		return fields, nil
	}
	return c.merge(fields, merged, depth)
}

func (c *converter) name(key *yaml.Node) (string, error) {
	text := behind(key)
	switch tag := text.ShortTag(); {
	case text.Kind != yaml.ScalarNode:
		return "", c.wrong(key, "a field's name has to be text")
	case tag == "!!merge":
		return "", c.wrong(key, "<< is given twice; it takes a list: [*a, *b]")
	case tag != "!!str":
		return "", c.wrong(key, "a field's name has to be text: write %q in quotes", text.Value)
	}
	return text.Value, nil
}

func (c *converter) merge(fields []field, from *yaml.Node, depth int) ([]field, error) {
	if err := c.count(from, depth); err != nil {
		return nil, err
	}
	sources := []*yaml.Node{from}
	if list := behind(from); list.Kind == yaml.SequenceNode {
		sources = list.Content
	}
	have := map[string]bool{}
	for _, f := range fields {
		have[f.name] = true
	}
	for _, source := range sources {
		source = behind(source)
		if source.Kind != yaml.MappingNode {
			return nil, c.wrong(from, "<< takes a mapping or a list of mappings")
		}
		more, err := c.fields(source, depth+1)
		if err != nil {
			return nil, err
		}
		for _, f := range more {
			if err := c.count(source, depth); err != nil {
				return nil, err
			}
			if !have[f.name] {
				have[f.name] = true
				fields = append(fields, f)
			}
		}
	}
	return fields, nil
}

func behind(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func (c *converter) scalar(n *yaml.Node) error {
	if n.Style&yaml.TaggedStyle != 0 {
		var v any
		if n.Decode(&v) != nil {
			return c.wrong(n, "%q is no %s", n.Value, n.Tag)
		}
	}
	switch n.ShortTag() {
	case "!!null":
		c.out.WriteString("null")
	case "!!bool":
		c.out.WriteString(strings.ToLower(n.Value))
	case "!!int", "!!float":
		return c.number(n)
	case "!!str", "!!timestamp", "!!merge":
		c.text(n.Value)
	default:
		return c.wrong(n, "the tag %s is not read here", n.Tag)
	}
	return nil
}

func (c *converter) number(n *yaml.Node) error {
	switch unsigned := strings.ToLower(strings.TrimLeft(n.Value, "+-")); {
	case unsigned == ".inf" || unsigned == ".nan":
		return c.wrong(n, "%s is no number here; write it in quotes if text is meant", n.Value)
	case number.MatchString(n.Value):
		c.out.WriteString(n.Value)
	default:
		c.text(n.Value)
	}
	return nil
}

func (c *converter) text(s string) {
	encoder := json.NewEncoder(&c.out)
	encoder.SetEscapeHTML(false)
	encoder.Encode(s)
	c.out.Truncate(c.out.Len() - 1) // the encoder's line end
}
