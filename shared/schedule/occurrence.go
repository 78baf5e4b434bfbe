package schedule

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Occurrence is one firing of a schedule, and the run that it made. It keeps the revision under which it was
// recorded. A Skipped one may stand for several neighbours with one reason. All times are UTC, in whole seconds
// unless they were measured.
type Occurrence struct {
	ID         string      `json:"id"`
	Schedule   string      `json:"schedule"`
	Kind       Kind        `json:"kind"`
	Revision   int         `json:"revision"`
	Nominal    time.Time   `json:"nominal"`              // the computed time; names the occurrence
	Last       time.Time   `json:"last,omitzero"`        // of several skipped ones: the last nominal time
	Count      int         `json:"count,omitempty"`      // of several skipped ones: how many
	Start      time.Time   `json:"start"`                // not to be submitted earlier
	Recorded   time.Time   `json:"recorded"`             // when the store first had it
	Status     Status      `json:"status"`               //
	Reason     Reason      `json:"reason,omitempty"`     // why it was skipped
	Error      string      `json:"error,omitempty"`      // what went wrong, for a person
	By         string      `json:"by,omitempty"`         // who asked for a manual one
	Parameters Parameters  `json:"parameters,omitempty"` // given for this one; from the claim on all that the run gets
	Outputs    Parameters  `json:"outputs,omitempty"`    // from the claim on
	Settings   Settings    `json:"settings,omitempty"`   // from the claim on
	Pipeline   PipelineRef `json:"pipeline,omitzero"`    // from the claim on
	Experiment string      `json:"experiment,omitempty"` // given for this one; from the claim on in any case
	Attempts   int         `json:"attempts,omitempty"`   // claims so far
	Tried      bool        `json:"tried,omitempty"`      // a claim so far may have made the run
	Claim      Claim       `json:"claim,omitzero"`       // while Submitting
	Run        string      `json:"run,omitempty"`        // the far side's id of the run
	Link       string      `json:"link,omitempty"`       // where people look at the run
	Submitted  time.Time   `json:"submitted,omitzero"`   // when the far side had taken it
	Started    time.Time   `json:"started,omitzero"`     // as the far side says
	Ended      time.Time   `json:"ended,omitzero"`       // as the far side says; of others, when they became final
	Missing    time.Time   `json:"missing,omitzero"`     // since when the far side has not known the run, at every look
	Next       time.Time   `json:"next,omitzero"`        // when its run is looked at next: the message for that is on its way
	Wake       time.Time   `json:"wake,omitzero"`        // when the clock looks after it; zero for never
	Request    string      `json:"request,omitempty"`    // the caller's id of the request for it
	CancelBy   string      `json:"cancel_by,omitempty"`  // who has asked for its end

	MakesRoomFor string `json:"makes_room_for,omitempty"` // the occurrence for which its schedule's overlap policy has asked for its end

	ContinueOnStepFailure *bool `json:"continue_on_step_failure,omitempty"` // given for this one, or its definition's from the claim on

	Overlap    Overlap `json:"overlap,omitempty"`     // from the claim on: the policy that it was started by
	PauseAfter int     `json:"pause_after,omitempty"` // from the claim on
	Buffered   bool    `json:"buffered,omitempty"`    // it waits for its turn
	AtOnce     int     `json:"at_once,omitempty"`     // of a backfill: how many of it may be under way at once
	Place      string  `json:"place,omitempty"`       // of a backfill: its place in the line; in the order of bytes

	Change  *Change `json:"change,omitempty"`  // what fired it: the one change, or that which completed all_of
	Changes int     `json:"changes,omitempty"` // how many changes it is for
	Window  *Span   `json:"window,omitempty"`  // in which they came; of all_of, from when on they count

	DataPath *DataPath `json:"data_path,omitempty"` // the parameter that gets the place of the data: given for this one, or from the claim on

	Tags Tags `json:"tags,omitempty"` // of whoever asked for it; from the claim on all that its run bears, as far as the far side knows tags
}

// DataPath is a parameter that gets a place in a datastore as its value.
type DataPath struct {
	Parameter string `json:"parameter"`
	Datastore string `json:"datastore"`
	Path      string `json:"path"` // from the datastore's root
	Folder    bool   `json:"folder,omitempty"`
}

// Parameters are a run's values by name.
type Parameters map[string]string

// Settings are values of any JSON type, by name: what they mean is the far side's affair.
type Settings map[string]json.RawMessage

// Tags are texts by which people find runs at the far side.
type Tags map[string]string

// Kind is what brought an occurrence about.
type Kind string

