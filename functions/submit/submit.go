// Package submit is the queue function that makes runs: an occurrence waits, so it is claimed and submitted, once.
//
// task-queue: submit. The message is acknowledged when the outcome of each occurrence that it names is stored; an
// error gives it back, and the clock sends again whatever is left. Doubled, late and early messages are no harm:
// an occurrence is claimed by compare-and-swap, under a lease.
package submit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/queue"
	"carillon/shared/recur"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

const (
	claimTries = 20 // against others who claim for the same schedule
	storeTries = 3  // of outcomes, at once: between them the far side is not asked again

	clocksDiffer = 2 * time.Second // between the machines that send and receive
)

// Function submits occurrences. Its fields are set once.
type Function struct {
	DB      *store.DB
	Targets map[string]pipeline.Target // by the kind of pipeline
	Submit  queue.Queue
	Follow  queue.Queue
	Owner   string                  // this process, in its claims
	Void    func(owner string) bool // whether a claim's owner is known to be gone
	Now     func() time.Time
	Log     *slog.Logger
}

// Handle submits every occurrence that the message names and that is still to be submitted.
func (f *Function) Handle(ctx context.Context, body []byte) error {
	m, err := queue.Read(body)
	if err != nil {
		f.Log.ErrorContext(ctx, "a message is dropped", "error", err)
		return nil
	}
	var failed error
	// No more are claimed than are submitted at once: none waits for another while its lease runs out.
	for ids := range slices.Chunk(m.Occurrences, queue.PerMessage) {
		claims, err := f.claim(ctx, ids)
		outcomes := f.submitAll(ctx, claims)
		failed = errors.Join(failed, err, f.store(ctx, claims, outcomes))
	}
	return failed
}

// claim takes what may be taken of the occurrences. Those of one schedule are claimed one after the other, as each
// changes what is counted for it. Where the store leaves open whether a claim was written, it is read again.
func (f *Function) claim(ctx context.Context, ids []string) (claimed []schedule.Occurrence, failed error) {
	tried := map[string]schedule.Claim{}
	for range claimTries {
		failed = nil
		var changes []store.Change
		var findings []finding
		var left []string
		counted := map[string]bool{}
		for _, id := range ids {
			scheduleID, _, _ := strings.Cut(id, "-")
			if counted[scheduleID] { // its state is being changed
				left = append(left, id)
				continue
			}
			found, err := f.find(ctx, id, tried[id])
			switch {
			case err != nil:
				failed, left = err, append(left, id)
			case found.nothing:
			case found.held:
				claimed = append(claimed, found.change.To)
			default:
				counted[scheduleID] = true
				tried[id] = found.change.To.Claim
				changes, findings = append(changes, found.change), append(findings, found)
			}
		}
		for i, err := range f.DB.Save(ctx, changes) {
			o := changes[i].To
			if err == nil {
				f.afterwards(ctx, findings[i])
			}
			switch {
			case errors.Is(err, store.ErrConflict):
				left = append(left, o.ID)
			case errors.Is(err, store.ErrLimit):
				f.drop(ctx, changes[i].From)
			case err != nil:
				failed, left = err, append(left, o.ID)
			case o.Status != schedule.Submitting:
				f.Log.InfoContext(ctx, "occurrence not submitted", "run", o.ID, "schedule", o.Schedule, "status", o.Status, "reason", o.Reason, "error", o.Error)
			default:
				claimed = append(claimed, o)
			}
		}
		if ids = left; len(ids) == 0 {
			return claimed, nil
		}
	}
	if failed == nil {
		failed = errors.New("others change them all the time")
	}
	return claimed, fmt.Errorf("%d occurrences could not be claimed: %w", len(ids), failed)
}

// finding is what a process that would submit an occurrence finds.
type finding struct {
	nothing bool         // there is nothing to do
	held    bool         // change.To is claimed already, by this very call
	change  store.Change // what has to be written first: a claim or a skip
	last    bool         // the schedule has then submitted all it may
	pause   bool         // the schedule is to be stopped, as its runs fail
	turn    schedule.Turn
}

// find reads what a claim needs to know. tried is a claim that this call may have written.
func (f *Function) find(ctx context.Context, id string, tried schedule.Claim) (found finding, err error) {
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
	if reason := to.Withdrawn(s, record.State.Value); reason != "" {
		*to = to.Skip(reason, f.Now().UTC())
		found.last, found.pause = reason == schedule.ReasonLimit, reason == schedule.ReasonPaused
		return found, nil
	}
	if s != nil && s.Overlap != "" {
		if starts, err := f.turn(ctx, &found, record); err != nil || !starts {
			return found, err
		}
	}
	if to.Attempts == 0 {
		definition, err := f.DB.Definition(ctx, *s, to.Revision)
		if err != nil {
			return found, err
		}
		if err := f.prepare(ctx, to, definition, record); err != nil {
			var wrong recur.FieldErrors
			if errors.As(err, &wrong) {
				*to = to.Refused(fmt.Errorf("its parameters cannot be filled in: %w", wrong), f.Now().UTC())
				return found, nil
			}
			return found, err
		}
	}
	*to = to.Claimed(f.Owner, rand.Text(), f.Now())
	if s != nil && s.ID == to.ScheduleID() {
		state := record.State.Value.Claimed(*to)
		found.change.State = record.Counted(state)
		found.last = s.Status == schedule.Active && s.MaxRuns > 0 && state.Submitted >= s.MaxRuns
	}
	return found, nil
}

