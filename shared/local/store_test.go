package local

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"carillon/shared/store"
	"carillon/shared/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Driver { return openTest(t).Store() })
}

func openTest(t *testing.T) *State {
	t.Helper()
	s := mustOpen(t, filepath.Join(t.TempDir(), "carillon.db"))
	t.Cleanup(func() { s.Close() })
	return s
}

// What Apply has acknowledged is found after a crash, and versions go on where they were.
func TestDurable(t *testing.T) {
	s := openTest(t)
	seen := map[store.Version]bool{}
	for n := range 5 {
		if err := s.Store().Apply(t.Context(), "p", store.Op{Kind: store.Create, Sort: "row", Value: []byte(fmt.Sprint(n))}); err != nil {
			t.Fatal(err)
		}
		s = afterCrash(t, s)
		row, err := s.Store().Get(t.Context(), "p", "row")
		if err != nil || string(row.Value) != fmt.Sprint(n) {
			t.Fatalf("after crash %d: %q, %v", n, row.Value, err)
		}
		if seen[row.Version] {
			t.Errorf("version %q came twice", row.Version)
		}
		seen[row.Version] = true
		if err := s.Store().Apply(t.Context(), "p", store.Op{Kind: store.Delete, Sort: "row", Version: row.Version}); err != nil {
			t.Fatal(err)
		}
		s = afterCrash(t, s)
	}
}

// Changes that share a transaction see one another, and one that is refused takes nothing with it.
func TestCommitTogether(t *testing.T) {
	s := openTest(t)
	apply := func(ops ...store.Op) change {
		return change{
			check: func(tx *bbolt.Tx) error { return expect(tx.Bucket(bucketOf("p")), ops) },
			write: func(tx *bbolt.Tx) error { return write(tx, bucketOf("p"), ops) },
			done:  make(chan error, 1),
		}
	}
	create := func(sort string) store.Op { return store.Op{Kind: store.Create, Sort: sort, Value: []byte(sort)} }
	batch := []change{
		apply(create("a")),
		apply(create("b"), create("a")), // is refused, with its b
		apply(create("c")),
		apply(store.Op{Kind: store.Delete, Sort: "c"}, create("d")),
	}
	before := transactions(t, s)
	if err := s.commit.commit(batch); err != nil { // its goroutine is idle
		t.Fatal(err)
	}
	for i, want := range []error{nil, store.ErrConflict, nil, nil} {
		if err := <-batch[i].done; !errors.Is(err, want) {
			t.Errorf("change %d: %v, want %v", i, err, want)
		}
	}
	if got := transactions(t, s) - before; got != 1 {
		t.Errorf("%d transactions, want 1", got)
	}
	rows, err := s.Store().Scan(t.Context(), "p", "", "z", 10)
	if err != nil || len(rows) != 2 || rows[0].Sort != "a" || rows[1].Sort != "d" {
		t.Errorf("the rows are %v, %v, want a and d", rows, err)
	}

	// A transaction that only refuses costs none.
	before = transactions(t, s)
	if err := s.Store().Apply(t.Context(), "p", create("a")); !errors.Is(err, store.ErrConflict) {
		t.Errorf("created again: %v", err)
	}
	if got := transactions(t, s) - before; got != 0 {
		t.Errorf("a refusal took %d transactions", got)
	}
}

// When the transaction fails, nothing of it is written, and all are told.
func TestCommitFails(t *testing.T) {
	s := openTest(t)
	failed := errors.New("disk failed")
	batch := []change{
		{write: func(tx *bbolt.Tx) error {
			return write(tx, bucketOf("p"), []store.Op{{Kind: store.Put, Sort: "row"}})
		}, done: make(chan error, 1)},
		{write: func(*bbolt.Tx) error { return failed }, done: make(chan error, 1)},
	}
	_ = s.commit.commit(batch)
	for i, ch := range batch {
		if err := <-ch.done; !errors.Is(err, failed) {
			t.Errorf("change %d: %v, want %v", i, err, failed)
		}
	}
	if _, err := s.Store().Get(t.Context(), "p", "row"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the row of a failed transaction: %v", err)
	}
	putRow(t, s, "p", "row", "works again")
}

// An Apply whose context ends while another transaction is under way writes nothing.
func TestApplyCancelledWhileWaiting(t *testing.T) {
	s := openTest(t)
	started, release := make(chan struct{}), make(chan struct{})
	slow := make(chan error)
	go func() {
		slow <- s.commit.do(context.Background(), change{write: func(*bbolt.Tx) error {
			close(started)
			<-release
			return nil
		}})
	}()
	<-started
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error)
	go func() { waiting <- s.Store().Apply(ctx, "p", store.Op{Kind: store.Create, Sort: "row"}) }()
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		t.Errorf("Apply: %v", err)
	}
	close(release)
	if err := <-slow; err != nil {
		t.Error(err)
	}
	if _, err := s.Store().Get(t.Context(), "p", "row"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the row: %v", err)
	}
}

// transactions counts those that were written.
func transactions(t *testing.T, s *State) (n int) {
	t.Helper()
	err := s.db.View(func(tx *bbolt.Tx) error { n = tx.ID(); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A change for which nobody waits is tried until the file can be written.
func TestLaterTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openTest(t)
		tries := 0
		s.commit.later(func(tx *bbolt.Tx) error {
			if tries++; tries < 3 {
				return errors.New("disk full")
			}
			return write(tx, bucketOf("p"), []store.Op{{Kind: store.Put, Sort: "row", Value: []byte("x")}})
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := rowOf(t, s, "p", "row"); got != "x" || tries != 3 {
			t.Errorf("after %d tries the row holds %q", tries, got)
		}
	})
}
