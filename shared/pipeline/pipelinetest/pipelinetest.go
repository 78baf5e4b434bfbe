// Package pipelinetest holds every pipeline.Target to its contract: the one suite that the fake and the real ones
// pass.
package pipelinetest

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

// Env is a target that honours names, fresh for one test, and what the suite may count on there.
type Env struct {
	Target pipeline.Target
	Kind   string // of the pipelines below

	Succeeds string // the id of a pipeline with the parameter who, default world, whose runs complete
	Fails    string // the id of one whose runs fail
	Waits    string // the id of one whose runs go on until they are cancelled

	// Made tells how often work was begun for the submission of that name.
	Made func(name string) int
	// Advance moves every run of a target that does not move by itself one step on; nil for others.
	Advance func()
}

// patience is how long a run may take to get where it is awaited.
const patience = time.Minute

// Run holds the target of each Env to the contract.
func Run(t *testing.T, newEnv func(t *testing.T) Env) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Env)
	}{
		{"get", testGet},
		{"list in pages", testList},
		{"a run that completes", testCompletes},
		{"a run that fails", testFails},
		{"cancel", testCancel},
		{"runs that are not there", testUnknownRun},
		{"refused", testRefused},
		{"one name, one run", testRepeated},
		{"one name at once", testConcurrent},
		{"a call that is over", testContext},
		{"output", testOutput},
		{"steps", testSteps},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, newEnv(t)) })
	}
}

func (e Env) submission(name, id string) pipeline.Submission {
	return pipeline.Submission{
		Name: name, Pipeline: schedule.PipelineRef{Kind: e.Kind, ID: id}, Experiment: "suite",
		Schedule: "nightly", Occurrence: "occurrence-of-" + name,
	}
}

func (e Env) submit(t *testing.T, name, id string) string {
	t.Helper()
	runID, err := e.Target.Submit(t.Context(), e.submission(name, id))
	if err != nil {
		t.Fatalf("Submit %s: %v", name, err)
	}
	if runID == "" {
		t.Fatalf("Submit %s returned no id", name)
	}
	return runID
}

