package schedule

import (
	"fmt"
	"time"
)

// Origin is the old schedule whose place an imported one takes.
type Origin struct {
	From  string    `json:"from"`            // where it is, and its id there: "v1:ID"
	Waits int       `json:"waits,omitempty"` // the revision that waits for the old one to be disabled; 0 for none
	Until time.Time `json:"until,omitzero"`  // the cut-over, while the old one is not known to be disabled; else zero
	Off   time.Time `json:"off,omitzero"`    // when the old one was seen to be disabled
}

const (
	// A change-over asks for the end of the old schedule just after the new one begins, and does so for OffWithin at
	// most: what is due meanwhile nobody can tell whose it is.
	OffWithin = 45 * time.Second
	// leastCutOver is how long somebody has to disable the old schedule who enables the new one: then it gives way.
	leastCutOver = 6 * time.Minute
	// oldStarts is how late an old schedule may start what it has found.
	oldStarts = 90 * time.Second
	// askAgain is when the old schedule is asked again about what is not known yet.
	askAgain = 20 * time.Second
	// askedFor is how long the old schedule's runs are asked for where there is no answer.
	askedFor = time.Hour
)

// Beginning is a new schedule that begins at an instant, in the place of an old one that is about to be disabled, until the
// cut-over at the latest. Of data it takes over what the old one may not have looked at yet.
func (s Schedule) Beginning(at, cutOver time.Time) Schedule {
	s.Begins = at.UTC().Truncate(time.Second)
	s.Origin = &Origin{From: s.Origin.From, Until: cutOver.UTC()}
	if s.Trigger.Watch != nil {
		s.Baseline, s.BaselineRevision = s.Begins.Add(-s.Trigger.Polling()-oldStarts), s.Revision
	}
	return s
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
	return s.Status == Disabled && s.Origin != nil && s.Origin.Waits > 0 && s.Origin.Waits >= s.DisabledRevision
}

// Unsettled reports whether the schedule is active, and the old one not known to be disabled.
func (s Schedule) Unsettled() bool {
	return s.Status == Active && s.Origin != nil && !s.Origin.Until.IsZero()
}

// Succession says what people should know of a schedule that takes the place of an old one, while that is not settled; "".
func (s Schedule) Succession() string {
	switch {
	case s.Unsettled():
		return fmt.Sprintf("It takes the place of the old schedule %s, which is asked at each of its times whether it still fires. What that may have is left to it, and if it still fires at the first of its times after %s, this schedule is disabled.",
			s.Origin.From, s.Origin.Until.Format(time.RFC3339))
	case s.Waits():
		return fmt.Sprintf("It waits for the old schedule %s to be disabled: import that again with --disable-source, or disable it where it is and enable this one.", s.Origin.From)
	}
	return ""
}

// Withdrawn makes the revision that is disabled because the old schedule is not known to be. Nobody has disabled it: what
// waits is decided by Handover.
func (s Schedule) Withdrawn(by, note string, now time.Time) Schedule {
	d := s.Definition
	d.Status = Disabled
	next := s.Revise(d, by, note, now)
	next.DisabledRevision = s.DisabledRevision
	next.Origin = &Origin{From: s.Origin.From, Waits: next.Revision}
	return next
}

// TakesOver makes the revision that begins in the place of the old schedule, as Beginning does.
func (s Schedule) TakesOver(at, cutOver time.Time, by, note string, now time.Time) Schedule {
	d := s.Definition
	d.Status = Active
	return s.Revise(d, by, note, now).Beginning(at, cutOver)
}

// Replaces makes the revision that begins now in the place of an old schedule that was disabled at some time since an instant,
// and is seen to be. Of data it takes over what the old one may not have looked at, of the last day.
func (s Schedule) Replaces(since time.Time, by, note string, now time.Time) Schedule {
	next := s.TakesOver(later(since, now.Add(-24*time.Hour)), now, by, note, now)
	next.Begins, next.Origin = ceilSecond(now), &Origin{From: s.Origin.From, Off: now.UTC()}
	return next
}

// Settled makes the revision that knows the old schedule to be disabled, as was seen at off. What was due after the
// beginning, and before that was seen, is left to the old one: it may have started it.
func (s Schedule) Settled(off time.Time, by string, now time.Time) Schedule {
	begins := s.Begins
	if latest := begins.Add(OffWithin); off.After(latest) {
		begins = latest
	} else if off.After(begins) {
		begins = ceilSecond(off)
	}
	next := s.Revise(s.Definition, by, "", now)
	next.Begins, next.Origin = begins, &Origin{From: s.Origin.From, Off: off.UTC()}
	return next
}

// Handover is whose a regular occurrence is while its schedule takes the place of an old one.
type Handover uint8

const (
	Ours     Handover = iota // it starts
	Theirs                   // it is the old one's, or may be: it is skipped
	AskFires                 // the old one has to be asked whether it fires
	AskRan                   // the old one has to be asked whether it has made a run for the change
	Later                    // that cannot be told yet
)

// Handover decides whose an occurrence is, as far as that can be told without asking; at is when to look again if it is
// Later. Times are told apart by the beginning. Of changes the old one may have found any that came before it was seen to be
// disabled, and need not have found it: whether it has is known once it has had the time to start its run.
func (s Schedule) Handover(o Occurrence, now time.Time) (h Handover, at time.Time) {
	switch {
	case s.Origin == nil || !o.Regular() || o.Attempts > 0:
		return Ours, at
	case o.Kind == Scheduled && o.Nominal.Before(s.Begins):
		return Theirs, at
	case s.Waits():
		return s.waits(o, now)
	case !s.Origin.Until.IsZero():
		return AskFires, at
	case o.Change == nil || s.Origin.Off.IsZero() || o.Change.Modified.After(s.Origin.Off.Add(MissedAfter)): // clocks differ
		return Ours, at
	}
	if at = s.Origin.Off.Add(oldStarts); now.Before(at) {
		return Later, at
	}
	return AskRan, at
}

// waits decides what was recorded before the new schedule gave way: somebody may be about to try again.
func (s Schedule) waits(o Occurrence, now time.Time) (h Handover, at time.Time) {
	keep := MissedAfter
	if o.Kind == Changed { // it would not come again
		keep = askedFor
	}
	if now.Before(o.Nominal.Add(keep)) {
		return Later, now.Add(askAgain)
	}
	return Theirs, at
}

// OldFires decides whose an occurrence is when the old schedule fires, or is not known not to (known is false). From the
// cut-over on the new one gives way.
func (s Schedule) OldFires(o Occurrence, known bool, now time.Time) (h Handover, giveWay bool, at time.Time) {
	if giveWay = !now.Before(s.Origin.Until); giveWay || known && o.Kind == Scheduled {
		return Theirs, giveWay, at
	}
	return Later, false, now.Add(askAgain)
}

// OldRan decides whose a change is by whether the old schedule has made a run for it. Where that is not to be had for long,
// it is left to the old one.
func (s Schedule) OldRan(ran, known bool, now time.Time) (h Handover, at time.Time) {
	switch {
	case !known && now.Before(s.Origin.Off.Add(askedFor)):
		return Later, now.Add(Resend)
	case !known || ran:
		return Theirs, at
	}
	return Ours, at
}

// Held is o when it is not known yet whose it is.
func (o Occurrence) Held(until, now time.Time) Occurrence {
	o.Start = ceilSecond(until)
	o.Wake = wakeFor(o.Start, now)
	return o
}
