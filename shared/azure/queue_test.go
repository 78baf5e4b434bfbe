package azure

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"

	"carillon/shared/azure/azuritetest"
	"carillon/shared/queue"
	"carillon/shared/queue/queuetest"
)

func TestQueue(t *testing.T) {
	t.Parallel()
	a := account(t, azuritetest.Start(t).ConnectionString())
	queuetest.Run(t, func(t *testing.T) queuetest.Env {
		name := fresh()
		return queuetest.Env{Queue: a.Queue(name), Receive: receiver(t, a, name), Delay: time.Second}
	})
}

// receiver does what the Functions host does: it takes messages and deletes those whose handling worked. What did not
// work is seen again at once.
func receiver(t *testing.T, a *Account, name string) func(context.Context, int, func(context.Context, []byte) error) {
	client := a.queues.NewQueueClient(name)
	return func(ctx context.Context, workers int, handle func(context.Context, []byte) error) {
		var all sync.WaitGroup
		defer all.Wait()
		for range workers {
			all.Go(func() {
				for ctx.Err() == nil {
					m, err := take(ctx, client)
					switch {
					case m != nil:
						finish(t, client, m, handle(ctx, body(t, m)))
					case err != nil && ctx.Err() == nil:
						t.Error(err)
						return
					}
				}
			})
		}
	}
}

// take takes the next message that is visible, nil when there is none for a moment.
func take(ctx context.Context, client *azqueue.QueueClient) (*azqueue.DequeuedMessage, error) {
	resp, err := client.DequeueMessage(ctx, &azqueue.DequeueMessageOptions{VisibilityTimeout: to.Ptr(int32(300))})
	if err != nil && !strings.Contains(err.Error(), "QueueNotFound") {
		return nil, err
	}
	if len(resp.Messages) > 0 {
		return resp.Messages[0], nil
	}
	select {
	case <-ctx.Done():
	case <-time.After(20 * time.Millisecond):
	}
	return nil, nil
}

func body(t *testing.T, m *azqueue.DequeuedMessage) []byte {
	body, err := base64.StdEncoding.DecodeString(*m.MessageText)
	if err != nil {
		t.Errorf("a message is not base64: %v", err)
	}
	return body
}

func finish(t *testing.T, client *azqueue.QueueClient, m *azqueue.DequeuedMessage, failed error) {
	ctx := context.WithoutCancel(t.Context())
	var err error
	if failed == nil {
		_, err = client.DeleteMessage(ctx, *m.MessageID, *m.PopReceipt, nil)
	} else {
		_, err = client.UpdateMessage(ctx, *m.MessageID, *m.PopReceipt, *m.MessageText, &azqueue.UpdateMessageOptions{VisibilityTimeout: to.Ptr(int32(0))})
	}
	if err != nil {
		t.Error(err)
	}
}

// One request a message: base64, a week to live, the delay in whole seconds and never too early.
func TestMessage(t *testing.T) {
	for _, c := range []struct {
		delay time.Duration
		want  string
	}{
		{0, ""}, {-time.Hour, ""}, {1, "1"}, {time.Second, "1"}, {time.Second + 1, "2"}, {queue.MaxDelay, "900"},
	} {
		calls := 0
		a := scripted(t, func(r *http.Request) (*http.Response, error) {
			calls++
			q := r.URL.Query()
			if got := q.Get("visibilitytimeout"); got != c.want {
				t.Errorf("a delay of %v: invisible for %q s, want %q", c.delay, got, c.want)
			}
			if got := q.Get("messagettl"); got != "604800" {
				t.Errorf("it lives for %s s", got)
			}
			text, _ := io.ReadAll(r.Body)
			if want := "<MessageText>" + base64.StdEncoding.EncodeToString([]byte("\xff<x>")) + "</MessageText>"; !strings.Contains(string(text), want) {
				t.Errorf("sent %s, want %s in it", text, want)
			}
			return sent(), nil
		})
		if err := a.Queue("hints").Send(t.Context(), []byte("\xff<x>"), c.delay); err != nil {
			t.Error(err)
		}
		if calls != 1 {
			t.Errorf("%d requests", calls)
		}
	}
}

