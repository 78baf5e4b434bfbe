package datastore_test

import (
	"log/slog"
	"testing"
	"time"

	"carillon/functions/follow"
	"carillon/shared/pipeline"
	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// end ends the runs that are under way, and looks at them.
func (w *world) end() {
	w.t.Helper()
	f := &follow.Function{
		DB: w.db, Targets: map[string]pipeline.Target{"local": w.fake}, Follow: queue.NewMem(), Submit: w.submits,
		Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler),
	}
	for _, run := range w.fake.Runs() {
		if run.Report.Status.Final() {
			continue
		}
		w.fake.Finish(run.ID, schedule.Completed, "")
		if err := f.Handle(w.ctx, queue.Messages([]string{run.Submission.Occurrence})[0]); err != nil {
			w.t.Error(err)
		}
	}
	w.deliver()
}

func (w *world) ask(s schedule.Schedule, distinct string) {
	w.t.Helper()
	o := schedule.Asked(s, "", distinct, "ann", nil, w.now)
	if err := w.db.Add(w.ctx, o); err != nil {
		w.t.Fatal(err)
	}
	if err := w.submits.Send(w.ctx, queue.Messages([]string{o.ID})[0], 0); err != nil {
		w.t.Fatal(err)
	}
	w.deliver()
}

const skipping = `"overlap":"skip"`

// The window of a batch stays open while a run is under way that its own would be skipped for, and takes what comes.
func TestBatchStaysOpenBesideARun(t *testing.T) {
	w := newWorld(t, store.NewMem())
	s := w.create("s", `{"type":"datastore","datastore":"hot","mode":"batch","polling_interval":1}`, skipping)
	w.now = w.now.Add(time.Second)
	w.ask(s, "1")
	w.told("hot", w.hot.Put("a", w.now), w.now)
	w.pass(5 * time.Minute)
	w.want("s Queued ")
	w.told("hot", w.hot.Put("b", w.now), w.now) // its time is over, and it is open
	w.pass(time.Minute)
	w.want("s Queued ")
	w.end()
	w.pass(75 * time.Second)
	w.want("s Completed ", "s Queued a+b")
	w.told("hot", w.hot.Put("c", w.now), w.now)
	w.pass(5 * time.Minute)
	w.want("s Completed ", "s Queued a+b")
	w.end()
	w.pass(75 * time.Second)
	w.want("s Completed ", "s Completed a+b", "s Queued c")
}

// A run begins between the closing of a window and the start of its own: that one waits, and no change is lost.
func TestBatchThatWasClosedWaits(t *testing.T) {
	w := newWorld(t, store.NewMem())
	s := w.create("s", `{"type":"datastore","datastore":"hot","mode":"batch","polling_interval":1}`, skipping)
	w.now = w.now.Add(time.Second)
	w.told("hot", w.hot.Put("a", w.now), w.now)
	w.now = w.now.Add(time.Minute)
	for _, body := range w.marks.Take(w.now) {
		if err := w.function.Handle(w.ctx, body); err != nil {
			t.Fatal(err)
		}
	}
	w.want("s Waiting a")
	closed := w.submits.Take(w.now)
	w.ask(s, "1")
	for _, body := range closed {
		if err := w.submit.Handle(w.ctx, body); err != nil {
			t.Fatal(err)
		}
	}
	w.told("hot", w.hot.Put("b", w.now), w.now)
	w.pass(3 * time.Minute)
	w.want("s Queued ", "s Waiting a") // and b, in a window that stays open, as another waits
	w.end()
	w.want("s Completed ", "s Queued a")
	w.end()
	w.pass(75 * time.Second)
	w.want("s Completed ", "s Completed a", "s Queued b")
}

// A change of one file that comes beside a run is skipped, and says so; one that is disabled while its window waits is
// withdrawn at once.
func TestOverlapOfChanges(t *testing.T) {
	w := newWorld(t, store.NewMem())
	s := w.create("each", `{"type":"datastore","datastore":"hot","path_on_datastore":"e"}`, skipping)
	b := w.create("batch", `{"type":"datastore","datastore":"hot","path_on_datastore":"b","mode":"batch","polling_interval":1}`, skipping)
	w.now = w.now.Add(time.Second)
	w.ask(s, "1")
	w.ask(b, "1")
	w.told("hot", w.hot.Put("e/a", w.now), w.now)
	w.told("hot", w.hot.Put("b/a", w.now), w.now)
	w.pass(2 * time.Minute)
	w.edit("batch", func(d *schedule.Definition) { d.Status = schedule.Disabled })
	w.pass(75 * time.Second)
	w.want("batch Queued ", "batch Skipped disabled b/a", "each Queued ", "each Skipped overlap e/a")
}
