package recurrence_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"carillon/functions/follow"
	"carillon/functions/recurrence"
	"carillon/functions/submit"
	"carillon/shared/pipeline"
	"carillon/shared/recur"
	"carillon/shared/schedule"
	"carillon/shared/store"
	"carillon/shared/store/storetest"
)

// world is Carillon with everything around it simulated: a clock that is moved by hand, a store that fails before or
// after the work, a far side that does, queues that lose, double and delay, processes that die between any two calls.
type world struct {
	mu      sync.Mutex // of random, open and ended
	t       *testing.T
	random  *rand.Rand
	now     time.Time
	healthy bool
	db      *store.DB
	fake    *pipeline.Fake
	submits *unreliable
	follows *unreliable
	process int // the one that is alive; claims of others are void
	created map[string]schedule.Schedule
	open    map[string]bool // runs that have not ended
	ended   map[string]bool
	end     func(run string) bool // may end one at the far side; nil lets it complete
}

var hello = schedule.PipelineRef{Kind: "local", ID: "hello"}

func newWorld(t *testing.T, seed uint64) *world { return newWorldOver(t, seed, store.NewMem()) }

func newWorldOver(t *testing.T, seed uint64, rows store.Driver) *world {
	w := &world{
		t: t, random: rand.New(rand.NewPCG(seed, 1)), now: time.Date(2026, 11, 22, 10, 0, 7, 0, time.UTC),
		fake: &pipeline.Fake{}, created: map[string]schedule.Schedule{},
		open: map[string]bool{}, ended: map[string]bool{},
	}
	w.fake.Put(pipeline.Pipeline{Ref: hello})
	w.fake.Before = func(pipeline.Submission) error { return w.farSide(pipeline.NotDone) }
	w.fake.After = func(_ pipeline.Submission, run string) error {
		w.mu.Lock()
		if !w.ended[run] {
			w.open[run] = true
		}
		w.mu.Unlock()
		return w.farSide(pipeline.Repeat)
	}
	w.submits, w.follows = &unreliable{world: w}, &unreliable{world: w}
	driver := &storetest.Faulty{Driver: rows, Fail: func(storetest.Call) storetest.Fault {
		switch {
		case w.chance(2):
			return storetest.Refused
		case w.chance(2):
			return storetest.Lost
		}
		return storetest.Works
	}}
	w.healthy = true
	db, err := store.Open(t.Context(), driver)
	if err != nil {
		t.Fatal(err)
	}
	w.db, w.healthy = db, false
	return w
}

// chance is true in so many of a hundred cases, while the world is not healthy.
func (w *world) chance(percent int) bool { return !w.healthy && w.below(100) < percent }

func (w *world) below(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.IntN(n)
}

func (w *world) farSide(outcome pipeline.Outcome) error {
	if w.chance(5) {
		return &pipeline.Error{Outcome: outcome, Err: errors.New("the far side is down")}
	}
	return nil
}

// unreliable is a queue that loses one message in ten, doubles one in ten and delays one in five by up to a minute.
type unreliable struct {
	world    *world
	mu       sync.Mutex
	messages []message
}

type message struct {
	body []byte
	at   time.Time
}

func (q *unreliable) Send(_ context.Context, body []byte, delay time.Duration) error {
	w := q.world
	if w.chance(2) {
		return errors.New("the queue is down")
	}
	if w.chance(10) {
		return nil
	}
	at, twice := w.now.Add(delay), w.chance(10)
	if w.chance(20) {
		at = at.Add(time.Duration(w.below(60)) * time.Second)
	}
	again := message{body, at.Add(time.Duration(w.below(30)) * time.Second)}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.messages = append(q.messages, message{body, at})
	if twice {
		q.messages = append(q.messages, again)
	}
	return nil
}

func (q *unreliable) deliver(handle func(context.Context, []byte) error) {
	var left []message
	due := q.messages
	q.messages = nil
	for _, m := range due {
		if m.at.After(q.world.now) {
			left = append(left, m)
		} else if err := handle(q.world.t.Context(), m.body); err != nil {
			left = append(left, message{m.body, q.world.now.Add(time.Second)})
		}
	}
	q.messages = append(q.messages, left...)
}

