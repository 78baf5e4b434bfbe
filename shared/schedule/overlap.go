package schedule

import (
	"slices"
	"strings"
	"time"
)

// Overlap is what becomes of an occurrence whose turn comes while another of its schedule is under way: claimed, also
// between tries of its submission, submitted or uncertain; also a manual or backfilled one.
type Overlap string

const (
	OverlapAllow         Overlap = "allow"          // it starts; the default
	OverlapSkip          Overlap = "skip"           // it is skipped
	OverlapBufferOne     Overlap = "buffer_one"     // it starts after that; others that come meanwhile are skipped
	OverlapBufferAll     Overlap = "buffer_all"     // it starts after that, one after the other, at most MaxBuffered
	OverlapCancelRunning Overlap = "cancel_running" // what is under way is cancelled (a backfill is waited for), and the newest starts when it has ended
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
	First  string   // this one is free to start before it: "" when something is under way
	Skip   []string // buffered ones whose place it takes
	Cancel []string // of those under way
}

// Turn decides by the policy. What somebody asked for by hand starts whatever else is under way, and what has been
// claimed before keeps its turn. others are of o's own queue: that of its backfill, or the schedule's.
func (p Overlap) Turn(o Occurrence, others Others) Turn {
	if o.Kind == Manual || o.Attempts > 0 {
		return Turn{Start: true}
	}
	if o.Kind == Backfilled {
		return turnOf(o, others)
	}
	others.Buffered = slices.Sorted(slices.Values(others.Buffered)) // ids of one schedule sort by their times
	switch {
	case p == OverlapBufferOne:
		return o.queued(others, 1)
	case p == OverlapBufferAll, p == OverlapSkip && o.batch(): // its changes would be lost
		return o.queued(others, MaxBuffered)
	case p == OverlapCancelRunning:
		return o.replaces(others)
	}
	return Turn{Start: p != OverlapSkip || len(others.UnderWay) == 0}
}

// queued is its turn in a queue of so many places, which the earliest have.
func (o Occurrence) queued(others Others, places int) (t Turn) {
	ahead, _ := slices.BinarySearch(others.Buffered, o.ID)
	if len(others.UnderWay) == 0 {
		if ahead == 0 {
			return Turn{Start: true}
		}
		t.First = others.Buffered[0]
		places++ // it leaves its own
	}
	t.Buffer = ahead < places
	if t.Buffer && len(others.Buffered) >= places {
		t.Skip = others.Buffered[places-1:]
	}
	return t
}

// replaces is its turn where only the newest counts: it takes the place of all before it.
func (o Occurrence) replaces(others Others) Turn {
	free := len(others.UnderWay) == 0
	if n := len(others.Buffered); n > 0 && others.Buffered[n-1] > o.ID {
		if free {
			return Turn{First: others.Buffered[n-1]}
		}
		return Turn{}
	}
	if slices.ContainsFunc(others.UnderWay, o.precedes) {
		return Turn{}
	}
	if free {
		return Turn{Start: true, Skip: others.Buffered}
	}
	cancel := slices.DeleteFunc(slices.Clone(others.UnderWay), backfilled) // somebody wants those of a backfill: they are waited for
	return Turn{Buffer: true, Skip: others.Buffered, Cancel: cancel}
}

// precedes reports whether an id is that of a regular occurrence of a later time.
func (o Occurrence) precedes(id string) bool {
	_, own, _, _ := ParseOccurrenceID(o.ID)
	_, at, distinct, err := ParseOccurrenceID(id)
	byHand := strings.HasPrefix(distinct, manualPrefix) || backfilled(id)
	return err == nil && !byHand && at.After(own)
}

// batch reports whether o is for the changes of a batch's window.
func (o Occurrence) batch() bool { return o.Kind == Changed && o.Windowed() && o.Change == nil }

// Queues reports whether occurrences may wait for their turn: with skip only those of a batch do.
func (p Overlap) Queues() bool { return p != "" && p != OverlapAllow }

// Releases reports whether others may wait for the end of o.
func (o Occurrence) Releases() bool { return o.Buffered || o.Overlap.Queues() || o.Kind == Backfilled }

// UnderWay reports whether o counts as under way. Between tries of its submission it does: it keeps its turn.
func (o Occurrence) UnderWay() bool {
	return !o.Status.Final() && (o.Status != Waiting || o.Attempts > 0)
}

// MakesRoom is o once the policy has it end for another occurrence.
func (o Occurrence) MakesRoom(other string) Occurrence {
	o.MakesRoomFor = other
	return o
}

// Waits is o while it waits for its turn. The end of what is under way brings it on; the clock looks after the first of
// those that wait, whose end or start brings on the next.
func (o Occurrence) Waits() Occurrence {
	o.Buffered, o.Wake = true, time.Time{}
	return o
}
