package studio

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"carillon/shared/schedule"
)

// moment is an instant as a page shows it; the zero one is none.
type moment struct {
	ISO  string // for programs
	Text string // in its zone
	UTC  string
	Away string // from now: "in 5 min", "3 h ago"
}

// at shows t in a zone, seen from now.
func at(t time.Time, zone *time.Location, now time.Time) moment {
	if t.IsZero() {
		return moment{}
	}
	return moment{ISO: t.UTC().Format(time.RFC3339), Text: clock(t.In(zone)), UTC: clock(t.UTC()), Away: away(t.Sub(now))}
}

func clock(t time.Time) string {
	if t.Second() == 0 {
		return t.Format("Mon 2006-01-02 15:04 MST")
	}
	return t.Format("Mon 2006-01-02 15:04:05 MST")
}

func away(d time.Duration) string {
	switch {
	case d >= time.Second:
		return "in " + coarse(d)
	case d <= -time.Second:
		return coarse(-d) + " ago"
	}
	return "now"
}

// coarse is a duration, cut to what people ask of one so long.
func coarse(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %02d min", d/time.Hour, d/time.Minute%60)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

// span is how long something took.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d/time.Millisecond)
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", d/time.Minute, d/time.Second%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %02d min", d/time.Hour, d/time.Minute%60)
	}
	return fmt.Sprintf("%d d %02d h", d/(24*time.Hour), d/time.Hour%24)
}

// took is how long something ran, until now when it has not ended; "" when it has not started.
func took(started, ended, now time.Time) string {
	switch {
	case started.IsZero():
		return ""
	case ended.IsZero():
		ended = now
	}
	return span(max(ended.Sub(started), 0))
}

var reasons = map[schedule.Reason]string{
	schedule.ReasonDisabled:       "the schedule was disabled while it waited",
	schedule.ReasonDeleted:        "the schedule was deleted while it waited",
	schedule.ReasonTriggerChanged: "the trigger was changed before its time",
	schedule.ReasonMissed:         "recorded too late, and the schedule catches nothing up",
	schedule.ReasonCatchUpWindow:  "recorded too late, and outside the catch-up window",
	schedule.ReasonCatchUpLatest:  "recorded too late, and a later one was caught up instead",
	schedule.ReasonCalendar:       "a calendar excludes its time",
	schedule.ReasonLimit:          "the schedule has made all the runs that max_runs allows",
	schedule.ReasonOverlap:        "another run of the schedule was under way, and its overlap policy let this one not wait",
	schedule.ReasonPaused:         "too many runs of the schedule had failed in a row",
	schedule.ReasonSuperseded:     "a newer version of the file came before this one could be looked at",
	schedule.ReasonGone:           "the file was deleted before it could be looked at",
	schedule.ReasonUnreadable:     "the file could not be looked at",

	schedule.ReasonPipelineDisabled: "its pipeline was disabled",
	schedule.ReasonOldSchedule:      "it was left to the old schedule whose place this one takes",
}

// skipped is why an occurrence did not fire, "" for one that did. A calendar's name, who has
// disabled a pipeline, and what an old schedule has said, stand in the error.
func skipped(o schedule.Occurrence) string {
	switch {
	case o.Error != "" && (o.Reason == schedule.ReasonCalendar || o.Reason == schedule.ReasonPipelineDisabled || o.Reason == schedule.ReasonOldSchedule):
		return o.Error
	case o.Reason == schedule.ReasonTriggerChanged && o.Kind == schedule.Changed:
		return "before all folders had changed, other folders were given, or the schedule was disabled"
	}
	if text, ok := reasons[o.Reason]; ok {
		return text
	}
	return string(o.Reason)
}

// waits is what an occurrence does that waits for its turn.
func waits(o schedule.Occurrence) string {
	if o.Kind == schedule.Backfilled {
		return "waits for its turn in the backfill"
	}
	return "waits until what is under way has ended"
}

