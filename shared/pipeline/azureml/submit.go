package azureml

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"carillon/shared/pipeline"
)

// v1 is a pipeline.Target for one of the kinds of v1, which differ in two routes.
type v1 struct {
	w      *Workspace
	kind   string
	submit string // the route of a submission, up to the pipeline's id
	list   string // the route of the list
}

var _ pipeline.Target = (*v1)(nil)

func (w *Workspace) pipelines(route string) string { return "/pipelines/v1.0" + w.scope + route }
func (w *Workspace) history(route string) string   { return "/history/v1.0" + w.scope + route }

// id is what may name a pipeline or a run in a path: GUIDs, in fact.
var id = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,255}$`)

// request is the body of a submission. Parameter values travel as texts, whatever the pipeline makes of them.
type request struct {
	ExperimentName           string
	Description              string
	Tags                     map[string]string
	RunSource                string
	ParameterAssignments     map[string]string
	DataPathAssignments      map[string]dataPath `json:",omitempty"`
	ContinueRunOnStepFailure *bool               `json:",omitempty"` // absent: as the pipeline was published

	DataSetDefinitionValueAssignments map[string]json.RawMessage `json:",omitempty"`
}

// dataPath is a DataPath parameter's value. The path goes from the datastore's root.
type dataPath struct{ DataStoreName, RelativePath string }

// Submit starts a run or, for a submission that is made Again, finds the one that an earlier try has made.
func (t *v1) Submit(ctx context.Context, s pipeline.Submission) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", &pipeline.Error{Outcome: pipeline.NotDone, Err: err}
	}
	if err := t.admissible(s); err != nil {
		return "", err
	}
	ctx = hiding(ctx, s)
	if s.Again {
		return t.find(ctx, s)
	}
	body, err := newRequest(s)
	if err != nil {
		return "", err
	}
	var made struct{ ID string }
	err = t.w.v1.do(ctx, http.MethodPost, t.w.pipelines(t.submit+url.PathEscape(s.Pipeline.ID)), body, &made)
	if err == nil && !id.MatchString(made.ID) {
		err = &failure{sent: true, err: fmt.Errorf("it was accepted without a usable id, %q", tidy(made.ID))}
	}
	if err != nil {
		return "", notSubmitted(s, err)
	}
	return made.ID, nil
}

func newRequest(s pipeline.Submission) (request, error) {
	r := request{
		ExperimentName: s.Experiment,
		Description:    fmt.Sprintf("Started by Carillon for schedule %s", s.Schedule),
		Tags:           tags(s),
		RunSource:      "SDK", ParameterAssignments: map[string]string{}, DataPathAssignments: map[string]dataPath{},
		DataSetDefinitionValueAssignments: map[string]json.RawMessage{},
		ContinueRunOnStepFailure:          s.ContinueOnStepFailure,
	}
	for name, text := range s.Parameters {
		if err := r.assign(name, text); err != nil {
			return r, pipeline.Refusef("parameter %s of pipeline %s: %w", name, s.Pipeline, err)
		}
	}
	if d := s.DataPath; d != nil {
		delete(r.ParameterAssignments, d.Parameter)
		r.DataPathAssignments[d.Parameter] = dataPath{d.Datastore, d.Path}
	}
	return r, nil
}

// assign gives a parameter its value. One that begins with datapath: is that of a DataPath parameter, and goes on with
// DATASTORE/PATH; one that begins with dataset: is that of a Dataset parameter, and goes on with the JSON that the
// service has for it, as shared/migrate keeps it. Others are texts.
func (r *request) assign(name, text string) error {
	if at, ok := strings.CutPrefix(text, "datapath:"); ok {
		datastore, path, _ := strings.Cut(at, "/")
		if datastore == "" {
			return errors.New("datapath: has to be followed by DATASTORE/PATH")
		}
		r.DataPathAssignments[name] = dataPath{datastore, path}
		return nil
	}
	if value, ok := strings.CutPrefix(text, "dataset:"); ok {
		if !json.Valid([]byte(value)) {
			return errors.New("dataset: has to be followed by the JSON that the v1 service has for its value")
		}
		r.DataSetDefinitionValueAssignments[name] = json.RawMessage(value)
		return nil
	}
	r.ParameterAssignments[name] = text
	return nil
}

// tags are what a run bears: those that were given, and over them the marks. Services refuse empty ones.
func tags(s pipeline.Submission) map[string]string {
	all := marks(s)
	for name, value := range s.Tags {
		if _, ours := all[name]; !ours && name != "" && value != "" {
			all[name] = value
		}
	}
	return all
}

// marks are what Carillon knows a run by.
func marks(s pipeline.Submission) map[string]string {
	marks := map[string]string{pipeline.OccurrenceTag: s.Occurrence}
	if s.Schedule != "" {
		marks[scheduleTag] = s.Schedule
	}
	return marks
}

// tagValue is what can stand in a query as it is.
var tagValue = regexp.MustCompile(`^[A-Za-z0-9_-]{1,200}$`)

// admissible refuses what could not be sent, or not be found again.
func (t *v1) admissible(s pipeline.Submission) error {
	if s.Pipeline.Kind != t.kind || !id.MatchString(s.Pipeline.ID) {
		return pipeline.Refusef("pipeline %s: %w", s.Pipeline, pipeline.ErrNotFound)
	}
	return findable(s)
}

// findable refuses what could not be found again.
func findable(s pipeline.Submission) error {
	switch {
	case strings.Trim(s.Experiment, ".") == "":
		return pipeline.Refusef("%q cannot name an experiment", s.Experiment)
	case !tagValue.MatchString(s.Occurrence):
		return pipeline.Refusef("%q cannot be a run's tag: it takes 1 to 200 letters, digits, _ or -", s.Occurrence)
	}
	return nil
}

// query asks the run history. The filter's form is that of Microsoft's own client: values without quotes.
type query struct {
	Filter string `json:"filter"`
	Top    int    `json:"top"`
}

// historyRun is a run in the history. Tags may be missing in a list: whether they are is not established.
type historyRun struct {
	RunID       string
	ParentRunID string
	Tags        words
}

// mostSuspects is how many runs without tags, among those that the filter let through, are looked at one by one.
const mostSuspects = 10

// find returns the run that bears the occurrence's tag. Its errors start nothing: NotDone when the question could
// not be put and may be put again, else Unknown.
func (t *v1) find(ctx context.Context, s pipeline.Submission) (string, error) {
	q := query{Filter: fmt.Sprintf("(Tags/%s eq %s) and (ParentRunId eq null)", pipeline.OccurrenceTag, s.Occurrence), Top: mostSuspects}
	var found struct{ Value []historyRun }
	err := t.w.v1.do(ctx, http.MethodPost, t.w.history("/experiments/"+url.PathEscape(s.Experiment)+"/runs:query"), q, &found)
	if err != nil {
		return "", notFound(s, err)
	}
	err = errors.New("the workspace shows no such run, which does not prove that there is none")
	for _, r := range found.Value[:min(len(found.Value), mostSuspects)] {
		if !id.MatchString(r.RunID) || r.ParentRunID != "" {
			continue
		}
		bears, failed := t.bears(ctx, r, s.Occurrence)
		if bears {
			return r.RunID, nil
		}
		if failed != nil {
			err = failed
		}
	}
	return "", notFound(s, err)
}

// bears reports whether a run has the occurrence's tag. One that came without tags is asked for them.
func (t *v1) bears(ctx context.Context, r historyRun, occurrence string) (bool, error) {
	if len(r.Tags) == 0 {
		err := t.w.v1.do(ctx, http.MethodGet, t.w.history("/runs/"+r.RunID+"/details"), nil, &r)
		if err != nil && !answered(err, http.StatusNotFound) {
			return false, err
		}
	}
	return r.Tags[pipeline.OccurrenceTag] == occurrence, nil
}

func notFound(s pipeline.Submission, err error) error {
	e := &pipeline.Error{Outcome: pipeline.NotDone, Err: fmt.Errorf("an earlier try may have started a run of pipeline %s, and it could not be looked for: %w", s.Pipeline, err)}
	var f *failure
	if errors.As(err, &f) && !answered(err, refusals...) {
		e.RetryAfter = f.retryAfter
		return e
	}
	e.Outcome = pipeline.Unknown
	e.Err = fmt.Errorf("an earlier try may have started a run of pipeline %s: %w; %s", s.Pipeline, err, whereToLook(s))
	return e
}
