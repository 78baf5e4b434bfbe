package api

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"carillon/functions/datastore"
	"carillon/shared/pipeline"
	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/source"
	"carillon/shared/store"
)

// live asks a running API over memory and holds what it answers against the document.
type live struct {
	document *document
	db       *store.DB
	driver   *failing
	fake     *stepped
	inbox    *source.Mem
	changed  *datastore.Function
	absent   error // of the workspace
	function *Function
	handler  http.Handler
	now      time.Time
	seen     map[string]bool // "get /api/runs 200"
	headers  http.Header     // of the last answer
}

// failing is a store that answers with an error while there is one, but for some reads that still succeed.
type failing struct {
	store.Driver
	err   error
	spare atomic.Int64 // reads
}

func (f *failing) Get(ctx context.Context, part, sort string) (store.Row, error) {
	if left := f.spare.Add(-1); f.err != nil && left < 0 {
		return store.Row{}, f.err
	}
	return f.Driver.Get(ctx, part, sort)
}

func (f *failing) Scan(ctx context.Context, part, from, to string, max int) ([]store.Row, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Driver.Scan(ctx, part, from, to, max)
}

func (f *failing) Apply(ctx context.Context, part string, ops ...store.Op) error {
	return cmp.Or(f.err, f.Driver.Apply(ctx, part, ops...))
}

// stepped is a Fake whose runs have steps, and that does not list while there is an error.
type stepped struct {
	*pipeline.Fake
	err error
}

func (s *stepped) Steps(context.Context, string, string) ([]pipeline.Step, bool, error) {
	one := pipeline.Step{Name: "one", Status: schedule.Failed, Started: noon, Ended: noon, Exit: new(3), Error: "exit status 3"}
	return []pipeline.Step{one, {Name: "two", Status: schedule.Waiting}}, true, nil
}

func (s *stepped) List(ctx context.Context, after string, max int) ([]pipeline.Pipeline, string, error) {
	if s.err != nil {
		return nil, "", s.err
	}
	return s.Fake.List(ctx, after, max)
}

var noon = time.Date(2026, 1, 5, 12, 0, 30, 0, time.UTC)

func newLive(t *testing.T) *live {
	t.Helper()
	l := &live{document: readDocument(t), driver: &failing{Driver: store.NewMem()}, fake: &stepped{Fake: &pipeline.Fake{}}, inbox: &source.Mem{}, absent: errors.New("no answer"), now: noon, seen: map[string]bool{}}
	var err error
	if l.db, err = store.Open(t.Context(), l.driver); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"hello", "report"} {
		l.fake.Put(pipeline.Pipeline{
			Ref: schedule.PipelineRef{Kind: "local", ID: id}, Name: id, Description: "d", Parameters: map[string]string{"who": "world"},
		})
	}
	l.fake.Put(pipeline.Pipeline{
		Ref: schedule.PipelineRef{Kind: "local", ID: "strict"}, Name: "strict", Parameters: map[string]string{"path": ""}, Required: []string{"path"},
	})
	l.fake.Put(pipeline.Pipeline{
		Ref: schedule.PipelineRef{Kind: "local", ID: "score"}, Name: "score", Parameters: map[string]string{"input_data": ""}, Required: []string{"input_data"},
	})
	l.fake.Put(pipeline.Pipeline{Ref: schedule.PipelineRef{Kind: "local", ID: "broken"}, Name: "broken", Problem: "no steps"})
	now, log := func() time.Time { return l.now }, slog.New(slog.DiscardHandler)
	stores := l.stores()
	l.changed = &datastore.Function{DB: l.db, Datastores: stores, Submit: queue.NewMem(), Marks: queue.NewMem(), Now: now, Log: log}
	f := &Function{
		DB: l.db, Targets: map[string]pipeline.Target{"local": l.fake}, Submit: queue.NewMem(), Follow: queue.NewMem(), Now: now, Log: log, Datastores: stores,
	}
	l.function, l.handler = f, f.Handler()
	return l
}

