package submit_test

import (
	"strings"
	"testing"

	"carillon/shared/schedule"
)

// Nothing runs the pipeline any more. What certainly has no run is refused; what may have one waits for whoever can tell, and at
// last for a person.
func TestNobodyRunsIt(t *testing.T) {
	s := newStage(t, func(*schedule.Definition) {})
	target := s.submit.Targets["local"]
	delete(s.submit.Targets, "local")
	s.play("due")
	if o := s.find("1").Value; o.Status != schedule.Failed || o.Error != `no target for pipelines of kind "local" is configured` {
		t.Errorf("what was never tried is %s: %s", o.Status, o.Error)
	}
	s.submit.Targets["local"] = target
	s.play("repeat, due")
	delete(s.submit.Targets, "local")
	s.play("minute")
	if o := s.find("2").Value; o.Status != schedule.Waiting || !o.Tried || !strings.Contains(o.Error, "no target") {
		t.Errorf("what may have a run is %s: %s", o.Status, o.Error)
	}
	s.submit.Targets["local"] = target
	s.play("up, quarter")
	if o := s.find("2").Value; o.Status != schedule.Queued || s.fake.Submissions(o.ID) != 1 {
		t.Errorf("now that somebody can tell it is %s, with %d runs", o.Status, s.fake.Submissions(o.ID))
	}
	s.play("repeat, due")
	delete(s.submit.Targets, "local")
	for range 20 {
		s.play("quarter")
	}
	if o := s.find("3").Value; o.Status != schedule.Uncertain || !strings.Contains(o.Error, "given up after 20 tries") {
		t.Errorf("when nobody ever tells it is %s: %s", o.Status, o.Error)
	}
}
