package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/problem"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// pipelineView is a pipeline as clients see it: what its far side says, and what Carillon knows of it.
type pipelineView struct {
	Pipeline    schedule.PipelineRef `json:"pipeline"`
	Name        string               `json:"name"`
	Description string               `json:"description,omitempty"`
	Parameters  map[string]string    `json:"parameters,omitempty"` // with their defaults
	Required    []string             `json:"required,omitempty"`   // parameters without a default
	Outputs     map[string]string    `json:"outputs,omitempty"`    // with their types
	Problem     string               `json:"problem,omitempty"`    // why it cannot run as it stands
	Deployments []string             `json:"deployments,omitempty"`
	Default     string               `json:"default_deployment,omitempty"`

	Status     schedule.Activity    `json:"status"`
	DisabledIn []side               `json:"disabled_in,omitempty"`
	StatusNote *schedule.StatusNote `json:"status_note,omitempty"` // of one that is disabled here

	Schedules     []userView `json:"schedules"`                // that start it: the first few
	MoreSchedules bool       `json:"more_schedules,omitempty"` // there are others
	LastRun       *runView   `json:"last_run,omitempty"`       // the newest of those schedules' last runs
	Notices       []string   `json:"notices,omitempty"`        // of one pipeline only
}

// userView is a schedule that starts a pipeline.
type userView struct {
	Name   string            `json:"name"`
	Status schedule.Activity `json:"status"`
}

// side is where a pipeline is disabled.
type side string

const (
	sideCarillon side = "carillon" // whichever schedule asks for it
	sideService  side = "service"  // whoever asks the far side
)

const (
	usersListed = 5  // schedules of each pipeline in a list
	usersShown  = 20 // schedules of one pipeline
	filtered    = 10 // pages of a far side that one request for a filtered list reads
	atOnce      = 8  // pipelines that are looked into at once

	farWithin = 20 * time.Second // far sides answer, or are done without
)

func (f *Function) listPipelines(r *http.Request) (answer, error) {
	if err := onlyQuery(r, "token", "limit", "kind", "active"); err != nil {
		return answer{}, err
	}
	l := inventory{f: f, items: []pipelineView{}}
	var err error
	if l.limit, err = number(r, "limit", 50, 200); err != nil {
		return answer{}, err
	}
	if l.active, err = flag(r.URL.Query().Get("active"), "active"); err != nil {
		return answer{}, err
	}
	if l.stops, err = f.stops(r.Context()); err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), farWithin)
	defer cancel()
	kind, after, _ := strings.Cut(r.URL.Query().Get("token"), ":")
	kinds := l.kinds()
	only := r.URL.Query().Get("kind")
	if only != "" {
		if !slices.Contains(kinds, only) {
			return answer{}, problem.Newf(problem.BadRequest, "there are no pipelines of kind %q here; there are: %s", only, strings.Join(kinds, ", "))
		}
		kinds = []string{only}
	}
	for _, k := range kinds {
		if k < kind || l.next != "" {
			continue
		}
		if k > kind {
			after = ""
		}
		if err := l.list(ctx, k, after); err != nil {
			f.Log.WarnContext(ctx, "pipelines could not be listed", "kind", k, "error", err)
			l.notices = append(l.notices, "pipelines of kind "+k+" cannot be listed: "+err.Error())
		}
	}
	if only != "" && len(l.notices) > 0 {
		return answer{}, problem.Newf(problem.Unavailable, "%s", l.notices[0])
	}
	err = each(l.items, func(v *pipelineView) error {
		if v.Name == "" { // it is in no list
			p, _ := f.describe(ctx, v.Pipeline)
			*v = l.view(p)
		}
		return f.complete(r.Context(), v, usersListed)
	})
	return answer{body: notedPage{page{l.items, l.next}, l.notices}}, err
}

// inventory is one page of pipelines in the making: those that far sides list, and those that are disabled here and
// are in no list, as a component's older version.
type inventory struct {
	f       *Function
	stops   map[string]schedule.Stop
	active  *bool // only those that are, or are not
	limit   int
	items   []pipelineView
	next    string
	notices []string
}

