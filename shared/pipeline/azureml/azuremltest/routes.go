package azuremltest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// route is one operation's. The path lies below the service's base; its groups are handed to work.
type route struct {
	op     Op
	method string
	path   *regexp.Regexp
	query  []string // all of them have to be there, and no others
	fields []string // that the body may have; none for no body
	work   func(s *Service, r call) reply
}

// call is a request that is in order.
type call struct {
	name       string // the group of the path, unescaped
	activeOnly bool
	body       []byte
}

func path(pattern string) *regexp.Regexp {
	return regexp.MustCompile("^" + strings.ReplaceAll(pattern, "{}", `\{\}`) + "$")
}

var submitFields = []string{
	"ExperimentName", "Description", "Tags", "RunSource", "ParameterAssignments", "DataPathAssignments",
	"DataSetDefinitionValueAssignments", "ContinueRunOnStepFailure",
}

var routes = []route{
	{Submit, "POST", path("/pipelines/v1.0{}/PipelineRuns/PipelineSubmit/([^/]+)"), nil, submitFields, (*Service).submit},
	{SubmitTo, "POST", path("/pipelines/v1.0{}/PipelineRuns/PipelineEndpointSubmit/Id/([^/]+)"), nil, submitFields, (*Service).submitTo},
	{GetRun, "GET", path("/pipelines/v1.0{}/PipelineRuns/([^/]+)"), nil, nil, (*Service).getRun},
	{Cancel, "DELETE", path("/pipelines/v1.0{}/PipelineRuns/([^/]+)/Execution"), nil, nil, (*Service).cancel},
	{ListPipelines, "GET", path("/pipelines/v1.0{}/Pipelines()"), []string{"activeOnly"}, nil, (*Service).listPipelines},
	{GetPipeline, "GET", path("/pipelines/v1.0{}/Pipelines/([^/]+)"), nil, nil, (*Service).getPipeline},
	{ListEndpoints, "GET", path("/pipelines/v1.0{}/PipelineEndpoints()"), []string{"activeOnly"}, nil, (*Service).listEndpoints},
	{GetDetails, "GET", path("/history/v1.0{}/runs/([^/]+)/details"), nil, nil, (*Service).details},
	{FindRuns, "POST", path("/history/v1.0{}/experiments/([^/]+)/runs:query"), nil, []string{"filter", "orderBy", "top", "continuationToken"}, (*Service).findRuns},
}

func (s *Service) scope() string {
	return "/subscriptions/" + s.Subscription + "/resourceGroups/" + s.ResourceGroup +
		"/providers/Microsoft.MachineLearningServices/workspaces/" + s.Workspace
}

func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Paths are matched as they are written: what a server makes of others is not known.
	below := strings.Replace(r.URL.EscapedPath(), s.scope(), "{}", 1)
	for _, route := range routes {
		if groups := route.path.FindStringSubmatch(below); groups != nil && route.method == r.Method {
			s.serve(w, r, route, groups[1])
			return
		}
	}
	s.reject(w, r, http.StatusNotFound, "there is no such route")
}

func (s *Service) serve(w http.ResponseWriter, r *http.Request, route route, name string) {
	s.mu.Lock()
	s.asked[route.op]++
	s.mu.Unlock()
	if wrong := s.checkToken(r); wrong != "" {
		s.reject(w, r, http.StatusUnauthorized, wrong)
		return
	}
	c, wrong := route.check(r)
	if wrong != "" {
		s.reject(w, r, http.StatusBadRequest, wrong)
		return
	}
	c.name, _ = url.PathUnescape(name) // the server has done so before
	s.perform(w, r, route.op, func() reply {
		s.mu.Lock()
		defer s.mu.Unlock()
		return route.work(s, c)
	})
}

func (s *Service) reject(w http.ResponseWriter, r *http.Request, status int, wrong string) {
	s.Complain(fmt.Sprintf("%s %s: %s", r.Method, r.URL.RequestURI(), wrong))
	refuse(status, "Complaint", wrong).write(w)
}

// check says what is wrong with a request for the route, apart from its token; "" for nothing.
func (route route) check(r *http.Request) (c call, wrong string) {
	query := r.URL.Query()
	if given := slices.Sorted(maps.Keys(query)); !slices.Equal(given, route.query) {
		return c, fmt.Sprintf("its query has %q, not %q", given, route.query)
	}
	if only := query.Get("activeOnly"); query.Has("activeOnly") && only != "true" && only != "false" {
		return c, fmt.Sprintf("activeOnly is %q", only)
	}
	if accept := r.Header.Get("Accept"); accept != "application/json" {
		return c, fmt.Sprintf("it accepts %q", accept)
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return c, "its body did not arrive"
	}
	c.body, c.activeOnly = data, query.Get("activeOnly") == "true"
	return c, checkBody(route.fields, data, r.Header.Get("Content-Type"))
}

func checkBody(fields []string, data []byte, contentType string) string {
	if fields == nil {
		if len(data) > 0 {
			return "it has a body"
		}
		return ""
	}
	if media, _, _ := mime.ParseMediaType(contentType); media != "application/json" {
		return fmt.Sprintf("its body is %q", contentType)
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil {
		return "its body is no JSON object"
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !slices.Contains(fields, name) {
			return fmt.Sprintf("its body has a field %q", name)
		}
	}
	return ""
}

// decode reads a body whose fields were checked; "" for one that is in order.
func decode(data []byte, into any) string {
	in := json.NewDecoder(bytes.NewReader(data))
	in.DisallowUnknownFields()
	if err := in.Decode(into); err != nil {
		return fmt.Sprintf("its body does not have the form: %v", err)
	}
	return ""
}

// misunderstood complains about a body, and refuses it.
func (s *Service) misunderstood(wrong string) reply {
	s.Complain(wrong)
	return refuse(http.StatusBadRequest, "Complaint", wrong)
}
