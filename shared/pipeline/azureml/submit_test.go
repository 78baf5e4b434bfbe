package azureml_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/pipeline/azureml"
	"carillon/shared/pipeline/azureml/azuremltest"
	"carillon/shared/schedule"
)

func TestOutcomes(t *testing.T) {
	type fault = azuremltest.Fault
	for _, c := range []struct {
		name  string
		fault fault
		want  pipeline.Outcome
		after time.Duration
		made  int
		text  string
	}{
		{"bad request", fault{Status: 400}, pipeline.Refused, 0, 0, "400 Bad Request: OnDemand: it was told to fail (request double)"},
		{"no token", fault{Status: 401}, pipeline.NotDone, 0, 0, "its role in the workspace"},
		{"no role", fault{Status: 403}, pipeline.NotDone, 0, 0, "AzureML Data Scientist"},
		{"not there", fault{Status: 404}, pipeline.Refused, 0, 0, "not found"},
		{"not so", fault{Status: 405}, pipeline.Refused, 0, 0, ""},
		{"timeout of a gateway", fault{Status: 408}, pipeline.Repeat, 6 * time.Minute, 0, "carillon_occurrence = a"},
		{"conflict", fault{Status: 409}, pipeline.Repeat, 6 * time.Minute, 0, "it is not known"},
		{"conflict with its own run", fault{Status: 409, AfterWork: true}, pipeline.Repeat, 6 * time.Minute, 1, ""},
		{"gone", fault{Status: 410}, pipeline.Refused, 0, 0, ""},
		{"too large", fault{Status: 413}, pipeline.Refused, 0, 0, ""},
		{"not JSON", fault{Status: 415}, pipeline.Refused, 0, 0, ""},
		{"not valid", fault{Status: 422}, pipeline.Refused, 0, 0, ""},
		{"throttled", fault{Status: 429, RetryAfter: "7"}, pipeline.NotDone, 7 * time.Second, 0, "429 Too Many Requests"},
		{"throttled for no stated time", fault{Status: 429}, pipeline.Repeat, 6 * time.Minute, 0, ""},
		{"a strange refusal", fault{Status: 499}, pipeline.Repeat, 6 * time.Minute, 0, ""},
		{"broken before", fault{Status: 500}, pipeline.Repeat, 6 * time.Minute, 0, "it is not known"},
		{"broken after", fault{Status: 500, AfterWork: true}, pipeline.Repeat, 6 * time.Minute, 1, "experiment suite"},
		{"bad gateway", fault{Status: 502, AfterWork: true}, pipeline.Repeat, 6 * time.Minute, 1, ""},
		{"busy", fault{Status: 503, RetryAfter: "120"}, pipeline.Repeat, 6 * time.Minute, 0, ""},
		{"busy for long", fault{Status: 503, RetryAfter: "600"}, pipeline.Repeat, 10 * time.Minute, 0, ""},
		{"busy, after the work", fault{Status: 503, RetryAfter: "1", AfterWork: true}, pipeline.Repeat, 6 * time.Minute, 1, ""},
		{"busy for no stated time", fault{Status: 503}, pipeline.Repeat, 6 * time.Minute, 0, ""},
		{"gateway's timeout", fault{Status: 504, AfterWork: true}, pipeline.Repeat, 6 * time.Minute, 1, ""},
		{"an error page", fault{Status: 502, Body: "<html>"}, pipeline.Repeat, 6 * time.Minute, 0, "502 Bad Gateway; look"},
		{"connection lost before", fault{Drop: true}, pipeline.Repeat, 6 * time.Minute, 0, "gave no answer"},
		{"connection lost after", fault{Drop: true, AfterWork: true}, pipeline.Repeat, 6 * time.Minute, 1, "gave no answer"},
		{"answer cut", fault{Drop: true, Status: 200, AfterWork: true}, pipeline.Repeat, 6 * time.Minute, 1, "cannot be read"},
		{"answer without id", fault{Status: 200, Body: "{}", AfterWork: true}, pipeline.Repeat, 6 * time.Minute, 1, "without a usable id"},
		{"answer with a path as id", fault{Status: 200, Body: `{"Id":"../x"}`, AfterWork: true}, pipeline.Repeat, 6 * time.Minute, 1, "without a usable id"},
		{"answer of another sort", fault{Status: 200, Body: "thanks", AfterWork: true}, pipeline.Repeat, 6 * time.Minute, 1, "cannot be read"},
	} {
		check := func(t *testing.T, f far) {
			f.Fail(azuremltest.Submit, c.fault)
			id, err := f.targets[azureml.Published].Submit(t.Context(), submission("a"))
			e := wantOutcome(t, err, c.want)
			if id != "" || e.RetryAfter != c.after || !strings.Contains(e.Error(), c.text) {
				t.Errorf("got id %q, after %v, %v", id, e.RetryAfter, e)
			}
			if f.Submissions("a") != c.made || f.Asked(azuremltest.Submit) != 1 {
				t.Errorf("%d runs after %d requests", f.Submissions("a"), f.Asked(azuremltest.Submit))
			}
			if errors.Is(err, pipeline.ErrNotFound) != (c.fault.Status == 404) {
				t.Errorf("wraps ErrNotFound or not: %v", err)
			}
		}
		t.Run(c.name, func(t *testing.T) { check(t, newFar(t)) })
		t.Run(c.name+", HTTP/2", func(t *testing.T) { check(t, newFarOn(t, azuremltest.StartHTTP2(t))) })
	}
}

