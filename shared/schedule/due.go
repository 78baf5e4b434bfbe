package schedule

import (
	"fmt"
	"time"

	"carillon/shared/recur"
)

const (
	// maxFire bounds the occurrences of one Plan, so that a batch of the store holds it; what is left is due at once.
	maxFire = 10
	// maxCount bounds how many missed occurrences are counted one by one; a record of more says so many at least.
	maxCount = 1_000_000

	// Resend is how long after the moment at which a message was to arrive the clock looks again: messages are hints.
	Resend = time.Minute
)

// Due is what the clock has to know of an active schedule: a copy of its definition's part, and how far it has
// come. It stands where its Next sorts, so a tick reads what is due and nothing else.
type Due struct {
	Schedule   string    `json:"schedule"`
	ScheduleID string    `json:"id"`
	Revision   int       `json:"revision"`
	Trigger    Trigger   `json:"trigger"`
	CatchUp    CatchUp   `json:"catch_up,omitzero"`
	Anchor     time.Time `json:"anchor"`
	Next       time.Time `json:"next"`              // the nominal time that comes next; zero when none does
	Recorded   time.Time `json:"recorded,omitzero"` // recorded_until: the last nominal time that was recorded
}

// Plan is what a tick decides for one schedule: the occurrences to be recorded, and what is due after them.
type Plan struct {
	Record []Occurrence
	Due    Due
}

// NewDue returns what is due of a schedule after an instant. Its Next is zero when the schedule is disabled or
// has no more times.
func NewDue(s Schedule, after time.Time) (Due, error) {
	d := Due{
		Schedule: s.Name, ScheduleID: s.ID, Revision: s.Revision,
		Trigger: s.Trigger, CatchUp: s.CatchUp, Anchor: s.Anchor,
	}
	if s.Status != Active {
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
		d.Revision, d.CatchUp = s.Revision, s.CatchUp
		return d, nil
	}
	after := now
	if d.Recorded.After(after) {
		after = d.Recorded
	}
	next, err := NewDue(s, after)
	next.Recorded = d.Recorded
	return next, err
}

// Plan decides what is recorded at now, looking ahead to until. Calling it again with what is then due gives the
// rest, when there is more than one batch should hold. jitter and limits of later kinds come in here as well.
func (d Due) Plan(now, until time.Time) (Plan, error) {
	p := Plan{Due: d}
	if d.Next.IsZero() || d.Next.After(until) {
		return p, nil
	}
	rule, err := d.rule()
	if err != nil {
		return p, err
	}
	if onTime := now.Add(-MissedAfter); p.Due.Next.Before(onTime) {
		p.catchUp(rule, now, onTime)
	}
	for len(p.Record) < maxFire && p.pending(until) {
		p.fire(now)
		p.advance(rule, p.Due.Next)
	}
	return p, nil
}

func (p *Plan) pending(until time.Time) bool { return !p.Due.Next.IsZero() && !p.Due.Next.After(until) }

// catchUp deals with the missed occurrences: those before onTime.
func (p *Plan) catchUp(rule *recur.Rule, now, onTime time.Time) {
	horizon := now.Add(-p.Due.CatchUp.window())
	before := func(t time.Time) time.Time { return t.Add(-time.Second) }
	switch p.Due.CatchUp.policy() {
	case CatchUpNone:
		p.skip(rule, now, before(onTime), ReasonMissed)
	case CatchUpLatest:
		p.skip(rule, now, earlier(before(horizon), before(onTime)), ReasonCatchUpWindow)
		if !p.pending(before(onTime)) {
			return
		}
		_, _, latest := rule.CountBetween(before(p.Due.Next), before(onTime), 1)
		p.skip(rule, now, before(latest), ReasonCatchUpLatest)
		p.fire(now)
		p.advance(rule, p.Due.Next)
	case CatchUpAll:
		p.skip(rule, now, earlier(before(horizon), before(onTime)), ReasonCatchUpWindow)
		for len(p.Record) < maxFire && p.pending(before(onTime)) {
			p.fire(now)
			p.advance(rule, p.Due.Next)
		}
	}
}

// skip records the occurrences up to and including to as one that did not fire.
func (p *Plan) skip(rule *recur.Rule, now, to time.Time, reason Reason) {
	if !p.pending(to) {
		return
	}
	n, first, last := rule.CountBetween(p.Due.Next.Add(-time.Second), to, maxCount)
	o := p.Due.occurrence(first.UTC(), now).Skip(reason, now)
	if n > 1 {
		o.Last, o.Count = last.UTC(), n
	}
	p.Record = append(p.Record, o)
	p.advance(rule, last)
}

func (p *Plan) fire(now time.Time) {
	p.Record = append(p.Record, p.Due.occurrence(p.Due.Next, now))
}

func (p *Plan) advance(rule *recur.Rule, done time.Time) {
	p.Due.Recorded = done.UTC()
	p.Due.Next, _ = rule.Next(done)
	p.Due.Next = p.Due.Next.UTC()
}

func (d Due) occurrence(nominal, now time.Time) Occurrence {
	return Occurrence{
		ID: OccurrenceID(d.ScheduleID, nominal, ""), Schedule: d.Schedule, Kind: Scheduled, Revision: d.Revision,
		Nominal: nominal, Start: nominal, Recorded: now, Status: Waiting, Wake: wakeFor(nominal, now),
	}
}

// Asked makes an occurrence that somebody asked for, by the name of their request.
func Asked(s Schedule, request, distinct, by string, parameters Parameters, now time.Time) Occurrence {
	at := now.UTC().Truncate(time.Second)
	return Occurrence{
		ID: OccurrenceID(s.ID, at, "m"+distinct), Schedule: s.Name, Kind: Manual, Revision: s.Revision, Request: request,
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
