package submit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
	"carillon/shared/store"
	"carillon/shared/store/storetest"
)

// labelled is a far side with a component whose newest version is 1, until it is another one; it may not say so.
type labelled struct {
	*pipeline.Fake
	newest int
	asked  int
	err    error
}

func (l *labelled) Also(context.Context, schedule.PipelineRef) ([]schedule.PipelineRef, error) {
	l.asked++
	if l.err != nil {
		return nil, l.err
	}
	return []schedule.PipelineRef{component(fmt.Sprint(":", l.newest))}, nil
}

func component(version string) schedule.PipelineRef {
	return schedule.PipelineRef{Kind: "pipeline_job", ID: "component:train" + version}
}

// newLabelled is a stage whose schedule starts the newest version.
func newLabelled(t *testing.T, rows store.Driver, change func(*schedule.Definition)) (*stage, *labelled) {
	s := newStageOver(t, rows, func(d *schedule.Definition) {
		d.Pipeline = component("@latest")
		change(d)
	})
	far := &labelled{Fake: s.fake, newest: 1}
	s.fake.Put(pipeline.Pipeline{Ref: component("@latest")})
	s.submit.Targets["pipeline_job"] = far
	return s, far
}

func (s *stage) stop(p schedule.PipelineRef) {
	s.t.Helper()
	if err := s.db.StopPipeline(s.t.Context(), schedule.Stop{Pipeline: p, By: "ann", At: s.now}); err != nil {
		s.t.Fatal(err)
	}
}

func unchanged(*schedule.Definition) {}

func overlap(o schedule.Overlap) func(*schedule.Definition) {
	return func(d *schedule.Definition) { d.Overlap = o }
}

// A stop holds under every reference that stands for the pipeline when it would start, and for no other.
func TestAStopUnderAnotherReference(t *testing.T) {
	for _, c := range []struct {
		stop   schedule.PipelineRef
		newest int
		want   string
		asked  int
	}{
		{component(":1"), 1, "1 pipeline_disabled, 2 pipeline_disabled", 2},
		{component(":2"), 1, "1 Queued, 2 Queued", 2},
		{component(":1"), 2, "1 Queued, 2 Queued", 2},
		{component("@latest"), 1, "1 pipeline_disabled, 2 pipeline_disabled", 0},
		{schedule.PipelineRef{Kind: "pipeline_job", ID: "component:other:1"}, 1, "1 Queued, 2 Queued", 0},
		{hello, 1, "1 Queued, 2 Queued", 0},
	} {
		s, far := newLabelled(t, store.NewMem(), unchanged)
		far.newest = c.newest
		s.stop(c.stop)
		s.play("due, due")
		if got := s.says(); got != c.want || far.asked != c.asked {
			t.Errorf("%s is disabled, and %d the newest: %s, asked %d times; want %s, %d times", c.stop, c.newest, got, far.asked, c.want, c.asked)
		}
		first := s.all()[0]
		if said := "(" + first.Pipeline.String() + " is the same pipeline now)"; first.Pipeline != component("@latest") ||
			strings.Contains(first.Error, said) != (c.stop == component(":1") && c.newest == 1) {
			t.Errorf("it is a record of %s: %q", first.Pipeline, first.Error)
		}
	}
}

// Nobody starts what may be disabled, and nobody waits for ever: the occurrence is put off as one that the far side does
// not take.
func TestAStopThatCannotBeTold(t *testing.T) {
	down := errors.New("the workspace is down")
	for _, c := range []struct {
		name, script, later, want string
		newest                    int // when it can be told
		change                    func(*schedule.Definition)
	}{
		{"it holds", "due", "minute", "1 pipeline_disabled", 1, unchanged},
		{"it does not", "due", "minute", "1 Queued", 2, unchanged},
		{"it keeps its turn", "due, due", "minute, minute", "1 Queued, 2 overlap", 2, overlap(schedule.OverlapSkip)},
		{"others wait for it", "due, due", "minute, minute, end 1", "1 Completed, 2 Queued", 2, overlap(schedule.OverlapBufferAll)},
		{"its schedule is disabled", "due, disable", "minute", "1 disabled, Disabled", 2, unchanged},
		{"never", strings.Repeat("quarter, ", 24) + "minute", "minute", "1 Failed, Disabled paused after 1 failed runs in a row", 2, func(d *schedule.Definition) {
			d.PauseAfter, d.Trigger.Interval = 1, 100
		}},
	} {
		s, far := newLabelled(t, store.NewMem(), c.change)
		s.stop(component(":1"))
		far.err = down
		s.play(c.script)
		if o := s.find("1").Value; !strings.Contains(o.Error, down.Error()) || len(s.fake.Runs()) > 0 || o.Tried != o.Status.Final() || o.Attempts == 0 {
			t.Errorf("%s: before, %s: %+v", c.name, s.says(), o)
		}
		far.err, far.newest = nil, c.newest
		s.play(c.later)
		if got := s.says(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		r, err := s.db.Schedule(t.Context(), "s")
		if err != nil || c.newest == 1 && r.State.Value.Submitted != 0 {
			t.Errorf("%s: %d count as submitted, %v", c.name, r.State.Value.Submitted, err)
		}
	}
}

// What may be disabled makes no room for itself.
func TestADoubtCancelsNothing(t *testing.T) {
	s, far := newLabelled(t, store.NewMem(), overlap(schedule.OverlapCancelRunning))
	s.play("due")
	s.stop(component(":1"))
	far.err = errors.New("the workspace is down")
	s.play("due, minute")
	if got := s.says(); got != "1 Queued, 2 waits" {
		t.Error(got)
	}
	far.err, far.newest = nil, 2
	s.play("minute, minute")
	if got := s.says(); got != "1 Queued asked to end, 2 waits" {
		t.Error(got)
	}
	s.play("stop 1")
	if got := s.says(); got != "1 Canceled, 2 Queued" {
		t.Error(got)
	}
}

// Stops cost a claim one call of the store, and none of the far side as long as there are none of the family.
func TestWhatAStopCosts(t *testing.T) {
	calls := func(stops ...schedule.PipelineRef) int64 {
		counter := &storetest.Counter{Driver: store.NewMem()}
		s, far := newLabelled(t, counter, unchanged)
		for _, p := range stops {
			s.stop(p)
		}
		s.now = s.now.Truncate(time.Hour).Add(time.Hour)
		s.tick()
		counter.Reset()
		s.deliver()
		if far.asked > 0 || s.says() != "1 Queued" {
			t.Errorf("asked %d times, %s", far.asked, s.says())
		}
		return counter.Calls()
	}
	if none, others := calls(), calls(hello, schedule.PipelineRef{Kind: "batch_endpoint", ID: "train"}); none != others {
		t.Errorf("%d calls, and with stops of others %d", none, others)
	}
}
