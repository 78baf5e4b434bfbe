package azuremltest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func newV2() *Service {
	s := newService()
	s.PutComponent(Component{Name: "train", Version: "1", Inputs: map[string]ComponentInput{
		"who": {Type: "string", Default: "world"}, "data": {Type: "uri_folder", Optional: true},
	}})
	s.PutBatchEndpoint(BatchEndpoint{Name: "train", Default: "blue", Deployments: []Deployment{{Name: "blue", Component: "train:1"}}})
	return s
}

const (
	jobBody = `{"properties":{"jobType":"Pipeline","componentId":"ID","experimentName":"e","tags":{"carillon_occurrence":"a"},` +
		`"properties":{"carillon_occurrence":"a"},"inputs":{"who":{"jobInputType":"literal","value":"you"}},"outputs":{},"jobs":{},` +
		`"settings":{"continue_on_step_failure":false,"default_compute":"serverless"}}}`
	callBody = `{"properties":{"InputData":{"who":{"JobInputType":"Literal","Value":"you"}},"OutputData":{},"Tags":{"carillon_occurrence":"a"},` +
		`"properties":{"experimentName":"e","carillon_occurrence":"a"}}}`
)

// ask makes a request that is in order.
func ask(t *testing.T, method, path, body string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	scope := "https://management.azure.com/.default"
	if strings.HasPrefix(path, "/inference/") {
		scope = "https://ml.azure.com/.default"
	}
	r.Header.Set("Authorization", token(t, scope))
	r.Header.Set("Accept", "application/json")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

func (s *Service) jobRequest(t *testing.T) *http.Request {
	return ask(t, "PUT", s.scope()+"/jobs/carillon-a?api-version=2024-04-01", strings.Replace(jobBody, "ID", s.scope()+"/components/train/versions/1", 1))
}

func TestRequestsOfV2InOrderAreTaken(t *testing.T) {
	s := newV2()
	for _, r := range []*http.Request{
		s.jobRequest(t), s.jobRequest(t), // the second changes its tags
		ask(t, "POST", "/inference/train/jobs", callBody),
		ask(t, "GET", s.scope()+"/jobs/carillon-a?api-version=2024-04-01", ""),
		ask(t, "GET", s.scope()+"/jobs?api-version=2024-04-01&jobType=Pipeline&listViewType=All&properties=carillon_occurrence%3Da", ""),
		ask(t, "POST", s.scope()+"/jobs/carillon-a/cancel?api-version=2024-04-01", ""),
		ask(t, "GET", s.scope()+"/components/train/versions?%24orderBy=createdtime%20desc&%24top=1&api-version=2024-04-01", ""),
		ask(t, "GET", s.scope()+"/datastores?api-version=2024-04-01", ""),
	} {
		if w, complaints := send(s, r); w.Code > 299 || len(complaints) != 0 {
			t.Errorf("%s %s: %d %s, %q", r.Method, r.URL, w.Code, w.Body, complaints)
		}
	}
	if n := s.Submissions("a"); n != 2 {
		t.Errorf("%d submissions", n)
	}
}

func TestWhatIsComplainedAboutOfV2(t *testing.T) {
	with := func(text string) func(*http.Request) {
		return func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(text)) }
	}
	query := func(text string) func(*http.Request) { return func(r *http.Request) { r.URL.RawQuery = text } }
	job := func(old, new string) func(*http.Request) {
		body := strings.Replace(jobBody, "ID", newV2().scope()+"/components/train/versions/1", 1)
		return with(strings.Replace(body, old, new, 1))
	}
	call := func(old, new string) func(*http.Request) { return with(strings.Replace(callBody, old, new, 1)) }
	wrongScope := func(scope string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", token(t, scope)) }
	}
	host := func(host string) func(*http.Request) { return func(r *http.Request) { r.Host = host } }
	for name, c := range map[string]struct {
		call   bool
		change func(*http.Request)
		status int
	}{
		"no version":                {false, query(""), 400},
		"another version":           {false, query("api-version=2023-04-01"), 400},
		"a version twice":           {false, query("api-version=2024-04-01&api-version=2024-04-01"), 400},
		"another parameter":         {false, query("api-version=2024-04-01&x=1"), 400},
		"method":                    {false, func(r *http.Request) { r.Method = "POST" }, 404},
		"another workspace":         {false, func(r *http.Request) { r.URL.Path = strings.Replace(r.URL.Path, "tower", "cellar", 1) }, 404},
		"casing of the path":        {false, func(r *http.Request) { r.URL.Path = strings.Replace(r.URL.Path, "/jobs/", "/Jobs/", 1) }, 404},
		"an endpoint's token":       {false, wrongScope("https://ml.azure.com/.default"), 401},
		"another host":              {false, host("evil.example"), 404},
		"the v1 service's host":     {false, host("westeurope.api.azureml.ms"), 404},
		"an endpoint's host":        {false, host("train.westeurope.inference.ml.azure.com"), 404},
		"a field beside properties": {false, job(`{"properties":{"job`, `{"name":"a","properties":{"job`), 400},
		"unknown field":             {false, job(`"jobType"`, `"comment":"x","jobType"`), 400},
		"casing of a field":         {false, job(`"experimentName"`, `"ExperimentName"`), 400},
		"another type":              {false, job(`"Pipeline"`, `"Command"`), 400},
		"no occurrence":             {false, job(`carillon_occurrence`, `other`), 400},
		"an empty tag":              {false, job(`"tags":{`, `"tags":{"x":"",`), 400},
		"a number as value":         {false, job(`"value":"you"`, `"value":7`), 400},
		"no type of an input":       {false, job(`"jobInputType":"literal",`, ``), 400},
		"a literal with address":    {false, job(`"value":"you"`, `"uri":"you"`), 400},
		"a compute's mere name":     {false, job(`serverless`, `cluster`), 400},
		"the manager's token":       {true, wrongScope("https://management.azure.com/.default"), 401},
		"query":                     {true, query("api-version=2024-04-01"), 400},
		"casing of a call's field":  {true, call(`"InputData"`, `"inputData"`), 400},
		"a strange field of a call": {true, call(`"OutputData"`, `"Outputs"`), 400},
		"no experiment":             {true, call(`experimentName`, `name`), 400},
		"no occurrence in a call":   {true, call(`,"carillon_occurrence":"a"`, ``), 400},
		"another casing of a type":  {true, call(`"Literal"`, `"literal"`), 400},
		"no inputs":                 {true, call(`{"who":{"JobInputType":"Literal","Value":"you"}}`, `null`), 400},
		"no JSON":                   {true, with("thanks"), 400},
	} {
		s := newV2()
		r := s.jobRequest(t)
		if c.call {
			r = ask(t, "POST", "/inference/train/jobs", callBody)
		}
		c.change(r)
		w, complaints := send(s, r)
		if w.Code != c.status || len(complaints) != 1 || len(s.Runs()) != 0 {
			t.Errorf("%s: %d %s, %q", name, w.Code, w.Body, complaints)
		}
	}
}

