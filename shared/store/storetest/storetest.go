// Package storetest holds every store.Driver to its contract: Run is the suite, Faulty and Counter are Drivers
// that fail on demand and that count.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"carillon/shared/store"
)

// Run checks a backend. Each call of open returns an empty Driver, that of its own subtest. The suite writes fewer
// than 5,000 rows, takes no luck and keeps no time, so that it suits an emulator.
func Run(t *testing.T, open func(t *testing.T) store.Driver) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, d store.Driver)
	}{
		{"each kind of operation and what it expects", testExpectations},
		{"versions are never used twice", testVersions},
		{"all of a batch or nothing", testAtomic},
		{"an empty batch", testEmptyBatch},
		{"order is that of bytes", testOrder},
		{"bounds", testBounds},
		{"going on after a key", testPaging},
		{"a scan reads as far as it was asked to", testLargeScans},
		{"limits, at the edge", testAtLimits},
		{"limits, just over", testOverLimits},
		{"partitions", testPartitions},
		{"values are copied", testCopies},
		{"a context that has ended", testCancelled},
		{"concurrent: no update is lost", testCounters},
		{"concurrent: one creates", testOneCreates},
		{"concurrent: transfers", testTransfers},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

func testExpectations(t *testing.T, d store.Driver) {
	gone := store.Version("") // filled per case: a version that the row had and has no more
	for _, c := range []struct {
		name            string
		exists          bool
		op              func(now store.Version) store.Op
		done, conflicts bool
	}{
		{name: "create, no row", op: opOf(store.Create, false), done: true},
		{name: "create, a row", exists: true, op: opOf(store.Create, false), conflicts: true},
		{name: "put, no row", op: opOf(store.Put, false), done: true},
		{name: "put, a row", exists: true, op: opOf(store.Put, false), done: true},
		{name: "replace, no row", op: opOf(store.Replace, true), conflicts: true},
		{name: "replace, the version", exists: true, op: opOf(store.Replace, true), done: true},
		{name: "replace, an old version", exists: true, op: func(store.Version) store.Op {
			return store.Op{Kind: store.Replace, Sort: "row", Value: []byte("new"), Version: gone}
		}, conflicts: true},
		{name: "delete, no row", op: opOf(store.Delete, false), conflicts: true},
		{name: "delete of a version, no row", op: opOf(store.Delete, true), conflicts: true},
		{name: "delete, any version", exists: true, op: opOf(store.Delete, false), done: true},
		{name: "delete, the version", exists: true, op: opOf(store.Delete, true), done: true},
		{name: "delete, an old version", exists: true, op: func(store.Version) store.Op {
			return store.Op{Kind: store.Delete, Sort: "row", Version: gone}
		}, conflicts: true},
	} {
		part := "expect-" + strings.NewReplacer(" ", "-", ",", "").Replace(c.name)
		apply(t, d, part, put("row", "older"))
		gone = get(t, d, part, "row").Version
		apply(t, d, part, put("row", "old"))
		now := get(t, d, part, "row").Version
		if !c.exists {
			apply(t, d, part, store.Op{Kind: store.Delete, Sort: "row"})
		}

		op := c.op(now)
		err := d.Apply(t.Context(), part, op)
		if c.conflicts {
			wantOpError(t, c.name, err, 0, store.ErrConflict)
		} else if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		want := ""
		switch {
		case c.done && op.Kind != store.Delete:
			want = "new"
		case !c.done && c.exists:
			want = "old"
		}
		if got := valueOf(t, d, part, "row"); got != want {
			t.Errorf("%s: the row holds %q afterwards, want %q", c.name, got, want)
		}
	}
}

// opOf makes an operation on "row", with the version that the row has (or had last) if it is to name one.
func opOf(kind store.OpKind, versioned bool) func(store.Version) store.Op {
	return func(now store.Version) store.Op {
		op := store.Op{Kind: kind, Sort: "row"}
		if kind != store.Delete {
			op.Value = []byte("new")
		}
		if versioned {
			op.Version = now
		}
		return op
	}
}

func testVersions(t *testing.T, d store.Driver) {
	seen := map[store.Version]string{}
	look := func(what string) store.Version {
		t.Helper()
		v := get(t, d, "versions", "row").Version
		if v == "" {
			t.Fatalf("%s: an empty version", what)
		}
		if before, ok := seen[v]; ok {
			t.Errorf("%s gives version %q, which it had after %s", what, v, before)
		}
		seen[v] = what
		if rows := scan(t, d, "versions", "", "z", 10); len(rows) != 1 || rows[0].Version != v {
			t.Errorf("%s: Scan and Get disagree about the version", what)
		}
		return v
	}
	apply(t, d, "versions", create("row", "same"))
	v := look("creation")
	apply(t, d, "versions", store.Op{Kind: store.Replace, Sort: "row", Value: []byte("same"), Version: v})
	look("a replacement by the same value")
	for n := range 3 {
		apply(t, d, "versions", put("row", "same"))
		look(fmt.Sprintf("put %d of the same value", n))
		apply(t, d, "versions", store.Op{Kind: store.Delete, Sort: "row"})
		apply(t, d, "versions", create("row", "same"))
		look(fmt.Sprintf("creation %d after a deletion", n))
	}
	if got := get(t, d, "versions", "row"); get(t, d, "versions", "row").Version != got.Version {
		t.Error("reading changes the version")
	}
}

func testAtomic(t *testing.T, d store.Driver) {
	const n = 5
	for at := range n {
		part := fmt.Sprintf("atomic-%d", at)
		apply(t, d, part, create("there", "old"), create("victim", "old"))
		before := scan(t, d, part, "", "z", 100)
		ops := []store.Op{
			create("a", "new"), put("there", "new"), put("b", "new"), {Kind: store.Delete, Sort: "victim"}, create("c", "new"),
		}
		ops[at] = store.Op{Kind: store.Replace, Sort: "missing", Value: []byte("new"), Version: before[0].Version}
		wantOpError(t, part, d.Apply(t.Context(), part, ops...), at, store.ErrConflict)
		after := scan(t, d, part, "", "z", 100)
		if !sameRows(before, after) {
			t.Errorf("operation %d of %d failed, and the rows changed from %v to %v", at, n, before, after)
		}
	}
	ops := []store.Op{create("x", "1"), put("y", "2"), create("z", "3")}
	apply(t, d, "atomic-all", ops...)
	if got := keys(scan(t, d, "atomic-all", "", "zz", 100)); got != "x y z" {
		t.Errorf("a batch of three wrote %q", got)
	}
}

func testEmptyBatch(t *testing.T, d store.Driver) {
	if err := d.Apply(t.Context(), "empty"); err != nil {
		t.Errorf("an empty batch: %v", err)
	}
	if rows := scan(t, d, "empty", "", "z", 10); len(rows) != 0 {
		t.Errorf("an empty batch wrote %v", rows)
	}
}

func testPartitions(t *testing.T, d store.Driver) {
	parts := []string{"p", "p|", "p|q", "P", "p-"}
	for _, part := range parts {
		apply(t, d, part, create("row", "in "+part), create("only|"+part, ""))
	}
	for _, part := range parts {
		if got := valueOf(t, d, part, "row"); got != "in "+part {
			t.Errorf("partition %s: row holds %q", part, got)
		}
		if got, want := keys(scan(t, d, part, "", "z", 10)), "only|"+part+" row"; got != want {
			t.Errorf("partition %s holds %q, want %q", part, got, want)
		}
	}
	apply(t, d, "p", store.Op{Kind: store.Delete, Sort: "row"})
	if got := valueOf(t, d, "p|", "row"); got != "in p|" {
		t.Errorf("a deletion in p left %q in p|", got)
	}
	if rows := scan(t, d, "never-written", "", "z", 10); len(rows) != 0 {
		t.Errorf("a partition that was never written holds %v", rows)
	}
}

func testCopies(t *testing.T, d store.Driver) {
	value := []byte("mine")
	apply(t, d, "copies", store.Op{Kind: store.Create, Sort: "row", Value: value})
	value[0] = 'X'
	got := get(t, d, "copies", "row")
	if string(got.Value) != "mine" {
		t.Fatalf("the store keeps the caller's slice: %q", got.Value)
	}
	got.Value[0] = 'Y'
	rows := scan(t, d, "copies", "", "z", 1)
	if string(rows[0].Value) != "mine" {
		t.Fatalf("Get hands out the store's slice: %q", rows[0].Value)
	}
	rows[0].Value[0] = 'Z'
	if got := valueOf(t, d, "copies", "row"); got != "mine" {
		t.Fatalf("Scan hands out the store's slice: %q", got)
	}
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	apply(t, d, "copies", store.Op{Kind: store.Create, Sort: "bytes", Value: all}, create("nothing", ""))
	if got := get(t, d, "copies", "bytes").Value; !bytes.Equal(got, all) {
		t.Errorf("every byte comes back as %x", got)
	}
	if got := get(t, d, "copies", "nothing").Value; len(got) != 0 {
		t.Errorf("an empty value comes back as %q", got)
	}
}

func testCancelled(t *testing.T, d store.Driver) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Get(ctx, "ctx", "row"); !errors.Is(err, context.Canceled) {
		t.Errorf("Get: %v", err)
	}
	if _, err := d.Scan(ctx, "ctx", "", "z", 1); !errors.Is(err, context.Canceled) {
		t.Errorf("Scan: %v", err)
	}
	if err := d.Apply(ctx, "ctx", create("row", "")); !errors.Is(err, context.Canceled) {
		t.Errorf("Apply: %v", err)
	}
}

