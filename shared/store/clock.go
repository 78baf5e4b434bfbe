package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"carillon/shared/schedule"
)

// Wake is something that the clock has to act on: a schedule that is due, an occurrence to be looked after, or a mark of
// a schedule.
type Wake struct {
	Due        *schedule.Due // a schedule that is due
	Occurrence string        // or an occurrence's id
	Mark       Mark          // or a mark,
	Schedule   string        // and the name of its schedule
	At         time.Time     // its time
	AtStart    bool          // the occurrence waits for its start, and no message is on its way
	Err        error         // the row cannot be read; the other fields are empty
	sort       string
	version    Version
	value      []byte // of a parked event
}

// Wakes returns what a shard has to act on until an instant (inclusive), earliest first, at most max; it goes on
// after a token that an earlier call returned. The token is "" at the end. It reads what is due and nothing else.
func (db *DB) Wakes(ctx context.Context, shard int, until time.Time, token string, max int) ([]Wake, string, error) {
	from := prefixWake
	if token != "" {
		from = After(token)
	}
	rows, err := db.driver.Scan(ctx, partition(shard), from, endOf(prefixWake+schedule.Stamp(until)+"|"), max)
	if err != nil {
		return nil, "", fmt.Errorf("read what is due in shard %d: %w", shard, err)
	}
	wakes := make([]Wake, len(rows))
	for i, row := range rows {
		wakes[i] = readWake(row)
	}
	if len(rows) < max {
		return wakes, "", nil
	}
	return wakes, rows[len(rows)-1].Sort, nil
}

func readWake(row Row) Wake {
	w := Wake{sort: row.Sort, version: row.Version}
	parts := strings.SplitN(row.Sort, "|", 4)
	if len(parts) == 4 {
		w.At, w.Err = schedule.ParseStamp(parts[1])
	}
	switch {
	case w.Err != nil:
	case len(parts) == 4 && parts[2] == "o":
		w.Occurrence, w.AtStart = parts[3], string(row.Value) == atStart
	case len(parts) == 4 && parts[2] == "s":
		due := new(schedule.Due)
		if w.Err = decode(row, due); w.Err == nil {
			w.Due = due
		}
	case len(parts) == 4 && slices.Contains(marks, Mark(parts[2])):
		w.Mark, w.Schedule = Mark(parts[2]), string(row.Value)
	case len(parts) == 4 && parts[2] == string(Waiting):
		w.Mark, w.value = Waiting, row.Value
	default:
		w.Err = fmt.Errorf("row %s of the store is of no known kind", row.Sort)
	}
	return w
}

// Unsubmitted returns occurrences that wait for their start, or another try, or are just being submitted, whatever their
// schedules, after a token of an earlier call; those that wait for their turn are in Lines. It reads at most max rows of
// what the clock has to act on; the token is "" at the end only.
func (db *DB) Unsubmitted(ctx context.Context, token string, max int) (out []schedule.Occurrence, next string, err error) {
	from := prefixWake
	if token != "" {
		from = After(prefixWake + token)
	}
	rows, err := db.merged(ctx, prefixWake, from, max)
	if err != nil {
		return nil, "", err
	}
	for _, row := range rows {
		id := readWake(row).Occurrence
		if id == "" {
			continue
		}
		o, err := db.Occurrence(ctx, id)
		switch {
		case errors.Is(err, ErrNotFound): // meanwhile
		case err != nil:
			return nil, "", err
		case o.Value.Status == schedule.Waiting || o.Value.Status == schedule.Submitting:
			out = append(out, o.Value)
		}
	}
	if len(rows) == max {
		next = strings.TrimPrefix(rows[max-1].Sort, prefixWake)
	}
	return out, next, nil
}

// Of reports whether the wake stands where the occurrence says that it does. A stray one does not.
func (w Wake) Of(o schedule.Occurrence) bool { return !o.Wake.IsZero() && wakeKey(o) == w.sort }

// Planned is what a tick has decided for a schedule that was due.
type Planned struct {
	Wake Wake
	Plan schedule.Plan
}

