package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"carillon/shared/problem"
	"carillon/shared/recur"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// scheduleView is a schedule as clients see it: the definition as it can be sent back, and what Carillon knows.
type scheduleView struct {
	schedule.Definition
	ID         string               `json:"id"`
	Revision   int                  `json:"revision"`
	Created    time.Time            `json:"created"`
	Updated    time.Time            `json:"updated"`
	UpdatedBy  string               `json:"updated_by,omitempty"`
	StatusNote *schedule.StatusNote `json:"status_note,omitempty"`
	Submitted  int                  `json:"submitted,omitempty"` // runs that its times and changes have started, with max_runs
	Failures   int                  `json:"failures,omitempty"`  // runs in a row that have failed, with pause_after_failures
	When       string               `json:"when"`                // the trigger in words
	Next       time.Time            `json:"next,omitzero"`       // the next occurrence, in the trigger's zone
	NextFive   []occurrenceTime     `json:"next_five,omitempty"` // of one schedule only
	LastRun    *runView             `json:"last_run,omitempty"`
	Running    []runView            `json:"running,omitempty"` // of one schedule only; the first twenty
	Notices    []string             `json:"notices,omitempty"` // of one schedule only
	Watch      *watchView           `json:"watch,omitempty"`   // of datastore triggers
}

const maxRunningShown = 20

func etag(s schedule.Schedule) string { return strconv.Quote(s.ID + "." + strconv.Itoa(s.Revision)) }

// viewRevision is what there is to say of one revision of a schedule.
func viewRevision(s schedule.Schedule) scheduleView {
	return scheduleView{
		Definition: s.Definition, ID: s.ID, Revision: s.Revision, Created: s.Created, Updated: s.Updated, UpdatedBy: s.By,
		StatusNote: s.StatusNote, When: s.Trigger.String(),
	}
}

func (f *Function) view(ctx context.Context, r store.Record) (scheduleView, error) {
	s := r.Schedule.Value
	v := viewRevision(s)
	v.Next = r.Upcoming(f.Now())
	if s.MaxRuns > 0 {
		v.Submitted = r.State.Value.Submitted
	}
	if s.PauseAfter > 0 {
		v.Failures = r.State.Value.Failures
	}
	if zone, err := recur.LoadZone(s.Trigger.TimeZone); err == nil && !v.Next.IsZero() {
		v.Next = v.Next.In(zone)
	}
	var err error
	if v.Watch, err = f.watching(ctx, r); err != nil {
		return v, err
	}
	if r.State.Value.Last == "" {
		return v, nil
	}
	last, err := f.DB.Occurrence(ctx, r.State.Value.Last)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return v, err
	}
	if err == nil {
		run := viewRun(last.Value)
		v.LastRun = &run
	}
	return v, nil
}

func (f *Function) fullView(req *http.Request, r store.Record) (scheduleView, error) {
	ctx := req.Context()
	v, err := f.view(ctx, r)
	if err != nil {
		return v, err
	}
	running, err := f.DB.UnderWay(ctx, v.ID, maxRunningShown)
	if err != nil {
		return v, err
	}
	for _, o := range running {
		v.Running = append(v.Running, viewRun(o))
	}
	stopped, err := f.stoppedNotices(ctx, v.Definition)
	if err != nil {
		return v, err
	}
	if succession := r.Schedule.Value.Succession(); succession != "" {
		stopped = append(stopped, succession)
	}
	if s := r.Schedule.Value; s.Trigger.Watch != nil {
		v.Notices = append(s.Notices(), stopped...)
		return v, nil
	}
	v.NextFive, v.Notices, err = f.upcoming(req, r.Due(), v.Next, 5)
	v.Notices = append(v.Notices, stopped...)
	return v, err
}

func (f *Function) scheduleAnswer(req *http.Request, status int, name string) (answer, error) {
	r, err := f.DB.Schedule(req.Context(), name)
	if err != nil {
		return answer{}, err
	}
	v, err := f.fullView(req, r)
	header := http.Header{"Etag": {etag(r.Schedule.Value)}}
	if status == http.StatusCreated {
		header.Set("Location", "/api/schedules/"+name)
	}
	return answer{status: status, header: header, body: v}, err
}

func (f *Function) getSchedule(r *http.Request) (answer, error) {
	return f.scheduleAnswer(r, http.StatusOK, r.PathValue("name"))
}

