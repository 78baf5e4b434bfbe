package schedule

import (
	"strings"
	"testing"
	"time"
)

func reference(text string) PipelineRef {
	kind, id, _ := strings.Cut(text, ":")
	return PipelineRef{Kind: kind, ID: id}
}

// What may be the same pipeline is told without its far side: only of that it has to be asked.
func TestMayHold(t *testing.T) {
	for _, same := range []struct{ stop, p string }{
		{"pipeline_job:component:Train:1", "pipeline_job:component:train@latest"},
		{"batch_endpoint:Score", "batch_endpoint:score/blue"},
		{"pipeline_endpoint:e", "published:p"},
	} {
		if stop, p := reference(same.stop), reference(same.p); !MayHold([]Stop{{Pipeline: stop}}, p) || !MayHold([]Stop{{Pipeline: p}}, stop) {
			t.Errorf("%s and %s cannot be the same", stop, p)
		}
	}
	for _, other := range []struct{ stop, p string }{
		{"pipeline_job:component:train:1", "pipeline_job:component:train:2"},
		{"pipeline_job:component:train@latest", "pipeline_job:component:train@latest"},
		{"pipeline_job:component:train:1", "pipeline_job:component:train-2@latest"},
		{"pipeline_job:job:train", "pipeline_job:component:train@latest"},
		{"pipeline_job:component:job", "pipeline_job:job:component"},
		{"batch_endpoint:score/blue", "batch_endpoint:score/green"},
		{"batch_endpoint:score", "batch_endpoint:score2/blue"},
		{"batch_endpoint:train@latest", "pipeline_job:component:train:1"},
		{"published:a", "published:b"}, {"pipeline_endpoint:a", "pipeline_endpoint:b"},
		{"local:score", "local:score/blue"}, {"local:a@latest", "local:a"}, {"local:a", "local:A"},
	} {
		if stop, p := reference(other.stop), reference(other.p); MayHold([]Stop{{Pipeline: stop}}, p) || MayHold([]Stop{{Pipeline: p}}, stop) {
			t.Errorf("%s and %s may be the same", stop, p)
		}
	}
}

func TestStopOf(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 7, 0, time.UTC)
	stops := []Stop{{Pipeline: reference("batch_endpoint:score/blue"), By: "ann", At: at}, {Pipeline: reference("batch_endpoint:score"), At: at}}
	endpoint, blue, green := reference("batch_endpoint:Score"), reference("batch_endpoint:score/Blue"), reference("batch_endpoint:score/green")
	if s := StopOf(stops, endpoint, blue); s == nil || *s != stops[1] {
		t.Errorf("not its own first: %v", s)
	}
	if s := StopOf(stops, green, blue); s == nil || *s != stops[0] {
		t.Errorf("not that of the other: %v", s)
	}
	if s := StopOf(stops, green); s != nil {
		t.Errorf("that of another: %v", s)
	}
	if got := stops[0].Of(blue); got != "pipeline batch_endpoint:score/blue was disabled by ann at 2026-11-22T10:00:07Z" {
		t.Error(got)
	}
	if got := stops[0].Of(endpoint); got != stops[0].String()+" (batch_endpoint:Score is the same pipeline now)" {
		t.Error(got)
	}
}
