package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"carillon/shared/schedule"
	"carillon/shared/store"
	"carillon/shared/store/storetest"
)

func folders(d *schedule.Definition, all ...schedule.Folder) {
	w := &schedule.Watch{Folder: all[0]}
	if len(all) > 1 {
		w = &schedule.Watch{AllOf: all}
	}
	d.Trigger = schedule.Trigger{Watch: w}
	d.Trigger.Kind = schedule.KindDatastore
}

func watched(t *testing.T, db *store.DB, name string, all ...schedule.Folder) schedule.Schedule {
	t.Helper()
	d := schedule.Definition{Name: name, Experiment: "e", Status: schedule.Active}
	folders(&d, all...)
	s := schedule.New(d, store.NewScheduleID(name), "me", start)
	if err := db.Create(ctx, s); err != nil {
		t.Fatal(err)
	}
	return s
}

// watching are the names of the schedules that the index has for a file.
func watching(t *testing.T, db *store.DB, datastore, file string, near bool) []string {
	t.Helper()
	all, err := db.Watchers(ctx, datastore, file, near)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, w := range all {
		names = append(names, w.Schedule)
	}
	slices.Sort(names)
	return names
}

func TestWatchers(t *testing.T) {
	db, _ := open(t)
	in := func(path string, recursive bool) schedule.Folder {
		return schedule.Folder{Datastore: "inbox", Path: path, Recursive: recursive}
	}
	watched(t, db, "root", in("", false))
	watched(t, db, "all", in("", true))
	watched(t, db, "a", in("a", false))
	watched(t, db, "a-deep", in("a", true))
	watched(t, db, "ab", in("a/b", false))
	watched(t, db, "ab-deep", in("a/b", true))
	watched(t, db, "other", schedule.Folder{Datastore: "other", Path: "a", Recursive: true})
	watched(t, db, "two", in("a/b", true), in("c", false))
	watched(t, db, "filters", schedule.Folder{Datastore: "inbox", Path: "a", Include: []string{"*.csv"}})
	for _, row := range []struct {
		file string
		near bool
		want string
	}{
		{"f", false, "all root"},
		{"a/f", false, "a a-deep all filters"},
		{"a/f", true, "a a-deep all filters root"},
		{"a/b/f", false, "a-deep ab ab-deep all two"},
		{"a/b/f", true, "a a-deep ab ab-deep all filters root two"},
		{"a/b/c/f", false, "a-deep ab-deep all two"},
		{"ab/f", false, "all"},
		{"c/f", false, "all two"},
		{"c/d/f", false, "all"},
		{"c/d/f", true, "all root two"},
		{"A/f", false, "all"},
	} {
		if got := strings.Join(watching(t, db, "inbox", row.file, row.near), " "); got != row.want {
			t.Errorf("%s, near %v: %s, want %s", row.file, row.near, got, row.want)
		}
	}
	if got := watching(t, db, "nowhere", "a/b/f", true); len(got) != 0 {
		t.Errorf("in a datastore that nobody watches: %v", got)
	}
}

func TestWatchersOfManyInOneFolder(t *testing.T) {
	db, _ := open(t)
	const many = store.MaxScan + 300
	for i := range many {
		watched(t, db, fmt.Sprint("s", i), schedule.Folder{Datastore: "inbox", Path: "a"})
	}
	if got := len(slices.Compact(watching(t, db, "inbox", "a/f", false))); got != many {
		t.Errorf("%d watch the folder, want %d", got, many)
	}
}

