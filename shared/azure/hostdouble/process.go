package hostdouble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	readyEvery  = 25 * time.Millisecond
	readyWithin = 30 * time.Second // initializationTimeout
	faultsAllow = 3
	faultsCount = 30 * time.Minute

	exitRecycle = 200
)

// process is one run of the handler.
type process struct {
	cmd    *exec.Cmd
	client *http.Client
	ready  bool          // it answers; under the Host's lock
	wanted bool          // the test has killed it; under the Host's lock
	killed bool          // the host has killed it, and will start another; under the Host's lock
	exited chan struct{} //
	seen   chan struct{} // the host has drawn its conclusions from the exit
}

// freePort finds a port below those that systems give to outgoing connections, which could take it before the handler.
func freePort(t testing.TB) string {
	var err error
	for range 100 {
		port := strconv.Itoa(20000 + rand.IntN(12000))
		var listener net.Listener
		if listener, err = net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			listener.Close()
			return port
		}
	}
	t.Fatal(err)
	return ""
}

// environment is what a real host was seen to give its handler.
func (h *Host) environment() []string {
	id := guid()
	env := []string{
		"FUNCTIONS_WORKER_RUNTIME=custom", "AZURE_FUNCTIONS_ENVIRONMENT=Development", "ASPNETCORE_SUPPRESSSTATUSMESSAGES=true",
		"WEBSITE_HOSTNAME=" + strings.TrimPrefix(h.URL, "http://"), "AzureWebJobsScriptRoot=" + h.app.root,
		"FUNCTIONS_APP_ROOT_PATH=" + h.app.root,
		"FUNCTIONS_HTTPWORKER_PORT=" + h.port, "FUNCTIONS_HTTPWORKER_ID=" + id,
		"FUNCTIONS_CUSTOMHANDLER_PORT=" + h.port, "FUNCTIONS_CUSTOMHANDLER_WORKER_ID=" + id,
	}
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	for name, value := range h.settings {
		env = append(env, name+"="+value)
	}
	return env
}

func (h *Host) launch() (*process, error) {
	p := &process{
		cmd:    exec.Command(h.app.executable, h.app.arguments...),
		client: &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100}, CheckRedirect: notFollowed},
		exited: make(chan struct{}), seen: make(chan struct{}),
	}
	p.cmd.Dir = h.app.root
	p.cmd.Env = h.environment()
	p.cmd.Stdout = &output{level: func(string) string { return "Information" }, add: h.addLine}
	p.cmd.Stderr = &output{level: errorLevel, add: h.addLine}
	p.cmd.WaitDelay = time.Second // for a grandchild that keeps the pipes
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait()
		p.client.CloseIdleConnections()
		close(p.exited)
	}()
	return p, nil
}

func notFollowed(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func (p *process) kill() { _ = p.cmd.Process.Kill() }

// code is the exit code as the host sees it.
func (p *process) code() int {
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return p.cmd.ProcessState.ExitCode()
}

// supervise keeps a handler running for as long as the host lives and wants one.
func (h *Host) supervise(l *life) {
	for again := true; again; {
		p, err := h.launch()
		if err != nil {
			h.complain("the handler cannot be started: %v", err)
			h.set(func() { h.over = err })
			return
		}
		h.set(func() { h.process = p })
		l.group.Go(func() { h.awaken(l, p) })
		select {
		case <-p.exited:
		case <-l.ctx.Done():
			p.kill()
			<-p.exited
		}
		again = h.conclude(l, p)
		close(p.seen)
	}
}

// conclude says whether the host starts another handler after one has exited.
func (h *Host) conclude(l *life, p *process) (again bool) {
	code := p.code()
	complaint := ""
	h.set(func() {
		h.process = nil
		switch {
		case l.ctx.Err() != nil:
			h.over = errors.New("the host is stopped")
		case p.killed:
			again = true
		case code == 0:
			h.over = errors.New("the handler has exited with 0: it is not started again")
			complaint = h.over.Error()
		case code == exitRecycle:
			again = true
		default:
			if !p.wanted {
				complaint = fmt.Sprintf("the handler has exited with %d", code)
			}
			again = h.fault(l)
		}
		if again {
			h.restarts++
		}
	})
	if complaint != "" {
		h.complain("%s", complaint)
	}
	return again
}

// fault counts one and says whether the host goes on. h.mu is held.
func (h *Host) fault(l *life) bool {
	now := time.Now()
	if n := len(h.faults); n > 0 && now.Sub(h.faults[n-1]) > faultsCount {
		h.faults = nil
	}
	h.faults = append(h.faults, now)
	if len(h.faults) < faultsAllow {
		return true
	}
	h.over = fmt.Errorf("the host has stopped: the handler has failed %d times", faultsAllow)
	l.end()
	return false
}

// awaken asks a new handler whether it is ready until it answers.
func (h *Host) awaken(l *life, p *process) {
	ctx, cancel := context.WithTimeout(l.ctx, readyWithin)
	defer cancel()
	for {
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, h.at("/"), nil)
		r.Header["User-Agent"] = nil
		answer, err := p.client.Do(r)
		if err == nil {
			answer.Body.Close()
			h.set(func() { p.ready = true })
			return
		}
		select {
		case <-time.After(readyEvery):
		case <-p.exited:
			return
		case <-ctx.Done():
			if l.ctx.Err() == nil {
				h.complain("the handler does not answer within %v", readyWithin)
				h.set(func() { h.over = errors.New("the handler never answered") })
			}
			return
		}
	}
}

func (h *Host) at(path string) string { return "http://127.0.0.1:" + h.port + path }

func isReady(p *process) bool { return p.ready }

// await returns the handler once there is one that is as it has to be.
func (h *Host) await(ctx context.Context, ok func(*process) bool) (*process, error) {
	for {
		h.mu.Lock()
		p, over, changed := h.process, h.over, h.changed
		found := p != nil && ok(p)
		h.mu.Unlock()
		switch {
		case over != nil:
			return nil, over
		case found:
			return p, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// limit gives a call in a handler its functionTimeout. The returned function ends the call.
func (h *Host) limit(p *process, function string) (ended func()) {
	over, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		timeout := time.NewTimer(h.app.timeout)
		defer timeout.Stop()
		select {
		case <-timeout.C:
			h.expire(p, function)
		case <-over:
		}
	}()
	return func() {
		close(over)
		<-watched
	}
}

// expire kills the handler because a call in it has not completed within functionTimeout. It is no fault to the host.
func (h *Host) expire(p *process, function string) {
	h.mu.Lock()
	p.killed = true
	h.mu.Unlock()
	h.complain("%s did not complete within functionTimeout (%v): the handler is killed with every call in it", function, h.app.timeout)
	p.kill()
}

func (h *Host) addLine(l Line) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, l)
}

func errorLevel(text string) string {
	if strings.Contains(strings.ToLower(text), "warn") {
		return "Warning"
	}
	return "Error"
}

// output cuts what a handler writes into lines.
type output struct {
	level func(text string) string
	add   func(Line)
	mu    sync.Mutex
	rest  []byte
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rest = append(o.rest, p...)
	for {
		line, rest, ok := bytes.Cut(o.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		o.rest = rest
		o.add(Line{o.level(string(line)), string(line)})
	}
}
