package pipeline

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"carillon/shared/schedule"
)

// Fake is a far side in memory, held to the same suite as the real ones. Its runs move only when Start and Finish
// say so. The zero value has no pipelines; set the fields before the first call. Safe for concurrent use.
type Fake struct {
	// Anonymous makes it a target that does not honour names: every Submit makes another run.
	Anonymous bool

	// Before sees each submission first. Its error is what Submit returns, and nothing is made.
	Before func(Submission) error
	// After sees each submission that made a run. Its error is what Submit returns, although the run was made.
	After func(s Submission, runID string) error
	// BeforeStatus sees each question for a run. Its error is what Status returns.
	BeforeStatus func(runID string) error
	// BeforeCancel sees each wish for a run's end. Its error is what Cancel returns, and nobody has asked.
	BeforeCancel func(runID string) error

	mu        sync.Mutex
	pipelines map[schedule.PipelineRef]Pipeline
	runs      []*FakeRun // in the order in which they were made
	byID      map[string]*FakeRun
	byName    map[string]*FakeRun
}

// FakeRun is a run that a Fake has made.
type FakeRun struct {
	ID         string
	Submission Submission
	Report     Report
	Steps      []Step
	CancelSent bool // somebody asked for its end

	lost   bool
	output bytes.Buffer
}

// Put adds a pipeline, or replaces the one of the same kind and id. One with Parameters takes no others; one with
// a Problem refuses submissions.
func (f *Fake) Put(pipelines ...Pipeline) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pipelines == nil {
		f.pipelines = map[schedule.PipelineRef]Pipeline{}
	}
	for _, p := range pipelines {
		f.pipelines[p.Ref] = p
	}
}

// Remove takes a pipeline away; its runs stay.
func (f *Fake) Remove(ref schedule.PipelineRef) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.pipelines, ref)
}

func (f *Fake) Submit(ctx context.Context, s Submission) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", &Error{Outcome: NotDone, Err: err}
	}
	if f.Before != nil {
		if err := f.Before(s); err != nil {
			return "", err
		}
	}
	id, err := f.admit(s)
	if err == nil && f.After != nil {
		err = f.After(s, id)
	}
	if err != nil {
		return "", err
	}
	return id, nil
}

func (f *Fake) admit(s Submission) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.byName[s.Name]; r != nil && !f.Anonymous {
		return r.ID, nil
	}
	if err := f.refuse(s); err != nil {
		return "", err
	}
	s.Parameters = maps.Clone(s.Parameters)
	r := &FakeRun{ID: "run-" + strconv.Itoa(len(f.runs)+1), Submission: s, Report: Report{Status: schedule.Queued}}
	if f.byID == nil {
		f.byID, f.byName = map[string]*FakeRun{}, map[string]*FakeRun{}
	}
	f.runs = append(f.runs, r)
	f.byID[r.ID], f.byName[s.Name] = r, r
	return r.ID, nil
}

func (f *Fake) refuse(s Submission) error {
	p, ok := f.pipelines[s.Pipeline]
	if !ok {
		return Refusef("pipeline %s: %w", s.Pipeline, ErrNotFound)
	}
	if p.Problem != "" {
		return Refusef("pipeline %s cannot run: %s", s.Pipeline, p.Problem)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Parameters)) {
		if _, declared := p.Parameters[name]; !declared && p.Parameters != nil {
			return Refusef("pipeline %s has no parameter %s", s.Pipeline, name)
		}
	}
	return nil
}

