package main

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"carillon/functions/api"
	"carillon/functions/datastore"
	"carillon/functions/facade"
	"carillon/functions/follow"
	"carillon/functions/recurrence"
	"carillon/functions/studio"
	"carillon/functions/submit"
	"carillon/shared/host"
	"carillon/shared/local"
	"carillon/shared/pipeline"
	pipelines "carillon/shared/pipeline/local"
	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/source"
	"carillon/shared/source/dir"
	"carillon/shared/store"
)

// serve is Carillon on a plain machine: state, runs and pipelines in one folder, until ctx ends.
func serve(ctx context.Context, c config, example bool, ready func(url string)) error {
	log := c.logger()
	listener, err := listen(c)
	if err != nil {
		return err
	}
	defer listener.Close()
	state, err := local.Open(filepath.Join(c.Data, "state", "carillon.db"))
	if err != nil {
		return err
	}
	defer state.Close()
	db, err := store.Open(ctx, state.Store())
	if err != nil {
		return err
	}
	submits, follows, marks := state.Queue("submit"), state.Queue("follow"), state.Queue("datastore")
	folders := filepath.Join(c.Data, "datastores")
	if err := os.MkdirAll(folders, 0o755); err != nil {
		return err
	}
	target, err := pipelines.Open(pipelines.Config{
		Pipelines: filepath.Join(c.Data, "pipelines"), Runs: filepath.Join(c.Data, "runs"), Datastores: folders,
		AtOnce: c.atOnce, OutputLimit: c.output, Log: log,
		Started: func(run string) { hint(follows, run, log) },
		Ended:   func(run string) { hint(follows, run, log) },
	})
	if err != nil {
		return err
	}
	defer closeRuns(target, log)
	ml, err := c.workspace()
	if err != nil {
		return err
	}
	targets := ml.targets()
	targets["local"] = target
	datastores, err := c.datastores(folders, ml, os.LookupEnv)
	if err != nil {
		return err
	}
	if example {
		if err := addExample(ctx, c, db, time.Now().UTC()); err != nil {
			return err
		}
	}
	ctx, stop := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer func() { stop(); beside.Wait() }()
	beside.Go(func() { prune(ctx, target, c.retention, log) })
	beside.Go(func() { watch(ctx, folders, marks, log) })
	beside.Go(func() { lookNow(ctx, db, marks, log) })
	p := onMachine(parts{
		db: db, targets: targets, datastores: datastores, old: ml.old(), submits: submits, follows: follows, marks: marks,
		facade: c.facade, retention: c.retention, log: log,
	})
	served := &local.Host{
		Functions: p.functions(), Submit: submits, Follow: follows, Datastore: marks,
		Backup: state.Backup, Keys: c.keys(), Log: log,
	}
	ready("http://" + listener.Addr().String())
	return served.Serve(ctx, listener)
}

// parts are what a platform has opened, for the verbs to be built over.
type parts struct {
	db               *store.DB
	targets          map[string]pipeline.Target // by the kind of pipeline
	datastores       *source.Datastores
	old              oldSchedules // that can be imported; nil for none
	submits, follows queue.Queue
	marks            queue.Queue       // to the datastore function
	facade           map[string]string // the schedules of v1's pipelines
	retention        time.Duration
	log              *slog.Logger
	owner            string                  // this process, in its claims
	void             func(owner string) bool // whether a claim's owner is known to be gone
}

// functions builds the verbs.
func (p parts) functions() host.Functions {
	timer := &recurrence.Function{DB: p.db, Submit: p.submits, Follow: p.follows, Marks: p.marks, Retention: p.retention, Now: time.Now, Log: p.log}
	submitter := &submit.Function{
		DB: p.db, Targets: p.targets, Submit: p.submits, Follow: p.follows, Owner: p.owner, Void: p.void, Old: p.old, Now: time.Now, Log: p.log,
	}
	follower := &follow.Function{DB: p.db, Targets: p.targets, Follow: p.follows, Submit: p.submits, Now: time.Now, Log: p.log}
	changes := &datastore.Function{DB: p.db, Datastores: p.datastores, Submit: p.submits, Marks: p.marks, Now: time.Now, Log: p.log}
	web := &api.Function{DB: p.db, Targets: p.targets, Datastores: p.datastores, Old: p.old, Submit: p.submits, Follow: p.follows, Now: time.Now, Log: p.log}
	old := &facade.Function{Schedules: p.facade, DB: p.db, Targets: p.targets, Submit: p.submits, Follow: p.follows, Now: time.Now, Log: p.log}
	page := &studio.Function{DB: p.db, Targets: p.targets, Now: time.Now, Log: p.log}
	return host.Functions{
		Recurrence: timer.Tick, Datastore: follower.Told(changes.Handle), Submit: submitter.Handle, Follow: follower.Handle,
		API: old.Handler(host.FacadePath, web.Handler()), Studio: page.Handler(),
		Webhook: follower.Webhook(datastore.Webhook(p.logged(changes.Handle))),
	}
}

