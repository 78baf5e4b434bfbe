package azuremltest

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
)

// Op is an operation of the services.
type Op string

const (
	Submit        Op = "submit to a published pipeline"
	SubmitTo      Op = "submit to a pipeline endpoint"
	FindRuns      Op = "find runs"
	GetDetails    Op = "get run details"
	GetRun        Op = "get a pipeline run"
	Cancel        Op = "cancel a run"
	ListPipelines Op = "list published pipelines"
	GetPipeline   Op = "get a published pipeline"
	SetStatus     Op = "set a published pipeline's status"
	ListEndpoints Op = "list pipeline endpoints"
	ListSteps     Op = "list the steps of a run"

	Invoke             Op = "call a batch endpoint"
	PutJob             Op = "make a job"
	GetJob             Op = "get a job"
	CancelJob          Op = "cancel a job"
	ListJobs           Op = "list jobs"
	ListBatchEndpoints Op = "list batch endpoints"
	GetBatchEndpoint   Op = "get a batch endpoint"
	ListDeployments    Op = "list deployments"
	GetDeployment      Op = "get a deployment"
	ListComponents     Op = "list components"
	ListVersions       Op = "list a component's versions"
	GetVersion         Op = "get a component's version"
	ListDatastores     Op = "list datastores"

	ListSchedules   Op = "list v1 schedules"
	GetSchedule     Op = "get a v1 schedule"
	PutSchedule     Op = "change a v1 schedule"
	ListV2Schedules Op = "list v2 schedules"
	GetV2Schedule   Op = "get a v2 schedule"
	PutV2Schedule   Op = "change a v2 schedule"
	GetOperation    Op = "get an operation's status"
	ListScheduled   Op = "list the runs of a v1 schedule"
	GetData         Op = "get a data asset"
	GetDataVersion  Op = "get a data asset's version"
)

// Fault is what happens to one request that is in order. The work is done first if AfterWork says so; then Hold, if
// any, keeps the answer back until it returns; then comes the failure. With neither Drop nor Status there is none, and
// the answer is only slow.
type Fault struct {
	Of         string // only a request about what has this name; "" for any
	AfterWork  bool
	Hold       func(ctx context.Context) // ctx ends when the caller goes away
	Drop       bool                      // the connection ends; with a Status in the middle of the answer
	Status     int
	Body       string // with Status; "" is an error in the service's form
	RetryAfter string // headers, with Status
	Location   string
	Challenge  string
}

// Fail puts faults up for the next requests for an operation, one for each.
func (s *Service) Fail(op Op, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[op] = append(s.faults[op], faults...)
}

func (s *Service) nextFault(op Op, name string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.faults[op], func(f Fault) bool { return f.Of == "" || f.Of == name })
	if i < 0 {
		return Fault{}
	}
	fault := s.faults[op][i]
	s.faults[op] = slices.Delete(s.faults[op], i, i+1)
	return fault
}

// reply is an answer: a status and what its JSON is made of, nil for an empty body.
type reply struct {
	status int
	body   any
}

func refuse(status int, code, message string) reply {
	return reply{status, map[string]any{"error": map[string]any{"code": code, "message": message, "details": []any{}}}}
}

// headed is an answer's body with headers.
type headed struct {
	header map[string]string
	body   any
}

func (a reply) write(w http.ResponseWriter) {
	w.Header().Set("x-ms-request-id", "double")
	if h, ok := a.body.(headed); ok {
		for name, value := range h.header {
			w.Header().Set(name, value)
		}
		a.body = h.body
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(a.status)
	json.NewEncoder(w).Encode(a.body)
}

// perform answers a request that is in order, under whatever fault is up for it. name is what it is about.
func (s *Service) perform(w http.ResponseWriter, r *http.Request, op Op, name string, work func() reply) {
	fault := s.nextFault(op, name)
	var answer reply
	if fault.AfterWork {
		answer = work()
	}
	if fault.Hold != nil {
		fault.Hold(r.Context())
	}
	if fault.Drop || fault.Status != 0 {
		fault.write(w)
		return
	}
	if !fault.AfterWork {
		answer = work()
	}
	answer.write(w)
}

func (f Fault) write(w http.ResponseWriter) {
	if f.Status == 0 {
		panic(http.ErrAbortHandler)
	}
	for name, value := range map[string]string{"Retry-After": f.RetryAfter, "Location": f.Location, "WWW-Authenticate": f.Challenge} {
		if value != "" {
			w.Header().Set(name, value)
		}
	}
	switch {
	case f.Drop:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(f.Status)
		w.Write([]byte(`{"Id": "`))
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case f.Body != "":
		w.WriteHeader(f.Status)
		w.Write([]byte(f.Body))
	default:
		refuse(f.Status, "OnDemand", "it was told to fail").write(w)
	}
}

// Faults counts those that are still up for an operation.
func (s *Service) Faults(op Op) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.faults[op])
}

// Ops are all operations.
func Ops() (all []Op) {
	for _, route := range routes {
		all = append(all, route.op)
	}
	return all
}
