package submit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// between is a store in which something happens right before a transaction that writes a row of a kind, once.
type between struct {
	store.Driver
	prefix string
	happen func()
}

func (b *between) Apply(ctx context.Context, part string, ops ...store.Op) error {
	for _, op := range ops {
		if happen := b.happen; happen != nil && strings.HasPrefix(op.Sort, b.prefix) {
			b.happen = nil
			happen()
		}
	}
	return b.Driver.Apply(ctx, part, ops...)
}

// What is under way ends after it was read, and before it is written that another one waits for it: that one starts at once,
// whoever ends it.
func TestEndsWhileAnotherBeginsToWait(t *testing.T) {
	for _, policy := range []schedule.Overlap{schedule.OverlapBufferOne, schedule.OverlapBufferAll, schedule.OverlapCancelRunning} {
		for name, ends := range map[string]func(*stage){
			"a run":            func(s *stage) { s.play("end 1") },
			"an uncertain one": func(s *stage) { s.play("cancel 1") },
		} {
			rows := &between{Driver: store.NewMem(), prefix: "buf|"}
			s := newStageOver(t, rows, func(d *schedule.Definition) { d.Overlap = policy })
			if name == "an uncertain one" {
				s.far = "unsure"
			}
			s.play("due, up")
			rows.happen = func() { ends(s) }
			s.play("due")
			if got := s.find("2").Value.Status; got != schedule.Queued {
				t.Errorf("%s, %s ends: the one that waited is %s", policy, name, got)
			}
		}
	}
}

// Another instance starts an occurrence after this one has seen that nothing is under way: this one sees it then.
func TestTwoDecideAtOnce(t *testing.T) {
	for policy, want := range map[schedule.Overlap]string{
		schedule.OverlapSkip: "1 Queued, 2 overlap", schedule.OverlapBufferOne: "1 Queued, 2 waits", schedule.OverlapBufferAll: "1 Queued, 2 waits",
		schedule.OverlapCancelRunning: "1 Queued asked to end, 2 waits", schedule.OverlapAllow: "1 Queued, 2 Queued",
	} {
		rows := &between{Driver: store.NewMem(), prefix: "run|"}
		s := newStageOver(t, rows, func(d *schedule.Definition) { d.Overlap = policy })
		s.play("lost, lost")
		rows.happen = func() { s.handle(s.submit.Handle, queue.Messages([]string{s.find("1").Value.ID})[0]) }
		s.handle(s.submit.Handle, queue.Messages([]string{s.find("2").Value.ID})[0])
		s.deliver()
		if got := s.says(); got != want {
			t.Errorf("%s: %s, want %s", policy, got, want)
		}
	}
}

