package datastore_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"carillon/functions/datastore"
	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/source"
	"carillon/shared/store"
	"carillon/shared/store/storetest"
)

// Sixteen writers append two thousand changes to windows that are closed all the time: each change is in one of them.
func TestManyJoinWindowsThatClose(t *testing.T) {
	const writers, each = 16, 125
	var clock atomic.Int64
	now := func() time.Time { return began.Add(time.Duration(clock.Load())) }
	w := newWorld(t, store.NewMem())
	w.create("s", `{"type":"datastore","datastore":"hot","mode":"batch","quiet_period":"5s","max_wait":"10s"}`)
	f := &datastore.Function{
		DB: w.db, Submit: queue.NewMem(), Marks: queue.NewMem(), Now: now, Log: discard,
		Datastores: source.NewDatastores(func() ([]source.Datastore, error) {
			return []source.Datastore{{Name: "hot", Events: true, Source: w.hot}}, nil
		}, nil),
	}
	var group, closing sync.WaitGroup
	var stop atomic.Bool
	closing.Go(func() {
		for !stop.Load() {
			clock.Add(int64(11 * time.Second))
			_ = f.Handle(w.ctx, queue.Marks{Close: []string{"s"}}.Bodies()[0]) // that it is joined all the time is an error
		}
	})
	for i := range writers {
		group.Go(func() {
			for k := range each {
				file := w.hot.Put(fmt.Sprintf("%02d-%03d", i, k), now())
				hint, _ := json.Marshal(map[string]string{"datastore": "hot", "path": file.Path})
				for f.Handle(w.ctx, hint) != nil { // given back, it comes again
				}
			}
		})
	}
	group.Wait()
	stop.Store(true)
	closing.Wait()
	clock.Add(int64(time.Minute))
	if err := f.Handle(w.ctx, queue.Marks{Close: []string{"s"}}.Bodies()[0]); err != nil {
		t.Fatal(err)
	}
	all, _, err := w.db.Occurrences(w.ctx, "", 1000, func(schedule.Occurrence) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, o := range all {
		changes := changesOf(t, w.db, o.ID)
		if len(changes) != o.Changes || o.Changes == 0 {
			t.Errorf("window %s says %d changes and has %d", o.ID, o.Changes, len(changes))
		}
		for _, c := range changes {
			paths = append(paths, c.Path)
		}
	}
	slices.Sort(paths)
	if n := len(slices.Compact(slices.Clone(paths))); len(paths) != writers*each || n != writers*each {
		t.Errorf("%d changes in %d windows, %d different ones, want %d", len(paths), len(all), n, writers*each)
	}
	if len(all) < 10 {
		t.Errorf("only %d windows", len(all))
	}
	if lanes, err := w.db.Lanes(w.ctx, all[0].ScheduleID()); err != nil || len(lanes) != 0 {
		t.Errorf("%d lanes are left, %v", len(lanes), err)
	}
}

// A stream of changes that never ends does not keep a window open, though every call takes its time.
func TestWindowClosesInAStreamOfChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(storetest.Call) storetest.Fault {
			time.Sleep(30 * time.Millisecond)
			return storetest.Works
		}
		w := newWorld(t, &storetest.Faulty{Driver: store.NewMem(), Fail: slow})
		w.now = time.Now()
		w.create("s", minuteBatch)
		w.function.Now = time.Now
		end := time.Now().Add(100 * time.Second)
		var group sync.WaitGroup
		for i := range 16 {
			group.Go(func() {
				for k := 0; time.Now().Before(end); k++ {
					f := w.hot.Put(fmt.Sprintf("%d-%d", i, k), time.Now())
					hint, _ := json.Marshal(map[string]string{"datastore": "hot", "path": f.Path})
					if err := w.function.Handle(w.ctx, hint); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for time.Now().Before(end) { // as the clock does
			time.Sleep(15 * time.Second)
			_ = w.function.Handle(w.ctx, queue.Marks{Close: []string{"s"}}.Bodies()[0])
		}
		group.Wait()
		all, _, err := w.db.Occurrences(w.ctx, "", 10, func(schedule.Occurrence) bool { return true })
		if err != nil || len(all) != 1 || all[0].Recorded.Sub(all[0].Nominal) > 2*time.Second || all[0].Changes < 1000 {
			t.Errorf("%d windows have closed: %+v, %v", len(all), all, err)
		}
	})
}

// Windows on a bad day, with files that are written again and again while they wait in a window.
func TestWindowsOnABadDay(t *testing.T) {
	people := func(w *simulation, step int) {
		status := map[int]schedule.Activity{20: schedule.Disabled, 22: schedule.Active, 70: schedule.Disabled, 71: schedule.Active}
		switch {
		case status[step] != "":
			w.edit("s", func(d *schedule.Definition) { d.Status = status[step] })
		case step == 45:
			w.edit("s", func(d *schedule.Definition) { d.Trigger = trigger(w.t, bursts[1]) })
		case step == 90 || step == 100:
			d := w.watching["s"].schedule.Definition
			w.remove("s")
			w.add(d)
		}
	}
	for _, row := range []struct {
		name   string
		meddle func(w *simulation, step int)
	}{{"nobody", func(*simulation, int) {}}, {"people", people}} {
		for seed := range uint64(2) {
			t.Run(fmt.Sprint(row.name, " ", seed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newSimulation(t, 200+seed)
					w.create("s", bursts[0])
					step := 0
					w.run(125, 2*time.Second, func() {
						for range 16 {
							w.lake("hot").change()
						}
						step++
						row.meddle(w, step)
					})
					w.check()
				})
			})
		}
	}
}