// Record writes what was decided for schedules of one shard: for each, its move to the next time and the
// occurrences, both or neither. The errors stand in the order of planned; one that wraps ErrConflict says that
// somebody else has moved that schedule. A schedule of one instant becomes Disabled with it.
func (db *DB) Record(ctx context.Context, shard int, planned []Planned, now time.Time) []error {
	units := make([]unit, len(planned))
	for i, p := range planned {
		units[i] = planUnit(p.Plan, Op{Kind: Delete, Sort: p.Wake.sort, Version: p.Wake.version}, Put, "")
	}
	unread := db.finishDone(ctx, planned, units, now)
	errs := db.commit(ctx, partition(shard), units)
	for i, err := range unread {
		errs[i] = err
	}
	return errs
}

// finishDone adds the end of schedules that are done to their units: a crash between two transactions would leave
// them Active for ever. A unit whose schedule cannot be read is emptied, and has its error.
func (db *DB) finishDone(ctx context.Context, planned []Planned, units []unit, now time.Time) map[int]error {
	unread := map[int]error{}
	for i, p := range planned {
		if !p.Plan.Done() {
			continue
		}
		r, err := db.Schedule(ctx, p.Plan.Due.Schedule)
		switch {
		case err != nil:
			units[i], unread[i] = nil, err
		case r.Schedule.Value.Status == schedule.Active:
			units[i] = append(units[i], reviseOps(r, r.Schedule.Value.Finished(now))...)
		}
	}
	return unread
}

// planUnit writes a plan. Whoever moves a schedule deletes its old wake row: that is the lock.
func planUnit(p schedule.Plan, oldWake Op, due OpKind, dueVersion Version) unit {
	u := unit{oldWake, dueOp(p.Due, due, dueVersion)}
	if !p.Due.Next.IsZero() {
		u = append(u, Op{Kind: Create, Sort: dueWakeKey(p.Due), Value: encode(p.Due)})
	}
	for _, o := range p.Record {
		u = append(u, createOps(o)...)
	}
	return u
}

func dueOp(d schedule.Due, kind OpKind, version Version) Op {
	return Op{Kind: kind, Sort: scheduleKey(d.Schedule, "due"), Value: encode(dueRow{Next: d.Next, Since: d.Since, Recorded: d.Recorded}), Version: version}
}

// Discard removes a wake row whose occurrence is gone or final.
func (db *DB) Discard(ctx context.Context, shard int, w Wake) error {
	return db.driver.Apply(ctx, partition(shard), Op{Kind: Delete, Sort: w.sort, Version: w.version})
}

// Prune looks at occurrences of a shard that were recorded before an instant, at most max of them, and deletes those
// that are final, and records of changes that old; it goes on after a token of an earlier call. The token is "" at the end.
// With an error the token may still lead on: a row that cannot be read does not keep the others.
func (db *DB) Prune(ctx context.Context, shard int, before time.Time, token string, max int) (next string, err error) {
	part, from := partition(shard), prefixLog+countdown(before)
	if token != "" {
		from = After(token)
	} else if err := db.pruneAudits(ctx, shard, before, max); err != nil {
		return "", err
	}
	rows, err := db.driver.Scan(ctx, part, from, endOf(prefixLog), max)
	if err != nil {
		return "", fmt.Errorf("read what is old in shard %d: %w", shard, err)
	}
	if len(rows) == max {
		next = rows[max-1].Sort
	}
	var changes, units []unit
	var unread error
	for _, row := range rows {
		if len(row.Value) == 0 { // not final
			continue
		}
		var o schedule.Occurrence
		if err := decode(row, &o); err != nil { // it stays, and is told of each time; what is behind it goes
			unread = errors.Join(unread, err)
			continue
		}
		more, whole, err := db.pruneChanges(ctx, part, o)
		if err != nil {
			return next, err
		}
		changes = append(changes, more...)
		if !whole { // it is found again
			continue
		}
		u, err := db.pruneUnit(ctx, part, row, o)
		if err != nil {
			return next, err
		}
		units = append(units, u)
	}
	if err := failure(db.commit(ctx, part, changes)); err != nil {
		return next, err
	}
	return next, errors.Join(unread, failure(db.commit(ctx, part, units)))
}

