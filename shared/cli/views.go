package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"carillon/shared/schedule"
)

// scheduleView is what is shown of a schedule.
type scheduleView struct {
	ID          string
	Name        string
	Description string
	Pipeline    schedule.PipelineRef
	Experiment  string
	Parameters  map[string]string
	Outputs     map[string]string
	Settings    map[string]json.RawMessage
	Tags        map[string]string
	Trigger     struct {
		TimeZone string `json:"time_zone"`
	}
	CatchUp struct {
		Policy, Window string
	} `json:"catch_up"`
	Jitter     string
	Calendars  []string
	MaxRuns    int `json:"max_runs"`
	Overlap    string
	PauseAfter int   `json:"pause_after_failures"`
	Continue   *bool `json:"continue_on_step_failure"`
	Status     string
	Revision   int
	Created    time.Time
	Updated    time.Time
	UpdatedBy  string               `json:"updated_by"`
	StatusNote *schedule.StatusNote `json:"status_note"`
	Submitted  int
	Failures   int
	When       string
	Next       time.Time
	NextFive   []upcoming `json:"next_five"`
	LastRun    *runView   `json:"last_run"`
	Running    []runView
	Notices    []string
	Watch      *watchView
}

// watchView is how the watching of a schedule's folders goes.
type watchView struct {
	Looked   time.Time
	NextLook time.Time `json:"next_look"`
	Problem  string
	Since    time.Time `json:"problem_since"`
	Window   *struct {
		Opened   time.Time
		Closes   time.Time
		Changes  int
		WaitsFor []string `json:"waits_for"`
	}
}

// upcoming is a time at which a schedule will fire, or would but for a calendar.
type upcoming struct {
	Time     time.Time
	UTC      time.Time
	Moved    bool
	Excluded string // the calendar
}

// previewView is what is shown of a definition that is not created.
type previewView struct {
	When    string
	Items   []json.RawMessage
	Notices []string
}

// runView is what is shown of an occurrence and its run.
type runView struct {
	ID         string
	Schedule   string
	Kind       schedule.Kind
	Status     schedule.Status
	Reason     string
	Error      string
	Nominal    time.Time
	Last       time.Time
	Count      int
	Recorded   time.Time
	Submitted  time.Time
	Started    time.Time
	Ended      time.Time
	Pipeline   schedule.PipelineRef
	Experiment string
	Parameters map[string]string
	Outputs    map[string]string
	Revision   int
	Attempts   int
	By         string
	CancelBy   string `json:"cancel_by"`
	RoomFor    string `json:"makes_room_for"`
	Buffered   bool
	Run        string
	Link       string
	Steps      []stepView
	MoreSteps  bool `json:"more_steps"`
	Change     *fileChange
	Changes    int
	Window     schedule.Span
	DataPath   *schedule.DataPath `json:"data_path"`
}

type stepView struct {
	Name    string
	Status  string
	Started time.Time
	Ended   time.Time
	Exit    *int
	Error   string
}

func (v scheduleView) row(now time.Time) []string {
	last := "-"
	if v.LastRun != nil {
		last = v.LastRun.outcome() + " " + v.LastRun.latest()
	}
	return []string{v.Name, v.Pipeline.String(), cut(v.When), cut(v.state()), last, orDash(cut(v.comes(now)))}
}

// comes says what there is to be expected of it: its next time, or how the watching of its folders goes.
func (v scheduleView) comes(now time.Time) string {
	if v.Watch == nil || v.Status != string(schedule.Active) {
		return v.next(now)
	}
	at := func(t time.Time) string { return clock(inZone(t, v.Trigger.TimeZone)) + " (" + away(t, now) + ")" }
	switch w := v.Watch; {
	case w.Problem != "":
		return "cannot look: " + w.Problem
	case w.Window != nil && !w.Window.Closes.IsZero():
		return changes(w.Window.Changes) + ", until " + at(w.Window.Closes)
	case w.Window != nil && len(w.Window.WaitsFor) > 0:
		return changes(w.Window.Changes) + ", waiting for " + strings.Join(w.Window.WaitsFor, " and ")
	case !w.NextLook.IsZero():
		return "looks " + at(w.NextLook)
	}
	return "on an event"
}

func changes(n int) string {
	if n == 1 {
		return "1 change"
	}
	return strconv.Itoa(n) + " changes"
}

// state is the status, and why it is so if it is not Active.
func (v scheduleView) state() string {
	said := v.status()
	if v.StatusNote == nil || v.StatusNote.Note == "" || v.Status == string(schedule.Active) {
		return said
	}
	return said + " (" + v.StatusNote.Note + ")"
}

// status is whether it fires, and whether that is so with all others.
func (v scheduleView) status() string {
	if v.StatusNote != nil && v.StatusNote.All && v.Status != string(schedule.Active) {
		return v.Status + " with all"
	}
	return v.Status
}

func (v scheduleView) next(now time.Time) string {
	if v.Next.IsZero() {
		return ""
	}
	return clock(inZone(v.Next, v.Trigger.TimeZone)) + " (" + away(v.Next, now) + ")"
}