func (f *Fake) Status(ctx context.Context, kind, runID string) (Report, error) {
	if err := ctx.Err(); err != nil {
		return Report{}, err
	}
	if f.BeforeStatus != nil {
		if err := f.BeforeStatus(runID); err != nil {
			return Report{}, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.find(kind, runID)
	if err != nil {
		return Report{}, err
	}
	return r.copy().Report, nil
}

// Cancel notes that somebody asked; the test ends the run with Finish.
func (f *Fake) Cancel(ctx context.Context, kind, runID string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if f.BeforeCancel != nil {
		if err := f.BeforeCancel(runID); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.find(kind, runID)
	if err == nil && !r.Report.Status.Final() {
		r.CancelSent = true
	}
	return err
}

func (f *Fake) List(ctx context.Context, after string, max int) (page []Pipeline, next string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.pipelines {
		if p.Ref.ID > after {
			page = append(page, p.clone())
		}
	}
	slices.SortFunc(page, func(a, b Pipeline) int {
		return cmp.Or(cmp.Compare(a.Ref.ID, b.Ref.ID), cmp.Compare(a.Ref.Kind, b.Ref.Kind))
	})
	if len(page) > max {
		page, next = page[:max], page[max-1].Ref.ID
	}
	return page, next, nil
}

func (f *Fake) Get(ctx context.Context, ref schedule.PipelineRef) (Pipeline, error) {
	if err := ctx.Err(); err != nil {
		return Pipeline{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.pipelines[ref]
	if !ok {
		return Pipeline{}, fmt.Errorf("pipeline %s: %w", ref, ErrNotFound)
	}
	return p.clone(), nil
}

// Also returns what the pipeline was put with.
func (f *Fake) Also(ctx context.Context, ref schedule.PipelineRef) ([]schedule.PipelineRef, error) {
	p, err := f.Get(ctx, ref)
	return p.Also, err
}

func (p Pipeline) clone() Pipeline {
	p.Parameters = maps.Clone(p.Parameters)
	return p
}

// Output returns what Write has put into a run so far.
func (f *Fake) Output(ctx context.Context, kind, runID string) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.find(kind, runID)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(bytes.Clone(r.output.Bytes()))), nil
}

// Steps returns what Tell has said of a run last.
func (f *Fake) Steps(ctx context.Context, kind, runID string) ([]Step, bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.find(kind, runID)
	if err != nil {
		return nil, false, err
	}
	return slices.Clone(r.Steps), false, nil
}

func (f *Fake) find(kind, runID string) (*FakeRun, error) {
	r := f.byID[runID]
	if r == nil || r.lost || r.Submission.Pipeline.Kind != kind {
		return nil, fmt.Errorf("run %s: %w", runID, ErrNotFound)
	}
	return r, nil
}

// Start moves a queued run to Running. It panics when the run is not a queued one.
func (f *Fake) Start(runID string) {
	f.move(runID, func(r *FakeRun) {
		if r.Report.Status != schedule.Queued {
			panic(fmt.Sprintf("run %s is %s", runID, r.Report.Status))
		}
		r.Report.Status, r.Report.Started = schedule.Running, time.Now().UTC()
	})
}

// Finish ends a run. It panics when the run has ended, or the status is not a final one.
func (f *Fake) Finish(runID string, status schedule.Status, errText string) {
	f.move(runID, func(r *FakeRun) {
		if r.Report.Status.Final() || !status.Final() {
			panic(fmt.Sprintf("run %s is %s and cannot become %s", runID, r.Report.Status, status))
		}
		now := time.Now().UTC()
		if r.Report.Started.IsZero() && status != schedule.Canceled {
			r.Report.Started = now
		}
		r.Report.Status, r.Report.Ended, r.Report.Error = status, now, errText
	})
}

// Lose makes the target forget a run: nothing but Runs and Submissions knows it any more.
func (f *Fake) Lose(runID string) { f.move(runID, func(r *FakeRun) { r.lost = true }) }

// Tell gives a run steps.
func (f *Fake) Tell(runID string, steps ...Step) {
	f.move(runID, func(r *FakeRun) { r.Steps = steps })
}

// Write adds to a run's output.
func (f *Fake) Write(runID, text string) {
	f.move(runID, func(r *FakeRun) { r.output.WriteString(text) })
}

func (f *Fake) move(runID string, change func(*FakeRun)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.byID[runID]
	if r == nil {
		panic("there is no run " + runID)
	}
	change(r)
}

// Runs returns every run that was made, lost ones too, in that order.
func (f *Fake) Runs() []FakeRun {
	f.mu.Lock()
	defer f.mu.Unlock()
	runs := make([]FakeRun, len(f.runs))
	for i, r := range f.runs {
		runs[i] = r.copy()
	}
	return runs
}

// Run returns a run that was made. It panics when there is none of that id.
func (f *Fake) Run(runID string) (run FakeRun) {
	f.move(runID, func(r *FakeRun) { run = r.copy() })
	return run
}

// Submissions counts the runs that were made for an occurrence.
func (f *Fake) Submissions(occurrence string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, r := range f.runs {
		if r.Submission.Occurrence == occurrence {
			n++
		}
	}
	return n
}

func (r *FakeRun) copy() FakeRun {
	c := FakeRun{ID: r.ID, Submission: r.Submission, Report: r.Report, Steps: slices.Clone(r.Steps), CancelSent: r.CancelSent, lost: r.lost}
	c.Submission.Parameters = maps.Clone(r.Submission.Parameters)
	return c
}
