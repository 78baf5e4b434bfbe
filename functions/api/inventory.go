package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"

	"carillon/shared/pipeline"
	"carillon/shared/problem"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

const (
	filtered = 10 // pages of a far side that one request reads at most
	atOnce   = 8  // pipelines that are looked into at once
)

func (f *Function) listPipelines(r *http.Request) (answer, error) {
	if err := onlyQuery(r, "token", "limit", "kind", "active"); err != nil {
		return answer{}, err
	}
	l := inventory{f: f, items: []pipelineView{}}
	var err error
	if l.limit, err = number(r, "limit", 50, 200); err != nil {
		return answer{}, err
	}
	if l.active, err = flag(r.URL.Query().Get("active"), "active"); err != nil {
		return answer{}, err
	}
	if l.stops, err = f.stops(r.Context()); err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), farWithin)
	defer cancel()
	kind, after, _ := strings.Cut(r.URL.Query().Get("token"), ":")
	kinds := l.kinds()
	only := r.URL.Query().Get("kind")
	if only != "" {
		if !slices.Contains(kinds, only) {
			return answer{}, problem.Newf(problem.BadRequest, "there are no pipelines of kind %q here; there are: %s", only, strings.Join(kinds, ", "))
		}
		kinds = []string{only}
	}
	for _, k := range kinds {
		if k < kind || l.next != "" {
			continue
		}
		if k > kind {
			after = ""
		}
		l.list(ctx, k, after)
	}
	if only != "" && len(l.notices) > 0 {
		return answer{}, problem.Newf(problem.Unavailable, "%s", l.notices[0])
	}
	rest, done := context.WithTimeout(r.Context(), farWithin)
	defer done()
	err = each(l.items, func(v *pipelineView) error {
		if v.Name == "" { // it is in no list
			p, missing := f.describe(rest, v.Pipeline)
			if missing == nil {
				p.Also, _ = f.also(rest, v.Pipeline) // of one that is disabled in any case
			}
			*v = l.view(p)
		}
		return f.complete(r.Context(), v, usersListed)
	})
	return answer{body: notedPage{page{l.items, l.next}, l.notices}}, err
}

// inventory is one page of pipelines in the making: those that far sides list, and those that are disabled here and
// are in no list, as a component's older version.
type inventory struct {
	f       *Function
	stops   map[string]schedule.Stop
	active  *bool // only those that are, or are not
	limit   int
	items   []pipelineView
	next    string
	notices []string
	asked   bool // far sides have had some of the request's time
}

// kinds are those that have targets, and those of stops.
func (l *inventory) kinds() []string {
	kinds := pipeline.Kinds(l.f.Targets)
	for _, s := range l.stops {
		kinds = append(kinds, s.Pipeline.Kind)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// list adds pipelines of a kind, in the order of their ids, until the page is full or the request's time is over. When
// the far side cannot list its own, those that are disabled here are added all the same.
func (l *inventory) list(ctx context.Context, kind, after string) {
	size := l.limit
	if l.active != nil {
		size = 200
	}
	for range filtered {
		var got []pipeline.Pipeline
		var next string
		var failed error
		if target, ok := l.f.Targets[kind]; ok {
			got, next, failed = target.List(ctx, after, size)
		}
		if failed != nil && ctx.Err() != nil && l.asked { // another request has time for it
			break
		}
		if l.asked = true; failed != nil {
			l.miss(ctx, kind, after, failed)
		}
		for _, v := range l.merged(kind, after, got, next) {
			if l.active != nil && *l.active != (v.Status == schedule.Active) {
				continue
			}
			if l.items = append(l.items, v); len(l.items) == l.limit {
				l.next = v.Pipeline.String()
				return
			}
		}
		if after = next; next == "" {
			return
		}
	}
	l.next = kind + ":" + after
}

// miss notes that a far side does not list its pipelines, or not those after an id.
func (l *inventory) miss(ctx context.Context, kind, after string, err error) {
	l.f.Log.WarnContext(ctx, "pipelines could not be listed", "kind", kind, "after", after, "error", err)
	which := "pipelines of kind " + kind
	if after != "" {
		which += " after " + after
	}
	l.notices = append(l.notices, which+" cannot be listed: "+err.Error())
}

// merged are the listed pipelines of a page, and among them those of the same range that are disabled here. The list
// goes on after next.
func (l *inventory) merged(kind, after string, got []pipeline.Pipeline, next string) (views []pipelineView) {
	listed := map[string]bool{}
	for _, p := range got {
		listed[p.Ref.Key()] = true
		views = append(views, l.view(p))
	}
	for key, s := range l.stops {
		id := s.Pipeline.ID
		if s.Pipeline.Kind == kind && id > after && !listed[key] && (next == "" || id <= next) {
			views = append(views, viewPipeline(pipeline.Pipeline{Ref: s.Pipeline}, &s))
		}
	}
	slices.SortFunc(views, func(a, b pipelineView) int { return strings.Compare(a.Pipeline.ID, b.Pipeline.ID) })
	return views
}

func (l *inventory) view(p pipeline.Pipeline) pipelineView {
	for _, ref := range append([]schedule.PipelineRef{p.Ref}, p.Also...) {
		if stop, ok := l.stops[ref.Key()]; ok {
			return viewPipeline(p, &stop)
		}
	}
	return viewPipeline(p, nil)
}

// mostStops is how many pipelines that are disabled here a list knows of: people disable them one by one.
const mostStops = 10_000

// stops are the pipelines that are disabled here.
func (f *Function) stops(ctx context.Context) (map[string]schedule.Stop, error) {
	all := map[string]schedule.Stop{}
	for token := ""; len(all) < mostStops; {
		stops, next, err := f.DB.Stops(ctx, token, store.MaxScan)
		if err != nil {
			return nil, err
		}
		for _, s := range stops {
			all[s.Pipeline.Key()] = s
		}
		if token = next; token == "" {
			break
		}
	}
	return all, nil
}

// each does the same for all items of a page, some at once.
func each(items []pipelineView, do func(*pipelineView) error) error {
	errs := make([]error, len(items))
	var group sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range items {
		slots <- struct{}{}
		group.Go(func() {
			errs[i] = do(&items[i])
			<-slots
		})
	}
	group.Wait()
	return errors.Join(errs...)
}
