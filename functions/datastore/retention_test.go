package datastore_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/shared/schedule"
	"carillon/shared/store"
)

// finish ends every run that is under way.
func (b *between) finish() {
	b.t.Helper()
	for _, o := range b.occurrences() {
		if o.Status.Final() {
			continue
		}
		stored, err := b.db.Occurrence(b.ctx, o.ID)
		if err != nil {
			b.t.Fatal(err)
		}
		if err := b.db.Save(b.ctx, []store.Change{{From: stored, To: stored.Value.CalledOff("me", b.now)}})[0]; err != nil {
			b.t.Fatal(err)
		}
	}
}

// prune has the clock delete what is older than a day.
func (b *between) prune() {
	b.t.Helper()
	b.clock.Retention = 24 * time.Hour
	b.now = b.now.Truncate(time.Minute).Add(time.Minute)
	_ = b.clock.Tick(b.ctx, b.now, b.now) // that the store is down is no error of this test
	b.clock.Retention = 0
}

// kept are the kinds of rows that changes leave, with how many of each there are.
func (b *between) kept() string {
	var text []string
	for _, kind := range []string{"occ", "log", "chg", "old", "once", "path"} {
		if n := len(rowsOf(b.t, b.rows, kind+"|")); n > 0 {
			text = append(text, kind+strings.Repeat("+", n))
		}
	}
	return strings.Join(text, " ")
}

// When an occurrence is forgotten, all that its changes have left is, except what is remembered of a newer version.
func TestRetention(t *testing.T) {
	const each, batch = `{"type":"datastore","datastore":"hot"}`, minuteBatch
	for _, row := range []struct {
		name, trigger string
		old, young    func(b *between)
		want          string // is kept
	}{
		{"each", each, func(b *between) { b.put("a"); b.put("b") }, nil, ""},
		{"each, and a newer version", each, func(b *between) { b.put("a"); b.put("b") }, func(b *between) { b.put("a") }, "occ+ log+ once+ path+"},
		{"gone and superseded", each, func(b *between) {
			f := b.hot.Put("a", b.now)
			b.hot.Delete("a")
			b.told("hot", f, b.now)
			g := b.hot.Put("b", b.now)
			b.put("b")
			b.told("hot", g, b.now)
			b.want("s Queued b", "s Skipped gone a", "s Skipped superseded b")
		}, nil, ""},
		{"batch", batch, func(b *between) { b.put("a"); b.put("b") }, nil, ""},
		{"batch, with versions that were replaced", batch, func(b *between) {
			for range 5 {
				b.put("a")
				b.now = b.now.Add(time.Second)
				b.put("b")
				b.put("b")
			}
		}, nil, ""},
		{"batch, and a newer version", batch, func(b *between) { b.put("a"); b.put("b"); b.put("b") }, func(b *between) { b.put("b"); b.pass(2 * time.Minute) }, "occ+ log+ chg+ once+ path+"},
		{"batch, and a window that is open", batch, func(b *between) { b.put("a") },
			func(b *between) { b.put("a"); b.put("a") }, "chg+ old+ once++ path+"},
	} {
		for call, more := 1, true; more; call++ { // it is killed before each call, and the next tick goes on
			b := newBetween(t)
			b.create("s", row.trigger)
			b.pass(time.Second)
			row.old(b)
			b.pass(2 * time.Minute)
			b.finish()
			b.now = b.now.Add(48 * time.Hour)
			if row.young != nil {
				row.young(b)
			}
			b.beforeCall(call, func() { b.down.Store(true) })
			b.prune()
			more = b.hook.Swap(nil) == nil
			b.down.Store(false)
			b.prune()
			if got := b.kept(); got != row.want {
				t.Fatalf("%s, killed before call %d: kept are %s, want %s", row.name, call, got, row.want)
			}
		}
	}
}

// What has been forgotten does not fire again: folders are remembered by what listings have shown.
func TestForgottenChangesStayFired(t *testing.T) {
	b := newBetween(t)
	b.create("s", polled)
	b.pass(time.Second)
	b.inbox.Put("in/a", b.now)
	b.wait(10 * time.Minute)
	b.finish()
	b.now = b.now.Add(48 * time.Hour)
	b.prune()
	if got := b.kept(); got != "" {
		t.Errorf("kept are %s", got)
	}
	b.wait(20 * time.Minute)
	b.want()
	b.inbox.Put("in/a", b.now)
	b.wait(10 * time.Minute)
	b.want("s Queued in/a")
}

