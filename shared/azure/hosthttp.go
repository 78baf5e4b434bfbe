package azure

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"strings"

	"carillon/shared/host"
	"carillon/shared/problem"
)

// Handler answers what a Functions host asks of its custom handler: GET / (are you ready?), POST /<name> for the
// functions that it calls by itself, and below /api/ what it proxies or forwards from people and programs. From outside only paths below /api/ arrive
// (routePrefix in host.json); none of them is ever taken for an event.
func (h *Host) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.RequestURI, "/")
		_, event := bindingOf(name)
		switch {
		case r.RequestURI == "/":
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, "{}")
		case event && r.Method == http.MethodPost:
			h.event(w, r, name)
		case strings.HasPrefix(r.URL.Path, "/api/") && isClean(r.URL.Path):
			h.visit(w, r)
		default:
			problem.Write(w, problem.Newf(problem.NotFound, "there is nothing at %s. A function that answers HTTP has its routes below /api "+
				"and is proxied: host.json needs customHandler.enableProxyingHttpRequest", r.URL.Path))
		}
	})
}

// isClean reports whether a decoded path leads nowhere but where it says.
func isClean(p string) bool { return path.Clean(p) == strings.TrimSuffix(p, "/") }

// visit answers a request of people and programs.
func (h *Host) visit(w http.ResponseWriter, r *http.Request) {
	name, function := h.function(r.URL.Path)
	if function == nil {
		problem.Write(w, problem.Newf(problem.NotFound, "there is nothing at %s", r.URL.Path))
		return
	}
	ctx, cancel := context.WithTimeout(withCall(r.Context(), name, r), h.deadline())
	defer cancel()
	r = r.Clone(ctx)
	if err := sameSite(r); err != nil {
		problem.Write(w, err)
		return
	}
	r.Header.Set(actorHeader, h.actor(r))
	hideKey(r)
	answer := &answering{ResponseWriter: w}
	defer h.recovered(ctx, answer)
	function.ServeHTTP(answer, r)
}

// function is what answers at a path, and its name in the log.
func (h *Host) function(path string) (name string, function http.Handler) {
	switch {
	case path == "/api/studio" || strings.HasPrefix(path, "/api/studio/"):
		return "studio", h.Functions.Studio
	case path == host.WebhookPath:
		return "webhook", h.Functions.Webhook
	}
	return "api", h.Functions.API
}

// recovered answers for a function that panicked. An answer that is on its way is cut off.
func (h *Host) recovered(ctx context.Context, w *answering) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	h.Log.ErrorContext(ctx, "a function panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if w.begun {
		panic(http.ErrAbortHandler)
	}
	clear(w.Header())
	problem.Write(w, fmt.Errorf("panic: %v", p))
}

// answering knows whether an answer has begun.
type answering struct {
	http.ResponseWriter
	begun bool
}

func (a *answering) WriteHeader(status int) {
	a.begun = true
	a.ResponseWriter.WriteHeader(status)
}

func (a *answering) Write(p []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController flush.
func (a *answering) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// sameSite refuses changes that another site's page asks for with no key, but with the cookie of somebody who has
// signed in.
func sameSite(r *http.Request) error {
	if withKey(r) || http.NewCrossOriginProtection().Check(r) == nil {
		return nil
	}
	return problem.Newf(problem.Forbidden, "pages of %q may not ask this Carillon without a key", r.Header.Get("Origin"))
}

// actorHeader tells the API who is asking.
const actorHeader = "X-Carillon-Actor"

// actor is who asks, as far as it is known: somebody who has signed in, the holder of a function's key, or anybody, where
// function.json lets in without one. What clients say of themselves stands behind that.
func (h *Host) actor(r *http.Request) string {
	who := ""
	if h.SignedIn {
		who = r.Header.Get("X-MS-CLIENT-PRINCIPAL-NAME")
	}
	switch {
	case who != "":
	case withKey(r):
		who = "function key to " + host.RightFor(r).String()
	default:
		who = "anybody"
	}
	if says := strings.TrimSpace(r.Header.Get(actorHeader)); says != "" {
		who += " (" + says + ")"
	}
	return who
}

// Where a function's key is sent. The host has checked it.
const (
	keyHeader = "X-Functions-Key"
	keyQuery  = "code"
)

func withKey(r *http.Request) bool {
	if r.Header.Get(keyHeader) != "" {
		return true
	}
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		if isKey(pair) {
			return true
		}
	}
	return false
}

// hideKey takes the function's key out of a request, so that nothing behind can log or show it.
func hideKey(r *http.Request) {
	r.Header.Del(keyHeader)
	var rest []string
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		if !isKey(pair) {
			rest = append(rest, pair)
		}
	}
	r.URL.RawQuery = strings.Join(rest, "&")
	r.RequestURI = r.URL.RequestURI()
}

func isKey(pair string) bool {
	name, _, _ := strings.Cut(pair, "=")
	name, err := url.QueryUnescape(name)
	return err == nil && strings.EqualFold(name, keyQuery)
}
