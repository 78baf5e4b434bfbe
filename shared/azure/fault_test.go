package azure

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"carillon/shared/azure/azuritetest"
	"carillon/shared/queue"
	"carillon/shared/store"
)

type fault = azuritetest.Fault

// tableError is an error as the table service writes it.
func tableError(status int, code string, header ...string) fault {
	f := fault{Status: status, Header: http.Header{"Content-Type": {"application/json"}}}
	f.Body = `{"odata.error":{"code":"` + code + `","message":{"lang":"en-US","value":"The service's reason.\nRequestId:1"}}}`
	for i := 0; i < len(header); i += 2 {
		f.Header[header[i]] = []string{header[i+1]}
	}
	return f
}

func after(f fault) fault {
	f.Done = true
	return f
}

var (
	soon    = []string{"Retry-After-Ms", "20"}
	gateway = fault{Status: http.StatusServiceUnavailable, Body: "<html>Service Unavailable</html>"}
)

// What becomes of an Apply whose requests meet a fault on their way: it is repeated only after what proves that it was
// not done, and conflicts only where the transaction itself did.
func TestApplyFaults(t *testing.T) {
	t.Parallel()
	azurite := azuritetest.Start(t)
	direct := account(t, azurite.ConnectionString())
	for _, c := range []struct {
		name    string
		fault   fault
		times   int // how many requests meet it
		done    bool
		tries   int
		success bool
	}{
		{"answer lost", fault{Done: true, Break: true}, 9, true, 1, false},
		{"reset before", fault{Break: true}, 9, false, 1, false},
		{"no answer", fault{Done: true, Hang: true}, 9, true, 1, false},
		{"no answer, nothing done", fault{Hang: true}, 9, false, 1, false},
		{"throttled once", tableError(429, "TooManyRequests", soon...), 1, true, 2, true},
		{"throttled for seconds", tableError(429, "TooManyRequests", "Retry-After", "1"), 1, true, 2, true},
		{"throttled for long", tableError(429, "TooManyRequests", "Retry-After", "3600"), 1, false, 1, false},
		{"throttled on and on", tableError(429, "TooManyRequests", soon...), 9, false, 4, false},
		{"busy twice", tableError(503, "ServerBusy", soon...), 2, true, 3, true},
		{"unavailable, something in between", gateway, 1, false, 1, false},
		{"unavailable after the work", after(gateway), 1, true, 1, false},
		{"timed out after the work", after(tableError(500, "OperationTimedOut")), 1, true, 1, false},
		{"internal error", tableError(500, "InternalError"), 1, false, 1, false},
		{"bad gateway after the work", after(fault{Status: 502}), 1, true, 1, false},
		{"gateway time-out after the work", after(fault{Status: 504}), 1, true, 1, false},
		{"request time-out", fault{Status: 408}, 1, false, 1, false},
		{"refused", tableError(403, "AuthorizationFailure"), 1, false, 1, false},
		{"a conflict that is not the row's", tableError(409, "TableBeingDeleted"), 1, false, 1, false},
		{"a conflict said outside", after(tableError(409, "EntityAlreadyExists")), 1, true, 1, false},
		{"a condition said outside", tableError(412, "UpdateConditionNotSatisfied"), 1, false, 1, false},
		{"not found, said outside", tableError(404, "ResourceNotFound"), 1, false, 1, false},
		{"not found, something in between", fault{Status: 404, Body: "<html>"}, 1, false, 1, false},
		{"too large", fault{Status: 413}, 1, false, 1, false},
		{"an empty success", after(fault{Status: 202}), 1, true, 1, false},
		{"a success of another kind", after(fault{Status: 200, Body: "{}"}), 1, true, 1, false},
		{"sent elsewhere", fault{Status: 307, Header: http.Header{"Location": {azurite.Tables + "/$batch"}}}, 1, false, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
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
			table := fresh()
			apply(t, direct.Store(table), put("other", ""))
			err := way.Store(table).Apply(ctx, "p", create("row"))
			if c.success != (err == nil) || !c.success && !open(err) {
				t.Errorf("Apply: %v, want success %t", err, c.success)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has more than a line: %v", err)
			}
			if c.fault.Hang && !errors.Is(err, context.Canceled) {
				t.Errorf("Apply: %v, want the end of its context", err)
			}
			if got := tries.Load(); got != int64(c.tries) {
				t.Errorf("%d requests, want %d", got, c.tries)
			}
			if got := has(t, direct.Store(table), "row"); got != c.done {
				t.Errorf("the row is there: %t, want %t", got, c.done)
			}
		})
	}
}

