package schedule

import (
	"cmp"
	"fmt"
	"maps"
	"strings"
	"time"
)

const (
	// Lease is how long a claim keeps others from submitting the occurrence. A submission may take SubmitWithin,
	// less than half of it: a claim that has run out belongs to a process that no longer submits.
	Lease        = 5 * time.Minute
	SubmitWithin = 2 * time.Minute

	// margin is how long after its lease a claim is still left alone, where whoever claims next has to look for a run that
	// the far side may not show at once.
	margin = time.Minute

	// maxAttempts is after how many failed submissions an occurrence is Failed. With its back-off that takes
	// about three hours.
	maxAttempts = 20
	maxBackOff  = 15 * time.Minute
	maxError    = 4 << 10 // bytes
)

// Withdrawn returns why o may no longer be submitted: its schedule has been disabled, deleted (s is nil), given
// another trigger meanwhile, or has submitted all it may; "" when it may. Once a submission may have gone out, it is seen to its end.
func (o Occurrence) Withdrawn(s *Schedule, state State) Reason {
	switch {
	case o.Tried:
		return ""
	case s == nil || s.ID != o.ScheduleID():
		return ReasonDeleted
	case o.Regular() && s.PauseAfter > 0 && state.Failures >= s.PauseAfter: // also once that has disabled it
		return ReasonPaused
	case s.DisabledRevision > o.Revision:
		return ReasonDisabled
	case o.Kind == Scheduled && s.TriggerRevision > o.Revision && o.Nominal.After(s.TriggerChanged):
		return ReasonTriggerChanged
	case o.Regular() && o.Attempts == 0 && s.MaxRuns > 0 && state.Submitted >= s.MaxRuns:
		return ReasonLimit
	}
	return ""
}

// Prepared is o with what its definition says that the run gets. What was given for this one lies over that: its
// parameters, its tags, its experiment, its place of the data, and whether it goes on when a step fails.
func (o Occurrence) Prepared(d Definition) Occurrence {
	o.Pipeline, o.Experiment = d.Pipeline, cmp.Or(o.Experiment, d.Experiment)
	o.ContinueOnStepFailure = cmp.Or(o.ContinueOnStepFailure, d.ContinueOnStepFailure)
	o.Outputs, o.Settings = d.Outputs, d.Settings
	all := Parameters(maps.Clone(d.Parameters))
	if all == nil {
		all = Parameters{}
	}
	maps.Copy(all, o.Parameters)
	o.Parameters = all
	if tags := maps.Clone(d.Tags); tags != nil {
		maps.Copy(tags, o.Tags)
		o.Tags = tags
	}
	if o.DataPath == nil {
		o.DataPath = o.dataPath(d.Trigger)
	} else {
		delete(o.Parameters, o.DataPath.Parameter)
	}
	return o
}

// dataPath is where the data are that o is for: in mode each and of all_of the file that changed, of a batch the folder.
func (o Occurrence) dataPath(t Trigger) *DataPath {
	if t.Watch == nil || t.DataPathParameter == "" {
		return nil
	}
	if _, given := o.Parameters[t.DataPathParameter]; given { // for this run
		return nil
	}
	if o.Change != nil {
		return &DataPath{Parameter: t.DataPathParameter, Datastore: o.Change.Datastore, Path: o.Change.Path}
	}
	folder := t.Folders()[0] // also of a run that somebody asked for: nothing has changed
	return &DataPath{Parameter: t.DataPathParameter, Datastore: folder.Datastore, Path: folder.Path, Folder: true}
}

// Values are what templates of o's parameters can use, save for the changes of a window, the window of a recurrence and
// the previous run, which the caller looks up where Needs says so.
func (o Occurrence) Values(zone *time.Location) Values {
	v := Values{Zone: zone, Schedule: o.Schedule, Nominal: o.Nominal}
	if o.Change != nil {
		v.Change, v.Changes = *o.Change, []Change{*o.Change}
	}
	if o.Window != nil {
		v.Window = *o.Window
	}
	return v
}

// Claimed is o while owner submits it. The id is that of this claim alone.
func (o Occurrence) Claimed(owner, id string, now time.Time) Occurrence {
	o.Buffered = false
	o.Claim = Claim{Owner: owner, ID: id, Until: now.Add(Lease).UTC(), Again: o.Tried}
	o.Status, o.Attempts, o.Tried = Submitting, o.Attempts+1, true
	o.Wake = ceilSecond(o.free())
	return o
}

// free is when the claim ends.
func (o Occurrence) free() time.Time {
	if o.Pipeline.Local() {
		return o.Claim.Until
	}
	return o.Claim.Until.Add(margin)
}

// Claimable reports whether a process may claim o at now. void says whether a claim's owner is known to be gone: that ends
// claims of Carillon's own runs. Elsewhere the run that it asked for may be on its way, and not to be found yet.
func (o Occurrence) Claimable(void func(owner string) bool, now time.Time) bool {
	switch o.Status {
	case Waiting:
		return !o.Start.After(now)
	case Submitting:
		return now.After(o.free()) || o.Pipeline.Local() && void(o.Claim.Owner)
	}
	return false
}

