package main

import (
	"time"

	"carillon/shared/pipeline/azureml/azuremltest"
)

// live moves runs on, each second.
func live(workspace *azuremltest.Service, took time.Duration) {
	for now := range time.Tick(time.Second) {
		workspace.Advance(func(r *azuremltest.Run) { step(r, now.UTC(), took) })
	}
}

// steps are those of every run, one after the other.
var steps = []string{"prepare", "train", "register"}

// step is what becomes of a run: it waits for a moment, takes its steps, and ends when they have, or when its end was
// asked for.
func step(r *azuremltest.Run, now time.Time, took time.Duration) {
	switch r.Status {
	case "NotStarted":
		r.Status = "Running"
	case "CancelRequested":
		r.Status = "Canceled"
		stop(r, now)
	case "Running":
		each := took / time.Duration(len(steps))
		r.Steps = nil
		for i, name := range steps {
			s := azuremltest.Step{Name: name, Status: "NotStarted"}
			if begins := r.Started.Add(time.Duration(i) * each); !now.Before(begins) && r.Error == "" {
				s = taken(r, name, begins, each, now)
			}
			r.Steps = append(r.Steps, s)
		}
		if last := r.Steps[len(steps)-1]; r.Error != "" {
			r.Status = "Failed"
		} else if last.Status == "Completed" {
			r.Status = "Completed"
		}
	}
}

// taken is a step that has begun. Where it fails, the run says why.
func taken(r *azuremltest.Run, name string, begins time.Time, each time.Duration, now time.Time) azuremltest.Step {
	s := azuremltest.Step{Name: name, Status: "Running", Started: begins}
	switch ends := begins.Add(each); {
	case now.Before(ends):
	case name == "train" && r.Pipeline == fails:
		s.Status, s.Ended, s.Error = "Failed", ends, "train.py: no space left on device (exit status 1)"
		r.Error = "step train failed: " + s.Error
	default:
		s.Status, s.Ended = "Completed", ends
	}
	return s
}

// stop ends what has begun of a run, and leaves out the rest.
func stop(r *azuremltest.Run, now time.Time) {
	for i := range r.Steps {
		if s := &r.Steps[i]; !azuremltest.Ended(s.Status) {
			s.Status = "Canceled"
			if !s.Started.IsZero() {
				s.Ended = now
			}
		}
	}
}
