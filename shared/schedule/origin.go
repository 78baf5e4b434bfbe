package schedule

import "time"

// Origin is the old schedule whose place an imported one takes.
type Origin struct {
	From  string `json:"from"`            // where it is, and its id there: "v1:ID"
	Waits int    `json:"waits,omitempty"` // the DisabledRevision that waits for the old one to be disabled; 0 for none
}

// Waiting is a new schedule that is disabled until the old one is.
func (s Schedule) Waiting(note string) Schedule {
	s.Status, s.DisabledRevision = Disabled, s.Revision
	s.StatusNote = &StatusNote{Note: note, By: s.By, At: s.Updated}
	s.Origin = &Origin{From: s.Origin.From, Waits: s.Revision}
	return s
}

// Waits reports whether the schedule is disabled only until the old one is: nobody else has disabled it since.
func (s Schedule) Waits() bool {
	return s.Status == Disabled && s.Origin != nil && s.Origin.Waits > 0 && s.Origin.Waits == s.DisabledRevision
}

// Withdrawn makes the revision that is disabled because the old schedule is not known to be.
func (s Schedule) Withdrawn(by, note string, now time.Time) Schedule {
	d := s.Definition
	d.Status = Disabled
	next := s.Revise(d, by, note, now)
	next.Origin = &Origin{From: s.Origin.From, Waits: next.DisabledRevision}
	return next
}

// TakesOver makes the revision that is active from an instant on, which may be over: what was due or changed before
// was the old one's. What was due since then, and before now, is not made up for.
func (s Schedule) TakesOver(at time.Time, by, note string, now time.Time) Schedule {
	d := s.Definition
	d.Status = Active
	next := s.Revise(d, by, note, now)
	next.Begins = at.UTC().Truncate(time.Second)
	if d.Trigger.Watch != nil {
		next.Baseline, next.BaselineRevision = at.UTC(), next.Revision
	}
	next.Origin = &Origin{From: s.Origin.From}
	return next
}
