package datastore_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"carillon/shared/store"
)

// process is one that may die: then every call that it makes fails.
type process struct{ dead atomic.Bool }

type processKey struct{}

var (
	errBroken = errors.New("it is broken for now")
	errDead   = errors.New("this process is dead")
)

// call is a call of the outside world by the process of ctx: it takes its time, and may go wrong.
func (w *simulation) call(ctx context.Context, do func() error) error {
	p, ok := ctx.Value(processKey{}).(*process)
	if !ok || w.healthy.Load() && !p.dead.Load() {
		return do()
	}
	pause := time.Duration(w.below(40_000)) * time.Microsecond
	if w.chance(1) {
		pause = time.Duration(w.below(15)) * time.Minute
	}
	time.Sleep(pause)
	if w.chance(3) {
		p.dead.Store(true)
	}
	switch {
	case p.dead.Load():
		return errDead
	case w.chance(15):
		return errBroken
	}
	err := do()
	switch {
	case w.chance(3): // it dies before it gets the answer
		p.dead.Store(true)
		return errDead
	case err == nil && w.chance(15): // the answer is lost
		return errBroken
	}
	return err
}

// unsteady is a store that is called so.
type unsteady struct {
	w      *simulation
	driver store.Driver
}

func (u *unsteady) Get(ctx context.Context, part, sort string) (row store.Row, err error) {
	err = u.w.call(ctx, func() (err error) { row, err = u.driver.Get(ctx, part, sort); return err })
	return row, err
}

func (u *unsteady) Scan(ctx context.Context, part, from, to string, max int) (rows []store.Row, err error) {
	err = u.w.call(ctx, func() (err error) { rows, err = u.driver.Scan(ctx, part, from, to, max); return err })
	return rows, err
}

func (u *unsteady) Apply(ctx context.Context, part string, ops ...store.Op) error {
	return u.w.call(ctx, func() error { return u.driver.Apply(ctx, part, ops...) })
}

// mail is a queue, or the way that events take. What is not acknowledged comes again.
type mail struct {
	w     *simulation
	loses bool

	mu      sync.Mutex
	letters []letter
}

type letter struct {
	body []byte
	at   time.Time
}

func (m *mail) Send(ctx context.Context, body []byte, delay time.Duration) error {
	return m.w.call(ctx, func() error {
		m.post(body, delay, m.loses && !bytes.Contains(body, []byte(`"parked"`))) // an event is nowhere else
		return nil
	})
}

// post puts a letter up: one in ten is lost if it may be, one in ten comes twice, one in five later by minutes.
func (m *mail) post(body []byte, delay time.Duration, loses bool) {
	if loses && m.w.chance(100) {
		return
	}
	at := time.Now().Add(delay)
	if m.w.chance(200) {
		at = at.Add(time.Duration(m.w.below(300)) * time.Second)
	}
	letters := []letter{{body, at}}
	if m.w.chance(100) {
		letters = append(letters, letter{body, at.Add(time.Duration(m.w.below(120)) * time.Second)})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.letters = append(m.letters, letters...)
}

// deliver hands every letter whose time has come to a process of its own, or to two at once.
func (m *mail) deliver(handle func(context.Context, []byte) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.letters = slices.DeleteFunc(m.letters, func(l letter) bool {
		due := !l.at.After(time.Now())
		if due {
			m.w.start(func(ctx context.Context) {
				if handle(ctx, l.body) != nil {
					m.mu.Lock()
					defer m.mu.Unlock()
					m.letters = append(m.letters, letter{l.body, time.Now().Add(time.Duration(1+m.w.below(60)) * time.Second)})
				}
			})
		}
		if due && m.w.chance(50) {
			m.w.start(func(ctx context.Context) { _ = handle(ctx, l.body) })
		}
		return due
	})
}
