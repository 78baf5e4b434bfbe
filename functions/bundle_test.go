package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/functions/api"
	"carillon/shared/azure"
	"carillon/shared/azure/azuritetest"
	"carillon/shared/azure/hostdouble"
	"carillon/shared/host"
	"carillon/shared/pipeline"
	"carillon/shared/pipeline/azureml/azuremltest"
)

// datastores are what the bundle is packaged for.
const datastores = "inbox=AzureWebJobsStorage/inbox:events"

// staged is the bundle as scripts/package stages it, built once for all tests.
var staged = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "carillon-bundle-")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "run", "./scripts/bundle", "-out", filepath.Join(folder, "azure"), "-datastores", datastores)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("stage the bundle: %w\n%s", err, out)
	}
	return filepath.Join(folder, "azure"), nil
})

func bundle(t testing.TB) string {
	t.Helper()
	folder, err := staged()
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

const train = "aaaaaaaa-0000-4000-8000-000000000001"

// cloud is what stands around the bundle: a workspace and an identity (doubles), a storage account (Azurite).
type cloud struct {
	t         testing.TB
	workspace *azuremltest.Service
	storage   *azuritetest.Azurite
	settings  map[string]string
}

func newCloud(t testing.TB) *cloud {
	t.Helper()
	c := &cloud{t: t, workspace: azuremltest.New(), storage: azuritetest.Start(t)}
	c.workspace.Put(azuremltest.Pipeline{ID: train, Name: "train"})
	mux := http.NewServeMux()
	mux.Handle("/identity", azuremltest.Identity())
	mux.Handle("/", c.workspace)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	c.settings = map[string]string{
		"AzureWebJobsStorage":              c.storage.ConnectionString(),
		"CARILLON_AZUREML_SUBSCRIPTION":    c.workspace.Subscription,
		"CARILLON_AZUREML_RESOURCE_GROUP":  c.workspace.ResourceGroup,
		"CARILLON_AZUREML_WORKSPACE":       c.workspace.Workspace,
		"CARILLON_AZUREML_BASE_URL":        server.URL,
		"IDENTITY_ENDPOINT":                server.URL + "/identity",
		"IDENTITY_HEADER":                  azuremltest.IdentityHeader,
		"AzureWebJobs.recurrence.Disabled": "true", // tests fire it
	}
	return c
}

// complete ends the runs that have not ended.
func (c *cloud) complete() {
	for _, run := range c.workspace.Runs() {
		if !azuremltest.Ended(run.Status) {
			c.workspace.Move(run.ID, "Completed", "")
		}
	}
}

// site is the app as its callers see it, with a key of one of its functions.
type site struct {
	t    testing.TB
	host *hostdouble.Host
}

func (s site) call(key, method, path, body string) (int, string) {
	s.t.Helper()
	r, err := http.NewRequest(method, s.host.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.Header.Set("x-functions-key", s.host.Key(key))
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text)
}

// must calls until it succeeds: handlers are killed in between.
func (s site) must(key, method, path, body string, into any) {
	s.t.Helper()
	var status int
	var text string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		status, text = s.call(key, method, path, body)
		if status < 300 && status > 0 || strings.Contains(text, `"exists"`) {
			if into != nil {
				if err := json.Unmarshal([]byte(text), into); err != nil {
					s.t.Fatalf("%s %s: %v: %s", method, path, err, text)
				}
			}
			return
		}
		if status >= 400 && status < 500 {
			break
		}
	}
	s.t.Fatalf("%s %s: %d %s", method, path, status, text)
}

func (s site) runs() (all []run) {
	s.t.Helper()
	for token := ""; ; {
		var page struct {
			Items []run
			Next  string
		}
		s.must("list", "GET", "/api/runs?limit=200&token="+strings.ReplaceAll(token, "|", "%7C"), "", &page)
		all = append(all, page.Items...)
		if token = page.Next; token == "" {
			return all
		}
	}
}

func published(name string, second int) string {
	return strings.Replace(definition(name, train, 1, second), `"local"`, `"published"`, 1)
}

