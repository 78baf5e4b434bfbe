package local

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"carillon/shared/queue/queuetest"
)

func TestQueue(t *testing.T) {
	queuetest.RunFakeTime(t, func(t *testing.T) queuetest.Env {
		q := openTest(t).Queue("q")
		return queuetest.Env{Queue: q, Receive: q.Receive, Delay: time.Second}
	})
}

// log notes what is delivered when. Bodies beginning with "bad" fail.
type log struct {
	began time.Time
	mu    sync.Mutex
	lines []string
}

func (l *log) handle(_ context.Context, body []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf("%s@%v", body, time.Since(l.began)))
	if strings.HasPrefix(string(body), "bad") {
		return errors.New("bad")
	}
	return nil
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, " ")
}

// deliver receives for a while, into a log whose clock begins now.
func deliver(q *Queue, d time.Duration) *log {
	l := &log{began: time.Now()}
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	q.Receive(ctx, 1, l.handle)
	return l
}

func mustSend(t *testing.T, q *Queue, body string, delay time.Duration) {
	t.Helper()
	if err := q.Send(t.Context(), []byte(body), delay); err != nil {
		t.Fatal(err)
	}
}

func TestQueueOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := openTest(t).Queue("q")
		mustSend(t, q, "c", 15*time.Minute)
		mustSend(t, q, "b", 90*time.Second)
		mustSend(t, q, "a", 0)
		if got, want := deliver(q, time.Hour).String(), "a@0s b@1m30s c@15m0s"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestQueueBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openTest(t)
		q := s.Queue("q")
		mustSend(t, q, "bad", 0)
		mustSend(t, q, "good", 2*time.Second)
		if got, want := deliver(q, time.Hour).String(), "bad@0s bad@1s good@2s bad@3s bad@7s bad@15s"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got := deliver(afterCrash(t, s).Queue("q"), time.Hour).String(); got != "" {
			t.Errorf("delivered after being dropped: %s", got)
		}
	})
}

// What waits, and what was in hand, is delivered after a crash; what was handled a second before is not.
func TestQueueAfterCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openTest(t)
		q := s.Queue("q")
		mustSend(t, q, "handled", 0)
		mustSend(t, q, "in hand", 2*time.Second)
		mustSend(t, q, "waits", 10*time.Second)
		mustSend(t, s.Queue("other"), "other's", 0)

		var crashed *State
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		q.Receive(ctx, 2, func(_ context.Context, body []byte) error {
			if string(body) == "in hand" {
				time.Sleep(3 * time.Second)
				crashed = afterCrash(t, s)
				cancel()
			}
			return nil
		})
		if crashed == nil {
			t.Fatal("nothing delivered")
		}
		if got := time.Since(began); got != 5*time.Second {
			t.Fatalf("%v gone, want 5s", got)
		}
		if got, want := deliver(crashed.Queue("q"), time.Hour).String(), "in hand@0s waits@5s"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got, want := deliver(crashed.Queue("other"), time.Hour).String(), "other's@0s"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// A failed message keeps its count and its time over a restart.
func TestQueueRestartKeepsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "carillon.db")
		s := mustOpen(t, path)
		mustSend(t, s.Queue("q"), "bad", 0)
		if got, want := deliver(s.Queue("q"), 4*time.Second).String(), "bad@0s bad@1s bad@3s"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		mustClose(t, s) // after 4 s; the next is due after 7 s
		s = mustOpen(t, path)
		defer mustClose(t, s)
		if got, want := deliver(s.Queue("q"), time.Hour).String(), "bad@3s bad@11s"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// What was handled is not delivered again after Close, also when it was handled just before.
func TestQueueCloseWritesAcknowledgements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "carillon.db")
		s := mustOpen(t, path)
		mustSend(t, s.Queue("q"), "once", 0)
		deliver(s.Queue("q"), time.Millisecond)
		mustClose(t, s)
		s = mustOpen(t, path)
		defer mustClose(t, s)
		if got := deliver(s.Queue("q"), time.Hour).String(); got != "" {
			t.Errorf("delivered again: %s", got)
		}
	})
}

// Acknowledgements wait for a transaction that there is anyway, or share one.
func TestQueueAcknowledgesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openTest(t)
		q := s.Queue("q")
		const n = 100
		for i := range n {
			mustSend(t, q, fmt.Sprint(i), 5*time.Second)
		}
		before := transactions(t, s)
		if got := len(deliver(q, 10*time.Second).lines); got != n {
			t.Fatalf("%d of %d delivered", got, n)
		}
		if got := transactions(t, s) - before; got != 1 {
			t.Errorf("%d acknowledgements took %d transactions, want 1", n, got)
		}
		if left := deliver(afterCrash(t, s).Queue("q"), time.Hour).String(); left != "" {
			t.Errorf("left: %s", left)
		}
	})
}

// 10,000 messages of one second are delivered in that second, each once.
func TestQueueManyAtOneSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := openTest(t).Queue("q")
		const n = 10_000
		due := time.Now().Add(15 * time.Second)
		var senders sync.WaitGroup
		for s := range 100 {
			senders.Go(func() {
				for i := range n / 100 {
					if err := q.Send(t.Context(), fmt.Appendf(nil, "%d", s*n/100+i), 15*time.Second); err != nil {
						t.Error(err)
					}
				}
			})
		}
		senders.Wait()
		var mu sync.Mutex
		got := map[string]int{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		q.Receive(ctx, 8, func(_ context.Context, body []byte) error {
			mu.Lock()
			defer mu.Unlock()
			got[string(body)]++
			if !time.Now().Equal(due) {
				t.Errorf("%s was delivered at %v, want %v", body, time.Now(), due)
			}
			return nil
		})
		times := slices.Collect(func(yield func(int) bool) {
			for _, n := range got {
				if !yield(n) {
					return
				}
			}
		})
		if len(got) != n || slices.Max(times) != 1 {
			t.Errorf("%d of %d delivered, one of them %d times", len(got), n, slices.Max(times))
		}
	})
}
