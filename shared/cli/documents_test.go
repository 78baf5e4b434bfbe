package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestYAMLScalars(t *testing.T) {
	tests := []struct{ yaml, json string }{
		// numbers keep their digits
		{"15", "15"}, {"-0", "-0"}, {"1.10", "1.10"}, {"1e3", "1e3"}, {"12e03", "12e03"},
		{"123456789012345678901234567890", "123456789012345678901234567890"},
		// what JSON has no number for is text
		{"007", `"007"`}, {"0x1F", `"0x1F"`}, {"0o17", `"0o17"`}, {"0b11", `"0b11"`}, {"1_000", `"1_000"`}, {"+5", `"+5"`},
		{".5", `".5"`}, {"1.", `"1."`}, {"10:30", `"10:30"`}, {"190:20:30", `"190:20:30"`}, {"1e999", `"1e999"`},
		// times are as they are written
		{"2026-11-22", `"2026-11-22"`}, {"2026-11-22T19:15:00", `"2026-11-22T19:15:00"`}, {"2026-1-2T3:4:5Z", `"2026-1-2T3:4:5Z"`},
		{"2001-12-14 21:59:43.10 -5", `"2001-12-14 21:59:43.10 -5"`}, {"!!timestamp 2026-11-22", `"2026-11-22"`},
		// truth and nothing as in YAML 1.2
		{"true", "true"}, {"True", "true"}, {"FALSE", "false"}, {"yes", `"yes"`}, {"No", `"No"`}, {"on", `"on"`}, {"y", `"y"`},
		{"null", "null"}, {"~", "null"}, {"", "null"}, {"None", `"None"`}, {"nil", `"nil"`},
		// texts
		{"'5'", `"5"`}, {`"true"`, `"true"`}, {"'~'", `"~"`}, {"!!str 5", `"5"`}, {"!!str", `""`}, {"'.inf'", `".inf"`}, {"<<", `"<<"`},
		{"a <b> & c", `"a <b> & c"`}, {`"\u0000\e\x85\U0001F600"`, "\"\\u0000\\u001b\u0085\U0001F600\""},
		{"|\n  x\n  y\n", `"x\ny\n"`}, {">-\n  x\n  y\n", `"x y"`}, {"!!int 5", "5"}, {"!!float 5", "5"},
		// structures
		{"[1, [a], {b: 2}]", `[1,["a"],{"b":2}]`}, {"\n  - 1\n  -\n  - {}", "[1,null,{}]"}, {"!!map {a: !!seq [1]}", `{"a":[1]}`},
		{"&x [1]\nb: *x", `[1],"b":[1]`},
	}
	for _, test := range tests {
		found, err := documents("f", []byte("v: "+test.yaml))
		if err != nil {
			t.Errorf("%q: %v", test.yaml, err)
			continue
		}
		if got, want := string(found[0].json), `{"v":`+test.json+`}`; got != want || !json.Valid(found[0].json) {
			t.Errorf("%q is %s, want %s", test.yaml, got, want)
		}
	}
}

