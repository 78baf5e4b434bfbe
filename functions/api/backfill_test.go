package api

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// stored is a site whose rows can be looked at.
func stored(t *testing.T) (*site, *store.Mem) {
	s, driver := newSite(t), store.NewMem()
	s.f.DB = store.New(driver)
	return s, driver
}

// rows are all of a store but for its own.
func rows(t *testing.T, driver store.Driver) (all []string) {
	t.Helper()
	parts := []string{"calendars"}
	for shard := range store.Shards {
		parts = append(parts, fmt.Sprint("shard", shard))
	}
	for _, part := range parts {
		for from := "-"; ; {
			page, err := driver.Scan(t.Context(), part, from, "||", store.MaxScan)
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range page {
				all, from = append(all, part+" "+row.Sort+" "+string(row.Version)), store.After(row.Sort)
			}
			if len(page) < store.MaxScan {
				break
			}
		}
	}
	return all
}

// told writes the answer to a backfill down: the times of its runs, and those left out with a part of why.
func told(r reply) string {
	var b strings.Builder
	for _, item := range r.list("runs") {
		b.WriteString(item["nominal"].(string)[8:16] + " ")
	}
	for _, item := range r.list("left_out") {
		b.WriteString("!" + item["nominal"].(string)[8:16] + " ")
	}
	return strings.TrimSpace(b.String())
}

func (r reply) list(name string) (items []map[string]any) {
	all, _ := r.json[name].([]any)
	for _, item := range all {
		items = append(items, item.(map[string]any))
	}
	return items
}

// wrong are the fields that an answer finds wrong.
func (r reply) wrong() string {
	var fields []string
	for _, f := range r.list("fields") {
		fields = append(fields, f["field"].(string))
	}
	slices.Sort(fields)
	return strings.Join(fields, " ")
}

const lastNight = `{"from": "2026-11-22T00:00:00Z", "to": "2026-11-22T01:00:00Z"}`

func TestBackfillBadInputs(t *testing.T) {
	s, driver := stored(t)
	s.want(201, s.call("POST", "/api/schedules", body15("s")))
	before := rows(t, driver)
	for body, fields := range map[string]string{
		`{}`:                       "from to",
		`{"from": null, "to": ""}`: "from to",
		`{"from": 5, "to": true}`:  "from to",
		`{"from": "yesterday", "to": "2026-11-22"}`:                                          "from to", // that day is not over
		`{"from": "2026-02-30", "to": "2026-11-20"}`:                                         "from",
		`{"from": "2026-11-20T10:00:00.5Z", "to": "2026-11-20T11:00"}`:                       "from",
		`{"from": "2026-11-20T10:00", "to": "2026-11-20T09:59"}`:                             "to",
		`{"from": "2026-11-20T10:00", "to": "2026-11-22T10:00:08Z"}`:                         "to",
		strings.Replace(lastNight, "}", `, "order": "random"}`, 1):                           "order",
		strings.Replace(lastNight, "}", `, "order": 1}`, 1):                                  "order",
		strings.Replace(lastNight, "}", `, "at_once": 0}`, 1):                                "at_once",
		strings.Replace(lastNight, "}", `, "at_once": 101}`, 1):                              "at_once",
		strings.Replace(lastNight, "}", `, "at_once": "3"}`, 1):                              "at_once",
		strings.Replace(lastNight, "}", `, "at_once": 1.5}`, 1):                              "at_once",
		strings.Replace(lastNight, "}", `, "again": "no"}`, 1):                               "again",
		strings.Replace(lastNight, "}", `, "dry_run": 1}`, 1):                                "dry_run",
		strings.Replace(lastNight, "}", `, "parameters": []}`, 1):                            "parameters",
		strings.Replace(lastNight, "}", `, "parameters": {"whom": 1}}`, 1):                   "parameters.whom",
		strings.Replace(lastNight, "}", `, "parameters": {"who": "{{ .Now }}"}}`, 1):         "parameters.who",
		strings.Replace(lastNight, "}", `, "until": "x", "at_once": -1}`, 1):                 "at_once until",
		`{"from": "2026-11-20T10:00", "from": "2026-11-20T11:00", "to": "2026-11-20T12:00"}`: "from",
		`[]`: "",
	} {
		r := s.call("POST", "/api/schedules/s/backfill", body)
		if r.status != 422 || r.wrong() != fields {
			t.Errorf("%s: %d, wrong are %q, want %q: %s", body, r.status, r.wrong(), fields, r.text)
		}
	}
	s.want(404, s.call("POST", "/api/schedules/none/backfill", lastNight))
	s.want(415, s.call("POST", "/api/schedules/s/backfill", ""))
	if after := rows(t, driver); !slices.Equal(after, before) || len(s.queue.Pending()) > 0 {
		t.Errorf("refused requests leave %d rows, there were %d", len(after), len(before))
	}
}

