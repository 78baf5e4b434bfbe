package recurrence

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// forgotten is how many rows of each kind a deleted schedule loses in one tick.
const forgotten = 500

// mark sends what is due of schedules to the datastore function, at its time, and has the clock look again later.
func (f *Function) mark(ctx context.Context, shard int, marks []store.Wake, tick beat) (failed error) {
	byTime := map[time.Time][]store.Wake{}
	for _, w := range marks {
		at := w.At
		if at.Before(tick.now) {
			at = tick.now
		}
		byTime[at] = append(byTime[at], w)
	}
	for at, wakes := range byTime {
		var due queue.Marks
		again := at.Add(schedule.Resend).Truncate(time.Second)
		for i, err := range f.DB.Later(ctx, shard, wakes, again) {
			switch w := wakes[i]; {
			case errors.Is(err, store.ErrConflict): // it has been dealt with
			case err != nil:
				failed = err
			case w.Mark == store.Looking:
				due.Look = append(due.Look, w.Schedule)
			default:
				due.Close = append(due.Close, w.Schedule)
			}
		}
		for _, body := range due.Bodies() {
			if err := f.Marks.Send(ctx, body, max(at.Sub(f.Now()), 0)); err != nil {
				f.Log.WarnContext(ctx, "a message was not sent; the clock will send it again", "error", err)
			}
		}
	}
	return failed
}

// bring sends an event that was parked to be acted on again.
func (f *Function) bring(ctx context.Context, shard int, w store.Wake, tick beat) error {
	parked, err := f.DB.Bring(ctx, shard, w, tick.now)
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	if err != nil {
		return err
	}
	event, err := json.Marshal(parked)
	if err != nil {
		return err
	}
	for _, body := range (queue.Marks{Again: []json.RawMessage{event}}).Bodies() {
		if err := f.Marks.Send(ctx, body, 0); err != nil {
			f.Log.WarnContext(ctx, "a message was not sent; the clock will send it again", "error", err)
		}
	}
	return nil
}

// rouse sends the first of a schedule's occurrences that wait for their turn, and looks again later as long as there is
// one: what was to bring it on may be lost.
func (f *Function) rouse(ctx context.Context, shard int, w store.Wake, tick beat) error {
	ids, err := f.DB.Roused(ctx, shard, w)
	if err != nil {
		return err
	}
	for _, body := range queue.Messages(ids) {
		if err := f.Submit.Send(ctx, body, 0); err != nil {
			return err // the mark stays for the next tick
		}
	}
	if len(ids) > 0 {
		err = f.DB.RouseAgain(ctx, shard, w, tick.until.Add(schedule.Resend))
	} else {
		err = f.DB.Discard(ctx, shard, w)
	}
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}

func (f *Function) forget(ctx context.Context, shard int, w store.Wake) error {
	err := f.DB.Forget(ctx, shard, w, forgotten)
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}