func TestDocuments(t *testing.T) {
	tests := []struct{ name, data, want string }{
		{"several", "# first\na: 1\n---\n---\n# empty\n---\nb: 2\n...\n", `f:2 {"a":1} f:7 {"b":2}`},
		{"line ends", "a: 1\r\n---\r\nb: 2\r\n", `f:1 {"a":1} f:3 {"b":2}`},
		{"byte order mark", "\ufeffa: 1", `f:1 {"a":1}`},
		{"UTF-16", "\xff\xfea\x00:\x00 \x001\x00", `f:1 {"a":1}`},
		{"a version", "%YAML 1.1\n---\na: yes", `f:3 {"a":"yes"}`},
		{"merge", "base: &b {x: 1, y: 2}\nt: {<<: *b, y: 3}", `f:1 {"base":{"x":1,"y":2},"t":{"y":3,"x":1}}`},
		{"merge a list", "t: {<<: [{x: 1}, {x: 2, z: 3}], y: 0}", `f:1 {"t":{"y":0,"x":1,"z":3}}`},
		{"merge what merges", "a: &a {x: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: *b}", `f:1 {"a":{"x":1},"b":{"y":2,"x":1},"c":{"y":2,"x":1}}`},
		{"a field called <<", "'<<': 1\n<<: {a: 2}", `f:1 {"<<":1,"a":2}`},
		{"an alias as a name", "a: &x b\n*x : 1", `f:1 {"a":"b","b":1}`},
		{"names that look like truth", "yes: 1\non: 2", `f:1 {"yes":1,"on":2}`},
		{"JSON", "{\"a\": \"\\ud83d\\ude00\",\n \"n\": 1.10, \"e\": 1e999}", "f:1 {\"a\": \"\\ud83d\\ude00\",\n \"n\": 1.10, \"e\": 1e999}"},
		{"JSON, several", "\n{\"a\":1}\n{\"b\":2}{\"c\":3}", `f:2 {"a":1} f:3 {"b":2} f:3 {"c":3}`},
		{"JSON with tabs and a long name", "{\n\t\"" + strings.Repeat("k", 2000) + "\": 1}", "f:1 {\n\t\"" + strings.Repeat("k", 2000) + "\": 1}"},
		{"nearly JSON", "{\"a\": 1,}", `f:1 {"a":1}`},
		{"the same name in other objects", `{"a":{"a":[{"a":1},{"a":2}]},"b":{"a":1}}`, `f:1 {"a":{"a":[{"a":1},{"a":2}]},"b":{"a":1}}`},

		{"nothing", "", "f:1: there is no document in it"},
		{"only comments", "# x\n---\n", "f:1: there is no document in it"},
		{"a list", "\n- a", "f:2: " + notAnObject},
		{"a JSON list", "[{}]", "f:1: " + notAnObject},
		{"a text", "just text", "f:1: " + notAnObject},
		{"infinity", "a: 1\nb: .inf", "f:2: .inf is no number here; write it in quotes if text is meant"},
		{"minus infinity", "b: [1,\n -.Inf]", "f:2: -.Inf is no number here; write it in quotes if text is meant"},
		{"not a number", "b: .NaN", "f:1: .NaN is no number here; write it in quotes if text is meant"},
		{"a name twice", "a: 1\nb:\n  c: 1\n  d: 1\n  c: 2", `f:5: "c" is given twice, first in line 3`},
		{"a name twice in JSON", "{\"a\": 1,\n\"b\": [{\"c\": 1,\n\"c\": 2}]}", `f:3: "c" is given twice`},
		{"a name twice in escapes", `{"a": 1, "\u0061": 2}`, `f:1: "a" is given twice`},
		{"<< twice", "<<: {a: 1}\n<<: {b: 1}", "f:2: << is given twice; it takes a list: [*a, *b]"},
		{"<< of a text", "a: 1\n<<: x", "f:2: << takes a mapping or a list of mappings"},
		{"a number as a name", "a: 1\n1: x", `f:2: a field's name has to be text: write "1" in quotes`},
		{"truth as a name", "true: x", `f:1: a field's name has to be text: write "true" in quotes`},
		{"nothing as a name", "a:\n  ~: x", `f:2: a field's name has to be text: write "~" in quotes`},
		{"a list as a name", "? [a]\n: x", "f:1: a field's name has to be text"},
		{"bytes", "a: !!binary aGk=", "f:1: the tag !!binary is not read here"},
		{"a tag", "a: 1\nb: !foo x", "f:2: the tag !foo is not read here"},
		{"a set", "a: !!set {x}", "f:1: the tag !!set is not read here"},
		{"a tagged list", "a: !x [1]", "f:1: the tag !x is not read here"},
		{"a number that is none", "a: !!int abc", `f:1: "abc" is no !!int`},
		{"yes as truth", "a: !!bool yes", `f:1: "yes" is no !!bool`},
		{"no anchor", "\n\na: *x", "f:3: unknown anchor 'x' referenced; text that begins with * or & has to be in quotes"},
		{"a list in itself", "a: &a [*a]", "f:1: this is nested more than 100 deep, or an alias stands for something that contains it"},
		{"a merge of itself", "a: &a {<<: *a}", "f:1: this is nested more than 100 deep, or an alias stands for something that contains it"},
		{"too deep", "a: " + strings.Repeat("[", 101) + strings.Repeat("]", 101), "f:1: this is nested more than 100 deep, or an alias stands for something that contains it"},
		{"syntax", "a: 1\nb: 2\nc 2\nd: 3\n", "f:3: could not find expected ':'"},
		{"syntax in the first line", "a: b: c", "f:1: mapping values are not allowed in this context"},
		{"syntax in a later document", "a: 1\n---\nb: [1", "f:3: did not find expected ',' or ']'"},
		{"syntax at the end", "v:\n- [A,", "f:2: did not find expected node content"},
		{"a wrong indentation", "a:\n  b: 1\n c: 2\n", "f:3: did not find expected key"},
		{"a comma too few", "{\"a\": [1,2\n]\n\"b\": 3}", "f:3: did not find expected ',' or '}'"},
		{"a tab", "a:\n\tb: 1", "f:2: found character that cannot start any token"},
		{"not UTF-8", "b: 1\na: \xff", "f:2: invalid leading UTF-8 octet"},
		{"a control character", "b: 1\n\na: \x01", "f:3: control characters are not allowed"},
		{"too long", "a: &a " + strings.Repeat("x", maxDocument/2) + "\nb: [*a, *a, *a]", fmt.Sprintf("f:2: the document has more than %d bytes as JSON, each alias counted as what it stands for", maxDocument)},
		{"a long text", "a: " + strings.Repeat("x", maxDocument), fmt.Sprintf("f:1: the document has more than %d bytes as JSON, each alias counted as what it stands for", maxDocument)},
		{"too long in JSON", `{"a":"` + strings.Repeat("x", maxDocument) + `"}`, fmt.Sprintf("f:1: the document has %d bytes as JSON and may have %d", maxDocument+8, maxDocument)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			found, err := documents("f", []byte(test.data))
			var got []string
			for _, d := range found {
				got = append(got, d.where+" "+string(d.json))
			}
			if err != nil {
				got = []string{err.Error()}
			}
			compare(t, "the result", strings.Join(got, " "), test.want)
		})
	}
}

