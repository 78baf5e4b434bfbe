// Package migrate says what the schedules of Azure Machine Learning become here, and names every difference in
// behaviour. It reads four forms: the YAML file of SDK v1 (load_yaml), the v1 service's entity, the YAML file of the v2
// command line (az ml schedule create -f), and the v2 resource. It is pure: now is an argument, and nothing is created.
//
// A new schedule runs when the old one ran, as far as Carillon can: where the old service did something else than what
// its definition says (v1's London default, v2's cron that ignores day and month), the import writes down what it did,
// and says so. What cannot be kept is said, too.
//
// The names inside the entities of v1 come from public clients, not from a specification: they are read in any letter
// case, with or without underscores, and numbers stand for enumerations as older services send them.
package migrate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"carillon/shared/schedule"
)

// The forms in which old schedules come.
const (
	FileV1 = "v1-yaml"
	FileV2 = "v2-yaml"
	LiveV1 = "v1" // entities of the v1 service
	LiveV2 = "v2" // resources of the resource manager
)

// Plan is what becomes of one old schedule.
type Plan struct {
	Source      Source          `json:"source"`
	Definition  json.RawMessage `json:"definition"`  // as schedule.Decode reads it: in its canonical form, unless there are problems
	Differences []string        `json:"differences"` // what behaves otherwise, or is not kept
	Problems    []string        `json:"problems"`    // why it cannot be imported as it stands; empty when it can
}

// Source is an old schedule.
type Source struct {
	Kind    string `json:"kind"`         // one of the forms
	ID      string `json:"id,omitempty"` // by which its service knows it; "" for a file
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"` // it fires; of a file: unless somebody has disabled it
}

// Live reports whether the source can be asked, and disabled.
func (s Source) Live() bool { return s.Kind == LiveV1 || s.Kind == LiveV2 }

// Own is what people say themselves, instead of what the old schedule says, if anything.
type Own struct {
	Name       string
	Pipeline   schedule.PipelineRef
	Experiment string
}

// Read plans the schedules of a document: YAML, or JSON, of one of the two files. The error is about a document that
// cannot be read at all.
func Read(kind string, document []byte, own Own, now time.Time) ([]Plan, error) {
	trees, err := readYAML(document)
	if err != nil {
		return nil, err
	}
	if own.Name != "" && len(trees) > 1 {
		return nil, fmt.Errorf("the document holds %d schedules, and one name is given: import them one by one", len(trees))
	}
	var olds []*old
	for _, tree := range trees {
		read := readV2File
		if kind == FileV1 {
			read = readV1File
		}
		olds = append(olds, read(tree, own, now))
	}
	return plansOf(olds, own, now), nil
}

// V1 plans entities of the v1 service. Their names need not be unique: those that several have get a part of the id.
func V1(entities []json.RawMessage, own Own, now time.Time) []Plan {
	var olds []*old
	for _, entity := range entities {
		olds = append(olds, readV1Entity(tree(entity), own, now))
	}
	if own.Name == "" {
		tellApart(olds)
	}
	return plansOf(olds, own, now)
}

// V2 plans schedules of the resource manager.
func V2(resources []json.RawMessage, own Own, now time.Time) []Plan {
	var olds []*old
	for _, resource := range resources {
		olds = append(olds, readV2Resource(tree(resource), own, now))
	}
	return plansOf(olds, own, now)
}

func plansOf(olds []*old, own Own, now time.Time) (plans []Plan) {
	names := map[string]int{}
	for _, o := range olds {
		names[o.name]++
	}
	for _, o := range olds {
		if own.Name == "" && o.name != "" && names[o.name] > 1 {
			o.refuse("%d old schedules would be called %.100s here: import them one by one, each with a name of its own", names[o.name], o.name)
		}
		plans = append(plans, o.plan(own, now))
	}
	return plans
}

// Notes are what is different of every schedule of a form.
func Notes(kind string) []string {
	notes := []string{
		"Azure ML made up for no run that it missed. Carillon starts the latest of those missed within the last hour, once; catch_up: {policy: none} keeps it from that.",
		"A wall time that daylight saving leaves out fires moved forward, one that comes twice fires once. What Azure ML did with them is not documented.",
		"Runs of one schedule may overlap, as before; overlap says otherwise.",
	}
	if kind == FileV1 || kind == FileV2 {
		notes = append(notes, "A file does not tell whether the old schedule still fires. If it does, disable it there: else both run.")
	}
	return notes
}

