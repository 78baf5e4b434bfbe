package datastore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/source"
	"carillon/shared/store/storetest"
)

const polled = `{"type":"datastore","datastore":"inbox","path_on_datastore":"in"}`

// wait is pass in longer steps.
func (b *between) wait(d time.Duration) {
	for end := b.now.Add(d); b.now.Before(end); b.now = b.now.Add(20 * time.Second) {
		b.pass(0)
	}
}

func (b *between) lookAt(name string) error {
	return b.function.Handle(b.ctx, queue.Marks{Look: []string{name}}.Bodies()[0])
}

// fill puts files that were there long before anything else.
func (b *between) fill(folder string, n int) {
	for i := range n {
		b.inbox.Put(fmt.Sprintf("%s/f%02d", folder, i), began.Add(-time.Hour))
	}
}

// remembers fails the test when the next look does not find everything as it remembers it.
func (b *between) remembers(name string) {
	b.t.Helper()
	b.now = b.now.Add(10 * time.Minute)
	fits := func(c storetest.Call) bool {
		for _, op := range c.Ops {
			if op.Sort[:4] == "see|" && op.Kind != 3 {
				return true
			}
		}
		return false
	}
	b.hook.Store(&hook{fits: fits, do: func() { b.t.Error("a look at what has not changed remembers it anew") }})
	if err := b.lookAt(name); err != nil {
		b.t.Error(err)
	}
	b.hook.Store(nil)
	if r, err := b.db.Schedule(b.ctx, name); err != nil || r.Poll.Value.Looked.Before(b.now.Add(-time.Second)) {
		b.t.Errorf("no complete look: %+v, %v", r.Poll.Value, err)
	}
}

// A look is held up before any of its calls, for longer than its lease; another begins, and dies before any of its
// calls or comes to its end; then the first goes on. Nothing fires that was there before, and what is new fires once.
func TestLookIsHeldUp(t *testing.T) {
	for _, first := range []bool{true, false} {
		for held, came := 1, true; came; held++ {
			for died, whole := 1, false; came && !whole; died++ {
				b := newBetween(t)
				b.fill("in", 5)
				b.create("s", polled)
				if first {
					b.now = b.now.Add(2 * time.Second)
				} else {
					b.pass(time.Second)
					b.now = b.now.Add(6 * time.Minute)
				}
				b.inbox.Put("in/a", b.now) // shifts all pages
				came = false
				b.beforeCall(held, func() {
					came = true
					b.now = b.now.Add(6 * time.Minute)
					b.inbox.Put("in/b", b.now)
					b.beforeCall(died, func() { b.down.Store(true) })
					b.lookAt("s")
					whole = b.hook.Swap(nil) != nil
					b.down.Store(false)
				})
				if err := b.lookAt("s"); err != nil {
					t.Error(err)
				}
				if b.hook.Store(nil); !came {
					break
				}
				for range 3 {
					b.now = b.now.Add(6 * time.Minute)
					if err := b.lookAt("s"); err != nil {
						t.Error(err)
					}
					b.deliver()
				}
				b.want("s Queued in/a", "s Queued in/b")
				b.remembers("s")
				if t.Failed() {
					t.Fatalf("first look %v, held up before call %d, while another died before call %d", first, held, died)
				}
			}
		}
	}
}

// The folder of a schedule is changed while a look is under way: what the look finds and remembers is of no account.
func TestFolderChangesWhileALookIsUnderWay(t *testing.T) {
	for call := 1; ; call++ {
		b := newBetween(t)
		b.fill("in", 10)
		b.fill("other", 10)
		b.create("s", polled)
		b.pass(time.Second)
		b.now = b.now.Add(6 * time.Minute)
		b.inbox.Put("in/a", b.now)
		came := false
		b.beforeCall(call, func() {
			came = true
			b.edit("s", func(d *schedule.Definition) {
				d.Trigger = trigger(t, `{"type":"datastore","datastore":"inbox","path_on_datastore":"other"}`)
			})
			b.pass(time.Second)
		})
		if err := b.lookAt("s"); err != nil {
			t.Error(err)
		}
		if !came {
			break
		}
		b.wait(6 * time.Minute)
		b.inbox.Put("other/a", b.now)
		b.inbox.Put("in/b", b.now)
		b.wait(6 * time.Minute)
		runs := b.runs()
		if n := len(runs); n == 0 || n > 2 || runs[n-1] != "s Queued other/a" || n == 2 && runs[0] != "s Queued in/a" {
			t.Errorf("changed before call %d: %v", call, runs)
		}
		b.remembers("s")
	}
}

