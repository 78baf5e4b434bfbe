package hostdouble_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"carillon/shared/azure"
	"carillon/shared/azure/hostdouble"
	"carillon/shared/host"
	"carillon/shared/host/hosttest"
)

// TestHost runs azure.Host as a process of its own under the double, on real queues: what hosttest sends goes all the
// way, and comes back to the test's functions.
func TestHost(t *testing.T) {
	q := newQueues(t)
	for _, mode := range []string{"enableProxyingHttpRequest", "enableForwardingHttpRequest"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			hosttest.Run(t, func(t *testing.T, functions host.Functions, deadline time.Duration) hosttest.Env {
				return open(t, q, mode, functions, deadline)
			})
		})
	}
}

// opened counts, so that each app has queues of its own.
var opened atomic.Int64

// open stages an app. As in our host.json, the host leaves messages as they are: base64 here, as our queues send them.
func open(t *testing.T, q queues, mode string, functions host.Functions, deadline time.Duration) hosttest.Env {
	settled := strings.NewReplacer("enableProxyingHttpRequest", mode, `"maxDequeueCount": 2`, `"maxDequeueCount": 1, "batchSize": 32, "messageEncoding": "none"`).Replace(hostFile)
	staged := map[string]string{
		"list": "", "author": "", "operate": "", "runs": "", "studio": httpFile("studio/{*rest}", "anonymous"),
		"api": httpFile("schedules/{*rest}", "function"), "runs2": httpFile("runs/{*rest}", "function"), "webhook": httpFile("events", "function", "post", "options"),
	}
	names := map[string]string{}
	n := opened.Add(1)
	for _, function := range []string{"submit", "follow", "datastore"} {
		names[function] = fmt.Sprint(function, "-", n)
		staged[function] = strings.NewReplacer("%SUBMIT%", names[function]).Replace(functionFiles["submit"])
	}
	h := hostdouble.Start(t, stage(t, settled, staged), settings(q.connection, "HANDLER", "carillon", "FUNCTIONS", answering(t, functions), "DEADLINE", deadline.String()))
	return hosttest.Env{
		Tick: func() error { return h.FireTimer("recurrence") },
		Message: func(function string, body []byte) error {
			before, sent := len(h.Invocations()), base(string(body))
			q.send(names[function], sent)
			var call hostdouble.Invocation
			await(t, "a message", func() bool {
				for _, i := range h.Invocations()[before:] {
					if i.Function == function && string(i.Body) == sent {
						call = i
						return true
					}
				}
				return false
			})
			return call.Err
		},
		AtOnce: 16,
		Visit: func(r *http.Request) (*http.Response, error) {
			at, err := url.Parse(h.URL)
			if err != nil {
				return nil, err
			}
			r.URL.Host = at.Host
			key := "api"
			switch {
			case strings.HasPrefix(r.URL.Path, "/api/runs"):
				key = "runs2"
			case r.URL.Path == host.WebhookPath:
				key = "webhook"
			}
			r.Header.Set("x-functions-key", h.Key(key))
			return http.DefaultClient.Do(r)
		},
	}
}

// answering lends functions to a handler in another process. A panic of theirs is a status 418.
func answering(t *testing.T, functions host.Functions) string {
	events := map[string]func(context.Context, []byte) error{
		"recurrence": func(ctx context.Context, body []byte) error {
			var now, until int64
			if _, err := fmt.Sscan(string(body), &now, &until); err != nil {
				return err
			}
			return functions.Recurrence(ctx, time.Unix(0, now), time.Unix(0, until))
		},
		"submit": functions.Submit, "follow": functions.Follow, "datastore": functions.Datastore,
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{name}", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		ctx, end := r.Context(), func() {}
		if deadline, err := time.Parse(time.RFC3339Nano, r.Header.Get(deadlineHeader)); err == nil {
			ctx, end = context.WithDeadline(ctx, deadline)
		}
		defer end()
		if events[r.PathValue("name")](ctx, body) != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	for name, function := range map[string]http.Handler{"api": functions.API, "studio": functions.Studio, "webhook": functions.Webhook} {
		if function != nil {
			mux.Handle("/http/"+name+"/", http.StripPrefix("/http/"+name, function))
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil {
				w.WriteHeader(http.StatusTeapot)
			}
		}()
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// A handler whose host was killed leaves, and frees its port.
func TestOrphan(t *testing.T) {
	port := fmt.Sprint(20000 + rand.IntN(12000)) // not one that outgoing connections get
	address := "127.0.0.1:" + port
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "HANDLER=parent", azure.PortVariable+"="+port)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	kill := func() { once.Do(func() { parent.Process.Kill(); parent.Wait() }) }
	defer kill()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	answers := func() bool {
		answer, err := http.Get("http://" + address + "/")
		if err == nil {
			answer.Body.Close()
		}
		return err == nil
	}
	await(t, "the handler", answers)
	kill()
	await(t, "the handler to leave", func() bool { return !answers() })
	await(t, "the port", func() bool {
		listener, err := net.Listen("tcp", address)
		if err == nil {
			listener.Close()
		}
		return err == nil
	})
}

// Told to stop, the handler lets a call finish and asks for another process in its place.
func TestRecycle(t *testing.T) {
	q := newQueues(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	functions := host.Functions{
		Recurrence: func(context.Context, time.Time, time.Time) error { return nil },
		Submit:     func(context.Context, []byte) error { close(entered); <-leave; return nil },
	}
	h := hostdouble.Start(t, stage(t, hostFile, nil), settings(q.connection, "HANDLER", "carillon", "FUNCTIONS", answering(t, functions), "DEADLINE", "1m"))
	q.send("submitted", base("x"))
	<-entered
	handler, err := os.FindProcess(pidOf(t, h))
	if err != nil {
		t.Fatal(err)
	}
	if err := handler.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	close(leave)
	if call := ended(t, h, "submit", 1)[0]; call.Err != nil {
		t.Errorf("the call that was under way: %v", call.Err)
	}
	await(t, "another handler", func() bool { return h.Restarts() == 1 })
	if err := h.FireTimer("recurrence"); err != nil {
		t.Error(err)
	}
}

// pidOf is the process id that the handler has logged.
func pidOf(t *testing.T, h *hostdouble.Host) int {
	t.Helper()
	var started struct{ PID int }
	await(t, "the handler's process id", func() bool {
		for _, line := range h.Lines() {
			if json.Unmarshal([]byte(line.Text), &started) == nil && started.PID != 0 {
				return true
			}
		}
		return false
	})
	return started.PID
}
