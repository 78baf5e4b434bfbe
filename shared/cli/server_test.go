package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

var testNow = time.Date(2026, 11, 22, 19, 10, 24, 0, time.UTC)

// exchange is one request that is expected, to the letter, and its answer.
type exchange struct {
	request string            // "GET /api/runs?limit=100"
	header  map[string]string // beside those that every request has; "*" for any value
	body    string
	status  int // 0 is 200
	sends   map[string]string
	answer  string
}

// script serves the exchanges in their order; anything else is an error of the test.
func script(t *testing.T, exchanges ...exchange) string {
	next := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if next == len(exchanges) {
			t.Errorf("one request too many: %s %s", r.Method, r.URL)
			http.Error(w, "unexpected", http.StatusTeapot)
			return
		}
		want := exchanges[next]
		next++
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if got := r.Method + " " + r.URL.RequestURI(); got != want.request {
			t.Errorf("request %s, want %s", got, want.request)
		}
		if string(body) != want.body {
			t.Errorf("%s has body %s, want %s", want.request, body, want.body)
		}
		checkHeader(t, want, r.Header)
		kind := "application/json"
		if want.status >= 300 {
			kind = "application/problem+json"
		}
		w.Header().Set("Content-Type", kind)
		for name, value := range want.sends {
			w.Header().Set(name, value)
		}
		if want.status != 0 {
			w.WriteHeader(want.status)
		}
		io.WriteString(w, want.answer)
	}))
	t.Cleanup(func() {
		server.Close()
		if next != len(exchanges) {
			t.Errorf("%d requests were made, want %d", next, len(exchanges))
		}
	})
	return server.URL
}

func checkHeader(t *testing.T, want exchange, got http.Header) {
	known := map[string]string{"Accept-Encoding": "gzip", "User-Agent": "*", "X-Carillon-Actor": actor()}
	if want.body != "" {
		known["Content-Type"] = "application/json"
	}
	if want.body != "" || strings.HasPrefix(want.request, "POST") {
		known["Content-Length"] = fmt.Sprint(len(want.body))
	}
	for name, value := range want.header {
		known[http.CanonicalHeaderKey(name)] = value
	}
	for name, value := range known {
		if have := got.Get(name); have == "" || value != "*" && have != value {
			t.Errorf("%s has header %s: %q, want %q", want.request, name, have, value)
		}
	}
	for name := range got {
		if _, ok := known[name]; !ok {
			t.Errorf("%s has header %s: %q, which nobody expects", want.request, name, got.Get(name))
		}
	}
}

// run runs a command line against an endpoint.
func run(t *testing.T, endpoint, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Setenv("CARILLON_ENDPOINT", endpoint)
	return runAs(t.Context(), stdin, args...)
}

func runAs(ctx context.Context, stdin string, args ...string) (code int, stdout, stderr string) {
	return runWith(ctx, commands{
		now:   func() time.Time { return testNow },
		pause: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}, stdin, args...)
}

func runWith(ctx context.Context, c commands, stdin string, args ...string) (code int, stdout, stderr string) {
	var out, errs strings.Builder
	root := c.root("1.2.3")
	root.SetContext(ctx)
	root.SetIn(strings.NewReader(stdin))
	code = Main(root, args, &out, &errs)
	return code, out.String(), errs.String()
}

func compare(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s is\n%s\nwant\n%s", what, got, want)
	}
}