func TestRetryAfterAsADate(t *testing.T) {
	f := newFar(t)
	f.Fail(azuremltest.Submit, azuremltest.Fault{Status: 429, RetryAfter: time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)})
	_, err := f.targets[azureml.Published].Submit(t.Context(), submission("a"))
	if e := wantOutcome(t, err, pipeline.NotDone); e.RetryAfter < 58*time.Minute || e.RetryAfter > time.Hour {
		t.Errorf("after %v", e.RetryAfter)
	}
}

func TestASlowAnswerIsWaitedFor(t *testing.T) {
	f := newFar(t)
	arrived, answer := make(chan struct{}), make(chan struct{})
	f.Fail(azuremltest.Submit, azuremltest.Fault{AfterWork: true, Hold: func(context.Context) { close(arrived); <-answer }})
	go func() { <-arrived; close(answer) }()
	id, err := f.targets[azureml.Published].Submit(t.Context(), submission("a"))
	if err != nil || id != f.Runs()[0].ID {
		t.Errorf("%s, %v", id, err)
	}
}

func TestACallThatIsOver(t *testing.T) {
	for name, f := range map[string]far{"HTTP/1.1": newFar(t), "HTTP/2": newFarOn(t, azuremltest.StartHTTP2(t))} {
		target := f.targets[azureml.Published]
		ctx, cancel := context.WithCancel(t.Context())
		f.Fail(azuremltest.Submit, azuremltest.Fault{AfterWork: true, Hold: func(far context.Context) { cancel(); <-far.Done() }})
		_, err := target.Submit(ctx, submission("a"))
		if wantOutcome(t, err, pipeline.Repeat); !errors.Is(err, context.Canceled) || f.Submissions("a") != 1 {
			t.Errorf("%s, cancelled on the way: %v", name, err)
		}
		_, err = target.Submit(ctx, submission("b"))
		if wantOutcome(t, err, pipeline.NotDone); !errors.Is(err, context.Canceled) || f.Asked(azuremltest.Submit) != 1 {
			t.Errorf("%s, cancelled before: %v", name, err)
		}
	}
}

func TestWhatNeverReachesTheWorkspace(t *testing.T) {
	f := newFar(t)
	noToken := errors.New("the identity is not there")
	f.credential.Fail(noToken)
	_, err := f.targets[azureml.Published].Submit(t.Context(), submission("a"))
	if wantOutcome(t, err, pipeline.NotDone); !errors.Is(err, noToken) || !strings.Contains(err.Error(), "no token") {
		t.Errorf("no token: %v", err)
	}
	f.credential.Fail(nil)

	config := f.config()
	config.Transport = nil // the one of its own, which does not trust the server
	w, err := azureml.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Targets()[azureml.Published].Submit(t.Context(), submission("a"))
	wantOutcome(t, err, pipeline.NotDone)

	f.Close()
	_, err = f.targets[azureml.Published].Submit(t.Context(), submission("a"))
	if wantOutcome(t, err, pipeline.NotDone); !strings.Contains(err.Error(), "was not reached") {
		t.Errorf("nobody listens: %v", err)
	}
	if f.Asked(azuremltest.Submit) != 0 {
		t.Error("something reached it")
	}
}

// A claims challenge turns a request away before the work; the next one goes out with another token, if there is one.
func TestChallenge(t *testing.T) {
	f := newFar(t)
	challenge := azuremltest.Fault{
		Status:    401,
		Challenge: `Bearer error="insufficient_claims", claims="` + base64.StdEncoding.EncodeToString([]byte("{}")) + `"`,
	}
	f.Fail(azuremltest.Submit, challenge)
	if _, err := f.targets[azureml.Published].Submit(t.Context(), submission("a")); err != nil || f.Submissions("a") != 1 {
		t.Errorf("%d runs, %v", f.Submissions("a"), err)
	}
	challenge.Hold = func(context.Context) { f.credential.Fail(errors.New("no more tokens")) }
	f.Fail(azuremltest.Submit, challenge)
	_, err := f.targets[azureml.Published].Submit(t.Context(), submission("b"))
	wantOutcome(t, err, pipeline.NotDone)
}

