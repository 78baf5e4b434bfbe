package cli

import (
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestRunThatWaitsForItsTurn(t *testing.T) {
	v, err := decode[runView]([]byte(strings.Replace(manual, `"revision":1`, `"revision":1,"buffered":true`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if got := v.outcome(); got != "Waiting (for its turn)" {
		t.Error(got)
	}
	if got := v.sheet(noon); !strings.Contains(got, "Status:       Waiting (for its turn)\n") {
		t.Error(got)
	}
	if got := (runView{Status: "Skipped", Reason: "overlap"}).outcome(); got != "Skipped (overlap)" {
		t.Error(got)
	}
}

func TestPauses(t *testing.T) {
	for _, row := range []struct {
		after, failures int
		want            string
	}{
		{1, 0, "after a failed run"},
		{3, 0, "after 3 failed runs in a row"},
		{3, 2, "after 3 failed runs in a row; 2 so far"},
	} {
		v := scheduleView{PauseAfter: row.after, Failures: row.failures}
		if got := v.pauses(); got != row.want {
			t.Errorf("%d of %d: %q, want %q", row.failures, row.after, got, row.want)
		}
		if got := v.sheet("", noon); !strings.Contains(got, "Pauses:       "+row.want+"\n") {
			t.Error(got)
		}
	}
}
