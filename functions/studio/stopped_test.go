package studio

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

func (s *site) disablePipeline(id, note string) {
	s.t.Helper()
	stop := schedule.Stop{Pipeline: schedule.PipelineRef{Kind: "fake", ID: id}, By: "ann", Note: note, At: noon.Add(-time.Hour)}
	if err := s.db.StopPipeline(s.t.Context(), stop); err != nil {
		s.t.Fatal(err)
	}
}

func TestDisabledPipelines(t *testing.T) {
	s := newSite(t)
	s.pipeline("good")
	s.pipeline("hello/blue")
	s.schedule(quarterly("fine", "good"))
	a := s.schedule(strings.Replace(quarterly("a", "Hello/Blue"), `"minute"`, `"minute", "time_zone": "Europe/Vienna"`, 1))
	hides(t, words(s.get(root)), "disabled")
	s.disablePipeline("hello/blue", "wrong <b>data</b>")

	page := s.get(root)
	shows(t, page, `href="/api/studio?pipeline=fake%3ahello%2fblue"`, "wrong &lt;b&gt;data")
	shows(t, words(page),
		"Pipeline fake:hello/blue is disabled by ann , Mon 2026-01-05 11:00:30 UTC (1 h 00 min ago): “wrong <b>data</b>” .",
		"Disabled by ann", "What its schedules ask for is skipped. To let it be started again: carillon pipelines enable fake:hello/blue",
	)
	if n := strings.Count(page, "pipeline broken"); n < 1 {
		t.Error("no pipeline is marked")
	}
	shows(t, words(s.get(root+"/schedules/a")), "Its pipeline is disabled by ann , Mon 2026-01-05 12:00:30 CET", "What comes due is skipped.")
	hides(t, words(s.get(root+"/schedules/fine")), "disabled")
	shows(t, words(s.get(root+"?pipeline=fake:hello/blue")), "Disabled by ann")
	hides(t, words(s.get(root+"?pipeline=fake:good")), "disabled")

	id := s.asked(a, 30, func(o schedule.Occurrence) schedule.Occurrence {
		return o.Stopped(a.Pipeline, schedule.Stop{Pipeline: a.Pipeline, By: "ann", At: noon}, noon)
	})
	shows(t, words(s.get(root)), "Skipped pipeline fake:Hello/Blue was disabled by ann at 2026-01-05T12:00:30Z")
	shows(t, words(s.get(root+"/runs/"+id)), "pipeline fake:Hello/Blue was disabled by ann")
}

// A pipeline is disabled under whichever of its references, and the page says which one to enable.
func TestDisabledUnderAnotherReference(t *testing.T) {
	s := newSite(t)
	far := &pipeline.Fake{}
	s.page.Targets["batch_endpoint"] = far
	score, blue := schedule.PipelineRef{Kind: "batch_endpoint", ID: "score"}, schedule.PipelineRef{Kind: "batch_endpoint", ID: "score/blue"}
	far.Put(pipeline.Pipeline{Ref: score, Name: "Score", Also: []schedule.PipelineRef{blue}})
	s.schedule(strings.Replace(quarterly("a", "score"), `"kind": "fake"`, `"kind": "batch_endpoint"`, 1))
	if err := s.db.StopPipeline(t.Context(), schedule.Stop{Pipeline: blue, By: "ann", At: noon}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{root, root + "?pipeline=batch_endpoint:score"} {
		shows(t, words(s.get(path)), "Score batch_endpoint:score", "Disabled as batch_endpoint:score/blue by ann", "carillon pipelines enable batch_endpoint:score/blue")
	}
	shows(t, words(s.get(root+"/schedules/a")), "Its pipeline is disabled as batch_endpoint:score/blue by ann", "What comes due is skipped.")
	far.Put(pipeline.Pipeline{Ref: score, Name: "Score"})
	hides(t, words(s.get(root+"/schedules/a")), "disabled")
}

func TestManyDisabledPipelines(t *testing.T) {
	s := newSite(t)
	for i := range 12 {
		s.disablePipeline(fmt.Sprintf("p%02d", i), "")
	}
	page := words(s.get(root))
	shows(t, page, "Pipeline fake:p00 is disabled by ann", "fake:p04", "7 more are disabled: carillon pipelines list --disabled")
	hides(t, page, "fake:p05")
}
