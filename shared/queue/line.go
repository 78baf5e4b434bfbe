package queue

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// ErrLimit: a body or a delay is more than a Queue takes.
var ErrLimit = errors.New("outside the queue's limits")

// Check refuses, with an error that wraps ErrLimit, what a Queue refuses: a body that is empty (SQS takes none) or
// above MaxBody, a delay above MaxDelay. A delay below 0 is 0. Every Queue calls it at the start of Send.
func Check(body []byte, delay time.Duration) error {
	if len(body) < 1 || len(body) > MaxBody {
		return fmt.Errorf("%w: a body of %d bytes (1 to %d)", ErrLimit, len(body), MaxBody)
	}
	if delay > MaxDelay {
		return fmt.Errorf("%w: a delay of %v (at most %v)", ErrLimit, delay, MaxDelay)
	}
	return nil
}

// MaxDeliveries is how often a queue on one machine delivers a message at most.
const MaxDeliveries = 5

// Again says how long after its n-th delivery has failed a message is delivered again: 1, 2, 4, 8 s. After
// MaxDeliveries it is given up, and ok is false.
func Again(n int) (delay time.Duration, ok bool) {
	if n >= MaxDeliveries {
		return 0, false
	}
	return time.Second << (n - 1), true
}

// Line holds messages until their time: what the queues of one machine share. All methods may be called
// concurrently.
type Line[M any] struct {
	mu   sync.Mutex
	heap waiting[M]
	seq  uint64
	wake chan struct{} // tells Deliver that there is a new first message
}

// NewLine returns an empty Line.
func NewLine[M any]() *Line[M] { return &Line[M]{wake: make(chan struct{}, 1)} }

// Add puts a message into the line. Those of one time leave in the order in which they came.
func (l *Line[M]) Add(m M, at time.Time) {
	l.mu.Lock()
	l.seq++
	e := &place[M]{at: at.UnixNano(), seq: l.seq, m: m}
	heap.Push(&l.heap, e)
	first := l.heap[0] == e
	l.mu.Unlock()
	if first {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// Deliver takes each message out of the line at its time, by the wall clock, and hands it to handle, in at most
// workers goroutines at once. It returns when ctx has ended and every handle has returned. One Deliver at a time
// may run.
func (l *Line[M]) Deliver(ctx context.Context, workers int, handle func(M)) {
	busy := make(chan struct{}, workers)
	var handlers sync.WaitGroup
	defer handlers.Wait()
	for {
		select {
		case busy <- struct{}{}:
		case <-ctx.Done():
			return
		}
		m, ok := l.next(ctx)
		if !ok {
			return
		}
		handlers.Go(func() {
			handle(m)
			<-busy
		})
	}
}

// next waits for the first message's time and takes it. It reports false when ctx has ended.
func (l *Line[M]) next(ctx context.Context) (m M, ok bool) {
	for ctx.Err() == nil {
		m, wait, ok := l.take(time.Now())
		if ok {
			return m, true
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-l.wake:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return m, false
}

// take takes the first message if it is due, or says how long that will be.
func (l *Line[M]) take(now time.Time) (m M, wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.heap) == 0 {
		return m, time.Hour, false // Add wakes earlier
	}
	if wait := time.Duration(l.heap[0].at - now.UnixNano()); wait > 0 {
		return m, wait, false
	}
	return heap.Pop(&l.heap).(*place[M]).m, 0, true
}

// all returns the messages, first to last.
func (l *Line[M]) all() []M {
	l.mu.Lock()
	places := slices.Clone(l.heap)
	l.mu.Unlock()
	slices.SortFunc(places, func(a, b *place[M]) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	all := make([]M, len(places))
	for i, p := range places {
		all[i] = p.m
	}
	return all
}

type place[M any] struct {
	at  int64 // Unix time in nanoseconds
	seq uint64
	m   M
}

func (p *place[M]) before(q *place[M]) bool { return p.at < q.at || p.at == q.at && p.seq < q.seq }

// waiting implements heap.Interface.
type waiting[M any] []*place[M]

func (w waiting[M]) Len() int           { return len(w) }
func (w waiting[M]) Less(i, j int) bool { return w[i].before(w[j]) }
func (w waiting[M]) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }
func (w *waiting[M]) Push(x any)        { *w = append(*w, x.(*place[M])) }
func (w *waiting[M]) Pop() any {
	last := len(*w) - 1
	p := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	return p
}
