//go:build linux || darwin

package local

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"carillon/shared/schedule"
)

const victims = 12 // runs that a victim submits

// victim is the process that the tests kill: it submits runs and says which were taken.
func victim(dir string) {
	c := configIn(dir)
	c.AtOnce = 3
	target, err := Open(c)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	for i := range victims {
		id, err := target.Submit(context.Background(), job(fmt.Sprintf("run-%02d", i), "job"))
		if err != nil {
			id = "error " + err.Error()
		}
		fmt.Println(id)
	}
	select {}
}

// startVictim starts another process on the rig's folder, and returns what it says it submitted.
func startVictim(t *testing.T, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LOCAL_TEST_VICTIM="+dir)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd, bufio.NewScanner(out)
}

// TestKilledAtAnyMoment kills a process with SIGKILL when its folder shows a given moment, and now and then a
// little later. Its command has run once at most then, and once when the run is not Interrupted.
func TestKilledAtAnyMoment(t *testing.T) {
	files := func(pattern string) func(dir string) int {
		return func(dir string) int {
			found, _ := filepath.Glob(filepath.Join(dir, pattern))
			return len(found)
		}
	}
	moments := map[string]func(dir string) int{
		"folders":  files("runs/all/*/*"),
		"requests": files("runs/all/*/*/request.json"),
		"active":   files("runs/active/*"),
		"marking":  files("runs/all/*/*/*.mark*"),
		"marks":    files("runs/all/*/*/01.mark"),
		"second":   files("runs/all/*/*/02.mark"),
		"begun":    func(dir string) int { return len(linesOf(filepath.Join(dir, "pipelines/ledger"))) },
		"ending":   files("runs/all/*/*/end.json*"),
		"ended":    files("runs/ended/*/*"),
	}
	for name, seen := range moments {
		for _, n := range []int{1, 2, 5, victims} {
			t.Run(fmt.Sprint(name, n), func(t *testing.T) {
				t.Parallel()
				killAt(t, func(dir string) bool { return seen(dir) >= n })
			})
		}
	}
}

func killAt(t *testing.T, moment func(dir string) bool) {
	g := &rig{t: t, config: configIn(t.TempDir())}
	dir := filepath.Dir(g.config.Runs)
	if err := os.Mkdir(g.config.Pipelines, 0o700); err != nil {
		t.Fatal(err)
	}
	g.put("job", `steps:
- {name: one, command: sh, args: [-c, 'echo $CARILLON_RUN >> ledger']}
- {name: two, command: sh, args: [-c, 'echo $CARILLON_RUN >> second']}`)
	cmd, said := startVictim(t, dir)
	// Not every moment comes: runs end while others are submitted.
	eventually(t, "the moment", func() bool { return moment(dir) || filesBelow(t, dir+"/runs/ended/*") == victims })
	time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
	cmd.Process.Kill()
	var taken []string
	for said.Scan() {
		taken = append(taken, said.Text())
	}
	cmd.Wait()
	g.open()
	for i, name := range taken {
		if name != fmt.Sprintf("run-%02d", i) {
			t.Fatalf("the process that was killed said %q", name)
		}
		g.endsOnce(name)
	}
	// Whoever did not hear that a run was taken submits it again.
	for i := range victims {
		g.endsOnce(g.submit(job(fmt.Sprintf("run-%02d", i), "job")))
	}
	g.close()
	if names, err := g.disk.active(); err != nil || len(names) > 0 {
		t.Errorf("still active: %v, %v", names, err)
	}
}

// endsOnce waits for a run's end, and counts what it left behind.
func (g *rig) endsOnce(name string) {
	g.t.Helper()
	eventually(g.t, "the end of "+name, func() bool { return g.status(name).Status.Final() })
	report := g.status(name)
	first, second := count(g.lines("ledger"), name), count(g.lines("second"), name)
	switch report.Status {
	case schedule.Completed:
		if first != 1 || second != 1 {
			g.t.Errorf("%s completed and its steps ran %d and %d times", name, first, second)
		}
	case schedule.Interrupted:
		if first > 1 || second > first {
			g.t.Errorf("%s was interrupted and its steps ran %d and %d times", name, first, second)
		}
	default:
		g.t.Errorf("%s is %s: %s; its output is %q", name, report.Status, report.Error, g.output(name))
	}
}

