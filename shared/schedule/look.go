package schedule

import "time"

const (
	maxLook = time.Minute

	// lostAfter is for how long the far side has not to know a run, at every look, until the run is lost. Its services
	// may come to know late, and each in its own time, what one of them has taken.
	lostAfter = 10 * time.Minute
)

// Observation is what the far side says of a run.
type Observation struct {
	Status  Status // Queued, Running or final
	Started time.Time
	Ended   time.Time
	Error   string
	Link    string
}

// Observed is o after a look at its run.
func (o Occurrence) Observed(seen Observation, now time.Time) Occurrence {
	o.Status, o.Error, o.Missing = seen.Status, clip(seen.Error), time.Time{}
	o.Started, o.Ended = seen.Started.UTC(), seen.Ended.UTC()
	if seen.Link != "" {
		o.Link = seen.Link
	}
	if seen.Status.Final() {
		return o.end(seen.Status, now)
	}
	return o.lookAgain(0, now)
}

// Missed is o after a look at its run that the far side does not know. It is lost when that has been so for some time; of
// Carillon's own runs that is certain at once.
func (o Occurrence) Missed(now time.Time) Occurrence {
	if o.Missing.IsZero() {
		o.Missing = now.UTC()
	}
	if lost := o.Missing.Add(lostAfter); now.Before(lost) && !o.Pipeline.Local() {
		o.Error = "the far side does not know this run; it counts as lost if that is still so at " + lost.Format(time.RFC3339)
		return o.lookAgain(0, now)
	}
	o.Error = "the far side no longer knows this run"
	return o.end(Lost, now)
}

// Unseen is o after a look at its run that has failed: it stays as it was seen last, and is looked at again when the far side
// has asked for that.
func (o Occurrence) Unseen(err error, after time.Duration, now time.Time) Occurrence {
	o.Error = clip("it cannot be looked at: " + err.Error())
	return o.lookAgain(after, now)
}

// lookAgain plans the next look, no sooner than after from now. A look that comes before the planned one, for a hint or a
// doubled message, plans no other: the message of the planned one is on its way.
func (o Occurrence) lookAgain(after time.Duration, now time.Time) Occurrence {
	next := now.Add(max(o.Look(now), min(after, maxBackOff))).UTC()
	if o.LookDue(now) || after > 0 && next.After(o.Next) {
		o.Next, o.Wake = next, ceilSecond(next.Add(Resend))
	}
	return o
}

// Look is how long after now a run is looked at again: as long as it has been under way, from a second to a minute.
func (o Occurrence) Look(now time.Time) time.Duration {
	return min(max(now.Sub(o.Submitted), time.Second), maxLook)
}

// LookDue reports whether it is time for the look that was planned last, as far as clocks agree.
func (o Occurrence) LookDue(now time.Time) bool {
	return !now.Before(o.Next.Add(-time.Second))
}