// Reads are repeated after faults that pass, and never take one for a row that is not there.
func TestReadFaults(t *testing.T) {
	t.Parallel()
	azurite := azuritetest.Start(t)
	table := fresh()
	apply(t, account(t, azurite.ConnectionString()).Store(table), put("row", "x"))
	for _, c := range []struct {
		name  string
		fault fault
		times int
		tries int
	}{
		{"reset twice", fault{Break: true}, 2, 3},
		{"answer lost", fault{Done: true, Break: true}, 1, 2},
		{"throttled", tableError(429, "TooManyRequests", soon...), 3, 4},
		{"busy", tableError(503, "ServerBusy", soon...), 1, 2},
		{"unavailable", gateway, 1, 2},
		{"internal error", tableError(500, "InternalError"), 1, 2},
		{"time-outs", fault{Status: 408}, 1, 2},
		{"gateway time-outs", fault{Status: 504}, 1, 2},
		{"reset always", fault{Break: true}, 99, 4},
		{"unavailable always", gateway, 99, 4},
		{"throttled for long", tableError(429, "TooManyRequests", "Retry-After", "3600"), 99, 1},
		{"refused", tableError(403, "AuthorizationFailure"), 99, 1},
		{"not found, something in between", fault{Status: 404, Body: "<html>"}, 99, 1},
		{"not found, another thing", tableError(404, "ResourceNotFound"), 99, 1},
		{"a success of another kind", fault{Status: 200, Body: "<html>"}, 99, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var tries atomic.Int64
			d := account(t, azurite.Through(t, func(*http.Request) fault {
				if tries.Add(1) <= int64(c.times) {
					return c.fault
				}
				return fault{}
			})).Store(table)
			check := func(what string, found int, err error) {
				if passes := c.times < 99; passes != (err == nil && found == 1) || !passes && !open(err) {
					t.Errorf("%s: %d rows, %v", what, found, err)
				}
				if got := tries.Swap(0); got != int64(c.tries) {
					t.Errorf("%s: %d requests, want %d", what, got, c.tries)
				}
			}
			row, err := d.Get(t.Context(), "p", "row")
			check("Get", len(row.Value), err)
			rows, err := d.Scan(t.Context(), "p", "", "z", 10)
			check("Scan", len(rows), err)
		})
	}
}

