package studio

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

const refreshEvery = 5 // seconds, while a run is under way

// runView is the page of one run: what was recorded, and what the far side says of it now.
type runView struct {
	Row        runRow
	Schedule   string
	Gone       bool // the schedule has been deleted
	Pipeline   schedule.PipelineRef
	Link       string
	Reason     string
	Error      string
	Facts      []fact
	Changes    *changeList // that fired it
	DataPath   *dataPath
	Parameters map[string]string
	Outputs    map[string]string
	Notice     string // what it waits for, or why there are no live facts
	Steps      []stepRow
	MoreSteps  bool
	Output     *output
	Moving     bool // more will happen to it
	Refresh    bool // the page loads itself again
	Doubtful   bool // a person has to decide
}

// dataPath is the parameter that gets the place of the data.
type dataPath struct {
	Parameter, Place string
	Folder           bool
}

type stepRow struct {
	Name    string
	Status  schedule.Status
	Started moment
	Took    string
	Exit    string
	Error   string
}

func (f *Function) run(r *http.Request) (page, error) {
	found, err := f.DB.Occurrence(r.Context(), r.PathValue("id"))
	if err != nil {
		return page{}, err
	}
	o, now, zone := found.Value, f.Now().UTC(), time.UTC
	s, gone, err := f.scheduleOf(r.Context(), o)
	if err != nil {
		return page{}, err
	}
	if !gone {
		zone = s.Trigger.Zone()
	}
	v := runView{Schedule: o.Schedule, Gone: gone, Reason: skipped(o)}
	v.Moving = !o.Status.Final() && o.Status != schedule.Uncertain
	v.Doubtful = o.Status == schedule.Uncertain
	if o.Buffered {
		v.Notice = "It " + waits(o) + "."
	}
	v.Refresh = v.Moving && r.URL.Query().Get("refresh") != "off"
	if o.Status == schedule.Waiting && !gone {
		if o, err = f.awaited(r.Context(), s, o); err != nil {
			return page{}, err
		}
	}
	if v.Changes, err = f.changes(r.Context(), o, zone, now); err != nil {
		return page{}, err
	}
	ctx, cancel := lookUp(r)
	defer cancel()
	o = f.live(ctx, o, &v, zone, now)
	v.Output = f.output(ctx, o)
	v.Row, v.Error, v.Link, v.Facts = rowOf(o, zone, now), o.Error, o.Link, runFacts(o, zone, now)
	v.Pipeline, v.Parameters, v.Outputs, v.DataPath = o.Pipeline, o.Parameters, o.Outputs, dataPathOf(o)
	if v.Error == v.Reason {
		v.Error = ""
	}
	p := page{template: "run", Title: "Run of " + o.Schedule, Body: v}
	if v.Refresh {
		p.Refresh = refreshEvery
	}
	return p, nil
}

// scheduleOf is the schedule that an occurrence belongs to; gone says that it has been deleted.
func (f *Function) scheduleOf(ctx context.Context, o schedule.Occurrence) (s schedule.Schedule, gone bool, err error) {
	record, err := f.DB.Schedule(ctx, o.Schedule)
	if errors.Is(err, store.ErrNotFound) || err == nil && record.Schedule.Value.ID != o.ScheduleID() {
		return schedule.Schedule{}, true, nil
	}
	return record.Schedule.Value, false, err
}

// awaited is what a waiting occurrence will get of its definition: what a claim gives it.
func (f *Function) awaited(ctx context.Context, s schedule.Schedule, o schedule.Occurrence) (schedule.Occurrence, error) {
	d, err := f.DB.Definition(ctx, s, o.Revision)
	return o.Prepared(d), err
}

func dataPathOf(o schedule.Occurrence) *dataPath {
	if o.DataPath == nil {
		return nil
	}
	place := placeOf(schedule.Change{Datastore: o.DataPath.Datastore, Path: o.DataPath.Path})
	return &dataPath{Parameter: o.DataPath.Parameter, Place: place, Folder: o.DataPath.Folder}
}

