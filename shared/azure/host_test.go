package azure

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"carillon/shared/host"
	"carillon/shared/host/hosttest"
)

// sample is a request that a real Functions host sent (testdata/calls.jsonl).
type sample struct {
	Name   string
	Method string
	URI    string
	Hdr    http.Header
	Body   string
}

func readSamples(t *testing.T) map[string]sample {
	t.Helper()
	text, err := os.ReadFile("testdata/calls.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]sample{}
	for line := range bytes.Lines(text) {
		var s sample
		if err := json.Unmarshal(line, &s); err != nil {
			t.Fatal(err)
		}
		all[s.Name] = s
	}
	return all
}

// named is the sample as the host would send it to a function of ours: the app that was recorded had other names.
func (s sample) named(function string) sample {
	s.URI = "/" + function
	s.Body = strings.Replace(s.Body, `"Data":{"msg":`, `"Data":{"message":`, 1)
	return s
}

// sendTo sends a request as it is written. A target is not cleaned on the way.
func sendTo(at, method, target string, header http.Header, body string) (*http.Response, error) {
	r, err := http.NewRequest(method, at+target, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		r.Header[name] = values
	}
	return http.DefaultClient.Do(r)
}

// accepted is what a Functions host demands of the answer to an event call.
func accepted(answer *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	var object map[string]json.RawMessage
	switch {
	case err != nil:
		return err
	case answer.StatusCode >= 300:
		return fmt.Errorf("%d: %s", answer.StatusCode, text)
	case answer.Header.Get("Content-Type") != "application/json":
		return errors.New("a success of type " + answer.Header.Get("Content-Type"))
	case json.Unmarshal(text, &object) != nil || object == nil:
		panic("the host would never complete a call with the answer " + string(text))
	}
	return nil
}

func serveHost(t *testing.T, functions host.Functions, deadline time.Duration) *httptest.Server {
	h := &Host{Functions: functions, Deadline: deadline, Log: slog.New(slog.DiscardHandler)}
	server := httptest.NewServer(h.Handler())
	t.Cleanup(server.Close)
	return server
}

// openHost is the Host behind two ways of bringing HTTP to it.
func openHost(outside func(at string) hosttest.Visit) hosttest.Open {
	return func(t *testing.T, functions host.Functions, deadline time.Duration) hosttest.Env {
		server := serveHost(t, functions, deadline)
		deliver := func(s sample) error { return accepted(sendTo(server.URL, s.Method, s.URI, s.Hdr, s.Body)) }
		all := readSamples(t)
		garbage := func(function string, payload []byte) error {
			s := all["queue, binary"].named(function)
			s.Body = string(payload)
			return deliver(s)
		}
		return hosttest.Env{
			Tick: func() error { return deliver(all["timer, on time"].named("recurrence")) },
			Message: func(function string, body []byte) error {
				s := all["queue, binary"].named(function)
				sent := base64.StdEncoding.EncodeToString(body) // by our own queue; the host leaves it so (messageEncoding)
				s.Body = strings.Replace(s.Body, "eyJrIjoxfQ==", base64.StdEncoding.EncodeToString([]byte(sent)), 1)
				return deliver(s)
			},
			Garbage: garbage,
			Samples: hostSamples(all, deliver),
			AtOnce:  32,
			Visit:   outside(server.URL),
		}
	}
}

func hostSamples(all map[string]sample, deliver func(sample) error) []hosttest.Sample {
	const (
		evil = `{"blobTrigger":"blob_inbox","url":"http://127.0.0.1:10000/devstoreaccount1/data/dir3/evil%20name.json","name":"NAME","lastModified":"2026-11-22T17:54:40+00:00"}`
		file = `{"blobTrigger":"blob_inbox","url":"http://127.0.0.1:10000/devstoreaccount1/data/dir1/my%20file.json","name":"dir1/my file.json","lastModified":"2026-11-22T17:40:48+00:00"}`
		fail = `{"blobTrigger":"blob_inbox","url":"http://127.0.0.1:10000/devstoreaccount1/data/dir2/fail.bin","name":"dir2/fail.bin","lastModified":"2026-11-22T17:53:24+00:00"}`
	)
	const overwriting = `{"Id":"SPOOF","DequeueCount":"99","x":{"y":2},"list":[1,2],"fooTrigger":"t","n":5}`
	var out []hosttest.Sample
	for _, s := range []hosttest.Sample{
		{Name: "timer, past due", Function: "recurrence"},
		{Name: "timer, never run", Function: "recurrence"},
		{Name: "timer, on time", Function: "recurrence"},
		{Name: "timer, by hand", Function: "recurrence"},
		{Name: "timer, second try", Function: "recurrence"},
		{Name: "timer by hand, second try", Function: "recurrence"},
		{Name: "queue, binary", Function: "submit", Body: `{"k":1}`},
		{Name: "queue, text", Function: "submit", Body: "plain text"},
		{Name: "queue, text that overwrites the metadata", Function: "follow", Body: overwriting},
		{Name: "queue, text of an object", Function: "follow", Body: `{"k":1}`},
		{Name: "queue, text, second try", Function: "submit", Body: `{"k":1}`},
		{Name: "queue, deferred", Function: "submit", Refused: true},
		{Name: "queue, binary", Function: "datastore", Body: `{"k":1}`},
		{Name: "queue, binary", Function: "changes", Body: `{"k":1}`},
		{Name: "queue, text of an object", Function: "poison", Body: `{"k":1}`},
		{Name: "queue, binary", Function: "poison_Lake", Body: `{"k":1}`},
		{Name: "blob, deferred", Function: "blob_inbox", Body: strings.Replace(evil, "NAME", "evil name", 1)}, // its path was {dir}/{name}.{ext}
		{Name: "blob, binary", Function: "blob_inbox", Body: strings.Replace(evil, "NAME", "dir3/evil name.json", 1)},
		{Name: "blob, text", Function: "blob_inbox", Body: file},
		{Name: "blob, string", Function: "blob_inbox", Body: fail},
		{Name: "queue, binary", Function: "blob_inbox", Refused: true},
		{Name: "blob, binary", Function: "changes", Refused: true},
		{Name: "http, neither proxied nor forwarded", Function: "list", Refused: true},
	} {
		recorded, ok := all[s.Name]
		if !ok {
			panic("there is no sample " + s.Name)
		}
		call := recorded.named(s.Function)
		s.Deliver = func() error { return deliver(call) }
		if _, known := map[string]bool{"recurrence": true, "submit": true, "follow": true}[s.Function]; !known {
			s.Function = "datastore"
		}
		out = append(out, s)
	}
	return out
}

// proxied is how a host brings HTTP with enableProxyingHttpRequest: only what is below /api/, with its own id.
func proxied(at string) hosttest.Visit {
	return func(r *http.Request) (*http.Response, error) {
		target := r.URL.RequestURI()
		if !strings.HasPrefix(target, "/api/") {
			return httptest.NewRecorder().Result(), nil
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		header := r.Header.Clone()
		header["X-Azure-Functions-Invocationid"] = []string{"0a69326e-938b-4c2e-a788-06fea6e335e2"}
		header["X-Forwarded-Host"] = []string{r.URL.Host}
		return sendTo(at, r.Method, target, header, string(body))
	}
}

// forwarded is how a host brings HTTP with enableForwardingHttpRequest: its id comes after the caller's own.
func forwarded(at string) hosttest.Visit {
	return func(r *http.Request) (*http.Response, error) {
		if !strings.HasPrefix(r.URL.RequestURI(), "/api/") {
			return httptest.NewRecorder().Result(), nil
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		header := r.Header.Clone()
		header["X-Azure-Functions-Invocationid"] = []string{"the-caller's, 0a69326e-938b-4c2e-a788-06fea6e335e2"}
		header["User-Agent"] = []string{"Azure-Functions-Host/4.1045.200.25556"}
		return sendTo(at, r.Method, r.URL.RequestURI(), header, string(body))
	}
}

func TestHostProxied(t *testing.T)   { hosttest.Run(t, openHost(proxied)) }
func TestHostForwarded(t *testing.T) { hosttest.Run(t, openHost(forwarded)) }

func TestReady(t *testing.T) {
	server := serveHost(t, host.Functions{}, time.Hour)
	s := readSamples(t)["ready"]
	if err := accepted(sendTo(server.URL, s.Method, s.URI, s.Hdr, s.Body)); err != nil {
		t.Error(err)
	}
}

func TestOrphaned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now atomic.Int64
		now.Store(7)
		ctx, cancel := context.WithCancel(t.Context())
		gone := orphaned(ctx, func() int { return int(now.Load()) }, 7)
		began := time.Now()
		time.Sleep(time.Hour + watchEvery/2)
		select {
		case <-gone:
			t.Fatal("orphaned while the parent lives")
		default:
		}
		now.Store(1)
		<-gone
		if took := time.Since(began) - time.Hour; took > 2*watchEvery {
			t.Errorf("seen after %v", took)
		}
		now.Store(7)
		gone = orphaned(ctx, func() int { return int(now.Load()) }, 7)
		cancel()
		synctest.Wait()
		select {
		case <-gone:
			t.Error("orphaned when the watch ends")
		default:
		}
	})
}

