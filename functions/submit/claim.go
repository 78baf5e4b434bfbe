package submit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"carillon/shared/queue"
	"carillon/shared/recur"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

const (
	claimTries = 20 // against others who claim for the same schedule
	readTries  = 10 // where the store fails, or leaves open whether a claim was written

	clocksDiffer = 2 * time.Second // between the machines that send and receive
)

// claim takes what may be taken of the occurrences. Those of one schedule are claimed one after the other, as each
// changes what is counted for it. Where the store leaves open whether a claim was written, it is read again.
func (f *Function) claim(ctx context.Context, ids []string) (c *claiming, failed error) {
	c = &claiming{f: f, tried: map[string]schedule.Claim{}, stops: stops{}, sent: map[string]bool{}, inTheWay: map[string]schedule.Occurrence{}}
	broken := 0
	for try := 0; try < claimTries && broken < readTries; try++ {
		if err := store.StandBack(ctx, broken); err != nil {
			break
		}
		left, written, err := c.round(ctx, ids)
		if ids = left; len(ids) == 0 {
			return c, nil
		}
		if failed = err; err != nil { // what is claimed waits meanwhile
			broken++
		}
		if written {
			try = 0
		}
	}
	if failed == nil {
		failed = errors.New("others change them all the time")
	}
	return c, fmt.Errorf("%d occurrences could not be claimed: %w", len(ids), failed)
}

// claiming is one call that claims occurrences.
type claiming struct {
	f       *Function
	tried   map[string]schedule.Claim // claims that may have been written
	stops   stops
	sent    map[string]bool // occurrences that were brought on
	claimed []schedule.Occurrence

	inTheWay map[string]schedule.Occurrence // runs that are to be cancelled once what is claimed has been submitted
}

// round claims one occurrence of each schedule, and returns those that are left. One that waits for its turn from now on is
// the first of them: what it waits for may have ended meanwhile. written says that others were not faster every time.
func (c *claiming) round(ctx context.Context, ids []string) (left []string, written bool, failed error) {
	var changes []store.Change
	var findings []finding
	counted := map[string]bool{}
	for _, id := range ids {
		scheduleID, _, _ := strings.Cut(id, "-")
		if counted[scheduleID] { // its state is being changed
			left = append(left, id)
			continue
		}
		found, err := c.f.find(ctx, id, c.tried[id], c.stops)
		switch {
		case err != nil:
			failed, left = err, append(left, id)
		case found.nothing:
			c.perform(ctx, id, found.turn)
		case found.held:
			c.claimed = append(c.claimed, found.change.To)
		default:
			counted[scheduleID] = true
			c.tried[id] = found.change.To.Claim
			changes, findings = append(changes, found.change), append(findings, found)
		}
	}
	var again []string
	for i, err := range c.f.DB.Save(ctx, changes) {
		o := changes[i].To
		written = written || err == nil
		switch {
		case errors.Is(err, store.ErrConflict):
			left = append(left, o.ID)
		case errors.Is(err, store.ErrLimit):
			c.f.drop(ctx, changes[i])
		case err != nil:
			failed, left = err, append(left, o.ID)
		case c.afterwards(ctx, findings[i]):
			again = append(again, o.ID)
		}
	}
	return append(again, left...), written, failed
}

// afterwards does what follows from a step that is written, and reports whether there is another one to be made.
func (c *claiming) afterwards(ctx context.Context, found finding) (again bool) {
	f, o := c.f, found.change.To
	if found.last {
		f.finish(ctx, o)
	}
	if found.pause {
		f.pause(ctx, o)
	}
	if found.giveWay {
		f.giveUp(ctx, o)
	}
	switch {
	case found.later:
		f.send(ctx, f.Submit, []string{o.ID}, o.Start.Sub(f.Now()))
		return false
	case o.Status == schedule.Submitting:
		c.claimed = append(c.claimed, o)
	case o.Status.Final():
		f.Log.InfoContext(ctx, "occurrence not submitted", "run", o.ID, "schedule", o.Schedule, "status", o.Status, "reason", o.Reason, "error", o.Error)
		if counts(o) {
			f.pause(ctx, o)
		}
	case !o.Buffered:
		f.Log.WarnContext(ctx, "a submission is put off", "run", o.ID, "schedule", o.Schedule, "attempt", o.Attempts, "error", o.Error)
		f.send(ctx, f.Submit, []string{o.ID}, o.Start.Sub(f.Now()))
	default:
		f.Log.InfoContext(ctx, "occurrence waits for its turn", "run", o.ID, "schedule", o.Schedule)
		return true
	}
	c.perform(ctx, o.ID, found.turn)
	c.bringNext(ctx, found.change.From.Value, o)
	return false
}

// bringNext brings on those that need not wait any longer, or whose turn it is, once an occurrence has started or ended.
func (c *claiming) bringNext(ctx context.Context, from, o schedule.Occurrence) {
	n := 0
	switch {
	case o.Status.Final() && o.Reason != schedule.ReasonOverlap && from.Releases(): // the others may be withdrawn, too
		n = queue.PerMessage
	case o.Status.Final() && (from.Releases() || o.Releases()):
		n = 1
	case o.Status.Final():
	case o.Kind == schedule.Backfilled && o.AtOnce > 1: // there may be room for another
		n = 1
	case from.Buffered && !o.Overlap.Queues(): // nor need the others wait
		n = queue.PerMessage
	}
	if n > 0 {
		c.bring(ctx, c.f.next(ctx, from, n))
	}
}

