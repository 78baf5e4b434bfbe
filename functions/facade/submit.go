package facade

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"carillon/shared/problem"
	"carillon/shared/queue"
	"carillon/shared/recur"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// submission is the body of a submission, as far as it means something here. Names may be written in any letter case.
type submission struct {
	ExperimentName                    string
	Tags                              map[string]any
	ParameterAssignments              json.RawMessage
	DataPathAssignments               map[string]dataPath
	DataSetDefinitionValueAssignments map[string]json.RawMessage
	ContinueRunOnStepFailure          *bool
}

// dataPath is a DataPath parameter's value.
type dataPath struct{ DataStoreName, RelativePath string }

const (
	requestHeader = "x-ms-client-request-id" // the caller's id of a request, and of its repetitions
	requestPrefix = "v1|"                    // of the requests that occurrences keep

	// repeats is how long after a submission was recorded the same one is its repetition. Clients that have had no answer ask
	// again within seconds; some bear one id with everything that they ever do, and mean another run the next day.
	repeats = 10 * time.Minute

	maxRequest = 256  // bytes of the caller's id that are kept for people
	maxTags    = 4096 // bytes of all tags as JSON
	maxName    = 255  // bytes of an experiment's name, and of a datastore's
)

// submit triggers the schedule that an id stands for.
func (f *Function) submit(r *http.Request, id string) (any, error) {
	s, err := f.schedule(r.Context(), id)
	if err != nil {
		return nil, err
	}
	if version := r.URL.Query().Get("pipelineVersion"); version != "" {
		return nil, problem.Newf(problem.BadRequest, "a version (%.40q) cannot be chosen here: schedule %s says which one runs", version, s.Name)
	}
	var in submission
	body, err := read(r, &in)
	if err != nil {
		return nil, err
	}
	o := schedule.Asked(s, requestOf(r, id, body), strings.ToLower(rand.Text()[:8]), actor(r), nil, f.Now().UTC())
	if err := f.assign(r.Context(), s, in, &o); err != nil {
		return nil, err
	}
	if o, err = f.ask(r.Context(), o); err != nil {
		return nil, err
	}
	return f.runEntity(o), nil
}

// actor is who asks, as far as the platform knows.
func actor(r *http.Request) string {
	who := cmp.Or(r.Header.Get("X-Carillon-Actor"), "somebody")
	return who[:min(len(who), 200)] + " (Azure ML v1)"
}

// schedule reads the one that an id of v1 stands for.
func (f *Function) schedule(ctx context.Context, id string) (schedule.Schedule, error) {
	name, ok := f.Schedules[strings.ToLower(id)]
	if !ok {
		return schedule.Schedule{}, problem.Newf(problem.NotFound,
			"no schedule stands for the pipeline or endpoint %.80q: add %.80s=schedule-name to CARILLON_FACADE, with a schedule that runs what it used to", id, id)
	}
	record, err := f.DB.Schedule(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		err = problem.Newf(problem.NotFound, "schedule %s, which CARILLON_FACADE has stand for %.80s, does not exist: create it", name, id)
	}
	return record.Schedule.Value, err
}

// requestOf is the name under which a submission and its repetitions are one: v1|ID|…, with the id of v1 that was submitted.
// The body is part of it: some clients send one id with everything that they do.
func requestOf(r *http.Request, id string, body []byte) string {
	name, given := rand.Text(), r.Header.Get(requestHeader)
	if given != "" {
		h := fnv.New128a()
		h.Write([]byte(given))
		h.Write(body)
		name = fmt.Sprintf("%x|%s", h.Sum(nil), strings.ToValidUTF8(given[:min(len(given), maxRequest)], "?"))
	}
	return requestPrefix + strings.ToLower(id) + "|" + name
}

// askedBy is the id of v1 in a request that requestOf has made; "" in others.
func askedBy(request string) string {
	rest, ours := strings.CutPrefix(request, requestPrefix)
	id, _, _ := strings.Cut(rest, "|")
	if !ours {
		return ""
	}
	return id
}

// assign gives the occurrence what the submission says.
func (f *Function) assign(ctx context.Context, s schedule.Schedule, in submission, o *schedule.Occurrence) (err error) {
	if len(in.DataSetDefinitionValueAssignments) > 0 {
		return problem.Newf(problem.BadRequest, "DataSetDefinitionValueAssignments: Datasets of v1 cannot be given to a run here; give their path as a parameter or as a DataPath")
	}
	o.Experiment, o.ContinueOnStepFailure = cmp.Or(strings.TrimSpace(in.ExperimentName), s.Experiment), in.ContinueRunOnStepFailure
	if len(o.Experiment) > maxName {
		return problem.Newf(problem.BadRequest, "ExperimentName: may have %d bytes", maxName)
	}
	if o.Tags, err = readTags(in.Tags); err != nil {
		return err
	}
	if o.DataPath, err = readDataPath(in.DataPathAssignments); err != nil {
		return err
	}
	o.Parameters, err = f.parameters(ctx, s, in.ParameterAssignments)
	return err
}

