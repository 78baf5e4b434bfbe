package datastore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"carillon/functions/datastore"
	"carillon/functions/follow"
	"carillon/functions/recurrence"
	"carillon/functions/submit"
	"carillon/shared/pipeline"
	"carillon/shared/schedule"
	"carillon/shared/source"
	"carillon/shared/store"
)

// simulation is Carillon on a bad day, on the clock of a synctest bubble: every call of the store, of datastores and of
// queues takes its time, now and then many minutes; fails before or after its work; or is the last one of its process.
// Messages are lost, doubled, late and out of order. Many processes act at once.
type simulation struct {
	t       *testing.T
	mu      sync.Mutex // of random and made
	random  *rand.Rand
	healthy atomic.Bool
	running sync.WaitGroup

	rows    *store.Mem
	db      *store.DB
	sources *source.Datastores
	lakes   []*lake
	fake    *pipeline.Fake
	submits *mail
	follows *mail
	marks   *mail
	events  *mail
	made    []string // runs that have not ended

	known     map[string]bool      // runs
	watching  map[string]*watching // by the schedule's name
	baselines map[string][]baseline
}

// watching is what is known of a schedule that stands.
type watching struct {
	schedule schedule.Schedule
	looked   time.Time // when its first look since the baseline had come to an end, or later; zero: not before all was well
}

// baseline is when a schedule began to watch, with which revision.
type baseline struct {
	revision int
	at       time.Time
}

func newSimulation(t *testing.T, seed uint64) *simulation {
	w := &simulation{
		t: t, random: rand.New(rand.NewPCG(seed, 5)), rows: store.NewMem(), fake: &pipeline.Fake{},
		known: map[string]bool{}, watching: map[string]*watching{}, baselines: map[string][]baseline{},
	}
	w.submits, w.follows = &mail{w: w, loses: true}, &mail{w: w, loses: true}
	w.marks, w.events = &mail{w: w, loses: true}, &mail{w: w}
	w.db = store.New(&unsteady{w, w.rows})
	w.fake.Put(pipeline.Pipeline{Ref: schedule.PipelineRef{Kind: "local", ID: "hello"}})
	w.fake.Before = func(pipeline.Submission) error {
		if w.chance(30) {
			return &pipeline.Error{Outcome: pipeline.NotDone, Err: errBroken}
		}
		return nil
	}
	w.fake.After = func(_ pipeline.Submission, run string) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.known[run] {
			w.known[run], w.made = true, append(w.made, run)
		}
		return nil
	}
	w.lakes = []*lake{newLake(w, "inbox", false, true), newLake(w, "hot", true, false), newLake(w, "both", true, true)}
	w.sources = source.NewDatastores(func() (all []source.Datastore, err error) {
		for _, l := range w.lakes {
			all = append(all, source.Datastore{Name: l.name, Account: "acme", Container: l.name, Events: !l.polled, Source: l})
		}
		return all, nil
	}, nil)
	return w
}

// chance is true so many times in a thousand, while the simulation is not healthy.
func (w *simulation) chance(perMille int) bool { return !w.healthy.Load() && w.below(1000) < perMille }

func (w *simulation) below(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.IntN(n)
}

// start runs a process.
func (w *simulation) start(do func(ctx context.Context)) {
	ctx := context.WithValue(w.t.Context(), processKey{}, &process{})
	w.running.Go(func() { do(ctx) })
}

var discard = slog.New(slog.NewTextHandler(io.Discard, nil))

// tick is one of the clock, and the delivery of what is due.
func (w *simulation) tick(clock bool) {
	if clock {
		f := &recurrence.Function{DB: w.db, Submit: w.submits, Follow: w.follows, Marks: w.marks, Now: time.Now, Log: discard}
		w.start(func(ctx context.Context) {
			_ = f.Tick(ctx, time.Now(), time.Now().Add(15*time.Second)) // what it leaves is for the next
		})
	}
	targets := map[string]pipeline.Target{"local": w.fake}
	w.submits.deliver((&submit.Function{
		DB: w.db, Targets: targets, Submit: w.submits, Follow: w.follows, Owner: "x", Void: func(string) bool { return false }, Now: time.Now, Log: discard,
	}).Handle)
	w.follows.deliver((&follow.Function{DB: w.db, Targets: targets, Follow: w.follows, Now: time.Now, Log: discard}).Handle)
	function := &datastore.Function{DB: w.db, Datastores: w.sources, Submit: w.submits, Marks: w.marks, Now: time.Now, Log: discard}
	w.marks.deliver(function.Handle)
	w.events.deliver(function.Handle)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, run := range w.made {
		w.fake.Finish(run, schedule.Completed, "")
	}
	w.made = nil
}

// must does what a person would: again, until it is done.
func (w *simulation) must(do func(ctx context.Context) error) {
	w.t.Helper()
	for range 100 {
		err := do(context.WithValue(w.t.Context(), processKey{}, &process{}))
		if err == nil {
			return
		}
		if !errors.Is(err, errBroken) && !errors.Is(err, errDead) {
			w.t.Fatal(err)
		}
	}
	w.t.Fatal("it never succeeds")
}

func (w *simulation) create(name, text string) {
	w.t.Helper()
	w.add(schedule.Definition{
		Name: name, Pipeline: schedule.PipelineRef{Kind: "local", ID: "hello"}, Experiment: "e", Trigger: trigger(w.t, text), Status: schedule.Active,
	})
}

func (w *simulation) add(d schedule.Definition) {
	w.t.Helper()
	s := schedule.New(d, store.NewScheduleID(d.Name), "me", time.Now())
	w.must(func(ctx context.Context) error { return w.db.Create(ctx, s) })
	w.note(s)
}

