package schedule

import (
	"fmt"
	"time"

	"carillon/shared/recur"
)

// Resend is how long after the moment at which a message was to arrive the clock looks again: messages are hints.
const Resend = time.Minute

// Due is what the clock has to know of an active schedule: a copy of its definition's part, and how far it has
// come. It stands where its Next sorts, so a tick reads what is due and nothing else.
type Due struct {
	Schedule   string    `json:"schedule"`
	ScheduleID string    `json:"id"`
	Revision   int       `json:"revision"`
	Trigger    Trigger   `json:"trigger"`
	CatchUp    CatchUp   `json:"catch_up,omitzero"`
	Jitter     Duration  `json:"jitter,omitempty"`
	Calendars  []string  `json:"calendars,omitempty"`
	Anchor     time.Time `json:"anchor"`
	Next       time.Time `json:"next"`              // the nominal time that comes next; zero when none does
	Since      time.Time `json:"since,omitzero"`    // the trigger counts from here
	Recorded   time.Time `json:"recorded,omitzero"` // recorded_until: the last nominal time that was recorded
}

// NewDue returns what is due of a schedule after an instant. Its Next is zero when the schedule is disabled or
// has no more times.
func NewDue(s Schedule, after time.Time) (Due, error) {
	d := Due{
		Schedule: s.Name, ScheduleID: s.ID, Revision: s.Revision,
		Trigger: s.Trigger, CatchUp: s.CatchUp, Jitter: s.Jitter, Calendars: s.Calendars, Anchor: s.Anchor, Since: after,
	}
	if s.Status != Active || s.Trigger.Watch != nil {
		return d, nil
	}
	rule, err := d.rule()
	if err != nil {
		return d, err
	}
	d.Next, _ = rule.Next(after)
	d.Next = d.Next.UTC()
	return d, nil
}

// Upcoming is the next time at which s fires after now, as people see it: one that has been recorded ahead of its time
// is still to come. Zero when there is none.
func (d Due) Upcoming(s Schedule, now time.Time) time.Time {
	if s.Status != Active && !s.Done() {
		return time.Time{}
	}
	if !d.Recorded.After(now) {
		return d.Next
	}
	rule, err := d.rule()
	if err != nil {
		return d.Next
	}
	next, _ := rule.Next(later(now, d.Since))
	return next.UTC()
}

func (d Due) rule() (*recur.Rule, error) {
	rule, errs := d.Trigger.Compile(d.Anchor)
	if len(errs) > 0 {
		return nil, fmt.Errorf("the trigger of schedule %s: %w", d.Schedule, errs)
	}
	return rule, nil
}

// Revised returns what is due once the schedule has changed to s at now. A trigger that is the same goes on where
// it was; another one, or one that was disabled, counts from now, and never again over what has been recorded.
func (d Due) Revised(s Schedule, wasActive bool, now time.Time) (Due, error) {
	if wasActive && s.Status == Active && s.Trigger.Equal(d.Trigger) && s.Anchor.Equal(d.Anchor) {
		d.Revision, d.CatchUp, d.Jitter, d.Calendars = s.Revision, s.CatchUp, s.Jitter, s.Calendars
		return d, nil
	}
	after := later(now, s.Begins.Add(-time.Second))
	if d.Recorded.After(after) {
		after = d.Recorded
	}
	next, err := NewDue(s, after)
	next.Recorded = d.Recorded
	return next, err
}

// Window is the time that an occurrence of a recurrence stands for: from the nominal time before it that no calendar
// excludes to its own. The first one's has no start; those of times before it, which somebody has asked for, have. excluded
// may be nil.
func (d Due) Window(nominal time.Time, excluded Excluded) (Span, error) {
	rule, err := d.rule()
	if err != nil {
		return Span{}, err
	}
	if first, ok := rule.Next(time.Time{}); ok && nominal.Before(first) {
		rule = rule.Always()
	}
	span := Span{End: nominal.UTC()}
	at := nominal
	for range maxBack {
		var ok bool
		if at, ok = rule.Previous(at); !ok {
			return span, nil
		}
		if excluded == nil || len(d.Calendars) == 0 || excluded(at, rule.Zone()) == "" {
			span.Start = at.UTC()
			return span, nil
		}
	}
	return span, nil
}

// maxBack bounds how many excluded times are gone back over.
const maxBack = 100_000

// manualPrefix begins what tells manual occurrences from others in their ids.
const manualPrefix = "m"

// Asked makes an occurrence that somebody asked for, by the name of their request.
func Asked(s Schedule, request, distinct, by string, parameters Parameters, now time.Time) Occurrence {
	at := now.UTC().Truncate(time.Second)
	return Occurrence{
		ID: OccurrenceID(s.ID, at, manualPrefix+distinct), Schedule: s.Name, Kind: Manual, Revision: s.Revision, Request: request,
		Nominal: at, Start: at, Recorded: now, Status: Waiting, Wake: wakeFor(at, now), By: by, Parameters: parameters,
	}
}

// wakeFor is when the clock looks after an occurrence that a message will bring to its submission at start: some
// time later, and in whole seconds.
func wakeFor(start, now time.Time) time.Time {
	if now.After(start) {
		start = now
	}
	return ceilSecond(start.Add(Resend))
}

// CeilSecond is the first whole second that is not before t, in UTC.
func CeilSecond(t time.Time) time.Time { return ceilSecond(t) }

func ceilSecond(t time.Time) time.Time {
	if whole := t.Truncate(time.Second); !whole.Equal(t) {
		return whole.Add(time.Second).UTC()
	}
	return t.UTC()
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
