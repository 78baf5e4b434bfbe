package schedule

import "strings"

// Status is what has become of an occurrence, from its recording to the end of its run. One vocabulary serves
// every kind of pipeline.
type Status string

const (
	Waiting     Status = "Waiting"    // recorded; to be submitted
	Submitting  Status = "Submitting" // claimed: its submission is under way
	Uncertain   Status = "Uncertain"  // nobody can say whether it was submitted: a person decides
	Queued      Status = "Queued"     // the far side has it, and has not started it
	Running     Status = "Running"
	Completed   Status = "Completed"
	Failed      Status = "Failed" // the run, or for good its submission
	Canceled    Status = "Canceled"
	Interrupted Status = "Interrupted" // a local run that Carillon's own end cut off; never run again
	Lost        Status = "Lost"        // the far side no longer knows the run
	Skipped     Status = "Skipped"     // did not fire; Reason says why
)

// Statuses are all of them, in the order of an occurrence's life.
var Statuses = []Status{Waiting, Submitting, Uncertain, Queued, Running, Completed, Failed, Canceled, Interrupted, Lost, Skipped}

// ParseStatus finds a status by its name in any letter case.
func ParseStatus(s string) (Status, bool) {
	for _, status := range Statuses {
		if strings.EqualFold(s, string(status)) {
			return status, true
		}
	}
	return "", false
}

// Final reports whether nothing more will happen to the occurrence.
func (s Status) Final() bool {
	switch s {
	case Completed, Failed, Canceled, Interrupted, Lost, Skipped:
		return true
	}
	return false
}
