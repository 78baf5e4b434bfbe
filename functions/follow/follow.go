// Package follow is the queue function behind a submission: a run is under way, so its state is recorded; the
// message comes back later, or the run has ended.
//
// task-queue: follow. An error gives the message back: the store failed, or the call was over. What the far side says or
// fails to say is written, with the next look, and acknowledged. Doubled and late messages are no harm: what is written
// builds on the version that was read.
package follow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
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

const (
	// lookWithin is how long the far side has for one look. Some fifty runs, of which it answers for none, are looked at in
	// less time than hosts give a call.
	lookWithin = 30 * time.Second

	together  = time.Second      // what is seen so soon after one another is written at once
	keepTime  = 15 * time.Second // for writing it, also when the call is over
	saveTries = 20               // against others who write, at once
)

// Handle looks at every run that the message names.
func (f *Function) Handle(ctx context.Context, body []byte) error {
	m, err := queue.Read(body)
	if err != nil {
		f.Log.ErrorContext(ctx, "a message is dropped", "error", err)
		return nil
	}
	sights, failed := make(chan sight, len(m.Occurrences)), make([]error, len(m.Occurrences))
	go func() {
		defer close(sights)
		f.lookAll(ctx, m.Occurrences, sights, failed)
	}()
	err = f.keep(ctx, sights)
	return errors.Join(append(failed, err)...)
}

// step is what becomes of an occurrence by a look at its run.
type step func(o schedule.Occurrence, now time.Time) schedule.Occurrence

// sight is what a look at a run has come to.
type sight struct {
	id   string
	from store.Stored[schedule.Occurrence] // that it was read for; without a value it is to be read again
	step step
	drop bool // the store does not take what was seen
}

// lookAll looks at so many runs at once as Carillon puts into a message.
func (f *Function) lookAll(ctx context.Context, ids []string, sights chan<- sight, failed []error) {
	var group sync.WaitGroup
	turns := make(chan struct{}, queue.PerMessage)
	for i, id := range ids {
		turns <- struct{}{}
		group.Go(func() {
			defer func() { <-turns }()
			s, err := f.look(ctx, id)
			if failed[i] = err; s.step != nil {
				sights <- s
			}
		})
	}
	group.Wait()
}

// look asks the far side for one run. Without a step there is nothing to follow. The message of a run that has ended may
// be here again because what follows from that was not done.
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
	step, err := f.ask(ctx, o.Value)
	return sight{id: id, from: o, step: step}, err
}

// ask returns what becomes of an occurrence by what the far side says of its run, whose end it asks for as long as somebody
// wants that. An error says that it was not asked to the end, as the call is over.
func (f *Function) ask(ctx context.Context, o schedule.Occurrence) (step, error) {
	target, ok := f.Targets[o.Pipeline.Kind]
	if !ok {
		return f.unseen(ctx, o, fmt.Errorf("no target for pipelines of kind %q is configured", o.Pipeline.Kind)), nil
	}
	within, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	report, err := target.Status(within, o.Pipeline.Kind, o.Run)
	switch {
	case errors.Is(err, pipeline.ErrNotFound):
		return schedule.Occurrence.Missed, nil
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("look at run %s: %w", o.ID, err)
	case err != nil:
		return f.unseen(ctx, o, err), nil
	}
	if o.CancelBy != "" && !report.Status.Final() {
		if err := target.Cancel(within, o.Pipeline.Kind, o.Run); err != nil {
			f.Log.WarnContext(ctx, "a run is not cancelled yet; the next look asks again", "run", o.ID, "by", o.CancelBy, "error", err)
			report.Error = fmt.Sprintf("its end is asked for again, as that has failed: %v", err)
		}
	}
	seen := schedule.Observation{
		Status: report.Status, Started: report.Started, Ended: report.Ended, Error: report.Error, Link: report.Link,
	}
	return func(o schedule.Occurrence, now time.Time) schedule.Occurrence { return o.Observed(seen, now) }, nil
}