// await asks for the run's status until ok holds.
func (e Env) await(t *testing.T, runID string, ok func(pipeline.Report) bool) pipeline.Report {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		report, err := e.Target.Status(t.Context(), e.Kind, runID)
		if err != nil {
			t.Fatalf("Status %s: %v", runID, err)
		}
		if ok(report) {
			return report
		}
		if report.Status.Final() || time.Now().After(deadline) {
			t.Fatalf("run %s is %s (%s), and nothing more is to come", runID, report.Status, report.Error)
		}
		if e.Advance != nil {
			e.Advance()
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func is(status schedule.Status) func(pipeline.Report) bool {
	return func(r pipeline.Report) bool { return r.Status == status }
}

func testGet(t *testing.T, e Env) {
	for _, id := range []string{e.Succeeds, e.Fails, e.Waits} {
		ref := schedule.PipelineRef{Kind: e.Kind, ID: id}
		p, err := e.Target.Get(t.Context(), ref)
		if err != nil {
			t.Fatalf("Get %s: %v", ref, err)
		}
		if p.Ref != ref || p.Name == "" || p.Problem != "" {
			t.Errorf("Get %s returned %+v", ref, p)
		}
	}
	p, _ := e.Target.Get(t.Context(), schedule.PipelineRef{Kind: e.Kind, ID: e.Succeeds})
	if p.Parameters["who"] != "world" {
		t.Errorf("parameters are %v, want who=world among them", p.Parameters)
	}
	for _, ref := range []schedule.PipelineRef{
		{Kind: e.Kind, ID: "no-such-pipeline"}, {Kind: "no_such_kind", ID: e.Succeeds}, {Kind: e.Kind}, {Kind: e.Kind, ID: "../" + e.Succeeds},
	} {
		if _, err := e.Target.Get(t.Context(), ref); !errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("Get %s: got error %v, want one that wraps ErrNotFound", ref, err)
		}
	}
}

func testList(t *testing.T, e Env) {
	all, next, err := e.Target.List(t.Context(), "", 1000)
	if err != nil || next != "" {
		t.Fatal(next, err)
	}
	ids := idsOf(all)
	if !slices.IsSorted(ids) {
		t.Errorf("ids are not in order: %v", ids)
	}
	for _, id := range []string{e.Succeeds, e.Fails, e.Waits} {
		if !slices.Contains(ids, id) {
			t.Errorf("%s is missing among %v", id, ids)
		}
	}
	for size := 1; size <= len(ids)+1; size++ {
		var paged []string
		for after, first := "", true; first || after != ""; first = false {
			page, next, err := e.Target.List(t.Context(), after, size)
			if err != nil || len(page) > size || next != "" && next <= after {
				t.Fatalf("%d pipelines after %q, and it goes on after %q: %v", len(page), after, next, err)
			}
			paged, after = append(paged, idsOf(page)...), next
		}
		if !slices.Equal(paged, ids) {
			t.Errorf("pages of %d: got %v, want %v", size, paged, ids)
		}
	}
}

func idsOf(pipelines []pipeline.Pipeline) (ids []string) {
	for _, p := range pipelines {
		ids = append(ids, p.Ref.ID)
	}
	return ids
}

func testCompletes(t *testing.T, e Env) {
	begun := time.Now().Add(-time.Second)
	report := e.await(t, e.submit(t, "completes", e.Succeeds), is(schedule.Completed))
	if report.Started.Before(begun) || report.Ended.Before(report.Started) || report.Ended.After(time.Now().Add(time.Second)) {
		t.Errorf("started %v, ended %v", report.Started, report.Ended)
	}
	if report.Error != "" {
		t.Errorf("a completed run has the error %q", report.Error)
	}
	if n := e.Made("completes"); n != 1 {
		t.Errorf("work was begun %d times", n)
	}
}

func testFails(t *testing.T, e Env) {
	report := e.await(t, e.submit(t, "fails", e.Fails), is(schedule.Failed))
	if report.Error == "" || report.Ended.IsZero() {
		t.Errorf("a failed run ended %v with the error %q", report.Ended, report.Error)
	}
}

func testCancel(t *testing.T, e Env) {
	runID := e.submit(t, "waits", e.Waits)
	e.await(t, runID, is(schedule.Running))
	for range 2 {
		if err := e.Target.Cancel(t.Context(), e.Kind, runID); err != nil {
			t.Fatal(err)
		}
	}
	report := e.await(t, runID, is(schedule.Canceled))
	if report.Ended.IsZero() {
		t.Error("a cancelled run has no end")
	}
	if err := e.Target.Cancel(t.Context(), e.Kind, runID); err != nil {
		t.Errorf("cancelling a run that has ended: %v", err)
	}
	done := e.submit(t, "done", e.Succeeds)
	e.await(t, done, is(schedule.Completed))
	if err := e.Target.Cancel(t.Context(), e.Kind, done); err != nil {
		t.Errorf("cancelling a completed run: %v", err)
	}
	e.await(t, done, is(schedule.Completed))
}

func testUnknownRun(t *testing.T, e Env) {
	known := e.submit(t, "known", e.Succeeds)
	for _, c := range []struct{ kind, runID string }{
		{e.Kind, "no-such-run"}, {e.Kind, ""}, {e.Kind, "../known"}, {"no_such_kind", known},
	} {
		if _, err := e.Target.Status(t.Context(), c.kind, c.runID); !errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("Status(%s, %q): got error %v, want one that wraps ErrNotFound", c.kind, c.runID, err)
		}
		if err := e.Target.Cancel(t.Context(), c.kind, c.runID); !errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("Cancel(%s, %q): got error %v, want one that wraps ErrNotFound", c.kind, c.runID, err)
		}
	}
}

func testRefused(t *testing.T, e Env) {
	for name, change := range map[string]func(*pipeline.Submission){
		"no-pipeline":  func(s *pipeline.Submission) { s.Pipeline.ID = "no-such-pipeline" },
		"no-kind":      func(s *pipeline.Submission) { s.Pipeline.Kind = "no_such_kind" },
		"no-parameter": func(s *pipeline.Submission) { s.Parameters = map[string]string{"no_such_parameter": "1"} },
	} {
		s := e.submission(name, e.Succeeds)
		change(&s)
		_, err := e.Target.Submit(t.Context(), s)
		if err == nil || pipeline.OutcomeOf(err) != pipeline.Refused {
			t.Errorf("%s: got %v, want it refused", name, err)
		}
		if n := e.Made(name); n != 0 {
			t.Errorf("%s: work was begun %d times", name, n)
		}
		// A refusal leaves the name free.
		e.await(t, e.submit(t, name, e.Succeeds), is(schedule.Completed))
		if n := e.Made(name); n != 1 {
			t.Errorf("%s: afterwards, work was begun %d times", name, n)
		}
	}
}

