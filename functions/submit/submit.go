// Package submit is the queue function that makes runs: an occurrence waits, so it is claimed and submitted, once.
//
// task-queue: submit. The message is acknowledged when the outcome of each occurrence that it names is stored; an
// error gives it back, and the clock sends again whatever is left. Doubled, late and early messages are no harm:
// an occurrence is claimed by compare-and-swap, under a lease.
package submit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

const (
	storeTries = 3 // of outcomes, at once: between them the far side is not asked again

	storeWithin  = 30 * time.Second // for the outcomes, also when the call is over: the far side has done its part
	cancelWithin = 10 * time.Second // for the end of a run to be asked for, which is repeated
)

// Function submits occurrences. Its fields are set once.
type Function struct {
	DB      *store.DB
	Targets map[string]pipeline.Target // by the kind of pipeline
	Submit  queue.Queue
	Follow  queue.Queue
	Owner   string                  // this process, in its claims
	Void    func(owner string) bool // whether a claim's owner is known to be gone
	Old     Old                     // whose schedules are replaced; nil for none
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
		c, err := f.claim(ctx, ids)
		outcomes := f.submitAll(ctx, c.claimed)
		failed = errors.Join(failed, err, f.store(ctx, c.claimed, outcomes))
		c.makeRoom(ctx)
	}
	return failed
}

// submit asks the far side for a run and says what became of the occurrence.
func (f *Function) submit(ctx context.Context, o schedule.Occurrence) schedule.Occurrence {
	target, ok := f.Targets[o.Pipeline.Kind]
	if !ok {
		return o.Unserved(f.Now())
	}
	if f.Now().After(o.Claim.Until.Add(-schedule.SubmitWithin)) { // others may claim it before this is over
		return o.Again(errors.New("it was claimed for too long before it could be submitted"), true, 0, f.Now())
	}
	ctx, cancel := context.WithTimeout(ctx, schedule.SubmitWithin)
	defer cancel()
	run, err := target.Submit(ctx, pipeline.Submission{
		Name: o.ID, Pipeline: o.Pipeline, Experiment: o.Experiment, Parameters: o.Parameters,
		Schedule: o.Schedule, Occurrence: o.ID, Again: o.Claim.Again,
		ContinueOnStepFailure: o.ContinueOnStepFailure, DataPath: dataPath(o), Outputs: o.Outputs, Settings: o.Settings, Tags: o.Tags,
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeWithin)
	defer cancel()
	left := make([]int, len(claims))
	for i := range left {
		left[i] = i
	}
	var stored []store.Change
	defer func() { f.pass(ctx, stored) }()
	var failed error
	for try := 0; try < storeTries; try++ {
		changes, places, again, err := f.outcomes(ctx, claims, outcomes, left)
		failed = err
		for k, err := range f.DB.Save(ctx, changes) {
			switch {
			case errors.Is(err, store.ErrLimit):
				f.drop(ctx, changes[k])
			case err != nil:
				failed, again = err, append(again, places[k])
			default:
				stored, try = append(stored, changes[k]), 0
			}
		}
		if left = again; len(left) == 0 {
			return nil
		}
	}
	return fmt.Errorf("%d outcomes of submissions could not be stored: %w", len(left), failed)
}

// outcomes are the changes to be written of those that are left, with their places. Of a schedule that counts failures one
// is written at a time.
func (f *Function) outcomes(ctx context.Context, claims, outcomes []schedule.Occurrence, left []int) (changes []store.Change, places, later []int, failed error) {
	counting := map[string]bool{}
	for _, i := range left {
		o := outcomes[i]
		if counting[o.Schedule] && counts(o) {
			later = append(later, i)
			continue
		}
		now, err := f.DB.Occurrence(ctx, o.ID)
		if err == nil && (now.Value.Status != schedule.Submitting || !now.Value.Claim.Same(claims[i].Claim)) {
			continue // somebody else has it
		}
		o = o.Wanted(now.Value.CancelBy, f.Now().UTC())
		change := store.Change{From: now, To: o}
		if err == nil {
			change.State, err = f.counted(ctx, o)
		}
		if err != nil {
			failed, later = err, append(later, i)
			continue
		}
		counting[o.Schedule] = counting[o.Schedule] || counts(o)
		changes, places = append(changes, change), append(places, i)
	}
	return changes, places, later, failed
}

// pass sends stored occurrences on: to be followed, or to be submitted again later.
func (f *Function) pass(ctx context.Context, stored []store.Change) {
	var taken []string
	for _, c := range stored {
		switch o := c.To; o.Status {
		case schedule.Queued:
			taken = append(taken, o.ID)
			f.Log.InfoContext(ctx, "run submitted", "run", o.ID, "schedule", o.Schedule, "nominal", o.Nominal)
			if o.Overlap == schedule.OverlapCancelRunning { // for one that came meanwhile it can be cancelled from now on
				f.send(ctx, f.Submit, f.next(ctx, o, 1), 0)
			}
		case schedule.Waiting:
			f.send(ctx, f.Submit, []string{o.ID}, o.Start.Sub(f.Now()))
		case schedule.Canceled: // meanwhile
			f.Log.InfoContext(ctx, "run cancelled", "run", o.ID, "schedule", o.Schedule, "by", o.CancelBy)
			f.ended(ctx, c)
		default:
			f.Log.ErrorContext(ctx, "run not submitted", "run", o.ID, "schedule", o.Schedule, "status", o.Status, "error", o.Error)
			f.ended(ctx, c)
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
