package schedule

import (
	"strings"
	"time"
)

// Stop keeps a pipeline from starting runs, whichever schedule asks for them. It is of one id alone: the deployments of
// an endpoint, and other versions of a component, are pipelines of their own.
type Stop struct {
	Pipeline PipelineRef `json:"pipeline"`
	Note     string      `json:"note,omitempty"`
	By       string      `json:"by,omitempty"`
	At       time.Time   `json:"at"` // UTC
}

// String says who has disabled the pipeline, when and why.
func (s Stop) String() string {
	said := "pipeline " + s.Pipeline.String() + " was disabled"
	if s.By != "" {
		said += " by " + s.By
	}
	said += " at " + s.At.UTC().Format(time.RFC3339)
	if s.Note != "" {
		said += ": " + s.Note
	}
	return said
}

// Key is the same for all spellings of a pipeline: far sides compare ids in any letter case. Local ones are files, and
// are told apart by it.
func (p PipelineRef) Key() string {
	if p.Kind == "local" {
		return p.String()
	}
	return p.Kind + ":" + strings.ToLower(p.ID)
}

// Stopped is o as a record of why its pipeline did not start.
func (o Occurrence) Stopped(by Stop, now time.Time) Occurrence {
	o.Pipeline, o.Error = by.Pipeline, clip(by.String())
	return o.Skip(ReasonPipelineDisabled, now)
}