func sent() *http.Response {
	return text(http.StatusCreated, "<QueueMessagesList></QueueMessagesList>")
}

// The first to send create the queue, all at once and each in its own process.
func TestFirstSend(t *testing.T) {
	azurite := azuritetest.Start(t)
	name := fresh()
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			if err := account(t, azurite.ConnectionString()).Queue(name).Send(t.Context(), fmt.Append(nil, n), 0); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := waiting(t, account(t, azurite.ConnectionString()), name); got != 8 {
		t.Errorf("%d messages of 8", got)
	}
}

// Somebody else created the queue in between, and marked it with metadata.
func TestForeignQueue(t *testing.T) {
	answers := []*http.Response{text(http.StatusNotFound, ""), text(http.StatusConflict, ""), sent()}
	answers[0].Header.Set("x-ms-error-code", "QueueNotFound")
	answers[1].Header.Set("x-ms-error-code", "QueueAlreadyExists")
	calls := 0
	a := scripted(t, func(*http.Request) (*http.Response, error) { calls++; return answers[calls-1], nil })
	if err := a.Queue("hints").Send(t.Context(), []byte("x"), 0); err != nil || calls != 3 {
		t.Errorf("%d requests, %v", calls, err)
	}
}

func waiting(t *testing.T, a *Account, name string) int {
	t.Helper()
	resp, err := a.queues.NewQueueClient(name).PeekMessages(t.Context(), &azqueue.PeekMessagesOptions{NumberOfMessages: to.Ptr(int32(32))})
	if err != nil {
		t.Fatal(err)
	}
	return len(resp.Messages)
}

// A message is sent at least once when Send says so; a fault that passes may double it.
func TestSendFaults(t *testing.T) {
	t.Parallel()
	azurite := azuritetest.Start(t)
	direct := account(t, azurite.ConnectionString())
	for _, c := range []struct {
		name     string
		fault    fault
		times    int
		tries    int
		messages int
		success  bool
	}{
		{"answer lost", fault{Done: true, Break: true}, 1, 2, 2, true},
		{"reset before", fault{Break: true}, 1, 2, 1, true},
		{"throttled", fault{Status: 429, Header: http.Header{"Retry-After-Ms": {"20"}}}, 2, 3, 1, true},
		{"throttled for long", fault{Status: 429, Header: http.Header{"Retry-After": {"3600"}}}, 1, 1, 0, false},
		{"unavailable after the work", after(gateway), 1, 2, 2, true},
		{"internal error", fault{Status: 500}, 1, 2, 1, true},
		{"throttled on and on", fault{Status: 429, Header: http.Header{"Retry-After-Ms": {"20"}}}, 9, 4, 0, false},
		{"no answer", fault{Done: true, Hang: true}, 9, 1, 1, false},
		{"refused", fault{Status: 403}, 1, 1, 0, false},
		{"not found, something in between", fault{Status: 404, Body: "<html>"}, 1, 1, 0, false},
		{"a success of another kind", fault{Status: 200, Body: "{}"}, 1, 1, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			name := fresh()
			if _, err := direct.queues.CreateQueue(t.Context(), name, nil); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if c.fault.Hang {
				c.fault.Then = cancel // the caller's patience ends
			}
			var tries atomic.Int64
			way := account(t, azurite.Through(t, func(*http.Request) fault {
				if tries.Add(1) <= int64(c.times) {
					return c.fault
				}
				return fault{}
			}))
			err := way.Queue(name).Send(ctx, []byte("x"), 0)
			if c.success != (err == nil) || errors.Is(err, queue.ErrLimit) {
				t.Errorf("Send: %v, want success %t", err, c.success)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has more than a line: %v", err)
			}
			if got := tries.Load(); got != int64(c.tries) {
				t.Errorf("%d requests, want %d", got, c.tries)
			}
			if got := waiting(t, direct, name); got != c.messages {
				t.Errorf("%d messages, want %d", got, c.messages)
			}
		})
	}
}
