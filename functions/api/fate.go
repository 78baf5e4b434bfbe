package api

import (
	"fmt"
	"strings"
	"time"

	"carillon/shared/schedule"
)

// fate is what has become of the last change of a file, for one schedule.
type fate string

const (
	fateFired      fate = "fired"      // it made a run
	fateWaiting    fate = "waiting"    // it stands in a window that is open
	fateHeld       fate = "held"       // it waits for the other folders of all_of
	fateStale      fate = "stale"      // it did, too long, or its folders are not watched any more
	fateSkipped    fate = "skipped"    // it was recorded, and does not run
	fateBaseline   fate = "baseline"   // it was there when the schedule began to watch
	fateDisabled   fate = "disabled"   // the schedule is disabled, and did not see it
	fateUnseen     fate = "unseen"     // it has not come to Carillon yet
	fateAbsent     fate = "absent"     // there is no such file, and nothing is known of it
	fateUnreadable fate = "unreadable" // the datastore cannot be looked at
)

// evidence is what is known of a file and of a schedule that it counts for.
type evidence struct {
	look
	datastore string
	now       time.Time
	s         schedule.Schedule
	poll      schedule.Poll
	window    *schedule.Window     // that is open; nil for none
	all       schedule.Lane        // what has come to it
	seen      *schedule.Seen       // the version that came last; nil for none
	made      *schedule.Occurrence // by that; nil while its window is open, and when it is not kept any more
	before    *schedule.Occurrence // by the current version, where another came last
}

// explain decides what has become of the file's last change, and says it to somebody who is on call.
func (e evidence) explain() (fate, string) {
	switch {
	case e.seen == nil && e.problem != "":
		return fateUnreadable, "Nothing of this file has come to the schedule, and it cannot be looked at now: " + e.problem + "."
	case e.seen == nil && e.file == nil:
		return fateAbsent, "There is no such file now, and nothing of it has come to the schedule. " + e.will("A file that is written here ")
	case e.seen == nil:
		return e.current()
	case e.problem != "":
		became, says := e.last("The last version that has come, ")
		return became, says + " What the file is like now is not known: " + e.problem + "."
	case e.file == nil:
		became, says := e.last("The last version that has come, ")
		return became, says + " There is no such file any more; deletions do not fire."
	case e.seen.ETag == e.file.ETag:
		became, says := e.last("The file as it is now, ")
		return became, says + " Whatever tells of this version again is a duplicate, and does not fire."
	}
	_, earlier := e.last("An earlier version, ")
	became, says := e.current()
	return became, earlier + " " + says
}

// last says what has become of the version that came last.
func (e evidence) last(subject string) (fate, string) {
	subject += "seen at " + e.clock(e.seen.At) + ", "
	switch {
	case e.window != nil && e.window.Occurrence == e.seen.Occurrence && e.window.Gathers():
		return e.held(subject)
	case e.window != nil && e.window.Occurrence == e.seen.Occurrence:
		return e.waits(subject)
	case e.made == nil:
		return fateFired, subject + "fired: its run " + e.seen.Occurrence + " is not kept any more."
	case stale(*e.made, e.seen.Change):
		return fateStale, subject + "was too old to count when run " + e.made.ID + " was started, which is " + string(e.made.Status) + "."
	case e.made.Status == schedule.Skipped:
		return fateSkipped, subject + "did not start a run: " + run(e.made) + "."
	case e.made.Windowed():
		return fateFired, subject + fmt.Sprintf("fired with %d changes in all: ", e.made.Changes) + run(e.made) + "."
	}
	return fateFired, subject + "fired: " + run(e.made) + "."
}

// waits says how a change stands in the open window of a batch.
func (e evidence) waits(subject string) (fate, string) {
	w, closes := e.window, e.window.Closes(e.all)
	says := subject + fmt.Sprintf("waits in the window that opened at %s and has %s", e.clock(w.Opened), changes(e.all.Count))
	switch {
	case !closes.After(e.now) && e.s.Overlap == schedule.OverlapSkip:
		says += ". It closes when no other run of the schedule is under way; then they start one run."
	case !closes.After(e.now):
		says += ". It closes now, and they start one run."
	case w.Quiet > 0:
		most := e.clock(w.Opened.Add(time.Duration(w.MaxWait)))
		says += ". It closes at " + e.clock(closes) + ", or later if more changes come, but by " + most + "; then they start one run."
	default:
		says += ". It closes at " + e.clock(closes) + "; then they start one run."
	}
	if e.s.DisabledRevision > w.Revision {
		says += " That run will be skipped, as the schedule has been disabled since the window opened."
	}
	return fateWaiting, says
}

// held says how a change stands that waits for other folders of all_of.
func (e evidence) held(subject string) (fate, string) {
	if e.window.Baseline != e.s.BaselineRevision {
		return fateStale, subject + "waited for other folders, and does not count any more: the schedule was enabled anew since, or given other folders."
	}
	if e.s.Trigger.Stale(e.seen.At, e.now) {
		return fateStale, subject + "waited for other folders, and does not count any more: that is longer ago than within (" + e.s.Trigger.Within.String() + ") allows."
	}
	var folders []string
	for _, f := range waitsFor(e.s, *e.window, e.all, e.now) {
		folders = append(folders, f.String())
	}
	says := subject + "is held until files change in " + strings.Join(folders, " and in ") + ", too."
	if len(folders) == 0 {
		says = subject + "is held, and so is a change of every other folder: the next change in any of them starts the run."
	}
	if e.s.Status != schedule.Active {
		says += " The schedule is disabled: once it is enabled, this change does not count any more."
	}
	return fateHeld, says
}

