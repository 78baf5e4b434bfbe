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

const (
	// keepRevisions is how many replaced definitions a schedule keeps for occurrences that were recorded under them.
	keepRevisions = 100
	// editTries is how often a change is tried against others before the caller is told of the conflict.
	editTries = 50
)

// Create adds a schedule, and with it occurrences of it that somebody asks for at once. The error wraps ErrExists when there
// is one of that name.
func (db *DB) Create(ctx context.Context, s schedule.Schedule, asked ...schedule.Occurrence) error {
	due, err := schedule.NewDue(s, s.Horizon())
	if err != nil {
		return err
	}
	ops := []Op{
		{Kind: Create, Sort: scheduleKey(s.Name, "def"), Value: encode(s)},
		dueOp(due, Create, ""),
		{Kind: Create, Sort: scheduleKey(s.Name, "state"), Value: encode(schedule.State{})},
	}
	ops = append(ops, auditOps(schedule.Audited(nil, &s, s.By, s.Created), s.ID)...)
	if !due.Next.IsZero() {
		ops = append(ops, Op{Kind: Create, Sort: dueWakeKey(due), Value: encode(due)})
	}
	if s.Trigger.Watch != nil {
		ops = append(ops, watchOps(Stored[schedule.Poll]{}, s)...)
	}
	for _, o := range asked {
		ops = append(ops, askedOps(o)...)
	}
	if _, err := db.enter(ctx, schedule.Schedule{}, s); err != nil {
		return err
	}
	err = db.driver.Apply(ctx, partition(shardOf(s.Name)), ops...)
	if errors.Is(err, ErrConflict) {
		r, readErr := db.Schedule(ctx, s.Name)
		switch {
		case readErr == nil && r.Schedule.Value.ID == s.ID:
			return nil // a lower layer tried again what had been done
		case readErr != nil && !errors.Is(readErr, ErrNotFound): // it may be this one: its index stays
			return readErr
		}
		err = fmt.Errorf("schedule %s: %w", s.Name, ErrExists)
		if left, readErr := db.enter(ctx, s, schedule.Schedule{}); readErr == nil {
			db.leave(ctx, left)
		}
	}
	return err
}

// watchOps make an active schedule look at its folders at once.
func watchOps(poll Stored[schedule.Poll], s schedule.Schedule) unit {
	next := poll.Value
	if s.Status == schedule.Active {
		next = next.Watched(s.Baseline)
	}
	return pollOps(poll, next, s)
}

// Edit changes a schedule: change gets it as it is and returns its next revision, or an error that Edit returns as
// it is. It may be called several times. What was due by now is recorded first, under the old revision, so that a
// change loses no occurrence. A change that returns the revision it got writes nothing.
func (db *DB) Edit(ctx context.Context, name string, now time.Time, change func(schedule.Schedule) (schedule.Schedule, error)) (schedule.Schedule, error) {
	var next schedule.Schedule
	err := db.alter(ctx, name, now, func(r Record) (unit, schedule.Schedule, error) {
		old := r.Schedule.Value
		var err error
		if next, err = change(old); err != nil || next.Revision == old.Revision {
			return nil, old, err
		}
		u, err := editUnit(r, next, now)
		return u, next, err
	})
	return next, err
}

