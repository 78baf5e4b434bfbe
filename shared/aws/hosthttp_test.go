package aws

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"carillon/shared/host"
)

// visit sends a payload to a function that answers everything below /api.
func visit(ctx context.Context, t *testing.T, payload []byte, api http.HandlerFunc) events.LambdaFunctionURLResponse {
	t.Helper()
	text, err := invoke(ctx, newHost(host.Functions{API: api, Studio: api}), payload)
	if err != nil {
		t.Fatal(err)
	}
	var answer events.LambdaFunctionURLResponse
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestRequest(t *testing.T) {
	var got *http.Request
	var body []byte
	answer := visit(t.Context(), t, sample(t, "url.json"), func(_ http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
	})
	if got == nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("not called; answered %+v", answer)
	}
	cookie, _ := got.Cookie("cookie2")
	for _, c := range []struct{ name, got, want string }{
		{"method", got.Method, "POST"},
		{"path", got.URL.Path, "/api/schedules/a b/disable"},
		{"escaped path", got.URL.EscapedPath(), "/api/schedules/a%20b/disable"},
		{"target", got.RequestURI, "/api/schedules/a%20b/disable?parameter1=value1&parameter1=value2&parameter2=a%7Cb"},
		{"query", fmt.Sprint(got.URL.Query()), "map[parameter1:[value1 value2] parameter2:[a|b]]"},
		{"body", string(body), `{"note":"ä"}`},
		{"length", fmt.Sprint(got.ContentLength), "13"},
		{"host", got.Host, "abc.lambda-url.us-west-2.on.aws"},
		{"from", got.RemoteAddr, "203.0.113.7"},
		{"a header", got.Header.Get("Header1"), "value1"},
		{"a header of several values", got.Header.Get("Header2"), "value1,value2"},
		{"cookies", fmt.Sprint(got.Header["Cookie"], cookie), "[cookie1=1; cookie2=2] cookie2=2"},
		{"actor", fmt.Sprint(got.Header[actorHeader]), "[arn:aws:iam::111122223333:user/example-user (ann@laptop)]"},
		{"signature", got.Header.Get("Authorization") + got.Header.Get("X-Amz-Security-Token"), ""},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, c.got, c.want)
		}
	}
}

