package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"carillon/functions/recurrence"
	"carillon/shared/local"
	"carillon/shared/pipeline"
	"carillon/shared/recur"
	"carillon/shared/schedule"
	"carillon/shared/store"
	"carillon/shared/store/storetest"
)

// The figures of a plain machine, over the real state file with real fsync. scripts/bench runs them and prints one
// table. Each reports its own units; ns/op says nothing here.

var (
	quiet = slog.New(slog.NewTextHandler(io.Discard, nil))
	hello = schedule.PipelineRef{Kind: "local", ID: "hello"}
)

func openState(b testing.TB, folder string) *local.State {
	b.Helper()
	state, err := local.Open(filepath.Join(folder, "state", "carillon.db"))
	if err != nil {
		b.Fatal(err)
	}
	return state
}

func openDB(b testing.TB, driver store.Driver) *store.DB {
	b.Helper()
	db, err := store.Open(b.Context(), driver)
	if err != nil {
		b.Fatal(err)
	}
	return db
}

// fill creates n schedules with 64 writers, each by its own call of the store.
func fill(b testing.TB, db *store.DB, n int, now time.Time, make func(i int) (name string, spec recur.Spec), pipelines ...schedule.PipelineRef) {
	b.Helper()
	ref := append(pipelines, hello)[0]
	next := counter()
	var group sync.WaitGroup
	for range 64 {
		group.Go(func() {
			for i := next(); i < n; i = next() {
				name, spec := make(i)
				d := schedule.Definition{Name: name, Pipeline: ref, Experiment: "demo", Status: schedule.Active, Trigger: schedule.Trigger{Spec: spec}}
				if err := db.Create(context.Background(), schedule.New(d, store.NewScheduleID(name), "me", now)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

// counter counts from 0, for many at once.
func counter() func() int {
	var mu sync.Mutex
	n := -1
	return func() int { mu.Lock(); defer mu.Unlock(); n++; return n }
}

func everyMinute(second int) recur.Spec {
	return recur.Spec{Kind: recur.KindRecurrence, Frequency: "minute", Interval: 1, StartTime: fmt.Sprintf("2026-01-01T00:00:%02d", second)}
}

var monthly = recur.Spec{Kind: recur.KindRecurrence, Frequency: "month", Interval: 1, StartTime: "2030-01-01T00:00:00"}

// A tick with the same 1,000 due, among few and among many schedules.
func BenchmarkTickAmong(b *testing.B) {
	for _, all := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprint("schedules=", all), func(b *testing.B) {
			const due, groups = 1000, 9
			now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
			state := openState(b, b.TempDir())
			defer state.Close()
			counter := &storetest.Counter{Driver: state.Store()}
			db := openDB(b, counter)
			began := time.Now()
			fill(b, db, all, now, func(i int) (string, recur.Spec) {
				i = (i * 7919) % all // in no order
				if i >= due*groups {
					return fmt.Sprint("idle-", i), monthly
				}
				at := now.Add(time.Duration(1+i/due) * time.Hour)
				return fmt.Sprint("due-", i), recur.Spec{Kind: recur.KindRecurrence, Frequency: "day", Interval: 1, StartTime: at.Format("2006-01-02T15:04:05")}
			})
			b.ReportMetric(float64(all)/time.Since(began).Seconds(), "created/s")
			timer := &recurrence.Function{DB: db, Submit: state.Queue("submit"), Follow: state.Queue("follow"), Now: time.Now, Log: quiet}
			var took []time.Duration
			for group := range groups {
				at := now.Add(time.Duration(1+group) * time.Hour)
				counter.Reset()
				start := time.Now()
				if err := timer.Tick(b.Context(), at, at); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
				b.ReportMetric(float64(counter.Calls()), "calls/tick")
				finish(b, db, at)
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[groups/2].Microseconds())/1000, "ms/tick")
			b.ReportMetric(due/took[groups/2].Seconds(), "recorded/s")
		})
	}
}

// finish ends what a tick has recorded, so that the next tick meets nothing but what is due then.
func finish(b *testing.B, db *store.DB, now time.Time) {
	b.Helper()
	for shard := range store.Shards {
		wakes, _, err := db.Wakes(b.Context(), shard, now.Add(5*time.Minute), "", 1000)
		if err != nil {
			b.Fatal(err)
		}
		var changes []store.Change
		for _, w := range wakes {
			if w.Occurrence == "" {
				continue
			}
			o, err := db.Occurrence(b.Context(), w.Occurrence)
			if err != nil {
				b.Fatal(err)
			}
			changes = append(changes, store.Change{From: o, To: o.Value.CalledOff("the benchmark", now)})
		}
		for _, err := range db.Save(b.Context(), changes) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// Many due in one tick.
func BenchmarkRecord(b *testing.B) {
	const due = 40_000
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	state := openState(b, b.TempDir())
	defer state.Close()
	counter := &storetest.Counter{Driver: state.Store()}
	db := openDB(b, counter)
	fill(b, db, due, now, func(i int) (string, recur.Spec) { return fmt.Sprint("s", i), everyMinute(0) })
	timer := &recurrence.Function{DB: db, Submit: state.Queue("submit"), Follow: state.Queue("follow"), Now: time.Now, Log: quiet}
	counter.Reset()
	start := time.Now()
	if err := timer.Tick(b.Context(), now.Add(time.Minute), now.Add(time.Minute)); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(due/time.Since(start).Seconds(), "recorded/s")
	b.ReportMetric(float64(counter.Applies.Load())/due, "transactions/occurrence")
}

// What it costs to get from a due time to a durable, claimed occurrence: the tick, the queue, the claim.
func BenchmarkClaim(b *testing.B) {
	const due = 10_000
	now := time.Now().Truncate(time.Minute).Add(-time.Minute)
	state := openState(b, b.TempDir())
	defer state.Close()
	db := openDB(b, state.Store())
	fill(b, db, due, now, func(i int) (string, recur.Spec) { return fmt.Sprint("s", i), everyMinute(0) })
	claimed := make(chan struct{}, due)
	fake := &pipeline.Fake{Before: func(pipeline.Submission) error { claimed <- struct{}{}; select {} }} // it goes no further
	fake.Put(pipeline.Pipeline{Ref: hello})
	submits := state.Queue("submit")
	p := onMachine(parts{db: db, targets: map[string]pipeline.Target{"local": fake}, submits: submits, follows: state.Queue("follow"), log: quiet})
	functions := p.functions()
	before, start := cpu(b), time.Now()
	if err := functions.Recurrence(b.Context(), now.Add(time.Minute), now.Add(time.Minute)); err != nil {
		b.Fatal(err)
	}
	go submits.Receive(context.Background(), due, functions.Submit)
	for range due {
		<-claimed
	}
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/1000/due, "cpu-ms/firing")
	b.ReportMetric(due/time.Since(start).Seconds(), "claimed/s")
}

// hosted is the whole of a plain machine in this process, with a far side that takes no time.
type hosted struct {
	url   string
	state *local.State
	fake  *pipeline.Fake
	stop  func()
}

func hostFake(b testing.TB, folder string, prepare func(db *store.DB), claimed func(s pipeline.Submission)) hosted {
	b.Helper()
	state := openState(b, folder)
	db := openDB(b, state.Store())
	prepare(db)
	fake := &pipeline.Fake{}
	fake.After = func(s pipeline.Submission, run string) error {
		claimed(s)
		fake.Finish(run, schedule.Completed, "")
		return nil
	}
	fake.Put(pipeline.Pipeline{Ref: hello})
	submits, follows := state.Queue("submit"), state.Queue("follow")
	h := &local.Host{
		Functions: onMachine(parts{db: db, targets: map[string]pipeline.Target{"local": fake}, submits: submits, follows: follows, log: quiet}).functions(),
		Submit:    submits, Follow: follows, Backup: state.Backup, Log: quiet,
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- h.Serve(ctx, listener) }()
	return hosted{"http://" + listener.Addr().String(), state, fake, func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		state.Close()
	}}
}

// One client creates schedules over HTTP, one after the other.
func BenchmarkCreateHTTP(b *testing.B) {
	h := hostFake(b, b.TempDir(), func(*store.DB) {}, func(pipeline.Submission) {})
	defer h.stop()
	const n = 2000
	start := time.Now()
	for i := range n {
		answer, err := http.Post(h.url+"/api/schedules", "application/json", strings.NewReader(definition(fmt.Sprint("s", i), "hello", 15, 0)))
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		if answer.StatusCode != http.StatusCreated {
			b.Fatal(answer.Status)
		}
	}
	b.ReportMetric(n/time.Since(start).Seconds(), "created/s")
}

// A thousand schedules of one a minute, on the real clock: how late the claim is, and what a firing costs.
func BenchmarkFirings(b *testing.B) {
	for _, spread := range []bool{false, true} {
		b.Run(fmt.Sprint("spread=", spread), func(b *testing.B) {
			const n, minutes = 1000, 2
			var mu sync.Mutex
			var late []time.Duration
			begin := time.Now().Truncate(time.Minute).Add(time.Minute)
			prepare := func(db *store.DB) {
				fill(b, db, n, time.Now(), func(i int) (string, recur.Spec) {
					if spread {
						return fmt.Sprint("s", i), everyMinute(i % 60)
					}
					return fmt.Sprint("s", i), everyMinute(0)
				})
				begin = time.Now().Truncate(time.Minute).Add(time.Minute)
			}
			h := hostFake(b, b.TempDir(), prepare, func(s pipeline.Submission) {
				_, nominal, _, _ := schedule.ParseOccurrenceID(s.Occurrence)
				lateness := time.Since(nominal)
				mu.Lock()
				defer mu.Unlock()
				if !nominal.Before(begin) {
					late = append(late, lateness)
				}
			})
			time.Sleep(time.Until(begin.Add(-time.Second)))
			before := cpu(b)
			time.Sleep(time.Until(begin.Add(minutes*time.Minute - 2*time.Second)))
			used := cpu(b) - before
			h.stop()
			slices.Sort(late)
			if len(late) < n {
				b.Fatalf("%d firings", len(late))
			}
			b.ReportMetric(float64(used.Microseconds())/1000/float64(len(late)), "cpu-ms/firing")
			b.ReportMetric(float64(late[len(late)/2].Microseconds())/1000, "p50-late-ms")
			b.ReportMetric(float64(late[len(late)*99/100].Microseconds())/1000, "p99-late-ms")
			b.ReportMetric(float64(len(late)), "firings")
		})
	}
}

func cpu(b testing.TB) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The memory of the real process: idle, with a thousand local runs a minute, and with a hundred thousand schedules.
func BenchmarkMemory(b *testing.B) {
	for _, row := range []struct {
		name          string
		running, idle int
		minutes       int
	}{{"empty", 0, 0, 0}, {"running=1000", 1000, 0, 2}, {"idle=100000", 0, 100_000, 1}} {
		b.Run(row.name, func(b *testing.B) {
			data := b.TempDir()
			addPipeline(b, data, "hello", "true")
			state := openState(b, data)
			fill(b, openDB(b, state.Store()), row.running+row.idle, time.Now(), func(i int) (string, recur.Spec) {
				if i < row.running {
					return fmt.Sprint("s", i), everyMinute(i % 60)
				}
				return fmt.Sprint("idle-", i), monthly
			})
			if err := state.Close(); err != nil {
				b.Fatal(err)
			}
			p := start(b, data)
			most := 0
			for end := time.Now().Add(time.Duration(row.minutes)*time.Minute + 3*time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
				most = max(most, rssAnon(b, p.cmd.Process.Pid))
			}
			if row.running > 0 {
				b.ReportMetric(float64(len(p.runs("status=Completed"))), "runs")
			}
			p.kill()
			b.ReportMetric(float64(most)/1024, "RssAnon-MiB")
		})
	}
}

// rssAnon is a process's anonymous resident memory in KiB.
func rssAnon(b testing.TB, pid int) int {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				b.Fatal(err)
			}
			return n
		}
	}
	b.Fatal("no RssAnon")
	return 0
}

