package recurrence_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/functions/follow"
	"carillon/functions/recurrence"
	"carillon/functions/submit"
	"carillon/shared/pipeline"
	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// far watches what runs at the far side at once.
type far struct {
	w        *world
	policies map[string]schedule.Overlap // by the schedules' names
	of       map[string]pipeline.Submission
	patient  func(name string) int // in one of so many steps a run ends
}

func regular(occurrence string) bool {
	_, _, distinct, _ := schedule.ParseOccurrenceID(occurrence)
	return distinct == ""
}

// after sees a run that was made, and says whether the answer arrives.
func (f *far) after(s pipeline.Submission, run string) error {
	w := f.w
	w.mu.Lock()
	for other := range w.open {
		o := f.of[other]
		if other != run && o.Schedule == s.Schedule && f.policies[s.Schedule].Queues() && regular(s.Occurrence) && regular(o.Occurrence) {
			w.t.Errorf("%s (%s): %s runs beside %s", s.Schedule, f.policies[s.Schedule], s.Occurrence, o.Occurrence)
		}
	}
	f.of[run] = s
	if !w.ended[run] {
		w.open[run] = true
	}
	w.mu.Unlock()
	if w.chance(1) {
		return errors.New("no answer, and no way to find out")
	}
	return w.farSide(pipeline.Repeat)
}

// end ends a run, or not yet.
func (f *far) end(run string) bool {
	w, s := f.w, f.of[run]
	asked := f.policies[s.Schedule] == schedule.OverlapCancelRunning && w.fake.Run(run).CancelSent
	switch {
	case asked && (w.healthy || w.below(4) == 0):
		w.fake.Finish(run, schedule.Canceled, "")
	case w.healthy:
		w.fake.Finish(run, schedule.Completed, "")
	case w.below(f.patient(s.Schedule)) > 0:
		return false
	default:
		switch n := w.below(20); {
		case n < 12:
			w.fake.Finish(run, schedule.Completed, "")
		case n < 19:
			w.fake.Finish(run, schedule.Failed, "exit status 1")
		default:
			w.fake.Lose(run)
		}
	}
	return true
}

// decide is a person who looks at an uncertain occurrence: its run, if there is one, is ended, and it is called off.
func (f *far) decide(scheduleID string) {
	w := f.w
	underWay, err := w.db.UnderWay(w.t.Context(), scheduleID, 20)
	if err != nil {
		return
	}
	for _, o := range underWay {
		if o.Status != schedule.Uncertain {
			continue
		}
		for run, s := range f.of {
			if s.Occurrence == o.ID && w.open[run] {
				w.fake.Finish(run, schedule.Canceled, "")
				delete(w.open, run)
				w.ended[run] = true
			}
		}
		if found, err := w.db.Occurrence(w.t.Context(), o.ID); err == nil && found.Value.Status == schedule.Uncertain {
			w.db.Save(w.t.Context(), []store.Change{{From: found, To: found.Value.CalledOff("ann", w.now)}}) // or at the next look
		}
	}
}

// Every policy, over simulated hours in which everything fails now and then: one run at a time, in the promised order, what
// is skipped is skipped for a reason, nothing waits for ever, and every occurrence is accounted for.
func TestPoliciesWhateverFails(t *testing.T) {
	totals := map[schedule.Reason]int{}
	var mu sync.Mutex
	t.Run("seeds", func(t *testing.T) {
		for seed := range uint64(3) {
			t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
				t.Parallel()
				steps := playPolicies(t, seed)
				mu.Lock()
				defer mu.Unlock()
				for reason, n := range steps {
					totals[reason] += n
				}
			})
		}
	})
	t.Log("skipped: ", totals)
	if totals[schedule.ReasonOverlap] < 400 || totals[schedule.ReasonPaused] == 0 || totals[schedule.ReasonDisabled] == 0 {
		t.Errorf("too little has happened: %v", totals)
	}
}

func playPolicies(t *testing.T, seed uint64) map[schedule.Reason]int {
	rows := newReferee(t)
	w := newWorldOver(t, seed, rows)
	f := &far{w: w, policies: map[string]schedule.Overlap{}, of: map[string]pipeline.Submission{}}
	f.patient = func(name string) int {
		switch {
		case strings.HasPrefix(name, "stuck"):
			return 1 << 20
		case strings.HasPrefix(name, "slow"):
			return 12
		}
		return 2
	}
	w.fake.After, w.end = f.after, f.end
	for _, overlap := range []schedule.Overlap{schedule.OverlapAllow, schedule.OverlapSkip, schedule.OverlapBufferOne, schedule.OverlapBufferAll, schedule.OverlapCancelRunning} {
		for _, pace := range []string{"slow", "quick", "pausing"} {
			name := fmt.Sprint(pace, "-", overlap)
			f.policies[name] = overlap
			w.add(name, func(d *schedule.Definition) {
				d.Overlap, d.Trigger = overlap, schedule.Trigger{Spec: every("minute", 1+len(pace)%3)}
				if pace == "pausing" {
					d.PauseAfter = 2
				}
			})
		}
	}
	f.policies["stuck"] = schedule.OverlapBufferAll
	w.add("stuck", func(d *schedule.Definition) { d.Overlap = schedule.OverlapBufferAll })
	names := slices.Sorted(maps.Keys(f.policies))
	start, asked := w.now, 0
	w.run(500, 30, func() {
		name := names[w.below(len(names))]
		switch n := w.below(30); {
		case n == 0:
			asked++
			o := schedule.Asked(w.created[name], "", fmt.Sprint(asked), "ann", nil, w.now)
			w.must(func() error { return w.db.Add(t.Context(), o) })
		case n == 1 && strings.HasPrefix(name, "pausing"):
			w.edit(name, func(d *schedule.Definition) { d.Status = schedule.Disabled })
		case n < 5:
			w.edit(name, func(d *schedule.Definition) { d.Status = schedule.Active }) // also what was paused
		}
		f.decide(w.created[name].ID)
	})
	for _, name := range names { // what is uncertain to the end
		f.decide(w.created[name].ID)
	}
	for range 40 {
		w.now = w.now.Add(15 * time.Second)
		w.tick(0)
		w.deliver()
		for _, name := range names {
			w.edit(name, func(d *schedule.Definition) { d.Status = schedule.Disabled })
			f.decide(w.created[name].ID)
		}
	}
	rows.rest()
	w.accounted(start, f.policies)
	return rows.steps
}

