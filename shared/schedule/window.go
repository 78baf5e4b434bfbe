package schedule

import (
	"strings"
	"time"
)

// Lanes is how many rows share the counting of a window: changes that come at once then do not wait for one another.
const Lanes = 8

// Window gathers changes for one run: of a batch until it closes, of all_of until every folder has one. It carries
// what its closing needs, as the definition was when it opened. All times are UTC, in whole seconds.
type Window struct {
	Occurrence string    `json:"occurrence"` // the id of the one that its closing makes
	Schedule   string    `json:"schedule"`
	Revision   int       `json:"revision"`
	Baseline   int       `json:"baseline"` // the schedule's BaselineRevision
	Opened     time.Time `json:"opened"`
	Wake       time.Time `json:"wake,omitzero"` // when the clock looks at it; zero for all_of

	Length  Duration `json:"length,omitempty"`   // it closes so long after it opened
	Quiet   Duration `json:"quiet,omitempty"`    // or so long after the last change,
	MaxWait Duration `json:"max_wait,omitempty"` // at most so long after it opened
}

// Lane counts changes of a window.
type Lane struct {
	Count int         `json:"count"`
	Last  time.Time   `json:"last"`            // the last change
	Parts []time.Time `json:"parts,omitempty"` // of all_of: the last change in each folder
}

// Opens is the window that a first change opens, with what tells it from others that open in the same second.
func (s Schedule) Opens(distinct string, now time.Time) Window {
	w := s.Trigger.Watch
	opened := now.UTC().Truncate(time.Second)
	window := Window{
		Occurrence: OccurrenceID(s.ID, opened, "w"+distinct), Schedule: s.Name, Revision: s.Revision, Baseline: s.BaselineRevision,
		Opened: opened,
	}
	switch {
	case len(w.AllOf) > 0:
		return window
	case w.QuietPeriod > 0:
		window.Quiet, window.MaxWait = w.QuietPeriod, Duration(w.maxWait())
	default:
		window.Length = Duration(w.Polling())
	}
	window.Wake = window.Closes(Lane{Last: opened})
	return window
}

// LanesOf is how many lanes the window has: all_of has one, as it has to be seen at once which change completes it.
func (w Window) LanesOf() int {
	if w.Gathers() {
		return 1
	}
	return Lanes
}

// Gathers reports whether the window waits for several folders rather than for a time.
func (w Window) Gathers() bool { return w.Length == 0 && w.Quiet == 0 }

// Closes is when the window closes, as far as can be told from the last change.
func (w Window) Closes(all Lane) time.Time {
	if w.Quiet == 0 {
		return w.Opened.Add(time.Duration(w.Length))
	}
	quiet := ceilSecond(all.Last.Add(time.Duration(w.Quiet)))
	return earlier(quiet, w.Opened.Add(time.Duration(w.MaxWait)))
}

// Holds is a change as it stands in the window, when it joins at now. What opens a window is no older than it, and what
// joins was looked at before, maybe by a machine whose clock is behind.
func (w Window) Holds(c Change, now time.Time) Change {
	c.At = later(now.UTC(), w.Opened)
	return c
}

// Over reports whether the window is to be closed at now, whatever may come still: it takes no more changes, so that a
// stream of them cannot keep it open.
func (w Window) Over(now time.Time) bool {
	return !w.Gathers() && !now.Before(w.Opened.Add(time.Duration(max(w.Length, w.MaxWait))))
}

// Counted is a lane with more changes in it, of which the last is c. Changes that take the place of an older version
// of the same file are not more.
func (l Lane) Counted(c Change, more, parts int) Lane {
	l.Count += more
	l.Last = later(l.Last, c.At)
	if parts > 1 {
		l.Parts = append([]time.Time(nil), l.Parts...)
		for len(l.Parts) < parts {
			l.Parts = append(l.Parts, time.Time{})
		}
		l.Parts[c.Part] = later(l.Parts[c.Part], c.At)
	}
	return l
}

// Sum is all lanes as one.
func Sum(lanes []Lane) (all Lane) {
	for _, l := range lanes {
		all.Count += l.Count
		all.Last = later(all.Last, l.Last)
	}
	return all
}

// Complete reports whether every folder of all_of holds a change that is not stale at now.
func (w *Watch) Complete(l Lane, now time.Time) bool {
	if len(l.Parts) < len(w.AllOf) {
		return false
	}
	for _, last := range l.Parts {
		if last.IsZero() || w.Stale(last, now) {
			return false
		}
	}
	return true
}

// Stale reports whether a change that was recorded at an instant is forgotten at now.
func (w *Watch) Stale(recorded, now time.Time) bool {
	return w.Within > 0 && now.Sub(recorded) > time.Duration(w.Within)
}

// Closed is the occurrence that a window makes when it closes: its closing is the nominal time.
func (w Window) Closed(all Lane, now time.Time) Occurrence {
	at := earlier(later(w.Closes(all), all.Last.Truncate(time.Second)), now.UTC().Truncate(time.Second))
	return Occurrence{
		ID: w.Occurrence, Schedule: w.Schedule, Kind: Changed, Revision: w.Revision,
		Nominal: at, Start: at, Recorded: now.UTC(), Status: Waiting, Wake: wakeFor(at, now),
		Window: &Span{Start: w.Opened, End: at}, Changes: all.Count,
	}
}

// Completed is the occurrence that the change makes which completes all_of. since is from when on changes are not
// stale; zero for all.
func (w Window) Completed(s Schedule, c Change, all Lane, now time.Time) Occurrence {
	o := s.Occurs(c, now)
	o.ID = w.Occurrence
	o.Window, o.Changes = &Span{Start: w.Opened, End: o.Nominal}, all.Count
	if within := s.Trigger.Within; within > 0 {
		o.Window.Start = later(w.Opened, now.UTC().Add(-time.Duration(within)))
	}
	return o
}

// Abandoned is the record of a window whose schedule is deleted.
func (w Window) Abandoned(all Lane, now time.Time) Occurrence {
	return w.Closed(all, now).Skip(ReasonDeleted, now.UTC())
}

// Span is a time from its start up to its end.
type Span struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// Windowed reports whether a list of changes stands with the occurrence, rather than the one change in it.
func (o Occurrence) Windowed() bool {
	_, _, distinct, err := ParseOccurrenceID(o.ID)
	return err == nil && strings.HasPrefix(distinct, "w")
}
