package azureml_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/pipeline/azureml"
	"carillon/shared/pipeline/azureml/azuremltest"
	"carillon/shared/schedule"
)

// putV2 puts up what of v2 is named after what its runs come to.
func (f far) putV2() {
	for _, name := range []string{"train", "fail", "wait"} {
		f.PutComponent(azuremltest.Component{
			Name: name, Version: "1", DisplayName: "Train", Description: "it trains",
			Inputs: map[string]azuremltest.ComponentInput{
				"who": {Type: "string", Default: "world"}, "data": {Type: "uri_folder", Optional: true}, "times": {Type: "integer", Optional: true},
			},
			Outputs: map[string]string{"model": "uri_folder"},
		})
		f.PutBatchEndpoint(azuremltest.BatchEndpoint{
			Name: name, Description: "of all", Default: "blue", Deployments: []azuremltest.Deployment{{Name: "blue", Component: name + ":1"}},
		})
	}
}

// of is a submission of that occurrence to a pipeline.
func of(kind, id, occurrence string) pipeline.Submission {
	s := submission(occurrence)
	s.Pipeline = schedule.PipelineRef{Kind: kind, ID: id}
	return s
}

func (f far) submit(t *testing.T, s pipeline.Submission) (runID string, r azuremltest.Run) {
	t.Helper()
	runID, err := f.targets[s.Pipeline.Kind].Submit(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range f.Runs() {
		if r.ID == runID {
			return runID, r
		}
	}
	t.Fatalf("there is no run %s", runID)
	return "", r
}

func TestAnInvocationOnTheWire(t *testing.T) {
	f := newFar(t)
	s := of(azureml.BatchEndpoint, "train", "abc-20260101T000000Z")
	s.Experiment = "night / train"
	s.Parameters = map[string]string{"who": "uri_file:me", "times": "7", "data": "of old"}
	s.DataPath = &pipeline.DataPath{Parameter: "data", Datastore: "inbox", Path: "in/coming", Folder: true}
	s.Outputs = map[string]string{"model": "azureml://datastores/d/paths/m/"}
	id, r := f.submit(t, s)
	if out := r.Job.Outputs["model"]; out != (azuremltest.Input{Type: "uri_folder", Value: "azureml://datastores/d/paths/m/"}) || len(r.Job.Outputs) != 1 {
		t.Errorf("outputs %v", r.Job.Outputs)
	}
	if r.Experiment != s.Experiment || r.Job.Endpoint != "train" || r.Job.Deployment != "blue" {
		t.Errorf("the run is %+v", r)
	}
	want := map[string]azuremltest.Input{
		"who": {Type: "literal", Value: "uri_file:me"}, "times": {Type: "literal", Value: "7"},
		"data": {Type: "uri_folder", Value: "azureml://datastores/inbox/paths/in/coming"},
	}
	for name, in := range want {
		if r.Job.Inputs[name] != in {
			t.Errorf("%s: got %+v, want %+v", name, r.Job.Inputs[name], in)
		}
	}
	if r.Tags["carillon_occurrence"] != s.Occurrence || r.Job.Properties["carillon_occurrence"] != s.Occurrence || r.Tags["carillon_schedule"] != "nightly" {
		t.Errorf("it bears %v and %v", r.Tags, r.Job.Properties)
	}
	if found, err := f.targets[azureml.BatchEndpoint].Submit(t.Context(), again(s)); err != nil || found != id {
		t.Errorf("again: %s, %v, want %s", found, err, id)
	}
}

// A deployment that is named is called, and not the default one; the endpoint is asked for once a minute at most.
func TestANamedDeployment(t *testing.T) {
	f := newFar(t)
	f.PutBatchEndpoint(azuremltest.BatchEndpoint{Name: "train", Default: "blue", Deployments: []azuremltest.Deployment{
		{Name: "blue", Component: "wait:1"}, {Name: "green", Component: "train:1", Old: true},
	}})
	for _, occurrence := range []string{"a", "b"} {
		if _, r := f.submit(t, of(azureml.BatchEndpoint, "train/green", occurrence)); r.Job.Deployment != "green" || r.Pipeline != "train:1" {
			t.Errorf("it ran %s: %s", r.Job.Deployment, r.Pipeline)
		}
	}
	if n := f.Asked(azuremltest.GetBatchEndpoint); n != 1 {
		t.Errorf("the endpoint was asked for %d times", n)
	}
}

// An endpoint that has changed since it was read refuses nothing for what it was.
func TestAnEndpointThatHasChanged(t *testing.T) {
	f := newFar(t)
	f.submit(t, of(azureml.BatchEndpoint, "train", "a"))
	f.PutComponent(azuremltest.Component{Name: "train", Version: "2", Inputs: map[string]azuremltest.ComponentInput{"whom": {Type: "string"}}})
	f.PutBatchEndpoint(azuremltest.BatchEndpoint{Name: "train", Default: "green", Deployments: []azuremltest.Deployment{{Name: "green", Component: "train:2"}}})
	s := of(azureml.BatchEndpoint, "train", "b")
	s.Parameters = map[string]string{"whom": "you"}
	if _, r := f.submit(t, s); r.Job.Inputs["whom"].Value != "you" {
		t.Errorf("it was given %v", r.Job.Inputs)
	}
	s = of(azureml.BatchEndpoint, "train", "c")
	s.Parameters = map[string]string{"who": "you"}
	_, err := f.targets[azureml.BatchEndpoint].Submit(t.Context(), s)
	if wantOutcome(t, err, pipeline.Refused); !strings.Contains(err.Error(), "no input who; it has: whom") {
		t.Errorf("%v", err)
	}
	if f.Submissions("c") != 0 {
		t.Error("it was sent")
	}
}

// What an endpoint refuses as it is, it is not asked for twice.
func TestACallThatIsRefused(t *testing.T) {
	f := newFar(t)
	f.submit(t, of(azureml.BatchEndpoint, "train", "a"))
	f.Fail(azuremltest.Invoke, azuremltest.Fault{Status: 400})
	_, err := f.targets[azureml.BatchEndpoint].Submit(t.Context(), of(azureml.BatchEndpoint, "train", "b"))
	if wantOutcome(t, err, pipeline.Refused); f.Submissions("b") != 0 || f.Asked(azuremltest.Invoke) != 2 || !strings.Contains(err.Error(), "it was told to fail") {
		t.Errorf("%d calls: %v", f.Asked(azuremltest.Invoke), err)
	}
	s := of(azureml.BatchEndpoint, "train", "c")
	s.Parameters = map[string]string{"whom": "you"}
	_, err = f.targets[azureml.BatchEndpoint].Submit(t.Context(), s)
	if wantOutcome(t, err, pipeline.Refused); f.Asked(azuremltest.Invoke) != 2 {
		t.Errorf("%d calls: %v", f.Asked(azuremltest.Invoke), err)
	}
}

// An endpoint that is on its way out, or whose deployment has failed since it was read, starts nothing, and the error says so.
func TestAnEndpointThatIsOutOfOrder(t *testing.T) {
	for want, c := range map[string]struct{ endpoint, deployment string }{
		"the endpoint is Deleting": {"Deleting", ""}, "the deployment blue is Failed": {"", "Failed"},
	} {
		f := newFar(t)
		f.submit(t, of(azureml.BatchEndpoint, "train", "a"))
		f.PutBatchEndpoint(azuremltest.BatchEndpoint{
			Name: "train", State: c.endpoint, Default: "blue", Deployments: []azuremltest.Deployment{{Name: "blue", Component: "train:1", State: c.deployment}},
		})
		for _, occurrence := range []string{"b", "c"} {
			_, err := f.targets[azureml.BatchEndpoint].Submit(t.Context(), of(azureml.BatchEndpoint, "train", occurrence))
			if wantOutcome(t, err, pipeline.Refused); !strings.Contains(err.Error(), want) || f.Submissions(occurrence) != 0 || f.Asked(azuremltest.Invoke) != 2 {
				t.Errorf("%s: %d runs after %d calls, %v", occurrence, f.Submissions(occurrence), f.Asked(azuremltest.Invoke), err)
			}
		}
	}
}

// Models travel in the words of each interface.
func TestModelsOnTheWire(t *testing.T) {
	f := newFar(t)
	kinds := []string{"mlflow_model", "custom_model", "triton_model"}
	c := azuremltest.Component{Name: "models", Version: "1", Inputs: map[string]azuremltest.ComponentInput{}, Outputs: map[string]string{}}
	parameters, outputs := map[string]string{}, map[string]string{}
	for _, kind := range kinds {
		c.Inputs[kind], c.Outputs[kind] = azuremltest.ComponentInput{Type: kind}, kind
		parameters[kind], outputs[kind] = kind+":azureml:m:1", "azureml://datastores/d/paths/"+kind+"/"
	}
	f.PutComponent(c)
	f.PutBatchEndpoint(
		azuremltest.BatchEndpoint{Name: "models", Default: "d", Deployments: []azuremltest.Deployment{{Name: "d", Component: "models:1"}}},
		azuremltest.BatchEndpoint{Name: "far", Default: "d", Deployments: []azuremltest.Deployment{{Name: "d", Component: "azureml://registries/theirs/components/models/versions/1"}}},
	)
	for i, s := range []pipeline.Submission{
		of(azureml.BatchEndpoint, "models", "a"), of(azureml.BatchEndpoint, "far", "b"), of(azureml.PipelineJob, "component:models:1", "c"),
	} {
		s.Parameters = parameters
		if s.Outputs = outputs; i == 1 { // it says of outputs, too, what they are
			s.Outputs = map[string]string{}
			for kind, address := range outputs {
				s.Outputs[kind] = kind + ":" + address
			}
		}
		_, r := f.submit(t, s)
		for _, kind := range kinds {
			if in, want := r.Job.Inputs[kind], (azuremltest.Input{Type: kind, Value: "azureml:m:1"}); in != want {
				t.Errorf("%s: input %+v, want %+v", s.Pipeline, in, want)
			}
			if out, want := r.Job.Outputs[kind], (azuremltest.Input{Type: kind, Value: outputs[kind]}); out != want {
				t.Errorf("%s: output %+v, want %+v", s.Pipeline, out, want)
			}
		}
	}
}

// Of a component elsewhere nothing is known: what is given says itself what it is.
func TestInputsThatAreNotDeclared(t *testing.T) {
	f := newFar(t)
	f.PutBatchEndpoint(azuremltest.BatchEndpoint{Name: "far", Default: "d", Deployments: []azuremltest.Deployment{
		{Name: "d", Component: "azureml://registries/theirs/components/train/versions/1"},
	}})
	s := of(azureml.BatchEndpoint, "far", "a")
	s.Parameters = map[string]string{"folder": "azureml://datastores/d/paths/in/", "table": "mltable:azureml://datastores/d/paths/t", "text": "hello: world", "empty": ""}
	s.DataPath = &pipeline.DataPath{Parameter: "file", Datastore: "inbox", Path: "a.csv"}
	_, r := f.submit(t, s)
	for name, want := range map[string]azuremltest.Input{
		"folder": {Type: "uri_folder", Value: "azureml://datastores/d/paths/in/"}, "table": {Type: "mltable", Value: "azureml://datastores/d/paths/t"},
		"text": {Type: "literal", Value: "hello: world"}, "empty": {Type: "literal"}, "file": {Type: "uri_file", Value: "azureml://datastores/inbox/paths/a.csv"},
	} {
		if r.Job.Inputs[name] != want {
			t.Errorf("%s: got %+v, want %+v", name, r.Job.Inputs[name], want)
		}
	}
	p, err := f.targets[azureml.BatchEndpoint].Get(t.Context(), s.Pipeline)
	if err != nil || p.Parameters != nil || p.Problem != "" || !p.Places || p.Settings || !p.Deployed {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestWhereNothingCanBeRun(t *testing.T) {
	f := newFar(t)
	ready := []azuremltest.Deployment{{Name: "blue", Component: "train:1"}}
	f.PutBatchEndpoint(
		azuremltest.BatchEndpoint{Name: "no-default", Deployments: ready},
		azuremltest.BatchEndpoint{Name: "new", State: "Creating", Default: "blue", Deployments: ready},
		azuremltest.BatchEndpoint{Name: "broken", Default: "red", Deployments: []azuremltest.Deployment{{Name: "red", Component: "train:1", State: "Failed"}}},
		azuremltest.BatchEndpoint{Name: "model", Default: "m", Deployments: []azuremltest.Deployment{{Name: "m", Model: true}}},
		azuremltest.BatchEndpoint{Name: "away", Default: "blue", Deployments: ready, ScoringURI: "https://away.westeurope.inference.ml.azure.com.evil.example/jobs"},
	)
	for id, want := range map[string]string{
		"no-default": "name one, as endpoint/deployment", "new": "is Creating", "broken": "red is Failed", "model": "runs a model", "away": "is not called",
	} {
		p, err := f.targets[azureml.BatchEndpoint].Get(t.Context(), schedule.PipelineRef{Kind: azureml.BatchEndpoint, ID: id})
		if err != nil || !strings.Contains(p.Problem, want) {
			t.Errorf("Get %s: %+v, %v", id, p, err)
		}
		_, err = f.targets[azureml.BatchEndpoint].Submit(t.Context(), of(azureml.BatchEndpoint, id, "a"))
		if wantOutcome(t, err, pipeline.Refused); !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", id, err)
		}
	}
	if n := f.Asked(azuremltest.Invoke); n != 0 {
		t.Errorf("endpoints were called %d times", n)
	}
}

// cloudTransport carries requests for the public cloud's hosts to a double, and notes them.
func cloudTransport(t *testing.T, f far) (http.RoundTripper, func() []string) {
	transport := f.Transport.(*http.Transport).Clone()
	address := strings.TrimPrefix(f.URL, "https://")
	var mu sync.Mutex
	var hosts []string
	transport.DialContext = func(ctx context.Context, network, host string) (net.Conn, error) {
		mu.Lock()
		hosts = append(hosts, host)
		mu.Unlock()
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: transport.TLSClientConfig.RootCAs, ServerName: "example.com", MinVersion: tls.VersionTLS12}
	t.Cleanup(transport.CloseIdleConnections)
	return transport, func() []string {
		mu.Lock()
		defer mu.Unlock()
		slices.Sort(hosts)
		return slices.Compact(hosts)
	}
}

// Without addresses of this machine, the hosts are those of the cloud, and no others.
func TestTheHostsOfTheCloud(t *testing.T) {
	f := newFar(t)
	config := f.config()
	config.BaseURL, config.Region = "", "westeurope"
	var hosts func() []string
	config.Transport, hosts = cloudTransport(t, f)
	w, err := azureml.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	f.targets = w.Targets()
	for _, s := range []pipeline.Submission{
		submission("a"), of(azureml.BatchEndpoint, "train", "b"), of(azureml.PipelineJob, "component:train:1", "c"),
	} {
		id, _ := f.submit(t, s)
		f.Move(id, "Completed", "")
		if r, err := f.targets[s.Pipeline.Kind].Status(t.Context(), s.Pipeline.Kind, id); err != nil || r.Status != schedule.Completed || r.Ended.IsZero() {
			t.Errorf("%s: %+v, %v", s.Pipeline, r, err)
		}
	}
	want := []string{"management.azure.com:443", "train.westeurope.inference.ml.azure.com:443", "westeurope.api.azureml.ms:443"}
	if got := hosts(); !slices.Equal(got, want) {
		t.Errorf("called %v, want %v", got, want)
	}
	f.PutBatchEndpoint(azuremltest.BatchEndpoint{
		Name: "train", Default: "blue", Deployments: []azuremltest.Deployment{{Name: "blue", Component: "train:1"}},
		ScoringURI: "https://other.westeurope.inference.ml.azure.com/jobs",
	})
	p, err := f.targets[azureml.BatchEndpoint].Get(t.Context(), schedule.PipelineRef{Kind: azureml.BatchEndpoint, ID: "train"})
	if err != nil || !strings.Contains(p.Problem, "is not called") {
		t.Errorf("another endpoint's address: %+v, %v", p, err)
	}
}

// However the answer of a batch endpoint is lost, and whatever the workspace shows: one run that is found, or nobody
// knows; never two.
func TestALostInvocationThenAgain(t *testing.T) {
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
		{"lists without tags", azuremltest.Manners{ListsWithoutTags: true}, dropped, true},
		{"a list of all jobs", azuremltest.Manners{ListsAllJobs: true}, dropped, true},
		{"a list of all jobs without tags", azuremltest.Manners{ListsAllJobs: true, ListsWithoutTags: true}, dropped, true},
		{"the list lags", azuremltest.Manners{ListsLag: true}, done, false},
		{"tags are lost", azuremltest.Manners{TagsLost: true}, done, false},
		{"tags are lost, all are listed", azuremltest.Manners{TagsLost: true, ListsAllJobs: true}, done, false},
		{"nothing was done", azuremltest.Manners{}, azuremltest.Fault{Drop: true}, false},
		{"503 and nothing was done", azuremltest.Manners{}, azuremltest.Fault{Status: 503, RetryAfter: "1"}, false},
		{"409 and nothing was done", azuremltest.Manners{}, azuremltest.Fault{Status: 409}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFar(t)
			f.submit(t, of(azureml.BatchEndpoint, "train", "another"))
			f.Behave(c.manners)
			f.Fail(azuremltest.Invoke, c.fault)
			_, err := f.targets[azureml.BatchEndpoint].Submit(t.Context(), of(azureml.BatchEndpoint, "train", "a"))
			if e := wantOutcome(t, err, pipeline.Repeat); e.RetryAfter != 6*time.Minute {
				t.Errorf("after %v", e.RetryAfter)
			}
			made := f.Submissions("a")
			for range 2 {
				id, err := f.targets[azureml.BatchEndpoint].Submit(t.Context(), again(of(azureml.BatchEndpoint, "train", "a")))
				if c.found {
					if err != nil || id != f.Runs()[1].ID {
						t.Errorf("got %s, %v", id, err)
					}
				} else if e := wantOutcome(t, err, pipeline.Unknown); id != "" || !strings.Contains(e.Error(), "carillon_occurrence = a") {
					t.Errorf("got %s, %v", id, err)
				}
			}
			if f.Submissions("a") != made || f.Asked(azuremltest.Invoke) != 2 {
				t.Errorf("%d runs, then %d, after %d requests", made, f.Submissions("a"), f.Asked(azuremltest.Invoke))
			}
		})
	}
}

