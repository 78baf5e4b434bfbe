package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"carillon/shared/migrate"
	"carillon/shared/problem"
	"carillon/shared/recur"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// Old is a workspace with schedules of its own. Disabling may be asked for again, whatever came of an earlier request;
// without an error the schedule has been seen to be disabled.
type Old interface {
	V1Schedules(ctx context.Context) ([]json.RawMessage, error)
	V2Schedules(ctx context.Context) ([]json.RawMessage, error)
	DisableV1Schedule(ctx context.Context, id string) error
	DisableV2Schedule(ctx context.Context, name string) error
}

// importRequest is what is to be imported, and how.
type importRequest struct {
	from          string
	document      string
	own           migrate.Own
	only          []string // ids or names of the old ones; empty for all
	create        bool
	disableSource bool
	cutOver       time.Time // zero for the earliest
}

const (
	leastAhead = 5 * time.Minute  // of the cut-over
	mostAhead  = time.Hour        // the old one is disabled at once: it does not wait for the cut-over
	importFor  = 10 * time.Second // a request, before its last schedule: nobody waits longer than a minute for an answer
)

// imported is the answer: what becomes of each old schedule.
type imported struct {
	Items   []importedItem `json:"items"`
	Notes   []string       `json:"notes"`             // what is different of all of them
	AgainAt time.Time      `json:"again_at,omitzero"` // not all is done: send the same request again, then or later
	CutOver time.Time      `json:"cut_over,omitzero"` // by when the old ones are disabled, or the new ones are
}

type importedItem struct {
	Source      importedSource  `json:"source"`
	Name        string          `json:"name"`
	Definition  json.RawMessage `json:"definition"`
	When        string          `json:"when,omitempty"` // the trigger in words
	Differences []string        `json:"differences"`
	Problems    []string        `json:"problems"`          // why it is not imported
	Created     bool            `json:"created,omitempty"` // by this request or an earlier one
	Status      string          `json:"status,omitempty"`  // of the new one, if there is one
	Begins      time.Time       `json:"begins,omitzero"`   // from when on it fires instead of the old one
	Done        []string        `json:"done,omitempty"`    // what has been done, or found to be done, and what to look at
	AgainAt     time.Time       `json:"again_at,omitzero"` // when to go on with it

	waits string // why the new one waits for the old one, when it does
}

type importedSource struct {
	migrate.Source
	Disabled bool `json:"disabled,omitempty"` // it was seen to be
}

// importSchedules plans what becomes of old schedules and, with create, does it. All of it can be asked for again: what
// has been done is left as it is, and what has not is gone on with.
func (f *Function) importSchedules(r *http.Request) (answer, error) {
	if err := onlyQuery(r); err != nil {
		return answer{}, err
	}
	data, err := body(r, false)
	if err != nil {
		return answer{}, err
	}
	now := f.Now().UTC()
	q, err := readImport(data, now)
	if err != nil {
		return answer{}, err
	}
	plans, err := f.plans(r.Context(), q, now)
	if err != nil {
		return answer{}, err
	}
	out := imported{Items: []importedItem{}, Notes: migrate.Notes(q.from)}
	if q.disableSource {
		out.CutOver = q.cutOver
	}
	// What has been begun with a schedule is brought to an end, whether somebody waits for the answer or not.
	move := mover{f: f, ctx: context.WithoutCancel(r.Context()), q: q, by: actor(r)}
	for _, plan := range plans {
		item, err := move.item(plan, f.Now().After(now.Add(importFor)) || r.Context().Err() != nil)
		if err != nil {
			return answer{}, err
		}
		if at := item.AgainAt; !at.IsZero() && (out.AgainAt.IsZero() || at.Before(out.AgainAt)) {
			out.AgainAt = at
		}
		out.Items = append(out.Items, item)
	}
	return answer{body: out}, nil
}

// readImport reads the request.
func readImport(data []byte, now time.Time) (q importRequest, err error) {
	var errs recur.FieldErrors
	o, ok := recur.ReadObject("", data, &errs)
	if !ok {
		return q, errs
	}
	q.from, q.document = o.Text("from"), o.Text("document")
	q.own.Name, q.own.Experiment = o.Text("name"), o.Text("experiment")
	if ref := o.Text("pipeline"); ref != "" {
		kind, id, ok := strings.Cut(ref, ":")
		if q.own.Pipeline = (schedule.PipelineRef{Kind: kind, ID: id}); !ok || kind == "" || id == "" {
			o.Fail("pipeline", "has to be KIND:ID, such as published:ID")
		}
	}
	for name, flag := range map[string]*bool{"create": &q.create, "disable_source": &q.disableSource} {
		if raw := o.Value(name); raw != nil && json.Unmarshal(raw, flag) != nil {
			o.Fail(name, "has to be true or false")
		}
	}
	if raw := o.Value("only"); raw != nil && json.Unmarshal(raw, &q.only) != nil {
		o.Fail("only", "has to be a list of the ids or names of old schedules")
	}
	q.readCutOver(o, now)
	q.consistent(o)
	o.Strangers([]string{"from", "document", "name", "pipeline", "experiment", "only", "create", "disable_source", "cut_over"})
	if len(errs) > 0 {
		return q, errs
	}
	return q, nil
}