func testRepeated(t *testing.T, e Env) {
	first := e.submit(t, "first", e.Succeeds)
	if again := e.submit(t, "first", e.Succeeds); again != first {
		t.Errorf("a repeated Submit returned %s, the first was %s", again, first)
	}
	if other := e.submit(t, "other", e.Succeeds); other == first {
		t.Errorf("two names have one run, %s", other)
	}
	ended := e.await(t, first, is(schedule.Completed))
	if again := e.submit(t, "first", e.Fails); again != first {
		t.Errorf("a Submit after the end returned %s, the first was %s", again, first)
	}
	report := e.await(t, first, is(schedule.Completed))
	if !report.Ended.Equal(ended.Ended) || e.Made("first") != 1 {
		t.Errorf("ended %v, then %v; work was begun %d times", ended.Ended, report.Ended, e.Made("first"))
	}
}

func testConcurrent(t *testing.T, e Env) {
	var ids [16]string
	var wait sync.WaitGroup
	for i := range ids {
		wait.Go(func() {
			id, err := e.Target.Submit(t.Context(), e.submission("same", e.Succeeds))
			if err != nil {
				t.Error(err)
			}
			ids[i] = id
		})
	}
	wait.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("one name has the runs %s and %s", ids[0], id)
		}
	}
	e.await(t, ids[0], is(schedule.Completed))
	if n := e.Made("same"); n != 1 {
		t.Errorf("work was begun %d times", n)
	}
}

func testContext(t *testing.T, e Env) {
	runID := e.submit(t, "known", e.Succeeds)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ref := schedule.PipelineRef{Kind: e.Kind, ID: e.Succeeds}
	calls := map[string]func() error{
		"Submit": func() error { _, err := e.Target.Submit(ctx, e.submission("late", e.Succeeds)); return err },
		"Status": func() error { _, err := e.Target.Status(ctx, e.Kind, runID); return err },
		"Cancel": func() error { return e.Target.Cancel(ctx, e.Kind, runID) },
		"List":   func() error { _, _, err := e.Target.List(ctx, "", 10); return err },
		"Get":    func() error { _, err := e.Target.Get(ctx, ref); return err },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s after its context was cancelled: got error %v", name, err)
		}
	}
}

func testOutput(t *testing.T, e Env) {
	outputs, ok := e.Target.(pipeline.Outputs)
	if !ok {
		t.Skip("the target keeps no output")
	}
	s := e.submission("speaks", e.Succeeds)
	s.Parameters = map[string]string{"who": "listener"}
	runID, err := e.Target.Submit(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readOutput(t, outputs, e.Kind, runID); err != nil {
		t.Errorf("output of a run that may not have begun: %v", err)
	}
	e.await(t, runID, is(schedule.Completed))
	for range 2 {
		if text, err := readOutput(t, outputs, e.Kind, runID); err != nil || text == "" {
			t.Errorf("output is %q, %v", text, err)
		}
	}
	for _, id := range []string{"no-such-run", "", "../" + runID} {
		if _, err := readOutput(t, outputs, e.Kind, id); !errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("output of run %q: got error %v, want one that wraps ErrNotFound", id, err)
		}
	}
}

func readOutput(t *testing.T, outputs pipeline.Outputs, kind, runID string) (string, error) {
	r, err := outputs.Output(t.Context(), kind, runID)
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	return string(text), err
}

func testSteps(t *testing.T, e Env) {
	stepped, ok := e.Target.(pipeline.Stepped)
	if !ok {
		t.Skip("the target tells of no steps")
	}
	runID := e.submit(t, "walks", e.Succeeds)
	if _, _, err := stepped.Steps(t.Context(), e.Kind, runID); err != nil {
		t.Errorf("steps of a run that may not have begun: %v", err)
	}
	e.await(t, runID, is(schedule.Completed))
	steps, _, err := stepped.Steps(t.Context(), e.Kind, runID)
	if err != nil {
		t.Error(err)
	}
	for _, s := range steps {
		if s.Status != schedule.Completed {
			t.Errorf("step %s is %s", s.Name, s.Status)
		}
	}
	for _, c := range []struct{ kind, runID string }{{e.Kind, "no-such-run"}, {e.Kind, ""}, {e.Kind, "../walks"}, {"no_such_kind", runID}} {
		if _, _, err := stepped.Steps(t.Context(), c.kind, c.runID); !errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("Steps(%s, %q): got error %v, want one that wraps ErrNotFound", c.kind, c.runID, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := stepped.Steps(ctx, e.Kind, runID); !errors.Is(err, context.Canceled) {
		t.Errorf("Steps after its context was cancelled: got error %v", err)
	}
}
