package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const (
	changeKills        = 60
	changeKillsInShort = 8
)

// The real process is killed at random moments while files are dropped into watched folders, also while it is not
// there. Each file makes one run of the schedule that runs for each, and is in one list of the one that gathers them.
func TestKilledWhileFilesCome(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	each, batch := filepath.Join(data, "each"), filepath.Join(data, "batch")
	addPipeline(t, data, "each", `echo "$CARILLON_PARAM_FILE" >> `+each, "file")
	addPipeline(t, data, "batch", `for f in $CARILLON_PARAM_FILES; do echo $f; done >> `+batch, "files")
	inbox := filepath.Join(data, "datastores", "inbox", "in")
	if err := os.MkdirAll(inbox, 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, inbox, "before")           // the schedules: it never fires
	time.Sleep(50 * time.Millisecond) // the file system's clock is behind that of the schedules
	p := start(t, data)
	p.must("POST", "/api/schedules", `{"name":"each","pipeline":{"kind":"local","id":"each"},"experiment":"e","parameters":{"file":"{{.Change.Path}}"},
		"trigger":{"type":"datastore","datastore":"inbox","path_on_datastore":"in"}}`, nil)
	p.must("POST", "/api/schedules", `{"name":"batch","pipeline":{"kind":"local","id":"batch"},"experiment":"e","parameters":{"files":"{{range .Changes}}{{.Path}} {{end}}"},
		"trigger":{"type":"datastore","datastore":"inbox","path_on_datastore":"in","mode":"batch","quiet_period":"2s","max_wait":"10s"}}`, nil)
	n := changeKills
	if testing.Short() {
		n = changeKillsInShort
	}
	dropped := map[string]bool{}
	drop := func() {
		name := fmt.Sprintf("f%04d", len(dropped))
		put(t, inbox, name)
		dropped["in/"+name] = true
	}
	for i := range n {
		if rand.IntN(4) > 0 && p.url == "" && !p.await() {
			t.Fatalf("Carillon did not start after kill %d:\n%s", i, p.logged())
		}
		for range rand.IntN(4) {
			drop()
			time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		}
		p.kill()
		drop() // while it is not there
		p = launch(t, data)
	}
	if !p.await() {
		t.Fatalf("Carillon did not start:\n%s", p.logged())
	}
	runs := p.allEnded(len(dropped))
	p.stop()
	ofEach, ofBatch := lines(t, each), lines(t, batch)
	interrupted := map[string]int{}
	for _, r := range runs {
		switch {
		case r.Status == "Completed" || r.Status == "Canceled":
		case r.Status == "Interrupted":
			interrupted[r.Schedule]++
		default:
			t.Errorf("%s of %s is %s (%s %s)", r.ID, r.Schedule, r.Status, r.Reason, r.Error)
		}
	}
	missing := 0
	for path := range dropped {
		if ofEach[path] > 1 || ofBatch[path] > 1 {
			t.Errorf("%s: %d runs, in %d lists", path, ofEach[path], ofBatch[path])
		}
		if ofEach[path] == 0 {
			missing++
		}
		if ofBatch[path] == 0 && interrupted["batch"] == 0 {
			t.Errorf("%s is in no list", path)
		}
	}
	if missing > interrupted["each"] {
		t.Errorf("%d files made no run, and %d runs were interrupted", missing, interrupted["each"])
	}
	if ofEach["in/before"]+ofBatch["in/before"] > 0 {
		t.Error("what was there before fired")
	}
	t.Logf("%d files, %d runs, interrupted: %v", len(dropped), len(runs), interrupted)
}

// put makes a file appear whole.
func put(t *testing.T, folder, name string) {
	t.Helper()
	beside := filepath.Join(filepath.Dir(folder), "."+name)
	if err := os.WriteFile(beside, []byte(name), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(beside, filepath.Join(folder, name)); err != nil {
		t.Fatal(err)
	}
}

// allEnded waits until each file has a run of its own and nothing waits or is under way.
func (p *process) allEnded(files int) []run {
	p.t.Helper()
	for deadline := time.Now().Add(4 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		runs := p.runs("")
		own, open := 0, 0
		for _, r := range runs {
			switch r.Status {
			case "Waiting", "Submitting", "Queued", "Running":
				open++
			}
			if r.Schedule == "each" {
				own++
			}
		}
		var s struct{ Watch struct{ Window *struct{} } }
		p.must("GET", "/api/schedules/batch", "", &s)
		if own >= files && open == 0 && s.Watch.Window == nil {
			return runs
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%d files have %d runs, %d are under way, a window is open: %v\n%s", files, own, open, s.Watch.Window != nil, p.logged())
		}
	}
}