// failure is the first error that is no conflict.
func failure(errs []error) error {
	for _, err := range errs {
		if err != nil && !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return nil
}

// pruneBite is how many changes of a window go at once.
const pruneBite = 200

// pruneChanges are what prevents the changes of an occurrence from firing again, and what is remembered of their files
// unless a newer version came. They go first, and of a window in bites: what is not whole, and what a crash leaves, is
// found again with the occurrence.
func (db *DB) pruneChanges(ctx context.Context, part string, o schedule.Occurrence) (units []unit, whole bool, err error) {
	if o.Kind != schedule.Changed {
		return nil, true, nil
	}
	if !o.Windowed() && o.Change != nil {
		units, err = db.pruneChange(ctx, units, o, *o.Change)
		return units, true, err
	}
	changes, next, err := db.ChangesOf(ctx, o.ID, "", pruneBite)
	if err != nil {
		return nil, false, err
	}
	for _, c := range changes {
		if units, err = db.pruneChange(ctx, units, o, c); err != nil {
			return nil, false, err
		}
		units = append(units, unit{{Kind: Delete, Sort: changeKey(o.ID, c)}})
	}
	if next != "" {
		return units, false, nil
	}
	return units, true, db.pruneReplaced(ctx, part, o.ID)
}

// pruneReplaced deletes what is remembered of versions that were replaced in a window.
func (db *DB) pruneReplaced(ctx context.Context, part, occurrence string) error {
	prefix := replacedIn(occurrence)
	for {
		rows, err := db.driver.Scan(ctx, part, prefix, endOf(prefix), MaxScan)
		if err != nil {
			return fmt.Errorf("read what was replaced in run %s: %w", occurrence, err)
		}
		var known, units []unit
		for _, row := range rows {
			known = append(known, unit{{Kind: Delete, Sort: string(row.Value)}})
			units = append(units, unit{{Kind: Delete, Sort: row.Sort}})
		}
		if err := failure(db.commit(ctx, part, known)); err != nil {
			return err
		}
		if err := failure(db.commit(ctx, part, units)); err != nil || len(rows) < MaxScan {
			return err
		}
	}
}

func (db *DB) pruneChange(ctx context.Context, units []unit, o schedule.Occurrence, c schedule.Change) ([]unit, error) {
	seen, err := db.Seen(ctx, o.ScheduleID(), c.Datastore, c.Path)
	if err != nil {
		return units, err
	}
	if seen.Known() && seen.Value.Occurrence == o.ID {
		units = append(units, unit{{Kind: Delete, Sort: seenKey(o.ScheduleID(), c.Datastore, c.Path), Version: seen.version}})
	}
	return append(units, unit{{Kind: Delete, Sort: requestKey(o.ScheduleID(), changeRequest(c))}}), nil
}

// pruneUnit is an occurrence, and what prevents its request from being answered again, unless that has made another since.
func (db *DB) pruneUnit(ctx context.Context, part string, log Row, o schedule.Occurrence) (unit, error) {
	u := unit{{Kind: Delete, Sort: log.Sort, Version: log.Version}}
	if key, err := occurrenceKey(o.ID); err == nil {
		u = append(u, Op{Kind: Delete, Sort: key})
	}
	if o.Kind == schedule.Backfilled {
		u = append(u, Op{Kind: Delete, Sort: numberKey(o)})
	}
	if o.Request == "" {
		return u, nil
	}
	once, err := db.driver.Get(ctx, part, requestKey(o.ScheduleID(), o.Request))
	if errors.Is(err, ErrNotFound) || err == nil && string(once.Value) != o.ID {
		return u, nil
	}
	return append(u, Op{Kind: Delete, Sort: once.Sort, Version: once.Version}), err
}
