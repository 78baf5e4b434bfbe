// Package azuremltest is the services of an Azure Machine Learning workspace in memory (v1, the run history, the resource
// manager, batch endpoints), that take nothing but what the real ones are known to take, count what they were asked
// for, and fail on demand.
//
// They were written from the facts that Carillon collected, not by comparing them with a workspace. So they do not prove:
// that the real v1 service spells its routes and names the parts of its entities so; that services refuse unknown
// parameters, disabled pipelines, endpoints that are not ready, steps without a compute, or a cancellation that comes too
// late, and with these statuses; that they give tags back, or how soon a list or the run history knows a run; that batch
// endpoints keep properties; that a job can be sent as it was read; which roles a caller needs; anything about limits,
// speed, or real tokens (signatures are not looked at). Each of those is a behaviour here only to be tested against both
// ways, as far as Manners and Fault allow.
package azuremltest

import (
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// Service is an http.Handler with the workspace's routes. Asked as a host of this machine it answers for all of its
// services, and its batch endpoints are called at /inference/NAME/jobs; asked as one of the public cloud's hosts, for
// that one. Its runs move only when Move or Advance says so. Set the fields before the first request. Safe for
// concurrent use.
type Service struct {
	Subscription      string
	ResourceGroup     string
	Workspace         string
	Region            string
	Audience          string // that tokens have to be for
	InferenceAudience string // the same, of batch endpoints
	PageSize          int    // of the resource manager's lists, and of the steps of a run
	Now               func() time.Time

	// Complain hears of each request that the real service would not understand; such a request is refused too.
	Complain func(complaint string)

	mu         sync.Mutex
	manners    Manners
	pipelines  map[string]Pipeline
	endpoints  map[string]Endpoint
	components map[string]Component // by name:version
	doors      map[string]BatchEndpoint
	stores     map[string]Datastore
	data       []DataAsset               // in the order in which they were put
	schedules  map[string]map[string]any // of v1, by id
	triggers   map[string]*trigger       // of v2, by name
	operations map[string]*trigger
	runs       []*Run // in the order in which they were made; none is ever taken out, so that ids made of their number are new
	faults     map[Op][]Fault
	asked      map[Op]int
}

// Manners are ways in which services of different age answer.
type Manners struct {
	NumericEnums     bool // enumerations are numbers
	ListsWithoutTags bool // runs in lists come without their tags
	HistoryLags      bool // the run history knows no run yet
	RunsLag          bool // nor, by its id, does the service that has taken it
	ListsLag         bool // the resource manager's list of jobs knows none yet
	ListsAllJobs     bool // that list does not heed which property is asked for
	SchedulesLag     int  // so many questions after a v2 schedule's change it is still under way
	NoOperations     bool // such a change names no operation to ask for
	StatusIgnored    bool // the switch of a published pipeline does nothing
	TagsLost         bool // jobs of batch endpoints keep neither tags nor properties of the caller's
}

// Pipeline is a published one. With Parameters that are not nil it takes no others.
type Pipeline struct {
	ID, Name, Description string
	Status                string // Active, Deprecated or Disabled; "" is Active
	Parameters            map[string]string
}

// Endpoint is a pipeline endpoint, which runs the pipeline of that id.
type Endpoint struct {
	ID, Name, Description string
	Status                string // as of a Pipeline
	Pipeline              string
}

// Run is a run that was submitted.
type Run struct {
	ID                    string
	Pipeline              string // the id of the published pipeline
	Endpoint              string // the id of the endpoint, if it was submitted to one
	Experiment            string
	Description           string
	Tags                  map[string]string
	Parameters            map[string]string
	DataPaths             map[string]DataPath
	DataSets              map[string]any
	ContinueOnStepFailure bool

	Job Job // of v2

	Schedule string // the old schedule that made it, by its id or name

	Status  string // in the words of the run history
	Error   string
	Created time.Time
	Started time.Time
	Ended   time.Time
	Steps   []Step

	Lost       bool   // the workspace no longer knows it
	occurrence string // by which it is counted, whatever tags it keeps
}

// DataPath is what a DataPath parameter was given.
type DataPath struct{ DataStoreName, RelativePath string }

// Step is the run of a step.
type Step struct {
	Name, Status, Error string
	Started, Ended      time.Time
}

// New makes a workspace without pipelines that takes tokens of the public cloud.
func New() *Service {
	return &Service{
		Subscription: "11111111-2222-3333-4444-555555555555", ResourceGroup: "bells", Workspace: "tower",
		Region: "westeurope", Audience: "https://management.azure.com", InferenceAudience: "https://ml.azure.com", PageSize: 2,
		Now: time.Now, Complain: func(string) {},
		pipelines: map[string]Pipeline{}, endpoints: map[string]Endpoint{}, components: map[string]Component{},
		schedules: map[string]map[string]any{}, triggers: map[string]*trigger{}, operations: map[string]*trigger{},
		doors: map[string]BatchEndpoint{}, stores: map[string]Datastore{}, faults: map[Op][]Fault{}, asked: map[Op]int{},
	}
}

// Server is a Service that is served over https for one test.
type Server struct {
	*Service
	URL       string
	Transport http.RoundTripper // trusts the server
	Close     func()            // also done at the test's end
}

// Start serves a workspace. The test fails for each complaint.
func Start(t testing.TB) *Server { return start(t, false) }

// StartHTTP2 is Start with HTTP/2, as the real service is called.
func StartHTTP2(t testing.TB) *Server { return start(t, true) }

func start(t testing.TB, http2 bool) *Server {
	s := New()
	s.Complain = func(complaint string) { t.Error("the workspace: " + complaint) }
	web := httptest.NewUnstartedServer(s)
	web.Config.ErrorLog = log.New(io.Discard, "", 0) // callers that do not trust it
	web.EnableHTTP2 = http2
	web.StartTLS()
	t.Cleanup(web.Close)
	return &Server{Service: s, URL: web.URL, Transport: web.Client().Transport, Close: web.Close}
}

// Behave changes how the service answers.
func (s *Service) Behave(m Manners) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.manners = m
}

