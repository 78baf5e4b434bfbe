package api

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"carillon/shared/schedule"
	"carillon/shared/store"
)

// statuses writes down which schedules are active: "+a -b".
func (s *site) statuses() string {
	s.t.Helper()
	var b strings.Builder
	for token := ""; ; {
		page := s.want(200, s.call("GET", "/api/schedules?limit=200&token="+token, ""))
		for _, item := range page.list("items") {
			sign := "-"
			if item["status"] == "Active" {
				sign = "+"
			}
			b.WriteString(sign + item["name"].(string) + " ")
		}
		if token, _ = page.json["next"].(string); token == "" {
			return strings.TrimSpace(b.String())
		}
	}
}

func onceAt(name, instant string) string {
	return fmt.Sprintf(`{"name": %q, "pipeline": {"kind": "local", "id": "hello"}, "experiment": "demo", "trigger": {"type": "at", "at": %q}}`, name, instant)
}

func TestDisableAllAndEnableAll(t *testing.T) {
	s := newSite(t)
	for _, name := range []string{"active", "touched", "deleted", "stopped", "edited"} {
		s.want(201, s.call("POST", "/api/schedules", body15(name)))
	}
	s.want(201, s.call("POST", "/api/schedules", with(body15("off"), `"status": "Disabled"`)))
	s.want(201, s.call("POST", "/api/schedules", onceAt("soon", "2026-11-22T10:30")))
	s.want(201, s.call("POST", "/api/schedules", onceAt("later", "2026-11-23T10:30")))
	s.now = s.now.Add(time.Minute)

	all := s.want(200, s.call("POST", "/api/disable-all", `{"note": "fire"}`))
	if strings.TrimSpace(all.text) != `{"changed":7}` || s.statuses() != "-active -deleted -edited -later -off -soon -stopped -touched" {
		t.Errorf("disabled: %s, %s", all.text, s.statuses())
	}
	note, _ := s.want(200, s.call("GET", "/api/schedules/active", "")).json["status_note"].(map[string]any)
	if note["note"] != "fire" || note["by"] != "ann" || note["all"] != true {
		t.Errorf("the note is %v", note)
	}
	if again := s.want(200, s.call("POST", "/api/disable-all", `{"note": "again"}`)); strings.TrimSpace(again.text) != `{"changed":0}` {
		t.Errorf("disabled again: %s", again.text)
	}

	s.want(200, s.call("POST", "/api/schedules/touched/enable", ""))
	s.want(200, s.call("POST", "/api/schedules/touched/disable", ""))
	s.want(200, s.call("POST", "/api/schedules/stopped/disable", "")) // is to stay so, whatever becomes of the others
	s.want(200, s.call("PATCH", "/api/schedules/edited", `{"experiment": "e"}`))
	s.want(200, s.call("DELETE", "/api/schedules/deleted", ""))
	s.want(201, s.call("POST", "/api/schedules", body15("deleted")))
	s.now = s.now.Add(time.Hour)
	on := s.want(200, s.call("POST", "/api/enable-all", `{"note": "it is out"}`))
	if on.json["changed"] != 3.0 || s.statuses() != "+active +deleted +edited +later -off -soon -stopped -touched" {
		t.Errorf("enabled: %s, %s", on.text, s.statuses())
	}
	if left := on.list("left_out"); len(left) != 1 || left[0]["schedule"] != "soon" || !strings.Contains(on.text, "its time came") {
		t.Errorf("left out: %s", on.text)
	}
	if soon := s.want(200, s.call("GET", "/api/schedules/soon", "")); !strings.Contains(soon.text, "while all schedules were disabled") {
		t.Errorf("soon: %s", soon.text)
	}
	note, _ = s.want(200, s.call("GET", "/api/schedules/active", "")).json["status_note"].(map[string]any)
	if note["note"] != "it is out" || note["all"] != nil {
		t.Errorf("the note is %v", note)
	}
	if again := s.want(200, s.call("POST", "/api/enable-all", "")); strings.TrimSpace(again.text) != `{"changed":0}` {
		t.Errorf("enabled again: %s", again.text)
	}
	if next := s.want(200, s.call("GET", "/api/schedules/active", "")).json["next"]; next != "2026-11-22T11:15:00Z" {
		t.Errorf("what came due meanwhile is caught up: next is %v", next)
	}
	for _, path := range []string{"/api/disable-all", "/api/enable-all"} {
		for body, want := range map[string]int{`{"notes": "x"}`: 422, `{"note": 5}`: 422, `{`: 400} {
			if r := s.call("POST", path, body); r.status != want {
				t.Errorf("%s %s: %d %s", path, body, r.status, r.text)
			}
		}
		for _, query := range []string{"?token=a/b", "?limit=5"} {
			s.want(400, s.call("POST", path+query, ""))
		}
	}
}

