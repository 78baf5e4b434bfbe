package main

import (
	"context"
	"crypto/rand"
	_ "embed"
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
	submits, follows := state.Queue("submit"), state.Queue("follow")
	target, err := pipelines.Open(pipelines.Config{
		Pipelines: filepath.Join(c.Data, "pipelines"), Runs: filepath.Join(c.Data, "runs"),
		AtOnce: c.atOnce, OutputLimit: c.output, Log: log,
		Started: func(run string) { hint(follows, run, log) },
		Ended:   func(run string) { hint(follows, run, log) },
	})
	if err != nil {
		return err
	}
	defer closeRuns(target, log)
	targets, err := c.workspace()
	if err != nil {
		return err
	}
	targets["local"] = target
	if example {
		if err := addExample(ctx, c, db, time.Now().UTC()); err != nil {
			return err
		}
	}
	ctx, stop := context.WithCancel(ctx)
	var pruning sync.WaitGroup
	defer func() { stop(); pruning.Wait() }()
	pruning.Go(func() { prune(ctx, target, c.retention, log) })
	served := &local.Host{
		Functions: onMachine(db, targets, submits, follows, c.retention, log).functions(),
		Submit:    submits, Follow: follows, Backup: state.Backup, Keys: c.keys(), Log: log,
	}
	ready("http://" + listener.Addr().String())
	return served.Serve(ctx, listener)
}

// parts are what a platform has opened, for the verbs to be built over.
type parts struct {
	db               *store.DB
	targets          map[string]pipeline.Target // by the kind of pipeline
	submits, follows queue.Queue
	retention        time.Duration
	log              *slog.Logger
	owner            string                  // this process, in its claims
	void             func(owner string) bool // whether a claim's owner is known to be gone
}

// functions builds the verbs.
func (p parts) functions() host.Functions {
	timer := &recurrence.Function{DB: p.db, Submit: p.submits, Follow: p.follows, Retention: p.retention, Now: time.Now, Log: p.log}
	submitter := &submit.Function{
		DB: p.db, Targets: p.targets, Submit: p.submits, Follow: p.follows, Owner: p.owner, Void: p.void, Now: time.Now, Log: p.log,
	}
	follower := &follow.Function{DB: p.db, Targets: p.targets, Follow: p.follows, Now: time.Now, Log: p.log}
	web := &api.Function{DB: p.db, Targets: p.targets, Submit: p.submits, Now: time.Now, Log: p.log}
	page := &studio.Function{DB: p.db, Targets: p.targets, Now: time.Now, Log: p.log}
	return host.Functions{
		Recurrence: timer.Tick, Submit: submitter.Handle, Follow: follower.Handle,
		API: web.Handler(), Studio: page.Handler(),
	}
}

// onMachine are the parts of a plain machine. One process at a time has the state file, so a claim of another owner is
// that of a dead one.
func onMachine(db *store.DB, targets map[string]pipeline.Target, submits, follows queue.Queue, retention time.Duration, log *slog.Logger) parts {
	me := rand.Text()
	return parts{
		db: db, targets: targets, submits: submits, follows: follows,
		retention: retention, log: log, owner: me, void: func(owner string) bool { return owner != me },
	}
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

var (
	//go:embed example/hello.yaml
	examplePipeline []byte
	//go:embed example/hello-every-minute.json
	exampleSchedule []byte
)

// addExample puts a pipeline and a schedule where a newcomer finds them. What is there stays as it is.
func addExample(ctx context.Context, c config, db *store.DB, now time.Time) error {
	file := filepath.Join(c.Data, "pipelines", "hello.yaml")
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(file, examplePipeline, 0o644); err != nil {
			return err
		}
	}
	d, errs := schedule.Decode(exampleSchedule)
	if len(errs) > 0 {
		return errs
	}
	err := db.Create(ctx, schedule.New(d, store.NewScheduleID(d.Name), "serve --example", now))
	if errors.Is(err, store.ErrExists) {
		return nil
	}
	return err
}