func TestNoOtherHostIsCalled(t *testing.T) {
	var called atomic.Int32
	other := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Add(1) }))
	defer other.Close()
	f := newFar(t)
	for _, status := range []int{301, 302, 303, 307, 308} {
		f.Fail(azuremltest.Submit, azuremltest.Fault{Status: status, Location: other.URL})
		_, err := f.targets[azureml.Published].Submit(t.Context(), submission("a"))
		wantOutcome(t, err, pipeline.Repeat)
		f.Fail(azuremltest.ListPipelines, azuremltest.Fault{Status: status, Location: other.URL})
		if _, _, err := f.targets[azureml.Published].List(t.Context(), "", 10); err == nil {
			t.Errorf("%d: the list is taken", status)
		}
	}
	if called.Load() != 0 {
		t.Error("another host was called")
	}
}

// lost is what a try leaves behind whose answer was lost.
func lost(t *testing.T, manners azuremltest.Manners, fault azuremltest.Fault) far {
	t.Helper()
	f := newFar(t)
	if _, err := f.targets[azureml.Published].Submit(t.Context(), submission("another")); err != nil {
		t.Fatal(err)
	}
	f.Behave(manners)
	f.Fail(azuremltest.Submit, fault)
	_, err := f.targets[azureml.Published].Submit(t.Context(), submission("a"))
	wantOutcome(t, err, pipeline.Repeat)
	return f
}

// However an answer is lost, and whatever the workspace shows: one run that is found, or nobody knows; never two.
func TestALostAnswerThenAgain(t *testing.T) {
	done, dropped := azuremltest.Fault{Status: 504, AfterWork: true}, azuremltest.Fault{Drop: true, AfterWork: true}
	for _, c := range []struct {
		name    string
		manners azuremltest.Manners
		fault   azuremltest.Fault
		found   bool
	}{
		{"504", azuremltest.Manners{}, done, true},
		{"503 with a time to come back", azuremltest.Manners{}, azuremltest.Fault{Status: 503, RetryAfter: "1", AfterWork: true}, true},
		{"409", azuremltest.Manners{}, azuremltest.Fault{Status: 409, AfterWork: true}, true},
		{"connection lost", azuremltest.Manners{}, dropped, true},
		{"answer cut", azuremltest.Manners{}, azuremltest.Fault{Drop: true, Status: 200, AfterWork: true}, true},
		{"numbers", azuremltest.Manners{NumericEnums: true}, done, true},
		{"lists without tags", azuremltest.Manners{ListsWithoutTags: true}, dropped, true},
		{"late history", azuremltest.Manners{HistoryLags: true}, done, false},
		{"nothing was done", azuremltest.Manners{}, azuremltest.Fault{Drop: true}, false},
		{"503 and nothing was done", azuremltest.Manners{}, azuremltest.Fault{Status: 503, RetryAfter: "1"}, false},
		{"409 and nothing was done", azuremltest.Manners{}, azuremltest.Fault{Status: 409}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := lost(t, c.manners, c.fault)
			made := f.Submissions("a")
			for range 2 {
				id, err := f.targets[azureml.Published].Submit(t.Context(), again(submission("a")))
				switch {
				case c.found:
					if err != nil || id != f.Runs()[1].ID {
						t.Errorf("got %s, %v", id, err)
					}
				default:
					if e := wantOutcome(t, err, pipeline.Unknown); id != "" || !strings.Contains(e.Error(), "carillon_occurrence = a") {
						t.Errorf("got %s, %v", id, err)
					}
				}
			}
			if f.Submissions("a") != made || f.Asked(azuremltest.Submit) != 2 {
				t.Errorf("%d runs, then %d, after %d requests", made, f.Submissions("a"), f.Asked(azuremltest.Submit))
			}
		})
	}
}

