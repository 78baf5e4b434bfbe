package api

import (
	"errors"
	"strings"
	"testing"
	"time"

	"carillon/shared/schedule"
	"carillon/shared/source"
)

var created = time.Date(2026, 11, 22, 10, 0, 7, 300e6, time.UTC)

// at is an instant on the day of creation.
func at(clock string) time.Time {
	t, err := time.Parse("2006-01-02T15:04:05", "2026-11-22T"+clock)
	if err != nil {
		panic(err)
	}
	return t
}

// a schedule of a trigger, created at created.
func a(t *testing.T, trigger string) schedule.Schedule {
	t.Helper()
	d, errs := schedule.Decode([]byte(`{"name": "s", "pipeline": {"kind": "local", "id": "x"}, "experiment": "e", "trigger": {"type": "datastore", ` + trigger + `}}`))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return schedule.New(d, "0abc", "ann", created)
}

func version(etag, clock string) *source.File {
	return &source.File{Path: "in/a.csv", ETag: etag, Modified: at(clock), Size: 1}
}

func came(etag, clock, occurrence string) *schedule.Seen {
	c := schedule.Change{Datastore: "inbox", Path: "in/a.csv", ETag: etag, Modified: at(clock), At: at(clock)}
	return &schedule.Seen{Change: c, Result: schedule.Fired, Occurrence: occurrence}
}

