package studio

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// overview is the first page: pipelines with their schedules, and the newest runs.
type overview struct {
	Groups  []*group
	Notices []string
	Trouble []trouble  // of schedules on this page
	Others  int        // how many more have trouble
	Stops   []*stopped // pipelines that are disabled, on the first page
	Stopped int        // how many more are
	Only    string     // the one pipeline that is shown, "" for all
	Part    bool       // this is not the first page
	Whole   bool       // every schedule is on this page
	None    bool       // there is no schedule at all
	Next    string     // token of the schedules that follow
	More    string     // token of the pipelines that follow
	Runs    runTable
}

// group is a pipeline with its schedules.
type group struct {
	pipeline.Pipeline
	listed    bool     // by its target, with its other references
	Missing   string   // why it cannot be started
	Unknown   string   // why it cannot be looked up now
	Stop      *stopped // who has disabled it; nil for nobody
	Schedules []scheduleRow
}

type scheduleRow struct {
	Name, Trigger string
	Activity      activity
	Last          *runRow
	Next          moment
	Watch         *watching // of a datastore trigger, instead of Next
}

func (f *Function) overview(r *http.Request) (page, error) {
	query, now := r.URL.Query(), f.Now().UTC()
	token, after, only := query.Get("token"), query.Get("pipelines"), query.Get("pipeline")
	v := overview{Only: only, Part: token != "" || after != ""}
	ctx, cancel := lookUp(r)
	defer cancel()
	groups := map[string]*group{} // by the keys of their pipelines
	if token == "" && only == "" {
		v.More, v.Notices = f.list(ctx, after, groups)
	}
	if after == "" {
		var err error
		if v.Next, err = f.schedules(r.Context(), token, only, groups, now); err != nil {
			return page{}, err
		}
	}
	v.Whole = token == "" && after == "" && v.Next == ""
	v.None = v.Whole && only == "" && !slices.ContainsFunc(values(groups), func(g *group) bool { return len(g.Schedules) > 0 })
	if strings.Contains(only, ":") {
		groupOf(groups, refOf(only))
	}
	for _, g := range groups {
		f.describe(ctx, g)
	}
	v.Groups = values(groups)
	stops, err := f.stops(r.Context())
	if err != nil {
		return page{}, err
	}
	for _, g := range v.Groups {
		g.Stop = f.stop(ctx, g, stops, time.UTC, now)
	}
	if !v.Part && only == "" {
		v.Stops, v.Stopped = firstStops(stops, now)
	}
	v.Trouble, v.Others = troubles(v.Groups)
	runs, err := f.recent(r.Context(), v.Part || only != "", now)
	v.Runs = runs
	return page{template: "overview", Title: "Schedules and runs", Body: v}, err
}

// recent are the newest runs of all schedules, for the first page only.
func (f *Function) recent(ctx context.Context, skip bool, now time.Time) (runTable, error) {
	table := runTable{Caption: "The newest runs of all schedules, times in UTC", Names: true}
	if skip {
		return table, nil
	}
	found, _, err := f.DB.Occurrences(ctx, "", recentRuns, everything)
	table.Rows = rowsOf(found, time.UTC, now)
	return table, err
}

// troubles are the first few of schedules that cannot look at their data, and how many more there are.
func troubles(groups []*group) (first []trouble, others int) {
	const most = 5
	for _, g := range groups {
		for _, row := range g.Schedules {
			switch {
			case row.Watch == nil || row.Watch.Trouble == nil:
			case len(first) < most:
				first = append(first, *row.Watch.Trouble)
			default:
				others++
			}
		}
	}
	return first, others
}

