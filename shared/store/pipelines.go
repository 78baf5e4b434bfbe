package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"carillon/shared/schedule"
)

// User is a schedule that starts a pipeline, as the index has it. The schedule itself says what holds.
type User struct {
	Schedule string
	ID       string
}

type useRow struct {
	Schedule string `json:"schedule"`
}

// hashed is a pipeline, whatever its id holds, in a key; spread are the pipelines over the shards.
func hashed(pipelineKey string) (hash string, spread int) {
	sum := sha256.Sum256([]byte(pipelineKey))
	return hex.EncodeToString(sum[:16]), int(sum[31]) % Shards
}

func usePrefix(p schedule.PipelineRef) (part, prefix string) {
	hash, spread := hashed(p.Key())
	return "use" + strconv.Itoa(spread), "use|" + hash + "|"
}

// useRows adds the row of the pipeline that a schedule starts.
func useRows(s schedule.Schedule, rows map[indexKey][]byte) {
	if s.Pipeline != (schedule.PipelineRef{}) {
		part, sort := usePrefix(s.Pipeline)
		rows[indexKey{part, sort + s.ID}] = encode(useRow{s.Name})
	}
}

// Users returns schedules that start a pipeline, in the order of their ids, at most max, after a token of an earlier
// call. The token is "" at the end only.
func (db *DB) Users(ctx context.Context, p schedule.PipelineRef, token string, max int) (users []User, next string, err error) {
	part, prefix := usePrefix(p)
	from := prefix
	if token != "" {
		from = After(prefix + token)
	}
	rows, err := db.driver.Scan(ctx, part, from, endOf(prefix), max)
	if err != nil {
		return nil, "", fmt.Errorf("read who uses pipeline %s: %w", p, err)
	}
	for _, row := range rows {
		var u useRow
		if err := decode(row, &u); err != nil {
			return nil, "", err
		}
		users = append(users, User{Schedule: u.Schedule, ID: row.Sort[len(prefix):]})
	}
	if len(rows) == max {
		next = users[max-1].ID
	}
	return users, next, nil
}

func ranPrefix(p schedule.PipelineRef) string {
	hash, _ := hashed(p.Key())
	return "ran|" + hash + "|"
}

func ranKey(r *schedule.Ran) string {
	if r == nil {
		return ""
	}
	return ranPrefix(r.Pipeline) + auditTime(r.At) + "|" + r.Occurrence
}

// LastRun returns the occurrence that was claimed last of those that schedules have run of any of the pipelines, "" for
// none. Schedules that are deleted, or start another pipeline since, do not count. It costs a call for each pipeline and
// shard, however many schedules there are.
func (db *DB) LastRun(ctx context.Context, pipelines ...schedule.PipelineRef) (id string, err error) {
	first := ""
	for _, p := range pipelines {
		prefix := ranPrefix(p)
		for shard := range Shards {
			rows, err := db.driver.Scan(ctx, partition(shard), prefix, endOf(prefix), 1)
			if err != nil {
				return "", fmt.Errorf("read what ran last of pipeline %s: %w", p, err)
			}
			if len(rows) == 0 {
				continue
			}
			if at := rows[0].Sort[len(prefix):]; first == "" || at < first {
				first, id = at, occurrenceOf(at)
			}
		}
	}
	return id, nil
}

// prefixStop: stop|FAMILY|HASH says that a pipeline is not to be started (schedule.Stop). It stands in the shard that the
// pipeline's family gives, so that the record of the change can be written with it, and those of a family are read at once.
const prefixStop = "stop|"

func stopsPrefix(p schedule.PipelineRef) (part, prefix string) {
	family, spread := hashed(p.Family())
	return partition(spread), prefixStop + family + "|"
}

func stopKey(p schedule.PipelineRef) (part, sort, hash string) {
	part, prefix := stopsPrefix(p)
	hash, _ = hashed(p.Key())
	return part, prefix + hash, hash
}

// StopPipeline keeps a pipeline from being started by claims that begin from then on, and records who has done it. A
// stop that there is already is replaced.
func (db *DB) StopPipeline(ctx context.Context, s schedule.Stop) error {
	part, sort, hash := stopKey(s.Pipeline)
	record := schedule.Audit{At: s.At, By: s.By, What: schedule.WasDisabled, Pipeline: &s.Pipeline, Note: s.Note}
	err := db.driver.Apply(ctx, part, append(unit{{Kind: Put, Sort: sort, Value: encode(s)}}, auditOps(record, hash)...)...)
	if err != nil {
		return fmt.Errorf("stop pipeline %s: %w", s.Pipeline, err)
	}
	return nil
}

// StartPipeline lets a pipeline be started again, and records who has done it. One that is not stopped stays as it is, and is
// recorded if its far side's own switch was set (switched).
func (db *DB) StartPipeline(ctx context.Context, p schedule.PipelineRef, by, note string, switched bool, now time.Time) error {
	part, sort, hash := stopKey(p)
	record := auditOps(schedule.Audit{At: now.UTC(), By: by, What: schedule.WasEnabled, Pipeline: &p, Note: note}, hash)
	err := db.driver.Apply(ctx, part, append(unit{{Kind: Delete, Sort: sort}}, record...)...)
	if errors.Is(err, ErrConflict) {
		if !switched {
			return nil
		}
		err = db.driver.Apply(ctx, part, record...)
	}
	if err != nil {
		return fmt.Errorf("start pipeline %s: %w", p, err)
	}
	return nil
}

// StopsOf reads the stops of a pipeline's family: its own, and those of references that may stand for the same pipeline.
func (db *DB) StopsOf(ctx context.Context, p schedule.PipelineRef) (stops []schedule.Stop, err error) {
	part, prefix := stopsPrefix(p)
	for from := prefix; ; {
		rows, err := db.driver.Scan(ctx, part, from, endOf(prefix), MaxScan)
		if err != nil {
			return nil, fmt.Errorf("the stops of pipeline %s: %w", p, err)
		}
		for _, row := range rows {
			var s schedule.Stop
			if err := decode(row, &s); err != nil {
				return nil, err
			}
			stops, from = append(stops, s), After(row.Sort)
		}
		if len(rows) < MaxScan {
			return stops, nil
		}
	}
}

// Stops returns the stops of pipelines, in no order that means anything, at most max, after a token of an earlier call.
// The token is "" at the end only.
func (db *DB) Stops(ctx context.Context, token string, max int) (stops []schedule.Stop, next string, err error) {
	from := prefixStop
	if token != "" {
		from = After(prefixStop + token)
	}
	rows, err := db.merged(ctx, prefixStop, from, max)
	if err != nil {
		return nil, "", err
	}
	for _, row := range rows {
		var s schedule.Stop
		if err := decode(row, &s); err != nil {
			return nil, "", err
		}
		stops = append(stops, s)
	}
	if len(rows) == max {
		next = strings.TrimPrefix(rows[max-1].Sort, prefixStop)
	}
	return stops, next, nil
}
