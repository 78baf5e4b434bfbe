// Package schedule is the nouns and the decisions of Carillon: what a schedule is, which of its occurrences are
// due, what a claim finds, what becomes of a run. It is pure: time is an argument, decisions are returned as data,
// and nothing here reads a clock or does I/O.
package schedule

import (
	"fmt"
	"time"

	"carillon/shared/recur"
)

// Definition is a schedule as people write it: a pipeline, an experiment and a trigger tied together.
type Definition struct {
	Name        string      `json:"name"` // ^[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}$, case-sensitive
	Description string      `json:"description,omitempty"`
	Pipeline    PipelineRef `json:"pipeline"`
	Experiment  string      `json:"experiment"`
	Parameters  Parameters  `json:"parameters,omitempty"`
	Outputs     Parameters  `json:"outputs,omitempty"`  // where its runs' outputs go, by name, where the pipeline lets that be said
	Settings    Settings    `json:"settings,omitempty"` // of its runs, as the far side knows them
	Tags        Tags        `json:"tags,omitempty"`     // that its runs bear, as far as the far side knows tags
	Trigger     Trigger     `json:"trigger"`
	CatchUp     CatchUp     `json:"catch_up,omitzero"`
	Jitter      Duration    `json:"jitter,omitempty"`               // spreads the starts; at most 24 hours
	Calendars   []string    `json:"calendars,omitempty"`            // that exclude occurrences, by name
	MaxRuns     int         `json:"max_runs,omitempty"`             // regular occurrences to submit; 0 is no limit
	RunOnCreate bool        `json:"run_on_create,omitempty"`        // one run at once, when it is created Active
	Overlap     Overlap     `json:"overlap,omitempty"`              // default allow
	PauseAfter  int         `json:"pause_after_failures,omitempty"` // disables it after so many failed runs in a row; 0 is never
	Status      Activity    `json:"status"`

	// ContinueOnStepFailure says whether the steps that can still run do so after one has failed; nil leaves that to the
	// pipeline. One that has no word of its own ends.
	ContinueOnStepFailure *bool `json:"continue_on_step_failure,omitempty"`
}

// PipelineRef names a pipeline: which kind of far side has it, and its id there.
type PipelineRef struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

func (p PipelineRef) String() string { return p.Kind + ":" + p.ID }

// Local is the kind of pipelines that Carillon runs itself.
const Local = "local"

// Local reports whether Carillon itself runs the pipeline: what is known of its runs is certain at any moment, and a name
// makes one run, whoever submits it and when.
func (p PipelineRef) Local() bool { return p.Kind == Local }

// Trigger says when a schedule fires.
type Trigger struct {
	recur.Spec
	*Watch // of type datastore; nil of the others
}

// Activity is whether a schedule fires.
type Activity string

const (
	Active   Activity = "Active"
	Disabled Activity = "Disabled"
)

// CatchUp says what is done with missed occurrences: those that are recorded more than MissedAfter too late.
type CatchUp struct {
	Policy CatchUpPolicy `json:"policy,omitempty"` // default latest
	Window *Duration     `json:"window,omitempty"` // how far back they are caught up; default one hour
}

// CatchUpPolicy is which of the missed occurrences inside the window fire.
type CatchUpPolicy string

const (
	CatchUpLatest CatchUpPolicy = "latest" // the most recent one, once
	CatchUpAll    CatchUpPolicy = "all"    // each, oldest first
	CatchUpNone   CatchUpPolicy = "none"
)

const (
	// MissedAfter is how late an occurrence may be recorded and still count as on time.
	MissedAfter = 2 * time.Minute
	// DefaultCatchUpWindow holds where a definition gives none.
	DefaultCatchUpWindow = time.Hour
)

func (c CatchUp) policy() CatchUpPolicy {
	if c.Policy == "" {
		return CatchUpLatest
	}
	return c.Policy
}

