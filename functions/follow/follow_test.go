package follow_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"carillon/functions/follow"
	"carillon/functions/recurrence"
	"carillon/shared/pipeline"
	"carillon/shared/queue"
	"carillon/shared/recur"
	"carillon/shared/schedule"
	"carillon/shared/store"
	"carillon/shared/store/storetest"
)

// ward is a far side with runs, and what is known of them here. Its time is that of a synctest bubble.
type ward struct {
	t       *testing.T
	ref     schedule.PipelineRef
	fake    *pipeline.Fake
	slow    map[string]time.Duration // how long the far side takes to answer for a run
	rows    *storetest.Counter
	down    bool // the store
	db      *store.DB
	of      schedule.Schedule
	follow  *follow.Function
	follows *queue.Mem
	asked   []time.Time // when the far side was asked for a run
}

// patient is a far side that answers in its time.
type patient struct {
	*pipeline.Fake
	slow map[string]time.Duration
}

func (p patient) Status(ctx context.Context, kind, runID string) (pipeline.Report, error) {
	select {
	case <-time.After(p.slow[runID]):
		return p.Fake.Status(ctx, kind, runID)
	case <-ctx.Done():
		return pipeline.Report{}, fmt.Errorf("no answer: %w", ctx.Err())
	}
}

func newWard(t *testing.T) *ward {
	t.Helper()
	w := &ward{t: t, ref: schedule.PipelineRef{Kind: "published", ID: "p"}, fake: &pipeline.Fake{}, slow: map[string]time.Duration{}, follows: queue.NewMem()}
	w.fake.Put(pipeline.Pipeline{Ref: w.ref})
	w.whenAsked(func(string) error {
		w.asked = append(w.asked, time.Now())
		return nil
	})
	faulty := &storetest.Faulty{Driver: store.NewMem(), Fail: func(c storetest.Call) storetest.Fault {
		if w.down && c.Method == "Apply" {
			return storetest.Refused
		}
		return storetest.Works
	}}
	w.rows = &storetest.Counter{Driver: faulty}
	db, err := store.Open(t.Context(), w.rows)
	if err != nil {
		t.Fatal(err)
	}
	w.db = db
	w.of = schedule.New(schedule.Definition{
		Name: "s", Pipeline: w.ref, Experiment: "e", Status: schedule.Active,
		Trigger: schedule.Trigger{Spec: recur.Spec{Kind: recur.KindRecurrence, Frequency: "month", Interval: 1}},
	}, store.NewScheduleID("s"), "me", time.Now())
	if err := db.Create(t.Context(), w.of); err != nil {
		t.Fatal(err)
	}
	w.follow = &follow.Function{
		DB: db, Targets: map[string]pipeline.Target{w.ref.Kind: patient{w.fake, w.slow}}, Follow: w.follows, Submit: queue.NewMem(), Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}
	return w
}

// whenAsked sees each question for a run, one at a time, and answers with its error.
func (w *ward) whenAsked(hear func(runID string) error) {
	var mu sync.Mutex
	w.fake.BeforeStatus = func(runID string) error {
		mu.Lock()
		defer mu.Unlock()
		return hear(runID)
	}
}

// begin makes runs, as the submit function does, and returns their occurrences.
func (w *ward) begin(n int) (ids []string) {
	w.t.Helper()
	for i := range n {
		o := schedule.Asked(w.of, "", fmt.Sprint(i), "ann", nil, time.Now())
		if err := w.db.Add(w.t.Context(), o); err != nil {
			w.t.Fatal(err)
		}
		run, err := w.fake.Submit(w.t.Context(), pipeline.Submission{Name: o.ID, Pipeline: w.ref, Occurrence: o.ID})
		if err != nil {
			w.t.Fatal(err)
		}
		w.step(o.ID, func(o schedule.Occurrence) schedule.Occurrence {
			return o.Prepared(w.of.Definition).Claimed("me", "cme", time.Now()).Accepted(run, time.Now())
		})
		ids = append(ids, o.ID)
	}
	for _, body := range queue.Messages(ids) {
		if err := w.follows.Send(w.t.Context(), body, time.Second); err != nil {
			w.t.Fatal(err)
		}
	}
	return ids
}