// logged is a function that also says why it failed, for a caller who is only told that it has.
func (p parts) logged(function func(context.Context, []byte) error) func(context.Context, []byte) error {
	return func(ctx context.Context, body []byte) error {
		err := function(ctx, body)
		if err != nil {
			p.log.WarnContext(ctx, "events that were posted are given back", "error", err)
		}
		return err
	}
}

// onMachine are the parts of a plain machine. One process at a time has the state file, so a claim of another owner is
// that of a dead one; what that asked a workspace for may go on there (see Occurrence.Claimable).
func onMachine(p parts) parts {
	p.owner = rand.Text()
	p.void = func(owner string) bool { return owner != p.owner }
	return p
}

// listen opens the listener before anything else is touched. Without keys it has to be a loopback address.
func listen(c config) (net.Listener, error) {
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w (another address: --listen HOST:PORT)", c.Listen, err)
	}
	if tcp := listener.Addr().(*net.TCPAddr); !tcp.IP.IsLoopback() && c.keys().None() {
		listener.Close()
		return nil, fmt.Errorf("%s can be reached from other machines: set CARILLON_KEY_AUTHOR (and _LIST, _OPERATE), or listen on 127.0.0.1", c.Listen)
	}
	return listener, nil
}

// watch sends every change in the folders of datastores to the datastore function, until ctx ends. What it misses, the
// look once a minute finds.
func watch(ctx context.Context, folders string, to queue.Queue, log *slog.Logger) {
	events := dir.Events{
		Changed: func(datastore, path string, moved time.Time) {
			body, _ := json.Marshal(struct {
				Datastore string    `json:"datastore"`
				Path      string    `json:"path"`
				Time      time.Time `json:"time,omitzero"`
			}{datastore, path, moved.UTC()})
			if err := to.Send(ctx, body, 0); err != nil && ctx.Err() == nil {
				log.Warn("a change was not sent; the next look finds it", "datastore", datastore, "path", path, "error", err)
			}
		},
		Lost: func(datastore string) {
			log.Debug("changes may have been missed; the next look finds them", "datastore", datastore)
		},
		Log: log,
	}
	for {
		err := dir.Watch(ctx, folders, events)
		if ctx.Err() != nil {
			return
		}
		log.Warn("the folders of datastores cannot be watched; until they can, they are looked at once a minute", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(lookEvery):
		}
	}
}

// lookNow has the folders of all schedules looked at, as files may have come while nobody watched.
func lookNow(ctx context.Context, db *store.DB, to queue.Queue, log *slog.Logger) {
	watches := func(s schedule.Schedule) bool { return s.Status == schedule.Active && s.Trigger.Watch != nil }
	for token := ""; ; {
		records, next, err := db.Schedules(ctx, token, 100, watches)
		var due queue.Marks
		for _, r := range records {
			if err := db.SavePoll(ctx, r, r.Poll.Value.Now(time.Now())); err == nil {
				due.Look = append(due.Look, r.Schedule.Value.Name)
			}
		}
		for _, body := range due.Bodies() {
			if failed := to.Send(ctx, body, 0); failed != nil {
				err = failed
			}
		}
		if err != nil && ctx.Err() == nil {
			log.Warn("some folders are looked at later: they could not be now", "error", err)
		}
		if token = next; token == "" || err != nil {
			return
		}
	}
}

// hint sends a run to be looked at now that it has started or ended.
func hint(follows queue.Queue, run string, log *slog.Logger) {
	if err := follows.Send(context.Background(), queue.Messages([]string{run})[0], 0); err != nil {
		log.Warn("a message was not sent; the clock will send it", "run", run, "error", err)
	}
}

func closeRuns(target *pipelines.Target, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := target.Close(ctx); err != nil {
		log.Error("local runs did not all end", "error", err)
	}
}

// prune deletes the output of runs that are older than the retention, once an hour, until ctx ends.
func prune(ctx context.Context, target *pipelines.Target, retention time.Duration, log *slog.Logger) {
	for {
		for n := 1000; n == 1000; {
			var err error
			if n, err = target.Prune(ctx, time.Now().Add(-retention), 1000); err != nil && !errors.Is(err, context.Canceled) {
				log.Warn("old runs could not be deleted", "error", err)
				break
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Hour):
		}
	}
}

//go:embed example
var example embed.FS

// addExample puts pipelines, schedules and a datastore where a newcomer finds them. What is there stays as it is.
func addExample(ctx context.Context, c config, db *store.DB, now time.Time) error {
	if err := os.MkdirAll(filepath.Join(c.Data, "datastores", "inbox"), 0o755); err != nil {
		return err
	}
	for _, name := range []string{"hello.yaml", "show-file.yaml"} {
		file := filepath.Join(c.Data, "pipelines", name)
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		text, err := example.ReadFile("example/" + name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return err
		}
	}
	for _, name := range []string{"hello-every-minute.json", "file-dropped.json"} {
		text, err := example.ReadFile("example/" + name)
		if err != nil {
			return err
		}
		d, errs := schedule.Decode(text)
		if len(errs) > 0 {
			return errs
		}
		err = db.Create(ctx, schedule.New(d, store.NewScheduleID(d.Name), "serve --example", now))
		if err != nil && !errors.Is(err, store.ErrExists) {
			return err
		}
	}
	return nil
}