// accounted checks that each occurrence has come to an end, with one run or the reason why it has none, and that none is
// missing.
func (w *world) accounted(start time.Time, policies map[string]schedule.Overlap) {
	all := w.occurrences()
	ends := map[string]int{}
	for _, o := range all {
		made := w.fake.Submissions(o.ID)
		switch {
		case o.Status == schedule.Skipped && made == 0 && o.Reason != "":
			ends[string(o.Reason)]++
		case o.Status == schedule.Canceled && o.Run == "" && made <= 1: // somebody has called it off
		case o.Status.Final() && o.Status != schedule.Skipped && made == 1:
			ends[string(o.Status)]++
		default:
			w.t.Errorf("occurrence %s of %s is %s (%s %s) with %d runs", o.ID, o.Schedule, o.Status, o.Reason, o.Error, made)
		}
	}
	recorded := w.recorded(all)
	for name := range policies {
		if strings.HasPrefix(name, "pausing") { // it was not always active
			continue
		}
		for at := w.next(name, start); at.Before(w.now.Add(-30 * time.Minute)); at = w.next(name, at) {
			if _, ok := recorded[name][at]; !ok {
				w.t.Errorf("%s: %v is neither submitted nor skipped", name, at)
			}
		}
	}
	w.t.Log(ends)
}

// Three instances at once, none of which knows of the others, get each message twice: the policies hold.
func TestPoliciesAtSeveralInstances(t *testing.T) {
	const instances = 3
	rows := newReferee(t)
	random := rand.New(rand.NewPCG(7, 7))
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	db, err := store.Open(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	fake := &pipeline.Fake{}
	fake.Put(pipeline.Pipeline{Ref: hello})
	for i, overlap := range []schedule.Overlap{schedule.OverlapSkip, schedule.OverlapBufferOne, schedule.OverlapBufferAll, schedule.OverlapCancelRunning} {
		for k := range 3 {
			name := fmt.Sprintf("s%d%d", i, k)
			d := schedule.Definition{
				Name: name, Pipeline: hello, Experiment: "e", Status: schedule.Active, Trigger: schedule.Trigger{Spec: every("minute", 1)},
				Overlap: overlap, PauseAfter: 1000 * k,
			}
			if err := db.Create(t.Context(), schedule.New(d, store.NewScheduleID(name), "me", now)); err != nil {
				t.Fatal(err)
			}
		}
	}
	submits, follows := queue.NewMem(), queue.NewMem()
	submits.Now, follows.Now = clock, clock
	targets := map[string]pipeline.Target{"local": fake}
	timer := &recurrence.Function{DB: db, Submit: submits, Follow: follows, Now: clock, Log: quiet}
	var workers []*submit.Function
	for i := range instances {
		workers = append(workers, &submit.Function{
			DB: db, Targets: targets, Submit: submits, Follow: follows, Owner: fmt.Sprint("instance ", i),
			Void: func(string) bool { return false }, Now: clock, Log: quiet,
		})
	}
	follower := &follow.Function{DB: db, Targets: targets, Follow: follows, Submit: submits, Now: clock, Log: quiet}
	step := func(d time.Duration, ends func() bool) {
		now = now.Add(d)
		if err := timer.Tick(t.Context(), now, now); err != nil {
			t.Error(err)
		}
		for _, run := range fake.Runs() {
			if !run.Report.Status.Final() && ends() {
				status := schedule.Completed
				switch {
				case run.CancelSent:
					status = schedule.Canceled
				case len(run.ID)%2 == 0:
					status = schedule.Failed
				}
				fake.Finish(run.ID, status, "")
			}
		}
		for range 20 {
			var group sync.WaitGroup
			messages, looks := submits.Take(now), follows.Take(now)
			for i, body := range slices.Concat(messages, messages) {
				group.Go(func() {
					if err := workers[i%instances].Handle(t.Context(), body); err != nil {
						t.Error(err)
					}
				})
			}
			for _, body := range slices.Concat(looks, looks) {
				group.Go(func() {
					if err := follower.Handle(t.Context(), body); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
		}
	}
	for range 300 {
		step(15*time.Second, func() bool { return random.IntN(12) == 0 })
	}
	for i := range 3 * 4 {
		_, err := db.Edit(t.Context(), fmt.Sprintf("s%d%d", i/3, i%3), now, func(s schedule.Schedule) (schedule.Schedule, error) {
			d := s.Definition
			d.Status = schedule.Disabled
			return s.Revise(d, "me", "", now), nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		step(time.Minute, func() bool { return true })
	}
	rows.rest()
	made := map[string]int{}
	for _, run := range fake.Runs() {
		made[run.Submission.Occurrence]++
	}
	if len(made) < 150 || rows.steps[schedule.ReasonOverlap] < 150 {
		t.Errorf("only %d were submitted and %d skipped", len(made), rows.steps[schedule.ReasonOverlap])
	}
}
