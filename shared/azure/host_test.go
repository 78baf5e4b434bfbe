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
				s.Body = strings.Replace(s.Body, "eyJrIjoxfQ==", base64.StdEncoding.EncodeToString(body), 1)
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
		{Name: "http, neither proxied nor forwarded", Function: "list", Refused: true},
	} {
		call := all[s.Name].named(s.Function)
		s.Deliver = func() error { return deliver(call) }
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
	if err := accepted(sendTo(server.URL, "GET", "/", nil, "")); err != nil {
		t.Error(err)
	}
}

func TestHorizon(t *testing.T) {
	at := func(text string) time.Time {
		v, err := time.Parse(time.RFC3339Nano, "2026-11-22T"+text+"Z")
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct{ name, now, next, want string }{
		{"on time: the host names this very tick", "17:55:00.005", "17:55:00", "17:56:00"},
		{"a few milliseconds early", "17:54:59.995", "17:55:00", "17:56:00"},
		{"past due", "17:54:38.9", "17:48:00", "17:55:00"},
		{"by hand, between two ticks", "17:46:49", "17:47:00", "17:47:00"},
		{"another second than the full minute", "17:46:31", "17:47:30", "17:47:30"},
		{"never run, next year", "17:54:43", "23:59:59", "17:55:00"},
		{"a second try", "17:47:02.04", "17:47:00", "17:48:00"},
	} {
		if got := horizon(at(c.now), at(c.next)); !got.Equal(at(c.want)) {
			t.Errorf("%s: got %v, want %s", c.name, got, c.want)
		}
	}
	if got := horizon(at("17:54:59.995"), time.Time{}); !got.Equal(at("17:56:00")) {
		t.Errorf("no word of the next tick: got %v", got)
	}
}

func TestNextTick(t *testing.T) {
	want := time.Date(2026, 11, 22, 17, 48, 0, 0, time.UTC)
	const object = `{"ScheduleStatus":{"Next":"2026-11-22T17:48:00+00:00"}}`
	once, _ := json.Marshal(object)
	twice, _ := json.Marshal(string(once))
	thrice, _ := json.Marshal(string(twice))
	for text, want := range map[string]time.Time{
		object: want, string(once): want, string(twice): want, string(thrice): {},
		`{"ScheduleStatus":{"Next":"2026-11-22T17:48:00"}}`:              want,
		`{"ScheduleStatus":{"Next":"2026-11-22T18:48:00.000000+01:00"}}`: want,
		`{"ScheduleStatus":{"Next":"\"2026-11-22T17:48:00Z\""}}`:         {},
		`{"ScheduleStatus":null}`:                                        {},
		`{"ScheduleStatus":{"Next":7}}`:                                  {},
		`{"ScheduleStatus":"x"}`:                                         {},
		`7`:                                                              {},
		`[]`:                                                             {},
	} {
		if got := nextTick([]byte(text)); !got.Equal(want) {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}

func TestMessageBody(t *testing.T) {
	for _, c := range []struct{ data, want string }{
		{`"eyJrIjoxfQ=="`, `{"k":1}`},
		{`""`, ""},
		{`"\"eyJrIjoxfQ==\""`, "eyJrIjoxfQ=="}, // text that looks like base64
		{`"\"\\\"a\\\"\""`, `"a"`},
		{`"plain text"`, "plain text"},
		{`"{\"k\":1}"`, `{"k":1}`},
		{`{"k":1}`, `{"k":1}`},
		{`7`, "7"},
	} {
		if got, err := messageBody([]byte(c.data)); err != nil || string(got) != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.data, got, err, c.want)
		}
	}
}

// FuzzEvent: whatever is posted to an event function, the answer is one that the host takes as a success or a failure.
func FuzzEvent(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"Data":{"message":"eA==","tick":{}}}`, `{"Data":{"message":"\"x\"","tick":"\"\""}}`} {
		f.Add("submit", []byte(seed))
		f.Add("recurrence", []byte(seed))
	}
	h := &Host{Log: slog.New(slog.DiscardHandler), Functions: host.Functions{
		Recurrence: func(context.Context, time.Time, time.Time) error { return nil },
		Submit:     func(context.Context, []byte) error { return nil },
	}}
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		if name != "submit" {
			name = "recurrence"
		}
		w := httptest.NewRecorder()
		h.Handler().ServeHTTP(w, httptest.NewRequest("POST", "/"+name, bytes.NewReader(body)))
		if err := accepted(w.Result(), nil); err != nil && w.Code != http.StatusBadRequest {
			t.Errorf("%q: %v", body, err)
		}
	})
}

func TestActor(t *testing.T) {
	var who, query, key, uri string
	api := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		who, query, key, uri = r.Header.Get(actorHeader), r.URL.RawQuery, r.Header.Get(keyHeader), r.RequestURI
	})
	const principal = "X-Ms-Client-Principal-Name"
	for _, c := range []struct {
		name, method, target string
		header               http.Header
		signedIn             bool
		who, query           string
	}{
		{"a key", "GET", "/api/runs?limit=2&code=secret", nil, false, "function key to list", "limit=2"},
		{"a key in capitals", "POST", "/api/runs/a/cancel?CODE=secret", nil, false, "function key to operate", ""},
		{"a key in an encoded name", "GET", "/api/runs?c%6fde=secret&b", nil, false, "function key to list", "b"},
		{"a key in the header", "DELETE", "/api/schedules/a", http.Header{keyHeader: {"secret"}}, false, "function key to author", ""},
		{"merged keys", "GET", "/api/runs?limit=1,2", nil, false, "function key to list", "limit=1,2"},
		{"a caller's word", "GET", "/api/runs", http.Header{actorHeader: {" ann "}}, false, "function key to list (ann)", ""},
		{"nobody has signed in", "GET", "/api/runs", http.Header{principal: {"ann"}}, false, "function key to list", ""},
		{"somebody has", "GET", "/api/runs", http.Header{principal: {"ann"}, actorHeader: {"bob"}}, true, "ann (bob)", ""},
		{"a key beside signing in", "GET", "/api/runs", nil, true, "function key to list", ""},
	} {
		who, query, key, uri = "", "", "", ""
		h := &Host{Functions: host.Functions{API: api}, SignedIn: c.signedIn, Log: slog.New(slog.DiscardHandler)}
		r := httptest.NewRequest(c.method, c.target, nil)
		for name, values := range c.header {
			r.Header[name] = values
		}
		h.Handler().ServeHTTP(httptest.NewRecorder(), r)
		if who != c.who || query != c.query {
			t.Errorf("%s: got actor %q and query %q, want %q and %q", c.name, who, query, c.who, c.query)
		}
		if key != "" || strings.Contains(uri, "secret") {
			t.Errorf("%s: the function sees the key: %q, %q", c.name, key, uri)
		}
	}
}

// A page of another site can use the cookie of somebody who has signed in, but it has no key.
func TestOtherSites(t *testing.T) {
	called := false
	h := &Host{Log: slog.New(slog.DiscardHandler), SignedIn: true, Functions: host.Functions{
		API: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }),
	}}
	for _, c := range []struct {
		method, target, site, key string
		want                      bool
	}{
		{"POST", "/api/schedules/a/disable", "cross-site", "", false},
		{"POST", "/api/schedules/a/disable", "same-site", "", false},
		{"POST", "/api/schedules/a/disable", "same-origin", "", true},
		{"POST", "/api/schedules/a/disable", "", "", true},
		{"GET", "/api/schedules", "cross-site", "", true},
		{"POST", "/api/schedules/a/disable", "cross-site", "secret", true},
		{"POST", "/api/schedules/a/disable?code=secret", "cross-site", "", true},
	} {
		called = false
		r := httptest.NewRequest(c.method, c.target, nil)
		r.Header.Set("Sec-Fetch-Site", c.site)
		r.Header.Set(keyHeader, c.key)
		w := httptest.NewRecorder()
		h.Handler().ServeHTTP(w, r)
		if called != c.want || !called && w.Code != http.StatusForbidden {
			t.Errorf("%+v: called is %t, status %d", c, called, w.Code)
		}
	}
}

func TestHostLog(t *testing.T) {
	var out, errs bytes.Buffer
	log := NewLog(&out, &errs, slog.LevelInfo)
	h := &Host{Log: log, Functions: host.Functions{
		Submit: func(ctx context.Context, body []byte) error {
			log.With("body", string(body)).InfoContext(ctx, "two\nlines")
			log.DebugContext(ctx, "not asked for")
			panic("on purpose")
		},
		API: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { log.WarnContext(r.Context(), "careful") }),
	}}
	post := func(target string, ids ...string) {
		r := httptest.NewRequest("POST", target, strings.NewReader(`{"Data":{"message":"eA=="}}`))
		r.Header["X-Azure-Functions-Invocationid"] = ids
		h.Handler().ServeHTTP(httptest.NewRecorder(), r)
	}
	post("/submit", "one")
	post("/api/schedules", "mine", "first, two")
	log.Info("at large")
	got := logged(t, &out)
	want := []logLine{{Level: "INFO", Msg: "two\nlines", Function: "submit", Invocation: "one"}, {Level: "INFO", Msg: "at large"}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("out: got %v, want %v", got, want)
	}
	got = logged(t, &errs)
	want = []logLine{
		{Level: "ERROR", Msg: "a function panicked", Function: "submit", Invocation: "one"},
		{Level: "WARN", Msg: "the call failed; the host is told so", Function: "submit", Invocation: "one"},
		{Level: "WARN", Msg: "careful", Function: "api", Invocation: "two"},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("errs: got %v, want %v", got, want)
	}
}

type logLine struct{ Level, Msg, Function, Invocation string }

func logged(t *testing.T, text *bytes.Buffer) []logLine {
	t.Helper()
	var all []logLine
	for record := range bytes.Lines(text.Bytes()) {
		var l logLine
		if err := json.Unmarshal(record, &l); err != nil {
			t.Errorf("%s: %v", record, err)
		}
		all = append(all, l)
	}
	return all
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

func TestServe(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
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
