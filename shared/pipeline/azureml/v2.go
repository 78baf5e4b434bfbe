package azureml

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

// v2 is what the kinds of v2 have in common: their runs are jobs.
type v2 struct {
	w    *Workspace
	kind string
}

// jobEntity is a job as the resource manager describes it. A list may leave the dictionaries out.
type jobEntity struct {
	Name       string
	Properties struct {
		Status     runStatus
		Tags       words
		Properties words
	}
}

// bears reports whether it is the run of that occurrence.
func (j jobEntity) bears(occurrence string) bool {
	return j.Properties.Tags[pipeline.OccurrenceTag] == occurrence || j.Properties.Properties[pipeline.OccurrenceTag] == occurrence
}

// bare reports whether it says nothing of itself.
func (j jobEntity) bare() bool {
	return len(j.Properties.Tags) == 0 && len(j.Properties.Properties) == 0
}

// Status asks the resource manager, and once the run has begun the run history too: only that has its times and its error.
func (t *v2) Status(ctx context.Context, kind, runID string) (pipeline.Report, error) {
	if err := ctx.Err(); err != nil {
		return pipeline.Report{}, err
	}
	if kind != t.kind || !id.MatchString(runID) {
		return pipeline.Report{}, unknownRun(runID)
	}
	d, err := t.observe(ctx, runID)
	if errors.Is(err, pipeline.ErrNotFound) {
		return pipeline.Report{}, err
	}
	if err != nil {
		return pipeline.Report{}, unseen(runID, err)
	}
	return t.w.report(runID, d), nil
}

// Steps asks the run history, which has those of jobs too.
func (t *v2) Steps(ctx context.Context, kind, runID string) ([]pipeline.Step, bool, error) {
	if kind != t.kind || !id.MatchString(runID) {
		return nil, false, cmp.Or(ctx.Err(), unknownRun(runID))
	}
	return t.w.steps(ctx, runID)
}

// observe returns what both know of a run. How soon the resource manager knows what a batch endpoint has started is not
// established: a run is not known only when the history does not know it either, or cannot be asked. The history is done
// without while a run goes on, and where it will not answer later either.
func (t *v2) observe(ctx context.Context, runID string) (runDetails, error) {
	var j jobEntity
	err := t.w.get(ctx, "/jobs/"+runID, &j)
	if answered(err, http.StatusNotFound) {
		d, err := t.details(ctx, runID)
		if err != nil && !passing(err) {
			err = unknownRun(runID)
		}
		return d, err
	}
	word := j.Properties.Status
	status, _ := word.status()
	if err != nil || status == schedule.Queued {
		return runDetails{Status: word}, err
	}
	d, err := t.details(ctx, runID)
	d.Status = word
	if err != nil && status.Final() && passing(err) {
		return d, fmt.Errorf("it has ended, and its details cannot be had: %w", err)
	}
	return d, nil
}

// historyWithin is what the history may take of the time that a look has: one that is not reached is done without.
const historyWithin = 10 * time.Second

// details asks the history. When all of the look's time is over that says nothing of the history.
func (t *v2) details(ctx context.Context, runID string) (runDetails, error) {
	within, cancel := context.WithTimeout(ctx, historyWithin)
	defer cancel()
	d, err := t.w.details(within, runID)
	if err != nil && ctx.Err() != nil {
		err = &failure{sent: true, err: ctx.Err()}
	}
	return d, err
}

// passing reports whether the same question may be answered later: the history knows the run, or is out of order. One
// that cannot be reached from here, or does not let Carillon in, is done without.
func passing(err error) bool {
	var f *failure
	if !errors.As(err, &f) || f.status == 0 {
		return f != nil && f.sent
	}
	return !answered(err, http.StatusNotFound, http.StatusUnauthorized, http.StatusForbidden)
}

// Cancel asks for the run's end, and does not wait for it.
func (t *v2) Cancel(ctx context.Context, kind, runID string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if kind != t.kind || !id.MatchString(runID) {
		return unknownRun(runID)
	}
	err := t.w.arm.do(ctx, http.MethodPost, t.w.resource("/jobs/"+runID+"/cancel"), nil, nil)
	return cancelled(runID, err, func() (pipeline.Report, error) { return t.Status(ctx, kind, runID) })
}

// unread is the error of a submission for which something had to be read first. Nothing was sent.
func unread(s pipeline.Submission, err error) error {
	e := &pipeline.Error{Outcome: pipeline.NotDone, Err: fmt.Errorf("no run of pipeline %s was started: %w", s.Pipeline, err)}
	var f *failure
	switch {
	case errors.Is(err, pipeline.ErrNotFound), answered(err, http.StatusNotFound):
		e.Outcome, e.Err = pipeline.Refused, fmt.Errorf("pipeline %s: %w: %w", s.Pipeline, pipeline.ErrNotFound, err)
	case answered(err, refusals...):
		e.Outcome = pipeline.Refused
	case errors.As(err, &f):
		e.RetryAfter = f.retryAfter
	}
	return e
}
