package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"carillon/shared/schedule"
)

// Change is one step of an occurrence, from what was read to what it becomes.
type Change struct {
	From  Stored[schedule.Occurrence]
	To    schedule.Occurrence
	State *Count          // written in the same transaction
	Audit *schedule.Audit // the same, where somebody has asked for the step
	Rouse time.Time       // when the clock looks after those of the schedule that wait for their turn; zero for never
}

// Add records a new occurrence that no clock decided: one that somebody asked for, which is recorded with it. The error
// wraps ErrExists when the same request has been answered before (see Requested).
func (db *DB) Add(ctx context.Context, o schedule.Occurrence) error {
	shard, err := shardOfID(o.ID)
	if err != nil {
		return err
	}
	err = db.driver.Apply(ctx, partition(shard), askedOps(o)...)
	if errors.Is(err, ErrConflict) {
		return fmt.Errorf("occurrence %s: %w", o.ID, ErrExists)
	}
	return err
}

// askedOps record an occurrence that a request makes.
func askedOps(o schedule.Occurrence) unit {
	u := recordedOps(o)
	if o.Request != "" {
		u = append(u, Op{Kind: Create, Sort: requestKey(o.ScheduleID(), o.Request), Value: []byte(o.ID)})
	}
	return u
}

// recordedOps create an occurrence and, of a manual one, the record of who has asked for it.
func recordedOps(o schedule.Occurrence) unit {
	u := createOps(o)
	if o.Kind == schedule.Manual {
		u = append(u, auditOps(schedule.AuditedRun(o, schedule.WasTriggered, o.By, o.Recorded), o.ScheduleID())...)
	}
	return u
}

// Ask adds an occurrence, unless the same request has made one since an instant: then it returns that one. What the request
// made earlier stays as it is, and o takes its place. Of any number that are asked at once, one is added. When the store
// leaves open whether it was, the same call tells.
func (db *DB) Ask(ctx context.Context, o schedule.Occurrence, since time.Time) (made schedule.Occurrence, err error) {
	for range editTries {
		if err = db.Add(ctx, o); o.Request == "" || !errors.Is(err, ErrExists) {
			return o, err
		}
		made, err = db.answer(ctx, o, since)
		if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound) { // somebody else was faster, or it has been pruned
			return made, err
		}
	}
	return made, err
}

