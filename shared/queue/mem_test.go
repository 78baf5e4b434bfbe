package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"carillon/shared/queue"
	"carillon/shared/queue/queuetest"
)

func TestMem(t *testing.T) {
	queuetest.RunFakeTime(t, func(*testing.T) queuetest.Env {
		q := queue.NewMem()
		return queuetest.Env{Queue: q, Receive: q.Receive, Delay: time.Second}
	})
}

// receive runs Receive in the background and returns the function that ends it.
func receive(q *queue.Mem, workers int, handle func(context.Context, []byte) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		q.Receive(ctx, workers, handle)
		close(done)
	}()
	return func() { cancel(); <-done }
}

// Each message is delivered at its second exactly, those sent while Receive waits for a later one too.
func TestReceiveOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		q := queue.NewMem()
		var mu sync.Mutex
		var got []string
		stop := receive(q, 1, func(_ context.Context, body []byte) error {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, fmt.Sprintf("%s at %v", body, time.Since(began)))
			return nil
		})
		for _, m := range []struct {
			body  string
			delay time.Duration
		}{{"fourth", 15 * time.Minute}, {"second", 2 * time.Second}, {"first", 0}, {"third", 2 * time.Second}} {
			if err := q.Send(t.Context(), []byte(m.body), m.delay); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		stop()
		if want := "first at 0s, second at 2s, third at 2s, fourth at 15m0s"; strings.Join(got, ", ") != want {
			t.Errorf("got %s, want %s", strings.Join(got, ", "), want)
		}
	})
}

// A message that always fails comes 1, 2, 4 and 8 seconds later again, and then no more.
func TestReceiveBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		q := queue.NewMem()
		if err := q.Send(t.Context(), []byte("poison"), 0); err != nil {
			t.Fatal(err)
		}
		var got []time.Duration
		stop := receive(q, 2, func(context.Context, []byte) error {
			got = append(got, time.Since(began))
			return errors.New("no")
		})
		time.Sleep(time.Hour)
		stop()
		if want := []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second}; !slices.Equal(got, want) {
			t.Errorf("delivered after %v, want %v", got, want)
		}
		if left := q.Pending(); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	})
}

func TestPendingAndTake(t *testing.T) {
	now := time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)
	q := queue.NewMem()
	q.Now = func() time.Time { return now }
	for _, m := range []struct {
		body  string
		delay time.Duration
	}{{"c", time.Minute}, {"a", 0}, {"b", time.Second}, {"d", time.Minute}} {
		if err := q.Send(t.Context(), []byte(m.body), m.delay); err != nil {
			t.Fatal(err)
		}
	}
	var pending []string
	for _, p := range q.Pending() {
		pending = append(pending, fmt.Sprintf("%s+%v", p.Body, p.At.Sub(now)))
	}
	if got, want := strings.Join(pending, " "), "a+0s b+1s c+1m0s d+1m0s"; got != want {
		t.Errorf("pending %s, want %s", got, want)
	}
	for _, c := range []struct {
		after time.Duration
		want  string
	}{{-time.Second, ""}, {time.Second, "ab"}, {time.Minute - 1, ""}, {time.Minute, "cd"}, {time.Hour, ""}} {
		var got string
		for _, body := range q.Take(now.Add(c.after)) {
			got += string(body)
		}
		if got != c.want {
			t.Errorf("taken after %v: %q, want %q", c.after, got, c.want)
		}
	}
}

func TestAgain(t *testing.T) {
	var got []string
	for n := 1; n <= 6; n++ {
		delay, ok := queue.Again(n)
		got = append(got, fmt.Sprint(delay, ok))
	}
	if want := "1s true,2s true,4s true,8s true,0s false,0s false"; strings.Join(got, ",") != want {
		t.Errorf("got %s, want %s", strings.Join(got, ","), want)
	}
}
