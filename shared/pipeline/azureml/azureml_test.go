package azureml_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"carillon/shared/pipeline"
	"carillon/shared/pipeline/azureml"
	"carillon/shared/pipeline/azureml/azuremltest"
	"carillon/shared/pipeline/pipelinetest"
	"carillon/shared/schedule"
)

// ids of pipelines by what their runs come to, and of the endpoints in front of them.
const (
	succeeds   = "aaaaaaaa-0000-4000-8000-000000000001"
	fails      = "aaaaaaaa-0000-4000-8000-000000000002"
	waits      = "aaaaaaaa-0000-4000-8000-000000000003"
	succeedsEP = "bbbbbbbb-0000-4000-8000-000000000001"
	failsEP    = "bbbbbbbb-0000-4000-8000-000000000002"
	waitsEP    = "bbbbbbbb-0000-4000-8000-000000000003"
)

// far is a workspace, and the targets that ask it.
type far struct {
	*azuremltest.Server
	credential *azuremltest.Credential
	targets    map[string]pipeline.Target
}

func newFar(t testing.TB) far { return newFarOn(t, azuremltest.Start(t)) }

func newFarOn(t testing.TB, server *azuremltest.Server) far {
	t.Helper()
	f := far{Server: server, credential: &azuremltest.Credential{}}
	for _, id := range []string{succeeds, fails, waits} {
		f.Put(azuremltest.Pipeline{ID: id, Name: "train", Parameters: map[string]string{"who": "world"}})
	}
	f.PutEndpoint(
		azuremltest.Endpoint{ID: succeedsEP, Name: "train", Pipeline: succeeds},
		azuremltest.Endpoint{ID: failsEP, Name: "train", Pipeline: fails},
		azuremltest.Endpoint{ID: waitsEP, Name: "train", Pipeline: waits},
	)
	f.putV2()
	w, err := azureml.Open(f.config())
	if err != nil {
		t.Fatal(err)
	}
	f.targets = w.Targets()
	return f
}

func (f far) config() azureml.Config {
	return azureml.Config{
		Subscription: f.Subscription, ResourceGroup: f.ResourceGroup, Workspace: f.Workspace, BaseURL: f.URL,
		Credential: f.credential, Transport: f.Transport,
	}
}

func submission(occurrence string) pipeline.Submission {
	return pipeline.Submission{
		Name: occurrence, Pipeline: schedule.PipelineRef{Kind: azureml.Published, ID: succeeds}, Experiment: "suite",
		Schedule: "nightly", Occurrence: occurrence,
	}
}

func again(s pipeline.Submission) pipeline.Submission {
	s.Again = true
	return s
}

// advance moves every run one step towards the end that its pipeline's id names.
func (f far) advance() {
	f.Advance(func(r *azuremltest.Run) {
		switch {
		case r.Status == "CancelRequested":
			r.Status = "Canceled"
		case r.Status == "NotStarted":
			r.Status = "Running"
		case r.Pipeline == succeeds, r.Pipeline == "train:1":
			r.Status = "Completed"
		case r.Pipeline == fails, r.Pipeline == "fail:1":
			r.Status, r.Error = "Failed", "no disk"
		}
	})
}

// claiming submits as the submit function does: one name at a time, and Again once a try may have made the run.
type claiming struct {
	pipeline.Target
	mu    sync.Mutex
	tried map[string]bool
}

func (c *claiming) Submit(ctx context.Context, s pipeline.Submission) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Again = c.tried[s.Name]
	id, err := c.Target.Submit(ctx, s)
	if outcome := pipeline.OutcomeOf(err); err == nil || outcome == pipeline.Unknown || outcome == pipeline.Repeat {
		c.tried[s.Name] = true
	}
	return id, err
}

