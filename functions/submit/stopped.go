package submit

import (
	"context"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

// tellWithin is how long the far side may take to tell whether a stop is of the same pipeline. Others of the message are
// claimed already.
const tellWithin = 5 * time.Second

// starting is what is known of the pipeline that an occurrence is about to start.
type starting struct {
	pipeline schedule.PipelineRef
	stop     *schedule.Stop // who has disabled it; nil for nobody
	doubt    error          // whether somebody has cannot be told now
}

// stops are what is known of pipelines while the occurrences of a message are claimed: each is looked up once.
type stops map[schedule.PipelineRef]starting

// stopped tells whether the pipeline that an occurrence is about to start may be started. d is the definition of one that
// starts for the first time; one that may have been submitted is seen to its end. A claim that began before a pipeline
// was disabled may still submit.
func (f *Function) stopped(ctx context.Context, o schedule.Occurrence, d schedule.Definition, known stops) (s starting, err error) {
	if s.pipeline = o.Pipeline; o.Attempts == 0 {
		s.pipeline = d.Pipeline
	}
	if o.Tried {
		return s, nil
	}
	if s, ok := known[s.pipeline]; ok {
		return s, nil
	}
	all, err := f.DB.StopsOf(ctx, s.pipeline)
	if err != nil {
		return s, err
	}
	ctx, cancel := context.WithTimeout(ctx, tellWithin)
	defer cancel()
	s.stop, s.doubt = pipeline.Stopped(ctx, f.Targets, s.pipeline, all)
	known[s.pipeline] = s
	return s, nil
}
