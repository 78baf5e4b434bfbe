package store

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Mem is a Driver in memory, for tests and for trying things out. It keeps the whole contract, the limits too.
type Mem struct {
	mu      sync.RWMutex
	parts   map[string]*table
	version uint64 // of the latest write; counts up over all partitions
}

// NewMem returns an empty Mem.
func NewMem() *Mem { return &Mem{parts: map[string]*table{}} }

// Get implements Driver.
func (m *Mem) Get(ctx context.Context, part, sort string) (Row, error) {
	if err := cmp.Or(ctx.Err(), CheckGet(part, sort)); err != nil {
		return Row{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if e := m.parts[part].get(sort); e != nil {
		return e.row(), nil
	}
	return Row{}, fmt.Errorf("row %s in partition %s: %w", sort, part, ErrNotFound)
}

// Scan implements Driver.
func (m *Mem) Scan(ctx context.Context, part, from, to string, max int) ([]Row, error) {
	if err := cmp.Or(ctx.Err(), CheckScan(part, from, to, max)); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	var rows []Row
	for e := range m.parts[part].from(from) {
		if e.sort >= to || len(rows) == max {
			break
		}
		rows = append(rows, e.row())
	}
	return rows, nil
}

// Apply implements Driver.
func (m *Mem) Apply(ctx context.Context, part string, ops ...Op) error {
	if err := cmp.Or(ctx.Err(), Check(part, ops)); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.parts[part]
	for i, op := range ops {
		if !op.Met(t.get(op.Sort).have()) {
			return &OpError{Index: i, Op: op, Err: ErrConflict}
		}
	}
	if t == nil {
		t = &table{}
		m.parts[part] = t
	}
	for _, op := range ops {
		if op.Kind == Delete {
			t.delete(op.Sort)
			continue
		}
		m.version++
		t.put(entry{op.Sort, m.version, bytes.Clone(op.Value)})
	}
	return nil
}

// table holds one partition's entries in the order of their keys, in blocks of at most maxBlock, none of them
// empty: an insertion moves little, however many there are. A nil *table can be read.
type table struct{ blocks [][]entry }

const maxBlock = 256

type entry struct {
	sort    string
	version uint64
	value   []byte
}

func (e *entry) row() Row {
	return Row{Sort: e.sort, Value: bytes.Clone(e.value), Version: e.have()}
}

// have returns the version as Op.Met wants it.
func (e *entry) have() Version {
	if e == nil {
		return ""
	}
	return Version(strconv.FormatUint(e.version, 36))
}

// seek finds the first entry that is not before key; b is len(t.blocks) when there is none.
func (t *table) seek(key string) (b, i int, found bool) {
	b, _ = slices.BinarySearchFunc(t.blocks, key, func(block []entry, key string) int {
		return strings.Compare(block[len(block)-1].sort, key)
	})
	if b < len(t.blocks) {
		i, found = slices.BinarySearchFunc(t.blocks[b], key, func(e entry, key string) int {
			return strings.Compare(e.sort, key)
		})
	}
	return b, i, found
}

func (t *table) get(key string) *entry {
	if t == nil {
		return nil
	}
	b, i, found := t.seek(key)
	if !found {
		return nil
	}
	return &t.blocks[b][i]
}

// from yields the entries that are not before key, in order.
func (t *table) from(key string) func(yield func(*entry) bool) {
	return func(yield func(*entry) bool) {
		if t == nil {
			return
		}
		b, i, _ := t.seek(key)
		for ; b < len(t.blocks); b, i = b+1, 0 {
			for ; i < len(t.blocks[b]); i++ {
				if !yield(&t.blocks[b][i]) {
					return
				}
			}
		}
	}
}

func (t *table) put(e entry) {
	b, i, found := t.seek(e.sort)
	switch {
	case found:
		t.blocks[b][i] = e
		return
	case len(t.blocks) == 0:
		t.blocks = [][]entry{nil}
	case b == len(t.blocks):
		b, i = b-1, len(t.blocks[b-1])
	}
	t.blocks[b] = slices.Insert(t.blocks[b], i, e)
	if block := t.blocks[b]; len(block) > maxBlock {
		half := len(block) / 2
		t.blocks = slices.Insert(t.blocks, b+1, slices.Clone(block[half:]))
		clear(block[half:])
		t.blocks[b] = block[:half]
	}
}

func (t *table) delete(key string) {
	b, i, found := t.seek(key)
	if !found {
		return
	}
	t.blocks[b] = slices.Delete(t.blocks[b], i, i+1)
	if len(t.blocks[b]) == 0 {
		t.blocks = slices.Delete(t.blocks, b, b+1)
	}
}
