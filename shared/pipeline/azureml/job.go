package azureml

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"carillon/shared/pipeline"
)

// jobs is a pipeline.Target for pipeline jobs, made of a registered component, as an earlier job was, or as a schedule
// of the workspace makes its jobs. Their names are the submissions': the workspace refuses a second job of a name,
// unless it is the same, which changes its tags only (so the specification and the service's own words).
type jobs struct{ v2 }

var _ pipeline.Target = (*jobs)(nil)

var (
	jobID      = regexp.MustCompile(`^(?:component:(` + entityName + `)(?::(` + entityName + `)|@latest)|(job|schedule):(` + entityName + `))$`)
	submission = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
)

// jobName is the name of a submission's job. It may not begin with the - or _ that a submission's name may.
func jobName(s pipeline.Submission) string { return "carillon-" + s.Name }

// Submit makes the job or, where it is there already, returns it. A submission that is made Again looks for it first.
func (t *jobs) Submit(ctx context.Context, s pipeline.Submission) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", &pipeline.Error{Outcome: pipeline.NotDone, Err: err}
	}
	if s.Pipeline.Kind != t.kind || !jobID.MatchString(s.Pipeline.ID) {
		return "", pipeline.Refusef("pipeline %s: %w: it has to be component:NAME:VERSION, component:NAME@latest, job:NAME or schedule:NAME", s.Pipeline, pipeline.ErrNotFound)
	}
	if !submission.MatchString(s.Name) {
		return "", pipeline.Refusef("%q cannot name a job", s.Name)
	}
	if err := findable(s); err != nil {
		return "", err
	}
	ctx = hiding(ctx, s)
	if s.Again {
		if runID, err := t.made(ctx, s); runID != "" || err != nil {
			return runID, err
		}
	}
	properties, err := t.properties(ctx, s)
	if err != nil {
		return "", err
	}
	return t.put(ctx, s, properties)
}

// put sends the job. A refusal may mean that it is there.
func (t *jobs) put(ctx context.Context, s pipeline.Submission, properties map[string]any) (string, error) {
	name := jobName(s)
	var answer jobEntity
	err := t.w.arm.do(ctx, http.MethodPut, t.w.resource("/jobs/"+name), map[string]any{"properties": properties}, &answer)
	switch {
	case err == nil && strings.EqualFold(answer.Name, name):
		return name, nil
	case err == nil:
		err = &failure{sent: true, err: fmt.Errorf("it was accepted as job %q", tidy(answer.Name))}
	case answered(err, refusals...), answered(err, http.StatusConflict):
		if runID, lookErr := t.made(ctx, s); runID != "" || lookErr != nil {
			return runID, lookErr
		}
	}
	return "", notMade(s, err)
}

// made returns the job of the submission if it is there. Its errors start nothing.
func (t *jobs) made(ctx context.Context, s pipeline.Submission) (string, error) {
	name := jobName(s)
	var j jobEntity
	err := t.w.get(ctx, "/jobs/"+name, &j)
	var f *failure
	switch {
	case answered(err, http.StatusNotFound):
		return "", nil
	case errors.As(err, &f):
		return "", &pipeline.Error{Outcome: pipeline.NotDone, RetryAfter: f.retryAfter, Err: fmt.Errorf("whether there is a job %s could not be asked: %w", name, err)}
	case err != nil:
		return "", err
	case !j.bears(s.Occurrence):
		return "", pipeline.Refusef("there is a job %s already, and it does not bear the tag %s = %s", name, pipeline.OccurrenceTag, s.Occurrence)
	}
	return name, nil
}

// notMade is the error of a job that was sent. Its name makes every further try safe. After a conflict it was looked for.
func notMade(s pipeline.Submission, err error) error {
	var f *failure
	if !errors.As(err, &f) {
		return err
	}
	e := &pipeline.Error{Outcome: outcomeOf(f), RetryAfter: f.retryAfter, Err: fmt.Errorf("job %s of pipeline %s was not made: %w", jobName(s), s.Pipeline, err)}
	switch {
	case f.status == http.StatusConflict:
		e.Outcome = pipeline.NotDone
	case e.Outcome == pipeline.Repeat:
		e.Err = fmt.Errorf("it is not known whether job %s of pipeline %s was made: %w", jobName(s), s.Pipeline, err)
	case f.status == http.StatusNotFound:
		e.Err = fmt.Errorf("pipeline %s: %w: %w", s.Pipeline, pipeline.ErrNotFound, err)
	}
	return e
}

