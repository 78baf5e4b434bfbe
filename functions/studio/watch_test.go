package studio

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"carillon/shared/schedule"
	"carillon/shared/store"
)

func watcher(name, trigger string) string {
	return fmt.Sprintf(`{"name": %q, "pipeline": {"kind": "fake", "id": "hello"}, "experiment": "demo", "trigger": {"type": "datastore", %s}}`, name, trigger)
}

const (
	eachFile  = `"datastore": "inbox", "path_on_datastore": "in", "include": ["*.csv"]`
	oneBatch  = `"datastore": "inbox", "mode": "batch", "time_zone": "Europe/Vienna"`
	quiet     = `"datastore": "inbox", "mode": "batch", "quiet_period": "10m", "max_wait": "30m"`
	twoNeeded = `"all_of": [{"datastore": "inbox", "path_on_datastore": "a"}, {"datastore": "lake", "path_on_datastore": "b", "include": ["*.csv"]}], "within": "30m"`
)

// record reads a schedule that has to be there.
func (s *site) record(name string) store.Record {
	s.t.Helper()
	r, err := s.db.Schedule(s.t.Context(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *site) edit(name string, change func(d *schedule.Definition)) {
	s.t.Helper()
	_, err := s.db.Edit(s.t.Context(), name, noon, func(old schedule.Schedule) (schedule.Schedule, error) {
		d := old.Definition
		change(&d)
		return old.Revise(d, "ann", "", noon), nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func disable(d *schedule.Definition) { d.Status = schedule.Disabled }

// looked says how the looking at a schedule's folders goes.
func (s *site) looked(name string, to func(p schedule.Poll) schedule.Poll) {
	s.t.Helper()
	r := s.record(name)
	if err := s.db.SavePoll(s.t.Context(), r, to(r.Poll.Value)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) settled(name string) {
	s.looked(name, func(schedule.Poll) schedule.Poll {
		return schedule.Poll{}.Done(1, 1, 1, noon.Add(4*time.Minute), noon.Add(-time.Minute))
	})
}

// put is a change of a file, that many seconds before noon.
func put(datastore, path string, part, seconds int) schedule.Change {
	at := noon.Add(-time.Duration(seconds) * time.Second)
	return schedule.Change{Datastore: datastore, Path: path, ETag: fmt.Sprintf("0x%d", seconds), Modified: at.Add(-time.Second), At: at, Part: part}
}

// gather adds a change to a schedule's window, and opens one where none is open. It returns the schedule as it is then.
func (s *site) gather(name string, c schedule.Change) store.Record {
	s.t.Helper()
	r := s.record(name)
	g := store.Gather{Record: r, Takes: []store.Gathered{{Change: c}}}
	if !r.Window.Known() {
		opens := r.Schedule.Value.Opens("x", c.At)
		g.Opens = &opens
	} else {
		var err error
		if g.From, err = s.db.Lane(s.t.Context(), r.Window.Value, 0); err != nil {
			s.t.Fatal(err)
		}
	}
	g.To = g.From.Value.Counted(c, 1, len(r.Schedule.Value.Trigger.AllOf))
	if err := s.db.Gather(s.t.Context(), g); err != nil {
		s.t.Fatal(err)
	}
	return s.record(name)
}

// close ends the window of a batch, and returns the run's id.
func (s *site) close(name string) string {
	s.t.Helper()
	r := s.record(name)
	lanes, err := s.db.Lanes(s.t.Context(), r.Schedule.Value.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	o := r.Window.Value.Closed(lanes[0].Value, noon)
	if err := s.db.Close(s.t.Context(), r, lanes, o); err != nil {
		s.t.Fatal(err)
	}
	return o.ID
}

// take records what becomes of a change in mode each, and returns its id.
func (s *site) take(o schedule.Occurrence) string {
	s.t.Helper()
	if err := s.db.Take(s.t.Context(), []store.Take{{ScheduleID: o.ScheduleID(), Occurrence: o}})[0]; err != nil {
		s.t.Fatal(err)
	}
	return o.ID
}

func TestWatchingEach(t *testing.T) {
	s := newSite(t)
	s.pipeline("hello")
	made := s.schedule(watcher("drop", eachFile+`, "data_path_parameter_name": "file"`))
	shows(t, words(s.get(root+"/schedules/drop")), "Last look none yet Next look at once")
	s.settled("drop")
	page := words(s.get(root + "/schedules/drop"))
	shows(t, page, "Trigger "+made.Trigger.String(), "What it waits for Every file that is added or edited in its folder makes a run of its own.",
		"Folder inbox/in (*.csv) Mode each: one run for every changed file",
		"Baseline Mon 2026-01-05 11:00:30 UTC : what was changed until then does not fire",
		"Last look Mon 2026-01-05 11:59:30 UTC , 1 min ago Next look Mon 2026-01-05 12:04:30 UTC , in 4 min Data path parameter file",
		`data_path_parameter_name: file`, `include: ["*.csv"]`)
	hides(t, page, "cannot be computed", "Next occurrences", "no more times")
	shows(t, words(s.get(root)), "drop "+made.Trigger.String()+" Active none yet when data change Recent runs")

	s.looked("drop", func(p schedule.Poll) schedule.Poll { return p.Begun(false, noon) })
	shows(t, words(s.get(root+"/schedules/drop")), "Next look under way")
	s.looked("drop", schedule.Poll.Rests)
	shows(t, words(s.get(root+"/schedules/drop")), "Next look none: the datastore sends its changes")
	s.edit("drop", disable)
	page = words(s.get(root + "/schedules/drop"))
	shows(t, page, "carillon schedules enable drop What has changed by then does not fire.")
	hides(t, page, "Next look", "makes a run")
	shows(t, words(s.get(root)), "Disabled by ann , Mon 2026-01-05 12:00:30 UTC none yet none Recent runs")
	if s.log.Len() > 0 {
		t.Error("logged:", s.log.String())
	}
}

func TestWatchingExisting(t *testing.T) {
	s := newSite(t)
	s.schedule(watcher("drop", eachFile+`, "process_existing": true`))
	shows(t, words(s.get(root+"/schedules/drop")), "UTC : what was there before fires, too")
	s.edit("drop", disable)
	s.edit("drop", func(d *schedule.Definition) { d.Status = schedule.Active })
	shows(t, words(s.get(root+"/schedules/drop")), "Baseline Mon 2026-01-05 12:00:30 UTC : what was changed until then does not fire")
}

func TestWatchingBatch(t *testing.T) {
	s := newSite(t)
	s.pipeline("hello")
	s.schedule(watcher("batch", oneBatch))
	shows(t, words(s.get(root+"/schedules/batch")), "No window is open. The first file", "Mode batch: one run for all changes of a window")
	s.gather("batch", put("inbox", "a", 0, 60))
	shows(t, words(s.get(root)), "its window closes Mon 2026-01-05 13:04:30 CET in 4 min, 1 change so far")
	s.gather("batch", put("inbox", "b", 0, 30))
	shows(t, words(s.get(root+"/schedules/batch")),
		"A window is open since Mon 2026-01-05 12:59:30 CET , with 2 changes so far. It closes Mon 2026-01-05 13:04:30 CET (in 4 min). One run gets all its changes.")
	s.edit("batch", disable)
	shows(t, words(s.get(root+"/schedules/batch")), "and makes no run: the schedule was disabled after it had opened.")
	shows(t, words(s.get(root)), "2 changes so far; makes no run, as it was disabled")
	s.page.Now = func() time.Time { return noon.Add(time.Hour) }
	shows(t, words(s.get(root)), "its window is being closed 2 changes so far")
	shows(t, words(s.get(root+"/schedules/batch")), "Its time has come: it is being closed, and makes no run")
}

func TestWatchingQuiet(t *testing.T) {
	s := newSite(t)
	s.schedule(watcher("quiet", quiet))
	s.gather("quiet", put("inbox", "a", 0, 300))
	shows(t, words(s.get(root+"/schedules/quiet")),
		"It closes Mon 2026-01-05 12:05:30 UTC (in 5 min), or later if more files change: Mon 2026-01-05 12:25:30 UTC at the latest. One run")
	s.page.Now = func() time.Time { return noon.Add(24 * time.Minute) }
	late := put("inbox", "b", 0, 0)
	late.At = noon.Add(23 * time.Minute)
	s.gather("quiet", late)
	page := words(s.get(root + "/schedules/quiet"))
	shows(t, page, "It closes Mon 2026-01-05 12:25:30 UTC (in 1 min). One run")
	hides(t, page, "or later")
}

func TestWatchingAllOf(t *testing.T) {
	s := newSite(t)
	s.pipeline("hello")
	s.schedule(watcher("both", twoNeeded))
	shows(t, words(s.get(root)), "none yet when data change in inbox/a and in lake/b Recent")
	page := words(s.get(root + "/schedules/both"))
	shows(t, page, "When every folder has changed, one run gets all the changes. Its folders Folder", "inbox/a missing – none – none lake/b (*.csv) missing", "Mode all_of:")
	hides(t, page, "Folder inbox")
	s.gather("both", put("inbox", "a/x", 0, 60))
	shows(t, words(s.get(root)), "when data change in lake/b 1 of 2 folders changed so far")
	shows(t, words(s.get(root+"/schedules/both")), "1 of 2 folders changed so far.",
		"inbox/a changed Mon 2026-01-05 11:59:30 UTC Mon 2026-01-05 12:29:30 UTC lake/b (*.csv) missing – none")
	s.page.Now = func() time.Time { return noon.Add(time.Hour) }
	shows(t, words(s.get(root)), "none yet when data change in inbox/a and in lake/b Recent")
	shows(t, words(s.get(root+"/schedules/both")), "inbox/a missing: the last change is too old Mon 2026-01-05 11:59:30 UTC – none")
	s.page.Now = func() time.Time { return noon }
	s.edit("both", disable)
	s.edit("both", func(d *schedule.Definition) { d.Status = schedule.Active })
	page = words(s.get(root + "/schedules/both"))
	shows(t, page, "inbox/a missing –")
	hides(t, page, "so far")
}

func TestManyFolders(t *testing.T) {
	s := newSite(t)
	var folders []string
	for i := range 5 {
		folders = append(folders, fmt.Sprintf(`{"datastore": "d%d", "path_on_datastore": %q}`, i, strings.Repeat("long/", 20)+"f"))
	}
	s.schedule(watcher("five", `"all_of": [`+strings.Join(folders, ", ")+`]`))
	page := words(s.get(root))
	end := strings.Repeat("long/", 11)[2:] + "long/f"
	shows(t, page, "when data change in …"+end[len(end)-59:], " and in 2 more folders")
}

func TestTrouble(t *testing.T) {
	s := newSite(t)
	s.pipeline("hello")
	for i := range 7 {
		name := fmt.Sprint("s", i)
		s.schedule(watcher(name, eachFile))
		s.looked(name, func(p schedule.Poll) schedule.Poll {
			return p.Failed(errors.New("list inbox/in: may not be read <b>"), schedule.Pass{}, noon.Add(time.Minute), noon.Add(-2*time.Hour))
		})
	}
	page := s.get(root)
	shows(t, words(page), "s0 cannot look at its data since Mon 2026-01-05 10:00:30 UTC (2 h 00 min ago): list inbox/in: may not be read <b>",
		"2 more schedules on this page cannot look at their data", "Active cannot look none yet when data change")
	if n := strings.Count(words(page), "may not be read"); n != 5 {
		t.Errorf("%d problems are shown", n)
	}
	shows(t, words(s.get(root+"/schedules/s0")), "Its data cannot be looked at since Mon 2026-01-05 10:00:30 UTC (2 h 00 min ago): list inbox/in: may not be read <b>",
		"Next look Mon 2026-01-05 12:01:30 UTC , in 1 min")
	for i := range 7 {
		s.edit(fmt.Sprint("s", i), disable)
	}
	hides(t, s.get(root), "cannot look", "may not be read")
}

func TestRunOfAChange(t *testing.T) {
	s := newSite(t)
	s.pipeline("hello")
	made := s.schedule(watcher("drop", eachFile+`, "data_path_parameter_name": "file"`))
	long := "in/" + strings.Repeat("x", 200) + "/a  b.csv"
	waits := s.take(made.Occurs(put("inbox", long, 0, 5), noon))
	overtaken := s.take(made.Superseded(put("inbox", "in/old.csv", 0, 6), noon))
	gone := s.take(made.Gone(put("inbox", "in/gone.csv", 0, 7), noon))
	hidden := s.take(made.Unreadable(put("inbox", "in/hidden.csv", 0, 8), errors.New("nobody may read it"), noon))
	page := words(s.get(root + "/schedules/drop"))
	shows(t, page, "xxx/a b.csv\" Waiting", "inbox/in/old.csv Skipped a newer version of the file came before this one could be looked at",
		"inbox/in/gone.csv Skipped the file was deleted before it could be looked at", "inbox/in/hidden.csv Skipped the file could not be looked at: nobody may read it")
	hides(t, page, "in/"+strings.Repeat("x", 100))
	page = s.get(root + "/runs/" + waits)
	shows(t, page, `&#34;inbox/`+long+`&#34;`)
	shows(t, words(page), "The change The file that changed File Changed Recorded Version", "Mon 2026-01-05 12:00:24 UTC Mon 2026-01-05 12:00:25 UTC 0x5",
		"Cause a file changed", "Parameters Name Value file data path")
	hides(t, page, "/changes")
	for id, want := range map[string]string{
		overtaken: "Skipped: a newer version of the file came before this one could be looked at. The change",
		gone:      "Skipped: the file was deleted before it could be looked at. The change",
		hidden:    "Skipped: the file could not be looked at. nobody may read it The change",
	} {
		shows(t, words(s.get(root+"/runs/"+id)), want)
	}
}

func TestRunOfABatch(t *testing.T) {
	s := newSite(t)
	s.pipeline("hello")
	s.schedule(watcher("batch", oneBatch+`, "data_path_parameter_name": "folder"`))
	for i := range 25 {
		s.gather("batch", put("inbox", fmt.Sprintf("file-%02d", i), 0, 100-i))
	}
	id := s.close("batch")
	shows(t, words(s.get(root)), "Mon 2026-01-05 12:00:30 UTC 25 changes batch Waiting")
	page := s.get(root + "/runs/" + id)
	shows(t, page, `href="/api/runs/`+id+`/changes"`)
	shows(t, words(page), "25 changes Those that came last, the newest first", "inbox/file-24 ", "inbox/file-05 ", "All 25 changes as JSON",
		"Cause files changed, and their window closed Window start Mon 2026-01-05 12:58:50 CET Window end Mon 2026-01-05 13:00:30 CET",
		"folder data path, the folder inbox/")
	hides(t, page, "inbox/file-04", "completed it")
}

func TestRunOfAllOf(t *testing.T) {
	s := newSite(t)
	s.pipeline("hello")
	s.schedule(watcher("both", twoNeeded))
	s.gather("both", put("inbox", "a/old", 0, 3000))
	s.gather("both", put("inbox", "a/new", 0, 60))
	r, last := s.record("both"), put("lake", "b/x.csv", 1, 30)
	made := r.Schedule.Value
	lane, err := s.db.Lane(t.Context(), r.Window.Value, 0)
	if err != nil {
		t.Fatal(err)
	}
	o := r.Window.Value.Completed(made, last, schedule.Lane{Count: 2}, noon)
	g := store.Gather{Record: r, From: lane, Takes: []store.Gathered{{Change: last}}, Completes: &o}
	if err := s.db.Gather(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	shows(t, words(s.get(root)), "lake/b/x.csv and 1 more both Waiting")
	page := s.get(root + "/runs/" + o.ID)
	shows(t, words(page), "2 changes The newest first", "lake/b/x.csv completed it Mon", "inbox/a/new Mon", "The list as JSON", "Cause every folder has changed")
	hides(t, page, "a/old")
	if n := strings.Count(page, "completed it"); n != 1 {
		t.Errorf("%d changes have completed it", n)
	}
}

func TestWindowThatWasInVain(t *testing.T) {
	s := newSite(t)
	made := s.schedule(watcher("both", twoNeeded))
	r := s.gather("both", put("inbox", "a/x", 0, 60))
	lanes, err := s.db.Lanes(t.Context(), made.ID)
	if err != nil {
		t.Fatal(err)
	}
	o := r.Window.Value.Closed(lanes[0].Value, noon).Skip(schedule.ReasonTriggerChanged, noon)
	if err := s.db.Close(t.Context(), r, lanes, o); err != nil {
		t.Fatal(err)
	}
	shows(t, words(s.get(root)), "1 change both Skipped before all folders had changed, other folders were given, or the schedule was disabled")
}

// What the policy loses is said on the page, too.
func TestNoticesOfAWatch(t *testing.T) {
	s := newSite(t)
	s.pipeline("hello")
	s.schedule(strings.Replace(watcher("a", `"datastore": "inbox", "recursive": true`), `"demo"`, `"demo", "overlap": "buffer_one"`, 1))
	shows(t, words(s.get(root+"/schedules/a")), "overlap is buffer_one: a file that changes while another waits", "every file of datastore inbox counts")
	s.edit("a", func(d *schedule.Definition) { d.Overlap = schedule.OverlapAllow })
	hides(t, words(s.get(root+"/schedules/a")), "overlap is")
}
