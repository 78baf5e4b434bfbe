package main

import (
	"strings"
	"testing"
	"time"
)

// A client of Azure ML v1 that keeps nothing but the host of its URL finds its routes on a plain machine: it submits, looks,
// cancels what is under way, and submits again.
func TestClientThatKeepsTheHost(t *testing.T) {
	const (
		id        = "a275bc5d-c04f-442d-9906-ac64497ec17d"
		workspace = "/v1.0/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
	)
	t.Setenv("CARILLON_FACADE", id+"=forecast")
	data := t.TempDir()
	addPipeline(t, data, "forecast", `test "$CARILLON_PARAM_INPUT" = quick || sleep 600`, "input")
	p := start(t, data)
	p.must("POST", "/api/schedules", strings.Replace(definition("forecast", "forecast", 15, 0), "{", `{"status": "Disabled", "parameters": {"input": "slow"}, `, 1), nil)
	submit := func(body string) string {
		var made struct{ ID string }
		p.must("POST", "/pipelines"+workspace+"/PipelineRuns/PipelineEndpointSubmit/Id/"+id, body, &made)
		return made.ID
	}
	await := func(id, want string) {
		t.Helper()
		var run struct{ Status string }
		for deadline := time.Now().Add(time.Minute); run.Status != want && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			p.must("GET", "/history"+workspace+"/runs/"+id+"/details", "", &run)
		}
		if run.Status != want {
			t.Fatalf("run %s is %s, not %s:\n%s", id, run.Status, want, p.logged())
		}
	}
	first := submit(`{"ExperimentName":"Demand"}`)
	await(first, "Running")
	var underWay struct{ Value []struct{ RunID string } }
	p.must("POST", "/history"+workspace+"/experiments/Demand/runs:query", `{"filter":"Status eq Running or Status eq Queued"}`, &underWay)
	if len(underWay.Value) != 1 || underWay.Value[0].RunID != first {
		t.Fatalf("under way are %+v", underWay.Value)
	}
	p.must("POST", "/pipelines"+workspace+"/PipelineRuns/"+first+"/Cancel", "", nil)
	await(submit(`{"ExperimentName":"Demand","ParameterAssignments":{"input":"quick"}}`), "Completed")
	await(first, "Canceled")
	p.stop()
}
