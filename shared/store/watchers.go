package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"strconv"

	"carillon/shared/schedule"
)

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

func folderPrefix(datastore, folder string) (part, prefix string) {
	sum := sha256.Sum256([]byte(datastore + "\x00" + folder))
	return "watch" + strconv.Itoa(int(sum[31])%Shards), "watch|" + hex.EncodeToString(sum[:16]) + "|"
}

// watchRows adds a row for each folder that a schedule watches.
func watchRows(s schedule.Schedule, rows map[indexKey][]byte) {
	for _, f := range s.Trigger.Watch.Folders() {
		value := encode(watchRow{s.Name, f})
		h := fnv.New64a()
		h.Write(value)
		part, sort := folderPrefix(f.Datastore, f.Path)
		reach := "f|"
		if f.Recursive {
			reach = "r|"
		}
		rows[indexKey{part, sort + reach + s.ID + "|" + fmt.Sprintf("%016x", h.Sum64())}] = value
	}
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
