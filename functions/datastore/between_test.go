package datastore_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/store"
	"carillon/shared/store/storetest"
)

// between is a world in which something can happen between two calls of the store.
type between struct {
	*world
	rows *store.Mem
	down atomic.Bool // the store answers nobody
	hook atomic.Pointer[hook]
}

type hook struct {
	fits func(storetest.Call) bool
	do   func()
}

func newBetween(t *testing.T) *between {
	b := &between{rows: store.NewMem()}
	b.world = newWorld(t, &storetest.Faulty{Driver: b.rows, Fail: func(c storetest.Call) storetest.Fault {
		if h := b.hook.Load(); h != nil && h.fits(c) && b.hook.CompareAndSwap(h, nil) {
			h.do()
		}
		if b.down.Load() {
			return storetest.Refused
		}
		return storetest.Works
	}})
	return b
}

// before has do happen once, right before the first call that fits.
func (b *between) before(method, row string, do func()) {
	b.hook.Store(&hook{do: do, fits: func(c storetest.Call) bool {
		for _, op := range c.Ops {
			if c.Method == method && strings.HasPrefix(op.Sort, row) {
				return true
			}
		}
		return c.Method == method && strings.HasPrefix(c.Sort, row)
	}})
}

// beforeCall has do happen once, right before the n-th call from now.
func (b *between) beforeCall(n int, do func()) {
	var calls atomic.Int64
	b.hook.Store(&hook{do: do, fits: func(storetest.Call) bool { return calls.Add(1) == int64(n) }})
}

// happened fails the test when what was to happen before a call has not.
func (b *between) happened() {
	b.t.Helper()
	if b.hook.Load() != nil {
		b.t.Fatal("the call that was waited for has not come")
	}
}

func (b *between) put(path string) { b.told("hot", b.hot.Put(path, b.now), b.now) }

func (b *between) close(name string) {
	b.t.Helper()
	if err := b.function.Handle(b.ctx, queue.Marks{Close: []string{name}}.Bodies()[0]); err != nil {
		b.t.Error(err)
	}
	b.deliver()
}

func (b *between) occurrences() []schedule.Occurrence {
	b.t.Helper()
	all, _, err := b.db.Occurrences(b.ctx, "", 1000, func(schedule.Occurrence) bool { return true })
	if err != nil {
		b.t.Fatal(err)
	}
	return all
}

const minuteBatch = `{"type":"datastore","datastore":"hot","mode":"batch","polling_interval":1}`

// A change has read of an open window; until it joins, that one closes and another opens: it is in the other.
func TestWindowClosesWhileAChangeJoins(t *testing.T) {
	for _, row := range []struct{ method, sort string }{{"Get", "lane|"}, {"Apply", "lane|"}} {
		b := newBetween(t)
		b.create("s", minuteBatch)
		b.pass(time.Second)
		b.put("a")
		b.before(row.method, row.sort, func() {
			b.now = b.now.Add(time.Minute)
			b.close("s")
			b.put("b")
		})
		b.put("c")
		b.happened()
		b.pass(2 * time.Minute)
		b.want("s Queued a", "s Queued b+c")
		for _, o := range b.occurrences() {
			if changes := changesOf(t, b.db, o.ID); len(changes) != o.Changes {
				t.Errorf("before %s %s: %s says %d changes and has %d", row.method, row.sort, o.ID, o.Changes, len(changes))
			}
		}
	}
}

// What comes after a window's time is not in it, also when the clock has not come to close it: the change does.
func TestWindowTakesNothingAfterItsTime(t *testing.T) {
	b := newBetween(t)
	b.create("s", minuteBatch)
	b.pass(time.Second)
	b.put("a")
	opened := b.now.Truncate(time.Second)
	b.now = b.now.Add(10 * time.Minute)
	b.put("b")
	b.want("s Queued a")
	if o := b.occurrences()[0]; !o.Nominal.Equal(opened.Add(time.Minute)) {
		t.Errorf("it closed at %v, having opened at %v", o.Nominal, opened)
	}
}

// The schedule is deleted while a change opens its first window: nothing is left that the next schedule of that name
// would find.
func TestDeletionWhileAWindowOpens(t *testing.T) {
	b := newBetween(t)
	b.create("s", minuteBatch)
	b.pass(time.Second)
	b.before("Apply", "sch|s|window", func() {
		if err := b.db.Delete(b.ctx, "s", "me", b.now, func(schedule.Schedule) error { return nil }); err != nil {
			t.Error(err)
		}
	})
	b.put("a")
	b.happened()
	b.pass(2 * time.Minute)
	b.create("s", minuteBatch)
	b.pass(time.Second)
	b.put("b")
	b.pass(2 * time.Minute)
	b.want("s Queued b")
}