// stores are the datastores there are, with what the workspace answers now.
func (l *live) stores() *source.Datastores {
	return source.NewDatastores(func() ([]source.Datastore, error) {
		return []source.Datastore{
			{Name: "archive", Account: "acme", Container: "inbox", Source: l.inbox},
			{Name: "inbox", Account: "acme", Container: "inbox", Events: true, Source: l.inbox},
		}, nil
	}, func(context.Context) ([]source.Datastore, error) { return nil, l.absent })
}

// ask sends a request of an operation ("get /api/runs") and wants a status: one that the document has for it, with
// the headers and the body that it says. A request that is answered well has to conform, too.
func (l *live) ask(want int, operation, path, body string, headers ...string) any {
	t := l.document.t
	t.Helper()
	method, pattern, _ := strings.Cut(operation, " ")
	r := httptest.NewRequest(strings.ToUpper(method), path, strings.NewReader(body))
	r.Header.Set(ActorHeader, "tester")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	l.handler.ServeHTTP(w, r)
	l.headers = w.Header()
	if w.Code != want {
		t.Fatalf("%s: %d, want %d: %s", operation, w.Code, want, w.Body)
	}
	at := l.document.at("paths", pattern, method)
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); want < 400 && body != "" {
		if err := at.in("requestBody", "content", media, "schema").check(decoded(t, []byte(body))); err != nil {
			t.Errorf("%s takes %s, which does not conform: %v", operation, body, err)
		}
	}
	answer := at.in("responses", strconv.Itoa(want))
	if answer.value == nil {
		t.Fatalf("%s: the document has no %d", operation, want)
	}
	l.seen[operation+" "+strconv.Itoa(want)] = true
	for _, name := range answer.in("headers").names() {
		header, given := answer.in("headers", name), w.Header().Get(name)
		if header.object()["required"] == true || given != "" {
			if err := header.in("schema").check(given); err != nil || given == "" {
				t.Errorf("%s: %d: the header %s: %q does not conform: %v", operation, want, name, given, err)
			}
		}
	}
	media, _, _ := mime.ParseMediaType(w.Header().Get("Content-Type"))
	schema := answer.in("content", media, "schema")
	if schema.value == nil {
		t.Fatalf("%s: %d: the document has no %s", operation, want, media)
	}
	var value any = w.Body.String()
	if strings.HasSuffix(media, "json") {
		value = decoded(t, w.Body.Bytes())
	}
	if err := schema.check(value); err != nil {
		t.Errorf("%s: %d: %s does not conform: %v", operation, want, w.Body, err)
	}
	return value
}

// items asks for a page and returns how many there are on it, and the token of the next one.
func (l *live) items(operation, path string) (n int, next string) {
	l.document.t.Helper()
	answer := l.ask(200, operation, path, "").(map[string]any)
	next, _ = answer["next"].(string)
	return len(answer["items"].([]any)), next
}

// step changes a run as the functions behind the queue do.
func (l *live) step(id string, to func(o schedule.Occurrence) schedule.Occurrence) {
	t := l.document.t
	t.Helper()
	from, err := l.db.Occurrence(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	record, err := l.db.Schedule(t.Context(), from.Value.Schedule)
	if err != nil {
		t.Fatal(err)
	}
	change := store.Change{From: from, To: to(from.Value), State: record.Counted(schedule.State{Last: id})}
	if err := l.db.Save(t.Context(), []store.Change{change})[0]; err != nil {
		t.Fatal(err)
	}
}

// submit starts a triggered run on the far side and returns the id that it has there.
func (l *live) submit(id string) (run string) {
	l.step(id, func(o schedule.Occurrence) schedule.Occurrence {
		record, err := l.db.Schedule(context.Background(), o.Schedule)
		if err != nil {
			l.document.t.Fatal(err)
		}
		return o.Prepared(record.Schedule.Value.Definition).Claimed("me", "cme", noon)
	})
	l.step(id, func(o schedule.Occurrence) schedule.Occurrence {
		var err error
		run, err = l.fake.Submit(context.Background(), pipeline.Submission{Name: id, Pipeline: o.Pipeline, Parameters: o.Parameters})
		if err != nil {
			l.document.t.Fatal(err)
		}
		return o.Accepted(run, noon)
	})
	return run
}