func (c CatchUp) window() time.Duration {
	if c.Window == nil {
		return DefaultCatchUpWindow
	}
	return time.Duration(*c.Window)
}

// Schedule is a definition that has been created, with what Carillon keeps beside it. All times are UTC.
type Schedule struct {
	Definition
	ID       string    `json:"id"`       // another one for a schedule made again under the same name
	Revision int       `json:"revision"` // 1 at creation, one more with every change
	Created  time.Time `json:"created"`
	Updated  time.Time `json:"updated"`
	By       string    `json:"updated_by,omitempty"`

	StatusNote *StatusNote `json:"status_note,omitempty"`

	// Anchor is where the trigger counts from when it has no start_time: the creation, cut to the minute.
	Anchor time.Time `json:"anchor"`
	// DisabledRevision is the last revision that disabled the schedule, 0 for none.
	DisabledRevision int `json:"disabled_revision,omitempty"`
	// TriggerRevision and TriggerChanged say when the trigger was changed last.
	TriggerRevision int       `json:"trigger_revision"`
	TriggerChanged  time.Time `json:"trigger_changed"`
	// Begins is when a schedule that takes the place of an old one begins: nothing fires before, that very second does.
	Begins time.Time `json:"begins,omitzero"`
	Origin *Origin   `json:"origin,omitempty"` // of one that was imported
	// Baseline is when the schedule began to watch its folders, and BaselineRevision with which revision: at creation,
	// enabling, and a change of them. What was changed until then does not fire.
	Baseline         time.Time `json:"baseline,omitzero"`
	BaselineRevision int       `json:"baseline_revision,omitempty"`
}

// StatusNote says who changed whether a schedule fires, when, and why.
type StatusNote struct {
	Note string    `json:"note,omitempty"`
	By   string    `json:"by,omitempty"`
	At   time.Time `json:"at"`
	All  bool      `json:"all,omitempty"` // with all others: enabling all again enables it, too
}

// New makes the first revision of a schedule.
func New(d Definition, id, by string, now time.Time) Schedule {
	s := Schedule{
		Definition: d, ID: id, Revision: 1, Created: now, Updated: now, By: by,
		Anchor: now.Truncate(time.Minute), TriggerRevision: 1, TriggerChanged: now,
	}
	if d.Trigger.Watch != nil {
		s.Baseline, s.BaselineRevision = now.UTC(), 1
	}
	if d.Status == Disabled {
		s.DisabledRevision = 1
		s.StatusNote = &StatusNote{Note: "created disabled", By: by, At: now}
	}
	return s
}

// Horizon is the instant up to which a new schedule fires nothing.
func (s Schedule) Horizon() time.Time { return later(s.Created, s.Begins.Add(-time.Second)) }

// Revise makes the next revision, with another definition of the same name. A note says why its status is as it is.
func (s Schedule) Revise(d Definition, by, note string, now time.Time) Schedule {
	next := s
	next.Definition = d
	next.Revision++
	next.Updated, next.By = now, by
	if !d.Trigger.Equal(s.Trigger) {
		next.TriggerRevision, next.TriggerChanged = next.Revision, now
	}
	if s.Waits() && d.Status == Active {
		next = next.Beginning(now, now.Add(leastCutOver))
	} else if enabled := d.Status == Active && s.Status != Active; d.Trigger.Watch != nil && (enabled || !d.Trigger.sameFolders(s.Trigger.Watch)) {
		next.Baseline, next.BaselineRevision = now.UTC(), next.Revision
	}
	if d.Status != s.Status || note != "" {
		next.StatusNote = &StatusNote{Note: note, By: by, At: now}
	}
	if d.Status == Disabled && s.Status != Disabled {
		next.DisabledRevision = next.Revision
	}
	return next
}

