package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"carillon/shared/schedule"
	"carillon/shared/store"
)

// watch creates a schedule that watches the folder in of a datastore, by each change or by windows.
func watch(t *testing.T, db *store.DB, name string, mode schedule.Mode) schedule.Schedule {
	t.Helper()
	d := schedule.Definition{Name: name, Experiment: "e", Status: schedule.Active}
	d.Trigger.Kind = schedule.KindDatastore
	d.Trigger.Watch = &schedule.Watch{Folder: schedule.Folder{Datastore: "inbox", Path: "in"}, Mode: mode}
	s := schedule.New(d, store.NewScheduleID(name), "me", start)
	if err := db.Create(ctx, s); err != nil {
		t.Fatal(err)
	}
	return s
}

func change(path, etag string, at time.Time) schedule.Change {
	return schedule.Change{Datastore: "inbox", Path: path, ETag: etag, Modified: at, At: at}
}

func read(t *testing.T, db *store.DB, name string) store.Record {
	t.Helper()
	r, err := db.Schedule(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func seen(t *testing.T, db *store.DB, s schedule.Schedule, path string) store.Stored[schedule.Seen] {
	t.Helper()
	x, err := db.Seen(ctx, s.ID, "inbox", path)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// takeOf is what a change means for a schedule of mode each.
func takeOf(s schedule.Schedule, from store.Stored[schedule.Seen], c schedule.Change) store.Take {
	o := s.Occurs(c, c.At)
	return store.Take{ScheduleID: s.ID, From: from, To: &schedule.Seen{Change: c, Result: schedule.Fired, Occurrence: o.ID}, Occurrence: o}
}

func TestTake(t *testing.T) {
	db, driver := open(t)
	s := watch(t, db, "s", schedule.ModeEach)
	none := seen(t, db, s, "in/a")
	if none.Known() {
		t.Error("something is known of a file that never came")
	}
	first, second := change("in/a", "1", start), change("in/a", "2", start.Add(time.Second))
	take := func(from store.Stored[schedule.Seen], c schedule.Change) error {
		return db.Take(ctx, []store.Take{takeOf(s, from, c)})[0]
	}
	if err := take(none, first); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"the same again":                 take(none, first),
		"a newer one, and nothing known": take(none, second),
		"the same, and it is known":      take(seen(t, db, s, "in/a"), first),
	} {
		if !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: %v", what, err)
		}
	}
	known := seen(t, db, s, "in/a")
	if !known.Known() || known.Value.ETag != "1" || known.Value.Result != schedule.Fired {
		t.Errorf("known is %+v", known)
	}
	if err := take(known, second); err != nil {
		t.Error(err)
	}
	for etag, want := range map[string]bool{"1": true, "2": true, "3": false} {
		if got, err := db.Taken(ctx, s.ID, change("in/a", etag, start)); err != nil || got != want {
			t.Errorf("version %s was taken: %v, %v", etag, got, err)
		}
	}
	if n := rows(t, driver); n["occ"] != 2 || n["once"] != 2 || n["path"] != 1 {
		t.Errorf("rows %v", n)
	}
	other := watch(t, db, "other", schedule.ModeEach)
	if err := db.Take(ctx, []store.Take{takeOf(other, seen(t, db, other, "in/a"), first)})[0]; err != nil {
		t.Errorf("another schedule: %v", err)
	}
}

// Takes of several schedules at once: one that meets a conflict does not hold back the others.
func TestTakesAreApart(t *testing.T) {
	db, _ := open(t)
	var takes []store.Take
	for i := range 10 {
		s := watch(t, db, fmt.Sprint("s", i), schedule.ModeEach)
		for k := range 12 {
			takes = append(takes, takeOf(s, store.Stored[schedule.Seen]{}, change(fmt.Sprint("in/", k), "1", start)))
		}
	}
	if err := errors.Join(db.Take(ctx, takes[30:33])...); err != nil {
		t.Fatal(err)
	}
	for i, err := range db.Take(ctx, takes) {
		if conflict := errors.Is(err, store.ErrConflict); conflict != (30 <= i && i < 33) {
			t.Errorf("take %d: %v", i, err)
		}
	}
}

// A record of a version that did not fire leaves what is remembered of its file.
func TestTakeOfARecord(t *testing.T) {
	db, driver := open(t)
	s := watch(t, db, "s", schedule.ModeEach)
	c := change("in/a", "1", start)
	o := s.Gone(c, start)
	for i, want := range []bool{false, true} {
		err := db.Take(ctx, []store.Take{{ScheduleID: s.ID, Occurrence: o}})[0]
		if errors.Is(err, store.ErrConflict) != want || !want && err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	if n := rows(t, driver); n["path"] != 0 || n["once"] != 1 || n["occ"] != 1 {
		t.Errorf("rows %v", n)
	}
}

// windowed is a schedule with windows, and what joins them.
type windowed struct {
	t  *testing.T
	db *store.DB
	s  schedule.Schedule
}

// gather adds changes to the window of the record, in a lane, or opens one.
func (w windowed) gather(r store.Record, lane int, changes ...schedule.Change) error {
	w.t.Helper()
	g := store.Gather{Record: r, Lane: lane}
	window := r.Window.Value
	if !r.Window.Known() {
		window = w.s.Opens("x", changes[0].At)
		g.Opens = &window
	} else {
		var err error
		if g.From, err = w.db.Lane(ctx, window, lane); err != nil {
			return err
		}
	}
	g.To = g.From.Value
	for _, c := range changes {
		x := store.Gathered{From: seen(w.t, w.db, w.s, c.Path), Change: c}
		more := 1
		if x.Replaces(window.Occurrence) {
			more = 0
		}
		g.To, g.Takes = g.To.Counted(c, more, 0), append(g.Takes, x)
	}
	return w.db.Gather(ctx, g)
}

func (w windowed) close(r store.Record, now time.Time) (schedule.Occurrence, error) {
	w.t.Helper()
	lanes, err := w.db.Lanes(ctx, w.s.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	o := r.Window.Value.Closed(store.Total(lanes), now)
	return o, w.db.Close(ctx, r, lanes, o)
}

// listed are the paths and versions in an occurrence's window, in pages of two.
func (w windowed) listed(occurrence string) (out []string) {
	w.t.Helper()
	for token, first := "", true; first || token != ""; first = false {
		page, next, err := w.db.ChangesOf(ctx, occurrence, token, 2)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, c := range page {
			out = append(out, c.Path+"="+c.ETag)
		}
		token = next
	}
	return out
}

func TestWindow(t *testing.T) {
	db, driver := open(t)
	w := windowed{t, db, watch(t, db, "s", schedule.ModeBatch)}
	before := read(t, db, "s")
	sec := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
	if err := w.gather(before, 3, change("in/a", "1", sec(0)), change("in/b", "1", sec(0))); err != nil {
		t.Fatal(err)
	}
	if err := w.gather(before, 1, change("in/c", "1", sec(0))); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a second window opens: %v", err)
	}
	open := read(t, db, "s")
	if err := w.gather(open, 5, change("in/a", "2", sec(1)), change("in/c", "1", sec(1))); err != nil {
		t.Fatal(err)
	}
	if err := w.gather(open, 3, change("in/a", "2", sec(2))); !errors.Is(err, store.ErrConflict) {
		t.Errorf("the same change again: %v", err)
	}
	if n := rows(t, driver); n["lane"] != schedule.Lanes || n["chg"] != 3 || n["old"] != 1 || n["once"] != 4 || n["path"] != 3 {
		t.Errorf("rows %v", n)
	}
	o, err := w.close(open, sec(300))
	if err != nil || o.Changes != 3 {
		t.Fatalf("closed with %d changes, %v", o.Changes, err)
	}
	if got, want := w.listed(o.ID), []string{"in/a=2", "in/c=1", "in/b=1"}; !slices.Equal(sorted(got), sorted(want)) {
		t.Errorf("the window has %v, want %v", got, want)
	}
	if _, err := w.close(open, sec(300)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("closed again: %v", err)
	}
	if err := w.gather(open, 3, change("in/d", "1", sec(301))); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a change joins a window that is closed: %v", err)
	}
	if n := rows(t, driver); n["lane"] != 0 || n["sch"] != 4 || n["occ"] != 1 || n["wake"] != 2 { // the occurrence, and the first look
		t.Errorf("rows after it has closed %v", n)
	}
	if err := w.gather(read(t, db, "s"), 3, change("in/a", "3", sec(302))); err != nil {
		t.Error(err)
	}
	if x := seen(t, db, w.s, "in/a"); x.Value.Occurrence == o.ID || x.Value.ETag != "3" {
		t.Errorf("known of the file is %+v", x.Value)
	}
	if got := w.listed(o.ID); len(got) != 3 {
		t.Errorf("the next window takes from the closed one: %v", got)
	}
}

func sorted(texts []string) []string {
	slices.Sort(texts)
	return texts
}

// A window does not close over a change that joins meanwhile, in whatever lane; it does over a new time to look at it.
func TestCloseSeesWhatJoins(t *testing.T) {
	for lane := range schedule.Lanes {
		db, _ := open(t)
		w := windowed{t, db, watch(t, db, "s", schedule.ModeBatch)}
		if err := w.gather(read(t, db, "s"), 0, change("in/a", "1", start)); err != nil {
			t.Fatal(err)
		}
		r := read(t, db, "s")
		lanes, err := db.Lanes(ctx, w.s.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.gather(r, lane, change("in/b", "1", start)); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(ctx, r, lanes, r.Window.Value.Closed(store.Total(lanes), start.Add(time.Hour))); !errors.Is(err, store.ErrConflict) {
			t.Errorf("lane %d: %v", lane, err)
		}
		if o, err := w.close(r, start.Add(time.Hour)); err != nil || o.Changes != 2 {
			t.Errorf("lane %d: %d changes, %v", lane, o.Changes, err)
		}
	}
}

// A change that has read of a window which has closed finds none of its rows, though the next one is open.
func TestLanesBelongToTheirWindow(t *testing.T) {
	db, _ := open(t)
	w := windowed{t, db, watch(t, db, "s", schedule.ModeBatch)}
	if err := w.gather(read(t, db, "s"), 0, change("in/a", "1", start)); err != nil {
		t.Fatal(err)
	}
	first := read(t, db, "s")
	lane, err := db.Lane(ctx, first.Window.Value, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.close(first, start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := w.gather(read(t, db, "s"), 0, change("in/b", "1", start.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Lane(ctx, first.Window.Value, 0); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a lane of the first window: %v", err)
	}
	c := change("in/c", "1", start.Add(time.Hour))
	err = db.Gather(ctx, store.Gather{Record: first, From: lane, To: lane.Value.Counted(c, 1, 0), Takes: []store.Gathered{{Change: c}}})
	if !errors.Is(err, store.ErrConflict) {
		t.Errorf("a change joins the window that is closed: %v", err)
	}
}

// As many changes as one Gather takes, each in the place of another, are one transaction.
func TestGatherMost(t *testing.T) {
	db, _ := open(t)
	w := windowed{t, db, watch(t, db, "s", schedule.ModeBatch)}
	for version := range 3 {
		var changes []schedule.Change
		for i := range store.GatherMost {
			changes = append(changes, change(fmt.Sprint("in/", i), fmt.Sprint(version), start.Add(time.Duration(version)*time.Second)))
		}
		if err := w.gather(read(t, db, "s"), 0, changes...); err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
	}
	o, err := w.close(read(t, db, "s"), start.Add(time.Hour))
	if err != nil || o.Changes != store.GatherMost || len(w.listed(o.ID)) != store.GatherMost {
		t.Errorf("%d changes, %v", o.Changes, err)
	}
}

// all_of: the change that completes it takes the window away, with everything that was held.
func TestGatherCompletes(t *testing.T) {
	db, driver := open(t)
	d := schedule.Definition{Name: "s", Experiment: "e", Status: schedule.Active}
	d.Trigger.Kind = schedule.KindDatastore
	d.Trigger.Watch = &schedule.Watch{AllOf: []schedule.Folder{{Datastore: "inbox", Path: "a"}, {Datastore: "inbox", Path: "b"}}}
	s := schedule.New(d, store.NewScheduleID("s"), "me", start)
	if err := db.Create(ctx, s); err != nil {
		t.Fatal(err)
	}
	window := s.Opens("x", start)
	one, two := change("a/1", "1", start), change("b/1", "1", start)
	two.Part = 1
	g := store.Gather{Record: read(t, db, "s"), Opens: &window, To: schedule.Lane{}.Counted(one, 1, 2), Takes: []store.Gathered{{Change: one}}}
	if err := db.Gather(ctx, g); err != nil {
		t.Fatal(err)
	}
	if n := rows(t, driver); n["lane"] != 1 || n["wake"] != 1 { // the first look
		t.Errorf("rows of an open window %v", n)
	}
	lane, err := db.Lane(ctx, window, 0)
	if err != nil {
		t.Fatal(err)
	}
	o := window.Completed(s, two, lane.Value.Counted(two, 1, 2), start)
	g = store.Gather{Record: read(t, db, "s"), From: lane, Takes: []store.Gathered{{Change: two}}, Completes: &o}
	for i, want := range []bool{false, true} {
		if err := db.Gather(ctx, g); errors.Is(err, store.ErrConflict) != want || !want && err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	if n := rows(t, driver); n["lane"] != 0 || n["chg"] != 2 || n["occ"] != 1 || read(t, db, "s").Window.Known() {
		t.Errorf("rows %v", n)
	}
}

// A window cannot open while its schedule is deleted, nor is one left behind that opens meanwhile.
func TestWindowsOfDeletedSchedules(t *testing.T) {
	db, driver := open(t)
	w := windowed{t, db, watch(t, db, "s", schedule.ModeBatch)}
	stale := read(t, db, "s")
	remove := func() error {
		return db.Delete(ctx, "s", "me", start, func(schedule.Schedule) error { return nil })
	}
	if err := remove(); err != nil {
		t.Fatal(err)
	}
	if err := w.gather(stale, 0, change("in/a", "1", start)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a window opens for a schedule that is gone: %v", err)
	}
	w.s = watch(t, db, "s", schedule.ModeBatch)
	if err := w.gather(read(t, db, "s"), 0, change("in/a", "1", start)); err != nil {
		t.Fatal(err)
	}
	if err := remove(); err != nil {
		t.Fatal(err)
	}
	all, _, err := db.Occurrences(ctx, "", 10, func(schedule.Occurrence) bool { return true })
	if err != nil || len(all) != 1 || all[0].Reason != schedule.ReasonDeleted || all[0].Changes != 1 {
		t.Errorf("the record of the open window: %+v, %v", all, err)
	}
	if n := rows(t, driver); n["lane"] != 0 || n["sch"] != 0 {
		t.Errorf("rows %v", n)
	}
	for _, kind := range []store.Mark{store.Looking, store.Closing} {
		if found, _ := marks(t, db, kind, start.Add(time.Hour)); len(found) != 0 {
			t.Errorf("the clock has %v", found)
		}
	}
}

func TestReset(t *testing.T) {
	db, driver := open(t)
	w := windowed{t, db, watch(t, db, "s", schedule.ModeBatch)}
	if err := w.gather(read(t, db, "s"), 0, change("in/a", "1", start)); err != nil {
		t.Fatal(err)
	}
	r := read(t, db, "s")
	later := r.Window.Value
	later.Wake = later.Wake.Add(time.Minute)
	if err := db.Reset(ctx, r, later); err != nil {
		t.Fatal(err)
	}
	if err := db.Reset(ctx, r, later); !errors.Is(err, store.ErrConflict) {
		t.Errorf("reset again: %v", err)
	}
	if _, err := w.close(r, start.Add(time.Hour)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("closed as it was: %v", err)
	}
	if _, err := w.close(read(t, db, "s"), start.Add(time.Hour)); err != nil {
		t.Error(err)
	}
	if n := rows(t, driver)["wake"]; n != 2 {
		t.Errorf("%d rows of the clock, want those of the occurrence and of the first look", n)
	}
}
