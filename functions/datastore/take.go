package datastore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"carillon/shared/schedule"
	"carillon/shared/source"
	"carillon/shared/store"
)

// arrival is a change that has come, of a file of a datastore.
type arrival struct {
	path    string
	told    schedule.Told
	created bool // the delivery also tells of files that are created empty, and then written
	last    bool // it is not delivered again

	listed   *source.File // as a listing has shown it; nil for an event
	baseline int          // the schedule's BaselineRevision that the listing belongs to
}

const (
	takeTries = 30 // against others that take changes for the same schedule
)

// take records what changes mean for a schedule. It reads what is remembered of each file before it asks what the file
// is like now, and the store takes only what builds on what was read: so, however deliveries overlap, no version is
// taken twice, and no older one after a newer.
func (f *Function) take(ctx context.Context, name, id string, d source.Datastore, arrivals []arrival) error {
	last := arrivals[0].last
	for try := range takeTries {
		if err := store.StandBack(ctx, try); err != nil {
			return err
		}
		r, err := f.DB.Schedule(ctx, name)
		if errors.Is(err, store.ErrNotFound) || err == nil && r.Schedule.Value.ID != id {
			return nil
		}
		if err != nil {
			return err
		}
		left, err := f.takeOnce(ctx, r, d, arrivals)
		if err != nil && arrivals[0].listed == nil { // whoever lists notes it
			return f.trouble(ctx, r, err)
		}
		if err != nil {
			return err
		}
		if arrivals = left; len(arrivals) == 0 && !last {
			return f.fine(ctx, r)
		}
		if len(arrivals) == 0 {
			return nil
		}
	}
	return fmt.Errorf("schedule %s: others take its changes all the time: %d are given back", name, len(arrivals))
}