// The schedule is deleted while a look is under way: it leaves nothing behind.
func TestDeletionWhileALookIsUnderWay(t *testing.T) {
	for call := 1; ; call++ {
		b := newBetween(t)
		b.fill("in", 10)
		b.create("s", polled)
		b.pass(time.Second)
		b.now = b.now.Add(6 * time.Minute)
		b.inbox.Put("in/a", b.now)
		came := false
		b.beforeCall(call, func() {
			came = true
			if err := b.db.Delete(b.ctx, "s", "me", b.now, func(schedule.Schedule) error { return nil }); err != nil {
				t.Error(err)
			}
			b.pass(time.Second)
		})
		_ = b.lookAt("s") // that it is gone may be an error: the next call finds nothing
		if !came {
			break
		}
		b.pass(time.Minute)
		for _, row := range b.left() {
			t.Errorf("deleted before call %d: row %s is left", call, row)
		}
	}
}

// left are the rows that no occurrence answers for.
func (b *between) left() (out []string) {
	for _, kind := range []string{"see", "lane", "sch", "wake"} {
		for _, row := range rowsOf(b.t, b.rows, kind+"|") {
			out = append(out, row.Sort)
		}
	}
	return out
}

// A schedule of several folders whose look was interrupted in the last goes on to look at the others.
func TestInterruptedLookGoesOnLooking(t *testing.T) {
	b := newBetween(t)
	for i := range 10 {
		b.hot.Put(fmt.Sprintf("in/f%02d", i), began.Add(-time.Hour))
	}
	b.hot.PageSize = 3
	b.create("s", `{"type":"datastore","all_of":[{"datastore":"inbox","path_on_datastore":"in"},{"datastore":"hot","path_on_datastore":"in"}],"process_existing":true}`)
	b.hot.Before = func(op string) error {
		if op == "List" {
			b.now = b.now.Add(3 * time.Minute) // a slow datastore
		}
		return nil
	}
	b.pass(30 * time.Minute)
	b.want()
	b.inbox.Put("in/a", b.now)
	b.pass(10 * time.Minute)
	if got := b.runs(); len(got) != 1 {
		t.Errorf("runs %v, want one", got)
	}
}

// settling is a source with exact times that marks files that were written within the last half second, as folders do.
type settling struct {
	source.Source
	now   func() time.Time
	times map[string]time.Time
}

func (s settling) exact(f source.File) source.File {
	f.Modified = s.times[f.Path]
	f.Unsettled = s.now().Sub(f.Modified) < 500*time.Millisecond
	return f
}

func (s settling) List(ctx context.Context, folder string, recursive bool, token string) (source.Page, error) {
	page, err := s.Source.List(ctx, folder, recursive, token)
	for i, f := range page.Files {
		page.Files[i] = s.exact(f)
	}
	return page, err
}

func (s settling) Stat(ctx context.Context, path string) (source.File, error) {
	f, err := s.Source.Stat(ctx, path)
	return s.exact(f), err
}

// A file that was written right before its schedule was created never fires, however often its folder is looked at while it
// has not settled; one that was written right after it fires once.
func TestLooksAtWhatHasNotSettled(t *testing.T) {
	for looks := range 4 {
		b := newBetween(t)
		at := settling{b.inbox, func() time.Time { return b.now }, map[string]time.Time{}}
		b.function.Datastores = source.NewDatastores(func() ([]source.Datastore, error) {
			return []source.Datastore{{Name: "inbox", Source: at}}, nil
		}, nil)
		at.times["in/before"], at.times["in/after"] = b.now.Add(-50*time.Millisecond), b.now.Add(-5*time.Millisecond) // by a clock that is a tick behind
		b.inbox.Put("in/before", b.now)
		b.create("s", polled)
		b.inbox.Put("in/after", b.now)
		for range looks {
			if err := b.lookAt("s"); err != nil {
				t.Fatal(err)
			}
			b.now = b.now.Add(100 * time.Millisecond)
			r, err := b.db.Schedule(b.ctx, "s")
			if err != nil {
				t.Fatal(err)
			}
			if err := b.db.SavePoll(b.ctx, r, r.Poll.Value.Now(b.now)); err != nil { // it was started anew
				t.Fatal(err)
			}
		}
		b.wait(6 * time.Minute)
		b.want("s Queued in/after")
	}
}
