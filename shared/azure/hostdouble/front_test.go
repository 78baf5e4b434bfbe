package hostdouble_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"carillon/shared/azure/hostdouble"
)

// visit sends a request to the app's face and returns the status and the body.
func visit(t testing.TB, h *hostdouble.Host, method, target, body string, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, h.URL+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Error(err)
	}
	return answer.StatusCode, string(text)
}

func TestRoutesAndKeys(t *testing.T) {
	h := hostdouble.Start(t, stage(t, hostFile, nil), settings(nowhere))
	list, author, runs := h.Key("list"), h.Key("author"), h.Key("runs")
	made := 0
	for _, c := range []struct {
		method, target, key string
		status              int
		function            string
	}{
		{"GET", "/api/schedules", list, 200, "list"},
		{"GET", "/api/schedules/", list, 200, "list"},
		{"GET", "/api/schedules/a", list, 200, "list"},
		{"GET", "/API/Schedules/a", list, 200, "list"},
		{"GET", "/api/schedules?code=" + list, "", 200, "list"},
		{"GET", "/api/schedules", "", 401, ""},
		{"GET", "/api/schedules", author, 401, ""},
		{"GET", "/api/schedules?code=x", list, 200, "list"},
		{"GET", "/api/schedules/a/b", list, 404, ""},
		{"HEAD", "/api/schedules", list, 404, ""},
		{"PUT", "/api/schedules", author, 404, ""},
		{"POST", "/api/schedules", author, 200, "author"},
		{"DELETE", "/api/schedules/a", author, 200, "author"},
		{"POST", "/api/schedules/a/enable", author, 401, ""},
		{"POST", "/api/schedules/a/enable", h.Key("operate"), 200, "operate"},
		{"GET", "/api/runs", runs, 200, "runs"},
		{"GET", "/api/runs/a/b/c", runs, 200, "runs"},
		{"GET", "/api/studio/x", "", 200, "studio"},
		{"GET", "/api//schedules", list, 404, ""},
		{"GET", "//api/schedules", list, 404, ""},
		{"GET", "/api/x/../schedules", list, 200, "list"},
		{"GET", "/api/%2e%2e/api/schedules", list, 200, "list"},
		{"GET", "/", "", 200, ""},
		{"POST", "/recurrence", author, 404, ""},
		{"POST", "/api/recurrence", author, 404, ""},
		{"POST", "/api/../recurrence", author, 404, ""},
		{"POST", "/api/schedules/%2e%2e/%2e%2e/recurrence", author, 404, ""},
		{"POST", "/admin/functions/recurrence", author, 404, ""},
	} {
		status, _ := visit(t, h, c.method, c.target, "", "x-functions-key", c.key)
		if status != c.status {
			t.Errorf("%s %s: %d, want %d", c.method, c.target, status, c.status)
		}
		if c.function == "" {
			continue
		}
		made++
		await(t, "the record", func() bool { return len(h.Invocations()) == made })
		if function := h.Invocations()[made-1].Function; function != c.function {
			t.Errorf("%s %s: answered by %s, want %s", c.method, c.target, function, c.function)
		}
	}
	if calls := h.Invocations(); len(calls) != made {
		t.Errorf("%d calls, want %d: %+v", len(calls), made, calls)
	}
}

func TestProxying(t *testing.T) {
	h := hostdouble.Start(t, stage(t, hostFile, nil), settings(nowhere))
	status, text := visit(t, h, "POST", "/api/schedules/a%2Fb%7Cc?x=1&x=2&y=%20z", "do nothing", "x-functions-key", h.Key("author"),
		"X-Azure-Functions-InvocationId", "mine", "X-Foo", "a", "X-Foo", "b")
	if status != 200 || text != `{"Outputs":{}}` {
		t.Errorf("answered %d %s", status, text)
	}
	got := seen(t, h, "/api/schedules/a%252Fb%7Cc?x=1&x=2&y=%20z", 1)[0]
	id := ended(t, h, "author", 1)[0].ID
	if ids := got.Header["X-Azure-Functions-Invocationid"]; fmt.Sprint(ids) != fmt.Sprint([]string{id}) || got.Header.Get("X-Ms-Invocation-Id") != id {
		t.Errorf("ids %v, want %s", ids, id)
	}
	if got.Body != "do nothing" || fmt.Sprint(got.Header["X-Foo"]) != "[a b]" || !strings.HasPrefix(got.Host, "127.0.0.1:") ||
		got.Header.Get("X-Forwarded-Host") != strings.TrimPrefix(h.URL, "http://") || got.Header.Get("X-Functions-Key") == "" {
		t.Errorf("the handler saw %+v", got)
	}
}

func TestForwarding(t *testing.T) {
	forwarding := strings.Replace(hostFile, "enableProxyingHttpRequest", "enableForwardingHttpRequest", 1)
	h := hostdouble.Start(t, stage(t, forwarding, nil), settings(nowhere))
	status, text := visit(t, h, "POST", "/api/schedules/a%2Fb%7Cc?x=1&x=2&y=%20z", "do nothing", "x-functions-key", h.Key("author"),
		"X-Azure-Functions-InvocationId", "mine", "User-Agent", "curl")
	if status != 200 || text != `{"Outputs":{}}` {
		t.Errorf("answered %d %s", status, text)
	}
	got := seen(t, h, "/api/schedules/a%2Fb%7Cc?x=1,2&y=%20z", 1)[0]
	if ids := got.Header["X-Azure-Functions-Invocationid"]; fmt.Sprint(ids) != "[mine, "+ended(t, h, "author", 1)[0].ID+"]" {
		t.Errorf("ids %v", ids)
	}
	if got.Body != "do nothing" || got.Host != strings.TrimPrefix(h.URL, "http://") || !strings.HasPrefix(got.Header.Get("User-Agent"), "curl Azure-Functions-Host/") {
		t.Errorf("the handler saw %+v", got)
	}
	r, err := http.NewRequest("POST", h.URL+"/api/schedules", io.MultiReader(strings.NewReader("chunked")))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("x-functions-key", h.Key("author"))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusInternalServerError {
		t.Errorf("a chunked body: %d", answer.StatusCode)
	}
}

// Whatever the handler answers is the response, and a success to the host.
func TestVisitsAlwaysSucceed(t *testing.T) {
	for _, mode := range []string{"enableProxyingHttpRequest", "enableForwardingHttpRequest"} {
		hears := &listener{TB: t}
		h := hostdouble.Start(hears, stage(t, strings.Replace(hostFile, "enableProxyingHttpRequest", mode, 1), nil), settings(nowhere, "DO", "503"))
		status, text := visit(t, h, "GET", "/api/studio/", "")
		if calls := ended(t, h, "studio", 1); status != 503 || text != "" || len(calls) != 1 || calls[0].Err != nil || calls[0].Status != 503 {
			t.Errorf("%s: %d %q, %+v", mode, status, text, calls)
		}
		h.KillHandler()
		h.KillHandler()
		h.KillHandler()
		if status, _ := visit(t, h, "GET", "/api/studio/", ""); status != http.StatusInternalServerError {
			t.Errorf("%s: without a handler: %d", mode, status)
		}
		hears.expect()
	}
}

func TestRoutesThatOverlap(t *testing.T) {
	hears := &listener{TB: t}
	h := hostdouble.Start(hears, stage(t, hostFile, map[string]string{"other": httpFile("{what}", "function", "get")}), settings(nowhere))
	visit(t, h, "GET", "/api/schedules/a", "")
	hears.expect()
	visit(t, h, "GET", "/api/schedules", "")
	hears.expect("route of list and of other")
}