// takeOnce does it once, and returns the arrivals that somebody else was faster with.
func (f *Function) takeOnce(ctx context.Context, r store.Record, d source.Datastore, arrivals []arrival) (left []arrival, err error) {
	found := make([]finding, len(arrivals))
	places := make([]int, len(arrivals))
	for i := range places {
		places[i] = i
	}
	err = all(places, func(i int) (err error) {
		found[i], err = f.find(ctx, r.Schedule.Value, d, arrivals[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	var takes []store.Take
	var gathered []store.Gathered
	var takesOf, gatheredOf []arrival
	for i, x := range found {
		switch {
		case x.nothing:
		case x.record != nil:
			takes = append(takes, store.Take{ScheduleID: r.Schedule.Value.ID, From: x.seen, To: x.to, Occurrence: *x.record})
			takesOf = append(takesOf, arrivals[i])
		default:
			gathered = append(gathered, store.Gathered{From: x.seen, Change: x.change})
			gatheredOf = append(gatheredOf, arrivals[i])
		}
	}
	if left, err = f.record(ctx, takes, takesOf); err != nil || len(gathered) == 0 {
		return left, err
	}
	places, err = f.gather(ctx, r, gathered)
	for _, i := range places {
		left = append(left, gatheredOf[i])
	}
	return left, err
}

// finding is what a change means for a schedule.
type finding struct {
	nothing bool // it has come before, or does not count
	change  schedule.Change
	seen    store.Stored[schedule.Seen]
	to      *schedule.Seen       // what is to be remembered of the file
	record  *schedule.Occurrence // what is to be recorded; nil for a change that joins a window
}

func (f *Function) find(ctx context.Context, s schedule.Schedule, d source.Datastore, a arrival) (x finding, err error) {
	if s.Trigger.Watch == nil || a.listed != nil && a.baseline != s.BaselineRevision {
		return finding{nothing: true}, nil
	}
	if x.seen, err = f.DB.Seen(ctx, s.ID, d.Name, a.path); err != nil {
		return x, err
	}
	file, err := f.current(ctx, d, a, x.seen)
	switch {
	case errors.Is(err, source.ErrNotFound):
		return f.gone(ctx, s, d, a, x)
	case err != nil && a.last:
		o := s.Unreadable(a.change(d, f.Now().UTC()), err, f.Now())
		return f.once(ctx, s, o)
	case err != nil:
		return x, err
	case a.created && file.Tree && file.Size == 0:
		return x, errEmpty
	}
	var known *schedule.Seen
	if x.seen.Known() {
		known = &x.seen.Value
	}
	x.change = schedule.Change{Datastore: d.Name, Path: a.path, ETag: file.ETag, Modified: file.Modified.UTC(), At: f.Now().UTC()}
	verdict, part := s.Arrives(x.change, a.told, known)
	x.change.Part = part
	switch {
	case verdict == schedule.Duplicate && a.told.ETag != "" && a.told.ETag != file.ETag:
		return f.once(ctx, s, s.Superseded(a.change(d, f.Now().UTC()), f.Now()))
	case verdict != schedule.Fires:
		f.Log.DebugContext(ctx, "a change does not fire", "schedule", s.Name, "path", a.path, "verdict", verdict)
		return finding{nothing: true}, nil
	}
	if s.Trigger.Each() {
		o := s.Occurs(x.change, f.Now())
		x.record, x.to = &o, &schedule.Seen{Change: x.change, Result: schedule.Fired, Occurrence: o.ID}
	}
	return x, nil
}

// current is the file as it is now. What a listing has shown will do where nothing is remembered that could be newer.
func (f *Function) current(ctx context.Context, d source.Datastore, a arrival, seen store.Stored[schedule.Seen]) (source.File, error) {
	if a.listed != nil && (!seen.Known() || seen.Value.ETag == a.listed.ETag) {
		return *a.listed, nil
	}
	file, err := d.Source.Stat(ctx, a.path)
	if err != nil {
		err = fmt.Errorf("look at %s of datastore %s: %w", a.path, d.Name, err)
	}
	return file, err
}

// change is the change that an arrival tells of, whatever the file is like now.
func (a arrival) change(d source.Datastore, now time.Time) schedule.Change {
	c := schedule.Change{Datastore: d.Name, Path: a.path, ETag: a.told.ETag, Modified: a.told.At.UTC(), At: now}
	if a.listed != nil {
		c.ETag, c.Modified = a.listed.ETag, a.listed.Modified.UTC()
	}
	if c.ETag == "" { // the time tells it from others
		c.ETag = "at " + c.Modified.Format(time.RFC3339Nano)
	}
	if c.Modified.IsZero() {
		c.Modified = now
	}
	return c
}

// gone finds a change whose file is gone. One that was taken before it was deleted is nothing new.
func (f *Function) gone(ctx context.Context, s schedule.Schedule, d source.Datastore, a arrival, x finding) (finding, error) {
	c := a.change(d, f.Now().UTC())
	verdict, _ := s.Arrives(c, a.told, nil)
	known := x.seen.Known() && x.seen.Value.ETag == c.ETag
	if a.told.ETag == "" && a.listed == nil { // which version it is about, only its time can tell
		known = x.seen.Known() && (a.told.At.IsZero() || !a.told.At.After(x.seen.Value.Modified))
	}
	if verdict != schedule.Fires || known {
		return finding{nothing: true}, nil
	}
	return f.once(ctx, s, s.Gone(c, f.Now()))
}

// once keeps a record of a change that did not fire from being written a second time, or after it did fire.
func (f *Function) once(ctx context.Context, s schedule.Schedule, o schedule.Occurrence) (finding, error) {
	record, version := *o.Change, *o.Change
	version.As = ""
	verdict, _ := s.Arrives(version, schedule.Told{At: version.Modified}, nil)
	if verdict != schedule.Fires {
		return finding{nothing: true}, nil
	}
	for _, c := range []schedule.Change{version, record} {
		if taken, err := f.DB.Taken(ctx, s.ID, c); taken || err != nil {
			return finding{nothing: true}, err
		}
	}
	return finding{record: &o}, nil
}

// record writes occurrences and sends them.
func (f *Function) record(ctx context.Context, takes []store.Take, of []arrival) (left []arrival, failed error) {
	var waiting []string
	for i, err := range f.DB.Take(ctx, takes) {
		o := takes[i].Occurrence
		switch {
		case errors.Is(err, store.ErrConflict):
			taken, err := f.DB.Taken(ctx, takes[i].ScheduleID, *o.Change)
			if err != nil {
				failed = err
			}
			if !taken {
				left = append(left, of[i])
			}
		case err != nil:
			failed = err
		case o.Status == schedule.Waiting:
			waiting = append(waiting, o.ID)
		default:
			f.Log.InfoContext(ctx, "a change does not fire", "run", o.ID, "schedule", o.Schedule, "path", o.Change.Path, "reason", o.Reason)
		}
	}
	f.submit(ctx, waiting)
	return left, failed
}

// trouble notes with the schedule that its datastore cannot be looked at, for people to see, and returns the error.
func (f *Function) trouble(ctx context.Context, r store.Record, err error) error {
	if errors.Is(err, source.ErrDenied) || errors.Is(err, source.ErrMissing) {
		p := r.Poll.Value.Troubled(err, f.Now())
		if p.Problem == r.Poll.Value.Problem {
			return err
		}
		if failed := f.DB.SavePoll(ctx, r, p); failed != nil && !errors.Is(failed, store.ErrConflict) {
			f.Log.WarnContext(ctx, "a problem could not be noted", "schedule", r.Schedule.Value.Name, "error", failed)
		}
	}
	return err
}

// fine forgets a problem of a schedule, now that its changes can be taken.
func (f *Function) fine(ctx context.Context, r store.Record) error {
	if r.Poll.Value.Problem == "" || r.Poll.Value.Pass != nil { // a look that is under way says so itself
		return nil
	}
	return f.saved(f.DB.SavePoll(ctx, r, r.Poll.Value.Fine()))
}