func TestLookingForAnInvocationFails(t *testing.T) {
	type fault = azuremltest.Fault
	for _, c := range []struct {
		name  string
		op    azuremltest.Op
		fault fault
		want  pipeline.Outcome
	}{
		{"throttled", azuremltest.ListJobs, fault{Status: 429, RetryAfter: "30"}, pipeline.NotDone},
		{"no role", azuremltest.ListJobs, fault{Status: 403}, pipeline.NotDone},
		{"broken", azuremltest.ListJobs, fault{Status: 500}, pipeline.NotDone},
		{"cut", azuremltest.ListJobs, fault{Status: 200, Drop: true}, pipeline.NotDone},
		{"the job broken", azuremltest.GetJob, fault{Status: 500}, pipeline.NotDone},
		{"the job gone", azuremltest.GetJob, fault{Status: 404}, pipeline.Unknown},
		{"not understood", azuremltest.ListJobs, fault{Status: 400}, pipeline.Unknown},
		{"no list", azuremltest.ListJobs, fault{Status: 200, Body: `{}`}, pipeline.Unknown},
		{"a path", azuremltest.ListJobs, fault{Status: 200, Body: `{"value":[{"name":"../x","properties":{"tags":{"carillon_occurrence":"a"}}}]}`}, pipeline.Unknown},
		{"another run", azuremltest.ListJobs, fault{Status: 200, Body: `{"value":[{"name":"x","properties":{"tags":{"carillon_occurrence":"b"}}}]}`}, pipeline.Unknown},
		{"a list that goes on elsewhere", azuremltest.ListJobs, fault{Status: 200, Body: `{"value":[],"nextLink":"https://evil.example/jobs"}`}, pipeline.Unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFar(t)
			f.submit(t, of(azureml.BatchEndpoint, "train", "a"))
			f.Behave(azuremltest.Manners{ListsWithoutTags: c.op == azuremltest.GetJob})
			f.Fail(c.op, c.fault)
			_, err := f.targets[azureml.BatchEndpoint].Submit(t.Context(), again(of(azureml.BatchEndpoint, "train", "a")))
			wantOutcome(t, err, c.want)
			if id, err := f.targets[azureml.BatchEndpoint].Submit(t.Context(), again(of(azureml.BatchEndpoint, "train", "a"))); err != nil || id != f.Runs()[0].ID {
				t.Errorf("the next question: %s, %v", id, err)
			}
			if f.Submissions("a") != 1 {
				t.Errorf("%d runs", f.Submissions("a"))
			}
		})
	}
}

