// Package queuetest holds every queue.Queue, and what delivers its messages, to one contract.
package queuetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"carillon/shared/queue"
)

// Env is a queue and its platform's way of receiving.
type Env struct {
	Queue queue.Queue

	// Receive hands messages to handle, in at most workers goroutines at once, until ctx ends; it returns when
	// every handle has returned. A message whose handle returned an error comes again.
	Receive func(ctx context.Context, workers int, handle func(ctx context.Context, body []byte) error)

	// Delay is a delay that the backend keeps: as short as it can where time is real.
	Delay time.Duration
}

// patience is how long a test waits for what must come before it gives up.
const patience = time.Minute

var tests = []struct {
	name string
	test func(t *testing.T, e Env)
}{
	{"bodies arrive as they were sent", testBodies},
	{"limits", testLimits},
	{"not before its delay", testDelay},
	{"a failed delivery is repeated", testRepeated},
	{"at most so many at once", testWorkers},
	{"the end of receiving", testEnd},
	{"concurrent senders", testSenders},
	{"a context that has ended", testCancelled},
}

// Run checks a queue against the real clock. Each call of open returns an empty queue.
func Run(t *testing.T, open func(t *testing.T) Env) {
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// RunFakeTime is Run for a queue in this process: each test, open and all that it starts lives in a synctest bubble
// and takes no time.
func RunFakeTime(t *testing.T, open func(t *testing.T) Env) {
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.test(t, open(t)) })
		})
	}
}

func testBodies(t *testing.T, e Env) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	bodies := []string{
		"x", "\x00", string(every), `{"occurrences":["a"]}`, "\xff\xfe not UTF-8", "äöü\r\n",
		strings.Repeat("\xe2", queue.MaxBody),
	}
	for _, body := range bodies {
		mine := []byte(body)
		send(t, e, mine, 0)
		mine[0]++ // the queue has its own
	}
	got := collect(t, e, 4, bodies...)
	for body := range got {
		if !slices.Contains(bodies, body) {
			t.Errorf("a body of %d bytes arrived that was not sent: %.60q", len(body), body)
		}
	}
}

func testLimits(t *testing.T, e Env) {
	for _, c := range []struct {
		name  string
		body  string
		delay time.Duration
	}{
		{"empty", "", 0},
		{"large", strings.Repeat("x", queue.MaxBody+1), 0},
		{"late", "late", queue.MaxDelay + 1},
	} {
		if err := e.Queue.Send(t.Context(), []byte(c.body), c.delay); !errors.Is(err, queue.ErrLimit) {
			t.Errorf("%s: got error %v, want one that wraps %q", c.name, err, queue.ErrLimit)
		}
	}
	send(t, e, []byte("latest"), queue.MaxDelay)
	send(t, e, []byte("overdue"), -time.Hour)
	for body := range collect(t, e, 1, "overdue") {
		if body != "overdue" {
			t.Errorf("%.20q was delivered at once", body)
		}
	}
}

func testDelay(t *testing.T, e Env) {
	began := time.Now()
	send(t, e, []byte("later"), 2*e.Delay)
	send(t, e, []byte("sooner"), e.Delay)
	send(t, e, []byte("now"), 0)
	for body, at := range collect(t, e, 3, "now", "sooner", "later") {
		want := map[string]time.Duration{"sooner": e.Delay, "later": 2 * e.Delay}[body]
		if after := at.Sub(began); after < want {
			t.Errorf("%s was delivered after %v, want %v at least", body, after, want)
		}
	}
}

func testRepeated(t *testing.T, e Env) {
	send(t, e, []byte("fails twice"), 0)
	send(t, e, []byte("works"), 0)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var mu sync.Mutex
	times := map[string]int{}
	e.Receive(ctx, 1, func(_ context.Context, body []byte) error {
		mu.Lock()
		defer mu.Unlock()
		times[string(body)]++
		if times["fails twice"] >= 3 && times["works"] >= 1 {
			cancel()
		}
		if string(body) == "fails twice" && times["fails twice"] < 3 {
			return errors.New("not now")
		}
		return nil
	})
	if times["fails twice"] < 3 || times["works"] < 1 {
		t.Errorf("delivered %v", times)
	}
}

func testWorkers(t *testing.T, e Env) {
	const workers, messages = 3, 12
	for n := range messages {
		send(t, e, fmt.Appendf(nil, "message %d", n), 0)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var seen sync.Map
	var now, most, distinct atomic.Int64
	e.Receive(ctx, workers, func(_ context.Context, body []byte) error {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(time.Millisecond) // let others in
		if _, again := seen.LoadOrStore(string(body), true); !again && distinct.Add(1) == messages {
			cancel()
		}
		return nil
	})
	if distinct.Load() != messages {
		t.Errorf("%d of %d messages were delivered", distinct.Load(), messages)
	}
	if most.Load() > workers {
		t.Errorf("%d handlers at once, want %d at most", most.Load(), workers)
	}
}

func testEnd(t *testing.T, e Env) {
	send(t, e, []byte("in hand"), 0)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	returned := false
	e.Receive(ctx, 1, func(ctx context.Context, _ []byte) error {
		cancel()
		<-ctx.Done()
		returned = true
		return ctx.Err()
	})
	if !returned {
		t.Fatal("Receive returned before its handler")
	}
	collect(t, e, 1, "in hand")
}

func testSenders(t *testing.T, e Env) {
	const senders, each = 8, 10
	var want []string
	for s := range senders {
		for n := range each {
			want = append(want, fmt.Sprintf("%d of sender %d", n, s))
		}
	}
	var all sync.WaitGroup
	for s := range senders {
		all.Go(func() {
			for _, body := range want[s*each : (s+1)*each] {
				if err := e.Queue.Send(t.Context(), []byte(body), 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	collect(t, e, 4, want...)
}

func testCancelled(t *testing.T, e Env) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Queue.Send(ctx, []byte("x"), 0); !errors.Is(err, context.Canceled) {
		t.Errorf("Send: %v", err)
	}
	e.Receive(ctx, 1, func(context.Context, []byte) error { return nil }) // returns
}

func send(t *testing.T, e Env, body []byte, delay time.Duration) {
	t.Helper()
	if err := e.Queue.Send(t.Context(), body, delay); err != nil {
		t.Fatalf("send: %v", err)
	}
}

// collect receives until every wanted body has come, and says when each that came came first.
func collect(t *testing.T, e Env, workers int, want ...string) map[string]time.Time {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var mu sync.Mutex
	got := map[string]time.Time{}
	missing := map[string]bool{}
	for _, body := range want {
		missing[body] = true
	}
	e.Receive(ctx, workers, func(_ context.Context, body []byte) error {
		mu.Lock()
		defer mu.Unlock()
		if _, again := got[string(body)]; !again {
			got[string(body)] = time.Now()
		}
		if delete(missing, string(body)); len(missing) == 0 {
			cancel()
		}
		return nil
	})
	for body := range missing {
		t.Errorf("not delivered: %.60q", body)
	}
	return got
}
