package schedule

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxBackfill is how many occurrences one backfill makes.
const MaxBackfill = 1000

// Backfill asks for the occurrences of a schedule in a time that is over. Times are inclusive, in whole seconds.
type Backfill struct {
	From, To   time.Time
	Newest     bool // first; otherwise the oldest
	AtOnce     int  // how many of them may be under way at once; 0 is one
	Again      bool // also those that have succeeded
	By         string
	Parameters Parameters
}

// Order is oldest or newest: which of them start first.
func (b Backfill) Order() string {
	if b.Newest {
		return "newest"
	}
	return "oldest"
}

// Filling is what a backfill comes to.
type Filling struct {
	Times    []time.Time // nominal, UTC, in the order in which they are to start
	Excluded int         // times that a calendar excludes
	Rest     *Span       // the range has more: both ends are inclusive
}

// Fill computes a backfill, as far as one may go. Its times are those that the schedule would have had if it had always
// been as it is, in step with those that it has; a start_time and an end_time bound them all the same.
func (d Due) Fill(b Backfill, excluded Excluded) (f Filling, err error) {
	rule, err := d.rule()
	if err != nil {
		return f, err
	}
	rule = rule.Always()
	if len(d.Calendars) == 0 {
		excluded = nil
	}
	step, at := rule.Next, b.From.Add(-time.Second)
	if b.Newest {
		step, at = rule.Previous, b.To.Add(time.Second)
	}
	for looked := 0; ; looked++ {
		var ok bool
		if at, ok = step(at); !ok || at.Before(b.From) || at.After(b.To) {
			return f, nil
		}
		at = at.UTC()
		switch {
		case len(f.Times) == MaxBackfill || looked == maxBack:
			f.Rest = &Span{Start: at, End: b.To}
			if b.Newest {
				f.Rest = &Span{Start: b.From, End: at}
			}
			return f, nil
		case excluded != nil && excluded(at, rule.Zone()) != "":
			f.Excluded++
		default:
			f.Times = append(f.Times, at)
		}
	}
}

// Own reports whether a nominal time is still to be recorded, or skipped, by the clock: whoever fills it meanwhile makes
// it run twice.
func (d Due) Own(nominal time.Time) bool { return !d.Next.IsZero() && !nominal.Before(d.Next) }

// Past is what a nominal time has had so far: its own occurrence and those of backfills, in no order. What somebody has
// triggered by hand is not among them.
type Past []Occurrence

// Kept says why a nominal time is not filled; "" when it is.
func (p Past) Kept(again bool) string {
	for _, o := range p {
		switch {
		case !o.Status.Final():
			return fmt.Sprintf("run %s is %s", o.ID, o.Status)
		case o.Status == Completed && !again:
			return fmt.Sprintf("run %s has completed", o.ID)
		}
	}
	return ""
}

// Next is the number of the next occurrence of a nominal time that is backfilled: 1 for the first.
func (p Past) Next() int {
	next := 1
	for _, o := range p {
		next = max(next, o.Number()+1)
	}
	return next
}

// Filled makes the occurrences of a backfill for nominal times, whose pasts stand in the same order. They wait for their
// turns in this order, behind those of earlier backfills.
//
// Two that make them at once give a time the same number, and the store takes one of them. The date is for those that
// are forgotten by then: the far side may still know a run of that name.
func (s Schedule) Filled(b Backfill, times []time.Time, pasts []Past, now time.Time) []Occurrence {
	now = now.UTC()
	made := make([]Occurrence, len(times))
	for i, nominal := range times {
		distinct := backfillPrefix + strconv.Itoa(pasts[i].Next()) + "d" + now.Format("20060102")
		made[i] = Occurrence{
			ID: OccurrenceID(s.ID, nominal, distinct), Schedule: s.Name, Kind: Backfilled, Revision: s.Revision,
			Nominal: nominal, Start: now.Truncate(time.Second), Recorded: now, Status: Waiting, By: b.By, Parameters: b.Parameters,
			AtOnce: max(b.AtOnce, 1), Buffered: true, Place: fmt.Sprintf("%016d.%04d", now.UnixMicro(), i),
		}
	}
	return made
}

// backfillPrefix begins what tells backfilled occurrences from others in their ids.
const backfillPrefix = "b"

// Number is which of the backfilled ones of its nominal time an occurrence is, from 1; 0 of others.
func (o Occurrence) Number() int {
	_, _, distinct, err := ParseOccurrenceID(o.ID)
	number, backfill := strings.CutPrefix(distinct, backfillPrefix)
	if err != nil || !backfill {
		return 0
	}
	number, _, _ = strings.Cut(number, "d")
	n, _ := strconv.Atoi(number)
	return n
}

// turnOf decides for one occurrence of a backfill: as many are under way as it allows, in the order of the line, of
// which others has those before it.
func turnOf(o Occurrence, others Others) Turn {
	running := 0
	for _, id := range others.UnderWay {
		if backfilled(id) {
			running++
		}
	}
	switch {
	case running >= max(o.AtOnce, 1):
		return Turn{Buffer: true}
	case len(others.Buffered) > 0:
		return Turn{Buffer: true, First: others.Buffered[0]}
	}
	return Turn{Start: true}
}

// backfilled reports whether an occurrence's id is that of a backfilled one.
func backfilled(id string) bool { return Occurrence{ID: id}.Number() > 0 }
