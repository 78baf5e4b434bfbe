package aws

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"carillon/shared/aws/runtimetest"
	"carillon/shared/host"
)

// The test binary is a bootstrap where the environment says so, so that tests start real processes.
func TestMain(m *testing.M) {
	if os.Getenv("CARILLON_TEST_AS_BOOTSTRAP") != "" {
		bootstrap()
	}
	os.Exit(m.Run())
}

// report is what the bootstrap answers to GET /api/report.
type report struct {
	Process  int
	Calls    []string // since the process began
	Deadline time.Time
	Trace    string
}

// bootstrap serves functions that do what they are told, and remember it.
func bootstrap() {
	var mu sync.Mutex
	var calls []string
	seen := func(call string) {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, call)
	}
	h := newHost(host.Functions{
		Recurrence: func(context.Context, time.Time, time.Time) error { seen("recurrence"); return nil },
		Submit:     outcomes(nil, func(body string) { seen("submit " + body) }),
		Follow:     outcomes(nil, func(body string) { seen("follow " + body) }),
		API: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/api/panic":
				panic("on purpose")
			case "/api/echo":
				io.Copy(w, r.Body)
			case "/api/large":
				io.CopyN(w, zeros{}, maxAnswer)
			case "/api/larger":
				io.CopyN(w, zeros{}, maxAnswer+1)
			}
			mu.Lock()
			defer mu.Unlock()
			out := report{Process: os.Getpid(), Calls: calls}
			out.Deadline, _ = r.Context().Deadline()
			if c, ok := lambdacontext.FromContext(r.Context()); ok {
				out.Trace = c.AwsRequestID
			}
			if r.URL.Path == "/api/report" {
				json.NewEncoder(w).Encode(out)
			}
		}),
	})
	h.Log = lambdacontext.NewLogger()
	h.Start()
}

// process is a bootstrap that runs.
type process struct {
	t       *testing.T
	runtime *runtimetest.Runtime
	cmd     *exec.Cmd
	log     bytes.Buffer // complete when the process has ended
	ended   chan error
}

func start(t *testing.T, environ []string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0]), ended: make(chan error, 1)}
	p.cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") }), environ...)
	p.cmd.Env = append(p.cmd.Env, "CARILLON_TEST_AS_BOOTSTRAP=1")
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() { p.cmd.Process.Kill() })
	return p
}

// invoke gives the process an event that has an hour.
func (p *process) invoke(payload []byte) ([]byte, error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	answer, err := p.runtime.Invoke(ctx, payload, time.Now().Add(time.Hour))
	var failure *runtimetest.Failure
	if err != nil && !errors.As(err, &failure) {
		p.t.Fatal(err)
	}
	return answer, err
}

// get asks the process for something over its Function URL.
func (p *process) get(method, path, body string) (status int, text string) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, "https://abc.lambda-url.us-west-2.on.aws"+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	payload, err := functionURL(r)
	if err != nil {
		p.t.Fatal(err)
	}
	answer, err := answered(p.invoke(payload))
	if err != nil {
		p.t.Fatal(err)
	}
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer.StatusCode, string(all)
}

// wait returns how the process has ended and what it wrote.
func (p *process) wait() (code int, text string) {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode(), p.log.String()
	case <-time.After(time.Minute):
		p.t.Fatal("the process does not end")
		return 0, ""
	}
}

// One process answers everything that Lambda sends, well or not, until Lambda is gone.
func TestBootstrap(t *testing.T) {
	runtime := runtimetest.Serve(t)
	p := start(t, runtime.Environ())
	p.runtime = runtime
	const s, f = "carillon-submit", "carillon-follow"
	for _, c := range []struct {
		name    string
		payload []byte
		answer  string
		fails   string // a part of the message
	}{
		{"a rule", sample(t, "rule.json"), `{}`, ""},
		{"a schedule", sample(t, "input.json"), `{}`, ""},
		{"a batch", batch(sent{"1", s, "ok", ""}), `{"batchItemFailures":[]}`, ""},
		{"a batch that fails in part", batch(sent{"1", f, "ok", ""}, sent{"2", f, "fail", ""}), `{"batchItemFailures":[{"itemIdentifier":"2"}]}`, ""},
		{"a panic among others", batch(sent{"1", f, "panic", ""}, sent{"2", f, "ok", ""}), `{"batchItemFailures":[{"itemIdentifier":"1"}]}`, ""},
		{"a batch that fails", batch(sent{"1", s, "fail", ""}), "", "all 1 messages of the batch failed, the last one: on purpose"},
		{"a panic", batch(sent{"1", s, "panic", ""}), "", "panic: on purpose"},
		{"another event", sample(t, "s3.json"), "", "none of SQS"},
		{"no event", []byte(`{"key1":"value1"}`), "", "no event that Carillon knows (fields: key1)"},
		{"null", []byte("null"), "", "no JSON object"},
		{"nothing", nil, "", "EOF"},
		{"no JSON", []byte("<xml/>"), "", "invalid character"},
	} {
		answer, err := p.invoke(c.payload)
		if c.fails == "" && (err != nil || string(answer) != c.answer) {
			t.Errorf("%s: got %s, %v, want %s", c.name, answer, err, c.answer)
		}
		if c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
			t.Errorf("%s: got %s, %v, want a failure that says %q", c.name, answer, err, c.fails)
		}
	}
	p.visits()
	status, text := p.get("GET", "/api/report", "")
	var got report
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(status, text, err)
	}
	slices.Sort(got.Calls) // those of one batch are made at once
	want := []string{"follow fail", "follow ok", "follow ok", "follow panic", "recurrence", "recurrence", "submit fail", "submit ok", "submit panic"}
	if got.Process != p.cmd.Process.Pid || !slices.Equal(got.Calls, want) {
		t.Errorf("process %d was called %q; want all of %q in %d", got.Process, got.Calls, want, p.cmd.Process.Pid)
	}
	if left := time.Until(got.Deadline); left > time.Hour-maxReserve || left < time.Hour/2 || got.Trace == "" {
		t.Errorf("the function had %v, in the invocation %q", left, got.Trace)
	}
	runtime.Close()
	if code, log := p.wait(); code != 1 || !strings.Contains(log, "a function panicked") {
		t.Errorf("the process ended with %d, and has logged\n%s", code, log)
	}
}

func (p *process) visits() {
	for _, c := range []struct {
		path, body string
		status     int
		size       int // of the answer; -1 for any
	}{
		{"/api/echo", "\xff\x00", 200, 2},
		{"/api/echo", `{"a":"ä"}`, 200, 10},
		{"/api/panic", "", 500, -1},
		{"/api/large", "", 200, maxAnswer},
		{"/api/larger", "", 500, -1},
		{"/recurrence", string(sample(p.t, "input.json")), 404, -1},
	} {
		status, text := p.get("POST", c.path, c.body)
		if status != c.status || c.size >= 0 && len(text) != c.size {
			p.t.Errorf("%s: got %d with %d bytes, want %d with %d", c.path, status, len(text), c.status, c.size)
		}
	}
}

// A process that Lambda did not start says what is missing.
func TestNoLambda(t *testing.T) {
	p := start(t, nil)
	if code, log := p.wait(); code != 1 || !strings.Contains(log, RuntimeVariable) {
		t.Errorf("ended with %d: %s", code, fmt.Sprint(log))
	}
}
