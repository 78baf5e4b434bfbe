package queue

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"time"
)

// Mem is a Queue in memory. Receive delivers as a queue on a plain machine does; Pending and Take let a test look
// and deliver by hand: late, twice, or in another order.
type Mem struct {
	// Now is the clock of Send, time.Now unless it is set before the first use. Receive keeps real time
	// (that of a synctest bubble inside one).
	Now func() time.Time

	line *Line[message]
}

// NewMem returns an empty Mem. It starts no goroutine.
func NewMem() *Mem { return &Mem{Now: time.Now, line: NewLine[message]()} }

// Pending is a message that has not been delivered.
type Pending struct {
	Body []byte
	At   time.Time // when it is due
}

type message struct {
	Pending
	failed int // deliveries that ended with an error
}

// Send implements Queue.
func (q *Mem) Send(ctx context.Context, body []byte, delay time.Duration) error {
	if err := cmp.Or(ctx.Err(), Check(body, delay)); err != nil {
		return err
	}
	at := q.Now().Add(max(0, delay))
	q.line.Add(message{Pending: Pending{Body: bytes.Clone(body), At: at}}, at)
	return nil
}

// Pending returns the messages that wait, in the order in which they are due.
func (q *Mem) Pending() []Pending {
	var pending []Pending
	for _, m := range q.line.all() {
		pending = append(pending, Pending{Body: bytes.Clone(m.Body), At: m.At})
	}
	return pending
}

// Take removes the messages that are due at now, and returns their bodies in the order in which they are due.
func (q *Mem) Take(now time.Time) [][]byte {
	var bodies [][]byte
	for {
		m, _, ok := q.line.take(now)
		if !ok {
			return bodies
		}
		bodies = append(bodies, m.Body)
	}
}

// Receive delivers each message at its time to handle, in at most workers goroutines at once, until ctx ends; it
// returns when every handle has returned. When handle returns an error, the message is delivered again after a
// second, then two, four and eight; after five deliveries it is dropped, with a line in the log. A delivery that
// fails after ctx has ended does not count. One Receive at a time may run.
func (q *Mem) Receive(ctx context.Context, workers int, handle func(ctx context.Context, body []byte) error) {
	q.line.Deliver(ctx, workers, func(m message) {
		err := handle(ctx, bytes.Clone(m.Body))
		switch {
		case err == nil:
		case ctx.Err() != nil:
			q.line.Add(m, m.At)
		default:
			q.giveBack(m, err)
		}
	})
}

func (q *Mem) giveBack(m message, why error) {
	m.failed++
	delay, ok := Again(m.failed)
	if !ok {
		slog.Error("message dropped, its deliveries failed", "deliveries", m.failed, "error", why)
		return
	}
	m.At = time.Now().Add(delay)
	q.line.Add(m, m.At)
}