// live asks the far side for the run and returns the occurrence with what is newer than the record of it.
func (f *Function) live(ctx context.Context, o schedule.Occurrence, v *runView, zone *time.Location, now time.Time) schedule.Occurrence {
	target, ok := f.Targets[o.Pipeline.Kind]
	if !ok || o.Run == "" {
		return o
	}
	report, err := target.Status(ctx, o.Pipeline.Kind, o.Run)
	switch {
	case errors.Is(err, pipeline.ErrNotFound):
		v.Notice = "The far side does not know this run: what follows is what was recorded."
		return o
	case err != nil:
		f.Log.WarnContext(ctx, "a run could not be looked up", "run", o.ID, "error", err)
		v.Notice = "The far side could not be asked now; Carillon's log says why. What follows is what was recorded."
		return o
	}
	f.steps(ctx, o, v, zone, now)
	if !o.Status.Final() {
		o.Status, o.Started, o.Ended, o.Error = report.Status, report.Started, report.Ended, report.Error
	}
	if report.Link != "" {
		o.Link = report.Link
	}
	return o
}

// steps asks for the run's steps; without an answer the page does without them.
func (f *Function) steps(ctx context.Context, o schedule.Occurrence, v *runView, zone *time.Location, now time.Time) {
	target, ok := f.Targets[o.Pipeline.Kind].(pipeline.Stepped)
	if !ok {
		return
	}
	steps, more, err := target.Steps(ctx, o.Pipeline.Kind, o.Run)
	if err != nil && !errors.Is(err, pipeline.ErrNotFound) {
		f.Log.WarnContext(ctx, "the steps of a run could not be looked up", "run", o.ID, "error", err)
	}
	for _, step := range steps {
		v.Steps = append(v.Steps, stepOf(step, zone, now))
	}
	v.MoreSteps = more
}

func stepOf(s pipeline.Step, zone *time.Location, now time.Time) stepRow {
	row := stepRow{
		Name: s.Name, Status: s.Status, Started: at(s.Started, zone, now), Took: took(s.Started, s.Ended, now), Error: s.Error,
	}
	switch {
	case s.Exit == nil:
	case *s.Exit < 0:
		row.Exit = "ended by a signal"
	default:
		row.Exit = number(*s.Exit)
	}
	return row
}

// runFacts is everything that is known of an occurrence and has no place of its own on the page.
func runFacts(o schedule.Occurrence, zone *time.Location, now time.Time) []fact {
	var window schedule.Span
	if o.Window != nil {
		window = *o.Window
	}
	facts := []fact{
		{Name: "Cause", Value: causeOf(o)},
		{Name: "Asked to end by", Value: o.CancelBy},
		{Name: "Makes room for", Value: roomFor(o)},
		{Name: "Window start", At: at(window.Start, zone, now)},
		{Name: "Window end", At: at(window.End, zone, now)},
		{Name: "Experiment", Value: o.Experiment},
		{Name: "Recorded", At: at(o.Recorded, zone, now)},
		{Name: "Not before", At: at(differing(o.Start, o.Nominal), zone, now)},
		{Name: "Submitted", At: at(o.Submitted, zone, now)},
		{Name: "Started", At: at(o.Started, zone, now)},
		{Name: "Ended", At: at(o.Ended, zone, now)},
		{Name: "Duration", Value: took(o.Started, o.Ended, now)},
		{Name: "Tries to submit", Value: some(o.Attempts)},
		{Name: "Being submitted until", At: at(o.Claim.Until, zone, now)},
		{Name: "Looked after again", At: at(o.Wake, zone, now)},
		{Name: "Id there", Value: o.Run},
		{Name: "Request", Value: o.Request},
		{Name: "Schedule's revision", Value: number(o.Revision)},
		{Name: "Id", Value: o.ID},
	}
	return slices.DeleteFunc(facts, func(f fact) bool { return f.Value == "" && f.At == moment{} })
}

// differing is t, unless it is the same instant as other.
func differing(t, other time.Time) time.Time {
	if t.Equal(other) {
		return time.Time{}
	}
	return t
}

// roomFor is the run for which the policy has one end; "" for none.
func roomFor(o schedule.Occurrence) string {
	if o.MakesRoomFor == "" {
		return ""
	}
	return o.MakesRoomFor + " (overlap: cancel_running)"
}

func by(who string) string {
	if who == "" {
		return ""
	}
	return " by " + who
}

func some(n int) string {
	if n == 0 {
		return ""
	}
	return number(n)
}

func number(n int) string { return strconv.Itoa(n) }
