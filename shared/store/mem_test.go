package store_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"carillon/shared/store"
	"carillon/shared/store/storetest"
)

func TestMem(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Driver { return store.NewMem() })
}

// Mem's blocks split, empty and vanish: random operations against a plain map.
func TestMemRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	mem, want := store.NewMem(), map[string]string{}
	for step := range 40_000 {
		key := fmt.Sprintf("k|%04d", random.IntN(3000))
		op := store.Op{Kind: store.Put, Sort: key, Value: []byte(fmt.Sprint(step))}
		if random.IntN(step/10_000+2) > 0 {
			op = store.Op{Kind: store.Delete, Sort: key}
		}
		err := mem.Apply(t.Context(), "p", op)
		if _, exists := want[key]; op.Kind == store.Delete && exists == (err != nil) {
			t.Fatalf("step %d: delete %s: %v", step, key, err)
		}
		if op.Kind == store.Delete {
			delete(want, key)
		} else {
			want[key] = string(op.Value)
		}
	}
	seen, from := 0, ""
	for {
		rows, err := mem.Scan(t.Context(), "p", from, "z", 97)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			if want[row.Sort] != string(row.Value) || row.Sort < from {
				t.Fatalf("row %s after %s holds %s, want %s", row.Sort, from, row.Value, want[row.Sort])
			}
			from = store.After(row.Sort)
			seen++
		}
		if len(rows) < 97 {
			break
		}
	}
	if seen != len(want) || seen == 0 {
		t.Errorf("a scan sees %d rows of %d", seen, len(want))
	}
}

// Rows in random order into one partition; ns/op is that of one row.
func BenchmarkMemPut(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			keys := make([]string, n)
			for i, k := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
				keys[i] = fmt.Sprintf("row|%09d", k)
			}
			var mem *store.Mem
			for i := 0; b.Loop(); i++ {
				if i%n == 0 {
					mem = store.NewMem()
				}
				op := store.Op{Kind: store.Put, Sort: keys[i%n], Value: []byte("value")}
				if err := mem.Apply(b.Context(), "p", op); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