// StoppedBy makes the revision by which somebody disables a schedule, alone or with all others. What waits is skipped,
// also of one that is disabled already; enabling all again does not enable that one.
func (s Schedule) StoppedBy(who, note string, all bool, now time.Time) Schedule {
	d := s.Definition
	d.Status = Disabled
	next := s.Revise(d, who, note, now)
	next.DisabledRevision = next.Revision
	next.StatusNote = &StatusNote{Note: note, By: who, At: now, All: all && (s.Status == Active || s.DisabledWithAll())}
	return next
}

// Stops reports whether disabling the schedule, once more if it is disabled, keeps an occurrence of it from starting. One
// that is just being submitted is kept from another try.
func (s Schedule) Stops(o Occurrence) bool {
	untried := o.Status == Waiting && !o.Tried || o.Status == Submitting && !o.Claim.Again
	return untried && o.ScheduleID() == s.ID && o.Revision >= s.DisabledRevision
}

// DisabledWithAll reports whether the schedule is disabled because all were.
func (s Schedule) DisabledWithAll() bool {
	return s.Status == Disabled && s.StatusNote != nil && s.StatusNote.All
}

// Paused makes the revision that stops a schedule whose runs fail.
func (s Schedule) Paused(now time.Time) Schedule {
	d := s.Definition
	d.Status = Disabled
	return s.Revise(d, "carillon", fmt.Sprintf("paused after %d failed runs in a row", s.PauseAfter), now)
}

const noteDone = "done"

// Done reports whether the schedule was disabled because it has done all it was to do.
func (s Schedule) Done() bool {
	return s.Status == Disabled && s.StatusNote != nil && s.StatusNote.Note == noteDone
}

// Finished makes the last revision of a schedule that has done all it was to do. Occurrences that wait still fire.
func (s Schedule) Finished(now time.Time) Schedule {
	s.Status, s.StatusNote = Disabled, &StatusNote{Note: noteDone, By: "carillon", At: now}
	s.Revision++
	s.Updated, s.By = now, "carillon"
	return s
}

// State is what is counted for a schedule, apart from its definition.
type State struct {
	Submitted int    `json:"submitted,omitempty"` // regular occurrences claimed so far
	Last      string `json:"last,omitempty"`      // the occurrence claimed last, but for backfilled ones
	Failures  int    `json:"failures,omitempty"`  // failed runs in a row, by their ends
	Ran       *Ran   `json:"ran,omitempty"`       // the occurrence claimed last, backfilled ones too; nil once it starts another pipeline
}

// Ran is an occurrence that was claimed, and what of.
type Ran struct {
	Occurrence string      `json:"occurrence"`
	Pipeline   PipelineRef `json:"pipeline"`
	At         time.Time   `json:"at"`
}

// Ended is the state once o has ended: a success begins to count anew, as enabling does. A cancelled run is neutral, and so is
// one that Carillon's own end cut off, and one that was backfilled: it says how things were, not how they are.
func (s State) Ended(o Occurrence) State {
	switch {
	case o.Kind == Backfilled:
	case o.Status == Completed:
		s.Failures = 0
	case o.Status == Failed || o.Status == Lost:
		s.Failures++
	}
	return s
}

// Withdrawn is the state once o, which is not final, is skipped: it counts as one that was never claimed.
func (s State) Withdrawn(o Occurrence) State {
	if o.Regular() && o.Attempts > 0 {
		s.Submitted = max(s.Submitted-1, 0)
	}
	return s
}

// Claimed is the state once o has been claimed, as Claimed says.
func (s State) Claimed(o Occurrence) State {
	s.Ran = &Ran{Occurrence: o.ID, Pipeline: o.Pipeline, At: o.Claim.Until.Add(-Lease)}
	if o.Kind != Backfilled && o.Attempts == 1 { // one of a time long over, and a further try, is not the one before others
		s.Last = o.ID
	}
	if o.Regular() && o.Attempts == 1 {
		s.Submitted++
	}
	return s
}

// Equal reports whether two triggers fire at the same times by the same rule.
func (t Trigger) Equal(other Trigger) bool { return t.key() == other.key() }