// The index follows edits and deletions, and has no row twice.
func TestWatchersFollowEdits(t *testing.T) {
	db, driver := open(t)
	a := schedule.Folder{Datastore: "inbox", Path: "a"}
	b := schedule.Folder{Datastore: "inbox", Path: "b", Recursive: true}
	watched(t, db, "s", a)
	at := start
	edit := func(all ...schedule.Folder) {
		t.Helper()
		at = at.Add(1e9)
		_, err := db.Edit(ctx, "s", at, func(s schedule.Schedule) (schedule.Schedule, error) {
			d := s.Definition
			if folders(&d, all...); len(all) == 1 && all[0].Datastore == "" {
				d.Trigger = every(5)
			}
			return s.Revise(d, "me", "", at), nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, files ...string) {
		t.Helper()
		n := 0
		for _, file := range []string{"a/f", "b/f", "b/c/f"} {
			got := len(watching(t, db, "inbox", file, false))
			if want := slices.Contains(files, file); got > 1 || (got == 1) != want {
				t.Errorf("%s: %d watch %s", what, got, file)
			}
		}
		for part := range store.Shards {
			page, err := driver.Scan(ctx, fmt.Sprint("watch", part), "-", "||", store.MaxScan)
			if err != nil {
				t.Fatal(err)
			}
			n += len(page)
		}
		if want := map[string]int{"a/f": 1, "a/f b/f b/c/f": 2, "b/f b/c/f": 1}[strings.Join(files, " ")]; n != want {
			t.Errorf("%s: the index has %d rows, want %d", what, n, want)
		}
	}
	check("created", "a/f")
	edit(a, b)
	check("one more", "a/f", "b/f", "b/c/f")
	edit(b)
	check("one less", "b/f", "b/c/f")
	edit(schedule.Folder{})
	check("a recurrence")
	edit(a)
	check("a folder again", "a/f")
	if err := db.Delete(ctx, "s", "me", at, func(schedule.Schedule) error { return nil }); err != nil {
		t.Fatal(err)
	}
	check("deleted")
}

// A creation whose answer was lost is tried again, and nothing about it can be read: the index still has it.
func TestWatchersOfACreationThatIsTriedAgain(t *testing.T) {
	driver := &storetest.Faulty{Driver: store.NewMem(), Fail: func(storetest.Call) storetest.Fault { return storetest.Works }}
	db, err := store.Open(ctx, driver)
	if err != nil {
		t.Fatal(err)
	}
	s := watched(t, db, "s", schedule.Folder{Datastore: "inbox", Path: "a"})
	driver.Fail = func(c storetest.Call) storetest.Fault {
		if c.Method == "Scan" {
			return storetest.Refused
		}
		return storetest.Works
	}
	if err := db.Create(ctx, s); !errors.Is(err, storetest.ErrFault) {
		t.Errorf("the second try: %v", err)
	}
	driver.Fail = func(storetest.Call) storetest.Fault { return storetest.Works }
	if err := db.Create(ctx, s); err != nil {
		t.Errorf("the third try: %v", err)
	}
	if got := watching(t, db, "inbox", "a/f", false); len(got) != 1 {
		t.Errorf("%v watch the folder", got)
	}
	again := s
	again.ID = store.NewScheduleID("s")
	if err := db.Create(ctx, again); !errors.Is(err, store.ErrExists) {
		t.Errorf("another of the same name: %v", err)
	}
	if all, err := db.Watchers(ctx, "inbox", "a/f", false); err != nil || len(all) != 1 || all[0].ID != s.ID {
		t.Errorf("the index has %v, %v", all, err)
	}
}

// Whatever call of a creation, an edit or a deletion fails, before its work or after: the index has every folder that
// the definition has.
func TestWatchersAreNeverMissing(t *testing.T) {
	a := schedule.Folder{Datastore: "inbox", Path: "a"}
	b := schedule.Folder{Datastore: "inbox", Path: "b"}
	for _, fault := range []storetest.Fault{storetest.Refused, storetest.Lost} {
		for call, more := 1, true; more; call++ {
			left := 0
			more = false
			driver := &storetest.Faulty{Driver: store.NewMem()}
			driver.Fail = func(storetest.Call) storetest.Fault {
				if left--; left == 0 {
					more = true
					return fault
				}
				return storetest.Works
			}
			db, err := store.Open(ctx, driver)
			if err != nil {
				t.Fatal(err)
			}
			check := func(what string) {
				t.Helper()
				left = 0
				r, err := db.Schedule(ctx, "s")
				if errors.Is(err, store.ErrNotFound) {
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range r.Schedule.Value.Trigger.Folders() {
					if !slices.Contains(watching(t, db, "inbox", f.Path+"/f", false), "s") {
						t.Errorf("%s, fault %d at call %d: nobody watches %s", what, fault, call, f.Path)
					}
				}
			}
			d := schedule.Definition{Name: "s", Experiment: "e", Status: schedule.Active}
			folders(&d, a)
			s := schedule.New(d, store.NewScheduleID("s"), "me", start)
			left = call
			_ = db.Create(ctx, s)
			check("creation")
			if err := db.Create(ctx, s); err != nil {
				t.Errorf("created again: %v", err)
			}
			for _, folder := range []schedule.Folder{b, a} {
				left = call
				_, _ = db.Edit(ctx, "s", start, func(s schedule.Schedule) (schedule.Schedule, error) {
					d := s.Definition
					folders(&d, folder)
					return s.Revise(d, "me", "", start), nil
				})
				check("edit")
			}
			left = call
			_ = db.Delete(ctx, "s", "me", start, func(schedule.Schedule) error { return nil })
			check("deletion")
		}
	}
}
