package migrate

import (
	"regexp"
	"strings"

	"carillon/shared/schedule"
)

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
	for _, of := range []string{"jobs", "source_job_id", "component_id"} {
		job.get(of)
	}
	o.stray("jobDefinition.", job)
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
	jobVersion = regexp.MustCompile(`^azureml:(` + assetName + `):(` + assetName + `)$`)
	partRef    = regexp.MustCompile(`^azureml:(` + assetName + `)(?::(` + assetName + `)|@latest)$`)
	partID     = regexp.MustCompile(`(?i)^azureml:/subscriptions/.*/components/(` + assetName + `)/versions/(` + assetName + `)$`)
	registry   = regexp.MustCompile(`(?i)registries/`)
)

// template is the pipeline that runs as an earlier job did.
func (o *old) template(ref string, own Own) schedule.PipelineRef {
	if parts := jobRef.FindStringSubmatch(ref); parts != nil {
		job := schedule.PipelineRef{Kind: "pipeline_job", ID: "job:" + parts[1]}
		if own.Pipeline == (schedule.PipelineRef{}) || own.Pipeline == job {
			return job
		}
		o.differ("it runs as job %s did: what that says of inputs, outputs and settings is not kept, as %s runs instead", parts[1], own.Pipeline)
		return own.Pipeline
	}
	if part := jobVersion.FindStringSubmatch(ref); part != nil && own.Pipeline == (schedule.PipelineRef{}) {
		o.refuse("its job is %s, and a job has no version: if the component is meant, give the pipeline, pipeline_job:component:%s:%s", ref, part[1], part[2])
	} else if own.Pipeline == (schedule.PipelineRef{}) {
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
		o.experiment = first(o.source.Name, o.name)
		o.differ("it names no experiment: its runs are grouped under %s, its name, as the reference of v2's files has it (that of the service says Default)", o.experiment)
	}
	o.kept(job.object("settings"), job.text("compute_id", "compute"))
	o.placed(job.get("outputs"))
	o.tagged(job.get("tags"))
	o.dropped("the properties of its runs", job.get("properties"))
	if who := job.get("identity"); who != nil && !o.held() {
		o.differ("the job's identity is not kept: %s", o.instead())
	}
	if title := job.text("display_name"); title != "" && title != o.name {
		o.differ("its runs were called %q (display_name): here they are called as the schedule is", title)
	}
	if job.text("description") != "" {
		o.differ("the description of its runs is not kept: here it says which schedule has started them")
	}
	for _, of := range []string{"type", "job_type", "name", "services", "is_archived", "status"} {
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
	o.deployed()
	switch {
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

// deployed leaves to the deployment behind a batch endpoint what a schedule cannot say there.
func (o *old) deployed() {
	if o.pipeline.Kind == "batch_endpoint" && o.goOn != nil {
		o.goOn = nil
		o.differ("whether other steps go on after one has failed is not kept: with a batch endpoint its deployment says so")
	}
}

func (o *old) setting(name string, v any) {
	if o.settings == nil {
		o.settings = map[string]any{}
	}
	o.settings[name] = v
}