// drop ends an occurrence that the store does not take as it would be.
func (f *Function) drop(ctx context.Context, o store.Stored[schedule.Occurrence]) {
	err := f.DB.Save(ctx, []store.Change{{From: o, To: o.Value.TooLarge(f.Now().UTC())}})[0]
	f.Log.ErrorContext(ctx, "an occurrence is too large to be kept", "run", o.Value.ID, "schedule", o.Value.Schedule, "error", err)
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

// afterwards does what follows from a claim or a skip that is written.
func (f *Function) afterwards(ctx context.Context, found finding) {
	o := found.change.To
	if found.last {
		f.finish(ctx, o)
	}
	if found.pause {
		f.pause(ctx, o)
	}
	f.perform(ctx, o, found.turn)
}

// submit asks the far side for a run and says what became of the occurrence.
func (f *Function) submit(ctx context.Context, o schedule.Occurrence) schedule.Occurrence {
	target, ok := f.Targets[o.Pipeline.Kind]
	if !ok {
		return o.Refused(fmt.Errorf("no target for pipelines of kind %q is configured", o.Pipeline.Kind), f.Now())
	}
	ctx, cancel := context.WithTimeout(ctx, schedule.SubmitWithin)
	defer cancel()
	run, err := target.Submit(ctx, pipeline.Submission{
		Name: o.ID, Pipeline: o.Pipeline, Experiment: o.Experiment, Parameters: o.Parameters,
		Schedule: o.Schedule, Occurrence: o.ID, Again: o.Claim.Again,
		ContinueOnStepFailure: o.ContinueOnStepFailure, DataPath: dataPath(o),
	})
	if err == nil {
		return o.Accepted(run, f.Now())
	}
	f.Log.WarnContext(ctx, "a submission failed", "run", o.ID, "schedule", o.Schedule, "attempt", o.Attempts, "error", err)
	var failure *pipeline.Error
	if !errors.As(err, &failure) {
		return o.Doubtful(err)
	}
	switch failure.Outcome {
	case pipeline.Refused:
		return o.Refused(err, f.Now())
	case pipeline.NotDone, pipeline.Repeat:
		return o.Again(err, failure.Outcome == pipeline.NotDone, failure.RetryAfter, f.Now())
	}
	return o.Doubtful(err)
}

func (f *Function) submitAll(ctx context.Context, claims []schedule.Occurrence) []schedule.Occurrence {
	outcomes := make([]schedule.Occurrence, len(claims))
	var group sync.WaitGroup
	for i, o := range claims {
		group.Go(func() { outcomes[i] = f.submit(ctx, o) })
	}
	group.Wait()
	return outcomes
}

// store writes the outcomes. It tries again where the store failed, as the far side has done its part: an outcome
// that stays unwritten is found by the clock when the lease is over, and submitted again under the same name.
func (f *Function) store(ctx context.Context, claims []schedule.Occurrence, outcomes []schedule.Occurrence) error {
	left := make([]int, len(claims))
	for i := range left {
		left[i] = i
	}
	var stored []schedule.Occurrence
	defer func() { f.pass(ctx, stored) }()
	var failed error
	for range storeTries {
		failed = nil
		var changes []store.Change
		var places, again []int
		for _, i := range left {
			now, err := f.DB.Occurrence(ctx, outcomes[i].ID)
			switch {
			case err != nil:
				failed, again = err, append(again, i)
			case now.Value.Status == schedule.Submitting && now.Value.Claim.Same(claims[i].Claim):
				changes, places = append(changes, store.Change{From: now, To: outcomes[i], State: f.counted(ctx, outcomes[i])}), append(places, i)
			}
		}
		for k, err := range f.DB.Save(ctx, changes) {
			if errors.Is(err, store.ErrLimit) {
				f.drop(ctx, changes[k].From)
				continue
			}
			if err != nil {
				failed, again = err, append(again, places[k])
				continue
			}
			stored = append(stored, outcomes[places[k]])
		}
		if left = again; len(left) == 0 {
			return nil
		}
	}
	return fmt.Errorf("%d outcomes of submissions could not be stored: %w", len(left), failed)
}

// pass sends stored occurrences on: to be followed, or to be submitted again later.
func (f *Function) pass(ctx context.Context, stored []schedule.Occurrence) {
	var taken []string
	for _, o := range stored {
		switch o.Status {
		case schedule.Queued:
			taken = append(taken, o.ID)
			f.Log.InfoContext(ctx, "run submitted", "run", o.ID, "schedule", o.Schedule, "nominal", o.Nominal)
		case schedule.Waiting:
			f.send(ctx, f.Submit, []string{o.ID}, o.Start.Sub(f.Now()))
		default:
			f.ended(ctx, o)
			f.Log.ErrorContext(ctx, "run not submitted", "run", o.ID, "schedule", o.Schedule, "status", o.Status, "error", o.Error)
		}
	}
	f.send(ctx, f.Follow, taken, time.Second)
}

func (f *Function) send(ctx context.Context, to queue.Queue, ids []string, delay time.Duration) {
	for _, body := range queue.Messages(ids) {
		if err := to.Send(ctx, body, min(max(delay, 0), queue.MaxDelay)); err != nil {
			f.Log.WarnContext(ctx, "a message was not sent; the clock will send it again", "occurrences", len(ids), "error", err)
		}
	}
}
