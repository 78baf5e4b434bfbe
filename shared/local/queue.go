package local

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.etcd.io/bbolt"

	"carillon/shared/queue"
)

// Queue is a durable queue in the state file. In memory it keeps where the messages are, not what they say.
type Queue struct {
	state *State
	name  string
	line  *queue.Line[pending]
}

// pending is a message that waits or is in hand.
type pending struct {
	number uint64 // its key in the bucket
	at     int64  // when it is due, Unix time in nanoseconds
	failed uint8  // deliveries that ended with an error
}

const headSize = 9 // at and failed, before each body

var errGone = errors.New("the message is gone")

// Name returns the queue's name.
func (q *Queue) Name() string { return q.name }

// Send implements queue.Queue. Concurrent calls share transactions.
func (q *Queue) Send(ctx context.Context, body []byte, delay time.Duration) error {
	if err := cmp.Or(ctx.Err(), queue.Check(body, delay)); err != nil {
		return err
	}
	m := pending{at: time.Now().Add(max(0, delay)).UnixNano()}
	record := append(m.head(), body...)
	return q.state.commit.do(ctx, change{size: len(record), write: func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(q.bucket())
		if err != nil {
			return err
		}
		if m.number, err = b.NextSequence(); err != nil {
			return err
		}
		tx.OnCommit(func() { q.add(m) })
		return b.Put(m.key(), record)
	}})
}

// Receive delivers each message at its time to handle, in at most workers goroutines at once, until ctx ends; it
// returns when every handle has returned. When handle returns an error, the message is delivered again after a
// second, then two, four and eight; after five deliveries it is dropped, with a line in the log: the clock finds in
// the store what was to be done. A delivery that fails after ctx has ended does not count. One Receive at a time
// may run.
//
// That a message was handled is written within a second. If the process dies first it comes again.
func (q *Queue) Receive(ctx context.Context, workers int, handle func(ctx context.Context, body []byte) error) {
	q.line.Deliver(ctx, workers, func(m pending) {
		body, err := q.body(m)
		if err == nil {
			err = handle(ctx, body)
		}
		switch {
		case err == nil:
			q.delete(m)
		case errors.Is(err, errGone):
		case ctx.Err() != nil:
			q.add(m)
		default:
			q.giveBack(m, err)
		}
	})
}

func (q *Queue) giveBack(m pending, why error) {
	m.failed++
	delay, ok := queue.Again(int(m.failed))
	if !ok {
		slog.Error("message dropped, its deliveries failed", "queue", q.name, "deliveries", m.failed, "error", why)
		q.delete(m)
		return
	}
	m.at = time.Now().Add(delay).UnixNano()
	q.add(m)
	q.state.commit.later(func(tx *bbolt.Tx) error {
		b := tx.Bucket(q.bucket())
		record := b.Get(m.key())
		if len(record) < headSize {
			return nil
		}
		return b.Put(m.key(), append(m.head(), record[headSize:]...))
	})
}

func (q *Queue) delete(m pending) {
	q.state.commit.later(func(tx *bbolt.Tx) error { return tx.Bucket(q.bucket()).Delete(m.key()) })
}

func (q *Queue) body(m pending) (body []byte, err error) {
	err = q.state.view(func(tx *bbolt.Tx) error {
		record := tx.Bucket(q.bucket()).Get(m.key())
		switch {
		case record == nil:
			return errGone
		case len(record) < headSize || len(record) > headSize+queue.MaxBody:
			return damagedMessage(record)
		}
		body = bytes.Clone(record[headSize:])
		return nil
	})
	return body, err
}

// load puts a message that was found in the file into the line.
func (q *Queue) load(key, record []byte) error {
	if len(key) != 8 || len(record) < headSize {
		return damagedMessage(record)
	}
	m := pending{
		number: binary.BigEndian.Uint64(key),
		at:     int64(binary.BigEndian.Uint64(record)),
		failed: record[8],
	}
	// A clock that was set back must not keep messages for longer than anybody may ask.
	m.at = min(m.at, time.Now().Add(queue.MaxDelay).UnixNano())
	q.add(m)
	return nil
}

func damagedMessage(record []byte) error {
	return fmt.Errorf("%w: a message has %d bytes", ErrDamaged, len(record))
}

func (q *Queue) add(m pending) { q.line.Add(m, time.Unix(0, m.at)) }

func (q *Queue) bucket() []byte { return []byte(queuePrefix + q.name) }

func (m pending) key() []byte { return binary.BigEndian.AppendUint64(nil, m.number) }

func (m pending) head() []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, headSize), uint64(m.at)), m.failed)
}
