package azuremltest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
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
	query  []string // all of them have to be there, and no others but those that begin with "?", which may
	fields []string // that the body may have; none for no body; aText for a body that is a JSON text
	work   func(s *Service, r call) reply
}

// call is a request that is in order.
type call struct {
	name, part string // the groups of the path, unescaped
	query      url.Values
	header     http.Header
	self       *url.URL // as it was asked for, with its host
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
	{SetStatus, "PUT", path("/pipelines/v1.0{}/Pipelines/([^/]+)/Status"), nil, aText, (*Service).setStatus},
	{ListEndpoints, "GET", path("/pipelines/v1.0{}/PipelineEndpoints()"), []string{"activeOnly"}, nil, (*Service).listEndpoints},
	{GetDetails, "GET", path("/history/v1.0{}/runs/([^/]+)/details"), nil, nil, (*Service).details},
	{ListSchedules, "GET", path("/pipelines/v1.0{}/Schedules()"), []string{"activeOnly"}, nil, (*Service).listSchedules},
	{GetSchedule, "GET", path("/pipelines/v1.0{}/Schedules/([^/]+)"), nil, nil, (*Service).getSchedule},
	{PutSchedule, "PUT", path("/pipelines/v1.0{}/Schedules/([^/]+)"), nil, scheduleFields, (*Service).putSchedule},
	{ListScheduled, "GET", path("/pipelines/v1.0{}/PipelineRuns/Schedule/([^/]+)"), nil, nil, (*Service).listScheduled},
	{ListSteps, "GET", path("/history/v1.0{}/runs/([^/]+)/children"), []string{"?$continuationtoken"}, nil, (*Service).children},
	{FindRuns, "POST", path("/history/v1.0{}/experiments/([^/]+)/runs:query"), nil, []string{"filter", "orderBy", "top", "continuationToken"}, (*Service).findRuns},

	{Invoke, "POST", path("/inference/([^/]+)/jobs"), nil, []string{"properties"}, (*Service).invoke},
	{PutJob, "PUT", path("{}/jobs/([^/]+)"), versioned, []string{"properties"}, (*Service).putJob},
	{GetJob, "GET", path("{}/jobs/([^/]+)"), versioned, nil, (*Service).getJob},
	{CancelJob, "POST", path("{}/jobs/([^/]+)/cancel"), versioned, nil, (*Service).cancelJob},
	{ListJobs, "GET", path("{}/jobs()"), []string{"?$skip", "api-version", "?jobType", "?listViewType", "?properties", "?tag"}, nil, (*Service).listJobs},
	{ListBatchEndpoints, "GET", path("{}/batchEndpoints()"), listed, nil, (*Service).listDoors},
	{GetBatchEndpoint, "GET", path("{}/batchEndpoints/([^/]+)"), versioned, nil, (*Service).getDoor},
	{ListDeployments, "GET", path("{}/batchEndpoints/([^/]+)/deployments"), listed, nil, (*Service).listDeployments},
	{GetDeployment, "GET", path("{}/batchEndpoints/([^/]+)/deployments/([^/]+)"), versioned, nil, (*Service).getDeployment},
	{ListComponents, "GET", path("{}/components()"), listed, nil, (*Service).listComponents},
	{ListVersions, "GET", path("{}/components/([^/]+)/versions"), []string{"$orderBy", "?$skip", "$top", "api-version"}, nil, (*Service).listVersions},
	{GetVersion, "GET", path("{}/components/([^/]+)/versions/([^/]+)"), versioned, nil, (*Service).getVersion},
	{ListDatastores, "GET", path("{}/datastores()"), listed, nil, (*Service).listStores},
	{ListV2Schedules, "GET", path("{}/schedules()"), []string{"?$skip", "api-version", "?listViewType"}, nil, (*Service).listV2Schedules},
	{GetV2Schedule, "GET", path("{}/schedules/([^/]+)"), versioned, nil, (*Service).getV2Schedule},
	{PutV2Schedule, "PUT", path("{}/schedules/([^/]+)"), versioned, []string{"properties"}, (*Service).putV2Schedule},
	{GetOperation, "GET", path("/subscriptions/[^/]+/providers/Microsoft.MachineLearningServices/locations/[^/]+/mfeOperationsStatus/([^/]+)"), versioned, nil, (*Service).getOperation},
	{GetData, "GET", path("{}/data/([^/]+)"), versioned, nil, (*Service).getData},
	{GetDataVersion, "GET", path("{}/data/([^/]+)/versions/([^/]+)"), versioned, nil, (*Service).getDataVersion},
}

