package datastore_test

import (
	"fmt"
	"testing"
	"time"

	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/store"
	"carillon/shared/store/storetest"
)

// watchers creates schedules of mode each, one for a folder of its own.
func (w *world) watchers(n int) {
	w.t.Helper()
	trigger := trigger(w.t, `{"type":"datastore","datastore":"hot","path_on_datastore":"x","recursive":true}`)
	for i := range n {
		watch := *trigger.Watch
		watch.Path = fmt.Sprint("other/", i)
		d := schedule.Definition{
			Name: fmt.Sprint("w", i), Pipeline: schedule.PipelineRef{Kind: "local", ID: "hello"}, Experiment: "e",
			Trigger: schedule.Trigger{Spec: trigger.Spec, Watch: &watch}, Status: schedule.Active,
		}
		if err := w.db.Create(w.ctx, schedule.New(d, store.NewScheduleID(d.Name), "me", w.now)); err != nil {
			w.t.Fatal(err)
		}
	}
}

// An event costs the depth of its path, however many schedules there are: a read for each folder above the file, and
// three calls for the schedule that fires.
func TestCallsOfAnEvent(t *testing.T) {
	const depth = 4
	calls := func(others int) (first, next int64) {
		counter := &storetest.Counter{Driver: store.NewMem()}
		w := newWorld(t, counter)
		w.watchers(others)
		w.create("s", `{"type":"datastore","datastore":"hot","path_on_datastore":"a/b","recursive":true}`)
		handle := func(path string) int64 {
			f := w.hot.Put(path, w.now.Add(time.Second))
			counter.Reset()
			if err := w.function.Handle(w.ctx, blobCreated("hot", f, w.now.Add(time.Second))); err != nil {
				t.Fatal(err)
			}
			return counter.Calls()
		}
		first, next = handle("a/b/c/d/first.csv"), handle("a/b/c/d/next.csv")
		if len(w.submits.Pending()) != 2 {
			t.Errorf("%d messages are sent for two events", len(w.submits.Pending()))
		}
		if nobody := handle("nobody/b/c/d/f.csv"); nobody != depth+1 {
			t.Errorf("an event that nobody waits for takes %d calls, want %d", nobody, depth+1)
		}
		return first, next
	}
	many := 100_000
	if racing || testing.Short() {
		many = 20_000
	}
	const want = depth + 1 + 3 // the schedule, what is remembered of the file, the occurrence with all that belongs to it
	for _, others := range []int{10, many} {
		if first, next := calls(others); first != want || next != want {
			t.Errorf("with %d other schedules an event takes %d calls, the next one %d, want %d", others, first, next, want)
		}
	}
}

// A look at a folder that has not changed: the schedule, the beginning, that again, the memory of which a read gives three
// pages or four, the end.
func TestCallsOfALook(t *testing.T) {
	for _, row := range []struct{ files, calls int }{{0, 4}, {3, 5}, {30, 8}, {300, 38}} { // in pages of three
		counter := &storetest.Counter{Driver: store.NewMem()}
		b := &between{world: newWorld(t, counter)}
		b.fill("in", row.files)
		b.create("s", polled)
		b.pass(time.Second)
		for range 2 {
			b.now = b.now.Add(6 * time.Minute)
			counter.Reset()
			if err := b.lookAt("s"); err != nil {
				t.Fatal(err)
			}
			if got := counter.Calls(); got != int64(row.calls) {
				t.Errorf("a look at %d files that have not changed takes %d calls (%v), want %d", row.files, got, counter, row.calls)
			}
		}
	}
}

// A thousand changes that join one window one by one: calls and rows of each do not grow with the window.
func TestCallsOfAWindow(t *testing.T) {
	counter := &storetest.Counter{Driver: store.NewMem()}
	w := newWorld(t, counter)
	w.create("s", `{"type":"datastore","datastore":"hot","mode":"batch","polling_interval":60}`)
	w.pass(time.Second)
	join := func(path string) {
		t.Helper()
		f := w.hot.Put(path, w.now)
		if err := w.function.Handle(w.ctx, blobCreated("hot", f, w.now)); err != nil {
			t.Fatal(err)
		}
	}
	join("first")
	for i := range 1000 {
		counter.Reset()
		join(fmt.Sprint("f", i))
		// who watches the folder, the schedule, what is remembered of the file, a lane; then all is written
		if counter.Calls() != 5 || counter.Ops.Load() != 4 || counter.Rows.Load() > 8 {
			t.Fatalf("change %d: %v, want 5 calls, 4 operations and at most 8 rows", i, counter)
		}
	}
	w.now = w.now.Add(time.Hour)
	counter.Reset()
	if err := w.function.Handle(w.ctx, queue.Marks{Close: []string{"s"}}.Bodies()[0]); err != nil {
		t.Fatal(err)
	}
	if counter.Calls() != 3 || counter.Rows.Load() > 16 { // the schedule, the lanes, and all is written
		t.Errorf("closing it: %v", counter)
	}
	all, _, err := w.db.Occurrences(w.ctx, "", 10, func(schedule.Occurrence) bool { return true })
	if err != nil || len(all) != 1 || all[0].Changes != 1001 {
		t.Errorf("the window had %v, %v", all, err)
	}
}
