package facade_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

// entity and run are what public clients read of the answers, by their own names and types.
type entity struct {
	ID            string `json:"Id"`
	PipelineRunID string `json:"PipelineRunId"`
	PipelineID    string `json:"PipelineId"`
	Status        struct {
		StatusCode   int
		StatusDetail *string
		CreationTime time.Time
		EndTime      *time.Time
	}
	ExperimentName       string
	Tags                 map[string]string
	ParameterAssignments map[string]string
	DataPathAssignments  map[string]struct{ DataStoreName, RelativePath string }
}

type run struct {
	RunID        string     `json:"runId"`
	Status       string     `json:"status"`
	StartTimeUTC *time.Time `json:"startTimeUtc"`
	EndTimeUTC   *time.Time `json:"endTimeUtc"`
	Error        *struct {
		Error struct{ Code, Message string }
	}
	Tags map[string]string
}

type runs struct {
	Value             []run
	ContinuationToken *string
}

// The client of Dynamics 365 keeps the host of its URL alone and has four routes: it cancels what is under way in its
// experiment, submits, and waits.
func TestDynamics365(t *testing.T) {
	w := newWorld(t)
	query := func() (list runs) {
		w.must("POST", history+"/experiments/DemandForecastGeneration/runs:query", `{"filter":"(Status eq Running or Status eq NotStarted or Status eq Queued) and ParentRunId eq null"}`, &list)
		return list
	}
	if list := query(); len(list.Value) != 0 || list.ContinuationToken != nil {
		t.Errorf("before anything was submitted there are %+v", list)
	}
	submission := `{"ExperimentName":"DemandForecastGeneration","ParameterAssignments":{"input_path":"in/1.csv","output_path":"out/{{1}}","horizon":6}}`
	var first, second entity
	w.must("POST", pipelines+"/PipelineRuns/PipelineEndpointSubmit/Id/"+endpoint, submission, &first)
	w.send()
	list := query()
	if len(list.Value) != 1 || list.Value[0].RunID != first.ID || list.Value[0].Status != "Queued" {
		t.Fatalf("under way are %+v", list)
	}
	var none struct{}
	w.must("POST", pipelines+"/PipelineRuns/"+first.ID+"/Cancel", "", &none)
	w.hints()
	made := w.fake.Runs()
	if len(made) != 1 || !made[0].CancelSent {
		t.Fatalf("made are %+v", made)
	}
	w.fake.Finish(made[0].ID, schedule.Canceled, "")
	w.look(first.ID)
	if list := query(); len(list.Value) != 0 {
		t.Errorf("after it was cancelled %+v", list)
	}
	w.now = w.now.Add(time.Minute)
	w.must("POST", pipelines+"/PipelineRuns/PipelineEndpointSubmit/Id/"+endpoint, submission, &second)
	w.send()
	var got []string
	status := func() {
		var details run
		w.must("GET", history+"/runs/"+second.ID+"/details", "", &details)
		got = append(got, details.Status)
	}
	status()
	w.fake.Start(w.fake.Runs()[1].ID)
	w.look(second.ID)
	status()
	w.fake.Finish(w.fake.Runs()[1].ID, schedule.Completed, "")
	w.look(second.ID)
	status()
	if want := []string{"Queued", "Running", "Completed"}; !reflect.DeepEqual(got, want) {
		t.Errorf("its states were %v, want %v", got, want)
	}
	s := w.fake.Runs()[1].Submission
	want := map[string]string{"input_path": "in/1.csv", "output_path": "out/{{1}}", "horizon": "6", "nodes": "forecast"}
	if !reflect.DeepEqual(s.Parameters, want) || s.Experiment != "DemandForecastGeneration" || s.Schedule != "forecast" {
		t.Errorf("it was given %v in experiment %s", s.Parameters, s.Experiment)
	}
}

// A public marketplace submits with tags, an experiment for each customer, and finds its runs by the tags alone.
func TestAClientThatFindsItsRunsByTags(t *testing.T) {
	w := newWorld(t)
	path := pipelines + "/PipelineRuns/PipelineSubmit/" + published
	var made entity
	for _, operation := range []string{"op-1", "op-2"} {
		w.must("POST", path, `{"ExperimentName":"cust-7","RunType":0,"RunSource":"Luna","ParameterAssignments":{"horizon":3},
			"Tags":{"UserId":"me@example.com","SubscriptionId":"cust-7","OperationId":"`+operation+`","PredecessorOperationId":null,"Attempt":1}}`, &made)
		w.now = w.now.Add(time.Second)
	}
	if made.Status.StatusCode != 0 || made.Status.CreationTime.IsZero() || made.Status.EndTime != nil || made.Tags["OperationId"] != "op-2" || made.Tags["Attempt"] != "1" {
		t.Errorf("submitted: %+v", made)
	}
	if _, there := made.Tags["PredecessorOperationId"]; there {
		t.Errorf("a tag without a value is %v", made.Tags)
	}
	find := func(filter string) (list runs) {
		w.must("POST", history+"/experiments/cust-7/runs:query", `{"Filter":"`+filter+`"}`, &list)
		return list
	}
	if list := find("Tags/SubscriptionId eq cust-7 and Tags/OperationId eq op-2"); len(list.Value) != 1 || list.Value[0].RunID != made.ID {
		t.Errorf("found %+v", list)
	}
	if list := find("Tags/SubscriptionId eq cust-7"); len(list.Value) != 2 || list.Value[0].RunID != made.ID {
		t.Errorf("all are %+v", list)
	}
	if list := find("Tags/SubscriptionId eq cust-7 and Tags/OperationId eq none"); len(list.Value) != 0 {
		t.Errorf("none are %+v", list)
	}
	w.send()
	if s := w.fake.Runs()[1].Submission; s.Experiment != "cust-7" {
		t.Errorf("it ran as %+v", s)
	}
	if o := w.occurrence(made.ID); o.Tags["UserId"] != "me@example.com" || o.Kind != schedule.Manual {
		t.Errorf("the occurrence is %+v", o)
	}
}

