// Package api is the HTTP function: people and programs look at schedules and runs, and change them.
//
// http: /api/…. Nothing is retried here. Changes are safe to repeat: a creation by its name, a change by If-Match, a
// trigger by its Idempotency-Key. openapi.yaml is the contract; a test holds it against the routes.
package api

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/problem"
	"carillon/shared/queue"
	"carillon/shared/recur"
	"carillon/shared/source"
	"carillon/shared/store"
)

// MaxBody is how many bytes a request's body may have.
const MaxBody = 1 << 20

// ActorHeader is where a platform, or a client on a machine that trusts it, says who is asking.
const ActorHeader = "X-Carillon-Actor"

//go:embed openapi.yaml
var openAPI []byte

// Function answers the routes. Its fields are set once.
type Function struct {
	DB      *store.DB
	Targets map[string]pipeline.Target // by the kind of pipeline
	Submit  queue.Queue
	Follow  queue.Queue // for runs that are to end
	Now     func() time.Time
	Log     *slog.Logger

	Datastores *source.Datastores // that schedules may watch; nil for none
	Old        Old                // whose schedules can be imported; nil for none
}

// Route is one operation of the API.
type Route struct {
	Method string
	Path   string // with {name} for parameters
	handle func(f *Function, r *http.Request) (answer, error)
}

// Routes are all operations.
var Routes = []Route{
	{http.MethodGet, "/api/schedules", (*Function).listSchedules},
	{http.MethodPost, "/api/schedules", (*Function).createSchedule},
	{http.MethodGet, "/api/schedules/{name}", (*Function).getSchedule},
	{http.MethodGet, "/api/schedules/{name}/revisions/{revision}", (*Function).getRevision},
	{http.MethodPatch, "/api/schedules/{name}", (*Function).updateSchedule},
	{http.MethodDelete, "/api/schedules/{name}", (*Function).deleteSchedule},
	{http.MethodPost, "/api/schedules/{name}/enable", (*Function).enableSchedule},
	{http.MethodPost, "/api/schedules/{name}/disable", (*Function).disableSchedule},
	{http.MethodPost, "/api/schedules/{name}/trigger", (*Function).triggerSchedule},
	{http.MethodPost, "/api/schedules/{name}/backfill", (*Function).backfill},
	{http.MethodPost, "/api/disable-all", (*Function).disableAll},
	{http.MethodPost, "/api/enable-all", (*Function).enableAll},
	{http.MethodGet, "/api/audit", (*Function).listAudit},
	{http.MethodGet, "/api/schedules/{name}/next", (*Function).nextOccurrences},
	{http.MethodPost, "/api/preview", (*Function).preview},
	{http.MethodPost, "/api/import", (*Function).importSchedules},
	{http.MethodGet, "/api/calendars", (*Function).listCalendars},
	{http.MethodGet, "/api/calendars/{name}", (*Function).getCalendar},
	{http.MethodPut, "/api/calendars/{name}", (*Function).putCalendar},
	{http.MethodDelete, "/api/calendars/{name}", (*Function).deleteCalendar},
	{http.MethodGet, "/api/runs", (*Function).listRuns},
	{http.MethodGet, "/api/runs/{id}", (*Function).getRun},
	{http.MethodPost, "/api/runs/{id}/cancel", (*Function).cancelRun},
	{http.MethodGet, "/api/runs/{id}/output", (*Function).runOutput},
	{http.MethodGet, "/api/runs/{id}/changes", (*Function).runChanges},
	{http.MethodGet, "/api/datastores", (*Function).listDatastores},
	{http.MethodGet, "/api/explain", (*Function).explain},
	{http.MethodGet, "/api/pipelines", (*Function).listPipelines},
	{http.MethodGet, "/api/pipelines/{kind}", (*Function).getPipeline},
	{http.MethodPost, "/api/pipelines/{kind}/enable", (*Function).enablePipeline},
	{http.MethodPost, "/api/pipelines/{kind}/disable", (*Function).disablePipeline},
	{http.MethodGet, "/api/experiments", (*Function).listExperiments},
	{http.MethodGet, "/api/openapi.yaml", (*Function).contract},
}

// answer is what a route gives back: a value as JSON, or a stream.
type answer struct {
	status  int // 0 is 200
	header  http.Header
	body    any
	stream  io.ReadCloser
	content string // the stream's type
}

// page is the form of every list.
type page struct {
	Items any    `json:"items"`
	Next  string `json:"next,omitempty"` // give it as ?token= for the page after this one
}