// list adds pipelines of all targets, in order, one page after a token. A target that does not answer is a notice.
func (f *Function) list(ctx context.Context, after string, groups map[string]*group) (next string, notices []string) {
	kind, id, _ := strings.Cut(after, ":")
	failed := map[string][]string{} // kinds, by what is wrong with them
	defer func() {
		for _, why := range slices.Sorted(maps.Keys(failed)) {
			notices = append(notices, fmt.Sprintf("Pipelines could not be listed: %s (%s).", why, strings.Join(failed[why], ", ")))
		}
	}()
	for _, k := range pipeline.Kinds(f.Targets) {
		if k < kind {
			continue
		}
		if k > kind {
			id = ""
		}
		full := len(groups) == pageSize
		if full || ctx.Err() != nil && len(groups) > 0 { // those before took the room, or the time
			return k + ":" + id, notices
		}
		got, goesOn, err := f.Targets[k].List(ctx, id, pageSize-len(groups))
		if err != nil {
			f.Log.WarnContext(ctx, "pipelines could not be listed", "kind", k, "error", err)
			why := strings.TrimPrefix(err.Error(), "pipelines of kind "+k+": ")
			failed[why] = append(failed[why], k)
			continue
		}
		for _, p := range got {
			groups[p.Ref.Key()] = &group{Pipeline: p, listed: true}
		}
		if goesOn != "" {
			return k + ":" + goesOn, notices
		}
	}
	return "", notices
}

// schedules adds one page of them to their pipelines.
func (f *Function) schedules(ctx context.Context, token, only string, groups map[string]*group, now time.Time) (next string, err error) {
	wanted := refOf(only).Key()
	records, next, err := f.DB.Schedules(ctx, token, pageSize, func(s schedule.Schedule) bool {
		return only == "" || s.Pipeline.Key() == wanted
	})
	if err != nil {
		return "", err
	}
	for _, record := range records {
		row, err := f.row(ctx, record, now)
		if err != nil {
			return "", err
		}
		g := groupOf(groups, record.Schedule.Value.Pipeline)
		g.Schedules = append(g.Schedules, row)
	}
	return next, nil
}

func (f *Function) row(ctx context.Context, record store.Record, now time.Time) (scheduleRow, error) {
	s := record.Schedule.Value
	zone := s.Trigger.Zone()
	watch, err := f.watching(ctx, record, now)
	if err != nil {
		return scheduleRow{}, err
	}
	row := scheduleRow{
		Name: s.Name, Trigger: s.Trigger.String(), Activity: activityOf(s, now), Watch: watch,
	}
	if watch == nil {
		row.Next = at(record.Upcoming(now), zone, now)
	}
	if record.State.Value.Last == "" {
		return row, nil
	}
	last, err := f.DB.Occurrence(ctx, record.State.Value.Last)
	if errors.Is(err, store.ErrNotFound) { // past its retention
		return row, nil
	}
	run := rowOf(last.Value, zone, now)
	row.Last = &run
	return row, err
}

// describe fills in what the target says of a pipeline that was not listed.
func (f *Function) describe(ctx context.Context, g *group) {
	if g.Name != "" || g.Problem != "" {
		return
	}
	target, ok := f.Targets[g.Ref.Kind]
	if !ok {
		g.Missing = fmt.Sprintf("This Carillon runs no pipelines of kind %q, so these schedules cannot start anything.", g.Ref.Kind)
		return
	}
	p, err := target.Get(ctx, g.Ref)
	switch {
	case errors.Is(err, pipeline.ErrNotFound):
		g.Missing = "This pipeline does not exist, so these schedules cannot start it. Put it back, or point them to another one."
	case err != nil:
		f.Log.WarnContext(ctx, "a pipeline could not be looked up", "pipeline", g.Ref.String(), "error", err)
		g.Unknown = "It could not be looked up now: " + err.Error()
	default:
		g.Pipeline = p
	}
}

// refOf reads a pipeline as addresses have it, KIND:ID.
func refOf(text string) schedule.PipelineRef {
	kind, id, _ := strings.Cut(text, ":")
	return schedule.PipelineRef{Kind: kind, ID: id}
}

func groupOf(groups map[string]*group, ref schedule.PipelineRef) *group {
	if groups[ref.Key()] == nil {
		groups[ref.Key()] = &group{Pipeline: pipeline.Pipeline{Ref: ref}}
	}
	return groups[ref.Key()]
}

// values are the groups in the order of their pipelines.
func values(groups map[string]*group) []*group {
	out := make([]*group, 0, len(groups))
	for _, g := range groups {
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b *group) int { return strings.Compare(a.Ref.String(), b.Ref.String()) })
	return out
}
