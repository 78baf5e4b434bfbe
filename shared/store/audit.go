package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"carillon/shared/schedule"
)

// prefixAudit: aud|TIME|ID|REVISION|RANDOM is the record of a change, in the partition and in the transaction of what it
// changed. TIME counts microseconds down, and REVISION counts down.
const prefixAudit = "aud|"

// auditOp writes a record of a change to the schedule, or whatever it is, of an id. What is too large for a row is left
// out of it: who, what and when are kept.
func auditOp(a schedule.Audit, id string) Op {
	value := encode(a)
	if len(value) > MaxValue {
		a.Before, a.After = nil, nil
		value = encode(a)
	}
	key := fmt.Sprintf("%s%s|%s|%08d|%s", prefixAudit, auditTime(a.At), id, 99_999_999-a.Revision, randomID())
	return Op{Kind: Put, Sort: key, Value: value}
}

func auditTime(t time.Time) string {
	return fmt.Sprintf("%018d", (lastSecond+1)*int64(1e6)-1-t.UnixMicro())
}

// Audits returns records of changes, the last ones first, at most max, after a token of an earlier call: those of the
// schedule of a name, or, with "", all. It stops early where keep is seldom met; the token is "" at the end only.
func (db *DB) Audits(ctx context.Context, name, token string, max int, keep func(schedule.Audit) bool) (out []schedule.Audit, next string, err error) {
	from := prefixAudit
	if token != "" {
		from = After(prefixAudit + token)
	}
	for range scanBudget {
		rows, err := db.auditRows(ctx, name, from, max)
		if err != nil {
			return nil, "", err
		}
		for _, row := range rows {
			from, next = After(row.Sort), row.Sort[len(prefixAudit):]
			var a schedule.Audit
			if err := decode(row, &a); err != nil {
				return nil, "", err
			}
			if (name == "" || a.Schedule == name) && keep(a) {
				out = append(out, a)
			}
			if len(out) == max {
				return out, next, nil
			}
		}
		if len(rows) < max {
			return out, "", nil
		}
	}
	return out, next, nil
}

// auditRows reads records of changes in one order: of the shard of a schedule, or of all that has changed.
func (db *DB) auditRows(ctx context.Context, name, from string, max int) (rows []Row, err error) {
	parts := []string{calendarPart}
	for shard := range Shards {
		parts = append(parts, partition(shard))
	}
	if name != "" {
		parts = []string{partition(shardOf(name))}
	}
	for _, part := range parts {
		some, err := db.driver.Scan(ctx, part, from, endOf(prefixAudit), max)
		if err != nil {
			return nil, fmt.Errorf("read records of changes in %s: %w", part, err)
		}
		rows = append(rows, some...)
	}
	slices.SortFunc(rows, func(a, b Row) int { return strings.Compare(a.Sort, b.Sort) })
	return rows[:min(len(rows), max)], nil
}

// pruneAudits deletes records of changes of a shard that were made before an instant, at most max; with the first shard
// those of calendars, too.
func (db *DB) pruneAudits(ctx context.Context, shard int, before time.Time, max int) error {
	parts := []string{partition(shard), calendarPart}
	for _, part := range parts[:2-min(shard, 1)] {
		rows, err := db.driver.Scan(ctx, part, prefixAudit+auditTime(before), endOf(prefixAudit), max)
		if err != nil {
			return fmt.Errorf("read old records of changes: %w", err)
		}
		units := make([]unit, len(rows))
		for i, row := range rows {
			units[i] = unit{{Kind: Delete, Sort: row.Sort}}
		}
		if err := failure(db.commit(ctx, part, units)); err != nil {
			return err
		}
	}
	return nil
}

// Changes returns the last changes of a schedule, the newest first, at most max, as far as its revisions are kept: they
// tell what has changed at the cost of one read, and nothing of backfills.
func (db *DB) Changes(ctx context.Context, s schedule.Schedule, max int) (out []schedule.Audit, err error) {
	first := revisionKey(s.ID, s.Revision-min(s.Revision, max))
	rows, err := db.driver.Scan(ctx, partition(shardOf(s.Name)), first, revisionKey(s.ID, s.Revision), max)
	if err != nil {
		return nil, fmt.Errorf("read revisions of schedule %s: %w", s.Name, err)
	}
	next := s
	for _, row := range slices.Backward(rows) {
		var old schedule.Schedule
		if err := decode(row, &old); err != nil {
			return nil, err
		}
		out = append(out, schedule.Audited(&old, &next, next.By, next.Updated))
		next = old
	}
	if next.Revision == 1 && len(out) < max {
		out = append(out, schedule.Audited(nil, &next, next.By, next.Created))
	}
	return out, nil
}
