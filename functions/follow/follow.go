// Package follow is the queue function behind a submission: a run is under way, so its state is recorded; the
// message comes back later, or the run has ended.
//
// task-queue: follow. An error gives the message back. Doubled and late messages are no harm: what is written
// builds on the version that was read.
package follow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// Function looks at runs. Its fields are set once.
type Function struct {
	DB      *store.DB
	Targets map[string]pipeline.Target // by the kind of pipeline
	Follow  queue.Queue
	Now     func() time.Time
	Log     *slog.Logger
}

// Handle looks at every run that the message names.
func (f *Function) Handle(ctx context.Context, body []byte) error {
	m, err := queue.Read(body)
	if err != nil {
		f.Log.ErrorContext(ctx, "a message is dropped", "error", err)
		return nil
	}
	var changes []store.Change
	var failed error
	for _, id := range m.Occurrences {
		change, err := f.look(ctx, id)
		if err != nil {
			failed = err
		} else if change != nil {
			changes = append(changes, *change)
		}
	}
	return errors.Join(failed, f.save(ctx, changes))
}

// look asks the far side for one run. No change says that there is nothing to follow.
func (f *Function) look(ctx context.Context, id string) (*store.Change, error) {
	o, err := f.DB.Occurrence(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && (o.Value.Run == "" || o.Value.Status.Final()) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	target, ok := f.Targets[o.Value.Pipeline.Kind]
	if !ok {
		return nil, fmt.Errorf("run %s: no target for pipelines of kind %q is configured", id, o.Value.Pipeline.Kind)
	}
	report, err := target.Status(ctx, o.Value.Pipeline.Kind, o.Value.Run)
	if errors.Is(err, pipeline.ErrNotFound) {
		report = pipeline.Report{Status: schedule.Lost, Error: "the far side no longer knows this run"}
	} else if err != nil {
		return nil, fmt.Errorf("look at run %s: %w", id, err)
	}
	to := o.Value.Observed(schedule.Observation{
		Status: report.Status, Started: report.Started, Ended: report.Ended, Error: report.Error, Link: report.Link,
	}, f.Now())
	if to.Status == o.Value.Status && to.Wake.Equal(o.Value.Wake) {
		return nil, nil // nothing new, and the planned look is still to come
	}
	return &store.Change{From: o, To: to}, nil
}

func (f *Function) save(ctx context.Context, changes []store.Change) error {
	var failed error
	for i, err := range f.DB.Save(ctx, changes) {
		o := changes[i].To
		switch {
		case errors.Is(err, store.ErrConflict): // somebody else has looked
		case errors.Is(err, store.ErrLimit):
			failed = errors.Join(f.DB.Save(ctx, []store.Change{{From: changes[i].From, To: changes[i].From.Value.TooLarge(f.Now().UTC())}})...)
		case err != nil:
			failed = err
		case o.Wake.Equal(changes[i].From.Value.Wake): // the message of the planned look is on its way
		case o.Status.Final():
			f.Log.InfoContext(ctx, "run ended", "run", o.ID, "schedule", o.Schedule, "status", o.Status, "error", o.Error)
		default:
			if err := f.Follow.Send(ctx, queue.Messages([]string{o.ID})[0], o.Look(f.Now())); err != nil {
				f.Log.WarnContext(ctx, "a message was not sent; the clock will send it again", "run", o.ID, "error", err)
			}
		}
	}
	return failed
}
