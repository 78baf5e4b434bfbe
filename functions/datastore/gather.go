package datastore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"time"

	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// gather adds changes to the schedule's window, and opens one where none is open. It returns the places of those that
// are to be taken again, as the window has closed or others were faster.
func (f *Function) gather(ctx context.Context, r store.Record, changes []store.Gathered) (left []int, err error) {
	s := r.Schedule.Value
	if r.Window.Known() && r.Window.Value.Baseline != s.BaselineRevision {
		return from(0, len(changes)), f.closeOld(ctx, r)
	}
	if r.Window.Known() && r.Window.Value.Over(f.Now()) {
		open, err := f.staysOpen(ctx, r)
		if err != nil {
			return nil, err
		}
		if !open {
			return from(0, len(changes)), f.saved(f.closeOnce(ctx, r))
		}
	}
	for joined := 0; joined < len(changes); {
		n := min(len(changes)-joined, store.GatherMost)
		if len(s.Trigger.AllOf) > 0 {
			n = 1 // each may be the one that completes it
		}
		g, err := f.joins(ctx, r, changes[joined:joined+n])
		if errors.Is(err, store.ErrNotFound) { // it has closed
			return from(joined, len(changes)), nil
		}
		if err == nil {
			err = f.DB.Gather(ctx, g)
		}
		if errors.Is(err, store.ErrConflict) {
			left, err = f.untaken(ctx, s.ID, changes, joined, joined+n)
			return append(left, from(joined+n, len(changes))...), err
		}
		if err != nil {
			return nil, err
		}
		joined += n
		if g.Completes != nil {
			f.submit(ctx, []string{g.Completes.ID})
		}
		if g.Opens != nil && !g.Opens.Wake.IsZero() {
			f.remind(ctx, queue.Marks{Close: []string{s.Name}}, g.Opens.Wake)
		}
		if g.Opens != nil || g.Completes != nil { // the record tells of another window
			return from(joined, len(changes)), nil
		}
	}
	return nil, nil
}

// untaken are the places of changes that have not come before. One may have that is not the newest remembered of its
// file: a folder that was renamed is back.
func (f *Function) untaken(ctx context.Context, scheduleID string, changes []store.Gathered, first, end int) (left []int, err error) {
	for i := first; i < end; i++ {
		taken, err := f.DB.Taken(ctx, scheduleID, changes[i].Change)
		if err != nil {
			return nil, err
		}
		if !taken {
			left = append(left, i)
		}
	}
	return left, nil
}

// from counts on from a number, up to an end.
func from(first, end int) (numbers []int) {
	for i := first; i < end; i++ {
		numbers = append(numbers, i)
	}
	return numbers
}

// joins is how changes join the window of the record, or open one.
func (f *Function) joins(ctx context.Context, r store.Record, changes []store.Gathered) (g store.Gather, err error) {
	s, now := r.Schedule.Value, f.Now()
	g = store.Gather{Record: r}
	window := r.Window.Value
	if !r.Window.Known() {
		window = s.Opens(strings.ToLower(rand.Text()[:8]), changes[0].Change.At)
		g.Opens = &window
	}
	g.Lane = mathrand.IntN(window.LanesOf())
	if g.Opens == nil {
		if g.From, err = f.DB.Lane(ctx, window, g.Lane); err != nil {
			return g, err
		}
	}
	g.To = g.From.Value
	if g.Opens == nil {
		gone, err := f.forgo(ctx, s, window)
		if err != nil {
			return g, err
		}
		g.To.Count = max(g.To.Count-gone, 0)
	}
	for _, c := range changes {
		more := 1
		if c.Replaces(window.Occurrence) {
			more = 0
		}
		c.Change = window.Holds(c.Change, now)
		g.Takes = append(g.Takes, c)
		g.To = g.To.Counted(c.Change, more, len(s.Trigger.AllOf))
		for _, part := range s.Parts(c.Change) { // folders of all_of may overlap
			also := c.Change
			also.Part = part
			g.To = g.To.Counted(also, 0, len(s.Trigger.AllOf))
		}
	}
	if w := s.Trigger.Watch; window.Gathers() && w.Complete(g.To, now) {
		o := window.Completed(s, g.Takes[0].Change, g.To, now)
		if w.Within > 0 {
			if o.Changes, err = f.fresh(ctx, o, g.Takes[0].Change); err != nil {
				return g, err
			}
		}
		g.Completes = &o
	}
	return g, nil
}

// fresh counts the changes of a window that are not stale, with the one that completes it.
func (f *Function) fresh(ctx context.Context, o schedule.Occurrence, with schedule.Change) (n int, err error) {
	for token := ""; ; {
		changes, next, err := f.DB.ChangesOf(ctx, o.ID, token, store.MaxScan)
		if err != nil {
			return 0, err
		}
		for _, c := range changes {
			if !c.At.Before(o.Window.Start) && (c.Path != with.Path || c.Datastore != with.Datastore) {
				n++
			}
		}
		if token = next; token == "" || changes[len(changes)-1].At.Before(o.Window.Start) { // the newest come first
			return n + 1, nil
		}
	}
}

