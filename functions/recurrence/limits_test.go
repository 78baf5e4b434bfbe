package recurrence_test

import (
	"testing"
	"time"

	"carillon/shared/recur"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

func (w *world) status(name string) (schedule.Activity, string) {
	w.t.Helper()
	r, err := w.db.Schedule(w.t.Context(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	if r.Schedule.Value.StatusNote == nil {
		return r.Schedule.Value.Status, ""
	}
	return r.Schedule.Value.Status, r.Schedule.Value.StatusNote.Note
}

func (w *world) add(name string, change func(*schedule.Definition)) {
	d := schedule.Definition{
		Name: name, Pipeline: hello, Experiment: "demo", Status: schedule.Active, Trigger: schedule.Trigger{Spec: every("minute", 1)},
	}
	change(&d)
	s := schedule.New(d, store.NewScheduleID(name), "me", w.now)
	w.must(func() error { return w.db.Create(w.t.Context(), s) })
	w.created[name] = s
}

// A schedule of one instant, one with max_runs and one with a calendar, while everything fails now and then.
func TestSchedulesThatEnd(t *testing.T) {
	for seed := range uint64(5) {
		w := newWorld(t, seed)
		w.add("once", func(d *schedule.Definition) {
			d.Trigger.Spec = recur.Spec{Kind: recur.KindAt, At: "2026-11-22T10:07:30"}
		})
		w.add("thrice", func(d *schedule.Definition) { d.MaxRuns = 3 })
		calendar := store.NamedCalendar{Name: "lunch", Calendar: recur.Calendar{Spans: []recur.Span{{From: "2026-11-22T11:00:00", To: "2026-11-22T13:00:00"}}}}
		w.must(func() error { return w.db.PutCalendar(t.Context(), calendar) })
		w.add("open", func(d *schedule.Definition) {
			d.Calendars = []string{"lunch"}
			d.CatchUp = schedule.CatchUp{Policy: schedule.CatchUpAll, Window: new(schedule.Duration)}
			*d.CatchUp.Window = schedule.Duration(24 * time.Hour)
		})
		w.run(600, 30, func() {})
		recorded := w.settled()

		if once := recorded["once"]; len(once) != 1 {
			t.Errorf("seed %d: one instant has %d occurrences", seed, len(once))
		}
		submitted := 0
		for _, o := range recorded["thrice"] {
			if o.Status == schedule.Completed {
				submitted++
			}
		}
		if submitted != 3 {
			t.Errorf("seed %d: max_runs 3 made %d runs", seed, submitted)
		}
		for _, name := range []string{"once", "thrice"} {
			if status, note := w.status(name); status != schedule.Disabled || note != "done" {
				t.Errorf("seed %d: %s is %s, %q", seed, name, status, note)
			}
		}
		lunch := 0
		for at, o := range recorded["open"] {
			excluded := at.Hour() == 11 || at.Hour() == 12
			if excluded != (o.Reason == schedule.ReasonCalendar) {
				t.Errorf("seed %d: %v became %s %s", seed, at, o.Status, o.Reason)
			}
			if excluded {
				lunch++
			}
		}
		if lunch != 120 {
			t.Errorf("seed %d: %d of 120 excluded minutes are recorded", seed, lunch)
		}
	}
}
