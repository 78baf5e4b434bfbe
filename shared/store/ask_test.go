package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"carillon/shared/schedule"
	"carillon/shared/store"
)

const repeats = 10 * time.Minute

// asker asks for runs of one schedule under one request.
type asker struct {
	t  *testing.T
	db *store.DB
	s  schedule.Schedule
}

func (a asker) ask(distinct string, now time.Time) string {
	a.t.Helper()
	made, err := a.db.Ask(ctx, schedule.Asked(a.s, "key", distinct, "me", nil, now), now.Add(-repeats))
	if err != nil {
		a.t.Fatal(err)
	}
	return made.ID
}

func TestAsk(t *testing.T) {
	db, driver := open(t)
	a := asker{t, db, create(t, db, "s", 15)}
	first := a.ask("a", start)
	if again := a.ask("b", start.Add(repeats)); again != first {
		t.Errorf("repeated, it made %s", again)
	}
	later := start.Add(repeats + time.Second)
	second := a.ask("c", later)
	if again := a.ask("d", later.Add(repeats)); second == first || again != second {
		t.Errorf("later it made %s, and repeated %s", second, again)
	}
	if left := rows(t, driver); left["occ"] != 2 || left["once"] != 1 {
		t.Errorf("there are %v", left)
	}
	// Without a request, or under another, each is one of its own.
	for i, request := range []string{"", "", "other"} {
		o := schedule.Asked(a.s, request, fmt.Sprint(i), "me", nil, start)
		if made, err := db.Ask(ctx, o, time.Time{}); err != nil || made.ID != o.ID {
			t.Errorf("request %q made %s, %v", request, made.ID, err)
		}
	}
}

// However many ask at once, for the first time or long after it, one is made.
func TestManyAskAtOnce(t *testing.T) {
	db, driver := open(t)
	a := asker{t, db, create(t, db, "s", 15)}
	for round := 1; round <= 3; round++ {
		now := start.Add(time.Duration(round) * time.Hour)
		made := make([]string, 20)
		var group sync.WaitGroup
		for i := range made {
			group.Go(func() { made[i] = a.ask(fmt.Sprint(i), now) })
		}
		group.Wait()
		for _, id := range made {
			if id != made[0] {
				t.Errorf("round %d: %s and %s", round, made[0], id)
			}
		}
		if got := rows(t, driver)["occ"]; got != round {
			t.Errorf("after %d rounds there are %d", round, got)
		}
	}
}

// crash is a store that writes, and does not live to say so.
type crash struct {
	store.Driver
	now bool
}

func (c *crash) Apply(ctx context.Context, part string, ops ...store.Op) error {
	err := c.Driver.Apply(ctx, part, ops...)
	if err == nil && c.now {
		return errors.New("gone")
	}
	return err
}

// Whoever has had no answer asks again, and gets what was written: of the first request, and of one that is made anew.
func TestAskAfterACrash(t *testing.T) {
	rows := &crash{Driver: store.NewMem()}
	db, err := store.Open(ctx, rows)
	if err != nil {
		t.Fatal(err)
	}
	a := asker{t, db, create(t, db, "s", 15)}
	for _, now := range []time.Time{start, start.Add(time.Hour)} {
		rows.now = true
		lost := schedule.Asked(a.s, "key", "lost", "me", nil, now)
		if _, err := db.Ask(ctx, lost, now.Add(-repeats)); err == nil {
			t.Fatal("it did not crash")
		}
		rows.now = false
		if again := a.ask("again", now.Add(time.Second)); again != lost.ID {
			t.Errorf("asked again it made %s, not %s", again, lost.ID)
		}
	}
}

// What a request has made is pruned, and it has made another since: that one is still repeated.
func TestPruneOfWhatWasAskedAgain(t *testing.T) {
	db, driver := open(t)
	a := asker{t, db, create(t, db, "s", 15)}
	first, later := a.ask("a", start), start.Add(48*time.Hour)
	second := a.ask("b", later)
	prune := func(before time.Time) {
		t.Helper()
		for shard := range store.Shards {
			if _, err := db.Prune(ctx, shard, before, "", 10); err != nil {
				t.Fatal(err)
			}
		}
	}
	ended := func(o schedule.Occurrence) schedule.Occurrence { return o.CalledOff("me", start) }
	step(t, db, first, ended)
	prune(later.Add(-time.Hour))
	if again := a.ask("c", later.Add(time.Minute)); again != second {
		t.Errorf("repeated, it made %s", again)
	}
	step(t, db, second, ended)
	prune(later.Add(time.Hour))
	if left := rows(t, driver); left["occ"] != 0 || left["once"] != 0 {
		t.Errorf("left %v", left)
	}
	if again := a.ask("d", later.Add(time.Minute)); again == second {
		t.Error("what was pruned is repeated")
	}
}
