package azureml_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/pipeline/azureml"
	"carillon/shared/pipeline/azureml/azuremltest"
	"carillon/shared/schedule"
)

func (f far) look(t *testing.T, kind, runID string) pipeline.Report {
	t.Helper()
	report, err := f.targets[kind].Status(t.Context(), kind, runID)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestStatusOfAJob(t *testing.T) {
	for kind, pipelineID := range map[string]string{azureml.BatchEndpoint: "train", azureml.PipelineJob: "component:train:1", azureml.Published: succeeds} {
		f := newFar(t)
		at := time.Date(2026, 3, 29, 1, 30, 0, 0, time.UTC)
		f.Now = func() time.Time { return at }
		id, _ := f.submit(t, of(kind, pipelineID, "a"))
		if r := f.look(t, kind, id); r.Status != schedule.Queued || !strings.HasPrefix(r.Link, "https://ml.azure.com/runs/"+id+"?wsid=") {
			t.Errorf("%s, at first: %+v", kind, r)
		}
		f.Move(id, "Running", "")
		if r := f.look(t, kind, id); r.Status != schedule.Running || !r.Started.Equal(at) || !r.Ended.IsZero() {
			t.Errorf("%s, while it runs: %+v", kind, r)
		}
		started := at
		at = at.Add(time.Minute)
		f.Move(id, "Failed", "a step\tfailed")
		want := pipeline.Report{Status: schedule.Failed, Started: started, Ended: at, Error: "a step failed", Link: f.look(t, kind, id).Link}
		if r := f.look(t, kind, id); r != want {
			t.Errorf("%s, at last: got %+v, want %+v", kind, r, want)
		}
		if n := f.Asked(azuremltest.ListSteps); n != 0 {
			t.Errorf("%s: a look asks for steps %d times", kind, n)
		}
		f.Forget(id)
		if _, err := f.targets[kind].Status(t.Context(), kind, id); !errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("%s, a run that is gone: %v", kind, err)
		}
	}
}

func (f far) steps(t *testing.T, kind, runID string) ([]pipeline.Step, bool) {
	t.Helper()
	steps, more, err := f.targets[kind].(pipeline.Stepped).Steps(t.Context(), kind, runID)
	if err != nil {
		t.Fatal(err)
	}
	return steps, more
}

// Steps come in pages, in the order in which they began, also while the run goes on.
func TestSteps(t *testing.T) {
	at := time.Date(2026, 3, 29, 1, 30, 0, 0, time.UTC)
	for kind, pipelineID := range map[string]string{azureml.BatchEndpoint: "train", azureml.PipelineJob: "component:train:1", azureml.Published: succeeds} {
		f := newFar(t)
		id, _ := f.submit(t, of(kind, pipelineID, "a"))
		if steps, more := f.steps(t, kind, id); len(steps) > 0 || more {
			t.Errorf("%s, at first: %+v, %t", kind, steps, more)
		}
		f.Move(id, "Running", "")
		f.Tell(id,
			azuremltest.Step{Name: "score", Status: "NotStarted"},
			azuremltest.Step{Name: "train", Status: "Failed", Error: "no\ndisk", Started: at.Add(time.Second), Ended: at.Add(time.Minute)},
			azuremltest.Step{Name: "prepare", Status: "Completed", Started: at, Ended: at.Add(time.Second)},
		)
		want := []pipeline.Step{
			{Name: "prepare", Status: schedule.Completed, Started: at, Ended: at.Add(time.Second)},
			{Name: "train", Status: schedule.Failed, Started: at.Add(time.Second), Ended: at.Add(time.Minute), Error: "no disk"},
			{Name: "score", Status: schedule.Queued},
		}
		if steps, more := f.steps(t, kind, id); !slices.Equal(steps, want) || more {
			t.Errorf("%s: got %+v, %t, want %+v", kind, steps, more, want)
		}
		for _, fault := range []azuremltest.Fault{{Status: 500}, {Status: 403}, {Status: 200, Body: "[]"}} {
			f.Fail(azuremltest.ListSteps, fault)
			if steps, _, err := f.targets[kind].(pipeline.Stepped).Steps(t.Context(), kind, id); err == nil || steps != nil || errors.Is(err, pipeline.ErrNotFound) {
				t.Errorf("%s, %+v: %v, %v", kind, fault, steps, err)
			}
		}
		f.Forget(id)
		if _, _, err := f.targets[kind].(pipeline.Stepped).Steps(t.Context(), kind, id); !errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("%s, of a run that is gone: %v", kind, err)
		}
	}
}