func (w *world) tick(ahead time.Duration) {
	f := &recurrence.Function{DB: w.db, Submit: w.submits, Follow: w.follows, Retention: 90 * 24 * time.Hour, Now: func() time.Time { return w.now }, Log: quiet}
	f.Tick(w.t.Context(), w.now, w.now.Add(ahead)) // its errors are those of the faults: what is left is for the next tick
}

func (w *world) deliver() {
	now := func() time.Time { return w.now }
	me := fmt.Sprint("process ", w.process)
	targets := map[string]pipeline.Target{"local": w.fake}
	s := &submit.Function{
		DB: w.db, Targets: targets, Submit: w.submits, Follow: w.follows, Now: now, Log: quiet,
		Owner: me, Void: func(owner string) bool { return owner != me },
	}
	w.submits.deliver(s.Handle)
	for _, run := range slices.Sorted(maps.Keys(w.open)) {
		if w.healthy || w.below(3) == 0 {
			if w.end == nil {
				w.fake.Finish(run, schedule.Completed, "")
			} else if !w.end(run) {
				continue
			}
			delete(w.open, run)
			w.ended[run] = true
		}
	}
	f := &follow.Function{DB: w.db, Targets: targets, Follow: w.follows, Submit: w.submits, Now: now, Log: quiet}
	w.follows.deliver(f.Handle)
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func (w *world) create(name string, spec recur.Spec, catchUp schedule.CatchUp) {
	s := schedule.New(schedule.Definition{
		Name: name, Pipeline: hello, Experiment: "demo", Status: schedule.Active,
		Trigger: schedule.Trigger{Spec: spec}, CatchUp: catchUp,
	}, store.NewScheduleID(name), "me", w.now)
	w.must(func() error { return w.db.Create(w.t.Context(), s) })
	w.created[name] = s
}

// must does what a person would: again, until the store answers.
func (w *world) must(do func() error) {
	w.t.Helper()
	for range 100 {
		err := do()
		if err == nil || errors.Is(err, store.ErrExists) {
			return
		}
		if !errors.Is(err, storetest.ErrFault) {
			w.t.Fatal(err)
		}
	}
	w.t.Fatal("the store never answers")
}

// run lets time pass in steps of up to seconds, with outages and deaths now and then.
func (w *world) run(steps, seconds int, also func()) {
	for range steps {
		w.now = w.now.Add(time.Duration(1+w.below(seconds)) * time.Second)
		if w.chance(1) { // everything is down for up to three hours
			w.now = w.now.Add(time.Duration(w.below(180)) * time.Minute)
			w.process++
		}
		if w.below(2) == 0 {
			w.tick(15 * time.Second)
		}
		also()
		w.deliver()
	}
	w.healthy = true
	for range 400 { // until nothing waits any more
		w.now = w.now.Add(15 * time.Second)
		w.tick(0)
		w.deliver()
	}
	for range 10 { // and what the last tick has sent is done
		w.now = w.now.Add(time.Minute)
		w.deliver()
	}
}

// occurrences reads all that was recorded, and fails for what is not final.
func (w *world) occurrences() []schedule.Occurrence {
	var all []schedule.Occurrence
	token := ""
	for {
		page, next, err := w.db.Occurrences(w.t.Context(), token, 100, func(schedule.Occurrence) bool { return true })
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, page...)
		if token = next; token == "" {
			return all
		}
	}
}

// settled checks what holds for every occurrence: it has come to an end, and the far side has made exactly one run of
// it, or none if it was skipped.
func (w *world) settled() map[string]map[time.Time]schedule.Occurrence {
	all := w.occurrences()
	for _, o := range all {
		made := w.fake.Submissions(o.ID)
		switch {
		case o.Status == schedule.Completed && made == 1:
		case o.Status == schedule.Skipped && made == 0 && o.Reason != "":
		default:
			w.t.Errorf("occurrence %s of %s is %s (%s %s) with %d runs", o.ID, o.Schedule, o.Status, o.Reason, o.Error, made)
		}
	}
	return w.recorded(all)
}

// recorded are the regular occurrences by their schedules and nominal times, each of which stands in one record.
func (w *world) recorded(all []schedule.Occurrence) map[string]map[time.Time]schedule.Occurrence {
	byName := map[string]map[time.Time]schedule.Occurrence{}
	for _, o := range all {
		if o.Kind != schedule.Scheduled {
			continue
		}
		if byName[o.Schedule] == nil {
			byName[o.Schedule] = map[time.Time]schedule.Occurrence{}
		}
		for _, nominal := range w.nominals(o) {
			if _, twice := byName[o.Schedule][nominal]; twice {
				w.t.Errorf("%s: %v is recorded twice", o.Schedule, nominal)
			}
			byName[o.Schedule][nominal] = o
		}
	}
	return byName
}