func (w *ward) step(id string, to func(schedule.Occurrence) schedule.Occurrence) {
	w.t.Helper()
	o, err := w.db.Occurrence(w.t.Context(), id)
	if err == nil {
		err = w.db.Save(w.t.Context(), []store.Change{{From: o, To: to(o.Value)}})[0]
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *ward) find(id string) schedule.Occurrence {
	w.t.Helper()
	o, err := w.db.Occurrence(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return o.Value
}

// pass lets time go by, in which messages arrive.
func (w *ward) pass(d time.Duration) {
	w.t.Helper()
	for end := time.Now().Add(d); ; {
		next := end
		if waiting := w.follows.Pending(); len(waiting) > 0 && waiting[0].At.Before(end) {
			next = waiting[0].At
		}
		time.Sleep(time.Until(next))
		if next.Equal(end) {
			return
		}
		for _, body := range w.follows.Take(next) {
			w.handle(body)
		}
	}
}

func (w *ward) handle(body []byte) {
	w.t.Helper()
	if err := w.follow.Handle(w.t.Context(), body); err != nil {
		w.t.Errorf("a message is given back: %v", err)
	}
}

// inWard runs a test in a bubble.
func inWard(t *testing.T, test func(t *testing.T, w *ward)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newWard(t)) })
}

// A run is looked at after as long as it has been under way, up to a minute, until it has ended and never again.
func TestARunIsFollowedToItsEnd(t *testing.T) {
	for _, end := range []struct {
		status schedule.Status
		text   string
	}{{schedule.Completed, ""}, {schedule.Failed, "exit status 3"}, {schedule.Canceled, ""}} {
		inWard(t, func(t *testing.T, w *ward) {
			id, began := w.begin(1)[0], time.Now()
			w.pass(90 * time.Second)
			if o := w.find(id); o.Status != schedule.Queued || !o.Started.IsZero() {
				t.Errorf("it has not started, and is %s since %v", o.Status, o.Started)
			}
			w.fake.Start(w.find(id).Run)
			started := time.Now()
			w.pass(3 * time.Minute)
			if o := w.find(id); o.Status != schedule.Running || !o.Started.Equal(started) || !o.Ended.IsZero() {
				t.Errorf("it runs, and is %s since %v", o.Status, o.Started)
			}
			var looks []int
			for _, at := range w.asked {
				looks = append(looks, int(at.Sub(began).Seconds()))
			}
			if want := []int{1, 2, 4, 8, 16, 32, 64, 124, 184, 244}; !slices.Equal(looks, want) {
				t.Errorf("it was looked at after %v seconds, want %v", looks, want)
			}
			w.fake.Finish(w.find(id).Run, end.status, end.text)
			ended := time.Now()
			w.pass(time.Hour)
			if o := w.find(id); o.Status != end.status || !o.Ended.Equal(ended) || o.Error != end.text || !o.Wake.IsZero() {
				t.Errorf("it has ended, and is %+v", o)
			}
			if len(w.asked) != len(looks)+1 {
				t.Errorf("it was looked at %d times after its end", len(w.asked)-len(looks)-1)
			}
		})
	}
}

// A run that nobody knows yet goes on, and one that nobody knows any more is lost; those that Carillon runs itself at once.
func TestARunThatVanishes(t *testing.T) {
	inWard(t, func(t *testing.T, w *ward) {
		ids := w.begin(2)
		unknown := true
		w.whenAsked(func(string) error {
			if unknown {
				return fmt.Errorf("no such run: %w", pipeline.ErrNotFound)
			}
			return nil
		})
		w.pass(5 * time.Minute)
		if o := w.find(ids[0]); o.Status != schedule.Queued || !strings.Contains(o.Error, "does not know this run; it counts as lost if that is still so at ") {
			t.Errorf("five minutes after its submission it is %s: %s", o.Status, o.Error)
		}
		unknown = false
		w.pass(2 * time.Minute)
		if o := w.find(ids[0]); o.Status != schedule.Queued || o.Error != "" {
			t.Errorf("now that it is known it is %s: %s", o.Status, o.Error)
		}
		w.fake.Start("run-1")
		w.pass(2 * time.Minute)
		w.fake.Lose("run-1")
		w.pass(10 * time.Minute)
		if o := w.find(ids[0]); o.Status != schedule.Running {
			t.Errorf("gone for ten minutes at most, it is %s", o.Status)
		}
		w.pass(2 * time.Minute)
		if o := w.find(ids[0]); o.Status != schedule.Lost || o.Error != "the far side no longer knows this run" {
			t.Errorf("gone for longer, it is %s: %s", o.Status, o.Error)
		}
		if o := w.find(ids[1]); o.Status != schedule.Queued {
			t.Errorf("the other one is %s", o.Status)
		}
	})
	inWard(t, func(t *testing.T, w *ward) {
		w.ref.Kind, w.of.Pipeline.Kind = schedule.Local, schedule.Local
		w.fake.Put(pipeline.Pipeline{Ref: w.ref})
		w.follow.Targets = map[string]pipeline.Target{schedule.Local: w.fake}
		id := w.begin(1)[0]
		w.fake.Lose("run-1")
		w.pass(2 * time.Second)
		if o := w.find(id); o.Status != schedule.Lost {
			t.Errorf("one of Carillon's own is %s", o.Status)
		}
	})
}

