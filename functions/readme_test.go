package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// readme returns the commands of a section of the README.
func readme(t *testing.T, section string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "\n## "+section+"\n")
	if !ok {
		t.Fatal("the README has no section ", section)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	var script strings.Builder
	for line := range strings.Lines(rest) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			script.WriteString(command)
		}
	}
	return script.String()
}

// types gives commands into a shell in a folder, where carillon is this program and speaks to the process.
func (p *process) types(folder, script string) string {
	p.t.Helper()
	bin := p.t.TempDir()
	program := fmt.Sprintf("#!/bin/sh\nCARILLON_TEST_AS_MAIN=1 exec %s --endpoint %s \"$@\"\n", os.Args[0], p.url)
	if err := os.WriteFile(filepath.Join(bin, "carillon"), []byte(program), 0o755); err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command("sh", "-e", "-c", script)
	cmd.Dir, cmd.Env = folder, append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("%v\n%s%s", err, out, p.logged())
	}
	return string(out)
}

// What the README says of policies, typed as it stands there: runs of files that come at once are made one after the other.
func TestReadmePolicies(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	p := start(t, filepath.Join(folder, "carillon-data"), "--example")
	out := p.types(folder, strings.Replace(readme(t, "Policies"), "sleep 20", "sleep 5", 1))
	for _, says := range []string{"Running", "Waiting (for its turn)", "Overlap:      buffer_all", "Pauses:       after 3 failed runs in a row"} {
		if !strings.Contains(out, says) {
			t.Errorf("it does not say %q:\n%s", says, out)
		}
	}
	deadline := time.Now().Add(2 * time.Minute) // a look, once a minute, finds what was not told of
	for time.Now().Before(deadline) {
		runs := p.runs("schedule=one-by-one&status=Completed")
		if len(runs) < 3 {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		slices.SortFunc(runs, func(a, b run) int { return a.Started.Compare(b.Started) })
		for i := range runs[1:] {
			if earlier, later := runs[i], runs[i+1]; later.Started.Before(earlier.Ended) || later.ID < earlier.ID {
				t.Errorf("%s started at %v, before %s had ended at %v", later.ID, later.Started, earlier.ID, earlier.Ended)
			}
		}
		p.stop()
		return
	}
	t.Fatalf("not all have completed: %+v\n%s", p.runs("schedule=one-by-one"), p.logged())
}

// emulate starts the workspace that scripts/emulators azureml is, on a free port, and returns the lines that it prints for
// a shell.
func emulate(t *testing.T) (lines []string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "azureml")
	build := exec.Command("go", "build", "-o", program, "./scripts/azureml")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(program, "-listen", "127.0.0.1:0", "-run", "1s")
	printed, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	in := bufio.NewScanner(printed)
	for in.Scan() && strings.HasPrefix(in.Text(), "export ") {
		lines = append(lines, in.Text())
	}
	go io.Copy(io.Discard, printed)
	return lines
}

// What the README says of a workspace without Azure, typed as it stands there, but for the first two lines: they start the
// workspace and Carillon, which the test does. A submission that is told to come back does.
func TestReadmeWithoutAzure(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	folder := t.TempDir()
	var environment []string
	exports := emulate(t)
	for _, line := range exports {
		environment = append(environment, strings.TrimPrefix(line, "export "))
	}
	if err := os.WriteFile(filepath.Join(folder, "workspace.env"), []byte(strings.Join(exports, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	p := launchIn(t, environment, filepath.Join(folder, "carillon-data"))
	if !p.await() {
		t.Fatalf("Carillon did not start:\n%s", p.logged())
	}
	starts, script, ok := strings.Cut(readme(t, "Without Azure"), "carillon serve ")
	if _, script, ok = strings.Cut(script, "\n"); !ok || strings.Count(starts, "\n") != 1 || !strings.HasPrefix(starts, "scripts/emulators azureml | tee workspace.env ") {
		t.Fatalf("it does not begin by starting both:\n%s", starts)
	}
	out := p.types(folder, script)
	for _, says := range []string{
		"pipeline_endpoint:bbbbbbbb-0000-4000-8000-000000000001", "batch_endpoint:nightly", "3 of 3 schedules can be imported", "Europe/London",
		"faults that wait for requests to submit to a published pipeline: 1", "is Waiting", "make-a-job",
	} {
		if !strings.Contains(out, says) {
			t.Errorf("it does not say %q:\n%s", says, out)
		}
	}
	if r := p.await1("Train-daily"); r.Status != "Completed" || r.Submitted.Sub(r.Nominal) < 7*time.Second {
		t.Errorf("the run is %+v", r)
	}
	p.stop()
}
