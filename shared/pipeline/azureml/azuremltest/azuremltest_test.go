package azuremltest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

const train = "aaaaaaaa-0000-4000-8000-000000000001"

func newService() *Service {
	s := New()
	s.Put(Pipeline{ID: train, Name: "train", Parameters: map[string]string{"who": "world"}})
	return s
}

func token(t *testing.T, scopes ...string) string {
	t.Helper()
	got, err := new(Credential).GetToken(t.Context(), policy.TokenRequestOptions{Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + got.Token
}

const body = `{"ExperimentName":"e","Description":"d","Tags":{"carillon_occurrence":"a"},"RunSource":"SDK",` +
	`"ParameterAssignments":{"who":"you"},"ContinueRunOnStepFailure":false}`

// good is a submission that is in order.
func good(t *testing.T, s *Service) *http.Request {
	r := httptest.NewRequest("POST", "/pipelines/v1.0"+s.scope()+"/PipelineRuns/PipelineSubmit/"+train, strings.NewReader(body))
	r.Header.Set("Authorization", token(t, "https://management.azure.com/.default"))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	return r
}

// send answers a request, and says how often the service complained.
func send(s *Service, r *http.Request) (*httptest.ResponseRecorder, []string) {
	var complaints []string
	s.Complain = func(complaint string) { complaints = append(complaints, complaint) }
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w, complaints
}

func TestARequestInOrderIsTaken(t *testing.T) {
	s := newService()
	if w, complaints := send(s, good(t, s)); w.Code != 200 || len(complaints) != 0 || s.Submissions("a") != 1 {
		t.Errorf("%d %s, %q", w.Code, w.Body, complaints)
	}
}

func TestWhatIsComplainedAbout(t *testing.T) {
	with := func(text string) func(*http.Request) {
		return func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(text)) }
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	replace := func(old, new string) func(*http.Request) { return with(strings.Replace(body, old, new, 1)) }
	for name, c := range map[string]struct {
		change func(*http.Request)
		status int
	}{
		"method":             {func(r *http.Request) { r.Method = "PUT" }, 404},
		"casing of the path": {func(r *http.Request) { r.URL.Path = strings.Replace(r.URL.Path, "PipelineRuns", "pipelineruns", 1) }, 404},
		"another workspace":  {func(r *http.Request) { r.URL.Path = strings.Replace(r.URL.Path, "tower", "cellar", 1) }, 404},
		"a trailing slash":   {func(r *http.Request) { r.URL.Path += "/" }, 404},
		"query":              {func(r *http.Request) { r.URL.RawQuery = "api-version=1" }, 400},
		"no token":           {func(r *http.Request) { r.Header.Del("Authorization") }, 401},
		"two tokens":         {func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, 401},
		"no bearer":          {header("Authorization", "Basic eDp5"), 401},
		"another scope":      {header("Authorization", token(t, "https://ml.azure.com/.default")), 401},
		"no JWT":             {header("Authorization", "Bearer a.!.c"), 401},
		"content type":       {header("Content-Type", "text/plain"), 400},
		"accept":             {header("Accept", "text/html"), 400},
		"no body":            {with(""), 400},
		"no object":          {with("[]"), 400},
		"unknown field":      {replace(`"Description"`, `"Comment"`), 400},
		"casing of a field":  {replace(`"RunSource"`, `"runSource"`), 400},
		"no text as value":   {replace(`"you"`, `7`), 400},
		"no experiment":      {replace(`"e"`, `""`), 400},
		"no tag":             {replace(`carillon_occurrence`, `other`), 400},
		"no parameters":      {replace(`{"who":"you"}`, `null`), 400},
	} {
		s := newService()
		r := good(t, s)
		c.change(r)
		w, complaints := send(s, r)
		if w.Code != c.status || len(complaints) != 1 || len(s.Runs()) != 0 {
			t.Errorf("%s: %d %s, %q", name, w.Code, w.Body, complaints)
		}
	}
}

func TestWhatIsComplainedAboutInAQuery(t *testing.T) {
	for text, want := range map[string]int{
		`{"filter":"(Tags/carillon_occurrence eq a) and (ParentRunId eq null)","top":5}`: 0,
		`{"filter":"Tags/carillon_occurrence eq a","top":5}`:                             1,
		`{"filter":"(Tags/x eq 'a') and (ParentRunId eq null)"}`:                         1,
		`{"filter":"(Tags/x eq a) and (ParentRunId eq null)","top":"5"}`:                 1,
		`{"filter":"(Tags/x eq a) and (ParentRunId eq null)","skip":5}`:                  1,
	} {
		s := newService()
		send(s, good(t, s))
		r := good(t, s)
		q := httptest.NewRequest("POST", "/history/v1.0"+s.scope()+"/experiments/e/runs:query", strings.NewReader(text))
		q.Header = r.Header
		if w, complaints := send(s, q); len(complaints) != want || (w.Code == 200) != (want == 0) {
			t.Errorf("%s: %d %s, %q", text, w.Code, w.Body, complaints)
		}
	}
}

func TestATokenThatIsOver(t *testing.T) {
	s := newService()
	r := good(t, s)
	s.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	if w, complaints := send(s, r); w.Code != 401 || len(complaints) != 1 {
		t.Errorf("%d, %q", w.Code, complaints)
	}
}

// What the real service would understand and refuse is no complaint.
func TestRefusals(t *testing.T) {
	s := newService()
	r := good(t, s)
	r.URL.Path = strings.Replace(r.URL.Path, train, "other", 1)
	if w, complaints := send(s, r); w.Code != 404 || len(complaints) != 0 {
		t.Errorf("no such pipeline: %d, %q", w.Code, complaints)
	}
	s.Put(Pipeline{ID: train, Parameters: map[string]string{}})
	if w, complaints := send(s, good(t, s)); w.Code != 400 || len(complaints) != 0 {
		t.Errorf("no such parameter: %d, %q", w.Code, complaints)
	}
	s.Put(Pipeline{ID: train})
	if w, complaints := send(s, good(t, s)); w.Code != 200 || len(complaints) != 0 {
		t.Errorf("a pipeline that does not say what it takes: %d, %q", w.Code, complaints)
	}
}

// A run that is lost is found by nobody, still counts as made, and its id is given to no other.
func TestARunThatIsLost(t *testing.T) {
	s := newService()
	for range 2 {
		send(s, good(t, s))
	}
	lost := s.Runs()[0].ID
	s.Forget(lost)
	send(s, good(t, s))
	ids := map[string]bool{}
	for _, r := range s.Runs() {
		ids[r.ID] = true
	}
	if runs := s.Runs(); len(ids) != 3 || s.Submissions("a") != 3 || !runs[0].Lost || runs[1].Lost {
		t.Errorf("%d ids, %d submissions", len(ids), s.Submissions("a"))
	}
	get := good(t, s)
	get.Method, get.Body, get.URL.Path = "GET", http.NoBody, "/history/v1.0"+s.scope()+"/runs/"+lost+"/details"
	if w, _ := send(s, get); w.Code != 404 {
		t.Errorf("it is found: %d", w.Code)
	}
	query := httptest.NewRequest("POST", "/history/v1.0"+s.scope()+"/experiments/e/runs:query", strings.NewReader(`{"filter":"(Tags/carillon_occurrence eq a) and (ParentRunId eq null)"}`))
	query.Header = get.Header
	if w, _ := send(s, query); w.Code != 200 || strings.Contains(w.Body.String(), lost) || strings.Count(w.Body.String(), `"runId"`) != 2 {
		t.Errorf("it is listed: %d %s", w.Code, w.Body)
	}
}

// While a run is moved on nobody asks for its end: the wish comes later, and is not written over.
func TestACancellationIsNotWrittenOver(t *testing.T) {
	s := newService()
	send(s, good(t, s))
	cancel := good(t, s)
	cancel.Method, cancel.Body, cancel.URL.Path = "DELETE", http.NoBody, "/pipelines/v1.0"+s.scope()+"/PipelineRuns/"+s.Runs()[0].ID+"/Execution"
	began, asked := make(chan bool), make(chan bool)
	s.Advance(func(r *Run) {
		go func() {
			close(began)
			s.ServeHTTP(httptest.NewRecorder(), cancel)
			close(asked)
		}()
		<-began
		time.Sleep(20 * time.Millisecond) // long enough for it to come through, if it could
		r.Status = "Running"
	})
	<-asked
	if r := s.Runs()[0]; r.Status != "CancelRequested" || r.Started.IsZero() {
		t.Errorf("it is %s", r.Status)
	}
	s.Advance(func(r *Run) { r.Status = "Canceled" })
	s.Advance(func(r *Run) { t.Errorf("it has ended, and goes on as %s", r.Status) })
	if r := s.Runs()[0]; r.Ended.IsZero() {
		t.Error("it does not say when it ended")
	}
}
