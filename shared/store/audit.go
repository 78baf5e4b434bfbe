package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"carillon/shared/schedule"
)

// aud|TIME|ID|REVISION|RANDOM is the record of a change, in the partition and in the transaction of what it changed, and
// aus|NAME|TIME|REVISION|RANDOM the same once more, among those of the schedule of a name: they are found however much else
// has changed. TIME counts microseconds down, and REVISION counts down.
const (
	prefixAudit      = "aud|"
	prefixAuditOfOne = "aus|"
)

func auditsOf(name string) string { return prefixAuditOfOne + name + "|" }

// auditKeys are where a record of a change is to stand, of the schedule, or whatever it is, of an id.
func auditKeys(a schedule.Audit, id string) []string {
	at, end := auditTime(a.At), fmt.Sprintf("%08d|%s", 99_999_999-a.Revision, randomID())
	keys := []string{prefixAudit + at + "|" + id + "|" + end}
	if a.Schedule != "" {
		keys = append(keys, auditsOf(a.Schedule)+at+"|"+end)
	}
	return keys
}

// auditOps write a record of a change.
func auditOps(a schedule.Audit, id string) unit { return auditPuts(auditKeys(a, id), a) }

func auditPuts(keys []string, a schedule.Audit) (u unit) {
	value := auditValue(a)
	for _, key := range keys {
		u = append(u, Op{Kind: Put, Sort: key, Value: value})
	}
	return u
}

// maxAudited is how many bytes a text may have in a record of a change. Where that is too much in all, it may have less;
// the revisions have it whole. A change is never refused for its record: at the least who, what and when are kept.
const maxAudited = 4 << 10

func auditValue(a schedule.Audit) []byte {
	for most := maxAudited; most > 32; most /= 4 {
		if value := encode(a.Cut(most)); len(value) <= MaxValue {
			return value
		}
	}
	a.Before, a.After = nil, nil
	return encode(a)
}

func auditTime(t time.Time) string {
	return fmt.Sprintf("%018d", (lastSecond+1)*int64(1e6)-1-t.UnixMicro())
}

// Audits returns records of changes, the last ones first, at most max, after a token of an earlier call: those of the
// schedule of a name, or, with "", all. It stops early where keep is seldom met; the token is "" at the end only.
func (db *DB) Audits(ctx context.Context, name, token string, max int, keep func(schedule.Audit) bool) (out []schedule.Audit, next string, err error) {
	prefix := prefixAudit
	if name != "" {
		prefix = auditsOf(name)
	}
	from := prefix
	if token != "" {
		from = After(prefix + token)
	}
	for range scanBudget {
		rows, err := db.auditRows(ctx, name, prefix, from, max)
		if err != nil {
			return nil, "", err
		}
		for _, row := range rows {
			from, next = After(row.Sort), row.Sort[len(prefix):]
			var a schedule.Audit
			if err := decode(row, &a); err != nil {
				return nil, "", err
			}
			if keep(a) {
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

// auditRows reads records of changes in one order: those of a schedule, or of all that has changed.
func (db *DB) auditRows(ctx context.Context, name, prefix, from string, max int) (rows []Row, err error) {
	parts := []string{calendarPart}
	for shard := range Shards {
		parts = append(parts, partition(shard))
	}
	if name != "" {
		parts = []string{partition(shardOf(name))}
	}
	for _, part := range parts {
		some, err := db.driver.Scan(ctx, part, from, endOf(prefix), max)
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
			var a schedule.Audit
			if err := decode(row, &a); err == nil && a.Schedule != "" {
				key := strings.Split(row.Sort, "|")
				units[i] = append(units[i], Op{Kind: Delete, Sort: auditsOf(a.Schedule) + key[1] + "|" + key[3] + "|" + key[4]})
			}
		}
		if err := failure(db.commit(ctx, part, units)); err != nil {
			return err
		}
	}
	return nil
}