// Writers over a bad way lose nothing and do nothing twice: who does not know whether it was done looks.
func TestConcurrentWritersWithFaults(t *testing.T) {
	const writers, times = 6, 12
	azurite := azuritetest.Start(t)
	direct := account(t, azurite.ConnectionString())
	table := fresh()
	apply(t, direct.Store(table), put("n", "0"))
	var requests atomic.Int64
	faults := []fault{{Done: true, Break: true}, {Break: true}, tableError(503, "ServerBusy", soon...), after(tableError(500, "OperationTimedOut")), after(gateway)}
	way := azurite.Through(t, func(r *http.Request) fault {
		if n := requests.Add(1); n%3 == 0 && strings.HasSuffix(r.URL.Path, "$batch") {
			return faults[int(n/3)%len(faults)]
		}
		return fault{}
	})
	var uncertain atomic.Int64
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			d := account(t, way).Store(table) // as a process of its own
			for n := 0; n < times; {
				row, err := d.Get(t.Context(), "p", "n")
				if err != nil {
					t.Error(err)
					return
				}
				count, _ := strconv.Atoi(string(row.Value))
				mark := fmt.Sprintf("by|%d|%02d", w, n)
				err = d.Apply(t.Context(), "p", create(mark),
					store.Op{Kind: store.Replace, Sort: "n", Value: []byte(strconv.Itoa(count + 1)), Version: row.Version})
				if open(err) {
					uncertain.Add(1)
				}
				if err == nil || open(err) && has(t, direct.Store(table), mark) {
					n++
				}
			}
		})
	}
	all.Wait()
	row, err := direct.Store(table).Get(t.Context(), "p", "n")
	if want := strconv.Itoa(writers * times); err != nil || string(row.Value) != want {
		t.Errorf("counted to %s, want %s, %v", row.Value, want, err)
	}
	marks, err := direct.Store(table).Scan(t.Context(), "p", "by|", "by||", store.MaxScan)
	if err != nil || len(marks) != writers*times {
		t.Errorf("%d marks, want %d, %v", len(marks), writers*times, err)
	}
	if uncertain.Load() == 0 {
		t.Error("no outcome was uncertain: the test tests nothing")
	}
}

// each makes one call of each kind, all at once.
func each(d store.Driver, q queue.Queue, sort string, op store.Op, check func(what string, err error)) {
	var all sync.WaitGroup
	ctx := context.Background()
	all.Go(func() { _, err := d.Get(ctx, "p", sort); check("Get", err) })
	all.Go(func() { check("Apply", d.Apply(ctx, "p", op)) })
	all.Go(func() { check("Send", q.Send(ctx, []byte("x"), 0)) })
	all.Wait()
}

// Azurite goes and comes back: what it acknowledged is there, and nothing has to be opened again.
func TestOutage(t *testing.T) {
	t.Parallel()
	azurite := azuritetest.Start(t)
	a := account(t, azurite.ConnectionString())
	d, q := a.Store(fresh()), a.Queue(fresh())
	apply(t, d, put("before", "x"))
	before, err := d.Get(t.Context(), "p", "before")
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Send(t.Context(), []byte("before"), 0); err != nil {
		t.Fatal(err)
	}
	azurite.Stop()
	each(d, q, "before", create("during"), func(what string, err error) {
		if !open(err) {
			t.Errorf("%s during the outage: %v", what, err)
		}
	})
	azurite.Start()
	row, err := d.Get(t.Context(), "p", "before")
	if err != nil || string(row.Value) != "x" || row.Version != before.Version {
		t.Errorf("after the outage the row is %q, version %s, %v; want version %s", row.Value, row.Version, err, before.Version)
	}
	if has(t, d, "during") {
		t.Error("what was sent to nobody is there")
	}
	apply(t, d, create("during"), store.Op{Kind: store.Replace, Sort: "before", Version: before.Version})
	if err := q.Send(t.Context(), []byte("after"), 0); err != nil {
		t.Error(err)
	}
}

// A write that finds nobody waits for a moment: nothing was sent yet.
func TestShortOutage(t *testing.T) {
	tries := 0
	azurite := azuritetest.Start(t)
	table := fresh()
	apply(t, account(t, azurite.ConnectionString()).Store(table), put("other", ""))
	a, err := connect(setting(azurite.ConnectionString()), transport(func(r *http.Request) (*http.Response, error) {
		if tries++; tries < 3 {
			client := &http.Client{Transport: &http.Transport{}}
			r = r.Clone(r.Context())
			r.URL.Host = "127.0.0.1:1" // nobody listens
			return client.Do(r)
		}
		return newTransport().Do(r)
	}))
	if err != nil {
		t.Fatal(err)
	}
	apply(t, a.Store(table), create("row"))
	if tries != 3 {
		t.Errorf("%d tries, want 3", tries)
	}
}
