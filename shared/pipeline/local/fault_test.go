//go:build linux || darwin

package local

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

func TestSubmitThatCannotBeKept(t *testing.T) {
	g := newRig(t, nil)
	g.shell("job", "exit")
	active := filepath.Join(g.config.Runs, "active")
	if err := errors.Join(os.Remove(active), os.WriteFile(active, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	_, err := g.Submit(t.Context(), job("a", "job"))
	if err == nil || !strings.Contains(err.Error(), "run a cannot be kept") {
		t.Errorf("got %v", err)
	}
	if err := errors.Join(os.Remove(active), os.Mkdir(active, 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Status(t.Context(), Kind, "a"); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("a run that was not kept: %v", err)
	}
	g.end(g.submit(job("a", "job")), schedule.Completed)
}

func TestEndThatCannotBeWritten(t *testing.T) {
	g := newRig(t, nil)
	g.shell("job", "rm -r $CARILLON_RUNS/all/*/$CARILLON_RUN")
	g.end(g.submit(job("a", "job")), schedule.Completed)
	eventually(t, "the end told", func() bool { return len(g.ends()) == 1 })
	if id := g.submit(job("a", "job")); g.status(id).Status != schedule.Completed {
		t.Errorf("submitted again, it is %s", g.status(id).Status)
	}
	if err := g.Cancel(t.Context(), Kind, "a"); err != nil {
		t.Error(err)
	}
}

// TestCloseInAHurry: when the context is done, grace is over.
func TestCloseInAHurry(t *testing.T) {
	g := newRig(t, func(c *Config) { c.Grace = time.Hour })
	g.shell("job", `trap "" TERM; echo yes > begun; while :; do sleep 0.01; done`)
	g.submit(job("a", "job"))
	g.awaitFile("begun")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Close(ctx); err != nil {
		t.Fatal(err)
	}
	report := g.status("a")
	if report.Status != schedule.Interrupted || report.Steps[0].Status != schedule.Interrupted || exitCode(report.Steps[0]) != "-1" {
		t.Errorf("the run is %+v", report)
	}
}

func TestSubmitsAtOnceWhileClosing(t *testing.T) {
	g := newRig(t, one)
	g.shell("job", "echo $CARILLON_RUN >> ledger")
	taken := make(chan string, 200)
	for i := range 8 {
		go func() {
			for j := range 25 {
				name := string(rune('a'+i)) + "-" + string(rune('a'+j))
				_, err := g.Target.Submit(context.Background(), job(name, "job"))
				if err != nil && pipeline.OutcomeOf(err) != pipeline.NotDone {
					t.Errorf("%s: %v", name, err)
				}
				if err != nil {
					name = ""
				}
				taken <- name
			}
		}()
	}
	var names []string
	for i := range 200 {
		if i == 20 {
			go g.Target.Close(context.Background())
		}
		if name := <-taken; name != "" {
			names = append(names, name)
		}
	}
	g.Close(t.Context())
	eventually(t, "the folder free", func() bool {
		lock, err := lockFolder(g.config.Runs)
		if err == nil {
			lock.Close()
		}
		return err == nil
	})
	g.open()
	for _, name := range names {
		eventually(t, "the end of "+name, func() bool { return g.status(name).Status.Final() })
		status, n := g.status(name).Status, count(g.lines("ledger"), name)
		if n > 1 || status == schedule.Completed && n != 1 || status != schedule.Completed && status != schedule.Interrupted {
			t.Errorf("%s is %s and ran %d times", name, status, n)
		}
	}
}
