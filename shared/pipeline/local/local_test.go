//go:build linux || darwin

package local

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/pipeline/pipelinetest"
	"carillon/shared/schedule"
)

const patience = time.Minute

func TestMain(m *testing.M) {
	RunChild()
	if dir := os.Getenv("LOCAL_TEST_VICTIM"); dir != "" {
		victim(dir)
	}
	os.Exit(m.Run())
}

// rig is a target in a folder of its own, with a ledger that steps write to.
type rig struct {
	*Target
	t      *testing.T
	config Config

	mu    sync.Mutex
	ended []string
}

func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	g := &rig{t: t}
	g.config = configIn(t.TempDir())
	g.config.Ended = func(runID string) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.ended = append(g.ended, runID)
	}
	if change != nil {
		change(&g.config)
	}
	g.open()
	return g
}

func configIn(dir string) Config {
	return Config{
		Pipelines: filepath.Join(dir, "pipelines"), Runs: filepath.Join(dir, "runs"), Grace: 10 * time.Second,
	}
}

func (g *rig) open() {
	g.t.Helper()
	g.config.Log = slog.New(slog.NewTextHandler(g.t.Output(), nil))
	target, err := Open(g.config)
	if err != nil {
		g.t.Fatal(err)
	}
	g.Target = target
	g.t.Cleanup(func() { target.Close(context.Background()) })
}

func (g *rig) close() {
	g.t.Helper()
	if err := g.Close(g.t.Context()); err != nil {
		g.t.Fatal(err)
	}
}

func (g *rig) ends() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.ended)
}

// path is a file beside the pipelines, for steps to write to.
func (g *rig) path(name string) string { return filepath.Join(g.config.Pipelines, name) }

