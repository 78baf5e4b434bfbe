// Package local runs pipelines on this machine: each is a YAML file of steps, each step a process in a group of its
// own. A submission of one name runs once at most, whatever is killed at whatever moment: every step leaves a mark
// before its command starts, and a run that was under way when Carillon ended is ended too, reported as
// Interrupted, and never run again.
//
// A pipeline's file, <id>.yaml, is read when it is asked for:
//
//	name: Train                          # optional, as is description
//	parameters: {who: world, day: null}  # with their defaults; null: a submission has to give it
//	steps:                               # run one after the other
//	- name: fit
//	  command: python3                   # in PATH, or a path
//	  args: [fit.py, '--for={{ .Parameters.who }}']
//	  env: {DAY: '{{ .Parameters.day }}'}
//	  timeout: 1h30m                     # none when absent
//	  working_dir: fitting               # below the folder of the pipelines, or absolute
//
// A step finds its run and the parameters in CARILLON_RUN, CARILLON_SCHEDULE, CARILLON_OCCURRENCE,
// CARILLON_EXPERIMENT and CARILLON_PARAM_WHO, and otherwise the environment of Carillon itself, but for what begins
// with CARILLON_. Its standard input is empty; its output and errors are kept in the order in which they came.
// What it leaves running in its process group ends with it.
//
// The program that uses this package calls RunChild first in main.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

// Kind is the kind of all pipelines here.
const Kind = schedule.Local

// What holds where a Config gives nothing.
const (
	DefaultAtOnce      = 4
	DefaultOutputLimit = 10 << 20
	DefaultGrace       = 5 * time.Second
)

// Config says where things are and how much may happen at once.
type Config struct {
	Pipelines   string        // the folder of <id>.yaml files; relative folders and commands of steps are below it
	Runs        string        // the folder that keeps requests, output and ends; one process at a time opens it
	Datastores  string        // the folder with a folder for each datastore; "" where there are none
	AtOnce      int           // how many runs are started at once; the others are Queued
	OutputLimit int64         // bytes of output that are kept of one step
	Grace       time.Duration // from asking processes to end (SIGTERM) to ending them (SIGKILL)
	Log         *slog.Logger  // nil for none

	// Ended is called once the end of a run is written, and again by an Open that cannot know; from any
	// goroutine, also before Open has returned. It must not call Close.
	Ended func(runID string)

	// Started is called when a run that has waited a second or more for its place starts; nil for nobody.
	Started func(runID string)
}

// Target is a pipeline.Target, pipeline.Outputs and pipeline.Stepped. A run's id is the name under which it was submitted.
type Target struct {
	config    Config
	pipelines catalog
	disk      folder
	lock      io.Closer
	work      sync.WaitGroup // every goroutine, and every Submit that writes
	hurry     chan struct{}  // closed when grace is over for all

	mu        sync.Mutex
	runs      map[string]*run          // those that have not ended
	admitting map[string]chan struct{} // names of Submits under way; closed when they are through
	waiting   []*run                   // in the order of submission
	running   int
	closing   bool
}

var (
	_ pipeline.Target  = (*Target)(nil)
	_ pipeline.Outputs = (*Target)(nil)
	_ pipeline.Stepped = (*Target)(nil)
)

// Open takes the folder of the runs over: it goes on with the queued ones, and begins to end those that were under
// way. It costs time in proportion to the runs that have not ended. Close gives the folder back.
func Open(c Config) (*Target, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	if err := c.complete(); err != nil {
		return nil, err
	}
	for _, dir := range []string{c.Pipelines, c.Runs} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("a folder of local pipelines cannot be made: %w", err)
		}
	}
	lock, err := lockFolder(c.Runs)
	if err != nil {
		return nil, err
	}
	t := &Target{
		config: c, pipelines: catalog{dir: c.Pipelines}, lock: lock, hurry: make(chan struct{}),
		runs: map[string]*run{}, admitting: map[string]chan struct{}{},
	}
	if t.disk, err = openFolder(c.Runs); err == nil {
		err = t.resume()
	}
	if err != nil {
		lock.Close()
		return nil, err
	}
	return t, nil
}

