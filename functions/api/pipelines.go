package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"carillon/shared/pipeline"
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

	// Also are other references that stand for the same pipeline at the moment: its schedules, its last run and whether it
	// is disabled are theirs, too.
	Also []schedule.PipelineRef `json:"also,omitempty"`

	Status     schedule.Activity     `json:"status"`
	DisabledIn []side                `json:"disabled_in,omitempty"`
	DisabledAs *schedule.PipelineRef `json:"disabled_as,omitempty"` // of one that is disabled here under another reference
	StatusNote *schedule.StatusNote  `json:"status_note,omitempty"` // of one that is disabled here

	Schedules     []userView `json:"schedules"`                // that start it: the first few
	MoreSchedules bool       `json:"more_schedules,omitempty"` // there are others
	LastRun       *runView   `json:"last_run,omitempty"`       // the newest of all its schedules' last runs
	Notices       []string   `json:"notices,omitempty"`        // of one pipeline only
}

// userView is a schedule that starts a pipeline.
type userView struct {
	Name   string                `json:"name"`
	Status schedule.Activity     `json:"status"`
	As     *schedule.PipelineRef `json:"as,omitempty"` // by which other reference it starts it
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

	farWithin = 20 * time.Second // far sides answer, or are done without
)

// viewPipeline shows what a far side says of a pipeline, and who has disabled it here, if anybody.
func viewPipeline(p pipeline.Pipeline, stop *schedule.Stop) pipelineView {
	v := pipelineView{
		Pipeline: p.Ref, Name: p.Name, Description: p.Description, Parameters: p.Parameters, Required: p.Required, Outputs: p.Outputs, Problem: p.Problem,
		Deployments: p.Deployments, Default: p.Default, Also: p.Also, Status: schedule.Active, Schedules: []userView{},
	}
	if stop != nil {
		v.Status, v.DisabledIn, v.DisabledAs = schedule.Disabled, []side{sideCarillon}, another(stop.Pipeline, p.Ref)
		v.StatusNote = &schedule.StatusNote{Note: stop.Note, By: stop.By, At: stop.At}
	}
	if p.Disabled {
		v.Status, v.DisabledIn = schedule.Disabled, append(v.DisabledIn, sideService)
	}
	return v
}

// another is a reference that is not just a spelling of the one that is known; else nil.
func another(p, known schedule.PipelineRef) *schedule.PipelineRef {
	if p.Key() == known.Key() {
		return nil
	}
	return &p
}

// references are all under which a pipeline is known, the first one its own.
func (v pipelineView) references() []schedule.PipelineRef {
	return append([]schedule.PipelineRef{v.Pipeline}, v.Also...)
}

// complete adds who starts a pipeline, as far as most, and what of it ran last, whichever of them started that.
func (f *Function) complete(ctx context.Context, v *pipelineView, most int) error {
	err := f.users(ctx, v.references(), func(r store.Record) (bool, error) {
		if v.MoreSchedules = len(v.Schedules) == most; v.MoreSchedules {
			return false, nil
		}
		s := r.Schedule.Value
		v.Schedules = append(v.Schedules, userView{s.Name, s.Status, another(s.Pipeline, v.Pipeline)})
		return true, nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(v.Schedules, func(a, b userView) int { return strings.Compare(a.Name, b.Name) })
	id, err := f.DB.LastRun(ctx, v.references()...)
	if id == "" || err != nil {
		return err
	}
	o, err := f.occurrence(ctx, id)
	if o != nil {
		run := viewRun(*o)
		v.LastRun = &run
	}
	return err
}

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

// also returns the other references that stand for a pipeline at the moment.
func (f *Function) also(ctx context.Context, ref schedule.PipelineRef) ([]schedule.PipelineRef, error) {
	ctx, cancel := context.WithTimeout(ctx, farWithin)
	defer cancel()
	return pipeline.Also(ctx, f.Targets, ref)
}

// noPipeline says that there is no such pipeline.
type noPipeline string

func (e noPipeline) Error() string { return string(e) }
func (e noPipeline) Unwrap() error { return pipeline.ErrNotFound }

// users visits the schedules that start a pipeline, under any of its references, as they are now, as long as visit wants
// more of them.
func (f *Function) users(ctx context.Context, references []schedule.PipelineRef, visit func(store.Record) (more bool, err error)) error {
	for _, ref := range references {
		if more, err := f.usersOf(ctx, ref, visit); err != nil || !more {
			return err
		}
	}
	return nil
}

func (f *Function) usersOf(ctx context.Context, ref schedule.PipelineRef, visit func(store.Record) (bool, error)) (more bool, err error) {
	for token := ""; ; {
		users, next, err := f.DB.Users(ctx, ref, token, 100)
		if err != nil {
			return false, err
		}
		for _, u := range users {
			r, err := f.DB.Schedule(ctx, u.Schedule)
			s := r.Schedule.Value
			if errors.Is(err, store.ErrNotFound) || err == nil && (s.ID != u.ID || s.Pipeline.Key() != ref.Key()) {
				continue
			}
			if err != nil {
				return false, err
			}
			if more, err := visit(r); err != nil || !more {
				return false, err
			}
		}
		if token = next; token == "" {
			return true, nil
		}
	}
}