// occupy listens on a port below those that systems give to outgoing connections, so that it can be freed and had again.
func occupy(t *testing.T) net.Listener {
	t.Helper()
	var err error
	for range 100 {
		var listener net.Listener
		if listener, err = net.Listen("tcp", fmt.Sprint("127.0.0.1:", 20000+rand.IntN(12000))); err == nil {
			return listener
		}
	}
	t.Fatal(err)
	return nil
}

func TestServe(t *testing.T) {
	free := occupy(t)
	_, port, _ := net.SplitHostPort(free.Addr().String())
	h := &Host{Log: slog.New(slog.DiscardHandler)}
	for _, c := range []string{"", "x", "0", "-1", "65536", port} { // the last is taken
		var stopped *Stopped
		if err := h.Serve(t.Context(), c); !errors.As(err, &stopped) || stopped.Code != ExitFault {
			t.Errorf("port %q: got %v", c, err)
		}
	}
	free.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- h.Serve(ctx, port) }()
	for accepted(sendTo("http://127.0.0.1:"+port, "GET", "/", nil, "")) != nil {
		if t.Context().Err() != nil {
			t.Fatal("never ready")
		}
	}
	cancel()
	var stopped *Stopped
	if err := <-ended; !errors.As(err, &stopped) || stopped.Code != ExitRecycle || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want a recycle", err)
	}
}
