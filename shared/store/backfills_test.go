package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/shared/schedule"
	"carillon/shared/store"
	"carillon/shared/store/storetest"
)

// hours are so many times, an hour apart, that end before start.
func hours(n int) (times []time.Time) {
	for i := range n {
		times = append(times, start.Truncate(time.Hour).Add(time.Duration(i-n)*time.Hour))
	}
	return times
}

// fill fills times as a request at now does.
func fill(t *testing.T, db *store.DB, s schedule.Schedule, b schedule.Backfill, times []time.Time, now time.Time) (made, taken []schedule.Occurrence) {
	t.Helper()
	pasts, err := db.Pasts(ctx, s.ID, times)
	if err != nil {
		t.Fatal(err)
	}
	all := s.Filled(b, times, pasts, now)
	made, taken, err = db.Fill(ctx, s, all, schedule.AuditedFill(s, b, now), now)
	if err != nil {
		t.Fatal(err)
	}
	return made, taken
}

func ids(occurrences []schedule.Occurrence) (out []string) {
	for _, o := range occurrences {
		out = append(out, o.ID)
	}
	return out
}

func TestFillRecordsAtOnce(t *testing.T) {
	db, driver := open(t)
	s := create(t, db, "a", 60)
	now := start.Add(time.Second)
	made, taken := fill(t, db, s, schedule.Backfill{By: "ann", AtOnce: 2}, hours(1000), now)
	if len(made) != 1000 || len(taken) != 0 {
		t.Fatalf("%d made, %d taken", len(made), len(taken))
	}
	if n := fmt.Sprint(rows(t, driver)); !strings.Contains(n, "fil:") {
		t.Error(n)
	}
	for _, o := range []schedule.Occurrence{made[0], made[500], made[999]} {
		got, err := db.Occurrence(ctx, o.ID)
		if err != nil || fmt.Sprint(got.Value) != fmt.Sprint(o) {
			t.Errorf("%+v, %v, want %+v", got.Value, err, o)
		}
	}
	// The clock has one mark for all of them, and looks after the first.
	var marks []store.Wake
	for shard := range store.Shards {
		wakes, _, err := db.Wakes(ctx, shard, now.Add(time.Hour), "", 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range wakes {
			if w.Mark == store.Rousing {
				marks = append(marks, w)
			} else if w.Due == nil {
				t.Errorf("a wake of %s", w.Occurrence)
			}
		}
		for _, w := range marks {
			roused, err := db.Roused(ctx, shard, w)
			if err == nil && len(roused) > 0 && !slices.Equal(roused, ids(made[:1])) {
				t.Errorf("roused are %v", roused)
			}
		}
	}
	if len(marks) != 1 {
		t.Errorf("%d marks", len(marks))
	}
	if got := audits(t, db, "a", 10, everything); !slices.Equal(got, []string{"backfilled a by ann", "created a by me"}) {
		t.Errorf("recorded: %v", got)
	}
	page, _, err := db.OccurrencesOf(ctx, s.ID, "", 3, func(schedule.Occurrence) bool { return true })
	if err != nil || !slices.Equal(ids(page), ids([]schedule.Occurrence{made[999], made[998], made[997]})) {
		t.Errorf("listed: %v, %v", ids(page), err)
	}
}

func TestPasts(t *testing.T) {
	db, _ := open(t)
	s := create(t, db, "a", 15)
	tick(t, db, start.Add(time.Hour)) // 10:15 to 10:45 are one record of what was missed
	at := func(clock string) time.Time {
		parsed, _ := time.Parse("15:04", clock)
		return start.Truncate(24 * time.Hour).Add(time.Duration(parsed.Hour())*time.Hour + time.Duration(parsed.Minute())*time.Minute)
	}
	asked := schedule.Asked(s, "", "x", "me", nil, at("09:45")) // in the second of a nominal time
	if err := db.Add(ctx, asked); err != nil {
		t.Fatal(err)
	}
	fill(t, db, s, schedule.Backfill{}, []time.Time{at("10:30"), at("09:30")}, start.Add(2*time.Hour))
	times := []time.Time{at("11:00"), at("09:30"), at("09:45"), at("10:00"), at("10:15"), at("10:30")}
	pasts, err := db.Pasts(ctx, s.ID, times)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, p := range pasts {
		line := times[i].Format("15:04")
		for _, o := range p {
			line += " " + string(o.Status)
		}
		got = append(got, line)
	}
	if want := []string{"11:00 Waiting", "09:30 Waiting", "09:45", "10:00", "10:15 Skipped", "10:30 Waiting"}; !slices.Equal(got, want) {
		t.Errorf("pasts are %v, want %v", got, want)
	}
	if none, err := db.Pasts(ctx, s.ID, nil); err != nil || len(none) != 0 {
		t.Errorf("of no times: %v, %v", none, err)
	}
}

// Two that fill the same times at once make each once; so do many.
func TestFillConflicts(t *testing.T) {
	db, _ := open(t)
	s := create(t, db, "a", 60)
	times := hours(100)
	now := start.Add(time.Minute)
	first := s.Filled(schedule.Backfill{By: "first"}, times[:60], make([]schedule.Past, 60), now)
	second := s.Filled(schedule.Backfill{By: "second"}, times[40:], make([]schedule.Past, 60), now.Add(24*time.Hour)) // another day: other ids
	if made, taken, err := db.Fill(ctx, s, first, schedule.Audit{At: now}, now); err != nil || len(made) != 60 || len(taken) != 0 {
		t.Fatal(len(made), len(taken), err)
	}
	made, taken, err := db.Fill(ctx, s, second, schedule.Audit{At: now}, now)
	if err != nil || !slices.Equal(ids(made), ids(second[20:])) || !slices.Equal(ids(taken), ids(second[:20])) {
		t.Errorf("%d made, %d taken, %v", len(made), len(taken), err)
	}
	recorded, _, err := db.Audits(ctx, "", "", 2, func(a schedule.Audit) bool { return a.After != nil && a.Schedule == "" })
	if err != nil || len(recorded) != 2 || inOrder([]string{string(recorded[0].After["runs"]), string(recorded[1].After["runs"])}) != "40\n60" {
		t.Errorf("recorded are %+v, %v", recorded, err)
	}
	before := len(audits(t, db, "", 100, everything))
	if made, taken, err = db.Fill(ctx, s, second, schedule.Audit{At: now}, now); err != nil || len(made) != 0 || len(taken) != 60 {
		t.Errorf("once more: %d made, %d taken, %v", len(made), len(taken), err)
	}
	if after := len(audits(t, db, "", 100, everything)); after != before {
		t.Errorf("a backfill of nothing is recorded")
	}

	other := create(t, db, "b", 60)
	var group sync.WaitGroup
	var mu sync.Mutex
	count := map[string]int{}
	for range 8 {
		group.Go(func() {
			made, _ := fill(t, db, other, schedule.Backfill{}, times, now)
			mu.Lock()
			defer mu.Unlock()
			for _, o := range made {
				count[schedule.Stamp(o.Nominal)]++
			}
		})
	}
	group.Wait()
	for stamp, n := range count {
		if n < 1 {
			t.Errorf("%s is made %d times", stamp, n)
		}
	}
	pasts, err := db.Pasts(ctx, other.ID, times)
	if err != nil || len(count) != len(times) {
		t.Errorf("%d of %d times are made, %v", len(count), len(times), err)
	}
	for i, p := range pasts {
		if len(p) != count[schedule.Stamp(times[i])] {
			t.Errorf("%v has %d occurrences, and %d were made", times[i], len(p), count[schedule.Stamp(times[i])])
		}
	}
}

// A backfill that fails half way leaves what it has made, with its record and a mark; asked again, it makes the rest.
func TestFillFailsHalfWay(t *testing.T) {
	applies := 0
	driver := &storetest.Faulty{Driver: store.NewMem(), Fail: func(c storetest.Call) storetest.Fault {
		if len(c.Ops) > 10 {
			if applies++; applies == 3 {
				return storetest.Lost
			}
		}
		return storetest.Works
	}}
	db := store.New(driver)
	s := create(t, db, "a", 60)
	times := hours(200)
	all := s.Filled(schedule.Backfill{}, times, make([]schedule.Past, 200), start)
	made, _, err := db.Fill(ctx, s, all, schedule.Audit{At: start, Schedule: "a", What: schedule.WasFilled}, start)
	if !errors.Is(err, storetest.ErrFault) || len(made) == 0 || len(made) == 200 {
		t.Fatal(len(made), err)
	}
	pasts, err := db.Pasts(ctx, s.ID, times)
	if err != nil {
		t.Fatal(err)
	}
	recorded, _, err := db.Audits(ctx, "a", "", 1, func(a schedule.Audit) bool { return a.What == schedule.WasFilled })
	if err != nil || len(recorded) != 1 {
		t.Fatal(recorded, err)
	}
	if n, _ := strconv.Atoi(string(recorded[0].After["runs"])); n <= len(made) || n != rows(t, driver)["fil"] { // the lost transaction was written
		t.Errorf("it says that %d were made, and there are %d", n, rows(t, driver)["fil"])
	}
	var left []time.Time
	for i, p := range pasts {
		if p.Kept(false) == "" {
			left = append(left, times[i])
		}
	}
	more, taken := fill(t, db, s, schedule.Backfill{}, left, start)
	if len(taken) != 0 || len(more) >= 200-len(made) { // the lost transaction was written
		t.Errorf("%d, then %d, %d taken", len(made), len(more), len(taken))
	}
	if n := rows(t, driver); n["occ"] != 200 || n["fil"] != 200 {
		t.Errorf("rows %v", n)
	}
}

// What is forgotten can be filled again, under a name that the far side has never seen.
func TestFillAfterForgetting(t *testing.T) {
	db, driver := open(t)
	s := create(t, db, "a", 60)
	times := hours(1)
	made, _ := fill(t, db, s, schedule.Backfill{}, times, start)
	step(t, db, made[0].ID, func(o schedule.Occurrence) schedule.Occurrence { return o.Skip(schedule.ReasonDisabled, start) })
	if _, waits, err := db.FirstInLine(ctx, s.ID); waits || err != nil {
		t.Errorf("a skipped one stands in line: %v", err)
	}
	for shard := range store.Shards {
		if _, err := db.Prune(ctx, shard, start.Add(time.Hour), "", 100); err != nil {
			t.Fatal(err)
		}
	}
	if n := rows(t, driver); n["occ"] != 0 || n["once"] != 0 || n["log"] != 0 {
		t.Errorf("rows %v", n)
	}
	again, _ := fill(t, db, s, schedule.Backfill{}, times, start.AddDate(0, 0, 90))
	if len(again) != 1 || again[0].ID == made[0].ID || again[0].Number() != 1 {
		t.Errorf("first %v, then %v", ids(made), ids(again))
	}
}

func TestLines(t *testing.T) {
	db, _ := open(t)
	var want []string
	for i := range 12 {
		s := create(t, db, fmt.Sprint("s", i), 60)
		if i%3 == 0 {
			continue
		}
		fill(t, db, s, schedule.Backfill{}, hours(3), start.Add(time.Minute))
		want = append(want, s.Name)
		newest := hours(6)
		slices.Reverse(newest)
		fill(t, db, s, schedule.Backfill{Newest: true}, newest[3:], start.Add(2*time.Minute)) // behind those
		first, waits, err := db.FirstInLine(ctx, s.ID)
		if err != nil || !waits || !first.Nominal.Equal(hours(3)[0]) {
			t.Errorf("the first in line is %s, %v", first.ID, err)
		}
	}
	waits := schedule.Asked(create(t, db, "buffers", 60), "", "x", "me", nil, start).Waits()
	if err := db.Add(ctx, waits); err != nil {
		t.Fatal(err)
	}
	want = append(want, "buffers")
	lines, err := db.Lines(ctx)
	var names []string
	for _, o := range lines {
		names = append(names, o.Schedule)
	}
	if err != nil || inOrder(names) != inOrder(want) {
		t.Errorf("lines of %v, %v, want %v", names, err, want)
	}
}

// What waits is found by what the clock has to act on: in pages, of all shards, each once.
func TestUnsubmitted(t *testing.T) {
	db, _ := open(t)
	var want []string
	for i := range 12 {
		s := create(t, db, fmt.Sprint("s", i), 60)
		var all []string
		for k := range 3 {
			o := schedule.Asked(s, "", fmt.Sprint("x", k), "me", nil, start.Add(time.Duration(i)*time.Second))
			if err := db.Add(ctx, o); err != nil {
				t.Fatal(err)
			}
			all = append(all, o.ID)
		}
		claimed := func(o schedule.Occurrence) schedule.Occurrence { return o.Claimed("me", "1", start) }
		step(t, db, all[0], claimed)
		step(t, db, all[1], claimed)
		step(t, db, all[1], func(o schedule.Occurrence) schedule.Occurrence { return o.Accepted("run", start) })
		want = append(want, all[0], all[2])
	}
	for _, size := range []int{1, 7, 100} {
		var got []string
		for token, pages := "", 0; pages == 0 || token != ""; pages++ {
			page, next, err := db.Unsubmitted(ctx, token, size)
			if err != nil || len(page) > size || pages > 100 {
				t.Fatal(len(page), pages, err)
			}
			got, token = append(got, ids(page)...), next
		}
		if inOrder(got) != inOrder(want) {
			t.Errorf("in pages of %d: %v, want %v", size, got, want)
		}
	}
}
