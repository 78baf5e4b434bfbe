package azureml

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

// runDetails is what the run history says of a run.
type runDetails struct {
	Status       runStatus
	StartTimeUTC instant
	EndTimeUTC   instant
	Error        *errorBody
}

func unknownRun(runID string) error { return fmt.Errorf("run %s: %w", runID, pipeline.ErrNotFound) }

// unseen is the error of a question about a run that was not answered, and says when to ask again.
func unseen(runID string, err error) error {
	e := &pipeline.Error{Err: fmt.Errorf("run %s: %w", runID, err)}
	var f *failure
	if errors.As(err, &f) {
		e.RetryAfter = f.retryAfter
	}
	return e
}

// Status asks the run history, and for a run that it does not have (yet) the service that made the run.
func (t *v1) Status(ctx context.Context, kind, runID string) (pipeline.Report, error) {
	if err := ctx.Err(); err != nil {
		return pipeline.Report{}, err
	}
	if kind != t.kind || !id.MatchString(runID) {
		return pipeline.Report{}, unknownRun(runID)
	}
	d, err := t.w.details(ctx, runID)
	if answered(err, http.StatusNotFound) {
		return t.unrecorded(ctx, runID)
	}
	if err != nil {
		return pipeline.Report{}, unseen(runID, err)
	}
	return t.w.report(runID, d), nil
}

func (w *Workspace) details(ctx context.Context, runID string) (d runDetails, err error) {
	err = w.v1.do(ctx, http.MethodGet, w.history("/runs/"+runID+"/details"), nil, &d)
	return d, err
}

// Steps asks the run history, whoever has made the run.
func (t *v1) Steps(ctx context.Context, kind, runID string) ([]pipeline.Step, bool, error) {
	if kind != t.kind || !id.MatchString(runID) {
		return nil, false, cmp.Or(ctx.Err(), unknownRun(runID))
	}
	return t.w.steps(ctx, runID)
}

const (
	mostSteps     = 100 // that are told of one run
	mostStepPages = 10  // that are read for them
)

// children are a page of the runs of a run's steps: the run history's, which public recordings of Microsoft's client show.
// That a page names the next one so is read in that client's code.
type children struct {
	Value []struct {
		runDetails
		RunID, DisplayName, Name string
	}
	ContinuationToken string
}

// steps are a run's, in the order in which they began.
func (w *Workspace) steps(ctx context.Context, runID string) (steps []pipeline.Step, more bool, err error) {
	route := w.history("/runs/" + runID + "/children")
	next := route
	for page := 1; ; page++ {
		var list children
		err := w.v1.do(ctx, http.MethodGet, next, nil, &list)
		if answered(err, http.StatusNotFound) {
			return nil, false, unknownRun(runID)
		}
		if err != nil {
			return nil, false, unseen(runID, err)
		}
		for _, c := range list.Value {
			r := w.report(c.RunID, c.runDetails)
			steps = append(steps, pipeline.Step{
				Name: tidy(cmp.Or(c.DisplayName, c.Name, c.RunID)), Status: r.Status, Started: r.Started, Ended: r.Ended, Error: r.Error,
			})
		}
		if more = list.ContinuationToken != ""; !more || len(steps) >= mostSteps || page == mostStepPages {
			break
		}
		next = route + "?" + url.Values{"$continuationtoken": {list.ContinuationToken}}.Encode()
	}
	if len(steps) > mostSteps {
		steps, more = steps[:mostSteps], true
	}
	slices.SortStableFunc(steps, byBeginning)
	return steps, more, nil
}

// byBeginning orders steps as they began; those that have not come last.
func byBeginning(a, b pipeline.Step) int {
	if a.Started.IsZero() != b.Started.IsZero() {
		return b.Started.Compare(a.Started)
	}
	return cmp.Or(a.Started.Compare(b.Started), strings.Compare(a.Name, b.Name))
}

// unrecorded reports on a run that the history does not know. How soon after its submission the history has a run is
// not established; a run is lost only when the pipeline service does not know it either.
func (t *v1) unrecorded(ctx context.Context, runID string) (pipeline.Report, error) {
	var r struct {
		Status struct {
			StatusCode   runStatus
			StatusDetail string
			EndTime      instant
		}
	}
	err := t.w.v1.do(ctx, http.MethodGet, t.w.pipelines("/PipelineRuns/"+runID), nil, &r)
	if answered(err, http.StatusNotFound) {
		return pipeline.Report{}, unknownRun(runID)
	}
	if err != nil {
		return pipeline.Report{}, unseen(runID, err)
	}
	d := runDetails{Status: r.Status.StatusCode, EndTimeUTC: r.Status.EndTime, Error: new(errorBody)}
	d.Error.Error.Message = r.Status.StatusDetail
	return t.w.report(runID, d), nil
}

func (w *Workspace) report(runID string, d runDetails) pipeline.Report {
	status, known := d.Status.status()
	report := pipeline.Report{Status: status, Started: d.StartTimeUTC.Time, Link: w.link(runID)}
	if status.Final() {
		report.Ended = d.EndTimeUTC.Time
	}
	if !known {
		report.Error = fmt.Sprintf("the workspace says %q of this run, which Carillon does not know and takes for running", tidy(string(d.Status)))
	}
	if status == schedule.Failed {
		if report.Error = "the workspace gives no reason; the studio may"; d.Error != nil && d.Error.text() != "" {
			report.Error = d.Error.text()
		}
	}
	return report
}

// link is where people look at a run. The address needs no region.
func (w *Workspace) link(runID string) string {
	if w.studio == "" {
		return ""
	}
	return w.studio + "/runs/" + url.PathEscape(runID) + "?wsid=" + w.wsid
}

// Cancel asks for the run's end. How the service refuses that for a run that has ended is not established: after any
// refusal the run itself is asked.
func (t *v1) Cancel(ctx context.Context, kind, runID string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if kind != t.kind || !id.MatchString(runID) {
		return unknownRun(runID)
	}
	err := t.w.v1.do(ctx, http.MethodDelete, t.w.pipelines("/PipelineRuns/"+runID+"/Execution"), nil, nil)
	return cancelled(runID, err, func() (pipeline.Report, error) { return t.Status(ctx, kind, runID) })
}

// cancelled says what became of a cancellation that was answered with err.
func cancelled(runID string, err error, status func() (pipeline.Report, error)) error {
	if err == nil {
		return nil
	}
	if answered(err, refusals...) || answered(err, http.StatusConflict, http.StatusPreconditionFailed) {
		report, statusErr := status()
		if errors.Is(statusErr, pipeline.ErrNotFound) || statusErr == nil && report.Status.Final() {
			return statusErr
		}
	}
	return fmt.Errorf("run %s could not be cancelled: %w", runID, err)
}
