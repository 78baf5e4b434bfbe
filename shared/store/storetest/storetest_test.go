package storetest

import (
	"errors"
	"fmt"
	"testing"

	"carillon/shared/store"
)

// Wrapped Drivers keep the contract.
func TestRunWrapped(t *testing.T) {
	Run(t, func(t *testing.T) store.Driver {
		return &Counter{Driver: &Faulty{Driver: store.NewMem(), Fail: func(Call) Fault { return Works }}}
	})
}

func TestFaulty(t *testing.T) {
	mem := store.NewMem()
	fault := Works
	var last Call
	f := &Faulty{Driver: mem, Fail: func(c Call) Fault { last = c; return fault }}
	for _, c := range []struct {
		fault   Fault
		err     error
		written bool
	}{{Works, nil, true}, {Refused, ErrFault, false}, {Lost, ErrFault, true}} {
		key := fmt.Sprint("row", c.fault)
		fault = c.fault
		if err := f.Apply(t.Context(), "p", create(key, "x")); !errors.Is(err, c.err) {
			t.Errorf("fault %d: Apply: %v, want %v", c.fault, err, c.err)
		}
		if written := valueOf(t, mem, "p", key) == "x"; written != c.written {
			t.Errorf("fault %d: written is %t", c.fault, written)
		}
		if row, err := f.Get(t.Context(), "p", "row0"); !errors.Is(err, c.err) || (err != nil) != (row.Sort == "") {
			t.Errorf("fault %d: Get: %v, %v, want error %v", c.fault, row, err, c.err)
		}
		if rows, err := f.Scan(t.Context(), "p", "row0", "z", 1); !errors.Is(err, c.err) || (err != nil) != (rows == nil) {
			t.Errorf("fault %d: Scan: %v, %v, want error %v", c.fault, rows, err, c.err)
		}
	}
	if err := f.Apply(t.Context(), "p", create("row0", "again")); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a lost answer to a refused batch: %v, want the conflict", err)
	}
	if last.N != 10 || last.Method != "Apply" || last.Part != "p" || len(last.Ops) != 1 {
		t.Errorf("the last call was seen as %+v", last)
	}
}

func TestCounter(t *testing.T) {
	c := &Counter{Driver: store.NewMem()}
	apply(t, c, "p", create("a", ""), create("b", ""), create("c", ""))
	if err := c.Apply(t.Context(), "p", create("a", "")); err == nil {
		t.Fatal("no conflict")
	}
	get(t, c, "p", "a")
	valueOf(t, c, "p", "missing")
	scan(t, c, "p", "b", "z", 10)
	if got, want := c.String(), "2 gets, 1 scans, 2 applies of 4 operations, 3 rows read"; got != want {
		t.Errorf("counted %s, want %s", got, want)
	}
	if c.Calls() != 5 {
		t.Errorf("%d calls, want 5", c.Calls())
	}
	c.Reset()
	if c.Calls() != 0 || c.Ops.Load() != 0 || c.Rows.Load() != 0 {
		t.Errorf("after Reset: %s", c)
	}
}
