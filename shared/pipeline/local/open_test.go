//go:build linux || darwin

package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

// hold makes the only run that may be started at once wait, so that others are Queued until the file go is there.
func (g *rig) hold() (release func()) {
	g.t.Helper()
	g.shell("hold", "echo yes > begun; while [ ! -e go ]; do sleep 0.01; done")
	g.submit(job("hold", "hold"))
	g.awaitFile("begun")
	return func() { os.WriteFile(g.path("go"), nil, 0o600) }
}

func one(c *Config) { c.AtOnce = 1 }

func TestQueuedRunsGoOnInOrder(t *testing.T) {
	g := newRig(t, one)
	release := g.hold()
	g.shell("job", "echo $CARILLON_RUN >> ledger")
	var names []string
	for i := range 20 {
		names = append(names, g.submit(job(fmt.Sprintf("%c-%d", 'z'-i, i), "job")))
		if s := g.status(names[i]); s.Status != schedule.Queued || !s.Started.IsZero() || s.Steps[0].Status != schedule.Queued {
			t.Errorf("a waiting run is %+v", s)
		}
	}
	if out := g.output(names[0]); out != "" {
		t.Errorf("a waiting run has the output %q", out)
	}
	g.close()
	if s := g.end("hold", schedule.Interrupted); s.Error == "" || s.Steps[0].Status != schedule.Interrupted {
		t.Errorf("the run that was under way is %+v", s)
	}
	if s := g.status(names[0]).Status; s != schedule.Queued {
		t.Errorf("after Close a waiting run is %s", s)
	}
	_, err := g.Submit(t.Context(), job("late", "job"))
	if err == nil || pipeline.OutcomeOf(err) != pipeline.NotDone {
		t.Errorf("Submit after Close: %v", err)
	}
	if err := g.Cancel(t.Context(), Kind, names[0]); err == nil {
		t.Error("Cancel of a waiting run after Close gave no error")
	}
	release()
	g.open()
	for _, name := range names {
		g.end(name, schedule.Completed)
	}
	if got := g.lines("ledger"); !slices.Equal(got, names) {
		t.Errorf("ran in the order %v, want %v", got, names)
	}
	eventually(t, "every end told", func() bool { return len(g.ends()) == 21 })
}

func TestAtOnce(t *testing.T) {
	g := newRig(t, func(c *Config) { c.AtOnce = 2 })
	g.shell("job", "echo $CARILLON_RUN >> begun; while [ ! -e $CARILLON_RUN ]; do sleep 0.01; done")
	for _, name := range []string{"a", "b", "c"} {
		g.submit(job(name, "job"))
	}
	eventually(t, "two runs", func() bool { return len(g.lines("begun")) == 2 })
	if a, b, c := g.status("a").Status, g.status("b").Status, g.status("c").Status; a != schedule.Running || b != a || c != schedule.Queued {
		t.Errorf("a is %s, b is %s, c is %s", a, b, c)
	}
	os.WriteFile(g.path("b"), nil, 0o600)
	eventually(t, "the third", func() bool { return count(g.lines("begun"), "c") == 1 })
	os.WriteFile(g.path("a"), nil, 0o600)
	os.WriteFile(g.path("c"), nil, 0o600)
	for _, name := range []string{"a", "b", "c"} {
		g.end(name, schedule.Completed)
	}
}

func TestOpenTwice(t *testing.T) {
	g := newRig(t, nil)
	_, err := Open(g.config)
	if err == nil || !strings.Contains(err.Error(), "is in use by another process of Carillon") {
		t.Errorf("got %v", err)
	}
	g.close()
	g.open()
}

func TestWhatOpenFinds(t *testing.T) {
	g := newRig(t, one)
	g.hold()
	g.shell("job", "exit")
	for _, name := range []string{"damaged", "unacknowledged", "told"} {
		g.submit(job(name, "job"))
	}
	g.close()
	told := end{Status: schedule.Completed, Ended: time.Now().UTC()}
	for _, err := range []error{
		os.WriteFile(filepath.Join(g.disk.run("damaged"), "request.json"), []byte(`{"name":`), 0o600),
		os.Remove(filepath.Join(g.disk.run("unacknowledged"), "request.json")),
		g.disk.keepEnd("told", told),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	g.open()
	if report := g.end("damaged", schedule.Failed); !strings.Contains(report.Error, "request.json is damaged") {
		t.Errorf("a damaged request is reported as %q", report.Error)
	}
	if _, err := g.Status(t.Context(), Kind, "unacknowledged"); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("a submission that was cut off: %v", err)
	}
	eventually(t, "the end that was not told", func() bool { return count(g.ends(), "told") == 1 })
	g.close()
	if names, err := g.disk.active(); err != nil || len(names) > 0 {
		t.Errorf("still active: %v, %v", names, err)
	}
	if err := os.WriteFile(filepath.Join(g.config.Runs, "format"), []byte("carillon runs 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(g.config); err == nil || !strings.Contains(err.Error(), "run the version that wrote it") {
		t.Errorf("a later format: %v", err)
	}
}
