package pipeline

import (
	"context"
	"errors"
	"fmt"

	"carillon/shared/schedule"
)

// Aliases is what a Target offers whose pipelines have more than one reference.
type Aliases interface {
	// Also returns the other references, of this target's kind or another's, that stand for the same pipeline as ref at
	// the moment. It asks the far side. The error wraps ErrNotFound when there is no such pipeline.
	Also(ctx context.Context, ref schedule.PipelineRef) ([]schedule.PipelineRef, error)
}

// Also returns the other references that stand for the same pipeline at the moment; none of a pipeline that is not there.
func Also(ctx context.Context, targets map[string]Target, ref schedule.PipelineRef) ([]schedule.PipelineRef, error) {
	target, ok := targets[ref.Kind].(Aliases)
	if !ok {
		return nil, nil
	}
	also, err := target.Also(ctx, ref)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("which other references stand for pipeline %s cannot be told: %w", ref, err)
	}
	return also, nil
}

// Stopped returns which stop keeps a pipeline from starting, nil for none. stops are those of its family. The far side
// is asked only where there is one that may be of the same pipeline under another reference; with an error nobody knows.
func Stopped(ctx context.Context, targets map[string]Target, ref schedule.PipelineRef, stops []schedule.Stop) (*schedule.Stop, error) {
	stop := schedule.StopOf(stops, ref)
	if stop != nil || !schedule.MayHold(stops, ref) {
		return stop, nil
	}
	also, err := Also(ctx, targets, ref)
	return schedule.StopOf(stops, also...), err
}