// nominals are the times for which a record stands.
func (w *world) nominals(o schedule.Occurrence) []time.Time {
	if o.Count == 0 {
		return []time.Time{o.Nominal}
	}
	var times []time.Time
	for at := o.Nominal; !at.After(o.Last); at = w.next(o.Schedule, at) {
		times = append(times, at)
	}
	if len(times) != o.Count {
		w.t.Errorf("%s: a record of %d from %v to %v stands for %d", o.ID, o.Count, o.Nominal, o.Last, len(times))
	}
	return times
}

func (w *world) next(name string, after time.Time) time.Time {
	s := w.created[name]
	rule, errs := s.Trigger.Compile(s.Anchor)
	if len(errs) > 0 {
		w.t.Fatal(errs)
	}
	next, _ := rule.Next(after)
	return next.UTC()
}

func every(frequency string, interval int) recur.Spec {
	return recur.Spec{Kind: recur.KindRecurrence, Frequency: frequency, Interval: interval}
}

// Invariant 1, over simulated days: every due occurrence is submitted once or recorded as skipped, whatever fails.
func TestNothingIsLostAndNothingTwice(t *testing.T) {
	day := schedule.Duration(24 * time.Hour)
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			for i := range 6 {
				w.create(fmt.Sprint("minutely-", i), every("minute", 1+i), schedule.CatchUp{})
				w.create(fmt.Sprint("none-", i), every("minute", 5+i), schedule.CatchUp{Policy: schedule.CatchUpNone})
				w.create(fmt.Sprint("all-", i), every("minute", 7+i), schedule.CatchUp{Policy: schedule.CatchUpAll, Window: &day})
			}
			start := w.now
			w.run(1500, 30, func() {})
			recorded := w.settled()
			for name, s := range w.created {
				n := 0
				for at := w.next(name, start); at.Before(w.now.Add(-15 * time.Minute)); at = w.next(name, at) {
					if _, ok := recorded[name][at]; !ok {
						t.Errorf("%s: %v is neither submitted nor skipped", name, at)
					}
					n++
				}
				if s.CatchUp.Policy == schedule.CatchUpAll {
					for at, o := range recorded[name] {
						if o.Status == schedule.Skipped {
							t.Errorf("%s: %v was to be caught up and is skipped: %s", name, at, o.Reason)
						}
					}
				}
				if n < 50 {
					t.Errorf("%s: only %d occurrences were due", name, n)
				}
			}
		})
	}
}

// Changes by people come between: still nothing twice, and nothing without an end.
func TestChangesInBetween(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			names := []string{"a", "b", "c", "d"}
			for i, name := range names {
				w.create(name, every("minute", 1+i), schedule.CatchUp{})
			}
			asked := 0
			w.run(1500, 20, func() {
				if w.below(10) > 0 {
					return
				}
				name := names[w.below(len(names))]
				switch w.below(4) {
				case 0:
					w.edit(name, func(d *schedule.Definition) { d.Status = schedule.Disabled })
				case 1, 2:
					w.edit(name, func(d *schedule.Definition) { d.Status = schedule.Active })
				case 3:
					asked++
					o := schedule.Asked(w.created[name], "", fmt.Sprint(asked), "me", nil, w.now)
					w.must(func() error { return w.db.Add(t.Context(), o) })
				}
			})
			w.settled()
			manual := 0
			for _, o := range w.occurrences() {
				if o.Kind == schedule.Manual {
					manual++
				}
			}
			if manual != asked {
				t.Errorf("%d runs were asked for, %d are recorded", asked, manual)
			}
		})
	}
}

func (w *world) edit(name string, change func(*schedule.Definition)) {
	w.must(func() error {
		s, err := w.db.Edit(w.t.Context(), name, w.now, func(s schedule.Schedule) (schedule.Schedule, error) {
			d := s.Definition
			change(&d)
			if d.Status == s.Status {
				return s, nil
			}
			return s.Revise(d, "me", "", w.now), nil
		})
		if err == nil {
			w.created[name] = s
		}
		return err
	})
}
