package migrate

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"carillon/shared/recur"
	"carillon/shared/schedule"
)

const london = "Europe/London"

// readV1File reads a document of load_yaml. It holds neither a name nor a pipeline nor an experiment.
func readV1File(tree any, own Own, now time.Time) *old {
	file := objectOf(tree)
	file.none = true
	s := file.object("schedule")
	if s.fields == nil {
		s = file // some leave the outer Schedule: out
	}
	o := &old{source: Source{Kind: FileV1, Enabled: true}}
	o.called(own.Name, own)
	if own.Name == "" {
		o.refuse("a v1 file holds no name: give one")
	}
	if own.Pipeline == (schedule.PipelineRef{}) {
		o.refuse("a v1 file does not name its pipeline: give one, published:ID or pipeline_endpoint:ID")
	}
	if own.Experiment == "" {
		o.refuse("a v1 file does not name its experiment: give one")
	}
	o.description = s.text("description")
	o.endsV1(s.get("continue_on_step_failure"))
	o.literals("pipeline_parameters", s.get("pipeline_parameters"))
	for _, of := range []string{"wait_for_provisioning", "wait_timeout"} {
		s.get(of) // of the client alone
	}
	r := s.object("recurrence")
	store := s.text("datastore_name")
	switch {
	case r.fields != nil && store != "":
		o.refuse("it has both a recurrence and a datastore_name: make two of it")
	case r.fields != nil:
		o.recurring("recurrence.", r, nil, "start_time") // v1's client reads no end
		o.recurrenceV1(time.Time{}, now)
	case store != "":
		o.watch(store, s)
	default:
		o.refuse("it has neither a recurrence nor a datastore_name: there is nothing that fires")
	}
	for _, of := range []string{"polling_interval", "path_on_datastore", "data_path_parameter_name"} {
		s.get(of) // of the other sort of trigger: without effect
	}
	o.stray("", s)
	return o
}

// readV1Entity reads a schedule as the v1 service gives it.
func readV1Entity(tree any, own Own, now time.Time) *old {
	s := objectOf(tree)
	o := &old{source: Source{Kind: LiveV1, ID: s.text("id"), Enabled: true}}
	o.called(s.text("name"), own)
	if o.name == "" {
		o.name = fitting(o.source.ID)
	}
	if o.source.ID == "" {
		o.refuse("it has no id")
	}
	runs := s.object("pipeline_submission_info")
	o.description = first(s.text("description"), runs.text("description")) // v1's client writes it into the second
	o.pipeline = schedule.PipelineRef{Kind: "published", ID: s.text("pipeline_id")}
	if endpoint := s.text("pipeline_endpoint_id"); endpoint != "" {
		o.pipeline = schedule.PipelineRef{Kind: "pipeline_endpoint", ID: endpoint}
	}
	o.statusV1(s)
	o.submission(runs)
	r, info := s.object("recurrence"), s.object("data_store_trigger_info") // one of the two is without effect
	switch kind := s.enum("schedule_type", "Recurrence", "DataStore"); {
	case strings.EqualFold(kind, "Recurrence"):
		o.recurring("Recurrence.", r, []string{"Schedule"}, "start_time", "end_time")
		o.recurrenceV1(createdAt(s.text("created_date")), now)
	case strings.EqualFold(kind, "DataStore"):
		o.watch(info.text("data_store_name"), info)
		o.stray("DataStoreTriggerInfo.", info)
	default:
		o.refuse("its type %q is not one that is known: Recurrence or DataStore", kind)
	}
	o.stray("", s)
	return o
}

// statusV1 reads whether it fires.
func (o *old) statusV1(s object) {
	switch status := s.enum("entity_status", "Active", "Deprecated", "Disabled"); status {
	case "Active":
	case "Disabled":
		o.source.Enabled = false
	case "":
		o.refuse("it does not say whether it is active")
	default:
		o.source.Enabled = false
		o.differ("its status is %s, of which it is not documented whether it fires: it is imported disabled", status)
	}
	switch state := enumName(s.get("provisioning_status", "schedule_provisioning_status"), "Completed", "Provisioning", "Failed"); state {
	case "", "Completed":
	case "Failed":
		o.differ("the v1 service could not set it up (ProvisioningStatus Failed): it may never have run")
	default:
		o.differ("the v1 service has not set it up yet (ProvisioningStatus %s): it may not have run", state)
	}
}

// endsV1 reads whether other steps go on after one has failed. Without a word the pipeline does as it was published, as
// before.
func (o *old) endsV1(v any) { o.goOn = o.flag("continue_on_step_failure", v) }

// submission reads what its runs are given.
func (o *old) submission(s object) {
	o.experiment = s.text("experiment_name")
	o.endsV1(s.get("continue_run_on_step_failure", "continue_experiment_on_node_failure"))
	o.literals("ParameterAssignments", s.get("parameter_assignments"))
	paths := o.names("DataPathAssignments", s.get("data_path_assignments"))
	for _, name := range sorted(paths) {
		path := objectOf(paths[name])
		store := path.text("data_store_name")
		if store == "" {
			o.refuse("DataPathAssignments.%s names no datastore", name)
		}
		o.set(name, literal(DataPathPrefix+store+"/"+path.text("relative_path")))
		o.stray("DataPathAssignments."+name+".", path)
	}
	sets := o.names("DataSetDefinitionValueAssignments", s.get("data_set_definition_value_assignments"))
	for _, name := range sorted(sets) {
		o.set(name, literal(DataSetPrefix+string(written(sets[name]))))
	}
	o.tagged(s.get("tags"))
	o.dropped("the properties of its runs", s.get("properties"))
	for _, of := range []string{"run_source", "run_type", "schedule_id"} {
		s.get(of) // of v1 itself
	}
	o.stray("PipelineSubmissionInfo.", s)
}

