// Package pipeline is the far side: where runs are made. A Target is one such place; local runs commands on this
// machine, azureml asks a workspace.
package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"carillon/shared/recur"
	"carillon/shared/schedule"
)

// Target makes runs of one or more kinds of pipelines. All methods may be called concurrently and by many
// processes, and obey ctx. Nobody below retries: errors say what the caller may do (see Error).
type Target interface {
	// Submit starts a run under a name that is the same for every try of one occurrence. Where the target
	// honours names, a repeated Submit starts nothing and returns the first run's id. When it returns, the run
	// outlives the caller's process, or will be reported as ended.
	Submit(ctx context.Context, s Submission) (runID string, err error)

	// Status reports on a run. The error wraps ErrNotFound when the target does not know it, or not yet: how soon it
	// knows what it has taken is its own affair. Another one may be an Error that says when to ask again.
	Status(ctx context.Context, kind, runID string) (Report, error)

	// Cancel asks for the run to be ended; Status tells when it has. Cancelling one that has ended is no error.
	Cancel(ctx context.Context, kind, runID string) error

	// List returns pipelines in the order of their ids, at most max of them, after the given id ("" for the first), and
	// the id after which the list goes on, "" at the end only. A page may have fewer than max, or none, where what
	// comes next could not be had, or ctx was over: the next call begins there. It fails when it would get nowhere.
	List(ctx context.Context, after string, max int) (page []Pipeline, next string, err error)

	// Get returns one pipeline; the error wraps ErrNotFound when there is none.
	Get(ctx context.Context, ref schedule.PipelineRef) (Pipeline, error)
}

// Outputs is what a Target offers that keeps the output of its runs.
type Outputs interface {
	// Output returns what a run has written so far, all steps in order. The caller closes it.
	Output(ctx context.Context, kind, runID string) (io.ReadCloser, error)
}

// Stepped is what a Target offers that tells of the steps of its runs. That is a question of its own, for somebody who looks
// at one run.
type Stepped interface {
	// Steps returns the steps of a run so far, in the order in which they began or are to begin; more says that there are
	// others. The error wraps ErrNotFound when the target does not know the run.
	Steps(ctx context.Context, kind, runID string) (steps []Step, more bool, err error)
}

// Switch is what a Target offers whose far side can itself keep a pipeline from running.
type Switch interface {
	// SetActive lets a pipeline run, or keeps it from running, whoever asks the far side. One that is so already stays
	// as it is, so the caller may repeat a call that failed. The error wraps ErrNotFound when there is no such pipeline;
	// with any error the switch may be as it was, or not.
	SetActive(ctx context.Context, ref schedule.PipelineRef, active bool) error
}

// OccurrenceTag is the tag, or the property, by which a target that knows such gives a run the id of its occurrence: by it
// the run is found again, and told in events.
const OccurrenceTag = "carillon_occurrence"

// Checker is what a Target offers that can tell more of values than whether there are such names.
type Checker interface {
	// Check finds what is wrong with what a schedule would submit, by field, before anything is filled in. An error says
	// that it could not be told.
	Check(ctx context.Context, s Submission) (recur.FieldErrors, error)
}

// Submission is what a run is made of.
type Submission struct {
	Name       string // derived from the occurrence; [a-zA-Z0-9_-], at most 64 bytes
	Pipeline   schedule.PipelineRef
	Experiment string
	Parameters map[string]string
	DataPath   *DataPath                  // where the changed data are, when the schedule asked for it in a parameter
	Outputs    map[string]string          // where outputs go, by name; of a pipeline that has Places
	Settings   map[string]json.RawMessage // of a pipeline that has Settings
	Schedule   string                     // its name, for display
	Occurrence string                     // its id; travels with the run as a tag, see OccurrenceTag

	// Tags are those of whoever asked for the run. A target that knows tags gives them to the run, beside its own, which
	// are not replaced; others leave them out.
	Tags map[string]string

	// Again: an earlier try may have made the run. A target that does not honour names looks for it first.
	Again bool

	// ContinueOnStepFailure is nil where the pipeline itself is to say.
	ContinueOnStepFailure *bool
}

// GoesOn reports whether a run of a pipeline that has no word of its own goes on after a step has failed.
func (s Submission) GoesOn() bool { return s.ContinueOnStepFailure != nil && *s.ContinueOnStepFailure }

// DataPath is a place in a datastore that is given to a run as the value of a parameter.
type DataPath struct {
	Parameter string
	Datastore string
	Path      string // from the datastore's root; of a folder, "" for the root
	Folder    bool
}

// Pipeline is what a target can run.
type Pipeline struct {
	Ref         schedule.PipelineRef `json:"pipeline"`
	Name        string               `json:"name"`
	Description string               `json:"description,omitempty"`
	Parameters  map[string]string    `json:"parameters,omitempty"` // with their defaults
	Required    []string             `json:"required,omitempty"`   // parameters without a default
	Problem     string               `json:"problem,omitempty"`    // why it cannot run as it stands
	Disabled    bool                 `json:"-"`                    // the far side's own switch is off, which is the Problem

	Outputs  map[string]string `json:"outputs,omitempty"` // with their types; nil: not known
	Places   bool              `json:"-"`                 // a schedule may say where outputs go
	Settings bool              `json:"-"`                 // a schedule may give settings
	Deployed bool              `json:"-"`                 // its deployment says whether steps go on after one has failed: a schedule cannot

	Also        []schedule.PipelineRef `json:"-"`                            // other references that stand for it at the moment, where a list tells them
	Deployments []string               `json:"deployments,omitempty"`        // of an endpoint, by name
	Default     string                 `json:"default_deployment,omitempty"` // the one that the endpoint itself stands for
}

// Report is what a target says of a run.
type Report struct {
	Status  schedule.Status // Queued, Running, or final
	Started time.Time       // zero until known
	Ended   time.Time       // zero until known
	Error   string          // why it failed, for a person
	Link    string          // where people look at it, "" for none
}

// Step is one part of a run.
type Step struct {
	Name    string          `json:"name"`
	Status  schedule.Status `json:"status"`
	Started time.Time       `json:"started,omitzero"`
	Ended   time.Time       `json:"ended,omitzero"`
	Exit    *int            `json:"exit,omitempty"` // of a command that has ended; -1 when a signal ended it
	Error   string          `json:"error,omitempty"`
}

// ErrNotFound: the target has no such pipeline or run.
var ErrNotFound = errors.New("not found")

// Outcome says what a failed Submit means for the next try.
type Outcome uint8

const (
	NotDone Outcome = iota // this call certainly started nothing: try again later
	Repeat                 // it may have been started, and trying again starts no other: the name, or Again, prevents it
	Refused                // nothing was ever started under the name, and trying again would not help
	Unknown                // it may have been started, and trying again might start another
)

// Error is a failed call. An error of another type means Unknown.
type Error struct {
	Outcome    Outcome
	RetryAfter time.Duration // what the target asked for; 0 when it did not
	Err        error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Refusef makes an Error that says that the target will never take the submission.
func Refusef(format string, args ...any) *Error {
	return &Error{Outcome: Refused, Err: fmt.Errorf(format, args...)}
}

// OutcomeOf tells what err means for the next try.
func OutcomeOf(err error) Outcome {
	var e *Error
	if errors.As(err, &e) {
		return e.Outcome
	}
	return Unknown
}

// Kinds are the kinds of pipelines that targets run, in order.
func Kinds(targets map[string]Target) []string { return slices.Sorted(maps.Keys(targets)) }
