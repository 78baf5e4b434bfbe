package storetest

import (
	"context"
	"fmt"
	"sync/atomic"

	"carillon/shared/store"
)

// Counter is a Driver that counts what it is asked for, failed calls included.
type Counter struct {
	store.Driver
	Gets, Scans, Applies atomic.Int64 // calls
	Ops                  atomic.Int64 // operations given to Apply
	Rows                 atomic.Int64 // rows that Get and Scan returned
}

// Get implements store.Driver.
func (c *Counter) Get(ctx context.Context, part, sort string) (store.Row, error) {
	c.Gets.Add(1)
	row, err := c.Driver.Get(ctx, part, sort)
	if err == nil {
		c.Rows.Add(1)
	}
	return row, err
}

// Scan implements store.Driver.
func (c *Counter) Scan(ctx context.Context, part, from, to string, max int) ([]store.Row, error) {
	c.Scans.Add(1)
	rows, err := c.Driver.Scan(ctx, part, from, to, max)
	c.Rows.Add(int64(len(rows)))
	return rows, err
}

// Apply implements store.Driver.
func (c *Counter) Apply(ctx context.Context, part string, ops ...store.Op) error {
	c.Applies.Add(1)
	c.Ops.Add(int64(len(ops)))
	return c.Driver.Apply(ctx, part, ops...)
}

// Calls returns how many calls there were in all.
func (c *Counter) Calls() int64 { return c.Gets.Load() + c.Scans.Load() + c.Applies.Load() }

// Reset sets all counts to zero. Calls under way may still count themselves.
func (c *Counter) Reset() {
	for _, n := range []*atomic.Int64{&c.Gets, &c.Scans, &c.Applies, &c.Ops, &c.Rows} {
		n.Store(0)
	}
}

func (c *Counter) String() string {
	return fmt.Sprintf("%d gets, %d scans, %d applies of %d operations, %d rows read",
		c.Gets.Load(), c.Scans.Load(), c.Applies.Load(), c.Ops.Load(), c.Rows.Load())
}
