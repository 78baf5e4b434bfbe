package studio

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/recur"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

var tags = regexp.MustCompile(`<[^>]*>`)

// words is the text of a page, without its markup.
func words(page string) string {
	return strings.Join(strings.Fields(html.UnescapeString(tags.ReplaceAllString(page, " "))), " ")
}

func TestOverviewEmpty(t *testing.T) {
	s := newSite(t)
	shows(t, words(s.get(root)), "There is no pipeline yet", "carillon serve --example", "Nothing has run yet")
	s.pipeline("hello")
	shows(t, words(s.get(root)), "There is no schedule yet", "pipeline: {kind: fake, id: hello}", "carillon schedules create -f", "No schedule starts it")
}

func TestOverview(t *testing.T) {
	s := newSite(t)
	s.fake.Put(pipeline.Pipeline{Ref: s.pipeline("bad"), Name: "Bad", Problem: "steps is missing"})
	s.fake.Put(pipeline.Pipeline{Ref: s.pipeline("good"), Name: "Good", Description: "does good"})
	a := s.schedule(quarterly("a", "good"))
	s.schedule(`{"name": "vienna", "pipeline": {"kind": "fake", "id": "good"}, "experiment": "demo", "trigger": {"type": "recurrence",
		"frequency": "day", "interval": 1, "time_of_day": "10:30", "time_zone": "Europe/Vienna"}}`)
	s.schedule(quarterly("orphan", "gone"))
	s.schedule(strings.Replace(quarterly("stray", "x"), `"kind": "fake"`, `"kind": "other"`, 1))
	if _, err := s.db.Edit(t.Context(), "a", noon.Add(-time.Minute), func(old schedule.Schedule) (schedule.Schedule, error) {
		d := old.Definition
		d.Status = schedule.Disabled
		return old.Revise(d, "ann", "data feed is down", noon.Add(-time.Minute)), nil
	}); err != nil {
		t.Fatal(err)
	}
	failed := s.asked(a, 90, func(o schedule.Occurrence) schedule.Occurrence {
		return o.Refused(errors.New("no such command"), noon)
	})
	page := s.get(root)
	shows(t, page, `href="/api/studio/runs/`+failed+`"`, `href="/api/studio/schedules/a"`, `title="Tue 2026-01-06 09:30 UTC"`)
	shows(t, words(page),
		"Bad fake:bad Cannot run: steps is missing No schedule starts it",
		"fake:gone Missing: This pipeline does not exist", "orphan",
		"Good fake:good does good", "Disabled “data feed is down” by ann , Mon 2026-01-05 11:59:30 UTC Failed Mon 2026-01-05 11:59 UTC none",
		"vienna", "Active none yet Tue 2026-01-06 10:30 CET in 21 h 29 min",
		`Missing: This Carillon runs no pipelines of kind "other"`, "stray",
		"Recent runs", "by hand, tester a Failed no such command",
	)
	hides(t, page, `http-equiv="refresh"`)
	if s.log.Len() > 0 {
		t.Error("logged:", s.log.String())
	}
	only := words(s.get(root + "?pipeline=fake:gone"))
	shows(t, only, "orphan", "Missing:")
	hides(t, only, "vienna", "Recent runs")
	shows(t, words(s.get(root+"?pipeline=fake:bad")), "Bad", "No schedule starts it")
}

// A pipeline is one, however its schedules write its id, where its far side does not tell letters of two cases apart.
func TestSpellingsOfOnePipeline(t *testing.T) {
	s := newSite(t)
	far := &pipeline.Fake{}
	s.page.Targets["published"] = far
	far.Put(pipeline.Pipeline{Ref: schedule.PipelineRef{Kind: "published", ID: "1B0F"}, Name: "Score"})
	for name, id := range map[string]string{"lower": "1b0f", "upper": "1B0F", "elsewhere": "1b0e"} {
		s.schedule(strings.Replace(quarterly(name, id), `"kind": "fake"`, `"kind": "published"`, 1))
	}
	if page := words(s.get(root)); strings.Count(page, "Score published:1B0F") != 1 || strings.Contains(page, "published:1b0f") {
		t.Error(page)
	}
	only := words(s.get(root + "?pipeline=published:1b0F"))
	shows(t, only, "lower", "upper")
	hides(t, only, "elsewhere")
}

