package azureml_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/pipeline/azureml"
	"carillon/shared/pipeline/azureml/azuremltest"
	"carillon/shared/schedule"
)

// direct carries requests to a double over no network, and shows each to a test.
type direct struct {
	to   http.Handler
	look func(*http.Request)
}

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if d.look != nil {
		d.look(r)
	}
	r = r.Clone(r.Context())
	if r.TLS = new(tls.ConnectionState); r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	d.to.ServeHTTP(w, r)
	return w.Result(), nil
}

// through opens the double's workspace over d.
func (f far) through(t *testing.T, d direct) map[string]pipeline.Target {
	t.Helper()
	config := f.config()
	d.to = f.Service
	config.Transport = d
	w, err := azureml.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	return w.Targets()
}

// One request is given up while its submission still has time to say so: a claim that runs out meanwhile is another's.
func TestHowLongAnAnswerIsWaitedFor(t *testing.T) {
	f := newFar(t)
	asked := 0
	targets := f.through(t, direct{look: func(r *http.Request) {
		asked++
		deadline, ok := r.Context().Deadline()
		if left := time.Until(deadline); !ok || left < schedule.SubmitWithin/4 || left > schedule.SubmitWithin*9/10 {
			t.Errorf("%s %s: %v are left of %v", r.Method, r.URL.Path, left, schedule.SubmitWithin)
		}
	}})
	for _, s := range []pipeline.Submission{submission("a"), of(azureml.BatchEndpoint, "train", "b"), of(azureml.PipelineJob, "component:train:1", "c")} {
		if _, err := targets[s.Pipeline.Kind].Submit(t.Context(), s); err != nil {
			t.Error(err)
		}
	}
	if asked < 5 {
		t.Errorf("%d requests", asked)
	}
}

// The description of one thing is read up to some megabytes, and a longer one is no answer.
func TestAnAnswerThatIsTooLarge(t *testing.T) {
	f := newFar(t)
	for size, taken := range map[int]bool{1 << 20: true, 8 << 20: false} {
		f.Fail(azuremltest.GetPipeline, azuremltest.Fault{Status: 200, Body: `{"Id":"` + succeeds + `","Description":"` + strings.Repeat("x", size) + `"}`})
		p, err := f.targets[azureml.Published].Get(t.Context(), schedule.PipelineRef{Kind: azureml.Published, ID: succeeds})
		if (err == nil) != taken || taken && len(p.Description) != size {
			t.Errorf("%d bytes: %d were kept, %v", size, len(p.Description), err)
		}
	}
}

// What is remembered of an endpoint holds for a minute: then another default deployment is called by what it takes.
func TestAnEndpointIsReadAnewEachMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := far{Server: &azuremltest.Server{Service: azuremltest.New(), URL: "https://127.0.0.1"}, credential: &azuremltest.Credential{}}
		f.Complain = func(complaint string) { t.Error(complaint) }
		f.putV2()
		target := f.through(t, direct{})[azureml.BatchEndpoint]
		submit := func(occurrence string, reads int) {
			t.Helper()
			if _, err := target.Submit(t.Context(), of(azureml.BatchEndpoint, "train", occurrence)); err != nil {
				t.Error(err)
			}
			if n := f.Asked(azuremltest.GetBatchEndpoint); n != reads {
				t.Errorf("the endpoint was read %d times, want %d", n, reads)
			}
		}
		submit("a", 1)
		time.Sleep(59 * time.Second)
		submit("b", 1)
		time.Sleep(2 * time.Second)
		submit("c", 2)
	})
}

// Jobs are looked through some pages far, whatever the list is asked for, and of those that say nothing of themselves some
// are asked one by one.
func TestHowFarAnInvocationIsLookedFor(t *testing.T) {
	for _, c := range []struct {
		manners azuremltest.Manners
		after   int // so many others have been made since, two on a page
		found   bool
		most    map[azuremltest.Op]int
	}{
		{azuremltest.Manners{ListsAllJobs: true}, 2, true, map[azuremltest.Op]int{azuremltest.ListJobs: 2, azuremltest.GetJob: 0}},
		{azuremltest.Manners{ListsAllJobs: true}, 9, true, map[azuremltest.Op]int{azuremltest.ListJobs: 5, azuremltest.GetJob: 0}},
		{azuremltest.Manners{ListsAllJobs: true}, 60, false, map[azuremltest.Op]int{azuremltest.ListJobs: 5, azuremltest.GetJob: 0}},
		{azuremltest.Manners{ListsAllJobs: true, ListsWithoutTags: true}, 9, true, map[azuremltest.Op]int{azuremltest.ListJobs: 5, azuremltest.GetJob: 10}},
	} {
		f := newFar(t)
		f.submit(t, of(azureml.BatchEndpoint, "train", "a"))
		for i := range c.after {
			f.submit(t, of(azureml.BatchEndpoint, "train", fmt.Sprint("other-", i)))
		}
		f.Behave(c.manners)
		id, err := f.targets[azureml.BatchEndpoint].Submit(t.Context(), again(of(azureml.BatchEndpoint, "train", "a")))
		if c.found != (err == nil) || c.found && id != f.Runs()[0].ID {
			t.Errorf("after %d others: %s, %v", c.after, id, err)
		}
		for op, most := range c.most {
			if n := f.Asked(op); n > most {
				t.Errorf("after %d others: %d requests to %s", c.after, n, op)
			}
		}
	}
}

// However many runs a service shows that say nothing of themselves, a bounded number of them is asked, page or no page.
func TestHowManySuspectsAreAsked(t *testing.T) {
	f := newFar(t)
	var jobs, runs []string
	for i := range 50 {
		jobs = append(jobs, fmt.Sprintf(`{"name":"j%d","properties":{}}`, i))
		runs = append(runs, fmt.Sprintf(`{"runId":"r%d"}`, i))
	}
	f.Fail(azuremltest.ListJobs, azuremltest.Fault{Status: 200, Body: `{"value":[` + strings.Join(jobs, ",") + `]}`})
	f.Fail(azuremltest.FindRuns, azuremltest.Fault{Status: 200, Body: `{"value":[` + strings.Join(runs, ",") + `]}`})
	for kind, c := range map[string]struct {
		id string
		op azuremltest.Op
	}{azureml.BatchEndpoint: {"train", azuremltest.GetJob}, azureml.Published: {succeeds, azuremltest.GetDetails}} {
		_, err := f.targets[kind].Submit(t.Context(), again(of(kind, c.id, "a")))
		wantOutcome(t, err, pipeline.Unknown)
		if n := f.Asked(c.op); n == 0 || n > 20 {
			t.Errorf("%s: %d of 50 were asked", kind, n)
		}
	}
}