// readCutOver reads by when the old ones are to be disabled: on a full minute, and not so early that it could pass in between.
func (q *importRequest) readCutOver(o *recur.Object, now time.Time) {
	earliest := now.Add(leastAhead + time.Minute - time.Nanosecond).Truncate(time.Minute)
	text := o.Text("cut_over")
	if text == "" {
		q.cutOver = earliest
		return
	}
	at, err := time.Parse(time.RFC3339, text)
	switch {
	case err != nil:
		o.Fail("cut_over", "has to be an instant, as 2026-01-31T10:30:00Z")
	case !q.disableSource:
		o.Fail("cut_over", "is of use with disable_source only")
	case !at.After(now):
		o.Fail("cut_over", "is over already")
	case at.Before(now.Add(leastAhead)):
		o.Fail("cut_over", "has to be five minutes ahead at least")
	case at.After(now.Add(mostAhead)):
		o.Fail("cut_over", "may be an hour ahead at most: the old schedules are disabled at once, and do not wait for it")
	}
	q.cutOver = at.UTC().Truncate(time.Minute)
}

func (q *importRequest) consistent(o *recur.Object) {
	file := q.from == migrate.FileV1 || q.from == migrate.FileV2
	live := q.from == migrate.LiveV1 || q.from == migrate.LiveV2
	switch {
	case !file && !live:
		o.Fail("from", "has to be v1-yaml, v2-yaml, v1 or v2")
	case file && q.document == "":
		o.Fail("document", "is required: the file's text")
	case live && q.document != "":
		o.Fail("document", "is for v1-yaml and v2-yaml: v1 and v2 ask the workspace")
	}
	if q.disableSource && !live {
		o.Fail("disable_source", "is for v1 and v2: a file cannot be disabled")
	}
	if q.disableSource && !q.create {
		o.Fail("disable_source", "goes with create only")
	}
	if file && len(q.only) > 0 {
		o.Fail("only", "is for v1 and v2")
	}
}

// plans asks for the old schedules, and plans them.
func (f *Function) plans(ctx context.Context, q importRequest, now time.Time) (plans []migrate.Plan, err error) {
	var list []json.RawMessage
	switch {
	case q.from == migrate.FileV1 || q.from == migrate.FileV2:
		if plans, err = migrate.Read(q.from, []byte(q.document), q.own, now); err != nil {
			return nil, recur.FieldErrors{{Field: "document", Message: err.Error()}}
		}
		return plans, nil
	case f.Old == nil:
		return nil, problem.Newf(problem.Conflict, "no workspace is configured: name it in the settings CARILLON_AZUREML_SUBSCRIPTION, _RESOURCE_GROUP, _WORKSPACE and _REGION")
	case q.from == migrate.LiveV1:
		list, err = f.Old.V1Schedules(ctx)
		plans = migrate.V1(list, q.own, now)
	default:
		list, err = f.Old.V2Schedules(ctx)
		plans = migrate.V2(list, q.own, now)
	}
	if err != nil {
		return nil, problem.Newf(problem.Unavailable, "the old schedules cannot be had: %v", err)
	}
	return q.chosen(plans)
}

// chosen are the plans of the old schedules that the request names.
func (q importRequest) chosen(plans []migrate.Plan) ([]migrate.Plan, error) {
	for i, name := range q.only {
		if !slices.ContainsFunc(plans, func(p migrate.Plan) bool { return p.Source.ID == name || p.Source.Name == name }) {
			return nil, recur.FieldErrors{{Field: fmt.Sprintf("only[%d]", i), Message: fmt.Sprintf("there is no old schedule %.100q", name)}}
		}
	}
	if len(q.only) > 0 {
		plans = slices.DeleteFunc(plans, func(p migrate.Plan) bool {
			return !slices.Contains(q.only, p.Source.ID) && !slices.Contains(q.only, p.Source.Name)
		})
	}
	slices.SortStableFunc(plans, func(a, b migrate.Plan) int { return strings.Compare(a.Source.Name, b.Source.Name) })
	if q.own != (migrate.Own{}) && len(plans) > 1 {
		return nil, problem.Newf(problem.BadRequest, "name, pipeline and experiment are for one old schedule, and there are %d: say in only which", len(plans))
	}
	return plans, nil
}

// mover does what a plan says, for one request.
type mover struct {
	f   *Function
	ctx context.Context
	q   importRequest
	by  string
}

