package studio

import (
	"strings"
	"testing"

	"carillon/shared/schedule"
	"carillon/shared/store"
)

// What a policy has done to occurrences is said in words, and how far a schedule is from being paused.
func TestPagesOfPolicies(t *testing.T) {
	s := newSite(t)
	s.pipeline("hello")
	made := s.schedule(strings.Replace(quarterly("a", "hello"), `"demo"`, `"demo", "overlap": "buffer_one", "pause_after_failures": 3, "max_runs": 7`, 1))
	s.asked(made, 1, func(o schedule.Occurrence) schedule.Occurrence { return o.Skip(schedule.ReasonOverlap, noon) })
	s.asked(made, 2, func(o schedule.Occurrence) schedule.Occurrence { return o.Skip(schedule.ReasonPaused, noon) })
	waits := s.asked(made, 3, func(o schedule.Occurrence) schedule.Occurrence { return o.Waits() })
	o, err := s.db.Occurrence(t.Context(), s.asked(made, 4, func(o schedule.Occurrence) schedule.Occurrence { return o.Claimed("me", "1", noon) }))
	if err != nil {
		t.Fatal(err)
	}
	record, err := s.db.Schedule(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	failed := o.Value.TooLarge(noon)
	state := record.State.Value.Ended(failed)
	state.Submitted = 2
	change := store.Change{From: o, To: failed, State: record.Counted(state)}
	if err := s.db.Save(t.Context(), []store.Change{change})[0]; err != nil {
		t.Fatal(err)
	}
	shows(t, words(s.get(root+"/schedules/a")),
		"Skipped another run of the schedule was under way, and its overlap policy let this one not wait",
		"Skipped too many runs of the schedule had failed in a row",
		"Waiting waits until what is under way has ended",
		"Runs so far 2; it is done at 7", "Failed runs in a row 1; it is paused at 3")
	gives := s.asked(made, 5, func(o schedule.Occurrence) schedule.Occurrence { return o.MakesRoom(waits) })
	shows(t, words(s.get(root+"/runs/"+gives)), "Makes room for "+waits+" (overlap: cancel_running)")
	shows(t, words(s.get(root+"/runs/"+waits)), "It waits until what is under way has ended")
	other := s.schedule(quarterly("b", "hello"))
	if page := words(s.get(root + "/schedules/" + other.Name)); strings.Contains(page, "Failed runs in a row") || strings.Contains(page, "Runs so far") {
		t.Errorf("nobody counts failures of b: %s", page)
	}
}
