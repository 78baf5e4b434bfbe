package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"carillon/shared/problem"
	"carillon/shared/recur"
	"carillon/shared/schedule"
	"carillon/shared/source"
	"carillon/shared/store"
)

// datastoreView is a datastore as clients see it.
type datastoreView struct {
	Name      string `json:"name"`
	Account   string `json:"account,omitempty"` // of Azure Storage
	Container string `json:"container,omitempty"`
	Events    bool   `json:"events"` // it sends every change; others are looked at
}

// notedPage is a page with what people should know of the list.
type notedPage struct {
	page
	Notices []string `json:"notices,omitempty"`
}

func (f *Function) listDatastores(r *http.Request) (answer, error) {
	if err := onlyQuery(r, "token", "limit"); err != nil {
		return answer{}, err
	}
	limit, err := number(r, "limit", 50, 200)
	if err != nil {
		return answer{}, err
	}
	all, err := f.datastores(r.Context())
	out, items := notedPage{}, []datastoreView{}
	if err != nil {
		out.Notices = []string{err.Error()}
	}
	for _, d := range all {
		if d.Name <= r.URL.Query().Get("token") {
			continue
		}
		if len(items) == limit {
			out.Next = items[limit-1].Name
			break
		}
		items = append(items, datastoreView{d.Name, d.Account, d.Container, d.Events})
	}
	out.Items = items
	return answer{body: out}, nil
}

// datastores are those that schedules may watch; with an error, those of them that are known.
func (f *Function) datastores(ctx context.Context) ([]source.Datastore, error) {
	if f.Datastores == nil {
		return nil, nil
	}
	return f.Datastores.List(ctx)
}

// datastore finds one. The error is for people; it wraps source.ErrUnknown when there is none of that name.
func (f *Function) datastore(ctx context.Context, name string) (source.Datastore, error) {
	all, err := f.datastores(ctx)
	var names []string
	for _, d := range all {
		if d.Name == name {
			return d, nil
		}
		names = append(names, d.Name)
	}
	switch {
	case err != nil:
		return source.Datastore{}, err
	case len(names) == 0:
		return source.Datastore{}, noDatastore(name + ", nor any other; " + howToConfigure)
	}
	return source.Datastore{}, noDatastore(name + "; there are: " + strings.Join(names, ", ") + "; " + howToConfigure)
}

// noDatastore says that there is no such datastore.
type noDatastore string

func (e noDatastore) Error() string { return "there is no datastore " + string(e) }
func (e noDatastore) Unwrap() error { return source.ErrUnknown }

const howToConfigure = "on Azure the setting CARILLON_DATASTORES=name=CONNECTION/container makes one, on a plain machine a folder DIR/datastores/NAME"

// checkDatastores finds which of the datastores that a trigger watches do not exist.
func (f *Function) checkDatastores(ctx context.Context, w *schedule.Watch) (errs recur.FieldErrors) {
	for i, folder := range w.Folders() {
		field := "trigger.datastore"
		if len(w.AllOf) > 0 {
			field = fmt.Sprintf("trigger.all_of[%d].datastore", i)
		}
		_, err := f.datastore(ctx, folder.Datastore)
		switch {
		case !schedule.ValidName(folder.Datastore): // which has been said
		case errors.Is(err, source.ErrUnknown):
			errs = append(errs, recur.FieldError{Field: field, Message: err.Error()})
		case err != nil:
			errs = append(errs, recur.FieldError{Field: field, Message: "cannot be looked up: " + err.Error()})
		}
	}
	return errs
}

// timeless says that a datastore trigger has no times.
func timeless(t schedule.Trigger) string {
	return "it has no times of its own: it fires " + t.String()
}

// watchView is how the watching of a schedule's folders goes.
type watchView struct {
	Looked       time.Time   `json:"looked,omitzero"`    // when the last complete look ended; none where events are awaited
	NextLook     time.Time   `json:"next_look,omitzero"` // none where events are awaited
	Problem      string      `json:"problem,omitempty"`  // why a datastore cannot be looked at
	ProblemSince time.Time   `json:"problem_since,omitzero"`
	Window       *windowView `json:"window,omitempty"` // that is open
}