func (g *rig) put(id, text string) {
	g.t.Helper()
	if err := os.WriteFile(g.path(id+".yaml"), []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// shell puts a pipeline of one step that runs a shell's command.
func (g *rig) shell(id, command string) {
	g.t.Helper()
	g.put(id, fmt.Sprintf("steps: [{name: only, command: sh, args: [-c, %q]}]", command))
}

func job(name, id string) pipeline.Submission {
	return pipeline.Submission{
		Name: name, Pipeline: schedule.PipelineRef{Kind: Kind, ID: id}, Experiment: "demo", Schedule: "nightly", Occurrence: "o-" + name,
	}
}

func (g *rig) submit(s pipeline.Submission) string {
	g.t.Helper()
	id, err := g.Submit(g.t.Context(), s)
	if err != nil {
		g.t.Fatalf("Submit %s: %v", s.Name, err)
	}
	return id
}

func (g *rig) status(runID string) account {
	g.t.Helper()
	report, err := g.Status(g.t.Context(), Kind, runID)
	if err != nil {
		g.t.Fatal(err)
	}
	steps, _, err := g.Steps(g.t.Context(), Kind, runID)
	if err != nil {
		g.t.Fatal(err)
	}
	return account{report, steps}
}

// exitCode is that of a step's command.
func exitCode(s pipeline.Step) string {
	if s.Exit == nil {
		return "none"
	}
	return strconv.Itoa(*s.Exit)
}

// eventually waits until ok holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// end waits for a run's end.
func (g *rig) end(runID string, want schedule.Status) account {
	g.t.Helper()
	eventually(g.t, "the end of "+runID, func() bool { return g.status(runID).Status.Final() })
	report := g.status(runID)
	if report.Status != want {
		g.t.Errorf("run %s is %s (%s), want %s", runID, report.Status, report.Error, want)
	}
	return report
}

func (g *rig) output(runID string) string {
	g.t.Helper()
	r, err := g.Output(g.t.Context(), Kind, runID)
	if err != nil {
		g.t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		g.t.Fatal(err)
	}
	return string(text)
}

// lines are those of a file beside the pipelines; none when it is not there.
func (g *rig) lines(name string) []string { return linesOf(g.path(name)) }

func linesOf(path string) []string {
	data, _ := os.ReadFile(path)
	return slices.DeleteFunc(strings.Split(string(data), "\n"), func(s string) bool { return s == "" })
}

func (g *rig) awaitFile(name string) {
	g.t.Helper()
	eventually(g.t, "the file "+name, func() bool { return len(g.lines(name)) > 0 })
}

func count(list []string, want string) (n int) {
	for _, s := range list {
		if s == want {
			n++
		}
	}
	return n
}

func TestConforms(t *testing.T) {
	pipelinetest.Run(t, func(t *testing.T) pipelinetest.Env {
		g := newRig(t, nil)
		g.put("succeeds", `
parameters: {who: world}
steps: [{name: greet, command: sh, args: [-c, 'echo hello {{ .Parameters.who }}; echo $CARILLON_RUN >> ledger']}]`)
		g.shell("fails", "exit 3")
		g.shell("waits", "exec sleep 1000")
		return pipelinetest.Env{
			Target: g.Target, Kind: Kind, Succeeds: "succeeds", Fails: "fails", Waits: "waits",
			Made: func(name string) int { return count(g.lines("ledger"), name) },
		}
	})
}

func TestStepsRunInOrderWithTheirValues(t *testing.T) {
	g := newRig(t, nil)
	t.Setenv("CARILLON_KEYS", "secret")
	t.Setenv("LOCAL_TEST_INHERITED", "yes")
	g.put("train", `
name: Train
description: two steps
parameters: {who: world, day: null, rate: 0.10}
steps:
- name: first
  command: sh
  args: [-c, 'printf %s "$0 $GREETING $CARILLON_PARAM_WHO"', 'arg {{ .Parameters.day }}']
  env: {GREETING: 'hi {{ .Parameters.who }}'}
- name: second
  command: sh
  args:
  - -c
  - env | grep -e ^CARILLON_ -e ^LOCAL_TEST | sort; pwd; printenv PWD
  working_dir: below
`)
	if err := os.Mkdir(g.path("below"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := job("run-1", "train")
	s.Parameters = map[string]string{"day": "$(monday) 'x'"}
	report := g.end(g.submit(s), schedule.Completed)
	below, _ := filepath.EvalSymlinks(g.path("below"))
	want := `==> first <==
arg $(monday) 'x' hi world world
==> second <==
CARILLON_EXPERIMENT=demo
CARILLON_OCCURRENCE=o-run-1
CARILLON_PARAM_DAY=$(monday) 'x'
CARILLON_PARAM_RATE=0.10
CARILLON_PARAM_WHO=world
CARILLON_RUN=run-1
CARILLON_RUNS=` + g.config.Runs + `
CARILLON_SCHEDULE=nightly
LOCAL_TEST_INHERITED=yes
` + below + "\n" + g.path("below") + "\n"
	if got := g.output("run-1"); got != want {
		t.Errorf("output is\n%s\nwant\n%s", got, want)
	}
	if len(report.Steps) != 2 || report.Steps[1].Started.Before(report.Steps[0].Ended) || report.Ended.Before(report.Steps[1].Ended) || exitCode(report.Steps[1]) != "0" {
		t.Errorf("steps are %+v, the run ended %v", report.Steps, report.Ended)
	}
	p, err := g.Get(t.Context(), s.Pipeline)
	if err != nil || p.Name != "Train" || p.Description != "two steps" || fmt.Sprint(p.Parameters) != "map[day: rate:0.10 who:world]" {
		t.Errorf("the pipeline is %+v, %v", p, err)
	}
}

func TestFailedStep(t *testing.T) {
	const text = `
steps:
- {name: a, command: sh, args: [-c, 'echo a; exit 3']}
- {name: b, command: sh, args: [-c, 'echo b; kill -9 $$']}
- {name: c, command: echo, args: [c]}
`
	g := newRig(t, nil)
	g.put("train", text)
	report := g.end(g.submit(job("stops", "train")), schedule.Failed)
	if report.Error != "step a ended with exit status 3" {
		t.Errorf("the error is %q", report.Error)
	}
	want := []schedule.Status{schedule.Failed, schedule.Skipped, schedule.Skipped}
	if got := statuses(report.Steps); !slices.Equal(got, want) || exitCode(report.Steps[0]) != "3" {
		t.Errorf("steps are %+v, want %v", report.Steps, want)
	}
	if got := g.output("stops"); got != "==> a <==\na\n" {
		t.Errorf("output is %q", got)
	}

	s := job("goes-on", "train")
	s.ContinueOnStepFailure = new(true)
	report = g.end(g.submit(s), schedule.Failed)
	if report.Error != "step a ended with exit status 3; step b was ended from outside (signal: killed)" {
		t.Errorf("the error is %q", report.Error)
	}
	want = []schedule.Status{schedule.Failed, schedule.Failed, schedule.Completed}
	if got := statuses(report.Steps); !slices.Equal(got, want) || exitCode(report.Steps[1]) != "-1" {
		t.Errorf("steps are %+v, want %v", report.Steps, want)
	}
}

func statuses(steps []pipeline.Step) (list []schedule.Status) {
	for _, s := range steps {
		list = append(list, s.Status)
	}
	return list
}

func TestCommandsThatCannotStart(t *testing.T) {
	g := newRig(t, nil)
	for name, mode := range map[string]os.FileMode{"plain": 0o600, "headless": 0o700} {
		if err := os.WriteFile(g.path(name), []byte("echo hello\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(g.path("orphan"), []byte("#!/no/such/interpreter\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, step, want string }{
		{"missing", "command: no-such-command, env: {PATH: /bin}", "step s could not start: there is no command no-such-command in PATH (/bin)"},
		{"relative", "command: ./missing", "step s could not start: there is no command " + g.path("missing")},
		{"plain", "command: ./plain", "step s could not start: " + g.path("plain") + " is not executable (chmod +x makes it so)"},
		{"headless", "command: ./headless", "step s could not start: " + g.path("headless") + " is not a program; a script needs a first line such as #!/bin/sh"},
		{"orphan", "command: ./orphan", "step s could not start: " + g.path("orphan") + " names an interpreter in its first line, or needs a loader, that is not there"},
		{"folder", "command: echo, working_dir: nowhere", "step s could not start: there is no working folder " + g.path("nowhere")},
	} {
		g.put(c.name, "steps: [{name: s, "+c.step+"}]")
		if report := g.end(g.submit(job(c.name, c.name)), schedule.Failed); report.Error != c.want {
			t.Errorf("%s: the error is\n%s\nwant\n%s", c.name, report.Error, c.want)
		}
	}
	long := "steps: [{name: s, command: echo, args: [" + strings.Repeat(strings.Repeat("x", 100_000)+", ", 9) + "x]}]"
	g.put("long", strings.Replace(long, "steps", "parameters: {p: x}\nsteps", 1))
	g.end(g.submit(job("long", "long")), schedule.Completed)
}

func TestSubmitRefuses(t *testing.T) {
	g := newRig(t, nil)
	g.put("strict", "parameters: {day: , who: world}\nsteps: [{name: s, command: echo}]")
	g.put("broken", "steps: [{name: s, comand: echo}]")
	g.shell("twice", "exit")
	if err := os.WriteFile(g.path("twice.yml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	given := func(s pipeline.Submission, parameters map[string]string) pipeline.Submission {
		s.Parameters = parameters
		return s
	}
	for _, c := range []struct {
		s    pipeline.Submission
		want string
	}{
		{job("a", "strict"), "parameter day is required and has no value"},
		{given(job("a", "strict"), map[string]string{"day": "1", "hour": "2"}), "there is no parameter hour (the pipeline has day, who)"},
		{given(job("a", "strict"), map[string]string{"day": "a\x00b"}), "parameter day may not hold a zero byte"},
		{job("a", "broken"), "line 1: steps[0]: comand is not a field here; there are name, command, args, env, timeout, working_dir"},
		{job("a", "twice"), "there are twice.yaml and twice.yml: keep one of them"},
		{job("a", "missing"), "there is no file missing.yaml"},
		{job("", "strict"), "cannot name a run"},
		{job("../a", "strict"), "cannot name a run"},
		{job(strings.Repeat("a", 65), "strict"), "cannot name a run"},
	} {
		_, err := g.Submit(t.Context(), c.s)
		if pipeline.OutcomeOf(err) != pipeline.Refused || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s of %s: got %v, want it refused: %s", c.s.Name, c.s.Pipeline, err, c.want)
		}
	}
	list, _, err := g.List(t.Context(), "", 10)
	if err != nil || len(list) != 3 || list[0].Problem == "" || list[1].Problem != "" || list[2].Problem == "" {
		t.Errorf("the list is %+v, %v", list, err)
	}
}

func TestEditsAreLive(t *testing.T) {
	g := newRig(t, nil)
	g.shell("live", "echo one")
	g.end(g.submit(job("first", "live")), schedule.Completed)
	g.shell("live", "echo two")
	g.end(g.submit(job("second", "live")), schedule.Completed)
	if got := g.output("first") + g.output("second"); got != "one\ntwo\n" {
		t.Errorf("the output of both is %q", got)
	}
	old := time.Now().Add(-time.Hour)
	for _, name := range []string{"uno", "due"} {
		g.put("live", "name: "+name+"\nsteps: [{name: s, command: echo}]")
		if err := os.Chtimes(g.path("live.yaml"), old, old); err != nil {
			t.Fatal(err)
		}
		old = old.Add(time.Second)
		for range 2 {
			p, err := g.Get(t.Context(), schedule.PipelineRef{Kind: Kind, ID: "live"})
			if err != nil || p.Name != name {
				t.Errorf("the name is %q, %v; want %s", p.Name, err, name)
			}
		}
	}
	os.Remove(g.path("live.yaml"))
	if list, _, err := g.List(t.Context(), "", 10); err != nil || len(list) != 0 {
		t.Errorf("the list is %v, %v", list, err)
	}
	if len(g.pipelines.known) != 0 {
		t.Errorf("remembered although it is gone: %v", g.pipelines.known)
	}
}

func TestEveryGoroutineEnds(t *testing.T) {
	before := runtime.NumGoroutine()
	g := newRig(t, nil)
	g.shell("quick", "exit")
	g.shell("slow", "echo yes > begun; exec sleep 1000")
	g.end(g.submit(job("a", "quick")), schedule.Completed)
	g.submit(job("b", "slow"))
	g.awaitFile("begun")
	g.close()
	eventually(t, "the end of all goroutines", func() bool { return runtime.NumGoroutine() <= before })
}
