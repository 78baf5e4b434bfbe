//go:build linux || darwin

package local

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/shared/schedule"
)

func soon(c *Config) { c.Grace = 100 * time.Millisecond }

func TestTimeoutEndsTheWholeGroup(t *testing.T) {
	g := newRig(t, soon)
	g.put("job", `steps:
- name: stubborn
  command: sh
  args: [-c, 'trap "" TERM; (sleep 1000 & echo $! >> pids; wait) & echo $! >> pids; echo $$ >> pids; wait; wait']
  timeout: 1s`)
	report := g.end(g.submit(job("a", "job")), schedule.Failed)
	if report.Error != "step stubborn took longer than its timeout of 1s and was ended" || exitCode(report.Steps[0]) != "-1" {
		t.Errorf("the report is %+v", report)
	}
	if pids := g.lines("pids"); len(pids) != 3 {
		t.Errorf("the processes were %v", pids)
	}
	for _, pid := range g.lines("pids") {
		if lives(pid) {
			t.Errorf("process %s goes on", pid)
		}
	}
}

func TestCancel(t *testing.T) {
	g := newRig(t, one)
	release := g.hold()
	g.shell("polite", `trap 'echo bye; exit 0' TERM; echo yes > begun2; while :; do sleep 0.01; done`)
	g.submit(job("running", "polite"))
	g.submit(job("waiting", "polite"))
	if err := g.Cancel(t.Context(), Kind, "waiting"); err != nil {
		t.Fatal(err)
	}
	report := g.status("waiting")
	if report.Status != schedule.Canceled || !report.Started.IsZero() || report.Steps[0].Status != schedule.Skipped {
		t.Errorf("a cancelled run that waited is %+v", report)
	}
	release()
	g.awaitFile("begun2")
	if err := g.Cancel(t.Context(), Kind, "running"); err != nil {
		t.Fatal(err)
	}
	report = g.end("running", schedule.Canceled)
	if report.Steps[0].Status != schedule.Canceled || !strings.HasSuffix(g.output("running"), "bye\n") {
		t.Errorf("a cancelled run is %+v, its output %q", report, g.output("running"))
	}
	eventually(t, "three ends told", func() bool { return len(g.ends()) == 3 })
}

func TestOutput(t *testing.T) {
	g := newRig(t, func(c *Config) { c.OutputLimit = 1000 })
	g.shell("bytes", `printf 'out\n'; printf 'err \377\376\n' >&2; printf 'out again'`)
	g.end(g.submit(job("bytes", "bytes")), schedule.Completed)
	if got := g.output("bytes"); got != "out\nerr \xff\xfe\nout again" {
		t.Errorf("output is %q", got)
	}

	g.shell("much", `i=0; while [ $i -lt 1000 ]; do echo 123456789; i=$((i+1)); done`)
	g.end(g.submit(job("much", "much")), schedule.Completed)
	want := strings.Repeat("123456789\n", 100) + "\n[carillon: the first 1000 bytes are kept; 9000 more were dropped]\n"
	if got := g.output("much"); got != want {
		t.Errorf("output is %q", got)
	}

	g.shell("live", `echo so far; echo yes > begun; while [ ! -e go ]; do sleep 0.01; done; echo end`)
	g.submit(job("live", "live"))
	eventually(t, "output of a run under way", func() bool { return g.output("live") == "so far\n" })
	os.WriteFile(g.path("go"), nil, 0o600)
	g.end("live", schedule.Completed)
	if got := g.output("live"); got != "so far\nend\n" {
		t.Errorf("output is %q", got)
	}
}

func TestHeadersStandOnLinesOfTheirOwn(t *testing.T) {
	g := newRig(t, nil)
	g.put("job", `steps:
- {name: a, command: printf, args: [no newline]}
- {name: b, command: 'true'}
- {name: c, command: echo, args: [c]}`)
	g.end(g.submit(job("a", "job")), schedule.Completed)
	if got, want := g.output("a"), "==> a <==\nno newline\n==> b <==\n==> c <==\nc\n"; got != want {
		t.Errorf("output is %q, want %q", got, want)
	}
}

// TestFullDisk: what cannot be kept is dropped, and the command goes on.
func TestFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("needs /dev/full")
	}
	g := newRig(t, one)
	release := g.hold()
	g.shell("job", "echo lost; echo lost >&2; echo $CARILLON_RUN >> ledger")
	g.submit(job("a", "job"))
	if err := os.Symlink("/dev/full", g.disk.stepFile("a", 0, "out")); err != nil {
		t.Fatal(err)
	}
	g.submit(job("b", "job"))
	if err := os.Mkdir(g.disk.stepFile("b", 0, "out"), 0o700); err != nil {
		t.Fatal(err)
	}
	release()
	for name, want := range map[string]string{"a": "no space left on device", "b": "is a directory"} {
		report := g.end(name, schedule.Completed)
		if got := report.Steps[0].Error; !strings.Contains(got, "its output was not kept whole (10 bytes dropped)") || !strings.Contains(got, want) {
			t.Errorf("%s: the step's error is %q", name, got)
		}
		if count(g.lines("ledger"), name) != 1 {
			t.Errorf("%s: the command did not go on", name)
		}
	}
}

