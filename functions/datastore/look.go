package datastore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/source"
	"carillon/shared/store"
)

const (
	// lookFor is how long one look goes on before it is interrupted, to be gone on with by another call.
	lookFor = 2 * time.Minute
	// idleFor is how often it is asked whether datastores that send every change still do.
	idleFor = 6 * time.Hour
)

// look lists the folders of a schedule and takes what differs from what the last listing has shown. That is a matter of
// versions, not of times: an edit in the second of the last look, one made while a listing was under way, and a
// renamed folder all show as versions that were not there before.
func (f *Function) look(ctx context.Context, name string) error {
	r, err := f.DB.Schedule(ctx, name)
	if errors.Is(err, store.ErrNotFound) || err == nil && (!r.Poll.Known() || r.Poll.Value.Wake.IsZero()) {
		return nil
	}
	if err != nil {
		return err
	}
	s, p := r.Schedule.Value, r.Poll.Value
	if f.Now().Add(clocksDiffer).Before(p.Next) { // somebody else has begun, or has looked
		return nil
	}
	if s.Status != schedule.Active || s.Trigger.Watch == nil {
		return errors.Join(f.saved(f.DB.SavePoll(ctx, r, p.Rests())), f.closeLeft(ctx, r))
	}
	first := p.Baseline != s.BaselineRevision
	if r, err = f.DB.HoldPoll(ctx, r, p.Begun(first, f.Now()), nil, nil); err != nil {
		return f.saved(err)
	}
	l := &looking{f: f, record: r, s: r.Schedule.Value, poll: r.Poll.Value, pass: *r.Poll.Value.Pass, until: f.Now().Add(lookFor), every: s.Trigger.Polling()}
	l.known = memory{db: f.DB, id: s.ID, generation: p.Generation, pages: p.Pages}
	if l.pass.First {
		l.known.pages = 0
		err = f.closeOld(ctx, r)
	}
	if err == nil && p.Pass != nil { // an earlier look was interrupted
		err = l.known.sweep(ctx, l.pass.Page, l.drop)
	}
	var next schedule.Poll
	if err == nil {
		next, err = l.run(ctx)
	}
	if errors.Is(err, store.ErrConflict) { // somebody else goes on
		return nil
	}
	if err != nil {
		f.Log.WarnContext(ctx, "a datastore could not be looked at; it is tried again", "schedule", name, "error", err)
		if errors.Is(err, source.ErrToken) {
			l.pass = schedule.Pass{First: l.pass.First}
		}
		next = l.poll.Failed(err, l.pass, f.Now().Add(l.every), f.Now())
	}
	if err := f.DB.SavePoll(ctx, l.record, next); err != nil {
		return f.saved(err)
	}
	if !next.Wake.IsZero() {
		f.remind(ctx, queue.Marks{Look: []string{name}}, next.Wake)
	}
	if next.Pass == nil && (l.written || p.Pass != nil || next.Pages < p.Pages) {
		return l.known.tidy(ctx, next.Generation, next.Pages)
	}
	return nil
}

// saved is the error of a write of the poll state. One that somebody else was faster with is none: they go on.
func (f *Function) saved(err error) error {
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}

// looking is one look at the folders of a schedule.
type looking struct {
	f       *Function
	record  store.Record // as it was written last
	s       schedule.Schedule
	poll    schedule.Poll
	pass    schedule.Pass
	known   memory
	written bool // pages differ from those of the last generation
	until   time.Time
	every   time.Duration // to the next look
}

