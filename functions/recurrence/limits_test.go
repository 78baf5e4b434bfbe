package recurrence_test

import (
	"strings"
	"testing"
	"time"

	"carillon/shared/pipeline"
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
		w.must(func() error { return w.db.PutCalendar(t.Context(), calendar, "me", w.now) })
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
			excluded := at.Day() == 22 && (at.Hour() == 11 || at.Hour() == 12)
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

// An edit reaches the next run, and what was recorded before it keeps its definition; a person's disable, deletion and
// change of the trigger reach what waits.
func TestEditsReachWhatTheyShould(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(w *world)
		status schedule.Status
		reason schedule.Reason
	}{
		{"other parameters", func(w *world) {
			w.revise("s", func(d *schedule.Definition) { d.Parameters = schedule.Parameters{"who": "new"} })
		}, schedule.Completed, ""},
		{"disabled", func(w *world) { w.revise("s", func(d *schedule.Definition) { d.Status = schedule.Disabled }) }, schedule.Skipped, schedule.ReasonDisabled},
		{"another trigger", func(w *world) {
			w.revise("s", func(d *schedule.Definition) { d.Trigger = schedule.Trigger{Spec: every("hour", 1)} })
		}, schedule.Skipped, schedule.ReasonTriggerChanged},
		{"deleted", func(w *world) {
			if err := w.db.Delete(w.t.Context(), "s", "me", w.now, func(schedule.Schedule) error { return nil }); err != nil {
				w.t.Fatal(err)
			}
		}, schedule.Skipped, schedule.ReasonDeleted},
	} {
		w := newWorld(t, 1)
		w.healthy = true
		w.add("s", func(d *schedule.Definition) { d.Parameters = schedule.Parameters{"who": "old"} })
		w.now = w.now.Truncate(time.Minute).Add(50 * time.Second)
		w.tick(15 * time.Second) // 10:01 is recorded ahead of its time
		row.change(w)
		for range 3 {
			w.now = w.now.Add(30 * time.Second)
			w.deliver()
			w.tick(0)
		}
		w.deliver()
		all := w.occurrences()
		first := all[len(all)-1]
		if first.Nominal.Minute() != 1 || first.Status != row.status || first.Reason != row.reason {
			t.Errorf("%s: the one that waited, %v, is %s %s", row.name, first.Nominal, first.Status, first.Reason)
		}
		if row.name != "other parameters" {
			continue
		}
		runs := w.fake.Runs()
		if len(runs) < 2 || runs[0].Submission.Parameters["who"] != "old" || runs[len(runs)-1].Submission.Parameters["who"] != "new" {
			t.Errorf("%s: the runs got %+v", row.name, runs)
		}
	}
}

func (w *world) revise(name string, change func(*schedule.Definition)) {
	w.t.Helper()
	_, err := w.db.Edit(w.t.Context(), name, w.now, func(s schedule.Schedule) (schedule.Schedule, error) {
		d := s.Definition
		change(&d)
		return s.Revise(d, "me", "", w.now), nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// What the far side says may be longer than a row: the occurrence comes to its end all the same.
func TestLongTextsEnd(t *testing.T) {
	w := newWorld(t, 1)
	w.healthy = true
	w.add("refused", func(d *schedule.Definition) { d.Pipeline.ID = strings.Repeat("x", 1000) })
	w.fake.Before = func(pipeline.Submission) error { return pipeline.Refusef("%s", strings.Repeat("no ", 30_000)) }
	w.now = w.now.Truncate(time.Minute).Add(time.Minute)
	w.tick(0)
	w.deliver()
	if all := w.occurrences(); len(all) != 1 || all[0].Status != schedule.Failed || len(all[0].Error) > 5000 {
		t.Errorf("refused at length: %.300v", all)
	}
}
