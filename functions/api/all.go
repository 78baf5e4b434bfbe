package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"carillon/shared/problem"
	"carillon/shared/recur"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// swept is the answer to a request that changes all schedules: how many it has changed, and where to go on.
type swept struct {
	Changed int            `json:"changed"`
	LeftOut []leftSchedule `json:"left_out,omitempty"`
	Next    string         `json:"next,omitempty"` // not all have been looked at: send the request again with it as ?token=
}

type leftSchedule struct {
	Schedule string `json:"schedule"`
	Why      string `json:"why"`
}

const (
	sweptTogether = 100              // schedules
	sweptAtOnce   = 8                // of them
	sweepFor      = 20 * time.Second // a request; a gateway in front of it may not wait longer than a minute

	// doneLately is how long ago a schedule may have done all it was to do and still have something to start: the longest
	// jitter, and as much again for tries.
	doneLately = 48 * time.Hour
)

// sweeping is what a sweep makes of a schedule: itself, when it is to stay as it is. left says why it is not enabled.
type sweeping func(ctx context.Context, s schedule.Schedule, note string, now time.Time) (next schedule.Schedule, left string, err error)

// disableAll disables every active schedule, with a mark by which enableAll finds it, and skips whatever waits of others.
func (f *Function) disableAll(r *http.Request) (answer, error) {
	lately := f.Now().Add(-doneLately)
	which := func(s schedule.Schedule) bool {
		return s.Status == schedule.Active || s.Done() && s.Updated.After(lately)
	}
	stop := func(ctx context.Context, s schedule.Schedule, note string, now time.Time) (schedule.Schedule, string, error) {
		if s.Status != schedule.Active {
			if waits, err := f.waits(ctx, s); err != nil || !waits {
				return s, "", err
			}
		}
		return s.StoppedBy(actor(r), note, true, now), "", nil
	}
	return f.sweep(r, which, stop, f.DB.Lines)
}

// enableAll enables what disableAll has disabled, and nobody has enabled or disabled since.
func (f *Function) enableAll(r *http.Request) (answer, error) {
	enable := func(ctx context.Context, s schedule.Schedule, note string, now time.Time) (schedule.Schedule, string, error) {
		d := s.Definition
		switch {
		case !s.DisabledWithAll():
			return s, "", nil
		case over(d.Trigger, now):
			const why = "its time came while all schedules were disabled"
			return s.Revise(d, actor(r), why, now), why, nil
		}
		d.Status = schedule.Active
		err := f.checkStarts(ctx, d, &s)
		if wrong := (recur.FieldErrors)(nil); errors.As(err, &wrong) {
			return s, wrong[0].Message, nil
		}
		return s.Revise(d, actor(r), note, now), "", err
	}
	return f.sweep(r, schedule.Schedule.DisabledWithAll, enable, func(context.Context) ([]string, error) { return nil, nil })
}

// sweep changes schedules, as many as it can in its time. also names some that have to be looked at in any case, in the end.
func (f *Function) sweep(r *http.Request, which func(schedule.Schedule) bool, change sweeping, also func(context.Context) ([]string, error)) (answer, error) {
	if err := onlyQuery(r, "token"); err != nil {
		return answer{}, err
	}
	note, err := readNote(r)
	if err != nil {
		return answer{}, err
	}
	token := r.URL.Query().Get("token")
	if token != "" && !schedule.ValidName(token) {
		return answer{}, problem.Newf(problem.BadRequest, "token has to be one that an answer has returned")
	}
	var out swept
	for until := f.Now().Add(sweepFor); ; {
		records, next, err := f.DB.Schedules(r.Context(), token, sweptTogether, which)
		if err != nil {
			return answer{}, err
		}
		names := make([]string, len(records))
		for i, record := range records {
			names[i] = record.Schedule.Value.Name
		}
		if next == "" {
			others, err := also(r.Context())
			if err != nil {
				return answer{}, err
			}
			names = append(names, others...)
		}
		if err := f.change(r.Context(), names, note, change, &out); err != nil {
			return answer{}, err
		}
		if out.Next, token = next, next; next == "" || f.Now().After(until) {
			f.Log.InfoContext(r.Context(), "all schedules", "path", r.URL.Path, "changed", out.Changed, "by", actor(r))
			return answer{body: out}, nil
		}
	}
}

// change changes schedules of these names, several at once. What others have changed meanwhile is looked at again, and one
// that cannot be changed keeps none of the others from it.
func (f *Function) change(ctx context.Context, names []string, note string, change sweeping, out *swept) error {
	var group sync.WaitGroup
	var mu sync.Mutex
	slots := make(chan struct{}, sweptAtOnce)
	for _, name := range names {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			now, was, left := f.Now().UTC(), 0, ""
			s, err := f.DB.Edit(ctx, name, now, func(s schedule.Schedule) (next schedule.Schedule, err error) {
				was = s.Revision
				next, left, err = change(ctx, s, note, now)
				return next, err
			})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, store.ErrNotFound): // deleted meanwhile
			case err != nil:
				f.Log.ErrorContext(ctx, "a schedule could not be changed with all", "schedule", name, "error", err)
				out.LeftOut = append(out.LeftOut, leftSchedule{name, "it could not be changed; Carillon's log says why"})
			case left != "":
				out.LeftOut = append(out.LeftOut, leftSchedule{name, left})
			case s.Revision != was:
				out.Changed++
			}
		})
	}
	group.Wait()
	slices.SortFunc(out.LeftOut, func(a, b leftSchedule) int { return strings.Compare(a.Schedule, b.Schedule) })
	return ctx.Err()
}

// waits reports whether something waits of a schedule that is disabled.
func (f *Function) waits(ctx context.Context, s schedule.Schedule) (bool, error) {
	first, waits, err := f.DB.FirstInLine(ctx, s.ID)
	if err != nil || waits && first.Revision >= s.DisabledRevision {
		return err == nil, err
	}
	last, _, err := f.DB.OccurrencesOf(ctx, s.ID, "", 20, func(schedule.Occurrence) bool { return true })
	return slices.ContainsFunc(last, func(o schedule.Occurrence) bool {
		return o.Status == schedule.Waiting && o.Revision >= s.DisabledRevision
	}), err
}