// properties is what the job is made of.
func (t *jobs) properties(ctx context.Context, s pipeline.Submission) (map[string]any, error) {
	made := t.asTemplate
	if ofComponent(s.Pipeline.ID) {
		made = t.ofComponent
	}
	p, err := made(ctx, s)
	if err != nil {
		return nil, err
	}
	maps.Copy(p, map[string]any{
		"jobType": "Pipeline", "experimentName": s.Experiment, "tags": tags(s), "properties": marks(s),
		"description": fmt.Sprintf("Started by Carillon for schedule %s", s.Schedule),
	})
	if s.Schedule != "" {
		p["displayName"] = s.Schedule
	}
	return p, nil
}

func ofComponent(pipelineID string) bool { return strings.HasPrefix(pipelineID, "component:") }

// component reads what an id of a component names.
func (t *jobs) component(ctx context.Context, pipelineID string) (declaration, error) {
	parts := jobID.FindStringSubmatch(pipelineID)
	return t.w.component(ctx, parts[1], parts[2])
}

// unfit says why no job can be made of a component, "" for nothing.
func (d declaration) unfit() string {
	if d.kind != "pipeline" {
		return fmt.Sprintf("component %s is a %s component, not a pipeline", d.name, d.kind)
	}
	return ""
}

// ofComponent makes a job's properties as recordings of Microsoft's client show them.
func (t *jobs) ofComponent(ctx context.Context, s pipeline.Submission) (map[string]any, error) {
	d, err := t.component(ctx, s.Pipeline.ID)
	if err != nil {
		return nil, unread(s, err)
	}
	if problem := d.unfit(); problem != "" {
		return nil, pipeline.Refusef("pipeline %s cannot run: %s", s.Pipeline, problem)
	}
	values, err := t.w.values(ctx, s, d)
	if err != nil {
		return nil, err
	}
	places, err := d.places(s)
	if err != nil {
		return nil, err
	}
	inputs, outputs := map[string]any{}, map[string]any{}
	for name, v := range values {
		inputs[name] = v.input(nil)
	}
	for name, kind := range d.outputs {
		outputs[name] = map[string]any{"jobOutputType": kind}
	}
	for name, v := range places {
		outputs[name] = v.output(nil)
	}
	settings := map[string]any{goesOn: false} // whatever the service makes of silence
	if t.w.compute != "" {
		settings["default_compute"] = t.w.compute
	}
	if err := t.set(settings, s); err != nil {
		return nil, err
	}
	return map[string]any{"componentId": d.id, "inputs": inputs, "outputs": outputs, "jobs": map[string]any{}, "settings": settings}, nil
}

// goesOn is the setting whether the steps that can still run do so after one has failed.
const goesOn = "continue_on_step_failure"

// set gives a job the settings of a submission, over those that it has. A compute and a datastore are named by their
// resource ids there, as Microsoft's client does: people may write their names.
func (t *jobs) set(settings map[string]any, s pipeline.Submission) error {
	for name, raw := range s.Settings {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			return pipeline.Refusef("setting %s cannot be read: %w", name, err)
		}
		if of := map[string]string{"default_compute": "/computes/", "default_datastore": "/datastores/"}[name]; of != "" {
			v = t.named(of, v)
		}
		settings[name] = v
	}
	if s.ContinueOnStepFailure != nil {
		settings[goesOn] = *s.ContinueOnStepFailure
	}
	return nil
}

// named is the id of what a text names in the workspace.
func (t *jobs) named(of string, v any) any {
	text, ok := v.(string)
	if !ok {
		return v
	}
	if text = strings.TrimPrefix(text, "azureml:"); strings.HasPrefix(text, "/") || text == "serverless" {
		return text
	}
	return t.w.id + of + text
}

// input is the value in the resource manager's words, over what else was said of the input.
func (v value) input(over map[string]any) map[string]any {
	in := maps.Clone(over)
	if in == nil {
		in = map[string]any{}
	}
	delete(in, "uri")
	delete(in, "value")
	in["jobInputType"] = v.kind
	if v.kind == "literal" {
		delete(in, "mode")
		in["value"] = v.text
		return in
	}
	in["uri"] = v.text
	if v.mode != "" {
		in["mode"] = inputModes[v.mode]
	}
	return in
}

