package local

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

const cutOff = "Carillon ended while the run was under way; the run is not started again"

// resume takes over what an earlier process left: runs without a mark are queued again, runs with one are ended.
func (t *Target) resume() error {
	names, err := t.disk.active()
	if err != nil {
		return fmt.Errorf("the runs that have not ended cannot be listed: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range names {
		t.resumeRun(name)
	}
	slices.SortFunc(t.waiting, func(a, b *run) int {
		return cmp.Or(a.request.Submitted.Compare(b.request.Submitted), cmp.Compare(a.request.Name, b.request.Name))
	})
	t.startWaiting()
	return nil
}

func (t *Target) resumeRun(name string) {
	if e, err := t.disk.readEnd(name); !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			t.config.Log.Error("a run's end cannot be read: move its folder away to be rid of it", "run", name, "error", err)
			return
		}
		t.work.Go(func() { t.tellEnd(name, e.Ended) })
		return
	}
	req, err := t.disk.readRequest(name)
	if errors.Is(err, fs.ErrNotExist) { // cut off before it was acknowledged
		err = t.disk.discard(name)
		t.config.Log.Info("a submission was cut off before it was taken", "run", name, "error", err)
		return
	}
	if err != nil {
		t.config.Log.Error("a run's request cannot be read", "run", name, "error", err)
		req = request{Name: name}
	}
	r := newRun(req)
	t.runs[name] = r
	_, begun := t.disk.marked(name, stepsOf(req))
	if !begun && err == nil {
		t.waiting = append(t.waiting, r)
		return
	}
	r.report.Status = schedule.Running
	t.occupy(func() {
		if begun {
			t.interrupt(r)
		} else {
			t.finish(r, schedule.Failed, err.Error())
		}
		t.vacate()
	})
}

// stepsOf is how many steps the run may have.
func stepsOf(req request) int {
	if len(req.Steps) == 0 {
		return maxSteps
	}
	return len(req.Steps)
}

// tellEnd does what follows the writing of an end.
func (t *Target) tellEnd(name string, ended time.Time) {
	t.retire(name, ended)
	if t.config.Ended != nil {
		t.config.Ended(name)
	}
}

// interrupt ends what an earlier process began of a run, and writes that.
func (t *Target) interrupt(r *run) {
	name := r.request.Name
	marks, _ := t.disk.marked(name, stepsOf(r.request))
	text := cutOff
	if err := t.endLeftovers(name, slices.Collect(maps.Values(marks))); err != nil {
		text += "; " + err.Error()
		t.config.Log.Error("an interrupted run goes on", "run", name, "error", err)
	}
	t.mu.Lock()
	for i := range r.report.Steps {
		if m, ok := marks[i]; ok {
			r.report.Steps[i] = t.stepAsLeft(name, i, r.report.Steps[i].Name, m)
		}
	}
	if len(r.report.Steps) > 0 {
		r.report.Started = r.report.Steps[0].Started
	}
	t.mu.Unlock()
	t.finish(r, schedule.Interrupted, text)
}

// stepAsLeft reports on a step that an earlier process began.
func (t *Target) stepAsLeft(name string, i int, step string, m mark) pipeline.Step {
	var s pipeline.Step
	if err := readJSON(t.disk.stepFile(name, i, "end"), &s); err == nil && s.Status.Final() {
		return s
	}
	return pipeline.Step{Name: step, Status: schedule.Interrupted, Started: m.At, Ended: time.Now().UTC()}
}

// endLeftovers asks the processes that are left of a run to end, kills them after the grace, and returns when they
// are gone. A mark whose process id belongs to another process by now is left alone.
func (t *Target) endLeftovers(name string, marks []mark) error {
	const pause = 20 * time.Millisecond
	kill, hurry := time.After(t.config.Grace), t.hurry
	giveUp := time.After(t.config.Grace + DefaultGrace)
	asked := map[int]bool{}
	killing := false
	for {
		left := leftovers(t.disk.root, name, marks)
		if len(left) == 0 {
			return nil
		}
		for _, target := range left {
			if killing || !asked[target] {
				signal(target, killing)
				asked[target] = true
			}
		}
		select {
		case <-time.After(pause):
		case <-kill:
			killing = true
		case <-hurry:
			killing, hurry = true, nil
		case <-giveUp:
			return fmt.Errorf("process %d could not be ended", max(left[0], -left[0]))
		}
	}
}
