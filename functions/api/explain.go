package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"carillon/shared/problem"
	"carillon/shared/schedule"
	"carillon/shared/source"
	"carillon/shared/store"
)

// explanation says which schedules a change of a file fires, which not and why, and what became of the last one.
type explanation struct {
	Datastore string      `json:"datastore"`
	Path      string      `json:"path"`
	Exists    bool        `json:"exists"` // false, too, where problem says that it cannot be told
	ETag      string      `json:"etag,omitempty"`
	Modified  time.Time   `json:"modified,omitzero"`
	Problem   string      `json:"problem,omitempty"` // why the file cannot be looked at
	Matches   []matchView `json:"matches"`
	Near      []nearView  `json:"near"`
	Notices   []string    `json:"notices,omitempty"`
}

// matchView is a schedule that the file counts for.
type matchView struct {
	Schedule string            `json:"schedule"`
	Status   schedule.Activity `json:"status"`
	Folder   string            `json:"folder"`
	Verdict  fate              `json:"verdict"`
	Says     string            `json:"says"`             // the verdict in sentences
	Change   *changeView       `json:"change,omitempty"` // that came last
	Run      string            `json:"run,omitempty"`    // that the change made, or will
}

// nearView is a schedule that watches the file's folder, or one above it, but not this file.
type nearView struct {
	Schedule string `json:"schedule"`
	Folder   string `json:"folder"`
	Why      string `json:"why"`
}

const (
	maxExplained = 100              // schedules
	statWithin   = 10 * time.Second // a datastore that does not answer is a part of the explanation
)

func (f *Function) explain(r *http.Request) (answer, error) {
	if err := onlyQuery(r, "datastore", "path"); err != nil {
		return answer{}, err
	}
	x := explanation{
		Datastore: r.URL.Query().Get("datastore"), Path: r.URL.Query().Get("path"), Matches: []matchView{}, Near: []nearView{},
	}
	if !schedule.ValidName(x.Datastore) {
		return answer{}, problem.Newf(problem.BadRequest, "datastore has to be a datastore's name; /api/datastores lists them")
	}
	if wrong := schedule.BadFile(x.Path); wrong != "" {
		return answer{}, problem.Newf(problem.BadRequest, "path %s", wrong)
	}
	watchers, err := f.watchers(r.Context(), &x)
	if err != nil {
		return answer{}, err
	}
	at, err := f.stat(r.Context(), &x)
	if errors.Is(err, source.ErrUnknown) && len(watchers) == 0 {
		return answer{}, problem.Newf(problem.NotFound, "%v", err)
	}
	for _, w := range watchers {
		if err := f.explainFor(r.Context(), &x, at, w); err != nil {
			return answer{}, err
		}
	}
	return answer{body: x}, nil
}

// watchers are the schedules that may watch the file, those that do first, each once.
func (f *Function) watchers(ctx context.Context, x *explanation) ([]store.Watcher, error) {
	all, err := f.DB.Watchers(ctx, x.Datastore, x.Path, true)
	if err != nil {
		return nil, err
	}
	misses := func(w store.Watcher) int { return min(len(w.Folder.Misses(x.Path)), 1) }
	slices.SortFunc(all, func(a, b store.Watcher) int {
		if by := misses(a) - misses(b); by != 0 {
			return by
		}
		return strings.Compare(a.Schedule, b.Schedule)
	})
	known := map[string]bool{}
	all = slices.DeleteFunc(all, func(w store.Watcher) bool {
		twice := known[w.ID]
		known[w.ID] = true
		return twice
	})
	if len(all) > maxExplained {
		x.Notices = append(x.Notices, fmt.Sprintf("%d schedules watch these folders; %d of them are explained", len(all), maxExplained))
		all = all[:maxExplained]
	}
	return all, nil
}

// look is what a file is like now.
type look struct {
	file    *source.File // nil for none
	events  bool         // the datastore sends every change
	problem string       // why it cannot be told
}