var bursts = []string{
	`{"type":"datastore","datastore":"hot","recursive":true,"mode":"batch","quiet_period":"1s","max_wait":"3s"}`,
	`{"type":"datastore","datastore":"hot","path_on_datastore":"in","recursive":true,"mode":"batch","quiet_period":"2s","max_wait":"3s"}`,
}

// Something comes between any two calls of a change that joins a window: the change is in one window or, where that is
// right, in none, and nothing is left that belongs to nobody.
func TestAnythingBetweenTheCallsOfAChange(t *testing.T) {
	const folder = `{"type":"datastore","datastore":"hot","path_on_datastore":"in","mode":"batch","polling_interval":1}`
	const both = `{"type":"datastore","all_of":[{"datastore":"hot","path_on_datastore":"in"},{"datastore":"hot","path_on_datastore":"b"}]}`
	status := func(b *between, to schedule.Activity) { b.edit("s", func(d *schedule.Definition) { d.Status = to }) }
	doubled := func(b *between) {
		f, err := b.hot.Stat(b.ctx, "in/x")
		if err != nil {
			b.t.Fatal(err)
		}
		b.told("hot", f, b.now)
	}
	for _, row := range []struct {
		name, trigger string
		open          bool // a window is open before
		do            func(b *between)
		want          []string // the runs of in/x or none; each has come about before some call
	}{
		{"it closes", folder, true, func(b *between) { b.now = b.now.Add(time.Minute); b.close("s") }, []string{"in/a in/x"}},
		{"another opens it", folder, false, func(b *between) { b.put("in/a") }, []string{"in/a,in/x"}},
		{"it comes twice", folder, true, doubled, []string{"in/a,in/x"}},
		{"it is the first, and comes twice", folder, false, doubled, []string{"in/x"}},
		{"a newer version", folder, true, func(b *between) { b.put("in/x") }, []string{"!in/x in/a,in/x"}},
		{"disabled and enabled", folder, true, func(b *between) {
			b.now = b.now.Add(time.Second)
			status(b, schedule.Disabled)
			status(b, schedule.Active)
		}, []string{"!in/a,in/x", "!in/a"}},
		{"another folder", folder, true, func(b *between) {
			b.now = b.now.Add(time.Second)
			b.edit("s", func(d *schedule.Definition) { d.Trigger = trigger(b.t, minuteBatch); d.Trigger.Watch.Path = "other" })
		}, []string{"in/a,in/x", "in/a"}},
		{"deleted", folder, true, func(b *between) {
			if err := b.db.Delete(b.ctx, "s", "me", b.now, func(schedule.Schedule) error { return nil }); err != nil {
				b.t.Error(err)
			}
		}, []string{"!in/a"}},
		{"all_of: the other folder", both, true, func(b *between) { b.put("b/y") }, []string{"b/y,in/a"}},
		{"all_of: it is deleted", both, false, func(b *between) {
			if err := b.db.Delete(b.ctx, "s", "me", b.now, func(schedule.Schedule) error { return nil }); err != nil {
				b.t.Error(err)
			}
		}, []string{""}},
	} {
		came := map[string]bool{}
		for call, more := 1, true; more; call++ {
			b := newBetween(t)
			b.create("s", row.trigger)
			b.pass(2 * time.Second)
			if row.open {
				b.put("in/a")
			}
			more = false
			b.beforeCall(call, func() { more = true; row.do(b) })
			b.put("in/x")
			if b.hook.Store(nil); !more {
				break
			}
			b.wait(3 * time.Minute)
			got := b.paths()
			came[got] = true
			if !slices.Contains(row.want, got) {
				t.Errorf("%s before call %d: %s", row.name, call, got)
			}
			if _, err := b.db.Schedule(b.ctx, "s"); errors.Is(err, store.ErrNotFound) {
				for _, left := range b.left() {
					t.Errorf("%s before call %d: row %s is left", row.name, call, left)
				}
			}
		}
		for _, want := range row.want {
			if !came[want] {
				t.Errorf("%s: it never comes to %q, but to %v", row.name, want, came)
			}
		}
	}
}

// paths are those of each occurrence, in order; with ! of one that was skipped.
func (b *between) paths() (text string) {
	b.t.Helper()
	all := b.occurrences()
	slices.SortFunc(all, func(x, y schedule.Occurrence) int { return x.Nominal.Compare(y.Nominal) })
	for i, o := range all {
		changes := changesOf(b.t, b.db, o.ID)
		if !o.Windowed() {
			changes = append(changes, *o.Change)
		}
		if len(changes) != o.Changes {
			b.t.Errorf("%s says %d changes and has %d", o.ID, o.Changes, len(changes))
		}
		slices.SortFunc(changes, func(x, y schedule.Change) int { return strings.Compare(x.Path, y.Path) })
		if i > 0 {
			text += " "
		}
		if o.Status == schedule.Skipped {
			text += "!"
		}
		for k, c := range changes {
			if k > 0 {
				text += ","
			}
			text += c.Path
		}
	}
	return text
}
