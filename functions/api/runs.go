package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/problem"
	"carillon/shared/queue"
	"carillon/shared/recur"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// runView is an occurrence and its run as clients see them. Times are UTC.
type runView struct {
	ID         string               `json:"id"`
	Schedule   string               `json:"schedule"`
	Kind       schedule.Kind        `json:"kind"`
	Status     schedule.Status      `json:"status"`
	Reason     schedule.Reason      `json:"reason,omitempty"` // of a skipped one
	Error      string               `json:"error,omitempty"`
	Nominal    time.Time            `json:"nominal"`         // the computed time
	Last       time.Time            `json:"last,omitzero"`   // of several skipped ones
	Count      int                  `json:"count,omitempty"` // of several skipped ones
	Recorded   time.Time            `json:"recorded"`
	Submitted  time.Time            `json:"submitted,omitzero"`
	Started    time.Time            `json:"started,omitzero"`
	Ended      time.Time            `json:"ended,omitzero"`
	Pipeline   schedule.PipelineRef `json:"pipeline,omitzero"`
	Experiment string               `json:"experiment,omitempty"`
	Parameters map[string]string    `json:"parameters,omitempty"` // of a waiting one, those given for it; then all that the run gets
	Outputs    map[string]string    `json:"outputs,omitempty"`    // where they go, from its submission on
	Revision   int                  `json:"revision"`             // of the schedule, when it was recorded
	Attempts   int                  `json:"attempts,omitempty"`
	By         string               `json:"by,omitempty"`
	CancelBy   string               `json:"cancel_by,omitempty"` // who has asked for its end
	RoomFor    string               `json:"makes_room_for,omitempty"`
	Buffered   bool                 `json:"buffered,omitempty"` // it waits for its turn
	Run        string               `json:"run,omitempty"`      // the far side's id
	Link       string               `json:"link,omitempty"`
	Steps      []pipeline.Step      `json:"steps,omitempty"`      // of one run only, where the far side tells
	MoreSteps  bool                 `json:"more_steps,omitempty"` // than those

	Change   *changeView        `json:"change,omitempty"`    // that fired it: the one, or that which completed all_of
	Changes  int                `json:"changes,omitempty"`   // how many it is for
	Window   *schedule.Span     `json:"window,omitempty"`    // of a batch and all_of: in which they came
	DataPath *schedule.DataPath `json:"data_path,omitempty"` // from its submission on
}

func viewRun(o schedule.Occurrence) runView {
	v := runView{
		ID: o.ID, Schedule: o.Schedule, Kind: o.Kind, Status: o.Status, Reason: o.Reason, Error: o.Error,
		Nominal: o.Nominal, Last: o.Last, Count: o.Count, Recorded: o.Recorded, Submitted: o.Submitted,
		Started: o.Started, Ended: o.Ended, Pipeline: o.Pipeline, Experiment: o.Experiment, Parameters: o.Parameters, Outputs: o.Outputs,
		Revision: o.Revision, Attempts: o.Attempts, By: o.By, CancelBy: o.CancelBy, RoomFor: o.MakesRoomFor, Buffered: o.Buffered, Run: o.Run, Link: o.Link,
		Changes: o.Changes, DataPath: o.DataPath,
	}
	if o.Change != nil {
		c := viewChange(*o.Change)
		v.Change = &c
	}
	if o.Kind == schedule.Changed {
		v.Window = o.Window
	}
	return v
}

func (f *Function) listRuns(r *http.Request) (answer, error) {
	if err := onlyQuery(r, "token", "limit", "schedule", "status"); err != nil {
		return answer{}, err
	}
	limit, err := number(r, "limit", 50, 200)
	if err != nil {
		return answer{}, err
	}
	keep, err := runFilter(r)
	if err != nil {
		return answer{}, err
	}
	found, next, err := f.runs(r.Context(), r.URL.Query().Get("schedule"), r.URL.Query().Get("token"), limit, keep)
	if err != nil {
		return answer{}, err
	}
	items := make([]runView, len(found))
	for i, o := range found {
		items[i] = viewRun(o)
	}
	return answer{body: page{items, next}}, nil
}

