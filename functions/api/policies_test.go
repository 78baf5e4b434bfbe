package api

import (
	"context"
	"strings"
	"testing"
	"time"

	"carillon/shared/schedule"
	"carillon/shared/store"
)

// at makes occurrences as the clock and the functions behind it do: of a minute, in a state.
func (s *site) at(name string, minute int, change func(schedule.Occurrence, store.Record) store.Change) schedule.Occurrence {
	s.t.Helper()
	ctx := context.Background()
	r, err := s.f.DB.Schedule(ctx, name)
	if err != nil {
		s.t.Fatal(err)
	}
	nominal := s.now.Truncate(time.Hour).Add(time.Duration(minute) * time.Minute)
	o := schedule.Occurrence{
		ID: schedule.OccurrenceID(r.Schedule.Value.ID, nominal, ""), Schedule: name, Kind: schedule.Scheduled, Revision: r.Schedule.Value.Revision,
		Nominal: nominal, Start: nominal, Recorded: nominal, Status: schedule.Waiting, Wake: nominal.Add(time.Minute),
	}
	if err := s.f.DB.Add(ctx, o); err != nil {
		s.t.Fatal(err)
	}
	found, err := s.f.DB.Occurrence(ctx, o.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	c := change(o, r)
	c.From = found
	if err := s.f.DB.Save(ctx, []store.Change{c})[0]; err != nil {
		s.t.Fatal(err)
	}
	return c.To
}

// roused counts what the clock is to look after of occurrences that wait for their turn.
func (s *site) roused() (ids []string) {
	s.t.Helper()
	for shard := range store.Shards {
		wakes, _, err := s.f.DB.Wakes(context.Background(), shard, s.now, "", 1000)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, w := range wakes {
			if w.Mark != store.Rousing {
				continue
			}
			first, err := s.f.DB.Roused(context.Background(), shard, w)
			if err != nil {
				s.t.Fatal(err)
			}
			ids = append(ids, first...)
		}
	}
	return ids
}

// What waits for its turn is shown as such. When somebody calls off what it waits for, disables or deletes its schedule, the
// clock looks after it at once.
func TestWhatWaitsForItsTurn(t *testing.T) {
	for what, act := range map[string]func(s *site, uncertain string){
		"called off": func(s *site, uncertain string) { s.want(202, s.call("POST", "/api/runs/"+uncertain+"/cancel", "")) },
		"disabled":   func(s *site, _ string) { s.want(200, s.call("POST", "/api/schedules/s/disable", "")) },
		"deleted":    func(s *site, _ string) { s.want(200, s.call("DELETE", "/api/schedules/s", "")) },
		"another policy": func(s *site, _ string) {
			s.want(200, s.call("PATCH", "/api/schedules/s", `{"overlap": "allow"}`))
		},
	} {
		s := newSite(t)
		s.want(201, s.call("POST", "/api/schedules", with(body15("s"), `"overlap": "buffer_one"`)))
		uncertain := s.at("s", 15, func(o schedule.Occurrence, _ store.Record) store.Change {
			o.Overlap = schedule.OverlapBufferOne
			o = o.Claimed("me", "1", s.now)
			o.Status, o.Claim, o.Wake = schedule.Uncertain, schedule.Claim{}, time.Time{}
			return store.Change{To: o}
		})
		waits := s.at("s", 30, func(o schedule.Occurrence, _ store.Record) store.Change {
			return store.Change{To: o.Waits(), Rouse: s.now.Add(time.Minute)}
		})
		got := s.want(200, s.call("GET", "/api/runs/"+waits.ID, ""))
		if got.json["status"] != "Waiting" || got.json["buffered"] != true {
			t.Errorf("waiting: %s", got.text)
		}
		if n := s.roused(); len(n) != 0 {
			t.Errorf("%d are looked after too early", len(n))
		}
		act(s, uncertain.ID)
		if ids := s.roused(); len(ids) != 1 || ids[0] != waits.ID {
			t.Errorf("%s: the clock looks after %v", what, ids)
		}
	}
}

// How many runs have failed in a row is shown where it counts, and can be sent back with what else was got.
func TestFailuresInARow(t *testing.T) {
	s := newSite(t)
	s.want(201, s.call("POST", "/api/schedules", with(body15("s"), `"pause_after_failures": 2`)))
	fail := func(minute int) {
		s.at("s", minute, func(o schedule.Occurrence, r store.Record) store.Change {
			o.PauseAfter = 2
			o = o.Claimed("me", "1", s.now)
			o = o.TooLarge(s.now)
			return store.Change{To: o, State: r.Counted(r.State.Value.Ended(o))}
		})
	}
	if got := s.call("GET", "/api/schedules/s", ""); got.json["failures"] != nil {
		t.Errorf("none has failed: %s", got.text)
	}
	fail(15)
	got := s.want(200, s.call("GET", "/api/schedules/s", ""))
	if got.json["failures"] != 1.0 {
		t.Errorf("one has failed: %s", got.text)
	}
	if back := s.want(200, s.call("PATCH", "/api/schedules/s", got.text)); back.json["revision"] != 1.0 {
		t.Errorf("sent back: %s", back.text)
	}
	fail(30)
	if err := s.f.DB.Pause(t.Context(), schedule.Occurrence{ID: got.json["id"].(string) + "-x", Schedule: "s"}, s.now); err != nil {
		t.Fatal(err)
	}
	got = s.want(200, s.call("GET", "/api/schedules?active=false", ""))
	paused := got.items()[0].(map[string]any)
	note, _ := paused["status_note"].(map[string]any)
	if paused["failures"] != 2.0 || paused["status"] != "Disabled" || note["note"] != "paused after 2 failed runs in a row" || note["by"] != "carillon" {
		t.Errorf("paused: %s", got.text)
	}
	if on := s.want(200, s.call("POST", "/api/schedules/s/enable", "")); on.json["failures"] != nil {
		t.Errorf("enabled: %s", on.text)
	}
}

// How many of its runs a schedule has started is shown, and one that may start no more is not enabled: it would be done at
// once.
func TestMaxRunsThatAreUsedUp(t *testing.T) {
	s := newSite(t)
	s.want(201, s.call("POST", "/api/schedules", with(body15("s"), `"max_runs": 2`)))
	s.want(201, s.call("POST", "/api/schedules", body15("without")))
	start := func(name string, minute int) {
		s.at(name, minute, func(o schedule.Occurrence, r store.Record) store.Change {
			o = o.Claimed("me", "1", s.now)
			return store.Change{To: o, State: r.Counted(r.State.Value.Claimed(o))}
		})
	}
	for minute, want := range []any{nil, 1.0, 2.0} {
		if minute > 0 {
			start("s", minute)
			start("without", minute)
		}
		got := s.want(200, s.call("GET", "/api/schedules/s", ""))
		if listed := s.want(200, s.call("GET", "/api/schedules", "")).list("items"); got.json["submitted"] != want || listed[0]["submitted"] != want || listed[1]["submitted"] != nil {
			t.Errorf("after %d runs: %s, listed %v", minute, got.text, listed)
		}
		if back := s.want(200, s.call("PATCH", "/api/schedules/s", got.text)); back.json["revision"] != 1.0 {
			t.Errorf("sent back: %s", back.text)
		}
	}
	s.want(200, s.call("POST", "/api/disable-all", ""))
	all := s.want(200, s.call("POST", "/api/enable-all", ""))
	if all.json["changed"] != 1.0 || s.statuses() != "-s +without" || !strings.Contains(all.text, "raise max_runs") {
		t.Errorf("enabled with all: %s, %s", all.text, s.statuses())
	}
	for path, body := range map[string]string{"POST /api/schedules/s/enable": `{"note": "again"}`, "PATCH /api/schedules/s": `{"status": "Active", "experiment": "e"}`} {
		method, path, _ := strings.Cut(path, " ")
		r := s.want(409, s.call(method, path, body))
		if want := "schedule s has started 2 runs, and max_runs allows 2; raise max_runs, or take it away"; r.json["title"] != want || r.json["code"] != "conflict" {
			t.Errorf("%s: %s", path, r.text)
		}
	}
	s.want(200, s.call("PATCH", "/api/schedules/s", `{"max_runs": 3}`))
	if r := s.want(200, s.call("POST", "/api/schedules/s/enable", "")); r.json["status"] != "Active" || r.json["submitted"] != 2.0 {
		t.Errorf("it may start one more: %s", r.text)
	}
	s.want(200, s.call("POST", "/api/schedules/s/disable", ""))
	s.want(200, s.call("PATCH", "/api/schedules/s", `{"max_runs": null, "status": "Active"}`))
}