// Whether a run goes on after a step has failed is the client's to say, and the schedule's where it does not.
func TestWhetherARunGoesOn(t *testing.T) {
	for i, c := range []struct {
		schedule, body string
		want           bool
	}{
		{`"continue_on_step_failure": true`, `{}`, true},
		{`"continue_on_step_failure": true`, `{"ContinueRunOnStepFailure": null}`, true},
		{`"continue_on_step_failure": true`, `{"ContinueRunOnStepFailure": false}`, false},
		{`"status": "Active"`, `{"ContinueRunOnStepFailure": true}`, true},
		{`"status": "Active"`, `{}`, false},
	} {
		w := newWorld(t)
		w.create("unmade", c.schedule)
		w.fake.Put(pipeline.Pipeline{Ref: schedule.PipelineRef{Kind: "local", ID: "unmade"}})
		var made entity
		w.must("POST", pipelines+"/PipelineRuns/PipelineSubmit/"+unmade, c.body, &made)
		w.send()
		if got := w.fake.Runs()[0].Submission.GoesOn(); got != c.want {
			t.Errorf("%d: %s over %s goes on: %t", i, c.body, c.schedule, got)
		}
	}
}

// What Microsoft's own client sends to list the runs of an experiment, and to submit and follow one.
func TestTheSDK(t *testing.T) {
	w := newWorld(t)
	var made entity
	w.must("POST", pipelines+"/PipelineRuns/PipelineEndpointSubmit/Id/"+strings.ToUpper(endpoint), `{
		"ExperimentName": "night / train", "Description": "Pipeline submitted through the SDK", "DisplayName": "x", "RunSource": "SDK", "RunType": "SDK",
		"ParameterAssignments": {}, "DataPathAssignments": {"input_path": {"DataStoreName": "workspaceblobstore", "RelativePath": "in/2026"}},
		"DataSetDefinitionValueAssignments": {}, "Tags": {"k": "v"}, "ContinueRunOnStepFailure": true}`, &made)
	if made.PipelineID != endpoint || made.PipelineRunID != made.ID || made.ExperimentName != "night / train" || made.DataPathAssignments["input_path"].RelativePath != "in/2026" {
		t.Errorf("submitted: %+v", made)
	}
	w.send()
	s := w.fake.Runs()[0].Submission
	if s.DataPath == nil || s.DataPath.Parameter != "input_path" || s.DataPath.Datastore != "workspaceblobstore" || s.DataPath.Path != "in/2026" || !s.DataPath.Folder ||
		!s.GoesOn() || s.Experiment != "night / train" {
		t.Errorf("it ran as %+v, %+v", s, s.DataPath)
	}
	var got entity
	w.must("GET", pipelines+"/PipelineRuns/"+made.ID, "", &got)
	if got.ID != made.ID || got.Status.StatusCode != 0 || got.ParameterAssignments["horizon"] != "24" {
		t.Errorf("got %+v", got)
	}
	for _, c := range []struct {
		filter string
		found  bool
	}{
		{"", true},
		{"(ParentRunId eq null)", true},
		{"(ParentRunId eq null) and (RunType eq azureml.PipelineRun or Properties/azureml.runsource eq azureml.PipelineRun)", true},
		{"(RunType eq azureml.HyperDrive or Properties/azureml.runsource eq azureml.HyperDrive)", false},
		{"(Tags/k eq v)", true},
		{"(Tags/k ne null or Tags/k eq null)", true},
		{"(Tags/none ne null or Tags/none eq null)", false},
		{"(Properties/azureml.pipelineid eq a275bc5d-c04f-442d-9906-ac64497ec17d)", true},
		{"(Properties/azureml.pipelineid eq 579bba1b-6dfa-4806-8a5c-fc0f6d3186e4)", false}, // which stands for the schedule, too
		{"(Status eq Queued)", true},
		{"(Status eq Completed)", false},
		{"(CreatedUtc ge 2026-11-22T12:00:00)", true},
		{"(CreatedUtc ge 2026-11-22T12:00:01)", false},
		{"(RunTypeV2/Orchestrator eq Aether)", false},
		{"(Target eq local)", false},
		{"RunId eq " + made.ID, true},
		{`Hidden eq false and parentRunId eq null and runType eq \"azureml.PipelineRun\"`, true},
	} {
		var list runs
		w.must("POST", history+"/experiments/night%20%2F%20train/runs:query", `{"filter":"`+c.filter+`","top":50,"orderBy":"CreatedUtc desc"}`, &list)
		if len(list.Value) == 1 != c.found {
			t.Errorf("%s: found %+v", c.filter, list.Value)
		}
	}
	for _, experiment := range []string{"night%20%252F%20train", "NIGHT%20%2f%20train"} { // as a Functions host hands it on
		var list runs
		if w.must("POST", history+"/experiments/"+experiment+"/runs:query", "", &list); len(list.Value) != 1 {
			t.Errorf("%s: found %+v", experiment, list.Value)
		}
	}
	var none struct{}
	w.must("DELETE", pipelines+"/PipelineRuns/"+made.ID+"/Execution", "", &none)
	w.hints()
	if !w.fake.Runs()[0].CancelSent {
		t.Error("it was not cancelled")
	}
}