// v1 and batch endpoints honour no names, so the suite holds them to the contract as the submit function uses them.
func TestConforms(t *testing.T) {
	for _, c := range []struct {
		kind string
		ids  [3]string
	}{
		{azureml.Published, [3]string{succeeds, fails, waits}},
		{azureml.PipelineEndpoint, [3]string{succeedsEP, failsEP, waitsEP}},
		{azureml.BatchEndpoint, [3]string{"train", "fail", "wait"}},
		{azureml.BatchEndpoint, [3]string{"train/blue", "fail/blue", "wait/blue"}},
		{azureml.PipelineJob, [3]string{"component:train:1", "component:fail:1", "component:wait:1"}},
	} {
		t.Run(c.kind+" "+c.ids[0], func(t *testing.T) {
			pipelinetest.Run(t, func(t *testing.T) pipelinetest.Env {
				f := newFar(t)
				target := f.targets[c.kind]
				if c.kind != azureml.PipelineJob {
					target = &claiming{Target: target, tried: map[string]bool{}}
				}
				return pipelinetest.Env{
					Target: target, Kind: c.kind, Succeeds: c.ids[0], Fails: c.ids[1], Waits: c.ids[2],
					Made:    func(name string) int { return f.Submissions("occurrence-of-" + name) },
					Advance: f.advance,
				}
			})
		})
	}
}

