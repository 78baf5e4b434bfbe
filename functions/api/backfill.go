package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/problem"
	"carillon/shared/queue"
	"carillon/shared/recur"
	"carillon/shared/schedule"
)

// backfilled is the answer to a backfill: what it makes, or would make.
type backfilled struct {
	DryRun  bool         `json:"dry_run,omitempty"`
	Runs    []filledTime `json:"runs"` // in the order in which they are to start
	LeftOut []leftTime   `json:"left_out,omitempty"`
	More    *fillRange   `json:"more,omitempty"` // the range has more than one backfill makes: ask for this, too
	Notices []string     `json:"notices,omitempty"`
}

type filledTime struct {
	ID      string    `json:"id"`
	Nominal time.Time `json:"nominal"`
}

type leftTime struct {
	Nominal time.Time `json:"nominal"`
	Why     string    `json:"why"`
}

type fillRange struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// backfill makes runs for times of a schedule that are over. Asked again, it leaves out what it has made.
func (f *Function) backfill(r *http.Request) (answer, error) {
	data, err := body(r, false)
	if err != nil {
		return answer{}, err
	}
	record, err := f.DB.Schedule(r.Context(), r.PathValue("name"))
	if err != nil {
		return answer{}, err
	}
	s, due := record.Schedule.Value, record.Due()
	if s.Trigger.Watch != nil {
		return answer{}, problem.Newf(problem.Conflict, "schedule %s fires when data change: there are no times that could be filled", s.Name)
	}
	b, dry, err := f.readBackfill(r, s, data)
	if err != nil {
		return answer{}, err
	}
	excluded, err := f.DB.Exclusions(r.Context(), due.Calendars...)(due)
	if err != nil {
		return answer{}, err
	}
	filling, err := due.Fill(b, excluded)
	if err != nil {
		return answer{}, err
	}
	out := backfilled{DryRun: dry, Runs: []filledTime{}}
	if out.Notices, err = f.fillNotices(r.Context(), s, filling); err != nil {
		return answer{}, err
	}
	if rest := filling.Rest; rest != nil {
		out.More = &fillRange{rest.Start, rest.End}
	}
	occurrences, err := f.missing(r.Context(), s, due, b, filling.Times, &out)
	if err != nil {
		return answer{}, err
	}
	if !dry {
		if occurrences, err = f.fill(r, s, b, occurrences, &out); err != nil {
			return answer{}, err
		}
	}
	for _, o := range occurrences {
		out.Runs = append(out.Runs, filledTime{o.ID, o.Nominal})
	}
	if dry {
		return answer{body: out}, nil
	}
	return answer{status: http.StatusAccepted, body: out}, nil
}

// missing makes the occurrences of times that are to be filled, and enters the others as left out.
func (f *Function) missing(ctx context.Context, s schedule.Schedule, due schedule.Due, b schedule.Backfill, times []time.Time, out *backfilled) ([]schedule.Occurrence, error) {
	pasts, err := f.DB.Pasts(ctx, s.ID, times)
	if err != nil {
		return nil, err
	}
	var left []time.Time
	var leftPasts []schedule.Past
	for i, t := range times {
		why := pasts[i].Kept(b.Again)
		if due.Own(t) {
			why = "the schedule itself is about to record it"
		}
		if why != "" {
			out.LeftOut = append(out.LeftOut, leftTime{t, why})
			continue
		}
		left, leftPasts = append(left, t), append(leftPasts, pasts[i])
	}
	return s.Filled(b, left, leftPasts, f.Now()), nil
}

// fill records occurrences and sends the first of them, as many as may be under way at once; each brings on the next.
func (f *Function) fill(r *http.Request, s schedule.Schedule, b schedule.Backfill, occurrences []schedule.Occurrence, out *backfilled) ([]schedule.Occurrence, error) {
	now := f.Now().UTC()
	made, taken, err := f.DB.Fill(r.Context(), s, occurrences, schedule.AuditedFill(s, b, now), now)
	for _, o := range taken {
		out.LeftOut = append(out.LeftOut, leftTime{o.Nominal, "somebody else is filling it"})
	}
	slices.SortStableFunc(out.LeftOut, func(x, y leftTime) int { return x.Nominal.Compare(y.Nominal) })
	var ids []string
	for _, o := range made[:min(len(made), max(b.AtOnce, 1))] {
		ids = append(ids, o.ID)
	}
	for _, message := range queue.Messages(ids) {
		if err := f.Submit.Send(r.Context(), message, 0); err != nil {
			f.Log.WarnContext(r.Context(), "a message was not sent; the clock will send it", "schedule", s.Name, "error", err)
		}
	}
	if len(made) > 0 {
		f.Log.InfoContext(r.Context(), "backfill", "schedule", s.Name, "runs", len(made), "by", b.By)
	}
	return made, err
}