// unseen is what becomes of an occurrence by a look that has failed.
func (f *Function) unseen(ctx context.Context, o schedule.Occurrence, err error) step {
	f.Log.WarnContext(ctx, "a run could not be looked at", "run", o.ID, "schedule", o.Schedule, "error", err)
	var failure *pipeline.Error
	var after time.Duration
	if errors.As(err, &failure) {
		after = failure.RetryAfter
	}
	return func(o schedule.Occurrence, now time.Time) schedule.Occurrence { return o.Unseen(err, after, now) }
}

// keep writes what is seen as it comes: no run waits for another that the far side does not answer for.
func (f *Function) keep(ctx context.Context, sights <-chan sight) (failed error) {
	var seen []sight
	var due <-chan time.Time
	for {
		select {
		case s, more := <-sights:
			if !more {
				return errors.Join(failed, f.record(ctx, seen))
			}
			if seen = append(seen, s); due == nil {
				due = time.After(together)
			}
		case <-due:
			failed = errors.Join(failed, f.record(ctx, seen))
			seen, due = nil, nil
		}
	}
}

// record writes what was seen. The end of a run is written again when somebody else was faster, a claim of its schedule
// for one: the next message would come late.
func (f *Function) record(ctx context.Context, sights []sight) (failed error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTime)
	defer cancel()
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
		change, err := f.change(ctx, s)
		if err == nil && change != nil && change.To.Status.Final() {
			if counting[change.To.ScheduleID()] {
				left = append(left, s)
				continue
			}
			change.State, err = f.counted(ctx, change.To)
		}
		switch {
		case err != nil:
			failed = err
		case change != nil:
			counting[change.To.ScheduleID()] = counting[change.To.ScheduleID()] || change.State != nil
			changes, of = append(changes, *change), append(of, s)
		}
	}
	for i, err := range f.DB.Save(ctx, changes) {
		o, again := changes[i].To, sight{id: of[i].id, step: of[i].step, drop: of[i].drop}
		written = written || err == nil
		switch {
		case errors.Is(err, store.ErrConflict) && o.Status.Final():
			left = append(left, again)
		case errors.Is(err, store.ErrConflict): // somebody else has looked
		case errors.Is(err, store.ErrLimit) && !again.drop:
			again.step, again.drop = schedule.Occurrence.TooLarge, true
			left = append(left, again)
		case err != nil:
			failed = err
		case o.Status.Final():
			f.Log.InfoContext(ctx, "run ended", "run", o.ID, "schedule", o.Schedule, "status", o.Status, "error", o.Error)
			failed = errors.Join(failed, f.ended(ctx, o))
		case o.Next.Equal(changes[i].From.Value.Next): // the message of the planned look is on its way
		default:
			delay := min(max(o.Next.Sub(f.Now()), 0), queue.MaxDelay)
			if err := f.Follow.Send(ctx, queue.Messages([]string{o.ID})[0], delay); err != nil {
				f.Log.WarnContext(ctx, "a message was not sent; the clock will send it again", "run", o.ID, "error", err)
			}
		}
	}
	return left, written, failed
}

// change is the step that an occurrence makes by what was seen; nil when that is nothing new, and the planned look is still
// to come.
func (f *Function) change(ctx context.Context, s sight) (*store.Change, error) {
	o := s.from
	if o.Value.ID == "" {
		var err error
		if o, err = f.DB.Occurrence(ctx, s.id); err != nil || o.Value.Status.Final() {
			return nil, err
		}
	}
	to := s.step(o.Value, f.Now().UTC())
	if to.Status == o.Value.Status && to.Error == o.Value.Error && to.Next.Equal(o.Value.Next) {
		return nil, nil
	}
	return &store.Change{From: o, To: to}, nil
}

// counted is the state of a schedule with the end of its run, also when that changes nothing: the order counts; nil when
// nobody counts.
func (f *Function) counted(ctx context.Context, o schedule.Occurrence) (*store.Count, error) {
	if o.PauseAfter == 0 {
		return nil, nil
	}
	r, err := f.DB.Schedule(ctx, o.Schedule)
	if errors.Is(err, store.ErrNotFound) || err == nil && r.Schedule.Value.ID != o.ScheduleID() {
		return nil, nil
	}
	return r.Counted(r.State.Value.Ended(o)), err
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
