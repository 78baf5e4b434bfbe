// Package hosttest holds every platform's adapter to what host.Functions promises: what a platform delivers arrives as
// it was sent, and the platform hears whether it is done.
package hosttest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/shared/host"
)

// The functions that get events.
const (
	Recurrence = "recurrence"
	Submit     = "submit"
	Follow     = "follow"
	Datastore  = "datastore"
)

// messages are those that get the bodies of messages.
var messages = []string{Submit, Follow, Datastore}

// Env is an adapter that serves the functions it was opened with, and the platform around it. An error of a delivery
// says that the platform takes the event as not done. Everything may be called concurrently.
type Env struct {
	// Tick is one call of the timer.
	Tick func() error
	// Message delivers a body to one of the functions that get messages, as the platform carries it, once.
	Message func(function string, body []byte) error
	// Garbage puts a payload where the platform puts its own; nil where there is no such place.
	Garbage func(function string, payload []byte) error
	// Samples are calls that the platform was seen to make.
	Samples []Sample
	// AtOnce is how many messages are under way at once.
	AtOnce int
	// Visit asks for something over HTTP, from outside; nil where the platform brings no HTTP.
	Visit Visit
}

// Sample is one call that a platform was seen to make.
type Sample struct {
	Name     string
	Function string
	Deliver  func() error
	Body     string // what a function that gets messages has to get
	Refused  bool   // no function may be called, and the platform has to hear of it
}

// Open serves functions. Their calls end at the deadline, an hour where it does not matter. What it opens, it closes
// with the test.
type Open func(t *testing.T, functions host.Functions, deadline time.Duration) Env

const (
	patience = time.Minute           // what must come has come by then
	short    = 50 * time.Millisecond // a deadline that is to be missed
)

// Run holds an adapter to the contract.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Open)
	}{
		{"samples", testSamples},
		{"ticks", testTick},
		{"bodies arrive as they were sent", testBodies},
		{"outcomes", testOutcomes},
		{"garbage", testGarbage},
		{"at once", testAtOnce},
		{"a call's context", testContext},
		{"visits", testVisits},
		{"no way in to events", testOutside},
		{"a visit that panics", testVisitPanics},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open) })
	}
}

// received is a call of an event function.
type received struct {
	function   string
	body       string
	now, until time.Time
}

// recorder is Functions that write down their calls. outcome, when there is one, decides what they return.
type recorder struct {
	mu      sync.Mutex
	calls   []received
	outcome func(ctx context.Context, r received) error
}

func (f *recorder) functions() host.Functions {
	message := func(name string) func(context.Context, []byte) error {
		return func(ctx context.Context, body []byte) error {
			return f.call(ctx, received{function: name, body: string(body)})
		}
	}
	return host.Functions{
		Recurrence: func(ctx context.Context, now, until time.Time) error {
			return f.call(ctx, received{function: Recurrence, now: now, until: until})
		},
		Submit: message(Submit), Follow: message(Follow), Datastore: message(Datastore),
	}
}

func (f *recorder) call(ctx context.Context, r received) error {
	f.mu.Lock()
	f.calls = append(f.calls, r)
	f.mu.Unlock()
	if f.outcome != nil {
		return f.outcome(ctx, r)
	}
	return nil
}

