// Package recurrence is the timer function: time has passed, so occurrences that are now due are recorded and sent.
//
// scheduled: every 15 seconds on a plain machine, every minute in a cloud. Not retried: the next tick finds what
// this one has left. Ticks may overlap, run late, twice or on several machines.
package recurrence

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

const (
	pageSize = 500 // wakes read at once
	rounds   = 200 // pages of one shard in one tick; what is left is for the next one

	pruned      = 200 // old occurrences that are looked at together
	pruneRounds = 20  // such bites of one shard in one tick
)

// Function records what is due and sends it on. Its fields are set once.
type Function struct {
	DB        *store.DB
	Submit    queue.Queue
	Follow    queue.Queue
	Marks     queue.Queue   // to the datastore function
	Retention time.Duration // how long occurrences are kept once they are final
	Now       func() time.Time
	Log       *slog.Logger
}

// beat is one call of the timer: when it is, and until when it looks ahead.
type beat struct{ now, until time.Time }

// Tick does what is due until an instant, when the next tick is expected, in every shard. A shard that fails does
// not hold back the others.
func (f *Function) Tick(ctx context.Context, now, until time.Time) error {
	tick := beat{now.UTC(), until.UTC()}
	errs := make([]error, store.Shards)
	var group sync.WaitGroup
	for shard := range store.Shards {
		group.Go(func() { errs[shard] = errors.Join(f.shard(ctx, shard, tick), f.prune(ctx, shard, tick)) })
	}
	group.Wait()
	return errors.Join(errs...)
}

func (f *Function) shard(ctx context.Context, shard int, tick beat) error {
	token := ""
	for range rounds {
		wakes, next, err := f.DB.Wakes(ctx, shard, tick.until, token, pageSize)
		if err != nil {
			return err
		}
		more, err := f.act(ctx, shard, wakes, tick)
		if err != nil {
			return err
		}
		switch {
		case more: // a schedule has more due than one plan holds
			token = ""
		case next == "":
			return nil
		default:
			token = next
		}
	}
	return nil
}

// act deals with one page of wakes and says whether some of them are due again at once.
func (f *Function) act(ctx context.Context, shard int, wakes []store.Wake, tick beat) (more bool, err error) {
	var planned []store.Planned
	var woken, marks []store.Wake
	exclusions := f.exclusions(ctx, wakes)
	for _, w := range wakes {
		switch {
		case w.Err != nil:
			f.Log.ErrorContext(ctx, "a row of the clock cannot be read; it is passed over", "error", w.Err)
		case w.Mark == store.Forgetting:
			err = errors.Join(err, f.forget(ctx, shard, w))
		case w.Mark == store.Rousing:
			err = errors.Join(err, f.rouse(ctx, shard, w, tick))
		case w.Mark == store.Waiting:
			if !w.At.After(tick.now) {
				err = errors.Join(err, f.bring(ctx, shard, w, tick))
			}
		case w.Mark != "":
			marks = append(marks, w)
		case w.Due == nil && w.At.After(tick.now) && !w.AtStart: // its message has its time still
		case w.Due == nil:
			woken = append(woken, w)
		default:
			excluded, err := exclusions(*w.Due)
			if err != nil {
				f.Log.ErrorContext(ctx, "a schedule waits for its calendar, which cannot be read", "schedule", w.Due.Schedule, "error", err)
				continue
			}
			plan, err := w.Due.Plan(tick.now, tick.until, excluded)
			if err != nil {
				f.Log.ErrorContext(ctx, "a schedule cannot be computed; it is passed over", "schedule", w.Due.Schedule, "error", err)
				continue
			}
			planned = append(planned, store.Planned{Wake: w, Plan: plan})
		}
	}
	recorded, more, recordErr := f.record(ctx, shard, planned, tick)
	again, wakeErr := f.wake(ctx, shard, woken, tick)
	f.send(ctx, f.Submit, append(recorded, again.submit...), tick)
	f.send(ctx, f.Follow, again.follow, tick)
	return more, errors.Join(err, recordErr, wakeErr, f.mark(ctx, shard, marks, tick))
}

func (f *Function) exclusions(ctx context.Context, wakes []store.Wake) func(schedule.Due) (schedule.Excluded, error) {
	var names []string
	for _, w := range wakes {
		if w.Due != nil {
			names = append(names, w.Due.Calendars...)
		}
	}
	return f.DB.Exclusions(ctx, names...)
}

// record writes plans and returns the occurrences that wait now.
func (f *Function) record(ctx context.Context, shard int, planned []store.Planned, tick beat) (waiting []schedule.Occurrence, more bool, err error) {
	for i, e := range f.DB.Record(ctx, shard, planned, tick.now) {
		switch {
		case errors.Is(e, store.ErrConflict): // another tick or a change has moved it
			continue
		case e != nil:
			err = e
			continue
		}
		plan := planned[i].Plan
		for _, o := range plan.Record {
			if o.Status == schedule.Waiting {
				waiting = append(waiting, o)
			}
		}
		more = more || !plan.Due.Next.IsZero() && !plan.Due.Next.After(tick.until)
	}
	return waiting, more, err
}

type awake struct{ submit, follow []schedule.Occurrence }

// wake moves occurrences whose message did not bring them on, and returns them to be sent again.
func (f *Function) wake(ctx context.Context, shard int, woken []store.Wake, tick beat) (awake, error) {
	var again awake
	var changes []store.Change
	var failed error
	for _, w := range woken {
		o, err := f.DB.Occurrence(ctx, w.Occurrence)
		switch {
		case errors.Is(err, store.ErrNotFound) || err == nil && !w.Of(o.Value):
			if err := f.DB.Discard(ctx, shard, w); err != nil && !errors.Is(err, store.ErrConflict) {
				failed = err
			}
		case err != nil:
			failed = err
		default:
			changes = append(changes, store.Change{From: o, To: o.Value.Woken(tick.now)})
		}
	}
	for i, err := range f.DB.Save(ctx, changes) {
		o := changes[i].To
		switch {
		case errors.Is(err, store.ErrConflict):
		case err != nil:
			failed = err
		case o.Run == "":
			again.submit = append(again.submit, o)
		default:
			again.follow = append(again.follow, o)
		}
	}
	return again, failed
}

// send puts messages up, one set for each instant at which occurrences start. What starts after this look ahead, and
// what cannot be sent, is not lost: the clock looks after it.
func (f *Function) send(ctx context.Context, to queue.Queue, occurrences []schedule.Occurrence, tick beat) {
	byStart := map[time.Time][]string{}
	for _, o := range occurrences {
		start := o.Start
		if start.Before(tick.now) {
			start = tick.now
		}
		if start.After(tick.until) && start.After(tick.now) {
			continue
		}
		byStart[start] = append(byStart[start], o.ID)
	}
	for start, ids := range byStart {
		for _, body := range queue.Messages(ids) {
			// By the clock as it is now: recording has taken its time.
			if err := to.Send(ctx, body, max(start.Sub(f.Now()), 0)); err != nil {
				f.Log.WarnContext(ctx, "a message was not sent; the clock will send it again", "occurrences", len(ids), "error", err)
			}
		}
	}
}

// prune deletes what is older than the retention, once a minute and in small bites.
func (f *Function) prune(ctx context.Context, shard int, tick beat) error {
	if f.Retention <= 0 || tick.now.Second() >= 15 {
		return nil
	}
	token := ""
	var failed error
	for range pruneRounds {
		next, err := f.DB.Prune(ctx, shard, tick.now.Add(-f.Retention), token, pruned)
		failed = errors.Join(failed, err)
		if next == "" {
			break
		}
		token = next
	}
	return failed
}
