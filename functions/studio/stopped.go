package studio

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

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
	By, Note string
	At       moment
}

func stoppedOf(s schedule.Stop, zone *time.Location, now time.Time) *stopped {
	return &stopped{Ref: s.Pipeline, By: s.By, Note: s.Note, At: at(s.At, zone, now)}
}

// stops are the pipelines that are disabled here, by their keys.
func (f *Function) stops(ctx context.Context, now time.Time) (map[string]*stopped, error) {
	all := map[string]*stopped{}
	token := ""
	for range stopPages {
		page, next, err := f.DB.Stops(ctx, token, store.MaxScan)
		if err != nil {
			return nil, err
		}
		for _, s := range page {
			all[s.Pipeline.Key()] = stoppedOf(s, time.UTC, now)
		}
		if token = next; token == "" {
			break
		}
	}
	return all, nil
}

// first are the first few of them, in the order of their names, and how many more there are.
func firstStops(all map[string]*stopped) (first []*stopped, others int) {
	for _, s := range all {
		first = append(first, s)
	}
	slices.SortFunc(first, func(a, b *stopped) int { return strings.Compare(a.Ref.String(), b.Ref.String()) })
	shown := min(len(first), stopsShown)
	return first[:shown], len(first) - shown
}

// stop is who has disabled a pipeline; nil for nobody.
func (f *Function) stop(ctx context.Context, ref schedule.PipelineRef, zone *time.Location, now time.Time) (*stopped, error) {
	s, err := f.DB.Stop(ctx, ref)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return stoppedOf(s, zone, now), nil
}
