package azuremltest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"carillon/shared/pipeline"
)

// Job is what a run of v2 has that one of v1 has not.
type Job struct {
	Component  string // name:version of what it runs; "" for steps of its own
	Endpoint   string // the batch endpoint that made it, and its deployment
	Deployment string
	Inputs     map[string]Input
	Outputs    map[string]Input // where they go; with no Value where the service chose
	Properties map[string]string
	Definition map[string]any // of a pipeline job: its properties as they were sent
}

// Input is a value that a job was given.
type Input struct {
	Type  string // literal, uri_file and so on
	Value string // or address
}

// Component is a version of a registered component.
type Component struct {
	Name, Version, DisplayName, Description string
	Type                                    string // "" is pipeline
	Inputs                                  map[string]ComponentInput
	Outputs                                 map[string]string // their types
	NoCompute                               bool              // its steps name none

	made int // in which order
}

// ComponentInput is one that a component declares.
type ComponentInput struct {
	Type     string
	Default  string // "" for none
	Optional bool
}

// PutComponent registers components. Of one name the one that was put last is the latest.
func (s *Service) PutComponent(components ...Component) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range components {
		c.made = len(s.components)
		s.components[c.Name+":"+c.Version] = c
	}
}

// AddJob adds a pipeline job that somebody else has made, with the properties that the resource manager shows.
func (s *Service) AddJob(name, status string, properties map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs = append(s.runs, &Run{ID: name, Status: status, Created: s.Now().UTC(), Job: Job{Definition: properties}})
}

// The functions below do the work of the routes. The caller holds s.mu.

func text(v string) any {
	if v == "" {
		return nil
	}
	return v
}

// title is how the specifications write truth values.
func title(b bool) string {
	return map[bool]string{true: "True", false: "False"}[b]
}

func (s *Service) versionEntity(c Component) map[string]any {
	inputs, outputs := map[string]any{}, map[string]any{}
	for name, in := range c.Inputs {
		declared := map[string]any{"type": in.Type, "optional": title(in.Optional)}
		if in.Default != "" {
			declared["default"] = in.Default
		}
		inputs[name] = declared
	}
	for name, kind := range c.Outputs {
		outputs[name] = map[string]any{"type": kind}
	}
	kind := c.Type
	if kind == "" {
		kind = "pipeline"
	}
	return map[string]any{
		"id": s.scope() + "/components/" + c.Name + "/versions/" + c.Version, "name": c.Version,
		"type": "Microsoft.MachineLearningServices/workspaces/components/versions",
		"properties": map[string]any{
			"description": nil, "tags": map[string]any{}, "properties": map[string]any{}, "isArchived": false, "isAnonymous": false,
			"componentSpec": map[string]any{
				"name": c.Name, "version": c.Version, "display_name": c.DisplayName, "is_deterministic": "False", "type": kind,
				"description": c.Description, "inputs": inputs, "outputs": outputs,
			},
		},
	}
}

func (s *Service) getVersion(c call) reply {
	v, ok := s.components[c.name+":"+c.part]
	if !ok {
		return refuse(http.StatusNotFound, "UserError", "there is no version "+c.part+" of component "+c.name)
	}
	return reply{http.StatusOK, s.versionEntity(v)}
}

// versions are those of a component, the newest first.
func (s *Service) versions(name string) []Component {
	var all []Component
	for _, c := range s.components {
		if c.Name == name {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b Component) int { return b.made - a.made })
	return all
}

func (s *Service) listVersions(c call) reply {
	top, err := strconv.Atoi(c.query.Get("$top"))
	if err != nil || c.query.Get("$orderBy") != "createdtime desc" {
		return s.misunderstood("this order of versions is not understood: " + c.query.Encode())
	}
	versions := s.versions(c.name)
	if len(versions) == 0 {
		return refuse(http.StatusNotFound, "UserError", "there is no component "+c.name)
	}
	list := []any{}
	for _, v := range versions[:min(top, len(versions))] {
		list = append(list, s.versionEntity(v))
	}
	return s.page(c, list)
}

