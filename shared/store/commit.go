package store

import (
	"context"
	"errors"
	"fmt"
)

// unit is a set of writes that belong together; several units share a transaction.
type unit []Op

// commit writes units to a partition, as many in one transaction as the limits allow. Each is written as a whole
// or not at all, and has its own error: a unit that meets a conflict does not hold back its neighbours.
func (db *DB) commit(ctx context.Context, part string, units []unit) []error {
	errs := make([]error, len(units))
	todo := make([]int, 0, len(units))
	for i := range units {
		todo = append(todo, i)
	}
	for len(todo) > 0 {
		batch := pack(units, todo)
		failed, err := db.apply(ctx, part, units, batch)
		switch {
		case err == nil:
			todo = without(todo, batch)
		case failed >= 0:
			errs[failed] = err
			todo = without(todo, []int{failed})
		default:
			for _, i := range batch {
				errs[i] = err
			}
			todo = without(todo, batch)
		}
	}
	return errs
}

// pack chooses the units of the next transaction: in order, up to the limits, none that writes a row which an
// earlier one writes.
func pack(units []unit, todo []int) []int {
	var batch []int
	ops, bytes, rows := 0, 0, map[string]bool{}
next:
	for _, i := range todo {
		size := 0
		for _, op := range units[i] {
			if rows[op.Sort] {
				continue next
			}
			size += len(op.Sort) + len(op.Value)
		}
		if len(batch) > 0 && (ops+len(units[i]) > MaxOps || bytes+size > MaxBatch) {
			break
		}
		for _, op := range units[i] {
			rows[op.Sort] = true
		}
		batch, ops, bytes = append(batch, i), ops+len(units[i]), bytes+size
	}
	return batch
}

// apply writes one transaction and says which unit stopped it, -1 when it was none in particular.
func (db *DB) apply(ctx context.Context, part string, units []unit, batch []int) (failed int, err error) {
	var ops []Op
	var owner []int
	for _, i := range batch {
		for _, op := range units[i] {
			ops, owner = append(ops, op), append(owner, i)
		}
	}
	err = db.driver.Apply(ctx, part, ops...)
	var at *OpError
	if errors.As(err, &at) && (errors.Is(err, ErrConflict) || errors.Is(err, ErrLimit)) {
		return owner[at.Index], fmt.Errorf("write row %s: %w", at.Op.Sort, at.Err)
	}
	return -1, err
}

func without(todo, done []int) []int {
	gone := make(map[int]bool, len(done))
	for _, i := range done {
		gone[i] = true
	}
	left := todo[:0]
	for _, i := range todo {
		if !gone[i] {
			left = append(left, i)
		}
	}
	return left
}
