package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// inFlight is how many transactions of one partition a commit has under way: a disk or a network that takes its time
// then takes it for several.
const inFlight = 16

// unit is a set of writes that belong together; several units share a transaction.
type unit []Op

// commit writes units to a partition, as many in one transaction as the limits allow. Each is written as a whole
// or not at all, and has its own error: a unit that meets a conflict does not hold back its neighbours. Units that
// write one row are in no order.
func (db *DB) commit(ctx context.Context, part string, units []unit) []error {
	errs := make([]error, len(units))
	todo := make([]int, len(units))
	for i := range todo {
		todo[i] = i
	}
	for len(todo) > 0 {
		batches := pack(units, todo)
		left := make([][]int, len(batches))
		var group sync.WaitGroup
		slots := make(chan struct{}, inFlight)
		for b, batch := range batches {
			slots <- struct{}{}
			group.Go(func() {
				left[b] = db.apply(ctx, part, units, batch, errs)
				<-slots
			})
		}
		group.Wait()
		todo = todo[:0]
		for _, again := range left {
			todo = append(todo, again...)
		}
	}
	return errs
}

// pack spreads units over transactions: in order, up to the limits, none with two units that write one row.
func pack(units []unit, todo []int) (batches [][]int) {
	var batch []int
	ops, bytes, rows := 0, 0, map[string]bool{}
	for _, i := range todo {
		size, clash := 0, false
		for _, op := range units[i] {
			size += len(op.Sort) + len(op.Value)
			clash = clash || rows[op.Sort]
		}
		if len(batch) > 0 && (clash || ops+len(units[i]) > MaxOps || bytes+size > MaxBatch) {
			batches = append(batches, batch)
			batch, ops, bytes, rows = nil, 0, 0, map[string]bool{}
		}
		for _, op := range units[i] {
			rows[op.Sort] = true
		}
		batch, ops, bytes = append(batch, i), ops+len(units[i]), bytes+size
	}
	return append(batches, batch)
}

// apply writes one transaction and enters its errors. It returns what is to be tried again: the neighbours of a unit
// that stopped it.
func (db *DB) apply(ctx context.Context, part string, units []unit, batch []int, errs []error) (again []int) {
	var ops []Op
	var owner []int
	for _, i := range batch {
		for _, op := range units[i] {
			ops, owner = append(ops, op), append(owner, i)
		}
	}
	err := db.driver.Apply(ctx, part, ops...)
	var at *OpError
	if errors.As(err, &at) && (errors.Is(err, ErrConflict) || errors.Is(err, ErrLimit)) {
		errs[owner[at.Index]] = fmt.Errorf("write row %s: %w", at.Op.Sort, at.Err)
		for _, i := range batch {
			if i != owner[at.Index] {
				again = append(again, i)
			}
		}
		return again
	}
	for _, i := range batch {
		errs[i] = err
	}
	return nil
}
