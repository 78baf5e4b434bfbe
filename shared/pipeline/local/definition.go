package local

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"carillon/shared/schedule"
)

const (
	maxSteps    = 100
	maxProblems = 10 // told of one file; more are counted
)

var (
	variablePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
	stepPattern     = regexp.MustCompile(`^[^\x00-\x1f\x7f]{1,100}$`)
)

// definition is a pipeline as its file says.
type definition struct {
	name        string
	description string
	parameters  []parameter
	steps       []stepDefinition
}

// parameter is one that a submission may give, and has to give when it is required.
type parameter struct {
	name     string
	value    string // the default
	required bool
}

type stepDefinition struct {
	name    string
	command string
	args    []field    // texts with {{ .Parameters.name }}
	env     []variable // likewise
	timeout time.Duration
	dir     string // "" for the folder of the pipelines
}

type field struct {
	text string
	path string // where it stands, for messages
}

type variable struct {
	name  string
	value field
}

// parseDefinition reads one pipeline file. The error names everything that is wrong, by line and field.
func parseDefinition(data []byte) (definition, error) {
	var document yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return definition{}, errors.New("the file is empty: a pipeline has steps, each with a name and a command")
	} else if err != nil {
		return definition{}, fmt.Errorf("the file is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return definition{}, errors.New("the file has more than one document: one file is one pipeline")
	}
	r := &reader{}
	d := r.definition(&document)
	if len(r.problems) == 0 {
		r.tryTemplates(d)
	}
	return d, r.err()
}

// reader takes a document apart and collects what is wrong with it.
type reader struct{ problems []string }

func (r *reader) fail(n *yaml.Node, path, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if path != "" {
		text = path + ": " + text
	}
	r.problems = append(r.problems, fmt.Sprintf("line %d: %s", max(n.Line, 1), text))
}

func (r *reader) err() error {
	n := len(r.problems)
	if n == 0 {
		return nil
	}
	text := strings.Join(r.problems[:min(n, maxProblems)], "; ")
	if n > maxProblems {
		text += fmt.Sprintf("; and %d more", n-maxProblems)
	}
	return errors.New(text)
}

func (r *reader) definition(n *yaml.Node) definition {
	fields := r.mapping(n.Content[0], "", "name", "description", "parameters", "steps")
	d := definition{
		name:        r.text(fields["name"], "name"),
		description: r.text(fields["description"], "description"),
		parameters:  r.parameters(fields["parameters"]),
	}
	if steps, ok := fields["steps"]; ok {
		d.steps = r.steps(steps)
	} else if n.Content[0].Kind == yaml.MappingNode {
		r.fail(n, "steps", "is required: a list of steps, each with a name and a command")
	}
	return d
}

func (r *reader) parameters(n *yaml.Node) (list []parameter) {
	upper := map[string]string{}
	for _, e := range r.entries(n, "parameters") {
		path := "parameters." + e.name
		if !variablePattern.MatchString(e.name) {
			r.fail(e.key, path, "is not a parameter's name: a letter or _, then letters, digits or _")
		}
		if other, taken := upper[strings.ToUpper(e.name)]; taken {
			r.fail(e.key, path, "differs from %s in letter case only", other)
		}
		upper[strings.ToUpper(e.name)] = e.name
		p := parameter{name: e.name, required: isNull(e.value)}
		if !p.required {
			p.value = r.text(e.value, path)
		}
		list = append(list, p)
	}
	return list
}

func (r *reader) steps(n *yaml.Node) (steps []stepDefinition) {
	items := r.list(n, "steps")
	if len(items) == 0 || len(items) > maxSteps {
		r.fail(n, "steps", "has to be a list of 1 to %d steps", maxSteps)
		return nil
	}
	names := map[string]bool{}
	for i, item := range items {
		s := r.step(item, fmt.Sprintf("steps[%d]", i))
		if s.name != "" && names[s.name] {
			r.fail(item, fmt.Sprintf("steps[%d].name", i), "%q is the name of an earlier step", s.name)
		}
		names[s.name] = true
		steps = append(steps, s)
	}
	return steps
}

func (r *reader) step(n *yaml.Node, path string) stepDefinition {
	fields := r.mapping(n, path, "name", "command", "args", "env", "timeout", "working_dir")
	s := stepDefinition{
		name:    r.required(n, fields, path, "name", "what the step is called on one line"),
		command: r.required(n, fields, path, "command", "the program that the step runs, such as python3"),
		env:     r.environment(fields["env"], path+".env"),
		timeout: r.duration(fields["timeout"], path+".timeout"),
		dir:     r.text(fields["working_dir"], path+".working_dir"),
	}
	if s.name != "" && !stepPattern.MatchString(s.name) {
		r.fail(n, path+".name", "has to be one line of up to 100 bytes")
	}
	for i, item := range r.list(fields["args"], path+".args") {
		at := fmt.Sprintf("%s.args[%d]", path, i)
		s.args = append(s.args, field{r.text(item, at), at})
	}
	return s
}

func (r *reader) environment(n *yaml.Node, path string) (list []variable) {
	for _, e := range r.entries(n, path) {
		at := path + "." + e.name
		switch {
		case !variablePattern.MatchString(e.name):
			r.fail(e.key, at, "is not a variable's name: a letter or _, then letters, digits or _")
		case slices.Contains(ownVariables, e.name) || strings.HasPrefix(e.name, parameterVariable):
			r.fail(e.key, at, "is set by Carillon for every step")
		}
		list = append(list, variable{e.name, field{r.text(e.value, at), at}})
	}
	return list
}

func (r *reader) duration(n *yaml.Node, path string) time.Duration {
	text := r.text(n, path)
	if n == nil || text == "" {
		return 0
	}
	d, err := schedule.ParseDuration(text)
	if err != nil {
		r.fail(n, path, "%v", err)
	} else if d <= 0 {
		r.fail(n, path, "has to be one second or more; leave it out for none")
	}
	return d
}

// tryTemplates fills every text in with the defaults, so that a wrong one is told when the file is read.
func (r *reader) tryTemplates(d definition) {
	sample := map[string]string{}
	for _, p := range d.parameters {
		sample[p.name] = p.value
	}
	for _, s := range d.steps {
		for _, f := range s.fields() {
			if _, err := f.fill(sample); err != nil {
				r.problems = append(r.problems, err.Error())
			}
		}
	}
}

func (s stepDefinition) fields() []field {
	all := slices.Clone(s.args)
	for _, v := range s.env {
		all = append(all, v.value)
	}
	return all
}
