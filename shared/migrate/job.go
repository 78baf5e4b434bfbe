package migrate

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"carillon/shared/schedule"
)

// defaultExperiment is where the resource manager puts jobs that name none.
const defaultExperiment = "Default"

const needsPipeline = "Carillon starts what the workspace has: register it as a pipeline component, or name a job that was made of it or the old schedule " +
	"that makes it, and give the pipeline, pipeline_job:component:NAME:VERSION, pipeline_job:job:NAME or pipeline_job:schedule:NAME"

// jobFile reads create_job: the name of a job, the path of a file, or a job with its parts.
func (o *old) jobFile(v any, own Own) {
	whole, isText := v.(string)
	if isText {
		o.pipeline = o.template(whole, own)
		o.runs(objectOf(nil), own)
		return
	}
	job := objectOf(v)
	switch component, template := job.text("component"), job.text("job"); {
	case !o.isPipeline(job.text("type")):
	case template != "":
		o.pipeline = o.template(template, own)
	case component != "":
		o.pipeline = o.component(component, own)
	case own.Pipeline == (schedule.PipelineRef{}):
		o.refuse("it holds the job itself. %s", needsPipeline)
	default:
		o.pipeline = own.Pipeline
	}
	o.inputs(job.get("inputs"), true)
	o.runs(job, own)
	for _, of := range []string{"$schema", "jobs", "job", "component"} {
		job.get(of)
	}
	o.stray("create_job.", job)
}

// jobResource reads the job that the resource manager's schedule makes.
func (o *old) jobResource(job object, own Own) {
	component, template := job.text("component_id"), job.text("source_job_id")
	switch {
	case !o.isPipeline(job.text("job_type")):
	case template != "":
		o.pipeline = o.template("azureml:"+template, own)
	case component != "":
		o.pipeline = o.component("azureml:"+component, own)
	case own.Pipeline != (schedule.PipelineRef{}):
		o.pipeline = own.Pipeline
	case jobName.MatchString(o.source.ID) && len(sorted(job.get("jobs"))) > 0:
		o.pipeline = schedule.PipelineRef{Kind: "pipeline_job", ID: "schedule:" + o.source.ID}
		o.differ("it holds the job itself: the import runs it from where it stands, so the old schedule has to stay in the workspace (disabled), and is not to be deleted there")
	default:
		o.refuse("it holds the job itself. %s", needsPipeline)
	}
	o.inputs(job.get("inputs"), false)
	o.runs(job, own)
}

func (o *old) isPipeline(kind string) bool {
	if kind != "" && !strings.EqualFold(kind, "pipeline") {
		o.refuse("it makes a %s job: Carillon starts pipelines. Put it into a pipeline component, or call a batch endpoint", kind)
		return false
	}
	return true
}

var (
	assetName  = `[A-Za-z0-9][A-Za-z0-9_.-]*`
	jobName    = regexp.MustCompile(`^` + assetName + `$`)
	jobRef     = regexp.MustCompile(`^azureml:(?:(?i:/subscriptions/.*/jobs/))?(` + assetName + `)$`)
	jobVersion = regexp.MustCompile(`^azureml:(` + assetName + `):` + assetName + `$`)
	partRef    = regexp.MustCompile(`^azureml:(` + assetName + `)(?::(` + assetName + `)|@latest)$`)
	partID     = regexp.MustCompile(`(?i)^azureml:/subscriptions/.*/components/(` + assetName + `)/versions/(` + assetName + `)$`)
	registry   = regexp.MustCompile(`(?i)registries/`)
)

// template is the pipeline that runs as an earlier job did.
func (o *old) template(ref string, own Own) schedule.PipelineRef {
	parts := jobRef.FindStringSubmatch(ref)
	if parts == nil {
		parts = jobVersion.FindStringSubmatch(ref) // a job has no version
	}
	if parts != nil {
		job := schedule.PipelineRef{Kind: "pipeline_job", ID: "job:" + parts[1]}
		if own.Pipeline == (schedule.PipelineRef{}) || own.Pipeline == job {
			return job
		}
		o.differ("it runs as job %s did: what that says of inputs, outputs and settings is not kept, as %s runs instead", parts[1], own.Pipeline)
		return own.Pipeline
	}
	if own.Pipeline == (schedule.PipelineRef{}) {
		o.refuse("its job is the file %s, which is not here. %s", ref, needsPipeline)
	} else {
		o.differ("its job is the file %s, which is not here: what that says of inputs, outputs and settings is not kept, as %s runs instead", ref, own.Pipeline)
	}
	return own.Pipeline
}