// A look that fails is no reason to look at the others again. People see why, and it is looked at as often as ever.
func TestLooksThatFail(t *testing.T) {
	inWard(t, func(t *testing.T, w *ward) {
		ids := w.begin(3)
		w.fake.Start("run-1")
		looks := map[string]int{}
		forbidden := true
		w.whenAsked(func(run string) error {
			if looks[run]++; forbidden && run == "run-1" {
				return errors.New("403 Forbidden: no role")
			}
			return nil
		})
		w.pass(time.Hour)
		if o := w.find(ids[0]); o.Status != schedule.Queued || o.Error != "it cannot be looked at: 403 Forbidden: no role" {
			t.Errorf("it is %s: %s", o.Status, o.Error)
		}
		if looks["run-1"] != looks["run-2"] || looks["run-1"] < 60 || looks["run-1"] > 70 {
			t.Errorf("in an hour they are looked at so often: %v", looks)
		}
		forbidden = false
		w.pass(time.Minute)
		if o := w.find(ids[0]); o.Status != schedule.Running || o.Error != "" {
			t.Errorf("now that it answers it is %s: %s", o.Status, o.Error)
		}
		delete(w.follow.Targets, w.ref.Kind)
		w.pass(time.Minute)
		if o := w.find(ids[0]); o.Status != schedule.Running || o.Error != `it cannot be looked at: no target for pipelines of kind "published" is configured` {
			t.Errorf("without a target it is %s: %s", o.Status, o.Error)
		}
	})
}

// A far side that says when to come again is left alone until then.
func TestRetryAfter(t *testing.T) {
	inWard(t, func(t *testing.T, w *ward) {
		id := w.begin(1)[0]
		for _, row := range []struct{ asked, until time.Duration }{
			{2 * time.Minute, 2 * time.Minute}, {time.Hour, 15 * time.Minute}, {time.Second, time.Minute},
		} {
			w.whenAsked(func(string) error {
				return &pipeline.Error{RetryAfter: row.asked, Err: errors.New("429 Too Many Requests")}
			})
			w.pass(time.Until(w.find(id).Next) + time.Millisecond)
			if o := w.find(id); !strings.Contains(o.Error, "429") || o.Status != schedule.Queued {
				t.Fatalf("it is %s: %s", o.Status, o.Error)
			}
			looks := 0
			w.whenAsked(func(string) error { looks++; return nil })
			if w.pass(row.until - time.Second); looks != 0 {
				t.Errorf("asked to come after %v, it was looked at sooner", row.asked)
			}
			if w.pass(2 * time.Second); looks != 1 || w.find(id).Error != "" {
				t.Errorf("asked to come after %v, it was looked at %d times then: %s", row.asked, looks, w.find(id).Error)
			}
		}
	})
}