func create(sort, value string) store.Op {
	return store.Op{Kind: store.Create, Sort: sort, Value: []byte(value)}
}

func put(sort, value string) store.Op {
	return store.Op{Kind: store.Put, Sort: sort, Value: []byte(value)}
}

func apply(t *testing.T, d store.Driver, part string, ops ...store.Op) {
	t.Helper()
	if err := d.Apply(t.Context(), part, ops...); err != nil {
		t.Fatalf("write to %.40s: %v", part, err)
	}
}

func get(t *testing.T, d store.Driver, part, sort string) store.Row {
	t.Helper()
	row, err := d.Get(t.Context(), part, sort)
	if err != nil {
		t.Fatalf("read %.40s: %v", sort, err)
	}
	if row.Sort != sort {
		t.Fatalf("asked for row %.40s and got %.40s", sort, row.Sort)
	}
	return row
}

// valueOf returns a row's value, "" when there is no such row.
func valueOf(t *testing.T, d store.Driver, part, sort string) string {
	t.Helper()
	row, err := d.Get(t.Context(), part, sort)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("read %s: %v", sort, err)
	}
	return string(row.Value)
}

func scan(t *testing.T, d store.Driver, part, from, to string, max int) []store.Row {
	t.Helper()
	rows, err := d.Scan(t.Context(), part, from, to, max)
	if err != nil {
		t.Fatalf("scan %.40s from %.40q to %.40q: %v", part, from, to, err)
	}
	return rows
}

func keys(rows []store.Row) string {
	all := make([]string, len(rows))
	for i, row := range rows {
		all[i] = row.Sort
	}
	return strings.Join(all, " ")
}

func sameRows(a, b []store.Row) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Sort != b[i].Sort || a[i].Version != b[i].Version || !bytes.Equal(a[i].Value, b[i].Value) {
			return false
		}
	}
	return true
}

func wantOpError(t *testing.T, what string, err error, index int, is error) {
	t.Helper()
	var at *store.OpError
	if !errors.As(err, &at) || !errors.Is(err, is) {
		t.Errorf("%s: got error %v, want an OpError that wraps %q", what, err, is)
	} else if at.Index != index {
		t.Errorf("%s: the error names operation %d, want %d", what, at.Index, index)
	}
}