// silent is a target that does not answer.
type silent struct{ pipeline.Target }

func (silent) List(context.Context, string, int) ([]pipeline.Pipeline, string, error) {
	return nil, "", errors.New("the host is down")
}
func (silent) Get(context.Context, schedule.PipelineRef) (pipeline.Pipeline, error) {
	return pipeline.Pipeline{}, errors.New("the host is down")
}

func TestTargetIsSilent(t *testing.T) {
	s := newSite(t)
	s.page.Targets["fake2"] = silent{}
	s.schedule(quarterly("a", s.pipeline("hello").ID))
	s.schedule(strings.Replace(quarterly("b", "x"), `"kind": "fake"`, `"kind": "fake2"`, 1))
	page := s.get(root)
	shows(t, words(page), "Pipelines could not be listed: the host is down (fake2)", "could not be looked up now: the host is down", "Name of hello")
	hides(t, page, "Missing:")
	if !strings.Contains(s.log.String(), "the host is down") {
		t.Error("not logged:", s.log.String())
	}
}

var nextLink = regexp.MustCompile(`<a rel="next" href="([^"]+)"`)

// follow gathers what a pattern finds on a page and all that its links lead to.
func (s *site) follow(path string, pattern *regexp.Regexp) (found [][]string) {
	s.t.Helper()
	for range 50 {
		page := s.get(path)
		var here []string
		for _, m := range pattern.FindAllStringSubmatch(page, -1) {
			here = append(here, m[1])
		}
		found = append(found, here)
		link := nextLink.FindStringSubmatch(page)
		if link == nil {
			return found
		}
		path = html.UnescapeString(link[1])
		if strings.HasPrefix(path, "?") {
			s.t.Fatal("a relative link:", path)
		}
	}
	s.t.Fatal("the pages do not end")
	return nil
}

func sizes(pages [][]string) string {
	var out []string
	for _, p := range pages {
		out = append(out, fmt.Sprint(len(p)))
	}
	return strings.Join(out, " ")
}

func TestPaging(t *testing.T) {
	s := newSite(t)
	s.pipeline("even")
	s.pipeline("odd")
	s.pipeline("unused")
	seen := map[string]int{}
	for i := range 230 {
		s.schedule(quarterly(fmt.Sprintf("s-%03d", i), []string{"even", "odd"}[i%2]))
	}
	names := regexp.MustCompile(`rowheader"><a href="/api/studio/schedules/[^"]+">([^<]+)<`)
	pages := s.follow(root, names)
	for _, page := range pages {
		for _, name := range page {
			seen[name]++
		}
	}
	if sizes(pages) != "100 100 30" || len(seen) != 230 {
		t.Errorf("pages of %s schedules, %d different ones", sizes(pages), len(seen))
	}
	if pages := s.follow(root+"?pipeline=fake:odd", names); sizes(pages) != "100 15" {
		t.Errorf("of one pipeline: pages of %s schedules", sizes(pages))
	}
	first := s.get(root)
	shows(t, words(first), "fake:unused Its schedules are not on this page: look for them")
	shows(t, first, `href="/api/studio?pipeline=fake%3aunused"`)
}

func TestManyPipelines(t *testing.T) {
	s := newSite(t)
	for i := range 230 {
		s.pipeline(fmt.Sprintf("p-%03d", i))
	}
	s.page.Targets["fake2"] = &pipeline.Fake{}
	total, path := 0, root
	for path != "" {
		page := s.get(path)
		here := strings.Count(page, "<article")
		if here > pageSize {
			t.Errorf("%d pipelines on a page", here)
		}
		total += here
		path = ""
		if m := regexp.MustCompile(`<a href="([^"]+)">More pipelines`).FindStringSubmatch(page); m != nil {
			path = html.UnescapeString(m[1])
		}
	}
	if total != 230 {
		t.Errorf("%d pipelines on all pages", total)
	}
}