func (c *Config) complete() (err error) {
	if c.AtOnce < 1 {
		c.AtOnce = DefaultAtOnce
	}
	if c.OutputLimit <= 0 {
		c.OutputLimit = DefaultOutputLimit
	}
	if c.Grace <= 0 {
		c.Grace = DefaultGrace
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Pipelines == "" || c.Runs == "" {
		return errors.New("local pipelines need a folder of pipelines and a folder of runs")
	}
	if c.Pipelines, err = filepath.Abs(c.Pipelines); err == nil {
		c.Runs, err = filepath.Abs(c.Runs)
	}
	if err == nil && c.Datastores != "" {
		c.Datastores, err = filepath.Abs(c.Datastores)
	}
	return err
}

// withData is a submission whose data path stands among its parameters, as the path of a file or folder here.
func (c Config) withData(s pipeline.Submission) (pipeline.Submission, error) {
	if s.DataPath == nil {
		return s, nil
	}
	if c.Datastores == "" {
		return s, pipeline.Refusef("pipeline %s: no datastore is a folder here, so its path cannot be given to it", s.Pipeline)
	}
	parameters := map[string]string{
		s.DataPath.Parameter: filepath.Join(c.Datastores, s.DataPath.Datastore, filepath.FromSlash(s.DataPath.Path)),
	}
	maps.Copy(parameters, s.Parameters)
	s.Parameters = parameters
	return s, nil
}

// Submit makes a run durable and puts it last in the queue. Its steps are those that the file has now, with the
// parameters filled in.
func (t *Target) Submit(ctx context.Context, s pipeline.Submission) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", &pipeline.Error{Outcome: pipeline.NotDone, Err: err}
	}
	if !namePattern.MatchString(s.Name) {
		return "", pipeline.Refusef("%q cannot name a run: it takes 1 to 64 letters, digits, _ or -", s.Name)
	}
	s, err := t.config.withData(s)
	if err != nil {
		return "", err
	}
	known, err := t.reserve(ctx, s.Name)
	if err != nil {
		return "", err
	}
	if known {
		return s.Name, nil
	}
	r, err := t.admit(s)
	t.release(s.Name, r)
	if err != nil {
		return "", err
	}
	return s.Name, nil
}

// reserve waits until no other Submit of that name is under way, and reports whether there is a run that has not
// ended. When there is none the name is the caller's, who has to release it.
func (t *Target) reserve(ctx context.Context, name string) (known bool, err error) {
	for {
		t.mu.Lock()
		busy := t.admitting[name]
		known = t.runs[name] != nil
		switch {
		case known:
		case t.closing:
			err = &pipeline.Error{Outcome: pipeline.NotDone, Err: errClosing}
		case busy == nil:
			t.admitting[name] = make(chan struct{})
			t.work.Add(1)
		}
		t.mu.Unlock()
		if known || err != nil || busy == nil {
			return known, err
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return false, &pipeline.Error{Outcome: pipeline.NotDone, Err: ctx.Err()}
		}
	}
}

// release gives the name free, with the run that was made, if any.
func (t *Target) release(name string, made *run) {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.admitting[name])
	delete(t.admitting, name)
	if made != nil {
		t.runs[name] = made
		t.waiting = append(t.waiting, made)
		t.startWaiting()
	}
	t.work.Done()
}

// admit makes the run durable. It returns none when the run has ended long ago.
func (t *Target) admit(s pipeline.Submission) (*run, error) {
	if _, err := t.disk.readEnd(s.Name); !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if s.Pipeline.Kind != Kind {
		return nil, pipeline.Refusef("pipeline %s: the only kind here is %s", s.Pipeline, Kind)
	}
	it, err := t.pipelines.find(s.Pipeline.ID)
	switch {
	case errors.Is(err, pipeline.ErrNotFound):
		return nil, pipeline.Refusef("pipeline %s: %w; there is no file %s.yaml in %s", s.Pipeline, err, s.Pipeline.ID, t.config.Pipelines)
	case err != nil:
		return nil, &pipeline.Error{Outcome: pipeline.NotDone, Err: err}
	case it.problem != "":
		return nil, pipeline.Refusef("pipeline %s cannot run: %s", s.Pipeline, it.problem)
	}
	steps, err := it.def.fillIn(s, t.config.Pipelines)
	if err != nil {
		return nil, pipeline.Refusef("pipeline %s cannot run: %w", s.Pipeline, err)
	}
	req := request{
		Name: s.Name, Submitted: time.Now().UTC(), Pipeline: s.Pipeline.ID, Experiment: s.Experiment,
		Schedule: s.Schedule, Occurrence: s.Occurrence, Parameters: s.Parameters,
		Continue: s.GoesOn(), Steps: steps,
	}
	if err := t.disk.keepRequest(req); err != nil {
		err = fmt.Errorf("run %s cannot be kept: %w", s.Name, err)
		if gone := t.disk.discard(s.Name); gone != nil {
			return nil, errors.Join(err, gone)
		}
		return nil, &pipeline.Error{Outcome: pipeline.NotDone, Err: err}
	}
	return newRun(req), nil
}