// line says in one line what there is now.
func (v scheduleView) line(now time.Time) string {
	said := v.Name + " is " + v.state() + ", " + v.When
	if next := v.next(now); next != "" {
		said += ", next run " + next
	}
	if v.Watch != nil && v.Watch.Problem != "" {
		said += "; its datastores cannot be looked at: " + v.Watch.Problem
	}
	return said
}

// goesOn says what becomes of a run whose step has failed, "" for what the pipeline itself says.
func goesOn(said *bool) string {
	switch {
	case said == nil:
		return ""
	case *said:
		return "a failed one does not end the run"
	}
	return "a failed one ends the run"
}

func (v scheduleView) sheet(etag string, now time.Time) string {
	var s sheet
	s.line("Name", v.Name)
	s.line("Description", v.Description)
	s.line("Pipeline", v.Pipeline.String())
	s.line("Experiment", v.Experiment)
	s.lines("Parameters", pairs(v.Parameters))
	s.lines("Outputs", pairs(v.Outputs))
	s.lines("Settings", pairs(v.Settings))
	s.lines("Tags", pairs(v.Tags))
	s.line("Trigger", v.When)
	s.line("Catch-up", strings.TrimSpace(v.CatchUp.Policy+" "+v.CatchUp.Window))
	if v.Jitter != "" {
		s.line("Jitter", "up to "+v.Jitter)
	}
	s.line("Calendars", strings.Join(v.Calendars, ", "))
	if v.MaxRuns > 0 {
		s.line("Max runs", v.maxRuns())
	}
	s.line("Overlap", v.Overlap)
	if v.PauseAfter > 0 {
		s.line("Pauses", v.pauses())
	}
	s.line("Steps", goesOn(v.Continue))
	s.line("Status", v.since())
	s.line("Revision", v.revision(etag))
	s.line("Created", clock(v.Created.UTC()))
	s.line("Updated", by(clock(v.Updated.UTC()), v.UpdatedBy))
	if v.LastRun != nil {
		s.line("Last run", v.LastRun.summary())
	}
	s.lines("Running", summaries(v.Running))
	var next []string
	for _, t := range v.NextFive {
		next = append(next, strings.TrimSpace(clock(inZone(t.Time, v.Trigger.TimeZone))+" ("+away(t.Time, now)+") "+t.note()))
	}
	s.lines("Next", next)
	v.watching(&s, now)
	s.lines("Notices", v.Notices)
	return s.b.String()
}

// revision is its number; only the last one has an etag.
func (v scheduleView) revision(etag string) string {
	if etag == "" {
		return strconv.Itoa(v.Revision)
	}
	return fmt.Sprintf("%d (etag %s)", v.Revision, etag)
}

// maxRuns says how many runs it may start, and how far that has come.
func (v scheduleView) maxRuns() string {
	said := strconv.Itoa(v.MaxRuns)
	if v.Submitted > 0 {
		said += "; " + strconv.Itoa(v.Submitted) + " so far"
	}
	return said
}

// pauses says when failures stop it, and how far that has come.
func (v scheduleView) pauses() string {
	said := "after " + strconv.Itoa(v.PauseAfter) + " failed runs in a row"
	if v.PauseAfter == 1 {
		said = "after a failed run"
	}
	if v.Failures > 0 {
		said += "; " + strconv.Itoa(v.Failures) + " so far"
	}
	return said
}

// watching adds how the watching of its folders goes.
func (v scheduleView) watching(s *sheet, now time.Time) {
	if v.Watch == nil {
		return
	}
	at := func(t time.Time) string { return clock(inZone(t, v.Trigger.TimeZone)) }
	w := v.Watch
	if !w.Looked.IsZero() {
		s.line("Looked", at(w.Looked))
	}
	switch {
	case !w.NextLook.IsZero():
		s.line("Looks", at(w.NextLook)+" ("+away(w.NextLook, now)+")")
	case v.Status == string(schedule.Active):
		s.line("Looks", "never: its datastores send their changes")
	}
	if w.Problem != "" {
		s.line("Problem", "since "+at(w.Since)+": "+w.Problem)
	}
	if w.Window == nil {
		return
	}
	said := changes(w.Window.Changes) + " since " + at(w.Window.Opened)
	if !w.Window.Closes.IsZero() {
		said += ", closes " + at(w.Window.Closes) + " (" + away(w.Window.Closes, now) + ")"
	}
	s.line("Window", said)
	s.lines("Waits for", w.Window.WaitsFor)
}

func (v scheduleView) since() string {
	if v.StatusNote == nil {
		return v.Status
	}
	said := by(v.status()+" since "+clock(v.StatusNote.At.UTC()), v.StatusNote.By)
	if v.StatusNote.Note != "" {
		said += ": " + v.StatusNote.Note
	}
	return said
}

func (t upcoming) note() string {
	var notes []string
	if t.Moved {
		notes = append(notes, "moved by daylight saving")
	}
	if t.Excluded != "" {
		notes = append(notes, "excluded by calendar "+t.Excluded)
	}
	return strings.Join(notes, ", ")
}

