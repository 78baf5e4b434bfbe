package store

import (
	"context"
	"errors"
	"fmt"

	"carillon/shared/schedule"
)

// An index tells which schedules have something to do with a thing, so that to ask costs what there is to tell, however
// many schedules there are. A row is a fact of one definition and is never changed: it is written before the definition
// and deleted after it is gone, so one that a crash leaves behind stands for nothing, and none is ever missing. The
// schedule itself says what holds.
//
//	watch|HASH|f|ID|HASH    the schedule watches the folder            (watchRow)
//	watch|HASH|r|ID|HASH    the same, with its subfolders
//	use|HASH|ID             the schedule starts the pipeline           (useRow)
//	of|HASH|ID              the schedule was made of the old one       (useRow)
//
// The first hash is that of the datastore and the folder, of the pipeline, or of the old schedule; the second that of the whole row. Rows of
// one thing share a partition, and no row of a shard is among them.
type indexKey struct{ part, sort string }

// indexRows are all rows of a schedule; none of one that is not there.
func indexRows(s schedule.Schedule) map[indexKey][]byte {
	rows := map[indexKey][]byte{}
	watchRows(s, rows)
	useRows(s, rows)
	originRows(s, rows)
	return rows
}

// enter writes what next adds to the index, and returns the rows that only old has, with their versions. Somebody who
// changes the schedule back meanwhile writes those anew: then they have another version, and stay.
func (db *DB) enter(ctx context.Context, old, next schedule.Schedule) (map[indexKey]Version, error) {
	was, is := indexRows(old), indexRows(next)
	for key, value := range is {
		if _, stays := was[key]; stays {
			continue
		}
		if err := db.driver.Apply(ctx, key.part, Op{Kind: Put, Sort: key.sort, Value: value}); err != nil {
			return nil, fmt.Errorf("enter schedule %s into the index: %w", next.Name, err)
		}
	}
	left := map[indexKey]Version{}
	for key := range was {
		if _, stays := is[key]; stays {
			continue
		}
		row, err := db.driver.Get(ctx, key.part, key.sort)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, fmt.Errorf("read the index: %w", err)
		}
		if err == nil {
			left[key] = row.Version
		}
	}
	return left, nil
}

// leave deletes rows of the index. What it cannot delete stands for nothing, and costs a read each time.
func (db *DB) leave(ctx context.Context, rows map[indexKey]Version) error {
	var failed error
	for key, version := range rows {
		err := db.driver.Apply(ctx, key.part, Op{Kind: Delete, Sort: key.sort, Version: version})
		if err != nil && !errors.Is(err, ErrConflict) {
			failed = err
		}
	}
	return failed
}
