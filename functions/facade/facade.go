// Package facade is the HTTP function for programs that cannot change: it answers the routes of Azure ML's retired v1
// with its bodies, and what they submit runs as a schedule's run does, on any target, once.
//
// http: /api/azureml/…, on a plain machine the root, too, and below that v1's own paths. An id of a published pipeline or of a
// pipeline endpoint stands for a schedule: to submit it is to trigger the schedule now. The id of the run is that of the
// occurrence, and only runs of such schedules are shown and cancelled here. The subscription, the resource group and the
// workspace of a path are not compared with anything, nor is the experiment of a run's. A submission that bears the
// x-ms-client-request-id of one that was recorded in the ten minutes before, and is the same, is that one; later it is
// another. Without the header v1's clients cannot repeat a submission safely, here neither.
//
// Who may ask is the platform's business: the façade does not look at the bearer token that v1's clients send. Some, as
// that of Dynamics 365, keep nothing but the host of the URL that they are given, and send no key. A plain machine answers
// at its root, and on a function app something in front has to put the prefix before the path; wherever there are keys, it
// has to add one.
//
// Kept of a submission are its experiment, its parameters (as plain texts: they are no templates), one DataPath, its tags,
// and that steps go on after a failure. Its description, source and display name are not. What would change the run's
// result and cannot be kept is refused: a version of an endpoint, Datasets, a second DataPath.
package facade

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/problem"
	"carillon/shared/queue"
	"carillon/shared/recur"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// Function answers the routes. Its fields are set once.
type Function struct {
	Schedules map[string]string // names of schedules by ids of v1, in small letters; see Parse. Empty: nothing is answered
	DB        *store.DB
	Targets   map[string]pipeline.Target // by the kind of pipeline
	Submit    queue.Queue
	Follow    queue.Queue // for runs that are to end
	Now       func() time.Time
	Log       *slog.Logger
}

var guid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// Parse reads which ids of v1 stand for which schedules: "GUID=schedule-name,GUID=other". Several ids may stand for one.
func Parse(setting string) (map[string]string, error) {
	schedules := map[string]string{}
	var wrong []error
	for part := range strings.SplitSeq(setting, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		id, name, ok := strings.Cut(part, "=")
		id, name = strings.ToLower(strings.TrimSpace(id)), strings.TrimSpace(name)
		switch _, twice := schedules[id]; {
		case !ok || !guid.MatchString(id):
			wrong = append(wrong, fmt.Errorf("%.80q: has to be the id of a v1 pipeline or pipeline endpoint, = and a schedule's name", part))
		case !schedule.ValidName(name):
			wrong = append(wrong, fmt.Errorf("%.80q: %.80q cannot be a schedule's name", part, name))
		case twice:
			wrong = append(wrong, fmt.Errorf("%s stands there twice", id))
		}
		schedules[id] = name
	}
	return schedules, errors.Join(wrong...)
}

// route is one operation. Its path lies below the façade's prefix; the last group is what it is about.
type route struct {
	method string
	path   *regexp.Regexp
	shown  string // to people, without the workspace
	handle func(f *Function, r *http.Request, about string) (any, error)
}

// below is a path of one of v1's services, compared without regard to letter case.
func below(service, path string) *regexp.Regexp {
	const workspace = `/v1\.0/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.MachineLearningServices/workspaces/[^/]+`
	return regexp.MustCompile(`(?i)^/` + service + workspace + path + `$`)
}

var routes = []route{
	{http.MethodPost, below("pipelines", `/PipelineRuns/PipelineEndpointSubmit/Id/([^/]+)`), "PipelineRuns/PipelineEndpointSubmit/Id/{id}", (*Function).submit},
	{http.MethodPost, below("pipelines", `/PipelineRuns/PipelineSubmit/([^/]+)`), "PipelineRuns/PipelineSubmit/{id}", (*Function).submit},
	{http.MethodGet, below("pipelines", `/PipelineRuns/([^/]+)`), "PipelineRuns/{run}", (*Function).pipelineRun},
	{http.MethodDelete, below("pipelines", `/PipelineRuns/([^/]+)/Execution`), "PipelineRuns/{run}/Execution", (*Function).cancel},
	{http.MethodPost, below("pipelines", `/PipelineRuns/([^/]+)/Cancel`), "PipelineRuns/{run}/Cancel", (*Function).cancel},
	{http.MethodGet, below("history", `(?:/experiment(?:s|ids)/[^/]+)?/runs/([^/]+)(?:/details)?`), "runs/{run}/details", (*Function).details},
	{http.MethodPost, below("history", `/experiments/([^/]+)/runs:query`), "experiments/{name}/runs:query", (*Function).query},
}

// Handler answers what is below the prefix; rest answers everything else.
func (f *Function) Handler(prefix string, rest http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.EscapedPath()
		if len(path) < len(prefix) || !strings.EqualFold(path[:len(prefix)], prefix) || path[len(prefix):] != "" && path[len(prefix)] != '/' {
			rest.ServeHTTP(w, r)
			return
		}
		body, err := f.answer(r, path[len(prefix):])
		f.write(w, r, body, err)
	})
}

