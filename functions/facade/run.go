package facade

import (
	"net/http"
	"strings"
	"time"

	"carillon/shared/problem"
	"carillon/shared/queue"
	"carillon/shared/schedule"
)

// words are what a status is called by v1: in the run history, and as the number of PipelineRuns, which public recordings
// show where the SDK has the names NotStarted, Running, Failed, Finished, Canceled. What nobody can say of an uncertain one
// is not made up: NotResponding ends no client's waiting.
var words = map[schedule.Status]struct {
	history string
	code    int
}{
	schedule.Waiting:     {"NotStarted", notStarted},
	schedule.Submitting:  {"NotStarted", notStarted},
	schedule.Uncertain:   {"NotResponding", running},
	schedule.Queued:      {"Queued", notStarted},
	schedule.Running:     {"Running", running},
	schedule.Completed:   {"Completed", finished},
	schedule.Failed:      {"Failed", failed},
	schedule.Interrupted: {"Failed", failed},
	schedule.Lost:        {"Failed", failed},
	schedule.Canceled:    {"Canceled", canceled},
	schedule.Skipped:     {"Canceled", canceled},
}

const (
	notStarted = iota
	running
	failed
	finished
	canceled
)

// instant is a time as .NET writes it; null for one that has not come.
type instant time.Time

func (i instant) MarshalJSON() ([]byte, error) {
	if time.Time(i).IsZero() {
		return []byte("null"), nil
	}
	return []byte(time.Time(i).UTC().Format(`"2006-01-02T15:04:05.0000000-07:00"`)), nil
}

// historyRun is a run as the run history has it in a list.
type historyRun struct {
	RunID       string            `json:"runId"`
	RootRunID   string            `json:"rootRunId"`
	ParentRunID *string           `json:"parentRunId"`
	RunType     string            `json:"runType"`
	Status      string            `json:"status"`
	Created     instant           `json:"createdUtc"`
	Started     instant           `json:"startTimeUtc"`
	Ended       instant           `json:"endTimeUtc"`
	Hidden      bool              `json:"hidden"`
	Error       *failure          `json:"error"`
	Tags        map[string]string `json:"tags"`
	Properties  map[string]string `json:"properties"`
}

// runDetails is one in its details.
type runDetails struct {
	historyRun
	CreatedTime    instant           `json:"createdTimeUtc"`
	Warnings       []string          `json:"warnings"`
	LogFiles       map[string]string `json:"logFiles"`
	InputDatasets  []string          `json:"inputDatasets"`
	OutputDatasets []string          `json:"outputDatasets"`
}

const runType = "azureml.PipelineRun"

func (f *Function) historyRun(o schedule.Occurrence) historyRun {
	h := historyRun{
		RunID: o.ID, RootRunID: o.ID, RunType: runType, Status: word(o), Created: instant(o.Recorded), Started: instant(o.Started), Ended: ended(o),
		Tags: o.Tags, Properties: map[string]string{"azureml.runsource": runType, "azureml.pipelineid": f.idOf(o)},
	}
	if h.Tags == nil {
		h.Tags = map[string]string{}
	}
	if text := detail(o); text != "" {
		h.Error = new(failure)
		h.Error.Error.Code, h.Error.Error.Message = "UserError", text
	}
	return h
}

// word is what the run history calls the status: of a run that somebody wants to end, also before the far side has it.
func word(o schedule.Occurrence) string {
	if o.CancelBy != "" && !o.Status.Final() && o.Status != schedule.Uncertain {
		return "CancelRequested"
	}
	return words[o.Status].history
}

// ended is when nothing more happens to an occurrence, also when none of it was ever run.
func ended(o schedule.Occurrence) instant {
	if !o.Status.Final() {
		return instant{}
	}
	return instant(o.Ended)
}

// detail is what people should know of the status; "" for nothing.
func detail(o schedule.Occurrence) string {
	switch {
	case o.Status == schedule.Skipped && o.Error != "":
		return "skipped (" + string(o.Reason) + "): " + o.Error
	case o.Status == schedule.Skipped:
		return "skipped (" + string(o.Reason) + ")"
	case o.Error == "" && words[o.Status].code == failed:
		return "it is " + string(o.Status) + ", and no reason is known"
	}
	return o.Error
}