// Of a run of very many steps some are told, and that there are more. The questions for them are bounded, too.
func TestManySteps(t *testing.T) {
	for _, row := range []struct {
		steps, page, told int
		more              bool
	}{{100, 50, 100, false}, {101, 50, 100, true}, {101, 1000, 100, true}, {20, 2, 20, false}, {21, 2, 20, true}} {
		f := newFar(t)
		f.PageSize = row.page
		id, _ := f.submit(t, of(azureml.Published, succeeds, "a"))
		f.Tell(id, slices.Repeat([]azuremltest.Step{{Name: "score", Status: "Running"}}, row.steps)...)
		steps, more := f.steps(t, azureml.Published, id)
		if len(steps) != row.told || more != row.more || f.Asked(azuremltest.ListSteps) > 10 {
			t.Errorf("%+v: %d are told, more %t, by %d questions", row, len(steps), more, f.Asked(azuremltest.ListSteps))
		}
	}
}

// A run that the resource manager does not know yet is not lost: the history answers for it.
func TestAJobThatIsNotListedYet(t *testing.T) {
	f := newFar(t)
	id, _ := f.submit(t, of(azureml.BatchEndpoint, "train", "a"))
	gone := azuremltest.Fault{Status: 404}
	f.Fail(azuremltest.GetJob, gone)
	if r := f.look(t, azureml.BatchEndpoint, id); r.Status != schedule.Queued {
		t.Errorf("%+v", r)
	}
	for _, c := range []struct {
		history int
		lost    bool
	}{{500, false}, {429, false}, {401, true}, {403, true}, {404, true}} {
		f.Fail(azuremltest.GetJob, gone)
		f.Fail(azuremltest.GetDetails, azuremltest.Fault{Status: c.history})
		_, err := f.targets[azureml.BatchEndpoint].Status(t.Context(), azureml.BatchEndpoint, id)
		if err == nil || errors.Is(err, pipeline.ErrNotFound) != c.lost {
			t.Errorf("the history says %d: %v", c.history, err)
		}
	}
}

// A run that was accepted a moment ago may be known to nobody yet: the target says so, and later that it is there.
func TestARunThatNobodyKnowsYet(t *testing.T) {
	for kind, pipelineID := range map[string]string{azureml.BatchEndpoint: "train", azureml.PipelineJob: "component:train:1", azureml.Published: succeeds} {
		f := newFar(t)
		id, _ := f.submit(t, of(kind, pipelineID, "a"))
		f.Behave(azuremltest.Manners{HistoryLags: true, RunsLag: true})
		if r, err := f.targets[kind].Status(t.Context(), kind, id); !errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("%s: %+v, %v", kind, r, err)
		}
		f.Behave(azuremltest.Manners{})
		if r := f.look(t, kind, id); r.Status != schedule.Queued {
			t.Errorf("%s, a moment later: %+v", kind, r)
		}
	}
}