func (f *Function) getRevision(r *http.Request) (answer, error) {
	n, err := strconv.Atoi(r.PathValue("revision"))
	if err != nil || n < 1 {
		return answer{}, problem.Newf(problem.BadRequest, "%.40q is no revision: they are numbered from 1", r.PathValue("revision"))
	}
	record, err := f.DB.Schedule(r.Context(), r.PathValue("name"))
	if err != nil {
		return answer{}, err
	}
	s, err := f.DB.Revision(r.Context(), record.Schedule.Value, n)
	return answer{body: viewRevision(s)}, err
}

func (f *Function) listSchedules(r *http.Request) (answer, error) {
	if err := onlyQuery(r, "token", "limit", "active", "pipeline"); err != nil {
		return answer{}, err
	}
	query := r.URL.Query()
	limit, err := number(r, "limit", 50, 200)
	if err != nil {
		return answer{}, err
	}
	token, ref := query.Get("token"), query.Get("pipeline")
	if token != "" && !schedule.ValidName(token) {
		return answer{}, problem.Newf(problem.BadRequest, "token has to be one that a list has returned")
	}
	kind, id, ok := strings.Cut(ref, ":")
	if ref != "" && !ok {
		return answer{}, problem.Newf(problem.BadRequest, "pipeline has to be KIND:ID, such as local:hello")
	}
	wanted := schedule.PipelineRef{Kind: kind, ID: id}.Key()
	active, err := flag(query.Get("active"), "active")
	if err != nil {
		return answer{}, err
	}
	records, next, err := f.DB.Schedules(r.Context(), token, limit, func(s schedule.Schedule) bool {
		return (active == nil || *active == (s.Status == schedule.Active)) && (ref == "" || s.Pipeline.Key() == wanted)
	})
	if err != nil {
		return answer{}, err
	}
	items := make([]scheduleView, len(records))
	for i, record := range records {
		if items[i], err = f.view(r.Context(), record); err != nil {
			return answer{}, err
		}
	}
	return answer{body: page{items, next}}, nil
}

// flag reads true or false; nil when it is absent.
func flag(text, name string) (*bool, error) {
	if text == "" {
		return nil, nil
	}
	b, err := strconv.ParseBool(text)
	if err != nil {
		return nil, problem.Newf(problem.BadRequest, "%s has to be true or false", name)
	}
	return &b, nil
}

func (f *Function) createSchedule(r *http.Request) (answer, error) {
	data, err := body(r, false)
	if err != nil {
		return answer{}, err
	}
	d, err := f.check(r.Context(), withoutKept(data), nil)
	if err != nil {
		return answer{}, err
	}
	s := schedule.New(d, store.NewScheduleID(d.Name), actor(r), f.Now().UTC())
	var asked []schedule.Occurrence
	if s.RunOnCreate && s.Status == schedule.Active {
		asked = append(asked, schedule.Asked(s, "run_on_create", "create", s.By, nil, f.Now().UTC()))
	}
	if err := f.DB.Create(r.Context(), s, asked...); err != nil {
		return answer{}, err
	}
	f.Log.InfoContext(r.Context(), "schedule created", "schedule", s.Name, "by", s.By)
	for _, o := range asked {
		f.sent(r.Context(), o)
	}
	return f.scheduleAnswer(r, http.StatusCreated, s.Name)
}

func (f *Function) updateSchedule(r *http.Request) (answer, error) {
	patch, err := body(r, false)
	if err != nil {
		return answer{}, err
	}
	name := r.PathValue("name")
	return f.edit(r, name, "", false, func(old schedule.Schedule) (schedule.Definition, error) {
		merged, err := mergePatch(old.Definition, withoutKept(patch))
		if err != nil {
			return schedule.Definition{}, err
		}
		d, err := f.check(r.Context(), merged, &old)
		if d.Name != name && err == nil {
			err = recur.FieldErrors{{Field: "name", Message: "cannot be changed; create another schedule"}}
		}
		return d, err
	})
}

func (f *Function) enableSchedule(r *http.Request) (answer, error) {
	return f.setStatus(r, schedule.Active)
}

func (f *Function) disableSchedule(r *http.Request) (answer, error) {
	return f.setStatus(r, schedule.Disabled)
}

func (f *Function) setStatus(r *http.Request, status schedule.Activity) (answer, error) {
	note, err := readNote(r)
	if err != nil {
		return answer{}, err
	}
	return f.edit(r, r.PathValue("name"), note, status == schedule.Disabled, func(old schedule.Schedule) (schedule.Definition, error) {
		d := old.Definition
		d.Status = status
		return d, f.checkStarts(r.Context(), d, &old)
	})
}

