package recurrence_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"carillon/functions/follow"
	"carillon/functions/recurrence"
	"carillon/functions/submit"
	"carillon/shared/pipeline"
	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/store"
	"carillon/shared/store/storetest"
)

// Invariant 3: what an occurrence costs in calls of the store and in messages, of a thousand that are due at once.
func TestCallsPerOccurrence(t *testing.T) {
	const due = 1000
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	counter := &storetest.Counter{Driver: store.NewMem()}
	db, err := store.Open(t.Context(), counter)
	if err != nil {
		t.Fatal(err)
	}
	for i := range due {
		name := fmt.Sprint("s", i)
		s := schedule.New(schedule.Definition{
			Name: name, Pipeline: hello, Experiment: "e", Status: schedule.Active,
			Trigger: schedule.Trigger{Spec: every("minute", 1)},
		}, store.NewScheduleID(name), "me", now)
		if err := db.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	fake := &pipeline.Fake{}
	fake.Put(pipeline.Pipeline{Ref: hello})
	targets := map[string]pipeline.Target{"local": fake}
	clock := func() time.Time { return now }
	submits, follows := queue.NewMem(), queue.NewMem()
	submits.Now, follows.Now = clock, clock
	timer := &recurrence.Function{DB: db, Submit: submits, Follow: follows, Now: clock, Log: quiet}
	submitter := &submit.Function{
		DB: db, Targets: targets, Submit: submits, Follow: follows, Owner: "me",
		Void: func(string) bool { return false }, Now: clock, Log: quiet,
	}
	follower := &follow.Function{DB: db, Targets: targets, Follow: follows, Now: clock, Log: quiet}
	deliver := func(q *queue.Mem, handle func(context.Context, []byte) error) (messages int) {
		for _, body := range q.Take(now) {
			messages++
			if err := handle(t.Context(), body); err != nil {
				t.Fatal(err)
			}
		}
		return messages
	}
	atMost := func(what string, got int64, most float64) {
		t.Helper()
		each := float64(got) / due
		t.Logf("%-45s %.3f an occurrence (at most %g)", what, each, most)
		if each > most {
			t.Errorf("%s: %.3f an occurrence, at most %g", what, each, most)
		}
	}

	counter.Reset()
	now = now.Add(45 * time.Second)
	if err := timer.Tick(t.Context(), now, now.Add(15*time.Second)); err != nil {
		t.Fatal(err)
	}
	atMost("recording: store calls", counter.Calls(), 0.1)
	atMost("recording: store transactions", counter.Applies.Load(), 0.1)
	now = now.Add(15 * time.Second)
	sends := deliver(submits, submitter.Handle)
	if made := len(fake.Runs()); made != due {
		t.Fatalf("%d runs were made, want %d", made, due)
	}
	atMost("from the tick to the run: store calls", counter.Calls(), 5)

	counter.Reset()
	now = now.Add(time.Second)
	sends += deliver(follows, follower.Handle)
	atMost("a look at a run: store calls", counter.Calls(), 2)
	atMost("from the tick to the first look: messages", int64(sends), 0.2)
	for _, run := range fake.Runs() {
		fake.Finish(run.ID, schedule.Completed, "")
	}
	counter.Reset()
	now = now.Add(time.Minute)
	deliver(follows, follower.Handle)
	atMost("the last look at a run: store calls", counter.Calls(), 2)
	done, _, err := db.Occurrences(t.Context(), "", 200, func(o schedule.Occurrence) bool { return o.Status == schedule.Completed })
	if err != nil || len(done) != 200 {
		t.Errorf("a page of completed runs has %d, %v", len(done), err)
	}
}

// Invariant 2: a tick reads what is due, however many schedules there are.
func TestCallsDoNotGrowWithSchedules(t *testing.T) {
	calls := func(idle int) int64 {
		now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
		counter := &storetest.Counter{Driver: store.NewMem()}
		db, err := store.Open(t.Context(), counter)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 + idle {
			frequency := "minute"
			if i >= 100 {
				frequency = "month"
			}
			name := fmt.Sprint("s", i)
			s := schedule.New(schedule.Definition{Name: name, Trigger: schedule.Trigger{Spec: every(frequency, 1)}, Status: schedule.Active},
				store.NewScheduleID(name), "me", now)
			if err := db.Create(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		counter.Reset()
		timer := &recurrence.Function{DB: db, Submit: queue.NewMem(), Follow: queue.NewMem(), Retention: time.Hour, Now: time.Now, Log: quiet}
		if err := timer.Tick(t.Context(), now.Add(time.Minute), now.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		return counter.Calls()
	}
	if few, many := calls(0), calls(5000); few != many {
		t.Errorf("a tick makes %d calls without idle schedules and %d with 5,000", few, many)
	}
}
