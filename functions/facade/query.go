package facade

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"carillon/shared/problem"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// question is the body of a query.
type question struct {
	Filter            string
	OrderBy           ordering
	Top               int
	ContinuationToken string
}

// ordering is a text, or a list of them.
type ordering []string

func (o *ordering) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*o = strings.Split(one, ",")
		return nil
	}
	return json.Unmarshal(data, (*[]string)(o))
}

const (
	usualTop = 100
	mostTop  = 200 // what more is asked for comes with the next page

	// mostReads is how often a schedule's runs are read for one page, each time some thousand at most. A client that does not
	// follow continuation tokens sees what is newest.
	mostReads = 5
)

type runList struct {
	Value             []historyRun `json:"value"`
	ContinuationToken *string      `json:"continuationToken"`
	NextLink          *string      `json:"nextLink"` // the token is to be posted: there is none
}

// query lists the runs of an experiment, the newest first: those that clients have asked for here, and those that the same
// schedules have made. An experiment that nobody knows has none.
func (f *Function) query(r *http.Request, experiment string) (any, error) {
	var q question
	if _, err := read(r, &q); err != nil {
		return nil, err
	}
	passes, err := readFilter(q.Filter)
	switch {
	case err != nil:
		return nil, problem.Newf(problem.BadRequest, "filter: %v", err)
	case q.Top < 0:
		return nil, problem.Newf(problem.BadRequest, "top: has to be 1 or more")
	case !q.OrderBy.newestFirst():
		return nil, problem.Newf(problem.BadRequest, "orderBy: runs come in one order here, CreatedUtc desc; leave it out")
	}
	lists, err := f.lists(r.Context(), q.ContinuationToken)
	if err != nil {
		return nil, err
	}
	// A Functions host hands on %2F in a path as %252F.
	unescaped, err := url.PathUnescape(experiment)
	if err != nil {
		unescaped = experiment
	}
	keep := func(s schedule.Schedule) func(schedule.Occurrence) bool {
		return func(o schedule.Occurrence) bool {
			ran := o.Status != schedule.Skipped || o.Kind == schedule.Manual
			in := cmp.Or(o.Experiment, s.Experiment)
			return ran && (strings.EqualFold(in, experiment) || strings.EqualFold(in, unescaped)) && passes(f.historyRun(o))
		}
	}
	return f.page(r.Context(), lists, min(cmp.Or(q.Top, usualTop), mostTop), keep)
}

func (o ordering) newestFirst() bool {
	for i, by := range o {
		words := strings.Fields(strings.ToLower(by))
		if len(words) == 0 && len(o) == 1 {
			return true
		}
		newest := len(words) == 2 && words[1] == "desc" && (words[0] == "createdutc" || words[0] == "starttimeutc")
		if !newest && !(i > 0 && len(words) > 0 && words[0] == "runid") {
			return false
		}
	}
	return true
}

// list is how far the runs of a schedule have been told.
type list struct {
	schedule schedule.Schedule
	from     string // the store's token, of the last one that was told
	found    []schedule.Occurrence
	next     string // the token after those that were found
}

var listToken = regexp.MustCompile(`^[0-9A-Za-z|._-]{1,512}$`)

// lists are those of the schedules whose runs have not all been told.
func (f *Function) lists(ctx context.Context, continued string) (lists []*list, err error) {
	var from map[string]string // by the schedule's id
	if continued != "" {
		data, err := base64.RawURLEncoding.DecodeString(continued)
		if err != nil || json.Unmarshal(data, &from) != nil || from == nil {
			return nil, problem.Newf(problem.BadRequest, "continuationToken: has to be one that a query has returned")
		}
	}
	for _, name := range f.names() {
		record, err := f.DB.Schedule(ctx, name)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		s := record.Schedule.Value
		token, told := from[s.ID]
		switch {
		case from != nil && !told:
			continue
		case token != "" && !listToken.MatchString(token):
			return nil, problem.Newf(problem.BadRequest, "continuationToken: has to be one that a query has returned")
		}
		lists = append(lists, &list{schedule: s, from: token})
	}
	return lists, nil
}

// page merges lists, each of which has its newest first.
func (f *Function) page(ctx context.Context, lists []*list, top int, keep func(schedule.Schedule) func(schedule.Occurrence) bool) (runList, error) {
	var all []schedule.Occurrence
	for _, l := range lists {
		if err := f.fill(ctx, l, top, keep(l.schedule)); err != nil {
			return runList{}, err
		}
		all = append(all, l.found...)
	}
	slices.SortStableFunc(all, func(a, b schedule.Occurrence) int {
		return cmp.Or(b.Nominal.Compare(a.Nominal), strings.Compare(a.Schedule, b.Schedule))
	})
	all = all[:min(len(all), top)]
	answer := runList{Value: make([]historyRun, len(all))}
	for i, o := range all {
		answer.Value[i] = f.historyRun(o)
	}
	tokens := map[string]string{}
	for _, l := range lists {
		told := 0
		for _, o := range all {
			if o.ScheduleID() == l.schedule.ID {
				told++
			}
		}
		if token, more := l.after(told); more {
			tokens[l.schedule.ID] = token
		}
	}
	if len(tokens) > 0 {
		data, _ := json.Marshal(tokens) // texts only
		text := base64.RawURLEncoding.EncodeToString(data)
		answer.ContinuationToken = &text
	}
	return answer, nil
}

// fill finds up to top runs of a list.
func (f *Function) fill(ctx context.Context, l *list, top int, keep func(schedule.Occurrence) bool) error {
	l.next = l.from
	for range mostReads {
		found, next, err := f.DB.OccurrencesOf(ctx, l.schedule.ID, l.next, top-len(l.found), keep)
		if err != nil {
			return err
		}
		l.found, l.next = append(l.found, found...), next
		if next == "" || len(l.found) == top {
			break
		}
	}
	return nil
}

// after is the token with which a list goes on, once so many of those that were found are told; more is whether it does.
func (l *list) after(told int) (token string, more bool) {
	switch told {
	case len(l.found):
		return l.next, l.next != ""
	case 0:
		return l.from, true
	}
	return store.TokenAfter(l.found[told-1].ID), true
}