// readNote reads the body {"note": "why"}, which may be absent.
func readNote(r *http.Request) (note string, err error) {
	data, err := body(r, true)
	if err != nil || len(data) == 0 {
		return "", err
	}
	var errs recur.FieldErrors
	if o, ok := recur.ReadObject("", data, &errs); ok {
		note = o.Text("note")
		o.Strangers([]string{"note"})
		if len(note) > 4096 {
			o.Fail("note", "may have 4096 bytes, this has %d", len(note))
		}
	}
	if len(errs) > 0 {
		return "", errs
	}
	return note, nil
}

// edit changes a schedule's definition, if the caller's If-Match still names its revision. A definition that is the
// same makes no revision, unless a note comes with it or a person disables (stop) what was disabled with all, or has
// something to start still.
func (f *Function) edit(r *http.Request, name, note string, stop bool, change func(schedule.Schedule) (schedule.Definition, error)) (answer, error) {
	now := f.Now().UTC()
	s, err := f.DB.Edit(r.Context(), name, now, func(old schedule.Schedule) (schedule.Schedule, error) {
		if err := matches(r, old); err != nil {
			return old, err
		}
		d, err := change(old)
		if err != nil {
			return old, err
		}
		if same(d, old.Definition) && note == "" {
			if !stop || old.Status != schedule.Disabled {
				return old, nil
			}
			if waits, err := f.waits(r.Context(), old); err != nil || !waits && !old.DisabledWithAll() {
				return old, err
			}
		}
		if stop {
			return old.StoppedBy(actor(r), note, false, now), nil
		}
		if d.Status == schedule.Active && over(d.Trigger, now) {
			return old, problem.Newf(problem.Conflict, "the time of schedule %s is over; give its trigger another at", old.Name)
		}
		if err := f.spent(r.Context(), d, old); err != nil {
			return old, err
		}
		return old.Revise(d, actor(r), note, now), nil
	})
	if err != nil {
		return answer{}, err
	}
	f.Log.InfoContext(r.Context(), "schedule changed", "schedule", name, "revision", s.Revision, "status", s.Status, "by", s.By)
	return f.scheduleAnswer(r, http.StatusOK, name)
}

// over reports whether a trigger is a single time that is past.
func over(t schedule.Trigger, now time.Time) bool {
	if t.Kind != recur.KindAt {
		return false
	}
	_, errs := t.Compile(now)
	return len(errs) > 0
}

// spent refuses that a schedule becomes active which has started all the runs that it may: it would be done at once.
func (f *Function) spent(ctx context.Context, d schedule.Definition, old schedule.Schedule) error {
	if d.MaxRuns == 0 || d.Status != schedule.Active || old.Status == schedule.Active {
		return nil
	}
	r, err := f.DB.Schedule(ctx, old.Name)
	if err != nil || r.State.Value.Submitted < d.MaxRuns {
		return err
	}
	return problem.Newf(problem.Conflict, "schedule %s has started %d runs, and max_runs allows %d; raise max_runs, or take it away", old.Name, r.State.Value.Submitted, d.MaxRuns)
}

func (f *Function) deleteSchedule(r *http.Request) (answer, error) {
	name := r.PathValue("name")
	err := f.DB.Delete(r.Context(), name, actor(r), f.Now().UTC(), func(s schedule.Schedule) error { return matches(r, s) })
	if err != nil {
		return answer{}, err
	}
	f.Log.InfoContext(r.Context(), "schedule deleted", "schedule", name, "by", actor(r))
	return answer{body: struct{}{}}, nil
}

func (f *Function) nextOccurrences(r *http.Request) (answer, error) {
	if err := onlyQuery(r, "n"); err != nil {
		return answer{}, err
	}
	n, err := number(r, "n", 5, 1000)
	if err != nil {
		return answer{}, err
	}
	record, err := f.DB.Schedule(r.Context(), r.PathValue("name"))
	if err != nil {
		return answer{}, err
	}
	s := record.Schedule.Value
	if s.Trigger.Watch != nil {
		notices := []string{timeless(s.Trigger)}
		if s.Status != schedule.Active {
			notices = append(notices, "it is disabled, and does not fire")
		}
		return answer{body: notedPage{page: page{Items: []occurrenceTime{}}, Notices: notices}}, nil
	}
	times, _, err := f.upcoming(r, record.Due(), record.Upcoming(f.Now()), n)
	return answer{body: notedPage{page: page{Items: times}}}, err
}

func matches(r *http.Request, s schedule.Schedule) error {
	if want := r.Header.Get("If-Match"); want != "" && want != "*" && want != etag(s) {
		return problem.Newf(problem.Changed, "schedule %s has changed since: it is %s now; look at it again", s.Name, etag(s))
	}
	return nil
}

func same(a, b schedule.Definition) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}