// What somebody on call reads, whatever has become of a file.
func TestFate(t *testing.T) {
	one := a(t, `"datastore": "inbox", "path_on_datastore": "in"`)
	disabled := one.Revise(one.Definition, "ann", "", at("10:05:00"))
	disabled.Status, disabled.DisabledRevision = schedule.Disabled, 2
	disabled.StatusNote = &schedule.StatusNote{Note: "data feed is down"}
	enabled := disabled
	enabled.Status, enabled.Revision, enabled.BaselineRevision, enabled.Baseline = schedule.Active, 3, 3, at("10:10:00")
	batch := a(t, `"datastore": "inbox", "path_on_datastore": "in", "mode": "batch", "time_zone": "Europe/Vienna"`)
	batchSkips := batch
	batchSkips.Overlap = schedule.OverlapSkip
	batchStopped := batch
	batchStopped.Status, batchStopped.DisabledRevision = schedule.Disabled, 2
	both := a(t, `"all_of": [{"datastore": "inbox", "path_on_datastore": "in"}, {"datastore": "inbox", "path_on_datastore": "b"}, {"datastore": "c", "include": "*.csv"}], "within": "1h"`)
	bothElsewhere := both
	bothElsewhere.BaselineRevision = 2
	bothStopped := both
	bothStopped.Status = schedule.Disabled
	existing := a(t, `"datastore": "inbox", "path_on_datastore": "in", "process_existing": true`)

	looked := schedule.Poll{Baseline: 1, Looked: at("10:25:00"), Wake: at("10:31:00"), Next: at("10:31:00")}
	due := looked
	due.Next = at("10:29:00")
	rests := schedule.Poll{Baseline: 1}
	begins := schedule.Poll{Wake: at("10:31:00"), Pass: &schedule.Pass{First: true}}
	troubled := looked
	troubled.Problem, troubled.Since = "list inbox/in: the datastore may not be read", at("10:20:00")

	done := &schedule.Occurrence{ID: "0abc-1", Status: schedule.Completed, Changes: 1}
	failed := &schedule.Occurrence{ID: "0abc-1", Status: schedule.Failed, Error: "step 1 ended with 1"}
	skipped := one.Unreadable(came("2", "10:15:00", "").Change, errors.New("no answer"), at("10:15:01"))
	skipped.ID = "0abc-1"
	window := func(s schedule.Schedule) *schedule.Window {
		w := s.Opens("x", at("10:26:00"))
		w.Occurrence = "0abc-w"
		return &w
	}
	quiet := window(a(t, `"datastore": "inbox", "mode": "batch", "quiet_period": "3m"`))
	gathered := schedule.Occurrence{ID: "0abc-20261122T102600Z-wx", Status: schedule.Running, Changes: 12, Window: &schedule.Span{Start: at("10:26:00"), End: at("10:27:00")}}
	completed := gathered
	completed.Change = &schedule.Change{}
	parts := func(clocks ...string) (l schedule.Lane) {
		for _, c := range clocks {
			var last time.Time
			if c != "" {
				last = at(c)
			}
			l.Parts = append(l.Parts, last)
		}
		return l
	}
	event, poll := look{events: true}, look{}
	with := func(l look, f *source.File) look { l.file = f; return l }
	held := func(e evidence) evidence {
		e.look, e.window, e.seen = with(poll, version("2", "10:26:30")), window(both), came("2", "10:26:30", "0abc-w")
		return e
	}

	for _, c := range []struct {
		name string
		e    evidence
		fate fate
		says string
	}{
		{"fired", evidence{look: with(poll, version("2", "10:10:00")), s: one, poll: looked, seen: came("2", "10:15:00", "0abc-1"), made: done},
			fateFired, "The file as it is now, seen at 2026-11-22 10:15:00 UTC, fired: run 0abc-1 is Completed. Whatever tells of this version again is a duplicate, and does not fire."},
		{"fired and failed, gone since", evidence{look: poll, s: one, poll: looked, seen: came("2", "10:15:00", "0abc-1"), made: failed},
			fateFired, "The last version that has come, seen at 2026-11-22 10:15:00 UTC, fired: run 0abc-1 is Failed, step 1 ended with 1. There is no such file any more; deletions do not fire."},
		{"fired long ago", evidence{look: look{problem: "no answer"}, s: one, seen: came("2", "10:15:00", "0abc-1")},
			fateFired, "The last version that has come, seen at 2026-11-22 10:15:00 UTC, fired: its run 0abc-1 is not kept any more. What the file is like now is not known: no answer."},
		{"skipped", evidence{look: with(poll, version("2", "10:10:00")), s: one, seen: came("2", "10:15:00", "0abc-1"), made: &skipped},
			fateSkipped, "The file as it is now, seen at 2026-11-22 10:15:00 UTC, did not start a run: run 0abc-1 was skipped (unreadable), no answer. Whatever tells of this version again is a duplicate, and does not fire."},
		{"fired with others", evidence{look: with(poll, version("2", "10:26:30")), s: batch, seen: came("2", "10:26:30", gathered.ID), made: &gathered},
			fateFired, "The file as it is now, seen at 2026-11-22 11:26:30 CET, fired with 12 changes in all: run 0abc-20261122T102600Z-wx is Running. Whatever tells of this version again is a duplicate, and does not fire."},
		{"stale when all_of fired", evidence{look: with(poll, version("2", "10:10:00")), s: both, seen: came("2", "10:15:00", completed.ID), made: &completed},
			fateStale, "The file as it is now, seen at 2026-11-22 10:15:00 UTC, was too old to count when run 0abc-20261122T102600Z-wx was started, which is Running. Whatever tells of this version again is a duplicate, and does not fire."},

		{"waiting", evidence{look: with(poll, version("2", "10:26:30")), s: batch, window: window(batch), all: schedule.Lane{Count: 1}, seen: came("2", "10:26:30", "0abc-w")},
			fateWaiting, "The file as it is now, seen at 2026-11-22 11:26:30 CET, waits in the window that opened at 2026-11-22 11:26:00 CET and has 1 change. It closes at 2026-11-22 11:31:00 CET; then they start one run. Whatever tells of this version again is a duplicate, and does not fire."},
		{"waiting for quiet", evidence{look: with(poll, version("2", "10:26:30")), s: one, window: quiet, all: schedule.Lane{Count: 7, Last: at("10:29:10")}, seen: came("2", "10:26:30", "0abc-w")},
			fateWaiting, "The file as it is now, seen at 2026-11-22 10:26:30 UTC, waits in the window that opened at 2026-11-22 10:26:00 UTC and has 7 changes. It closes at 2026-11-22 10:32:10 UTC, or later if more changes come, but by 2026-11-22 11:26:00 UTC; then they start one run. Whatever tells of this version again is a duplicate, and does not fire."},
		{"closing", evidence{now: at("10:31:00"), look: poll, s: batch, window: window(batch), all: schedule.Lane{Count: 2}, seen: came("2", "10:26:30", "0abc-w")},
			fateWaiting, "The last version that has come, seen at 2026-11-22 11:26:30 CET, waits in the window that opened at 2026-11-22 11:26:00 CET and has 2 changes. It closes now, and they start one run. There is no such file any more; deletions do not fire."},
		{"kept open", evidence{now: at("10:31:00"), look: poll, s: batchSkips, window: window(batch), all: schedule.Lane{Count: 2}, seen: came("2", "10:26:30", "0abc-w")},
			fateWaiting, "It closes when no other run of the schedule is under way; then they start one run."},
		{"waiting in vain", evidence{look: poll, s: batchStopped, window: window(batch), all: schedule.Lane{Count: 2}, seen: came("2", "10:26:30", "0abc-w")},
			fateWaiting, "That run will be skipped, as the schedule has been disabled since the window opened."},

		{"held", held(evidence{s: both, all: parts("10:26:30", "", "09:00:00")}),
			fateHeld, "The file as it is now, seen at 2026-11-22 10:26:30 UTC, is held until files change in inbox/b and in c/ (*.csv), too. Whatever tells of this version again is a duplicate, and does not fire."},
		{"held with all others", held(evidence{s: both, all: parts("10:26:30", "10:27:00", "10:28:00")}),
			fateHeld, "is held, and so is a change of every other folder: the next change in any of them starts the run."},
		{"held, and disabled", held(evidence{s: bothStopped, all: parts("10:26:30")}),
			fateHeld, "The schedule is disabled: once it is enabled, this change does not count any more."},
		{"held too long", held(evidence{s: both, now: at("11:26:31"), all: parts("10:26:30")}),
			fateStale, "waited for other folders, and does not count any more: that is longer ago than within (1h) allows."},
		{"held for other folders", held(evidence{s: bothElsewhere, all: parts("10:26:30")}),
			fateStale, "waited for other folders, and does not count any more: the schedule was enabled anew since, or given other folders."},

		{"absent", evidence{look: event, s: one, poll: rests},
			fateAbsent, "There is no such file now, and nothing of it has come to the schedule. A file that is written here starts a run."},
		{"absent, disabled", evidence{look: event, s: disabled, poll: rests},
			fateAbsent, "There is no such file now, and nothing of it has come to the schedule. A file that is written here does not fire, as the schedule is disabled (data feed is down)."},
		{"unreadable", evidence{look: look{problem: "the datastore does not exist"}, s: one, poll: looked},
			fateUnreadable, "Nothing of this file has come to the schedule, and it cannot be looked at now: the datastore does not exist."},
		{"the looks fail", evidence{look: with(poll, version("2", "10:26:30")), s: one, poll: troubled},
			fateUnreadable, "The file as it is now, written at 2026-11-22 10:26:30 UTC, has not come to the schedule, whose datastores could not be looked at since 2026-11-22 10:20:00 UTC: list inbox/in: the datastore may not be read. It is tried again with the look at 2026-11-22 10:31:00 UTC."},
		{"disabled", evidence{look: with(poll, version("2", "10:26:30")), s: disabled, poll: looked},
			fateDisabled, "The file as it is now, written at 2026-11-22 10:26:30 UTC, does not fire, as the schedule is disabled (data feed is down). It will not fire when the schedule is enabled, either: only what changes after that does."},

		{"baseline of a poll", evidence{look: with(poll, version("2", "09:00:00")), s: one, poll: looked},
			fateBaseline, "The file as it is now, written at 2026-11-22 09:00:00 UTC, does not fire until it is changed: the schedule watches since 2026-11-22 10:00:07 UTC, when it was created, and what is older counts as there before. If it was moved or renamed to here since, the look at the folder at 2026-11-22 10:31:00 UTC finds it, and it fires."},
		{"baseline of events", evidence{look: with(event, version("2", "10:09:00")), s: enabled, poll: schedule.Poll{Baseline: 3}},
			fateBaseline, "The file as it is now, written at 2026-11-22 10:09:00 UTC, does not fire until it is changed: the schedule watches since 2026-11-22 10:10:00 UTC, when it was enabled, or given other folders, and what is older counts as there before. If it was moved or renamed to here since, the event of that, which has not come, fires it."},
		{"baseline, before the first look", evidence{look: with(poll, version("2", "09:00:00")), s: one, poll: begins},
			fateBaseline, "when it was created"},
		{"new, before the first look", evidence{look: with(poll, version("2", "10:01:00")), s: one, poll: begins},
			fateUnseen, "The file as it is now, written at 2026-11-22 10:01:00 UTC, has not come yet: the schedule looks at its folders for the first time at 2026-11-22 10:31:00 UTC, and finds it then. It starts a run."},
		{"existing, before the first look", evidence{look: with(event, version("2", "09:00:00")), s: existing, poll: begins},
			fateUnseen, "the schedule looks at its folders for the first time at 2026-11-22 10:31:00 UTC, and finds it then. It starts a run."},
		{"existing, moved here after the first look", evidence{look: with(poll, version("2", "09:00:00")), s: existing, poll: looked},
			fateUnseen, "The file as it is now, written at 2026-11-22 09:00:00 UTC, has not come yet. The look at the folder at 2026-11-22 10:31:00 UTC finds it, at the latest. It starts a run."},

		{"unseen by polls", evidence{look: with(poll, version("2", "10:26:30")), s: batch, poll: due},
			fateUnseen, "The file as it is now, written at 2026-11-22 11:26:30 CET, has not come yet. The look at the folder that is due now finds it, at the latest. It joins the window of changes that start one run together."},
		{"unseen by events", evidence{look: with(event, version("2", "10:26:30")), s: both, poll: rests},
			fateUnseen, "The file as it is now, written at 2026-11-22 10:26:30 UTC, has not come yet. The datastore's event of it is awaited; when none comes within minutes, the datastore does not send them here: look at its event subscription. It counts towards the run that starts when every folder of all_of has a change."},
		{"unseen, and nobody looks", evidence{look: with(poll, version("2", "10:26:30")), s: one, poll: rests},
			fateUnseen, "No look at the folder is planned, as the datastore used to send events: disable the schedule and enable it, then change the file."},
		{"unseen, and old", evidence{now: at("10:30:00").AddDate(0, 1, 1), look: with(event, version("2", "10:26:30")), s: one, poll: rests},
			fateUnseen, "It starts a run. Or it has fired, so long ago that its run is not kept any more."},
		{"created empty", evidence{look: look{events: true, file: &source.File{Path: "in/a.csv", ETag: "2", Modified: at("10:26:30"), Tree: true}}, s: one, poll: rests},
			fateUnseen, "It is empty: its datastore makes files empty before they are written, and sends an event when they are."},
		{"another version is unseen", evidence{look: with(poll, version("3", "10:26:30")), s: one, poll: looked, seen: came("2", "10:15:00", "0abc-1"), made: done},
			fateUnseen, "An earlier version, seen at 2026-11-22 10:15:00 UTC, fired: run 0abc-1 is Completed. The file as it is now, written at 2026-11-22 10:26:30 UTC, has not come yet. The look at the folder at 2026-11-22 10:31:00 UTC finds it, at the latest. It starts a run."},
		{"given up", evidence{look: with(poll, version("2", "10:15:00")), s: one, poll: looked, before: &skipped},
			fateSkipped, "The file as it is now, written at 2026-11-22 10:15:00 UTC, did not start a run: run 0abc-1 was skipped (unreadable), no answer. Another change of the file fires."},
		{"an earlier version again", evidence{look: with(poll, version("2", "10:15:00")), s: one, poll: looked, seen: came("3", "10:20:00", "0abc-2"), made: done, before: done},
			fateFired, "has come before, and the same version never fires twice: run 0abc-1 is Completed."},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.e.datastore = "inbox"; c.e.now.IsZero() {
				c.e.now = at("10:30:00")
			}
			became, says := c.e.explain()
			if became != c.fate || !strings.Contains(says, c.says) {
				t.Errorf("got %s:\n\t%s\nwant %s:\n\t%s", became, says, c.fate, c.says)
			}
		})
	}
}
