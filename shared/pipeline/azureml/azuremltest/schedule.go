package azuremltest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
)

// trigger is a schedule of v2. A change of whether it is enabled takes its time.
type trigger struct {
	name       string
	created    string
	properties map[string]any
	enabled    bool
	change     int   // so many questions and it is done
	wanted     *bool // by the change that is under way
}

// PutV1Schedule adds v1 schedules, or replaces those of the same id, by what the service says of them: Id, Name,
// EntityStatus and so on.
func (s *Service) PutV1Schedule(entities ...map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range entities {
		s.schedules[e["Id"].(string)] = plain(e)
	}
}

// PutV2ScheduleOf adds a v2 schedule, or replaces the one of the name, by its properties: trigger, action, isEnabled.
// created is when its systemData says that it was made; "" for nothing.
func (s *Service) PutV2ScheduleOf(name, created string, properties map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := plain(properties)
	enabled, said := p["isEnabled"].(bool)
	delete(p, "isEnabled")
	s.triggers[name] = &trigger{name: name, created: created, properties: p, enabled: enabled || !said}
}

// plain is what JSON makes of a value.
func plain(v map[string]any) (out map[string]any) {
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		panic(err)
	}
	return out
}

// Fires reports whether an old schedule is enabled: one of v1 by its id, of v2 by its name.
func (s *Service) Fires(schedule string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok := s.triggers[schedule]; ok {
		return t.enabled
	}
	return s.schedules[schedule]["EntityStatus"] == "Active"
}

// Fire lets an old schedule make a run, as its service does at its times and for each file that it finds (at is nil for a
// time). It reports whether it has: one that is disabled makes none.
func (s *Service) Fire(schedule string, at *DataPath) bool {
	if !s.Fires(schedule) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &Run{ID: fmt.Sprintf("scheduled-%d", len(s.runs)+1), Status: "Completed", Created: s.Now().UTC(), Ended: s.Now().UTC(), Schedule: schedule}
	if at != nil {
		info, _ := s.schedules[schedule]["DataStoreTriggerInfo"].(map[string]any)
		parameter, _ := info["DataPathParameterName"].(string)
		r.DataPaths = map[string]DataPath{parameter: *at}
	}
	s.runs = append(s.runs, r)
	return true
}

// The functions below do the work of the routes. The caller holds s.mu.

// listScheduled is a list of runs as recordings and public clients show them.
func (s *Service) listScheduled(c call) reply {
	list := []any{}
	for _, r := range slices.Backward(s.known()) {
		if r.Schedule == c.name {
			list = append(list, map[string]any{
				"Id": r.ID, "ScheduleId": r.Schedule, "DataPathAssignments": r.DataPaths, "ParameterAssignments": map[string]string{},
				"Status": map[string]any{"StatusCode": 4, "CreationTime": r.Created, "EndTime": maybe(r.Ended)}, "CreatedDate": "1970-01-01T00:00:00",
			})
		}
	}
	return reply{http.StatusOK, list}
}

var scheduleFields = []string{
	"Id", "Name", "Description", "PipelineId", "PipelineEndpointId", "ScheduleType", "Recurrence", "DataStoreTriggerInfo",
	"PipelineSubmissionInfo", "EntityStatus", "ProvisioningStatus", "CreatedDate", "LastModifiedDate", "etag",
}

// enums are the enumerations of a v1 schedule, with their numbers.
var enums = map[string][]string{
	"EntityStatus": {"Active", "Deprecated", "Disabled"}, "ProvisioningStatus": {"Completed", "Provisioning", "Failed"},
	"ScheduleType": {"Recurrence", "DataStore"}, "Frequency": {"Month", "Week", "Day", "Hour", "Minute"},
}

func (s *Service) scheduleEntity(e map[string]any) map[string]any {
	shown := plain(e)
	parts := []map[string]any{shown}
	if r, ok := shown["Recurrence"].(map[string]any); ok {
		parts = append(parts, r)
	}
	for _, part := range parts {
		for name, values := range enums {
			if text, ok := part[name].(string); ok {
				part[name] = s.enum(text, values...)
			}
		}
	}
	return shown
}

func (s *Service) listSchedules(c call) reply {
	list := []any{}
	for _, e := range backwards(s.schedules) {
		if e["EntityStatus"] == "Active" || c.query.Get("activeOnly") != "true" {
			list = append(list, s.scheduleEntity(e))
		}
	}
	return reply{http.StatusOK, list}
}

func unknownSchedule(name string) reply {
	return refuse(http.StatusNotFound, "UserError", "there is no schedule "+name)
}

func (s *Service) getSchedule(c call) reply {
	e, ok := s.schedules[c.name]
	if !ok {
		return unknownSchedule(c.name)
	}
	return reply{http.StatusOK, s.scheduleEntity(e)}
}

