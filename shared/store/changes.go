package store

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"carillon/shared/schedule"
)

// Take is what becomes of one change for a schedule of mode each: an occurrence, and what is remembered of its file. It
// builds on what was remembered before.
type Take struct {
	ScheduleID string
	From       Stored[schedule.Seen]
	To         *schedule.Seen // nil leaves it as it is
	Occurrence schedule.Occurrence
}

// Known reports whether anything was remembered.
func (s Stored[T]) Known() bool { return s.version != "" }

// Seen reads what is remembered of a file for a schedule. That it is nothing is no error: see Known.
func (db *DB) Seen(ctx context.Context, scheduleID, datastore, path string) (s Stored[schedule.Seen], err error) {
	shard, err := shardOfID(scheduleID)
	if err != nil {
		return s, err
	}
	row, err := db.driver.Get(ctx, partition(shard), seenKey(scheduleID, datastore, path))
	if errors.Is(err, ErrNotFound) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("read what is known of a file: %w", err)
	}
	return s, load(row, &s)
}

// Taken reports whether a change has come to a schedule before.
func (db *DB) Taken(ctx context.Context, scheduleID string, c schedule.Change) (bool, error) {
	_, err := db.TakenBy(ctx, scheduleID, c)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// TakenBy returns the id of the occurrence that a change has made, or will when its window closes, or of the record that
// it did not fire. The error wraps ErrNotFound when it has not come to the schedule.
func (db *DB) TakenBy(ctx context.Context, scheduleID string, c schedule.Change) (string, error) {
	return db.Requested(ctx, scheduleID, changeRequest(c))
}

// Take writes what becomes of changes of schedules, each as a whole or not at all. The errors stand in the order of
// takes; one that wraps ErrConflict says that somebody else was faster, or has taken that very change.
func (db *DB) Take(ctx context.Context, takes []Take) []error {
	errs := make([]error, len(takes))
	units, places := map[int][]unit{}, map[int][]int{}
	for i, t := range takes {
		shard, err := shardOfID(t.ScheduleID)
		if err != nil {
			errs[i] = err
			continue
		}
		u := append(takeOps(t.ScheduleID, t.From, t.To, *t.Occurrence.Change, t.Occurrence.ID), createOps(t.Occurrence)...)
		units[shard], places[shard] = append(units[shard], u), append(places[shard], i)
	}
	for shard, us := range units {
		for k, err := range db.commit(ctx, partition(shard), us) {
			errs[places[shard][k]] = err
		}
	}
	return errs
}

// takeOps remember a version of a file, and that it is taken.
func takeOps(scheduleID string, from Stored[schedule.Seen], to *schedule.Seen, c schedule.Change, occurrence string) unit {
	u := unit{{Kind: Create, Sort: requestKey(scheduleID, changeRequest(c)), Value: []byte(occurrence)}}
	if to == nil {
		return u
	}
	op := Op{Kind: Create, Sort: seenKey(scheduleID, to.Datastore, to.Path), Value: encode(to)}
	if from.Known() {
		op.Kind, op.Version = Replace, from.version
	}
	return append(u, op)
}

// GatherMost is how many changes one Gather takes.
const GatherMost = 16

// Gather is changes that join a window, or open one.
type Gather struct {
	Record Record // as it was read: its window, or that there is none
	Opens  *schedule.Window
	Lane   int
	From   Stored[schedule.Lane] // of a window that is open
	To     schedule.Lane
	Takes  []Gathered

	// Completes is the occurrence that these changes make because they complete all_of. The window is gone with it.
	Completes *schedule.Occurrence
}

// Gathered is one change that joins a window.
type Gathered struct {
	From   Stored[schedule.Seen]
	Change schedule.Change
}

// Replaces reports whether an older version of the file stands in the window.
func (g Gathered) Replaces(window string) bool {
	return g.From.Known() && g.From.Value.Result == schedule.Held && g.From.Value.Occurrence == window
}

// Lane reads one row of an open window. The error wraps ErrNotFound when the window has closed.
func (db *DB) Lane(ctx context.Context, w schedule.Window, k int) (l Stored[schedule.Lane], err error) {
	shard, err := shardOfID(w.Occurrence)
	if err != nil {
		return l, err
	}
	row, err := db.driver.Get(ctx, partition(shard), laneKey(w, k))
	if err != nil {
		return l, fmt.Errorf("read a window: %w", err)
	}
	return l, load(row, &l)
}

// Gather adds changes to a window, as a whole or not at all. The error wraps ErrConflict when the window has closed,
// another was opened, or others were faster: the caller reads again. A change is in exactly one window.
func (db *DB) Gather(ctx context.Context, g Gather) error {
	s := g.Record.Schedule.Value
	window := g.Record.Window.Value
	var u unit
	switch {
	case g.Opens != nil:
		window = *g.Opens
		u = openOps(g, window)
	case g.Completes != nil:
		u = unit{
			{Kind: Delete, Sort: scheduleKey(s.Name, "window"), Version: g.Record.Window.version},
			{Kind: Delete, Sort: laneKey(window, g.Lane), Version: g.From.version},
		}
	default:
		u = unit{{Kind: Replace, Sort: laneKey(window, g.Lane), Value: encode(g.To), Version: g.From.version}}
	}
	if g.Completes != nil {
		u = append(u, createOps(*g.Completes)...)
	}
	for _, t := range g.Takes {
		u = append(u, gatherOps(s.ID, window.Occurrence, t)...)
	}
	return db.driver.Apply(ctx, partition(shardOf(s.Name)), u...)
}

// openOps open a window. They write the state as it is: a window cannot be opened while its schedule is deleted.
func openOps(g Gather, w schedule.Window) unit {
	s, state := g.Record.Schedule.Value, g.Record.State
	u := unit{
		{Kind: Create, Sort: scheduleKey(s.Name, "window"), Value: encode(w)},
		{Kind: Replace, Sort: scheduleKey(s.Name, "state"), Value: encode(state.Value), Version: state.version},
	}
	for k := range w.LanesOf() {
		var lane schedule.Lane
		if k == g.Lane {
			lane = g.To
		}
		u = append(u, Op{Kind: Create, Sort: laneKey(w, k), Value: encode(lane)})
	}
	return append(u, moveMark(time.Time{}, w.Wake, Closing, s)...)
}

func gatherOps(scheduleID, window string, t Gathered) unit {
	key := changeKey(window, t.Change)
	seen := schedule.Seen{Change: t.Change, Result: schedule.Held, Occurrence: window, Row: key}
	u := takeOps(scheduleID, t.From, &seen, t.Change, window)
	if t.Replaces(window) {
		old := requestKey(scheduleID, changeRequest(t.From.Value.Change))
		u = append(u, Op{Kind: Put, Sort: replacedIn(window) + countdown(t.From.Value.At) + "|" + old[strings.LastIndexByte(old, '|')+1:], Value: []byte(old)})
		if t.From.Value.Row != key {
			u = append(u, Op{Kind: Delete, Sort: t.From.Value.Row})
		}
	}
	return append(u, Op{Kind: Put, Sort: key, Value: encode(t.Change)})
}

// Forgo drops changes of an open window that were recorded before an instant, at most max of them, and as many that were
// replaced: what would be kept for ever where the folders of all_of never come together. It returns how many it has
// dropped of those that stood in the window.
func (db *DB) Forgo(ctx context.Context, w schedule.Window, before time.Time, max int) (n int, err error) {
	shard, err := shardOfID(w.Occurrence)
	if err != nil {
		return 0, err
	}
	part := partition(shard)
	held, err := db.driver.Scan(ctx, part, changesOf(w.Occurrence)+countdown(before), endOf(changesOf(w.Occurrence)), max)
	if err != nil {
		return 0, fmt.Errorf("read what is old in a window: %w", err)
	}
	replaced, err := db.driver.Scan(ctx, part, replacedIn(w.Occurrence)+countdown(before), endOf(replacedIn(w.Occurrence)), max)
	if err != nil {
		return 0, fmt.Errorf("read what is old in a window: %w", err)
	}
	var units []unit
	for _, row := range held {
		var change schedule.Change
		if err := decode(row, &change); err != nil {
			return 0, err
		}
		if units, err = db.pruneChange(ctx, units, schedule.Occurrence{ID: w.Occurrence}, change); err != nil {
			return 0, err
		}
		units = append(units, unit{{Kind: Delete, Sort: row.Sort, Version: row.Version}})
	}
	for _, row := range replaced {
		units = append(units, unit{{Kind: Delete, Sort: string(row.Value)}}, unit{{Kind: Delete, Sort: row.Sort, Version: row.Version}})
	}
	return len(held), failure(db.commit(ctx, part, units))
}

// Lanes reads all rows of a schedule's open window.
func (db *DB) Lanes(ctx context.Context, scheduleID string) ([]Stored[schedule.Lane], error) {
	shard, err := shardOfID(scheduleID)
	if err != nil {
		return nil, err
	}
	rows, err := db.driver.Scan(ctx, partition(shard), lanesOf(scheduleID), endOf(lanesOf(scheduleID)), MaxScan)
	if err != nil {
		return nil, fmt.Errorf("read a window: %w", err)
	}
	lanes := make([]Stored[schedule.Lane], len(rows))
	for i, row := range rows {
		if err := load(row, &lanes[i]); err != nil {
			return nil, err
		}
	}
	return lanes, nil
}

// Total is all lanes as one.
func Total(lanes []Stored[schedule.Lane]) schedule.Lane {
	all := make([]schedule.Lane, len(lanes))
	for i, l := range lanes {
		all[i] = l.Value
	}
	return schedule.Sum(all)
}

// Close ends a window with the occurrence that it makes: all of it or nothing. The error wraps ErrConflict when a
// change has joined meanwhile, or somebody else has closed it: the caller reads again.
func (db *DB) Close(ctx context.Context, r Record, lanes []Stored[schedule.Lane], o schedule.Occurrence) error {
	return db.driver.Apply(ctx, partition(shardOf(o.Schedule)), closeOps(r, lanes, o)...)
}

func closeOps(r Record, lanes []Stored[schedule.Lane], o schedule.Occurrence) unit {
	s, w := r.Schedule.Value, r.Window.Value
	u := append(moveMark(w.Wake, time.Time{}, Closing, s), Op{Kind: Delete, Sort: scheduleKey(s.Name, "window"), Version: r.Window.version})
	for k, lane := range lanes {
		u = append(u, Op{Kind: Delete, Sort: laneKey(w, k), Version: lane.version})
	}
	return append(u, createOps(o)...)
}

// Reset moves the time at which the clock looks at a window.
func (db *DB) Reset(ctx context.Context, r Record, w schedule.Window) error {
	s, old := r.Schedule.Value, r.Window.Value
	u := unit{{Kind: Replace, Sort: scheduleKey(s.Name, "window"), Value: encode(w), Version: r.Window.version}}
	return db.driver.Apply(ctx, partition(shardOf(s.Name)), append(u, moveMark(old.Wake, w.Wake, Closing, s)...)...)
}

// ChangesOf returns the changes that stand with an occurrence of a window, those that came last first, at most max,
// after a token of an earlier call. The token is "" at the end.
func (db *DB) ChangesOf(ctx context.Context, occurrence, token string, max int) (out []schedule.Change, next string, err error) {
	shard, err := shardOfID(occurrence)
	if err != nil {
		return nil, "", err
	}
	prefix := changesOf(occurrence)
	from := prefix
	if token != "" {
		from = After(prefix + token)
	}
	rows, err := db.driver.Scan(ctx, partition(shard), from, endOf(prefix), max)
	if err != nil {
		return nil, "", fmt.Errorf("read the changes of run %s: %w", occurrence, err)
	}
	for _, row := range rows {
		var c schedule.Change
		if err := decode(row, &c); err != nil {
			return nil, "", err
		}
		out = append(out, c)
	}
	if len(rows) == max {
		next = rows[max-1].Sort[len(prefix):]
	}
	return out, next, nil
}

func seenKey(scheduleID, datastore, path string) string {
	h := fnv.New128a()
	h.Write([]byte(datastore + "\x00" + path))
	return fmt.Sprintf("path|%s|%x", scheduleID, h.Sum(nil))
}

func changeRequest(c schedule.Change) string { return "change\x00" + c.Key() }

// Lanes bear the name of their window: whoever has read of one that is closed finds none of the next.
func lanesOf(scheduleID string) string        { return "lane|" + scheduleID + "-" }
func laneKey(w schedule.Window, k int) string { return fmt.Sprintf("lane|%s|%d", w.Occurrence, k) }
func changesOf(occurrence string) string      { return "chg|" + occurrence + "|" }
func replacedIn(occurrence string) string     { return "old|" + occurrence + "|" }
func changeKey(occurrence string, c schedule.Change) string {
	h := fnv.New128a()
	h.Write([]byte(c.Datastore + "\x00" + c.Path))
	return fmt.Sprintf("%s%s|%x", changesOf(occurrence), countdown(c.At), h.Sum(nil))
}