// The changes of one window are more than one read or one transaction holds.
func TestRetentionOfALargeWindow(t *testing.T) {
	b := newBetween(t)
	b.create("s", `{"type":"datastore","datastore":"hot","recursive":true,"mode":"batch","polling_interval":1}`)
	b.pass(time.Second)
	const changes = 2500
	for i := range changes {
		b.hot.Put(fmt.Sprint("d/f", i), b.now)
	}
	renamed := fmt.Appendf(nil, `{"datastore":"hot","path":"d","directory":true}`)
	if err := b.function.Handle(b.ctx, renamed); err != nil {
		t.Fatal(err)
	}
	b.pass(2 * time.Minute)
	if o := b.occurrences(); len(o) != 1 || o[0].Changes != changes || len(changesOf(t, b.db, o[0].ID)) != changes {
		t.Errorf("%v", o)
	}
	b.finish()
	b.now = b.now.Add(48 * time.Hour)
	for ticks := 0; b.kept() != "" && ticks < 100; ticks++ { // in bites
		b.prune()
	}
	if got := len(b.kept()); got != 0 {
		t.Errorf("%d are kept", got)
	}
}

// Changes that wait for a folder that never changes go after three months, also the versions that were replaced: what is
// kept is bounded by what comes in that time.
func TestWhatWaitsForOtherFoldersDoesNotGrow(t *testing.T) {
	for _, within := range []string{"", `,"within":"1h"`} {
		b := newBetween(t)
		b.create("s", `{"type":"datastore","all_of":[{"datastore":"hot","path_on_datastore":"x"},{"datastore":"hot","path_on_datastore":"y"}]`+within+`}`)
		b.pass(time.Second)
		most := 0
		for day := range 400 {
			b.put(fmt.Sprint("x/f", day%7))
			b.put("x/always")
			b.put(fmt.Sprint("x/of-day-", day))
			b.now = b.now.Add(24 * time.Hour)
			most = max(most, len(rowsOf(t, b.rows, "once|"))+len(rowsOf(t, b.rows, "old|"))+len(rowsOf(t, b.rows, "path|"))+len(rowsOf(t, b.rows, "chg|")))
		}
		if most > 4*3*95 || most < 500 {
			t.Errorf("within %q: %d rows were kept at the most", within, most)
		}
		b.put("x/always") // the others are stale by now
		b.put("y/a")
		b.pass(2 * time.Second)
		o := b.occurrences()
		if len(o) != 1 || within != "" && o[0].Changes != 2 || within == "" && (o[0].Changes < 90 || o[0].Changes > 100) {
			t.Fatalf("within %q: %+v", within, o)
		}
	}
}

// Files of one second run in the order in which they came.
func TestOrderWithinASecond(t *testing.T) {
	b := newBetween(t)
	b.create("s", `{"type":"datastore","datastore":"hot"}`, `"overlap":"buffer_all"`)
	b.pass(time.Second)
	b.now = b.now.Truncate(time.Second)
	var want []string
	for i := range 9 {
		b.now = b.now.Add(100 * time.Millisecond)
		b.put(fmt.Sprint(i * 7 % 9))
		want = append(want, fmt.Sprint(i*7%9))
	}
	var got []string
	for range want {
		b.pass(2 * time.Second)
		for _, r := range b.fake.Runs() {
			if r.Report.Status == schedule.Queued {
				b.fake.Finish(r.ID, schedule.Completed, "")
				o, _ := b.db.Occurrence(b.ctx, r.Submission.Occurrence)
				got = append(got, o.Value.Change.Path)
				if err := b.db.Save(b.ctx, []store.Change{{From: o, To: o.Value.Observed(schedule.Observation{Status: schedule.Completed}, b.now)}})[0]; err != nil {
					t.Fatal(err)
				}
			}
		}
		b.now = b.now.Add(2 * time.Minute) // the clock brings the next on
	}
	if !slices.Equal(got, want) {
		t.Errorf("they ran in the order %v, and came as %v", got, want)
	}
}
