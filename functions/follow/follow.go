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
	"strings"
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

// saveTries is how often what was seen is written against others who write, at once.
const saveTries = 20

// Handle looks at every run that the message names.
func (f *Function) Handle(ctx context.Context, body []byte) error {
	m, err := queue.Read(body)
	if err != nil {
		f.Log.ErrorContext(ctx, "a message is dropped", "error", err)
		return nil
	}
	var sights []sight
	var failed error
	for _, id := range m.Occurrences {
		s, err := f.look(ctx, id)
		if err != nil {
			failed = err
		} else if s.id != "" {
			sights = append(sights, s)
		}
	}
	return errors.Join(failed, f.record(ctx, sights))
}

// sight is what the far side says of a run.
type sight struct {
	id   string
	from store.Stored[schedule.Occurrence] // that it was read for; without a value it is to be read again
	seen schedule.Observation
	drop bool // the store does not take what was seen
}

// look asks the far side for one run, and for its end as long as somebody wants that. Without an id there is nothing to
// follow. The message of a run that has ended may be here again because what follows from that was not done.
func (f *Function) look(ctx context.Context, id string) (s sight, err error) {
	o, err := f.DB.Occurrence(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && o.Value.Run == "":
		return s, nil
	case err != nil:
		return s, err
	case o.Value.Status.Final():
		return s, f.ended(ctx, o.Value)
	}
	target, ok := f.Targets[o.Value.Pipeline.Kind]
	if !ok {
		return s, fmt.Errorf("run %s: no target for pipelines of kind %q is configured", id, o.Value.Pipeline.Kind)
	}
	report, err := target.Status(ctx, o.Value.Pipeline.Kind, o.Value.Run)
	if errors.Is(err, pipeline.ErrNotFound) {
		report = pipeline.Report{Status: schedule.Lost, Error: "the far side no longer knows this run"}
	} else if err != nil {
		return s, fmt.Errorf("look at run %s: %w", id, err)
	}
	if o.Value.CancelBy != "" && !report.Status.Final() {
		if err := target.Cancel(ctx, o.Value.Pipeline.Kind, o.Value.Run); err != nil {
			f.Log.WarnContext(ctx, "a run is not cancelled yet; the next look asks again", "run", id, "by", o.Value.CancelBy, "error", err)
			report.Error = fmt.Sprintf("its end is asked for again, as that has failed: %v", err)
		}
	}
	return sight{id: id, from: o, seen: schedule.Observation{
		Status: report.Status, Started: report.Started, Ended: report.Ended, Error: report.Error, Link: report.Link,
	}}, nil
}

// record writes what was seen. The end of a run is written again when somebody else was faster, a claim of its schedule
// for one: the next message would come late.
func (f *Function) record(ctx context.Context, sights []sight) (failed error) {
	for try := 0; try < saveTries; try++ {
		left, written, err := f.save(ctx, sights)
		if sights, failed = left, errors.Join(failed, err); len(sights) == 0 {
			return failed
		}
		if written {
			try = 0
		}
	}
	return errors.Join(failed, fmt.Errorf("%d ends of runs could not be written: others change them all the time", len(sights)))
}

// save writes what was seen, once, and returns what is left: of a schedule that counts failures one end is written at a
// time. written says that others were not faster every time.
func (f *Function) save(ctx context.Context, sights []sight) (left []sight, written bool, failed error) {
	var changes []store.Change
	var of []sight
	counting := map[string]bool{}
	for _, s := range sights {
		scheduleID, _, _ := strings.Cut(s.id, "-")
		if counting[scheduleID] && s.seen.Status.Final() {
			left = append(left, s)
			continue
		}
		change, err := f.change(ctx, s)
		switch {
		case err != nil:
			failed = err
		case change != nil:
			counting[scheduleID] = counting[scheduleID] || change.State != nil
			changes, of = append(changes, *change), append(of, s)
		}
	}
	for i, err := range f.DB.Save(ctx, changes) {
		o, again := changes[i].To, sight{id: of[i].id, seen: of[i].seen, drop: of[i].drop}
		written = written || err == nil
		switch {
		case errors.Is(err, store.ErrConflict) && o.Status.Final():
			left = append(left, again)
		case errors.Is(err, store.ErrConflict): // somebody else has looked
		case errors.Is(err, store.ErrLimit) && !again.drop:
			again.drop = true
			left = append(left, again)
		case err != nil:
			failed = err
		case o.Status.Final():
			f.Log.InfoContext(ctx, "run ended", "run", o.ID, "schedule", o.Schedule, "status", o.Status, "error", o.Error)
			failed = errors.Join(failed, f.ended(ctx, o))
		case o.Wake.Equal(changes[i].From.Value.Wake): // the message of the planned look is on its way
		default:
			if err := f.Follow.Send(ctx, queue.Messages([]string{o.ID})[0], o.Look(f.Now())); err != nil {
				f.Log.WarnContext(ctx, "a message was not sent; the clock will send it again", "run", o.ID, "error", err)
			}
		}
	}
	return left, written, failed
}

// change is the step that an occurrence makes by what was seen; nil when that is nothing new, and the planned look is still
// to come.
func (f *Function) change(ctx context.Context, s sight) (*store.Change, error) {
	o, now := s.from, f.Now()
	if o.Value.ID == "" {
		var err error
		if o, err = f.DB.Occurrence(ctx, s.id); err != nil || o.Value.Status.Final() {
			return nil, err
		}
	}
	to := o.Value.Observed(s.seen, now)
	if s.drop {
		to = o.Value.TooLarge(now.UTC())
	}
	if to.Status == o.Value.Status && to.Wake.Equal(o.Value.Wake) {
		return nil, nil
	}
	change := &store.Change{From: o, To: to}
	if !to.Status.Final() || to.PauseAfter == 0 {
		return change, nil
	}
	r, err := f.DB.Schedule(ctx, to.Schedule)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return change, nil
	case err == nil && r.Schedule.Value.ID == to.ScheduleID():
		change.State = r.Counted(r.State.Value.Ended(to)) // in the same transaction, also when nothing changes: the order counts
	}
	return change, err
}

// ended does what follows from a run's end, again if it was done already. An error gives the message back, as nobody else
// knows that it is to be done, but for the clock.
func (f *Function) ended(ctx context.Context, o schedule.Occurrence) error {
	var failed error
	if o.PauseAfter > 0 && o.Status != schedule.Completed && o.Status != schedule.Canceled {
		failed = f.DB.Pause(ctx, o, f.Now().UTC())
	}
	if !o.Releases() {
		return failed
	}
	next, err := f.DB.Next(ctx, o, 1)
	for _, body := range queue.Messages(next) {
		err = errors.Join(err, f.Submit.Send(ctx, body, 0))
	}
	if err != nil {
		err = fmt.Errorf("bring on what waits for the end of run %s: %w", o.ID, err)
	}
	return errors.Join(failed, err)
}
