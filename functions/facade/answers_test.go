package facade_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/functions/facade"
	"carillon/shared/azure/hostdouble"
	"carillon/shared/host"
	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

func (w *world) submitted() (made entity) {
	w.t.Helper()
	w.must("POST", pipelines+"/PipelineRuns/PipelineEndpointSubmit/Id/"+endpoint, `{"ExperimentName":"e","Tags":{"k":"v"}}`, &made)
	return made
}

// Every word and number of a status, with its explanation.
func TestStatuses(t *testing.T) {
	failed := errors.New("the line went dead")
	seen := func(status schedule.Status, text string) func(schedule.Occurrence) schedule.Occurrence {
		return func(o schedule.Occurrence) schedule.Occurrence {
			o = o.Prepared(schedule.Definition{}).Claimed("me", "c", noon).Accepted("run-1", noon)
			return o.Observed(schedule.Observation{Status: status, Started: noon, Ended: noon.Add(time.Minute), Error: text}, noon.Add(2*time.Minute))
		}
	}
	for _, c := range []struct {
		to      func(schedule.Occurrence) schedule.Occurrence
		word    string
		code    int
		ended   bool
		explain string
	}{
		{func(o schedule.Occurrence) schedule.Occurrence { return o }, "NotStarted", 0, false, ""},
		{func(o schedule.Occurrence) schedule.Occurrence { return o.Claimed("me", "c", noon) }, "NotStarted", 0, false, ""},
		{func(o schedule.Occurrence) schedule.Occurrence {
			return o.Claimed("me", "c", noon).Cancelled("me", noon)
		}, "CancelRequested", 0, false, ""},
		{func(o schedule.Occurrence) schedule.Occurrence {
			return seen(schedule.Running, "")(o).Cancelled("me", noon)
		}, "CancelRequested", 1, false, ""},
		{func(o schedule.Occurrence) schedule.Occurrence {
			return o.Claimed("me", "c", noon).Doubtful(failed)
		}, "NotResponding", 1, false, "the line went dead"},
		{seen(schedule.Queued, ""), "Queued", 0, false, ""},
		{seen(schedule.Running, ""), "Running", 1, false, ""},
		{seen(schedule.Completed, ""), "Completed", 3, true, ""},
		{seen(schedule.Failed, "no data"), "Failed", 2, true, "no data"},
		{seen(schedule.Lost, ""), "Failed", 2, true, "it is Lost, and no reason is known"},
		{seen(schedule.Interrupted, "it was stopped"), "Failed", 2, true, "it was stopped"},
		{seen(schedule.Canceled, ""), "Canceled", 4, true, ""},
		{func(o schedule.Occurrence) schedule.Occurrence { return o.Refused(failed, noon) }, "Failed", 2, true, "the line went dead"},
		{func(o schedule.Occurrence) schedule.Occurrence { return o.Skip(schedule.ReasonDisabled, noon) }, "Canceled", 4, true, "skipped (disabled)"},
		{func(o schedule.Occurrence) schedule.Occurrence { return o.CalledOff("me", noon) }, "Canceled", 4, true, "cancelled by me before it was submitted"},
	} {
		w := newWorld(t)
		made := w.submitted()
		w.change(made.ID, func(o schedule.Occurrence) schedule.Occurrence {
			o = c.to(o)
			o.Recorded = noon // so that something is written
			return o
		})
		var e entity
		var d run
		w.must("GET", pipelines+"/PipelineRuns/"+made.ID, "", &e)
		w.must("GET", history+"/experiments/e/runs/"+made.ID+"/details", "", &d)
		if d.Status != c.word || e.Status.StatusCode != c.code || (d.EndTimeUTC != nil) != c.ended || (e.Status.EndTime != nil) != c.ended {
			t.Errorf("%s: got %s, %d, ended %v, want %s, %d, %t", w.occurrence(made.ID).Status, d.Status, e.Status.StatusCode, d.EndTimeUTC, c.word, c.code, c.ended)
		}
		said := ""
		if d.Error != nil {
			said = d.Error.Error.Message
		}
		if said != c.explain || (e.Status.StatusDetail != nil) != (c.explain != "") {
			t.Errorf("%s: said %q, want %q", c.word, said, c.explain)
		}
	}
}

