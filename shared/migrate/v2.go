package migrate

import (
	"slices"
	"strings"
	"time"

	"carillon/shared/recur"
	"carillon/shared/schedule"
)

// readV2File reads a document of az ml schedule create -f.
func readV2File(tree any, own Own, now time.Time) *old {
	s := objectOf(tree)
	o := &old{source: Source{Kind: FileV2, Enabled: true}}
	o.titled(s, s.text("name"), own)
	if on := o.flag("is_enabled", s.get("is_enabled")); on != nil && !*on { // as az ml schedule show writes it
		o.source.Enabled = false
		o.differ("it was disabled when the file was written (is_enabled): it is imported disabled")
	}
	o.triggerV2(s.object("trigger"), time.Time{}, now)
	job := s.get("create_job")
	switch {
	case s.get("create_monitor") != nil:
		o.refuse("it makes a monitor (create_monitor): Carillon starts pipelines only")
	case s.get("import_data") != nil:
		o.refuse("it imports data (import_data): Carillon starts pipelines only")
	case job == nil:
		o.refuse("it has no create_job: there is nothing that it starts")
	default:
		o.jobFile(job, own)
	}
	for _, of := range []string{"$schema", "type", "version"} {
		s.get(of)
	}
	o.dropped("its tags", s.get("tags"))
	o.dropped("its properties", s.get("properties"))
	o.stray("", s)
	return o
}

// readV2Resource reads a schedule of the resource manager.
func readV2Resource(tree any, own Own, now time.Time) *old {
	resource := objectOf(tree)
	s := resource.object("properties")
	name := resource.text("name")
	o := &old{source: Source{Kind: LiveV2, ID: name, Enabled: true}}
	if on := o.flag("isEnabled", s.get("is_enabled")); on != nil {
		o.source.Enabled = *on
	}
	o.titled(s, name, own)
	if state := s.text("provisioning_state"); state != "" && !strings.EqualFold(state, "Succeeded") {
		o.differ("its provisioning state is %s: it may not have run", state)
	}
	o.triggerV2(s.object("trigger"), createdAt(resource.object("system_data").text("created_at")), now)
	action := s.object("action")
	switch kind := action.text("action_type"); {
	case strings.EqualFold(kind, "CreateJob"):
		o.jobResource(action.object("job_definition"), own)
		o.stray("action.", action)
	case strings.EqualFold(kind, "InvokeBatchEndpoint"):
		o.invocation(action.object("endpoint_invocation_definition"), own)
		o.stray("action.", action)
	case strings.EqualFold(kind, "CreateMonitor"):
		o.refuse("it makes a monitor (CreateMonitor): Carillon starts pipelines only")
	case strings.EqualFold(kind, "ImportData"):
		o.refuse("it imports data (ImportData): Carillon starts pipelines only")
	default:
		o.refuse("its action %q is not one that is known: CreateJob or InvokeBatchEndpoint", kind)
	}
	o.dropped("its tags", s.get("tags"))
	o.dropped("its properties", s.get("properties"))
	o.stray("properties.", s)
	resource.get("type")
	o.stray("", resource)
	return o
}

// titled reads how it is called.
func (o *old) titled(s object, name string, own Own) {
	o.called(name, own)
	if o.name == "" {
		o.refuse("it has no name: give one")
	}
	title := s.text("display_name")
	o.description = s.text("description")
	switch {
	case title == "" || title == name:
	case o.description == "":
		o.description = title
	case o.description != title:
		o.description = title + ": " + o.description
	}
}

