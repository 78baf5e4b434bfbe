package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"carillon/shared/problem"
	"carillon/shared/recur"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

func (f *Function) listCalendars(r *http.Request) (answer, error) {
	if err := onlyQuery(r, "token", "limit"); err != nil {
		return answer{}, err
	}
	limit, err := number(r, "limit", 50, 200)
	if err != nil {
		return answer{}, err
	}
	token := r.URL.Query().Get("token")
	if token != "" && !schedule.ValidName(token) {
		return answer{}, problem.Newf(problem.BadRequest, "token has to be one that a list has returned")
	}
	calendars, next, err := f.DB.Calendars(r.Context(), token, limit)
	if calendars == nil {
		calendars = []store.NamedCalendar{}
	}
	return answer{body: page{calendars, next}}, err
}

func (f *Function) getCalendar(r *http.Request) (answer, error) {
	c, err := f.DB.Calendar(r.Context(), r.PathValue("name"))
	return answer{body: c}, err
}

func (f *Function) putCalendar(r *http.Request) (answer, error) {
	data, err := body(r, false)
	if err != nil {
		return answer{}, err
	}
	name := r.PathValue("name")
	if !schedule.ValidName(name) {
		return answer{}, problem.Newf(problem.BadRequest, "%.80q cannot be a calendar's name: a letter or digit, then up to 254 letters, digits, _ or -", name)
	}
	calendar, errs := recur.DecodeCalendar(without(data, "name"))
	var written struct{ Name string }
	if json.Unmarshal(data, &written); written.Name != "" && written.Name != name {
		errs = append(errs, recur.FieldError{Field: "name", Message: "is not the one in the address, " + name})
	}
	if canonical, _ := json.Marshal(calendar); len(errs) == 0 && len(canonical) > schedule.MaxDefinition {
		errs = recur.FieldErrors{{Field: "dates", Message: "the calendar is too large: use date_ranges, or two calendars"}}
	}
	if len(errs) > 0 {
		return answer{}, errs
	}
	c := store.NamedCalendar{Name: name, Calendar: calendar}
	if err := f.DB.PutCalendar(r.Context(), c, actor(r), f.Now().UTC()); err != nil {
		return answer{}, err
	}
	f.Log.InfoContext(r.Context(), "calendar written", "calendar", name, "by", actor(r))
	return answer{body: c}, nil
}

// deleteCalendar refuses while a schedule names the calendar: that schedule would fire on excluded days.
func (f *Function) deleteCalendar(r *http.Request) (answer, error) {
	name := r.PathValue("name")
	if _, err := f.DB.Calendar(r.Context(), name); err != nil {
		return answer{}, err
	}
	var users []string
	for token, more := "", true; more && len(users) < 10; more = token != "" {
		records, next, err := f.DB.Schedules(r.Context(), token, 100, func(s schedule.Schedule) bool { return slices.Contains(s.Calendars, name) })
		if err != nil {
			return answer{}, err
		}
		for _, record := range records[:min(len(records), 10-len(users))] {
			users = append(users, record.Schedule.Value.Name)
		}
		token = next
	}
	if len(users) > 0 {
		return answer{}, problem.Newf(problem.Conflict, "calendar %s is named by schedules: %s; take it out of them first", name, strings.Join(users, ", "))
	}
	if err := f.DB.DeleteCalendar(r.Context(), name, actor(r), f.Now().UTC()); err != nil {
		return answer{}, err
	}
	f.Log.InfoContext(r.Context(), "calendar deleted", "calendar", name, "by", actor(r))
	return answer{body: struct{}{}}, nil
}

// previewed is what a definition would do if it were created now.
type previewed struct {
	When    string           `json:"when"`
	Items   []occurrenceTime `json:"items"`
	Notices []string         `json:"notices,omitempty"`
}

// preview computes the next occurrences of a definition that is not created. Only its trigger and calendars matter.
func (f *Function) preview(r *http.Request) (answer, error) {
	if err := onlyQuery(r, "n"); err != nil {
		return answer{}, err
	}
	n, err := number(r, "n", 5, 1000)
	if err != nil {
		return answer{}, err
	}
	data, err := body(r, false)
	if err != nil {
		return answer{}, err
	}
	d, err := f.check(r.Context(), withoutKept(data), nil)
	if err != nil {
		return answer{}, err
	}
	now := f.Now().UTC()
	s := schedule.New(d, store.NewScheduleID(d.Name), actor(r), now)
	s.Status = schedule.Active
	due, err := schedule.NewDue(s, now)
	if err != nil {
		return answer{}, err
	}
	times, notices, err := f.upcoming(r, due, due.Next, n)
	if d.Trigger.Watch != nil {
		notices = append(d.Notices(), timeless(d.Trigger))
	}
	return answer{body: previewed{When: d.Trigger.String(), Items: times, Notices: notices}}, err
}

// upcoming computes the next times of a schedule, beginning with the first. A datastore trigger has none.
func (f *Function) upcoming(r *http.Request, due schedule.Due, first time.Time, n int) (times []occurrenceTime, notices []string, err error) {
	if due.Trigger.Watch != nil {
		return []occurrenceTime{}, nil, nil
	}
	rule, errs := due.Trigger.Compile(due.Anchor)
	if len(errs) > 0 {
		return nil, nil, errs
	}
	excluded, err := f.DB.Exclusions(r.Context(), due.Calendars...)(due)
	if err != nil {
		return nil, nil, err
	}
	times = []occurrenceTime{}
	for at := first; !at.IsZero() && len(times) < n; at, _ = rule.Next(at) {
		times = append(times, occurrenceTime{
			Time: at.In(rule.Zone()), UTC: at.UTC(), Moved: rule.Moved(at), Excluded: excluded(at, rule.Zone()),
		})
	}
	return times, rule.Notices(), nil
}

// occurrenceTime is a time at which a schedule will fire, or would but for a calendar.
type occurrenceTime struct {
	Time     time.Time `json:"time"` // in the trigger's zone
	UTC      time.Time `json:"utc"`
	Moved    bool      `json:"moved,omitempty"`    // daylight saving moved it off the wall time that was written
	Excluded string    `json:"excluded,omitempty"` // the calendar that excludes it
}
