package recurrence

import (
	"context"
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

func (f *Function) forget(ctx context.Context, shard int, w store.Wake) error {
	err := f.DB.Forget(ctx, shard, w, forgotten)
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}
