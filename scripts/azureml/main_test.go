package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/pipeline/azureml"
	"carillon/shared/pipeline/azureml/azuremltest"
	"carillon/shared/schedule"
)

// emulator is the workspace, and what it prints.
func emulator(t *testing.T) (workspace *azuremltest.Service, url, printed string) {
	workspace = azuremltest.New()
	workspace.Complain = func(complaint string) { t.Error("the workspace: " + complaint) }
	fill(workspace)
	server := httptest.NewServer(handler(workspace))
	t.Cleanup(server.Close)
	var out strings.Builder
	tell(&out, workspace, server.URL)
	return workspace, server.URL, out.String()
}

func targets(t *testing.T, workspace *azuremltest.Service, url string) map[string]pipeline.Target {
	w, err := azureml.Open(azureml.Config{
		Subscription: workspace.Subscription, ResourceGroup: workspace.ResourceGroup, Workspace: workspace.Workspace,
		BaseURL: url, Credential: &azuremltest.Credential{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return w.Targets()
}

var printedRef = regexp.MustCompile(`\{kind: ([a-z_]+), id: "?([^"}]+)"?\}`)

// Everything that is printed can be run, with the data asset that is, and comes to the end that it is said to have.
func TestWhatThereIsToRun(t *testing.T) {
	workspace, url, printed := emulator(t)
	kinds := targets(t, workspace, url)
	now := time.Now().UTC()
	workspace.Now = func() time.Time { return now }
	refs := printedRef.FindAllStringSubmatch(printed, -1)
	if len(refs) != 6 {
		t.Fatalf("%d things to run: %s", len(refs), printed)
	}
	for i, found := range refs {
		kind, id := found[1], found[2]
		s := pipeline.Submission{Name: "n" + string(rune('a'+i)), Occurrence: "o" + string(rune('a'+i)), Experiment: "e", Pipeline: schedule.PipelineRef{Kind: kind, ID: id}}
		s.Parameters = map[string]string{"epochs": "4"}
		if kind == azureml.BatchEndpoint || strings.HasPrefix(id, "component:") {
			s.Parameters["data"] = "azureml:heart@latest"
		}
		run, err := kinds[kind].Submit(t.Context(), s)
		if err != nil {
			t.Errorf("%s:%s: %v", kind, id, err)
			continue
		}
		for range 8 {
			workspace.Advance(func(r *azuremltest.Run) { step(r, now, 3*time.Second) })
			now = now.Add(time.Second)
		}
		r, err := kinds[kind].Status(t.Context(), kind, run)
		steps, _, stepsErr := kinds[kind].(pipeline.Stepped).Steps(t.Context(), kind, run)
		if err != nil || stepsErr != nil || len(steps) != 3 {
			t.Errorf("%s:%s: %+v, %v, %+v, %v", kind, id, r, err, steps, stepsErr)
			continue
		}
		switch {
		case id != fails && (r.Status != schedule.Completed || steps[2].Status != schedule.Completed || steps[2].Ended.Sub(r.Started) != 3*time.Second):
			t.Errorf("%s:%s: %+v", kind, id, r)
		case id == fails && (r.Status != schedule.Failed || !strings.Contains(r.Error, "no space left on device") || steps[1].Error == "" || steps[2].Status != schedule.Queued):
			t.Errorf("%s:%s: %+v", kind, id, r)
		}
	}
}

func TestARunWhoseEndIsAskedFor(t *testing.T) {
	now := time.Now()
	r := &azuremltest.Run{Status: "CancelRequested", Steps: []azuremltest.Step{{Status: "Completed"}, {Status: "Running", Started: now}, {Status: "NotStarted"}}}
	step(r, now, time.Minute)
	if r.Status != "Canceled" || r.Steps[0].Status != "Completed" || r.Steps[1].Status != "Canceled" || r.Steps[1].Ended.IsZero() || !r.Steps[2].Ended.IsZero() {
		t.Errorf("%+v", r)
	}
}

var printedCurl = regexp.MustCompile(`curl (?:-X POST )?(?:-d '([^']*)' )?'?(http[^'\s]+)`)

// Every command that is printed is understood.
func TestPrintedCommands(t *testing.T) {
	_, _, printed := emulator(t)
	lines := printedCurl.FindAllStringSubmatch(printed, -1)
	if len(lines) != strings.Count(printed, "curl") || len(lines) == 0 {
		t.Fatalf("%d commands: %s", len(lines), printed)
	}
	for _, line := range lines {
		method := http.MethodGet
		if strings.Contains(line[0], "-X POST") || line[1] != "" {
			method = http.MethodPost
		}
		if status, text := call(t, method, line[2], line[1]); status != http.StatusOK {
			t.Errorf("%s: %d %s", line[0], status, text)
		}
	}
}

func call(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// Each fault is had by as many requests as it is put up for, and does what it says.
func TestFaultsOnDemand(t *testing.T) {
	workspace, url, _ := emulator(t)
	kinds := targets(t, workspace, url)
	submit := func(occurrence string) error {
		_, err := kinds[azureml.Published].Submit(t.Context(), pipeline.Submission{
			Name: occurrence, Occurrence: occurrence, Experiment: "e", Pipeline: schedule.PipelineRef{Kind: azureml.Published, ID: trains},
		})
		return err
	}
	const at = "/faults?op=submit-to-a-published-pipeline"
	for i, c := range []struct {
		query string
		want  []pipeline.Outcome
		made  int
	}{
		{"&status=429&retry_after=7&count=2", []pipeline.Outcome{pipeline.NotDone, pipeline.NotDone}, 0},
		{"&status=500", []pipeline.Outcome{pipeline.Repeat}, 0},
		{"&status=503&retry_after=7&after_work=true", []pipeline.Outcome{pipeline.Repeat}, 1},
		{"&drop=true&after_work=true", []pipeline.Outcome{pipeline.Repeat}, 1},
		{"&drop=1&hold=1ms", []pipeline.Outcome{pipeline.Repeat}, 0},
	} {
		occurrence := "o" + string(rune('a'+i))
		if status, text := call(t, "POST", url+at+c.query, ""); status != 200 {
			t.Fatalf("%s: %d %s", c.query, status, text)
		}
		for _, want := range c.want {
			if err := submit(occurrence); err == nil || pipeline.OutcomeOf(err) != want {
				t.Errorf("%s: %v", c.query, err)
			}
		}
		if n := workspace.Submissions(occurrence); n != c.made {
			t.Errorf("%s: %d runs", c.query, n)
		}
		if err := submit(occurrence + "-then"); err != nil {
			t.Errorf("%s, and then: %v", c.query, err)
		}
	}
	if _, text := call(t, "GET", url+"/faults", ""); !strings.Contains(text, "submit-to-a-published-pipeline       asked 11    faults that wait 0\n") {
		t.Errorf("the list: %s", text)
	}
	if status, text := call(t, "POST", url+"/manners", `{"HistoryLags": true}`); status != 200 || !strings.Contains(text, `"HistoryLags":true`) {
		t.Errorf("manners: %d %s", status, text)
	}
	for _, wrong := range []string{
		"/faults", "/faults?op=fly", at, at + "&status=99", at + "&status=often", at + "&status=500&count=0", at + "&status=500&count=100000",
		at + "&drop=maybe", at + "&hold=long", at + "&hold=-1s", at + "&staus=500",
	} {
		if status, text := call(t, "POST", url+wrong, ""); status != 400 || len(text) < 20 {
			t.Errorf("%s: %d %s", wrong, status, text)
		}
	}
	if status, text := call(t, "POST", url+"/manners", `{"Rude": true}`); status != 400 || !strings.Contains(text, "TagsLost") {
		t.Errorf("unknown manners: %d %s", status, text)
	}
	for _, op := range azuremltest.Ops() {
		if n := workspace.Faults(op); n != 0 {
			t.Errorf("%s: %d faults wait", op, n)
		}
	}
}

func TestNamesOfOperations(t *testing.T) {
	seen := map[string]bool{}
	for _, op := range azuremltest.Ops() {
		name := nameOf(op)
		if seen[name] || !regexp.MustCompile(`^[a-z0-9-]+$`).MatchString(name) {
			t.Errorf("%q is no name of its own in an address", name)
		}
		seen[name] = true
	}
}
