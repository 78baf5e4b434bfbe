package submit_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/queue"
	"carillon/shared/schedule"
)

// stubborn is a far side that takes its time to cancel.
type stubborn struct {
	*pipeline.Fake
	takes time.Duration
}

func (s *stubborn) Cancel(ctx context.Context, kind, runID string) error {
	select {
	case <-time.After(s.takes):
		return s.Fake.Cancel(ctx, kind, runID)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A far side that does not cancel holds up no submission, and is asked again.
func TestCancelsThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, func(d *schedule.Definition) { d.Overlap = schedule.OverlapCancelRunning })
		far := &stubborn{Fake: s.fake, takes: time.Hour}
		s.submit.Targets["local"] = far
		s.play("due, ask, ask, ask, lost")
		r, err := s.db.Schedule(t.Context(), "s")
		if err != nil {
			t.Fatal(err)
		}
		neighbour := schedule.Asked(r.Schedule.Value, "", "n", "ann", nil, s.now)
		if err := s.db.Add(t.Context(), neighbour); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		s.fake.After = func(got pipeline.Submission, _ string) error {
			if waited := time.Since(began); got.Occurrence != neighbour.ID || waited != 0 {
				t.Errorf("%s is submitted after %v", got.Occurrence, waited)
			}
			return nil
		}
		s.handle(s.submit.Handle, queue.Messages([]string{s.find("2").Value.ID, neighbour.ID})[0])
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("four cancels that hang took %v", took)
		}
		if got, want := s.says(), "1 Queued, m1 Queued, m2 Queued, m3 Queued, 2 waits, mn Queued"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		far.takes = 0
		s.play("minute")
		if got := s.says(); strings.Count(got, "Queued asked to end") != 5 {
			t.Errorf("a minute later: %s", got)
		}
	})
}

// The call is over while the far side makes a run: what came of it is stored.
func TestTheCallIsOver(t *testing.T) {
	s := newStage(t, func(*schedule.Definition) {})
	ctx, cancel := context.WithCancel(t.Context())
	s.fake.After = func(pipeline.Submission, string) error {
		cancel()
		return nil
	}
	s.play("lost")
	if err := s.submit.Handle(ctx, queue.Messages([]string{s.find("1").Value.ID})[0]); err != nil {
		t.Error(err)
	}
	if got, want := s.says(), "1 Queued"; got != want || len(s.follows.Pending()) != 1 {
		t.Errorf("%s, want %s; %d looks are planned", got, want, len(s.follows.Pending()))
	}
}
