package aws

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"carillon/shared/host"
)

func TestHorizon(t *testing.T) {
	for _, c := range []struct{ now, want string }{
		{"17:54:00", "17:56:00"},
		{"17:54:00.001", "17:56:00"},
		{"17:54:59.999", "17:56:00"},
		{"23:59:30", "00:01:00"},
	} {
		now, err := time.Parse(time.RFC3339Nano, "2026-11-22T"+c.now+"Z")
		if err != nil {
			t.Fatal(err)
		}
		if got := horizon(now).Format(time.TimeOnly); got != c.want {
			t.Errorf("%s: got %s, want %s", c.now, got, c.want)
		}
	}
}

// An event that nobody reads is refused by its form. What it says may be secret.
func TestUnknown(t *testing.T) {
	for _, c := range []struct{ payload, says string }{
		{string(sample(t, "rest.json")), "fields: body, headers, httpMethod"},
		{string(sample(t, "rule-other.json")), "fields: account, detail, detail-type"},
		{string(sample(t, "sqs-elsewhere.json")), `the queue "my-queue"; Carillon's are ["carillon-submit" "carillon-follow" "carillon-datastore"]`},
		{string(sample(t, "s3.json")), `its source is "aws:s3"`},
		{`{"function":"submit"}`, "fields: function"},
		{`{"function":7}`, "fields: function"},
		{`{"Records":[]}`, "fields: Records"},
		{`{"detail-type":"Scheduled Event","source":"somebody"}`, "fields: detail-type, source"},
		{`{"version":"2.0","requestContext":{"authorizer":{"iam":{}}}}`, "fields: requestContext, version"},
		{`"secret"`, "no JSON object"},
		{`null`, "no JSON object"},
		{`[1]`, "no JSON object"},
	} {
		answer, err := invoke(t.Context(), newHost(host.Functions{}), []byte(c.payload))
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %s, %v, want an error that says %s", c.payload, answer, err, c.says)
		}
	}
}

func TestTickAnswer(t *testing.T) {
	h := newHost(host.Functions{Recurrence: func(context.Context, time.Time, time.Time) error { return nil }})
	if answer, err := invoke(t.Context(), h, sample(t, "rule.json")); err != nil || string(answer) != "{}" {
		t.Errorf("got %s, %v, want {}", answer, err)
	}
}

// outcomes is a function that does what bodies say. Those that are stuck wait until over is closed.
func outcomes(over chan struct{}, seen func(string)) func(context.Context, []byte) error {
	return func(_ context.Context, body []byte) error {
		seen(string(body))
		switch string(body) {
		case "fail":
			return errors.New("on purpose")
		case "panic":
			panic("on purpose")
		case "stuck":
			<-over
		}
		return nil
	}
}

func TestBatch(t *testing.T) {
	const s, f = "carillon-submit", "carillon-follow"
	for _, c := range []struct {
		name     string
		messages []sent
		again    string // ids, or "all" for a failed invocation
		called   int
	}{
		{"one", []sent{{"1", s, "ok", ""}}, "", 1},
		{"some fail", []sent{{"1", s, "ok", ""}, {"2", s, "fail", ""}, {"3", s, "panic", ""}, {"4", s, "ok", ""}}, "2 3", 4},
		{"follow", []sent{{"1", f, "fail", ""}, {"2", f, "ok", ""}}, "1", 2},
		{"all fail", []sent{{"1", s, "fail", ""}, {"2", s, "panic", ""}}, "all", 2},
		{"base64", []sent{{"1", s, "b2s=", "base64"}}, "", 1},
		{"no base64", []sent{{"1", s, "b2s", "base64"}, {"2", s, "ok", ""}}, "1", 1},
		{"an unknown encoding", []sent{{"1", s, "ok", "gzip"}, {"2", s, "ok", ""}}, "1", 1},
		{"a strange queue", []sent{{"1", s, "ok", ""}, {"2", "x" + s, "ok", ""}}, "all", 0},
		{"nothing is watched", []sent{{"1", "carillon-datastore", "ok", ""}}, "all", 0},
		{"no queue", []sent{{"1", "", "ok", ""}}, "all", 0},
		{"no id", []sent{{"1", s, "ok", ""}, {"", s, "fail", ""}}, "all", 0},
	} {
		var mu sync.Mutex
		var called []string
		function := outcomes(nil, func(body string) {
			mu.Lock()
			defer mu.Unlock()
			called = append(called, body)
		})
		answer, err := invoke(t.Context(), newHost(host.Functions{Submit: function, Follow: function}), batch(c.messages...))
		got := "all"
		if err == nil {
			ids, err := failed(answer)
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			got = strings.Join(slices.Sorted(maps.Keys(ids)), " ")
		}
		if got != c.again || len(called) != c.called {
			t.Errorf("%s: again come %q (%v), and %d were called; want %q and %d", c.name, got, err, len(called), c.again, c.called)
		}
	}
}