// The main job through a Functions host: a person creates, the timer records, the queue submits, the run is followed.
func TestBundle(t *testing.T) {
	folder := bundle(t)
	if info, err := os.Stat(filepath.Join(folder, "carillon")); err != nil || info.Size() > 30e6 || info.Mode().Perm() != 0o755 {
		t.Errorf("the program: %v, %v", info, err)
	}
	c := newCloud(t)
	s := site{t, hostdouble.Start(t, folder, c.settings)}

	second := (time.Now().Second() + 5) % 60
	s.must("author", "POST", "/api/schedules", published("s", second), nil)
	if status, text := s.call("list", "POST", "/api/schedules", published("t", 0)); status < 400 {
		t.Errorf("a key that lists has created: %d %s", status, text)
	}
	if status, _ := s.call("", "GET", "/api/schedules", ""); status != http.StatusUnauthorized {
		t.Errorf("without a key: %d", status)
	}
	if err := s.host.FireTimer("recurrence"); err != nil {
		t.Fatal(err)
	}
	s.must("operate", "POST", "/api/schedules/s/trigger", `{}`, nil)
	kinds := map[string]bool{}
	for deadline := time.Now().Add(3 * time.Minute); len(kinds) < 2; time.Sleep(200 * time.Millisecond) {
		c.complete()
		for _, r := range s.runs() {
			if r.Status == "Completed" {
				kinds[r.Kind] = true
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("completed are %v: %+v", kinds, s.runs())
		}
		if time.Now().Second()%10 == 0 {
			s.host.FireTimer("recurrence")
		}
	}
	s.must("operate", "POST", "/api/schedules/s/disable", `{"note": "data feed is down"}`, nil)
	if status, text := s.call("studio", "GET", "/api/studio", ""); status != 200 || !strings.Contains(text, "data feed is down") {
		t.Errorf("the page: %d", status)
	}
	for _, run := range c.workspace.Runs() {
		if n := c.workspace.Submissions(run.Tags[pipeline.OccurrenceTag]); n != 1 {
			t.Errorf("%v was submitted %d times", run.Tags, n)
		}
	}
}

// Two handlers on one storage account are killed at random, storage and the workspace fail before and after the work:
// every due occurrence has one run, by the workspace's own count, or is recorded as skipped or uncertain.
func TestBundleWithFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes two minutes")
	}
	folder, c := bundle(t), newCloud(t)
	var healthy sync.Mutex
	failing := true
	fails := func(percent int) bool {
		healthy.Lock()
		defer healthy.Unlock()
		return failing && rand.IntN(100) < percent
	}
	c.settings["AzureWebJobsStorage"] = c.storage.Through(t, func(*http.Request) azuritetest.Fault {
		switch {
		case fails(1):
			return azuritetest.Fault{Status: 500}
		case fails(1):
			return azuritetest.Fault{Done: true, Break: true}
		case fails(1):
			return azuritetest.Fault{Status: 503}
		}
		return azuritetest.Fault{}
	})
	hosts := []site{{t, hostdouble.Start(t, folder, c.settings)}, {t, hostdouble.Start(t, folder, c.settings)}}
	const schedules = 30
	for i := range schedules {
		hosts[i%2].must("author", "POST", "/api/schedules", published(fmt.Sprintf("s%02d", i), i*2), nil)
	}
	began := time.Now()
	for end := began.Add(45 * time.Second); time.Now().Before(end); time.Sleep(time.Duration(rand.IntN(800)) * time.Millisecond) {
		h := hosts[rand.IntN(2)].host
		switch rand.IntN(5) {
		case 0:
			h.KillHandler()
			if h.Stopped() {
				h.Resume()
			}
		case 1:
			c.workspace.Fail(azuremltest.Submit, azuremltest.Fault{Status: 429, RetryAfter: "1"})
		case 2:
			if rand.IntN(4) == 0 {
				c.workspace.Fail(azuremltest.Submit, azuremltest.Fault{Status: 500, AfterWork: rand.IntN(2) == 0})
			}
		case 3:
			h.FireTimer("recurrence")
		}
		if rand.IntN(3) == 0 {
			h.FireTimer("recurrence")
		}
		c.complete()
	}
	ended := time.Now()
	healthy.Lock()
	failing = false
	healthy.Unlock()
	for _, s := range hosts {
		if s.host.Stopped() {
			s.host.Resume()
		}
	}
	for i := range schedules {
		hosts[0].must("operate", "POST", fmt.Sprintf("/api/schedules/s%02d/disable", i), "", nil)
	}
	// What lost its answer waits for its look, six minutes; what a killed handler has claimed, for its lease. Neither
	// can be hastened from outside, so the test does not wait for them: that they are kept is what it checks.
	settledBy := time.Now().Add(75 * time.Second)
	var runs []run
	for time.Now().Before(settledBy) {
		hosts[0].host.FireTimer("recurrence")
		c.complete()
		runs = hosts[0].runs()
		if !slices.ContainsFunc(runs, func(r run) bool { return r.Status == "Queued" || r.Status == "Running" }) && time.Since(ended) > 30*time.Second {
			break
		}
		time.Sleep(2 * time.Second)
	}
	outcome := map[string]int{}
	recorded := map[string]bool{}
	for _, r := range runs {
		outcome[r.Status]++
		made := c.workspace.Submissions(r.ID)
		switch {
		case r.Status == "Completed" && made == 1:
		case r.Status == "Skipped" && made == 0 && r.Reason != "":
		case (r.Status == "Uncertain" || r.Status == "Waiting" || r.Status == "Submitting") && made <= 1:
		default:
			t.Errorf("%s of %s is %s (%s %s) with %d runs", r.ID, r.Schedule, r.Status, r.Reason, r.Error, made)
		}
		for at := r.Nominal; r.Count == 0 && at.Equal(r.Nominal) || !at.After(r.Last); at = at.Add(time.Minute) {
			recorded[r.Schedule+at.UTC().String()] = true
		}
	}
	due := 0
	for i := range schedules {
		at := began.Truncate(time.Minute).Add(time.Duration(i*2) * time.Second)
		for ; at.Before(ended.Add(-2 * time.Second)); at = at.Add(time.Minute) {
			if at.Before(began) {
				continue
			}
			due++
			if !recorded[fmt.Sprintf("s%02d", i)+at.UTC().String()] {
				t.Errorf("s%02d: %v is neither submitted nor skipped", i, at)
			}
		}
	}
	t.Logf("%d were due; they became %v; %d and %d restarts", due, outcome, hosts[0].host.Restarts(), hosts[1].host.Restarts())
}

