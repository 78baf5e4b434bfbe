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

	asking chan struct{} // held while more is called
	mu     sync.Mutex    // of what it has returned
	last   []Datastore
	err    error
	until  time.Time // when it is called again
}

// For how long what more has returned is used, and for how long it is not asked again when it has failed.
const (
	keepMore    = 5 * time.Minute
	keepFailure = 30 * time.Second
)

// NewDatastores returns datastores: those that fixed lists each time anew, and those that more finds elsewhere, such as
// a workspace's list. A name that both have is the fixed one's. Either may be nil.
func NewDatastores(fixed func() ([]Datastore, error), more func(ctx context.Context) ([]Datastore, error)) *Datastores {
	return &Datastores{fixed: fixed, more: more, asking: make(chan struct{}, 1)}
}

// List returns all datastores, by name. When those from elsewhere cannot be had, it returns the others and the error.
func (d *Datastores) List(ctx context.Context) ([]Datastore, error) {
	out, err := d.here()
	if err != nil {
		return nil, err
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

func (d *Datastores) here() ([]Datastore, error) {
	if d.fixed == nil {
		return nil, nil
	}
	fixed, err := d.fixed()
	return slices.Clone(fixed), err
}

// elsewhere asks more, one at a time: the others wait for that answer, as long as their ctx lets them.
func (d *Datastores) elsewhere(ctx context.Context) ([]Datastore, error) {
	if d.more == nil {
		return nil, nil
	}
	if last, err, fresh := d.known(); fresh {
		return last, err
	}
	select {
	case d.asking <- struct{}{}:
		defer func() { <-d.asking }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if last, err, fresh := d.known(); fresh { // of whoever asked before
		return last, err
	}
	more, err := d.more(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err, d.until = nil, time.Now().Add(keepMore)
	if err != nil {
		d.err, d.until = fmt.Errorf("the workspace's datastores cannot be listed: %w", err), time.Now().Add(keepFailure)
		return d.last, d.err
	}
	d.last = more
	return more, nil
}

func (d *Datastores) known() (last []Datastore, err error, fresh bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last, d.err, time.Now().Before(d.until)
}

// Get returns one datastore. The error wraps ErrUnknown when there is none of that name.
func (d *Datastores) Get(ctx context.Context, name string) (Datastore, error) {
	fixed, err := d.here()
	if err != nil {
		return Datastore{}, err
	}
	if s, ok := called(fixed, name); ok { // whatever becomes of the others
		return s, nil
	}
	more, err := d.elsewhere(ctx)
	if s, ok := called(more, name); ok {
		return s, nil
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
		return account == "" || s.Container != container || !strings.EqualFold(s.Account, account)
	}), err
}

func called(all []Datastore, name string) (Datastore, bool) {
	i := slices.IndexFunc(all, func(s Datastore) bool { return s.Name == name })
	if i < 0 {
		return Datastore{}, false
	}
	return all[i], true
}