// kinds are those that have targets, and those of stops.
func (l *inventory) kinds() []string {
	kinds := pipeline.Kinds(l.f.Targets)
	for _, s := range l.stops {
		kinds = append(kinds, s.Pipeline.Kind)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// list adds pipelines of a kind, in the order of their ids, until the page is full. When the far side cannot list its
// own, those that are disabled here are added all the same.
func (l *inventory) list(ctx context.Context, kind, after string) (failed error) {
	size := l.limit
	if l.active != nil {
		size = 200
	}
	for range filtered {
		var got []pipeline.Pipeline
		if target, ok := l.f.Targets[kind]; ok && failed == nil {
			got, failed = target.List(ctx, after, size)
		}
		last := len(got) < size
		for _, v := range l.merged(kind, after, got, last) {
			after = v.Pipeline.ID
			if l.active != nil && *l.active != (v.Status == schedule.Active) {
				continue
			}
			if l.items = append(l.items, v); len(l.items) == l.limit {
				l.next = v.Pipeline.String()
				return failed
			}
		}
		if last {
			return failed
		}
	}
	l.next = kind + ":" + after
	return failed
}

// merged are the listed pipelines of a page, and among them those of the same range that are disabled here.
func (l *inventory) merged(kind, after string, got []pipeline.Pipeline, last bool) (views []pipelineView) {
	listed := map[string]bool{}
	for _, p := range got {
		listed[p.Ref.Key()] = true
		views = append(views, l.view(p))
	}
	for key, s := range l.stops {
		id := s.Pipeline.ID
		if s.Pipeline.Kind == kind && id > after && !listed[key] && (last || id <= got[len(got)-1].Ref.ID) {
			views = append(views, viewPipeline(pipeline.Pipeline{Ref: s.Pipeline}, &s))
		}
	}
	slices.SortFunc(views, func(a, b pipelineView) int { return strings.Compare(a.Pipeline.ID, b.Pipeline.ID) })
	return views
}

func (l *inventory) view(p pipeline.Pipeline) pipelineView {
	if stop, ok := l.stops[p.Ref.Key()]; ok {
		return viewPipeline(p, &stop)
	}
	return viewPipeline(p, nil)
}

// viewPipeline shows what a far side says of a pipeline, and who has disabled it here, if anybody.
func viewPipeline(p pipeline.Pipeline, stop *schedule.Stop) pipelineView {
	v := pipelineView{
		Pipeline: p.Ref, Name: p.Name, Description: p.Description, Parameters: p.Parameters, Required: p.Required, Outputs: p.Outputs, Problem: p.Problem,
		Deployments: p.Deployments, Default: p.Default, Status: schedule.Active, Schedules: []userView{},
	}
	if stop != nil {
		v.Status, v.DisabledIn = schedule.Disabled, []side{sideCarillon}
		v.StatusNote = &schedule.StatusNote{Note: stop.Note, By: stop.By, At: stop.At}
	}
	if p.Disabled {
		v.Status, v.DisabledIn = schedule.Disabled, append(v.DisabledIn, sideService)
	}
	return v
}

// mostStops is how many pipelines that are disabled here a list knows of: people disable them one by one.
const mostStops = 10_000

// stops are the pipelines that are disabled here.
func (f *Function) stops(ctx context.Context) (map[string]schedule.Stop, error) {
	all := map[string]schedule.Stop{}
	for token := ""; len(all) < mostStops; {
		stops, next, err := f.DB.Stops(ctx, token, store.MaxScan)
		if err != nil {
			return nil, err
		}
		for _, s := range stops {
			all[s.Pipeline.Key()] = s
		}
		if token = next; token == "" {
			break
		}
	}
	return all, nil
}

// each does the same for all items of a page, some at once.
func each(items []pipelineView, do func(*pipelineView) error) error {
	errs := make([]error, len(items))
	var group sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range items {
		slots <- struct{}{}
		group.Go(func() {
			errs[i] = do(&items[i])
			<-slots
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// complete adds who starts a pipeline, and when one of them did last.
func (f *Function) complete(ctx context.Context, v *pipelineView, most int) error {
	var last []string
	err := f.users(ctx, v.Pipeline, func(r store.Record) (bool, error) {
		if v.MoreSchedules = len(v.Schedules) == most; v.MoreSchedules {
			return false, nil
		}
		v.Schedules = append(v.Schedules, userView{r.Schedule.Value.Name, r.Schedule.Value.Status})
		if r.State.Value.Last != "" {
			last = append(last, r.State.Value.Last)
		}
		return true, nil
	})
	slices.SortFunc(v.Schedules, func(a, b userView) int { return strings.Compare(a.Name, b.Name) })
	for _, id := range last {
		o, missed := f.occurrence(ctx, id)
		switch {
		case missed != nil:
			err = cmp.Or(err, missed)
		case o == nil || o.Pipeline.Key() != v.Pipeline.Key():
		case v.LastRun == nil || began(*o).After(cmp.Or(v.LastRun.Submitted, v.LastRun.Recorded)):
			run := viewRun(*o)
			v.LastRun = &run
		}
	}
	return err
}

// began is when the far side had an occurrence, or else when it was recorded.
func began(o schedule.Occurrence) time.Time { return cmp.Or(o.Submitted, o.Recorded) }

// describe asks the far side for a pipeline. The error is for people, and what is returned with it says the same; it
// wraps pipeline.ErrNotFound when there is none.
func (f *Function) describe(ctx context.Context, ref schedule.PipelineRef) (pipeline.Pipeline, error) {
	target, ok := f.Targets[ref.Kind]
	err := error(noPipeline("nothing that runs pipelines of kind " + ref.Kind + " is configured here"))
	if ok {
		ctx, cancel := context.WithTimeout(ctx, farWithin)
		defer cancel()
		var p pipeline.Pipeline
		if p, err = target.Get(ctx, ref); err == nil {
			return p, nil
		}
		if errors.Is(err, pipeline.ErrNotFound) {
			err = noPipeline("there is no pipeline " + ref.String())
		} else {
			err = fmt.Errorf("it cannot be looked up: %w", err)
		}
	}
	return pipeline.Pipeline{Ref: ref, Name: ref.ID, Problem: err.Error()}, err
}

// noPipeline says that there is no such pipeline.
type noPipeline string

func (e noPipeline) Error() string { return string(e) }
func (e noPipeline) Unwrap() error { return pipeline.ErrNotFound }

// users visits the schedules that start a pipeline, as they are now, as long as visit wants more of them.
func (f *Function) users(ctx context.Context, ref schedule.PipelineRef, visit func(store.Record) (more bool, err error)) error {
	for token := ""; ; {
		users, next, err := f.DB.Users(ctx, ref, token, 100)
		if err != nil {
			return err
		}
		for _, u := range users {
			r, err := f.DB.Schedule(ctx, u.Schedule)
			s := r.Schedule.Value
			if errors.Is(err, store.ErrNotFound) || err == nil && (s.ID != u.ID || s.Pipeline.Key() != ref.Key()) {
				continue
			}
			if err != nil {
				return err
			}
			if more, err := visit(r); err != nil || !more {
				return err
			}
		}
		if token = next; token == "" {
			return nil
		}
	}
}
