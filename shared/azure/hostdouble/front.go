package hostdouble

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"time"
)

const welcome = "Your Functions 4.0 app is up and running"

// ServeHTTP is the host's face to the outside: functions by their routes and keys, and nothing else.
func (h *Host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := normal(r.URL.EscapedPath())
	if path == "/" {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, welcome)
		return
	}
	found := h.find(r.Method, path)
	switch {
	case len(found) == 0:
		w.WriteHeader(http.StatusNotFound)
		return
	case len(found) > 1:
		h.complain("%s %s is a route of %s and of %s", r.Method, path, found[0].name, found[1].name)
	}
	f := found[0]
	if !f.trigger.(route).admits(f.key, r) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	i := Invocation{Function: f.name, ID: guid(), Try: 1, Began: time.Now()}
	i.Status, i.Err = h.pass(w, r, path, i)
	h.record(i)
}

// normal is a path as the host sees it: decoded, but for slashes, and without dot segments.
func normal(escaped string) string {
	escaped = strings.NewReplacer("%2F", "%252F", "%2f", "%252f").Replace(escaped)
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return "" // no route has it
	}
	segments := strings.Split(path, "/")
	var out []string
	for _, s := range segments {
		switch {
		case s == ".", s == ".." && len(out) <= 1:
		case s == "..":
			out = out[:len(out)-1]
		default:
			out = append(out, s)
		}
	}
	return strings.Join(out, "/")
}

func (h *Host) find(method, path string) (found []function) {
	rest, ok := cutPrefixFold(path, "/api/")
	if !ok {
		return nil
	}
	for _, f := range h.app.functions {
		if r, ok := f.trigger.(route); ok && !f.disabled && r.matches(method, rest) {
			found = append(found, f)
		}
	}
	return found
}

// pass brings a request to the handler and its answer back. To the host every answer is a success.
func (h *Host) pass(w http.ResponseWriter, r *http.Request, path string, i Invocation) (status int, err error) {
	l := h.now()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	p, err := h.await(ctx, isReady)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return 0, err
	}
	defer h.limit(p, i.Function)()
	if h.app.proxying {
		return h.proxy(w, r.WithContext(ctx), p, path, i.ID)
	}
	return h.forward(w, r.WithContext(ctx), p, path, i.ID)
}

// proxy streams, keeps the query as it is, and gives the call an id of its own. A slash that was escaped is escaped twice.
func (h *Host) proxy(w http.ResponseWriter, r *http.Request, p *process, path, id string) (status int, err error) {
	proxy := httputil.ReverseProxy{
		Transport:     p.client.Transport,
		FlushInterval: -1,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetXForwarded()
			p.Out.Host = ""
			p.Out.URL = &url.URL{Scheme: "http", Host: "127.0.0.1:" + h.port, Path: path, RawQuery: p.In.URL.RawQuery}
			p.Out.Header.Set("X-Azure-Functions-HostVersion", version)
			p.Out.Header.Set("X-Azure-Functions-InvocationId", id)
			p.Out.Header.Set("X-Ms-Invocation-Id", id)
		},
		ModifyResponse: func(a *http.Response) error { status = a.StatusCode; return nil },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, e error) {
			err = e
			w.WriteHeader(http.StatusInternalServerError)
		},
	}
	proxy.ServeHTTP(w, r)
	return status, err
}

// forward builds the request anew: repeated keys of the query are one, a chunked body is an error, and the id comes after
// those that the caller has sent.
func (h *Host) forward(w http.ResponseWriter, r *http.Request, p *process, path, id string) (status int, err error) {
	fail := func(err error) (int, error) {
		w.WriteHeader(http.StatusInternalServerError)
		return 0, err
	}
	if len(r.TransferEncoding) > 0 {
		return fail(http.ErrNotSupported)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return fail(err)
	}
	target := (&url.URL{Path: path}).EscapedPath()
	target = strings.NewReplacer("%252F", "%2F", "%252f", "%2f").Replace(target)
	out, err := http.NewRequestWithContext(r.Context(), r.Method, h.at(target), bytes.NewReader(body))
	if err != nil {
		return fail(err)
	}
	out.URL.RawQuery = merged(r.URL.RawQuery)
	out.Host = r.Host
	out.Header = r.Header.Clone()
	out.Header.Del("Connection")
	out.Header.Set("X-Azure-Functions-HostVersion", version)
	out.Header.Set("X-Azure-Functions-InvocationId", strings.Join(append(r.Header.Values("X-Azure-Functions-InvocationId"), id), ", "))
	out.Header.Set("User-Agent", strings.TrimSpace(r.UserAgent()+" Azure-Functions-Host/"+version))
	answer, err := p.client.Do(out)
	if err != nil {
		return fail(err)
	}
	defer answer.Body.Close()
	if body, err = io.ReadAll(answer.Body); err != nil {
		return fail(err)
	}
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.StatusCode)
	w.Write(body)
	return answer.StatusCode, nil
}

// merged is a query in which every name stands once, with its values and commas between them.
func merged(query string) string {
	var names []string
	values := map[string][]string{}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if pair == "" {
			continue
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		values[name] = append(values[name], value)
	}
	for i, name := range names {
		names[i] = name + "=" + strings.Join(values[name], ",")
	}
	return strings.Join(names, "&")
}