func TestBackfillOfTimes(t *testing.T) {
	s, driver := stored(t)
	s.want(201, s.call("POST", "/api/schedules", body15("s"))) // at 10:00:07: in step with that, and long before
	vienna := strings.Replace(body15("vienna"), `"frequency": "minute", "interval": 15`, `"frequency": "day", "interval": 1, "time_of_day": "02:30", "time_zone": "Europe/Vienna"`, 1)
	s.want(201, s.call("POST", "/api/schedules", vienna))
	for _, row := range []struct{ name, body, want string }{
		{"s", lastNight, "22T00:00 22T00:15 22T00:30 22T00:45 22T01:00"},
		{"s", `{"from": "2026-11-22T00:10", "to": "2026-11-22T00:50", "order": "Newest"}`, "22T00:45 22T00:30 22T00:15"},
		{"s", `{"from": "2026-11-22T00:01", "to": "2026-11-22T00:02"}`, ""},
		{"vienna", `{"from": "2026-10-24", "to": "2026-10-26"}`, "24T00:30 25T00:30 26T01:30"},
		{"vienna", `{"from": "2026-03-29T02:30", "to": "2026-03-29"}`, "29T01:30"}, // moved over the gap
		{"vienna", `{"from": "2026-10-25T00:30:01Z", "to": "2026-10-26T01:30:00+00:00"}`, "26T01:30"},
	} {
		before := rows(t, driver)
		dry := s.want(200, s.call("POST", "/api/schedules/"+row.name+"/backfill", strings.Replace(row.body, "}", `, "dry_run": true}`, 1)))
		if told(dry) != row.want || dry.json["dry_run"] != true {
			t.Errorf("%s: %s gives %q, want %q", row.name, row.body, told(dry), row.want)
		}
		if notices, _ := dry.json["notices"].([]any); (row.want == "") != (len(notices) == 1) {
			t.Errorf("%s: %s: %s", row.name, row.body, dry.text)
		}
		if after := rows(t, driver); !slices.Equal(after, before) || len(s.queue.Pending()) > 0 {
			t.Errorf("%s: a dry run leaves %d rows, there were %d", row.name, len(after), len(before))
		}
	}
	// What a dry run says is what is made; asked again, it is left out.
	dry := s.want(200, s.call("POST", "/api/schedules/s/backfill", strings.Replace(lastNight, "}", `, "dry_run": true}`, 1)))
	made := s.want(202, s.call("POST", "/api/schedules/s/backfill", strings.Replace(lastNight, "}", `, "at_once": 2, "parameters": {"who": "me"}}`, 1)))
	if fmt.Sprint(dry.json["runs"]) != fmt.Sprint(made.json["runs"]) {
		t.Errorf("dry %v, made %v", dry.json["runs"], made.json["runs"])
	}
	again := s.want(202, s.call("POST", "/api/schedules/s/backfill", lastNight))
	if told(again) != "!22T00:00 !22T00:15 !22T00:30 !22T00:45 !22T01:00" || !strings.Contains(again.text, "is Waiting") {
		t.Errorf("again: %s", again.text)
	}
	if sent := s.queue.Pending(); len(sent) != 1 || strings.Count(string(sent[0].Body), "-b1d") != 2 {
		t.Errorf("sent: %s", sent)
	}
	var listed []string
	for _, item := range s.want(200, s.call("GET", "/api/runs?schedule=s", "")).list("items") {
		listed = append(listed, item["nominal"].(string)[11:16])
		if item["kind"] != "backfill" || item["by"] != "ann" || fmt.Sprint(item["parameters"]) != "map[who:me]" {
			t.Errorf("listed: %v", item)
		}
	}
	if !slices.Equal(listed, []string{"01:00", "00:45", "00:30", "00:15", "00:00"}) {
		t.Errorf("listed by %v", listed)
	}
}

