package schedule

import (
	"testing"
	"time"
)

// closed is a calendar that excludes a span of the day.
func closed(from, to string) Excluded {
	return func(t time.Time, _ *time.Location) string {
		if !t.Before(at(from)) && t.Before(at(to)) {
			return "holidays"
		}
		return ""
	}
}

func TestPlanWithCalendars(t *testing.T) {
	for _, row := range []struct {
		name       string
		catchUp    CatchUpPolicy
		closed     [2]string
		now, until string
		want       string
	}{
		{"excluded", "", [2]string{"10:15:00", "10:20:00"}, "10:15:00", "10:15:15", "10:15!calendar >10:30"},
		{"open again", "", [2]string{"10:15:00", "10:30:00"}, "10:30:00", "10:30:15", "10:15!calendar 10:30 >10:45"},
		{"the latest that is not excluded", CatchUpLatest, [2]string{"10:40:00", "10:50:00"}, "10:55:00", "10:55:15",
			"10:15!catch_up_latest 10:30 10:45!calendar >11:00"},
		{"all are excluded", CatchUpLatest, [2]string{"10:00:00", "12:00:00"}, "10:55:00", "10:55:15", "10:15-10:45(3)!calendar >11:00"},
		{"all but the excluded", CatchUpAll, [2]string{"10:20:00", "10:40:00"}, "10:55:00", "10:55:15", "10:15 10:30!calendar 10:45 >11:00"},
	} {
		s := every(15)
		s.Calendars = []string{"holidays"}
		s.CatchUp.Policy = row.catchUp
		p, err := dueAfter(t, s, at("10:00:00")).Plan(at(row.now), at(row.until), closed(row.closed[0], row.closed[1]))
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
		} else if got := told(p); got != row.want {
			t.Errorf("%s:\n got %s\nwant %s", row.name, got, row.want)
		}
	}
}

func TestJitter(t *testing.T) {
	s := every(1)
	s.Jitter = Duration(30 * time.Second)
	seen := map[time.Duration]bool{}
	for minute := range 50 {
		nominal := at("10:01:00").Add(time.Duration(minute) * time.Minute)
		due := dueAfter(t, s, nominal.Add(-time.Second))
		p, err := due.Plan(nominal, nominal.Add(15*time.Second), nil)
		if err != nil || len(p.Record) != 1 {
			t.Fatal(p, err)
		}
		o := p.Record[0]
		delay := o.Start.Sub(o.Nominal)
		if delay < 0 || delay >= 30*time.Second || delay%time.Second != 0 {
			t.Errorf("a delay of %v", delay)
		}
		if later := o.Start.After(nominal.Add(15 * time.Second)); later && !o.Wake.Equal(o.Start) || !later && !o.Wake.After(o.Start) {
			t.Errorf("starts at %v, the clock looks at %v", o.Start, o.Wake)
		}
		again, _ := due.Plan(nominal.Add(time.Second), nominal.Add(16*time.Second), nil)
		if !again.Record[0].Start.Equal(o.Start) {
			t.Error("another delay for the same occurrence")
		}
		seen[delay] = true
	}
	if len(seen) < 10 {
		t.Errorf("50 occurrences have only %d delays", len(seen))
	}

	s.Jitter = Duration(time.Hour) // more than the gap
	for minute := range 20 {
		nominal := at("10:01:00").Add(time.Duration(minute) * time.Minute)
		if o := planned(t, dueAfter(t, s, nominal.Add(-time.Second)), nominal, nominal); o.Start.Sub(nominal) >= time.Minute {
			t.Errorf("delayed by %v, beyond the next occurrence", o.Start.Sub(nominal))
		}
	}

	s = every(15)
	s.Jitter = Duration(10 * time.Minute) // not missed before 2 minutes after the jitter
	p, _ := dueAfter(t, s, at("10:00:00")).Plan(at("10:26:30"), at("10:26:45"), nil)
	if s.CatchUp.Policy = CatchUpNone; told(p) != "10:15 >10:30" {
		t.Errorf("within the jitter: %s", told(p))
	}
	p, _ = dueAfter(t, s, at("10:00:00")).Plan(at("10:27:30"), at("10:27:45"), nil)
	if told(p) != "10:15!missed >10:30" {
		t.Errorf("after the jitter: %s", told(p))
	}
}

func TestLimit(t *testing.T) {
	s := every(15)
	s.MaxRuns = 2
	o := planned(t, dueAfter(t, s, at("10:00:00")), at("10:15:00"), at("10:15:00"))
	if got := o.Withdrawn(&s, State{Submitted: 1}); got != "" {
		t.Errorf("the second of two: %q", got)
	}
	if got := o.Withdrawn(&s, State{Submitted: 2}); got != ReasonLimit {
		t.Errorf("the third of two: %q", got)
	}
	if got := Asked(s, "", "x", "me", nil, at("10:15:00")).Withdrawn(&s, State{Submitted: 2}); got != "" {
		t.Errorf("one that was asked for: %q", got)
	}
	first := o.Claimed("p", "cp", at("10:15:00"))
	if got := (State{}).Claimed(first); got.Submitted != 1 || got.Last != o.ID {
		t.Errorf("counted %+v", got)
	}
	if got := (State{Submitted: 1}).Claimed(first.Claimed("q", "cq", at("10:25:00"))); got.Submitted != 1 {
		t.Errorf("a second claim of the same is counted: %+v", got)
	}
	if done := s.Finished(at("10:16:00")); done.Status != Disabled || done.StatusNote.Note != "done" || o.Withdrawn(&done, State{}) != "" {
		t.Errorf("finished: %+v", done)
	}
}
