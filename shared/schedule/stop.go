package schedule

import (
	"strings"
	"time"
)

// Stop keeps a pipeline from starting runs, whichever schedule asks for them, and under whichever reference: it holds for
// those that stand for the same pipeline at the moment, as an endpoint for its default deployment. Other deployments and
// other versions are pipelines of their own.
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

// Of is String for somebody who knows the pipeline as p.
func (s Stop) Of(p PipelineRef) string {
	if s.Pipeline.Key() == p.Key() {
		return s.String()
	}
	return s.String() + " (" + p.String() + " is the same pipeline now)"
}

// StopOf is the stop that keeps a pipeline of these references from starting; nil for none. That of an earlier reference
// comes before that of a later one.
func StopOf(stops []Stop, references ...PipelineRef) *Stop {
	for _, p := range references {
		for _, s := range stops {
			if s.Pipeline.Key() == p.Key() {
				return &s
			}
		}
	}
	return nil
}

// MayHold reports whether one of the stops is of a reference that may stand for the same pipeline as p: its far side has
// to be asked.
func MayHold(stops []Stop, p PipelineRef) bool {
	for _, s := range stops {
		if s.Pipeline.Family() == p.Family() && s.Pipeline.floats() != p.floats() {
			return true
		}
	}
	return false
}

// Key is the same for all spellings of a pipeline: far sides compare ids in any letter case. Local ones are files, and
// are told apart by it.
func (p PipelineRef) Key() string {
	if p.Local() {
		return p.String()
	}
	return p.Kind + ":" + strings.ToLower(p.ID)
}

// Family is what references have in common that may stand for one pipeline, now or at another time: the versions of a
// component and its @latest, an endpoint and its deployments, the pipelines and pipeline endpoints of v1.
func (p PipelineRef) Family() string {
	key := p.Key()
	switch p.Kind {
	case "published", "pipeline_endpoint":
		return "v1"
	case "batch_endpoint":
		key, _, _ = strings.Cut(key, "/")
	case "pipeline_job":
		const component = "pipeline_job:component:"
		if name, ok := strings.CutPrefix(key, component); ok {
			name, _, _ = strings.Cut(name, "@")
			name, _, _ = strings.Cut(name, ":")
			return component + name
		}
	}
	return key
}

// floats reports whether p stands for another reference, and not always for the same: an endpoint for its default,
// @latest for a version. No two that float are the same, and no two that do not.
func (p PipelineRef) floats() bool {
	return p.Kind == "pipeline_endpoint" || p.Kind == "batch_endpoint" && !strings.Contains(p.ID, "/") || strings.HasSuffix(p.Key(), "@latest")
}

// Stopped is o as a record of why its pipeline, p, did not start.
func (o Occurrence) Stopped(p PipelineRef, by Stop, now time.Time) Occurrence {
	o.Pipeline, o.Error = p, clip(by.Of(p))
	return o.Skip(ReasonPipelineDisabled, now)
}
