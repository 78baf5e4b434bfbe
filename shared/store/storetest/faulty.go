package storetest

import (
	"context"
	"errors"
	"sync/atomic"

	"carillon/shared/store"
)

// ErrFault is what a Faulty fails with: an error that leaves open whether the batch was written.
var ErrFault = errors.New("injected fault")

// Fault is how a call goes wrong.
type Fault int

const (
	Works   Fault = iota // the call goes through
	Refused              // nothing is done, ErrFault
	Lost                 // it is done, and its answer is lost: ErrFault. A call that the Driver refuses shows the Driver's error
)

// Call is a call that a Faulty is about to make.
type Call struct {
	N      int64  // 1 for the first call of all
	Method string // Get, Scan or Apply
	Part   string
	Sort   string     // of Get; the lower bound of Scan
	Ops    []store.Op // of Apply
}

// Faulty is a Driver whose calls fail when Fail says so. Fail is called concurrently if the Driver is.
type Faulty struct {
	store.Driver
	Fail func(Call) Fault

	calls atomic.Int64
}

// Get implements store.Driver.
func (f *Faulty) Get(ctx context.Context, part, sort string) (row store.Row, err error) {
	err = f.call(Call{Method: "Get", Part: part, Sort: sort}, func() error {
		row, err = f.Driver.Get(ctx, part, sort)
		return err
	})
	if err != nil {
		return store.Row{}, err
	}
	return row, nil
}

// Scan implements store.Driver.
func (f *Faulty) Scan(ctx context.Context, part, from, to string, max int) (rows []store.Row, err error) {
	err = f.call(Call{Method: "Scan", Part: part, Sort: from}, func() error {
		rows, err = f.Driver.Scan(ctx, part, from, to, max)
		return err
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// Apply implements store.Driver.
func (f *Faulty) Apply(ctx context.Context, part string, ops ...store.Op) error {
	return f.call(Call{Method: "Apply", Part: part, Ops: ops}, func() error {
		return f.Driver.Apply(ctx, part, ops...)
	})
}

func (f *Faulty) call(c Call, do func() error) error {
	c.N = f.calls.Add(1)
	fault := f.Fail(c)
	if fault == Refused {
		return ErrFault
	}
	if err := do(); err != nil {
		return err
	}
	if fault == Lost {
		return ErrFault
	}
	return nil
}