func TestActor(t *testing.T) {
	type iam = map[string]any
	for _, c := range []struct {
		name, says string
		authorizer any
		want       string // "" for nobody
	}{
		{"a user", "", iam{"iam": iam{"userArn": "arn:aws:iam::1:user/ann"}}, "arn:aws:iam::1:user/ann"},
		{"a role", "ann", iam{"iam": iam{"userArn": "arn:aws:sts::1:assumed-role/ops/ann"}}, "arn:aws:sts::1:assumed-role/ops/ann (ann)"},
		{"no ARN", "", iam{"iam": iam{"userArn": nil, "callerId": "AROA"}}, "AROA"},
		{"no name", "arn:aws:iam::1:root", iam{"iam": iam{}}, "a caller whom IAM knows (arn:aws:iam::1:root)"},
		{"nobody", "ann", nil, ""},
		{"nobody", "ann", iam{}, ""},
		{"nobody", "ann", iam{"iam": nil}, ""},
		{"another authorizer", "ann", iam{"jwt": iam{"claims": iam{"sub": "ann"}}}, ""},
	} {
		payload, err := json.Marshal(iam{
			"version": "2.0", "rawPath": "/api/schedules", "headers": iam{"x-carillon-actor": c.says},
			"requestContext": iam{"authorizer": c.authorizer, "http": iam{"method": "GET"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		answer := visit(t.Context(), t, payload, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get(actorHeader) })
		if refused := answer.StatusCode == http.StatusForbidden; got != c.want || refused != (c.want == "") {
			t.Errorf("%s: got %q and %d, want %q", c.name, got, answer.StatusCode, c.want)
		}
	}
	called := false
	answer := visit(t.Context(), t, sample(t, "url-public.json"), func(http.ResponseWriter, *http.Request) { called = true })
	if called || answer.StatusCode != http.StatusForbidden || !strings.Contains(answer.Body, "AWS_IAM") {
		t.Errorf("a public URL: called %t, answered %+v", called, answer)
	}
}

func TestRefusedRequests(t *testing.T) {
	for _, c := range []struct {
		name, from, to string // what is replaced in url.json
		status         int
	}{
		{"no such path", "/api/schedules/a%20b/disable", "/", 404},
		{"an event's path", "/api/schedules/a%20b/disable", "/recurrence", 404},
		{"a path that climbs", "/api/schedules/a%20b/disable", "/api/%2e%2e/submit", 404},
		{"no path", "/api/schedules/a%20b/disable", "", 404},
		{"a path that cannot be read", "a%20b", "a%2", 400},
		{"no base64", "eyJub3", "?", 400},
		{"no method", "POST", "GE T", 400},
	} {
		text := strings.ReplaceAll(string(sample(t, "url.json")), c.from, c.to)
		answer := visit(t.Context(), t, []byte(text), func(http.ResponseWriter, *http.Request) { t.Errorf("%s: called", c.name) })
		if answer.StatusCode != c.status || answer.Headers["Content-Type"] != "application/problem+json" {
			t.Errorf("%s: got %+v, want %d", c.name, answer, c.status)
		}
	}
}

// An HTTP API of API Gateway has the same payload, but its paths come decoded.
func TestDecodedPath(t *testing.T) {
	text := strings.ReplaceAll(string(sample(t, "url.json")), "a%20b", "a?b #")
	var got *http.Request
	visit(t.Context(), t, []byte(text), func(_ http.ResponseWriter, r *http.Request) { got = r })
	if got == nil || got.URL.Path != "/api/schedules/a?b #/disable" || got.URL.EscapedPath() != "/api/schedules/a%3Fb%20%23/disable" {
		t.Errorf("got %v", got)
	}
}

func TestAnswers(t *testing.T) {
	type want struct {
		status  int
		headers string
		cookies string
		body    string
		base64  bool
	}
	text := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }
	}
	const plain = "map[Content-Type:text/plain; charset=utf-8]"
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   want
	}{
		{"nothing", func(http.ResponseWriter, *http.Request) {}, want{200, "map[]", "[]", "", false}},
		{"text", text("äöü\x00\u2028<&>\"\r\n"), want{200, "map[Content-Type:application/octet-stream]", "[]", "äöü\x00\u2028<&>\"\r\n", false}},
		{"a page", text("<!doctype html>"), want{200, "map[Content-Type:text/html; charset=utf-8]", "[]", "<!doctype html>", false}},
		{"bytes", text("\x89PNG\r\n\x1a\n\xff"), want{200, "map[Content-Type:image/png]", "[]", "iVBORw0KGgr/", true}},
		{"header", func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{"text/csv"}
			w.Header()["Vary"] = []string{"A", "B"}
			w.Header()["X-Lines"] = []string{"a\r\nb"}
			w.Header()["Set-Cookie"] = []string{"a=1; Path=/", "b=2"}
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusCreated)
			w.Header().Set("Late", "1")
			w.WriteHeader(http.StatusTeapot)
			io.WriteString(w, "a,")
			io.WriteString(w, "b")
		}, want{201, "map[Content-Type:text/csv Vary:A, B X-Lines:a  b]", "[a=1; Path=/ b=2]", "a,b", false}},
		{"no content", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
		}, want{204, "map[]", "[]", "", false}},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/api/studio?a=ä", http.StatusFound)
		}, want{302, "map[Location:/api/studio?a=%c3%a4]", "[]", "", false}},
		{"large text", text(strings.Repeat("\x00", maxText)), want{200, "map[Content-Type:application/octet-stream]", "[]", strings.Repeat("\x00", maxText), false}},
		{"larger text", text(strings.Repeat("a", maxText+1)), want{200, plain, "[]", "", true}},
	} {
		answer := visit(t.Context(), t, sample(t, "url.json"), c.answer)
		got := want{answer.StatusCode, fmt.Sprint(answer.Headers), fmt.Sprint(answer.Cookies), answer.Body, answer.IsBase64Encoded}
		if c.want.base64 && c.want.body == "" {
			got.body = ""
		}
		if got != c.want {
			t.Errorf("%s: got %.300s, want %.300s", c.name, fmt.Sprint(got), fmt.Sprint(c.want))
		}
	}
}