// runEntity is a run as PipelineRuns has it.
type runEntity struct {
	ID                                string            `json:"Id"`
	PipelineRunID                     string            `json:"PipelineRunId"`
	PipelineID                        string            `json:"PipelineId"`
	RunHistoryExperimentName          string            // of this and ExperimentName some clients read the one
	ExperimentName                    string            // and some the other
	Description                       string            //
	Status                            statusEntity      //
	ParameterAssignments              map[string]string //
	DataPathAssignments               map[string]dataPath
	DataSetDefinitionValueAssignments struct{}
	RunSource                         string
	RunURL                            *string `json:"RunUrl"`
	Tags                              map[string]string
	Properties                        map[string]string
	ContinueRunOnStepFailure          bool
	IsSubmitted                       bool
	HasErrors                         bool
	HasWarnings                       bool
	EntityStatus                      int // 0 is Active
}

type statusEntity struct {
	StatusCode   int
	StatusDetail *string
	CreationTime instant
	EndTime      instant
}

func (f *Function) runEntity(o schedule.Occurrence) runEntity {
	h := f.historyRun(o)
	e := runEntity{
		ID: o.ID, PipelineRunID: o.ID, PipelineID: f.idOf(o), RunHistoryExperimentName: o.Experiment, ExperimentName: o.Experiment,
		Description: "Started by Carillon for schedule " + o.Schedule,
		Status:      statusEntity{StatusCode: words[o.Status].code, CreationTime: h.Created, EndTime: h.Ended},
		RunSource:   "SDK", Tags: h.Tags, Properties: h.Properties, ContinueRunOnStepFailure: o.ContinueOnStepFailure != nil && *o.ContinueOnStepFailure, IsSubmitted: true,
		HasErrors: words[o.Status].code == failed, ParameterAssignments: map[string]string{}, DataPathAssignments: map[string]dataPath{},
	}
	for name, value := range o.Parameters {
		if o.Attempts == 0 {
			value = strings.ReplaceAll(value, writtenBraces, braces)
		}
		e.ParameterAssignments[name] = value
	}
	if d := o.DataPath; d != nil {
		e.DataPathAssignments[d.Parameter] = dataPath{d.Datastore, d.Path}
	}
	if text := detail(o); text != "" {
		e.Status.StatusDetail = &text
	}
	if o.Link != "" {
		e.RunURL = &o.Link
	}
	return e
}

func (f *Function) pipelineRun(r *http.Request, id string) (any, error) {
	o, err := f.run(r.Context(), id)
	if err != nil {
		return nil, err
	}
	return f.runEntity(o.Value), nil
}

func (f *Function) details(r *http.Request, id string) (any, error) {
	o, err := f.run(r.Context(), id)
	if err != nil {
		return nil, err
	}
	h := f.historyRun(o.Value)
	return runDetails{historyRun: h, CreatedTime: h.Created, Warnings: []string{}, LogFiles: map[string]string{}, InputDatasets: []string{}, OutputDatasets: []string{}}, nil
}

// cancel keeps the wish for a run's end, at any time; whoever follows the run asks the far side. One that has ended is as it
// was asked for: clients look before, and may be late.
func (f *Function) cancel(r *http.Request, id string) (any, error) {
	if _, err := f.run(r.Context(), id); err != nil {
		return nil, err
	}
	by := actor(r)
	c, err := f.DB.Cancel(r.Context(), id, by, f.Now().UTC())
	o := c.To
	switch {
	case err != nil:
		return nil, err
	case o.Run == "" || o.Status.Final():
	case f.Targets[o.Pipeline.Kind] == nil:
		return nil, problem.Newf(problem.Conflict, "nothing that runs pipelines of kind %s is configured here any more; once something is, run %s is cancelled", o.Pipeline.Kind, o.ID)
	default:
		if err := f.Follow.Send(r.Context(), queue.Messages([]string{o.ID})[0], 0); err != nil {
			f.Log.WarnContext(r.Context(), "a message was not sent; the clock will send it", "run", o.ID, "error", err)
		}
	}
	f.Log.InfoContext(r.Context(), "run cancelled", "run", o.ID, "schedule", o.Schedule, "was", c.From.Value.Status, "by", by)
	return struct{}{}, nil
}
