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
	Submit  queue.Queue // for what waits for a run's end
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
	change := &store.Change{From: o, To: to}
	if to.Status.Final() && to.PauseAfter > 0 {
		err = f.count(ctx, change)
	}
	return change, err
}

// count adds the end of a run to what its schedule counts, in the same transaction.
func (f *Function) count(ctx context.Context, c *store.Change) error {
	r, err := f.DB.Schedule(ctx, c.To.Schedule)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	case r.Schedule.Value.ID == c.To.ScheduleID():
		c.State = r.Counted(r.State.Value.Ended(c.To))
	}
	return nil
}

// ended does what follows from a run's end. What fails here the clock brings on: the one that waits, and the next that
// is due.
func (f *Function) ended(ctx context.Context, c store.Change) {
	o := c.To
	if c.State != nil && c.State.Value.Failures >= o.PauseAfter {
		if err := f.DB.Pause(ctx, o, f.Now().UTC()); err != nil {
			f.Log.WarnContext(ctx, "a schedule whose runs fail stays active", "schedule", o.Schedule, "error", err)
		}
	}
	if !o.Overlap.Queues() {
		return
	}
	next, err := f.DB.Buffered(ctx, o)
	if err == nil && next != "" {
		err = f.Submit.Send(ctx, queue.Messages([]string{next})[0], 0)
	}
	if err != nil {
		f.Log.WarnContext(ctx, "what waits for a run's end is not brought on; the clock will do it", "run", o.ID, "error", err)
	}
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
			f.ended(ctx, changes[i])
			f.Log.InfoContext(ctx, "run ended", "run", o.ID, "schedule", o.Schedule, "status", o.Status, "error", o.Error)
		default:
			if err := f.Follow.Send(ctx, queue.Messages([]string{o.ID})[0], o.Look(f.Now())); err != nil {
				f.Log.WarnContext(ctx, "a message was not sent; the clock will send it again", "run", o.ID, "error", err)
			}
		}
	}
	return failed
}
