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

	Status     schedule.Activity    `json:"status"`
	DisabledIn []side               `json:"disabled_in,omitempty"`
	StatusNote *schedule.StatusNote `json:"status_note,omitempty"` // of one that is disabled here

	Schedules     []userView `json:"schedules"`                // that start it: the first few
	MoreSchedules bool       `json:"more_schedules,omitempty"` // there are others
	LastRun       *runView   `json:"last_run,omitempty"`       // the newest of all its schedules' last runs
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

	farWithin = 20 * time.Second // far sides answer, or are done without
)

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

// complete adds who starts a pipeline, as far as most, and what of it ran last, whichever of them started that.
func (f *Function) complete(ctx context.Context, v *pipelineView, most int) error {
	err := f.users(ctx, v.Pipeline, func(r store.Record) (bool, error) {
		if v.MoreSchedules = len(v.Schedules) == most; v.MoreSchedules {
			return false, nil
		}
		v.Schedules = append(v.Schedules, userView{r.Schedule.Value.Name, r.Schedule.Value.Status})
		return true, nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(v.Schedules, func(a, b userView) int { return strings.Compare(a.Name, b.Name) })
	id, err := f.DB.LastRun(ctx, v.Pipeline)
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