// component is the pipeline that a registered component is.
func (o *old) component(ref string, own Own) schedule.PipelineRef {
	if own.Pipeline != (schedule.PipelineRef{}) {
		return own.Pipeline
	}
	parts := partRef.FindStringSubmatch(ref)
	if parts == nil {
		parts = partID.FindStringSubmatch(ref)
	}
	switch {
	case parts == nil && registry.MatchString(ref):
		o.refuse("its component %s is in a registry: register it in the workspace and give the pipeline, pipeline_job:component:NAME:VERSION", ref)
	case parts == nil:
		o.refuse("its component %s is not registered. %s", ref, needsPipeline)
	case parts[2] == "":
		return schedule.PipelineRef{Kind: "pipeline_job", ID: "component:" + parts[1] + "@latest"}
	default:
		return schedule.PipelineRef{Kind: "pipeline_job", ID: "component:" + parts[1] + ":" + parts[2]}
	}
	return schedule.PipelineRef{}
}

// runs reads what else a job says of its runs.
func (o *old) runs(job object, own Own) {
	if o.experiment = job.text("experiment_name"); o.experiment == "" && own.Experiment == "" {
		o.experiment = defaultExperiment
		o.differ("it names no experiment: its runs are grouped under %s here", defaultExperiment)
	}
	o.kept(job.object("settings"), job.text("compute_id", "compute"))
	o.placed(job.get("outputs"))
	o.tagged(job.get("tags"))
	job.get("properties")
	if who := job.get("identity"); who != nil && !o.held() {
		o.differ("the job's identity is not kept: %s", o.instead())
	}
	for _, of := range []string{"type", "job_type", "name", "display_name", "description", "services", "jobs", "is_archived", "status"} {
		job.get(of)
	}
}

// templated reports whether the pipeline is another job, which has its own word on all that a schedule does not say.
func (o *old) templated() bool { return strings.HasPrefix(o.pipeline.ID, "job:") || o.held() }

// held reports whether the pipeline is the old schedule's own job: all that is not said anew stays as it is there.
func (o *old) held() bool { return strings.HasPrefix(o.pipeline.ID, "schedule:") }

// instead is what applies where a schedule's own word is not kept.
func (o *old) instead() string {
	if name, ok := strings.CutPrefix(o.pipeline.ID, "job:"); ok {
		return "that of job " + name + " applies"
	}
	return "that of the pipeline applies"
}

// kept reads a pipeline's settings. compute is the job's own, which for a pipeline is the one that its steps have by default.
func (o *old) kept(s object, compute string) {
	const goOn, on = "continue_on_step_failure", "default_compute"
	o.goOn = o.flag(goOn, s.get(goOn))
	switch {
	case o.pipeline.Kind == "batch_endpoint" && o.goOn != nil:
		o.goOn = nil
		o.differ("whether other steps go on after one has failed is not kept: with a batch endpoint its deployment says so")
	case o.goOn != nil, o.templated(), o.pipeline.Kind == "batch_endpoint", o.pipeline == schedule.PipelineRef{}:
	default:
		o.goOn = new(true)
		o.differ("it does not say whether other steps go on after one has failed: the import lets them, as v2 does by its newer documentation (continue_on_step_failure)")
	}
	for _, name := range s.left() {
		if strings.HasPrefix(name, "_") || folded(name) == folded(goOn) { // those of the client itself
			continue
		}
		o.setting(name, s.fields[name])
	}
	if _, given := o.settings[on]; compute != "" && !given {
		o.setting(on, compute)
	}
}

func (o *old) setting(name string, v any) {
	if o.settings == nil {
		o.settings = map[string]any{}
	}
	o.settings[name] = v
}

