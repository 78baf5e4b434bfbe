package api

import (
	"errors"
	"strings"
	"testing"

	"carillon/shared/schedule"
	"carillon/shared/store"
)

// A run can be cancelled at any time until it has ended: who wanted that is kept and shown, and whoever follows the run is
// told, as soon as there is one.
func TestCancelAtAnyTime(t *testing.T) {
	s := newSite(t)
	s.want(201, s.call("POST", "/api/schedules", body15("s")))
	noAnswer := errors.New("no answer")
	submitting := func(o schedule.Occurrence) schedule.Occurrence { return o.Claimed("me", "c", s.now) }
	for minute, row := range []struct {
		name   string
		to     func(schedule.Occurrence) schedule.Occurrence
		status schedule.Status
		told   int
	}{
		{"waits", func(o schedule.Occurrence) schedule.Occurrence { o.Experiment = "e"; return o }, schedule.Canceled, 0},
		{"is being submitted", submitting, schedule.Submitting, 0},
		{"is tried again, and may be there", func(o schedule.Occurrence) schedule.Occurrence {
			return submitting(o).Again(noAnswer, false, 0, s.now)
		}, schedule.Waiting, 0},
		{"is uncertain", func(o schedule.Occurrence) schedule.Occurrence { return submitting(o).Doubtful(noAnswer) }, schedule.Canceled, 0},
		{"is there", func(o schedule.Occurrence) schedule.Occurrence {
			o.Pipeline = schedule.PipelineRef{Kind: "local", ID: "hello"}
			return submitting(o).Accepted("run-1", s.now)
		}, schedule.Queued, 1},
	} {
		o := s.at("s", minute, func(o schedule.Occurrence, _ store.Record) store.Change { return store.Change{To: row.to(o)} })
		got := s.want(202, s.call("POST", "/api/runs/"+o.ID+"/cancel", ""))
		if got.json["status"] != string(row.status) || got.json["cancel_by"] != "ann" {
			t.Errorf("one that %s: %s", row.name, got.text)
		}
		if told := len(s.follows.Pending()); told != row.told {
			t.Errorf("one that %s: %d messages", row.name, told)
		}
	}
}

// Where nothing runs its kind of pipeline any more the wish is kept, and whoever has it is told.
func TestCancelWhereNothingRunsIt(t *testing.T) {
	s := newSite(t)
	s.want(201, s.call("POST", "/api/schedules", body15("s")))
	o := s.at("s", 1, func(o schedule.Occurrence, _ store.Record) store.Change {
		o.Pipeline = schedule.PipelineRef{Kind: "gone", ID: "hello"}
		return store.Change{To: o.Claimed("me", "c", s.now).Accepted("run-1", s.now)}
	})
	if got := s.want(409, s.call("POST", "/api/runs/"+o.ID+"/cancel", "")); !strings.Contains(got.text, "pipelines of kind gone") {
		t.Error(got.text)
	}
	if got := s.want(200, s.call("GET", "/api/runs/"+o.ID, "")); got.json["cancel_by"] != "ann" {
		t.Error(got.text)
	}
}

// Why a run was to end is shown where a policy has asked for it, too.
func TestMakesRoom(t *testing.T) {
	s := newSite(t)
	s.want(201, s.call("POST", "/api/schedules", body15("s")))
	id := s.want(202, s.call("POST", "/api/schedules/s/trigger", "")).json["id"].(string)
	if r := s.want(200, s.call("GET", "/api/runs/"+id, "")); r.json["makes_room_for"] != nil || r.json["cancel_by"] != nil {
		t.Error(r.text)
	}
	other := id[:strings.LastIndexByte(id, '-')]
	if err := s.f.DB.MakeRoom(t.Context(), id, other); err != nil {
		t.Fatal(err)
	}
	if r := s.want(202, s.call("POST", "/api/runs/"+id+"/cancel", "")); r.json["makes_room_for"] != other || r.json["cancel_by"] != "ann" {
		t.Error(r.text)
	}
	if err := s.f.DB.MakeRoom(t.Context(), id, id); err != nil {
		t.Fatal(err)
	}
	if r := s.want(200, s.call("GET", "/api/runs/"+id, "")); r.json["makes_room_for"] != other {
		t.Errorf("once it has ended: %s", r.text)
	}
}
