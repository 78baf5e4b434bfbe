package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"carillon/shared/store"
)

// alphabet holds every byte that a key may have, in ascending order.
const alphabet = "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz|"

func testOrder(t *testing.T, d store.Driver) {
	var want []string
	for _, c := range alphabet {
		want = append(want, string(c), string(c)+"-", string(c)+"a", string(c)+"|", "m"+string(c)+"m")
	}
	want = append(want, "a-b", "a.b", "a|b", "a_b", "A|b", "a|B", "10", "9", "09", strings.Repeat("m", 40))
	slices.Sort(want)
	want = slices.Compact(want)
	reversed := slices.Clone(want)
	slices.Reverse(reversed)
	for chunk := range slices.Chunk(reversed, store.MaxOps) {
		var ops []store.Op
		for _, key := range chunk {
			ops = append(ops, create(key, key))
		}
		apply(t, d, "order", ops...)
	}
	rows := scan(t, d, "order", "", "||||", store.MaxScan)
	if got := keys(rows); got != strings.Join(want, " ") {
		t.Errorf("scan gives\n%s\nwant\n%s", got, strings.Join(want, " "))
	}
	for _, row := range rows {
		if row.Sort != string(row.Value) {
			t.Errorf("row %s came with the value of %s", row.Sort, row.Value)
		}
	}
}

func testBounds(t *testing.T, d store.Driver) {
	for _, key := range []string{"a", "a-", "a|1", "a|2", "b", "c"} {
		apply(t, d, "bounds", create(key, ""))
	}
	long := strings.Repeat("a", store.MaxKey+1)
	for _, c := range []struct{ from, to, want string }{
		{"", "d", "a a- a|1 a|2 b c"},
		{"a", "c", "a a- a|1 a|2 b"}, // from is in, to is out
		{"a", "a", ""},
		{"a", store.After("a"), "a"},
		{store.After("a"), "b", "a- a|1 a|2"},
		{"a|", "a||", "a|1 a|2"},
		{"c", "a", ""}, // backwards
		{"", "", ""},
		{"c", "|", "c"},
		{"d", "|", ""},
		{"-", "|", "a a- a|1 a|2 b c"},
		{long, "|" + long, "a|1 a|2 b c"},
		{"", long, "a a-"},
	} {
		if got := keys(scan(t, d, "bounds", c.from, c.to, 100)); got != c.want {
			t.Errorf("from %.20q to %.20q: got %q, want %q", c.from, c.to, got, c.want)
		}
	}
}

func testPaging(t *testing.T, d store.Driver) {
	var ops []store.Op
	for n := range 50 {
		ops = append(ops, create(fmt.Sprintf("k|%02d", n), ""), create(fmt.Sprintf("k|%02d-", n), ""))
	}
	apply(t, d, "paging", ops...)
	for _, page := range []int{1, 7, 50, 99, 100, 101} {
		var got []string
		from, calls := "k|", 0
		for {
			rows := scan(t, d, "paging", from, "k||", page)
			calls++
			for _, row := range rows {
				got = append(got, row.Sort)
			}
			if len(rows) > page {
				t.Fatalf("asked for %d rows, got %d", page, len(rows))
			}
			if len(rows) < page {
				break
			}
			from = store.After(rows[len(rows)-1].Sort)
		}
		if len(got) != 100 || !slices.IsSorted(got) || len(slices.Compact(got)) != 100 {
			t.Errorf("pages of %d: %d rows, want all 100 once and in order", page, len(got))
		}
		if want := 100/page + 1; calls != want {
			t.Errorf("pages of %d: %d calls, want %d", page, calls, want)
		}
	}
}

func testLargeScans(t *testing.T, d store.Driver) {
	const n = store.MaxScan + 5
	for first := 0; first < n; first += store.MaxOps {
		var ops []store.Op
		for k := first; k < min(n, first+store.MaxOps); k++ {
			ops = append(ops, create(fmt.Sprintf("row|%04d", k), "x"))
		}
		apply(t, d, "many", ops...)
	}
	rows := scan(t, d, "many", "row|", "row||", store.MaxScan)
	if len(rows) != store.MaxScan {
		t.Fatalf("a scan of %d rows gives %d of the %d", store.MaxScan, len(rows), n)
	}
	if rest := scan(t, d, "many", store.After(rows[len(rows)-1].Sort), "row||", store.MaxScan); len(rest) != 5 {
		t.Errorf("the rest has %d rows, want 5", len(rest))
	}

	big := bytes.Repeat([]byte("0123456789abcdef"), store.MaxValue/16)
	for _, first := range []int{0, 20} {
		var ops []store.Op
		for k := first; k < first+20; k++ {
			ops = append(ops, store.Op{Kind: store.Create, Sort: fmt.Sprintf("big|%02d", k), Value: big})
		}
		apply(t, d, "big", ops...)
	}
	rows = scan(t, d, "big", "big|", "big||", store.MaxScan)
	if len(rows) != 40 {
		t.Fatalf("a scan of 40 rows of %d bytes gives %d", store.MaxValue, len(rows))
	}
	for _, row := range rows {
		if !bytes.Equal(row.Value, big) {
			t.Errorf("row %s does not hold what was written", row.Sort)
		}
	}
}