func TestWhatAStepLeavesBehind(t *testing.T) {
	g := newRig(t, soon)
	g.shell("holds", `sleep 1000 & echo $! >> pids; echo done`)
	g.shell("silent", `sleep 1000 > /dev/null 2>&1 & echo $! >> pids; echo done`)
	for _, id := range []string{"holds", "silent"} {
		g.end(g.submit(job(id, id)), schedule.Completed)
		if got := g.output(id); got != "done\n" {
			t.Errorf("%s: output is %q", id, got)
		}
	}
	for _, pid := range g.lines("pids") {
		if lives(pid) {
			t.Errorf("process %s goes on", pid)
		}
	}
}

// TestDescriptors: a command has its three descriptors and no other, and none is left without blocking.
func TestDescriptors(t *testing.T) {
	if _, err := os.Stat("/proc/self/fdinfo"); err != nil {
		t.Skip("needs /proc")
	}
	g := newRig(t, nil)
	const script = `ls /proc/$$/fd; grep -h flags /proc/$$/fdinfo/[012]; cat; ps -o pgid= -p $$; echo $$`
	g.shell("job", script)
	g.end(g.submit(job("a", "job")), schedule.Completed)
	got := strings.Fields(g.output("a"))
	// What the tests themselves were started with is inherited by everybody.
	plain, err := exec.Command("sh", "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	rest := len(got) - 8
	if want := strings.Fields(string(plain)); len(got) != len(want) || !slices.Equal(got[:rest], want[:rest]) {
		t.Fatalf("output is %q, of a plain process %q", got, want)
	}
	for i := rest + 1; i < len(got)-2; i += 2 {
		var bits int
		fmt.Sscanf(got[i], "%o", &bits)
		if bits&0o4000 != 0 {
			t.Errorf("a descriptor does not block: %q", got)
		}
	}
	if group, pid := got[len(got)-2], got[len(got)-1]; group != pid {
		t.Errorf("the process %s is in the group %s", pid, group)
	}
}

func TestPrune(t *testing.T) {
	g := newRig(t, nil)
	g.shell("job", "exit")
	for i := range 5 {
		g.end(g.submit(job(fmt.Sprintf("run-%d", i), "job")), schedule.Completed)
	}
	eventually(t, "five ends told", func() bool { return len(g.ends()) == 5 })
	third := g.status("run-2").Ended
	for _, c := range []struct {
		before time.Time
		max    int
		want   int
	}{
		{third.Add(-100 * time.Hour), 10, 0}, {third, 1, 1}, {third, 10, 1}, {third, 10, 0},
		{third.Add(100 * time.Hour), 2, 2}, {third.Add(100 * time.Hour), 2, 1},
	} {
		if n, err := g.Prune(t.Context(), c.before, c.max); err != nil || n != c.want {
			t.Errorf("Prune before %v, at most %d: removed %d, %v, want %d", c.before, c.max, n, err, c.want)
		}
	}
	for _, dir := range []string{"all/*", "ended"} {
		if left := filesBelow(t, g.config.Runs+"/"+dir); left != 0 {
			t.Errorf("%d entries are left in %s", left, dir)
		}
	}
	g.end(g.submit(job("run-0", "job")), schedule.Completed)
}

func BenchmarkSubmit(b *testing.B) {
	c := configIn(b.TempDir())
	c.AtOnce = 1
	target, err := Open(c)
	if err != nil {
		b.Fatal(err)
	}
	defer target.Close(b.Context())
	os.WriteFile(c.Pipelines+"/hold.yaml", []byte("steps: [{name: s, command: sleep, args: [1000]}]"), 0o600)
	n := 0
	for b.Loop() {
		n++
		if _, err := target.Submit(b.Context(), job(fmt.Sprintf("run-%d", n), "hold")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRun(b *testing.B) {
	c := configIn(b.TempDir())
	c.AtOnce = 1
	ended := make(chan string, 1)
	c.Ended = func(runID string) { ended <- runID }
	target, err := Open(c)
	if err != nil {
		b.Fatal(err)
	}
	defer target.Close(b.Context())
	os.WriteFile(c.Pipelines+"/true.yaml", []byte("steps: [{name: s, command: 'true'}]"), 0o600)
	n := 0
	for b.Loop() {
		n++
		if _, err := target.Submit(b.Context(), job(fmt.Sprintf("run-%d", n), "true")); err != nil {
			b.Fatal(err)
		}
		<-ended
	}
}
