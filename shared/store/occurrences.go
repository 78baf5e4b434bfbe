package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"carillon/shared/schedule"
)

// Change is one step of an occurrence, from what was read to what it becomes.
type Change struct {
	From  Stored[schedule.Occurrence]
	To    schedule.Occurrence
	State *Stored[schedule.State] // written in the same transaction: the value to be, with the version that was read
}

// Add records a new occurrence that no clock decided: one that somebody asked for. The error wraps ErrExists when
// the same request has been answered before (see Requested).
func (db *DB) Add(ctx context.Context, o schedule.Occurrence) error {
	shard, err := shardOfID(o.ID)
	if err != nil {
		return err
	}
	u := createOps(o)
	if o.Request != "" {
		u = append(u, Op{Kind: Create, Sort: requestKey(o.ScheduleID(), o.Request), Value: []byte(o.ID)})
	}
	err = db.driver.Apply(ctx, partition(shard), u...)
	if errors.Is(err, ErrConflict) {
		return fmt.Errorf("occurrence %s: %w", o.ID, ErrExists)
	}
	return err
}

// Requested returns the id of the occurrence that a request has made. The error wraps ErrNotFound when it has made
// none.
func (db *DB) Requested(ctx context.Context, scheduleID, request string) (string, error) {
	shard, err := shardOfID(scheduleID)
	if err != nil {
		return "", err
	}
	row, err := db.driver.Get(ctx, partition(shard), requestKey(scheduleID, request))
	return string(row.Value), err
}

// Save writes steps of occurrences, each as a whole or not at all, many in one transaction where they share a
// shard. The errors stand in the order of changes; one that wraps ErrConflict says that somebody else was faster.
func (db *DB) Save(ctx context.Context, changes []Change) []error {
	errs := make([]error, len(changes))
	units, places := map[int][]unit{}, map[int][]int{}
	for i, c := range changes {
		shard, err := shardOfID(c.To.ID)
		if err != nil {
			errs[i] = err
			continue
		}
		units[shard] = append(units[shard], changeUnit(c))
		places[shard] = append(places[shard], i)
	}
	for shard, us := range units {
		for k, err := range db.commit(ctx, partition(shard), us) {
			errs[places[shard][k]] = err
		}
	}
	return errs
}

func createOps(o schedule.Occurrence) unit {
	key, _ := occurrenceKey(o.ID)
	value := encode(o)
	log := Op{Kind: Create, Sort: logKey(o)}
	if o.Status.Final() {
		log.Value = value
	}
	u := unit{{Kind: Create, Sort: key, Value: value}, log}
	if !o.Wake.IsZero() {
		u = append(u, wakeOp(o))
	}
	return u
}

// atStart is what the wake row of an occurrence holds that waits for its start without a message.
const atStart = "start"

func wakeOp(o schedule.Occurrence) Op {
	op := Op{Kind: Create, Sort: wakeKey(o)}
	if o.Status == schedule.Waiting && o.Wake.Equal(o.Start) {
		op.Value = []byte(atStart)
	}
	return op
}

// changeUnit is where a step of an occurrence becomes rows: the record itself, its place on the clock, whether it
// counts as under way, and the log once it is final.
func changeUnit(c Change) unit {
	from, to := c.From.Value, c.To
	key, _ := occurrenceKey(to.ID)
	value := encode(to)
	u := unit{{Kind: Replace, Sort: key, Value: value, Version: c.From.version}}
	if to.Status.Final() {
		u = append(u, Op{Kind: Put, Sort: logKey(to), Value: value})
	}
	if !from.Wake.Equal(to.Wake) {
		if !from.Wake.IsZero() {
			u = append(u, Op{Kind: Delete, Sort: wakeKey(from)})
		}
		if !to.Wake.IsZero() {
			u = append(u, wakeOp(to))
		}
	}
	underWay := underWayOf(to.ScheduleID()) + to.ID
	switch was, is := from.Status.UnderWay(), to.Status.UnderWay(); {
	case !was && is:
		u = append(u, Op{Kind: Create, Sort: underWay})
	case was && !is:
		u = append(u, Op{Kind: Delete, Sort: underWay})
	}
	buffered := bufferedOf(to.ScheduleID()) + to.ID
	switch {
	case !from.Buffered && to.Buffered:
		u = append(u, Op{Kind: Create, Sort: buffered})
	case from.Buffered && !to.Buffered:
		u = append(u, Op{Kind: Delete, Sort: buffered})
	}
	if c.State != nil {
		u = append(u, Op{
			Kind: Replace, Sort: scheduleKey(to.Schedule, "state"), Value: encode(c.State.Value), Version: c.State.version,
		})
	}
	return u
}

// Counted returns the state with another value, for a Change that builds on what was read.
func (r Record) Counted(s schedule.State) *Stored[schedule.State] {
	return &Stored[schedule.State]{Value: s, version: r.State.version}
}