func TestSubmissionOnTheWire(t *testing.T) {
	f := newFar(t)
	s := submission("abc-20260101T000000Z")
	s.Experiment, s.ContinueOnStepFailure, s.Parameters = "night / train", new(true), map[string]string{"who": `"you"`}
	if _, err := f.targets[azureml.Published].Submit(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	s.Pipeline = schedule.PipelineRef{Kind: azureml.PipelineEndpoint, ID: succeedsEP}
	s.Occurrence, s.ContinueOnStepFailure, s.Parameters = "abc-20260101T000001Z", nil, nil
	id, err := f.targets[azureml.PipelineEndpoint].Submit(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	first, second := f.Runs()[0], f.Runs()[1]
	if first.Experiment != s.Experiment || !first.ContinueOnStepFailure || first.Parameters["who"] != `"you"` || first.Endpoint != "" {
		t.Errorf("the first run is %+v", first)
	}
	if first.Tags["carillon_occurrence"] != "abc-20260101T000000Z" || first.Tags["carillon_schedule"] != "nightly" || !strings.Contains(first.Description, "nightly") {
		t.Errorf("the first run bears %v, %q", first.Tags, first.Description)
	}
	if second.ID != id || second.Endpoint != succeedsEP || second.ContinueOnStepFailure || len(second.Parameters) != 0 {
		t.Errorf("the second run, %s, is %+v", id, second)
	}
	if found, err := f.targets[azureml.PipelineEndpoint].Submit(t.Context(), again(s)); err != nil || found != id {
		t.Errorf("again: %s, %v, want %s", found, err, id)
	}
}

// What has changed is given as a DataPath, and then not as a parameter too.
func TestADataPathOnTheWire(t *testing.T) {
	f := newFar(t)
	f.Put(azuremltest.Pipeline{ID: succeeds, Parameters: map[string]string{"who": "world", "data": ""}})
	s := submission("a")
	s.Parameters = map[string]string{"who": "you", "data": "of old"}
	s.DataPath = &pipeline.DataPath{Parameter: "data", Datastore: "inbox", Path: "in coming/a%20b#.csv"}
	if _, err := f.targets[azureml.Published].Submit(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	r := f.Runs()[0]
	if want := (azuremltest.DataPath{DataStoreName: "inbox", RelativePath: "in coming/a%20b#.csv"}); r.DataPaths["data"] != want || len(r.DataPaths) != 1 {
		t.Errorf("it was given %+v", r.DataPaths)
	}
	if len(r.Parameters) != 1 || r.Parameters["who"] != "you" || s.Parameters["data"] != "of old" {
		t.Errorf("parameters %v; the caller's are %v", r.Parameters, s.Parameters)
	}
}

func TestWhatIsNeverSent(t *testing.T) {
	f := newFar(t)
	for name, change := range map[string]func(*pipeline.Submission){
		"an occurrence that would change the query": func(s *pipeline.Submission) { s.Occurrence = "a eq b) or (x" },
		"no occurrence":        func(s *pipeline.Submission) { s.Occurrence = "" },
		"no experiment":        func(s *pipeline.Submission) { s.Experiment = "" },
		"a path as experiment": func(s *pipeline.Submission) { s.Experiment = ".." },
		"a path as pipeline":   func(s *pipeline.Submission) { s.Pipeline.ID = "../" + succeeds },
		"another kind":         func(s *pipeline.Submission) { s.Pipeline.Kind = azureml.PipelineEndpoint },
	} {
		s := submission("a")
		change(&s)
		if _, err := f.targets[azureml.Published].Submit(t.Context(), s); err == nil || pipeline.OutcomeOf(err) != pipeline.Refused {
			t.Errorf("%s: got %v, want it refused", name, err)
		}
	}
	if n := f.Asked(azuremltest.Submit); n != 0 {
		t.Errorf("%d submissions were sent", n)
	}
}

func TestTokensOfOtherClouds(t *testing.T) {
	for audience, c := range map[string]cloud.Configuration{
		"https://management.azure.com":         {},
		"https://management.usgovcloudapi.net": cloud.AzureGovernment,
		"https://management.chinacloudapi.cn":  cloud.AzureChina,
	} {
		f := newFar(t)
		f.Audience = audience
		config := f.config()
		config.Cloud = c
		w, err := azureml.Open(config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Targets()[azureml.Published].Submit(t.Context(), submission("a")); err != nil {
			t.Errorf("%s: %v", audience, err)
		}
	}
}

func TestOpenSaysAllThatIsWrong(t *testing.T) {
	_, err := azureml.Open(azureml.Config{Subscription: "mine", ResourceGroup: "a/b", Workspace: "..", Region: "West Europe"})
	for _, name := range []string{"subscription", "resource group", "workspace", "region", "credential"} {
		if err == nil || !strings.Contains(err.Error(), name+":") {
			t.Errorf("%s is not among: %v", name, err)
		}
	}
	good := azureml.Config{
		Subscription: "11111111-2222-3333-4444-555555555555", ResourceGroup: "rg_(one)", Workspace: "ws-1",
		Region: "westeurope", Credential: &azuremltest.Credential{},
	}
	if _, err := azureml.Open(good); err != nil {
		t.Error(err)
	}
	for _, base := range []string{
		"http://workspace.example", "https://", "ftp://127.0.0.1", "https://h/path", "https://u@h", "https://h?q=1", "https://h#f", ":", "host",
	} {
		good.BaseURL = base
		if _, err := azureml.Open(good); err == nil || !strings.Contains(err.Error(), "base URL:") {
			t.Errorf("base URL %q: %v", base, err)
		}
	}
	for name, change := range map[string]func(*azureml.Config){
		"ARM URL":       func(c *azureml.Config) { c.ARMURL = "http://arm.example" },
		"inference URL": func(c *azureml.Config) { c.InferenceURL = "https://h/jobs" },
		"compute":       func(c *azureml.Config) { c.Compute = "../cluster" },
	} {
		wrong := good
		wrong.BaseURL = ""
		change(&wrong)
		if _, err := azureml.Open(wrong); err == nil || !strings.Contains(err.Error(), name+":") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, base := range []string{"https://h", "https://h:444/", "http://127.0.0.1:80", "http://localhost:80", "http://[::1]:80"} {
		good.BaseURL = base
		if _, err := azureml.Open(good); err != nil {
			t.Errorf("base URL %q: %v", base, err)
		}
	}
	good.BaseURL, good.Cloud = "", cloud.Configuration{ActiveDirectoryAuthorityHost: "https://login.other/"}
	if _, err := azureml.Open(good); err == nil || !strings.Contains(err.Error(), "cloud:") || !strings.Contains(err.Error(), "base URL:") {
		t.Errorf("an unknown cloud: %v", err)
	}
}

func wantOutcome(t *testing.T, err error, want pipeline.Outcome) *pipeline.Error {
	t.Helper()
	var e *pipeline.Error
	if !errors.As(err, &e) || e.Outcome != want {
		t.Fatalf("got outcome %d (%v), want %d", pipeline.OutcomeOf(err), err, want)
	}
	return e
}