// old is an old schedule as far as it has been read.
type old struct {
	source      Source
	name        string
	description string
	pipeline    schedule.PipelineRef
	experiment  string
	parameters  map[string]string
	outputs     map[string]string
	settings    map[string]any
	tags        map[string]string
	trigger     map[string]any // as schedule.Decode reads it
	goOn        *bool          // after a failed step; nil: as the pipeline says
	differences []string
	problems    []string
}

func (o *old) differ(format string, args ...any) {
	o.differences = append(o.differences, fmt.Sprintf(format, args...))
}

func (o *old) refuse(format string, args ...any) {
	o.problems = append(o.problems, fmt.Sprintf(format, args...))
}

// names are the user's own names and values of a field. Anything else than an object cannot be imported.
func (o *old) names(field string, v any) map[string]any {
	values, ok := v.(map[string]any)
	if v != nil && !ok {
		o.refuse("%s has to be an object: names and values", field)
	}
	return values
}

// tagged keeps the tags that runs get. Runs have Carillon's own besides.
func (o *old) tagged(v any) {
	tags := o.names("tags", v)
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		text, ok := textOf(tags[name])
		switch {
		case name == "" || len(name) > maxTagName || !ok || text == "" || len(text) > maxTag:
			o.differ("the tag %.100q of its runs is not kept: a tag is a text that is not empty here", name)
		case o.tags == nil:
			o.tags = map[string]string{name: text}
		default:
			o.tags[name] = text
		}
	}
}

// What schedule.Decode takes for a tag, in bytes.
const maxTagName, maxTag = 256, 4096

// stray says of the fields that nobody has read that they are not kept.
func (o *old) stray(path string, s object) {
	for _, name := range s.left() {
		o.differ("%s%s is not known, and not kept", path, name)
	}
}

// flag is a field that is true or false; nil for one that is not there.
func (o *old) flag(field string, v any) *bool {
	on, said := flag(v)
	switch {
	case v == nil:
		return nil
	case !said:
		o.refuse("%s is neither true nor false", field)
	}
	return &on
}

// set gives a parameter its value, as a template that is filled in with the very same text.
func (o *old) set(name, text string) {
	if o.parameters == nil {
		o.parameters = map[string]string{}
	}
	o.parameters[name] = text
}

// plan makes the definition, and has it checked as every other is.
func (o *old) plan(own Own, now time.Time) Plan {
	if own.Pipeline != (schedule.PipelineRef{}) {
		o.pipeline = own.Pipeline
		o.deployed()
	}
	if own.Experiment != "" {
		o.experiment = own.Experiment
	}
	o.renamed(own)
	fields := map[string]any{
		"name": o.name, "pipeline": map[string]any{"kind": o.pipeline.Kind, "id": o.pipeline.ID}, "experiment": o.experiment,
		"trigger": o.trigger, "status": schedule.Active,
	}
	if !o.source.Enabled {
		fields["status"] = schedule.Disabled
	}
	if o.description != "" {
		fields["description"] = o.description
	}
	if len(o.parameters) > 0 {
		fields["parameters"] = o.parameters
	}
	if len(o.outputs) > 0 {
		fields["outputs"] = o.outputs
	}
	if len(o.settings) > 0 {
		fields["settings"] = o.settings
	}
	if len(o.tags) > 0 {
		fields["tags"] = o.tags
	}
	if o.goOn != nil {
		fields["continue_on_step_failure"] = *o.goOn
	}
	p := Plan{Source: o.source, Definition: written(fields), Differences: o.differences, Problems: o.problems}
	if len(p.Problems) == 0 {
		p.check(now)
	}
	p.Differences, p.Problems = slices.Compact(append([]string{}, p.Differences...)), append([]string{}, p.Problems...)
	return p
}

// check finds what Carillon would refuse.
func (p *Plan) check(now time.Time) {
	d, errs := schedule.Decode(p.Definition)
	if len(errs) == 0 && d.Trigger.Watch == nil {
		_, errs = d.Trigger.Compile(now)
		errs = errs.Under("trigger")
	}
	for _, e := range errs {
		p.Problems = append(p.Problems, e.Field+": "+e.Message)
	}
	if len(errs) == 0 {
		p.Definition = written(d)
	}
}

func written(value any) json.RawMessage {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.Encode(value) // of what was JSON, or made here
	return bytes.TrimSpace(b.Bytes())
}
