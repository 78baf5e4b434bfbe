package datastore

import (
	"context"
	"math"
	"slices"

	"carillon/shared/store"
)

// memory is what the last complete look has shown, read page by page beside the new listing. It holds a few pages at a
// time, however many there are.
type memory struct {
	db         *store.DB
	id         string
	generation int // the last complete one
	pages      int // how many it has

	near    []store.Page // pages around the one that the listing has come to
	next    int          // the number of the page that is read next
	members []uint64     // of near, in order; empty until they are needed
}

const (
	pagesRead  = 4 // rows, at most 160 KiB
	pagesAhead = 1 // of the listing: a page that has grown shifts those behind it
)

// unknown returns which of a page's digests were not shown before. same says that the page of that number was the very
// same.
func (m *memory) unknown(ctx context.Context, digests []uint64, number int) (fresh []int, same bool, err error) {
	if err := m.come(ctx, number); err != nil {
		return nil, false, err
	}
	for _, p := range m.near {
		if p.Number == number && slices.Equal(p.Digests, digests) {
			return nil, true, nil
		}
	}
	if len(m.members) == 0 {
		for _, p := range m.near {
			m.members = append(m.members, p.Digests...)
		}
		slices.Sort(m.members)
	}
	for i, d := range digests {
		if _, known := slices.BinarySearch(m.members, d); !known {
			fresh = append(fresh, i)
		}
	}
	if len(fresh) > 0 && m.pages > len(m.near) {
		fresh, err = m.anywhere(ctx, digests, fresh)
	}
	return fresh, false, err
}

// come reads on to a page, and forgets those that are far behind it.
func (m *memory) come(ctx context.Context, number int) error {
	was := len(m.near)
	m.near = slices.DeleteFunc(m.near, func(p store.Page) bool { return p.Number < number-1 })
	changed := len(m.near) < was
	m.next = max(m.next, number-1) // a look may go on far from the beginning
	for m.next <= number+pagesAhead && m.next < m.pages {
		pages, next, err := m.read(ctx, m.next)
		if err != nil {
			return err
		}
		m.near, m.next, changed = append(m.near, pages...), next, true
	}
	if changed {
		m.members = m.members[:0]
	}
	return nil
}

// anywhere looks through all pages for digests that are not where they were to be expected: nothing here depends on the
// order in which a datastore lists.
func (m *memory) anywhere(ctx context.Context, digests []uint64, fresh []int) ([]int, error) {
	missing := make(map[uint64]struct{}, len(fresh))
	for _, i := range fresh {
		missing[digests[i]] = struct{}{}
	}
	for number := 0; number < m.pages; {
		pages, next, err := m.read(ctx, number)
		if err != nil {
			return nil, err
		}
		for _, p := range pages {
			for _, d := range p.Digests {
				delete(missing, d)
			}
		}
		number = next
	}
	return slices.DeleteFunc(fresh, func(i int) bool {
		_, is := missing[digests[i]]
		return !is
	}), nil
}

// read returns some pages of the last complete look, from a number on, and the number to go on with.
func (m *memory) read(ctx context.Context, number int) (pages []store.Page, next int, err error) {
	groups, next, err := m.rows(ctx, number)
	for _, rows := range groups {
		for _, p := range slices.Backward(rows) {
			if p.Generation <= m.generation && p.Number < m.pages {
				pages = append(pages, p)
				break
			}
		}
	}
	return pages, next, err
}

// rows returns some rows from a page's number on, those of one page together and the oldest first, and the number to
// go on with, past all pages at the end.
func (m *memory) rows(ctx context.Context, number int) (groups [][]store.Page, next int, err error) {
	for most := pagesRead; ; most *= 4 { // more, where one page has more rows than are read
		rows, err := m.db.Pages(ctx, m.id, number, most)
		if err != nil {
			return nil, 0, err
		}
		next = math.MaxInt
		if len(rows) == most { // the last page may have more
			next = rows[most-1].Number
			rows = slices.DeleteFunc(rows, func(p store.Page) bool { return p.Number == next })
		}
		for i, p := range rows {
			if i == 0 || rows[i-1].Number != p.Number {
				groups = append(groups, nil)
			}
			groups[len(groups)-1] = append(groups[len(groups)-1], p)
		}
		if next > number {
			return groups, next, nil
		}
	}
}

// sweep deletes what a look that was interrupted has written beyond the page where it is gone on with.
func (m *memory) sweep(ctx context.Context, page int, drop dropping) error {
	return m.clean(ctx, page, drop, func(rows []store.Page) []store.Page {
		return slices.DeleteFunc(rows, func(p store.Page) bool { return p.Generation <= m.generation })
	})
}

// tidy deletes what a complete look of a generation has made superfluous: the older rows of each page, and pages that
// are no more. The next look may be under way: what it has written is not touched, nor what it reads.
func (m *memory) tidy(ctx context.Context, generation, pages int) error {
	drop := func(ctx context.Context, old []store.Page) error { return m.db.DropPages(ctx, m.id, old) }
	return m.clean(ctx, 0, drop, func(rows []store.Page) []store.Page {
		rows = slices.DeleteFunc(rows, func(p store.Page) bool { return p.Generation > generation })
		if len(rows) == 0 || rows[0].Number >= pages {
			return rows
		}
		return rows[:len(rows)-1]
	})
}

type dropping func(ctx context.Context, pages []store.Page) error

func (m *memory) clean(ctx context.Context, from int, drop dropping, which func(rows []store.Page) []store.Page) error {
	for number := from; number < math.MaxInt; {
		groups, next, err := m.rows(ctx, number)
		if err != nil {
			return err
		}
		var out []store.Page
		for _, rows := range groups {
			out = append(out, which(rows)...)
		}
		if err := drop(ctx, out); err != nil {
			return err
		}
		number = next
	}
	return nil
}
