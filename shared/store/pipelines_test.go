package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"carillon/shared/schedule"
	"carillon/shared/store"
	"carillon/shared/store/storetest"
)

func ref(kind, id string) schedule.PipelineRef { return schedule.PipelineRef{Kind: kind, ID: id} }

func using(name string, p schedule.PipelineRef) schedule.Schedule {
	d := schedule.Definition{Name: name, Pipeline: p, Experiment: "e", Trigger: every(15), Status: schedule.Active}
	return schedule.New(d, store.NewScheduleID(name), "me", start)
}

func move(db *store.DB, name string, to schedule.PipelineRef) error {
	_, err := db.Edit(ctx, name, start, func(s schedule.Schedule) (schedule.Schedule, error) {
		d := s.Definition
		d.Pipeline = to
		return s.Revise(d, "me", "", start), nil
	})
	return err
}

// users are the names of a pipeline's, read in pages of a size, in order; held leaves out what the schedule denies.
func users(t *testing.T, db *store.DB, p schedule.PipelineRef, size int, held bool) (names []string) {
	t.Helper()
	for token, first := "", true; first || token != ""; first = false {
		page, next, err := db.Users(ctx, p, token, size)
		if err != nil || len(page) > size || next != "" && len(page) < size {
			t.Fatal(len(page), next, err)
		}
		for _, u := range page {
			r, err := db.Schedule(ctx, u.Schedule)
			if s := r.Schedule.Value; !held || err == nil && s.ID == u.ID && s.Pipeline.Key() == p.Key() {
				names = append(names, u.Schedule)
			}
		}
		token = next
	}
	slices.Sort(names)
	return names
}

func TestUsers(t *testing.T) {
	counter := &storetest.Counter{Driver: store.NewMem()}
	db, err := store.Open(ctx, counter)
	if err != nil {
		t.Fatal(err)
	}
	p, q := ref("published", "Aa-1"), ref("published", "aa-2")
	for i := range 500 {
		if err := db.Create(ctx, using(fmt.Sprintf("q%03d", i), q)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		if err := db.Create(ctx, using(name, p)); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"a", "b", "c", "d", "e"}
	for size := 1; size <= 6; size++ {
		if got := users(t, db, p, size, false); !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %v", size, got)
		}
	}
	counter.Reset()
	if got, _, err := db.Users(ctx, ref("published", "aA-1"), "", 100); err != nil || len(got) != 5 || counter.Calls() != 1 || counter.Rows.Load() != 5 {
		t.Errorf("%v, %v: %s", got, err, counter)
	}
	if err := move(db, "b", q); err != nil {
		t.Fatal(err)
	}
	if err := db.Delete(ctx, "c", "me", start, func(schedule.Schedule) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := db.Create(ctx, using("c", p)); err != nil {
		t.Fatal(err)
	}
	if err := db.Create(ctx, using("c", q)); !errors.Is(err, store.ErrExists) {
		t.Fatal(err)
	}
	if got := users(t, db, p, 100, false); !slices.Equal(got, []string{"a", "c", "d", "e"}) {
		t.Errorf("p is used by %v", got)
	}
	if got := users(t, db, q, 7, false); len(got) != 501 || got[0] != "b" {
		t.Errorf("q is used by %d, first %s", len(got), got[0])
	}
	counter.Reset()
	if _, err := db.Edit(ctx, "a", start, func(s schedule.Schedule) (schedule.Schedule, error) {
		d := s.Definition
		d.Status = schedule.Disabled
		return s.Revise(d, "me", "", start), nil
	}); err != nil || counter.Applies.Load() != 1 {
		t.Errorf("disabling touches the index: %s, %v", counter, err)
	}
	if got := users(t, db, ref("local", "aa-2"), 7, false); got != nil {
		t.Errorf("another kind: %v", got)
	}
}

// Whatever call fails, before or after its work, the index misses no schedule, and the schedule denies what is left.
func TestIndexMissesNothing(t *testing.T) {
	p, q := ref("local", "p"), ref("local", "q")
	for n := int64(1); ; n++ {
		reached := false
		for _, fault := range []storetest.Fault{storetest.Refused, storetest.Lost} {
			var armed bool
			var at, base int64
			driver := &storetest.Faulty{Driver: store.NewMem(), Fail: func(c storetest.Call) storetest.Fault {
				if at = c.N; armed && c.N == base+n {
					reached = true
					return fault
				}
				return storetest.Works
			}}
			db, err := store.Open(ctx, driver)
			if err != nil {
				t.Fatal(err)
			}
			base, armed = at, true
			db.Create(ctx, using("s", p))
			move(db, "s", q)
			db.Delete(ctx, "s", "me", start, func(schedule.Schedule) error { return nil })
			db.Create(ctx, using("s", q))
			move(db, "s", p)
			armed = false
			r, err := db.Schedule(ctx, "s")
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				t.Fatal(n, fault, err)
			}
			for _, pipeline := range []schedule.PipelineRef{p, q} {
				uses := r.Schedule.Value.Pipeline == pipeline
				if got := users(t, db, pipeline, 10, true); uses != (len(got) > 0) {
					t.Errorf("call %d, fault %d: %s is used by %v, the schedule has %s", n, fault, pipeline, got, r.Schedule.Value.Pipeline)
				}
			}
		}
		if !reached {
			if n < 20 {
				t.Errorf("only %d calls were made to fail", n)
			}
			return
		}
	}
}