func (f *Function) answer(r *http.Request, path string) (any, error) {
	if len(f.Schedules) == 0 {
		return nil, problem.Newf(problem.NotFound, "this Carillon does not answer for Azure ML v1: set CARILLON_FACADE=ID=schedule-name, with the id of a pipeline or pipeline endpoint")
	}
	var allowed []string
	for _, route := range routes {
		parts := route.path.FindStringSubmatch(path)
		if parts == nil {
			continue
		}
		if route.method != r.Method {
			allowed = append(allowed, route.method)
			continue
		}
		about, err := url.PathUnescape(parts[1])
		if err != nil {
			return nil, problem.Newf(problem.BadRequest, "the path is not well escaped: %v", err)
		}
		return route.handle(f, r, about)
	}
	if len(allowed) > 0 {
		return nil, problem.Newf(problem.MethodNotAllowed, "this takes %s, not %s", strings.Join(allowed, ", "), r.Method)
	}
	var shown []string
	for _, route := range routes {
		shown = append(shown, route.method+" "+route.shown)
	}
	return nil, problem.Newf(problem.NotFound, "of Azure ML v1 Carillon answers %s; it has nothing at %s", strings.Join(shown, ", "), cmp.Or(path, "/"))
}

// codes are v1's words for what is wrong.
var codes = map[int]string{
	http.StatusBadRequest: "UserError", http.StatusUnprocessableEntity: "UserError", http.StatusNotFound: "NotFound",
	http.StatusMethodNotAllowed: "MethodNotAllowed", http.StatusConflict: "Conflict", http.StatusRequestEntityTooLarge: "RequestEntityTooLarge",
	http.StatusServiceUnavailable: "ServiceUnavailable", http.StatusInternalServerError: "ServiceError",
}

type failure struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

func (f *Function) write(w http.ResponseWriter, r *http.Request, body any, err error) {
	status := http.StatusOK
	if err != nil {
		p := known(err)
		if p.Code == problem.Internal {
			f.Log.ErrorContext(r.Context(), "a request of a v1 client failed", "method", r.Method, "path", r.URL.Path, "error", err)
		}
		if status = p.Status; status == http.StatusUnprocessableEntity {
			status = http.StatusBadRequest
		}
		if status == http.StatusServiceUnavailable || p.Code == problem.Conflict {
			w.Header().Set("Retry-After", "5")
		}
		var failed failure
		failed.Error.Code, failed.Error.Message = codes[p.Status], strings.ReplaceAll(p.Error(), "\n  ", "; ")
		body = failed
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.Encode(body)
}

// known gives errors of the packages below their code.
func known(err error) *problem.Problem {
	var p *problem.Problem
	var fields recur.FieldErrors
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &fields):
		p = problem.Newf(problem.InvalidFields, "the submission cannot be taken")
		for _, e := range fields {
			p.Fields = append(p.Fields, problem.Field{Field: e.Field, Message: e.Message})
		}
		return p
	case errors.Is(err, store.ErrLimit):
		return problem.Newf(problem.TooLarge, "the submission is too large to be kept")
	case errors.Is(err, store.ErrConflict), errors.Is(err, context.DeadlineExceeded):
		return problem.Newf(problem.Unavailable, "the store is busy; try again")
	}
	return problem.Newf(problem.Internal, "Carillon could not do this; its log says why")
}

const maxBody = 1 << 20 // bytes

// read reads a JSON object; an empty body is an empty one. Whatever media type it has: v1's clients disagree.
func read(r *http.Request, into any) ([]byte, error) {
	data, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, problem.Newf(problem.TooLarge, "the body may have %d bytes", maxBody)
	case err != nil:
		return nil, problem.Newf(problem.BadRequest, "the body did not arrive whole")
	}
	if data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff"))); len(data) == 0 {
		return nil, nil
	}
	if data[0] != '{' {
		return nil, problem.Newf(problem.BadRequest, "the body has to be a JSON object")
	}
	if err := json.Unmarshal(data, into); err != nil {
		return nil, problem.Newf(problem.BadRequest, "the body cannot be read: %v", err)
	}
	return data, nil
}

// run reads an occurrence of a schedule that the façade stands for.
func (f *Function) run(ctx context.Context, id string) (store.Stored[schedule.Occurrence], error) {
	o, err := f.DB.Occurrence(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err != nil && !parses(id) || err == nil && f.idOf(o.Value) == "" {
		return o, problem.Newf(problem.NotFound, "there is no run %.100q of a schedule that CARILLON_FACADE names", id)
	}
	return o, err
}

func parses(id string) bool {
	_, _, _, err := schedule.ParseOccurrenceID(id)
	return err == nil
}

// idOf is the id of v1 of a run: the one that was submitted. Of a run that nobody asked for here, and of one whose id does
// not stand for its schedule any more, it is the first of those that do; "" when there is none.
func (f *Function) idOf(o schedule.Occurrence) (first string) {
	if id := askedBy(o.Request); f.Schedules[id] == o.Schedule {
		return id
	}
	for id, stands := range f.Schedules {
		if stands == o.Schedule && (first == "" || id < first) {
			first = id
		}
	}
	return first
}

// names are those of the schedules, in order.
func (f *Function) names() (names []string) {
	for _, name := range f.Schedules {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
