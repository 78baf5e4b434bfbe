package azuremltest

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"carillon/shared/pipeline"
)

// The functions here do the work of the routes. The caller holds s.mu.

type submission struct {
	ExperimentName                    string
	Description                       string
	Tags                              map[string]string
	RunSource                         string
	ParameterAssignments              map[string]string
	DataPathAssignments               map[string]DataPath
	DataSetDefinitionValueAssignments map[string]any
	ContinueRunOnStepFailure          bool
}

func (s *Service) submit(c call) reply { return s.admit(c, c.name, "") }

func (s *Service) submitTo(c call) reply {
	e, ok := s.endpoints[c.name]
	if !ok {
		return refuse(http.StatusNotFound, "NotFound", "there is no pipeline endpoint "+c.name)
	}
	if e.Status == "Disabled" {
		return refuse(http.StatusBadRequest, "UserError", "the pipeline endpoint is disabled")
	}
	return s.admit(c, e.Pipeline, e.ID)
}

func (s *Service) admit(c call, pipelineID, endpointID string) reply {
	var b submission
	if wrong := decode(c.body, &b); wrong != "" {
		return s.misunderstood(wrong)
	}
	if b.ExperimentName == "" || b.RunSource != "SDK" || b.ParameterAssignments == nil || b.Tags[pipeline.OccurrenceTag] == "" {
		return s.misunderstood("a submission lacks its experiment, source, parameters or tag: " + string(c.body))
	}
	p, ok := s.pipelines[pipelineID]
	if !ok {
		return refuse(http.StatusNotFound, "NotFound", "there is no published pipeline "+pipelineID)
	}
	if p.Status == "Disabled" {
		return refuse(http.StatusBadRequest, "UserError", "the pipeline is disabled")
	}
	given := slices.AppendSeq(slices.Sorted(maps.Keys(b.ParameterAssignments)), maps.Keys(b.DataPathAssignments))
	given = slices.AppendSeq(given, maps.Keys(b.DataSetDefinitionValueAssignments))
	for _, name := range given {
		if _, known := p.Parameters[name]; !known && p.Parameters != nil {
			return refuse(http.StatusBadRequest, "UserError", "the pipeline has no parameter "+name)
		}
	}
	r := &Run{
		ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", len(s.runs)+1), Pipeline: pipelineID, Endpoint: endpointID,
		Experiment: b.ExperimentName, Description: b.Description, Tags: b.Tags, Parameters: b.ParameterAssignments,
		DataPaths: b.DataPathAssignments, DataSets: b.DataSetDefinitionValueAssignments, ContinueOnStepFailure: b.ContinueRunOnStepFailure,
		Status: "NotStarted", Created: s.Now().UTC(), occurrence: b.Tags[pipeline.OccurrenceTag],
	}
	s.runs = append(s.runs, r)
	return reply{http.StatusOK, s.runEntity(r)}
}

// enum writes a value by its name or, where the service is an older one, as its number.
func (s *Service) enum(value string, names ...string) any {
	if i := slices.Index(names, value); s.manners.NumericEnums && i >= 0 {
		return i
	}
	return value
}

// runEntity is a run as the pipeline service describes it.
func (s *Service) runEntity(r *Run) map[string]any {
	code := map[string]string{
		"NotStarted": "NotStarted", "Queued": "NotStarted", "Preparing": "NotStarted", "Failed": "Failed",
		"Completed": "Finished", "Canceled": "Canceled",
	}[r.Status]
	if code == "" {
		code = "Running"
	}
	return map[string]any{
		"Id": r.ID, "Description": r.Description, "ExperimentName": r.Experiment, "PipelineId": r.Pipeline, "Tags": s.tags(r),
		"Status": map[string]any{
			"StatusCode":   s.enum(code, "NotStarted", "Running", "Failed", "Finished", "Canceled"),
			"StatusDetail": r.Error, "CreationTime": r.Created, "EndTime": maybe(r.Ended),
		},
	}
}

func (s *Service) tags(r *Run) map[string]string {
	if s.manners.ListsWithoutTags {
		return nil
	}
	return r.Tags
}

// maybe is null for a time that has not come, and else what .NET writes.
func maybe(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.Format("2006-01-02T15:04:05.0000000-07:00")
}

func unknownRun(id string) reply {
	return refuse(http.StatusNotFound, "UserError", "there is no run "+id)
}

func (s *Service) getRun(c call) reply {
	r := s.run(c.name)
	if r == nil || s.manners.RunsLag {
		return unknownRun(c.name)
	}
	return reply{http.StatusOK, s.runEntity(r)}
}

func (s *Service) cancel(c call) reply {
	r := s.run(c.name)
	switch {
	case r == nil:
		return unknownRun(c.name)
	case Ended(r.Status):
		return refuse(http.StatusConflict, "UserError", "the run has ended")
	}
	r.Status = "CancelRequested"
	return reply{status: http.StatusOK}
}

