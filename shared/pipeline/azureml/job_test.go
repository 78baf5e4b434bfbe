package azureml_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/pipeline/azureml"
	"carillon/shared/pipeline/azureml/azuremltest"
	"carillon/shared/schedule"
)

const workspaceID = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/bells/providers/Microsoft.MachineLearningServices/workspaces/tower"

func TestAJobOnTheWire(t *testing.T) {
	f := newFar(t)
	s := of(azureml.PipelineJob, "component:train:1", "abc-20260101T000000Z")
	s.Name, s.Experiment, s.ContinueOnStepFailure = "_abc-20260101T000000Z", "night / train", new(true)
	s.Parameters = map[string]string{"who": "mltable:me", "times": "7"}
	s.DataPath = &pipeline.DataPath{Parameter: "data", Datastore: "inbox", Path: "a b/c.csv"}
	id, r := f.submit(t, s)
	if id != "carillon-_abc-20260101T000000Z" || r.Experiment != s.Experiment || !r.ContinueOnStepFailure || r.Job.Component != "train:1" {
		t.Errorf("the job is %+v", r)
	}
	want := map[string]azuremltest.Input{
		"who": {Type: "literal", Value: "mltable:me"}, "times": {Type: "literal", Value: "7"},
		"data": {Type: "uri_file", Value: "azureml://datastores/inbox/paths/a b/c.csv"},
	}
	if !reflect.DeepEqual(r.Job.Inputs, want) {
		t.Errorf("inputs %+v, want %+v", r.Job.Inputs, want)
	}
	if r.Tags["carillon_occurrence"] != s.Occurrence || r.Tags["carillon_schedule"] != "nightly" || r.Job.Definition["displayName"] != "nightly" {
		t.Errorf("it bears %v and %v", r.Tags, r.Job.Definition)
	}
	if out := r.Job.Definition["outputs"]; !reflect.DeepEqual(out, map[string]any{"model": map[string]any{"jobOutputType": "uri_folder"}}) {
		t.Errorf("outputs %v", out)
	}
	if settings := r.Job.Definition["settings"]; !reflect.DeepEqual(settings, map[string]any{"continue_on_step_failure": true}) {
		t.Errorf("settings %v", settings)
	}
}

// What a schedule says of outputs, settings and modes stands in the job in the resource manager's words.
func TestOutputsAndSettingsOfAJob(t *testing.T) {
	f := newFar(t)
	f.AddJob("done", "Completed", finished())
	for pipelineID, want := range map[string]map[string]any{
		"component:train:1": {
			"inputs":  map[string]any{"data": map[string]any{"jobInputType": "uri_file", "uri": "azureml://datastores/d/paths/a", "mode": "EvalMount"}},
			"outputs": map[string]any{"model": map[string]any{"jobOutputType": "uri_folder", "mode": "Upload", "uri": "azureml://datastores/d/paths/m/"}},
			"settings": map[string]any{
				"default_compute": workspaceID + "/computes/gpu", "default_datastore": workspaceID + "/datastores/d", "force_rerun": true,
				"continue_on_step_failure": false,
			},
		},
		"job:done": {
			"outputs": map[string]any{
				"model":  map[string]any{"jobOutputType": "uri_folder", "mode": "Upload", "uri": "azureml://datastores/d/paths/m/"},
				"chosen": map[string]any{"jobOutputType": "uri_file", "mode": "Upload", "uri": "azureml://datastores/w/paths/scores.csv"},
				"none":   map[string]any{"jobOutputType": "uri_file"},
			},
			"settings": map[string]any{
				"default_compute": workspaceID + "/computes/gpu", "default_datastore": workspaceID + "/datastores/d", "force_rerun": true,
				"continue_on_step_failure": true,
			},
		},
	} {
		s := of(azureml.PipelineJob, pipelineID, strings.ReplaceAll(pipelineID, ":", "-"))
		s.Parameters = map[string]string{"data": "uri_file(eval_mount):azureml://datastores/d/paths/a"}
		s.Outputs = map[string]string{"model": "uri_folder(upload):azureml://datastores/d/paths/m/"}
		s.Settings = map[string]json.RawMessage{"default_compute": []byte(`"azureml:gpu"`), "default_datastore": []byte(`"d"`), "force_rerun": []byte("true")}
		_, r := f.submit(t, s)
		for key, want := range want {
			if !reflect.DeepEqual(r.Job.Definition[key], want) {
				t.Errorf("%s: %s: got %v, want %v", pipelineID, key, r.Job.Definition[key], want)
			}
		}
	}
	p, err := f.targets[azureml.PipelineJob].Get(t.Context(), schedule.PipelineRef{Kind: azureml.PipelineJob, ID: "component:train:1"})
	if err != nil || !p.Places || !p.Settings || p.Deployed || !reflect.DeepEqual(p.Outputs, map[string]string{"model": "uri_folder"}) {
		t.Errorf("%+v, %v", p, err)
	}
}

