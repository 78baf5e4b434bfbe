package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"carillon/shared/schedule"
)

func originPrefix(from string) (part, prefix string) {
	sum := sha256.Sum256([]byte(from))
	return "use" + strconv.Itoa(int(sum[31])%Shards), "of|" + hex.EncodeToString(sum[:16]) + "|"
}

// originRows adds the row of the old schedule of which one was made.
func originRows(s schedule.Schedule, rows map[indexKey][]byte) {
	if s.Origin != nil {
		part, prefix := originPrefix(s.Origin.From)
		rows[indexKey{part, prefix + s.ID}] = encode(useRow{s.Name})
	}
}

// MadeOf returns the name of a schedule that was made of an old one, "" when there is none.
func (db *DB) MadeOf(ctx context.Context, from string) (name string, err error) {
	part, prefix := originPrefix(from)
	rows, err := db.driver.Scan(ctx, part, prefix, endOf(prefix), MaxScan)
	if err != nil {
		return "", fmt.Errorf("read what was made of the old schedule %s: %w", from, err)
	}
	for _, row := range rows {
		var made useRow
		if err := decode(row, &made); err != nil {
			return "", err
		}
		r, err := db.Schedule(ctx, made.Schedule)
		if err == nil && r.Schedule.Value.Origin != nil && r.Schedule.Value.Origin.From == from {
			return made.Schedule, nil
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return "", err
		}
	}
	return "", nil
}
