package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"

	"carillon/shared/schedule"
)

// The index tells which schedules watch a folder, so that a change costs the depth of its path, however many schedules
// there are. A row is a fact of one definition and is never changed: it is written before the definition and deleted
// after it is gone, so one that a crash leaves behind stands for nothing, and none is ever missing.
//
//	watch|HASH|f|ID|HASH    the schedule watches the folder            (watchRow)
//	watch|HASH|r|ID|HASH    the same, with its subfolders
//
// The first hash is that of the datastore and the folder, the second that of the whole row.

// Watcher is a schedule that watches a folder, as the index has it. The schedule itself says what holds.
type Watcher struct {
	Schedule string
	ID       string
	Folder   schedule.Folder
}

type watchRow struct {
	Schedule string          `json:"schedule"`
	Folder   schedule.Folder `json:"folder"`
}

type watchKey struct{ part, sort string }

func folderPrefix(datastore, folder string) (part, prefix string) {
	sum := sha256.Sum256([]byte(datastore + "\x00" + folder))
	return "watch" + strconv.Itoa(int(sum[31])%Shards), "watch|" + hex.EncodeToString(sum[:16]) + "|"
}

func watchRows(s schedule.Schedule) map[watchKey][]byte {
	rows := map[watchKey][]byte{}
	for _, f := range s.Trigger.Watch.Folders() {
		value := encode(watchRow{s.Name, f})
		h := fnv.New64a()
		h.Write(value)
		part, sort := folderPrefix(f.Datastore, f.Path)
		reach := "f|"
		if f.Recursive {
			reach = "r|"
		}
		rows[watchKey{part, sort + reach + s.ID + "|" + fmt.Sprintf("%016x", h.Sum64())}] = value
	}
	return rows
}

// watch enters what next watches into the index, and returns the rows that only old has, with their versions. Somebody
// who changes the schedule back meanwhile writes those anew: then they have another version, and stay.
func (db *DB) watch(ctx context.Context, old, next schedule.Schedule) (map[watchKey]Version, error) {
	was, is := watchRows(old), watchRows(next)
	for key, value := range is {
		if _, stays := was[key]; stays {
			continue
		}
		if err := db.driver.Apply(ctx, key.part, Op{Kind: Put, Sort: key.sort, Value: value}); err != nil {
			return nil, fmt.Errorf("enter schedule %s into the index: %w", next.Name, err)
		}
	}
	left := map[watchKey]Version{}
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

// unwatch deletes rows of the index. What it cannot delete stands for nothing, and costs a read with each change there.
func (db *DB) unwatch(ctx context.Context, rows map[watchKey]Version) error {
	var failed error
	for key, version := range rows {
		err := db.driver.Apply(ctx, key.part, Op{Kind: Delete, Sort: key.sort, Version: version})
		if err != nil && !errors.Is(err, ErrConflict) {
			failed = err
		}
	}
	return failed
}

// Watchers returns the schedules whose folder a file of a datastore is in: directly, or above it and recursive. With
// near it returns those above that are not recursive, too. Whether its filters let the file through is not looked at.
func (db *DB) Watchers(ctx context.Context, datastore, file string, near bool) (all []Watcher, err error) {
	for i, folder := range schedule.FoldersOf(file) {
		part, prefix := folderPrefix(datastore, folder)
		if i > 0 && !near {
			prefix += "r|"
		}
		if all, err = db.watchers(ctx, part, prefix, all); err != nil {
			return nil, fmt.Errorf("read who watches %s: %w", datastore, err)
		}
	}
	return all, nil
}

func (db *DB) watchers(ctx context.Context, part, prefix string, all []Watcher) ([]Watcher, error) {
	for from := prefix; ; {
		rows, err := db.driver.Scan(ctx, part, from, endOf(prefix), MaxScan)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			var w watchRow
			if err := decode(row, &w); err != nil {
				return nil, err
			}
			id := row.Sort[:len(row.Sort)-17] // without the row's own hash
			all = append(all, Watcher{Schedule: w.Schedule, ID: occurrenceOf(id), Folder: w.Folder})
		}
		if len(rows) < MaxScan {
			return all, nil
		}
		from = After(rows[len(rows)-1].Sort)
	}
}