func TestSchedule(t *testing.T) {
	s := newSite(t)
	ref := s.pipeline("hello")
	made := s.schedule(`{"name": "night", "description": "Nightly <build>", "pipeline": {"kind": "fake", "id": "hello"}, "experiment": "demo",
		"parameters": {"who": "world"}, "trigger": {"type": "recurrence", "frequency": "day", "interval": 1, "start_time": "2026-03-20T02:30", "time_zone": "Europe/Vienna"}}`)
	page := s.get(root + "/schedules/night")
	shows(t, page, `title="Fri 2026-03-20 01:30 UTC"`, "description: &#34;Nightly &lt;build&gt;&#34;")
	shows(t, words(page),
		"Nightly <build>", "Status Active", "Trigger "+made.Trigger.String(), "Pipeline "+ref.String(),
		"Europe/Vienna UTC From now Fri 2026-03-20 02:30 CET Fri 2026-03-20 01:30 UTC in 73 days",
		"Sun 2026-03-29 03:30 CEST moved by daylight saving Sun 2026-03-29 01:30 UTC",
		"It has not fired yet", "carillon schedules trigger night", "Revision 1",
	)
	if n := strings.Count(page, `data-label="From now"`); n != 10 {
		t.Errorf("%d next occurrences", n)
	}
	if strings.Count(page, "moved by daylight saving") != 1 {
		t.Error("the moved mark is not on one occurrence alone")
	}
	hides(t, page, "Running</h2>")
}

func TestScheduleCalendars(t *testing.T) {
	s := newSite(t)
	s.pipeline("hello")
	calendar, errs := recur.DecodeCalendar([]byte(`{"time_zone": "Asia/Tokyo", "dates": ["2026-01-06", "2026-03-28"], "date_ranges": [{"first": "2026-01-08", "last": "2026-01-09"}]}`))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if err := s.db.PutCalendar(t.Context(), store.NamedCalendar{Name: "holidays", Calendar: calendar}, "me", noon); err != nil {
		t.Fatal(err)
	}
	s.schedule(`{"name": "night", "pipeline": {"kind": "fake", "id": "hello"}, "experiment": "demo", "jitter": "5m", "max_runs": 52,
		"calendars": ["deleted", "holidays"], "trigger": {"type": "recurrence", "frequency": "day", "interval": 1, "time_of_day": "23:30", "time_zone": "Europe/Vienna"}}`)
	page := s.get(root + "/schedules/night")
	shows(t, page, `jitter: &#34;5m&#34;`, "calendars: [deleted, holidays]", "max_runs: 52")
	shows(t, words(page),
		"Mon 2026-01-05 23:30 CET excluded by calendar holidays Mon 2026-01-05 22:30 UTC in 10 h 29 min",
		"Tue 2026-01-06 23:30 CET Tue 2026-01-06 22:30 UTC", "Wed 2026-01-07 23:30 CET excluded", "Thu 2026-01-08 23:30 CET excluded",
		"Fri 2026-01-09 23:30 CET Fri",
	)
	if n := strings.Count(page, "excluded by calendar"); n != 3 {
		t.Errorf("%d times are excluded, want 3", n)
	}
}

func TestRunThatCalendarExcludes(t *testing.T) {
	s := newSite(t)
	s.pipeline("hello")
	made := s.schedule(quarterly("a", "hello"))
	excluded := s.asked(made, 1, func(o schedule.Occurrence) schedule.Occurrence {
		o.Error = "calendar holidays excludes it"
		return o.Skip(schedule.ReasonCalendar, noon)
	})
	s.asked(made, 2, func(o schedule.Occurrence) schedule.Occurrence { return o.Skip(schedule.ReasonLimit, noon) })
	shows(t, words(s.get(root+"/schedules/a")), "Skipped calendar holidays excludes it", "Skipped the schedule has made all the runs that max_runs allows")
	shows(t, words(s.get(root+"/runs/"+excluded)), "Skipped: calendar holidays excludes it. What is known")
}