func TestIndexOfManyChangesAtOnce(t *testing.T) {
	db, _ := open(t)
	refs := []schedule.PipelineRef{ref("local", "a"), ref("local", "b"), ref("local", "c")}
	if err := db.Create(ctx, using("s", refs[0])); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for writer := range 6 {
		group.Go(func() {
			for i := range 20 {
				if err := move(db, "s", refs[(writer+i)%3]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	r, err := db.Schedule(ctx, "s")
	if err != nil {
		t.Fatal(err)
	}
	if got := users(t, db, r.Schedule.Value.Pipeline, 10, true); len(got) != 1 {
		t.Errorf("%s is used by %v", r.Schedule.Value.Pipeline, got)
	}
}

// What ran last of a pipeline is what its schedules say, one row of each, whatever becomes of them.
func TestLastRun(t *testing.T) {
	mem := store.NewMem()
	counter := &storetest.Counter{Driver: mem}
	db, err := store.Open(ctx, counter)
	if err != nil {
		t.Fatal(err)
	}
	refs := []schedule.PipelineRef{ref("published", "A"), ref("published", "b"), ref("local", "A")}
	random := rand.New(rand.NewPCG(1, 2))
	now := start
	uses, ran := map[string]schedule.PipelineRef{}, map[string]time.Time{} // of schedules that there are, the last on that pipeline
	for i := range 600 {
		now = now.Add(time.Duration(random.IntN(2000)) * time.Millisecond)
		name, p := fmt.Sprint("s", random.IntN(40)), refs[random.IntN(3)]
		used, there := uses[name]
		switch {
		case !there:
			err = db.Create(ctx, using(name, p))
			uses[name] = p
		case i%7 == 0:
			if err = move(db, name, p); used != p {
				delete(ran, name)
			}
			uses[name] = p
		case i%31 == 0:
			err = db.Delete(ctx, name, "me", start, func(schedule.Schedule) error { return nil })
			delete(uses, name)
			delete(ran, name)
		default:
			s := read(t, db, name).Schedule.Value
			o := schedule.Asked(s, "", fmt.Sprint(i), "ann", nil, start)
			if err := db.Add(ctx, o); err != nil {
				t.Fatal(err)
			}
			stored, err := db.Occurrence(ctx, o.ID)
			if err != nil {
				t.Fatal(err)
			}
			r := read(t, db, name)
			to := o.Prepared(s.Definition).Claimed("p", "c", now)
			if err := db.Save(ctx, []store.Change{{From: stored, To: to, State: r.Counted(r.State.Value.Claimed(to))}})[0]; err != nil {
				t.Fatal(err)
			}
			ran[name] = now
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range refs {
			want := time.Time{}
			for name, at := range ran {
				if uses[name] == p && at.After(want) {
					want = at
				}
			}
			counter.Reset()
			id, err := db.LastRun(ctx, p)
			if err != nil || counter.Calls() != store.Shards || counter.Rows.Load() > store.Shards {
				t.Fatal(err, counter)
			}
			o, err := db.Occurrence(ctx, id)
			if got := o.Value.Claim.Until.Add(-schedule.Lease); (id == "") != want.IsZero() || id != "" && (err != nil || !got.Equal(want)) {
				t.Fatalf("step %d: the last run of %s is %q of %s, want one of %s", i, p, id, got, want)
			}
		}
		if n := rows(t, mem)["ran"]; n != len(ran) {
			t.Fatalf("step %d: %d rows for %d schedules that have run", i, n, len(ran))
		}
	}
}

func TestStops(t *testing.T) {
	db, driver := open(t)
	p := ref("batch_endpoint", "Train/Blue")
	stops := func(p schedule.PipelineRef) []schedule.Stop {
		t.Helper()
		stops, err := db.StopsOf(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		return stops
	}
	if got := stops(p); len(got) > 0 {
		t.Errorf("there is a stop: %v", got)
	}
	if err := db.StartPipeline(ctx, p, "ann", "", false, start); err != nil {
		t.Errorf("one that is not stopped: %v", err)
	}
	first := schedule.Stop{Pipeline: p, By: "ann", Note: "wrong data", At: start}
	if err := db.StopPipeline(ctx, first); err != nil {
		t.Fatal(err)
	}
	for _, one := range []schedule.PipelineRef{ref("batch_endpoint", "train/blue"), ref("batch_endpoint", "TRAIN"), ref("batch_endpoint", "train/green")} {
		if got := stops(one); len(got) != 1 || got[0] != first {
			t.Errorf("of the family of %s: %+v", one, got)
		}
	}
	for _, other := range []schedule.PipelineRef{ref("batch_endpoint", "train2"), ref("pipeline_job", "train/blue"), ref("local", "a")} {
		if got := stops(other); len(got) > 0 {
			t.Errorf("of the family of %s: %+v", other, got)
		}
	}
	for i := range 9 {
		if err := db.StopPipeline(ctx, schedule.Stop{Pipeline: ref("local", fmt.Sprint("A", i)), At: start}); err != nil {
			t.Fatal(err)
		}
	}
	for size := 1; size <= 11; size++ {
		seen := map[string]bool{}
		for token, first := "", true; first || token != ""; first = false {
			page, next, err := db.Stops(ctx, token, size)
			if err != nil || len(page) > size {
				t.Fatal(len(page), err)
			}
			for _, s := range page {
				seen[s.Pipeline.Key()] = true
			}
			token = next
		}
		if len(seen) != 10 || !seen["batch_endpoint:train/blue"] || !seen["local:A0"] {
			t.Errorf("in pages of %d: %v", size, seen)
		}
	}
	if err := db.StartPipeline(ctx, ref("batch_endpoint", "TRAIN/blue"), "bob", "fixed", false, start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := stops(p); len(got) > 0 {
		t.Errorf("still stopped: %v", got)
	}
	if n := rows(t, driver); n["stop"] != 9 {
		t.Errorf("rows %v", n)
	}
	for i := range 1100 {
		if err := db.StopPipeline(ctx, schedule.Stop{Pipeline: ref([]string{"published", "pipeline_endpoint"}[i%2], fmt.Sprint(i)), At: start}); err != nil {
			t.Fatal(err)
		}
	}
	if got := stops(ref("published", "other")); len(got) != 1100 {
		t.Errorf("%d of v1", len(got))
	}
	audits, _, err := db.Audits(ctx, "", "", 100, func(a schedule.Audit) bool { return a.Pipeline != nil && a.Pipeline.Kind == p.Kind })
	if err != nil || len(audits) != 2 || audits[0].What != schedule.WasEnabled || audits[0].By != "bob" || audits[0].Note != "fixed" ||
		audits[1].What != schedule.WasDisabled || audits[1].By != "ann" || *audits[1].Pipeline != p {
		t.Errorf("%+v, %v", audits, err)
	}
}