const (
	Scheduled  Kind = "scheduled" // its time came
	Manual     Kind = "manual"    // somebody asked for it
	Changed    Kind = "change"    // data changed
	Backfilled Kind = "backfill"  // somebody asked for a time that is over
)

// Regular reports whether its schedule brought the occurrence about, rather than a person.
func (o Occurrence) Regular() bool { return o.Kind == Scheduled || o.Kind == Changed }

// Timed reports whether the occurrence is for a time of a recurrence: a manual one is when that was given.
func (o Occurrence) Timed() bool {
	_, asked, _, _ := ParseOccurrenceID(o.ID)
	return o.Kind == Scheduled || o.Kind == Backfilled || o.Kind == Manual && !asked.Equal(o.Nominal)
}

// Reason is why an occurrence was skipped.
type Reason string

const (
	ReasonDisabled       Reason = "disabled"        // the schedule was disabled while it waited
	ReasonDeleted        Reason = "deleted"         // the schedule was deleted while it waited
	ReasonTriggerChanged Reason = "trigger_changed" // the trigger was changed before its time
	ReasonMissed         Reason = "missed"          // too late, and the catch-up policy is none
	ReasonCatchUpWindow  Reason = "catch_up_window" // too late, and outside the catch-up window
	ReasonCalendar       Reason = "calendar"        // a calendar excludes its time; Error names it
	ReasonLimit          Reason = "limit"           // max_runs have been submitted
	ReasonCatchUpLatest  Reason = "catch_up_latest" // too late, and a later one was caught up instead
	ReasonOverlap        Reason = "overlap"         // another run was under way, and the policy lets it not wait
	ReasonPaused         Reason = "paused"          // too many runs have failed in a row
	ReasonSuperseded     Reason = "superseded"      // a newer version of the file has fired
	ReasonGone           Reason = "gone"            // the file was deleted before it could be looked at
	ReasonUnreadable     Reason = "unreadable"      // the file could not be looked at; Error says why

	ReasonOldSchedule      Reason = "old_schedule"      // the old schedule, in whose place this one comes, had it, or may have had it
	ReasonPipelineDisabled Reason = "pipeline_disabled" // somebody has disabled the pipeline; Error says who and why
)

// Claim says which process is submitting an occurrence, and until when nobody else may.
type Claim struct {
	Owner string    `json:"owner"`
	ID    string    `json:"id"`
	Until time.Time `json:"until"`
	Again bool      `json:"again,omitempty"` // an earlier claim may have made the run
}

// Same reports whether two claims are one.
func (c Claim) Same(other Claim) bool {
	return c.ID == other.ID && c.ID != ""
}

const stampLayout = "20060102T150405Z"

// Stamp writes an instant of whole seconds so that stamps sort as the instants do, for the years 0 to 9999.
func Stamp(t time.Time) string { return t.UTC().Format(stampLayout) }

// ParseStamp reads what Stamp has written.
func ParseStamp(s string) (time.Time, error) { return time.Parse(stampLayout, s) }

// OccurrenceID names an occurrence: the schedule's id, its time, and, where the time alone does not tell it apart
// from others, something that does ("" otherwise). The far side's run is named so.
func OccurrenceID(scheduleID string, at time.Time, distinct string) string {
	id := scheduleID + "-" + Stamp(at)
	if distinct != "" {
		id += "-" + distinct
	}
	return id
}

// ParseOccurrenceID takes an id apart.
func ParseOccurrenceID(id string) (scheduleID string, at time.Time, distinct string, err error) {
	scheduleID, rest, _ := strings.Cut(id, "-")
	stamp, distinct, more := strings.Cut(rest, "-")
	at, err = time.Parse(stampLayout, stamp)
	if err != nil || !plain(scheduleID, 32, "") || more && !plain(distinct, 64, "._-") {
		return "", time.Time{}, "", fmt.Errorf("%.100q is not a run's id", id)
	}
	return scheduleID, at, distinct, nil
}

// plain reports whether a text has 1 to max letters and digits, or characters of also.
func plain(s string, max int, also string) bool {
	for _, c := range []byte(s) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && strings.IndexByte(also, c) < 0 {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= max
}

// ScheduleID is the id of the schedule that an occurrence belongs to.
func (o Occurrence) ScheduleID() string {
	id, _, _ := strings.Cut(o.ID, "-")
	return id
}

func (o Occurrence) end(status Status, now time.Time) Occurrence {
	o.Status, o.Claim, o.Wake, o.Next, o.Buffered = status, Claim{}, time.Time{}, time.Time{}, false
	if o.Ended.IsZero() {
		o.Ended = now
	}
	return o
}
