package local

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"carillon/shared/host"
)

var (
	loopback = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7071}
	network  = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7071}
	keys     = Keys{List: "list-key-0123456789", Operate: "operate-key-01234567", Author: "author-key-0123456789"}
)

// door is the handler before functions that say who came in.
func door(at net.Addr, keys Keys) (*Host, http.Handler) {
	says := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get(actorHeader)) })
	h := &Host{
		Functions: host.Functions{API: says, Studio: says, Webhook: says}, Keys: keys, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Backup: func(w io.Writer) (int64, error) { n, err := io.WriteString(w, "state"); return int64(n), err },
		poke:   make(chan struct{}, 1),
	}
	return h, h.handler(at)
}

func TestWhoComesIn(t *testing.T) {
	list, operate, author := []string{"x-functions-key", keys.List}, []string{"x-functions-key", keys.Operate}, []string{"x-functions-key", keys.Author}
	for _, row := range []struct {
		name         string
		at           net.Addr
		keys         Keys
		method, path string
		headers      []string
		status       int
	}{
		{"loopback", loopback, Keys{}, "GET", "/api/schedules", nil, 200},
		{"localhost", loopback, Keys{}, "GET", "/api/schedules", []string{"Host", "localhost:7071"}, 200},
		{"IPv6", loopback, Keys{}, "GET", "/api/schedules", []string{"Host", "[::1]:7071"}, 200},
		{"a name that was bound to us", loopback, Keys{}, "GET", "/api/schedules", []string{"Host", "evil.example:7071"}, 403},
		{"a name like ours", loopback, Keys{}, "GET", "/api/schedules", []string{"Host", "localhost.evil.example"}, 403},
		{"no name", loopback, Keys{}, "GET", "/api/schedules", []string{"Host", ""}, 403},
		{"the same origin", loopback, Keys{}, "POST", "/api/schedules", []string{"Origin", "http://127.0.0.1:7071"}, 200},
		{"another origin", loopback, Keys{}, "POST", "/api/schedules", []string{"Origin", "https://evil.example"}, 403},
		{"another port", loopback, Keys{}, "POST", "/api/schedules", []string{"Origin", "http://127.0.0.1:8080"}, 403},
		{"an opaque origin", loopback, Keys{}, "GET", "/api/runs", []string{"Origin", "null"}, 403},
		{"another origin with a key", network, keys, "POST", "/api/schedules", append([]string{"Origin", "https://evil.example"}, author...), 403},

		{"no key", network, keys, "GET", "/api/schedules", nil, 401},
		{"a wrong key", network, keys, "GET", "/api/schedules", []string{"x-functions-key", "list-key-012345678"}, 401},
		{"an empty key", network, Keys{Author: keys.Author}, "GET", "/api/schedules", []string{"x-functions-key", ""}, 401},
		{"no key on loopback", loopback, keys, "GET", "/api/studio", nil, 401},
		{"list lists", network, keys, "GET", "/api/schedules", list, 200},
		{"list sees the page", network, keys, "GET", "/api/studio", list, 200},
		{"list disables", network, keys, "POST", "/api/schedules/s/disable", list, 403},
		{"list creates", network, keys, "POST", "/api/schedules", list, 403},
		{"operate lists", network, keys, "GET", "/api/runs", operate, 200},
		{"operate disables", network, keys, "POST", "/api/schedules/s/disable", operate, 200},
		{"operate cancels", network, keys, "POST", "/api/runs/r/cancel", operate, 200},
		{"operate creates", network, keys, "POST", "/api/schedules", operate, 403},
		{"operate changes", network, keys, "PATCH", "/api/schedules/s", operate, 403},
		{"operate deletes", network, keys, "DELETE", "/api/schedules/trigger", operate, 403},
		{"author creates", network, keys, "POST", "/api/schedules", author, 200},
		{"a key in the query", network, keys, "GET", "/api/schedules?code=" + keys.List, nil, 200},
		{"a key as a password", network, keys, "GET", "/api/studio", []string{"Authorization", "Basic eDpsaXN0LWtleS0wMTIzNDU2Nzg5"}, 200},

		{"list posts events", network, keys, "POST", "/api/events", list, 403},
		{"operate posts events", network, keys, "POST", "/api/events?code=" + keys.Operate, nil, 200},
		{"a handshake", network, keys, "OPTIONS", "/api/events?code=" + keys.Operate, []string{"WebHook-Request-Origin", "eventgrid.azure.net"}, 200},
		{"a handshake without a key", network, keys, "OPTIONS", "/api/events", []string{"WebHook-Request-Origin", "eventgrid.azure.net"}, 401},
		{"events of another origin", network, keys, "POST", "/api/events?code=" + keys.Operate, []string{"Origin", "eventgrid.azure.net"}, 200},
		{"events of another origin with a wrong key", network, keys, "POST", "/api/events?code=x", []string{"Origin", "eventgrid.azure.net"}, 401},
		{"events of another origin with a password", network, keys, "POST", "/api/events", []string{"Origin", "https://evil.example", "Authorization", "Basic eDpvcGVyYXRlLWtleS0wMTIzNDU2Nw=="}, 403},
		{"events of another origin where nobody has a key", loopback, Keys{}, "POST", "/api/events?code=x", []string{"Origin", "https://evil.example"}, 403},
		{"list looks at a run as v1's clients do", network, keys, "GET", "/history/v1.0/subscriptions/s/runs/r/details", list, 200},
		{"list submits as they do", network, keys, "POST", "/pipelines/v1.0/subscriptions/s/PipelineRuns/PipelineSubmit/p", list, 403},
		{"operate submits as they do", network, keys, "POST", "/Pipelines/v1.0/subscriptions/s/PipelineRuns/PipelineSubmit/p", operate, 200},
		{"operate cancels as they do", network, keys, "DELETE", "/pipelines/v1.0/subscriptions/s/PipelineRuns/r/Execution", operate, 200},
		{"they have no key", network, keys, "POST", "/pipelines/v1.0/subscriptions/s", []string{"Authorization", "Bearer t"}, 401},
		{"they come by a name that was bound to us", loopback, Keys{}, "POST", "/pipelines/v1.0/subscriptions/s", []string{"Host", "evil.example"}, 403},
		{"another version of theirs", loopback, Keys{}, "GET", "/pipelines/v2.0/subscriptions/s", nil, 404},
		{"backup by list", network, keys, "GET", "/api/backup", list, 403},
		{"backup by author", network, keys, "GET", "/api/backup", author, 200},
		{"the front door", loopback, Keys{}, "GET", "/", nil, 302},
		{"an event path", loopback, Keys{}, "POST", "/submit", nil, 404},
	} {
		_, handler := door(row.at, row.keys)
		r := httptest.NewRequest(row.method, row.path, nil)
		r.Host = "127.0.0.1:7071"
		for i := 0; i+1 < len(row.headers); i += 2 {
			r.Header.Set(row.headers[i], row.headers[i+1])
			if row.headers[i] == "Host" {
				r.Host = row.headers[i+1]
			}
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != row.status {
			t.Errorf("%s: %d %s, want %d", row.name, w.Code, w.Body, row.status)
		}
	}
}

func TestActor(t *testing.T) {
	for _, row := range []struct {
		keys        Keys
		key, claims string
		want        string
	}{
		{Keys{}, "", "ann@laptop", "ann@laptop"},
		{Keys{}, "", "", "somebody on this machine"},
		{keys, keys.Operate, "ann@laptop", "key to operate ann@laptop"},
		{keys, keys.Author, "", "key to author"},
	} {
		_, handler := door(loopback, row.keys)
		r := httptest.NewRequest("GET", "/api/schedules", nil)
		r.Host = "localhost"
		r.Header.Set("x-functions-key", row.key)
		r.Header.Set(actorHeader, row.claims)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Body.String() != row.want {
			t.Errorf("%q with key %q acts as %q, want %q", row.claims, row.key, w.Body, row.want)
		}
	}
}

func TestChangesWakeTheClock(t *testing.T) {
	for method, want := range map[string]int{"GET": 0, "POST": 1, "PATCH": 1, "DELETE": 1} {
		h, handler := door(loopback, Keys{})
		r := httptest.NewRequest(method, "/api/schedules", nil)
		r.Host = "localhost"
		handler.ServeHTTP(httptest.NewRecorder(), r)
		if got := len(h.poke); got != want {
			t.Errorf("%s wakes the clock %d times, want %d", method, got, want)
		}
	}
}

// What clients of Azure ML v1 ask at the root is answered where the façade is, with its escapes and its query.
func TestWhereTheFacadeIs(t *testing.T) {
	h, _ := door(loopback, Keys{})
	h.Functions.API = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.String()) })
	handler := h.handler(loopback)
	for path, want := range map[string]string{
		"/pipelines/v1.0/s/PipelineRuns/x":                     "/api/azureml/pipelines/v1.0/s/PipelineRuns/x",
		"/history/v1.0/s/experiments/a%2Fb%20c/runs:query?x=1": "/api/azureml/history/v1.0/s/experiments/a%2Fb%20c/runs:query?x=1",
		"/api/azureml/history/v1.0/s/runs/r/details":           "/api/azureml/history/v1.0/s/runs/r/details",
	} {
		r := httptest.NewRequest("GET", path, nil)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		if handler.ServeHTTP(w, r); w.Body.String() != want {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
