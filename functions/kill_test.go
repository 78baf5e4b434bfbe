package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carillon/shared/recur"
)

const (
	kills        = 250
	killsInShort = 25
	everySecond  = 60 // schedules, one for each second of the minute
)

// The real process is killed at random moments, also while it starts, with a run due every second and people asking
// for more. What the runs left behind says what happened: every due occurrence has run once, or is recorded as
// skipped or interrupted with its reason.
func TestKilledAtRandomMoments(t *testing.T) {
	data := t.TempDir()
	ledger := filepath.Join(data, "ledger")
	addPipeline(t, data, "note", `echo "$CARILLON_OCCURRENCE" >> `+ledger)
	p := start(t, data)
	for second := range everySecond {
		p.must("POST", "/api/schedules", definition(fmt.Sprintf("second-%02d", second), "note", 1, second), nil)
	}
	began := time.Now()
	asked := map[string]bool{}
	n := kills
	if testing.Short() {
		n = killsInShort
	}
	for i := range n {
		switch rand.IntN(4) {
		case 0: // while it starts
			time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond)
		default:
			if p.url == "" && !p.await() {
				t.Fatalf("Carillon did not start after kill %d:\n%s", i, p.logged())
			}
			key := fmt.Sprint("request-", i)
			path := fmt.Sprintf("/api/schedules/second-%02d/trigger", rand.IntN(everySecond))
			if status, _, err := p.call("POST", path, "", "Idempotency-Key", key); err == nil && status == 202 {
				asked[key] = true
			}
			time.Sleep(time.Duration(rand.IntN(700)) * time.Millisecond)
		}
		p.kill()
		p = launch(t, data)
	}
	if !p.await() {
		t.Fatalf("Carillon did not start:\n%s", p.logged())
	}
	ended := time.Now()
	runs := p.settled(ended)
	p.stop()
	check(t, runs, lines(t, ledger), began, ended, len(asked))
}

// settled disables everything and waits until nothing is under way.
func (p *process) settled(ended time.Time) []run {
	p.t.Helper()
	for second := range everySecond {
		p.must("POST", fmt.Sprintf("/api/schedules/second-%02d/disable", second), "", nil)
	}
	deadline := ended.Add(4 * time.Minute)
	for {
		open := 0
		runs := p.runs("")
		for _, r := range runs {
			switch r.Status {
			case "Waiting", "Submitting", "Queued", "Running":
				open++
			}
		}
		if open == 0 {
			return runs
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%d occurrences never end:\n%s", open, p.logged())
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func check(t *testing.T, runs []run, ledger map[string]int, began, ended time.Time, asked int) {
	t.Helper()
	seen := map[string]map[time.Time]bool{}
	outcome := map[string]int{}
	manual := 0
	for _, r := range runs {
		outcome[r.Status]++
		made := ledger[r.ID]
		delete(ledger, r.ID)
		switch {
		case r.Status == "Completed" && made == 1:
		case r.Status == "Interrupted" && made <= 1 && r.Error != "":
		case r.Status == "Skipped" && made == 0 && r.Reason != "":
		default:
			t.Errorf("%s of %s is %s (%s %s) and ran %d times", r.ID, r.Schedule, r.Status, r.Reason, r.Error, made)
		}
		if r.Kind == "manual" {
			manual++
			continue
		}
		if seen[r.Schedule] == nil {
			seen[r.Schedule] = map[time.Time]bool{}
		}
		for at := r.Nominal; r.Count == 0 && at.Equal(r.Nominal) || !at.After(r.Last); at = at.Add(time.Minute) {
			if seen[r.Schedule][at] {
				t.Errorf("%s: %v is recorded twice", r.Schedule, at)
			}
			seen[r.Schedule][at] = true
		}
	}
	for id, n := range ledger {
		t.Errorf("%s ran %d times and is not recorded", id, n)
	}
	due := 0
	for second := range everySecond {
		name := fmt.Sprintf("second-%02d", second)
		spec := recur.Spec{Kind: recur.KindRecurrence, Frequency: "minute", Interval: 1, StartTime: fmt.Sprintf("2026-01-01T00:00:%02d", second)}
		rule, errs := spec.Compile(began)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		for at, _ := rule.Next(began); at.Before(ended); at, _ = rule.Next(at) {
			due++
			if !seen[name][at.UTC()] {
				t.Errorf("%s: %v is neither submitted nor skipped", name, at)
			}
		}
	}
	if manual < asked {
		t.Errorf("%d runs were asked for and promised, %d are recorded", asked, manual)
	}
	t.Logf("%d were due and %d asked for; they became %v", due, asked, outcome)
}

// lines counts the lines of a file.
func lines(t *testing.T, file string) map[string]int {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for line := range strings.Lines(string(data)) {
		count[strings.TrimSpace(line)]++
	}
	return count
}