// aText stands for the fields of a body that is no object.
var aText = []string{}

// What the resource manager's routes are asked with.
var (
	versioned = []string{"api-version"}
	listed    = []string{"?$skip", "api-version"}
)

const apiVersion = "2024-04-01"

func (s *Service) scope() string {
	return "/subscriptions/" + s.Subscription + "/resourceGroups/" + s.ResourceGroup +
		"/providers/Microsoft.MachineLearningServices/workspaces/" + s.Workspace
}

func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Paths are matched as they are written: what a server makes of others is not known. That it takes the parentheses of
	// a resource group either way is inferred.
	below := strings.Replace(parentheses.Replace(s.asAnyHost(r)), s.scope(), "{}", 1)
	for _, route := range routes {
		if groups := route.path.FindStringSubmatch(below); groups != nil && route.method == r.Method {
			s.serve(w, r, route, groups[1:])
			return
		}
	}
	s.reject(w, r, http.StatusNotFound, "there is no such route")
}

var parentheses = strings.NewReplacer("%28", "(", "%29", ")")

// asAnyHost is the path by which a host of this machine would be asked for the same; "" when the host that was
// asked does not have it.
func (s *Service) asAnyHost(r *http.Request) string {
	path := r.URL.EscapedPath()
	v1 := strings.HasPrefix(path, "/pipelines/") || strings.HasPrefix(path, "/history/")
	host, _, _ := strings.Cut(r.Host, ":")
	endpoint, scoring := strings.CutSuffix(host, "."+s.Region+".inference.ml.azure.com")
	switch {
	case ofThisMachine(host), host == s.Region+".api.azureml.ms" && v1, host == "management.azure.com" && strings.HasPrefix(path, "/subscriptions/"):
		return path
	case scoring && path == "/jobs":
		return "/inference/" + endpoint + path
	}
	return ""
}

// ofThisMachine: httptest's requests that go over no network are for example.com.
func ofThisMachine(host string) bool {
	return host == "localhost" || host == "example.com" || net.ParseIP(host).IsLoopback()
}

func (s *Service) serve(w http.ResponseWriter, r *http.Request, route route, groups []string) {
	s.mu.Lock()
	s.asked[route.op]++
	s.mu.Unlock()
	audience := s.Audience
	if route.op == Invoke {
		audience = s.InferenceAudience
	}
	if wrong := s.checkToken(r, audience); wrong != "" {
		s.reject(w, r, http.StatusUnauthorized, wrong)
		return
	}
	c, wrong := route.check(r)
	if wrong != "" {
		s.reject(w, r, http.StatusBadRequest, wrong)
		return
	}
	c.name, _ = url.PathUnescape(groups[0]) // the server has done so before
	if len(groups) > 1 {
		c.part, _ = url.PathUnescape(groups[1])
	}
	s.perform(w, r, route.op, c.name, func() reply {
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
	c.query, c.header = r.URL.Query(), r.Header
	c.self = &url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path}
	if r.TLS != nil {
		c.self.Scheme = "https"
	}
	if wrong := checkQuery(route.query, c.query); wrong != "" {
		return c, wrong
	}
	if accept := r.Header.Get("Accept"); accept != "application/json" {
		return c, fmt.Sprintf("it accepts %q", accept)
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return c, "its body did not arrive"
	}
	c.body = data
	return c, checkBody(route.fields, data, r.Header.Get("Content-Type"))
}

func checkQuery(want []string, query url.Values) string {
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if len(query[name]) != 1 || !slices.Contains(want, name) && !slices.Contains(want, "?"+name) {
			return fmt.Sprintf("its query has %q", name)
		}
	}
	for _, name := range want {
		if !strings.HasPrefix(name, "?") && !query.Has(name) {
			return fmt.Sprintf("its query lacks %q", name)
		}
	}
	if only := query.Get("activeOnly"); query.Has("activeOnly") && only != "true" && only != "false" {
		return fmt.Sprintf("activeOnly is %q", only)
	}
	if version := query.Get("api-version"); query.Has("api-version") && slices.Contains(want, "api-version") && version != apiVersion {
		return fmt.Sprintf("api-version is %q", version)
	}
	return ""
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
	if len(fields) == 0 {
		if json.Unmarshal(data, new(string)) != nil {
			return "its body is no JSON text"
		}
		return ""
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