// What the clock has not recorded yet is its own, and what it has recorded is looked at.
func TestBackfillBesideTheClock(t *testing.T) {
	s := newSite(t)
	s.want(201, s.call("POST", "/api/schedules", body15("s")))
	s.now = s.now.Add(time.Hour) // 10:15 to 11:00 are due, and not recorded
	body := `{"from": "2026-11-22T09:45", "to": "2026-11-22T11:00"}`
	r := s.want(202, s.call("POST", "/api/schedules/s/backfill", body))
	if told(r) != "22T09:45 22T10:00 !22T10:15 !22T10:30 !22T10:45 !22T11:00" || !strings.Contains(r.text, "about to record") {
		t.Errorf("%s", r.text)
	}
	s.want(200, s.call("POST", "/api/schedules/s/disable", "")) // records them: the last two wait
	r = s.want(202, s.call("POST", "/api/schedules/s/backfill", body))
	if told(r) != "22T10:15 22T10:30 !22T09:45 !22T10:00 !22T10:45 !22T11:00" {
		t.Errorf("%s: %s", told(r), r.text)
	}
}

func TestBackfillOfMany(t *testing.T) {
	s := newSite(t)
	s.want(201, s.call("POST", "/api/schedules", strings.Replace(body15("s"), `"interval": 15`, `"interval": 1`, 1)))
	for _, order := range []string{"oldest", "newest"} {
		seen := map[string]bool{}
		from, to := "2026-11-20T00:00:00Z", "2026-11-21T17:40:00Z" // 2501
		for parts := 1; ; parts++ {
			r := s.want(200, s.call("POST", "/api/schedules/s/backfill", fmt.Sprintf(`{"from": %q, "to": %q, "order": %q, "dry_run": true}`, from, to, order)))
			for _, run := range r.list("runs") {
				seen[run["nominal"].(string)] = true
			}
			more, _ := r.json["more"].(map[string]any)
			if more == nil {
				if parts != 3 || len(seen) != 2501 {
					t.Errorf("%s first: %d parts, %d times", order, parts, len(seen))
				}
				break
			}
			if (order == "oldest") != (more["to"] == to) || len(r.list("runs")) != 1000 {
				t.Errorf("%s first: %v is left of %s to %s", order, more, from, to)
			}
			from, to = more["from"].(string), more["to"].(string)
		}
	}
}

func TestBackfillIsRefusedOrNoted(t *testing.T) {
	s := newSite(t)
	l := newLive(t)
	l.calendars()
	l.create()
	l.ask(409, "post "+one+"/backfill", "/api/schedules/score/backfill", lastNight)

	s.want(200, s.call("PUT", "/api/calendars/nights", `{"spans": [{"from": "2026-11-22T00:00", "to": "2026-11-22T00:40"}]}`))
	s.want(201, s.call("POST", "/api/schedules", with(body15("s"), `"calendars": ["nights"], "overlap": "skip"`)))
	r := s.want(200, s.call("POST", "/api/schedules/s/backfill", strings.Replace(lastNight, "}", `, "dry_run": true}`, 1)))
	notices := fmt.Sprint(r.json["notices"])
	if told(r) != "22T00:45 22T01:00" || !strings.Contains(notices, "exclude 3 times") || !strings.Contains(notices, "overlap is skip") {
		t.Errorf("%s: %s", told(r), notices)
	}
}