// Pause disables the schedule of an occurrence when as many of its runs have failed in a row as it allows.
func (db *DB) Pause(ctx context.Context, o schedule.Occurrence, now time.Time) error {
	err := db.alter(ctx, o.Schedule, now, func(r Record) (unit, schedule.Schedule, error) {
		s := r.Schedule.Value
		if s.ID != o.ScheduleID() || s.Status != schedule.Active || s.PauseAfter == 0 || r.State.Value.Failures < s.PauseAfter {
			return nil, s, nil
		}
		next := s.Paused(now)
		u, err := editUnit(r, next, now)
		return u, next, err
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// Delete removes a schedule; check may refuse it. Its occurrences stay as a record, and those that wait are
// skipped when their time comes. by is who deletes it.
func (db *DB) Delete(ctx context.Context, name, by string, now time.Time, check func(schedule.Schedule) error) error {
	var id string
	err := db.alter(ctx, name, now, func(r Record) (unit, schedule.Schedule, error) {
		id = r.Schedule.Value.ID
		if err := check(r.Schedule.Value); err != nil {
			return nil, r.Schedule.Value, err
		}
		u := unit{
			{Kind: Delete, Sort: scheduleKey(name, "def"), Version: r.Schedule.version},
			{Kind: Delete, Sort: scheduleKey(name, "due"), Version: r.due.version},
			{Kind: Delete, Sort: scheduleKey(name, "state"), Version: r.State.version},
		}
		if last := ranKey(r.State.Value.Ran); last != "" {
			u = append(u, Op{Kind: Delete, Sort: last})
		}
		if due := r.Due(); !due.Next.IsZero() {
			u = append(u, Op{Kind: Delete, Sort: dueWakeKey(due)})
		}
		u = append(append(u, rouseOp(now, id, name)), auditOps(schedule.Audited(&r.Schedule.Value, nil, by, now), id)...)
		ends, err := db.abandonOps(ctx, r, now)
		return append(u, ends...), schedule.Schedule{}, err
	})
	if err != nil {
		return err
	}
	return db.forgetRevisions(ctx, name, id)
}

// abandonOps end what a deleted schedule has begun to watch. A window that is open leaves a record.
func (db *DB) abandonOps(ctx context.Context, r Record, now time.Time) (u unit, err error) {
	s := r.Schedule.Value
	if r.Poll.Known() {
		u = append(u, Op{Kind: Delete, Sort: scheduleKey(s.Name, "poll"), Version: r.Poll.version})
		u = append(u, moveMark(r.Poll.Value.Wake, time.Time{}, Looking, s)...)
		u = append(u, moveMark(time.Time{}, now, Forgetting, s)...)
	}
	if !r.Window.Known() {
		return u, nil
	}
	lanes, err := db.Lanes(ctx, s.ID)
	if err != nil {
		return nil, err
	}
	return append(u, closeOps(r, lanes, r.Window.Value.Abandoned(Total(lanes), now))...), nil
}

// alter applies what decide returns for a schedule, with what the schedule is then (nothing, when it is deleted), again
// when somebody else was faster.
func (db *DB) alter(ctx context.Context, name string, now time.Time, decide func(Record) (unit, schedule.Schedule, error)) error {
	part := partition(shardOf(name))
	var err error
	for try := range editTries {
		if err := StandBack(ctx, try); err != nil {
			return err
		}
		var r Record
		if r, err = db.settled(ctx, name, now); err != nil {
			if errors.Is(err, ErrConflict) {
				continue
			}
			return err
		}
		u, next, refused := decide(r)
		if refused != nil || len(u) == 0 {
			return refused
		}
		left, failed := db.enter(ctx, r.Schedule.Value, next)
		if failed != nil {
			return failed
		}
		switch err = db.driver.Apply(ctx, part, u...); {
		case err == nil:
			return db.leave(ctx, left)
		case !errors.Is(err, ErrConflict):
			return err
		}
	}
	return fmt.Errorf("schedule %s is being changed by many at once: %w", name, err)
}

// settled reads a schedule and records what is due of it by now.
func (db *DB) settled(ctx context.Context, name string, now time.Time) (Record, error) {
	for {
		r, err := db.Schedule(ctx, name)
		if err != nil {
			return r, err
		}
		due := r.Due()
		if due.Next.IsZero() || due.Next.After(now) {
			return r, nil
		}
		excluded, err := db.Exclusions(ctx, due.Calendars...)(due)
		if err != nil {
			return r, err
		}
		plan, err := due.Plan(now, now, excluded)
		if err != nil {
			return r, err
		}
		u := planUnit(plan, Op{Kind: Delete, Sort: dueWakeKey(due)}, Replace, r.due.version)
		if plan.Done() {
			u = append(u, reviseOps(r, r.Schedule.Value.Finished(now))...)
		}
		if err := db.driver.Apply(ctx, partition(shardOf(name)), u...); err != nil {
			return r, err
		}
	}
}

// Upcoming is when the schedule fires next after now, as people see it; zero for never.
func (r Record) Upcoming(now time.Time) time.Time { return r.Due().Upcoming(r.Schedule.Value, now) }

// Due is what the clock knows of the schedule.
func (r Record) Due() schedule.Due {
	s := r.Schedule.Value
	return schedule.Due{
		Schedule: s.Name, ScheduleID: s.ID, Revision: s.Revision, Trigger: s.Trigger, CatchUp: s.CatchUp,
		Jitter: s.Jitter, Calendars: s.Calendars, Anchor: s.Anchor,
		Next: r.due.Value.Next, Since: r.due.Value.Since, Recorded: r.due.Value.Recorded,
	}
}

func editUnit(r Record, next schedule.Schedule, now time.Time) (unit, error) {
	old, oldDue := r.Schedule.Value, r.Due()
	due, err := oldDue.Revised(next, old.Status == schedule.Active && old.Begins.Equal(next.Begins), now)
	if err != nil {
		return nil, err
	}
	u := append(reviseOps(r, next), dueOp(due, Replace, r.due.version))
	if next.Status != schedule.Active || next.Overlap != old.Overlap || !next.Trigger.Equal(old.Trigger) {
		u = append(u, rouseOp(now, old.ID, old.Name))
	}
	state := r.State.Value
	enabled, counts := old.Status != schedule.Active && next.Status == schedule.Active, old.PauseAfter == 0 && next.PauseAfter > 0
	if enabled || counts {
		state.Failures = 0
	}
	if next.Pipeline.Key() != old.Pipeline.Key() {
		state.Ran = nil
	}
	if state != r.State.Value {
		u = append(u, stateOps(old.Name, r.State, state)...)
	}
	if next.BaselineRevision == next.Revision {
		u = append(u, watchOps(r.Poll, next)...)
	}
	return append(u, moveWake(oldDue, due)...), nil
}

// reviseOps replaces a schedule by its next revision, keeps the old one, and records the change.
func reviseOps(r Record, next schedule.Schedule) unit {
	old := r.Schedule.Value
	u := append(auditOps(schedule.Audited(&old, &next, next.By, next.Updated), next.ID),
		Op{Kind: Replace, Sort: scheduleKey(old.Name, "def"), Value: encode(next), Version: r.Schedule.version},
		Op{Kind: Create, Sort: revisionKey(old.ID, old.Revision), Value: encode(old)},
	)
	if old.Revision > keepRevisions {
		u = append(u, Op{Kind: Delete, Sort: revisionKey(old.ID, old.Revision-keepRevisions)})
	}
	return u
}

func moveWake(old, due schedule.Due) unit {
	was, is := !old.Next.IsZero(), !due.Next.IsZero()
	if was && is && old.Next.Equal(due.Next) {
		return unit{{Kind: Put, Sort: dueWakeKey(due), Value: encode(due)}}
	}
	var u unit
	if was {
		u = append(u, Op{Kind: Delete, Sort: dueWakeKey(old)})
	}
	if is {
		u = append(u, Op{Kind: Create, Sort: dueWakeKey(due), Value: encode(due)})
	}
	return u
}

// forgetRevisions deletes what a deleted schedule leaves behind. A crash before it leaves rows that nobody reads.
func (db *DB) forgetRevisions(ctx context.Context, name, id string) error {
	part, prefix := partition(shardOf(name)), "rev|"+id+"|"
	rows, err := db.driver.Scan(ctx, part, prefix, endOf(prefix), MaxScan)
	if err != nil {
		return err
	}
	var units []unit
	for _, row := range rows {
		units = append(units, unit{{Kind: Delete, Sort: row.Sort, Version: row.Version}})
	}
	return errors.Join(db.commit(ctx, part, units)...)
}

// Schedules returns schedules in the order of their names (with '-' and digits before letters, capitals before
// small letters, and a name after those that it begins), at most max, after a token of an earlier call. It stops
// early where keep is seldom met; the token is "" at the end only.
func (db *DB) Schedules(ctx context.Context, token string, max int, keep func(schedule.Schedule) bool) ([]Record, string, error) {
	var out []Record
	for range scanBudget {
		all, more, err := db.recordsAfter(ctx, token, max)
		if err != nil {
			return nil, "", err
		}
		for _, r := range all {
			token = r.Schedule.Value.Name
			if keep(r.Schedule.Value) {
				out = append(out, r)
			}
			if len(out) == max {
				return out, token, nil
			}
		}
		if !more {
			return out, "", nil
		}
	}
	return out, token, nil
}

// rowsOfRecord is how many rows a schedule's record has at most.
const rowsOfRecord = 5

// recordsAfter reads records of all shards in one order, whole ones only: max of them, if there are as many.
func (db *DB) recordsAfter(ctx context.Context, token string, max int) (all []Record, more bool, err error) {
	limit, bound := min(rowsOfRecord*max, MaxScan), ""
	for shard := range Shards {
		rows, err := db.driver.Scan(ctx, partition(shard), afterSchedule(token), endOf(prefixSchedule), limit)
		if err != nil {
			return nil, false, fmt.Errorf("list shard %d: %w", shard, err)
		}
		if len(rows) == limit { // the last record may go on
			more = true
			if last := nameOf(rows[limit-1].Sort); last != nameOf(rows[0].Sort) {
				rows = slices.DeleteFunc(rows, func(r Row) bool { return nameOf(r.Sort) == last })
			}
			if end := scheduleKey(nameOf(rows[len(rows)-1].Sort), ""); bound == "" || end < bound {
				bound = end
			}
		}
		part, err := records(rows)
		if err != nil {
			return nil, false, err
		}
		all = append(all, part...)
	}
	slices.SortFunc(all, func(a, b Record) int { return strings.Compare(a.key(), b.key()) })
	if bound != "" { // what stands behind the last record of a shard that has more may not be next
		all = slices.DeleteFunc(all, func(r Record) bool { return r.key() > bound })
	}
	if len(all) > max {
		all, more = all[:max], true
	}
	return all, more, nil
}

func (r Record) key() string { return scheduleKey(r.Schedule.Value.Name, "") }

func afterSchedule(name string) string {
	if name == "" {
		return prefixSchedule
	}
	return endOf(scheduleKey(name, ""))
}

const scanBudget = 20 // pages that one call for a filtered list reads at most

// merged reads rows of all shards in one order, at most max of them.
func (db *DB) merged(ctx context.Context, prefix, from string, max int) ([]Row, error) {
	var rows []Row
	for shard := range Shards {
		part, err := db.driver.Scan(ctx, partition(shard), from, endOf(prefix), min(max, MaxScan))
		if err != nil {
			return nil, fmt.Errorf("list shard %d: %w", shard, err)
		}
		rows = append(rows, part...)
	}
	slices.SortFunc(rows, func(a, b Row) int { return strings.Compare(a.Sort, b.Sort) })
	return rows[:min(len(rows), max)], nil
}
