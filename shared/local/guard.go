package local

import (
	"crypto/subtle"
	"net"
	"net/http"
	"net/url"
	"strings"

	"carillon/shared/host"
	"carillon/shared/problem"
)

// Keys let callers in, each with one right and those below it. Without any, everybody who reaches the listener may do
// everything, so the listener has to be on a loopback address.
type Keys struct{ List, Operate, Author string }

// None reports whether there are no keys.
func (k Keys) None() bool { return k == Keys{} }

// right is what a key may do.
func (k Keys) right(key string) (host.Right, bool) {
	best, known := host.List, false
	for right, want := range map[host.Right]string{host.List: k.List, host.Operate: k.Operate, host.Author: k.Author} {
		if want != "" && subtle.ConstantTimeCompare([]byte(key), []byte(want)) == 1 {
			best, known = max(best, right), true
		}
	}
	return best, known
}

// actorHeader tells the API who is asking.
const actorHeader = "X-Carillon-Actor"

// handler is the door: it lets in who may come in, and shows everybody to their function.
func (h *Host) handler(at net.Addr) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/", h.Functions.API)
	mux.Handle("/api/studio", h.Functions.Studio)
	mux.Handle("/api/studio/", h.Functions.Studio)
	if h.Functions.Webhook != nil {
		mux.Handle(host.WebhookPath, h.Functions.Webhook)
	}
	mux.HandleFunc("GET /api/backup", h.backup)
	mux.Handle("GET /{$}", http.RedirectHandler("/api/studio", http.StatusFound))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, problem.Newf(problem.NotFound, "there is nothing at %s; the page is /api/studio", r.URL.Path))
	})
	loopback := isLoopback(at)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = moved(r)
		if err := h.admit(w, r, loopback); err != nil {
			problem.Write(w, err)
			return
		}
		mux.ServeHTTP(w, r)
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.changed()
		}
	})
}

// moved brings a request of a client of Azure ML v1 from the root to where it is answered, and judged.
func moved(r *http.Request) *http.Request {
	for _, root := range host.FacadeRoots {
		if len(r.URL.Path) < len(root) || !strings.EqualFold(r.URL.Path[:len(root)], root) {
			continue
		}
		at := *r.URL
		if at.Path = host.FacadePath + at.Path; at.RawPath != "" {
			at.RawPath = host.FacadePath + at.RawPath
		}
		there := *r
		there.URL = &at
		return &there
	}
	return r
}

// admit checks the Host against DNS rebinding, the Origin against other sites' scripts, and the key.
func (h *Host) admit(w http.ResponseWriter, r *http.Request, loopback bool) error {
	if loopback && !isLocalName(r.Host) {
		return problem.Newf(problem.Forbidden, "this Carillon answers to localhost, not to %q", r.Host)
	}
	if origin := r.Header.Get("Origin"); origin != "" && !h.isSender(r) {
		if u, err := url.Parse(origin); err != nil || u.Host != r.Host {
			return problem.Newf(problem.Forbidden, "pages of %q may not ask this Carillon", origin)
		}
	}
	who := r.Header.Get(actorHeader)
	if h.Keys.None() {
		if who == "" {
			r.Header.Set(actorHeader, "somebody on this machine")
		}
		return nil
	}
	right, known := h.Keys.right(keyOf(r))
	need := host.RightFor(r)
	if r.URL.Path == "/api/backup" {
		need = host.Author
	}
	switch {
	case !known:
		w.Header().Set("WWW-Authenticate", `Basic realm="Carillon: any name, a key as the password"`)
		return problem.Newf(problem.Unauthorized, "a key is needed, and this is none of them: send one as x-functions-key, or as the password of basic authentication")
	case right < need:
		return problem.Newf(problem.Forbidden, "this takes a key with the right to %s; this one may %s", need, right)
	}
	r.Header.Set(actorHeader, strings.TrimSpace("key to "+right.String()+" "+who))
	return nil
}

// isSender reports whether a request is an event from a program. Those that send CloudEvents have an Origin as
// browsers do (HTTP 1.1 Web Hooks, 2), but they have a key, too, which no browser adds for another site's page.
func (h *Host) isSender(r *http.Request) bool {
	return r.URL.Path == host.WebhookPath && !h.Keys.None() && writtenKey(r) != ""
}

// keyOf prefers a written key to a password: a request that isSender lets pass for its key must be judged by it.
func keyOf(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok && writtenKey(r) == "" {
		return password
	}
	return writtenKey(r)
}

// writtenKey is a key that somebody has put into this very request: a browser remembers passwords only.
func writtenKey(r *http.Request) string {
	if key := r.Header.Get("x-functions-key"); key != "" {
		return key
	}
	return r.URL.Query().Get("code")
}

func isLoopback(at net.Addr) bool {
	tcp, ok := at.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

func isLocalName(hostport string) bool {
	name, _, err := net.SplitHostPort(hostport)
	if err != nil {
		name = hostport
	}
	name = strings.Trim(name, "[]")
	ip := net.ParseIP(name)
	return strings.EqualFold(name, "localhost") || ip != nil && ip.IsLoopback()
}

// backup sends a consistent copy of the state file, taken while everything goes on.
func (h *Host) backup(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="carillon.db"`)
	if _, err := h.Backup(w); err != nil {
		h.Log.ErrorContext(r.Context(), "a backup failed", "error", err)
		panic(http.ErrAbortHandler) // so that the client does not take the part for the whole
	}
}
