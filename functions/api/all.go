package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"regexp"
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
)

// sweeping is what a sweep makes of a schedule: itself, when it is to stay as it is. left says why it is not enabled.
type sweeping func(ctx context.Context, s schedule.Schedule, note string, now time.Time) (next schedule.Schedule, left string, err error)

// sweepPage names the schedules of a page, after a token; it is the last one when next is "".
type sweepPage func(ctx context.Context, token string) (names []string, next string, err error)

// whatWaits begins the tokens of pages of what waits, which come after those of schedules. No name begins so.
const whatWaits = "|"

var whatWaitsToken = regexp.MustCompile(`^\|[0-9A-Za-z|._-]*$`)

// disableAll disables every active schedule, with a mark by which enableAll finds it, and then skips whatever waits of others.
func (f *Function) disableAll(r *http.Request) (answer, error) {
	var rest bool // the schedules are done with
	var waiting []schedule.Occurrence
	page := func(ctx context.Context, token string) (names []string, next string, err error) {
		if token, rest = strings.CutPrefix(token, whatWaits); !rest {
			names, next, err = f.pageOf(func(s schedule.Schedule) bool { return s.Status == schedule.Active })(ctx, token)
			return names, cmp.Or(next, whatWaits), err
		}
		if waiting, next, err = f.waiting(ctx, token); next != "" {
			next = whatWaits + next
		}
		for _, o := range waiting {
			names = append(names, o.Schedule)
		}
		slices.Sort(names)
		return slices.Compact(names), next, err
	}
	stop := func(_ context.Context, s schedule.Schedule, note string, now time.Time) (schedule.Schedule, string, error) {
		stops := s.Status == schedule.Active
		if rest { // what is active by now somebody has enabled meanwhile
			stops = !stops && slices.ContainsFunc(waiting, s.Stops)
		}
		if stops {
			s = s.StoppedBy(actor(r), note, true, now)
		}
		return s, "", nil
	}
	return f.sweep(r, page, stop)
}

// waiting is a page of what waits to be submitted, whatever its schedule.
func (f *Function) waiting(ctx context.Context, token string) (all []schedule.Occurrence, next string, err error) {
	if token == "" {
		if all, err = f.DB.Lines(ctx); err != nil {
			return nil, "", err
		}
	}
	others, next, err := f.DB.Unsubmitted(ctx, token, sweptTogether)
	return append(all, others...), next, err
}

// pageOf are pages of the schedules of a kind.
func (f *Function) pageOf(which func(schedule.Schedule) bool) sweepPage {
	return func(ctx context.Context, token string) (names []string, next string, err error) {
		records, next, err := f.DB.Schedules(ctx, token, sweptTogether, which)
		for _, record := range records {
			names = append(names, record.Schedule.Value.Name)
		}
		return names, next, err
	}
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
		err := f.spent(ctx, d, s)
		if err == nil {
			err = f.checkStarts(ctx, d, &s)
		}
		wrong, spent := (recur.FieldErrors)(nil), new(problem.Problem)
		switch {
		case errors.As(err, &wrong):
			return s, wrong[0].Message, nil
		case errors.As(err, &spent):
			return s, spent.Title, nil
		}
		return s.Revise(d, actor(r), note, now), "", err
	}
	return f.sweep(r, f.pageOf(schedule.Schedule.DisabledWithAll), enable)
}

// sweep changes schedules, page by page, as many as it can in its time.
func (f *Function) sweep(r *http.Request, page sweepPage, change sweeping) (answer, error) {
	if err := onlyQuery(r, "token"); err != nil {
		return answer{}, err
	}
	note, err := readNote(r)
	if err != nil {
		return answer{}, err
	}
	token := r.URL.Query().Get("token")
	if token != "" && !schedule.ValidName(token) && !whatWaitsToken.MatchString(token) {
		return answer{}, problem.Newf(problem.BadRequest, "token has to be one that an answer has returned")
	}
	var out swept
	for until := f.Now().Add(sweepFor); ; {
		names, next, err := page(r.Context(), token)
		if err != nil {
			return answer{}, err
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

// waits reports whether something of a schedule that is disabled would be stopped by disabling it again.
func (f *Function) waits(ctx context.Context, s schedule.Schedule) (bool, error) {
	first, waits, err := f.DB.FirstInLine(ctx, s.ID)
	if err != nil || waits && s.Stops(first) {
		return err == nil, err
	}
	last, _, err := f.DB.OccurrencesOf(ctx, s.ID, "", 20, func(schedule.Occurrence) bool { return true })
	if err != nil {
		return false, err
	}
	tried, err := f.DB.UnderWay(ctx, s.ID, maxRunningShown)
	return slices.ContainsFunc(append(last, tried...), s.Stops), err
}
