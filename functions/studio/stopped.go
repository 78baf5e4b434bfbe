package studio

import (
	"context"
	"slices"
	"strings"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

const (
	stopsShown = 5 // pipelines that are disabled, at the head of the first page
	stopPages  = 5 // of a thousand each: people disable pipelines one by one
)

// stopped is who has disabled a pipeline, when and why.
type stopped struct {
	Ref      schedule.PipelineRef
	As       string // the same, where it is another reference of the pipeline than the one that is shown; else ""
	By, Note string
	At       moment
}

func stoppedOf(s schedule.Stop, zone *time.Location, now time.Time) *stopped {
	return &stopped{Ref: s.Pipeline, By: s.By, Note: s.Note, At: at(s.At, zone, now)}
}

// stops are the pipelines that are disabled here.
func (f *Function) stops(ctx context.Context) (all []schedule.Stop, err error) {
	token := ""
	for range stopPages {
		page, next, err := f.DB.Stops(ctx, token, store.MaxScan)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if token = next; token == "" {
			break
		}
	}
	return all, nil
}

// firstStops are the first few of them, in the order of their names, and how many more there are.
func firstStops(all []schedule.Stop, now time.Time) (first []*stopped, others int) {
	slices.SortFunc(all, func(a, b schedule.Stop) int { return strings.Compare(a.Pipeline.String(), b.Pipeline.String()) })
	for _, s := range all[:min(len(all), stopsShown)] {
		first = append(first, stoppedOf(s, time.UTC, now))
	}
	return first, len(all) - len(first)
}

// stop is who has disabled a pipeline, under whichever reference; nil for nobody that is known.
func (f *Function) stop(ctx context.Context, g *group, stops []schedule.Stop, zone *time.Location, now time.Time) *stopped {
	s := schedule.StopOf(stops, append([]schedule.PipelineRef{g.Ref}, g.Also...)...)
	if s == nil && !g.listed {
		var err error
		if s, err = pipeline.Stopped(ctx, f.Targets, g.Ref, stops); err != nil {
			f.Log.WarnContext(ctx, "whether a pipeline is disabled cannot be told", "pipeline", g.Ref.String(), "error", err)
		}
	}
	if s == nil {
		return nil
	}
	v := stoppedOf(*s, zone, now)
	if s.Pipeline.Key() != g.Ref.Key() {
		v.As = s.Pipeline.String()
	}
	return v
}
