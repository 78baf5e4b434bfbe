package store_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/shared/recur"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

var (
	ctx   = context.Background()
	start = time.Date(2026, 11, 22, 10, 0, 7, 0, time.UTC)
)

func open(t *testing.T) (*store.DB, *store.Mem) {
	t.Helper()
	driver := store.NewMem()
	db, err := store.Open(ctx, driver)
	if err != nil {
		t.Fatal(err)
	}
	return db, driver
}

func every(minutes int) schedule.Trigger {
	return schedule.Trigger{Spec: recur.Spec{Kind: recur.KindRecurrence, Frequency: "minute", Interval: minutes}}
}

func create(t *testing.T, db *store.DB, name string, minutes int) schedule.Schedule {
	t.Helper()
	s := schedule.New(schedule.Definition{
		Name: name, Pipeline: schedule.PipelineRef{Kind: "local", ID: "p"}, Experiment: "e", Trigger: every(minutes), Status: schedule.Active,
	}, store.NewScheduleID(name), "me", start)
	if err := db.Create(ctx, s); err != nil {
		t.Fatal(err)
	}
	return s
}

// rows counts the rows of a store by the first part of their keys.
func rows(t *testing.T, driver store.Driver) map[string]int {
	t.Helper()
	count := map[string]int{}
	for shard := range store.Shards {
		all, err := driver.Scan(ctx, fmt.Sprint("shard", shard), "-", "||", store.MaxScan)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range all {
			kind, _, _ := strings.Cut(row.Sort, "|")
			count[kind]++
		}
	}
	return count
}

// tick records everything that is due by an instant, as the timer function does.
func tick(t *testing.T, db *store.DB, now time.Time) (recorded []schedule.Occurrence) {
	t.Helper()
	for shard := range store.Shards {
		wakes, _, err := db.Wakes(ctx, shard, now, "", 1000)
		if err != nil {
			t.Fatal(err)
		}
		var planned []store.Planned
		for _, w := range wakes {
			if w.Due == nil {
				continue
			}
			plan, err := w.Due.Plan(now, now, nil)
			if err != nil {
				t.Fatal(err)
			}
			planned = append(planned, store.Planned{Wake: w, Plan: plan})
			recorded = append(recorded, plan.Record...)
		}
		if err := errors.Join(db.Record(ctx, shard, planned, now)...); err != nil {
			t.Fatal(err)
		}
	}
	return recorded
}

func TestOpenRefusesAnotherStore(t *testing.T) {
	driver := store.NewMem()
	meta := store.Op{Kind: store.Create, Sort: "meta", Value: []byte(`{"format": 1, "shards": 16}`)}
	if err := driver.Apply(ctx, "meta", meta); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(ctx, driver); err == nil || !strings.Contains(err.Error(), "16 shards") {
		t.Errorf("another number of shards: %v", err)
	}
}

