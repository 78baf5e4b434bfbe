package local

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"

	"carillon/shared/pipeline"
)

// maxFilled is how long an argument or the value of a variable may be: what Linux takes for one.
const maxFilled = 128<<10 - 1

const parameterVariable = "CARILLON_PARAM_"

// ownVariables are set for every step, beside one CARILLON_PARAM_ for each parameter.
var ownVariables = []string{runVariable, runsVariable, "CARILLON_SCHEDULE", "CARILLON_OCCURRENCE", "CARILLON_EXPERIMENT"}

// Both together tell which processes belong to a run, when its first one is gone.
const (
	runVariable  = "CARILLON_RUN"
	runsVariable = "CARILLON_RUNS" // Config.Runs: another Carillon may have runs of the same names
)

// values are a run's parameters: those of the submission over the defaults. The error says what is wrong, by name.
func (d definition) values(given map[string]string) (map[string]string, error) {
	values, declared := map[string]string{}, []string{}
	var wrong []string
	for _, p := range d.parameters {
		declared = append(declared, p.name)
		value, ok := given[p.name]
		switch {
		case !ok && p.required:
			wrong = append(wrong, fmt.Sprintf("parameter %s is required and has no value", p.name))
		case !ok:
			value = p.value
		case strings.ContainsRune(value, 0):
			wrong = append(wrong, fmt.Sprintf("parameter %s may not hold a zero byte", p.name))
		}
		values[p.name] = value
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(declared, name) {
			wrong = append(wrong, fmt.Sprintf("there is no parameter %s (the pipeline has %s)", name, orNone(declared)))
		}
	}
	if len(wrong) > 0 {
		return nil, fmt.Errorf("%s", strings.Join(wrong, "; "))
	}
	return values, nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// step is one part of a run with everything filled in, as the run's request keeps it.
type step struct {
	Name    string   `json:"name"`
	Command string   `json:"command"`
	Args    []string `json:"args,omitempty"`
	Env     []string `json:"env,omitempty"` // name=value, over the environment of Carillon itself
	Dir     string   `json:"dir"`
	Timeout int64    `json:"timeout_seconds,omitempty"`
}

// fillIn makes the steps of a run. Folders of steps are absolute, or below dir.
func (d definition) fillIn(s pipeline.Submission, dir string) ([]step, error) {
	values, err := d.values(s.Parameters)
	if err != nil {
		return nil, err
	}
	own := environment(s, values)
	steps := make([]step, len(d.steps))
	for i, def := range d.steps {
		steps[i] = step{Name: def.name, Command: def.command, Dir: below(dir, def.dir), Timeout: int64(def.timeout.Seconds())}
		for _, f := range def.args {
			arg, err := f.fill(values)
			if err != nil {
				return nil, err
			}
			steps[i].Args = append(steps[i].Args, arg)
		}
		for _, v := range def.env {
			value, err := v.value.fill(values)
			if err != nil {
				return nil, err
			}
			steps[i].Env = append(steps[i].Env, v.name+"="+value)
		}
		steps[i].Env = append(steps[i].Env, own...)
	}
	return steps, nil
}

// environment is what every step of a run finds in its environment.
func environment(s pipeline.Submission, values map[string]string) []string {
	env := []string{
		runVariable + "=" + s.Name, "CARILLON_SCHEDULE=" + s.Schedule,
		"CARILLON_OCCURRENCE=" + s.Occurrence, "CARILLON_EXPERIMENT=" + s.Experiment,
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		env = append(env, parameterVariable+strings.ToUpper(name)+"="+values[name])
	}
	return env
}

// fill replaces {{ .Parameters.name }}. Conditions and loops of text/template work, functions do not exist.
func (f field) fill(values map[string]string) (string, error) {
	if !strings.Contains(f.text, "{{") {
		return f.text, f.fits(len(f.text))
	}
	trees, err := parse.Parse(f.path, f.text, "", "")
	if err != nil {
		return "", f.wrong(err, values)
	}
	t := template.New(f.path).Option("missingkey=error")
	for name, tree := range trees {
		if t, err = t.AddParseTree(name, tree); err != nil {
			return "", f.wrong(err, values)
		}
	}
	var b filled
	data := struct{ Parameters map[string]string }{values}
	if err := t.ExecuteTemplate(&b, f.path, data); err != nil {
		return "", f.wrong(err, values)
	}
	return b.String(), f.fits(b.Len())
}

var parameterUse = regexp.MustCompile(`\.Parameters\.([A-Za-z0-9_]+)`)

// wrong says what is wrong with a template: a parameter that does not exist, most often.
func (f field) wrong(err error, values map[string]string) error {
	names := slices.Sorted(maps.Keys(values))
	for _, use := range parameterUse.FindAllStringSubmatch(f.text, -1) {
		if _, ok := values[use[1]]; !ok {
			return fmt.Errorf("%s: there is no parameter %s (the pipeline has %s)", f.path, use[1], orNone(names))
		}
	}
	return fmt.Errorf("%s (only {{ .Parameters.name }} can be filled in, here with %s)", strings.TrimPrefix(err.Error(), "template: "), orNone(names))
}

func (f field) fits(n int) error {
	if n > maxFilled {
		return fmt.Errorf("%s: is longer than %d bytes when its parameters are filled in", f.path, maxFilled)
	}
	return nil
}

// filled takes a little more than may be kept, and then stops the template.
type filled struct{ strings.Builder }

func (b *filled) Write(p []byte) (int, error) {
	if b.Len() > maxFilled {
		return 0, fmt.Errorf("it is longer than %d bytes", maxFilled)
	}
	return b.Builder.Write(p)
}