// What keeps the runs of a backfill from starting is said before it is made, and when it is.
func TestBackfillOfWhatCannotRun(t *testing.T) {
	s := newSite(t)
	s.put("a")
	s.starts("s", "a", `, "status": "Disabled"`)
	dry := strings.Replace(lastNight, "}", `, "dry_run": true}`, 1)
	notices := func(body string, want int) string {
		t.Helper()
		return s.want(want, s.call("POST", "/api/schedules/s/backfill", body)).notices()
	}
	if got := notices(dry, 200); got != "<nil>" {
		t.Errorf("what can run: %s", got)
	}
	s.want(200, s.call("POST", addressOf("/disable", "a"), `{"note": "wrong data"}`))
	for body, status := range map[string]int{dry: 200, lastNight: 202} {
		if got := notices(body, status); !strings.HasPrefix(got, "[as things stand none of these runs starts: pipeline local:a was disabled by ann at 2026-11-22T10:00:07Z: wrong data") {
			t.Errorf("%s: %s", body, got)
		}
	}
	s.want(200, s.call("POST", addressOf("/enable", "a"), ""))
	s.fake.Put(pipeline.Pipeline{Ref: schedule.PipelineRef{Kind: "local", ID: "a"}, Problem: "steps is missing"})
	if got := notices(dry, 200); got != "[as things stand none of these runs starts: pipeline local:a cannot run as it stands: steps is missing]" {
		t.Error(got)
	}
	s.f.Targets = nil
	if got := notices(dry, 200); !strings.Contains(got, "nothing that runs pipelines of kind local is configured here") {
		t.Error(got)
	}
	if got := notices(`{"from": "2026-11-22T00:01", "to": "2026-11-22T00:02", "dry_run": true}`, 200); strings.Contains(got, "none of these") {
		t.Errorf("without a time: %s", got)
	}
}

// A nominal time for a run that somebody asks for: what templates see, whenever that is.
func TestTriggerOfATime(t *testing.T) {
	s := newSite(t)
	s.fake.Put(pipeline.Pipeline{Ref: schedule.PipelineRef{Kind: "local", ID: "hello"}, Parameters: map[string]string{"who": ""}})
	s.want(201, s.call("POST", "/api/schedules", body15("s")))
	for text, want := range map[string]string{
		"2026-11-20T08:15:00+01:00": "2026-11-20T07:15:00Z", "2026-11-20T07:15": "2026-11-20T07:15:00Z", "2026-11-20": "2026-11-20T00:00:00Z",
		"2027-01-01T00:00Z": "2027-01-01T00:00:00Z",
	} {
		r := s.want(202, s.call("POST", "/api/schedules/s/trigger", fmt.Sprintf(`{"nominal": %q}`, text)))
		if r.json["nominal"] != want || r.json["kind"] != "manual" || !strings.Contains(r.json["id"].(string), "-20261122T100007Z-m") {
			t.Errorf("%s: %s", text, r.text)
		}
		if s.now.Before(s.f.Now()) {
			t.Error("the clock moves")
		}
	}
	for _, body := range []string{`{"nominal": "soon"}`, `{"nominal": ""}`, `{"nominal": 5}`, `{"nominal": "2026-11-20T07:15:00.25Z"}`} {
		if r := s.call("POST", "/api/schedules/s/trigger", body); r.status != 422 || r.wrong() != "nominal" {
			t.Errorf("%s: %d %s", body, r.status, r.text)
		}
	}
	if r := s.want(202, s.call("POST", "/api/schedules/s/trigger", `{"nominal": null}`)); r.json["nominal"] != "2026-11-22T10:00:07Z" {
		t.Errorf("without one: %s", r.text)
	}
}
