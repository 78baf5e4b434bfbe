package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/shared/recur"
	"carillon/shared/schedule"
	"carillon/shared/store"
	"carillon/shared/store/storetest"
)

// audits reads all records of changes, a page at a time, as "WHAT of WHOM by WHO".
func audits(t *testing.T, db *store.DB, name string, size int, keep func(schedule.Audit) bool) (all []string) {
	t.Helper()
	for token, pages := "", 0; ; pages++ {
		page, next, err := db.Audits(ctx, name, token, size, keep)
		if err != nil || len(page) > size || pages > 100 {
			t.Fatal(err, len(page), pages)
		}
		for _, a := range page {
			all = append(all, fmt.Sprintf("%s %s by %s", a.What, a.Schedule+a.Calendar, a.By))
		}
		if token = next; token == "" {
			return all
		}
	}
}

func everything(schedule.Audit) bool { return true }

// Whatever writes a definition, or a calendar, records the change in the same transaction, once; so does whatever makes a run
// that somebody asks for. What is of a schedule stands among its changes, too.
func TestChangesAreRecordedWithThem(t *testing.T) {
	var unrecorded []string
	driver := &storetest.Faulty{Driver: store.NewMem()}
	driver.Fail = func(c storetest.Call) storetest.Fault {
		defined, recorded, ofSchedules, own := 0, 0, 0, 0
		for _, op := range c.Ops {
			switch {
			case strings.HasSuffix(op.Sort, "|def"), strings.HasPrefix(op.Sort, "occ|") && op.Kind == store.Create && strings.Contains(op.Sort, "|m"):
				defined++
				ofSchedules++
			case strings.HasPrefix(op.Sort, "cal|"):
				defined++
			case strings.HasPrefix(op.Sort, "aud|"):
				recorded++
			case strings.HasPrefix(op.Sort, "aus|"):
				own++
			}
		}
		if defined != recorded || ofSchedules != own {
			unrecorded = append(unrecorded, fmt.Sprint(c.Ops))
		}
		return storetest.Works
	}
	db := store.New(driver)
	now := start
	edit := func(name string, change func(s schedule.Schedule) schedule.Schedule) {
		t.Helper()
		if _, err := db.Edit(ctx, name, now, func(s schedule.Schedule) (schedule.Schedule, error) { return change(s), nil }); err != nil {
			t.Fatal(err)
		}
	}
	same := func(s schedule.Schedule) schedule.Schedule { return s }
	a := create(t, db, "a", 15)
	for _, name := range []string{"once", "twice"} {
		d := schedule.Definition{Name: name, Status: schedule.Active, Trigger: schedule.Trigger{Spec: recur.Spec{Kind: recur.KindAt, At: "2026-11-22T10:30"}}}
		if err := db.Create(ctx, schedule.New(d, store.NewScheduleID(name), "me", now)); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Create(ctx, schedule.New(a.Definition, store.NewScheduleID("a"), "me", now)); !errors.Is(err, store.ErrExists) {
		t.Fatal(err)
	}
	now = start.Add(time.Minute)
	edit("a", func(s schedule.Schedule) schedule.Schedule {
		d := s.Definition
		d.Experiment, d.PauseAfter = "other", 1
		return s.Revise(d, "ann", "", now)
	})
	edit("a", same)
	failed := schedule.Asked(a, "", "x", "me", nil, now)
	if err := db.Add(ctx, failed); err != nil {
		t.Fatal(err)
	}
	o, _ := db.Occurrence(ctx, failed.ID)
	r := read(t, db, "a")
	refused := o.Value.Refused(errors.New("no"), now)
	refused.PauseAfter = 1
	if err := db.Save(ctx, []store.Change{{From: o, To: refused, State: r.Counted(schedule.State{Failures: 1})}})[0]; err != nil {
		t.Fatal(err)
	}
	if err := db.Pause(ctx, refused, now); err != nil {
		t.Fatal(err)
	}
	now = start.Add(time.Hour)
	edit("once", same) // which finds it done
	tick(t, db, now)
	if err := db.Delete(ctx, "a", "ben", now, func(schedule.Schedule) error { return nil }); err != nil {
		t.Fatal(err)
	}
	for i, day := range []string{"2026-12-24", "2026-12-25", "2026-12-25"} {
		c := store.NamedCalendar{Name: "holidays", Calendar: recur.Calendar{Dates: []string{day}}}
		if err := db.PutCalendar(ctx, c, "cat", now.Add(time.Duration(i+1)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.DeleteCalendar(ctx, "holidays", "cat", now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := db.DeleteCalendar(ctx, "holidays", "cat", now); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	if len(unrecorded) > 0 {
		t.Errorf("%d transactions change what they do not record, or the other way round: %s", len(unrecorded), unrecorded[0])
	}
	want := []string{
		"deleted holidays by cat", "changed holidays by cat", "created holidays by cat",
		"deleted a by ben", "disabled once by carillon", "disabled twice by carillon", "disabled a by carillon", "triggered a by me", "changed a by ann",
		"created a by me", "created once by me", "created twice by me",
	}
	got := audits(t, db, "", 100, everything)
	if inOrder(got[:3]) != inOrder(want[:3]) || inOrder(got) != inOrder(want) {
		t.Errorf("recorded are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got, want := audits(t, db, "a", 2, everything), []string{"deleted a by ben", "disabled a by carillon", "triggered a by me", "changed a by ann", "created a by me"}; inOrder(got) != inOrder(want) {
		t.Errorf("of a: %v, want %v", got, want)
	}
}

func inOrder(list []string) string {
	list = slices.Clone(list)
	slices.Sort(list)
	return strings.Join(list, "\n")
}

// The last ones come first, whatever the shard, also of one second, and of one instant.
func TestAuditsInOrder(t *testing.T) {
	db, _ := open(t)
	var want []string
	for i := range 30 {
		name := fmt.Sprint("s", i%7)
		now := start.Add(time.Duration(i/3) * time.Millisecond)
		if i < 7 {
			d := schedule.Definition{Name: name, Trigger: every(15), Status: schedule.Active}
			if err := db.Create(ctx, schedule.New(d, store.NewScheduleID(name), fmt.Sprint("n", i), start)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		_, err := db.Edit(ctx, name, now, func(s schedule.Schedule) (schedule.Schedule, error) {
			d := s.Definition
			d.MaxRuns = i
			return s.Revise(d, fmt.Sprint("n", i), "", now), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprintf("changed %s by n%d", name, i))
	}
	slices.Reverse(want)
	for _, size := range []int{1, 4, 100} {
		got := audits(t, db, "", size, func(a schedule.Audit) bool { return a.What == schedule.WasChanged })
		if inOrder(got) != inOrder(want) {
			t.Errorf("in pages of %d: %v", size, got)
		}
		for i := range got {
			if i/3 != slices.Index(want, got[i])/3 && got[i] != want[i] { // three have one instant
				t.Errorf("in pages of %d: %s stands at %d", size, got[i], i)
			}
		}
	}
	for i := range 3 { // of one instant, the last revision first
		if _, err := db.Edit(ctx, "s0", start, func(s schedule.Schedule) (schedule.Schedule, error) {
			return s.Revise(s.Definition, fmt.Sprint("again", i), "", start.Add(time.Hour)), nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if got := audits(t, db, "s0", 100, everything)[:3]; !slices.Equal(got, []string{"changed s0 by again2", "changed s0 by again1", "changed s0 by again0"}) {
		t.Errorf("of one instant: %v", got)
	}
}

// A change is never refused for the size of its record: texts are cut until it fits. In the end nothing but who, what and
// when is left.
func TestAuditOfMuch(t *testing.T) {
	db, _ := open(t)
	awkward := strings.Repeat("\x01", 640)
	d := schedule.Definition{Name: "a", Trigger: every(15), Status: schedule.Active, Description: awkward, Experiment: awkward[:255]}
	for i := range 10 {
		d.Calendars = append(d.Calendars, fmt.Sprint(i, strings.Repeat("c", 250)))
	}
	if err := db.Create(ctx, schedule.New(d, store.NewScheduleID("a"), "me", start)); err != nil {
		t.Fatal(err)
	}
	change := func(parameters schedule.Parameters) (a schedule.Audit) {
		t.Helper()
		now := start.Add(time.Minute)
		_, err := db.Edit(ctx, "a", now, func(s schedule.Schedule) (schedule.Schedule, error) {
			next := s.Definition
			next.Parameters = parameters
			return s.Revise(next, "me", "", now), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := db.Audits(ctx, "a", "", 1, everything)
		if err != nil || len(got) != 1 || got[0].By != "me" || got[0].What != schedule.WasChanged {
			t.Fatalf("%+v, %v", got, err)
		}
		return got[0]
	}
	length := func(a schedule.Audit, name string) int {
		var entries map[string]string
		if err := json.Unmarshal(a.After["parameters"], &entries); err != nil {
			return 0
		}
		return len(entries[name])
	}
	text := func(of, n int) string { return strings.Repeat(string(rune('a'+of)), n) }
	many, more := schedule.Parameters{}, schedule.Parameters{}
	for i := range 10 {
		many[fmt.Sprint("p", i)], more[fmt.Sprint("p", i)] = text(i, 3000), text(i+1, 3000)
	}
	if a := change(many); length(a, "p3") != 3000 {
		t.Errorf("what fits is cut to %d", length(a, "p3"))
	}
	if a := change(more); length(a, "p3") < 1000 || length(a, "p3") > 1100 {
		t.Errorf("what does not fit is cut to %d", length(a, "p3"))
	}
	if a := change(schedule.Parameters{"p0": text(5, 20_000)}); length(a, "p0") < 4000 || length(a, "p0") > 4200 {
		t.Errorf("a long one is cut to %d", length(a, "p0"))
	}
	short, others := schedule.Parameters{}, schedule.Parameters{}
	for i := range 1000 {
		short[fmt.Sprint("p", i)], others[fmt.Sprint("p", i)] = text(0, 20), text(1, 20)
	}
	change(short)
	if a := change(others); a.Before != nil || a.After != nil {
		t.Errorf("what cannot be cut is there: %d entries", len(a.After))
	}
}

func TestAuditsArePruned(t *testing.T) {
	db, driver := open(t)
	create(t, db, "a", 15)
	late := start.Add(time.Hour)
	if err := db.PutCalendar(ctx, store.NamedCalendar{Name: "c"}, "me", start); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Edit(ctx, "a", late, func(s schedule.Schedule) (schedule.Schedule, error) {
		return s.Revise(s.Definition, "late", "", late), nil
	}); err != nil {
		t.Fatal(err)
	}
	for shard := range store.Shards {
		if _, err := db.Prune(ctx, shard, start.Add(time.Minute), "", 100); err != nil {
			t.Fatal(err)
		}
	}
	if got := audits(t, db, "", 10, everything); !slices.Equal(got, []string{"changed a by late"}) {
		t.Errorf("left are %v", got)
	}
	if n := rows(t, driver); n["aud"] != 1 || n["aus"] != 1 {
		t.Errorf("rows %v", n)
	}
	if got := audits(t, db, "a", 10, everything); !slices.Equal(got, []string{"changed a by late"}) {
		t.Errorf("left of a are %v", got)
	}
}

// The changes of one schedule are found in one read, however much else has changed in its shard, and those of another of its
// name after them.
func TestAuditsOfOneSchedule(t *testing.T) {
	counter := &storetest.Counter{Driver: store.NewMem()}
	db := store.New(counter)
	edit := func(name, by string, now time.Time) {
		t.Helper()
		if _, err := db.Edit(ctx, name, now, func(s schedule.Schedule) (schedule.Schedule, error) {
			return s.Revise(s.Definition, by, "again", now), nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	create(t, db, "a", 15)
	edit("a", "ann", start.Add(time.Minute))
	if err := db.Delete(ctx, "a", "ben", start.Add(2*time.Minute), func(schedule.Schedule) error { return nil }); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		name := fmt.Sprint("s", i)
		create(t, db, name, 15)
		for k := range 10 {
			edit(name, "cat", start.Add(time.Duration(k)*time.Hour))
		}
	}
	counter.Reset()
	got := audits(t, db, "a", 10, everything)
	if want := []string{"deleted a by ben", "changed a by ann", "created a by me"}; !slices.Equal(got, want) || counter.Calls() > 1 {
		t.Errorf("%d calls find %v, want %v", counter.Calls(), got, want)
	}
	if got := audits(t, db, "a", 1, func(a schedule.Audit) bool { return a.By == "ann" }); !slices.Equal(got, []string{"changed a by ann"}) {
		t.Errorf("by ann: %v", got)
	}
}