// row has the time in the offset that was sent: which zone that is the answer does not say.
func (t upcoming) row(now time.Time) []string {
	return []string{t.Time.Format("2006-01-02 15:04:05 -07:00"), clock(t.UTC.UTC()), away(t.Time, now), t.note()}
}

// outcome is the status, and the reason of one that was skipped or waits for its turn.
func (v runView) outcome() string {
	if v.Buffered {
		return string(v.Status) + " (for its turn)"
	}
	if v.Reason != "" {
		return string(v.Status) + " (" + v.Reason + ")"
	}
	return string(v.Status)
}

// latest is the nominal time; of several skipped ones, that of the last.
// latest is when something was last heard of the run; of one that is for another time, that too.
func (v runView) latest() string {
	of := v.Nominal
	if !v.Last.IsZero() {
		of = v.Last
	}
	at := of
	for _, t := range []time.Time{v.Submitted, v.Started, v.Ended} {
		if t.After(at) {
			at = t
		}
	}
	if v.Count > 1 || at.Sub(of) < time.Hour {
		return clock(of.UTC())
	}
	return clock(at.UTC()) + " (for " + clock(of.UTC()) + ")"
}

func (v runView) summary() string {
	return v.outcome() + " " + v.latest() + "  " + v.ID
}

func summaries(runs []runView) []string {
	var all []string
	for _, v := range runs {
		all = append(all, v.summary())
	}
	return all
}

func (v runView) row(now time.Time) []string {
	return []string{v.ID, v.Schedule, v.outcome(), clock(v.Nominal.UTC()), orDash(took(v.Started, v.Ended, now)), cut(v.note())}
}

// note is what else there is to say of a run, in a column.
func (v runView) note() string {
	var parts []string
	if v.Count > 1 {
		parts = append(parts, v.several())
	}
	switch {
	case v.Changes == 1 && v.Change != nil:
		parts = append(parts, v.Change.place())
	case v.Changes > 0:
		parts = append(parts, changes(v.Changes))
	case v.Kind != schedule.Scheduled:
		parts = append(parts, by(string(v.Kind), v.By))
	}
	if v.Error != "" {
		parts = append(parts, v.Error)
	}
	return strings.Join(parts, "; ")
}

func (v runView) several() string {
	return fmt.Sprintf("%d occurrences, the last %s", v.Count, clock(v.Last.UTC()))
}

func (v runView) sheet(now time.Time) string {
	var s sheet
	s.line("ID", v.ID)
	s.line("Schedule", fmt.Sprintf("%s (revision %d)", v.Schedule, v.Revision))
	s.line("Status", v.outcome())
	if v.Count > 1 {
		s.line("Stands for", v.several())
	}
	s.line("Error", v.Error)
	s.line("Kind", by(string(v.Kind), v.By))
	s.line("Cancelled by", v.CancelBy)
	if v.RoomFor != "" {
		s.line("Gives way to", v.RoomFor+" (overlap: cancel_running)")
	}
	if v.Pipeline.ID != "" {
		s.line("Pipeline", v.Pipeline.String())
	}
	s.line("Experiment", v.Experiment)
	s.lines("Parameters", pairs(v.Parameters))
	s.lines("Outputs", pairs(v.Outputs))
	v.data(&s)
	s.line("Time", clock(v.Nominal.UTC()))
	s.line("Recorded", clock(v.Recorded.UTC()))
	s.line("Submitted", v.submission())
	s.line("Started", clock(v.Started.UTC()))
	s.line("Ended", clock(v.Ended.UTC()))
	s.line("Took", took(v.Started, v.Ended, now))
	s.line("Run", v.Run)
	s.line("Link", v.Link)
	return s.b.String()
}

// data adds which changes it is for, and where they are.
func (v runView) data(s *sheet) {
	if v.Change != nil {
		s.line("Change", v.Change.place()+" (etag "+v.Change.ETag+")")
	}
	if v.Changes > 1 {
		s.line("Changes", strconv.Itoa(v.Changes)+"; carillon runs changes "+v.ID+" lists them")
	}
	if !v.Window.End.IsZero() {
		s.line("Window", clock(v.Window.Start.UTC())+" to "+clock(v.Window.End.UTC()))
	}
	if v.DataPath != nil {
		s.line("Data path", v.DataPath.Parameter+"="+v.DataPath.Datastore+"/"+v.DataPath.Path)
	}
}

func (v runView) submission() string {
	said := clock(v.Submitted.UTC())
	if v.Attempts > 1 {
		said = strings.TrimSpace(said + " (" + strconv.Itoa(v.Attempts) + " attempts)")
	}
	return said
}

func (v stepView) row(now time.Time) []string {
	exit := ""
	if v.Exit != nil {
		exit = strconv.Itoa(*v.Exit)
	}
	return []string{v.Name, v.Status, orDash(took(v.Started, v.Ended, now)), orDash(exit), cut(v.Error)}
}

func pairs[V ~string | ~[]byte](values map[string]V) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		all = append(all, name+"="+string(values[name]))
	}
	return all
}

func by(what, who string) string {
	if who == "" {
		return what
	}
	return what + " by " + who
}