// finding is what a process that would submit an occurrence finds.
type finding struct {
	nothing bool         // there is nothing to do
	held    bool         // change.To is claimed already, by this very call
	change  store.Change // what has to be written first: a claim or a skip
	last    bool         // the schedule has then submitted all it may
	pause   bool         // the schedule is to be stopped, as its runs fail
	giveWay bool         // the schedule is to be stopped, as the old one in whose place it comes goes on
	later   bool         // it cannot be told yet whether it starts
	turn    schedule.Turn
}

// find reads what a claim needs to know. tried is a claim that this call may have written.
func (f *Function) find(ctx context.Context, id string, tried schedule.Claim, known stops) (found finding, err error) {
	o, err := f.DB.Occurrence(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return finding{nothing: true}, nil
	case err != nil:
		return found, err
	case o.Value.Status == schedule.Submitting && o.Value.Claim.Same(tried):
		return finding{held: true, change: store.Change{From: o, To: o.Value}}, nil
	case f.early(ctx, o.Value), !o.Value.Claimable(f.Void, f.Now()):
		return finding{nothing: true}, nil
	}
	record, err := f.DB.Schedule(ctx, o.Value.Schedule)
	gone := errors.Is(err, store.ErrNotFound)
	if err != nil && !gone {
		return found, err
	}
	s := &record.Schedule.Value
	if gone {
		s = nil
	}
	found.change = store.Change{From: o, To: o.Value}
	to := &found.change.To
	if s != nil && s.ID == to.ScheduleID() && to.Attempts > 0 { // should it be skipped
		found.change.State = record.Counted(record.State.Value.Withdrawn(*to))
	}
	if reason := to.Withdrawn(s, record.State.Value); reason != "" {
		*to = to.Skip(reason, f.Now().UTC())
		found.last, found.pause = reason == schedule.ReasonLimit, reason == schedule.ReasonPaused && s.Status == schedule.Active
		return found, nil
	}
	err = f.start(ctx, &found, record, s, known)
	return found, err
}

// start decides whether what is not withdrawn is claimed: it may be another's, its pipeline disabled, its turn not come.
func (f *Function) start(ctx context.Context, found *finding, record store.Record, s *schedule.Schedule, known stops) (err error) {
	var definition schedule.Definition
	to := &found.change.To
	if to.Attempts == 0 {
		if definition, err = f.DB.Definition(ctx, *s, to.Revision); err != nil {
			return err
		}
	}
	if s != nil {
		if settled, err := f.handover(ctx, found, *s); settled || err != nil {
			return err
		}
	}
	p, err := f.stopped(ctx, *to, definition, known)
	if err != nil {
		return err
	}
	if p.stop != nil {
		*to = to.Stopped(p.pipeline, *p.stop, f.Now().UTC())
		return nil
	}
	if to.Attempts == 0 && (s.Overlap.Queues() || to.Kind == schedule.Backfilled) {
		if starts, err := f.turn(ctx, found, record); err != nil || !starts {
			if p.doubt != nil {
				found.turn.Cancel = nil // no run makes room for one that may not start
			}
			return err
		}
	}
	if to.Attempts == 0 {
		if err := f.prepare(ctx, to, definition, record); err != nil {
			var wrong recur.FieldErrors
			if errors.As(err, &wrong) {
				*to = to.Refused(fmt.Errorf("its parameters cannot be filled in: %w", wrong), f.Now().UTC())
				found.change.State = record.Counted(record.State.Value.Ended(*to))
				return nil
			}
			return err
		}
	}
	*to = to.Claimed(f.Owner, rand.Text(), f.Now())
	state := record.State.Value.Claimed(*to)
	if p.doubt != nil { // as if the far side had not taken it
		if *to = to.Again(p.doubt, true, 0, f.Now()); counts(*to) {
			state = state.Ended(*to)
		}
	}
	if s != nil && s.ID == to.ScheduleID() {
		found.change.State = record.Counted(state)
		found.last = s.Status == schedule.Active && s.MaxRuns > 0 && state.Submitted >= s.MaxRuns
	}
	return nil
}

// drop ends an occurrence that the store does not take as it would be.
func (f *Function) drop(ctx context.Context, c store.Change) {
	to := c.From.Value.TooLarge(f.Now().UTC())
	to.Overlap, to.PauseAfter = c.To.Overlap, c.To.PauseAfter
	end := store.Change{From: c.From, To: to}
	var err error
	if end.State, err = f.counted(ctx, to); err == nil {
		err = f.DB.Save(ctx, []store.Change{end})[0]
	}
	if err == nil {
		f.ended(ctx, end)
	}
	f.Log.ErrorContext(ctx, "an occurrence is too large to be kept", "run", to.ID, "schedule", to.Schedule, "error", err)
}

// early reports whether it is too early for an occurrence, and sends it again for its time. One that is early by no
// more than clocks differ is waited for.
func (f *Function) early(ctx context.Context, o schedule.Occurrence) bool {
	wait := o.Start.Sub(f.Now())
	if o.Status != schedule.Waiting || wait <= 0 {
		return false
	}
	if wait > clocksDiffer {
		if wait < queue.MaxDelay {
			f.send(ctx, f.Submit, []string{o.ID}, wait)
		}
		return true
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
	return false
}

// finish disables a schedule that has submitted all it may. Should it fail, what comes due next is skipped
// for the limit, and tries again.
func (f *Function) finish(ctx context.Context, o schedule.Occurrence) {
	now := f.Now().UTC()
	_, err := f.DB.Edit(ctx, o.Schedule, now, func(s schedule.Schedule) (schedule.Schedule, error) {
		if s.ID != o.ScheduleID() || s.Status != schedule.Active {
			return s, nil
		}
		return s.Finished(now), nil
	})
	if err != nil {
		f.Log.WarnContext(ctx, "a schedule that has submitted all it may stays active", "schedule", o.Schedule, "error", err)
	}
}
