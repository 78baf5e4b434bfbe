// Package hostdouble is an Azure Functions host for tests: it runs a staged bundle as the real one was seen to, its nasty
// ways included, on real Storage queues (Azurite's), and fails the test when the handler does what a real host punishes.
//
// It serves timers, queues, blob triggers that Event Grid feeds, and HTTP that is proxied or forwarded. As the real one it
//
//   - starts the handler in the bundle's folder, waits until GET / answers, and kills it (SIGKILL) at every stop;
//   - wraps what is not an object twice in JSON, and lays the properties of a text message over its Metadata;
//   - never completes a call that is answered with nothing or null: at functionTimeout it kills the handler, with every
//     call in it, and starts it again;
//   - never restarts a handler that exits with 0; others it does, and stops at the third fault within 30 minutes;
//   - hides a message for 10 minutes while it is in work, and longer when the host itself is gone;
//   - tries a tick again, under its id, only where function.json says so;
//   - tells of a blob five times within a third of a second, and then gives it up to a queue that all functions share.
//
// What it does not do: looking for blobs by itself, scaling out, a timer's state that outlives the host, connections by identity.
package hostdouble

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// Host is a running Functions host. Its methods may be called concurrently, but for Stop and Resume.
type Host struct {
	URL string // where people and programs reach the app

	t        testing.TB
	app      app
	settings map[string]string
	front    *httptest.Server
	port     string // of the handler

	mu          sync.Mutex
	changed     chan struct{} // closed when one of the next three changes
	life        *life
	process     *process // the latest, while it runs
	over        error    // why there will be no process any more
	faults      []time.Time
	restarts    int
	invocations []Invocation
	lines       []Line
}

// life is a host from its start to its end. What it owns has ended when group has.
type life struct {
	ctx    context.Context
	end    context.CancelFunc
	group  sync.WaitGroup
	timers map[string]*timer
}

// Invocation is one call of a function that has ended.
type Invocation struct {
	Function     string
	ID           string
	Try          int    // deliveries of a message, or tries of a tick or a blob, with this one
	Body         []byte // of a message; with messageEncoding none, its text as it is in the queue
	Began, Ended time.Time
	Status       int   // that the handler answered with; 0 when it did not
	Err          error // nil when the host took the call as a success
}

// Line is what the handler wrote, as the host files it.
type Line struct {
	Level string // Information, Warning or Error
	Text  string
}

// Start starts a host on a staged bundle with the app's settings, of which the connection strings of its queues are
// some, and returns when the handler answers. The handler's environment is that and what the host adds, nothing
// of the test's own but PATH, HOME and TMPDIR. The host stops with the test, which fails when the bundle cannot be
// loaded. The setting AzureWebJobs.<function>.Disabled = true stops a function's trigger, as on Azure; FireTimer fires
// it nevertheless.
func Start(t testing.TB, folder string, settings map[string]string) *Host {
	t.Helper()
	loaded, err := load(folder, settings)
	if err != nil {
		t.Fatalf("the Functions host cannot load %s:\n%v", folder, err)
	}
	h := &Host{t: t, app: loaded, settings: settings, port: freePort(t), changed: make(chan struct{})}
	h.front = httptest.NewServer(h)
	h.URL = h.front.URL
	t.Cleanup(func() {
		h.Stop()
		h.front.Close()
		if t.Failed() {
			h.show()
		}
	})
	h.begin()
	return h
}

func (h *Host) begin() {
	h.t.Helper()
	ctx, end := context.WithCancel(context.Background())
	l := &life{ctx: ctx, end: end, timers: map[string]*timer{}}
	h.set(func() { h.life, h.over, h.faults = l, nil, nil })
	l.group.Go(func() { h.supervise(l) })
	if _, err := h.await(ctx, isReady); err != nil {
		h.t.Fatalf("the handler does not start: %v\n%s", err, h.written())
	}
	for _, f := range h.app.functions {
		switch trigger := f.trigger.(type) {
		case timerTrigger:
			l.timers[f.name] = newTimer(f, trigger)
		case queueTrigger:
			if !f.disabled {
				l.group.Go(func() { h.poll(l, f, trigger) })
			}
		}
	}
	for _, timer := range l.timers {
		if !timer.function.disabled {
			l.group.Go(func() { h.tick(l, timer) })
		}
	}
}

// Stop ends the host as every stop that was tried did: the handler is killed, and messages in work stay hidden. It may
// be called again.
func (h *Host) Stop() {
	l := h.now()
	l.end()
	l.group.Wait()
}

// Stopped reports whether the host has stopped itself, after three faults of the handler.
func (h *Host) Stopped() bool { return h.now().ctx.Err() != nil }

// Resume starts the host again after it was stopped or has stopped itself, as the platform does, under the same URL.
// Nothing of it is a restart or an old fault.
func (h *Host) Resume() {
	h.t.Helper()
	h.Stop()
	h.begin()
}

// KillHandler kills the handler (SIGKILL), as a machine does that has no memory left, once there is one, ready or not. It
// returns when the host has seen it and is starting another or has stopped. To the host it is a fault.
func (h *Host) KillHandler() {
	p, err := h.await(h.now().ctx, func(*process) bool { return true })
	if err != nil {
		return
	}
	h.mu.Lock()
	p.wanted = true
	h.mu.Unlock()
	p.kill()
	<-p.seen
}

// FireTimer makes a tick now, with the retries of function.json, and returns the error of the last try. It waits for one
// that is under way: a timer is a singleton.
func (h *Host) FireTimer(function string) error {
	l := h.now()
	timer, ok := l.timers[function]
	if !ok {
		return fmt.Errorf("%s is no timer of this app", function)
	}
	return h.fire(l, timer, false)
}

// Key is the key of an HTTP function.
func (h *Host) Key(function string) string {
	for _, f := range h.app.functions {
		if f.name == function {
			return f.key
		}
	}
	h.t.Errorf("the app has no function %s", function)
	return ""
}

// Restarts counts the handlers that were started in place of another.
func (h *Host) Restarts() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.restarts
}

// Invocations are the calls that have ended, in the order in which they did.
func (h *Host) Invocations() []Invocation {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.invocations)
}

// Lines are what the handler wrote.
func (h *Host) Lines() []Line {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.lines)
}

func (h *Host) now() *life {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.life
}

// set changes what await looks at.
func (h *Host) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *Host) record(i Invocation) {
	i.Ended = time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.invocations = append(h.invocations, i)
}

// complain fails the test: the handler did what a real host punishes.
func (h *Host) complain(format string, args ...any) {
	h.t.Helper()
	h.t.Errorf("Functions host: "+format, args...)
}

func (h *Host) show() {
	h.t.Helper()
	for _, i := range h.Invocations() {
		if i.Err != nil {
			h.t.Logf("%s %s, try %d: %v", i.Function, i.ID, i.Try, i.Err)
		}
	}
	h.t.Logf("the handler wrote last:\n%s", h.written())
}

// written is the end of what the handler wrote.
func (h *Host) written() string {
	const most = 60
	lines := h.Lines()
	text := ""
	for _, line := range lines[max(0, len(lines)-most):] {
		text += line.Level[:4] + " " + line.Text + "\n"
	}
	return text
}

// guid makes an id as the host does.
func guid() string {
	var b [16]byte
	rand.Read(b[:])
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
