package schedule

import (
	"bytes"
	"encoding/json"
	"maps"
	"strconv"
	"time"

	"carillon/shared/recur"
)

// Audit is the record of one change that somebody made: who, what, when, and what it was before. It is of a schedule or one
// of its runs, a calendar or a pipeline.
type Audit struct {
	At       time.Time    `json:"at"` // UTC
	By       string       `json:"by,omitempty"`
	What     What         `json:"what"`
	Schedule string       `json:"schedule,omitempty"`
	Calendar string       `json:"calendar,omitempty"`
	Pipeline *PipelineRef `json:"pipeline,omitempty"`
	Run      string       `json:"run,omitempty"`      // the occurrence's id
	Revision int          `json:"revision,omitempty"` // of the schedule: the one that the change made, or the last; of a run, its own
	Note     string       `json:"note,omitempty"`

	// Before and After are the fields of the definition that differ; all of them, of one that is created or deleted. Of
	// parameters, outputs, settings, tags, and of whatever is long, they are the entries that differ. Of a run that was
	// asked for, and of a backfill, they are what was asked for.
	Before map[string]json.RawMessage `json:"before,omitempty"`
	After  map[string]json.RawMessage `json:"after,omitempty"`
}

// What is the kind of a change.
type What string

const (
	WasCreated   What = "created"
	WasChanged   What = "changed"
	WasEnabled   What = "enabled"
	WasDisabled  What = "disabled"
	WasDeleted   What = "deleted"
	WasFilled    What = "backfilled"
	WasTriggered What = "triggered"
	WasCancelled What = "cancelled"
)

// OfRun reports whether it is of one run, rather than of its schedule.
func (w What) OfRun() bool { return w == WasTriggered || w == WasCancelled }

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

// AuditedRun is the record of an occurrence that somebody has asked for, or whose end somebody has asked for.
func AuditedRun(o Occurrence, what What, by string, now time.Time) Audit {
	a := Audit{At: now.UTC(), By: by, What: what, Schedule: o.Schedule, Run: o.ID, Revision: o.Revision}
	if what != WasTriggered {
		return a
	}
	asked := struct {
		Nominal    time.Time  `json:"nominal,omitzero"`
		Experiment string     `json:"experiment,omitempty"`
		Parameters Parameters `json:"parameters,omitempty"`
		DataPath   *DataPath  `json:"data_path,omitempty"`
		Tags       Tags       `json:"tags,omitempty"`
	}{time.Time{}, o.Experiment, o.Parameters, o.DataPath, o.Tags}
	if o.Timed() {
		asked.Nominal = o.Nominal
	}
	a.After = orNone(fieldsOf(asked))
	return a
}

// AuditedFill is the record of a backfill; see Making.
func AuditedFill(s Schedule, b Backfill, now time.Time) Audit {
	asked := struct {
		From       time.Time  `json:"from"`
		To         time.Time  `json:"to"`
		Order      string     `json:"order"`
		AtOnce     int        `json:"at_once"`
		Again      bool       `json:"again,omitempty"`
		Parameters Parameters `json:"parameters,omitempty"`
	}{b.From, b.To, b.Order(), max(b.AtOnce, 1), b.Again, b.Parameters}
	return Audit{At: now.UTC(), By: b.By, What: WasFilled, Schedule: s.Name, Revision: s.Revision, After: fieldsOf(asked)}
}

// Making is the record of a backfill that has made so many occurrences.
func (a Audit) Making(runs int) Audit {
	a.After = maps.Clone(a.After)
	if a.After == nil {
		a.After = map[string]json.RawMessage{}
	}
	a.After["runs"] = json.RawMessage(strconv.Itoa(runs))
	return a
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
	for name := range union(before, after) {
		if bytes.Equal(before[name], after[name]) {
			delete(before, name)
			delete(after, name)
			continue
		}
		was, is := differing(name, before[name], after[name])
		set(before, name, was)
		set(after, name, is)
	}
	a.Before, a.After = orNone(before), orNone(after)
}

// fieldsOf are the fields of a struct as JSON, but for its name, which the record bears.
func fieldsOf(v any) map[string]json.RawMessage {
	fields := map[string]json.RawMessage{}
	_ = json.Unmarshal(written(v), &fields)
	delete(fields, "name")
	return fields
}

func orNone(fields map[string]json.RawMessage) map[string]json.RawMessage {
	if len(fields) == 0 {
		return nil
	}
	return fields
}