// fillNotices are what people should know of a backfill: which times it leaves out, what its runs meet, and what keeps them
// from running.
func (f *Function) fillNotices(ctx context.Context, s schedule.Schedule, filling schedule.Filling) (notices []string, err error) {
	switch {
	case filling.Excluded > 0:
		notices = append(notices, fmt.Sprintf("calendars exclude %d times of the range", filling.Excluded))
	case len(filling.Times) == 0:
		notices = append(notices, "the schedule has no times in the range: "+s.Trigger.String())
	}
	if len(filling.Times) == 0 {
		return notices, nil
	}
	if s.Status == schedule.Active && s.Overlap.Queues() {
		notices = append(notices, fmt.Sprintf("overlap is %s: what comes due while a run of the backfill is under way meets that, too", s.Overlap))
	}
	d := s.Definition
	d.Status = schedule.Active // a backfill does not ask whether it is
	stopped, err := f.stoppedNotices(ctx, d)
	if p, unknown := f.describe(ctx, s.Pipeline); len(stopped) == 0 && p.Problem != "" && (unknown == nil || errors.Is(unknown, pipeline.ErrNotFound)) {
		stopped = []string{"pipeline " + s.Pipeline.String() + " cannot run as it stands: " + p.Problem}
	}
	for _, notice := range stopped {
		notices = append(notices, "as things stand none of these runs starts: "+notice)
	}
	return notices, err
}

const maxAtOnce = 100

func (f *Function) readBackfill(r *http.Request, s schedule.Schedule, data []byte) (b schedule.Backfill, dry bool, err error) {
	var errs recur.FieldErrors
	o, ok := recur.ReadObject("", data, &errs)
	if !ok {
		return b, false, errs
	}
	b.By = actor(r)
	b.From, b.To = instant(o, "from", s, false), instant(o, "to", s, true)
	switch {
	case b.To.After(f.Now()):
		o.Fail("to", "is still to come: a backfill is of times that are over")
	case !b.From.IsZero() && !b.To.IsZero() && b.To.Before(b.From):
		o.Fail("to", "is before from")
	}
	switch order := strings.ToLower(o.Text("order")); order {
	case "", "oldest":
	case "newest":
		b.Newest = true
	default:
		o.Fail("order", "has to be oldest or newest: which of them start first")
	}
	if raw := o.Value("at_once"); raw != nil && (json.Unmarshal(raw, &b.AtOnce) != nil || b.AtOnce < 1 || b.AtOnce > maxAtOnce) {
		o.Fail("at_once", "has to be a whole number from 1 to %d", maxAtOnce)
	}
	b.Again, dry = yes(o, "again"), yes(o, "dry_run")
	parameters := o.Value("parameters")
	o.Strangers([]string{"from", "to", "order", "at_once", "again", "dry_run", "parameters"})
	if len(errs) > 0 {
		return b, dry, errs
	}
	b.Parameters, err = f.ownParameters(r.Context(), s, parameters)
	return b, dry, err
}

func yes(o *recur.Object, field string) (is bool) {
	if raw := o.Value(field); raw != nil && json.Unmarshal(raw, &is) != nil {
		o.Fail(field, "has to be true or false")
	}
	return is
}

// instant reads a time that has to be there: with an offset, or as a wall time in the schedule's zone. A date stands for
// its first second or, at the end of a range, for its last. What cannot be read is reported, and zero.
func instant(o *recur.Object, field string, s schedule.Schedule, end bool) time.Time {
	raw, text := o.Value(field), o.Text(field)
	if raw == nil || text == "" && raw[0] == '"' {
		o.Fail(field, "is required: a time such as 2026-11-22T10:00, in the schedule's zone, or 2026-11-22T09:00:00Z")
	}
	if text == "" {
		return time.Time{}
	}
	zone := s.Trigger.Zone()
	if date, err := time.ParseInLocation(time.DateOnly, text, time.UTC); err == nil {
		if !end {
			return first(date, zone)
		}
		return first(date.AddDate(0, 0, 1), zone).Add(-time.Second)
	}
	t, err := recur.ParseTime(text, zone)
	if err != nil {
		o.Fail(field, "%.40q is %v", text, err)
		return time.Time{}
	}
	return t.UTC()
}

// first is the first second of a date in a zone; zero for a date that no time can be of.
func first(date time.Time, zone *time.Location) time.Time {
	t, err := recur.ParseTime(date.Format("2006-01-02T15:04"), zone)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
