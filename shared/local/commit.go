package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

const (
	maxCommit  = 8 << 20     // bytes after which a transaction takes in no further change
	flushDelay = time.Second // the longest that a change for which nobody waits stays unwritten
)

// change is a write that shares a transaction, and its fsync, with others.
type change struct {
	// check may refuse the change, before anything of it is written; nil never does. Its neighbours go on.
	check func(tx *bbolt.Tx) error
	// write writes. An error is the file's, and fails the whole transaction.
	write func(tx *bbolt.Tx) error

	size int // in bytes, about
	done chan error
}

// committer is the goroutine that writes the file. While it waits for the disk, changes queue up for its next
// transaction: one writer alone never waits for others, and many share an fsync.
type committer struct {
	path    string
	db      *bbolt.DB
	damaged error // why nothing is written any more

	changes chan change
	closing chan struct{}
	closed  chan struct{}
	once    sync.Once
	err     error // of the last transaction; to be read after closed

	mu     sync.Mutex
	idle   []func(tx *bbolt.Tx) error // changes for which nobody waits
	queued chan struct{}              // there is one
}

func startCommitter(path string, db *bbolt.DB) *committer {
	c := &committer{
		path: path, db: db,
		changes: make(chan change), // unbuffered: what has been taken will be answered
		closing: make(chan struct{}), closed: make(chan struct{}),
		queued: make(chan struct{}, 1),
	}
	go c.run()
	return c
}

// do writes a change and waits until it is durable. When ctx ends first, and the change is not yet in a
// transaction, it is not written.
func (c *committer) do(ctx context.Context, ch change) error {
	ch.done = make(chan error, 1)
	select {
	case c.changes <- ch:
		return <-ch.done
	case <-ctx.Done():
		return ctx.Err()
	case <-c.closing:
		return ErrClosed
	}
}

// later writes with the next transaction, or in a second. If the process dies first, it is not written.
func (c *committer) later(write func(tx *bbolt.Tx) error) {
	c.mu.Lock()
	c.idle = append(c.idle, write)
	c.mu.Unlock()
	select {
	case c.queued <- struct{}{}:
	default:
	}
}

// stop writes what later was given, ends the goroutine and returns the error of its last transaction, every time.
func (c *committer) stop() error {
	c.once.Do(func() { close(c.closing) })
	<-c.closed
	return c.err
}

func (c *committer) run() {
	defer close(c.closed)
	var flush <-chan time.Time
	for {
		select {
		case ch := <-c.changes:
			c.commit(c.gather(ch))
		case <-c.queued:
			if flush == nil {
				flush = time.After(flushDelay)
			}
		case <-flush:
			flush = nil
			c.commit(nil)
		case <-c.closing:
			c.err = c.commit(nil)
			return
		}
	}
}

// gather takes the changes that wait already. Those whom the last commit has set free are let run first: they are
// about to bring their next ones.
func (c *committer) gather(first change) []change {
	batch, size := []change{first}, first.size
	for yielded := false; size < maxCommit; {
		select {
		case ch := <-c.changes:
			batch, size = append(batch, ch), size+ch.size
		default:
			if yielded {
				return batch
			}
			runtime.Gosched()
			yielded = true
		}
	}
	return batch
}

// commit writes a batch, and all that idles, in one transaction and tells each change how it went.
func (c *committer) commit(batch []change) error {
	c.mu.Lock()
	idle := c.idle
	c.idle = nil
	c.mu.Unlock()
	if len(batch)+len(idle) == 0 {
		return nil
	}

	refused := make([]error, len(batch))
	err := c.transact(func(tx *bbolt.Tx) (wrote bool, err error) {
		for i, ch := range batch {
			if ch.check != nil {
				if refused[i] = ch.check(tx); refused[i] != nil {
					continue
				}
			}
			if err := ch.write(tx); err != nil {
				return false, err
			}
			wrote = true
		}
		for _, write := range idle {
			if err := write(tx); err != nil {
				return false, err
			}
			wrote = true
		}
		return wrote, nil
	})
	for i, ch := range batch {
		if refused[i] != nil && err == nil {
			ch.done <- refused[i]
		} else {
			ch.done <- err
		}
	}
	if err != nil && len(idle) > 0 {
		c.retry(idle, err)
	}
	return err
}

// retry keeps for the next transaction what nobody waits for, unless there will be none.
func (c *committer) retry(idle []func(tx *bbolt.Tx) error, why error) {
	slog.Error("the state file cannot be written", "error", why)
	if errors.Is(why, ErrDamaged) {
		return
	}
	c.mu.Lock()
	c.idle = slices.Concat(idle, c.idle)
	c.mu.Unlock()
	select {
	case c.queued <- struct{}{}:
	default:
	}
}

// transact writes in one transaction, or nothing when f says that it wrote nothing.
func (c *committer) transact(f func(tx *bbolt.Tx) (wrote bool, err error)) error {
	if c.damaged != nil {
		return c.damaged
	}
	var tx *bbolt.Tx
	err := guard(func() (err error) {
		if tx, err = c.db.Begin(true); err != nil {
			return err
		}
		wrote, err := f(tx)
		if err != nil || !wrote {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	})
	if err != nil {
		err = fmt.Errorf("write %s: %w", c.path, err)
	}
	if errors.Is(err, ErrDamaged) {
		_ = guard(tx.Rollback) // lets readers go on
		c.damaged = fmt.Errorf("%w; stop Carillon and put a backup in its place", err)
		err = c.damaged
	}
	return err
}