// Accepted is o once the far side has taken it as the run of that id.
func (o Occurrence) Accepted(run string, now time.Time) Occurrence {
	o.Status, o.Run, o.Submitted, o.Claim, o.Error = Queued, run, now, Claim{}, ""
	return o.lookAgain(0, now)
}

// clip bounds an error's text, so that the occurrence fits a row of the store whatever the far side says.
func clip(text string) string {
	if len(text) <= maxError {
		return text
	}
	return strings.ToValidUTF8(text[:maxError], "") + " …"
}

// TooLarge is o when the store does not take what it would become: it ends with what it was.
func (o Occurrence) TooLarge(now time.Time) Occurrence {
	o.Error = "its parameters and results are too large to be kept"
	return o.end(Failed, now)
}

// Refused is o once it is certain that its submission will never be taken.
func (o Occurrence) Refused(err error, now time.Time) Occurrence {
	o.Error = clip(err.Error())
	return o.end(Failed, now)
}

// Unserved is o where nothing is configured that runs its pipeline: it is refused, unless an earlier try may have made the
// run. Then only whoever serves it can tell, who may come back.
func (o Occurrence) Unserved(now time.Time) Occurrence {
	err := fmt.Errorf("no target for pipelines of kind %q is configured", o.Pipeline.Kind)
	if o.Claim.Again {
		return o.Again(err, true, 0, now)
	}
	return o.Refused(err, now)
}

// Again is o after a submission that was not taken and may be tried again: it waits, twice as long each time and
// at least as long as the far side asked for, up to a quarter of an hour, or fails after the last try. certain says
// that this try started nothing.
func (o Occurrence) Again(err error, certain bool, after time.Duration, now time.Time) Occurrence {
	if o.Attempts >= maxAttempts {
		return o.giveUp(err, certain && !o.Claim.Again, now)
	}
	wait := min(5*time.Second<<min(o.Attempts-1, 10), maxBackOff)
	o.Tried = o.Claim.Again || !certain
	o.Status, o.Claim, o.Error = Waiting, Claim{}, clip(err.Error())
	o.Start = ceilSecond(now.Add(max(wait, min(after, maxBackOff))))
	o.Wake = wakeFor(o.Start, now)
	return o
}

func (o Occurrence) giveUp(err error, certain bool, now time.Time) Occurrence {
	err = fmt.Errorf("given up after %d tries, the last one: %w", o.Attempts, err)
	if certain {
		return o.Refused(err, now)
	}
	return o.Doubtful(err)
}

// Doubtful is o when nobody can say whether the far side took it. A person decides; nothing moves it on.
func (o Occurrence) Doubtful(err error) Occurrence {
	o.Status, o.Claim, o.Wake, o.Error = Uncertain, Claim{}, time.Time{}, clip(err.Error())
	return o
}

// Woken is o when the clock sends it on its way again: it looks again after as long as it has waited, from one
// minute to a quarter of an hour.
func (o Occurrence) Woken(now time.Time) Occurrence {
	late := now.Sub(later(o.Start, o.Submitted))
	o.Wake = ceilSecond(later(o.Start, now).Add(min(max(late, Resend), maxBackOff)))
	return o
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Cancelled is o after somebody has asked for its end. What the far side certainly does not have is called off; so is what a
// person has to decide, who has done so. Otherwise the wish is kept: once the far side is known to have the run, its end is
// asked for at every look until it has come. To ask again between tries of its submission calls it off, too.
func (o Occurrence) Cancelled(by string, now time.Time) Occurrence {
	by, again := cmp.Or(by, "somebody"), o.CancelBy != ""
	switch {
	case o.Status == Uncertain, o.Status == Waiting && (again || !o.Tried):
		return o.CalledOff(by, now)
	case !again && !o.Status.Final():
		o.CancelBy = by
	}
	return o
}

// Wanted is o, the outcome of a submission, where by has asked for its end before that was known; "" for nobody. What is
// uncertain stays so: whoever asked did not know.
func (o Occurrence) Wanted(by string, now time.Time) Occurrence {
	if o.CancelBy = by; by != "" && o.Status == Waiting && !o.Tried {
		return o.CalledOff(by, now)
	}
	return o
}

// CalledOff is o after somebody has called it off before the far side had it.
func (o Occurrence) CalledOff(by string, now time.Time) Occurrence {
	o.CancelBy = by
	o.Error = "cancelled by " + by + " before it was submitted"
	if o.Tried {
		o.Error = "cancelled by " + by + "; whether the far side had taken it is not known: a run may be under way there"
	}
	return o.end(Canceled, now)
}

// Skip is o as a record of why it did not fire.
func (o Occurrence) Skip(reason Reason, now time.Time) Occurrence {
	o.Reason = reason
	return o.end(Skipped, now)
}