// answer returns what a request has made since an instant, or adds o in the place of what it made earlier.
func (db *DB) answer(ctx context.Context, o schedule.Occurrence, since time.Time) (schedule.Occurrence, error) {
	shard, err := shardOfID(o.ID)
	if err != nil {
		return o, err
	}
	part, key := partition(shard), requestKey(o.ScheduleID(), o.Request)
	row, err := db.driver.Get(ctx, part, key)
	if err != nil {
		return o, err
	}
	made, err := db.Occurrence(ctx, string(row.Value))
	if err != nil || !made.Value.Recorded.Before(since) {
		return made.Value, err
	}
	u := append(recordedOps(o), Op{Kind: Replace, Sort: key, Value: []byte(o.ID), Version: row.Version})
	return o, db.driver.Apply(ctx, part, u...)
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

// Cancel keeps somebody's wish that an occurrence ends, with a record of it, and returns what that has changed (see
// Occurrence.Cancelled). If it has a run, whoever looks at that asks for its end: the caller hints at it.
func (db *DB) Cancel(ctx context.Context, id, by string, now time.Time) (c Change, err error) {
	for range editTries {
		if c.From, err = db.Occurrence(ctx, id); err != nil {
			return c, err
		}
		c.To = c.From.Value.Cancelled(by, now)
		if c.To.CancelBy == c.From.Value.CancelBy && c.To.Status == c.From.Value.Status {
			return c, nil
		}
		audit := schedule.AuditedRun(c.To, schedule.WasCancelled, by, now)
		c.Audit = &audit
		if err = db.Save(ctx, []Change{c})[0]; !errors.Is(err, ErrConflict) {
			return c, err
		}
	}
	return c, err
}

// MakeRoom notes that an occurrence is to end for another one. One that has ended stays as it is.
func (db *DB) MakeRoom(ctx context.Context, id, other string) error {
	err := error(ErrConflict)
	for try := 0; errors.Is(err, ErrConflict) && try < editTries; try++ {
		var o Stored[schedule.Occurrence]
		if o, err = db.Occurrence(ctx, id); err != nil || o.Value.Status.Final() || o.Value.MakesRoomFor == other {
			return err
		}
		err = db.Save(ctx, []Change{{From: o, To: o.Value.MakesRoom(other)}})[0]
	}
	return err
}

func createOps(o schedule.Occurrence) unit {
	key, _ := occurrenceKey(o.ID)
	value := encode(o)
	log := Op{Kind: Create, Sort: logKey(o)}
	if o.Status.Final() {
		log.Value = value
	}
	u := unit{{Kind: Create, Sort: key, Value: value}, log}
	if o.Buffered {
		u = append(u, Op{Kind: Create, Sort: queueKey(o)})
	}
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
// counts as under way or waits for its turn, and the log once it is final.
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
	switch {
	case to.UnderWay() && (!from.UnderWay() || to.Status == schedule.Submitting): // a claim is sure of it
		u = append(u, Op{Kind: Put, Sort: underWay})
	case from.UnderWay() && !to.UnderWay():
		u = append(u, Op{Kind: Delete, Sort: underWay})
	}
	switch {
	case !from.Buffered && to.Buffered:
		u = append(u, Op{Kind: Create, Sort: queueKey(to)})
	case from.Buffered && !to.Buffered:
		u = append(u, Op{Kind: Delete, Sort: queueKey(from)})
	}
	if to.Status == schedule.Canceled && to.Run == "" && from.Releases() { // nobody else will tell those that wait
		c.Rouse = to.Ended
	}
	if !c.Rouse.IsZero() {
		u = append(u, rouseOp(c.Rouse, to.ScheduleID(), to.Schedule))
	}
	if c.Audit != nil {
		u = append(u, auditOps(*c.Audit, to.ScheduleID())...)
	}
	if c.State != nil {
		u = append(u, stateOps(to.Schedule, c.State.was, c.State.Value)...)
	}
	return u
}

// Count is the state of a schedule as it is to be, over the one that was read.
type Count struct {
	Value schedule.State
	was   Stored[schedule.State]
}

// Counted returns the state with another value, for a Change that builds on what was read.
func (r Record) Counted(s schedule.State) *Count { return &Count{Value: s, was: r.State} }

// stateOps replace a schedule's state, and move the row that tells what it has run last of its pipeline.
func stateOps(name string, was Stored[schedule.State], is schedule.State) unit {
	u := unit{{Kind: Replace, Sort: scheduleKey(name, "state"), Value: encode(is), Version: was.version}}
	old, now := ranKey(was.Value.Ran), ranKey(is.Ran)
	if old != "" && old != now {
		u = append(u, Op{Kind: Delete, Sort: old})
	}
	if now != "" && old != now {
		u = append(u, Op{Kind: Create, Sort: now})
	}
	return u
}

// Others returns which other occurrences of its schedule one that asks for its turn meets: those under way, as far as
// max, and those in its queue; of a backfill, the first of those before it. Whoever decides by them has to write the
// schedule's state, as it was read before: that is what keeps two from deciding at once.
func (db *DB) Others(ctx context.Context, o schedule.Occurrence, max int) (others schedule.Others, err error) {
	underWay := underWayOf(o.ScheduleID())
	if others.UnderWay, err = db.named(ctx, o, underWay, endOf(underWay), max); err != nil {
		return others, err
	}
	end, limit := endOf(queueOf(o)), MaxScan
	if o.Kind == schedule.Backfilled {
		end, limit = queueKey(o), 1
	}
	others.Buffered, err = db.named(ctx, o, queueOf(o), end, limit)
	return others, err
}

// named are the occurrences that rows name, without o.
func (db *DB) named(ctx context.Context, o schedule.Occurrence, from, to string, max int) (ids []string, err error) {
	shard, err := shardOfID(o.ID)
	if err != nil {
		return nil, err
	}
	rows, err := db.driver.Scan(ctx, partition(shard), from, to, max)
	if err != nil {
		return nil, fmt.Errorf("read what else is under way: %w", err)
	}
	for _, row := range rows {
		if id := occurrenceOf(row.Sort); id != o.ID {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// Next returns the occurrences that the end of o brings on: the first of its queue, at most max; of a backfill, before that,
// those of the schedule's own that wait for it, too. o may be as it was before.
func (db *DB) Next(ctx context.Context, o schedule.Occurrence, max int) (ids []string, err error) {
	queues := []string{queueOf(o)}
	if o.Kind == schedule.Backfilled && o.Overlap.Queues() {
		queues = []string{bufferedOf(o.ScheduleID()), queueOf(o)}
	}
	for _, queue := range queues {
		first, err := db.named(ctx, o, queue, endOf(queue), max)
		if err != nil {
			return nil, err
		}
		ids = append(ids, first...)
	}
	return ids, nil
}

// Roused returns those of the schedule of a mark that are the first to wait for their turn: in its queue, and in that of
// its backfills. Each brings on the next.
func (db *DB) Roused(ctx context.Context, shard int, w Wake) (ids []string, err error) {
	id := w.sort[strings.LastIndexByte(w.sort, '|')+1:]
	for _, queue := range []string{bufferedOf(id), fillingOf(id)} {
		rows, err := db.driver.Scan(ctx, partition(shard), queue, endOf(queue), 1)
		if err != nil {
			return nil, fmt.Errorf("read what waits of schedule %s: %w", w.Schedule, err)
		}
		for _, row := range rows {
			ids = append(ids, occurrenceOf(row.Sort))
		}
	}
	return ids, nil
}

// RouseAgain moves a mark: occurrences that wait for their turn are looked after by it alone, as long as there are any.
func (db *DB) RouseAgain(ctx context.Context, shard int, w Wake, at time.Time) error {
	id := w.sort[strings.LastIndexByte(w.sort, '|')+1:]
	return db.driver.Apply(ctx, partition(shard), Op{Kind: Delete, Sort: w.sort, Version: w.version}, rouseOp(at, id, w.Schedule))
}

// rouseOp is the mark by which the clock looks after those that wait for their turn.
func rouseOp(at time.Time, scheduleID, name string) Op {
	return Op{Kind: Put, Sort: markKey(at, Rousing, scheduleID), Value: []byte(name)}
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