// Every message comes twice, and one is lost: a run is looked at as often as ever.
func TestMessagesThatAreDoubledOrLost(t *testing.T) {
	inWard(t, func(t *testing.T, w *ward) {
		id, began := w.begin(1)[0], time.Now()
		for range 200 {
			body := w.follows.Pending()[0].Body
			w.pass(time.Until(w.follows.Pending()[0].At) + time.Millisecond)
			w.handle(body)
			if n := len(w.follows.Pending()); n != 1 && time.Since(began) > 3*time.Second { // before, looks are as near as clocks agree
				t.Fatalf("%d looks are planned", n)
			}
		}
		w.follows.Take(time.Now().Add(time.Hour))
		clock := &recurrence.Function{DB: w.db, Submit: queue.NewMem(), Follow: w.follows, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
		w.pass(time.Until(w.find(id).Wake))
		if err := clock.Tick(t.Context(), time.Now(), time.Now().Add(15*time.Second)); err != nil {
			t.Fatal(err)
		}
		before := len(w.asked)
		w.pass(10*time.Minute + time.Second)
		if looks := len(w.asked) - before; looks != 11 {
			t.Errorf("in the ten minutes after the clock has found it it was looked at %d times", looks)
		}
	})
}

// An event has the run looked at now. The planned look is not put off, nor is there another.
func TestAnEventIsAShortcut(t *testing.T) {
	inWard(t, func(t *testing.T, w *ward) {
		id := w.begin(1)[0]
		w.pass(10 * time.Minute)
		tell := func() {
			told := w.follow.Told(func(context.Context, []byte) error { return errors.New("nobody's") })
			if err := told(t.Context(), []byte(changed(`"runTags":{"carillon_occurrence":"`+id+`"}`))); err != nil {
				t.Error(err)
			}
			w.pass(time.Millisecond)
		}
		planned := w.find(id).Next
		w.fake.Start("run-1")
		tell()
		if o := w.find(id); o.Status != schedule.Running || !o.Next.Equal(planned) || len(w.follows.Pending()) != 1 {
			t.Errorf("it is %s, and the next look of %d is at %v, not %v", o.Status, len(w.follows.Pending()), o.Next, planned)
		}
		w.fake.Finish("run-1", schedule.Completed, "")
		tell()
		if o := w.find(id); o.Status != schedule.Completed {
			t.Errorf("it is %s", o.Status)
		}
	})
}

// Fifty runs, and the far side answers for one of them at once: that is recorded at once, and the others are given up in time for
// every host, with the reason.
func TestSlowNeighbours(t *testing.T) {
	inWard(t, func(t *testing.T, w *ward) {
		ids := w.begin(queue.MaxOccurrences)
		w.follows.Take(time.Now().Add(time.Hour))
		for i := range ids {
			w.slow[fmt.Sprint("run-", i+1)] = time.Hour
		}
		w.slow["run-7"] = 0
		w.fake.Finish("run-7", schedule.Completed, "")
		began := time.Now()
		go func() {
			time.Sleep(2 * time.Second)
			if o := w.find(ids[6]); o.Status != schedule.Completed {
				t.Errorf("after two seconds it is %s", o.Status)
			}
		}()
		w.handle([]byte(`{"occurrences":["` + strings.Join(ids, `","`) + `"]}`))
		if took := time.Since(began); took > 3*time.Minute {
			t.Errorf("it took %v", took)
		}
		for _, id := range slices.Delete(ids, 6, 7) {
			if o := w.find(id); o.Status != schedule.Queued || !strings.Contains(o.Error, "no answer") {
				t.Errorf("one that is not answered for is %s: %s", o.Status, o.Error)
			}
		}
		if n := len(w.follows.Pending()); n != len(ids)-1 {
			t.Errorf("%d looks are planned", n)
		}
	})
}

// The call is over before all runs were looked at: what was seen is kept, and the message comes back for the others.
func TestTheCallIsOver(t *testing.T) {
	inWard(t, func(t *testing.T, w *ward) {
		ids := w.begin(3)
		w.follows.Take(time.Now().Add(time.Hour))
		w.fake.Finish("run-1", schedule.Completed, "")
		w.fake.Start("run-2")
		w.slow["run-2"], w.slow["run-3"] = 9900*time.Millisecond, time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		if err := w.follow.Handle(ctx, queue.Messages(ids)[0]); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the message is not given back: %v", err)
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("it took %v", took)
		}
		for i, want := range []schedule.Status{schedule.Completed, schedule.Running, schedule.Queued} {
			if o := w.find(ids[i]); o.Status != want || o.Error != "" {
				t.Errorf("run %d is %s, want %s: %s", i+1, o.Status, want, o.Error)
			}
		}
	})
}

// Invariant 3, however the answers come: one at a time, or all at once.
func TestCallsOfALook(t *testing.T) {
	for _, apart := range []time.Duration{0, 300 * time.Millisecond, 1900 * time.Millisecond} {
		inWard(t, func(t *testing.T, w *ward) {
			ids := w.begin(queue.PerMessage)
			for i := range ids {
				w.slow[fmt.Sprint("run-", i+1)] = time.Duration(i) * apart
			}
			w.rows.Reset()
			w.pass(1500 * time.Millisecond)
			if calls := w.rows.Calls(); calls > 2*int64(len(ids)) || len(w.asked) != len(ids) {
				t.Errorf("answers %v apart: %d looks, %s", apart, len(w.asked), w.rows)
			}
		})
	}
}

// The store does not take what was seen: the message comes back.
func TestTheStoreFails(t *testing.T) {
	inWard(t, func(t *testing.T, w *ward) {
		id := w.begin(1)[0]
		body := w.follows.Take(time.Now().Add(time.Hour))[0]
		w.fake.Finish("run-1", schedule.Completed, "")
		w.down = true
		if err := w.follow.Handle(t.Context(), body); !errors.Is(err, storetest.ErrFault) {
			t.Errorf("it is not given back: %v", err)
		}
		w.down = false
		w.handle(body)
		if o := w.find(id); o.Status != schedule.Completed {
			t.Errorf("it is %s", o.Status)
		}
	})
}

// What names no run is acknowledged.
func TestNothingToFollow(t *testing.T) {
	inWard(t, func(t *testing.T, w *ward) {
		o := schedule.Asked(w.of, "", "x", "ann", nil, time.Now())
		if err := w.db.Add(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		for _, body := range []string{"", "{}", "[1]", `{"occurrences":["` + o.ID + `"]}`, `{"occurrences":["` + one + `"]}`} {
			w.handle([]byte(body))
		}
		if len(w.asked) != 0 || len(w.follows.Pending()) != 0 {
			t.Errorf("%d looks, and %d are planned", len(w.asked), len(w.follows.Pending()))
		}
	})
}