func (w *simulation) edit(name string, change func(*schedule.Definition)) {
	w.t.Helper()
	at := time.Now()
	var s schedule.Schedule
	w.must(func(ctx context.Context) (err error) {
		s, err = w.db.Edit(ctx, name, at, func(s schedule.Schedule) (schedule.Schedule, error) {
			d := s.Definition
			if change(&d); d.Status == s.Status && d.Trigger.Equal(s.Trigger) {
				return s, nil
			}
			return s.Revise(d, "me", "", at), nil
		})
		return err
	})
	w.note(s)
}

func (w *simulation) remove(name string) {
	w.t.Helper()
	w.must(func(ctx context.Context) error {
		err := w.db.Delete(ctx, name, "me", time.Now(), func(schedule.Schedule) error { return nil })
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	delete(w.watching, name)
}

// note keeps what a schedule is like now.
func (w *simulation) note(s schedule.Schedule) {
	known := w.baselines[s.ID]
	if n := len(known); n == 0 || known[n-1].revision != s.BaselineRevision {
		w.baselines[s.ID] = append(known, baseline{s.BaselineRevision, s.Baseline})
		w.watching[s.Name] = &watching{}
	}
	w.watching[s.Name].schedule = s
}

// first notes which schedules have looked at their folders since their baselines.
func (w *simulation) first() {
	for name, x := range w.watching {
		r, err := w.db.Schedule(w.t.Context(), name)
		if err != nil {
			w.t.Fatal(err)
		}
		if x.looked.IsZero() && r.Poll.Value.Baseline == x.schedule.BaselineRevision {
			x.looked = time.Now()
		}
	}
}

// run lets time go by in steps of random length, and then as much as it takes until everything has come to rest.
func (w *simulation) run(steps int, step time.Duration, also func()) {
	for range steps {
		time.Sleep(time.Duration(1 + w.below(int(step))))
		if w.chance(5) { // nothing goes on for up to an hour
			time.Sleep(time.Duration(w.below(60)) * time.Minute)
		}
		also()
		w.tick(w.below(2) == 0)
		w.first()
	}
	w.healthy.Store(true)
	for range 300 {
		time.Sleep(20 * time.Second)
		w.tick(true)
	}
	w.running.Wait()
}

// What fails, dies, is lost, doubled or late: every change fires once.
func TestNoChangeIsLostAndNoneTwice(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newSimulation(t, seed)
				for range 40 {
					w.change() // what is there at the beginning
				}
				time.Sleep(2 * time.Second)
				w.schedules()
				w.run(400, 20*time.Second, func() {
					for range w.below(3) {
						w.change()
					}
				})
				w.check()
			})
		})
	}
}

// People disable and enable schedules, make them watch other folders, delete them and make them again meanwhile.
func TestPeopleChangeSchedulesMeanwhile(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newSimulation(t, 100+seed)
				for range 40 {
					w.change()
				}
				time.Sleep(2 * time.Second)
				w.schedules()
				w.run(400, 20*time.Second, func() {
					for range w.below(3) {
						w.change()
					}
					if w.below(8) == 0 {
						w.person()
					}
				})
				w.check()
			})
		})
	}
}

// schedules makes one of every mode, over each way in which datastores tell of changes.
func (w *simulation) schedules() {
	for _, lake := range []string{"inbox", "hot", "both"} {
		at := fmt.Sprintf(`"type":"datastore","datastore":%q,"polling_interval":2`, lake)
		w.create("each-"+lake, `{`+at+`,"path_on_datastore":"in","recursive":true}`)
		w.create("flat-"+lake, `{`+at+`,"path_on_datastore":"in","include":["*.csv"],"process_existing":true}`)
		w.create("window-"+lake, `{`+at+`,"path_on_datastore":"in","recursive":true,"mode":"batch"}`)
		w.create("quiet-"+lake, `{`+at+`,"recursive":true,"exclude":["in/**"],"mode":"batch","quiet_period":"45s","max_wait":"5m"}`)
	}
	w.create("all", `{"type":"datastore","polling_interval":2,"all_of":[{"datastore":"inbox","path_on_datastore":"in"},{"datastore":"hot","path_on_datastore":"in"}]}`)
	w.create("within", `{"type":"datastore","polling_interval":2,"within":"90s","all_of":[{"datastore":"both","path_on_datastore":"in"},{"datastore":"hot","path_on_datastore":"other"}]}`)
}

// person changes a schedule.
func (w *simulation) person() {
	lake := w.lakes[w.below(len(w.lakes))].name
	name := []string{"each-", "window-", "quiet-"}[w.below(3)] + lake
	if w.below(5) == 0 {
		name = "all"
	}
	switch w.below(6) {
	case 0:
		w.edit(name, func(d *schedule.Definition) { d.Status = schedule.Disabled })
	case 1, 2, 3:
		w.edit(name, func(d *schedule.Definition) { d.Status = schedule.Active })
	case 4:
		folder := []string{"in", "other", "in/d"}[w.below(3)]
		w.edit(name, func(d *schedule.Definition) {
			watch := *d.Trigger.Watch
			if watch.AllOf = slices.Clone(watch.AllOf); watch.AllOf != nil {
				watch.AllOf[0].Path = folder
			} else {
				watch.Path, watch.Exclude = folder, nil
			}
			d.Trigger.Watch = &watch
		})
	case 5:
		d := w.watching[name].schedule.Definition
		w.remove(name)
		w.add(d)
	}
}
