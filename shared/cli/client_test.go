package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestPages lists 450 runs in pages. What a page brought is printed before the next one is asked for.
func TestPages(t *testing.T) {
	tests := []struct {
		limit string
		pages []string
		lines int
		note  string
	}{
		{"0", []string{"limit=200", "limit=200&token=200", "limit=200&token=400"}, 450, ""},
		{"1000", []string{"limit=200", "limit=200&token=200", "limit=200&token=400"}, 450, ""},
		{"250", []string{"limit=200", "limit=50&token=200"}, 250, "There are more than these 250; --limit 0 lists all.\n"},
		{"450", []string{"limit=200", "limit=200&token=200", "limit=50&token=400"}, 450, ""},
		{"1", []string{"limit=1"}, 1, "There are more than these 1; --limit 0 lists all.\n"},
	}
	for _, test := range tests {
		var out, errs strings.Builder
		var pages []string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			from, _ := strconv.Atoi(r.URL.Query().Get("token"))
			if lines := strings.Count(out.String(), "\n"); from > 0 && lines != from+1 {
				t.Errorf("limit %s: %d lines were printed when the page from %d was asked for", test.limit, lines, from)
			}
			pages = append(pages, r.URL.RawQuery)
			size, _ := strconv.Atoi(r.URL.Query().Get("limit"))
			io.WriteString(w, numbered(from, size, 450))
		}))
		code := Main(Root("dev"), []string{"runs", "list", "-n", test.limit, "--endpoint", server.URL}, &out, &errs)
		server.Close()
		if code != 0 || strings.Count(out.String(), "\n") != test.lines+1 {
			t.Errorf("limit %s: exit code %d, %d lines, want 0 and %d", test.limit, code, strings.Count(out.String(), "\n"), test.lines+1)
		}
		compare(t, "limit "+test.limit+": stderr", errs.String(), test.note)
		compare(t, "limit "+test.limit+": the pages", strings.Join(pages, " "), strings.Join(test.pages, " "))
	}
}

// numbered is the page of the runs from..all.
func numbered(from, size, all int) string {
	var items []string
	for i := from; i < min(from+size, all); i++ {
		items = append(items, fmt.Sprintf(`{"id":"run-%d","kind":"scheduled"}`, i))
	}
	next := ""
	if from+size < all {
		next = fmt.Sprintf(`,"next":"%d"`, from+size)
	}
	return `{"items":[` + strings.Join(items, ",") + `]` + next + `}`
}

