package schedule

import (
	"hash/fnv"
	"time"

	"carillon/shared/recur"
)

const (
	// maxFire bounds the occurrences of one Plan, so that a batch of the store holds it; what is left is due at once.
	maxFire = 10
	// maxCount bounds how many missed occurrences are counted one by one; a record of more says so many at least.
	maxCount = 1_000_000
)

// Plan is what a tick decides for one schedule: the occurrences to be recorded, and what is due after them.
type Plan struct {
	Record []Occurrence
	Due    Due
}

// Done reports whether a schedule of one instant is over.
func (p Plan) Done() bool { return p.Due.Trigger.Kind == recur.KindAt && p.Due.Next.IsZero() }

// Excluded tells which calendar excludes an instant, "" for none.
type Excluded func(t time.Time, zone *time.Location) (calendar string)

// Plan decides what is recorded at now, looking ahead to until. Calling it again with what is then due gives the
// rest, when there is more than one batch should hold. excluded may be nil.
func (d Due) Plan(now, until time.Time, excluded Excluded) (Plan, error) {
	if d.Next.IsZero() || d.Next.After(until) {
		return Plan{Due: d}, nil
	}
	rule, err := d.rule()
	if err != nil {
		return Plan{Due: d}, err
	}
	if len(d.Calendars) == 0 {
		excluded = nil
	}
	p := planner{Plan: Plan{Due: d}, rule: rule, now: now, until: until, excluded: excluded}
	if missed := now.Add(-MissedAfter - time.Duration(d.Jitter) - time.Second); p.pending(missed) {
		p.catchUp(missed)
	}
	p.take(until)
	return p.Plan, nil
}

type planner struct {
	Plan
	rule       *recur.Rule
	now, until time.Time
	excluded   Excluded
}

func (p *planner) pending(to time.Time) bool { return !p.Due.Next.IsZero() && !p.Due.Next.After(to) }

// catchUp deals with the occurrences until missed, which are too late.
func (p *planner) catchUp(missed time.Time) {
	outside := earlier(p.now.Add(-p.Due.CatchUp.window()-time.Second), missed)
	switch p.Due.CatchUp.policy() {
	case CatchUpNone:
		p.skip(missed, ReasonMissed)
	case CatchUpLatest:
		p.skip(outside, ReasonCatchUpWindow)
		if latest := p.latest(missed); !latest.IsZero() {
			p.skip(latest.Add(-time.Second), ReasonCatchUpLatest)
			p.one()
		}
	case CatchUpAll:
		p.skip(outside, ReasonCatchUpWindow)
		p.take(missed)
	}
}

// latest is the last occurrence until to that no calendar excludes; zero when there is none.
func (p *planner) latest(to time.Time) (latest time.Time) {
	if !p.pending(to) {
		return latest
	}
	if p.excluded == nil {
		_, _, latest = p.rule.CountBetween(p.Due.Next.Add(-time.Second), to, 1)
		return latest
	}
	// Backwards in growing spans: the window may be long, and most of the time the latest is near its end.
	for end, span := to, time.Hour; latest.IsZero() && p.pending(end); span *= 2 {
		from := later(p.Due.Next, end.Add(-span))
		for t := range p.rule.All(from) {
			if t.After(end) {
				break
			}
			if p.excluded(t, p.rule.Zone()) == "" {
				latest = t
			}
		}
		end = from.Add(-time.Second)
	}
	return latest
}

// take fires the occurrences until to, as many as a plan may hold.
func (p *planner) take(to time.Time) {
	for len(p.Record) < maxFire && p.pending(to) {
		p.one()
	}
}

// one fires the next occurrence, or records that a calendar excludes it.
func (p *planner) one() {
	nominal := p.Due.Next
	p.advance(nominal)
	o := p.occurrence(nominal)
	if p.excluded != nil {
		if name := p.excluded(nominal, p.rule.Zone()); name != "" {
			o = o.Skip(ReasonCalendar, p.now)
			o.Error = "calendar " + name + " excludes it"
		}
	}
	if n := len(p.Record) - 1; o.Status == Skipped && n >= 0 && p.Record[n].Status == Skipped && p.Record[n].Error == o.Error && p.Record[n].Reason == o.Reason {
		first := &p.Record[n]
		first.Last, first.Count = nominal, max(first.Count, 1)+1
		return
	}
	p.Record = append(p.Record, o)
}

// skip records the occurrences until to as one that did not fire.
func (p *planner) skip(to time.Time, reason Reason) {
	if !p.pending(to) {
		return
	}
	n, first, last := p.rule.CountBetween(p.Due.Next.Add(-time.Second), to, maxCount)
	o := p.occurrence(first.UTC()).Skip(reason, p.now)
	if n > 1 {
		o.Last, o.Count = last.UTC(), n
	}
	p.Record = append(p.Record, o)
	p.advance(last)
}

func (p *planner) advance(done time.Time) {
	p.Due.Recorded = done.UTC()
	p.Due.Next, _ = p.rule.Next(done)
	p.Due.Next = p.Due.Next.UTC()
}

// occurrence is that of a nominal time, with its jitter. One that starts after this look ahead is left to the clock;
// a message brings the others to their submission.
func (p *planner) occurrence(nominal time.Time) Occurrence {
	o := Occurrence{
		ID: OccurrenceID(p.Due.ScheduleID, nominal, ""), Schedule: p.Due.Schedule, Kind: Scheduled, Revision: p.Due.Revision,
		Nominal: nominal, Start: nominal.Add(p.delay(nominal)), Recorded: p.now, Status: Waiting,
	}
	o.Wake = wakeFor(o.Start, p.now)
	if o.Start.After(p.until) {
		o.Wake = o.Start
	}
	return o
}

// delay spreads starts over the jitter, or over the gap to the next occurrence if that is shorter: always the same
// for the same occurrence.
func (p *planner) delay(nominal time.Time) time.Duration {
	spread := time.Duration(p.Due.Jitter)
	if spread == 0 {
		return 0
	}
	if next, ok := p.rule.Next(nominal); ok {
		spread = min(spread, next.Sub(nominal))
	}
	h := fnv.New64a()
	h.Write([]byte(p.Due.ScheduleID + nominal.UTC().Format(time.RFC3339)))
	return time.Duration(h.Sum64()%uint64(spread/time.Second)) * time.Second
}