// How a published pipeline's parameters are given what is no text: shared/pipeline/azureml reads it so.
const (
	DataPathPrefix = "datapath:" // and DATASTORE/PATH: the value of a DataPath parameter
	DataSetPrefix  = "dataset:"  // and JSON: the value of a Dataset parameter, as the v1 service has it
)

// literals reads parameters whose values are texts.
func (o *old) literals(field string, v any) {
	values := o.names(field, v)
	for _, name := range sorted(values) {
		text, ok := textOf(values[name])
		switch {
		case !ok:
			o.refuse("%s.%s is no text or number", field, name)
		case strings.HasPrefix(text, DataPathPrefix), strings.HasPrefix(text, DataSetPrefix):
			o.refuse("%s.%s begins with %.8s, which stands for something else here: let the pipeline take it without", field, name, text)
		case values[name] != nil:
			o.set(name, literal(text))
		}
	}
}

// recurrenceV1 says what v1 did with a recurrence otherwise than its definition says.
func (o *old) recurrenceV1(created, now time.Time) {
	start, _ := o.trigger["start_time"].(string)
	zone, zoned := o.trigger["time_zone"].(string)
	iana, _ := recur.WindowsZone(zone)
	switch fixed := offset.MatchString(start); {
	case start == "":
	case !zoned && fixed && o.source.Live(): // v1's client writes a zone: this one was made by another
		if f := o.trigger["frequency"]; f == "minute" || f == "hour" {
			break
		}
		o.differ("start_time %s has an offset, and there is no time_zone: here its hours and days are those of UTC. Which v1 takes them for is not documented", start)
	case !zoned && fixed:
		o.trigger["time_zone"] = london
		o.differ("it has no time_zone: v1's client wrote London's beside a start_time, and so does the import: time_zone is %s. It does not move the start_time %s, but hours and days are London's", london, start)
	case !zoned:
		o.trigger["time_zone"] = london
		o.differ("start_time %s has no time_zone: v1 took it for London's time, with summer time, and not for UTC as documented. The import says so: time_zone is %s", start, london)
	case iana == london:
		o.differ("its time_zone is London's, with summer time. v1's client wrote that, too, where none was given and the documentation promised UTC: if UTC was meant, change it")
	}
	o.began("v1", created)
	s, ok := spec(o.trigger)
	if !ok {
		return
	}
	if at, ok := instant(s, s.StartTime); ok && s.Schedule != nil && at.After(now) && firesAt(s, at) {
		o.differ("its start_time %s is one of its times: v1 left that one out and began with the next, Carillon fires it", s.StartTime)
	}
	if s.Frequency == "month" && s.Schedule != nil {
		o.differ("v1 documents hours and minutes for days and weeks only: what it did with them in a monthly schedule is not known, Carillon runs at these times")
	}
	o.calendar("v1")
}

var offset = regexp.MustCompile(`(Z|[+-]\d\d:?\d\d)$`)

// watch reads a trigger that fires when data change.
func (o *old) watch(store string, s object) {
	w := map[string]any{"type": "datastore", "datastore": store, "mode": "each"}
	o.trigger = w
	minutes := "5"
	switch polling := number(s.get("polling_interval")).(type) {
	case nil:
	case json.Number:
		if polling != "0" { // which older services write for none
			w["polling_interval"], minutes = polling, polling.String()
		}
	default:
		o.refuse("polling_interval %q is no number of minutes", fmt.Sprint(polling))
		return
	}
	if path := o.folder(s.text("path_on_datastore")); path != "" {
		w["path_on_datastore"] = path
	}
	if name := s.text("data_path_parameter_name"); name != "" {
		w["data_path_parameter_name"] = name
		if _, fixed := o.parameters[name]; fixed {
			delete(o.parameters, name)
			o.differ("parameter %s gets the path of what has changed: its fixed value is left out", name)
		}
	}
	o.differ("v1 made one run for each changed blob, and so does mode each: mode batch makes one of all that changes within polling_interval")
	o.differ("v1 did not look into subfolders, nor does the import: recursive: true does")
	o.differ("v1 looked every %s minutes. Carillon does so where the datastore sends no events; where it does, a run starts within seconds", minutes)
	o.differ("v1 read the datastore with its account key. Carillon reads it with its own identity, which needs the role Storage Blob Data Reader")
}

// folder is a path that v1 looked at, as it is written here.
func (o *old) folder(path string) string {
	if strings.Contains(path, `\`) {
		written := strings.ReplaceAll(path, `\`, "/")
		o.differ("path_on_datastore %s has backslashes: v1 never fired for such a path, and did not say so. The import writes %s, and will fire", path, written)
		path = written
	}
	if trimmed := strings.TrimLeft(strings.TrimPrefix(path, "./"), "/"); trimmed != path {
		o.differ("path_on_datastore %s counts from the datastore's root: it becomes %s", path, trimmed)
		path = trimmed
	}
	return strings.TrimRight(path, "/")
}

// createdAt is when an old schedule was created; zero when that is not told. Of v1 the name of the field is inferred.
func createdAt(text string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC().Truncate(time.Second)
		}
	}
	return time.Time{}
}