func unknownRun(runID string) error { return fmt.Errorf("run %s: %w", runID, pipeline.ErrNotFound) }

func (t *Target) Status(ctx context.Context, kind, runID string) (pipeline.Report, error) {
	if err := ctx.Err(); err != nil {
		return pipeline.Report{}, err
	}
	of, err := t.report(kind, runID)
	return of.Report, err
}

// Steps returns all steps of a run, in their order.
func (t *Target) Steps(ctx context.Context, kind, runID string) ([]pipeline.Step, bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	of, err := t.report(kind, runID)
	return of.Steps, false, err
}

func (t *Target) report(kind, runID string) (account, error) {
	if kind != Kind || !namePattern.MatchString(runID) {
		return account{}, unknownRun(runID)
	}
	t.mu.Lock()
	r := t.runs[runID]
	if r != nil {
		defer t.mu.Unlock()
		report := r.report
		report.Steps = slices.Clone(report.Steps)
		return report, nil
	}
	t.mu.Unlock()
	e, err := t.disk.readEnd(runID)
	if errors.Is(err, fs.ErrNotExist) {
		err = unknownRun(runID)
	}
	return account{pipeline.Report{Status: e.Status, Started: e.Started, Ended: e.Ended, Error: e.Error}, e.Steps}, err
}

// Cancel ends a queued run at once. A running one is asked to end, and killed after Config.Grace.
func (t *Target) Cancel(ctx context.Context, kind, runID string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := t.report(kind, runID); err != nil {
		return err
	}
	withdrawn, err := t.withdraw(runID)
	if withdrawn != nil {
		defer t.work.Done()
		t.finish(withdrawn, schedule.Canceled, "")
	}
	return err
}

// withdraw takes a run out of the queue; the caller owes it an end, and t.work a Done. One that is under way is
// asked to end.
func (t *Target) withdraw(runID string) (*run, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.runs[runID]
	if r != nil && r.cancel != nil {
		r.cancel(errCanceled)
	}
	i := slices.Index(t.waiting, r)
	if i < 0 {
		return nil, nil
	}
	if t.closing {
		return nil, errClosing
	}
	t.waiting = slices.Delete(t.waiting, i, i+1)
	t.work.Add(1)
	return r, nil
}

func (t *Target) List(ctx context.Context, after string, max int) (page []pipeline.Pipeline, next string, err error) {
	ids, err := t.pipelines.ids()
	if err != nil {
		return nil, "", err
	}
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return nil, "", err
		}
		if id <= after {
			continue
		}
		if len(page) == max {
			return page, page[max-1].Ref.ID, nil
		}
		it, err := t.pipelines.find(id)
		if errors.Is(err, pipeline.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		page = append(page, it.pipeline())
	}
	return page, "", nil
}

func (t *Target) Get(ctx context.Context, ref schedule.PipelineRef) (pipeline.Pipeline, error) {
	if err := ctx.Err(); err != nil {
		return pipeline.Pipeline{}, err
	}
	if ref.Kind != Kind {
		return pipeline.Pipeline{}, fmt.Errorf("pipeline %s: %w", ref, pipeline.ErrNotFound)
	}
	it, err := t.pipelines.find(ref.ID)
	if err != nil {
		return pipeline.Pipeline{}, fmt.Errorf("pipeline %s: %w", ref, err)
	}
	return it.pipeline(), nil
}

// Output reads what the steps have written so far, as they wrote it. With several steps, a line with the step's
// name stands before each one's.
func (t *Target) Output(ctx context.Context, kind, runID string) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	report, err := t.report(kind, runID)
	if err != nil {
		return nil, err
	}
	return openSections(report.Steps, func(i int) string { return t.disk.stepFile(runID, i, "out") })
}

// Close ends the runs that are under way, which become Interrupted; the queued ones go on with the next Open. When
// ctx is done before the grace is over they are killed. It returns when all is written and every goroutine is gone;
// its error says that some processes could not be ended. Reading goes on to work, Submit does not. Only the first
// call does anything.
func (t *Target) Close(ctx context.Context) error {
	t.mu.Lock()
	first := !t.closing
	t.closing = true
	for _, r := range t.runs {
		if r.cancel != nil {
			r.cancel(errClosing)
		}
	}
	t.mu.Unlock()
	if !first {
		return nil
	}
	done := make(chan struct{})
	go func() { t.work.Wait(); close(done) }()
	select {
	case <-done:
		return t.lock.Close()
	case <-ctx.Done():
	}
	close(t.hurry)
	select {
	case <-done:
		return t.lock.Close()
	case <-time.After(DefaultGrace):
		return errors.New("some processes of local runs could not be ended; the next start tries again")
	}
}