// Put adds published pipelines, or replaces those of the same id.
func (s *Service) Put(pipelines ...Pipeline) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range pipelines {
		s.pipelines[p.ID] = p
	}
}

// PutEndpoint adds endpoints, or replaces those of the same id.
func (s *Service) PutEndpoint(endpoints ...Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range endpoints {
		s.endpoints[e.ID] = e
	}
}

// Runs returns every run that was made, in that order, those that were lost too.
func (s *Service) Runs() []Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	runs := make([]Run, len(s.runs))
	for i, r := range s.runs {
		runs[i] = *r
		runs[i].Tags, runs[i].Parameters, runs[i].Steps = maps.Clone(r.Tags), maps.Clone(r.Parameters), slices.Clone(r.Steps)
		runs[i].Job.Inputs, runs[i].Job.Properties = maps.Clone(r.Job.Inputs), maps.Clone(r.Job.Properties)
	}
	return runs
}

// Submissions counts the runs that were submitted with an occurrence's tag, those that were lost too.
func (s *Service) Submissions(occurrence string) int {
	n := 0
	for _, r := range s.Runs() {
		if r.occurrence == occurrence {
			n++
		}
	}
	return n
}

// Asked counts the requests for an operation, refused and failed ones too.
func (s *Service) Asked(op Op) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[op]
}

// Ended reports whether a run with this status will not move any more.
func Ended(status string) bool {
	return slices.Contains([]string{"Completed", "Failed", "Canceled"}, status)
}

// Move gives a run another status, in the run history's words, and an error text. It panics when there is no such
// run, or it has ended.
func (s *Service) Move(runID, status, errText string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.run(runID)
	if r == nil || Ended(r.Status) {
		panic(fmt.Sprintf("run %s cannot become %s", runID, status))
	}
	r.Status, r.Error = status, errText
	s.stamp(r)
}

// Advance lets step give each run that goes on another Status, Error and Steps. No request is answered meanwhile: what
// step sees of a run holds until it is through with it, that nobody has asked for its end included.
func (s *Service) Advance(step func(*Run)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.known() {
		if !Ended(r.Status) {
			step(r)
			s.stamp(r)
		}
	}
}

// stamp notes when a run has begun and ended.
func (s *Service) stamp(r *Run) {
	if r.Started.IsZero() && (r.Status == "Running" || r.Status == "Completed" || r.Status == "Failed") {
		r.Started = s.Now().UTC()
	}
	if Ended(r.Status) {
		r.Ended = s.Now().UTC()
	}
}

// Tell gives a run steps.
func (s *Service) Tell(runID string, steps ...Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run(runID).Steps = steps
}

// Forget makes the workspace lose a run. No request finds it any more; that it was made still counts.
func (s *Service) Forget(runID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.run(runID); r != nil {
		r.Lost = true
	}
}

func (s *Service) run(id string) *Run {
	for _, r := range s.runs {
		if r.ID == id && !r.Lost {
			return r
		}
	}
	return nil
}

// known are the runs that were not lost.
func (s *Service) known() []*Run {
	return slices.DeleteFunc(slices.Clone(s.runs), func(r *Run) bool { return r.Lost })
}

// backwards is the order of lists here, so that nobody relies on one.
func backwards[V any](m map[string]V) (values []V) {
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(m))) {
		values = append(values, m[id])
	}
	return values
}