func TestScheduleRuns(t *testing.T) {
	s := newSite(t)
	s.pipeline("hello")
	made := s.schedule(strings.Replace(quarterly("a", "hello"), `"demo"`, `"demo", "catch_up": {"policy": "none"}`, 1))
	record, err := s.db.Schedule(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	plan, err := record.Due().Plan(noon.Add(time.Minute), noon.Add(time.Minute), nil)
	if err != nil {
		t.Fatal(err)
	}
	for shard := range store.Shards {
		wakes, _, err := s.db.Wakes(t.Context(), shard, noon, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range wakes {
			if err := errors.Join(s.db.Record(t.Context(), shard, []store.Planned{{Wake: w, Plan: plan}}, noon)...); err != nil {
				t.Fatal(err)
			}
		}
	}
	id, _ := s.started(made, 5)
	page := s.get(root + "/schedules/a")
	shows(t, page, `href="/api/studio/runs/`+id+`"`)
	shows(t, words(page), "Running Under way, times in UTC", "by hand, tester Queued", "2026-01-05 11:15 UTC to Mon 2026-01-05 11:45 UTC : 3 occurrences Skipped recorded too late, and the schedule catches nothing up")
	for i := range 60 {
		s.asked(made, 100+i, nil)
	}
	runs := regexp.MustCompile(`rowheader"><a href="/api/studio/runs/([^"]+)"`)
	pages := s.follow(root+"/schedules/a", runs)
	seen := map[string]bool{}
	for _, page := range pages {
		for _, run := range page {
			seen[run] = true
		}
	}
	if len(seen) < 62 || len(pages) != 3 {
		t.Errorf("pages of %s occurrences, %d different ones", sizes(pages), len(seen))
	}
	if n := len(runs.FindAllString(s.get(root), -1)); n != recentRuns {
		t.Errorf("%d recent runs on the first page", n)
	}
}

func TestScheduleWithoutMore(t *testing.T) {
	s := newSite(t)
	s.pipeline("hello")
	s.schedule(strings.Replace(quarterly("off", "hello"), `"demo"`, `"demo", "status": "Disabled"`, 1))
	s.schedule(strings.Replace(quarterly("over", "hello"), `"interval"`, `"end_time": "2025-01-01T00:00", "interval"`, 1))
	shows(t, words(s.get(root+"/schedules/off")), "Disabled “created disabled” by tester", "carillon schedules enable off")
	shows(t, words(s.get(root+"/schedules/over")), "Its trigger has no more times")
}

func TestRun(t *testing.T) {
	s := newSite(t)
	s.pipeline("hello")
	made := s.schedule(strings.Replace(quarterly("a", "hello"), `"demo"`, `"demo", "parameters": {"who": "world"}`, 1))
	id, run := s.started(made, 5)
	s.fake.Write(run, "hello \x1b[31mworld\x1b[0m\xff\n")
	path := root + "/runs/" + id
	page := s.get(path)
	shows(t, page, `http-equiv="refresh" content="5"`, "hello world\uFFFD\n", `href="/api/runs/`+id+`/output"`, `href="/api/studio/schedules/a"`)
	shows(t, words(page), "Run of a Running", "loads itself again every 5 seconds", "asked for by tester", "Id there "+run, "who world", "Experiment demo")
	hides(t, page, "Only the end of it")
	still := s.get(path + "?refresh=off")
	hides(t, still, `http-equiv="refresh"`)
	shows(t, words(still), "This page stays as it is")

	s.fake.Finish(run, schedule.Failed, "exit status 3")
	page = s.get(path)
	shows(t, words(page), "Run of a Failed", "exit status 3")
	s.fake.Lose(run)
	shows(t, words(s.get(path)), "does not know this run", "The output is no longer kept")

	s.fake.BeforeStatus = func(string) error { return errors.New("secret") }
	page = s.get(path)
	shows(t, words(page), "could not be asked now")
	hides(t, page, "secret")
}

// manySteps tells of some of a run's steps.
type manySteps struct{ *pipeline.Fake }

func (m manySteps) Steps(ctx context.Context, kind, runID string) ([]pipeline.Step, bool, error) {
	steps, _, err := m.Fake.Steps(ctx, kind, runID)
	return steps, true, err
}

// Steps are shown while the run goes on, too, and exit codes of those that are commands.
func TestSteps(t *testing.T) {
	s := newSite(t)
	s.pipeline("hello")
	id, run := s.started(s.schedule(quarterly("a", "hello")), 5)
	path := root + "/runs/" + id
	hides(t, s.get(path), "Steps</h2>")
	s.fake.Tell(run,
		pipeline.Step{Name: "fetch", Status: schedule.Completed, Started: noon, Ended: noon, Exit: new(0)},
		pipeline.Step{Name: "hurry", Status: schedule.Failed, Started: noon, Ended: noon, Exit: new(-1)},
		pipeline.Step{Name: "score", Status: schedule.Completed, Started: noon, Ended: noon},
	)
	page := s.get(path)
	shows(t, words(page), "Run of a Running", "Steps", "fetch", "ended by a signal", "score")
	hides(t, page, "It has more steps")
	if n := strings.Count(page, `<td role="cell" data-label="Exit code">0</td>`); n != 1 {
		t.Errorf("%d steps have the exit code 0", n)
	}
	s.page.Targets["fake"] = manySteps{s.fake}
	shows(t, words(s.get(path)), "It has more steps than these 3.")
}

func TestRunThatNeverWas(t *testing.T) {
	s := newSite(t)
	s.pipeline("hello")
	made := s.schedule(quarterly("a", "hello"))
	waiting := s.asked(made, 1, nil)
	doubtful := s.asked(made, 2, func(o schedule.Occurrence) schedule.Occurrence {
		return o.Prepared(made.Definition).Claimed("owner", "cowner", noon).Doubtful(errors.New("the line went dead"))
	})
	skipped := s.asked(made, 3, func(o schedule.Occurrence) schedule.Occurrence { return o.Skip(schedule.ReasonDeleted, noon) })
	page := s.get(root + "/runs/" + waiting)
	shows(t, page, `http-equiv="refresh"`)
	hides(t, page, "Output</h2>", "Steps</h2>")
	page = s.get(root + "/runs/" + doubtful)
	shows(t, words(page), "Uncertain", "the line went dead", "Nobody can say", "carillon runs cancel "+doubtful)
	hides(t, page, `http-equiv="refresh"`)
	shows(t, words(s.get(root+"/runs/"+skipped)), "Skipped: the schedule was deleted while it waited.")
	if err := s.db.Delete(t.Context(), "a", "me", noon, func(schedule.Schedule) error { return nil }); err != nil {
		t.Fatal(err)
	}
	page = s.get(root + "/runs/" + skipped)
	shows(t, words(page), "Schedule a deleted")
	hides(t, page, `href="/api/studio/schedules/a"`)
}

func TestLongOutput(t *testing.T) {
	s := newSite(t)
	s.pipeline("hello")
	id, run := s.started(s.schedule(quarterly("a", "hello")), 5)
	for i := range 30000 {
		s.fake.Write(run, fmt.Sprintf("line %06d\n", i))
	}
	page := s.get(root + "/runs/" + id)
	shows(t, page, "Only the end of it, the last 256 KiB", "line 029999\n", "<pre>line ")
	hides(t, page, "line 000000")
	if len(page) < maxOutput || len(page) > maxOutput+20<<10 {
		t.Errorf("a page of %d bytes", len(page))
	}
}

func TestTail(t *testing.T) {
	for _, c := range []struct {
		text, want string
		cut        bool
	}{
		{"", "", false},
		{"1234567890", "1234567890", false},
		{"1234567890a", "234567890a", true},
		{"123456\n7890", "7890", true},
		{strings.Repeat("abcdefgh\n", 100), "abcdefgh\n", true},
		{strings.Repeat("x", 20), strings.Repeat("x", 10), true},
		{strings.Repeat("x", 25) + "\n", "", true},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.text), oneByte{strings.NewReader(c.text)}} {
			got, cut, err := tail(r, 10)
			if string(got) != c.want || cut != c.cut || err != nil {
				t.Errorf("tail of %q: %q, %v, %v", c.text, got, cut, err)
			}
		}
	}
}

type oneByte struct{ io.Reader }

func (r oneByte) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(1, len(p))]) }