// Handler serves the routes.
func (f *Function) Handler() http.Handler {
	mux := http.NewServeMux()
	methods := map[string][]string{}
	for _, route := range Routes {
		methods[route.Path] = append(methods[route.Path], route.Method)
		mux.HandleFunc(route.Method+" "+route.Path, func(w http.ResponseWriter, r *http.Request) {
			f.serve(w, r, route.handle)
		})
	}
	for path, allowed := range methods {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			problem.Write(w, problem.Newf(problem.MethodNotAllowed, "%s takes %s, not %s", r.URL.Path, strings.Join(allowed, ", "), r.Method))
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, problem.Newf(problem.NotFound, "there is nothing at %s; /api/openapi.yaml lists what there is", r.URL.Path))
	})
	return mux
}

func (f *Function) serve(w http.ResponseWriter, r *http.Request, handle func(*Function, *http.Request) (answer, error)) {
	r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
	a, err := handle(f, r)
	if err != nil {
		if p := problem.Write(w, known(err)); p.Code == problem.Internal {
			f.Log.ErrorContext(r.Context(), "a request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		}
		return
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if a.stream != nil {
		defer a.stream.Close()
		w.Header().Set("Content-Type", a.content)
		io.Copy(w, a.stream)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.Encode(a.body)
}

// known gives errors of the packages below their code.
func known(err error) error {
	var p *problem.Problem
	var fields recur.FieldErrors
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &fields):
		return invalid(fields)
	case errors.Is(err, store.ErrNotFound):
		return problem.Newf(problem.NotFound, "there is no %s", strings.TrimSuffix(err.Error(), ": "+store.ErrNotFound.Error()))
	case errors.Is(err, pipeline.ErrNotFound):
		return problem.Newf(problem.NotFound, "the far side knows nothing of it: %v", err)
	case errors.Is(err, store.ErrExists):
		return problem.Newf(problem.Exists, "%v", err)
	case errors.Is(err, syscall.ENOSPC):
		return problem.Newf(problem.Unavailable, "the disk is full: nothing was changed; make room and try again")
	case errors.Is(err, store.ErrConflict), errors.Is(err, context.DeadlineExceeded):
		return problem.Newf(problem.Unavailable, "the store is busy; try again")
	}
	return err
}

func invalid(fields recur.FieldErrors) error {
	p := problem.Newf(problem.InvalidFields, "the document has %d wrong field(s)", len(fields))
	for _, e := range fields {
		p.Fields = append(p.Fields, problem.Field{Field: e.Field, Message: e.Message})
	}
	return p
}

// body reads a JSON body; it may be empty where optional.
func body(r *http.Request, optional bool) ([]byte, error) {
	data, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, problem.Newf(problem.TooLarge, "the body may have %d bytes", tooLarge.Limit)
	case err != nil:
		return nil, problem.Newf(problem.BadRequest, "the body did not arrive whole")
	}
	if data = bytes.TrimSpace(data); len(data) == 0 && optional {
		return nil, nil
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch media {
	case "application/json", "application/merge-patch+json":
	default:
		return nil, problem.Newf(problem.UnsupportedMedia, "send JSON with Content-Type: application/json (the command line reads YAML and sends JSON)")
	}
	if err := json.Unmarshal(data, new(json.RawMessage)); err != nil {
		return nil, problem.Newf(problem.BadRequest, "the body is not JSON: %v", err)
	}
	return data, nil
}

// number reads a whole number from the query.
func number(r *http.Request, name string, absent, most int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return absent, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, problem.Newf(problem.BadRequest, "%s has to be a whole number from 1 to %d", name, most)
	}
	return n, nil
}

// onlyQuery refuses a query with names that the route does not know.
func onlyQuery(r *http.Request, names ...string) error {
next:
	for name := range r.URL.Query() {
		for _, known := range names {
			if name == known || name == "code" { // code: where Azure takes a function key
				continue next
			}
		}
		return problem.Newf(problem.BadRequest, "%q is no parameter here; there are: %s", name, strings.Join(names, ", "))
	}
	return nil
}

func actor(r *http.Request) string {
	who := r.Header.Get(ActorHeader)
	if len(who) > 200 {
		who = who[:200]
	}
	return who
}

func (f *Function) contract(r *http.Request) (answer, error) {
	return answer{stream: io.NopCloser(bytes.NewReader(openAPI)), content: "application/yaml"}, nil
}
