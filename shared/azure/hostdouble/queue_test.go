package hostdouble_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"carillon/shared/azure/hostdouble"
)

func base(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func TestQueue(t *testing.T) {
	q := newQueues(t)
	h := hostdouble.Start(t, stage(t, hostFile, nil), settings(q.connection))
	const text = `{"Id":"SPOOF","DequeueCount":"99","x":{"y":2},"list":[1,2],"fooTrigger":"t","n":5}`
	q.send("submitted", base(text))
	q.send("followed", base(text))
	ended(t, h, "submit", 1)
	ended(t, h, "follow", 1)

	call := bodyOf[messageCall](t, seen(t, h, "/submit", 1)[0])
	if call.Data.Message != base(text) || call.Metadata["DequeueCount"] != "1" || call.Metadata["x"] != nil {
		t.Errorf("binary: %v", call)
	}
	call = bodyOf[messageCall](t, seen(t, h, "/follow", 1)[0])
	if want := fmt.Sprintf("%q", text); call.Data.Message != want {
		t.Errorf("text: got %s, want %s", call.Data.Message, want)
	}
	for name, want := range map[string]string{
		"Id": `"SPOOF"`, "DequeueCount": `"99"`, "x": "map[y:2]", "n": `"5"`, "list": "<nil>", "fooTrigger": "<nil>",
	} {
		if got := fmt.Sprint(call.Metadata[name]); got != want {
			t.Errorf("Metadata.%s is %s, want %s", name, got, want)
		}
	}
	if id := fmt.Sprint(call.Metadata["PopReceipt"]); !strings.HasPrefix(id, `"`) || call.Metadata["NextVisibleTime"] == nil {
		t.Errorf("Metadata is %v", call.Metadata)
	}
	await(t, "the messages to be deleted", func() bool { return q.left("submitted")+q.left("followed") == 0 })
	if bodies := h.Poisoned("followed"); len(bodies) != 0 {
		t.Errorf("poison: %q", bodies)
	}
}

func TestPoison(t *testing.T) {
	q := newQueues(t)
	h := hostdouble.Start(t, stage(t, hostFile, nil), settings(q.connection))
	q.send("submitted", base("do 500"))
	q.send("followed", "not base64")
	calls := ended(t, h, "submit", 2)
	if calls[0].Try != 1 || calls[1].Try != 2 || string(calls[1].Body) != "do 500" || calls[0].ID == calls[1].ID {
		t.Errorf("tries: %+v", calls)
	}
	await(t, "poison", func() bool { return len(h.Poisoned("submitted")) == 1 && len(h.Poisoned("followed")) == 1 })
	if got := string(h.Poisoned("submitted")[0]); got != "do 500" {
		t.Errorf("poison: %q", got)
	}
	if got := string(h.Poisoned("followed")[0]); got != "not base64" || len(requests(t, h, "/follow")) != 0 {
		t.Errorf("poison: %q, after calls %v", got, requests(t, h, "/follow"))
	}
	if n := q.left("submitted") + q.left("followed"); n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

// A success that is none to a real host.
func TestAnswersThatAreRejected(t *testing.T) {
	q := newQueues(t)
	hears := &listener{TB: t}
	once := strings.Replace(hostFile, `"maxDequeueCount": 2`, `"maxDequeueCount": 1`, 1)
	h := hostdouble.Start(hears, stage(t, once, nil), settings(q.connection))
	for n, c := range []struct{ order, complaint string }{
		{"text {}", "the host cannot read \"text/plain\""},
		{"text null", "the host cannot read \"text/plain\""},
		{"json []", "the host cannot read the result"},
		{"json 7", "the host cannot read the result"},
		{`json {"Logs":[{}]}`, "the host cannot read the result"},
		{"500", ""},
		{"302", ""},
		{"json {}", ""},
	} {
		hears.complaints = nil
		q.send("submitted", base("do "+c.order))
		call := ended(t, h, "submit", n+1)[n]
		if failed := call.Err != nil; failed != (c.order != "json {}") {
			t.Errorf("%s: the call ended with %v", c.order, call.Err)
		}
		if c.complaint != "" {
			hears.expect(c.complaint)
		} else {
			hears.expect()
		}
	}
}

// An empty success never completes: at functionTimeout the handler is killed, with every call in it.
func TestAnswersThatNeverComplete(t *testing.T) {
	q := newQueues(t)
	for n, order := range []string{"204", "200", "json null", "hang"} {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			queue := fmt.Sprint("queue", n)
			hears := &listener{TB: t}
			short := strings.Replace(hostFile, "00:00:10", "00:00:01", 1)
			short = strings.Replace(short, `"maxDequeueCount": 2`, `"maxDequeueCount": 1`, 1)
			h := hostdouble.Start(hears, stage(t, short, nil), settings(q.connection, "SUBMIT", queue))
			q.send(queue, base("do "+order))
			call := ended(t, h, "submit", 1)[0]
			if took := call.Ended.Sub(call.Began).Seconds(); call.Err == nil || took < 1 {
				t.Errorf("ended after %v s with %v", took, call.Err)
			}
			if !hears.heard("within functionTimeout") {
				t.Errorf("no complaint of the time: %q", hears.complaints)
			}
			await(t, "another handler", func() bool { return h.Restarts() == 1 })
			q.send(queue, base("do json {}"))
			if call := ended(t, h, "submit", 2)[1]; call.Err != nil || h.Restarts() != 1 || h.Stopped() {
				t.Errorf("afterwards: %v, %d restarts", call.Err, h.Restarts())
			}
		})
	}
}

