package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"carillon/shared/schedule"
)

// What a listing has shown is remembered in pages of digests, a row each. A row is named by its page and by the
// generation that wrote it, and is left alone by generations that find the page unchanged: what is remembered is, of
// each page, the newest row that is not of a later generation than the last complete one.
//
//	see|ID|PAGE|GENERATION

// Page is a page of what a listing has shown: digests in the order of the listing.
type Page struct {
	Number, Generation int
	Digests            []uint64
	sort               string
	version            Version
}

// MaxDigests is how many one Page holds.
const MaxDigests = 5000

// Pages returns pages of a schedule's memory in order, from a number on, at most max rows, whatever their generation.
func (db *DB) Pages(ctx context.Context, scheduleID string, from, max int) ([]Page, error) {
	shard, err := shardOfID(scheduleID)
	if err != nil {
		return nil, err
	}
	prefix := "see|" + scheduleID + "|"
	rows, err := db.driver.Scan(ctx, partition(shard), fmt.Sprintf("%s%08d", prefix, from), endOf(prefix), max)
	if err != nil {
		return nil, fmt.Errorf("read what was listed: %w", err)
	}
	pages := make([]Page, len(rows))
	for i, row := range rows {
		number, generation, _ := strings.Cut(row.Sort[len(prefix):], "|")
		p := Page{sort: row.Sort, version: row.Version, Digests: make([]uint64, len(row.Value)/8)}
		p.Number, _ = strconv.Atoi(number)
		p.Generation, _ = strconv.Atoi(generation)
		for k := range p.Digests {
			p.Digests[k] = binary.LittleEndian.Uint64(row.Value[8*k:])
		}
		pages[i] = p
	}
	return pages, nil
}

func putPage(scheduleID string, p Page) Op {
	value := make([]byte, 0, 8*len(p.Digests))
	for _, d := range p.Digests {
		value = binary.LittleEndian.AppendUint64(value, d)
	}
	return Op{Kind: Put, Sort: fmt.Sprintf("see|%s|%08d|%08d", scheduleID, p.Number, p.Generation), Value: value}
}

// DropPages deletes pages that Pages has returned, as far as they are still there.
func (db *DB) DropPages(ctx context.Context, scheduleID string, pages []Page) error {
	shard, err := shardOfID(scheduleID)
	if err != nil {
		return err
	}
	units := make([]unit, len(pages))
	for i, p := range pages {
		units[i] = unit{{Kind: Delete, Sort: p.sort}}
	}
	return failure(db.commit(ctx, partition(shard), units))
}

// SavePoll writes how far the looking at a schedule's folders has come, and when the clock goes on with it. The error
// wraps ErrConflict when somebody else was faster.
func (db *DB) SavePoll(ctx context.Context, r Record, next schedule.Poll) error {
	s := r.Schedule.Value
	return db.driver.Apply(ctx, partition(shardOf(s.Name)), pollOps(r.Poll, next, s)...)
}

func pollOps(old Stored[schedule.Poll], next schedule.Poll, s schedule.Schedule) unit {
	u := unit{{Kind: Create, Sort: scheduleKey(s.Name, "poll"), Value: encode(next)}}
	if old.Known() {
		u[0].Kind, u[0].Version = Replace, old.version
	}
	return append(u, moveMark(old.Value.Wake, next.Wake, Looking, s)...)
}

// HoldPoll is SavePoll for a look that goes on: it writes and drops pages with it, all or nothing, and returns the
// record that the next step builds on. A look that was held up until another has begun, or until the schedule watches
// something else, changes nothing any more: the error wraps ErrConflict.
func (db *DB) HoldPoll(ctx context.Context, r Record, next schedule.Poll, put, drop []Page) (Record, error) {
	s := r.Schedule.Value
	u := pollOps(r.Poll, next, s)
	for _, p := range put {
		u = append(u, putPage(s.ID, p))
	}
	for _, p := range drop {
		u = append(u, Op{Kind: Delete, Sort: p.sort})
	}
	if err := db.driver.Apply(ctx, partition(shardOf(s.Name)), u...); err != nil {
		return r, err
	}
	held, err := db.Schedule(ctx, s.Name)
	if err != nil {
		return r, err
	}
	now := held.Schedule.Value
	if now.ID != s.ID || now.BaselineRevision != s.BaselineRevision || !bytes.Equal(encode(held.Poll.Value), encode(next)) {
		return r, fmt.Errorf("the look of schedule %s: %w", s.Name, ErrConflict)
	}
	return held, nil
}