func runFilter(r *http.Request) (func(schedule.Occurrence) bool, error) {
	var wanted []schedule.Status
	for _, text := range strings.FieldsFunc(r.URL.Query().Get("status"), func(c rune) bool { return c == ',' }) {
		status, ok := schedule.ParseStatus(text)
		if !ok {
			return nil, problem.Newf(problem.BadRequest, "%q is no status; there are: %s", text, statusNames())
		}
		wanted = append(wanted, status)
	}
	name := r.URL.Query().Get("schedule")
	if name != "" && !schedule.ValidName(name) {
		return nil, problem.Newf(problem.BadRequest, "%q cannot be a schedule's name", name)
	}
	if token := r.URL.Query().Get("token"); strings.Trim(token, "0123456789abcdefghijklmnopqrstuvwxyzTZ|-") != "" {
		return nil, problem.Newf(problem.BadRequest, "token has to be one that a list has returned")
	}
	return func(o schedule.Occurrence) bool {
		return (name == "" || o.Schedule == name) && (len(wanted) == 0 || slices.Contains(wanted, o.Status))
	}, nil
}

func statusNames() string {
	names := make([]string, len(schedule.Statuses))
	for i, s := range schedule.Statuses {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}

// runs lists a schedule's own, or those of all; those of a schedule that has been deleted are found among all.
func (f *Function) runs(ctx context.Context, name, token string, limit int, keep func(schedule.Occurrence) bool) ([]schedule.Occurrence, string, error) {
	if name == "" {
		return f.DB.Occurrences(ctx, token, limit, keep)
	}
	record, err := f.DB.Schedule(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return f.DB.Occurrences(ctx, token, limit, keep)
	}
	if err != nil {
		return nil, "", err
	}
	return f.DB.OccurrencesOf(ctx, record.Schedule.Value.ID, token, limit, keep)
}

func (f *Function) getRun(r *http.Request) (answer, error) {
	o, err := f.DB.Occurrence(r.Context(), r.PathValue("id"))
	if err != nil {
		return answer{}, err
	}
	v := viewRun(o.Value)
	if target, ok := f.Targets[o.Value.Pipeline.Kind].(pipeline.Stepped); ok && o.Value.Run != "" {
		ctx, cancel := context.WithTimeout(r.Context(), farWithin)
		defer cancel()
		if steps, more, err := target.Steps(ctx, o.Value.Pipeline.Kind, o.Value.Run); err == nil {
			v.Steps, v.MoreSteps = steps, more
		}
	}
	return answer{body: v}, nil
}

func (f *Function) runOutput(r *http.Request) (answer, error) {
	o, err := f.DB.Occurrence(r.Context(), r.PathValue("id"))
	if err != nil {
		return answer{}, err
	}
	if o.Value.Run == "" {
		return answer{}, problem.Newf(problem.NotFound, "run %s has no output: it is %s", o.Value.ID, o.Value.Status)
	}
	outputs, ok := f.Targets[o.Value.Pipeline.Kind].(pipeline.Outputs)
	if !ok {
		return answer{}, problem.Newf(problem.NotFound, "the output of pipelines of kind %s is not kept here", o.Value.Pipeline.Kind)
	}
	stream, err := outputs.Output(r.Context(), o.Value.Pipeline.Kind, o.Value.Run)
	return answer{stream: stream, content: "text/plain; charset=utf-8"}, err
}

// cancelRun keeps the wish, and hints at it. Whoever follows the run asks the far side.
func (f *Function) cancelRun(r *http.Request) (answer, error) {
	c, err := f.DB.Cancel(r.Context(), r.PathValue("id"), actor(r), f.Now().UTC())
	o := c.To
	switch {
	case err != nil:
		return answer{}, err
	case c.From.Value.Status.Final():
		return answer{}, problem.Newf(problem.Conflict, "run %s is %s and cannot be cancelled", o.ID, o.Status)
	case o.Run != "" && f.Targets[o.Pipeline.Kind] == nil:
		return answer{}, problem.Newf(problem.Conflict, "nothing that runs pipelines of kind %s is configured here any more; once something is, run %s is cancelled", o.Pipeline.Kind, o.ID)
	case o.Run != "":
		if err := f.Follow.Send(r.Context(), queue.Messages([]string{o.ID})[0], 0); err != nil {
			f.Log.WarnContext(r.Context(), "a message was not sent; the clock will send it", "run", o.ID, "error", err)
		}
	}
	f.Log.InfoContext(r.Context(), "run cancelled", "run", o.ID, "schedule", o.Schedule, "was", c.From.Value.Status, "by", actor(r))
	a, err := f.getRun(r)
	a.status = http.StatusAccepted
	return a, err
}

func (f *Function) triggerSchedule(r *http.Request) (answer, error) {
	data, err := body(r, true)
	if err != nil {
		return answer{}, err
	}
	record, err := f.DB.Schedule(r.Context(), r.PathValue("name"))
	if err != nil {
		return answer{}, err
	}
	s := record.Schedule.Value
	var parameters json.RawMessage
	var nominal time.Time
	if len(data) > 0 {
		var errs recur.FieldErrors
		if o, ok := recur.ReadObject("", data, &errs); ok {
			parameters = o.Value("parameters")
			if o.Value("nominal") != nil {
				nominal = instant(o, "nominal", s, false)
			}
			o.Strangers([]string{"parameters", "nominal"})
		}
		if len(errs) > 0 {
			return answer{}, errs
		}
	}
	own, err := f.ownParameters(r.Context(), s, parameters)
	if err != nil {
		return answer{}, err
	}
	request := r.Header.Get("Idempotency-Key")
	if len(request) > 256 {
		return answer{}, problem.Newf(problem.BadRequest, "Idempotency-Key may have 256 bytes")
	}
	o := schedule.Asked(s, request, strings.ToLower(rand.Text()[:8]), actor(r), own, f.Now().UTC())
	if !nominal.IsZero() {
		o.Nominal = nominal
	}
	return f.ask(r, s, o)
}

func (f *Function) ownParameters(ctx context.Context, s schedule.Schedule, data []byte) (map[string]string, error) {
	if len(data) == 0 {
		return nil, nil
	}
	own, errs := schedule.DecodeParameters(data)
	if len(errs) == 0 {
		errs = schedule.CheckTemplates("parameters", own, s.Trigger.Uses())
	}
	if target, ok := f.Targets[s.Pipeline.Kind]; ok && len(errs) == 0 {
		if p, err := target.Get(ctx, s.Pipeline); err == nil {
			errs = unknownParameters(p, own, "parameters")
		}
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return own, nil
}

// ask records an occurrence and sends it. The same request gets the occurrence that it made the first time.
func (f *Function) ask(r *http.Request, s schedule.Schedule, o schedule.Occurrence) (answer, error) {
	made, err := f.DB.Ask(r.Context(), o, time.Time{})
	if err != nil || made.ID != o.ID {
		return runAnswer(made), err
	}
	f.sent(r.Context(), o)
	return runAnswer(o), nil
}

// sent sends an occurrence that has been recorded.
func (f *Function) sent(ctx context.Context, o schedule.Occurrence) {
	if err := f.Submit.Send(ctx, queue.Messages([]string{o.ID})[0], 0); err != nil {
		f.Log.WarnContext(ctx, "a message was not sent; the clock will send it", "run", o.ID, "error", err)
	}
	f.Log.InfoContext(ctx, "run asked for", "run", o.ID, "schedule", o.Schedule, "by", o.By)
}

func runAnswer(o schedule.Occurrence) answer {
	return answer{status: http.StatusAccepted, header: http.Header{"Location": {"/api/runs/" + o.ID}}, body: viewRun(o)}
}
