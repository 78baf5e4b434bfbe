package studio

import (
	"fmt"
	"time"

	"carillon/shared/recur"
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

// zoneOf is the zone in which a schedule's times are written.
func zoneOf(s schedule.Schedule) *time.Location {
	zone, err := recur.LoadZone(s.Trigger.TimeZone)
	if err != nil {
		return time.UTC
	}
	return zone
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
}

// skipped is why an occurrence did not fire, "" for one that did. A calendar's name stands in the error.
func skipped(o schedule.Occurrence) string {
	if o.Reason == schedule.ReasonCalendar && o.Error != "" {
		return o.Error
	}
	if text, ok := reasons[o.Reason]; ok {
		return text
	}
	return string(o.Reason)
}

// activity is whether a schedule fires, and who said so.
type activity struct {
	Status   schedule.Activity
	Note, By string
	At       moment
}

func activityOf(s schedule.Schedule, now time.Time) activity {
	a := activity{Status: s.Status}
	if n := s.StatusNote; n != nil {
		a.Note, a.By, a.At = n.Note, n.By, at(n.At, zoneOf(s), now)
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
	By           string // who asked for it
	Manual       bool
	Took         string
}

func rowOf(o schedule.Occurrence, zone *time.Location, now time.Time) runRow {
	row := runRow{
		ID: o.ID, Schedule: o.Schedule, Nominal: at(o.Nominal, zone, now), Last: at(o.Last, zone, now), Count: o.Count,
		Status: o.Status, Why: o.Error, By: o.By, Manual: o.Kind == schedule.Manual, Took: took(o.Started, o.Ended, now),
	}
	if o.Reason != "" {
		row.Why = skipped(o)
	}
	return row
}

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
