package azuritetest

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
)

// Fault is what becomes of a request on its way. The zero Fault lets it pass.
type Fault struct {
	Done   bool        // Azurite does first what is asked; the answer is lost
	Status int         // the answer is this status, with Header and Body
	Header http.Header //
	Body   string      //
	Break  bool        // the connection is reset in place of an answer
	Hang   bool        // there is no answer until the client has left
	Then   func()      // is called when the work, if any, is done
}

// Through returns a connection string by which every request to Azurite's queues and tables passes fail, which is
// called concurrently and may read the body. The way ends with the test.
func (a *Azurite) Through(t testing.TB, fail func(*http.Request) Fault) string {
	way := func(to string) string {
		target, err := url.Parse(strings.TrimSuffix(to, "/"+Account))
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(faulty{httputil.NewSingleHostReverseProxy(target), fail})
		t.Cleanup(server.Close)
		return server.URL + "/" + Account
	}
	return connectionString(a.Blobs, way(a.Queues), way(a.Tables))
}

type faulty struct {
	azurite http.Handler
	fail    func(*http.Request) Fault
}

func (f faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	fault := f.fail(r)
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	if fault.Done {
		f.azurite.ServeHTTP(httptest.NewRecorder(), r)
	}
	if fault.Then != nil {
		fault.Then()
	}
	switch {
	case fault.Hang:
		<-r.Context().Done()
	case fault.Break:
		reset(w)
	case fault.Status != 0:
		for name, values := range fault.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(fault.Status)
		_, _ = io.WriteString(w, fault.Body)
	case !fault.Done:
		f.azurite.ServeHTTP(w, r)
	default:
		reset(w)
	}
}

func reset(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	conn.Close()
}
