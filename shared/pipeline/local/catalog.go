package local

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

const maxFile = 1 << 20 // bytes of a pipeline's file

// settled is how old a change of a file must be for its time and size to tell it from the next change.
const settled = 2 * time.Second

var suffixes = []string{".yaml", ".yml"}

// catalog reads the pipelines of a folder. Files are read again when they have changed.
type catalog struct {
	dir string

	mu    sync.Mutex
	known map[string]known // by file name
}

// known is what a file held when it was read.
type known struct {
	changed time.Time
	size    int64
	item    item
}

// item is one pipeline: its definition, or the problem that its file has.
type item struct {
	id      string
	def     definition
	problem string
}

// ids returns the ids of all pipelines, in order.
func (c *catalog) ids() ([]string, error) {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, fmt.Errorf("the folder of the pipelines cannot be read: %w", err)
	}
	var ids []string
	names := map[string]bool{}
	for _, e := range entries {
		names[e.Name()] = true
		for _, suffix := range suffixes {
			if id, ok := strings.CutSuffix(e.Name(), suffix); ok && !e.IsDir() && validID(id) {
				ids = append(ids, id)
			}
		}
	}
	c.keep(names)
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// validID reports whether an id may be the name of a file in the folder itself.
func validID(id string) bool {
	return id != "" && id[0] != '.' && len(id) <= 250 && !strings.ContainsAny(id, "/\\\x00")
}

// find returns a pipeline; the error wraps pipeline.ErrNotFound when the folder has none of that id.
func (c *catalog) find(id string) (item, error) {
	if !validID(id) {
		return item{}, pipeline.ErrNotFound
	}
	var found []item
	for _, suffix := range suffixes {
		it, err := c.load(id, id+suffix)
		if err == nil {
			found = append(found, it)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return item{}, err
		}
	}
	switch len(found) {
	case 0:
		return item{}, pipeline.ErrNotFound
	case 1:
		return found[0], nil
	}
	return item{id: id, problem: fmt.Sprintf("there are %s.yaml and %s.yml: keep one of them", id, id)}, nil
}

// load returns what a file holds. The error wraps fs.ErrNotExist when there is no such file.
func (c *catalog) load(id, name string) (item, error) {
	path := filepath.Join(c.dir, name)
	if _, err := os.Lstat(path); err != nil {
		return item{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return item{id: id, problem: fmt.Sprintf("the file cannot be read: %v", err)}, nil
	}
	if !info.Mode().IsRegular() {
		return item{id: id, problem: fmt.Sprintf("%s is not a file", path)}, nil
	}
	c.mu.Lock()
	k, ok := c.known[name]
	c.mu.Unlock()
	if ok && k.size == info.Size() && k.changed.Equal(info.ModTime()) {
		return k.item, nil
	}
	it := readItem(id, path)
	if time.Since(info.ModTime()) > settled {
		c.remember(name, known{info.ModTime(), info.Size(), it})
	}
	return it, nil
}

func (c *catalog) remember(name string, k known) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[string]known{}
	}
	c.known[name] = k
}

// keep forgets the files that are not among names.
func (c *catalog) keep(names map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.known, func(name string, _ known) bool { return !names[name] })
}

func readItem(id, path string) item {
	data, err := readBounded(path, maxFile)
	if err != nil {
		return item{id: id, problem: fmt.Sprintf("the file cannot be read: %v", err)}
	}
	def, err := parseDefinition(data)
	if err != nil {
		return item{id: id, problem: err.Error()}
	}
	return item{id: id, def: def}
}

func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return data, err
}

// pipeline is the item as every target describes its pipelines.
func (it item) pipeline() pipeline.Pipeline {
	p := pipeline.Pipeline{
		Ref:         schedule.PipelineRef{Kind: Kind, ID: it.id},
		Name:        it.def.name,
		Description: it.def.description,
		Problem:     it.problem,
	}
	if p.Name == "" {
		p.Name = it.id
	}
	if it.problem != "" {
		return p
	}
	p.Parameters = map[string]string{}
	for _, param := range it.def.parameters {
		p.Parameters[param.name] = param.value
		if param.required {
			p.Required = append(p.Required, param.name)
		}
	}
	return p
}
