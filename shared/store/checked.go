package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
)

// meta is what a store says of itself. It is written once.
type meta struct {
	Format     int    `json:"format"`
	Shards     int    `json:"shards"`
	Deployment string `json:"deployment"`
}

const format = 1

// checked lets calls through once it has seen that the store is one that this program can read.
type checked struct {
	Driver
	ok atomic.Bool
}

func (c *checked) Get(ctx context.Context, part, sort string) (Row, error) {
	if err := c.check(ctx); err != nil {
		return Row{}, err
	}
	return c.Driver.Get(ctx, part, sort)
}

func (c *checked) Scan(ctx context.Context, part, from, to string, max int) ([]Row, error) {
	if err := c.check(ctx); err != nil {
		return nil, err
	}
	return c.Driver.Scan(ctx, part, from, to, max)
}

func (c *checked) Apply(ctx context.Context, part string, ops ...Op) error {
	if err := c.check(ctx); err != nil {
		return err
	}
	return c.Driver.Apply(ctx, part, ops...)
}

// check reads the store's row about itself, until it has been read. Many may do so at once: the first row stays.
func (c *checked) check(ctx context.Context) error {
	if c.ok.Load() {
		return nil
	}
	row, err := c.Driver.Get(ctx, "meta", "meta")
	if errors.Is(err, ErrNotFound) {
		first := meta{Format: format, Shards: Shards, Deployment: randomID()}
		err = c.Driver.Apply(ctx, "meta", Op{Kind: Create, Sort: "meta", Value: encode(first)})
		if err == nil || errors.Is(err, ErrConflict) {
			row, err = c.Driver.Get(ctx, "meta", "meta")
		}
	}
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	var m meta
	if err := decode(row, &m); err != nil {
		return err
	}
	if m.Format != format || m.Shards != Shards {
		return fmt.Errorf("the store has format %d with %d shards; this Carillon reads format %d with %d", m.Format, m.Shards, format, Shards)
	}
	c.ok.Store(true)
	return nil
}