// Others returns which other occurrences of its schedule one that asks for its turn meets, those under way as far as
// max. Whoever decides by them has to write the schedule's state, as it was read before: that is what keeps two from
// deciding at once.
func (db *DB) Others(ctx context.Context, o schedule.Occurrence, max int) (others schedule.Others, err error) {
	if others.UnderWay, err = db.named(ctx, o, underWayOf(o.ScheduleID()), max); err == nil {
		others.Buffered, err = db.named(ctx, o, bufferedOf(o.ScheduleID()), MaxScan)
	}
	return others, err
}

// named are the occurrences that rows with a prefix name, without o.
func (db *DB) named(ctx context.Context, o schedule.Occurrence, prefix string, max int) (ids []string, err error) {
	shard, err := shardOfID(o.ID)
	if err != nil {
		return nil, err
	}
	rows, err := db.driver.Scan(ctx, partition(shard), prefix, endOf(prefix), max)
	if err != nil {
		return nil, fmt.Errorf("read what else is under way: %w", err)
	}
	for _, row := range rows {
		if id := row.Sort[len(prefix):]; id != o.ID {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// Buffered returns the occurrence of a schedule that waits longest for its turn; "" when none does.
func (db *DB) Buffered(ctx context.Context, o schedule.Occurrence) (string, error) {
	ids, err := db.named(ctx, o, bufferedOf(o.ScheduleID()), 1)
	if err != nil || len(ids) == 0 {
		return "", err
	}
	return ids[0], nil
}

// UnderWay returns occurrences of a schedule that are under way, at most max.
func (db *DB) UnderWay(ctx context.Context, scheduleID string, max int) ([]schedule.Occurrence, error) {
	shard, err := shardOfID(scheduleID)
	if err != nil {
		return nil, err
	}
	prefix := underWayOf(scheduleID)
	rows, err := db.driver.Scan(ctx, partition(shard), prefix, endOf(prefix), max)
	if err != nil {
		return nil, fmt.Errorf("read what is under way: %w", err)
	}
	var out []schedule.Occurrence
	for _, row := range rows {
		o, err := db.Occurrence(ctx, row.Sort[len(prefix):])
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, o.Value)
	}
	return out, nil
}

// OccurrencesOf returns a schedule's occurrences, those with the latest time first; else as Occurrences.
func (db *DB) OccurrencesOf(ctx context.Context, scheduleID, token string, max int, keep func(schedule.Occurrence) bool) ([]schedule.Occurrence, string, error) {
	shard, err := shardOfID(scheduleID)
	if err != nil {
		return nil, "", err
	}
	prefix := occurrencesOf(scheduleID)
	page := func(from string) ([]Row, error) {
		return db.driver.Scan(ctx, partition(shard), from, endOf(prefix), max)
	}
	return occurrencePages(prefix, token, max, page, func(row Row) (schedule.Occurrence, bool, error) {
		var o schedule.Occurrence
		err := decode(row, &o)
		return o, keep(o), err
	})
}

// TokenAfter is the token with which OccurrencesOf goes on after an occurrence; "" for what is no occurrence's id.
func TokenAfter(id string) string {
	key, err := occurrenceKey(id)
	if err != nil {
		return ""
	}
	scheduleID, _, _ := strings.Cut(id, "-")
	return strings.TrimPrefix(key, occurrencesOf(scheduleID))
}

// Occurrences returns occurrences of all schedules, those recorded last first, at most max, after a token of an
// earlier call. It stops early where keep is seldom met; the token is "" at the end only.
func (db *DB) Occurrences(ctx context.Context, token string, max int, keep func(schedule.Occurrence) bool) ([]schedule.Occurrence, string, error) {
	page := func(from string) ([]Row, error) {
		return db.merged(ctx, prefixLog, from, max)
	}
	return occurrencePages(prefixLog, token, max, page, func(row Row) (schedule.Occurrence, bool, error) {
		var o Stored[schedule.Occurrence]
		var err error
		if len(row.Value) > 0 {
			err = decode(row, &o.Value)
		} else if o, err = db.Occurrence(ctx, occurrenceOf(row.Sort)); errors.Is(err, ErrNotFound) {
			return o.Value, false, nil
		}
		return o.Value, keep(o.Value), err
	})
}

func occurrencePages(prefix, token string, max int, page func(from string) ([]Row, error),
	read func(Row) (schedule.Occurrence, bool, error),
) ([]schedule.Occurrence, string, error) {
	var out []schedule.Occurrence
	for range scanBudget {
		from := prefix
		if token != "" {
			from = After(prefix + token)
		}
		rows, err := page(from)
		if err != nil {
			return nil, "", err
		}
		for _, row := range rows {
			token = row.Sort[len(prefix):]
			o, keep, err := read(row)
			if err != nil {
				return nil, "", err
			}
			if keep {
				out = append(out, o)
			}
			if len(out) == max {
				return out, token, nil
			}
		}
		if len(rows) < max {
			return out, "", nil
		}
	}
	return out, token, nil
}
