package studio

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"carillon/shared/schedule"
	"carillon/shared/store"
)

// watching is what a schedule with a datastore trigger waits for, and how the looking goes.
type watching struct {
	Each     bool // every change makes a run of its own
	Disabled bool
	Trouble  *trouble
	Window   *openWindow
	Folders  []folderRow // of all_of
	Missing  []string    // those of Folders that a run still needs
}

// trouble is why a datastore cannot be looked at.
type trouble struct {
	Schedule string
	Text     string
	Since    moment
}

// openWindow is the window of a batch that gathers changes.
type openWindow struct {
	Opened  moment
	Closes  moment
	Latest  moment // until when further changes can put its closing off
	Due     bool   // its time has come
	Dropped bool   // it will make no run, as the schedule was disabled after it had opened
	Count   string
}

// folderRow is one folder of all_of.
type folderRow struct {
	Folder string
	State  string
	Last   moment // the last change in it
	Until  moment // when that is forgotten
}

const (
	folderChanged   = "changed"
	folderMissing   = "missing"
	folderForgotten = "missing: the last change is too old"
)

// watching looks up what a schedule waits for; nil when its trigger is of times.
func (f *Function) watching(ctx context.Context, record store.Record, now time.Time) (*watching, error) {
	s := record.Schedule.Value
	if s.Trigger.Watch == nil {
		return nil, nil
	}
	zone := s.Trigger.Zone()
	w := &watching{Each: s.Trigger.Each(), Disabled: s.Status != schedule.Active}
	if p := record.Poll.Value; p.Problem != "" && !w.Disabled {
		w.Trouble = &trouble{Schedule: s.Name, Text: p.Problem, Since: at(p.Since, zone, now)}
	}
	var lanes []store.Stored[schedule.Lane]
	if record.Window.Known() {
		var err error
		if lanes, err = f.DB.Lanes(ctx, s.ID); err != nil {
			return nil, err
		}
	}
	if open := record.Window.Value; len(lanes) > 0 && !open.Gathers() {
		w.Window = windowOf(s, open, lanes, now)
	}
	if len(s.Trigger.AllOf) > 0 {
		w.Folders, w.Missing = foldersOf(s, held(s, record.Window.Value, lanes), now)
	}
	return w, nil
}

func windowOf(s schedule.Schedule, open schedule.Window, lanes []store.Stored[schedule.Lane], now time.Time) *openWindow {
	all, zone := store.Total(lanes), s.Trigger.Zone()
	closes := open.Closes(all)
	w := &openWindow{
		Opened: at(open.Opened, zone, now), Closes: at(closes, zone, now), Due: !closes.After(now),
		Dropped: s.DisabledRevision > open.Revision, Count: count(all.Count, "change"),
	}
	if latest := open.Opened.Add(time.Duration(open.MaxWait)); open.Quiet > 0 && latest.After(closes) {
		w.Latest = at(latest, zone, now)
	}
	return w
}

// held is when each folder of all_of has changed last since it fired. A window from before the folders were changed, or
// the schedule was enabled, holds nothing for them.
func held(s schedule.Schedule, open schedule.Window, lanes []store.Stored[schedule.Lane]) []time.Time {
	if len(lanes) == 0 || !open.Gathers() || open.Baseline != s.BaselineRevision {
		return nil
	}
	return lanes[0].Value.Parts
}

func foldersOf(s schedule.Schedule, last []time.Time, now time.Time) (rows []folderRow, missing []string) {
	zone := s.Trigger.Zone()
	for i, folder := range s.Trigger.AllOf {
		row := folderRow{Folder: folder.String(), State: folderMissing}
		if i < len(last) && !last[i].IsZero() {
			row.State, row.Last = folderChanged, at(last[i], zone, now)
			within := time.Duration(s.Trigger.Within)
			switch {
			case s.Trigger.Stale(last[i], now):
				row.State = folderForgotten
			case within > 0:
				row.Until = at(last[i].Add(within), zone, now)
			}
		}
		if row.State != folderChanged {
			missing = append(missing, short(folder.Datastore+"/"+folder.Path))
		}
		rows = append(rows, row)
	}
	return rows, missing
}

// Waits is what the schedule waits for, in a few words, while no window of a batch is open.
func (w *watching) Waits() string {
	const most = 3
	switch n := len(w.Missing); {
	case n == 0:
		return "when data change"
	case n > most:
		return fmt.Sprintf("when data change in %s and in %d more folders", strings.Join(w.Missing[:most], ", in "), n-most)
	}
	return "when data change in " + strings.Join(w.Missing, " and in ")
}

// Held is how many of the folders of all_of have changed, in words; "" when none has.
func (w *watching) Held() string {
	if n := len(w.Folders) - len(w.Missing); n > 0 {
		return fmt.Sprintf("%d of %d folders changed so far", n, len(w.Folders))
	}
	return ""
}

// watchFacts is where a schedule looks, and when.
func watchFacts(record store.Record, now time.Time) []fact {
	s, p := record.Schedule.Value, record.Poll.Value
	zone := s.Trigger.Zone()
	facts := []fact{
		{Name: "Folder", Value: s.Trigger.Folder.String()},
		{Name: "Mode", Value: modeOf(s.Trigger.Watch)},
		{Name: "Baseline", At: at(s.Baseline, zone, now), Value: beforeBaseline(s)},
		lastLook(p, zone, now),
		nextLook(s, p, now),
		{Name: "Data path parameter", Value: s.Trigger.DataPathParameter},
	}
	if len(s.Trigger.AllOf) > 0 { // they have a table
		facts = facts[1:]
	}
	return slices.DeleteFunc(facts, func(f fact) bool { return f.Value == "" && f.At == moment{} })
}

func beforeBaseline(s schedule.Schedule) string {
	if s.ProcessesExisting() {
		return ": what was there before fires, too"
	}
	return ": what was changed until then does not fire"
}

func lastLook(p schedule.Poll, zone *time.Location, now time.Time) fact {
	if p.Looked.IsZero() {
		return fact{Name: "Last look", Value: "none yet"}
	}
	return apart("Last look", p.Looked, zone, now)
}

// nextLook is when the folders are looked at again. A datastore that sends its changes is not looked at.
func nextLook(s schedule.Schedule, p schedule.Poll, now time.Time) fact {
	f := fact{Name: "Next look"}
	switch {
	case s.Status != schedule.Active:
	case p.Wake.IsZero():
		f.Value = "none: the datastore sends its changes"
	case p.Pass != nil && p.Next.IsZero():
		f.Value = "at once"
	case p.Pass != nil && p.Problem == "":
		f.Value = "under way"
	default:
		f = apart(f.Name, p.Next, s.Trigger.Zone(), now)
	}
	return f
}

// apart is a fact that is an instant, with how far it is from now.
func apart(name string, t time.Time, zone *time.Location, now time.Time) fact {
	m := at(t, zone, now)
	return fact{Name: name, At: m, Value: ", " + m.Away}
}
