package azure

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"carillon/shared/problem"
)

const (
	maxCall = 4 << 20 // bytes of an event call; a message has 64 KiB, what the host says of an earlier try some more

	period = time.Minute     // of the timer in function.json
	early  = 5 * time.Second // a host may fire its timer some milliseconds before the minute
)

// done is the answer to an event call that succeeded. The host never completes a call whose answer is empty or null. It
// logs a warning when there are no outputs and another when there is no value (seen on 4.1045), on every call; names
// that function.json does not have are ignored.
const done = `{"Outputs":{"done":true},"Logs":[],"ReturnValue":true}`

// event answers a call of a function that the host calls by itself: done, or a problem and a status by which the host knows that it failed. The
// work goes on when the host hangs up; its deadline is our own.
func (h *Host) event(w http.ResponseWriter, r *http.Request, function string) {
	ctx, cancel := context.WithTimeout(withCall(context.WithoutCancel(r.Context()), function, r), h.deadline())
	defer cancel()
	err := h.invoke(ctx, r.Body, function)
	if err != nil {
		h.Log.WarnContext(ctx, "the call failed; the host is told so", "error", err)
		problem.Write(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, done)
}

// invoke reads an event call and makes it.
func (h *Host) invoke(ctx context.Context, body io.Reader, function string) error {
	if strings.HasPrefix(function, BlobFunction) {
		change, err := blobChange(body, function)
		if err != nil {
			return err
		}
		return h.deliver(ctx, h.Functions.Datastore, change)
	}
	name, _ := bindingOf(function)
	data, err := binding(body, name)
	if err != nil {
		return err
	}
	if function == "recurrence" {
		now := time.Now()
		until := horizon(now, nextTick(data))
		return h.guard(ctx, func(ctx context.Context) error { return h.Functions.Recurrence(ctx, now, until) })
	}
	message, err := messageBody(data)
	if err != nil {
		return err
	}
	switch function {
	case "submit":
		return h.deliver(ctx, h.Functions.Submit, message)
	case "follow":
		return h.deliver(ctx, h.Functions.Follow, message)
	}
	return h.deliver(ctx, h.Functions.Datastore, message)
}

// deliver calls a function with a body.
func (h *Host) deliver(ctx context.Context, function func(context.Context, []byte) error, body []byte) error {
	if function == nil {
		return problem.Newf(problem.Unavailable, "this Carillon watches no datastores; the event is given back")
	}
	return h.guard(ctx, func(ctx context.Context) error { return function(ctx, body) })
}

// guard calls a function and returns an error when it panics or outstays its deadline, so that neither becomes the
// end of its neighbours. A call that has outstayed goes on by itself: what it does must not matter any more.
func (h *Host) guard(ctx context.Context, function func(context.Context) error) error {
	returned := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				h.Log.ErrorContext(ctx, "a function panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				returned <- fmt.Errorf("panic: %v", p)
			}
		}()
		returned <- function(ctx)
	}()
	select {
	case err := <-returned:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-returned:
		return err
	case <-time.After(h.deadline() / 16):
		return errors.New("the function does not return although its deadline is over")
	}
}

// binding is the trigger's value in an event call. Nothing else is read: a message can overwrite Metadata.
func binding(body io.Reader, name string) (json.RawMessage, error) {
	var call struct{ Data map[string]json.RawMessage }
	if err := readCall(body, &call); err != nil {
		return nil, err
	}
	data, ok := call.Data[name]
	if !ok || string(data) == "null" {
		return nil, problem.Newf(problem.BadRequest, "the call has no Data.%s: function.json has to give its trigger that name", name)
	}
	return data, nil
}

// readCall reads the JSON of an event call.
func readCall(body io.Reader, into any) error {
	text, err := io.ReadAll(io.LimitReader(body, maxCall+1))
	switch {
	case err != nil:
		return problem.Newf(problem.BadRequest, "the call did not arrive whole: %v", err)
	case len(text) > maxCall:
		return problem.Newf(problem.TooLarge, "the call has more than %d bytes", maxCall)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return problem.Newf(problem.BadRequest, "this is no call of a Functions host: %v", err)
	}
	return nil
}

// unquoted takes off a JSON string's quotes when data is one.
func unquoted(data []byte) (text []byte, ok bool) {
	var s string
	if len(data) == 0 || data[0] != '"' || json.Unmarshal(data, &s) != nil {
		return data, false
	}
	return []byte(s), true
}

// messageBody is what was sent to the queue. With dataType binary the message arrives as base64, byte for byte. Without,
// text arrives as a JSON string in a JSON string; it is taken too. The message itself is base64 where Carillon has sent it;
// Event Grid's may be that or plain, and host.json tells the host to leave messages as they are (messageEncoding).
func messageBody(data json.RawMessage) ([]byte, error) {
	text, quoted := unquoted(data)
	if !quoted {
		var deferred struct{ Version, Source string }
		if json.Unmarshal(text, &deferred) == nil && deferred.Version != "" && deferred.Source != "" {
			return nil, problem.Newf(problem.BadRequest, "the host has kept the message's content: function.json must not ask for deferred binding")
		}
		return text, nil
	}
	if inner, twice := unquoted(text); twice {
		return plain64(inner), nil
	}
	return plain64(plain64(text)), nil
}

// plain64 takes off base64 when it is that. JSON never is.
func plain64(text []byte) []byte {
	plain, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil {
		return text
	}
	return plain
}

// nextTick is when the host means to tick next, and zero when that cannot be read: a tick is never refused for what
// it says, as it only means that time has passed.
func nextTick(data json.RawMessage) time.Time {
	for range 2 {
		data, _ = unquoted(data)
	}
	var tick struct {
		ScheduleStatus struct{ Next json.RawMessage }
	}
	if json.Unmarshal(data, &tick) != nil {
		return time.Time{}
	}
	text, _ := unquoted(tick.ScheduleStatus.Next)
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05"} {
		if at, err := time.Parse(layout, strings.TrimSpace(string(text))); err == nil {
			return at
		}
	}
	return time.Time{}
}

// horizon is when the next tick is to be expected: when the host says so, unless that is this very tick (it says so
// when it ticks on time) or long over (when it ticks late), and at the next full minute otherwise.
func horizon(now, next time.Time) time.Time {
	from := now.Add(early)
	if next.After(from) && !next.After(now.Add(2*period)) {
		return next
	}
	return from.Truncate(period).Add(period)
}
