package azureml

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"carillon/shared/schedule"
)

// enumName reads an enumeration's value, which travels as its name or, from older services, as its number. A number
// that is not known is its own name.
func enumName(data []byte, names ...string) string {
	var text string // stays empty for null
	if json.Unmarshal(data, &text) != nil {
		text = string(data)
	}
	if n, err := strconv.Atoi(text); err == nil && n >= 0 && n < len(names) {
		return names[n]
	}
	return text
}

// entityStatus is whether a pipeline may be used.
type entityStatus string

const disabled entityStatus = "Disabled"

func (s *entityStatus) UnmarshalJSON(data []byte) error {
	*s = entityStatus(enumName(data, "Active", "Deprecated", string(disabled)))
	return nil
}

// runStatus is the state of a run, in the words of the run history or of the pipeline service.
type runStatus string

// UnmarshalJSON knows the numbers that nobody doubts. Public clients disagree on 2 and 3, which are Failed and
// Finished: they stay numbers, and are no words that a run ends with.
func (s *runStatus) UnmarshalJSON(data []byte) error {
	*s = runStatus(enumName(data, "NotStarted", "Running", "2", "3", "Canceled"))
	return nil
}

// statuses is what the words of both services come to, in small letters.
var statuses = map[string]schedule.Status{
	"notstarted":      schedule.Queued,
	"queued":          schedule.Queued,
	"starting":        schedule.Queued,
	"provisioning":    schedule.Queued,
	"preparing":       schedule.Queued,
	"unapproved":      schedule.Queued,
	"running":         schedule.Running,
	"finalizing":      schedule.Running,
	"cancelrequested": schedule.Running,
	"notresponding":   schedule.Running,
	"paused":          schedule.Running,
	"unknown":         schedule.Running,
	"completed":       schedule.Completed,
	"finished":        schedule.Completed,
	"failed":          schedule.Failed,
	"canceled":        schedule.Canceled,
	"cancelled":       schedule.Canceled,
}

// status is what the word comes to. One that is not known ends no run: known is false, and it goes on.
func (s runStatus) status() (status schedule.Status, known bool) {
	status, known = statuses[strings.ToLower(string(s))]
	if !known {
		status = schedule.Running
	}
	return status, known
}

// instant is a time as .NET writes it: with an offset or, meaning UTC, without one. What cannot be read is zero.
type instant struct{ time.Time }

func (i *instant) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) != nil {
		return nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, text); err == nil {
			i.Time = t.UTC()
			return nil
		}
	}
	return nil
}

// words is an object whose values are texts. Anything else in its place is no object.
type words map[string]string

func (w *words) UnmarshalJSON(data []byte) error {
	var values map[string]any
	if json.Unmarshal(data, &values) != nil || values == nil {
		return nil
	}
	*w = words{}
	for name, value := range values {
		(*w)[name] = textOf(value)
	}
	return nil
}

func textOf(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case nil:
		return ""
	}
	text, _ := json.Marshal(value)
	return string(text)
}

// flag is a truth value, which the specifications of components write as a text: "True".
type flag bool

func (f *flag) UnmarshalJSON(data []byte) error {
	var value any
	if json.Unmarshal(data, &value) == nil {
		*f = flag(strings.EqualFold(textOf(value), "true"))
	}
	return nil
}
