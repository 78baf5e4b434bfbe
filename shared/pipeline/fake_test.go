package pipeline_test

import (
	"errors"
	"testing"

	"carillon/shared/pipeline"
	"carillon/shared/pipeline/pipelinetest"
	"carillon/shared/schedule"
)

func newFake() *pipeline.Fake {
	f := &pipeline.Fake{}
	for _, id := range []string{"succeeds", "fails", "waits"} {
		f.Put(pipeline.Pipeline{
			Ref: schedule.PipelineRef{Kind: "fake", ID: id}, Name: id, Parameters: map[string]string{"who": "world"},
		})
	}
	return f
}

// advance moves every run one step towards the end that its pipeline's id names.
func advance(f *pipeline.Fake) {
	for _, r := range f.Runs() {
		switch {
		case r.Report.Status == schedule.Queued:
			f.Start(r.ID)
		case r.Report.Status.Final():
		case r.CancelSent:
			f.Finish(r.ID, schedule.Canceled, "")
		case r.Submission.Pipeline.ID == "succeeds":
			f.Write(r.ID, "hello "+r.Submission.Parameters["who"]+"\n")
			f.Finish(r.ID, schedule.Completed, "")
		case r.Submission.Pipeline.ID == "fails":
			f.Finish(r.ID, schedule.Failed, "it was told to")
		}
	}
}

func TestFakeConforms(t *testing.T) {
	pipelinetest.Run(t, func(t *testing.T) pipelinetest.Env {
		f := newFake()
		return pipelinetest.Env{
			Target: f, Kind: "fake", Succeeds: "succeeds", Fails: "fails", Waits: "waits",
			Made:    func(name string) int { return f.Submissions("occurrence-of-" + name) },
			Advance: func() { advance(f) },
		}
	})
}

func submission(name string) pipeline.Submission {
	return pipeline.Submission{Name: name, Pipeline: schedule.PipelineRef{Kind: "fake", ID: "succeeds"}, Occurrence: name}
}

func TestFakeMovesOnlyWhenTold(t *testing.T) {
	f := newFake()
	id, err := f.Submit(t.Context(), submission("a"))
	if err != nil {
		t.Fatal(err)
	}
	want := func(status schedule.Status, errText string) {
		t.Helper()
		if r, err := f.Status(t.Context(), "fake", id); err != nil || r.Status != status || r.Error != errText {
			t.Errorf("got %+v, %v, want %s %q", r, err, status, errText)
		}
	}
	want(schedule.Queued, "")
	if err := f.Cancel(t.Context(), "fake", id); err != nil || !f.Runs()[0].CancelSent {
		t.Errorf("Cancel: %v, %+v", err, f.Runs()[0])
	}
	want(schedule.Queued, "")
	f.Start(id)
	want(schedule.Running, "")
	f.Finish(id, schedule.Failed, "no disk")
	want(schedule.Failed, "no disk")
	f.Lose(id)
	if _, err := f.Status(t.Context(), "fake", id); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("a lost run: %v", err)
	}
	if f.Submissions("a") != 1 {
		t.Error("a lost run is not counted")
	}
}

func TestFakeFaults(t *testing.T) {
	f := newFake()
	broken := errors.New("broken line")
	f.Before = func(s pipeline.Submission) error {
		if s.Name == "refused" {
			return pipeline.Refusef("not today")
		}
		return nil
	}
	f.After = func(pipeline.Submission, string) error { return broken }
	if _, err := f.Submit(t.Context(), submission("refused")); pipeline.OutcomeOf(err) != pipeline.Refused || f.Submissions("refused") != 0 {
		t.Errorf("Before: %v, %d runs", err, f.Submissions("refused"))
	}
	if _, err := f.Submit(t.Context(), submission("a")); !errors.Is(err, broken) || pipeline.OutcomeOf(err) != pipeline.Unknown || f.Submissions("a") != 1 {
		t.Errorf("After: %v, %d runs", err, f.Submissions("a"))
	}
	f.After = nil
	if id, err := f.Submit(t.Context(), submission("a")); err != nil || id != f.Runs()[0].ID || f.Submissions("a") != 1 {
		t.Errorf("the next try: %s, %v, %d runs", id, err, f.Submissions("a"))
	}
	f.BeforeStatus = func(string) error { return broken }
	if _, err := f.Status(t.Context(), "fake", "run-1"); !errors.Is(err, broken) {
		t.Errorf("BeforeStatus: %v", err)
	}
}

func TestAnonymousFakeMakesARunEachTime(t *testing.T) {
	f := newFake()
	f.Anonymous = true
	first, _ := f.Submit(t.Context(), submission("a"))
	second, _ := f.Submit(t.Context(), submission("a"))
	if first == second || f.Submissions("a") != 2 {
		t.Errorf("runs %s and %s, %d made", first, second, f.Submissions("a"))
	}
}

func TestFakePipelineWithProblemRefuses(t *testing.T) {
	f := newFake()
	ref := schedule.PipelineRef{Kind: "fake", ID: "succeeds"}
	f.Put(pipeline.Pipeline{Ref: ref, Problem: "line 3: no steps"})
	if _, err := f.Submit(t.Context(), submission("a")); pipeline.OutcomeOf(err) != pipeline.Refused {
		t.Errorf("got %v, want it refused", err)
	}
	f.Remove(ref)
	if _, err := f.Submit(t.Context(), submission("a")); pipeline.OutcomeOf(err) != pipeline.Refused || !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("got %v, want it refused as not found", err)
	}
}
