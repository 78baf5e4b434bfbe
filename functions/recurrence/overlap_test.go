package recurrence_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"carillon/functions/recurrence"
	"carillon/functions/submit"
	"carillon/shared/pipeline"
	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// Overlapping ticks and deliveries of everything to three instances at once, none of which knows the others to be
// dead, over a far side that does not honour names: each occurrence is submitted once.
func TestOverlappingTicksAndDeliveries(t *testing.T) {
	const instances, schedules, minutes = 3, 40, 15
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	db, err := store.Open(t.Context(), store.NewMem())
	if err != nil {
		t.Fatal(err)
	}
	fake := &pipeline.Fake{Anonymous: true}
	fake.Put(pipeline.Pipeline{Ref: hello})
	for i := range schedules {
		name := fmt.Sprint("s", i)
		d := schedule.Definition{
			Name: name, Pipeline: hello, Experiment: "e", Status: schedule.Active, Trigger: schedule.Trigger{Spec: every("minute", 1)},
		}
		if err := db.Create(t.Context(), schedule.New(d, store.NewScheduleID(name), "me", now)); err != nil {
			t.Fatal(err)
		}
	}
	submits, follows := queue.NewMem(), queue.NewMem()
	submits.Now, follows.Now = clock, clock
	timer := &recurrence.Function{DB: db, Submit: submits, Follow: follows, Now: clock, Log: quiet}
	together := func(do func(instance int) error) {
		var group sync.WaitGroup
		for i := range instances {
			group.Go(func() {
				if err := do(i); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
	for range minutes {
		now = now.Add(50 * time.Second)
		together(func(int) error { return timer.Tick(t.Context(), now, now.Add(15*time.Second)) })
		now = now.Add(10 * time.Second)
		for _, body := range submits.Take(now) {
			together(func(i int) error {
				s := &submit.Function{
					DB: db, Targets: map[string]pipeline.Target{"local": fake}, Submit: submits, Follow: follows,
					Owner: fmt.Sprint("instance ", i), Void: func(string) bool { return false }, Now: clock, Log: quiet,
				}
				return s.Handle(t.Context(), body)
			})
		}
	}
	made := map[string]int{}
	for _, run := range fake.Runs() {
		made[run.Submission.Occurrence]++
	}
	if len(made) != schedules*minutes {
		t.Errorf("%d occurrences were submitted, want %d", len(made), schedules*minutes)
	}
	for occurrence, times := range made {
		if times != 1 {
			t.Errorf("%s was submitted %d times", occurrence, times)
		}
	}
}