// A change that waits for other folders of all_of is dropped after heldFor, or once it is stale if that comes later. With
// each that joins, some of those go: so what waits does not grow for ever.
const (
	heldFor = 90 * 24 * time.Hour
	dropped = 20
)

// forgo drops what has waited in a window for too long, and says how many changes fewer it has.
func (f *Function) forgo(ctx context.Context, s schedule.Schedule, w schedule.Window) (n int, err error) {
	before := f.Now().Add(-max(heldFor, time.Duration(s.Trigger.Within)))
	if !w.Gathers() || w.Opened.After(before) {
		return 0, nil
	}
	n, err = f.DB.Forgo(ctx, w, before, dropped)
	if n > 0 {
		f.Log.InfoContext(ctx, "changes have waited too long for other folders, and are dropped", "schedule", s.Name, "changes", n)
	}
	return n, err
}

// close closes a schedule's window if its time has come, and otherwise sets the time at which the clock looks again.
func (f *Function) close(ctx context.Context, name string) error {
	for try := range takeTries {
		if err := store.StandBack(ctx, try); err != nil {
			return err
		}
		r, err := f.DB.Schedule(ctx, name)
		if errors.Is(err, store.ErrNotFound) || err == nil && (!r.Window.Known() || r.Window.Value.Gathers()) {
			return nil
		}
		if err == nil {
			err = f.closeOnce(ctx, r)
		}
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("the window of schedule %s is joined all the time: it is closed later", name)
}

func (f *Function) closeOnce(ctx context.Context, r store.Record) error {
	w := r.Window.Value
	lanes, err := f.DB.Lanes(ctx, r.Schedule.Value.ID)
	if err != nil {
		return err
	}
	all := schedule.Sum(values(lanes))
	closes := w.Closes(all)
	if wait := closes.Sub(f.Now()); wait > 0 {
		if wait > clocksDiffer {
			return f.closeLater(ctx, r, closes)
		}
		select {
		case <-time.After(wait):
			return store.ErrConflict // to be read again, as changes may have joined
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	o := w.Closed(all, f.Now())
	open, err := f.staysOpen(ctx, r)
	if err != nil {
		return err
	}
	if open {
		return f.closeLater(ctx, r, f.Now().Add(schedule.Resend).Truncate(time.Second))
	}
	return f.closeNow(ctx, r, lanes, o)
}

// staysOpen reports whether the window goes on gathering though its time has come: where an occurrence is skipped while
// another is under way, its changes would be lost.
func (f *Function) staysOpen(ctx context.Context, r store.Record) (bool, error) {
	s := r.Schedule.Value
	if s.Overlap != schedule.OverlapSkip || s.Status != schedule.Active {
		return false, nil
	}
	others, err := f.DB.Others(ctx, schedule.Occurrence{ID: r.Window.Value.Occurrence}, 1)
	return len(others.UnderWay)+len(others.Buffered) > 0, err
}

func (f *Function) closeLater(ctx context.Context, r store.Record, at time.Time) error {
	w := r.Window.Value
	if w.Wake.Equal(at) {
		return nil
	}
	w.Wake = at
	if err := f.DB.Reset(ctx, r, w); err != nil {
		return err
	}
	f.remind(ctx, queue.Marks{Close: []string{w.Schedule}}, at)
	return nil
}

func (f *Function) closeNow(ctx context.Context, r store.Record, lanes []store.Stored[schedule.Lane], o schedule.Occurrence) error {
	if err := f.DB.Close(ctx, r, lanes, o); err != nil {
		return err
	}
	f.Log.InfoContext(ctx, "a window has closed", "run", o.ID, "schedule", o.Schedule, "changes", o.Changes, "status", o.Status)
	if o.Status == schedule.Waiting {
		f.submit(ctx, []string{o.ID})
	}
	return nil
}

// closeOld ends a window of folders that the schedule does not watch any more, or of a time before it was disabled.
func (f *Function) closeOld(ctx context.Context, r store.Record) error {
	if !r.Window.Known() || r.Window.Value.Baseline == r.Schedule.Value.BaselineRevision {
		return nil
	}
	return f.end(ctx, r)
}

// closeLeft ends the window of a schedule that watches nothing any more, if no time closes it.
func (f *Function) closeLeft(ctx context.Context, r store.Record) error {
	if !r.Window.Known() || !r.Window.Value.Gathers() || r.Schedule.Value.Trigger.Watch != nil {
		return nil
	}
	return f.end(ctx, r)
}

// end ends a window before its time: a batch becomes an occurrence of the revision that opened it (which is skipped if the
// schedule was disabled since); folders that wait for others have waited in vain.
func (f *Function) end(ctx context.Context, r store.Record) error {
	lanes, err := f.DB.Lanes(ctx, r.Schedule.Value.ID)
	if err != nil {
		return err
	}
	w := r.Window.Value
	o := w.Closed(schedule.Sum(values(lanes)), f.Now())
	if w.Gathers() {
		o = o.Skip(schedule.ReasonTriggerChanged, f.Now().UTC())
	}
	err = f.closeNow(ctx, r, lanes, o)
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}

func values[T any](stored []store.Stored[T]) []T {
	out := make([]T, len(stored))
	for i, s := range stored {
		out[i] = s.Value
	}
	return out
}