// The real process is killed before a minute in which a thousand are due, and started again after it.
func BenchmarkKilledOverADueMinute(b *testing.B) {
	const n = 1000
	data := b.TempDir()
	addPipeline(b, data, "hello", "true")
	state := openState(b, data)
	fill(b, openDB(b, state.Store()), n, time.Now(), func(i int) (string, recur.Spec) { return fmt.Sprint("s", i), everyMinute(0) })
	if err := state.Close(); err != nil {
		b.Fatal(err)
	}
	minute := time.Now().Add(10 * time.Second).Truncate(time.Minute).Add(time.Minute)
	p := start(b, data)
	time.Sleep(time.Until(minute.Add(-200 * time.Millisecond)))
	p.kill()
	time.Sleep(time.Until(minute.Add(2 * time.Second)))
	began := time.Now()
	p = start(b, data)
	var late []time.Duration
	count := map[string]int{}
	for len(late) < n && time.Since(began) < 30*time.Second {
		time.Sleep(500 * time.Millisecond)
		late, count = late[:0], map[string]int{}
		for _, r := range p.runs("") {
			if r.Nominal.Equal(minute) && !r.Submitted.IsZero() {
				late = append(late, r.Submitted.Sub(began))
				count[r.Schedule]++
			}
		}
	}
	p.kill()
	if len(late) != n || len(count) != n {
		b.Fatalf("%d runs of %d schedules, want %d", len(late), len(count), n)
	}
	slices.Sort(late)
	b.ReportMetric(float64(late[0].Milliseconds()), "first-ms-after-start")
	b.ReportMetric(float64(late[n*99/100].Milliseconds()), "p99-ms-after-start")
}