// binding is a trigger in function.json.
type binding struct {
	Type, Name, QueueName, DataType, AuthLevel, Route, Path, Source, Connection string
	Methods                                                                     []string
	Properties                                                                  map[string]any
}

// triggerOf is the first binding in a function.json, and the function's name.
func triggerOf(t *testing.T, file string) (name string, in binding) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var f struct{ Bindings []binding }
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return filepath.Base(filepath.Dir(file)), f.Bindings[0]
}

// function.json, host.json, the routes and the code say the same.
func TestBundleIsInStep(t *testing.T) {
	var files []string
	for _, pattern := range []string{"*/function.json", "*/*/function.json"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	events, rights := map[string]string{}, map[string]binding{}
	for _, file := range files {
		name, in := triggerOf(t, file)
		if in.Type != "httpTrigger" {
			events[name] = in.Name
			continue
		}
		if in.AuthLevel != "function" {
			t.Errorf("%s has the level %s", name, in.AuthLevel)
		}
		rights[name] = in
	}
	if fmt.Sprint(events) != fmt.Sprint(azure.Events) {
		t.Errorf("events are %v, the handler knows %v", events, azure.Events)
	}
	takers := func(method, path string) (takes []string) {
		for name, in := range rights {
			if slices.Contains(in.Methods, strings.ToLower(method)) && hostdouble.RouteTakes(in.Route, strings.TrimPrefix(path, "/api/")) {
				takes = append(takes, name)
			}
		}
		return takes
	}
	functionFor := map[host.Right]string{host.List: "list", host.Operate: "operate", host.Author: "author"}
	for _, route := range api.Routes {
		path := strings.NewReplacer("{name}", "x", "{id}", "x", "{kind}", "x").Replace(route.Path)
		want := functionFor[host.RightFor(httptest.NewRequest(route.Method, path, nil))]
		if path == "/api/preview" {
			want = "preview"
		}
		if strings.HasSuffix(path, "-all") {
			want = "all"
		}
		if takes := takers(route.Method, path); len(takes) != 1 || takes[0] != want {
			t.Errorf("%s %s is taken by %v, want %s alone", route.Method, route.Path, takes, want)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodOptions} { // a function of its own, so that it has a key of its own
		if takes := takers(method, host.WebhookPath); len(takes) != 1 || takes[0] != "webhook" {
			t.Errorf("%s %s is taken by %v, want webhook alone", method, host.WebhookPath, takes)
		}
		if right := host.RightFor(httptest.NewRequest(method, host.WebhookPath, nil)); right != host.Operate {
			t.Errorf("%s %s takes the right to %v", method, host.WebhookPath, right)
		}
	}
}

// Event Grid's messages may be plain or base64: the host has to leave both as they are.
func TestMessagesAreLeftAsTheyAre(t *testing.T) {
	data, err := os.ReadFile("../host.json")
	if err != nil {
		t.Fatal(err)
	}
	var settings struct {
		Extensions struct {
			Queues struct{ MessageEncoding string }
		}
	}
	if err := json.Unmarshal(data, &settings); err != nil || settings.Extensions.Queues.MessageEncoding != "none" {
		t.Errorf("messageEncoding is %q, %v", settings.Extensions.Queues.MessageEncoding, err)
	}
}

// Whatever is staged for the host to call is answered by the handler, and the blobs of a datastore stay where they are.
func TestStagedFunctions(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(bundle(t), "*", "function.json"))
	if err != nil {
		t.Fatal(err)
	}
	idle := (&azure.Host{Log: slog.New(slog.DiscardHandler)}).Handler()
	staged := map[string]binding{}
	for _, file := range files {
		name, in := triggerOf(t, file)
		staged[name] = in
		if in.Type == "httpTrigger" {
			continue
		}
		w := httptest.NewRecorder()
		idle.ServeHTTP(w, httptest.NewRequest("POST", "/"+name, strings.NewReader("{}")))
		if w.Code != http.StatusBadRequest {
			t.Errorf("%s: the handler answers %d to an empty call", name, w.Code)
		}
	}
	blob := staged["blob_inbox"]
	if blob.Type != "blobTrigger" || blob.Name != azure.BlobBinding || blob.Path != "inbox/{name}" || blob.Source != "EventGrid" ||
		blob.Connection != "AzureWebJobsStorage" || blob.Properties["supportsDeferredBinding"] != true {
		t.Errorf("blob_inbox is %+v", blob)
	}
}