// run looks, from where the pass is, and returns the poll state that is to be saved.
func (l *looking) run(ctx context.Context) (schedule.Poll, error) {
	generation := l.poll.Generation + 1
	polled, listed := false, l.poll.Baseline == l.s.BaselineRevision
	for i, folder := range l.s.Trigger.Folders() {
		d, err := l.f.Datastores.Get(ctx, folder.Datastore)
		if err != nil {
			return l.poll, err
		}
		polled = polled || !d.Events
		if d.Every > 0 && !d.Events {
			l.every = min(l.every, d.Every)
		}
		if i < l.pass.Folder || d.Events && !(l.pass.First && l.s.ProcessesExisting()) {
			continue
		}
		l.pass.Folder, listed = i, true
		whole, err := l.folder(ctx, d, folder, generation)
		if err != nil {
			return l.poll, err
		}
		if !whole {
			return l.poll.Interrupted(l.pass, l.f.Now()), nil
		}
		l.pass.Token = ""
	}
	next := l.poll.Done(l.s.BaselineRevision, generation, l.pass.Page, l.f.Now().Add(l.every), l.f.Now())
	if !polled {
		next = next.Idles(listed, l.f.Now().Add(idleFor))
	}
	return next, nil
}

// folder looks at one folder. It is not whole when the time is over before.
func (l *looking) folder(ctx context.Context, d source.Datastore, f schedule.Folder, generation int) (whole bool, err error) {
	for {
		page, err := d.Source.List(ctx, f.Path, f.Recursive, l.pass.Token)
		if errors.Is(err, source.ErrToken) && l.pass.Token != "" {
			return false, fmt.Errorf("list %s: %w", f, err)
		}
		if err != nil {
			return false, fmt.Errorf("list %s: %w", f, err)
		}
		if err := l.page(ctx, d, f, page.Files, generation); err != nil {
			return false, err
		}
		if l.pass.Token = page.Next; page.Next == "" {
			return true, nil
		}
		if l.f.Now().After(l.until) {
			return false, nil
		}
	}
}

// counts reports whether a version is one already. One that may be being written still is none, unless it was there at
// the baseline: then it counts at every look, as one that is left out at any would seem to come at the next.
func (l *looking) counts(f source.File) bool {
	return !f.Unsettled || !l.s.Newer(f.Modified)
}

// page takes what is new of a page and then remembers all of it, in this order: a crash between gives changes that come
// again, and are known then.
func (l *looking) page(ctx context.Context, d source.Datastore, f schedule.Folder, files []source.File, generation int) error {
	digests := make([]uint64, 0, len(files))
	counted := files[:0]
	for _, file := range files {
		if f.Misses(file.Path) == "" && l.counts(file) {
			digests, counted = append(digests, digest(d.Name, file)), append(counted, file)
		}
	}
	if len(counted) == 0 {
		return nil
	}
	fresh, same, err := l.known.unknown(ctx, digests, l.pass.Page)
	if err != nil {
		return err
	}
	if len(fresh) > 0 { // or somebody has tidied up what this look has compared with
		if err := l.f.DB.Holds(ctx, l.record); err != nil {
			return err
		}
	}
	var arrivals []arrival
	for _, i := range fresh {
		if !l.pass.First || l.s.Newer(counted[i].Modified) {
			arrivals = append(arrivals, arrival{
				path: counted[i].Path, told: schedule.Told{Listed: true}, listed: &counted[i], baseline: l.s.BaselineRevision,
			})
		}
	}
	for chunk := range slices.Chunk(arrivals, 500) {
		if err := l.f.take(ctx, l.s.Name, l.s.ID, d, chunk); err != nil {
			return err
		}
	}
	if !same {
		l.written = true
		page := store.Page{Number: l.pass.Page, Generation: generation, Digests: digests}
		if l.record, err = l.f.DB.HoldPoll(ctx, l.record, l.poll, []store.Page{page}, nil); err != nil {
			return err
		}
	}
	l.pass.Page++
	return nil
}

func (l *looking) drop(ctx context.Context, pages []store.Page) (err error) {
	for chunk := range slices.Chunk(pages, 50) {
		if l.record, err = l.f.DB.HoldPoll(ctx, l.record, l.poll, nil, chunk); err != nil {
			return err
		}
	}
	return nil
}

// digest tells a version of a file from others: 64 bits of FNV-1a.
func digest(datastore string, file source.File) uint64 {
	const prime = 1099511628211
	h := uint64(14695981039346656037)
	for _, part := range [...]string{datastore, file.Path, file.ETag} {
		for i := range len(part) {
			h = (h ^ uint64(part[i])) * prime
		}
		h *= prime // between the parts
	}
	return h
}