// The other way round: a window opens while the schedule is deleted.
func TestWindowOpensDuringDeletion(t *testing.T) {
	b := newBetween(t)
	b.create("s", minuteBatch)
	b.pass(time.Second)
	b.before("Apply", "sch|s|def", func() { b.put("a") })
	if err := b.db.Delete(b.ctx, "s", "me", b.now, func(schedule.Schedule) error { return nil }); err != nil {
		t.Error(err)
	}
	b.happened()
	b.pass(2 * time.Minute)
	b.want("s Skipped deleted a")
	b.create("s", minuteBatch)
	b.pass(time.Second)
	b.put("b")
	b.pass(2 * time.Minute)
	b.want("s Queued b", "s Skipped deleted a")
}

// The record of a window whose schedule is deleted says how many changes it had, also when one joins at that moment.
func TestDeletionWithAnOpenWindow(t *testing.T) {
	b := newBetween(t)
	b.create("s", minuteBatch)
	b.pass(time.Second)
	b.put("a")
	b.before("Apply", "sch|s|def", func() { b.put("b") })
	if err := b.db.Delete(b.ctx, "s", "me", b.now, func(schedule.Schedule) error { return nil }); err != nil {
		t.Error(err)
	}
	b.happened()
	b.want("s Skipped deleted a+b")
	if o := b.occurrences()[0]; o.Changes != 2 {
		t.Errorf("it says %d changes", o.Changes)
	}
}

// A change joins after its schedule was deleted: it is nobody's.
func TestDeletionWhileAChangeJoins(t *testing.T) {
	b := newBetween(t)
	b.create("s", minuteBatch)
	b.pass(time.Second)
	b.put("a")
	b.before("Apply", "lane|", func() {
		if err := b.db.Delete(b.ctx, "s", "me", b.now, func(schedule.Schedule) error { return nil }); err != nil {
			t.Error(err)
		}
	})
	b.put("b")
	b.happened()
	b.want("s Skipped deleted a")
}

// Between looking at a file and opening its window a second may begin: the window's list has the change all the same.
func TestWindowHoldsTheChangeThatOpensIt(t *testing.T) {
	for i := range 10 {
		b := newBetween(t)
		b.create("s", minuteBatch, `"parameters":{"which":"{{.Changes}}"}`)
		b.pass(time.Second)
		b.now = b.now.Add(time.Duration(i) * 100 * time.Millisecond)
		b.function.Now = func() time.Time { // time goes by between any two looks at the clock
			b.now = b.now.Add(130 * time.Millisecond)
			return b.now
		}
		b.put("a")
		b.pass(2 * time.Minute)
		for _, o := range b.occurrences() {
			if o.Changes != 1 || o.Parameters["which"] != "a" {
				t.Errorf("%d00 ms: a window of %d changes gave its run %q", i, o.Changes, o.Parameters["which"])
			}
		}
	}
}

// Two folders change places and change back: their versions have fired where they are again, and nothing gets stuck.
func TestFoldersThatChangePlaces(t *testing.T) {
	for _, mode := range []string{"each", "batch"} {
		b := newBetween(t)
		b.create("s", `{"type":"datastore","datastore":"inbox","path_on_datastore":"live","mode":"`+mode+`","polling_interval":1}`)
		b.pass(time.Second)
		swap := func() {
			b.inbox.Rename("live", "aside")
			b.inbox.Rename("next", "live")
			b.inbox.Rename("aside", "next")
			b.pass(2*time.Minute + time.Second)
		}
		b.inbox.Put("live/f", b.now)
		b.pass(2*time.Minute + time.Second)
		b.inbox.Put("next/f", b.now)
		swap()
		swap()
		b.inbox.Put("live/g", b.now)
		b.pass(2*time.Minute + time.Second)
		b.want("s Queued live/f", "s Queued live/f", "s Queued live/g")
		if r, _ := b.db.Schedule(b.ctx, "s"); r.Poll.Value.Problem != "" {
			t.Errorf("%s: %s", mode, r.Poll.Value.Problem)
		}
	}
}

// all_of over two datastores with files of the same name.
func TestAllOfSameNames(t *testing.T) {
	b := newBetween(t)
	b.create("s", `{"type":"datastore","all_of":[{"datastore":"hot","path_on_datastore":"in"},{"datastore":"inbox","path_on_datastore":"in"}],"within":"10m"}`)
	b.pass(time.Second)
	b.put("in/x")
	b.told("inbox", b.inbox.Put("in/x", b.now), b.now)
	all := b.occurrences()
	if len(all) != 1 || all[0].Changes != 2 {
		t.Errorf("%d occurrences, changes %v", len(all), all)
	}
}