// What has to be read before a submission fails without anything being sent.
func TestReadingBeforeASubmissionFails(t *testing.T) {
	type fault = azuremltest.Fault
	for _, c := range []struct {
		kind, id string
		op       azuremltest.Op
	}{
		{azureml.BatchEndpoint, "train", azuremltest.GetBatchEndpoint},
		{azureml.BatchEndpoint, "train", azuremltest.GetDeployment},
		{azureml.BatchEndpoint, "train", azuremltest.GetVersion},
		{azureml.PipelineJob, "component:train:1", azuremltest.GetVersion},
		{azureml.PipelineJob, "component:train@latest", azuremltest.ListVersions},
		{azureml.PipelineJob, "job:done", azuremltest.GetJob},
	} {
		for _, o := range []struct {
			fault fault
			want  pipeline.Outcome
		}{
			{fault{Status: 400}, pipeline.Refused}, {fault{Status: 404}, pipeline.Refused}, {fault{Status: 403}, pipeline.NotDone},
			{fault{Status: 429, RetryAfter: "9"}, pipeline.NotDone}, {fault{Status: 500}, pipeline.NotDone},
			{fault{Status: 200, Drop: true}, pipeline.NotDone},
		} {
			if c.op == azuremltest.GetVersion && c.kind == azureml.BatchEndpoint && o.fault.Status == 404 {
				continue // then nothing is known of its inputs
			}
			f := newFar(t)
			f.AddJob("done", "Completed", map[string]any{"jobType": "Pipeline", "componentId": "x"})
			before := len(f.Runs())
			f.Fail(c.op, o.fault)
			_, err := f.targets[c.kind].Submit(t.Context(), of(c.kind, c.id, "a"))
			e := wantOutcome(t, err, o.want)
			if errors.Is(err, pipeline.ErrNotFound) != (o.fault.Status == 404) || (e.RetryAfter == 9*time.Second) != (o.fault.Status == 429) {
				t.Errorf("%s, %s: %v, after %v", c.id, c.op, err, e.RetryAfter)
			}
			if len(f.Runs()) != before || f.Asked(azuremltest.Invoke)+f.Asked(azuremltest.PutJob) != 0 {
				t.Errorf("%s, %s: something was sent", c.id, c.op)
			}
		}
	}
}