// modes are how data reach a step, by the resource manager's words without letter case.
var modes = map[string]string{
	"readonlymount": "ro_mount", "romount": "ro_mount", "readwritemount": "rw_mount", "rwmount": "rw_mount", "download": "download", "direct": "direct",
	"evalmount": "eval_mount", "evaldownload": "eval_download", "upload": "upload",
}

// moded is the beginning of a text that names its type and mode.
func moded(kind, mode string) string {
	switch {
	case kind == "" && mode == "":
		return ""
	case kind == "":
		kind = "uri_folder"
	}
	if mode == "" {
		return kind + ":"
	}
	return kind + "(" + mode + "):"
}

// placed keeps where outputs go. A macro in an address is the service's own affair, but for the time of the schedule.
func (o *old) placed(v any) {
	outputs, _ := v.(map[string]any)
	for _, name := range sorted(v) {
		fields, _ := outputs[name].(map[string]any)
		out := objectOf(fields)
		kind := dataKinds[folded(out.text("type", "job_output_type"))]
		address := strings.TrimPrefix(out.text("path", "uri"), "azureml:")
		if !strings.Contains(address, "://") {
			address = out.text("path", "uri")
		}
		mode := modes[folded(out.text("mode"))]
		out.get("description")
		for _, lost := range out.left() {
			o.differ("%s of output %s is not kept: %s", lost, name, o.instead())
		}
		if address == "" && mode == "" {
			continue // the service chooses, as it does without a word
		}
		if o.outputs == nil {
			o.outputs = map[string]string{}
		}
		o.outputs[name] = moded(kind, mode) + timed(address)
	}
}

// dataKinds are the types of inputs, as they are written without underscores and letter case.
var dataKinds = map[string]string{
	"urifile": "uri_file", "urifolder": "uri_folder", "mltable": "mltable",
	"custommodel": "custom_model", "mlflowmodel": "mlflow_model", "tritonmodel": "triton_model",
}

// inputs reads a job's inputs.
func (o *old) inputs(v any, file bool) {
	values, _ := v.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		text, mark := "", ""
		if fields, isObject := values[name].(map[string]any); isObject {
			text, mark = o.input(name, objectOf(fields), file)
		} else if plain, ok := textOf(values[name]); ok {
			text = plain
		} else {
			o.refuse("input %s is a list, which no input is", name)
		}
		if values[name] != nil {
			o.fill(name, text, mark)
		}
	}
}

// input is a value of an input, and what says before it which data it is, "" for a literal.
func (o *old) input(name string, in object, file bool) (text, mark string) {
	kind := dataKinds[folded(in.text("type", "job_input_type"))]
	if v := in.get("value"); v != nil {
		text, _ = textOf(v)
		return text, ""
	}
	text = in.text("path", "uri")
	if kind == "" && strings.Contains(text, "${{") {
		return text, ""
	}
	if kind == "" {
		kind = "uri_folder"
	}
	if rest, ok := strings.CutPrefix(text, "azureml:"); ok && strings.Contains(rest, "://") {
		text = rest
	}
	if file && !strings.HasPrefix(text, "azureml:") && !strings.Contains(text, "://") {
		o.refuse("input %s is the file or folder %s of somebody's machine, which the old client uploaded: give it an address in a datastore, azureml://datastores/NAME/paths/PATH", name, text)
	}
	mode := in.text("mode")
	if mode != "" && modes[folded(mode)] == "" {
		o.differ("the mode %s of input %s is not known, and not kept: %s", mode, name, o.instead())
	}
	return text, moded(kind, modes[folded(mode)])
}

// fill sets a parameter to a text of v2.
func (o *old) fill(name, text, mark string) {
	value, replaced, unknown := template(text)
	for _, m := range replaced {
		switch m {
		case "name":
			o.differ("input %s has ${{name}}, the name of the job: it becomes the schedule's name and the scheduled time, which is not the name of the job here", name)
		default:
			o.differ("input %s has ${{%s}}: it becomes {{ .Nominal }}, the scheduled time as RFC 3339 in the schedule's zone. How v2 writes it is not documented: {{ format \"2006-01-02\" (utc .Nominal) }} writes others", name, m)
		}
	}
	for _, m := range unknown {
		o.differ("input %s has ${{%s}}, which Carillon does not fill in: it is sent as it stands", name, m)
	}
	o.set(name, mark+value)
}