// Holds returns an error that wraps ErrConflict unless the poll state stands as the record has it: what was read of the
// pages until now is what that state remembers.
func (db *DB) Holds(ctx context.Context, r Record) error {
	s := r.Schedule.Value
	row, err := db.driver.Get(ctx, partition(shardOf(s.Name)), scheduleKey(s.Name, "poll"))
	switch {
	case err != nil && !errors.Is(err, ErrNotFound):
		return fmt.Errorf("read the look of schedule %s: %w", s.Name, err)
	case row.Version != r.Poll.version:
		return fmt.Errorf("the look of schedule %s: %w", s.Name, ErrConflict)
	}
	return nil
}

// Mark is something of a schedule that the clock finds by its time.
type Mark string

const (
	Looking    Mark = "p" // its folders are to be looked at
	Closing    Mark = "w" // its window may have to be closed
	Forgetting Mark = "d" // it has been deleted, and left rows behind
	Rousing    Mark = "r" // its occurrences that wait for their turn are to be looked after
)

var marks = []Mark{Looking, Closing, Forgetting, Rousing}

// moveMark moves the row by which the clock finds something of a schedule.
func moveMark(old, next time.Time, kind Mark, s schedule.Schedule) (u unit) {
	if old.Equal(next) {
		return nil
	}
	if !old.IsZero() {
		u = append(u, Op{Kind: Delete, Sort: markKey(old, kind, s.ID)})
	}
	if !next.IsZero() {
		u = append(u, Op{Kind: Create, Sort: markKey(next, kind, s.ID), Value: []byte(s.Name)})
	}
	return u
}

func markKey(at time.Time, kind Mark, scheduleID string) string {
	return prefixWake + schedule.Stamp(at) + "|" + string(kind) + "|" + scheduleID
}

// Later moves marks of a shard that the clock has sent on their way to a later time, when it looks at them again. The
// errors stand in their order; ErrConflict says that somebody has dealt with a mark.
func (db *DB) Later(ctx context.Context, shard int, marks []Wake, to time.Time) []error {
	errs := make([]error, len(marks))
	units := make([]unit, len(marks))
	var group sync.WaitGroup
	slots := make(chan struct{}, inFlight)
	for i, w := range marks {
		slots <- struct{}{}
		group.Go(func() {
			units[i], errs[i] = db.laterUnit(ctx, w, to)
			<-slots
		})
	}
	group.Wait()
	for i, err := range db.commit(ctx, partition(shard), units) {
		if errs[i] == nil {
			errs[i] = err
		}
	}
	return errs
}

// laterUnit moves one mark. One that stands for nothing any more is deleted, with ErrConflict.
func (db *DB) laterUnit(ctx context.Context, w Wake, to time.Time) (unit, error) {
	r, err := db.Schedule(ctx, w.Schedule)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	s := r.Schedule.Value
	stands := func(at time.Time) bool { return err == nil && markKey(at, w.Mark, s.ID) == w.sort }
	switch {
	case w.Mark == Looking && stands(r.Poll.Value.Wake):
		next := r.Poll.Value
		next.Wake = to
		u := unit{{Kind: Replace, Sort: scheduleKey(s.Name, "poll"), Value: encode(next), Version: r.Poll.version}}
		return append(u, moveMark(w.At, to, w.Mark, s)...), nil
	case w.Mark == Closing && stands(r.Window.Value.Wake):
		next := r.Window.Value
		next.Wake = to
		u := unit{{Kind: Replace, Sort: scheduleKey(s.Name, "window"), Value: encode(next), Version: r.Window.version}}
		return append(u, moveMark(w.At, to, w.Mark, s)...), nil
	}
	return unit{{Kind: Delete, Sort: w.sort, Version: w.version}}, fmt.Errorf("mark of schedule %s: %w", w.Schedule, ErrConflict)
}

// Forget deletes rows that a deleted schedule has left behind, at most max of each kind, and its mark with the last
// of them.
func (db *DB) Forget(ctx context.Context, shard int, w Wake, max int) error {
	id := w.sort[strings.LastIndexByte(w.sort, '|')+1:]
	var units []unit
	done := true
	for _, prefix := range []string{"path|" + id + "|", "see|" + id + "|", lanesOf(id), "rev|" + id + "|"} {
		rows, err := db.driver.Scan(ctx, partition(shard), prefix, endOf(prefix), max)
		if err != nil {
			return fmt.Errorf("read what schedule %s has left: %w", w.Schedule, err)
		}
		done = done && len(rows) < max
		for _, row := range rows {
			units = append(units, unit{{Kind: Delete, Sort: row.Sort}})
		}
	}
	if err := failure(db.commit(ctx, partition(shard), units)); err != nil || !done {
		return err
	}
	return db.Discard(ctx, shard, w)
}