func (s *Service) listComponents(c call) reply {
	latest := map[string]string{}
	for _, v := range s.components {
		latest[v.Name] = s.versions(v.Name)[0].Version
	}
	list := []any{}
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(latest))) {
		list = append(list, map[string]any{
			"id": s.scope() + "/components/" + name, "name": name,
			"properties": map[string]any{"description": nil, "isArchived": false, "latestVersion": latest[name], "nextVersion": nil},
		})
	}
	return s.page(c, list)
}

var (
	jobFields = []string{
		"componentId", "computeId", "description", "displayName", "experimentName", "identity", "inputs", "jobType", "jobs", "outputs",
		"properties", "settings", "tags",
	}
	inputFields  = []string{"description", "jobInputType", "mode", "uri", "value"}
	outputFields = []string{"description", "jobOutputType", "mode", "uri"}
	inputModes   = []string{"ReadOnlyMount", "ReadWriteMount", "Download", "Direct", "EvalMount", "EvalDownload"}
	outputModes  = []string{"ReadWriteMount", "Upload", "Direct"}
	dataTypes    = []string{"uri_file", "uri_folder", "mltable", "custom_model", "mlflow_model", "triton_model"}
	jobName      = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}$`)
)

// exactly reads an object whose members are among those named.
func exactly(data []byte, fields []string) (members map[string]any, wrong string) {
	if json.Unmarshal(data, &members) != nil || members == nil {
		return nil, "it is no object: " + string(data)
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !slices.Contains(fields, name) {
			return nil, fmt.Sprintf("it has a field %q: %s", name, data)
		}
	}
	return members, ""
}

// texts reads an object of texts that are not empty.
func texts(v any) (map[string]string, bool) {
	members, ok := v.(map[string]any)
	out := map[string]string{}
	for name, member := range members {
		text, is := member.(string)
		ok = ok && is && text != ""
		out[name] = text
	}
	return out, ok
}

// input reads one of a job's inputs.
func input(v any, fields []string, kind, address, value string) (Input, bool) {
	data, _ := json.Marshal(v)
	members, wrong := exactly(data, fields)
	in := Input{}
	in.Type, _ = members[kind].(string)
	uri, hasURI := members[address].(string)
	literal, hasValue := members[value].(string)
	in.Value = uri + literal
	isLiteral := strings.EqualFold(in.Type, "literal")
	return in, wrong == "" && in.Type != "" && hasURI != hasValue && hasValue == isLiteral && (uri != "" || isLiteral)
}

// moded reports whether a part of a job has a mode that its kind of part may have, or none.
func moded(v any, modes []string) bool {
	members, _ := v.(map[string]any)
	mode, given := members["mode"]
	text, _ := mode.(string)
	return !given || slices.Contains(modes, text)
}

// output reads one of a job's outputs.
func output(v any, fields []string, kind, address string) (Input, bool) {
	data, _ := json.Marshal(v)
	members, wrong := exactly(data, fields)
	out := Input{}
	out.Type, _ = members[kind].(string)
	uri, given := members[address]
	out.Value, _ = uri.(string)
	return out, wrong == "" && out.Type != "" && given == (out.Value != "")
}

func (s *Service) putJob(c call) reply {
	var body struct{ Properties json.RawMessage }
	if wrong := decode(c.body, &body); wrong != "" {
		return s.misunderstood(wrong)
	}
	definition, wrong := exactly(body.Properties, jobFields)
	if wrong != "" {
		return s.misunderstood("a job's properties: " + wrong)
	}
	r := &Run{ID: c.name, Status: "NotStarted", Created: s.Now().UTC(), Job: Job{Definition: definition, Inputs: map[string]Input{}, Outputs: map[string]Input{}}}
	var tagged, kept bool
	r.Tags, tagged = texts(definition["tags"])
	r.Job.Properties, kept = texts(definition["properties"])
	r.Experiment, _ = definition["experimentName"].(string)
	r.Description, _ = definition["description"].(string)
	if definition["jobType"] != "Pipeline" || r.Experiment == "" || !tagged || !kept || r.Tags[pipeline.OccurrenceTag] == "" || !jobName.MatchString(c.name) {
		return s.misunderstood("a job lacks its type, experiment, tags or a name that is one: " + string(c.body))
	}
	r.occurrence = r.Tags[pipeline.OccurrenceTag]
	settings, _ := definition["settings"].(map[string]any)
	r.ContinueOnStepFailure, _ = settings["continue_on_step_failure"].(bool)
	inputs, _ := definition["inputs"].(map[string]any)
	for name, v := range inputs {
		in, ok := input(v, inputFields, "jobInputType", "uri", "value")
		if !ok || !moded(v, inputModes) {
			return s.misunderstood(fmt.Sprintf("input %s: %v", name, v))
		}
		r.Job.Inputs[name] = in
	}
	outputs, _ := definition["outputs"].(map[string]any)
	for name, v := range outputs {
		out, ok := output(v, outputFields, "jobOutputType", "uri")
		if !ok || !moded(v, outputModes) || !slices.Contains(dataTypes, out.Type) {
			return s.misunderstood(fmt.Sprintf("output %s: %v", name, v))
		}
		r.Job.Outputs[name] = out
	}
	if known := s.run(c.name); known != nil {
		return s.putAgain(known, r)
	}
	if refusal := s.ready(r, settings); refusal != nil {
		return *refusal
	}
	s.runs = append(s.runs, r)
	return reply{http.StatusCreated, s.jobEntity(r, true)}
}

// putAgain changes the tags of a job that is there, if it is the same.
func (s *Service) putAgain(known, r *Run) reply {
	for _, part := range []string{"componentId", "inputs", "outputs", "jobs", "settings"} {
		if !reflect.DeepEqual(known.Job.Definition[part], r.Job.Definition[part]) {
			return refuse(http.StatusBadRequest, "UserError", "A job with this name already exists. Only description, tags, displayName, properties, and isArchived can be updated.")
		}
	}
	known.Tags = r.Tags
	return reply{http.StatusOK, s.jobEntity(known, true)}
}

// ready refuses a job that cannot run.
func (s *Service) ready(r *Run, settings map[string]any) *reply {
	for name, of := range map[string]string{"default_compute": "/computes/", "default_datastore": "/datastores/"} {
		if id, given := settings[name].(string); given && id != "serverless" && !strings.HasPrefix(id, s.scope()+of) {
			refusal := s.misunderstood("this is no id for " + name + ": " + id)
			return &refusal
		}
	}
	id, _ := r.Job.Definition["componentId"].(string)
	steps, _ := r.Job.Definition["jobs"].(map[string]any)
	if id == "" {
		if len(steps) == 0 {
			refusal := refuse(http.StatusBadRequest, "UserError", "the job has neither a component nor steps")
			return &refusal
		}
		return nil
	}
	if refusal := s.fit(r, id); refusal != nil {
		return refusal
	}
	// That a job is refused then, and not made and failed, is inferred.
	if _, given := settings["default_compute"]; !given && s.components[r.Job.Component].NoCompute {
		refusal := refuse(http.StatusBadRequest, "UserError", "a step of the job has no compute, and the job no default_compute")
		return &refusal
	}
	return nil
}

// fit fits a run to the component of that id.
func (s *Service) fit(r *Run, id string) *reply {
	r.Job.Component = strings.Replace(strings.TrimPrefix(id, s.scope()+"/components/"), "/versions/", ":", 1)
	r.Pipeline = r.Job.Component
	component, ok := s.components[r.Job.Component]
	var refusal reply
	switch {
	case !ok:
		refusal = refuse(http.StatusBadRequest, "UserError", "there is no component "+id)
	case component.Type != "" && component.Type != "pipeline":
		refusal = refuse(http.StatusBadRequest, "UserError", "the component is no pipeline")
	default:
		refusal = fits(component, r.Job)
	}
	if refusal.status != 0 {
		return &refusal
	}
	return nil
}

// fits refuses inputs that a component does not take, and outputs that it does not have.
func fits(c Component, j Job) reply {
	given := j.Inputs
	for _, name := range slices.Sorted(maps.Keys(j.Outputs)) {
		if _, ok := c.Outputs[name]; !ok {
			return refuse(http.StatusBadRequest, "UserError", "the component has no output "+name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		declared, ok := c.Inputs[name]
		literal := !strings.Contains(declared.Type, "_") && declared.Type != "mltable"
		if !ok || literal != (given[name].Type == "literal") {
			return refuse(http.StatusBadRequest, "UserError", fmt.Sprintf("the component has no such input: %s, %s", name, given[name].Type))
		}
		if _, err := strconv.Atoi(given[name].Value); declared.Type == "integer" && err != nil {
			return refuse(http.StatusBadRequest, "UserError", fmt.Sprintf("the input %s is no integer: %s", name, given[name].Value))
		}
	}
	for name, declared := range c.Inputs {
		if _, ok := given[name]; !ok && !declared.Optional && declared.Default == "" {
			return refuse(http.StatusBadRequest, "UserError", "the input "+name+" has no value")
		}
	}
	return reply{}
}

// jobEntity is a job as the resource manager describes it, in a list perhaps without its dictionaries.
func (s *Service) jobEntity(r *Run, whole bool) map[string]any {
	properties := map[string]any{
		"computeId": nil, "identity": nil, "isArchived": false, "sourceJobId": nil, "componentId": nil, "jobs": map[string]any{}, "jobType": "Pipeline",
		"experimentName": text(r.Experiment), "description": text(r.Description),
	}
	maps.Copy(properties, r.Job.Definition)
	properties["status"] = r.Status
	if r.Tags != nil || r.Job.Definition["tags"] == nil {
		properties["tags"], properties["properties"] = r.Tags, r.Job.Properties
	}
	properties["services"] = map[string]any{"Studio": map[string]any{"jobServiceType": "Studio", "endpoint": "https://ml.azure.com/runs/" + r.ID, "status": nil}}
	if !whole && s.manners.ListsWithoutTags {
		properties["tags"], properties["properties"] = nil, nil
	}
	return map[string]any{
		"id": s.scope() + "/jobs/" + r.ID, "name": r.ID, "type": "Microsoft.MachineLearningServices/workspaces/jobs", "properties": properties,
	}
}

// job is a run of v2.
func (s *Service) job(name string) *Run {
	if r := s.run(name); r != nil && (r.Job.Definition != nil || r.Job.Endpoint != "") {
		return r
	}
	return nil
}

func unknownJob(name string) reply {
	return refuse(http.StatusNotFound, "UserError", "Job "+name+" not found.")
}

func (s *Service) getJob(c call) reply {
	r := s.job(c.name)
	if r == nil || s.manners.RunsLag {
		return unknownJob(c.name)
	}
	return reply{http.StatusOK, s.jobEntity(r, true)}
}

func (s *Service) cancelJob(c call) reply {
	r := s.job(c.name)
	switch {
	case r == nil:
		return unknownJob(c.name)
	case Ended(r.Status):
		return refuse(http.StatusBadRequest, "UserError", "the job has ended")
	}
	r.Status = "CancelRequested"
	return reply{status: http.StatusAccepted}
}

func (s *Service) listJobs(c call) reply {
	name, want, valued := strings.Cut(c.query.Get("properties"), "=")
	list := []any{}
	for _, r := range slices.Backward(s.known()) {
		has, ok := r.Job.Properties[name]
		asked := name == "" || s.manners.ListsAllJobs || ok && (!valued || has == want)
		if s.job(r.ID) != nil && asked && !s.manners.ListsLag {
			list = append(list, s.jobEntity(r, false))
		}
	}
	return s.page(c, list)
}
