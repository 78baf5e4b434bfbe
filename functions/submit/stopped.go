package submit

import (
	"context"
	"errors"

	"carillon/shared/schedule"
	"carillon/shared/store"
)

// stops are what is known of pipelines while the occurrences of a message are claimed: each is looked up once. nil
// stands for one that may be started.
type stops map[schedule.PipelineRef]*schedule.Stop

// stopped returns who has disabled the pipeline that an occurrence is about to start, nil for nobody. d is the definition
// of one that starts for the first time; one that may have been submitted is seen to its end. A claim that began before
// a pipeline was disabled may still submit.
func (f *Function) stopped(ctx context.Context, o schedule.Occurrence, d schedule.Definition, known stops) (*schedule.Stop, error) {
	p := o.Pipeline
	switch {
	case o.Tried:
		return nil, nil
	case o.Attempts == 0:
		p = d.Pipeline
	}
	if stop, ok := known[p]; ok {
		return stop, nil
	}
	stop, err := f.DB.Stop(ctx, p)
	switch {
	case errors.Is(err, store.ErrNotFound):
		known[p] = nil
	case err != nil:
		return nil, err
	default:
		known[p] = &stop
	}
	return known[p], nil
}