// Filters leave pages short or empty; that does not end a list.
func TestShortPages(t *testing.T) {
	endpoint := script(t,
		exchange{request: "GET /api/runs?limit=3", answer: `{"items":[],"next":"a"}`},
		exchange{request: "GET /api/runs?limit=3&token=a", answer: `{"items":[{"id":"x"}],"next":"b"}`},
		exchange{request: "GET /api/runs?limit=2&token=b", answer: `{"items":[{"id":"y"}]}`})
	code, stdout, stderr := run(t, endpoint, "", "runs", "list", "-n", "3", "-o", "json")
	compare(t, "stdout", stdout, "[\n  {\n    \"id\": \"x\"\n  },\n  {\n    \"id\": \"y\"\n  }\n]\n")
	if code != 0 || stderr != "" {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

func TestListThatFailsLater(t *testing.T) {
	endpoint := script(t,
		exchange{request: "GET /api/runs?limit=200", answer: `{"items":[{"id":"x"}],"next":"a"}`},
		exchange{request: "GET /api/runs?limit=200&token=a", status: 503, answer: `{"code":"unavailable","title":"the store is busy; try again","status":503}`})
	code, stdout, stderr := run(t, endpoint, "", "runs", "list", "-n", "0", "-o", "json")
	compare(t, "stdout", stdout, "[\n  {\n    \"id\": \"x\"\n  }") // no array: nobody takes it for the whole
	compare(t, "stderr", stderr, indented(`{"code":"unavailable","title":"the store is busy; try again","status":503}`))
	if code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
}

func TestSomethingElseAnswers(t *testing.T) {
	html := map[string]string{"Content-Type": "text/html"}
	tests := []struct {
		name   string
		answer exchange
		stderr string
	}{
		{"a page", exchange{sends: html, answer: "<html>"}, "carillon: HERE does not answer as a Carillon does\n  give another --endpoint\n"},
		{"other JSON", exchange{answer: `{"data":[]}`}, "carillon: HERE does not answer as a Carillon does\n  give another --endpoint\n"},
		{"no items", exchange{answer: `{"items":{}}`}, "carillon: HERE does not answer as a Carillon does\n  give another --endpoint\n"},
		{"half an answer", exchange{answer: `{"items":[`}, "carillon: HERE does not answer as a Carillon does\n  give another --endpoint\n"},
		{"the same page again", exchange{answer: `{"items":[],"next":""}`}, "There are no such runs.\n"},
		{"another type", exchange{answer: `{"items":[{"id":7}]}`}, "carillon: the server's answer is not understood (json: cannot unmarshal number into Go struct field runView.ID of type string); -o json shows it\n"},
		{"a gateway", exchange{status: 502, sends: html, answer: "<html>"}, "carillon: the server answered 502 Bad Gateway\n  is it Carillon that answers at HERE? Another one: --endpoint\n"},
		{"a login", exchange{status: 401, sends: html}, "carillon: the server answered 401 Unauthorized\n  is it Carillon that answers at HERE? Another one: --endpoint\n  give a key in CARILLON_KEY, or with --key\n"},
		{
			"a redirect", exchange{status: 307, sends: map[string]string{"Location": "http://elsewhere.invalid/api/runs", "Content-Type": "text/html"}},
			"carillon: the server answered 307 Temporary Redirect\n  it points to http://elsewhere.invalid/api/runs; redirects are not followed, give that --endpoint\n",
		},
		{
			"a hostile text", exchange{status: 404, answer: `{"code":"not_found","title":"\u001b[2Jgone\r\u202e","status":404,"fields":[{"field":"\u0007a","message":"b\nc"}]}`},
			"carillon: \\x1b[2Jgone\\r\\u202e\n  \\aa: b\\nc\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.answer.request = "GET /api/runs?limit=100"
			test.answer.header = map[string]string{"x-functions-key": "a-key"}
			endpoint := script(t, test.answer)
			t.Setenv("CARILLON_KEY", "a-key")
			_, _, stderr := run(t, endpoint, "", "runs", "list")
			compare(t, "stderr", stderr, strings.ReplaceAll(test.stderr, "HERE", endpoint))
		})
	}
}

func TestPageThatRepeatsItself(t *testing.T) {
	endpoint := script(t,
		exchange{request: "GET /api/runs?limit=200", answer: `{"items":[],"next":"a"}`},
		exchange{request: "GET /api/runs?limit=200&token=a", answer: `{"items":[],"next":"a"}`})
	if code, _, _ := run(t, endpoint, "", "runs", "list", "-n", "0"); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
}

func TestNobodyAnswers(t *testing.T) {
	const nowhere = "http://127.0.0.1:0" // nothing can listen on port 0
	code, _, stderr := run(t, nowhere, "", "schedules", "list")
	first, rest, _ := strings.Cut(stderr, "\n")
	if !strings.HasPrefix(first, "carillon: nothing answers at "+nowhere+": ") || code != 1 {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	compare(t, "the hint", rest, "  start it with: carillon serve (or give --endpoint)\n")
}

// A request that may have been done is not called a failure without more.
func TestAnswerThatDoesNotArrive(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer server.Close()
	tests := []struct{ args, stderr string }{
		{"schedules delete a", "carillon: no answer from HERE: EOF\n  it may have been done all the same: look before you do it again\n"},
		{"schedules get a", "carillon: no answer from HERE: EOF\n"},
		{"schedules next -f -", "carillon: no answer from HERE: EOF\n"},
		{"calendars apply a -f -", "carillon: no answer from HERE: EOF\n  it may have been done all the same: look before you do it again\n"},
	}
	for _, test := range tests {
		code, _, stderr := run(t, server.URL, "a: 1", strings.Fields(test.args)...)
		compare(t, "stderr", stderr, strings.ReplaceAll(test.stderr, "HERE", server.URL))
		if code != 1 {
			t.Errorf("exit code %d, want 1", code)
		}
	}
}

func TestOutputThatBreaksOff(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "hello\n")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer server.Close()
	code, stdout, stderr := run(t, server.URL, "", "runs", "output", "x")
	compare(t, "stdout", stdout, "hello\n")
	compare(t, "stderr", stderr, "carillon: no answer from "+server.URL+": unexpected EOF\n")
	if code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
}

// Flags come before the environment, and an endpoint may have a path.
func TestSettings(t *testing.T) {
	endpoint := script(t, exchange{
		request: "GET /below/api/runs?limit=100", header: map[string]string{"x-functions-key": "from-flag"}, answer: `{"items":[]}`,
	})
	t.Setenv("CARILLON_ENDPOINT", "http://127.0.0.1:0")
	t.Setenv("CARILLON_KEY", "from-environment")
	code, _, stderr := runAs(t.Context(), "", "runs", "list", "--endpoint", endpoint+"/below/", "--key", "from-flag")
	if code != 0 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestMain(m *testing.M) {
	os.Unsetenv("CARILLON_ENDPOINT")
	os.Unsetenv("CARILLON_KEY")
	os.Exit(m.Run())
}
