package azureml_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/pipeline/azureml"
	"carillon/shared/pipeline/azureml/azuremltest"
	"carillon/shared/schedule"
)

// begin makes a run.
func (f far) begin(t *testing.T) string {
	t.Helper()
	id, err := f.targets[azureml.Published].Submit(t.Context(), submission("a"))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (f far) status(t *testing.T, runID string) pipeline.Report {
	t.Helper()
	report, err := f.targets[azureml.Published].Status(t.Context(), azureml.Published, runID)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestStatusOfARun(t *testing.T) {
	f := newFar(t)
	at := time.Date(2026, 3, 29, 1, 30, 0, 0, time.UTC)
	f.Now = func() time.Time { return at.In(time.FixedZone("", 3600)) }
	id := f.begin(t)
	if r := f.status(t, id); r.Status != schedule.Queued || !r.Started.IsZero() || !r.Ended.IsZero() || r.Error != "" {
		t.Errorf("at first: %+v", r)
	}
	link := "https://ml.azure.com/runs/" + id + "?wsid=/subscriptions/11111111-2222-3333-4444-555555555555/resourcegroups/bells/workspaces/tower"
	if r := f.status(t, id); r.Link != link {
		t.Errorf("the link is %s, want %s", r.Link, link)
	}
	f.Move(id, "Running", "")
	at = at.Add(time.Minute)
	f.Move(id, "Failed", "no disk\n\tat all")
	r := f.status(t, id)
	if r.Status != schedule.Failed || !r.Started.Equal(at.Add(-time.Minute)) || !r.Ended.Equal(at) || r.Error != "no disk at all" {
		t.Errorf("at last: %+v", r)
	}
	f.Forget(id)
	if _, err := f.targets[azureml.Published].Status(t.Context(), azureml.Published, id); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("a run that is gone: %v", err)
	}
}

func TestAFailureWithoutReason(t *testing.T) {
	f := newFar(t)
	id := f.begin(t)
	f.Move(id, "Failed", "")
	if r := f.status(t, id); r.Status != schedule.Failed || !strings.Contains(r.Error, "no reason") {
		t.Errorf("%+v", r)
	}
}

// A word that nobody here knows ends no run, and is shown.
func TestAnUnknownStatus(t *testing.T) {
	f := newFar(t)
	id := f.begin(t)
	f.Move(id, "Hibernating", "")
	if r := f.status(t, id); r.Status != schedule.Running || !strings.Contains(r.Error, `"Hibernating"`) {
		t.Errorf("%+v", r)
	}
}

// A run that the history does not know yet is not lost: the pipeline service answers for it.
func TestHistoryThatLags(t *testing.T) {
	for _, c := range []struct {
		word    string
		numbers bool
		want    schedule.Status
	}{
		{"NotStarted", false, schedule.Queued},
		{"Running", false, schedule.Running},
		{"Completed", false, schedule.Completed},
		{"Failed", false, schedule.Failed},
		{"Canceled", false, schedule.Canceled},
		{"NotStarted", true, schedule.Queued},
		{"Running", true, schedule.Running},
		{"Canceled", true, schedule.Canceled},
		{"Completed", true, schedule.Running}, // 3, of which nobody can be sure
		{"Failed", true, schedule.Running},    // 2 likewise
	} {
		f := newFar(t)
		id := f.begin(t)
		f.Behave(azuremltest.Manners{HistoryLags: true, NumericEnums: c.numbers})
		f.Move(id, c.word, map[bool]string{true: "no disk"}[c.word == "Failed"])
		r := f.status(t, id)
		if r.Status != c.want || r.Status.Final() == r.Ended.IsZero() || r.Link == "" {
			t.Errorf("%s, numbers %t: got %+v, want %s", c.word, c.numbers, r, c.want)
		}
		if c.want == schedule.Failed && r.Error != "no disk" {
			t.Errorf("its error is %q", r.Error)
		}
	}
}

func TestStatusThatCannotBeHad(t *testing.T) {
	f := newFar(t)
	id := f.begin(t)
	for _, fault := range []azuremltest.Fault{{Status: 500}, {Status: 429}, {Status: 403}, {Status: 200, Drop: true}, {Status: 200, Body: "[]"}} {
		f.Fail(azuremltest.GetDetails, fault)
		if _, err := f.targets[azureml.Published].Status(t.Context(), azureml.Published, id); err == nil || errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("%+v: %v", fault, err)
		}
	}
	for kind, op := range map[string]azuremltest.Op{azureml.Published: azuremltest.GetDetails, azureml.BatchEndpoint: azuremltest.GetJob} {
		f.Fail(op, azuremltest.Fault{Status: 429, RetryAfter: "120"})
		_, err := f.targets[kind].Status(t.Context(), kind, id)
		var failure *pipeline.Error
		if !errors.As(err, &failure) || failure.RetryAfter != 2*time.Minute || !strings.Contains(err.Error(), "429") {
			t.Errorf("%s, asked to come later: %v", kind, err)
		}
	}
	f.Behave(azuremltest.Manners{HistoryLags: true})
	f.Fail(azuremltest.GetRun, azuremltest.Fault{Status: 500})
	if _, err := f.targets[azureml.Published].Status(t.Context(), azureml.Published, id); err == nil || errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("neither service knows for now: %v", err)
	}
}