// What the real services would understand and refuse is no complaint.
func TestRefusalsOfV2(t *testing.T) {
	for name, c := range map[string]struct {
		method, path, body string
		status             int
	}{
		"no such component": {"PUT", "/jobs/carillon-a?api-version=2024-04-01", strings.Replace(jobBody, "ID", "/elsewhere", 1), 400},
		"no such job":       {"GET", "/jobs/gone?api-version=2024-04-01", "", 404},
		"no such endpoint":  {"GET", "/batchEndpoints/gone?api-version=2024-04-01", "", 404},
		"no such version":   {"GET", "/components/train/versions/9?api-version=2024-04-01", "", 404},
		"cancel nothing":    {"POST", "/jobs/gone/cancel?api-version=2024-04-01", "", 404},
	} {
		s := newV2()
		if w, complaints := send(s, ask(t, c.method, s.scope()+c.path, c.body)); w.Code != c.status || len(complaints) != 0 {
			t.Errorf("%s: %d %s, %q", name, w.Code, w.Body, complaints)
		}
	}
	s := newV2()
	send(s, s.jobRequest(t))
	r := s.jobRequest(t)
	data, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(strings.Replace(string(data), `"you"`, `"me"`, 1)))
	if w, complaints := send(s, r); w.Code != 400 || len(complaints) != 0 || !strings.Contains(w.Body.String(), "already exists") || len(s.Runs()) != 1 {
		t.Errorf("another job of the name: %d %s, %q", w.Code, w.Body, complaints)
	}
	for _, unfit := range []string{`"whom":{"JobInputType":"Literal","Value":"you"}`, `"who":{"JobInputType":"UriFile","Uri":"x"}`} {
		body := strings.Replace(callBody, `"who":{"JobInputType":"Literal","Value":"you"}`, unfit, 1)
		if w, complaints := send(s, ask(t, "POST", "/inference/train/jobs", body)); w.Code != 400 || len(complaints) != 0 {
			t.Errorf("%s: %d %s, %q", unfit, w.Code, w.Body, complaints)
		}
	}
}

func TestListsGoOn(t *testing.T) {
	s := newV2()
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		s.PutDatastore(Datastore{Name: name, Type: "AzureBlob"})
	}
	var names []string
	next := s.scope() + "/datastores?api-version=2024-04-01"
	for pages := 0; next != "" && pages < 9; pages++ {
		w, complaints := send(s, ask(t, "GET", next, ""))
		var page struct {
			Value    []struct{ Name string }
			NextLink string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || len(complaints) != 0 || len(page.Value) > 2 {
			t.Fatalf("%s: %s, %q", next, w.Body, complaints)
		}
		for _, d := range page.Value {
			names = append(names, d.Name)
		}
		if next = strings.TrimPrefix(page.NextLink, "http://example.com"); page.NextLink != "" && next == page.NextLink {
			t.Fatalf("it goes on at %s", next)
		}
	}
	if got := strings.Join(names, ""); got != "edcba" {
		t.Errorf("got %s", got)
	}
}