// causeOf is what brought an occurrence about.
func causeOf(o schedule.Occurrence) string {
	switch {
	case o.Kind == schedule.Manual:
		return "asked for" + by(o.By)
	case o.Kind == schedule.Backfilled:
		return "asked for" + by(o.By) + " when its time was over"
	case o.Kind != schedule.Changed:
		return "its time came"
	case !o.Windowed():
		return "a file changed"
	case o.Change != nil:
		return "every folder has changed"
	}
	return "files changed, and their window closed"
}

// changed is what has changed for an occurrence, in a few words; "" for one that no change brought about.
func changed(o schedule.Occurrence) string {
	switch {
	case o.Kind != schedule.Changed || o.Change == nil && o.Changes == 0:
		return ""
	case o.Change == nil:
		return count(o.Changes, "change")
	case o.Changes > 1:
		return fmt.Sprintf("%s and %d more", short(placeOf(*o.Change)), o.Changes-1)
	}
	return short(placeOf(*o.Change))
}

func modeOf(w *schedule.Watch) string {
	switch {
	case len(w.AllOf) > 0:
		return "all_of: one run when every folder has changed"
	case w.Each():
		return "each: one run for every changed file"
	}
	return "batch: one run for all changes of a window"
}

// placeOf is where a changed file is. A name that would not show as what it is stands in quotes.
func placeOf(c schedule.Change) string {
	place := c.Datastore + "/" + c.Path
	odd := func(r rune) bool { return !unicode.IsPrint(r) }
	if strings.ContainsFunc(place, odd) || strings.TrimSpace(place) != place || strings.Contains(place, "  ") {
		return strconv.Quote(place)
	}
	return place
}

// short is the end of a path that is too long for a line: there is the file's name.
func short(path string) string {
	const most = 60
	if runes := []rune(path); len(runes) > most {
		return "…" + string(runes[len(runes)-most+1:])
	}
	return path
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// activity is whether a schedule fires, and who said so.
type activity struct {
	Status   schedule.Activity
	All      bool // disabled with all others
	Note, By string
	At       moment
}

func activityOf(s schedule.Schedule, now time.Time) activity {
	a := activity{Status: s.Status}
	if n := s.StatusNote; n != nil {
		a.Note, a.By, a.At = n.Note, n.By, at(n.At, s.Trigger.Zone(), now)
		a.All = s.DisabledWithAll()
	}
	return a
}

// runRow is an occurrence as one line of a table.
type runRow struct {
	ID, Schedule string
	Nominal      moment
	Last         moment // of several skipped ones
	Count        int    // of several skipped ones
	Status       schedule.Status
	Why          string // it was skipped, or what went wrong
	Asked, By    string // how and by whom, of one that somebody asked for
	Changed      string // what has changed for it
	Took         string
}

func rowOf(o schedule.Occurrence, zone *time.Location, now time.Time) runRow {
	row := runRow{
		ID: o.ID, Schedule: o.Schedule, Nominal: at(o.Nominal, zone, now), Last: at(o.Last, zone, now), Count: o.Count,
		Status: o.Status, Why: o.Error, By: o.By, Asked: asked[o.Kind], Changed: changed(o), Took: took(o.Started, o.Ended, now),
	}
	switch {
	case o.Reason == schedule.ReasonUnreadable && o.Error != "":
		row.Why = skipped(o) + ": " + o.Error
	case o.Reason != "":
		row.Why = skipped(o)
	case o.Buffered:
		row.Why = waits(o)
	}
	return row
}

var asked = map[schedule.Kind]string{schedule.Manual: "by hand", schedule.Backfilled: "backfill"}

// runTable is a table of occurrences.
type runTable struct {
	Caption string
	Names   bool // shows the schedules' names
	Rows    []runRow
}

func rowsOf(os []schedule.Occurrence, zone *time.Location, now time.Time) []runRow {
	rows := make([]runRow, len(os))
	for i, o := range os {
		rows[i] = rowOf(o, zone, now)
	}
	return rows
}
