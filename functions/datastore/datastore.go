// Package datastore is the function of data that changed: a blob was added or edited, so occurrences of the schedules
// that watch it are recorded and sent. It also looks at folders that send no events, and closes windows.
//
// blob, task-queue, webhook: every delivery, doubled, late and out of order. The body only says where something may
// have changed; what the file is like now is asked for. An error gives the delivery back. What has been recorded when a
// call fails stays recorded, and is not recorded again.
package datastore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/source"
	"carillon/shared/store"
)

// Function records changes. Its fields are set once.
type Function struct {
	DB         *store.DB
	Datastores *source.Datastores
	Submit     queue.Queue // for the occurrences that changes make
	Marks      queue.Queue // for what has to be done within the minute
	Now        func() time.Time
	Log        *slog.Logger
}

const (
	soon         = time.Minute     // what happens earlier than that is not left to the clock
	clocksDiffer = 2 * time.Second // between the machines that send and receive
)

// Handle does what a delivery says.
func (f *Function) Handle(ctx context.Context, body []byte) error {
	marks, ok, err := queue.ReadMarks(body)
	if err != nil {
		f.Log.ErrorContext(ctx, "a message is dropped", "error", err)
		return nil
	}
	if ok {
		return errors.Join(all(marks.Again, func(m json.RawMessage) error { return f.again(ctx, m) }),
			all(marks.Look, func(name string) error { return f.look(ctx, name) }),
			all(marks.Close, func(name string) error { return f.close(ctx, name) }))
	}
	events, err := Events(body)
	if err != nil { // the same body will never be read: giving it back would not help
		f.Log.ErrorContext(ctx, "an event cannot be read; what else came with it is acted on", "error", err)
	}
	return all(events, func(e Event) error { return f.act(ctx, pending{Event: e}) })
}

// atOnce is how many parts of a delivery, and of each of those, are under way together.
const atOnce = 16

// all does something for each of several, many at once, and returns what failed.
func all[T any](items []T, do func(T) error) error {
	errs := make([]error, len(items))
	var group sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i, item := range items {
		slots <- struct{}{}
		group.Go(func() {
			errs[i] = do(item)
			<-slots
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// event acts on one change that somebody tells of. next is where a renamed folder is gone on with; "" when it is done.
func (f *Function) event(ctx context.Context, p pending) (next string, err error) {
	e := p.Event
	stores, err := f.storesOf(ctx, e)
	if err != nil {
		return "", err
	}
	if len(stores) == 0 {
		f.Log.WarnContext(ctx, "a change where no datastore is configured", "account", e.Account, "container", e.Container, "datastore", e.Datastore)
	}
	if e.Directory {
		for _, d := range stores {
			if next, err = f.renamed(ctx, d, e, p.Token); err != nil {
				return "", err
			}
		}
		return next, nil
	}
	a := arrival{path: e.Path, told: schedule.Told{At: e.Time, ETag: e.ETag}, created: e.BlobTrigger && !p.Sure, last: p.last()}
	return "", all(stores, func(d source.Datastore) error { return f.file(ctx, d, a) })
}

// storesOf are the datastores that an event is about.
func (f *Function) storesOf(ctx context.Context, e Event) ([]source.Datastore, error) {
	if e.Datastore == "" {
		return f.at(ctx, e.Account, e.Container)
	}
	d, err := f.Datastores.Get(ctx, e.Datastore)
	if errors.Is(err, source.ErrUnknown) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if d.Container == "" || d.Account == "" {
		return []source.Datastore{d}, nil
	}
	return f.at(ctx, d.Account, d.Container) // the same container may have more names
}

// at are the datastores of a container. That those of the workspace cannot be listed does not hold back the others: its
// own are polled, too.
func (f *Function) at(ctx context.Context, account, container string) ([]source.Datastore, error) {
	found, err := f.Datastores.At(ctx, account, container)
	if err != nil && len(found) > 0 {
		f.Log.WarnContext(ctx, "some datastores are not known", "error", err)
		err = nil
	}
	return found, err
}

// renamed acts on a folder that was renamed: every file in it is new at its path. What is left when a call has taken its
// time goes on in another, from the token that it returns.
func (f *Function) renamed(ctx context.Context, d source.Datastore, e Event, token string) (next string, err error) {
	for until := f.Now().Add(lookFor); ; {
		page, err := d.Source.List(ctx, e.Path, true, token)
		if errors.Is(err, source.ErrToken) && token != "" {
			token = ""
			continue
		}
		if err != nil {
			return "", fmt.Errorf("list the renamed folder %s of datastore %s: %w", e.Path, d.Name, err)
		}
		err = all(page.Files, func(file source.File) error {
			return f.file(ctx, d, arrival{path: file.Path, told: schedule.Told{At: e.Time}})
		})
		if token = page.Next; err != nil || token == "" || f.Now().After(until) {
			return token, err
		}
	}
}

// file acts on a change of one file for all schedules that watch it.
func (f *Function) file(ctx context.Context, d source.Datastore, a arrival) error {
	watchers, err := f.DB.Watchers(ctx, d.Name, a.path, false)
	if err != nil {
		return err
	}
	var matching []store.Watcher
	known := map[string]bool{}
	for _, w := range watchers {
		if !known[w.ID] && w.Folder.Misses(a.path) == "" {
			known[w.ID] = true
			matching = append(matching, w)
		}
	}
	return all(matching, func(w store.Watcher) error { return f.take(ctx, w.Schedule, w.ID, d, []arrival{a}) })
}

// submit sends occurrences on. What cannot be sent is not lost: the clock looks after it.
func (f *Function) submit(ctx context.Context, ids []string) {
	for _, body := range queue.Messages(ids) {
		if err := f.Submit.Send(ctx, body, 0); err != nil {
			f.Log.WarnContext(ctx, "a message was not sent; the clock will send it again", "occurrences", len(ids), "error", err)
		}
	}
}

// remind sends a mark of which the time comes before the clock would look for it.
func (f *Function) remind(ctx context.Context, m queue.Marks, at time.Time) {
	delay := at.Sub(f.Now())
	if delay > soon {
		return
	}
	for _, body := range m.Bodies() {
		if err := f.Marks.Send(ctx, body, max(delay, 0)); err != nil {
			f.Log.WarnContext(ctx, "a message was not sent; the clock will send it again", "error", err)
		}
	}
}
