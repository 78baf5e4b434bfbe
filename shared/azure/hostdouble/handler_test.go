package hostdouble_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"carillon/shared/azure"
	"carillon/shared/host"
)

// The test binary is the handler where the environment says so.
func TestMain(m *testing.M) {
	switch os.Getenv("HANDLER") {
	case "":
		os.Exit(m.Run())
	case "crude":
		crude()
	case "carillon":
		carillon()
	case "parent":
		asParent()
	}
}

// crude is a handler that does what it is told: by the app setting DO, or by a message that starts with "do ".
func crude() {
	go leaveWithParent()
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen, _ := json.Marshal(request{r.Method, r.RequestURI, r.Host, r.Header, string(body)})
		os.Stdout.Write(append(seen, '\n'))
		obey(w, wanted(body))
	})
	fmt.Fprintln(os.Stderr, "a warning")
	fmt.Fprintln(os.Stderr, "a fault")
	http.ListenAndServe("127.0.0.1:"+os.Getenv(azure.PortVariable), nil)
}

// request is what the crude handler saw.
type request struct {
	Method, URI, Host string
	Header            http.Header
	Body              string
}

func wanted(body []byte) string {
	var call struct{ Data struct{ Message string } }
	if json.Unmarshal(body, &call) == nil {
		text := call.Data.Message
		if decoded, err := base64.StdEncoding.DecodeString(text); err == nil {
			text = string(decoded)
		}
		if order, ok := strings.CutPrefix(strings.Trim(text, `"`), "do "); ok {
			return order
		}
	}
	return os.Getenv("DO")
}

func obey(w http.ResponseWriter, order string) {
	kind, rest, _ := strings.Cut(order, " ")
	var status int
	switch n, _ := fmt.Sscan(kind, &status); {
	case n == 1:
		w.WriteHeader(status)
	case kind == "exit":
		var code int
		fmt.Sscan(rest, &code)
		os.Exit(code)
	case kind == "hang":
		time.Sleep(time.Hour)
	case kind == "text":
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, rest)
	case kind == "json":
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		io.WriteString(w, rest)
	default:
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"Outputs":{}}`)
	}
}

func leaveWithParent() {
	for parent := os.Getppid(); os.Getppid() == parent; {
		time.Sleep(time.Second)
	}
	os.Exit(1)
}

// carillon serves functions that are in the test's process, at the URL in FUNCTIONS.
func carillon() {
	log := azure.NewLog(os.Stdout, os.Stderr, slog.LevelInfo)
	deadline, _ := time.ParseDuration(os.Getenv("DEADLINE"))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log.Info("started", "pid", os.Getpid())
	h := &azure.Host{Functions: remote(os.Getenv("FUNCTIONS"), log), Deadline: deadline, Log: log}
	err := h.Serve(ctx, os.Getenv(azure.PortVariable))
	log.Warn("stopped", "error", err)
	var stopped *azure.Stopped
	if errors.As(err, &stopped) {
		os.Exit(stopped.Code)
	}
}

const deadlineHeader = "X-Deadline"

// remote are functions that somebody else has, behind a URL. A function panics here when it panics there (status 418).
func remote(at string, log *slog.Logger) host.Functions {
	event := func(ctx context.Context, name string, body []byte) error {
		log.InfoContext(ctx, "called")
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, at+"/"+name, bytes.NewReader(body))
		if err != nil {
			return err
		}
		if deadline, ok := ctx.Deadline(); ok {
			r.Header.Set(deadlineHeader, deadline.Format(time.RFC3339Nano))
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		answer.Body.Close()
		switch answer.StatusCode {
		case http.StatusOK:
			return nil
		case http.StatusTeapot:
			panic("as there")
		}
		return errors.New(answer.Status)
	}
	message := func(name string) func(context.Context, []byte) error {
		return func(ctx context.Context, body []byte) error { return event(ctx, name, body) }
	}
	return host.Functions{
		Recurrence: func(ctx context.Context, now, until time.Time) error {
			return event(ctx, "recurrence", fmt.Appendf(nil, "%d %d", now.UnixNano(), until.UnixNano()))
		},
		Submit: message("submit"), Follow: message("follow"), Datastore: message("datastore"),
		API: remoteHandler(at + "/http/api"), Studio: remoteHandler(at + "/http/studio"), Webhook: remoteHandler(at + "/http/webhook"),
	}
}

func remoteHandler(at string) http.Handler {
	target, err := url.Parse(at)
	if err != nil {
		panic(err)
	}
	return &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) },
		ModifyResponse: func(a *http.Response) error {
			if a.StatusCode == http.StatusTeapot {
				panic("as there")
			}
			return nil
		},
	}
}

// asParent starts the same program as a handler, says its process id, and waits.
func asParent() {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "HANDLER=carillon")
	child.Stdout, child.Stderr = nil, nil
	if err := child.Start(); err != nil {
		panic(err)
	}
	fmt.Println(child.Process.Pid)
	go leaveWithParent()
	child.Wait()
}