// item says what becomes of an old schedule and, if the request says so and it is not too late, does it.
func (m mover) item(plan migrate.Plan, late bool) (importedItem, error) {
	item := importedItem{
		Source:     importedSource{Source: plan.Source, Disabled: plan.Source.Live() && !plan.Source.Enabled},
		Definition: plan.Definition, Differences: plan.Differences, Problems: plan.Problems,
	}
	d, errs := schedule.Decode(plan.Definition)
	if item.Name = d.Name; len(item.Problems) > 0 || len(errs) > 0 {
		return item, nil
	}
	item.When = d.Trigger.String()
	known, err := m.known(&item, d, origin(plan.Source, d.Name))
	if err != nil || len(item.Problems) > 0 {
		return item, err
	}
	switch {
	case !m.q.create:
	case late:
		item.AgainAt = m.f.Now().UTC()
	case known == nil && !m.moves(plan):
		err = m.create(&item, m.first(d, plan))
	case known == nil:
		err = m.begin(&item, m.first(d, plan))
	case m.moves(plan):
		err = m.goOn(&item, *known)
	case m.q.disableSource:
		err = m.found(&item, *known)
	}
	if item.waits != "" && len(item.Problems) == 0 {
		item.Done = append(item.Done, item.waits)
	}
	return item, err
}

// moves reports whether the old schedule is to be disabled.
func (m mover) moves(plan migrate.Plan) bool { return m.q.disableSource && plan.Source.Enabled }

// origin is how a new schedule remembers its old one.
func origin(s migrate.Source, name string) string {
	if s.Live() {
		return s.Kind + ":" + s.ID
	}
	return s.Kind + ":" + name
}

// known is the schedule that an earlier import has made of the same source; nil for none. What keeps another from
// being made is noted among the problems.
func (m mover) known(item *importedItem, d schedule.Definition, from string) (*schedule.Schedule, error) {
	r, err := m.f.DB.Schedule(m.ctx, d.Name)
	switch s := r.Schedule.Value; {
	case errors.Is(err, store.ErrNotFound):
		return nil, m.unmade(item, d, from)
	case err != nil:
		return nil, err
	case s.Origin == nil || s.Origin.From != from:
		item.Problems = append(item.Problems, "there is a schedule "+d.Name+" already, which was not made of this one: give another name, or delete it")
		return nil, nil
	default:
		m.show(item, s)
		own, as := s.Definition, d
		if own.Status = as.Status; !same(own, as) {
			item.Done = append(item.Done, "schedule "+d.Name+" was imported before, and differs from the plan: it stays as it is")
		}
		return &s, nil
	}
}

// unmade finds what keeps a schedule from being made: another one that was made of the same source, or what would be wrong
// with it.
func (m mover) unmade(item *importedItem, d schedule.Definition, from string) error {
	other, err := m.f.DB.MadeOf(m.ctx, from)
	if err != nil {
		return err
	}
	if other != "" {
		item.Problems = append(item.Problems, fmt.Sprintf("it was imported as schedule %s before: go on with that one (its name: %s), or delete it", other, other))
		return nil
	}
	return m.refusals(item, d)
}

// refusals finds what would be wrong with the new schedule.
func (m mover) refusals(item *importedItem, d schedule.Definition) error {
	_, err := m.f.check(m.ctx, item.Definition, nil)
	var fields recur.FieldErrors
	if !errors.As(err, &fields) {
		return err
	}
	for _, e := range fields {
		item.Problems = append(item.Problems, e.Field+": "+e.Message)
	}
	return nil
}

// first is the first revision of the new schedule. Beside an old one that fires it is disabled, until that is.
func (m mover) first(d schedule.Definition, plan migrate.Plan) schedule.Schedule {
	s := schedule.New(d, store.NewScheduleID(d.Name), m.by, m.f.Now().UTC())
	s.Origin = &schedule.Origin{From: origin(plan.Source, d.Name)}
	if plan.Source.Live() && plan.Source.Enabled && !m.q.disableSource {
		return s.Waiting("imported, and waits for " + s.Origin.From + ", which still fires: import it again with --disable-source")
	}
	return s
}

func (m mover) create(item *importedItem, s schedule.Schedule) error {
	err := m.f.DB.Create(m.ctx, s)
	if errors.Is(err, store.ErrExists) { // somebody was faster
		item.AgainAt = m.f.Now().UTC()
		return nil
	}
	if err != nil {
		return err
	}
	m.f.Log.InfoContext(m.ctx, "schedule imported", "schedule", s.Name, "from", s.Origin.From, "by", s.By)
	m.show(item, s)
	return nil
}

// show notes the new schedule as it is.
func (m mover) show(item *importedItem, s schedule.Schedule) {
	item.Created, item.Status, item.Begins = true, string(s.Status), s.Begins
	item.waits = ""
	if s.Waits() && s.StatusNote != nil {
		item.waits = s.StatusNote.Note
	}
}
