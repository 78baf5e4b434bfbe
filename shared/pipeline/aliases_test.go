package pipeline_test

import (
	"context"
	"errors"
	"testing"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

// counting says how often it was asked what stands for what, and fails where it is told to.
type counting struct {
	*pipeline.Fake
	asked int
	err   error
}

func (c *counting) Also(ctx context.Context, ref schedule.PipelineRef) ([]schedule.PipelineRef, error) {
	c.asked++
	if c.err != nil {
		return nil, c.err
	}
	return c.Fake.Also(ctx, ref)
}

// The far side is asked only where it depends on it.
func TestStopped(t *testing.T) {
	ref := func(id string) schedule.PipelineRef { return schedule.PipelineRef{Kind: "batch_endpoint", ID: id} }
	far := &counting{Fake: &pipeline.Fake{}}
	far.Put(
		pipeline.Pipeline{Ref: ref("score"), Also: []schedule.PipelineRef{ref("score/blue")}},
		pipeline.Pipeline{Ref: ref("score/blue"), Also: []schedule.PipelineRef{ref("score")}},
		pipeline.Pipeline{Ref: ref("score/green")},
	)
	targets := map[string]pipeline.Target{"batch_endpoint": far}
	down := errors.New("no answer")
	for _, c := range []struct {
		p, stop, want string // want: which stop holds
		asked         int
		err           error
	}{
		{p: "score", stop: "score", want: "score"},
		{p: "SCORE", stop: "score", want: "score", err: down},
		{p: "score", stop: "score/blue", want: "score/blue", asked: 1},
		{p: "score/blue", stop: "score", want: "score", asked: 1},
		{p: "score", stop: "score/green", asked: 1},
		{p: "score/green", stop: "score", asked: 1},
		{p: "score/green", stop: "score/blue"},
		{p: "score/green", stop: "score/blue", err: down},
		{p: "score", stop: "other/blue", err: down},
		{p: "gone", stop: "gone/blue", asked: 1},
		{p: "score", stop: "score/blue", asked: 1, err: down},
	} {
		far.asked, far.err = 0, c.err
		stop, err := pipeline.Stopped(t.Context(), targets, ref(c.p), []schedule.Stop{{Pipeline: ref(c.stop)}})
		got := ""
		if stop != nil {
			got = stop.Pipeline.ID
		}
		if unsure := c.asked > 0 && c.err != nil; got != c.want || far.asked != c.asked || errors.Is(err, down) != unsure || (err != nil) != unsure {
			t.Errorf("%s, with %s disabled: %q, asked %d times, %v", c.p, c.stop, got, far.asked, err)
		}
	}
	if stop, err := pipeline.Stopped(t.Context(), nil, ref("score"), []schedule.Stop{{Pipeline: ref("score/blue")}}); stop != nil || err != nil {
		t.Errorf("of a kind that nothing runs: %v, %v", stop, err)
	}
}