// output is the place in the resource manager's words, over what else was said of the output.
func (v value) output(over map[string]any) map[string]any {
	out := maps.Clone(over)
	if out == nil {
		out = map[string]any{}
	}
	out["jobOutputType"] = v.kind
	if v.mode != "" {
		out["mode"] = outputModes[v.mode]
	}
	if v.text != "" {
		out["uri"] = v.text
	}
	return out
}

// template is an earlier job, or the job that a schedule makes, which has no name of its own.
type template struct {
	Name       string
	Properties map[string]any
	of         string // in words
}

func (t *jobs) template(ctx context.Context, pipelineID string) (j template, err error) {
	parts := jobID.FindStringSubmatch(pipelineID)
	if name := parts[4]; parts[3] == "schedule" {
		var s struct {
			Properties struct {
				Action struct{ JobDefinition map[string]any }
			}
		}
		err = t.w.get(ctx, "/schedules/"+name, &s)
		return template{Properties: s.Properties.Action.JobDefinition, of: "what schedule " + name + " makes"}, err
	}
	err = t.w.get(ctx, "/jobs/"+parts[4], &j)
	j.of = "job " + j.Name
	return j, err
}

// unfit says why no job can be made as this one, "" for nothing.
func (j template) unfit() string {
	if kind, _ := j.Properties["jobType"].(string); kind != "Pipeline" {
		return j.of + " is no pipeline job"
	}
	return ""
}

// declaration: a job of the same sort takes the inputs that this one had, and without other values those too.
func (j template) declaration() declaration {
	d := declaration{inputs: map[string]input{}, outputs: map[string]string{}}
	d.name, _ = j.Properties["displayName"].(string)
	d.description, _ = j.Properties["description"].(string)
	for name, in := range j.inputs() {
		kind, _ := in["jobInputType"].(string)
		had := in["uri"]
		if kind == "literal" {
			kind, had = "string", in["value"]
		}
		d.inputs[name] = input{kind: kind, value: textOf(had)}
	}
	for name, out := range j.outputs() {
		d.outputs[name], _ = out["jobOutputType"].(string)
	}
	return d
}

func (j template) inputs() map[string]map[string]any  { return dictionary(j.Properties["inputs"]) }
func (j template) outputs() map[string]map[string]any { return dictionary(j.Properties["outputs"]) }

// dictionary is an object of objects, without what is null in them.
func dictionary(of any) map[string]map[string]any {
	entries, _ := of.(map[string]any)
	out := map[string]map[string]any{}
	for name, entry := range entries {
		if fields, ok := entry.(map[string]any); ok {
			fields = maps.Clone(fields)
			maps.DeleteFunc(fields, func(_ string, v any) bool { return v == nil })
			out[name] = fields
		}
	}
	return out
}

// copied are the properties that a job has of its template. That they can be sent as they were read is inferred; a
// public product does so.
var copied = []string{"componentId", "computeId", "identity", "jobs", "settings"}

// asTemplate makes a job's properties of a template's.
func (t *jobs) asTemplate(ctx context.Context, s pipeline.Submission) (map[string]any, error) {
	j, err := t.template(ctx, s.Pipeline.ID)
	if err != nil {
		return nil, unread(s, err)
	}
	if problem := j.unfit(); problem != "" {
		return nil, pipeline.Refusef("pipeline %s cannot run: %s", s.Pipeline, problem)
	}
	d := j.declaration()
	values, err := t.w.values(ctx, s, d)
	if err != nil {
		return nil, err
	}
	places, err := d.places(s)
	if err != nil {
		return nil, err
	}
	p := map[string]any{}
	for _, key := range copied {
		if v := j.Properties[key]; v != nil {
			p[key] = v
		}
	}
	inputs := j.inputs()
	for name, v := range values {
		inputs[name] = v.input(inputs[name])
	}
	settings, _ := p["settings"].(map[string]any)
	if settings = maps.Clone(settings); settings == nil {
		settings = map[string]any{}
	}
	outputs := j.freshOutputs()
	for name, v := range places {
		outputs[name] = v.output(outputs[name])
	}
	p["inputs"], p["outputs"], p["settings"] = inputs, outputs, settings
	return p, t.set(settings, s)
}

// freshOutputs are the template's outputs, so that the new job's lie elsewhere: where the service gave them a place of
// its own it has the job's name in it. A place that a person chose is kept.
func (j template) freshOutputs() map[string]map[string]any {
	outputs := j.outputs()
	for _, out := range outputs {
		if uri, _ := out["uri"].(string); j.Name != "" && slices.Contains(strings.Split(uri, "/"), j.Name) {
			delete(out, "uri")
		}
	}
	return outputs
}