// Whether steps go on is a schedule's to say; where it does not, a template's own setting stays.
func TestWhetherStepsOfAJobGoOn(t *testing.T) {
	f := newFar(t)
	for name, own := range map[string]any{"on": true, "off": false, "silent": nil} {
		job := finished()
		if job["settings"] = map[string]any{}; own != nil {
			job["settings"] = map[string]any{"continue_on_step_failure": own}
		}
		f.AddJob(name, "Completed", job)
	}
	for i, c := range []struct {
		pipelineID string
		said       *bool
		want       any
	}{
		{"job:on", nil, true}, {"job:off", nil, false}, {"job:silent", nil, nil}, {"component:train:1", nil, false},
		{"job:on", new(false), false}, {"job:off", new(true), true}, {"job:silent", new(false), false}, {"component:train:1", new(true), true},
	} {
		s := of(azureml.PipelineJob, c.pipelineID, fmt.Sprint("a", i))
		s.ContinueOnStepFailure = c.said
		_, r := f.submit(t, s)
		if settings := r.Job.Definition["settings"].(map[string]any); settings["continue_on_step_failure"] != c.want {
			t.Errorf("%+v: settings %v", c, settings)
		}
	}
}

func TestPartsThatNoJobHas(t *testing.T) {
	f := newFar(t)
	for name, c := range map[string]struct {
		pipeline schedule.PipelineRef
		change   func(*pipeline.Submission)
		says     string
	}{
		"an output": {schedule.PipelineRef{Kind: azureml.PipelineJob, ID: "component:train:1"}, func(s *pipeline.Submission) {
			s.Outputs = map[string]string{"scores": ""}
		}, "no output scores; it has: model"},
		"a mode": {schedule.PipelineRef{Kind: azureml.PipelineJob, ID: "component:train:1"}, func(s *pipeline.Submission) {
			s.Parameters = map[string]string{"data": "uri_file(upload):azureml://datastores/d/paths/a"}
		}, "data cannot have the mode upload: there are direct, download,"},
		"an output's mode": {schedule.PipelineRef{Kind: azureml.PipelineJob, ID: "component:train:1"}, func(s *pipeline.Submission) {
			s.Outputs = map[string]string{"model": "uri_folder(ro_mount):"}
		}, "model cannot have the mode ro_mount: there are direct, rw_mount, upload"},
		"a mode of a call": {schedule.PipelineRef{Kind: azureml.BatchEndpoint, ID: "train"}, func(s *pipeline.Submission) {
			s.Outputs = map[string]string{"model": "uri_folder(upload):"}
		}, "model has the mode upload, and a call of a batch endpoint has none"},
	} {
		s := of(c.pipeline.Kind, c.pipeline.ID, "a")
		c.change(&s)
		_, err := f.targets[c.pipeline.Kind].Submit(t.Context(), s)
		if wantOutcome(t, err, pipeline.Refused); !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if f.Submissions("a") != 0 {
		t.Error("something was sent")
	}
}

func TestTheComputeOfAJob(t *testing.T) {
	for compute, want := range map[string]string{"cluster": workspaceID + "/computes/cluster", "serverless": "serverless"} {
		f := newFar(t)
		config := f.config()
		config.Compute = compute
		w, err := azureml.Open(config)
		if err != nil {
			t.Fatal(err)
		}
		f.targets = w.Targets()
		_, r := f.submit(t, of(azureml.PipelineJob, "component:train:1", "a"))
		if settings := r.Job.Definition["settings"].(map[string]any); settings["default_compute"] != want {
			t.Errorf("%s: settings %v", compute, settings)
		}
	}
}

// Steps without a compute of their own need the job's, from the settings of Carillon or of the schedule.
func TestAJobWithoutCompute(t *testing.T) {
	for _, c := range []struct {
		compute string
		setting string
		refused bool
	}{{"", "", true}, {"cluster", "", false}, {"", `"serverless"`, false}} {
		f := newFar(t)
		f.PutComponent(azuremltest.Component{Name: "bare", Version: "1", NoCompute: true})
		config := f.config()
		config.Compute = c.compute
		w, err := azureml.Open(config)
		if err != nil {
			t.Fatal(err)
		}
		s := of(azureml.PipelineJob, "component:bare:1", "a")
		if c.setting != "" {
			s.Settings = map[string]json.RawMessage{"default_compute": []byte(c.setting)}
		}
		_, err = w.Targets()[azureml.PipelineJob].Submit(t.Context(), s)
		if (err != nil) != c.refused || c.refused && (pipeline.OutcomeOf(err) != pipeline.Refused || !strings.Contains(err.Error(), "no default_compute")) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestTheLatestVersion(t *testing.T) {
	f := newFar(t)
	for _, want := range []string{"train:1", "train:2"} {
		_, r := f.submit(t, of(azureml.PipelineJob, "component:train@latest", "of-"+strings.ReplaceAll(want, ":", "-")))
		if r.Job.Component != want {
			t.Errorf("it runs %s, want %s", r.Job.Component, want)
		}
		f.PutComponent(azuremltest.Component{Name: "train", Version: "2"})
	}
	if n := f.Asked(azuremltest.ListVersions); n != 2 {
		t.Errorf("the latest was asked for %d times", n)
	}
	for range 3 {
		f.submit(t, of(azureml.PipelineJob, "component:train:1", "c"))
	}
	if n := f.Asked(azuremltest.GetVersion); n != 1 {
		t.Errorf("a version, which never changes, was read %d times", n)
	}
}

// finished is an earlier job as the resource manager shows it.
func finished() map[string]any {
	return map[string]any{
		"jobType": "Pipeline", "displayName": "by hand", "description": "of old", "experimentName": "trials", "isArchived": false, "computeId": nil,
		"identity": map[string]any{"identityType": "UserIdentity"}, "services": map[string]any{}, "status": "Completed", "sourceJobId": nil,
		"tags": map[string]any{"carillon_occurrence": "another"}, "properties": map[string]any{"azureml.runsource": "azureml.PipelineRun"},
		"settings": map[string]any{"default_compute": "serverless", "force_rerun": true, "continue_on_step_failure": true},
		"jobs":     map[string]any{"step": map[string]any{"type": "command", "componentId": "x"}},
		"inputs": map[string]any{
			"who":  map[string]any{"description": nil, "jobInputType": "literal", "value": "world"},
			"data": map[string]any{"description": nil, "jobInputType": "uri_folder", "uri": "azureml://datastores/d/paths/in/", "mode": "Download"},
			"kept": map[string]any{"description": nil, "jobInputType": "mltable", "uri": "azureml:t:1", "mode": nil},
		},
		"outputs": map[string]any{
			"model":  map[string]any{"jobOutputType": "uri_folder", "mode": "ReadWriteMount", "uri": "azureml://datastores/w/paths/azureml/done/model/"},
			"chosen": map[string]any{"jobOutputType": "uri_file", "mode": "Upload", "uri": "azureml://datastores/w/paths/scores.csv"},
			"none":   map[string]any{"jobOutputType": "uri_file", "mode": nil, "uri": nil},
		},
	}
}

func TestAJobOfATemplate(t *testing.T) {
	f := newFar(t)
	f.AddJob("done", "Completed", finished())
	s := of(azureml.PipelineJob, "job:done", "a")
	s.Parameters = map[string]string{"who": "you"}
	s.DataPath = &pipeline.DataPath{Parameter: "data", Datastore: "inbox", Path: "b.csv"}
	_, r := f.submit(t, s)
	d := r.Job.Definition
	for key, want := range map[string]any{
		"inputs": map[string]any{
			"who":  map[string]any{"jobInputType": "literal", "value": "you"},
			"data": map[string]any{"jobInputType": "uri_file", "uri": "azureml://datastores/inbox/paths/b.csv", "mode": "Download"},
			"kept": map[string]any{"jobInputType": "mltable", "uri": "azureml:t:1"},
		},
		"outputs": map[string]any{
			"model":  map[string]any{"jobOutputType": "uri_folder", "mode": "ReadWriteMount"},
			"chosen": map[string]any{"jobOutputType": "uri_file", "mode": "Upload", "uri": "azureml://datastores/w/paths/scores.csv"},
			"none":   map[string]any{"jobOutputType": "uri_file"},
		},
		"settings":       finished()["settings"],
		"jobs":           finished()["jobs"],
		"identity":       finished()["identity"],
		"experimentName": "suite",
		"tags":           map[string]any{"carillon_occurrence": "a", "carillon_schedule": "nightly"},
		"computeId":      nil,
	} {
		if !reflect.DeepEqual(d[key], want) {
			t.Errorf("%s: got %v, want %v", key, d[key], want)
		}
	}
	p, err := f.targets[azureml.PipelineJob].Get(t.Context(), s.Pipeline)
	if err != nil || p.Name != "by hand" || p.Description != "of old" || p.Problem != "" || len(p.Required) != 0 ||
		!reflect.DeepEqual(p.Parameters, map[string]string{"who": "world", "data": "azureml://datastores/d/paths/in/", "kept": "azureml:t:1"}) {
		t.Errorf("%+v, %v", p, err)
	}
}

// A schedule that holds the job itself is a template, also when it is disabled: nothing of it is lost.
func TestAJobOfASchedule(t *testing.T) {
	f := newFar(t)
	held := finished()
	for _, key := range []string{"displayName", "status", "services", "sourceJobId"} {
		delete(held, key)
	}
	f.PutV2ScheduleOf("daily", "", map[string]any{
		"isEnabled": false, "trigger": map[string]any{"triggerType": "Cron", "expression": "0 9 * * *"},
		"action": map[string]any{"actionType": "CreateJob", "jobDefinition": held},
	})
	f.PutV2ScheduleOf("monitor", "", map[string]any{"action": map[string]any{"actionType": "CreateMonitor"}})
	s := of(azureml.PipelineJob, "schedule:daily", "a")
	s.Parameters = map[string]string{"who": "you"}
	_, r := f.submit(t, s)
	for key, want := range map[string]any{"jobs": held["jobs"], "identity": held["identity"], "experimentName": "suite"} {
		if !reflect.DeepEqual(r.Job.Definition[key], want) {
			t.Errorf("%s: got %v, want %v", key, r.Job.Definition[key], want)
		}
	}
	if in := r.Job.Inputs; in["who"].Value != "you" || in["kept"].Value != "azureml:t:1" {
		t.Errorf("inputs %v", in)
	}
	for name, says := range map[string]string{"monitor": "what schedule monitor makes is no pipeline job", "gone": "not found"} {
		_, err := f.targets[azureml.PipelineJob].Submit(t.Context(), of(azureml.PipelineJob, "schedule:"+name, name))
		if wantOutcome(t, err, pipeline.Refused); !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p, err := f.targets[azureml.PipelineJob].Get(t.Context(), s.Pipeline)
	if err != nil || p.Name != "schedule:daily" || p.Problem != "" || p.Parameters["who"] != "world" || p.Outputs["model"] != "uri_folder" {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestJobsThatAreRefused(t *testing.T) {
	f := newFar(t)
	f.PutComponent(
		azuremltest.Component{Name: "step", Version: "1", Type: "command"},
		azuremltest.Component{Name: "needy", Version: "1", Inputs: map[string]azuremltest.ComponentInput{
			"a": {Type: "uri_file"}, "b": {Type: "string"}, "c": {Type: "number", Default: "1"},
		}},
	)
	f.AddJob("sweep", "Completed", map[string]any{"jobType": "Sweep"})
	f.AddJob("done", "Completed", finished())
	for _, c := range []struct {
		id     string
		change func(*pipeline.Submission)
		want   string
	}{
		{"component:step:1", nil, "is a command component"},
		{"job:sweep", nil, "is no pipeline job"},
		{"component:needy:1", nil, "needs a value for a, b"},
		{"component:needy:1", func(s *pipeline.Submission) {
			s.Parameters = map[string]string{"b": "x", "d": "1", "e": "2"}
			s.DataPath = &pipeline.DataPath{Parameter: "a", Datastore: "inbox"}
		}, "has no input d, e; it has: a, b, c"},
		{"component:needy:1", func(s *pipeline.Submission) {
			s.DataPath = &pipeline.DataPath{Parameter: "b", Datastore: "inbox"}
		}, "its input b is a string"},
		{"job:done", func(s *pipeline.Submission) { s.Parameters = map[string]string{"whom": "you"} }, "has no input whom; it has: data, kept, who"},
		{"component:train", nil, "component:NAME@latest"},
		{"component:train:1/../2", nil, "component:NAME:VERSION"},
		{"component:gone:1", nil, "not found"},
		{"job:gone", nil, "not found"},
		{"component:train:1", func(s *pipeline.Submission) { s.Name = "a/b" }, "cannot name a job"},
		{"component:train:1", func(s *pipeline.Submission) { s.Name = strings.Repeat("a", 65) }, "cannot name a job"},
		{"component:train:1", func(s *pipeline.Submission) { s.Occurrence = "a,b=c" }, "cannot be a run's tag"},
	} {
		s := of(azureml.PipelineJob, c.id, "a")
		if c.change != nil {
			c.change(&s)
		}
		_, err := f.targets[azureml.PipelineJob].Submit(t.Context(), s)
		if wantOutcome(t, err, pipeline.Refused); !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", c.id, err, c.want)
		}
	}
	if n := f.Asked(azuremltest.PutJob); n != 0 {
		t.Errorf("%d jobs were sent", n)
	}
}

// outcomes of a request to start a run, after which the name or Again prevents a second one.
func TestOutcomesOfV2(t *testing.T) {
	type fault = azuremltest.Fault
	for _, c := range []struct {
		name  string
		fault fault
		want  pipeline.Outcome
		after time.Duration
		made  int
	}{
		{"bad request", fault{Status: 400}, pipeline.Refused, 0, 0},
		{"no token", fault{Status: 401}, pipeline.NotDone, 0, 0},
		{"no role", fault{Status: 403}, pipeline.NotDone, 0, 0},
		{"not there", fault{Status: 404}, pipeline.Refused, 0, 0},
		{"timeout of a gateway", fault{Status: 408}, pipeline.Repeat, 0, 0},
		{"conflict", fault{Status: 409}, pipeline.Repeat, 0, 0},
		{"not valid", fault{Status: 422}, pipeline.Refused, 0, 0},
		{"throttled", fault{Status: 429, RetryAfter: "7"}, pipeline.NotDone, 7 * time.Second, 0},
		{"throttled for no stated time", fault{Status: 429}, pipeline.Repeat, 0, 0},
		{"broken before", fault{Status: 500}, pipeline.Repeat, 0, 0},
		{"broken after", fault{Status: 500, AfterWork: true}, pipeline.Repeat, 0, 1},
		{"busy", fault{Status: 503, RetryAfter: "120"}, pipeline.Repeat, 2 * time.Minute, 0},
		{"busy, after the work", fault{Status: 503, RetryAfter: "120", AfterWork: true}, pipeline.Repeat, 2 * time.Minute, 1},
		{"busy for no stated time", fault{Status: 503}, pipeline.Repeat, 0, 0},
		{"gateway's timeout", fault{Status: 504, AfterWork: true}, pipeline.Repeat, 0, 1},
		{"an error page", fault{Status: 502, Body: "<html>"}, pipeline.Repeat, 0, 0},
		{"connection lost before", fault{Drop: true}, pipeline.Repeat, 0, 0},
		{"connection lost after", fault{Drop: true, AfterWork: true}, pipeline.Repeat, 0, 1},
		{"answer cut", fault{Drop: true, Status: 201, AfterWork: true}, pipeline.Repeat, 0, 1},
		{"answer without name", fault{Status: 201, Body: "{}", AfterWork: true}, pipeline.Repeat, 0, 1},
		{"answer of another sort", fault{Status: 201, Body: "thanks", AfterWork: true}, pipeline.Repeat, 0, 1},
		{"sent elsewhere", fault{Status: 307, Location: "https://evil.example/"}, pipeline.Repeat, 0, 0},
	} {
		for kind, to := range map[string]struct {
			id string
			op azuremltest.Op
		}{azureml.BatchEndpoint: {"train", azuremltest.Invoke}, azureml.PipelineJob: {"component:train:1", azuremltest.PutJob}} {
			check := func(t *testing.T, f far) {
				f.Fail(to.op, c.fault)
				s := of(kind, to.id, "a")
				id, err := f.targets[kind].Submit(t.Context(), s)
				want, after := c.want, c.after
				if kind == azureml.PipelineJob && c.fault.Status == 409 {
					want = pipeline.NotDone // it was looked for, and is not there
				}
				if kind == azureml.BatchEndpoint && want == pipeline.Repeat {
					after = 6 * time.Minute // by then a run is to be seen
				}
				e := wantOutcome(t, err, want)
				if id != "" || e.RetryAfter != after || f.Submissions("a") != c.made || f.Asked(to.op) != 1 {
					t.Errorf("got id %q, after %v, %d runs after %d requests: %v", id, e.RetryAfter, f.Submissions("a"), f.Asked(to.op), e)
				}
				if errors.Is(err, pipeline.ErrNotFound) != (c.fault.Status == 404) {
					t.Errorf("wraps ErrNotFound or not: %v", err)
				}
				if want == pipeline.NotDone || kind == azureml.PipelineJob && want == pipeline.Repeat {
					s.Again = want == pipeline.Repeat
					if id, err := f.targets[kind].Submit(t.Context(), s); err != nil || id == "" || f.Submissions("a") != 1 {
						t.Errorf("the next try: %q, %v; %d runs", id, err, f.Submissions("a"))
					}
				}
			}
			t.Run(c.name+", "+kind, func(t *testing.T) { check(t, newFar(t)) })
			t.Run(c.name+", HTTP/2, "+kind, func(t *testing.T) { check(t, newFarOn(t, azuremltest.StartHTTP2(t))) })
		}
	}
}

// A job that an earlier try has made is found by its name, whatever has become of what it was made of.
func TestAJobThatIsThere(t *testing.T) {
	f := newFar(t)
	target := f.targets[azureml.PipelineJob]
	s := of(azureml.PipelineJob, "component:train:1", "a")
	id, _ := f.submit(t, s)
	for range 2 {
		if got, err := target.Submit(t.Context(), s); err != nil || got != id {
			t.Errorf("the same again: %s, %v", got, err)
		}
	}
	s.Pipeline.ID = "component:wait:1"
	if got, err := target.Submit(t.Context(), s); err != nil || got != id {
		t.Errorf("another of the name: %s, %v", got, err)
	}
	s.Pipeline.ID = "component:gone:1"
	if got, err := target.Submit(t.Context(), again(s)); err != nil || got != id {
		t.Errorf("again, without its component: %s, %v", got, err)
	}
	f.Fail(azuremltest.GetJob, azuremltest.Fault{Status: 503, RetryAfter: "8"})
	_, err := target.Submit(t.Context(), again(s))
	if e := wantOutcome(t, err, pipeline.NotDone); e.RetryAfter != 8*time.Second {
		t.Errorf("after %v", e.RetryAfter)
	}
	s.Pipeline.ID = "component:wait:1"
	f.Fail(azuremltest.GetJob, azuremltest.Fault{Status: 500})
	_, err = target.Submit(t.Context(), s)
	wantOutcome(t, err, pipeline.NotDone)
	if f.Submissions("a") != 1 {
		t.Errorf("%d runs", f.Submissions("a"))
	}
}

func TestAJobOfSomebodyElse(t *testing.T) {
	for _, again := range []bool{false, true} {
		f := newFar(t)
		f.AddJob("carillon-a", "Completed", finished())
		s := of(azureml.PipelineJob, "component:train:1", "a")
		s.Again = again
		_, err := f.targets[azureml.PipelineJob].Submit(t.Context(), s)
		if wantOutcome(t, err, pipeline.Refused); !strings.Contains(err.Error(), "does not bear the tag") {
			t.Errorf("%v", err)
		}
		if len(f.Runs()) != 1 {
			t.Errorf("%d jobs", len(f.Runs()))
		}
	}
}

func TestCallsOfV2ThatAreOver(t *testing.T) {
	for kind, to := range map[string]struct {
		id string
		op azuremltest.Op
	}{azureml.BatchEndpoint: {"train", azuremltest.Invoke}, azureml.PipelineJob: {"component:train:1", azuremltest.PutJob}} {
		f := newFar(t)
		ctx, cancel := context.WithCancel(t.Context())
		f.Fail(to.op, azuremltest.Fault{AfterWork: true, Hold: func(far context.Context) { cancel(); <-far.Done() }})
		_, err := f.targets[kind].Submit(ctx, of(kind, to.id, "a"))
		if wantOutcome(t, err, pipeline.Repeat); !errors.Is(err, context.Canceled) || f.Submissions("a") != 1 {
			t.Errorf("%s, cancelled on the way: %v", kind, err)
		}
		_, err = f.targets[kind].Submit(ctx, of(kind, to.id, "b"))
		if wantOutcome(t, err, pipeline.NotDone); !errors.Is(err, context.Canceled) || f.Asked(to.op) != 1 {
			t.Errorf("%s, cancelled before: %v", kind, err)
		}
	}
}