// Without names for its queues a Host takes no message.
func TestNoQueues(t *testing.T) {
	h := &Host{Log: slog.New(slog.DiscardHandler)}
	if answer, err := invoke(t.Context(), h, batch(sent{"1", "", "ok", ""})); err == nil {
		t.Errorf("got %s, want an error", answer)
	}
}

// The messages of a batch do not wait for one another, and at its deadline those that are stuck do not take with them
// those that are done.
func TestBatchDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		var mu sync.Mutex
		called := map[string]int{}
		h := newHost(host.Functions{Submit: outcomes(over, func(body string) {
			mu.Lock()
			defer mu.Unlock()
			called[body]++
		})})
		messages := []sent{{"first", h.SubmitQueue, "ok", ""}}
		for n := range atOnce {
			messages = append(messages, sent{fmt.Sprint(n), h.SubmitQueue, "stuck", ""})
		}
		messages = append(messages, sent{"last", h.SubmitQueue, "never", ""})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		answer, err := invoke(ctx, h, batch(messages...))
		if err != nil {
			t.Fatal(err)
		}
		if took, want := time.Since(began), time.Minute-maxReserve/2; took != want {
			t.Errorf("answered after %v, want %v", took, want)
		}
		ids, err := failed(answer)
		if err != nil || len(ids) != atOnce+1 || ids["first"] || !ids["last"] {
			t.Errorf("again come %v, %v; want all but the first", ids, err)
		}
		mu.Lock()
		defer mu.Unlock()
		if called["ok"] != 1 || called["stuck"] != atOnce || called["never"] != 0 {
			t.Errorf("called %v", called)
		}
		close(over)
	})
}

func TestOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct{ given, want time.Duration }{
			{8 * time.Second, 7 * time.Second},
			{15 * time.Minute, 15*time.Minute - maxReserve},
			{0, 0}, // none
		} {
			var got time.Duration
			h := newHost(host.Functions{Recurrence: func(ctx context.Context, now, _ time.Time) error {
				if deadline, ok := ctx.Deadline(); ok {
					got = deadline.Sub(now)
				}
				return nil
			}})
			ctx, cancel := t.Context(), func() {}
			if c.given > 0 {
				ctx, cancel = context.WithTimeout(ctx, c.given)
			}
			if _, err := invoke(ctx, h, sample(t, "input.json")); err != nil || got != c.want {
				t.Errorf("of %v a function has %v, want %v; %v", c.given, got, c.want, err)
			}
			cancel()
		}
	})
}

// What is logged names the invocation, and what Lambda does not hear is logged.
func TestLog(t *testing.T) {
	var text bytes.Buffer
	h := newHost(host.Functions{Submit: outcomes(nil, func(string) {})})
	h.Log = slog.New(withInvocation{slog.NewJSONHandler(&text, nil)})
	ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "e550ab9e"})
	if _, err := invoke(ctx, h, batch(sent{"1", h.SubmitQueue, "panic", ""}, sent{"2", h.SubmitQueue, "ok", ""})); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range bytes.Lines(text.Bytes()) {
		var l struct{ Level, Msg, Invocation, Message string }
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.Join([]string{l.Level, l.Msg, l.Invocation, l.Message}, "|"))
	}
	want := []string{"ERROR|a function panicked|e550ab9e|", "WARN|a message is given back|e550ab9e|1"}
	if !slices.Equal(got, want) {
		t.Errorf("logged %q, want %q", got, want)
	}
}

// withInvocation is the handler of lambdacontext.NewLogger, on another writer.
type withInvocation struct{ slog.Handler }

func (h withInvocation) Handle(ctx context.Context, r slog.Record) error {
	if c, ok := lambdacontext.FromContext(ctx); ok {
		r.AddAttrs(slog.String("invocation", c.AwsRequestID))
	}
	return h.Handler.Handle(ctx, r)
}

// FuzzHandle: whatever Lambda is given, it gets JSON or an error.
func FuzzHandle(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		f.Add(sample(f, filepath.Base(file)))
	}
	message := func(context.Context, []byte) error { return nil }
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(r.URL.String())) })
	h := newHost(host.Functions{
		Recurrence: func(context.Context, time.Time, time.Time) error { return nil },
		Submit:     message, Follow: message, API: page, Studio: page,
	})
	f.Fuzz(func(t *testing.T, payload []byte) {
		answer, err := h.Handle(t.Context(), payload)
		if err != nil {
			return
		}
		if text, err := json.Marshal(answer); err != nil || text[0] != '{' {
			t.Errorf("%q is answered with %s, %v", payload, text, err)
		}
	})
}
