package schedule

import (
	"bytes"
	"encoding/json"
	"time"

	"carillon/shared/recur"
)

// Audit is the record of one change that somebody made: who, what, when, and what it was before. It is of a schedule, a
// calendar or a pipeline.
type Audit struct {
	At       time.Time    `json:"at"` // UTC
	By       string       `json:"by,omitempty"`
	What     What         `json:"what"`
	Schedule string       `json:"schedule,omitempty"`
	Calendar string       `json:"calendar,omitempty"`
	Pipeline *PipelineRef `json:"pipeline,omitempty"`
	Revision int          `json:"revision,omitempty"` // of the schedule: the one that the change made, or the last
	Note     string       `json:"note,omitempty"`

	// Before and After are the fields of the definition that differ; all of them, of one that is created or deleted. Of a
	// backfill, what was asked for.
	Before map[string]json.RawMessage `json:"before,omitempty"`
	After  map[string]json.RawMessage `json:"after,omitempty"`
}

// What is the kind of a change.
type What string

const (
	WasCreated  What = "created"
	WasChanged  What = "changed"
	WasEnabled  What = "enabled"
	WasDisabled What = "disabled"
	WasDeleted  What = "deleted"
	WasFilled   What = "backfilled"
)

// maxAudited is how many bytes of JSON a field may have to be kept in a record of a change; the revisions have it whole.
const maxAudited = 4 << 10

// Audited is the record of a schedule that became next; old is nil of one that is created, next of one that is deleted.
func Audited(old, next *Schedule, by string, now time.Time) Audit {
	a := Audit{At: now.UTC(), By: by}
	before, after := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if old != nil {
		a.Schedule, a.Revision, before = old.Name, old.Revision, fieldsOf(old.Definition)
	}
	if next != nil {
		a.Schedule, a.Revision, after = next.Name, next.Revision, fieldsOf(next.Definition)
		if next.StatusNote != nil && next.StatusNote.At.Equal(next.Updated) {
			a.Note = next.StatusNote.Note
		}
	}
	a.compare(before, after)
	switch {
	case a.What != WasChanged:
	case next.Status == Active && old.Status == Disabled:
		a.What = WasEnabled
	case next.Status == Disabled && (old.Status == Active || next.DisabledRevision == next.Revision):
		a.What = WasDisabled
	}
	return a
}

// AuditedCalendar is the record of a calendar that became next; nil as for Audited.
func AuditedCalendar(name string, old, next *recur.Calendar, by string, now time.Time) Audit {
	a := Audit{At: now.UTC(), By: by, Calendar: name}
	before, after := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if old != nil {
		before = fieldsOf(old)
	}
	if next != nil {
		after = fieldsOf(next)
	}
	a.compare(before, after)
	return a
}

// AuditedFill is the record of a backfill that makes so many occurrences.
func AuditedFill(s Schedule, b Backfill, runs int, now time.Time) Audit {
	asked := struct {
		From       time.Time  `json:"from"`
		To         time.Time  `json:"to"`
		Order      string     `json:"order"`
		AtOnce     int        `json:"at_once"`
		Again      bool       `json:"again,omitempty"`
		Parameters Parameters `json:"parameters,omitempty"`
		Runs       int        `json:"runs"`
	}{b.From, b.To, b.Order(), max(b.AtOnce, 1), b.Again, b.Parameters, runs}
	return Audit{At: now.UTC(), By: b.By, What: WasFilled, Schedule: s.Name, Revision: s.Revision, After: clipped(fieldsOf(asked))}
}

// compare keeps what differs, and says what that is.
func (a *Audit) compare(before, after map[string]json.RawMessage) {
	a.What = WasChanged
	switch {
	case len(before) == 0:
		a.What = WasCreated
	case len(after) == 0:
		a.What = WasDeleted
	}
	for name, value := range before {
		if bytes.Equal(value, after[name]) {
			delete(before, name)
			delete(after, name)
		}
	}
	a.Before, a.After = clipped(before), clipped(after)
}

// fieldsOf are the fields of a struct as JSON, but for its name, which the record bears.
func fieldsOf(v any) map[string]json.RawMessage {
	fields := map[string]json.RawMessage{}
	text, _ := json.Marshal(v) // plain data
	json.Unmarshal(text, &fields)
	delete(fields, "name")
	return fields
}

func clipped(fields map[string]json.RawMessage) map[string]json.RawMessage {
	for name, value := range fields {
		if len(value) > maxAudited {
			fields[name] = json.RawMessage(`"…"`)
		}
	}
	if len(fields) == 0 {
		return nil
	}
	return fields
}