// historyRun is a run as the run history describes it.
func historyRun(r *Run, tags map[string]string) map[string]any {
	h := map[string]any{
		"runId": r.ID, "rootRunId": r.ID, "parentRunId": nil, "status": r.Status, "createdUtc": r.Created,
		"startTimeUtc": maybe(r.Started), "endTimeUtc": maybe(r.Ended), "error": nil, "tags": tags,
	}
	if r.Error != "" {
		h["error"] = map[string]any{"error": map[string]any{"code": "UserError", "message": r.Error}}
	}
	return h
}

func (s *Service) details(c call) reply {
	r := s.run(c.name)
	if r == nil || s.manners.HistoryLags {
		return unknownRun(c.name)
	}
	return reply{http.StatusOK, historyRun(r, r.Tags)}
}

// children are the runs of a run's steps, as public recordings show them, a page at a time. What is in a token is nobody's
// business.
func (s *Service) children(c call) reply {
	r := s.run(c.name)
	if r == nil || s.manners.HistoryLags {
		return unknownRun(c.name)
	}
	from := 0
	if token := c.query.Get("$continuationtoken"); token != "" {
		if _, err := fmt.Sscanf(token, "{\"after\": %d}", &from); err != nil || from < 1 || from >= len(r.Steps) {
			return s.misunderstood("no page has given this token: " + token)
		}
	}
	to := min(from+s.PageSize, len(r.Steps))
	list := []any{}
	for i, step := range r.Steps[from:to] {
		h := historyRun(&Run{ID: fmt.Sprintf("%s-%d", r.ID, from+i), Status: step.Status, Error: step.Error, Started: step.Started, Ended: step.Ended}, nil)
		h["parentRunId"], h["rootRunId"], h["displayName"], h["name"] = r.ID, r.ID, step.Name, "azureml_anonymous"
		list = append(list, h)
	}
	var token any
	if to < len(r.Steps) {
		token = fmt.Sprintf("{\"after\": %d}", to)
	}
	return reply{http.StatusOK, map[string]any{"value": list, "continuationToken": token, "nextLink": nil}}
}

var filter = regexp.MustCompile(`^\(Tags/([A-Za-z0-9_]+) eq ([A-Za-z0-9_-]+)\) and \(ParentRunId eq null\)$`)

func (s *Service) findRuns(c call) reply {
	var b struct {
		Filter            string `json:"filter"`
		OrderBy           string `json:"orderBy"`
		Top               int    `json:"top"`
		ContinuationToken string `json:"continuationToken"`
	}
	if wrong := decode(c.body, &b); wrong != "" {
		return s.misunderstood(wrong)
	}
	asked := filter.FindStringSubmatch(b.Filter)
	if asked == nil {
		return s.misunderstood("this filter is not understood: " + b.Filter)
	}
	if !slices.ContainsFunc(s.known(), func(r *Run) bool { return r.Experiment == c.name }) {
		return refuse(http.StatusNotFound, "UserError", "there is no experiment "+c.name)
	}
	found := []any{}
	for _, r := range s.known() {
		if r.Experiment == c.name && r.Tags[asked[1]] == asked[2] && !s.manners.HistoryLags && (b.Top == 0 || len(found) < b.Top) {
			found = append(found, historyRun(r, s.tags(r)))
		}
	}
	return reply{http.StatusOK, map[string]any{"value": found, "continuationToken": nil, "nextLink": nil}}
}

func (s *Service) entityStatus(status string) any {
	if status == "" {
		status = "Active"
	}
	return s.enum(status, "Active", "Deprecated", "Disabled")
}

func (s *Service) pipelineEntity(p Pipeline) map[string]any {
	return map[string]any{
		"Id": p.ID, "Name": p.Name, "Description": p.Description, "Parameters": p.Parameters,
		"EntityStatus": s.entityStatus(p.Status), "Version": strconv.Itoa(1),
	}
}

func active(status string) bool { return status == "" || status == "Active" }

func (s *Service) listPipelines(c call) reply {
	list := []any{}
	for _, p := range backwards(s.pipelines) {
		if active(p.Status) || c.query.Get("activeOnly") != "true" {
			list = append(list, s.pipelineEntity(p))
		}
	}
	return reply{http.StatusOK, list}
}

func (s *Service) getPipeline(c call) reply {
	p, ok := s.pipelines[c.name]
	if !ok {
		return refuse(http.StatusNotFound, "NotFound", "there is no published pipeline "+c.name)
	}
	return reply{http.StatusOK, s.pipelineEntity(p)}
}

func (s *Service) listEndpoints(c call) reply {
	list := []any{}
	for _, e := range backwards(s.endpoints) {
		if active(e.Status) || c.query.Get("activeOnly") != "true" {
			list = append(list, map[string]any{
				"Id": e.ID, "Name": e.Name, "Description": e.Description, "DefaultPipelineId": e.Pipeline,
				"EntityStatus": s.entityStatus(e.Status),
			})
		}
	}
	return reply{http.StatusOK, list}
}