// The end of a job is told without its details where the history will not give them, and later where it may.
func TestAJobWithoutHistory(t *testing.T) {
	f := newFar(t)
	id, _ := f.submit(t, of(azureml.PipelineJob, "component:train:1", "a"))
	f.Move(id, "Running", "")
	for _, status := range []int{403, 404, 429, 500} {
		f.Fail(azuremltest.GetDetails, azuremltest.Fault{Status: status})
		if r := f.look(t, azureml.PipelineJob, id); r.Status != schedule.Running {
			t.Errorf("%d: %+v", status, r)
		}
	}
	f.Move(id, "Failed", "no disk")
	for _, status := range []int{401, 403, 404} {
		f.Fail(azuremltest.GetDetails, azuremltest.Fault{Status: status})
		if r := f.look(t, azureml.PipelineJob, id); r.Status != schedule.Failed || !r.Ended.IsZero() || !strings.Contains(r.Error, "no reason") {
			t.Errorf("%d: %+v", status, r)
		}
	}
	for _, fault := range []azuremltest.Fault{{Status: 429}, {Status: 500}, {Status: 200, Drop: true}} {
		f.Fail(azuremltest.GetDetails, fault)
		if r, err := f.targets[azureml.PipelineJob].Status(t.Context(), azureml.PipelineJob, id); err == nil || errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("%+v: %+v, %v", fault, r, err)
		}
	}
	for _, fault := range []azuremltest.Fault{{Status: 500}, {Status: 429}, {Status: 403}, {Status: 200, Drop: true}, {Status: 200, Body: "[]"}} {
		f.Fail(azuremltest.GetJob, fault)
		if _, err := f.targets[azureml.PipelineJob].Status(t.Context(), azureml.PipelineJob, id); err == nil || errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("%+v: %v", fault, err)
		}
	}
	config := f.config()
	config.BaseURL, config.ARMURL = "https://127.0.0.1:1", f.URL // nobody listens
	w, err := azureml.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := w.Targets()[azureml.PipelineJob].Status(t.Context(), azureml.PipelineJob, id); err != nil || r.Status != schedule.Failed {
		t.Errorf("no history to be reached: %+v, %v", r, err)
	}
}

// indoors is a way to the workspace over no network, on which the run history cannot be reached.
type indoors struct{ *azuremltest.Service }

func (i indoors) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.URL.Path, "/history/") {
		httptrace.ContextClientTrace(r.Context()).GetConn(r.URL.Host)
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	r = r.Clone(r.Context())
	if r.Host = r.URL.Host; r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	i.ServeHTTP(w, r)
	return w.Result(), nil
}

// The run history is behind a wall that swallows all that is sent to it: the end of a job is told in the time that a look has.
func TestAHistoryThatIsNeverReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := azuremltest.New()
		service.AddJob("old", "Completed", map[string]any{"jobType": "Pipeline"})
		w, err := azureml.Open(azureml.Config{
			Subscription: service.Subscription, ResourceGroup: service.ResourceGroup, Workspace: service.Workspace, BaseURL: "http://localhost",
			Credential: &azuremltest.Credential{}, Transport: indoors{service},
		})
		if err != nil {
			t.Fatal(err)
		}
		target := w.Targets()[azureml.PipelineJob]
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if r, err := target.Status(ctx, azureml.PipelineJob, "old"); err != nil || r.Status != schedule.Completed {
			t.Errorf("%+v, %v", r, err)
		}
		if r, err := target.Status(ctx, azureml.PipelineJob, "gone"); !errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("one that nobody knows: %+v, %v", r, err)
		}
		short, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		for _, id := range []string{"old", "gone"} { // nothing is said of the history in so short a time
			if r, err := target.Status(short, azureml.PipelineJob, id); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, pipeline.ErrNotFound) {
				t.Errorf("%s, in too short a time: %+v, %v", id, r, err)
			}
		}
	})
}

func TestCancelAJob(t *testing.T) {
	f := newFar(t)
	id, _ := f.submit(t, of(azureml.PipelineJob, "component:train:1", "a"))
	cancel := func() error { return f.targets[azureml.PipelineJob].Cancel(t.Context(), azureml.PipelineJob, id) }
	for _, fault := range []azuremltest.Fault{{Status: 400}, {Status: 404}, {Status: 409}, {Status: 403}, {Status: 429}, {Status: 500}, {Drop: true}} {
		f.Fail(azuremltest.CancelJob, fault)
		if err := cancel(); err == nil || errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("%+v while it goes on: %v", fault, err)
		}
	}
	if err := cancel(); err != nil || f.Runs()[0].Status != "CancelRequested" {
		t.Errorf("%v; the job is %s", err, f.Runs()[0].Status)
	}
	f.Move(id, "Canceled", "")
	if err := cancel(); err != nil {
		t.Errorf("once it has ended: %v", err)
	}
	f.Forget(id)
	if err := cancel(); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("once it is gone: %v", err)
	}
}
