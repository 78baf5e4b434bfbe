package schedule

import (
	"slices"
	"time"
)

// Overlap is what becomes of an occurrence whose turn comes while another of its schedule is under way: claimed,
// submitted or uncertain, also a manual or backfilled one.
type Overlap string

const (
	OverlapAllow         Overlap = "allow"          // it starts; the default
	OverlapSkip          Overlap = "skip"           // it is skipped
	OverlapBufferOne     Overlap = "buffer_one"     // it starts after that; others that come meanwhile are skipped
	OverlapBufferAll     Overlap = "buffer_all"     // it starts after that, one after the other, at most MaxBuffered
	OverlapCancelRunning Overlap = "cancel_running" // what is under way is cancelled, and the newest starts when it has ended
)

// MaxBuffered is how many occurrences of one schedule wait for their turn.
const MaxBuffered = 100

// Others are what an occurrence meets of its own schedule, by their ids.
type Others struct {
	UnderWay []string
	Buffered []string // that wait for their turn, without the one that asks
}

// Turn is what becomes of an occurrence whose start has come.
type Turn struct {
	Start  bool     // it is claimed. Otherwise
	Buffer bool     // it waits for its turn, or, if not, is skipped
	First  string   // this one is free to start instead: "" when something is under way
	Skip   []string // buffered ones whose place it takes
	Cancel []string // of those under way
}

// Turn decides by the policy. What somebody asked for by hand starts whatever else is under way, and what may have been
// submitted is seen to its end.
func (p Overlap) Turn(o Occurrence, others Others) Turn {
	if o.Kind == Manual || o.Tried || p == "" || p == OverlapAllow {
		return Turn{Start: true}
	}
	slices.Sort(others.Buffered) // ids of one schedule sort by their times
	if n := len(others.Buffered); len(others.UnderWay) == 0 {
		switch {
		case p == OverlapBufferAll && n > 0 && others.Buffered[0] < o.ID:
			return Turn{Buffer: true, First: others.Buffered[0]}
		case p == OverlapCancelRunning && n > 0 && others.Buffered[n-1] > o.ID:
			return Turn{First: others.Buffered[n-1]}
		}
		return Turn{Start: true}
	}
	switch p {
	case OverlapBufferOne:
		return Turn{Buffer: o.Buffered || len(others.Buffered) == 0}
	case OverlapBufferAll:
		return Turn{Buffer: o.Buffered || len(others.Buffered) < MaxBuffered}
	case OverlapCancelRunning:
		if n := len(others.Buffered); n > 0 && others.Buffered[n-1] > o.ID {
			return Turn{} // a newer one waits
		}
		return Turn{Buffer: true, Skip: others.Buffered, Cancel: others.UnderWay}
	}
	return Turn{}
}

// Queues reports whether occurrences may wait for their turn.
func (p Overlap) Queues() bool {
	return p == OverlapBufferOne || p == OverlapBufferAll || p == OverlapCancelRunning
}

// Waits is o while it waits for its turn. The end of what is under way brings it on; the clock looks after it.
func (o Occurrence) Waits(now time.Time) Occurrence {
	o.Buffered = true
	o.Wake = wakeFor(o.Start, now)
	return o
}