// triggerV2 reads a trigger of v2, with what that did otherwise than its definition says.
func (o *old) triggerV2(t object, created, now time.Time) {
	switch kind := t.text("type", "trigger_type"); {
	case strings.EqualFold(kind, "recurrence"):
		o.recurring("trigger.", t, []string{"schedule", "pattern"}, "start_time", "end_time")
	case strings.EqualFold(kind, "cron"):
		o.trigger = map[string]any{"type": "cron", "expression": o.expression(t.text("expression"))}
		bounds(o.trigger, t, "start_time", "end_time")
		o.stray("trigger.", t)
	default:
		o.refuse("its trigger %q is not one that is known: recurrence or cron", kind)
		return
	}
	o.oneDay()
	o.began("v2", created)
	if s, ok := spec(o.trigger); ok && (s.Schedule != nil || s.Kind == recur.KindCron) {
		if at, ok := instant(s, s.StartTime); ok && at.After(now) && firesAt(s, at) {
			o.differ("its start_time %s is one of its times: Carillon fires it. Whether v2 leaves it out, as v1 did, is not documented", s.StartTime)
		}
	}
	o.calendar("v2")
}

// oneDay refuses weekdays of a trigger that is not weekly: the pages about v2 contradict each other.
func (o *old) oneDay() {
	part, _ := o.trigger["schedule"].(map[string]any)
	if f := o.trigger["frequency"]; part["week_days"] != nil && f != "week" {
		o.refuse("it has week_days with frequency %s: what v2 does with them is not documented. Write it as frequency week, or with monthly_occurrences", f)
	}
}

// expression is the cron expression as v2 heeds it.
func (o *old) expression(text string) string {
	fields := strings.Fields(text)
	if len(fields) != 5 || fields[2] == "*" && fields[3] == "*" {
		return text
	}
	fields[2], fields[3] = "*", "*"
	heeded := strings.Join(fields, " ")
	o.differ("v2 does not heed the days and months of a cron expression: it ran %q as %q, and so does the import. Carillon heeds them: change the expression back if they were meant", text, heeded)
	return heeded
}

// dropped says of names and values that they are not kept, but for those that the old clients wrote themselves.
func (o *old) dropped(what string, v any) {
	names := slices.DeleteFunc(sorted(v), func(name string) bool {
		return strings.HasPrefix(name, "azureml.") || strings.HasPrefix(name, "mlflow.")
	})
	switch {
	case len(names) > 0:
		o.differ("%s (%s) are not kept", what, strings.Join(names, ", "))
	case v != nil && sorted(v) == nil && !empty(v):
		o.differ("%s are not kept", what)
	}
}

// invocation reads the call of a batch endpoint. What stands in it is not documented ("TBD"): the names are inferred from
// the endpoint's own interface.
func (o *old) invocation(d object, own Own) {
	call := d
	inner := d.object("properties")
	if inner.fields != nil {
		call = inner
	}
	endpoint := last(first(d.text("endpoint_name", "endpoint", "endpoint_id", "batch_endpoint"), call.text("endpoint_name", "endpoint", "endpoint_id", "batch_endpoint")))
	if deployment := last(first(d.text("deployment_name", "deployment"), call.text("deployment_name", "deployment"))); deployment != "" && endpoint != "" {
		endpoint += "/" + deployment
	}
	o.pipeline = schedule.PipelineRef{Kind: "batch_endpoint", ID: endpoint}
	if endpoint == "" && own.Pipeline == (schedule.PipelineRef{}) {
		o.refuse("it calls a batch endpoint and does not say which in a way that is known: give the pipeline, batch_endpoint:NAME or batch_endpoint:NAME/DEPLOYMENT")
	}
	o.experiment = call.text("experiment_name")
	if own.Experiment == "" && o.experiment == "" {
		o.experiment = endpointOf(o.pipeline.ID, own)
		o.differ("it names no experiment: the import names the endpoint's, %s", o.experiment)
	}
	o.inputs(call.get("inputs", "input_data"), false)
	o.placed(call.get("outputs", "output_data"))
	o.stray("endpointInvocationDefinition.", d)
	o.stray("endpointInvocationDefinition.properties.", inner)
	o.differ("how a schedule describes the call of a batch endpoint is not documented: compare the parameters with what the endpoint takes")
}

// endpointOf is the endpoint's name, under which its jobs are grouped.
func endpointOf(id string, own Own) string {
	if own.Pipeline.ID != "" {
		id = own.Pipeline.ID
	}
	name, _, _ := strings.Cut(id, "/")
	return first(name, "Default")
}

// last is the last part of a resource's id; a name is its own.
func last(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
