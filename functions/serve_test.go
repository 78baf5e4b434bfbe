package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// say runs the command line against a process and returns what it prints.
func (p *process) say(args ...string) string {
	p.t.Helper()
	out, err := command(append([]string{"--endpoint", p.url}, args...)...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("carillon %s: %v\n%s%s", strings.Join(args, " "), err, out, p.logged())
	}
	return string(out)
}

// await1 waits until a run of a schedule has ended and returns it.
func (p *process) await1(schedule string) run {
	p.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		for _, r := range p.runs("schedule=" + schedule) {
			if !r.Ended.IsZero() {
				return r
			}
		}
	}
	p.t.Fatalf("no run of %s ends:\n%s", schedule, p.logged())
	return run{}
}

// What the README tells a newcomer to type.
func TestReadme(t *testing.T) {
	p := start(t, t.TempDir(), "--example")
	file := filepath.Join(t.TempDir(), "schedule.yaml")
	text := "name: every-15-minutes\npipeline: {kind: local, id: hello}\nexperiment: demo\nparameters: {who: world}\n" +
		"trigger: {type: recurrence, frequency: minute, interval: 15}\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p.say("schedules", "create", "-f", file)
	if out := p.say("schedules", "list"); !strings.Contains(out, "every 15 minutes") || !strings.Contains(out, "hello-every-minute") {
		t.Errorf("list:\n%s", out)
	}
	if out := p.say("schedules", "next", "every-15-minutes", "-n", "5"); strings.Count(out, ":00 UTC") != 5 {
		t.Errorf("next:\n%s", out)
	}
	if out := p.say("schedules", "next", "-f", file, "-n", "3"); strings.Count(out, ":00 UTC") != 3 || !strings.Contains(out, "every 15 minutes") {
		t.Errorf("preview:\n%s", out)
	}
	p.say("schedules", "trigger", "every-15-minutes")
	done := p.await1("every-15-minutes")
	if done.Status != "Completed" {
		t.Errorf("the run is %s: %s", done.Status, done.Error)
	}
	if out := p.say("runs", "list", "--schedule", "every-15-minutes"); !strings.Contains(out, "Completed") {
		t.Errorf("runs:\n%s", out)
	}
	if out := p.say("runs", "output", done.ID); !strings.Contains(out, "hello, world") {
		t.Errorf("output:\n%s", out)
	}
	p.say("schedules", "disable", "every-15-minutes", "--note", "data feed is down")
	if out := p.say("schedules", "get", "every-15-minutes"); !strings.Contains(out, "data feed is down") {
		t.Errorf("get:\n%s", out)
	}

	backup := filepath.Join(t.TempDir(), "backup.db")
	p.say("backup", "-f", backup)
	p.stop()
	restored := t.TempDir()
	if err := os.MkdirAll(filepath.Join(restored, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(backup, filepath.Join(restored, "state", "carillon.db")); err != nil {
		t.Fatal(err)
	}
	p = start(t, restored)
	if out := p.say("schedules", "list"); !strings.Contains(out, "every-15-minutes") || !strings.Contains(out, "Disabled") {
		t.Errorf("restored:\n%s", out)
	}
	p.stop()
}

func TestServeRefuses(t *testing.T) {
	damaged := t.TempDir()
	file := filepath.Join(damaged, "state", "carillon.db")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	junk := bytes.Repeat([]byte("this is no state file"), 1000)
	if err := os.WriteFile(file, junk, 0o600); err != nil {
		t.Fatal(err)
	}
	used := t.TempDir()
	start(t, used)
	for _, row := range []struct {
		name string
		args []string
		env  []string
		says []string
	}{
		{"a folder in use", []string{"--data", used}, nil, []string{"another Carillon", used}},
		{"a damaged state file", []string{"--data", damaged}, nil, []string{file}},
		{"an open door", []string{"--data", t.TempDir(), "--listen", "0.0.0.0:0"}, nil, []string{"CARILLON_KEY_AUTHOR"}},
		{"an address that is none", []string{"--data", t.TempDir(), "--listen", "nowhere"}, nil, []string{"nowhere", "--listen"}},
		{
			"wrong settings, all at once",
			[]string{"--data", t.TempDir()},
			[]string{"CARILLON_RUNS_AT_ONCE=many", "CARILLON_RETENTION=1d", "CARILLON_KEY_LIST=secret"},
			[]string{"CARILLON_RUNS_AT_ONCE", "CARILLON_RETENTION", "CARILLON_KEY_LIST"},
		},
	} {
		cmd := command(append([]string{"serve", "--listen", "127.0.0.1:0"}, row.args...)...)
		cmd.Env = append(cmd.Env, row.env...)
		out, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != 1 {
			t.Errorf("%s: exit %d\n%s", row.name, cmd.ProcessState.ExitCode(), out)
		}
		for _, says := range row.says {
			if !strings.Contains(string(out), says) {
				t.Errorf("%s: does not say %s:\n%s", row.name, says, out)
			}
		}
		if strings.Contains(string(out), "secret") {
			t.Errorf("%s: tells a key:\n%s", row.name, out)
		}
	}
	if after, err := os.ReadFile(file); err != nil || !bytes.Equal(after, junk) {
		t.Errorf("the damaged file was changed: %v", err)
	}
}

// Keys by right, on the real process.
func TestKeys(t *testing.T) {
	t.Setenv("CARILLON_KEY_LIST", "list-key-0123456789")
	t.Setenv("CARILLON_KEY_AUTHOR", "author-key-0123456789")
	data := t.TempDir()
	addPipeline(t, data, "hello", "true")
	p := start(t, data)
	for _, row := range []struct {
		method, path, body, key string
		want                    int
	}{
		{"GET", "/api/schedules", "", "", 401},
		{"GET", "/api/schedules", "", "list-key-0123456789", 200},
		{"POST", "/api/schedules", definition("s", "hello", 15, 0), "list-key-0123456789", 403},
		{"POST", "/api/schedules", definition("s", "hello", 15, 0), "author-key-0123456789", 201},
	} {
		if status, text, err := p.call(row.method, row.path, row.body, "x-functions-key", row.key); err != nil || status != row.want {
			t.Errorf("%s %s with %q: %d %s %v", row.method, row.path, row.key, status, text, err)
		}
	}
	if status, _, err := p.call("GET", "/api/schedules", "", "x-functions-key", "list-key-0123456789", "Host", "evil.example"); err != nil || status != 403 {
		t.Errorf("a foreign host: %d %v", status, err)
	}
}

// readmeBlocks are the commands of a section of the README.
func readmeBlocks(t *testing.T, heading string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("the README has no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var block strings.Builder
	for line := range strings.Lines(section + "\n.\n") {
		if code, ok := strings.CutPrefix(line, "    "); ok || strings.TrimSpace(line) == "" && block.Len() > 0 {
			block.WriteString(strings.TrimRight(code, "\n") + "\n")
			continue
		}
		if strings.TrimSpace(block.String()) != "" {
			blocks = append(blocks, block.String())
		}
		block.Reset()
	}
	return blocks
}

// What the README says to type works as it stands there.
func TestReadmeSections(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("there is no bash")
	}
	p := start(t, t.TempDir(), "--example")
	folder := t.TempDir()
	for name, text := range map[string]string{
		"carillon": "exec env CARILLON_TEST_AS_MAIN=1 " + os.Args[0] + ` "$@"`,
		"ended":    `until id=$(carillon runs list --status Completed -o json | sed -n 's/.*"id": *"\([^"]*\)".*/\1/p' | head -1) && [ -n "$id" ]; do sleep 0.1; done; echo $id`,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(p.data, filepath.Join(folder, "carillon-data")); err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for _, heading := range []string{"Use it", "When data change", "Operate"} {
		for _, block := range readmeBlocks(t, heading) {
			if strings.HasPrefix(block, "go build") {
				continue
			}
			// A person reads the id of a run that has ended in the list before.
			block = strings.ReplaceAll(block, "RUN_ID", "$(ended)")
			cmd := exec.Command("bash", "-e", "-o", "pipefail", "-c", block)
			cmd.Dir = folder
			cmd.Env = append(os.Environ(), "PATH="+folder+":"+os.Getenv("PATH"), "CARILLON_ENDPOINT="+p.url)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%s: %v\n%s\n%s", heading, err, block, out)
			}
			said[heading] += string(out)
		}
		if heading != "When data change" {
			continue
		}
		if r := p.await1("sales"); r.Status != "Completed" {
			t.Errorf("the run of the dropped file is %s: %s", r.Status, r.Error)
		}
	}
	for heading, want := range map[string]string{"When data change": "incoming/monday.csv", "Operate": "8 runs would be made"} {
		if !strings.Contains(said[heading], want) {
			t.Errorf("%s does not say %q:\n%s", heading, want, said[heading])
		}
	}
	if filled := p.runs("schedule=every-15-minutes"); len(filled) < 10 { // eight of the backfill, two by hand
		t.Errorf("%d runs", len(filled))
	}
	p.stop()
}

// The help of serve names every setting.
func TestHelpNamesEverySetting(t *testing.T) {
	help := serveCommand().Long
	for field := range reflect.TypeFor[config]().Fields() {
		if name, ok := field.Tag.Lookup("envconfig"); ok && !regexp.MustCompile(`\bCARILLON_`+name+`\b`).MatchString(help) {
			t.Errorf("CARILLON_%s is not named", name)
		}
	}
}