// windowView is changes that wait for their run.
type windowView struct {
	Opened   time.Time `json:"opened"`
	Closes   time.Time `json:"closes,omitzero"`     // unless more changes come, with a quiet period; none of all_of
	Changes  int       `json:"changes"`             // so far
	WaitsFor []string  `json:"waits_for,omitempty"` // of all_of: the folders in which nothing has changed
}

// watching is nil for a schedule that watches nothing.
func (f *Function) watching(ctx context.Context, r store.Record) (*watchView, error) {
	s, p := r.Schedule.Value, r.Poll.Value
	if s.Trigger.Watch == nil {
		return nil, nil
	}
	v := &watchView{Looked: p.Looked, Problem: p.Problem, ProblemSince: p.Since}
	if s.Status == schedule.Active {
		v.NextLook = nextLook(p)
	}
	if !r.Window.Known() {
		return v, nil
	}
	all, err := f.gathered(ctx, r)
	w := r.Window.Value
	v.Window = &windowView{Opened: w.Opened, Changes: all.Count}
	if !w.Gathers() {
		v.Window.Closes = w.Closes(all)
	}
	for _, folder := range waitsFor(s, w, all, f.Now()) {
		v.Window.WaitsFor = append(v.Window.WaitsFor, folder.String())
	}
	return v, err
}

// nextLook is when folders are looked at next; zero for never.
func nextLook(p schedule.Poll) time.Time {
	if p.Next.IsZero() {
		return p.Wake
	}
	return p.Next
}

// gathered counts the changes in a schedule's open window.
func (f *Function) gathered(ctx context.Context, r store.Record) (all schedule.Lane, err error) {
	lanes, err := f.DB.Lanes(ctx, r.Schedule.Value.ID)
	if err != nil {
		return all, err
	}
	values := make([]schedule.Lane, len(lanes))
	for i, lane := range lanes {
		values[i] = lane.Value
	}
	if all = schedule.Sum(values); len(values) == 1 {
		all.Parts = values[0].Parts
	}
	return all, nil
}

// waitsFor are the folders of all_of without a change that counts at now, in an open window.
func waitsFor(s schedule.Schedule, w schedule.Window, all schedule.Lane, now time.Time) (folders []schedule.Folder) {
	if w.Baseline != s.BaselineRevision { // it is of other folders
		return nil
	}
	for i, folder := range s.Trigger.AllOf {
		if i >= len(all.Parts) || all.Parts[i].IsZero() || s.Trigger.Stale(all.Parts[i], now) {
			folders = append(folders, folder)
		}
	}
	return folders
}

// changeView is one version of one file.
type changeView struct {
	Datastore string    `json:"datastore"`
	Path      string    `json:"path"` // from the datastore's root
	ETag      string    `json:"etag"`
	Modified  time.Time `json:"modified"` // as the datastore says
	Recorded  time.Time `json:"recorded"` // when Carillon had it
}

func viewChange(c schedule.Change) changeView {
	return changeView{c.Datastore, c.Path, c.ETag, c.Modified.UTC(), c.At.UTC()}
}

// runChanges lists the changes that a run is for: none of one that no change has fired.
func (f *Function) runChanges(r *http.Request) (answer, error) {
	if err := onlyQuery(r, "token", "limit"); err != nil {
		return answer{}, err
	}
	limit, err := number(r, "limit", 50, 200)
	if err != nil {
		return answer{}, err
	}
	token := r.URL.Query().Get("token")
	if strings.Trim(token, "0123456789abcdef|") != "" {
		return answer{}, problem.Newf(problem.BadRequest, "token has to be one that a list has returned")
	}
	o, err := f.DB.Occurrence(r.Context(), r.PathValue("id"))
	if err != nil {
		return answer{}, err
	}
	items := []changeView{}
	switch {
	case o.Value.Windowed():
		changes, next, err := f.DB.ChangesOf(r.Context(), o.Value.ID, token, limit)
		for _, c := range changes {
			if !stale(o.Value, c) {
				items = append(items, viewChange(c))
			}
		}
		return answer{body: page{items, next}}, err
	case o.Value.Change != nil:
		items = append(items, viewChange(*o.Value.Change))
	}
	return answer{body: page{Items: items}}, nil
}

// stale reports whether a change came too early to count for the run that the completion of all_of has made.
func stale(o schedule.Occurrence, c schedule.Change) bool {
	return o.Change != nil && o.Window != nil && c.At.Before(o.Window.Start)
}