// A newer one comes while the submission of an older one is under way: that one is asked to end as soon as it has a run.
func TestCancelsWhatIsBeingSubmitted(t *testing.T) {
	s := newStage(t, func(d *schedule.Definition) { d.Overlap = schedule.OverlapCancelRunning })
	s.fake.After = func(got pipeline.Submission, _ string) error {
		s.fake.After = nil
		s.now = s.now.Add(time.Hour)
		s.tick()
		for _, body := range s.submits.Take(s.now) {
			s.handle(s.submit.Handle, body)
		}
		return nil
	}
	s.play("due")
	if got, want := s.says(), "1 Queued asked to end, 2 waits"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A whole message of one schedule that begins to wait: each is written and looked at again, whatever their number.
func TestMessageOfWhatBeginsToWait(t *testing.T) {
	s := newStage(t, func(d *schedule.Definition) { d.Overlap = schedule.OverlapBufferAll })
	s.play("due")
	var ids []string
	for range queue.MaxOccurrences {
		s.play("lost")
	}
	for _, o := range s.all() {
		if o.Status == schedule.Waiting {
			ids = append(ids, o.ID)
		}
	}
	body := []byte(`{"occurrences":["` + strings.Join(ids, `","`) + `"]}`)
	s.handle(s.submit.Handle, body)
	waiting := 0
	for _, o := range s.all() {
		if o.Buffered {
			waiting++
		}
	}
	if len(ids) != queue.MaxOccurrences || waiting != len(ids) {
		t.Errorf("%d of %d wait for their turn", waiting, len(ids))
	}
}

// Many that fail at once are all counted, and none of their ends is left for the clock.
func TestManyFailAtOnce(t *testing.T) {
	const many = 40
	fail := func(ends func(*stage, []string)) {
		s := newStage(t, func(d *schedule.Definition) { d.PauseAfter = many })
		r, err := s.db.Schedule(t.Context(), "s")
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for i := range many {
			o := schedule.Asked(r.Schedule.Value, "", fmt.Sprint(i), "ann", nil, s.now)
			if err := s.db.Add(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, o.ID)
		}
		ends(s, ids)
		for _, o := range s.all() {
			if o.Status != schedule.Failed {
				t.Errorf("%s is %s", o.ID, o.Status)
			}
		}
		if r, err = s.db.Schedule(t.Context(), "s"); err != nil || r.State.Value.Failures != many || r.Schedule.Value.Status != schedule.Disabled {
			t.Errorf("%d failures are counted, and the schedule is %s, %v", r.State.Value.Failures, r.Schedule.Value.Status, err)
		}
	}
	message := func(ids []string) []byte { return []byte(`{"occurrences":["` + strings.Join(ids, `","`) + `"]}`) }
	fail(func(s *stage, ids []string) {
		s.far = "refuses"
		s.handle(s.submit.Handle, message(ids))
	})
	fail(func(s *stage, ids []string) {
		s.handle(s.submit.Handle, message(ids))
		for _, run := range s.fake.Runs() {
			s.fake.Finish(run.ID, schedule.Failed, "")
		}
		s.handle(s.follow.Handle, message(ids))
	})
}

// The last look at a run meets a claim of its schedule: it is written then, and not with the next message.
func TestTheLastLookMeetsAClaim(t *testing.T) {
	rows := &between{Driver: store.NewMem(), prefix: "log|"}
	s := newStageOver(t, rows, func(d *schedule.Definition) { d.PauseAfter = 3 })
	s.play("due")
	rows.happen = func() {
		r, _ := s.db.Schedule(t.Context(), "s")
		o := schedule.Asked(r.Schedule.Value, "", "1", "ann", nil, s.now)
		if err := s.db.Add(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		s.handle(s.submit.Handle, queue.Messages([]string{o.ID})[0])
	}
	s.play("fail 1")
	if got, want := s.says(), "1 Failed, m1 Queued"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if r, err := s.db.Schedule(t.Context(), "s"); err != nil || r.State.Value.Failures != 1 {
		t.Errorf("%d failures, %v", r.State.Value.Failures, err)
	}
}

// broken is a queue that fails so many times.
type broken struct {
	queue.Queue
	times int
}

func (b *broken) Send(ctx context.Context, body []byte, delay time.Duration) error {
	if b.times--; b.times >= 0 {
		return errors.New("the queue is down")
	}
	return b.Queue.Send(ctx, body, delay)
}

// A run has ended, and what waits for it cannot be sent: the message of the look is given back, and does it when it is there
// again.
func TestWhatWaitsCannotBeSent(t *testing.T) {
	s := newStage(t, func(d *schedule.Definition) { d.Overlap = schedule.OverlapBufferOne })
	s.play("due, due")
	s.follow.Submit = &broken{Queue: s.submits, times: 1}
	o := s.find("1").Value
	s.fake.Finish(o.Run, schedule.Completed, "")
	look := queue.Messages([]string{o.ID})[0]
	if err := s.follow.Handle(t.Context(), look); err == nil {
		t.Error("the message is acknowledged")
	}
	s.handle(s.follow.Handle, look)
	s.deliver()
	if got, want := s.says(), "1 Completed, 2 Queued"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A hundred wait, and more are left out. They start in their order, and what waits in vain is skipped within a minute.
func TestManyWait(t *testing.T) {
	hours := strings.Repeat("due,", schedule.MaxBuffered+3) + "minute"
	s := newStage(t, func(d *schedule.Definition) { d.Overlap = schedule.OverlapBufferAll })
	s.play(hours)
	waiting, skipped := 0, 0
	for _, o := range s.all() {
		switch {
		case o.Buffered:
			waiting++
		case o.Reason == schedule.ReasonOverlap:
			skipped++
		}
	}
	if waiting != schedule.MaxBuffered || skipped != 2 {
		t.Errorf("%d wait and %d are skipped", waiting, skipped)
	}
	for k := range 20 {
		s.play(fmt.Sprint("end ", k+1))
		if got := s.find(fmt.Sprint(k + 2)).Value.Status; got != schedule.Queued {
			t.Errorf("at the end of %d the next is %s", k+1, got)
		}
	}
	s.play("disable, minute, minute")
	counts := map[string]int{}
	for _, o := range s.all() {
		counts[strings.TrimSpace(string(o.Status)+" "+string(o.Reason))]++
	}
	if counts["Skipped disabled"] != 80 || counts["Queued"] != 1 || counts["Waiting"] != 0 {
		t.Errorf("disabled: %v", counts)
	}
}

// What comes of a try at a submission, until there is a run or none will ever be.
func TestRetries(t *testing.T) {
	s := newStage(t, func(*schedule.Definition) {})
	s.far = "down"
	s.play("due")
	tried := func() int { return s.find("1").Value.Attempts }
	start := s.now
	for s.find("1").Value.Status == schedule.Waiting && s.now.Sub(start) < 10*time.Hour {
		s.now = s.now.Add(5 * time.Second)
		s.deliver()
	}
	o := s.find("1").Value
	if o.Status != schedule.Failed || o.Error != "given up after 20 tries, the last one: the far side is down" || tried() != 20 {
		t.Errorf("%s after %d tries: %s", o.Status, tried(), o.Error)
	}
	if took := s.now.Sub(start).Round(time.Minute); took != 186*time.Minute {
		t.Errorf("it took %v", took)
	}
	if n := len(s.fake.Runs()); n != 0 {
		t.Errorf("%d runs", n)
	}
	s = newStage(t, func(*schedule.Definition) {})
	answers := []error{
		&pipeline.Error{Outcome: pipeline.NotDone, RetryAfter: 42 * time.Second, Err: errors.New("too many requests")},
		&pipeline.Error{Outcome: pipeline.Repeat, Err: errors.New("no answer")},
	}
	s.fake.Before = func(got pipeline.Submission) error {
		if again := len(answers) < 1; got.Again != again {
			t.Errorf("with %d answers left it is told that it may have been made: %v", len(answers), got.Again)
		}
		if len(answers) == 0 {
			return nil
		}
		err := answers[0]
		answers = answers[1:]
		return err
	}
	s.play("due")
	for _, row := range []struct {
		wait  time.Duration
		tries int
	}{{41 * time.Second, 1}, {time.Second, 2}, {9 * time.Second, 2}, {time.Second, 3}} {
		s.now = s.now.Add(row.wait)
		s.deliver()
		if got := tried(); got != row.tries {
			t.Errorf("after %v more: %d tries, want %d", row.wait, got, row.tries)
		}
	}
	if o := s.find("1").Value; o.Status != schedule.Queued || o.Error != "" || len(s.fake.Runs()) != 1 {
		t.Errorf("at last: %+v", o)
	}
}
