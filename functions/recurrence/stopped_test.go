package recurrence_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

func (w *world) stop(note string) {
	w.must(func() error {
		return w.db.StopPipeline(w.t.Context(), schedule.Stop{Pipeline: hello, By: "ann", Note: note, At: w.now})
	})
}

func (w *world) start() {
	w.must(func() error { return w.db.StartPipeline(w.t.Context(), hello, "ann", "", false, w.now) })
}

func (w *world) ask(name, distinct string) {
	o := schedule.Asked(w.created[name], "", distinct, "me", nil, w.now)
	w.must(func() error { return w.db.Add(w.t.Context(), o) })
}

// While a pipeline is stopped nothing of it is submitted for the first time, whatever fails, and each occurrence that
// did not start has its record; once it is started again everything goes on.
func TestAStoppedPipelineStartsNothing(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			for i, overlap := range []schedule.Overlap{"", schedule.OverlapSkip, schedule.OverlapBufferAll, schedule.OverlapCancelRunning} {
				w.add(fmt.Sprint("s", i), func(d *schedule.Definition) { d.Overlap, d.Trigger.Spec = overlap, every("minute", 1+i) })
			}
			stopped, stops, asked := false, 0, 0
			tried := map[string]bool{}
			w.fake.Before = func(s pipeline.Submission) error {
				w.mu.Lock()
				if stopped && !tried[s.Occurrence] {
					t.Errorf("%s is submitted while its pipeline is stopped", s.Occurrence)
				}
				tried[s.Occurrence] = true
				w.mu.Unlock()
				return w.farSide(pipeline.NotDone)
			}
			w.run(1200, 20, func() {
				switch {
				case w.below(20) == 0:
					asked++
					w.ask(fmt.Sprint("s", w.below(4)), fmt.Sprint(asked))
				case w.below(30) > 0:
				case stopped:
					stopped = false
					w.start()
				default:
					w.stop("wrong data")
					stopped = true
					stops++
				}
			})
			w.settled()
			skipped := map[schedule.Kind]int{}
			for _, o := range w.occurrences() {
				if o.Reason != schedule.ReasonPipelineDisabled {
					continue
				}
				skipped[o.Kind]++
				if o.Pipeline != hello || o.Error == "" {
					t.Errorf("%s was skipped for %s: %q", o.ID, o.Pipeline, o.Error)
				}
			}
			if stops < 5 || skipped[schedule.Scheduled] < 20 || asked < 20 || skipped[schedule.Manual] == 0 {
				t.Errorf("%d stops have skipped %v, of %d that were asked for", stops, skipped, asked)
			}
		})
	}
}

// What a stop finds, and what becomes of it.
func TestWhatAStopReaches(t *testing.T) {
	w := newWorld(t, 1)
	w.healthy = true
	w.add("s", func(d *schedule.Definition) { d.Overlap = schedule.OverlapCancelRunning })
	step := func() {
		w.now = w.now.Truncate(time.Minute).Add(time.Minute)
		w.tick(0)
		w.healthy = false // nothing ends by itself
		w.deliver()
		w.healthy = true
	}
	w.fake.After = nil
	step()
	runs := w.fake.Runs()
	if len(runs) != 1 {
		t.Fatal(runs)
	}
	w.stop("wrong\ndata")
	step()
	w.ask("s", "x")
	step()
	if runs = w.fake.Runs(); len(runs) != 1 || runs[0].CancelSent {
		t.Errorf("one that may not start has made room for itself: %+v", runs)
	}
	for _, o := range w.occurrences()[:3] {
		want := "pipeline local:hello was disabled by ann at 2026-11-22T10:01:00Z: wrong\ndata"
		if o.Status != schedule.Skipped || o.Reason != schedule.ReasonPipelineDisabled || o.Error != want {
			t.Errorf("%s, %s: %s %s %q", o.ID, o.Kind, o.Status, o.Reason, o.Error)
		}
	}
	w.start()
	w.ask("s", "y")
	step()
	if runs = w.fake.Runs(); len(runs) != 2 {
		t.Errorf("started again: %d runs", len(runs))
	}
}

// A try that may have made the run is seen to its end; one that certainly did not is not repeated.
func TestAStopBetweenTries(t *testing.T) {
	for outcome, want := range map[pipeline.Outcome]schedule.Status{pipeline.Repeat: schedule.Queued, pipeline.NotDone: schedule.Skipped} {
		w := newWorld(t, 1)
		w.healthy = true
		w.add("s", func(*schedule.Definition) {})
		fail := true
		w.fake.After = nil
		w.fake.Before = func(pipeline.Submission) error {
			if fail {
				return &pipeline.Error{Outcome: outcome, Err: errors.New("no answer")}
			}
			return nil
		}
		w.now = w.now.Truncate(time.Minute).Add(time.Minute)
		w.tick(0)
		w.deliver()
		w.stop("")
		fail = false
		w.now = w.now.Add(10 * time.Second)
		w.deliver()
		if all := w.occurrences(); len(all) != 1 || all[0].Status != want {
			t.Errorf("outcome %d: %+v", outcome, all)
		}
	}
}