func TestCreateListDelete(t *testing.T) {
	db, driver := open(t)
	names := []string{"a", "a-b", "ab", "B", "z9", "0", "a_b"}
	for _, name := range names {
		create(t, db, name, 15)
	}
	again := schedule.New(schedule.Definition{Name: "a", Trigger: every(1), Status: schedule.Active}, store.NewScheduleID("a"), "me", start)
	if err := db.Create(ctx, again); !errors.Is(err, store.ErrExists) {
		t.Errorf("created twice: %v", err)
	}
	var listed []string
	for token, pages := "", 0; ; pages++ {
		page, next, err := db.Schedules(ctx, token, 2, func(schedule.Schedule) bool { return true })
		if err != nil || pages > len(names) {
			t.Fatal(err, pages)
		}
		for _, r := range page {
			listed = append(listed, r.Schedule.Value.Name)
			if r.Upcoming(start).IsZero() || r.State.Value.Last != "" {
				t.Errorf("%s: next %v, last %q", r.Schedule.Value.Name, r.Upcoming(start), r.State.Value.Last)
			}
		}
		if token = next; token == "" {
			break
		}
	}
	if want := []string{"0", "B", "a-b", "a_b", "ab", "a", "z9"}; !slices.Equal(listed, want) {
		t.Errorf("listed %v, want %v", listed, want)
	}
	only, _, err := db.Schedules(ctx, "", 10, func(s schedule.Schedule) bool { return s.Name == "ab" })
	if err != nil || len(only) != 1 {
		t.Errorf("filtered: %d, %v", len(only), err)
	}
	refused := errors.New("no")
	if err := db.Delete(ctx, "a", "me", start, func(schedule.Schedule) error { return refused }); err != refused {
		t.Errorf("a refused deletion: %v", err)
	}
	for _, name := range names {
		if err := db.Delete(ctx, name, "me", start, func(schedule.Schedule) error { return nil }); err != nil {
			t.Error(err)
		}
	}
	if _, err := db.Schedule(ctx, "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
	if left := fmt.Sprint(rows(t, driver)); left != "map[aud:14 aus:14 wake:7]" { // records of the changes, and marks for what waits
		t.Errorf("deleted schedules leave %v", left)
	}
}

func TestEditsOfManyAtOnce(t *testing.T) {
	db, driver := open(t)
	create(t, db, "s", 15)
	const writers, edits = 8, 20
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for range edits {
				_, err := db.Edit(ctx, "s", start, func(s schedule.Schedule) (schedule.Schedule, error) {
					d := s.Definition
					d.Description += "x"
					return s.Revise(d, "me", "", start), nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	r, err := db.Schedule(ctx, "s")
	if err != nil || r.Schedule.Value.Revision != 1+writers*edits || len(r.Schedule.Value.Description) != writers*edits {
		t.Errorf("revision %d with %d letters, %v", r.Schedule.Value.Revision, len(r.Schedule.Value.Description), err)
	}
	if n := rows(t, driver)["rev"]; n != 100 {
		t.Errorf("%d old revisions are kept, want the last 100", n)
	}
}

// A change records what was due before it, under the revision of then.
func TestEditLosesNothing(t *testing.T) {
	db, _ := open(t)
	s := create(t, db, "s", 1)
	now := start.Add(90 * time.Second) // 10:01:37: 10:01 is due and no tick has come
	_, err := db.Edit(ctx, "s", now, func(s schedule.Schedule) (schedule.Schedule, error) {
		d := s.Definition
		d.Trigger = every(7)
		return s.Revise(d, "me", "", now), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := db.OccurrencesOf(ctx, s.ID, "", 10, func(schedule.Occurrence) bool { return true })
	if err != nil || len(got) != 1 || got[0].Revision != 1 || got[0].Nominal.Minute() != 1 {
		t.Errorf("recorded %+v, %v", got, err)
	}
	r, err := db.Schedule(ctx, "s")
	if err != nil || !r.Upcoming(now).Equal(time.Date(2026, 11, 22, 10, 7, 0, 0, time.UTC)) {
		t.Errorf("next %v, %v", r.Upcoming(now), err)
	}
	old, err := db.Definition(ctx, r.Schedule.Value, 1)
	if err != nil || old.Trigger.Interval != 1 {
		t.Errorf("the definition of revision 1: %+v, %v", old.Trigger, err)
	}
}

func TestRecordKeepsNeighboursApart(t *testing.T) {
	db, _ := open(t)
	same := []string{}
	for i := 0; len(same) < 40; i++ { // schedules of one shard
		if name := fmt.Sprint("s", i); store.NewScheduleID(name)[0] == '3' {
			same = append(same, name)
			create(t, db, name, 1)
		}
	}
	now := start.Add(time.Minute)
	wakes, _, err := db.Wakes(ctx, 3, now, "", 1000)
	if err != nil || len(wakes) != len(same) {
		t.Fatal(len(wakes), err)
	}
	var planned []store.Planned
	for _, w := range wakes {
		plan, err := w.Due.Plan(now, now, nil)
		if err != nil {
			t.Fatal(err)
		}
		planned = append(planned, store.Planned{Wake: w, Plan: plan})
	}
	if err := errors.Join(db.Record(ctx, 3, planned[10:12], now)...); err != nil { // another tick was faster with two
		t.Fatal(err)
	}
	for i, err := range db.Record(ctx, 3, planned, now) {
		if conflict := errors.Is(err, store.ErrConflict); conflict != (i == 10 || i == 11) {
			t.Errorf("schedule %d: %v", i, err)
		}
	}
	all, _, err := db.Occurrences(ctx, "", 1000, func(schedule.Occurrence) bool { return true })
	if err != nil || len(all) != len(same) {
		t.Errorf("%d occurrences, %v", len(all), err)
	}
}

// step moves an occurrence on and fails the test when the store does not take it.
func step(t *testing.T, db *store.DB, id string, move func(schedule.Occurrence) schedule.Occurrence) schedule.Occurrence {
	t.Helper()
	o, err := db.Occurrence(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	to := move(o.Value)
	if err := db.Save(ctx, []store.Change{{From: o, To: to}})[0]; err != nil {
		t.Fatal(err)
	}
	return to
}

func TestLifeOfAnOccurrence(t *testing.T) {
	db, driver := open(t)
	s := create(t, db, "s", 15)
	now := start.Add(15 * time.Minute)
	recorded := tick(t, db, now)
	if len(recorded) != 1 {
		t.Fatal(recorded)
	}
	id := recorded[0].ID
	before := rows(t, driver)
	step(t, db, id, func(o schedule.Occurrence) schedule.Occurrence { return o.Claimed("p", "cp", now) })
	running, err := db.UnderWay(ctx, s.ID, 10)
	if err != nil || len(running) != 1 || running[0].ID != id {
		t.Errorf("under way: %v, %v", running, err)
	}
	step(t, db, id, func(o schedule.Occurrence) schedule.Occurrence { return o.Accepted("run", now) })
	step(t, db, id, func(o schedule.Occurrence) schedule.Occurrence {
		return o.Observed(schedule.Observation{Status: schedule.Running, Started: now}, now)
	})
	listed, _, err := db.Occurrences(ctx, "", 10, func(o schedule.Occurrence) bool { return o.Status == schedule.Running })
	if err != nil || len(listed) != 1 {
		t.Errorf("listed as running: %v, %v", listed, err)
	}
	step(t, db, id, func(o schedule.Occurrence) schedule.Occurrence {
		return o.Observed(schedule.Observation{Status: schedule.Failed, Error: "exit 1"}, now)
	})
	after := rows(t, driver)
	if after["run"] != 0 || after["wake"] != before["wake"]-1 || after["occ"] != 1 || after["log"] != 1 {
		t.Errorf("an ended occurrence leaves %v; it began with %v", after, before)
	}
	listed, _, err = db.Occurrences(ctx, "", 10, func(o schedule.Occurrence) bool { return o.Error == "exit 1" })
	if err != nil || len(listed) != 1 || listed[0].Status != schedule.Failed {
		t.Errorf("listed as failed: %v, %v", listed, err)
	}

	stale, _ := db.Occurrence(ctx, id)
	step(t, db, id, func(o schedule.Occurrence) schedule.Occurrence { o.Error = "other"; return o })
	if err := db.Save(ctx, []store.Change{{From: stale, To: stale.Value}})[0]; !errors.Is(err, store.ErrConflict) {
		t.Errorf("a change of what has changed: %v", err)
	}
}

func TestOccurrencesNewestFirst(t *testing.T) {
	db, _ := open(t)
	a, b := create(t, db, "a", 1), create(t, db, "b", 2)
	now := start
	for range 9 {
		now = now.Add(time.Minute)
		tick(t, db, now)
	}
	all := func(schedule.Occurrence) bool { return true }
	var nominal []time.Time
	for token, first := "", true; first || token != ""; first = false {
		page, next, err := db.Occurrences(ctx, token, 4, all)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page {
			nominal = append(nominal, o.Nominal)
		}
		token = next
	}
	if len(nominal) != 9+4 || !slices.IsSortedFunc(nominal, func(x, y time.Time) int { return y.Compare(x) }) {
		t.Errorf("all: %d, %v", len(nominal), nominal)
	}
	page, next, err := db.OccurrencesOf(ctx, a.ID, "", 5, all)
	if err != nil || len(page) != 5 || next == "" || page[0].Nominal.Minute() != 9 {
		t.Errorf("those of a: %d, %q, %v", len(page), next, err)
	}
	page, next, err = db.OccurrencesOf(ctx, a.ID, next, 5, all)
	if err != nil || len(page) != 4 || next != "" {
		t.Errorf("the rest of a: %d, %q, %v", len(page), next, err)
	}
	page, _, err = db.OccurrencesOf(ctx, b.ID, "", 50, all)
	if err != nil || len(page) != 4 {
		t.Errorf("those of b: %d, %v", len(page), err)
	}
}

func TestAddAnswersARequestOnce(t *testing.T) {
	db, _ := open(t)
	s := create(t, db, "s", 15)
	first := schedule.Asked(s, "key", "x", "me", nil, start)
	if err := db.Add(ctx, first); err != nil {
		t.Fatal(err)
	}
	second := schedule.Asked(s, "key", "y", "me", nil, start.Add(time.Hour))
	if err := db.Add(ctx, second); !errors.Is(err, store.ErrExists) {
		t.Errorf("the same request: %v", err)
	}
	if id, err := db.Requested(ctx, s.ID, "key"); err != nil || id != first.ID {
		t.Errorf("requested: %s, %v", id, err)
	}
	if _, err := db.Occurrence(ctx, second.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the second: %v", err)
	}
}

func TestPrune(t *testing.T) {
	db, driver := open(t)
	s := create(t, db, "s", 15)
	old := schedule.Asked(s, "key", "x", "me", nil, start)
	waiting := schedule.Asked(s, "", "y", "me", nil, start)
	young := schedule.Asked(s, "", "z", "me", nil, start.Add(48*time.Hour))
	for _, o := range []schedule.Occurrence{old, waiting, young} {
		if err := db.Add(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range []schedule.Occurrence{old, young} {
		step(t, db, o.ID, func(o schedule.Occurrence) schedule.Occurrence { return o.CalledOff("me", start) })
	}
	for shard := range store.Shards {
		for token, first := "", true; first || token != ""; first = false { // in bites of one
			var err error
			if token, err = db.Prune(ctx, shard, start.Add(24*time.Hour), token, 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	if left := rows(t, driver); left["occ"] != 2 || left["log"] != 2 || left["once"] != 0 {
		t.Errorf("left %v", left)
	}
}

// A row that cannot be read does not keep those behind it.
func TestPrunePassesOverWhatCannotBeRead(t *testing.T) {
	db, driver := open(t)
	s := create(t, db, "s", 15)
	for i := range 3 {
		o := schedule.Asked(s, "", fmt.Sprint("x", i), "me", nil, start.Add(time.Duration(i)*time.Minute))
		if err := db.Add(ctx, o); err != nil {
			t.Fatal(err)
		}
		step(t, db, o.ID, func(o schedule.Occurrence) schedule.Occurrence { return o.CalledOff("me", start) })
	}
	damaged := 0
	for shard := range store.Shards {
		logs, err := driver.Scan(ctx, fmt.Sprint("shard", shard), "log|", "log||", 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(logs) > 0 {
			damaged++
			if err := driver.Apply(ctx, fmt.Sprint("shard", shard), store.Op{Kind: store.Put, Sort: logs[1].Sort, Value: []byte("{")}); err != nil {
				t.Fatal(err)
			}
		}
		for token, first := "", true; first || token != ""; first = false {
			next, err := db.Prune(ctx, shard, start.Add(24*time.Hour), token, 1)
			if token = next; err != nil && len(logs) == 0 {
				t.Fatal(err)
			}
		}
	}
	if left := rows(t, driver); damaged != 1 || left["log"] != 1 || left["occ"] != 1 {
		t.Errorf("left %v", left)
	}
}

// Whole records come, in order and each once, whatever the page and however many rows a record has.
func TestListOfRecordsOfManySizes(t *testing.T) {
	db, _ := open(t)
	watch := schedule.Trigger{Watch: &schedule.Watch{Folder: schedule.Folder{Datastore: "inbox"}}}
	watch.Kind = schedule.KindDatastore
	for i := range 60 {
		d := schedule.Definition{Name: fmt.Sprintf("s%02d", i), Trigger: every(15), Status: schedule.Active}
		if i%3 == 0 {
			d.Trigger = watch
		}
		if err := db.Create(ctx, schedule.New(d, store.NewScheduleID(d.Name), "me", start)); err != nil {
			t.Fatal(err)
		}
	}
	for _, page := range []int{1, 2, 7, 59, 60, 100} {
		n, token := 0, ""
		for {
			records, next, err := db.Schedules(ctx, token, page, func(schedule.Schedule) bool { return true })
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range records {
				name := fmt.Sprintf("s%02d", n)
				if whole, _ := db.Schedule(ctx, name); r.Schedule.Value.Name != name || !reflect.DeepEqual(r, whole) {
					t.Fatalf("pages of %d: record %d is %s, or not whole", page, n, r.Schedule.Value.Name)
				}
				n++
			}
			if token = next; token == "" {
				break
			}
		}
		if n != 60 {
			t.Errorf("pages of %d: %d records", page, n)
		}
	}
}
