package submit

import (
	"context"
	"errors"

	"carillon/shared/schedule"
	"carillon/shared/store"
)

// turn decides whether an occurrence starts beside what else is under way, or waits, or is skipped. What it becomes is
// written together with the schedule's state, as it was read before the others were: two never decide at once.
func (f *Function) turn(ctx context.Context, found *finding, r store.Record) (starts bool, err error) {
	o := found.change.To
	others, err := f.DB.Others(ctx, o, schedule.MaxBuffered)
	if err != nil {
		return false, err
	}
	turn := r.Schedule.Value.Overlap.Turn(o, others)
	if turn.Start {
		return true, nil
	}
	switch {
	case turn.Buffer && o.Buffered: // as before
		f.perform(ctx, o, turn)
		found.nothing = true
		return false, nil
	case turn.Buffer:
		found.change.To = o.Waits(f.Now())
	default:
		found.change.To = o.Skip(schedule.ReasonOverlap, f.Now().UTC())
	}
	found.turn, found.change.State = turn, r.Counted(r.State.Value)
	return false, nil
}

// perform makes room for an occurrence. What fails is repeated: the clock brings the one that waits again.
func (f *Function) perform(ctx context.Context, o schedule.Occurrence, turn schedule.Turn) {
	for _, id := range turn.Skip {
		if err := f.skip(ctx, id); err != nil {
			f.Log.WarnContext(ctx, "an occurrence that waits is not skipped yet", "run", id, "error", err)
		}
	}
	for _, id := range turn.Cancel {
		if err := f.cancel(ctx, id); err != nil {
			f.Log.WarnContext(ctx, "a run that makes room is not cancelled yet", "run", id, "for", o.ID, "error", err)
		}
	}
	if turn.First != "" {
		f.send(ctx, f.Submit, []string{turn.First}, 0)
	}
}

func (f *Function) skip(ctx context.Context, id string) error {
	o, err := f.DB.Occurrence(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && !o.Value.Buffered {
		return nil
	}
	if err != nil {
		return err
	}
	return f.DB.Save(ctx, []store.Change{{From: o, To: o.Value.Skip(schedule.ReasonOverlap, f.Now().UTC())}})[0]
}

// cancel asks for the end of a run. One whose submission is under way is asked when the clock comes again.
func (f *Function) cancel(ctx context.Context, id string) error {
	o, err := f.DB.Occurrence(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && (o.Value.Run == "" || o.Value.Status.Final()) {
		return nil
	}
	if err != nil {
		return err
	}
	target, ok := f.Targets[o.Value.Pipeline.Kind]
	if !ok {
		return nil
	}
	return target.Cancel(ctx, o.Value.Pipeline.Kind, o.Value.Run)
}

// pause stops a schedule whose runs fail. Should it fail, what comes due next is skipped, and tries again.
func (f *Function) pause(ctx context.Context, o schedule.Occurrence) {
	if err := f.DB.Pause(ctx, o, f.Now().UTC()); err != nil {
		f.Log.WarnContext(ctx, "a schedule whose runs fail stays active", "schedule", o.Schedule, "error", err)
	}
}

// counted is the state of a schedule with the failure of an occurrence that will not run; nil when nobody counts.
func (f *Function) counted(ctx context.Context, o schedule.Occurrence) *store.Stored[schedule.State] {
	if !o.Status.Final() || o.PauseAfter == 0 {
		return nil
	}
	r, err := f.DB.Schedule(ctx, o.Schedule)
	if err != nil || r.Schedule.Value.ID != o.ScheduleID() {
		return nil
	}
	return r.Counted(r.State.Value.Ended(o))
}

// ended brings on what waits for an occurrence that ended without a run.
func (f *Function) ended(ctx context.Context, o schedule.Occurrence) {
	if o.Status.Final() && o.PauseAfter > 0 {
		f.pause(ctx, o)
	}
	if !o.Status.Final() || !o.Overlap.Queues() {
		return
	}
	next, err := f.DB.Buffered(ctx, o)
	if err != nil || next == "" {
		return // the clock brings it
	}
	f.send(ctx, f.Submit, []string{next}, 0)
}
