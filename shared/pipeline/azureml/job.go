package azureml

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"carillon/shared/pipeline"
)

// jobs is a pipeline.Target for pipeline jobs, made of a registered component or as an earlier job was. Their names
// are the submissions': the workspace refuses a second job of a name, unless it is the same, which changes its
// tags only (so the specification and the service's own words).
type jobs struct{ v2 }

var _ pipeline.Target = (*jobs)(nil)

var (
	jobID      = regexp.MustCompile(`^(?:component:(` + entityName + `)(?::(` + entityName + `)|@latest)|job:(` + entityName + `))$`)
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
		return "", pipeline.Refusef("pipeline %s: %w: it has to be component:NAME:VERSION, component:NAME@latest or job:NAME", s.Pipeline, pipeline.ErrNotFound)
	}
	if !submission.MatchString(s.Name) {
		return "", pipeline.Refusef("%q cannot name a job", s.Name)
	}
	if err := findable(s); err != nil {
		return "", err
	}
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
		return "", pipeline.Refusef("there is a job %s already, and it does not bear the tag %s = %s", name, OccurrenceTag, s.Occurrence)
	}
	return name, nil
}

// notMade is the error of a job that was sent. Its name makes every further try safe.
func notMade(s pipeline.Submission, err error) error {
	var f *failure
	if !errors.As(err, &f) {
		return err
	}
	e := &pipeline.Error{Outcome: outcomeOf(f), RetryAfter: f.retryAfter, Err: fmt.Errorf("job %s of pipeline %s was not made: %w", jobName(s), s.Pipeline, err)}
	switch {
	case e.Outcome == pipeline.Repeat:
		e.Err = fmt.Errorf("it is not known whether job %s of pipeline %s was made: %w", jobName(s), s.Pipeline, err)
	case f.status == http.StatusNotFound:
		e.Err = fmt.Errorf("pipeline %s: %w: %w", s.Pipeline, pipeline.ErrNotFound, err)
	}
	return e
}

// properties is what the job is made of.
func (t *jobs) properties(ctx context.Context, s pipeline.Submission) (map[string]any, error) {
	made := t.ofComponent
	if strings.HasPrefix(s.Pipeline.ID, "job:") {
		made = t.asJob
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
	inputs, outputs := map[string]any{}, map[string]any{}
	for name, v := range values {
		inputs[name] = v.input(nil)
	}
	for name, kind := range d.outputs {
		outputs[name] = map[string]any{"jobOutputType": kind}
	}
	settings := map[string]any{"continue_on_step_failure": s.ContinueOnStepFailure}
	if t.w.compute != "" {
		settings["default_compute"] = t.w.compute
	}
	return map[string]any{"componentId": d.id, "inputs": inputs, "outputs": outputs, "jobs": map[string]any{}, "settings": settings}, nil
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
	} else {
		in["uri"] = v.text
	}
	return in
}

// template is an earlier job.
type template struct {
	Name       string
	Properties map[string]any
}

func (t *jobs) template(ctx context.Context, pipelineID string) (template, error) {
	var j template
	err := t.w.get(ctx, "/jobs/"+jobID.FindStringSubmatch(pipelineID)[3], &j)
	return j, err
}

// unfit says why no job can be made as this one, "" for nothing.
func (j template) unfit() string {
	if kind, _ := j.Properties["jobType"].(string); kind != "Pipeline" {
		return fmt.Sprintf("job %s is no pipeline job", j.Name)
	}
	return ""
}

// declaration: a job of the same sort takes the inputs that this one had, and without other values those too.
func (j template) declaration() declaration {
	d := declaration{inputs: map[string]input{}}
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

// asJob makes a job's properties of an earlier one's.
func (t *jobs) asJob(ctx context.Context, s pipeline.Submission) (map[string]any, error) {
	j, err := t.template(ctx, s.Pipeline.ID)
	if err != nil {
		return nil, unread(s, err)
	}
	if problem := j.unfit(); problem != "" {
		return nil, pipeline.Refusef("pipeline %s cannot run: %s", s.Pipeline, problem)
	}
	values, err := t.w.values(ctx, s, j.declaration())
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
	settings["continue_on_step_failure"] = s.ContinueOnStepFailure
	p["inputs"], p["outputs"], p["settings"] = inputs, j.freshOutputs(), settings
	return p, nil
}

// freshOutputs are the template's outputs, so that the new job's lie elsewhere: where the service gave them a place of
// its own it has the job's name in it. A place that a person chose is kept.
func (j template) freshOutputs() map[string]map[string]any {
	outputs := j.outputs()
	for _, out := range outputs {
		if uri, _ := out["uri"].(string); slices.Contains(strings.Split(uri, "/"), j.Name) {
			delete(out, "uri")
		}
	}
	return outputs
}
