package azure

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"carillon/shared/host"
)

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
		{"no key, merged query", "GET", "/api/runs?limit=1,2", nil, false, "anybody", "limit=1,2"},
		{"a caller's word", "GET", "/api/runs", http.Header{actorHeader: {" ann "}, keyHeader: {"secret"}}, false, "function key to list (ann)", ""},
		{"nobody has signed in", "GET", "/api/runs", http.Header{principal: {"ann"}}, false, "anybody", ""},
		{"somebody has", "GET", "/api/runs", http.Header{principal: {"ann"}, actorHeader: {"bob"}}, true, "ann (bob)", ""},
		{"a key in place of signing in", "GET", "/api/runs?code=secret", nil, true, "function key to list", ""},
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

// What a real host proxied arrives as it was.
func TestProxiedSamples(t *testing.T) {
	for _, name := range []string{"http, proxied", "http, proxied without a body"} {
		s := readSamples(t)[name]
		var method, uri, body, kind, id string
		server := serveHost(t, host.Functions{API: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			method, uri, body, kind, id = r.Method, r.RequestURI, string(text), r.Header.Get("Content-Type"), invocation(r)
			w.WriteHeader(http.StatusNoContent)
		})}, time.Hour)
		answer, err := sendTo(server.URL, s.Method, s.URI, s.Hdr, s.Body)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if method != s.Method || uri != s.URI || body != s.Body || kind != s.Hdr.Get("Content-Type") || id == "" || id != s.Hdr.Get("X-Ms-Invocation-Id") {
			t.Errorf("%s: the function saw %s %s %q %q %q", name, method, uri, body, kind, id)
		}
		if answer.StatusCode != http.StatusNoContent {
			t.Errorf("%s: answered %d", name, answer.StatusCode)
		}
	}
}

// A path that leads elsewhere is not even shown to a function, whose router might follow it.
func TestUncleanPaths(t *testing.T) {
	var seen []string
	note := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = append(seen, r.RequestURI) })
	h := &Host{Functions: host.Functions{API: note, Studio: note}, Log: slog.New(slog.DiscardHandler)}
	for _, target := range []string{
		"/api", "/api/../submit", "/api/./x", "/api//x", "/api/x/..", "/api/..%2fsubmit", "/api/%2e%2e/submit", "/api/a%2F%2Fb", "/submit", "/x", "/api.x", "/",
	} {
		w := httptest.NewRecorder()
		h.Handler().ServeHTTP(w, httptest.NewRequest("GET", target, nil))
		if want := http.StatusNotFound; target != "/" && w.Code != want {
			t.Errorf("%s: %d, want %d", target, w.Code, want)
		}
	}
	if len(seen) > 0 {
		t.Errorf("functions saw %q", seen)
	}
	for target, want := range map[string]string{
		"/api/x": "api", "/api/x/": "api", "/api/a%2Fb": "api", "/api/a..b": "api", "/api/studios": "api", "/api/eventsx": "api", "/api/events/x": "api", "/api/blob_inbox": "api",
		"/api/studio": "studio", "/api/studio/": "studio", "/api/studio/x": "studio", "/api/events": "webhook", "/api/events?code=x": "webhook",
	} {
		got := ""
		say := func(name string) http.Handler {
			return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { got = name })
		}
		h := &Host{Functions: host.Functions{API: say("api"), Studio: say("studio"), Webhook: say("webhook")}, Log: slog.New(slog.DiscardHandler)}
		h.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, nil))
		if got != want {
			t.Errorf("%s came to %q, want %s", target, got, want)
		}
	}
}

// Where nothing is watched, nothing is there to post events to, and the host hears that its events are not done.
func TestNothingIsWatched(t *testing.T) {
	h := &Host{Log: slog.New(slog.DiscardHandler)}
	for target, want := range map[string]int{"/api/events": 404, "/datastore": 503, "/changes": 503, "/poison": 503, "/poison_Lake": 503, "/blob_inbox": 503} {
		const call = `{"Data":{"message":"eA==","blob":"eA=="},"Metadata":{"name":"\"a\""}}`
		w := httptest.NewRecorder()
		h.Handler().ServeHTTP(w, httptest.NewRequest("POST", target, strings.NewReader(call)))
		if w.Code != want {
			t.Errorf("%s: %d %s, want %d", target, w.Code, w.Body, want)
		}
	}
}

// What a function streams arrives while it goes on, and an answer that breaks off is seen to.
func TestStream(t *testing.T) {
	read := make(chan struct{})
	server := serveHost(t, host.Functions{API: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "begun")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		<-read
		panic("on purpose")
	})}, time.Hour)
	answer, err := http.Get(server.URL + "/api/runs/a/output")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var five [5]byte
	if _, err := io.ReadFull(answer.Body, five[:]); err != nil {
		t.Error(err)
	}
	close(read)
	if rest, err := io.ReadAll(answer.Body); err == nil {
		t.Errorf("the answer ends well, with %q", rest)
	}
}
