package hosttest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"carillon/shared/host"
)

// Visit sends a request through whatever a platform puts between a caller and the functions. Its target is as somebody
// wrote it: nothing before Visit has cleaned the path. Method, URL, Header and Body are set.
type Visit func(*http.Request) (*http.Response, error)

// visited is a call of an HTTP function.
type visited struct{ function, method, path, query, contentType, body string }

func testVisits(t *testing.T, open Open) {
	var got visited
	f := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Errorf("%s %s: %v", r.Method, r.URL, err)
			}
			got = visited{name, r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Get("Content-Type"), string(body)}
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("ETag", `"7"`)
			w.WriteHeader(http.StatusConflict)
			io.WriteString(w, `{"at":"`+name+`"}`)
		})
	}
	e := open(t, host.Functions{API: f("api"), Studio: f("studio"), Webhook: f("webhook")}, time.Hour)
	if e.Visit == nil {
		t.Skip("the platform brings no HTTP")
	}
	const media = "application/json"
	for _, want := range []visited{
		{"api", "GET", "/api/schedules", "", "", ""},
		{"api", "GET", "/api/runs", "limit=2&token=a%7Cb", "", ""},
		{"api", "GET", "/api/schedules/a%20b", "", "", ""},
		{"api", "POST", "/api/schedules", "", media, `{"name":"ä"}`},
		{"api", "PATCH", "/api/schedules/a", "", media, strings.Repeat("x", 1<<20)},
		{"api", "DELETE", "/api/schedules/a", "", "", ""},
		{"api", "POST", "/api/schedules/a/enable", "", "", ""},
		{"studio", "GET", "/api/studio", "", "", ""},
		{"studio", "GET", "/api/studio/schedules/a", "token=b", "", ""},
		{"webhook", "POST", host.WebhookPath, "", media, `[{"eventType":"x"}]`},
		{"webhook", "OPTIONS", host.WebhookPath, "", "", ""},
	} {
		got = visited{}
		status, body, header := visit(t, e.Visit, want)
		if got != want {
			t.Errorf("%s %s: the function saw %.300q, want %.300q", want.method, want.path, fmt.Sprint(got), fmt.Sprint(want))
		}
		if status != http.StatusConflict || body != `{"at":"`+want.function+`"}` || header.Get("ETag") != `"7"` || header.Get("Content-Type") != media {
			t.Errorf("%s %s: answered %d %q %v", want.method, want.path, status, body, header)
		}
	}
}

func visit(t *testing.T, send Visit, v visited) (status int, body string, header http.Header) {
	t.Helper()
	target := v.path
	if v.query != "" {
		target += "?" + v.query
	}
	r, err := http.NewRequestWithContext(t.Context(), v.method, "http://carillon.example"+target, strings.NewReader(v.body))
	if err != nil {
		t.Fatal(err)
	}
	if v.contentType != "" {
		r.Header.Set("Content-Type", v.contentType)
	}
	answer, err := send(r)
	if err != nil {
		t.Fatalf("%s %s: %v", v.method, v.path, err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Errorf("%s %s: %v", v.method, v.path, err)
	}
	return answer.StatusCode, string(data), answer.Header
}

// Whatever somebody outside asks for, no event comes of it.
func testOutside(t *testing.T, open Open) {
	f := new(recorder)
	functions := f.functions()
	functions.API = http.NotFoundHandler()
	functions.Studio = http.NotFoundHandler()
	functions.Webhook = http.NotFoundHandler()
	e := open(t, functions, time.Hour)
	if e.Visit == nil {
		t.Skip("the platform brings no HTTP")
	}
	for _, name := range append([]string{Recurrence}, messages...) {
		for _, way := range []string{
			"/%s", "//%s", "/api/%s", "/api/../%s", "/api//../%s", "/api/./../%s", "/api/%%2e%%2e/%s", "/api/..%%2f%s", "/api%%2f..%%2f%s",
			"/api/%%252e%%252e/%s", "/api/studio/../../%s", "/api/schedules/%%2e%%2e/%%2e%%2e/%s", "/API/../%s", "/api/..;/%s", "/api/..%%5c%s", "/api/../%s?a=b", "/api/../%s/",
		} {
			target := fmt.Sprintf(way, name)
			const payload = `{"Data":{"message":"eA==","tick":{}},"Metadata":{},"Records":[{"body":"x"}]}`
			visit(t, e.Visit, visited{method: http.MethodPost, path: target, contentType: "application/json", body: payload})
			if calls := f.take(); len(calls) > 0 {
				t.Errorf("POST %s from outside made the calls %v", target, calls)
			}
		}
	}
}

// The process goes on when a function panics.
func testVisitPanics(t *testing.T, open Open) {
	e := open(t, host.Functions{
		API:    http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("on purpose") }),
		Studio: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }),
	}, time.Hour)
	if e.Visit == nil {
		t.Skip("the platform brings no HTTP")
	}
	if status, _, _ := visit(t, e.Visit, visited{method: "GET", path: "/api/schedules"}); status != http.StatusInternalServerError {
		t.Errorf("a panic answered %d, want 500", status)
	}
	if status, _, _ := visit(t, e.Visit, visited{method: "GET", path: "/api/studio"}); status != http.StatusNoContent {
		t.Errorf("after a panic: %d, want 204", status)
	}
}
