package datastore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/functions/datastore"
	"carillon/functions/recurrence"
	"carillon/functions/submit"
	"carillon/shared/pipeline"
	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/source"
	"carillon/shared/store"
)

// world is Carillon in memory: a clock that is moved by hand, a datastore inbox that is polled and one, hot, that sends
// its changes.
type world struct {
	t          *testing.T
	ctx        context.Context
	now        time.Time
	driver     store.Driver
	db         *store.DB
	inbox, hot *source.Mem
	submits    *queue.Mem
	marks      *queue.Mem
	fake       *pipeline.Fake
	function   *datastore.Function
	clock      *recurrence.Function
	submit     *submit.Function
}

var began = time.Date(2026, 11, 22, 10, 0, 7, 300e6, time.UTC)

func newWorld(t *testing.T, driver store.Driver) *world {
	w := &world{t: t, ctx: t.Context(), now: began, driver: driver, inbox: &source.Mem{PageSize: 3}, hot: &source.Mem{}, fake: &pipeline.Fake{}}
	now := func() time.Time { return w.now }
	w.submits, w.marks = queue.NewMem(), queue.NewMem()
	w.submits.Now, w.marks.Now = now, now
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	db, err := store.Open(t.Context(), driver)
	if err != nil {
		t.Fatal(err)
	}
	w.db = db
	w.fake.Put(pipeline.Pipeline{Ref: schedule.PipelineRef{Kind: "local", ID: "hello"}})
	stores := source.NewDatastores(func() ([]source.Datastore, error) {
		return []source.Datastore{
			{Name: "inbox", Account: "acme", Container: "inbox", Source: w.inbox},
			{Name: "hot", Account: "acme", Container: "hot", Events: true, Source: w.hot},
		}, nil
	}, nil)
	w.function = &datastore.Function{DB: db, Datastores: stores, Submit: w.submits, Marks: w.marks, Now: now, Log: log}
	w.clock = &recurrence.Function{DB: db, Submit: w.submits, Follow: queue.NewMem(), Marks: w.marks, Now: now, Log: log}
	w.submit = &submit.Function{
		DB: db, Targets: map[string]pipeline.Target{"local": w.fake}, Submit: w.submits, Follow: queue.NewMem(), Owner: "me",
		Void: func(string) bool { return true }, Now: now, Log: log,
	}
	return w
}

// create makes a schedule of a trigger's JSON.
func (w *world) create(name, trigger string, more ...string) schedule.Schedule {
	w.t.Helper()
	d, errs := schedule.Decode([]byte(fmt.Sprintf(
		`{"name":%q,"pipeline":{"kind":"local","id":"hello"},"experiment":"e","trigger":%s%s}`, name, trigger, strings.Join(append([]string{""}, more...), ","))))
	if len(errs) > 0 {
		w.t.Fatal(errs)
	}
	s := schedule.New(d, store.NewScheduleID(name), "me", w.now)
	if err := w.db.Create(w.ctx, s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// pass lets time go by, tick after tick, and delivers what is due.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	for end := w.now.Add(d); ; {
		if err := w.clock.Tick(w.ctx, w.now, w.now.Add(15*time.Second)); err != nil {
			w.t.Error(err)
		}
		w.deliver()
		if !w.now.Before(end) {
			return
		}
		w.now = w.now.Add(min(end.Sub(w.now), time.Second))
	}
}

func (w *world) deliver() {
	for range 3 {
		for _, body := range w.marks.Take(w.now) {
			if err := w.function.Handle(w.ctx, body); err != nil {
				w.t.Log("look: ", err)
			}
		}
		for _, body := range w.submits.Take(w.now) {
			if err := w.submit.Handle(w.ctx, body); err != nil {
				w.t.Error(err)
			}
		}
	}
}

// told delivers an event of a version of a file.
func (w *world) told(d string, f source.File, at time.Time) {
	w.t.Helper()
	if err := w.function.Handle(w.ctx, blobCreated(d, f, at)); err != nil {
		w.t.Error(err)
	}
	w.deliver()
}

// blobCreated is what Event Grid sends for a version of a file.
func blobCreated(d string, f source.File, at time.Time) []byte {
	body, _ := json.Marshal(map[string]any{
		"eventType": "Microsoft.Storage.BlobCreated", "eventTime": at.Format(time.RFC3339Nano), "subject": "/blobServices/default/containers/" + d + "/blobs/" + f.Path,
		"data": map[string]any{"api": "PutBlob", "eTag": f.ETag, "url": "https://acme.blob.core.windows.net/" + d + "/" + escape(f.Path), "sequencer": "1"},
	})
	return body
}

func escape(path string) string {
	var b strings.Builder
	for _, c := range []byte(path) {
		if c == '/' || c == '.' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// runs are what schedules have made: of each occurrence its schedule, status or reason, and paths.
func (w *world) runs() (out []string) {
	w.t.Helper()
	all, _, err := w.db.Occurrences(w.ctx, "", 1000, func(schedule.Occurrence) bool { return true })
	if err != nil {
		w.t.Fatal(err)
	}
	for _, o := range all {
		text := o.Schedule + " " + string(o.Status)
		if o.Reason != "" {
			text += " " + string(o.Reason)
		}
		var paths []string
		if o.Windowed() {
			changes, _, err := w.db.ChangesOf(w.ctx, o.ID, "", 1000)
			if err != nil {
				w.t.Fatal(err)
			}
			for _, c := range changes {
				paths = append(paths, c.Path)
			}
			slices.Sort(paths)
		} else if o.Change != nil {
			paths = []string{o.Change.Path}
		}
		out = append(out, text+" "+strings.Join(paths, "+"))
	}
	slices.Sort(out)
	return out
}

func (w *world) want(runs ...string) {
	w.t.Helper()
	if got := w.runs(); !slices.Equal(got, runs) {
		w.t.Errorf("runs\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(runs, "\n\t"))
	}
}

// trigger reads a trigger's JSON.
func trigger(t *testing.T, text string) schedule.Trigger {
	t.Helper()
	d, errs := schedule.Decode([]byte(`{"name":"x","pipeline":{"kind":"local","id":"hello"},"experiment":"e","trigger":` + text + `}`))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return d.Trigger
}

func (w *world) edit(name string, change func(*schedule.Definition)) {
	w.t.Helper()
	_, err := w.db.Edit(w.ctx, name, w.now, func(s schedule.Schedule) (schedule.Schedule, error) {
		d := s.Definition
		change(&d)
		return s.Revise(d, "me", "", w.now), nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// rowsOf are all rows of the store whose keys begin with a prefix.
func rowsOf(t *testing.T, driver store.Driver, prefix string) (rows []store.Row) {
	t.Helper()
	for shard := range store.Shards {
		for _, part := range []string{"shard", "watch"} {
			for from := prefix; ; {
				page, err := driver.Scan(t.Context(), fmt.Sprint(part, shard), from, prefix+"|", store.MaxScan)
				if err != nil {
					t.Fatal(err)
				}
				rows = append(rows, page...)
				if len(page) < store.MaxScan {
					break
				}
				from = store.After(page[len(page)-1].Sort)
			}
		}
	}
	return rows
}