// A run is found by every path of the run history that clients have, whatever experiment they name.
func TestPathsOfARun(t *testing.T) {
	w := newWorld(t)
	made := w.submitted()
	for _, path := range []string{"/runs/ID", "/runs/ID/details", "/experiments/e/runs/ID", "/experiments/_/runs/ID/details", "/experimentids/7f0/runs/ID/Details"} {
		var d run
		w.must("GET", history+strings.ReplaceAll(path, "ID", made.ID), "", &d)
		if d.RunID != made.ID || d.Status != "NotStarted" {
			t.Errorf("%s: %+v", path, d)
		}
	}
	w.refused(404, "GET", history+"/runs/"+made.ID+"/children", "")
}

// The answers as they are written, whole.
func TestBodies(t *testing.T) {
	w := newWorld(t)
	path := pipelines + "/PipelineRuns/PipelineEndpointSubmit/Id/" + endpoint
	_, submitted := w.ask("POST", path, `{"ExperimentName":"e","ParameterAssignments":{"horizon":"{{<&>"},"DataPathAssignments":{"input_path":{"DataStoreName":"d","RelativePath":"in/a.csv"}},"Tags":{"k":"v"}}`)
	var made entity
	if err := json.Unmarshal([]byte(submitted), &made); err != nil {
		t.Fatal(err)
	}
	status, details := w.ask("GET", history+"/runs/"+made.ID+"/details", "")
	if status != 200 {
		t.Fatal(details)
	}
	_, list := w.ask("POST", history+"/experiments/e/runs:query", "{}")
	inHistory := `"runId":"ID","rootRunId":"ID","parentRunId":null,"runType":"azureml.PipelineRun","status":"NotStarted","createdUtc":"2026-11-22T12:00:00.0000000+00:00",` +
		`"startTimeUtc":null,"endTimeUtc":null,"hidden":false,"error":null,"tags":{"k":"v"},` +
		`"properties":{"azureml.pipelineid":"` + endpoint + `","azureml.runsource":"azureml.PipelineRun"}`
	for got, want := range map[string]string{
		submitted: `{"Id":"ID","PipelineRunId":"ID","PipelineId":"` + endpoint + `","RunHistoryExperimentName":"e","ExperimentName":"e",` +
			`"Description":"Started by Carillon for schedule forecast","Status":{"StatusCode":0,"StatusDetail":null,"CreationTime":"2026-11-22T12:00:00.0000000+00:00","EndTime":null},` +
			`"ParameterAssignments":{"horizon":"{{<&>"},"DataPathAssignments":{"input_path":{"DataStoreName":"d","RelativePath":"in/a.csv"}},"DataSetDefinitionValueAssignments":{},` +
			`"RunSource":"SDK","RunUrl":null,"Tags":{"k":"v"},"Properties":{"azureml.pipelineid":"` + endpoint + `","azureml.runsource":"azureml.PipelineRun"},` +
			`"ContinueRunOnStepFailure":false,"IsSubmitted":true,"HasErrors":false,"HasWarnings":false,"EntityStatus":0}`,
		details: `{` + inHistory + `,"createdTimeUtc":"2026-11-22T12:00:00.0000000+00:00","warnings":[],"logFiles":{},"inputDatasets":[],"outputDatasets":[]}`,
		list:    `{"value":[{` + inHistory + `}],"continuationToken":null,"nextLink":null}`,
	} {
		if got := strings.TrimSpace(strings.ReplaceAll(got, made.ID, "ID")); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	submit := pipelines + "/PipelineRuns/PipelineSubmit/" + scoring
	forecast := pipelines + "/PipelineRuns/PipelineSubmit/" + published
	query := history + "/experiments/e/runs:query"
	const stranger = "00000000-0000-4000-8000-000000000000"
	for _, c := range []struct {
		method, path, body string
		status             int
		code, says         string
	}{
		{"POST", pipelines + "/PipelineRuns/PipelineSubmit/" + stranger, "", 404, "NotFound", "add " + stranger + "=schedule-name to CARILLON_FACADE"},
		{"POST", pipelines + "/PipelineRuns/PipelineSubmit/" + unmade, "", 404, "NotFound", "schedule unmade, which CARILLON_FACADE has stand for " + unmade + ", does not exist: create it"},
		{"GET", pipelines + "/PipelineRuns/x", "", 404, "NotFound", `no run "x"`},
		{"GET", history + "/runs/1abc-20261122T120000Z-mabc/details", "", 404, "NotFound", "no run"},
		{"DELETE", pipelines + "/PipelineRuns/x/Execution", "", 404, "NotFound", "no run"},
		{"GET", pipelines + "/Pipelines", "", 404, "NotFound", "answers POST PipelineRuns/PipelineEndpointSubmit/Id/{id}"},
		{"GET", "/api/azureml", "", 404, "NotFound", "it has nothing at"},
		{"PUT", pipelines + "/PipelineRuns/x", "", 405, "MethodNotAllowed", "takes GET, not PUT"},
		{"GET", query, "", 405, "MethodNotAllowed", "takes POST"},
		{"POST", submit, "[]", 400, "UserError", "has to be a JSON object"},
		{"POST", submit, `{"ExperimentName":7}`, 400, "UserError", "cannot be read"},
		{"POST", submit, `{"a":`, 400, "UserError", "cannot be read"},
		{"POST", submit, `{"a":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "RequestEntityTooLarge", "1048576 bytes"},
		{"POST", submit + "?pipelineVersion=2", "", 400, "UserError", "schedule score says which one runs"},
		{"POST", submit, `{"ExperimentName":"` + strings.Repeat("x", 256) + `"}`, 400, "UserError", "ExperimentName"},
		{"POST", submit, `{"ParameterAssignments":{"a":{"b":1}}}`, 400, "UserError", "ParameterAssignments.a: has to be text"},
		{"POST", submit, `{"ParameterAssignments":{"a":"` + strings.Repeat("x", 20000) + `"}}`, 400, "UserError", "ParameterAssignments: may have"},
		{"POST", submit, `{"ParameterAssignments":{"a":"` + strings.Repeat("{", 6000) + `"}}`, 400, "UserError", "ParameterAssignments.a: may have"},
		{"POST", forecast, `{"ParameterAssignments":{"speed":"1"}}`, 400, "UserError", "ParameterAssignments.speed: is no parameter of pipeline local:forecast, which has: horizon, input_path"},
		{"POST", submit, `{"DataSetDefinitionValueAssignments":{"d":{}}}`, 400, "UserError", "Datasets of v1 cannot be given"},
		{"POST", submit, `{"DataPathAssignments":{"a":{},"b":{}}}`, 400, "UserError", "these are a, b"},
		{"POST", submit, `{"DataPathAssignments":{"a":{"DataStoreName":"d","RelativePath":"../x"}}}`, 400, "UserError", "DataPathAssignments.a.RelativePath: may not have . or .."},
		{"POST", submit, `{"DataPathAssignments":{"a":{"DataStoreName":"","RelativePath":"x"}}}`, 400, "UserError", "cannot be a datastore's name"},
		{"POST", submit, `{"DataPathAssignments":{"a b":{"DataStoreName":"d","RelativePath":"x"}}}`, 400, "UserError", "cannot be a parameter's name"},
		{"POST", submit, `{"Tags":{"a":[]}}`, 400, "UserError", `"a" has to be a text`},
		{"POST", submit, `{"Tags":{"a":"` + strings.Repeat("x", 5000) + `"}}`, 400, "UserError", "may have 4096 bytes"},
		{"POST", query, `{"filter":"(status eq"}`, 400, "UserError", "filter: after status one of eq, ne"},
		{"POST", query, `{"filter":"Nonsense eq 1"}`, 400, "UserError", "there are Status, RunId"},
		{"POST", query, `{"top":-1}`, 400, "UserError", "top: has to be 1 or more"},
		{"POST", query, `{"orderBy":"CreatedUtc asc"}`, 400, "UserError", "orderBy"},
		{"POST", query, `{"continuationToken":"mine"}`, 400, "UserError", "continuationToken"},
	} {
		if code, says := w.refused(c.status, c.method, c.path, c.body); code != c.code || !strings.Contains(says, c.says) {
			t.Errorf("%s %s %.100s: got %s, %s", c.method, c.path, c.body, code, says)
		}
	}
	if n := len(w.submits.Take(w.now)); n != 0 {
		t.Errorf("%d were submitted", n)
	}
}

// Runs of schedules that no id stands for are not shown, not cancelled and not listed.
func TestOtherSchedules(t *testing.T) {
	w := newWorld(t)
	record, err := w.db.Schedule(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	o := schedule.Asked(record.Schedule.Value, "", "x", "me", nil, w.now)
	if err := w.db.Add(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	w.refused(404, "GET", history+"/runs/"+o.ID+"/details", "")
	w.refused(404, "GET", pipelines+"/PipelineRuns/"+o.ID, "")
	w.refused(404, "POST", pipelines+"/PipelineRuns/"+o.ID+"/Cancel", "")
	var list runs
	if w.must("POST", history+"/experiments/own/runs:query", "", &list); len(list.Value) != 0 {
		t.Errorf("listed are %+v", list)
	}
}

func TestCancel(t *testing.T) {
	w := newWorld(t)
	var none struct{}
	cancel := func(id string) { w.t.Helper(); w.must("DELETE", pipelines+"/PipelineRuns/"+id+"/Execution", "", &none) }

	waits := w.submitted()
	cancel(waits.ID)
	if o := w.occurrence(waits.ID); o.Status != schedule.Canceled || !strings.Contains(o.Error, "Azure ML v1") {
		t.Errorf("one that waited is %s: %s", o.Status, o.Error)
	}
	w.send()
	if n := len(w.fake.Runs()); n != 0 {
		t.Errorf("%d runs were made", n)
	}
	cancel(waits.ID) // it has ended

	runs := w.submitted()
	w.send()
	cancel(runs.ID)
	w.hints()
	if made := w.fake.Runs(); len(made) != 1 || !made[0].CancelSent {
		t.Errorf("made are %+v", made)
	}
	w.fake.Lose(w.fake.Runs()[0].ID)
	cancel(runs.ID)
	w.function.Targets = nil
	if _, says := w.refused(409, "POST", pipelines+"/PipelineRuns/"+runs.ID+"/Cancel", ""); !strings.Contains(says, "once something is, run "+runs.ID) {
		t.Error(says)
	}
	w.hints()
	if o := w.occurrence(runs.ID); o.Status != schedule.Lost {
		t.Errorf("one that is lost is %s", o.Status)
	}
}

// A client cancels what is under way and submits again, in the very moment in which the first is on its way to the far side:
// that one ends as soon as it is there, and is none of those under way before that.
func TestCancelWhileItIsSubmitted(t *testing.T) {
	w := newWorld(t)
	first := w.submitted()
	var second entity
	listed := func() (ids []string) {
		var list runs
		w.must("POST", history+"/experiments/e/runs:query", `{"filter":"Status eq Running or Status eq NotStarted or Status eq Queued"}`, &list)
		for _, r := range list.Value {
			ids = append(ids, r.RunID)
		}
		return ids
	}
	w.fake.After = func(pipeline.Submission, string) error {
		w.fake.After = nil
		if got := listed(); !slices.Equal(got, []string{first.ID}) {
			t.Errorf("under way are %v", got)
		}
		w.must("POST", pipelines+"/PipelineRuns/"+first.ID+"/Cancel", "", new(struct{}))
		if got := listed(); len(got) != 0 {
			t.Errorf("cancelled, under way are %v", got)
		}
		w.now = w.now.Add(time.Second)
		second = w.submitted()
		return nil
	}
	w.send()
	w.send()
	w.now = w.now.Add(time.Second)
	w.hints()
	made := w.fake.Runs()
	if len(made) != 2 || !made[0].CancelSent || made[1].CancelSent {
		t.Fatalf("made are %+v", made)
	}
	var d run
	if w.must("GET", history+"/runs/"+first.ID+"/details", "", &d); d.Status != "CancelRequested" {
		t.Errorf("it is %s", d.Status)
	}
	w.fake.Finish(made[0].ID, schedule.Canceled, "")
	w.look(first.ID)
	if w.must("GET", history+"/runs/"+first.ID+"/details", "", &d); d.Status != "Canceled" || d.Error != nil {
		t.Errorf("at last it is %s: %+v", d.Status, d.Error)
	}
	if got := listed(); !slices.Equal(got, []string{second.ID}) {
		t.Errorf("at last %v", got)
	}
}

// Lists of several schedules are one, the newest first, on as many pages as it takes.
func TestPages(t *testing.T) {
	w := newWorld(t)
	var want []string
	for i := range 25 {
		id := []string{endpoint, scoring, scoring}[i%3]
		var made entity
		w.must("POST", pipelines+"/PipelineRuns/PipelineSubmit/"+id, `{"ExperimentName":"Same","Tags":{"even":"`+fmt.Sprint(i%2 == 0)+`"}}`, &made)
		w.must("POST", pipelines+"/PipelineRuns/PipelineSubmit/"+id, `{"ExperimentName":"another"}`, new(entity))
		want = append(want, made.ID)
		w.now = w.now.Add(time.Second)
	}
	slices.Reverse(want)
	var even []string
	for i, id := range want {
		if i%2 == 0 {
			even = append(even, id)
		}
	}
	for _, c := range []struct {
		filter string
		top    int
		want   []string
	}{
		{"", 1, want}, {"", 4, want}, {"", 7, want}, {"", 25, want}, {"", 0, want}, {"", 1000, want}, {"Tags/even eq true", 3, even}, {"Tags/even eq none", 3, nil},
	} {
		var got []string
		token := "null"
		for pages := 0; token != "" && pages < 100; pages++ {
			var list runs
			w.must("POST", history+"/experiments/same/runs:query", fmt.Sprintf(`{"filter":%q,"top":%d,"continuationToken":%s,"orderBy":["StartTimeUtc desc","RunId"]}`, c.filter, c.top, token), &list)
			if c.top > 0 && len(list.Value) > c.top {
				t.Errorf("%d at once, want %d", len(list.Value), c.top)
			}
			for _, r := range list.Value {
				got = append(got, r.RunID)
			}
			token = ""
			if list.ContinuationToken != nil {
				token = fmt.Sprintf("%q", *list.ContinuationToken)
			}
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q, %d at once: got %d, want %d in order", c.filter, c.top, len(got), len(c.want))
		}
	}
}

// Of the ids that stand for a schedule each run has the one that was submitted, with a request's id and without, as long as
// that one stands for it; runs that the schedule itself made have the first.
func TestIDs(t *testing.T) {
	w := newWorld(t)
	first := strings.ToLower(published)
	record, err := w.db.Schedule(t.Context(), "forecast")
	if err != nil {
		t.Fatal(err)
	}
	own := schedule.Asked(record.Schedule.Value, "key", "x", "me", nil, w.now)
	if err := w.db.Add(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	is := func(run, want string) {
		t.Helper()
		var got entity
		var list runs
		w.must("GET", pipelines+"/PipelineRuns/"+run, "", &got)
		w.must("POST", history+"/experiments/own/runs:query", `{"filter":"RunId eq `+run+` and Properties/azureml.pipelineid eq `+want+`"}`, &list)
		if got.PipelineID != want || len(list.Value) != 1 {
			t.Errorf("it is of %s, and %d are listed of %s", got.PipelineID, len(list.Value), want)
		}
	}
	is(own.ID, first)
	for _, id := range []string{endpoint, published} {
		for _, headers := range [][]string{nil, {"x-ms-client-request-id", "a|b"}} {
			var made entity
			w.must("POST", pipelines+"/PipelineRuns/PipelineSubmit/"+id, "", &made, headers...)
			if made.PipelineID != strings.ToLower(id) {
				t.Errorf("%s is answered with %s", id, made.PipelineID)
			}
			is(made.ID, strings.ToLower(id))
			if id == endpoint {
				w.function.Schedules[endpoint] = "score"
				is(made.ID, first)
				w.function.Schedules[endpoint] = "forecast"
			}
		}
	}
}

// Runs that the schedule made are listed in its own experiment; times at which it made none are not.
func TestRunsThatNobodyAskedFor(t *testing.T) {
	w := newWorld(t)
	record, err := w.db.Schedule(t.Context(), "score")
	if err != nil {
		t.Fatal(err)
	}
	for i, status := range []schedule.Status{schedule.Waiting, schedule.Skipped} {
		o := schedule.Asked(record.Schedule.Value, "", fmt.Sprint(i), "", nil, w.now)
		o.Kind = schedule.Scheduled
		if status == schedule.Skipped {
			o = o.Skip(schedule.ReasonCalendar, w.now)
		}
		if err := w.db.Add(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	var list runs
	if w.must("POST", history+"/experiments/own/runs:query", "", &list); len(list.Value) != 1 || list.Value[0].Status != "NotStarted" {
		t.Errorf("listed are %+v", list)
	}
}

func TestOff(t *testing.T) {
	w := newWorld(t)
	w.function.Schedules = nil
	if _, says := w.refused(404, "POST", pipelines+"/PipelineRuns/PipelineSubmit/"+scoring, ""); !strings.Contains(says, "set CARILLON_FACADE=") {
		t.Error(says)
	}
	for _, path := range []string{"/api/schedules", "/api/azuremlx/a", "/api", "/"} {
		if status, _ := w.ask("GET", path, ""); status != http.StatusTeapot {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func TestParse(t *testing.T) {
	got, err := facade.Parse(" " + strings.ToUpper(endpoint) + " = a , " + scoring + "=b,,")
	if want := map[string]string{endpoint: "a", scoring: "b"}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := facade.Parse(""); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
	for setting, want := range map[string]string{
		"a=b": "has to be the id of a v1 pipeline", endpoint: "has to be the id", endpoint + "=": "cannot be a schedule's name", endpoint + "=a b": "cannot be a schedule's name",
		endpoint + "=a," + strings.ToUpper(endpoint) + "=b": "stands there twice",
	} {
		if _, err := facade.Parse(setting); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", setting, err)
		}
	}
}

// The function's routes take what v1's clients send, its methods are those of the routes, and a key to operate is enough.
func TestInStep(t *testing.T) {
	data, err := os.ReadFile("function.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Bindings []struct {
			Route, AuthLevel string
			Methods          []string
		}
	}
	if err := json.Unmarshal(data, &f); err != nil || f.Bindings[0].AuthLevel != "function" {
		t.Fatalf("%+v, %v", f, err)
	}
	for _, c := range []struct {
		method, path string
		want         host.Right
	}{
		{"POST", pipelines + "/PipelineRuns/PipelineEndpointSubmit/Id/x", host.Operate}, {"POST", pipelines + "/PipelineRuns/PipelineSubmit/x", host.Operate},
		{"GET", pipelines + "/PipelineRuns/x", host.List}, {"DELETE", pipelines + "/PipelineRuns/x/Execution", host.Operate},
		{"POST", pipelines + "/PipelineRuns/x/Cancel", host.Operate}, {"GET", history + "/runs/x/details", host.List},
		{"POST", history + "/experiments/night%20train/runs:query", host.Operate}, {"POST", strings.Replace(history, "azureml", "AzureML", 1) + "/experiments/x/runs:query", host.Operate},
		{"DELETE", "/api/schedules/azureml", host.Author}, {"POST", "/api/azureml", host.Author}, {"POST", "/api/azuremlx/y", host.Author},
	} {
		if right := host.RightFor(httptest.NewRequest(c.method, c.path, nil)); right != c.want {
			t.Errorf("%s %s takes the right to %v, want %v", c.method, c.path, right, c.want)
		}
		if below := strings.HasPrefix(strings.ToLower(c.path), host.FacadePath+"/"); below &&
			!(slices.Contains(f.Bindings[0].Methods, strings.ToLower(c.method)) && hostdouble.RouteTakes(f.Bindings[0].Route, strings.TrimPrefix(c.path, "/api/"))) {
			t.Errorf("%s %s is not taken by the function", c.method, c.path)
		} else if below && !slices.ContainsFunc(host.FacadeRoots, func(root string) bool { return strings.HasPrefix(c.path[len(host.FacadePath):], root) }) {
			t.Errorf("%s is below none of the roots", c.path)
		}
	}
}