// readTags takes texts, numbers and flags. Those without a value count for nothing.
func readTags(in map[string]any) (map[string]string, error) {
	tags := map[string]string{}
	for name, value := range in {
		switch v := value.(type) {
		case nil:
		case string:
			tags[name] = v
		case bool, float64:
			text, _ := json.Marshal(v)
			tags[name] = string(text)
		default:
			return nil, problem.Newf(problem.BadRequest, "Tags: %.80q has to be a text", name)
		}
	}
	if len(tags) == 0 {
		return nil, nil
	}
	if written, err := json.Marshal(tags); err != nil || len(written) > maxTags {
		return nil, problem.Newf(problem.BadRequest, "Tags: may have %d bytes as JSON, these have %d", maxTags, len(written))
	}
	return tags, nil
}

var (
	parameterName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,127}$`)
	datastoreName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}$`)
)

// readDataPath takes the one that an occurrence can have. v1 does not say whether a path is a folder's: one that ends with a
// slash, or has no dot in its last part, is taken for one.
func readDataPath(in map[string]dataPath) (*schedule.DataPath, error) {
	names := slices.Sorted(maps.Keys(in))
	if len(names) == 0 {
		return nil, nil
	}
	if len(names) > 1 {
		return nil, problem.Newf(problem.BadRequest, "DataPathAssignments: one can be given to a run here, these are %s; give the others as parameters", strings.Join(names, ", "))
	}
	d := &schedule.DataPath{Parameter: names[0], Datastore: in[names[0]].DataStoreName}
	given := in[names[0]].RelativePath
	d.Path = strings.TrimSuffix(given, "/")
	d.Folder = d.Path != given || !strings.Contains(d.Path[strings.LastIndexByte(d.Path, '/')+1:], ".")
	switch wrong := schedule.BadFile(d.Path); {
	case !parameterName.MatchString(d.Parameter):
		return nil, problem.Newf(problem.BadRequest, "DataPathAssignments: %.80q cannot be a parameter's name", d.Parameter)
	case !datastoreName.MatchString(d.Datastore):
		return nil, problem.Newf(problem.BadRequest, "DataPathAssignments.%s.DataStoreName: %.80q cannot be a datastore's name", d.Parameter, d.Datastore)
	case wrong != "" && d.Path != "":
		return nil, problem.Newf(problem.BadRequest, "DataPathAssignments.%s.RelativePath: %s", d.Parameter, wrong)
	}
	return d, nil
}

// braces begin a template; v1's values are none.
const (
	braces        = "{{"
	writtenBraces = `{{"{{"}}`
)

// parameters reads those that are given. What the pipeline does not take is refused at once, when it can be asked.
func (f *Function) parameters(ctx context.Context, s schedule.Schedule, data []byte) (map[string]string, error) {
	if len(data) == 0 || string(data) == "null" {
		return nil, nil
	}
	own, errs := schedule.DecodeParameters(data)
	if target, ok := f.Targets[s.Pipeline.Kind]; ok && len(errs) == 0 && len(own) > 0 {
		p, err := target.Get(ctx, s.Pipeline)
		for _, name := range slices.Sorted(maps.Keys(own)) {
			if _, takes := p.Parameters[name]; err == nil && p.Parameters != nil && !takes {
				message := fmt.Sprintf("is no parameter of pipeline %s, which has: %s", s.Pipeline, strings.Join(slices.Sorted(maps.Keys(p.Parameters)), ", "))
				errs = append(errs, recur.FieldError{Field: "parameters." + name, Message: message})
			}
		}
	}
	for name, value := range own {
		own[name] = strings.ReplaceAll(value, braces, writtenBraces)
	}
	if len(errs) == 0 {
		errs = schedule.CheckTemplates("parameters", own, s.Trigger.Uses())
	}
	for i := range errs {
		errs[i].Field = strings.Replace(errs[i].Field, "parameters", "ParameterAssignments", 1)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return own, nil
}

// ask records an occurrence and sends it, unless it repeats an earlier one.
func (f *Function) ask(ctx context.Context, o schedule.Occurrence) (schedule.Occurrence, error) {
	made, err := f.DB.Ask(ctx, o, o.Recorded.Add(-repeats))
	if err != nil || made.ID != o.ID {
		return made, err
	}
	if err := f.Submit.Send(ctx, queue.Messages([]string{o.ID})[0], 0); err != nil {
		f.Log.WarnContext(ctx, "a message was not sent; the clock will send it", "run", o.ID, "error", err)
	}
	f.Log.InfoContext(ctx, "run asked for", "run", o.ID, "schedule", o.Schedule, "by", o.By)
	return o, nil
}
