package submit_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"carillon/shared/pipeline"
	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// onTheWay does something while the next submission is with the far side.
func (s *stage) onTheWay(act func()) {
	before := s.fake.Before
	s.fake.Before = func(got pipeline.Submission) error {
		s.fake.Before = before
		act()
		return before(got)
	}
}

// A run is cancelled while its submission is on the way, and another one waits for its end. It ends at once, or as soon as it is
// known to be there.
func TestCancelledOnTheWay(t *testing.T) {
	for _, row := range []struct{ name, far, script, want string }{
		{"it is there", "up", "", "1 Queued asked to end, 2 waits"},
		{"it ends", "up", "stop 1", "1 Canceled, 2 Queued"},
		{"it ends by itself", "up", "end 1", "1 Completed, 2 Queued"},
		{"it is not there", "down", "up, quarter", "1 Canceled, 2 Queued"},
		{"it is refused", "refuses-one", "", "1 Failed, 2 Queued"},
		{"nobody can say", "unsure", "", "1 Uncertain, 2 waits"},
		{"nobody can say, until somebody decides", "unsure", "up, cancel 1, minute", "1 Canceled, 2 Queued"},
		{"it may be there", "repeat", "", "1 retries, 2 waits"},
		{"it may be there, and is found", "repeat", "up, quarter, second", "1 Queued asked to end, 2 waits"},
		{"it may be there, and nobody can ever say", "repeat", "unsure, quarter", "1 Uncertain, 2 waits"},
		{"it may be there, and is cancelled again", "repeat", "cancel 1, up, quarter", "1 Canceled, 2 Queued"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStage(t, func(d *schedule.Definition) { d.Overlap = schedule.OverlapBufferOne })
			s.play("down, due, due")
			s.onTheWay(func() { s.play("cancel 1") })
			s.play(row.far + ", quarter, second")
			if row.script != "" {
				s.play(row.script)
			}
			if got := s.says(); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
			if o := s.find("1").Value; o.CancelBy != "ann" || s.fake.Submissions(o.ID) > 1 {
				t.Errorf("%d runs were made, cancelled by %q", s.fake.Submissions(o.ID), o.CancelBy)
			}
		})
	}
}

// A run is cancelled right before the outcome of its submission is written, and one starts right before it is written that somebody
// wants its end: neither is lost.
func TestCancelledAsItIsWritten(t *testing.T) {
	rows := &between{Driver: store.NewMem(), prefix: "occ|"}
	s := newStageOver(t, rows, func(*schedule.Definition) {})
	s.onTheWay(func() { rows.happen = func() { s.play("cancel 1") } })
	s.play("due, second")
	if got, want := s.says(), "1 Queued asked to end"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	s.play("due, second")
	s.fake.Start(s.find("2").Value.Run)
	rows.happen = func() { s.handle(s.follow.Handle, queue.Messages([]string{s.find("2").Value.ID})[0]) }
	s.play("cancel 2")
	if got, want := s.says(), "1 Queued asked to end, 2 Running asked to end"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// mortal is a store of a process that dies: nothing is written any more.
type mortal struct {
	store.Driver
	dead bool
}

func (m *mortal) Apply(ctx context.Context, part string, ops ...store.Op) error {
	if m.dead {
		return errors.New("dead")
	}
	return m.Driver.Apply(ctx, part, ops...)
}

// The far side has the run, and whoever submitted it dies before that is stored. It is cancelled by the next one, also where the
// wish came before that, or while nobody was there.
func TestCancelledAndCrashed(t *testing.T) {
	for name, before := range map[string]bool{"cancelled, then it dies": true, "it dies, then it is cancelled": false} {
		rows := &mortal{Driver: store.NewMem()}
		s := newStageOver(t, rows, func(*schedule.Definition) {})
		s.fake.After = func(pipeline.Submission, string) error {
			if before {
				s.play("cancel 1")
			}
			s.fake.After, rows.dead = nil, true
			return nil
		}
		s.play("lost")
		if err := s.submit.Handle(t.Context(), queue.Messages([]string{s.find("1").Value.ID})[0]); err == nil {
			t.Error("it lives")
		}
		if rows.dead = false; !before {
			s.play("cancel 1")
		}
		if got, want := s.says(), "1 Submitting"; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		s.play("quarter, second")
		if got, want := s.says(), "1 Queued asked to end"; got != want || len(s.fake.Runs()) != 1 {
			t.Errorf("%s: %s, want %s; %d runs", name, got, want, len(s.fake.Runs()))
		}
	}
}

// The far side has the run, that is stored, and whoever would look at it dies: the clock brings the next one, which cancels it.
func TestCancelledAndForgotten(t *testing.T) {
	s := newStage(t, func(*schedule.Definition) {})
	s.play("due")
	o := s.find("1").Value
	if _, err := s.db.Cancel(t.Context(), o.ID, "ann", s.now); err != nil {
		t.Fatal(err)
	}
	s.follows.Take(s.now.Add(schedule.Resend))
	s.play("minute, minute")
	if got, want := s.says(), "1 Queued asked to end"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// The far side fails when it is asked for the end of a run: it is asked at the next look again, and people see why it goes on.
func TestCancelFails(t *testing.T) {
	s := newStage(t, func(*schedule.Definition) {})
	fails := 2
	s.fake.BeforeCancel = func(string) error {
		if fails--; fails >= 0 {
			return errors.New("too many requests")
		}
		return nil
	}
	s.onTheWay(func() { s.play("cancel 1") })
	s.play("due")
	for range fails {
		s.play("second")
		if o := s.find("1").Value; !strings.Contains(o.Error, "its end is asked for again, as that has failed: too many requests") {
			t.Errorf("it is %s: %s", o.Status, o.Error)
		}
	}
	s.play("second, second")
	if got, want := s.says(), "1 Queued asked to end"; got != want || s.find("1").Value.Error != "" {
		t.Errorf("%s, want %s; it says: %s", got, want, s.find("1").Value.Error)
	}
	s.play("stop 1")
	if o := s.find("1").Value; o.Status != schedule.Canceled || o.Error != "" || o.CancelBy != "ann" {
		t.Errorf("at last it is %s, by %s: %s", o.Status, o.CancelBy, o.Error)
	}
}

// A run is cancelled in the middle of a look at it, which may not write then: it is asked to end, and looked at as often as before.
func TestCancelledInTheMiddleOfALook(t *testing.T) {
	s := newStage(t, func(*schedule.Definition) {})
	s.play("due")
	s.fake.BeforeStatus = func(string) error {
		s.fake.BeforeStatus = nil
		if c, err := s.db.Cancel(t.Context(), s.find("1").Value.ID, "ann", s.now); err != nil || c.From.Value.CancelBy != "" {
			t.Errorf("cancelled: %+v, %v", c.From.Value, err)
		}
		return s.follows.Send(t.Context(), queue.Messages([]string{s.find("1").Value.ID})[0], 0)
	}
	s.now = s.now.Add(schedule.Resend)
	s.deliver()
	if got, want := s.says(), "1 Queued asked to end"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if n := len(s.follows.Pending()); n != 1 {
		t.Errorf("%d looks are planned", n)
	}
}
