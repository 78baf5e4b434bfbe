package schedule

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// elsewhere is a run that a workspace has taken.
func elsewhere(submitted time.Time) Occurrence {
	claimed := Occurrence{ID: "0id-20261122T101500Z", Status: Waiting, Start: submitted, Pipeline: PipelineRef{"published", "x"}}.Claimed("p", "cp", submitted)
	return claimed.Accepted("r", submitted)
}

// A run that the far side does not know keeps its state, and is lost when that has been so for ten minutes.
func TestMissed(t *testing.T) {
	start := at("10:15:00")
	o := elsewhere(start)
	now := start.Add(time.Second)
	for looks := 1; ; looks++ {
		o = o.Missed(now)
		if o.Status.Final() {
			if took := now.Sub(start.Add(time.Second)); took < lostAfter || took > lostAfter+maxLook || looks < 10 {
				t.Errorf("it is %s after %v and %d looks", o.Status, took, looks)
			}
			break
		}
		if o.Status != Queued || !strings.Contains(o.Error, "counts as lost if that is still so at 2026-11-22T10:25:01Z") {
			t.Fatalf("after %v it is %s: %s", now.Sub(start), o.Status, o.Error)
		}
		now = o.Next
	}
	if o.Status != Lost || o.Error != "the far side no longer knows this run" || !o.Ended.Equal(now) || !o.Wake.IsZero() || !o.Next.IsZero() {
		t.Errorf("at last: %+v", o)
	}
	local := elsewhere(start)
	local.Pipeline.Kind = Local
	if got := local.Missed(start.Add(time.Second)); got.Status != Lost {
		t.Errorf("one of Carillon's own is %s", got.Status)
	}
}

// Once it was seen again, the time begins anew; a look that fails says nothing.
func TestMissedNowAndThen(t *testing.T) {
	now := at("10:15:00")
	o := elsewhere(now)
	for range 30 {
		o = o.Missed(now)
		o = o.Observed(Observation{Status: Running}, now.Add(9*time.Minute))
		if o.Status != Running || o.Error != "" {
			t.Fatalf("it is %s: %s", o.Status, o.Error)
		}
		now = now.Add(10 * time.Minute)
	}
	o = o.Missed(now).Unseen(errors.New("down"), 0, now.Add(5*time.Minute))
	if o = o.Missed(now.Add(lostAfter)); o.Status != Lost {
		t.Errorf("with a failed look between it is %s", o.Status)
	}
}

func TestUnseen(t *testing.T) {
	start, down := at("10:15:00"), errors.New("the workspace answered 403")
	for _, row := range []struct {
		age, asked, want time.Duration
	}{
		{time.Second, 0, time.Second},
		{20 * time.Second, 0, 20 * time.Second},
		{time.Hour, 0, time.Minute},
		{time.Hour, 30 * time.Second, time.Minute},
		{time.Second, 2 * time.Minute, 2 * time.Minute},
		{time.Hour, 24 * time.Hour, 15 * time.Minute},
	} {
		o := elsewhere(start).Observed(Observation{Status: Running, Started: start, Link: "there"}, start.Add(time.Second))
		o.Next, o.Wake = time.Time{}, time.Time{} // the look is the planned one
		now := start.Add(row.age)
		got := o.Unseen(down, row.asked, now)
		if got.Status != Running || !got.Started.Equal(start) || got.Link != "there" || got.Error != "it cannot be looked at: the workspace answered 403" {
			t.Errorf("%+v: %+v", row, got)
		}
		if wait := got.Next.Sub(now); wait != row.want || got.Wake.Before(got.Next.Add(Resend)) {
			t.Errorf("%+v: the next look is after %v, and the clock looks after it %v later", row, wait, got.Wake.Sub(got.Next))
		}
	}
	if got := elsewhere(start).Unseen(errors.New(strings.Repeat("x", 2*maxError)), 0, start); len(got.Error) > maxError+10 {
		t.Errorf("an error of %d bytes", len(got.Error))
	}
}

// One message of a look is on its way, whatever hints come between, and the clock's takes the place of one that is lost.
func TestOneLookIsPlanned(t *testing.T) {
	start := at("10:15:00")
	seen := Observation{Status: Running}
	old := elsewhere(start).Observed(seen, start.Add(time.Second)).Observed(seen, start.Add(time.Hour))
	next := old.Next
	if wait := next.Sub(start.Add(time.Hour)); wait != time.Minute {
		t.Fatalf("the next look is after %v", wait)
	}
	hint := next.Add(-30 * time.Second)
	if got := old.Observed(seen, hint); !got.Next.Equal(next) || !got.Wake.Equal(old.Wake) {
		t.Errorf("after a hint the next look is at %v, want %v", got.Next, next)
	}
	if got := old.Unseen(errors.New("down"), 0, hint); !got.Next.Equal(next) {
		t.Errorf("after a hint that failed the next look is at %v, want %v", got.Next, next)
	}
	if got := old.Unseen(errors.New("slow down"), 5*time.Minute, hint); !got.Next.Equal(hint.Add(5 * time.Minute)) {
		t.Errorf("asked to come later, the next look is at %v", got.Next)
	}
	for _, late := range []time.Duration{0, time.Second, time.Minute, 10 * time.Minute} {
		woken := old.Woken(old.Wake)
		now := old.Wake.Add(late)
		if got := woken.Observed(seen, now); !got.Next.Equal(now.Add(time.Minute)) {
			t.Errorf("woken, and looked at %v later, the next look is at %v", late, got.Next)
		}
	}
	if first := elsewhere(start); !first.Next.Equal(start.Add(time.Second)) || !first.Wake.Equal(start.Add(time.Second+Resend)) {
		t.Errorf("the first look is at %v, and the clock looks after it at %v", first.Next, first.Wake)
	}
}
