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

// marks are what the clock finds until an instant of one kind.
func marks(t *testing.T, db *store.DB, kind store.Mark, until time.Time) (found []store.Wake, shard int) {
	t.Helper()
	for k := range store.Shards {
		wakes, _, err := db.Wakes(ctx, k, until, "", 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range wakes {
			if w.Mark == kind {
				found, shard = append(found, w), k
			}
		}
	}
	return found, shard
}

func TestPollState(t *testing.T) {
	db, _ := open(t)
	watch(t, db, "s", schedule.ModeEach)
	r := read(t, db, "s")
	if found, _ := marks(t, db, store.Looking, start.Add(time.Second)); len(found) != 1 || found[0].Schedule != "s" || r.Poll.Value.Pass == nil || !r.Poll.Value.Pass.First {
		t.Fatalf("a new schedule is looked at: %v, %+v", found, r.Poll.Value)
	}
	begun, err := db.HoldPoll(ctx, r, r.Poll.Value.Begun(true, start), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if found, _ := marks(t, db, store.Looking, start.Add(schedule.PollLease-time.Second)); len(found) != 0 {
		t.Errorf("it is looked at again within the lease: %v", found)
	}
	for what, err := range map[string]error{
		"saved by another": db.SavePoll(ctx, r, r.Poll.Value.Rests()),
		"begun by another": second(db.HoldPoll(ctx, r, r.Poll.Value.Begun(true, start), nil, nil)),
		"held by another":  second(db.HoldPoll(ctx, r, begun.Poll.Value, []store.Page{{Number: 1, Generation: 1}}, nil)),
		"is it another's":  db.Holds(ctx, r),
	} {
		if !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := db.Holds(ctx, begun); err != nil {
		t.Errorf("it is one's own: %v", err)
	}
	held, err := db.HoldPoll(ctx, begun, begun.Poll.Value, []store.Page{{Number: 0, Generation: 1, Digests: []uint64{1, 2}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.SavePoll(ctx, begun, begun.Poll.Value); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a step back: %v", err)
	}
	next := start.Add(time.Hour)
	if err := db.SavePoll(ctx, held, held.Poll.Value.Done(1, 1, 1, next, start)); err != nil {
		t.Fatal(err)
	}
	if found, _ := marks(t, db, store.Looking, next); len(found) != 1 || !found[0].At.Equal(next) {
		t.Errorf("the next look is %v, want one at %v", found, next)
	}
}

func second(_ store.Record, err error) error { return err }

func TestPages(t *testing.T) {
	db, driver := open(t)
	s := watch(t, db, "s", schedule.ModeEach)
	r := read(t, db, "s")
	full := make([]uint64, store.MaxDigests)
	for i := range full {
		full[i] = uint64(i) * 0x9E3779B97F4A7C15
	}
	put := []store.Page{
		{Number: 0, Generation: 1, Digests: full}, {Number: 0, Generation: 2, Digests: []uint64{7}},
		{Number: 1, Generation: 1, Digests: nil}, {Number: 10, Generation: 10, Digests: []uint64{8, 9}}, {Number: 2, Generation: 1, Digests: []uint64{1}},
	}
	r, err := db.HoldPoll(ctx, r, r.Poll.Value, put, nil)
	if err != nil {
		t.Fatal(err)
	}
	told := func(from, max int) (out []string) {
		t.Helper()
		pages, err := db.Pages(ctx, s.ID, from, max)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pages {
			out = append(out, fmt.Sprintf("%d.%d:%d", p.Number, p.Generation, len(p.Digests)))
		}
		return out
	}
	if got, want := told(0, 100), []string{"0.1:5000", "0.2:1", "1.1:0", "2.1:1", "10.10:2"}; !slices.Equal(got, want) {
		t.Errorf("pages %v, want %v", got, want)
	}
	if got, want := told(1, 2), []string{"1.1:0", "2.1:1"}; !slices.Equal(got, want) {
		t.Errorf("two pages from the first: %v, want %v", got, want)
	}
	pages, err := db.Pages(ctx, s.ID, 0, 1)
	if err != nil || !slices.Equal(pages[0].Digests, full) {
		t.Errorf("the first page is not what was written: %v", err)
	}
	all, err := db.Pages(ctx, s.ID, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	if r, err = db.HoldPoll(ctx, r, r.Poll.Value, nil, all[3:]); err != nil {
		t.Fatal(err)
	}
	if err := db.DropPages(ctx, s.ID, all[:1]); err != nil {
		t.Error(err)
	}
	if err := db.DropPages(ctx, s.ID, all[:1]); err != nil {
		t.Errorf("what is gone already: %v", err)
	}
	if got, want := told(0, 100), []string{"0.2:1", "1.1:0"}; !slices.Equal(got, want) {
		t.Errorf("left are %v, want %v", got, want)
	}
	if _, err := db.HoldPoll(ctx, r, r.Poll.Value, put[:1], all[:1]); err == nil {
		t.Error("a page is put and dropped at once")
	}
	if n := rows(t, driver)["see"]; n != 2 {
		t.Errorf("%d rows", n)
	}
}

// An edit that gives a new baseline takes the look away from whoever looks, in that very second too.
func TestEditsTakeALookAway(t *testing.T) {
	for _, begin := range []bool{false, true} {
		db, _ := open(t)
		watch(t, db, "s", schedule.ModeEach)
		r := read(t, db, "s")
		if begin {
			var err error
			if r, err = db.HoldPoll(ctx, r, r.Poll.Value.Begun(true, start), nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		_, err := db.Edit(ctx, "s", start, func(s schedule.Schedule) (schedule.Schedule, error) {
			d := s.Definition
			folders(&d, schedule.Folder{Datastore: "inbox", Path: "other"})
			return s.Revise(d, "me", "", start), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.SavePoll(ctx, r, r.Poll.Value.Rests()); !errors.Is(err, store.ErrConflict) {
			t.Errorf("begun %v: the look goes on: %v", begin, err)
		}
		found, _ := marks(t, db, store.Looking, start.Add(time.Hour))
		if p := read(t, db, "s").Poll.Value; len(found) != 1 || !found[0].At.Equal(p.Wake) || p.Pass == nil || !p.Pass.First {
			t.Errorf("begun %v: marks %v, poll %+v", begin, found, p)
		}
	}
}

func TestLater(t *testing.T) {
	db, driver := open(t)
	w := windowed{t, db, watch(t, db, "s", schedule.ModeBatch)}
	if err := w.gather(read(t, db, "s"), 0, change("in/a", "1", start)); err != nil {
		t.Fatal(err)
	}
	far := start.Add(time.Hour)
	for _, kind := range []store.Mark{store.Looking, store.Closing} {
		found, shard := marks(t, db, kind, far)
		if len(found) != 1 {
			t.Fatalf("%s: %v", kind, found)
		}
		to := found[0].At.Add(time.Minute)
		if err := db.Later(ctx, shard, found, to)[0]; err != nil {
			t.Fatal(err)
		}
		if err := db.Later(ctx, shard, found, to)[0]; !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s moved twice: %v", kind, err)
		}
		again, _ := marks(t, db, kind, far)
		if len(again) != 1 || !again[0].At.Equal(to) {
			t.Errorf("%s was to be moved to %v: %v", kind, to, again)
		}
	}
	r := read(t, db, "s")
	found, shard := marks(t, db, store.Closing, far)
	if _, err := w.close(r, far); err != nil {
		t.Fatal(err)
	}
	if err := db.Later(ctx, shard, found, far)[0]; !errors.Is(err, store.ErrConflict) {
		t.Errorf("the mark of a closed window: %v", err)
	}
	if n := rows(t, driver)["wake"]; n != 2 {
		t.Errorf("%d rows of the clock, want those of the occurrence and of the first look", n)
	}
}

// What a deleted schedule leaves is forgotten in bites.
func TestForget(t *testing.T) {
	db, driver := open(t)
	s := watch(t, db, "s", schedule.ModeEach)
	var takes []store.Take
	for i := range 30 {
		takes = append(takes, takeOf(s, store.Stored[schedule.Seen]{}, change(fmt.Sprint("in/", i), "1", start)))
	}
	if err := errors.Join(db.Take(ctx, takes)...); err != nil {
		t.Fatal(err)
	}
	r := read(t, db, "s")
	for i := range 30 {
		var err error
		if r, err = db.HoldPoll(ctx, r, r.Poll.Value, []store.Page{{Number: i, Generation: 1}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Delete(ctx, "s", "me", start, func(schedule.Schedule) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if found, _ := marks(t, db, store.Looking, start.Add(time.Hour)); len(found) != 0 {
		t.Errorf("a deleted schedule is looked at: %v", found)
	}
	for bites := 1; ; bites++ {
		found, shard := marks(t, db, store.Forgetting, start.Add(time.Hour))
		if len(found) == 0 {
			if bites < 4 {
				t.Errorf("forgotten in %d bites of ten", bites-1)
			}
			break
		}
		if err := db.Forget(ctx, shard, found[0], 10); err != nil || bites > 10 {
			t.Fatal(bites, err)
		}
	}
	if n := rows(t, driver); n["path"]+n["see"]+n["rev"]+n["sch"] != 0 || n["once"] != 30 || n["occ"] != 30 {
		t.Errorf("left are %v", n)
	}
}
