// Package runtimetest is Lambda's Runtime API, version 2018-06-01, as its documentation has it: a real bootstrap runs
// against it, over HTTP on a loopback port.
package runtimetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"
)

// MaxPayload is how many bytes an invocation and its answer may have.
const MaxPayload = 6291556

const root = "/2018-06-01/runtime/"

// Runtime hands invocations to the one process that asks it for them.
type Runtime struct {
	server *httptest.Server
	queue  chan *invocation
	gone   chan struct{} // the runtime is closed
	once   sync.Once

	mu   sync.Mutex
	ids  int
	open map[string]*invocation // given to the process, and not answered
}

type invocation struct {
	payload  []byte
	deadline time.Time
	answered chan outcome
}

// outcome is what the process has made of an invocation.
type outcome struct {
	response []byte
	err      error
}

// Failure is what a process said of an invocation that failed.
type Failure struct {
	Message string `json:"errorMessage"`
	Type    string `json:"errorType"`
}

func (f *Failure) Error() string { return f.Type + ": " + f.Message }

// ErrGone: the Runtime is closed.
var ErrGone = errors.New("the Runtime API is closed")

// Serve starts a Runtime that is closed with the test.
func Serve(t testing.TB) *Runtime {
	r := &Runtime{queue: make(chan *invocation), gone: make(chan struct{}), open: map[string]*invocation{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+root+"invocation/next", r.next)
	mux.HandleFunc("POST "+root+"invocation/{id}/response", r.response)
	mux.HandleFunc("POST "+root+"invocation/{id}/error", r.failure)
	r.server = httptest.NewServer(mux)
	t.Cleanup(r.Close)
	return r
}

// Close ends all that is under way. A bootstrap that meets it closed exits.
func (r *Runtime) Close() {
	r.once.Do(func() { close(r.gone) })
	r.server.Close()
}

// Environ is what Lambda puts into the environment of a process.
func (r *Runtime) Environ() []string {
	return []string{
		"AWS_LAMBDA_RUNTIME_API=" + r.server.Listener.Addr().String(),
		"AWS_LAMBDA_FUNCTION_NAME=carillon", "AWS_LAMBDA_FUNCTION_VERSION=$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128",
		"AWS_LAMBDA_LOG_FORMAT=JSON", "AWS_REGION=us-east-1",
	}
}

// Invoke hands an event to the process and returns what it answers. The error is a *Failure when it says that it has
// failed. The deadline is only told: nobody is killed at it.
func (r *Runtime) Invoke(ctx context.Context, payload []byte, deadline time.Time) ([]byte, error) {
	i := &invocation{payload, deadline, make(chan outcome, 1)}
	select {
	case r.queue <- i:
	case <-r.gone:
		return nil, ErrGone
	case <-ctx.Done():
		return nil, fmt.Errorf("nobody asks for an invocation: %w", ctx.Err())
	}
	select {
	case out := <-i.answered:
		return out.response, out.err
	case <-r.gone:
		return nil, ErrGone
	case <-ctx.Done():
		return nil, fmt.Errorf("no answer to an invocation: %w", ctx.Err())
	}
}

// next waits for an invocation. It is never refused for the time that it takes.
func (r *Runtime) next(w http.ResponseWriter, request *http.Request) {
	if r.busy() {
		refuse(w, http.StatusForbidden, "InvalidStateTransition")
		return
	}
	select {
	case i := <-r.queue:
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", r.begin(i))
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(i.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:carillon")
		h.Set("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1")
		w.Write(i.payload)
	case <-r.gone:
		panic(http.ErrAbortHandler)
	case <-request.Context().Done():
	}
}

func (r *Runtime) busy() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.open) > 0
}

func (r *Runtime) begin(i *invocation) (id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids++
	id = fmt.Sprintf("8476a536-e9f4-11e8-9739-%012d", r.ids)
	r.open[id] = i
	return id
}

func (r *Runtime) response(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(io.LimitReader(request.Body, MaxPayload+1))
	switch {
	case err != nil:
		refuse(w, http.StatusBadRequest, "Unreadable")
	case len(body) > MaxPayload:
		r.finish(w, request, outcome{err: &Failure{"the answer has more than 6291556 bytes", "Function.ResponseSizeTooLarge"}}, http.StatusRequestEntityTooLarge)
	default:
		r.finish(w, request, outcome{response: body}, http.StatusAccepted)
	}
}

func (r *Runtime) failure(w http.ResponseWriter, request *http.Request) {
	f := new(Failure)
	if err := json.NewDecoder(request.Body).Decode(f); err != nil || f.Type == "" {
		refuse(w, http.StatusBadRequest, "InvalidErrorShape")
		return
	}
	r.finish(w, request, outcome{err: f}, http.StatusAccepted)
}

// finish ends the invocation that a request names.
func (r *Runtime) finish(w http.ResponseWriter, request *http.Request, out outcome, status int) {
	r.mu.Lock()
	id := request.PathValue("id")
	i, ok := r.open[id]
	delete(r.open, id)
	r.mu.Unlock()
	if !ok {
		refuse(w, http.StatusBadRequest, "InvalidRequestID")
		return
	}
	i.answered <- out
	if status != http.StatusAccepted {
		refuse(w, status, "RequestEntityTooLarge")
		return
	}
	w.WriteHeader(status)
	io.WriteString(w, `{"status":"OK"}`)
}

func refuse(w http.ResponseWriter, status int, kind string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(Failure{kind, kind})
}
