package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	pipelines "carillon/shared/pipeline/local"
)

// The test binary is Carillon itself where the environment says so, so that tests start real processes.
func TestMain(m *testing.M) {
	pipelines.RunChild()
	if os.Getenv("CARILLON_TEST_AS_MAIN") != "" {
		main()
	}
	os.Exit(m.Run())
}

// process is a real Carillon on a folder of the test's.
type process struct {
	t     testing.TB
	data  string
	cmd   *exec.Cmd
	url   string
	log   bytes.Buffer
	mu    sync.Mutex // of log
	done  chan struct{}
	ready <-chan string
}

func command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "CARILLON_TEST_AS_MAIN=1", "CARILLON_LOG_LEVEL=warn")
	return cmd
}

// launch starts a process and does not wait for it.
func launch(t testing.TB, data string, args ...string) *process {
	t.Helper()
	return launchIn(t, nil, data, args...)
}

// launchIn is launch with more in the environment.
func launchIn(t testing.TB, environment []string, data string, args ...string) *process {
	t.Helper()
	p := &process{t: t, data: data, done: make(chan struct{})}
	p.cmd = command(append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0"}, args...)...)
	p.cmd.Env = append(p.cmd.Env, environment...)
	p.cmd.Stderr = p
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if _, rest, ok := strings.Cut(lines.Text(), "Carillon is at "); ok {
				ready <- strings.Fields(rest)[0]
			}
		}
		p.cmd.Wait()
		close(p.done)
		close(ready)
	}()
	t.Cleanup(p.kill)

	p.ready = ready
	return p
}

// start launches a process and waits until it answers.
func start(t testing.TB, data string, args ...string) *process {
	t.Helper()
	p := launch(t, data, args...)
	if !p.await() {
		t.Fatalf("Carillon did not start:\n%s", p.logged())
	}
	return p
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *process) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// await waits until the process answers and reports whether it does.
func (p *process) await() bool {
	url, ok := <-p.ready
	p.url = url
	return ok
}

func (p *process) kill() {
	p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.done
}

// stop asks the process to end, as a service manager does.
func (p *process) stop() {
	p.t.Helper()
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		p.t.Fatalf("Carillon does not stop:\n%s", p.logged())
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Errorf("Carillon stopped with %d:\n%s", code, p.logged())
	}
}

// call sends a request and returns the status and the body.
func (p *process) call(method, path, body string, headers ...string) (int, string, error) {
	request, err := http.NewRequest(method, p.url+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			request.Host = headers[i+1]
		}
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(data), err
}

// must sends a request that has to succeed and reads its answer.
func (p *process) must(method, path, body string, into any) {
	p.t.Helper()
	status, text, err := p.call(method, path, body)
	if err != nil || status >= 300 {
		p.t.Fatalf("%s %s: %d %s %v\n%s", method, path, status, text, err, p.logged())
	}
	if into != nil {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			p.t.Fatalf("%s %s: %v\n%s", method, path, err, text)
		}
	}
}

type run struct {
	ID, Schedule, Kind, Status, Reason, Error string
	Nominal, Last, Started, Submitted, Ended  time.Time
	Count                                     int
}

// runs reads the whole list.
func (p *process) runs(query string) []run {
	p.t.Helper()
	var all []run
	for token := ""; ; {
		var page struct {
			Items []run
			Next  string
		}
		p.must("GET", "/api/runs?limit=200&token="+strings.ReplaceAll(token, "|", "%7C")+"&"+query, "", &page)
		all = append(all, page.Items...)
		if token = page.Next; token == "" {
			return all
		}
	}
}

// addPipeline writes a pipeline of one shell command.
func addPipeline(t testing.TB, data, id, script string, parameters ...string) {
	t.Helper()
	folder := filepath.Join(data, "pipelines")
	text := fmt.Sprintf("name: %s\n", id)
	for i, name := range parameters {
		if i == 0 {
			text += "parameters:\n"
		}
		text += "  " + name + ":\n"
	}
	text += fmt.Sprintf("steps:\n  - name: only\n    command: sh\n    args: [-c, %q]\n", script)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, id+".yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// definition is the JSON of a schedule that fires every so many minutes, at a second of the minute.
func definition(name, pipeline string, minutes, second int) string {
	return fmt.Sprintf(`{"name": %q, "pipeline": {"kind": "local", "id": %q}, "experiment": "test",
		"trigger": {"type": "recurrence", "frequency": "minute", "interval": %d, "start_time": "2026-01-01T00:00:%02d"}}`, name, pipeline, minutes, second)
}
