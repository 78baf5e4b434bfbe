package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"carillon/shared/schedule"
)

// Parked is an event that could not be acted on when it came: the clock brings it again, until somebody takes it away.
//
//	wake|STAMP|e|ID    (parkedRow)
type Parked struct {
	Row   string          `json:"row"` // where it stands
	Shard int             `json:"shard"`
	Tries int             `json:"tries"` // how often it was brought
	Body  json.RawMessage `json:"body"`  // the event, as whoever parked it wrote it
}

type parkedRow struct {
	Tries int             `json:"tries"`
	Body  json.RawMessage `json:"body"`
}

// Waiting is the mark of an event that is parked.
const Waiting Mark = "e"

// Park keeps an event until an instant, when the clock brings it. name spreads events over the shards.
func (db *DB) Park(ctx context.Context, name string, body json.RawMessage, until time.Time) error {
	key := markKey(schedule.CeilSecond(until), Waiting, randomID())
	op := Op{Kind: Create, Sort: key, Value: encode(parkedRow{Body: body})}
	if err := db.driver.Apply(ctx, partition(shardOf(name)), op); err != nil {
		return fmt.Errorf("keep an event for later: %w", err)
	}
	return nil
}

// Bring moves a parked event to a later time, when it is brought again should nobody take it away, and returns it.
func (db *DB) Bring(ctx context.Context, shard int, w Wake, now time.Time) (Parked, error) {
	var row parkedRow
	if err := json.Unmarshal(w.value, &row); err != nil {
		return Parked{}, fmt.Errorf("row %s of the store is damaged: %w", w.sort, err)
	}
	row.Tries++
	wait := min(schedule.Resend<<min(row.Tries, 4), 15*time.Minute)
	key := markKey(schedule.CeilSecond(now.Add(wait)), Waiting, occurrenceOf(w.sort))
	p := Parked{Row: key, Shard: shard, Tries: row.Tries, Body: row.Body}
	return p, db.driver.Apply(ctx, partition(shard),
		Op{Kind: Delete, Sort: w.sort, Version: w.version}, Op{Kind: Create, Sort: key, Value: encode(row)})
}

// Unpark takes a parked event away, as it has been acted on. One that was brought again meanwhile is acted on again.
func (db *DB) Unpark(ctx context.Context, p Parked) error {
	if p.Shard < 0 || p.Shard >= Shards {
		return nil
	}
	err := db.driver.Apply(ctx, partition(p.Shard), Op{Kind: Delete, Sort: p.Row})
	if errors.Is(err, ErrConflict) {
		return nil
	}
	return err
}
