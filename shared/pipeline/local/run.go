package local

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

// Why a run is ended before its time.
var (
	errCanceled = errors.New("the run was cancelled")
	errClosing  = errors.New("carillon is being stopped")
	errTimeout  = errors.New("the step took longer than its timeout")
)

// account is all that is known of a run.
type account struct {
	pipeline.Report
	Steps []pipeline.Step
}

// run is one that has not ended, or whose end could not be written.
type run struct {
	request request
	report  account                 // guarded by Target.mu
	cancel  context.CancelCauseFunc // guarded by Target.mu; nil while it waits
	queued  time.Time
}

func newRun(req request) *run {
	r := &run{request: req, queued: time.Now(), report: account{Report: pipeline.Report{Status: schedule.Queued}}}
	for _, s := range req.Steps {
		r.report.Steps = append(r.report.Steps, pipeline.Step{Name: s.Name, Status: schedule.Queued})
	}
	return r
}

// startWaiting starts as many runs as there is room for. The caller holds t.mu.
func (t *Target) startWaiting() {
	for !t.closing && t.running < t.config.AtOnce && len(t.waiting) > 0 {
		r := t.waiting[0]
		t.waiting = t.waiting[1:]
		ctx, cancel := context.WithCancelCause(context.Background())
		r.cancel = cancel
		r.report.Status, r.report.Started = schedule.Running, time.Now().UTC()
		waited := time.Since(r.queued)
		t.occupy(func() {
			defer cancel(nil)
			if waited > time.Second && t.config.Started != nil {
				t.config.Started(r.request.Name)
			}
			t.perform(ctx, r)
		})
	}
}

// occupy does something in a goroutine that takes the place of a running run. The caller holds t.mu.
func (t *Target) occupy(do func()) {
	t.running++
	t.work.Go(do)
}

// vacate makes room for the next run.
func (t *Target) vacate() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running--
	t.startWaiting()
}

// perform does the steps of a run in turn, and writes its end.
func (t *Target) perform(ctx context.Context, r *run) {
	steps := newRun(r.request).report.Steps
	var failures []string
	for i := range steps {
		if ctx.Err() != nil || len(failures) > 0 && !r.request.Continue {
			break
		}
		var taken bool
		steps[i], taken = t.execute(ctx, r, i)
		if taken {
			t.interrupt(r)
			t.vacate()
			return
		}
		if steps[i].Status == schedule.Failed {
			failures = append(failures, fmt.Sprintf("step %s %s", steps[i].Name, steps[i].Error))
		}
		t.note(r, i, steps[i])
	}
	status, text := decide(steps, failures, context.Cause(ctx), r.request.Continue)
	if status == schedule.Interrupted {
		if _, begun := t.disk.marked(r.request.Name, len(steps)); !begun {
			t.requeue(r)
			return
		}
	}
	t.vacate()
	t.finish(r, status, text)
}

// decide says how a run ended, whose steps went so, when cause wanted it to end (nil for nobody).
func decide(steps []pipeline.Step, failures []string, cause error, goOn bool) (schedule.Status, string) {
	cut := steps[len(steps)-1].Status == schedule.Queued && (goOn || len(failures) == 0)
	for _, s := range steps {
		cut = cut || s.Status == schedule.Canceled || s.Status == schedule.Interrupted
	}
	switch {
	case cut && errors.Is(cause, errCanceled):
		return schedule.Canceled, ""
	case cut:
		return schedule.Interrupted, "Carillon was stopped while the run was under way; the run is not started again"
	case len(failures) > 0:
		return schedule.Failed, strings.Join(failures, "; ")
	}
	return schedule.Completed, ""
}

// note makes a step's state visible, and keeps its end.
func (t *Target) note(r *run, i int, s pipeline.Step) {
	t.mu.Lock()
	r.report.Steps[i] = s
	t.mu.Unlock()
	if i+1 == len(r.request.Steps) || !s.Status.Final() {
		return
	}
	if err := t.disk.keepStep(r.request.Name, i, s); err != nil {
		t.config.Log.Error("the end of a step was not kept", "run", r.request.Name, "step", s.Name, "error", err)
	}
}

// requeue leaves a run that has not begun to the next Open.
func (t *Target) requeue(r *run) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running--
	*r = *newRun(r.request)
}

// finish writes the end of a run. When that fails the run stays in memory with its end: should Carillon be killed
// then, the next Open reports it as Interrupted.
func (t *Target) finish(r *run, status schedule.Status, text string) {
	name, now := r.request.Name, time.Now().UTC()
	t.mu.Lock()
	r.report.Status, r.report.Ended, r.report.Error, r.cancel = status, now, text, nil
	for i := range r.report.Steps {
		if !r.report.Steps[i].Status.Final() {
			r.report.Steps[i].Status = schedule.Skipped
		}
	}
	report := r.report
	t.mu.Unlock()
	t.conclude(name, end{Status: status, Started: report.Started, Ended: now, Error: text, Steps: report.Steps})
}

// conclude writes the end of a run and tells that it has ended.
func (t *Target) conclude(name string, e end) {
	if err := t.disk.keepEnd(name, e); err != nil {
		t.config.Log.Error("the end of a run was not written", "run", name, "error", err)
	} else {
		t.retire(name, e.Ended)
	}
	if t.config.Ended != nil {
		t.config.Ended(name)
	}
}

// retire forgets a run whose end is written.
func (t *Target) retire(name string, ended time.Time) {
	if err := t.disk.retire(name, ended); err != nil {
		t.config.Log.Error("an ended run still counts as active", "run", name, "error", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.runs, name)
}