// take returns the calls since the last take.
func (f *recorder) take() []received {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

func testSamples(t *testing.T, open Open) {
	f := new(recorder)
	for _, s := range open(t, f.functions(), time.Hour).Samples {
		before := time.Now()
		err := s.Deliver()
		calls := f.take()
		switch {
		case s.Refused && (err == nil || len(calls) > 0):
			t.Errorf("%s: got error %v and %d calls, want it refused", s.Name, err, len(calls))
		case s.Refused:
		case err != nil:
			t.Errorf("%s: %v", s.Name, err)
		case len(calls) != 1 || calls[0].function != s.Function:
			t.Errorf("%s: got the calls %v, want one of %s", s.Name, calls, s.Function)
		case s.Function == Recurrence:
			checkTick(t, s.Name, calls[0], before)
		case calls[0].body != s.Body:
			t.Errorf("%s: got the body %q, want %q", s.Name, calls[0].body, s.Body)
		}
	}
}

// checkTick wants the time that it is, and a horizon that the next tick, a minute away at most, does not leave open.
func checkTick(t *testing.T, name string, got received, before time.Time) {
	t.Helper()
	if got.now.Before(before) || got.now.After(time.Now()) {
		t.Errorf("%s: now is %v, want the time of the call, %v", name, got.now, before)
	}
	if ahead := got.until.Sub(got.now); ahead <= 0 || ahead > 2*time.Minute {
		t.Errorf("%s: until is %v after now, want up to two minutes", name, ahead)
	}
}

func testTick(t *testing.T, open Open) {
	f := new(recorder)
	e := open(t, f.functions(), time.Hour)
	before := time.Now()
	if err := e.Tick(); err != nil {
		t.Fatal(err)
	}
	calls := f.take()
	if len(calls) != 1 || calls[0].function != Recurrence {
		t.Fatalf("got the calls %v, want one of %s", calls, Recurrence)
	}
	checkTick(t, "tick", calls[0], before)
}

func testBodies(t *testing.T, open Open) {
	var every [256]byte
	for i := range every {
		every[i] = byte(i)
	}
	f := new(recorder)
	e := open(t, f.functions(), time.Hour)
	for _, body := range []string{
		`{"occurrences":["a"]}`, "x", "\x00", string(every[:]), "\xff\xfe not UTF-8", "äöü\r\n", "plain text",
		"7", "null", `"quoted"`, `"\"twice\""`, "YWJj", "00112233445566778899aabbccddeeff", " {} ",
		`{"Id":"spoofed","DequeueCount":99,"sys":{},"Data":{},"messageId":"spoofed"}`, strings.Repeat("ü", 16<<10),
	} {
		for _, function := range messages {
			if err := e.Message(function, []byte(body)); err != nil {
				t.Errorf("%s, %.40q: %v", function, body, err)
			}
			if calls := f.take(); len(calls) != 1 || calls[0].function != function || calls[0].body != body {
				t.Errorf("%s got the calls %.200q, want one with %.40q", function, fmt.Sprint(calls), body)
			}
		}
	}
}

func testOutcomes(t *testing.T, open Open) {
	over := make(chan struct{})
	defer close(over)
	for _, c := range []struct {
		name     string
		deadline time.Duration
		outcome  func(ctx context.Context, r received) error
		done     bool
	}{
		{"done", time.Hour, nil, true},
		{"an error", time.Hour, func(context.Context, received) error { return errors.New("not now") }, false},
		{"a panic", time.Hour, func(context.Context, received) error { panic("on purpose") }, false},
		{"too slow", short, func(ctx context.Context, _ received) error { <-ctx.Done(); return ctx.Err() }, false},
		{"stuck", short, func(context.Context, received) error { <-over; return nil }, false},
	} {
		f := &recorder{outcome: c.outcome}
		e := open(t, f.functions(), c.deadline)
		errs := map[string]error{Recurrence: e.Tick()}
		for _, function := range messages {
			errs[function] = e.Message(function, []byte("x"))
		}
		for function, err := range errs {
			if done := err == nil; done != c.done {
				t.Errorf("%s of %s: done is %t (%v), want %t", c.name, function, done, err, c.done)
			}
		}
		called := map[string]bool{} // more than once where the platform repeats
		for _, call := range f.take() {
			called[call.function] = true
		}
		if len(called) != len(errs) {
			t.Errorf("%s: only %v were called", c.name, called)
		}
	}
}

func testGarbage(t *testing.T, open Open) {
	f := new(recorder)
	e := open(t, f.functions(), time.Hour)
	if e.Garbage == nil {
		t.Skip("nobody but Carillon can put anything there")
	}
	for _, payload := range []string{
		"", " ", "null", "true", "7", `"x"`, "[]", "[[]]", "{", "{}", "\x00", "\xff\xfe", "<xml/>", "a=b",
		`{"Data":null}`, `{"Data":"x"}`, `{"Data":[]}`, `{"Data":{}}`, `{"Data":{"message":null,"tick":null}}`, `{"Records":"x"}`, `{"Records":[7]}`,
		strings.Repeat("[", 100_000), `{"a":` + strings.Repeat(`{"a":`, 100_000), `"` + strings.Repeat("x", 8<<20) + `"`,
		`{"Data":{"message":"` + strings.Repeat("x", 8<<20) + `"}}`, `{"Records":[{"body":"` + strings.Repeat("x", 8<<20) + `"}]}`,
	} {
		for _, function := range append([]string{Recurrence}, messages...) {
			err := e.Garbage(function, []byte(payload))
			if calls := f.take(); function != Recurrence && (err == nil || len(calls) > 0) {
				t.Errorf("%s with %.40q: got error %v and %d calls, want it refused", function, payload, err, len(calls))
			}
		}
	}
	if err := e.Message(Submit, []byte("x")); err != nil {
		t.Errorf("after garbage: %v", err)
	}
}

// Deliveries do not wait for one another, and each has its own body.
func testAtOnce(t *testing.T, open Open) {
	var in sync.WaitGroup
	f := &recorder{outcome: func(ctx context.Context, r received) error {
		in.Done()
		all := make(chan struct{})
		go func() { in.Wait(); close(all) }()
		select {
		case <-all:
			return nil
		case <-ctx.Done():
			return errors.New("the others have not come")
		}
	}}
	e := open(t, f.functions(), patience)
	in.Add(e.AtOnce)
	var group sync.WaitGroup
	for n := range e.AtOnce {
		group.Go(func() {
			if err := e.Message(messages[n%len(messages)], fmt.Append(nil, n)); err != nil {
				t.Errorf("%d: %v", n, err)
			}
		})
	}
	group.Wait()
	got := map[string]string{}
	for _, call := range f.take() {
		got[call.body] = call.function
	}
	for n := range e.AtOnce {
		if want := messages[n%len(messages)]; got[fmt.Sprint(n)] != want {
			t.Errorf("message %d came to %q, want %s", n, got[fmt.Sprint(n)], want)
		}
	}
}

// A call has a deadline, and its context ends with it.
func testContext(t *testing.T, open Open) {
	var mu sync.Mutex
	var contexts []context.Context
	f := &recorder{outcome: func(ctx context.Context, _ received) error {
		mu.Lock()
		defer mu.Unlock()
		contexts = append(contexts, ctx)
		if _, ok := ctx.Deadline(); !ok || ctx.Err() != nil {
			return fmt.Errorf("the context has a deadline: %t, and ended: %v", ok, ctx.Err())
		}
		return nil
	}}
	e := open(t, f.functions(), patience)
	errs := []error{e.Tick()}
	for _, function := range messages {
		errs = append(errs, e.Message(function, []byte("x")))
	}
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, ctx := range contexts {
		select {
		case <-ctx.Done():
		case <-time.After(patience):
			t.Error("the context of a call outlives it by more than a minute")
		}
	}
}