// TestProcessesOfAKilledCarillonAreEnded leaves a stubborn step, a child of it in its group, and one in a session
// of its own behind.
func TestProcessesOfAKilledCarillonAreEnded(t *testing.T) {
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("needs setsid")
	}
	for _, last := range []string{"wait", "exit"} {
		t.Run(last, func(t *testing.T) {
			g := &rig{t: t, config: configIn(t.TempDir())}
			g.config.Grace = 50 * time.Millisecond
			if err := os.Mkdir(g.config.Pipelines, 0o700); err != nil {
				t.Fatal(err)
			}
			g.shell("job", `[ -e go ] && exit; trap "" TERM; setsid sleep 1000 & echo $! >> pids; sleep 1000 & echo $! >> pids; `+
				`echo $$ >> pids; echo $$ >> leaders; while [ ! -e go ]; do sleep 0.01; done; `+last)
			cmd, _ := startVictim(t, filepath.Dir(g.config.Runs))
			eventually(t, "three steps", func() bool { return len(g.lines("leaders")) == 3 })
			cmd.Process.Kill()
			cmd.Wait()
			if err := os.WriteFile(g.path("go"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if last == "exit" {
				eventually(t, "the end of the leaders", func() bool { return !slices.ContainsFunc(g.lines("leaders"), lives) })
			}
			g.open()
			for i := range 3 {
				report := g.end(fmt.Sprintf("run-%02d", i), schedule.Interrupted)
				if report.Error != cutOff || report.Started.IsZero() || report.Steps[0].Status != schedule.Interrupted {
					t.Errorf("run %d is %+v", i, report)
				}
			}
			if pids := g.lines("pids"); len(pids) != 9 || slices.ContainsFunc(pids, lives) {
				t.Errorf("of the processes %v some go on", pids)
			}
		})
	}
}

// lives reports whether a process goes on. One that only has to be reaped does not.
func lives(pid string) bool {
	out, err := exec.Command("ps", "-o", "stat=", "-p", pid).Output()
	return err == nil && !strings.HasPrefix(strings.TrimSpace(string(out)), "Z")
}

// bystander starts a process that sleeps in a group of its own.
func bystander(t *testing.T, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	cmd.Env = env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd
}

func (g *rig) leaveMark(name string, step int, m mark) {
	g.t.Helper()
	data, err := json.Marshal(m)
	if err == nil {
		err = os.WriteFile(g.disk.stepFile(name, step, "mark"), data, 0o600)
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

// TestMarkOfAnOrphan: a child of a process that was killed leaves its mark after the next one has started.
func TestMarkOfAnOrphan(t *testing.T) {
	g := newRig(t, one)
	release := g.hold()
	g.shell("job", "echo $CARILLON_RUN >> ledger")
	g.submit(job("late", "job"))
	orphan := bystander(t)
	who, err := identify(orphan.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	g.leaveMark("late", 0, mark{who, time.Now()})
	release()
	report := g.end("late", schedule.Interrupted)
	if report.Error == "" || len(g.lines("ledger")) != 0 {
		t.Errorf("the error is %q, the ledger %v", report.Error, g.lines("ledger"))
	}
	if lives(fmt.Sprint(orphan.Process.Pid)) {
		t.Error("the orphan was not ended")
	}
}

func TestOthersWithTheSameProcessIDAreLeftAlone(t *testing.T) {
	g := newRig(t, one)
	g.hold()
	g.shell("job", "echo $CARILLON_RUN >> ledger")
	g.submit(job("old-start", "job"))
	g.submit(job("old-boot", "job"))
	g.submit(job("torn", "job"))
	g.close()
	other := bystander(t)
	who, err := identify(other.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	g.leaveMark("old-start", 0, mark{process{who.PID, who.Start + "0", who.Boot}, time.Now()})
	g.leaveMark("old-boot", 0, mark{process{who.PID, who.Start, "another"}, time.Now()})
	if err := os.WriteFile(g.disk.stepFile("torn", 0, "mark"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.open()
	g.end("old-start", schedule.Interrupted)
	g.end("old-boot", schedule.Interrupted)
	g.end("torn", schedule.Interrupted)
	if !lives(fmt.Sprint(other.Process.Pid)) {
		t.Error("another process was ended")
	}
	if len(g.lines("ledger")) != 0 {
		t.Errorf("the ledger is %v", g.lines("ledger"))
	}
}

// TestChildOfAGoneParentRunsNothing starts a child as a parent does that is gone before it gives its word.
func TestChildOfAGoneParentRunsNothing(t *testing.T) {
	for _, heard := range []int{0, 1} {
		if left := leftByChild(t, heard); len(left) != 0 {
			t.Errorf("the parent was gone after %d words, and the child left %v", heard, left)
		}
	}
}

// leftByChild starts a child, is gone for it after some words, and returns the files that it and its command left.
func leftByChild(t *testing.T, words int) []os.DirEntry {
	t.Helper()
	self, err := ownProgram()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{}
	theirs, err := c.openPipes()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Cmd{
		Path: self, Args: []string{childName, filepath.Join(dir, "mark"), "/usr/bin/touch", "touch", filepath.Join(dir, "touched")},
		ExtraFiles: theirs[1:],
	}
	defer c.closePipes()
	if words == 0 {
		c.goAhead.Close()
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range theirs {
		f.Close()
	}
	if words == 1 {
		var word [1]byte
		if _, err := c.report.Read(word[:]); err != nil || word[0] != saysMarked {
			t.Errorf("the child said %q, %v", word, err)
		}
		c.goAhead.Close()
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the child ended well")
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return left
}

func filesBelow(t *testing.T, pattern string) (n int) {
	t.Helper()
	dirs, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		n += len(entries)
	}
	return n
}