func TestExits(t *testing.T) {
	q := newQueues(t)
	start := func(t *testing.T) (*hostdouble.Host, *listener) {
		hears := &listener{TB: t}
		once := strings.Replace(hostFile, `"maxDequeueCount": 2`, `"maxDequeueCount": 1`, 1)
		return hostdouble.Start(hears, stage(t, once, nil), settings(q.connection)), hears
	}
	t.Run("0 is never started again", func(t *testing.T) {
		h, hears := start(t)
		q.send("submitted", base("do exit 0"))
		ended(t, h, "submit", 1)
		q.send("submitted", base("do json {}"))
		if call := ended(t, h, "submit", 2)[1]; call.Err == nil || h.Restarts() != 0 || h.Stopped() {
			t.Errorf("afterwards: %v, %d restarts", call.Err, h.Restarts())
		}
		if err := h.FireTimer("recurrence"); err == nil {
			t.Error("a tick succeeds without a handler")
		}
		hears.expect("exited with 0")
	})
	t.Run("200 is started again", func(t *testing.T) {
		h, hears := start(t)
		for n := range 4 {
			q.send("submitted", base("do exit 200"))
			await(t, "another handler", func() bool { return h.Restarts() == n+1 })
		}
		if err := h.FireTimer("recurrence"); err != nil || h.Restarts() != 4 {
			t.Errorf("afterwards: %v, %d restarts", err, h.Restarts())
		}
		hears.expect()
	})
	t.Run("the third fault stops the host", func(t *testing.T) {
		h, hears := start(t)
		for n := range 3 {
			if h.Stopped() {
				t.Errorf("stopped after %d faults", n)
			}
			q.send("submitted", base("do exit 7"))
			await(t, "the fault", func() bool { return h.Restarts() == n+1 || h.Stopped() })
		}
		await(t, "the host to stop", h.Stopped)
		if err := h.FireTimer("recurrence"); err == nil || h.Restarts() != 2 {
			t.Errorf("a tick of a stopped host: %v, %d restarts", err, h.Restarts())
		}
		hears.expect("exited with 7", "exited with 7", "exited with 7")
		h.Resume()
		if err := h.FireTimer("recurrence"); err != nil || h.Stopped() {
			t.Errorf("a tick after resuming: %v", err)
		}
	})
}

func TestKillHandler(t *testing.T) {
	h := hostdouble.Start(t, stage(t, hostFile, nil), settings(nowhere))
	for n := range 2 {
		h.KillHandler()
		if err := h.FireTimer("recurrence"); err != nil || h.Restarts() != n+1 {
			t.Errorf("after %d kills: %v, %d restarts", n+1, err, h.Restarts())
		}
	}
	h.KillHandler()
	if !h.Stopped() {
		t.Error("three kills do not stop the host")
	}
	h.KillHandler() // of nothing
	h.Resume()
	if err := h.FireTimer("recurrence"); err != nil {
		t.Error(err)
	}
}

// What was in work when the host is stopped stays hidden; the handler is killed.
func TestStop(t *testing.T) {
	q := newQueues(t)
	folder := stage(t, hostFile, nil)
	h := hostdouble.Start(t, folder, settings(q.connection))
	q.send("submitted", base("do hang"))
	seen(t, h, "/submit", 1)
	h.Stop()
	if calls := h.Invocations(); len(calls) != 1 || calls[0].Err == nil {
		t.Errorf("calls: %+v", calls)
	}
	q.send("submitted", base("do json {}"))
	h = hostdouble.Start(t, folder, settings(q.connection))
	if call := ended(t, h, "submit", 1)[0]; string(call.Body) != "do json {}" || call.Err != nil {
		t.Errorf("the next host calls %+v", call)
	}
	await(t, "the other message alone", func() bool { return q.left("submitted") == 1 })
}

func TestLines(t *testing.T) {
	h := hostdouble.Start(t, stage(t, hostFile, nil), settings(nowhere))
	for _, want := range []hostdouble.Line{{Level: "Warning", Text: "a warning"}, {Level: "Error", Text: "a fault"}} {
		await(t, want.Text, func() bool { return slices.Contains(h.Lines(), want) })
	}
	if ready := seen(t, h, "/", 1); len(ready) != 1 || ready[0].Method != "GET" || len(ready[0].Header) > 1 {
		t.Errorf("readiness was asked for by %+v", ready)
	}
}
