package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"carillon/shared/schedule"
)

// DB keeps schedules and occurrences over a Driver. All methods may be called concurrently, by any number of
// processes on one store. What is read carries its version, and a write that builds on it fails with ErrConflict
// when somebody else was faster: the caller reads again.
type DB struct {
	driver Driver
}

// Stored is a record as it was read, with the version that a change of it builds on.
type Stored[T any] struct {
	Value   T
	version Version
}

// Record is all that stands under a schedule's name.
type Record struct {
	Schedule Stored[schedule.Schedule]
	State    Stored[schedule.State]
	Poll     Stored[schedule.Poll]   // of a datastore trigger
	Window   Stored[schedule.Window] // of a datastore trigger, while it is open
	due      Stored[dueRow]
}

// dueRow tells where a schedule's wake row is.
type dueRow struct {
	Next     time.Time `json:"next,omitzero"`
	Since    time.Time `json:"since,omitzero"`
	Recorded time.Time `json:"recorded,omitzero"`
}

// ErrExists: there is a schedule of that name already.
var ErrExists = errors.New("it exists already")

// New makes a DB of what the driver keeps, and sends nothing. The first call of a method reads what the store says of
// itself, and begins a new one where nothing is; every call fails with a store of another format or another number of
// shards.
func New(driver Driver) *DB { return &DB{driver: &checked{Driver: driver}} }

// Open is New, and says at once when the store is of another kind.
func Open(ctx context.Context, driver Driver) (*DB, error) {
	db := New(driver)
	return db, db.driver.(*checked).check(ctx)
}

// NewScheduleID returns an id for a schedule of that name that no other has, also not one of the same name.
func NewScheduleID(name string) string {
	return string(rune('0'+shardOf(name))) + randomID()
}

func randomID() string { return strings.ToLower(rand.Text()[:11]) }

// Schedule reads one schedule. The error wraps ErrNotFound when there is none of that name.
func (db *DB) Schedule(ctx context.Context, name string) (Record, error) {
	if !schedule.ValidName(name) {
		return Record{}, fmt.Errorf("schedule %.100q: %w", name, ErrNotFound)
	}
	prefix := scheduleKey(name, "")
	rows, err := db.driver.Scan(ctx, partition(shardOf(name)), prefix, endOf(prefix), MaxScan)
	if err != nil {
		return Record{}, fmt.Errorf("read schedule %s: %w", name, err)
	}
	records, err := records(rows)
	if err != nil {
		return Record{}, err
	}
	if len(records) == 0 {
		return Record{}, fmt.Errorf("schedule %s: %w", name, ErrNotFound)
	}
	return records[0], nil
}

// records gathers rows of one or more schedules, in order. Rows without a definition are what a crash can leave
// and stand for nothing.
func records(rows []Row) ([]Record, error) {
	var out []Record
	for _, row := range rows {
		name, part := nameOf(row.Sort), row.Sort[strings.LastIndexByte(row.Sort, '|')+1:]
		if part == "def" {
			out = append(out, Record{})
		}
		if len(out) == 0 {
			continue
		}
		r := &out[len(out)-1]
		var err error
		switch {
		case part == "def":
			err = load(row, &r.Schedule)
		case name != r.Schedule.Value.Name:
		case part == "due":
			err = load(row, &r.due)
		case part == "state":
			err = load(row, &r.State)
		case part == "poll":
			err = load(row, &r.Poll)
		case part == "window":
			err = load(row, &r.Window)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Occurrence reads one occurrence. The error wraps ErrNotFound when there is none of that id.
func (db *DB) Occurrence(ctx context.Context, id string) (Stored[schedule.Occurrence], error) {
	var o Stored[schedule.Occurrence]
	shard, err := shardOfID(id)
	if err != nil {
		return o, err
	}
	key, err := occurrenceKey(id)
	if err != nil {
		return o, err
	}
	row, err := db.driver.Get(ctx, partition(shard), key)
	if errors.Is(err, ErrNotFound) {
		return o, fmt.Errorf("run %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return o, fmt.Errorf("read run %s: %w", id, err)
	}
	return o, load(row, &o)
}

// Definition returns the definition under which an occurrence was recorded: the schedule's own when it has not
// changed since. The oldest of many revisions are forgotten; then it is the schedule's own, too.
func (db *DB) Definition(ctx context.Context, s schedule.Schedule, revision int) (schedule.Definition, error) {
	old, err := db.Revision(ctx, s, revision)
	if errors.Is(err, ErrNotFound) {
		return s.Definition, nil
	}
	return old.Definition, err
}

// Revision returns a schedule as it was: s itself, or one that has been replaced since. The error wraps ErrNotFound when it
// is not kept any more, or never was.
func (db *DB) Revision(ctx context.Context, s schedule.Schedule, revision int) (old schedule.Schedule, err error) {
	if revision == s.Revision {
		return s, nil
	}
	row, err := db.driver.Get(ctx, partition(shardOf(s.Name)), revisionKey(s.ID, revision))
	if err != nil {
		return old, fmt.Errorf("revision %d of schedule %s: %w", revision, s.Name, err)
	}
	return old, decode(row, &old)
}

func load[T any](row Row, into *Stored[T]) error {
	into.version = row.Version
	return decode(row, &into.Value)
}

func decode(row Row, into any) error {
	if err := json.Unmarshal(row.Value, into); err != nil {
		return fmt.Errorf("row %s of the store is damaged: %w", row.Sort, err)
	}
	return nil
}

// encode cannot fail: the records are plain data.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // it would make six bytes of one, beyond what was measured
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