// A question that fails starts nothing, and is put again; one that is not understood will not be answered later.
func TestLookingForARunFails(t *testing.T) {
	type fault = azuremltest.Fault
	for _, c := range []struct {
		name  string
		op    azuremltest.Op
		fault fault
		want  pipeline.Outcome
		after time.Duration
	}{
		{"throttled", azuremltest.FindRuns, fault{Status: 429, RetryAfter: "30"}, pipeline.NotDone, 30 * time.Second},
		{"no role", azuremltest.FindRuns, fault{Status: 403}, pipeline.NotDone, 0},
		{"broken", azuremltest.FindRuns, fault{Status: 500}, pipeline.NotDone, 0},
		{"lost", azuremltest.FindRuns, fault{Drop: true}, pipeline.NotDone, 0},
		{"cut", azuremltest.FindRuns, fault{Status: 200, Drop: true}, pipeline.NotDone, 0},
		{"details broken", azuremltest.GetDetails, fault{Status: 500}, pipeline.NotDone, 0},
		{"details gone", azuremltest.GetDetails, fault{Status: 404}, pipeline.Unknown, 0},
		{"not understood", azuremltest.FindRuns, fault{Status: 400}, pipeline.Unknown, 0},
		{"no experiment", azuremltest.FindRuns, fault{Status: 404}, pipeline.Unknown, 0},
		{"another run", azuremltest.FindRuns, fault{Status: 200, Body: `{"value":[{"runId":"x","tags":{"carillon_occurrence":"b"}}]}`}, pipeline.Unknown, 0},
		{"a step of a run", azuremltest.FindRuns, fault{Status: 200, Body: `{"value":[{"runId":"x","parentRunId":"y","tags":{"carillon_occurrence":"a"}}]}`}, pipeline.Unknown, 0},
		{"a path", azuremltest.FindRuns, fault{Status: 200, Body: `{"value":[{"runId":"../x","tags":{"carillon_occurrence":"a"}}]}`}, pipeline.Unknown, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := lost(t, azuremltest.Manners{ListsWithoutTags: c.op == azuremltest.GetDetails}, fault{Drop: true, AfterWork: true})
			f.Fail(c.op, c.fault)
			_, err := f.targets[azureml.Published].Submit(t.Context(), again(submission("a")))
			if e := wantOutcome(t, err, c.want); e.RetryAfter != c.after {
				t.Errorf("after %v", e.RetryAfter)
			}
			if id, err := f.targets[azureml.Published].Submit(t.Context(), again(submission("a"))); err != nil || id != f.Runs()[1].ID {
				t.Errorf("the next question: %s, %v", id, err)
			}
			if f.Submissions("a") != 1 {
				t.Errorf("%d runs", f.Submissions("a"))
			}
		})
	}
}

func TestADisabledPipelineIsRefused(t *testing.T) {
	f := newFar(t)
	f.Put(azuremltest.Pipeline{ID: succeeds, Name: "train", Status: "Disabled"})
	f.PutEndpoint(azuremltest.Endpoint{ID: waitsEP, Pipeline: waits, Status: "Disabled"})
	for kind, id := range map[string]string{azureml.Published: succeeds, azureml.PipelineEndpoint: waitsEP} {
		s := submission("a")
		s.Pipeline = schedule.PipelineRef{Kind: kind, ID: id}
		_, err := f.targets[kind].Submit(t.Context(), s)
		if wantOutcome(t, err, pipeline.Refused); !strings.Contains(err.Error(), "disabled") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func BenchmarkSubmit(b *testing.B) {
	for kind, id := range map[string]string{
		azureml.Published: succeeds, azureml.BatchEndpoint: "train", azureml.PipelineJob: "component:train:1",
	} {
		b.Run(kind, func(b *testing.B) {
			f := newFarOn(b, azuremltest.StartHTTP2(b))
			for i := 0; b.Loop(); i++ {
				if _, err := f.targets[kind].Submit(b.Context(), of(kind, id, fmt.Sprint("a", i))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Values that are no texts, as an imported schedule has them.
func TestDataPathsAndDatasets(t *testing.T) {
	f := newFar(t)
	f.Put(azuremltest.Pipeline{ID: succeeds, Parameters: map[string]string{"who": "", "path": "", "root": "", "set": ""}})
	s := submission("a")
	s.Parameters = map[string]string{"who": "me", "path": "datapath:inbox/a b/c", "root": "datapath:inbox", "set": `dataset:{"SavedDataSetReference":{"Id":"5c"}}`}
	_, r := f.submit(t, s)
	if len(r.Parameters) != 1 || r.DataPaths["path"] != (azuremltest.DataPath{DataStoreName: "inbox", RelativePath: "a b/c"}) || r.DataPaths["root"].DataStoreName != "inbox" {
		t.Errorf("parameters %v, paths %v", r.Parameters, r.DataPaths)
	}
	if fmt.Sprint(r.DataSets) != "map[set:map[SavedDataSetReference:map[Id:5c]]]" {
		t.Errorf("datasets %v", r.DataSets)
	}
	for _, wrong := range []string{"datapath:/a", "datapath:", "dataset:x", "dataset:"} {
		s := submission("b")
		s.Parameters = map[string]string{"path": wrong}
		if _, err := f.targets[azureml.Published].Submit(t.Context(), s); pipeline.OutcomeOf(err) != pipeline.Refused {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}
