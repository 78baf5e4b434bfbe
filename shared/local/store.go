package local

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"strconv"

	"go.etcd.io/bbolt"

	"carillon/shared/store"
)

// Store returns the state's rows as a Driver. Concurrent calls of Apply share transactions; each is durable when it
// returns nil. When its context ends before the transaction has begun, nothing is written.
func (s *State) Store() store.Driver { return rows{s} }

type rows struct{ state *State }

const versionSize = 8 // big-endian, before each value

func bucketOf(part string) []byte { return []byte(rowsPrefix + part) }

// Get implements store.Driver.
func (r rows) Get(ctx context.Context, part, sort string) (row store.Row, err error) {
	if err := cmp.Or(ctx.Err(), store.CheckGet(part, sort)); err != nil {
		return row, err
	}
	err = r.state.view(func(tx *bbolt.Tx) error {
		record := read(tx.Bucket(bucketOf(part)), sort)
		if record == nil {
			return fmt.Errorf("row %s in partition %s: %w", sort, part, store.ErrNotFound)
		}
		row, err = decode([]byte(sort), record)
		return err
	})
	return row, err
}

// Scan implements store.Driver.
func (r rows) Scan(ctx context.Context, part, from, to string, max int) (all []store.Row, err error) {
	if err := cmp.Or(ctx.Err(), store.CheckScan(part, from, to, max)); err != nil {
		return nil, err
	}
	err = r.state.view(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketOf(part))
		if b == nil {
			return nil
		}
		c, end := b.Cursor(), []byte(to)
		for k, v := c.Seek([]byte(from)); k != nil && bytes.Compare(k, end) < 0 && len(all) < max; k, v = c.Next() {
			row, err := decode(k, v)
			if err != nil {
				return err
			}
			all = append(all, row)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Apply implements store.Driver.
func (r rows) Apply(ctx context.Context, part string, ops ...store.Op) error {
	if err := cmp.Or(ctx.Err(), store.Check(part, ops)); err != nil || len(ops) == 0 {
		return err
	}
	size := 0
	for _, op := range ops {
		size += len(op.Sort) + len(op.Value)
	}
	return r.state.commit.do(ctx, change{
		size:  size,
		check: func(tx *bbolt.Tx) error { return expect(tx.Bucket(bucketOf(part)), ops) },
		write: func(tx *bbolt.Tx) error { return write(tx, bucketOf(part), ops) },
	})
}

func expect(b *bbolt.Bucket, ops []store.Op) error {
	for i, op := range ops {
		if op.Kind == store.Put {
			continue // expects nothing: spare the look
		}
		var have store.Version
		if record := read(b, op.Sort); record != nil {
			var err error
			if have, err = version(record); err != nil {
				return err
			}
		}
		if !op.Met(have) {
			return &store.OpError{Index: i, Op: op, Err: store.ErrConflict}
		}
	}
	return nil
}

func write(tx *bbolt.Tx, bucket []byte, ops []store.Op) error {
	b, err := tx.CreateBucketIfNotExists(bucket)
	if err != nil {
		return err
	}
	for _, op := range ops {
		if op.Kind == store.Delete {
			err = b.Delete([]byte(op.Sort))
		} else {
			err = put(b, op)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func put(b *bbolt.Bucket, op store.Op) error {
	version, err := b.NextSequence()
	if err != nil {
		return err
	}
	record := make([]byte, 0, versionSize+len(op.Value)) // bbolt keeps it until the commit
	record = append(binary.BigEndian.AppendUint64(record, version), op.Value...)
	return b.Put([]byte(op.Sort), record)
}

// read returns a row's record, nil when there is none or no bucket.
func read(b *bbolt.Bucket, sort string) []byte {
	if b == nil {
		return nil
	}
	return b.Get([]byte(sort))
}

// decode copies a row out of the file.
func decode(sort, record []byte) (store.Row, error) {
	v, err := version(record)
	if err != nil || len(sort) > store.MaxKey {
		return store.Row{}, fmt.Errorf("row %.100q: %w", sort, cmp.Or(err, ErrDamaged))
	}
	return store.Row{Sort: string(sort), Value: bytes.Clone(record[versionSize:]), Version: v}, nil
}

// version reads a record's version. Lengths are checked so that a damaged file is not believed.
func version(record []byte) (store.Version, error) {
	if len(record) < versionSize || len(record) > versionSize+store.MaxValue {
		return "", fmt.Errorf("%w: %d bytes", ErrDamaged, len(record))
	}
	return store.Version(strconv.FormatUint(binary.BigEndian.Uint64(record), 36)), nil
}
