package source

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Mem is a Source in memory. The zero value is empty and ready; all methods may be called concurrently.
type Mem struct {
	// PageSize is how many files a page has; 0 is MaxPage. Before is called before every List and Stat, with nothing
	// locked; an error is returned as it is. Both are set before the first call.
	PageSize int
	Before   func(op string) error

	mu    sync.Mutex
	files map[string]File
	edits int
}

// Put writes a file, modified at an instant, and returns it.
func (m *Mem) Put(path string, at time.Time) File {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.edits++
	f := File{Path: path, ETag: "0x" + strconv.Itoa(m.edits), Modified: at.UTC().Truncate(time.Second), Size: 1}
	if m.files == nil {
		m.files = map[string]File{}
	}
	m.files[path] = f
	return f
}

// Delete removes a file.
func (m *Mem) Delete(path string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.files, path)
}

// Rename moves every file of a folder to another, as a datastore with real folders does: their versions stay.
func (m *Mem) Rename(from, to string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for path, f := range m.files {
		if below, ok := strings.CutPrefix(path, from+"/"); ok {
			delete(m.files, path)
			f.Path = to + "/" + below
			m.files[f.Path] = f
		}
	}
}

func (m *Mem) List(ctx context.Context, folder string, recursive bool, token string) (Page, error) {
	if err := m.before(ctx, "List"); err != nil {
		return Page{}, err
	}
	if token != "" && !strings.HasPrefix(token, "after ") {
		return Page{}, fmt.Errorf("%.80q: %w", token, ErrToken)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	prefix := ""
	if folder != "" {
		prefix = folder + "/"
	}
	var found []File
	for path, f := range m.files {
		below, inside := strings.CutPrefix(path, prefix)
		if inside && (recursive || !strings.Contains(below, "/")) && (token == "" || path > token[len("after "):]) {
			found = append(found, f)
		}
	}
	slices.SortFunc(found, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	size := cmp.Or(m.PageSize, MaxPage)
	if len(found) <= size {
		return Page{Files: found}, nil
	}
	return Page{Files: found[:size], Next: "after " + found[size-1].Path}, nil
}

func (m *Mem) Stat(ctx context.Context, path string) (File, error) {
	if err := m.before(ctx, "Stat"); err != nil {
		return File{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.files[path]
	if !ok {
		return File{}, fmt.Errorf("%s: %w", path, ErrNotFound)
	}
	return f, nil
}

func (m *Mem) before(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil || m.Before == nil {
		return err
	}
	return m.Before(op)
}