func TestHead(t *testing.T) {
	text := strings.ReplaceAll(string(sample(t, "url.json")), `"POST"`, `"HEAD"`)
	answer := visit(t.Context(), t, []byte(text), func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Method) })
	if answer.StatusCode != 200 || answer.Body != "" || answer.Headers["Content-Type"] != "text/plain; charset=utf-8" {
		t.Errorf("got %+v", answer)
	}
}

// An answer may have maxAnswer bytes. A larger one is replaced: Lambda would end the process for it.
func TestLargeAnswers(t *testing.T) {
	for size, want := range map[int]int{maxAnswer: http.StatusOK, maxAnswer + 1: http.StatusInternalServerError} {
		answer := visit(t.Context(), t, sample(t, "url.json"), func(w http.ResponseWriter, _ *http.Request) {
			io.CopyN(w, zeros{}, int64(size))
		})
		if answer.StatusCode != want {
			t.Errorf("%d bytes: got %d %.100s, want %d", size, answer.StatusCode, answer.Body, want)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestLateAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		for name, api := range map[string]http.HandlerFunc{
			"stuck":    func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "half"); <-over },
			"patience": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done(); panic(r.Context().Err()) },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			answer := visit(ctx, t, sample(t, "url.json"), api)
			if answer.StatusCode < 500 || strings.Contains(answer.Body, "half") || ctx.Err() != nil {
				t.Errorf("%s: got %+v, %v", name, answer, ctx.Err())
			}
			cancel()
		}
		close(over)
	})
}

// A handler behind the adapter answers as it does behind net/http.
func TestAsNetHTTP(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/a/{name}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Accept")
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
		fmt.Fprintf(w, "%s %s %s", r.PathValue("name"), r.URL.Query().Get("q"), r.Header.Get("Accept"))
	})
	mux.HandleFunc("POST /api/a/{name}", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		io.Copy(w, r.Body)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	h := newHost(host.Functions{API: mux})
	for _, c := range []struct{ method, target, body string }{
		{"GET", "/api/a/b?q=c", ""},
		{"GET", "/api/a/b%2Fc%20d?q=%26", ""},
		{"HEAD", "/api/a/b", ""},
		{"POST", "/api/a/b", "\xff\x00"},
		{"PUT", "/api/a/b", "x"},
		{"GET", "/api/b", ""},
		{"GET", "/api/a/b/", ""},
	} {
		ask := func(send func(*http.Request) (*http.Response, error)) (status int, header http.Header, body string) {
			r, err := http.NewRequestWithContext(t.Context(), c.method, server.URL+c.target, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Accept", "text/plain")
			answer, err := send(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			text, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			header = maps.Clone(answer.Header)
			header.Del("Date")
			header.Del("Content-Length")
			return answer.StatusCode, header, string(text)
		}
		status, header, body := ask(client.Do)
		gotStatus, gotHeader, gotBody := ask(func(r *http.Request) (*http.Response, error) {
			payload, err := functionURL(r)
			if err != nil {
				return nil, err
			}
			return answered(invoke(t.Context(), h, payload))
		})
		if gotStatus != status || !reflect.DeepEqual(gotHeader, header) || gotBody != body {
			t.Errorf("%s %s: got %d %v %q, net/http answers %d %v %q", c.method, c.target, gotStatus, gotHeader, gotBody, status, header, body)
		}
	}
}
