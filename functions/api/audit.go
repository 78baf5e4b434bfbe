package api

import (
	"net/http"
	"strings"

	"carillon/shared/problem"
	"carillon/shared/schedule"
)

// listAudit lists the changes that people and programs have made, the last ones first: of a schedule, or by somebody.
func (f *Function) listAudit(r *http.Request) (answer, error) {
	if err := onlyQuery(r, "token", "limit", "schedule", "by"); err != nil {
		return answer{}, err
	}
	limit, err := number(r, "limit", 50, 200)
	if err != nil {
		return answer{}, err
	}
	query := r.URL.Query()
	token, name, by := query.Get("token"), query.Get("schedule"), query.Get("by")
	if strings.Trim(token, "0123456789abcdefghijklmnopqrstuvwxyz|") != "" {
		return answer{}, problem.Newf(problem.BadRequest, "token has to be one that a list has returned")
	}
	if name != "" && !schedule.ValidName(name) {
		return answer{}, problem.Newf(problem.BadRequest, "%.80q cannot be a schedule's name", name)
	}
	items, next, err := f.DB.Audits(r.Context(), name, token, limit, func(a schedule.Audit) bool { return by == "" || a.By == by })
	if items == nil {
		items = []schedule.Audit{}
	}
	return answer{body: page{items, next}}, err
}
