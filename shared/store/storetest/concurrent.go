package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"carillon/shared/store"
)

const writers = 8

// together runs f in several goroutines that begin at once, and waits for them.
func together(f func(n int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for n := range writers {
		wg.Go(func() { <-start; f(n) })
	}
	close(start)
	wg.Wait()
}

func testCounters(t *testing.T, d store.Driver) {
	const each = 10
	apply(t, d, "counters", create("n", "0"))
	together(func(int) {
		for range each {
			for {
				row, err := d.Get(t.Context(), "counters", "n")
				if err != nil {
					t.Error(err)
					return
				}
				n, err := strconv.Atoi(string(row.Value))
				if err != nil {
					t.Error(err)
					return
				}
				err = d.Apply(t.Context(), "counters",
					store.Op{Kind: store.Replace, Sort: "n", Value: []byte(strconv.Itoa(n + 1)), Version: row.Version})
				if err == nil {
					break
				}
				if !errors.Is(err, store.ErrConflict) {
					t.Error(err)
					return
				}
			}
		}
	})
	if got, want := valueOf(t, d, "counters", "n"), strconv.Itoa(writers*each); got != want {
		t.Errorf("%s increments are left of %s", got, want)
	}
}

func testOneCreates(t *testing.T, d store.Driver) {
	const rounds = 10
	winners := make([][]int, rounds)
	var mu sync.Mutex
	together(func(n int) {
		for round := range rounds {
			key := fmt.Sprintf("row%d", round)
			err := d.Apply(t.Context(), "race", create(key, strconv.Itoa(n)), create(fmt.Sprintf("by|%s|%d", key, n), ""))
			switch {
			case err == nil:
				mu.Lock()
				winners[round] = append(winners[round], n)
				mu.Unlock()
			case !errors.Is(err, store.ErrConflict):
				t.Error(err)
			}
		}
	})
	for round, won := range winners {
		if len(won) != 1 {
			t.Fatalf("round %d: created by %v, want by exactly one", round, won)
		}
		if got := valueOf(t, d, "race", fmt.Sprintf("row%d", round)); got != strconv.Itoa(won[0]) {
			t.Errorf("round %d: %d created the row, which is that of %s", round, won[0], got)
		}
	}
	if got := len(scan(t, d, "race", "by|", "by||", store.MaxScan)); got != rounds {
		t.Errorf("%d rows were written beside %d created ones", got, rounds)
	}
}

// testTransfers moves amounts between two rows, each move one batch. Rows say who wrote them and how often, so that
// a row which nobody wrote is noticed.
func testTransfers(t *testing.T, d store.Driver) {
	const each, begin = 10, 1000
	apply(t, d, "bank", create("a", fmt.Sprintf("%d|a", begin)), create("b", fmt.Sprintf("%d|b", begin)))
	read := func() (rows []store.Row, amounts [2]int) {
		rows, err := d.Scan(t.Context(), "bank", "a", "c", 10)
		if err != nil || len(rows) != 2 {
			t.Errorf("scan: %d rows, %v", len(rows), err)
			return nil, amounts
		}
		for i, row := range rows {
			amount, name, _ := strings.Cut(string(row.Value), "|")
			n, err := strconv.Atoi(amount)
			if err != nil || name != row.Sort || row.Version == "" {
				t.Errorf("row %s holds %q, which nobody wrote", row.Sort, row.Value)
				return nil, amounts
			}
			amounts[i] = n
		}
		return rows, amounts
	}
	together(func(n int) {
		for done := 0; done < each; {
			rows, amounts := read()
			if rows == nil {
				return
			}
			err := d.Apply(t.Context(), "bank",
				store.Op{Kind: store.Replace, Sort: "a", Value: fmt.Appendf(nil, "%d|a", amounts[0]-n), Version: rows[0].Version},
				store.Op{Kind: store.Replace, Sort: "b", Value: fmt.Appendf(nil, "%d|b", amounts[1]+n), Version: rows[1].Version})
			switch {
			case err == nil:
				done++
			case !errors.Is(err, store.ErrConflict):
				t.Error(err)
				return
			}
		}
	})
	moved := each * writers * (writers - 1) / 2
	if _, got := read(); got != [2]int{begin - moved, begin + moved} {
		t.Errorf("the rows hold %v after moving %d of %d", got, moved, begin)
	}
}