func testAtLimits(t *testing.T, d store.Driver) {
	longest := strings.Repeat("|", store.MaxKey)
	value := bytes.Repeat([]byte{0xff, 0}, store.MaxValue/2)
	apply(t, d, longest, store.Op{Kind: store.Create, Sort: longest, Value: value})
	if got := get(t, d, longest, longest).Value; !bytes.Equal(got, value) {
		t.Error("the largest value under the longest key does not come back")
	}
	if got := scan(t, d, longest, longest, longest+"-", 1); len(got) != 1 {
		t.Errorf("a scan finds %d rows under the longest key", len(got))
	}

	apply(t, d, "ops", rowsOf(store.MaxOps, 1)...)
	if got := len(scan(t, d, "ops", "", "|", store.MaxScan)); got != store.MaxOps {
		t.Errorf("a batch of %d rows wrote %d", store.MaxOps, got)
	}

	full := fullBatch()
	apply(t, d, "bytes", full...)
	if got := len(scan(t, d, "bytes", "", "|", store.MaxScan)); got != len(full) {
		t.Errorf("a batch of %d bytes wrote %d of its %d rows", store.MaxBatch, got, len(full))
	}
}

func testOverLimits(t *testing.T, d store.Driver) {
	apply(t, d, "over", create("row", "old"))
	v := get(t, d, "over", "row").Version
	long := strings.Repeat("k", store.MaxKey+1)
	over := fullBatch()
	over[len(over)-1].Value = append(over[len(over)-1].Value, 0)
	for _, c := range []struct {
		name  string
		ops   []store.Op
		index int
	}{
		{"no key", []store.Op{create("fine", ""), create("", "")}, 1},
		{"long key", []store.Op{create(long, "")}, 0},
		{"blank in a key", []store.Op{create("a", ""), create("b", ""), create("a b", "")}, 2},
		{"slash in a key", []store.Op{create("a/b", "")}, 0},
		{"tilde in a key", []store.Op{create("a~", "")}, 0},
		{"not ASCII", []store.Op{create("fine", ""), create("für", "")}, 1},
		{"zero byte", []store.Op{create("a\x00", "")}, 0},
		{"large value", []store.Op{create("fine", ""), {Kind: store.Put, Sort: "row", Value: make([]byte, store.MaxValue+1)}}, 1},
		{"many operations", rowsOf(store.MaxOps+1, 1), store.MaxOps},
		{"many bytes", over, len(over) - 1},
		{"one row twice", []store.Op{create("fine", ""), put("row", "1"), put("other", ""), put("row", "2")}, 3},
		{"one row twice, created and deleted", []store.Op{create("fine", ""), {Kind: store.Delete, Sort: "fine"}}, 1},
		{"replace without a version", []store.Op{create("fine", ""), {Kind: store.Replace, Sort: "row"}}, 1},
		{"create with a version", []store.Op{{Kind: store.Create, Sort: "fine", Version: v}}, 0},
		{"put with a version", []store.Op{{Kind: store.Put, Sort: "row", Version: v}}, 0},
		{"delete with a value", []store.Op{{Kind: store.Delete, Sort: "row", Value: []byte("x")}}, 0},
		{"unknown kind", []store.Op{{Kind: store.Delete + 1, Sort: "row"}}, 0},
	} {
		wantOpError(t, c.name, d.Apply(t.Context(), "over", c.ops...), c.index, store.ErrLimit)
	}
	rows := scan(t, d, "over", "", "|", 10)
	if len(rows) != 1 || rows[0].Version != v {
		t.Errorf("refused batches left %s", keys(rows))
	}

	for _, part := range []string{"", long, "a b", "a/b", "é"} {
		if err := d.Apply(t.Context(), part, create("row", "")); !errors.Is(err, store.ErrLimit) {
			t.Errorf("Apply to partition %.20q: %v", part, err)
		}
		if _, err := d.Get(t.Context(), part, "row"); !errors.Is(err, store.ErrLimit) {
			t.Errorf("Get from partition %.20q: %v", part, err)
		}
		if _, err := d.Scan(t.Context(), part, "", "z", 1); !errors.Is(err, store.ErrLimit) {
			t.Errorf("Scan of partition %.20q: %v", part, err)
		}
		if _, err := d.Get(t.Context(), "over", part); !errors.Is(err, store.ErrLimit) {
			t.Errorf("Get of key %.20q: %v", part, err)
		}
	}
	for _, c := range []struct {
		from, to string
		max      int
	}{{"a b", "z", 1}, {"a", "~", 1}, {"a", "z", 0}, {"a", "z", -1}, {"a", "z", store.MaxScan + 1}} {
		if _, err := d.Scan(t.Context(), "over", c.from, c.to, c.max); !errors.Is(err, store.ErrLimit) {
			t.Errorf("Scan from %q to %q of %d rows: %v", c.from, c.to, c.max, err)
		}
	}
}

// rowsOf makes a batch of n rows of some bytes each.
func rowsOf(n, size int) []store.Op {
	ops := make([]store.Op, n)
	for i := range ops {
		ops[i] = store.Op{Kind: store.Create, Sort: fmt.Sprintf("row%05d", i), Value: make([]byte, size)}
	}
	return ops
}

// fullBatch makes a batch of exactly MaxBatch bytes; its last value is far below MaxValue.
func fullBatch() []store.Op {
	const keyLen = 8
	n := store.MaxBatch / (store.MaxValue + keyLen)
	ops := rowsOf(n+1, store.MaxValue)
	ops[n].Value = make([]byte, store.MaxBatch-n*(store.MaxValue+keyLen)-keyLen)
	return ops
}
