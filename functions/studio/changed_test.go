package studio

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"carillon/shared/schedule"
)

// revise changes a schedule some minutes before noon.
func (s *site) revise(name string, minutes int, change func(old schedule.Schedule, at time.Time) schedule.Schedule) {
	s.t.Helper()
	at := noon.Add(-time.Duration(minutes) * time.Minute)
	if _, err := s.db.Edit(s.t.Context(), name, at, func(old schedule.Schedule) (schedule.Schedule, error) { return change(old, at), nil }); err != nil {
		s.t.Fatal(err)
	}
}

func TestLastChanges(t *testing.T) {
	s := newSite(t)
	s.schedule(quarterly("a", s.pipeline("hello").ID))
	shows(t, words(s.get(root+"/schedules/a")), "Last changes What was changed of the schedule, the last change first, times in UTC Time By What Before and after Mon 2026-01-05 11:00:30 UTC revision 1 tester created Definition")
	s.revise("a", 30, func(old schedule.Schedule, at time.Time) schedule.Schedule {
		d := old.Definition
		d.MaxRuns, d.Parameters = 5, schedule.Parameters{"a": "<b>" + strings.Repeat("x", 500)}
		return old.Revise(d, "<i>ann</i>", "", at)
	})
	s.revise("a", 20, func(old schedule.Schedule, at time.Time) schedule.Schedule {
		return old.StoppedBy("ben", "fire", true, at)
	})
	page := s.get(root + "/schedules/a")
	shows(t, words(page), "Status Disabled with all “fire” by ben ,",
		"Mon 2026-01-05 11:40:30 UTC revision 3 ben disabled “fire” Mon 2026-01-05 11:30:30 UTC revision 2",
		"changed max_runs: – → 5 parameters: – →")
	hides(t, page, "<i>ann", "<b>x")
	if _, changes, ok := strings.Cut(page, "Last changes"); !ok || strings.Count(changes[:strings.Index(changes, "Definition")], "x") > 250 {
		t.Error("a long value is shown whole")
	}
	shows(t, words(s.get(root)), "Disabled with all “fire”")
	for i := range 20 {
		s.revise("a", 1, func(old schedule.Schedule, at time.Time) schedule.Schedule {
			d := old.Definition
			d.MaxRuns = 100 + i
			return old.Revise(d, fmt.Sprint("n", i), "", at)
		})
	}
	if n := strings.Count(words(s.get(root+"/schedules/a")), " changed max_runs: "); n != lastChanges {
		t.Errorf("%d changes are shown", n)
	}
}

// A backfill is among the changes of its schedule, single runs that were asked for are not, and nothing is that was done to
// another schedule of its name.
func TestLastChangesOfOneSchedule(t *testing.T) {
	s := newSite(t)
	s.schedule(quarterly("a", s.pipeline("hello").ID))
	if err := s.db.Delete(t.Context(), "a", "ben", noon.Add(-2*time.Hour), func(schedule.Schedule) error { return nil }); err != nil {
		t.Fatal(err)
	}
	a := s.schedule(quarterly("a", "hello"))
	s.asked(a, 1, func(o schedule.Occurrence) schedule.Occurrence { return o })
	b := schedule.Backfill{From: noon.Add(-24 * time.Hour).Truncate(time.Hour), To: noon.Add(-time.Hour), By: "ann", Parameters: schedule.Parameters{"who": "<b>"}}
	made := a.Filled(b, []time.Time{b.From}, []schedule.Past{nil}, noon)
	if _, _, err := s.db.Fill(t.Context(), a, made, schedule.AuditedFill(a, b, noon), noon); err != nil {
		t.Fatal(err)
	}
	s.revise("a", -1, func(old schedule.Schedule, at time.Time) schedule.Schedule {
		d := old.Definition
		d.Parameters = schedule.Parameters{"long": strings.Repeat("x", 5000) + "end"}
		return old.Revise(d, "cat", "", at)
	})
	page := words(s.get(root + "/schedules/a"))
	shows(t, page, `cat changed parameters: – → {"long":"`+strings.Repeat("x", 120)+` … (cut, of 5003 bytes)"}`,
		`revision 1 ann backfilled at_once: 1 from: 2026-01-04T12:00:00Z order: oldest parameters: {"who":"<b>"} runs: 1 to: 2026-01-05T11:00:30Z`,
		"revision 1 tester created Definition")
	hides(t, page, "triggered", "deleted")
}

func TestBackfilledRuns(t *testing.T) {
	s := newSite(t)
	a := s.schedule(quarterly("a", s.pipeline("hello").ID))
	made := a.Filled(schedule.Backfill{By: "ann"}, []time.Time{noon.Add(-24 * time.Hour).Truncate(time.Hour)}, []schedule.Past{nil}, noon)
	if _, _, err := s.db.Fill(t.Context(), a, made, schedule.Audit{At: noon}, noon); err != nil {
		t.Fatal(err)
	}
	shows(t, words(s.get(root+"/schedules/a")), "Sun 2026-01-04 12:00 UTC backfill, ann Waiting")
	shows(t, words(s.get(root+"/runs/"+made[0].ID)), "Cause asked for by ann when its time was over")
}
