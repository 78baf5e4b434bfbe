package studio

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

const (
	upcoming = 10 // next occurrences shown
	underWay = 20 // occurrences under way shown
)

// scheduleView is the page of one schedule.
type scheduleView struct {
	Name, Description string
	Trigger           string
	Pipeline          schedule.PipelineRef
	Activity          activity
	Stop              *stopped // who has disabled its pipeline; nil for nobody
	Zone              string
	Definition        string
	Facts             []fact
	Notices           []string
	Waits             bool // for an old schedule
	Next              []nextTime
	Watch             *watching // of a datastore trigger, instead of Next
	Watching          []fact
	Running           runTable
	Recent            runTable
	Older             string // token of the occurrences that follow
	Changes           []changedRow
	Part              bool // these are not the newest
}

// nextTime is a time at which a schedule will fire, or would but for a calendar.
type nextTime struct {
	At       moment
	Moved    bool   // daylight saving moved it off the wall time that was written
	Excluded string // the calendar that excludes it
}

// fact is a line of a list of names and values.
type fact struct {
	Name  string
	Value string
	At    moment
}

func (f *Function) schedule(r *http.Request) (page, error) {
	name, token := r.PathValue("name"), r.URL.Query().Get("token")
	if !schedule.ValidName(name) {
		return page{}, store.ErrNotFound
	}
	record, err := f.DB.Schedule(r.Context(), name)
	if err != nil {
		return page{}, err
	}
	now, s := f.Now().UTC(), record.Schedule.Value
	zone := s.Trigger.Zone()
	v := scheduleView{
		Name: s.Name, Description: s.Description, Trigger: s.Trigger.String(), Pipeline: s.Pipeline,
		Activity: activityOf(s, now), Zone: zone.String(), Definition: yaml(s.Definition), Facts: factsOf(record, zone, now), Part: token != "",
	}
	if v.Watch, err = f.watching(r.Context(), record, now); err != nil {
		return page{}, err
	}
	if v.Watch != nil {
		v.Watching, v.Notices = watchFacts(record, now), s.Notices()
	} else if v.Next, v.Notices, err = f.next(r.Context(), record, now); err != nil {
		return page{}, err
	}
	if succession := s.Succession(); succession != "" {
		v.Notices, v.Waits = append(v.Notices, succession), s.Waits()
	}
	stops, err := f.DB.StopsOf(r.Context(), s.Pipeline)
	if err != nil {
		return page{}, err
	}
	ctx, cancel := lookUp(r)
	defer cancel()
	v.Stop = f.stop(ctx, &group{Pipeline: pipeline.Pipeline{Ref: s.Pipeline}}, stops, zone, now)
	running, err := f.DB.UnderWay(r.Context(), s.ID, underWay)
	if err != nil {
		return page{}, err
	}
	v.Running = runTable{Caption: "Under way, times in " + v.Zone, Rows: rowsOf(running, zone, now)}
	recent, older, err := f.DB.OccurrencesOf(r.Context(), s.ID, token, recentRuns, everything)
	v.Recent = runTable{Caption: "Occurrences, those with the latest time first, times in " + v.Zone, Rows: rowsOf(recent, zone, now)}
	if v.Older = older; err == nil {
		v.Changes, err = f.lastChanged(r.Context(), s, zone, now)
	}
	return page{template: "schedule", Title: s.Name, Body: v}, err
}

// next computes the times to come, beginning with the one that the clock waits for.
func (f *Function) next(ctx context.Context, record store.Record, now time.Time) (times []nextTime, notices []string, err error) {
	due := record.Due()
	rule, errs := due.Trigger.Compile(due.Anchor)
	if len(errs) > 0 {
		return nil, []string{"The trigger cannot be computed: " + errs.Error()}, nil
	}
	excluded, err := f.DB.Exclusions(ctx, due.Calendars...)(due)
	if err != nil {
		return nil, nil, err
	}
	for t := record.Upcoming(now); !t.IsZero() && len(times) < upcoming; t, _ = rule.Next(t) {
		times = append(times, nextTime{At: at(t, rule.Zone(), now), Moved: rule.Moved(t), Excluded: excluded(t, rule.Zone())})
	}
	return times, rule.Notices(), nil
}

func factsOf(record store.Record, zone *time.Location, now time.Time) []fact {
	s := record.Schedule.Value
	facts := []fact{
		{Name: "Created", At: at(s.Created, zone, now)},
		{Name: "Changed", At: at(s.Updated, zone, now), Value: by(s.By)},
		{Name: "Revision", Value: number(s.Revision)},
		{Name: "Id", Value: s.ID},
	}
	if s.MaxRuns > 0 {
		facts = append(facts, fact{Name: "Runs so far", Value: fmt.Sprintf("%d; it is done at %d", record.State.Value.Submitted, s.MaxRuns)})
	}
	if s.PauseAfter > 0 {
		facts = append(facts, fact{Name: "Failed runs in a row", Value: fmt.Sprintf("%d; it is paused at %d", record.State.Value.Failures, s.PauseAfter)})
	}
	return facts
}