func TestCancelARun(t *testing.T) {
	f := newFar(t)
	id := f.begin(t)
	cancel := func() error { return f.targets[azureml.Published].Cancel(t.Context(), azureml.Published, id) }
	for _, fault := range []azuremltest.Fault{{Status: 400}, {Status: 404}, {Status: 409}, {Status: 403}, {Status: 429}, {Status: 500}, {Drop: true}} {
		f.Fail(azuremltest.Cancel, fault)
		if err := cancel(); err == nil || errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("%+v while it goes on: %v", fault, err)
		}
	}
	if err := cancel(); err != nil || f.Runs()[0].Status != "CancelRequested" {
		t.Errorf("%v; the run is %s", err, f.Runs()[0].Status)
	}
	if r := f.status(t, id); r.Status != schedule.Running {
		t.Errorf("it is %s", r.Status)
	}
	f.Move(id, "Canceled", "")
	for _, fault := range []azuremltest.Fault{{}, {Status: 400}, {Status: 404}, {Status: 409}, {Status: 412}} {
		f.Fail(azuremltest.Cancel, fault)
		if err := cancel(); err != nil {
			t.Errorf("%+v once it has ended: %v", fault, err)
		}
	}
	f.Forget(id)
	if err := cancel(); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("once it is gone: %v", err)
	}
}

func TestListTellsWhatIsDisabled(t *testing.T) {
	for _, numbers := range []bool{false, true} {
		f := newFar(t)
		f.Behave(azuremltest.Manners{NumericEnums: numbers})
		f.Put(
			azuremltest.Pipeline{ID: fails, Name: "old", Description: "of old", Status: "Disabled"},
			azuremltest.Pipeline{ID: waits, Status: "Deprecated"},
		)
		got, _, err := f.targets[azureml.Published].List(t.Context(), "", 10)
		if err != nil || len(got) != 3 {
			t.Fatalf("%v, %v", got, err)
		}
		old, deprecated := got[1], got[2]
		if old.Ref.ID != fails || old.Problem == "" || !old.Disabled || deprecated.Disabled || old.Description != "of old" || old.Name != "old" {
			t.Errorf("numbers %t: %+v", numbers, old)
		}
		if deprecated.Problem != "" || deprecated.Name != waits || deprecated.Parameters != nil {
			t.Errorf("numbers %t: %+v", numbers, deprecated)
		}
	}
}

func TestListsThatAreNotWhole(t *testing.T) {
	f := newFar(t)
	for _, fault := range []azuremltest.Fault{
		{Status: 200, Body: `{"value":[]}`}, {Status: 200, Body: `[{"Id":"a"},`}, {Status: 200, Body: `[{"Id":"a"}`}, {Status: 200, Body: `[1]`},
		{Status: 200, Drop: true}, {Status: 500},
	} {
		f.Fail(azuremltest.ListPipelines, fault)
		if got, _, err := f.targets[azureml.Published].List(t.Context(), "", 10); err == nil || got != nil {
			t.Errorf("%+v: %v", fault, got)
		}
		f.Fail(azuremltest.ListEndpoints, fault)
		ref := schedule.PipelineRef{Kind: azureml.PipelineEndpoint, ID: waitsEP}
		if _, err := f.targets[azureml.PipelineEndpoint].Get(t.Context(), ref); err == nil || errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("%+v: %v", fault, err)
		}
	}
	f.Fail(azuremltest.ListPipelines, azuremltest.Fault{Status: 200, Body: `[{"Id":""},{"Id":"../x"},{"Id":"a","Parameters":[1]},{}]`})
	got, _, err := f.targets[azureml.Published].List(t.Context(), "", 10)
	if err != nil || len(got) != 1 || got[0].Ref.ID != "a" || got[0].Parameters != nil {
		t.Errorf("entities of another form: %+v, %v", got, err)
	}
}

func TestGetAnEndpoint(t *testing.T) {
	f := newFar(t)
	get := func(id string) (pipeline.Pipeline, error) {
		return f.targets[azureml.PipelineEndpoint].Get(t.Context(), schedule.PipelineRef{Kind: azureml.PipelineEndpoint, ID: id})
	}
	p, err := get(strings.ToUpper(waitsEP))
	if err != nil || p.Ref.ID != strings.ToUpper(waitsEP) || p.Parameters["who"] != "world" {
		t.Errorf("%+v, %v", p, err)
	}
	f.Fail(azuremltest.GetPipeline, azuremltest.Fault{Status: 403})
	if p, err := get(waitsEP); err != nil || p.Parameters != nil {
		t.Errorf("behind it is nothing to be seen: %+v, %v", p, err)
	}
	if _, err := get(waits); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("a pipeline is no endpoint: %v", err)
	}
}

func TestEachTargetListsItsKind(t *testing.T) {
	f := newFar(t)
	for kind, want := range map[string][]string{
		azureml.Published: {succeeds, fails, waits}, azureml.PipelineEndpoint: {succeedsEP, failsEP, waitsEP},
		azureml.BatchEndpoint: {"fail", "fail/blue", "train", "train/blue", "wait", "wait/blue"},
		azureml.PipelineJob:   {"component:fail:1", "component:train:1", "component:wait:1"},
	} {
		got, _, err := f.targets[kind].List(t.Context(), "", 100)
		var ids []string
		for _, p := range got {
			ids = append(ids, p.Ref.ID)
		}
		if err != nil || !slices.Equal(ids, want) {
			t.Errorf("%s: %v, %v", kind, ids, err)
		}
	}
	if kinds := pipeline.Kinds(f.targets); !slices.Equal(kinds, []string{"batch_endpoint", "pipeline_endpoint", "pipeline_job", "published"}) {
		t.Errorf("kinds: %v", kinds)
	}
}
