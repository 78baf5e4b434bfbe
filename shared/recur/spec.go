package recur

import "fmt"

// Kind says how the times of a Spec are written.
type Kind string

const (
	KindRecurrence Kind = "recurrence" // frequency and interval
	KindCron       Kind = "cron"       // a five-field NCRONTAB expression
	KindAt         Kind = "at"         // one instant
)

// Spec is a definition of times as people write it. Decode gives it in its canonical form: enum values in
// lower case, weekdays as English names, lists sorted and without repeats, the flat fields of v1 moved into
// Schedule. The zero value of a field means that it was absent.
type Spec struct {
	Kind       Kind     `json:"type"`
	Frequency  string   `json:"frequency,omitempty"`  // minute, hour, day, week, month
	Interval   int      `json:"interval,omitempty"`   // every so many of them
	Expression string   `json:"expression,omitempty"` // cron only
	At         string   `json:"at,omitempty"`         // at only
	StartTime  string   `json:"start_time,omitempty"` // wall time in TimeZone, or with an offset: that instant
	EndTime    string   `json:"end_time,omitempty"`   // the same forms; inclusive
	TimeZone   string   `json:"time_zone,omitempty"`  // IANA or Windows id; absent is UTC
	TimeOfDay  string   `json:"time_of_day,omitempty"`
	Schedule   *Pattern `json:"schedule,omitempty"`
}

// Pattern narrows a day, week or month recurrence down to times. The times of a day are the cross product of
// Hours and Minutes.
type Pattern struct {
	Minutes            []int               `json:"minutes,omitempty"`
	Hours              []int               `json:"hours,omitempty"`
	WeekDays           []string            `json:"week_days,omitempty"`
	MonthDays          []int               `json:"month_days,omitempty"` // negative counts from the end: -1 is the last day
	MonthlyOccurrences []MonthlyOccurrence `json:"monthly_occurrences,omitempty"`
}

// MonthlyOccurrence names weekdays of a month by their place in it.
type MonthlyOccurrence struct {
	Day        string `json:"day"`
	Occurrence int    `json:"occurrence,omitempty"` // 1..5 from the start, -1..-5 from the end, 0 every one
}

// FieldError is one thing that is wrong with a definition.
type FieldError struct {
	Field   string `json:"field"`   // the path in the document: "schedule.hours[2]"; empty for the whole
	Message string `json:"message"` // what is wrong and what is allowed, for a person
}

// FieldErrors is everything that is wrong with a definition, in the order of its fields. As an error it is
// never empty.
type FieldErrors []FieldError

func (e FieldErrors) Error() string {
	switch len(e) {
	case 0:
		return "no errors"
	case 1:
		return fmt.Sprintf("%s: %s", e[0].Field, e[0].Message)
	}
	return fmt.Sprintf("%s: %s (and %d more)", e[0].Field, e[0].Message, len(e)-1)
}

// Under returns the errors with their fields put below a parent field.
func (e FieldErrors) Under(parent string) FieldErrors {
	out := make(FieldErrors, len(e))
	for i, f := range e {
		field := parent
		if f.Field != "" {
			field += "." + f.Field
		}
		out[i] = FieldError{Field: field, Message: f.Message}
	}
	return out
}
