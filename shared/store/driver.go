// Package store is Carillon's memory: typed records of schedules and occurrences (DB), written once over a very
// small Driver that Azure Tables, DynamoDB and one bbolt file can all keep.
package store

import (
	"context"
	"errors"
	"fmt"
)

// Limits that hold on every backend. A Driver refuses what lies outside with an error that wraps ErrLimit, and
// writes nothing.
const (
	MaxKey   = 512      // bytes of a partition name or of a sort key, at least 1, made of [A-Za-z0-9._|-]
	MaxValue = 48 << 10 // bytes of one value
	MaxOps   = 100      // operations in one Apply
	MaxBatch = 1 << 20  // bytes of all keys and values in one Apply
	MaxScan  = 1000     // rows that one Scan returns
)

var (
	// ErrNotFound: there is no such row.
	ErrNotFound = errors.New("no such row")
	// ErrConflict: a row is not as the operation expects it: it exists, is gone, or has another version.
	ErrConflict = errors.New("the row has changed")
	// ErrLimit: a key, value or batch breaks a limit above, or a batch names one row twice.
	ErrLimit = errors.New("outside the store's limits")
)

// Version is a row's opaque version. Every write of a row gives it one that it never had before, also when the
// value is the same or the row was deleted in between.
type Version string

// Row is one stored value and the version that it had when it was read.
type Row struct {
	Sort    string
	Value   []byte
	Version Version
}

// OpKind is what an Op does and what it expects.
type OpKind uint8

const (
	Create  OpKind = iota // the row must not exist
	Replace               // the row must have Version
	Put                   // written whatever is there
	Delete                // the row must have Version; with an empty Version it must exist
)

// Op is one write in a batch.
type Op struct {
	Kind    OpKind
	Sort    string
	Value   []byte  // not for Delete
	Version Version // for Replace, and for Delete unless any version will do
}

// OpError says which operation of a batch failed. It wraps ErrConflict, ErrLimit, or what the backend said.
type OpError struct {
	Index int // in the ops given to Apply
	Op    Op
	Err   error
}

func (e *OpError) Error() string {
	return fmt.Sprintf("operation %d, row %s: %v", e.Index, e.Op.Sort, e.Err)
}
func (e *OpError) Unwrap() error { return e.Err }

// Driver keeps rows, ordered by their sort key within partitions. It is what a backend has to provide; storetest
// holds every one of them to this contract. All methods may be called concurrently, by many processes where the
// backend is shared. Values are copied: neither side may change what the other holds.
//
// Reads see every write that was acknowledged before they began. The caller retries: a Driver retries only what
// certainly was not done. An error other than those above leaves open whether the batch was written.
type Driver interface {
	// Get returns one row, or an error that wraps ErrNotFound.
	Get(ctx context.Context, part, sort string) (Row, error)

	// Scan returns the rows with from <= sort < to in ascending byte order, at most max of them (and at most
	// MaxScan). Fewer than max says that there are no more. To go on, start at After of the last key seen.
	// The bounds may be any string in the alphabet of keys.
	Scan(ctx context.Context, part, from, to string, max int) ([]Row, error)

	// Apply writes all of ops or none of them, atomically and durably, each row at most once. When an
	// expectation is not met, the error is an *OpError that wraps ErrConflict and names one such operation.
	Apply(ctx context.Context, part string, ops ...Op) error
}

// After returns the smallest key that is greater than key: '-' is the first character of the alphabet.
func After(key string) string { return key + "-" }