// Scripts send as little as they can; numbers travel as numbers.
func TestScripts(t *testing.T) {
	w := newWorld(t)
	for _, body := range []string{``, `{}`, `{"ParameterAssignments":null,"Tags":null}`, "\ufeff{\"experimentName\":\"own\"}", `{"ExperimentName":" "}`, `{"ExperimentName":"own","ParameterAssignments":{"param_batch_size":50,"on":true,"none":null}}`} {
		var made entity
		w.must("POST", pipelines+"/PipelineRuns/PipelineSubmit/"+scoring, body, &made)
		if made.ExperimentName != "own" {
			t.Errorf("%s: it is in experiment %q", body, made.ExperimentName)
		}
	}
	w.send()
	made := w.fake.Runs()
	if len(made) != 6 {
		t.Fatalf("%d runs were made", len(made))
	}
	with := 0
	for _, r := range made {
		if p := r.Submission.Parameters; p["param_batch_size"] == "50" && p["on"] == "true" && len(p) == 2 {
			with++
		}
	}
	if with != 1 {
		t.Errorf("%d have the parameters", with)
	}
}

func TestASubmissionThatIsRepeated(t *testing.T) {
	w := newWorld(t)
	path := pipelines + "/PipelineRuns/PipelineSubmit/"
	submit := func(id, body, request string) string {
		var made entity
		w.must("POST", path+id, body, &made, "x-ms-client-request-id", request)
		return made.ID
	}
	first := submit(scoring, `{"ParameterAssignments":{"n":"1"}}`, "r1")
	w.send()
	w.now = w.now.Add(10 * time.Minute)
	if again := submit(strings.ToUpper(scoring), `{"ParameterAssignments":{"n":"1"}}`, "r1"); again != first {
		t.Errorf("repeated it is %s, and not %s", again, first)
	}
	for name, other := range map[string]string{
		"another request": submit(scoring, `{"ParameterAssignments":{"n":"1"}}`, "r2"),
		"another body":    submit(scoring, `{"ParameterAssignments":{"n":"2"}}`, "r1"),
		"no request":      submit(scoring, `{"ParameterAssignments":{"n":"1"}}`, ""),
	} {
		if other == first {
			t.Errorf("%s is the first one", name)
		}
	}
	w.send()
	if n := len(w.fake.Runs()); n != 4 {
		t.Errorf("%d runs were made, want 4", n)
	}
	long := strings.Repeat("ä", 500) // as long as Azure takes
	if first, second := submit(scoring, "", long), submit(scoring, "", long); first != second || submit(scoring, "", long+"r") == first {
		t.Errorf("under a long id it is %s, and %s", first, second)
	}
}

// Some clients have one id for everything that they ever do: the same submission a week later is another run, and can be
// repeated itself.
func TestOneRequestIDForEverything(t *testing.T) {
	w := newWorld(t)
	submit := func() string {
		var made entity
		w.must("POST", pipelines+"/PipelineRuns/PipelineSubmit/"+scoring, `{"ExperimentName":"e"}`, &made, "x-ms-client-request-id", "mine")
		return made.ID
	}
	known := map[string]bool{}
	for range 3 {
		w.now = w.now.Add(7 * 24 * time.Hour)
		made := submit()
		if known[made] {
			t.Errorf("%s is that of an earlier week", made)
		}
		known[made] = true
		w.now = w.now.Add(time.Minute)
		if again := submit(); again != made {
			t.Errorf("repeated it is %s, and not %s", again, made)
		}
		w.send()
	}
	if n := len(w.fake.Runs()); n != 3 {
		t.Errorf("%d runs were made, want 3", n)
	}
}
