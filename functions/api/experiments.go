package api

import (
	"maps"
	"net/http"
	"slices"

	"carillon/shared/problem"
	"carillon/shared/schedule"
)

// experimentView is an experiment that schedules name. Those of schedules that are deleted are not known any more.
type experimentView struct {
	Name      string `json:"name"`
	Schedules int    `json:"schedules"` // of those looked at for this page
	Active    int    `json:"active"`    // of these
}

const (
	schedulesRead = 200 // schedules that are read at once for a list of experiments
	schedulesSeen = 25  // times: a page is of 5,000 schedules
)

// listExperiments reads the schedules, some thousands for a page: an experiment whose schedules come on several pages
// comes on each of them, with those of the page.
func (f *Function) listExperiments(r *http.Request) (answer, error) {
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
	found := map[string]experimentView{}
	next, full := token, false
	for range schedulesSeen {
		records, after, err := f.DB.Schedules(r.Context(), next, schedulesRead, func(schedule.Schedule) bool { return true })
		if err != nil {
			return answer{}, err
		}
		for _, record := range records {
			s := record.Schedule.Value
			e, known := found[s.Experiment]
			if full = !known && len(found) == limit; full {
				break
			}
			e.Name, e.Schedules = s.Experiment, e.Schedules+1
			if s.Status == schedule.Active {
				e.Active++
			}
			found[s.Experiment], next = e, s.Name
		}
		if full {
			break
		}
		if next = after; next == "" {
			break
		}
	}
	items := make([]experimentView, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		items = append(items, found[name])
	}
	return answer{body: page{items, next}}, nil
}