// stat looks at the file. The error, too, is a part of the explanation.
func (f *Function) stat(ctx context.Context, x *explanation) (at look, err error) {
	d, err := f.datastore(ctx, x.Datastore)
	if err != nil {
		x.Problem, at.problem = err.Error(), err.Error()
		return at, err
	}
	at.events = d.Events
	x.Notices = append(x.Notices, f.hints(ctx, d, x.Path)...)
	ctx, cancel := context.WithTimeout(ctx, statWithin)
	defer cancel()
	file, err := d.Source.Stat(ctx, x.Path)
	switch {
	case errors.Is(err, source.ErrNotFound):
		return at, nil
	case err != nil:
		x.Problem, at.problem = err.Error(), err.Error()
		return at, err
	}
	x.Exists, x.ETag, x.Modified = true, file.ETag, file.Modified.UTC()
	at.file = &file
	return at, nil
}

// hints say under which other names schedules may watch the same file, or that nobody looks at it.
func (f *Function) hints(ctx context.Context, d source.Datastore, path string) (notices []string) {
	if d.Container == "" {
		if strings.Contains("/"+path, "/.") {
			notices = append(notices, "files and folders whose names begin with a dot are not looked at: nothing there starts a run")
		}
		return notices
	}
	all, _ := f.datastores(ctx)
	for _, other := range all {
		if other.Name != d.Name && other.Container == d.Container && strings.EqualFold(other.Account, d.Account) {
			notices = append(notices, "datastore "+other.Name+" is the same container: ask for it, too")
		}
	}
	return notices
}

// explainFor adds what a schedule makes of the file. The index says which one it is, the schedule itself what holds.
func (f *Function) explainFor(ctx context.Context, x *explanation, at look, w store.Watcher) error {
	seen, err := f.DB.Seen(ctx, w.ID, x.Datastore, x.Path) // first, as the window that holds it may close meanwhile
	if err != nil {
		return err
	}
	r, err := f.DB.Schedule(ctx, w.Schedule)
	s := r.Schedule.Value
	if errors.Is(err, store.ErrNotFound) || err == nil && s.ID != w.ID {
		return nil
	}
	if err != nil {
		return err
	}
	var near []nearView
	for _, folder := range s.Trigger.Watch.Folders() {
		why := folder.Misses(x.Path)
		switch {
		case folder.Datastore != x.Datastore || !slices.Contains(schedule.FoldersOf(x.Path), folder.Path):
		case why != "":
			near = append(near, nearView{s.Name, folder.String(), why})
		default:
			m, err := f.match(ctx, x, at, r, seen)
			m.Folder = folder.String()
			x.Matches = append(x.Matches, m)
			return err
		}
	}
	x.Near = append(x.Near, near...)
	return nil
}

func (f *Function) match(ctx context.Context, x *explanation, at look, r store.Record, seen store.Stored[schedule.Seen]) (m matchView, err error) {
	s := r.Schedule.Value
	e := evidence{look: at, datastore: x.Datastore, now: f.Now(), s: s, poll: r.Poll.Value}
	m = matchView{Schedule: s.Name, Status: s.Status}
	if seen.Known() {
		c := viewChange(seen.Value.Change)
		e.seen, m.Change, m.Run = &seen.Value, &c, seen.Value.Occurrence
		if e.made, err = f.occurrence(ctx, seen.Value.Occurrence); err != nil {
			return m, err
		}
	}
	if r.Window.Known() {
		e.window = &r.Window.Value
		if e.all, err = f.gathered(ctx, r); err != nil {
			return m, err
		}
	}
	if at.file != nil && (!seen.Known() || seen.Value.ETag != at.file.ETag) {
		if e.before, err = f.takenBy(ctx, s.ID, schedule.Change{Datastore: x.Datastore, Path: x.Path, ETag: at.file.ETag}); err != nil {
			return m, err
		}
	}
	m.Verdict, m.Says = e.explain()
	return m, nil
}

// takenBy finds what a version has made; nil when it has not come. One that stands in a window waits.
func (f *Function) takenBy(ctx context.Context, scheduleID string, c schedule.Change) (*schedule.Occurrence, error) {
	id, err := f.DB.TakenBy(ctx, scheduleID, c)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	o, err := f.occurrence(ctx, id)
	if o == nil && err == nil {
		o = &schedule.Occurrence{ID: id, Status: schedule.Waiting}
	}
	return o, err
}

// occurrence reads one that may not be kept any more, or not be there yet: then it is nil.
func (f *Function) occurrence(ctx context.Context, id string) (*schedule.Occurrence, error) {
	o, err := f.DB.Occurrence(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return &o.Value, err
}