// Small documents that would grow to gigabytes, or take for ever without growing, are refused soon.
func TestAliasesThatGrow(t *testing.T) {
	values, merges := "l0: &l0 [x,x,x,x,x,x,x,x,x]\n", "m0: &m0 {x: 1}\n"
	for i := 1; i < 12; i++ {
		values += fmt.Sprintf("l%d: &l%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*l%d,", i-1), 9), ","))
		merges += fmt.Sprintf("m%d: &m%d {<<: [%s]}\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*m%d,", i-1), 9), ","))
	}
	long := "a: &a " + strings.Repeat("x", 1<<19) + "\nb: [" + strings.TrimSuffix(strings.Repeat("*a,", 50_000), ",") + "]\n"
	for _, data := range []string{values, merges, long} {
		c := testing.AllocsPerRun(1, func() {
			_, err := documents("f", []byte(data))
			if err == nil || !strings.Contains(err.Error(), "each alias counted as what it stands for") {
				t.Errorf("the error is %v", err)
			}
		})
		if c > 3_000_000 {
			t.Errorf("%.0f allocations", c)
		}
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	tests := []struct {
		stdin io.Reader
		want  string
	}{
		{iotest.ErrReader(io.ErrUnexpectedEOF), "unexpected EOF"},
		{io.LimitReader(zeros{}, maxFile+2), "- is larger than 64 MiB"},
	}
	for _, test := range tests {
		if _, err := readDocuments(t.Context(), []string{"-"}, test.stdin); err == nil || err.Error() != test.want {
			t.Errorf("the error is %v, want %s", err, test.want)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// FuzzDocuments: nothing panics; what comes out is JSON objects, each of which reads as itself; errors name a line.
func FuzzDocuments(f *testing.F) {
	for _, seed := range []string{
		quarterYAML, quarterJSON, "a: &a [*a]", "<<: [&b {x: 1}, *b]", "? |\n  x\n: >\n  y\n", "%YAML 1.2\n--- !!map\n{a: !!str 1}\n...\n# x",
		"a: .inf", "- 1\n- 2", "a:\n- b\n # c\n- d\n# e\n\n# f\nb: {c: d # g\n}", "{\"a\":1}{\"b\":\"\\ud800\"}", "a: \"\\x00\\u2028\"\n---\n~\n", "\xff\xfea\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := documents("f", data)
		if err != nil {
			var line int
			if n, scanErr := fmt.Sscanf(err.Error(), "f:%d: ", &line); n != 1 || line < 1 {
				t.Fatalf("%q names no line: %v", err, scanErr)
			}
			return
		}
		for _, d := range found {
			var object map[string]json.RawMessage
			if err := json.Unmarshal(d.json, &object); err != nil || object == nil {
				t.Fatalf("%s is no object: %v", d.json, err)
			}
			again, err := documents("f", d.json)
			if err != nil || len(again) != 1 || !bytes.Equal(again[0].json, d.json) {
				t.Fatalf("%s reads as %v, %v", d.json, again, err)
			}
		}
	})
}
