package local

import (
	"strings"
	"testing"

	"carillon/shared/pipeline"
)

func TestParseDefinitionSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "the file is empty: a pipeline has steps, each with a name and a command"},
		{"# only a comment\n", "the file is empty: a pipeline has steps, each with a name and a command"},
		{"steps: [", "the file is not YAML: line 1: did not find expected node content"},
		{"just text", "line 1: has to be a mapping, with lines such as name: value"},
		{"~", "line 1: is empty; it may have name, description, parameters, steps"},
		{"name: x", "line 1: steps: is required: a list of steps, each with a name and a command"},
		{"steps: []", "line 1: steps: has to be a list of 1 to 100 steps"},
		{"steps: {a: b}", "line 1: steps: has to be a list; line 1: steps: has to be a list of 1 to 100 steps"},
		{"steps: [{name: a, command: b}]\n---\nsteps: []", "the file has more than one document: one file is one pipeline"},
		{"steps: [{}]", "line 1: steps[0].name: is required: what the step is called on one line; line 1: steps[0].command: is required: the program that the step runs, such as python3"},
		{"step: x\nsteps:\n- name: a\n  command: [b]\n  arg: c", "line 1: step is not a field here; there are name, description, parameters, steps; " +
			"line 5: steps[0]: arg is not a field here; there are name, command, args, env, timeout, working_dir; " +
			"line 4: steps[0].command: has to be text, a number, true or false"},
		{"steps:\n- {name: a, command: b}\n- {name: a, command: b}", `line 3: steps[1].name: "a" is the name of an earlier step`},
		{"steps: [{name: \"a\\nb\", command: b}]", "line 1: steps[0].name: has to be one line of up to 100 bytes"},
		{"steps: [{name: a, name: c, command: b}]", "line 1: steps[0]: has name twice"},
		{"steps: [{name: a, command: b, args: -c}]", "line 1: steps[0].args: has to be a list"},
		{"steps: [{name: a, command: b, args: [[c]]}]", "line 1: steps[0].args[0]: has to be text, a number, true or false"},
		{"steps: [{name: a, command: b, args: [\"c\\0\"]}]", "line 1: steps[0].args[0]: may not hold a zero byte"},
		{"steps: [{name: a, command: b, timeout: 5 minutes}]", `line 1: steps[0].timeout: "5 minutes" is not a duration; write whole seconds or more as 90s, 5m, 1h30m or 2d`},
		{"steps: [{name: a, command: b, timeout: 0s}]", "line 1: steps[0].timeout: has to be one second or more; leave it out for none"},
		{"steps: [{name: a, command: b, env: {1A: x, CARILLON_RUN: y, CARILLON_PARAM_Z: z, OK: }}]", "line 1: steps[0].env.1A: is not a variable's name: a letter or _, then letters, digits or _; " +
			"line 1: steps[0].env.CARILLON_RUN: is set by Carillon for every step; line 1: steps[0].env.CARILLON_PARAM_Z: is set by Carillon for every step; " +
			"line 1: steps[0].env.OK: has to be text, a number, true or false"},
		{"parameters: {a-b: 1, who: x, WHO: y, list: []}\nsteps: [{name: a, command: b}]", "line 1: parameters.a-b: is not a parameter's name: a letter or _, then letters, digits or _; " +
			"line 1: parameters.WHO: differs from who in letter case only; line 1: parameters.list: has to be text, a number, true or false"},
		{"parameters: [who]\nsteps: [{name: a, command: b}]", "line 1: parameters: has to be a mapping, with lines such as name: value"},
		{"parameters: {day: 1}\nsteps: [{name: a, command: b, args: ['{{ .Parameters.who }}']}]", "steps[0].args[0]: there is no parameter who (the pipeline has day)"},
		{"parameters: {who: 1}\nsteps: [{name: a, command: b, env: {A: '{{ .Parameters.who'}}]", "steps[0].env.A:1: unclosed action (only {{ .Parameters.name }} can be filled in, here with who)"},
		{"parameters: {who: x}\nsteps: [{name: a, command: b, args: ['{{ printf .Parameters.who }}']}]", `steps[0].args[0]:1: function "printf" not defined (only {{ .Parameters.name }} can be filled in, here with who)`},
		{"steps: [{name: a, command: b, args: ['{{ .Schedule }}']}]", `steps[0].args[0]:1:3: executing "steps[0].args[0]" at <.Schedule>: can't evaluate field Schedule in type struct { Parameters map[string]string } (only {{ .Parameters.name }} can be filled in, here with none)`},
	} {
		_, err := parseDefinition([]byte(c.text))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s\ngot  %v\nwant %s", c.text, err, c.want)
		}
	}
	_, err := parseDefinition([]byte("steps: [" + strings.Repeat("{}, ", 20) + "]"))
	if err == nil || !strings.HasSuffix(err.Error(), "; and 30 more") {
		t.Errorf("many problems: %v", err)
	}
}

func TestFill(t *testing.T) {
	values := map[string]string{"who": "you {{ .Parameters.x }}", "flag": ""}
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"plain { text }", "plain { text }"},
		{"hi {{ .Parameters.who }}!", "hi you {{ .Parameters.x }}!"},
		{"{{ if .Parameters.flag }}--flag{{ else }}--no-flag{{ end }}", "--no-flag"},
		{"{{- range $name, $value := .Parameters }}{{ $name }},{{ end -}}", "flag,who,"},
	} {
		got, err := field{c.text, "args[0]"}.fill(values)
		if err != nil || got != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.text, got, err, c.want)
		}
	}
	values["who"] = strings.Repeat("x", 100_000)
	for _, text := range []string{"{{ .Parameters.who }}{{ .Parameters.who }}", strings.Repeat("y", maxFilled+1)} {
		if got, err := (field{text, "args[0]"}).fill(values); err == nil || !strings.Contains(err.Error(), "longer than 131071 bytes") {
			t.Errorf("%d bytes and %v", len(got), err)
		}
	}
}

func FuzzParseDefinition(f *testing.F) {
	f.Add([]byte("parameters: {who: world, day: null}\nsteps: [{name: a, command: b, args: [1, &x c, *x], env: {A: '{{ .Parameters.who }}'}, timeout: 1d}]"))
	f.Add([]byte("a: &a [*a]\nsteps: *a"))
	f.Add([]byte("<<: {steps: [{name: a, command: b}]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if strings.Contains(string(data), "range") {
			return // authors may write loops without an end
		}
		d, err := parseDefinition(data)
		if err != nil {
			return
		}
		given := map[string]string{}
		for _, p := range d.parameters {
			given[p.name] = p.value
		}
		if _, err := d.fillIn(pipeline.Submission{Name: "a", Parameters: given}, "/"); err != nil {
			t.Errorf("read without a problem, and then: %v", err)
		}
	})
}