// current says what becomes of the version that is there now and did not come last.
func (e evidence) current() (fate, string) {
	this := "The file as it is now, written at " + e.clock(e.file.Modified) + ", "
	switch {
	case e.before != nil && e.before.Status == schedule.Skipped:
		return fateSkipped, this + "did not start a run: " + run(e.before) + ". Another change of the file fires."
	case e.before != nil:
		return fateFired, this + "has come before, and the same version never fires twice: " + run(e.before) + "."
	case e.s.Status != schedule.Active:
		return fateDisabled, this + "does not fire, as the schedule is disabled" + e.note() + ". It will not fire when the schedule is enabled, either: only what changes after that does."
	case e.poll.Problem != "":
		return fateUnreadable, this + "has not come to the schedule, whose datastores could not be looked at since " + e.clock(e.poll.Since) + ": " + e.poll.Problem + "." + e.again()
	case e.beginning() && e.s.Newer(e.file.Modified):
		return fateUnseen, this + "has not come yet: the schedule looks at its folders for the first time" + e.soon() + ", and finds it then. " + e.will("It ")
	case e.existed():
		return fateBaseline, this + "does not fire until it is changed: the schedule watches since " + e.clock(e.s.Baseline) + ", when it was " + e.began() +
			", and what is older counts as there before. " + e.moved()
	}
	return fateUnseen, this + "has not come yet. " + e.comes() + e.will(" It ") + e.forgotten()
}

// beginning reports whether the first look since the baseline has not ended, where there is one.
func (e evidence) beginning() bool {
	return e.poll.Baseline != e.s.BaselineRevision && (!e.events || e.s.ProcessesExisting())
}

// existed reports whether the file counts as there before the schedule began to watch it, by its time.
func (e evidence) existed() bool {
	if !e.events {
		return !e.s.Newer(e.file.Modified)
	}
	c := schedule.Change{Datastore: e.datastore, Path: e.file.Path, ETag: e.file.ETag, Modified: e.file.Modified}
	verdict, _ := e.s.Arrives(c, schedule.Told{}, nil)
	return verdict == schedule.Before
}

// moved says how a file is seen that keeps its time while it gets another name.
func (e evidence) moved() string {
	if e.events {
		return "If it was moved or renamed to here since, the event of that, which has not come, fires it."
	}
	return "If it was moved or renamed to here since, the look at the folder" + e.soon() + " finds it, and it fires."
}

// comes says how the current version will be seen.
func (e evidence) comes() string {
	switch {
	case e.events && e.file.Tree && e.file.Size == 0:
		return "It is empty: its datastore makes files empty before they are written, and sends an event when they are."
	case e.events:
		return "The datastore's event of it is awaited; when none comes within minutes, the datastore does not send them here: look at its event subscription."
	case nextLook(e.poll).IsZero():
		return "No look at the folder is planned, as the datastore used to send events: disable the schedule and enable it, then change the file."
	}
	return "The look at the folder" + e.soon() + " finds it, at the latest."
}

// soon is when folders are looked at next.
func (e evidence) soon() string {
	switch at := nextLook(e.poll); {
	case at.IsZero():
		return ", which is not planned,"
	case !at.After(e.now):
		return " that is due now"
	default:
		return " at " + e.clock(at)
	}
}

// again is when folders that could not be looked at are tried again.
func (e evidence) again() string {
	if nextLook(e.poll).IsZero() {
		return ""
	}
	return " It is tried again with the look" + e.soon() + "."
}

// will says what a change that comes does, in a sentence with a subject.
func (e evidence) will(subject string) string {
	switch {
	case e.s.Status != schedule.Active:
		return subject + "does not fire, as the schedule is disabled" + e.note() + "."
	case len(e.s.Trigger.AllOf) > 0:
		return subject + "counts towards the run that starts when every folder of all_of has a change."
	case e.s.Trigger.Each():
		return subject + "starts a run."
	}
	return subject + "joins the window of changes that start one run together."
}

// forgotten is said of what may have come so long ago that nothing of it is kept.
func (e evidence) forgotten() string {
	if e.now.Sub(e.file.Modified) < keptAtLeast {
		return ""
	}
	return " Or it has fired, so long ago that its run is not kept any more."
}

// keptAtLeast is the shortest retention that there is.
const keptAtLeast = 30 * 24 * time.Hour

// began is what made the schedule begin to watch.
func (e evidence) began() string {
	if e.s.BaselineRevision == 1 {
		return "created"
	}
	return "enabled, or given other folders"
}

func (e evidence) note() string {
	if n := e.s.StatusNote; n != nil && n.Note != "" {
		return " (" + n.Note + ")"
	}
	return ""
}

func (e evidence) clock(t time.Time) string {
	return t.In(e.s.Trigger.Zone()).Format("2006-01-02 15:04:05 MST")
}

// run says what became of a run.
func run(o *schedule.Occurrence) string {
	says := "run " + o.ID + " is " + string(o.Status)
	if o.Status == schedule.Skipped {
		says = "run " + o.ID + " was skipped (" + string(o.Reason) + ")"
	}
	if o.Error != "" {
		says += ", " + o.Error
	}
	return says
}

func changes(n int) string {
	if n == 1 {
		return "1 change"
	}
	return fmt.Sprintf("%d changes", n)
}
