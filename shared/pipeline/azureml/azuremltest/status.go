package azuremltest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// StatusOf is the status of a published pipeline: Active, Deprecated or Disabled; "" when there is none of that id.
func (s *Service) StatusOf(pipelineID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.pipelines[pipelineID]
	if ok && active(p.Status) {
		return "Active"
	}
	return p.Status
}

// setStatus is the switch of a published pipeline. The form of its body is not established: here it is the status alone,
// and Manners.StatusIgnored is a service that takes it and does nothing. That a pipeline is not disabled while an active
// schedule names it is v1's rule; with which answer it says so is not known.
func (s *Service) setStatus(c call) reply {
	p, ok := s.pipelines[c.name]
	if !ok {
		return refuse(http.StatusNotFound, "NotFound", "there is no published pipeline "+c.name)
	}
	var status string
	if err := json.Unmarshal(c.body, &status); err != nil || !slices.Contains([]string{"Active", "Deprecated", "Disabled"}, status) {
		return s.misunderstood("it is no status: " + string(c.body))
	}
	for _, e := range s.schedules {
		if name, _ := e["PipelineId"].(string); status == "Disabled" && e["EntityStatus"] == "Active" && strings.EqualFold(name, p.ID) {
			return refuse(http.StatusBadRequest, "UserError", "the pipeline has active schedules")
		}
	}
	if !s.manners.StatusIgnored {
		p.Status = status
		s.pipelines[c.name] = p
	}
	return reply{status: http.StatusOK}
}