// putSchedule takes the whole entity as it was read, with another status and nothing else.
func (s *Service) putSchedule(c call) reply {
	e, ok := s.schedules[c.name]
	if !ok {
		return unknownSchedule(c.name)
	}
	var sent map[string]any
	if err := json.Unmarshal(c.body, &sent); err != nil {
		return s.misunderstood(err.Error())
	}
	shown := plain(s.scheduleEntity(e))
	status := sent["EntityStatus"]
	if shown["EntityStatus"] = status; !reflect.DeepEqual(sent, shown) {
		return s.misunderstood(fmt.Sprintf("a schedule is not sent as it was read: %v, not %v", sent, shown))
	}
	name := fmt.Sprint(status)
	if n, ok := status.(float64); ok && int(n) >= 0 && int(n) < 3 {
		name = enums["EntityStatus"][int(n)]
	}
	if !slices.Contains(enums["EntityStatus"], name) {
		return s.misunderstood(fmt.Sprintf("this is no status: %v", status))
	}
	e["EntityStatus"] = name
	return reply{http.StatusOK, s.scheduleEntity(e)}
}

// seen brings a change on.
func (t *trigger) seen() *trigger {
	if t.change--; t.change <= 0 && t.wanted != nil {
		t.enabled, t.wanted = *t.wanted, nil
	}
	return t
}

func (s *Service) triggerEntity(t *trigger) map[string]any {
	properties := plain(t.properties)
	properties["isEnabled"], properties["provisioningState"] = t.enabled, "Succeeded"
	if t.wanted != nil {
		properties["provisioningState"] = "Updating"
	}
	return map[string]any{
		"id": s.scope() + "/schedules/" + t.name, "name": t.name, "type": "Microsoft.MachineLearningServices/workspaces/schedules",
		"systemData": map[string]any{"createdAt": text(t.created)}, "properties": properties,
	}
}

func (s *Service) listV2Schedules(c call) reply {
	view := c.query.Get("listViewType")
	if !slices.Contains([]string{"", "EnabledOnly", "DisabledOnly", "All"}, view) {
		return s.misunderstood("this view of schedules is not known: " + view)
	}
	list := []any{}
	for _, t := range backwards(s.triggers) {
		if view == "All" || t.enabled == (view != "DisabledOnly") {
			list = append(list, s.triggerEntity(t.seen()))
		}
	}
	return s.page(c, list)
}

func (s *Service) getV2Schedule(c call) reply {
	t, ok := s.triggers[c.name]
	if !ok {
		return unknownSchedule(c.name)
	}
	return reply{http.StatusOK, s.triggerEntity(t.seen())}
}

// putV2Schedule takes the properties as they were read, but for those that only the service writes.
func (s *Service) putV2Schedule(c call) reply {
	t, ok := s.triggers[c.name]
	if !ok {
		return unknownSchedule(c.name)
	}
	if t.wanted != nil {
		return refuse(http.StatusConflict, "UserError", "the schedule is being changed")
	}
	var body struct{ Properties map[string]any }
	if wrong := decode(c.body, &body); wrong != "" {
		return s.misunderstood(wrong)
	}
	enabled, said := body.Properties["isEnabled"].(bool)
	delete(body.Properties, "isEnabled")
	want := plain(t.properties)
	if action, ok := want["action"].(map[string]any); ok {
		if job, ok := action["jobDefinition"].(map[string]any); ok {
			delete(job, "status")
		}
	}
	if !said || !reflect.DeepEqual(body.Properties, want) {
		return s.misunderstood(fmt.Sprintf("a schedule is not sent as it was read: %v, not %v", body.Properties, want))
	}
	t.wanted, t.change = &enabled, s.manners.SchedulesLag
	if t.change == 0 {
		t.seen()
		return reply{http.StatusOK, s.triggerEntity(t)}
	}
	header := map[string]string{}
	if !s.manners.NoOperations {
		id := fmt.Sprintf("op-%d", len(s.operations)+1)
		s.operations[id] = t
		at := *c.self
		at.Path = "/subscriptions/" + s.Subscription + "/providers/Microsoft.MachineLearningServices/locations/" + s.Region + "/mfeOperationsStatus/" + id
		header["Azure-AsyncOperation"] = at.String() + "?api-version=" + apiVersion
	}
	return reply{http.StatusCreated, headed{header, s.triggerEntity(t)}}
}

func (s *Service) getOperation(c call) reply {
	t, ok := s.operations[c.name]
	if !ok {
		return unknownSchedule(c.name)
	}
	status := "InProgress"
	if t.seen().wanted == nil {
		status = "Succeeded"
	}
	return reply{http.StatusOK, map[string]any{"id": c.name, "status": status}}
}

// V1Entity is a v1 schedule as PutV1Schedule takes it, with what all have; more replaces or adds fields.
func V1Entity(id, name, pipeline, experiment string, more map[string]any) map[string]any {
	e := map[string]any{
		"Id": id, "Name": name, "Description": nil, "PipelineId": pipeline, "PipelineEndpointId": nil, "ScheduleType": "Recurrence", "Recurrence": nil,
		"DataStoreTriggerInfo": nil, "EntityStatus": "Active", "ProvisioningStatus": "Completed", "etag": strings.Repeat("a", 8),
		"PipelineSubmissionInfo": map[string]any{"ExperimentName": experiment, "RunSource": "SDK", "ParameterAssignments": map[string]any{}},
	}
	maps.Copy(e, more)
	return e
}
