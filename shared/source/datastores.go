package source

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Datastore is a Source under the name that schedules know.
type Datastore struct {
	Name      string
	Account   string // of Azure Storage; "" for a folder of this machine
	Container string
	Events    bool          // whoever owns it sends every change: it is not polled
	Every     time.Duration // how often it is polled; 0 is each trigger's polling_interval
	Source    Source
}

// Datastores are all that schedules may name. Safe for concurrent use.
type Datastores struct {
	fixed func() ([]Datastore, error)
	more  func(ctx context.Context) ([]Datastore, error)

	mu   sync.Mutex
	last []Datastore
	at   time.Time
}

// keepMore is how long what more has returned is used.
const keepMore = 5 * time.Minute

// NewDatastores returns datastores: those that fixed lists each time anew, and those that more finds elsewhere, such as
// a workspace's list. A name that both have is the fixed one's. Either may be nil.
func NewDatastores(fixed func() ([]Datastore, error), more func(ctx context.Context) ([]Datastore, error)) *Datastores {
	return &Datastores{fixed: fixed, more: more}
}

// List returns all datastores, by name. When those from elsewhere cannot be had, it returns the others and the error.
func (d *Datastores) List(ctx context.Context) ([]Datastore, error) {
	var out []Datastore
	if d.fixed != nil {
		fixed, err := d.fixed()
		if err != nil {
			return nil, err
		}
		out = slices.Clone(fixed)
	}
	more, err := d.elsewhere(ctx)
	for _, s := range more {
		if !slices.ContainsFunc(out, func(o Datastore) bool { return o.Name == s.Name }) {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b Datastore) int { return strings.Compare(a.Name, b.Name) })
	return out, err
}

func (d *Datastores) elsewhere(ctx context.Context) ([]Datastore, error) {
	if d.more == nil {
		return nil, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.at.IsZero() && time.Since(d.at) < keepMore {
		return d.last, nil
	}
	more, err := d.more(ctx)
	if err != nil {
		return d.last, fmt.Errorf("the workspace's datastores cannot be listed: %w", err)
	}
	d.last, d.at = more, time.Now()
	return more, nil
}

// Get returns one datastore. The error wraps ErrUnknown when there is none of that name.
func (d *Datastores) Get(ctx context.Context, name string) (Datastore, error) {
	all, err := d.List(ctx)
	for _, s := range all {
		if s.Name == name {
			return s, nil
		}
	}
	if err != nil {
		return Datastore{}, err
	}
	return Datastore{}, fmt.Errorf("datastore %s: %w", name, ErrUnknown)
}

// At returns the datastores that a container is, by the names that its own events use.
func (d *Datastores) At(ctx context.Context, account, container string) ([]Datastore, error) {
	all, err := d.List(ctx)
	return slices.DeleteFunc(all, func(s Datastore) bool {
		return s.Container != container || !strings.EqualFold(s.Account, account)
	}), err
}
