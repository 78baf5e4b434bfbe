package submit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// turn decides whether an occurrence starts beside what else is under way, or waits, or is skipped. What it becomes is
// written together with the schedule's state, as it was read before the others were: two never decide at once.
func (f *Function) turn(ctx context.Context, found *finding, r store.Record) (starts bool, err error) {
	o := found.change.To
	others, err := f.DB.Others(ctx, o, store.MaxScan)
	if err != nil {
		return false, err
	}
	found.turn = r.Schedule.Value.Overlap.Turn(o, others)
	switch {
	case found.turn.Start:
		return true, nil
	case found.turn.Buffer && o.Buffered: // as before
		found.nothing = true
		return false, nil
	case found.turn.Buffer:
		found.change.To, found.change.Rouse = o.Waits(), f.Now().Add(schedule.Resend)
	default:
		found.change.To = o.Skip(schedule.ReasonOverlap, f.Now().UTC())
	}
	found.change.State = r.Counted(r.State.Value)
	return false, nil
}

// perform makes room for an occurrence, and brings on the one that is before it; what has a run is to be cancelled. What fails is
// repeated: the clock brings the one that waits again.
func (c *claiming) perform(ctx context.Context, id string, turn schedule.Turn) {
	f := c.f
	for _, other := range turn.Skip {
		if err := f.skip(ctx, other); err != nil {
			f.Log.WarnContext(ctx, "an occurrence that waits is not skipped yet", "run", other, "for", id, "error", err)
		}
	}
	for _, other := range turn.Cancel {
		ended, err := c.displace(ctx, other, id)
		if err != nil {
			f.Log.WarnContext(ctx, "an occurrence that makes room is not skipped yet", "run", other, "for", id, "error", err)
		}
		if ended {
			turn.First = id
		}
	}
	if turn.First != "" {
		c.bring(ctx, []string{turn.First})
	}
}

// makeRoom asks for the end of what has a run and is in the way, so much at once as is submitted at once. No claim is held
// meanwhile: a far side that is slow to cancel would make the submissions of others late, and put them in doubt.
func (c *claiming) makeRoom(ctx context.Context) {
	for others := range slices.Chunk(slices.Collect(maps.Values(c.inTheWay)), queue.PerMessage) {
		var group sync.WaitGroup
		for _, o := range others {
			group.Go(func() {
				if err := c.f.cancel(ctx, o); err != nil {
					c.f.Log.WarnContext(ctx, "a run that makes room is not cancelled yet", "run", o.ID, "schedule", o.Schedule, "error", err)
				}
			})
		}
		group.Wait()
	}
}

// bring sends occurrences, each once.
func (c *claiming) bring(ctx context.Context, ids []string) {
	ids = slices.DeleteFunc(ids, func(id string) bool { return c.sent[id] })
	for _, id := range ids {
		c.sent[id] = true
	}
	c.f.send(ctx, c.f.Submit, ids, 0)
}

// skip ends an occurrence that waits for its turn.
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

// displace ends what waits for another try at its submission and certainly has no run, and notes what has one. One whose
// submission is under way is asked once that is done.
func (c *claiming) displace(ctx context.Context, id, other string) (ended bool, err error) {
	o, err := c.f.DB.Occurrence(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case o.Value.Status == schedule.Waiting && !o.Value.Tried:
		return true, c.f.giveWay(ctx, o, other)
	case o.Value.Run != "" && !o.Value.Status.Final():
		c.inTheWay[id] = o.Value.MakesRoom(other)
	}
	return false, nil
}

// cancel asks for the end of a run, and notes for which one that is.
func (f *Function) cancel(ctx context.Context, o schedule.Occurrence) error {
	target, ok := f.Targets[o.Pipeline.Kind]
	if !ok {
		return fmt.Errorf("no target for pipelines of kind %q is configured", o.Pipeline.Kind)
	}
	noted := f.DB.MakeRoom(ctx, o.ID, o.MakesRoomFor)
	ctx, cancel := context.WithTimeout(ctx, cancelWithin)
	defer cancel()
	return errors.Join(noted, target.Cancel(ctx, o.Pipeline.Kind, o.Run))
}

// giveWay skips an occurrence that was claimed, and has no run.
func (f *Function) giveWay(ctx context.Context, o store.Stored[schedule.Occurrence], other string) error {
	r, err := f.DB.Schedule(ctx, o.Value.Schedule)
	if err != nil {
		return err
	}
	change := store.Change{From: o, To: o.Value.MakesRoom(other).Skip(schedule.ReasonOverlap, f.Now().UTC())}
	if r.Schedule.Value.ID == o.Value.ScheduleID() {
		change.State = r.Counted(r.State.Value.Withdrawn(o.Value))
	}
	return f.DB.Save(ctx, []store.Change{change})[0]
}

// pause stops a schedule whose runs fail. Should it fail, what comes due next is skipped, and tries again.
func (f *Function) pause(ctx context.Context, o schedule.Occurrence) {
	if err := f.DB.Pause(ctx, o, f.Now().UTC()); err != nil {
		f.Log.WarnContext(ctx, "a schedule whose runs fail stays active", "schedule", o.Schedule, "error", err)
	}
}

// counts reports whether the end of an occurrence is counted.
func counts(o schedule.Occurrence) bool { return o.Status == schedule.Failed && o.PauseAfter > 0 }

// counted is the state of a schedule with the failure of an occurrence that will not run; nil when nobody counts.
func (f *Function) counted(ctx context.Context, o schedule.Occurrence) (*store.Count, error) {
	if !counts(o) {
		return nil, nil
	}
	r, err := f.DB.Schedule(ctx, o.Schedule)
	if errors.Is(err, store.ErrNotFound) || err == nil && r.Schedule.Value.ID != o.ScheduleID() {
		return nil, nil
	}
	return r.Counted(r.State.Value.Ended(o)), err
}

// ended does what follows from the end of an occurrence that has no run.
func (f *Function) ended(ctx context.Context, c store.Change) {
	if counts(c.To) {
		f.pause(ctx, c.To)
	}
	if c.To.Status.Final() && (c.From.Value.Releases() || c.To.Releases()) {
		f.send(ctx, f.Submit, f.next(ctx, c.From.Value, 1), 0)
	}
}

// next are the first of those that wait for the end of an occurrence.
func (f *Function) next(ctx context.Context, o schedule.Occurrence, max int) []string {
	ids, err := f.DB.Next(ctx, o, max)
	if err != nil {
		f.Log.WarnContext(ctx, "what waits for its turn is not brought on; the clock will do it", "schedule", o.Schedule, "error", err)
	}
	return ids
}