// What waits is skipped with all: of schedules that were disabled before, or have done all they were to do.
func TestDisableAllStopsWhatWaits(t *testing.T) {
	s := newSite(t)
	s.want(201, s.call("POST", "/api/schedules", body15("filling")))
	s.want(201, s.call("POST", "/api/schedules", body15("still")))
	s.want(201, s.call("POST", "/api/schedules", with(onceAt("once", "2026-11-22T10:10"), `"jitter": "24h"`)))
	s.want(201, s.call("POST", "/api/schedules", onceAt("over", "2026-11-22T10:10")))
	for _, name := range []string{"filling", "still"} {
		s.want(200, s.call("POST", "/api/schedules/"+name+"/disable", ""))
	}
	s.want(202, s.call("POST", "/api/schedules/filling/backfill", lastNight))
	s.now = s.now.Add(10 * time.Minute)
	for _, name := range []string{"once", "over"} { // a look at it records what is due
		s.want(200, s.call("PATCH", "/api/schedules/"+name, `{}`))
	}
	over := s.want(200, s.call("GET", "/api/runs?schedule=over", "")).list("items")[0]["id"].(string)
	s.want(202, s.call("POST", "/api/runs/"+over+"/cancel", ""))
	before := map[string]any{}
	for _, name := range []string{"filling", "still", "once", "over"} {
		before[name] = s.want(200, s.call("GET", "/api/schedules/"+name, "")).json["revision"]
	}
	s.want(200, s.call("POST", "/api/disable-all", ""))
	for name, more := range map[string]float64{"filling": 1, "still": 0, "once": 1, "over": 0} {
		r := s.want(200, s.call("GET", "/api/schedules/"+name, ""))
		if r.json["revision"].(float64) != before[name].(float64)+more || r.json["status"] != "Disabled" {
			t.Errorf("%s: revision %v, then %s", name, before[name], r.text)
		}
	}
	for _, name := range []string{"filling", "once"} { // withdrawn, though its schedule was disabled all the time
		r, err := s.f.DB.Schedule(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		all, _, err := s.f.DB.OccurrencesOf(t.Context(), r.Schedule.Value.ID, "", 10, func(schedule.Occurrence) bool { return true })
		for _, o := range all {
			if reason := o.Withdrawn(&r.Schedule.Value, schedule.State{}); reason != schedule.ReasonDisabled {
				t.Errorf("%s: %s is withdrawn for %q, %v", name, o.ID, reason, err)
			}
		}
	}
	if again := s.want(200, s.call("POST", "/api/disable-all", "")); strings.TrimSpace(again.text) != `{"changed":0}` {
		t.Errorf("again: %s", again.text)
	}
	if on := s.want(200, s.call("POST", "/api/enable-all", "")); strings.TrimSpace(on.text) != `{"changed":0}` {
		t.Errorf("enabled: %s", on.text)
	}
	// One schedule alone: disabling it a second time stops its backfill, and then changes nothing any more.
	s.want(202, s.call("POST", "/api/schedules/still/backfill", lastNight))
	first := s.want(200, s.call("POST", "/api/schedules/still/disable", ""))
	second := s.want(200, s.call("POST", "/api/schedules/still/disable", ""))
	if first.json["revision"] != before["still"].(float64)+1 || second.json["revision"] != first.json["revision"] {
		t.Errorf("revisions %v, %v, %v", before["still"], first.json["revision"], second.json["revision"])
	}
}

// What somebody has asked for is kept from starting, too, though its schedule was disabled before: also when it has been
// tried, and however much has been asked for since. What may have been submitted is seen to its end, and nobody's schedule
// is touched that has been enabled meanwhile.
func TestDisableAllStopsWhatWasAskedFor(t *testing.T) {
	s := newSite(t)
	asked := map[string]string{}
	for _, name := range []string{"waits", "retried", "sent", "perhaps", "under-way", "enabled"} {
		s.want(201, s.call("POST", "/api/schedules", with(body15(name), `"status": "Disabled"`)))
		asked[name] = s.want(202, s.call("POST", "/api/schedules/"+name+"/trigger", "")).json["id"].(string)
	}
	claimed := func(o schedule.Occurrence) schedule.Occurrence { return o.Claimed("me", "1", s.now) }
	s.step(asked["retried"], func(o schedule.Occurrence) schedule.Occurrence {
		return claimed(o).Again(errors.New("no answer"), true, 0, s.now)
	})
	s.step(asked["sent"], claimed)
	s.step(asked["perhaps"], func(o schedule.Occurrence) schedule.Occurrence {
		return claimed(o).Again(errors.New("no answer"), false, 0, s.now)
	})
	s.step(asked["under-way"], func(o schedule.Occurrence) schedule.Occurrence { return claimed(o).Accepted("run", s.now) })
	for range 120 {
		s.now = s.now.Add(time.Second)
		s.want(202, s.call("POST", "/api/schedules/under-way/trigger", ""))
	}
	var calls atomic.Int64
	s.f.Now = func() time.Time { return s.now.Add(time.Duration(calls.Add(1)) * time.Minute) } // a page a request
	changed, token := 0.0, ""
	for requests := 0; requests == 0 || token != ""; requests++ {
		if requests == 1 { // its schedules have been looked at
			s.want(200, s.call("POST", "/api/schedules/enabled/enable", ""))
		}
		r := s.want(200, s.call("POST", "/api/disable-all?token="+url.QueryEscape(token), ""))
		changed += r.json["changed"].(float64)
		if token, _ = r.json["next"].(string); requests == 0 && token == "" || requests > 5 {
			t.Fatalf("%d requests, then %s", requests+1, r.text)
		}
	}
	if changed != 4 || s.statuses() != "+enabled -perhaps -retried -sent -under-way -waits" {
		t.Errorf("%v are changed: %s", changed, s.statuses())
	}
	for name, want := range map[string]schedule.Reason{"waits": "disabled", "retried": "disabled", "sent": "", "perhaps": "", "enabled": ""} {
		r, err := s.f.DB.Schedule(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		o, err := s.f.DB.Occurrence(t.Context(), asked[name])
		if got := o.Value.Withdrawn(&r.Schedule.Value, schedule.State{}); got != want || err != nil {
			t.Errorf("%s is withdrawn for %q, want %q, %v", name, got, want, err)
		}
	}
	s.step(asked["sent"], func(o schedule.Occurrence) schedule.Occurrence {
		return o.Again(errors.New("no answer"), true, 0, s.now)
	})
	sent, err := s.f.DB.Occurrence(t.Context(), asked["sent"])
	if of := s.scheduled("sent"); sent.Value.Withdrawn(&of, schedule.State{}) != schedule.ReasonDisabled || err != nil {
		t.Errorf("what was being submitted is tried again: %+v, %v", sent.Value, err)
	}
	s.f.Now = func() time.Time { return s.now }
	for _, path := range []string{"/api/schedules/waits/disable", "/api/schedules/under-way/disable"} { // which they are, with all that waits
		before := s.want(200, s.call("GET", strings.TrimSuffix(path, "/disable"), "")).json["revision"]
		if after := s.want(200, s.call("POST", path, "")).json["revision"]; after != before {
			t.Errorf("%s: revision %v, then %v", path, before, after)
		}
	}
}

// step changes an occurrence as the functions behind the queue do.
func (s *site) step(id string, change func(schedule.Occurrence) schedule.Occurrence) {
	s.t.Helper()
	from, err := s.f.DB.Occurrence(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.f.DB.Save(s.t.Context(), []store.Change{{From: from, To: change(from.Value)}})[0]; err != nil {
		s.t.Fatal(err)
	}
}

// Many schedules take several requests; others change them meanwhile; one that cannot be changed keeps none from it.
func TestAllInPages(t *testing.T) {
	s := newSite(t)
	const n = 450
	driver := store.NewMem()
	s.f.DB = store.New(driver)
	for i := range n {
		d, errs := schedule.Decode([]byte(body15(fmt.Sprintf("s%03d", i))))
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		if err := s.f.DB.Create(t.Context(), schedule.New(d, store.NewScheduleID(d.Name), "me", s.now)); err != nil {
			t.Fatal(err)
		}
	}
	var calls atomic.Int64
	s.f.Now = func() time.Time { return s.now.Add(time.Duration(calls.Add(1)) * 100 * time.Millisecond) } // 200 calls are 20 s
	sweep := func(path string) (changed, requests int) {
		token := ""
		for requests = 1; ; requests++ {
			r := s.want(200, s.call("POST", path+"?token="+url.QueryEscape(token), ""))
			changed += int(r.json["changed"].(float64))
			if token, _ = r.json["next"].(string); token == "" || requests > 20 {
				return changed, requests
			}
			if requests == 1 { // one that has been looked at is enabled, one that has not is disabled
				s.want(200, s.call("POST", "/api/schedules/s000/enable", ""))
				s.want(200, s.call("POST", "/api/schedules/s449/disable", ""))
			}
		}
	}
	if changed, requests := sweep("/api/disable-all"); changed != n-1 || requests < 2 {
		t.Errorf("disabled %d in %d requests", changed, requests)
	}
	if got := s.statuses(); strings.Count(got, "+") != 1 || !strings.HasPrefix(got, "+s000 ") {
		t.Errorf("active are %.100s", got)
	}
	if changed, requests := sweep("/api/enable-all"); changed != n-2 || requests < 2 {
		t.Errorf("enabled %d in %d requests", changed, requests)
	}
	if got := s.statuses(); strings.Count(got, "-") != 1 || !strings.HasSuffix(got, "-s449") {
		t.Errorf("not active are %.100s", got)
	}

	s.f.DB = store.New(refusing{driver, "sch|s007|"})
	r := s.want(200, s.call("POST", "/api/disable-all", ""))
	for r.json["next"] != nil {
		next := s.want(200, s.call("POST", "/api/disable-all?token="+r.json["next"].(string), ""))
		next.json["left_out"] = append(r.json["left_out"].([]any), next.list("left_out"))
		r = next
	}
	if !strings.Contains(fmt.Sprint(r.json["left_out"]), "s007") || strings.Count(s.statuses(), "+") != 1 {
		t.Errorf("left out are %v, and active %d", r.json["left_out"], strings.Count(s.statuses(), "+"))
	}
}

// refusing does not write rows that begin so.
type refusing struct {
	store.Driver
	prefix string
}

func (r refusing) Apply(ctx context.Context, part string, ops ...store.Op) error {
	for _, op := range ops {
		if strings.HasPrefix(op.Sort, r.prefix) {
			return errors.New("no")
		}
	}
	return r.Driver.Apply(ctx, part, ops...)
}

func TestAuditList(t *testing.T) {
	s := newSite(t)
	tick := func() { s.now = s.now.Add(time.Second) }
	s.want(201, s.call("POST", "/api/schedules", body15("a"), ActorHeader, "ben"))
	tick()
	s.want(200, s.call("PUT", "/api/calendars/holidays", `{"dates": ["2026-12-24"]}`))
	tick()
	s.want(200, s.call("PATCH", "/api/schedules/a", `{"calendars": ["holidays"]}`))
	tick()
	s.want(200, s.call("PATCH", "/api/schedules/a", `{"calendars": ["holidays"]}`)) // nothing
	s.want(422, s.call("PATCH", "/api/schedules/a", `{"calendars": ["none"]}`))     // refused
	s.want(409, s.call("DELETE", "/api/calendars/holidays", ""))
	s.want(200, s.call("POST", "/api/schedules/a/backfill", strings.Replace(lastNight, "}", `, "dry_run": true}`, 1)))
	run := s.want(202, s.call("POST", "/api/schedules/a/trigger", `{"parameters": {"who": "me"}, "nominal": "2026-11-20"}`, "Idempotency-Key", "1")).json["id"].(string)
	s.want(202, s.call("POST", "/api/schedules/a/trigger", "", "Idempotency-Key", "1")) // the same one
	tick()
	s.want(202, s.call("POST", "/api/runs/"+run+"/cancel", "", ActorHeader, "ben"))
	s.want(409, s.call("POST", "/api/runs/"+run+"/cancel", ""))
	tick()
	s.want(202, s.call("POST", "/api/schedules/a/backfill", lastNight))
	s.want(202, s.call("POST", "/api/schedules/a/backfill", lastNight)) // which makes none
	tick()
	s.want(200, s.call("POST", "/api/disable-all", `{"note": "fire"}`, ActorHeader, "ben"))
	tick()
	s.want(200, s.call("DELETE", "/api/schedules/a", ""))
	tell := func(query string) (all []string) {
		t.Helper()
		for token, pages := "", 0; pages < 20; pages++ {
			page := s.want(200, s.call("GET", "/api/audit?limit=2&token="+strings.ReplaceAll(token, "|", "%7C")+query, ""))
			for _, a := range page.list("items") {
				of, _ := a["schedule"].(string)
				if c, ok := a["calendar"].(string); ok {
					of = "calendar " + c
				}
				all = append(all, fmt.Sprint(a["what"], " ", of, " by ", a["by"]))
			}
			if token, _ = page.json["next"].(string); token == "" {
				return all
			}
		}
		t.Error("it never ends")
		return nil
	}
	for query, want := range map[string]string{
		"":            "deleted a by ann, disabled a by ben, backfilled a by ann, cancelled a by ben, triggered a by ann, changed a by ann, created calendar holidays by ann, created a by ben",
		"&schedule=a": "deleted a by ann, disabled a by ben, backfilled a by ann, cancelled a by ben, triggered a by ann, changed a by ann, created a by ben",
		"&by=ben":     "disabled a by ben, cancelled a by ben, created a by ben",
		"&by=nobody":  "", "&schedule=b": "",
	} {
		if got := strings.Join(tell(query), ", "); got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}
	last := s.want(200, s.call("GET", "/api/audit?limit=5", "")).list("items")
	if before, _ := last[1]["before"].(map[string]any); before["status"] != "Active" || len(before) != 1 || last[1]["note"] != "fire" || last[1]["at"] != "2026-11-22T10:00:13Z" {
		t.Errorf("disabled: %v", last[1])
	}
	if after, _ := last[2]["after"].(map[string]any); after["runs"] != 5.0 || after["from"] != "2026-11-22T00:00:00Z" {
		t.Errorf("backfilled: %v", last[2])
	}
	if last[3]["run"] != run || last[3]["after"] != nil || last[4]["run"] != run || fmt.Sprint(last[4]["after"]) != "map[nominal:2026-11-20T00:00:00Z parameters:map[who:me]]" {
		t.Errorf("cancelled and triggered: %v", last[3:])
	}
	if before, _ := last[0]["before"].(map[string]any); len(before) != 5 || last[0]["after"] != nil {
		t.Errorf("deleted: %v", last[0])
	}
	for _, query := range []string{"?limit=0", "?token=A", "?schedule=a%20b", "?what=created"} {
		s.want(400, s.call("GET", "/api/audit"+query, ""))
	}
}
