package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"carillon/shared/schedule"
)

// Pasts returns what nominal times of a schedule have had so far, in the order of the times. It reads the span that they
// lie in once.
func (db *DB) Pasts(ctx context.Context, scheduleID string, times []time.Time) ([]schedule.Past, error) {
	pasts := make([]schedule.Past, len(times))
	if len(times) == 0 {
		return pasts, nil
	}
	shard, err := shardOfID(scheduleID)
	if err != nil {
		return nil, err
	}
	at := map[int64]int{}
	for i, t := range times {
		at[t.Unix()] = i
	}
	oldest, newest := slices.MinFunc(times, time.Time.Compare), slices.MaxFunc(times, time.Time.Compare)
	from, to := occurrencesOf(scheduleID)+countdown(newest)+"|", endOf(occurrencesOf(scheduleID)+countdown(oldest)+"|")
	for {
		rows, err := db.driver.Scan(ctx, partition(shard), from, to, MaxScan)
		if err != nil {
			return nil, fmt.Errorf("read what there was from %v to %v: %w", oldest, newest, err)
		}
		for _, row := range rows {
			var o schedule.Occurrence
			if err := decode(row, &o); err != nil {
				return nil, err
			}
			if i, ok := at[o.Nominal.Unix()]; ok && (o.Kind == schedule.Scheduled || o.Kind == schedule.Backfilled) {
				pasts[i] = append(pasts[i], schedule.Occurrence{ID: o.ID, Status: o.Status})
			}
			from = After(row.Sort)
		}
		if len(rows) < MaxScan {
			return pasts, nil
		}
	}
}

// numberKey is taken by the first that fills a nominal time with the occurrence of a number, and free again when that is
// forgotten.
func numberKey(o schedule.Occurrence) string {
	return requestKey(o.ScheduleID(), fmt.Sprintf("backfill\x00%s\x00%d", schedule.Stamp(o.Nominal), o.Number()))
}

// Fill records the occurrences of a backfill, but for those whose number somebody else has taken since Pasts was read.
// With what it makes stand the record of the change, which says how many there are, and the mark by which the clock looks
// after the line. An error leaves what was made until then, with a record that says so.
func (db *DB) Fill(ctx context.Context, s schedule.Schedule, occurrences []schedule.Occurrence, a schedule.Audit, now time.Time) (made, taken []schedule.Occurrence, err error) {
	mark, record, left := rouseOp(now.Add(schedule.Resend), s.ID, s.Name), auditKeys(a, s.ID), slices.Clone(occurrences)
	for len(left) > 0 {
		u, n := unit{mark}, 0
		owner := []int{0} // of each operation: which occurrence it is of, from 1
		for ; n < len(left); n++ {
			number := Op{Kind: Create, Sort: numberKey(left[n]), Value: []byte(left[n].ID)}
			more := append(createOps(left[n]), number)
			if len(u)+len(more)+len(record) > MaxOps {
				break
			}
			u, owner = append(u, more...), append(owner, slices.Repeat([]int{n + 1}, len(more))...)
		}
		u = append(u, auditPuts(record, a.Making(len(made)+n))...)
		owner = append(owner, make([]int, len(record))...)
		err := db.driver.Apply(ctx, partition(shardOf(s.Name)), u...)
		var at *OpError
		switch {
		case err == nil:
			made, left = append(made, left[:n]...), left[n:]
		case errors.Is(err, ErrConflict) && errors.As(err, &at) && owner[at.Index] > 0:
			k := owner[at.Index] - 1
			taken, left = append(taken, left[k]), slices.Delete(left, k, k+1)
		default:
			return made, taken, err
		}
	}
	return made, taken, nil
}

// FirstInLine is the first of the backfilled occurrences of a schedule that wait for their turn; false when none does.
func (db *DB) FirstInLine(ctx context.Context, scheduleID string) (o schedule.Occurrence, waits bool, err error) {
	shard, err := shardOfID(scheduleID)
	if err != nil {
		return o, false, err
	}
	id, err := db.firstOf(ctx, shard, fillingOf(scheduleID), endOf(fillingOf(scheduleID)))
	if err != nil || id == "" {
		return o, false, err
	}
	found, err := db.Occurrence(ctx, id)
	if errors.Is(err, ErrNotFound) { // meanwhile
		return o, false, nil
	}
	return found.Value, err == nil, err
}

// Lines returns the first of those that wait for their turn, of every schedule and of its backfills. It costs what there is.
func (db *DB) Lines(ctx context.Context) (first []schedule.Occurrence, err error) {
	for shard := range Shards {
		for _, prefix := range []string{prefixBuffered, prefixFilling} {
			for from := prefix; ; {
				id, err := db.firstOf(ctx, shard, from, endOf(prefix))
				if err != nil {
					return nil, err
				}
				if id == "" {
					break
				}
				from = endOf(prefix + schedule.Occurrence{ID: id}.ScheduleID() + "|")
				o, err := db.Occurrence(ctx, id)
				switch {
				case err == nil:
					first = append(first, o.Value)
				case !errors.Is(err, ErrNotFound):
					return nil, err
				}
			}
		}
	}
	return first, nil
}

// firstOf is the occurrence that the first row of a part of the lines names; "" when there is none.
func (db *DB) firstOf(ctx context.Context, shard int, from, to string) (string, error) {
	rows, err := db.driver.Scan(ctx, partition(shard), from, to, 1)
	if err != nil {
		return "", fmt.Errorf("read who waits for a turn: %w", err)
	}
	if len(rows) == 0 {
		return "", nil
	}
	return occurrenceOf(rows[0].Sort), nil
}
