package azuremltest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"carillon/shared/pipeline"
)

// BatchEndpoint is one that runs what is deployed behind it.
type BatchEndpoint struct {
	Name, Description string
	State             string // Succeeded, Creating or another; "" is Succeeded
	Default           string // the deployment that is called unless another one is named
	Deployments       []Deployment
	ScoringURI        string // "" for the endpoint's own
}

// Deployment is one behind a batch endpoint.
type Deployment struct {
	Name, Description string
	State             string // as of an endpoint
	Component         string // name:version of a pipeline component; or another one's resource id
	Model             bool   // it runs a model, and no component
	Old               bool   // it is described as the older versions of the resource manager did
}

// Datastore is one of the workspace.
type Datastore struct {
	Name, Type, Account, Container, Endpoint, Protocol string
}

// PutBatchEndpoint adds batch endpoints, or replaces those of the same name.
func (s *Service) PutBatchEndpoint(endpoints ...BatchEndpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range endpoints {
		s.doors[e.Name] = e
	}
}

// PutDatastore adds datastores, or replaces those of the same name.
func (s *Service) PutDatastore(stores ...Datastore) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range stores {
		s.stores[d.Name] = d
	}
}

// The functions below do the work of the routes. The caller holds s.mu.

// page answers with a part of a list, and where the next part is. It does not escape as its callers do.
func (s *Service) page(c call, list []any) reply {
	from, _ := strconv.Atoi(c.query.Get("$skip"))
	from = min(from, len(list))
	to := min(from+s.PageSize, len(list))
	answer := map[string]any{"value": list[from:to]}
	if to < len(list) {
		next := *c.self
		query := maps.Clone(c.query)
		query.Set("$skip", strconv.Itoa(to))
		next.RawQuery = query.Encode()
		answer["nextLink"] = parentheses.Replace(next.String())
	}
	return reply{http.StatusOK, answer}
}

func state(given string) string {
	if given == "" {
		return "Succeeded"
	}
	return given
}

func (s *Service) doorEntity(c call, e BatchEndpoint) map[string]any {
	scoring := e.ScoringURI
	switch {
	case scoring != "" || e.State == "Creating":
	case c.self.Host == "management.azure.com":
		scoring = "https://" + e.Name + "." + s.Region + ".inference.ml.azure.com/jobs"
	default:
		scoring = c.self.Scheme + "://" + c.self.Host + "/inference/" + e.Name + "/jobs"
	}
	return map[string]any{
		"id": s.scope() + "/batchEndpoints/" + e.Name, "name": e.Name, "location": s.Region, "tags": map[string]any{},
		"properties": map[string]any{
			"description": text(e.Description), "authMode": "AADToken", "scoringUri": text(scoring), "swaggerUri": nil,
			"defaults": map[string]any{"deploymentName": text(e.Default)}, "provisioningState": state(e.State),
		},
	}
}

func unknownDoor(name string) reply {
	return refuse(http.StatusNotFound, "UserError", "there is no batch endpoint "+name)
}

func (s *Service) listDoors(c call) reply {
	list := []any{}
	for _, e := range backwards(s.doors) {
		list = append(list, s.doorEntity(c, e))
	}
	return s.page(c, list)
}

func (s *Service) getDoor(c call) reply {
	e, ok := s.doors[c.name]
	if !ok {
		return unknownDoor(c.name)
	}
	return reply{http.StatusOK, s.doorEntity(c, e)}
}

func (s *Service) deploymentEntity(e BatchEndpoint, d Deployment) map[string]any {
	properties := map[string]any{
		"description": text(d.Description), "properties": map[string]any{}, "model": nil, "compute": nil, "provisioningState": state(d.State),
	}
	id := s.componentID(d.Component)
	switch {
	case d.Model:
		properties["model"] = map[string]any{"referenceType": "Id", "assetId": s.scope() + "/models/m/versions/1"}
	case d.Old:
		properties["properties"] = map[string]any{"ComponentDeployment.ComponentId": id, "ComponentDeployment.Type": "pipeline"}
	default:
		properties["deploymentConfiguration"] = map[string]any{
			"deploymentConfigurationType": "PipelineComponent", "componentId": map[string]any{"referenceType": "Id", "assetId": id},
		}
	}
	return map[string]any{
		"id": s.scope() + "/batchEndpoints/" + e.Name + "/deployments/" + d.Name, "name": d.Name, "location": s.Region, "properties": properties,
	}
}

func (s *Service) componentID(component string) string {
	if c, ok := s.components[component]; ok {
		return s.scope() + "/components/" + c.Name + "/versions/" + c.Version
	}
	return component
}

func (s *Service) listDeployments(c call) reply {
	e, ok := s.doors[c.name]
	if !ok {
		return unknownDoor(c.name)
	}
	list := []any{}
	for _, d := range e.Deployments {
		list = append(list, s.deploymentEntity(e, d))
	}
	return s.page(c, list)
}

func (s *Service) deployment(endpoint, name string) (Deployment, bool) {
	all := s.doors[endpoint].Deployments
	i := slices.IndexFunc(all, func(d Deployment) bool { return d.Name == name })
	if i < 0 {
		return Deployment{}, false
	}
	return all[i], true
}

func (s *Service) getDeployment(c call) reply {
	d, ok := s.deployment(c.name, c.part)
	if !ok {
		return refuse(http.StatusNotFound, "UserError", "there is no deployment "+c.part+" of "+c.name)
	}
	return reply{http.StatusOK, s.deploymentEntity(s.doors[c.name], d)}
}

var (
	invocationFields = []string{"InputData", "OutputData", "Tags", "properties"}
	batchFields      = []string{"JobInputType", "Uri", "Value"}
	placeFields      = []string{"JobOutputType", "Uri"}
	// batchKinds are those of the interface that Microsoft's own client was made of.
	batchKinds = map[string]string{
		"Literal": "literal", "UriFile": "uri_file", "UriFolder": "uri_folder", "MLTable": "mltable", "MLFlowModel": "mlflow_model",
		"CustomModel": "custom_model", "TritonModel": "triton_model",
	}
)

func (s *Service) invoke(c call) reply {
	var body struct{ Properties json.RawMessage }
	if wrong := decode(c.body, &body); wrong != "" {
		return s.misunderstood(wrong)
	}
	asked, wrong := exactly(body.Properties, invocationFields)
	if wrong != "" {
		return s.misunderstood("an invocation: " + wrong)
	}
	tags, tagged := texts(asked["Tags"])
	properties, kept := texts(asked["properties"])
	inputs, ok := asked["InputData"].(map[string]any)
	if !tagged || !kept || !ok || properties["experimentName"] == "" || properties[pipeline.OccurrenceTag] == "" {
		return s.misunderstood("an invocation lacks its inputs, tags, experiment or occurrence: " + string(c.body))
	}
	r := &Run{
		ID: fmt.Sprintf("pipelinejob-00000000-0000-4000-8000-%012d", len(s.runs)+1), Experiment: properties["experimentName"], Status: "NotStarted",
		Created: s.Now().UTC(), Job: Job{Endpoint: c.name, Inputs: map[string]Input{}, Outputs: map[string]Input{}}, occurrence: properties[pipeline.OccurrenceTag],
	}
	for name, v := range inputs {
		in, ok := input(v, batchFields, "JobInputType", "Uri", "Value")
		if in.Type = batchKinds[in.Type]; !ok || in.Type == "" {
			return s.misunderstood(fmt.Sprintf("input %s: %v", name, v))
		}
		r.Job.Inputs[name] = in
	}
	outputs, _ := asked["OutputData"].(map[string]any)
	for name, v := range outputs {
		out, ok := output(v, placeFields, "JobOutputType", "Uri")
		if out.Type = batchKinds[out.Type]; !ok || out.Type == "" || out.Type == "literal" {
			return s.misunderstood(fmt.Sprintf("output %s: %v", name, v))
		}
		r.Job.Outputs[name] = out
	}
	if refusal := s.route(r, c.header.Get("azureml-model-deployment")); refusal != nil {
		return *refusal
	}
	r.Tags = map[string]string{"azureml.batchrun": "true", "azureml.deploymentname": r.Job.Deployment}
	r.Job.Properties = map[string]string{"azureml.runsource": "azureml.PipelineRun", "runSource": "BatchDeployment"}
	if !s.manners.TagsLost {
		maps.Copy(r.Tags, tags)
		maps.Copy(r.Job.Properties, properties)
	}
	s.runs = append(s.runs, r)
	return reply{http.StatusCreated, map[string]any{
		"id": s.scope() + "/batchEndpoints//jobs/" + r.ID, "name": r.ID,
		"properties": map[string]any{"provisioningState": "Succeeded", "status": "Preparing", "name": "bold_egg", "tags": r.Tags, "properties": r.Job.Properties},
	}}
}

// route finds the deployment that an endpoint's call is for. That neither takes calls unless it is Succeeded, and with which
// answer, is inferred.
func (s *Service) route(r *Run, deployment string) *reply {
	e, ok := s.doors[r.Job.Endpoint]
	if deployment == "" {
		deployment = e.Default
	}
	d, deployed := s.deployment(e.Name, deployment)
	r.Job.Deployment = deployment
	var refusal reply
	switch {
	case !ok:
		refusal = unknownDoor(r.Job.Endpoint)
	case !deployed:
		refusal = refuse(http.StatusNotFound, "UserError", "there is no deployment "+deployment)
	case state(e.State) != "Succeeded", state(d.State) != "Succeeded":
		refusal = refuse(http.StatusBadRequest, "UserError", "the endpoint is "+state(e.State)+", the deployment "+state(d.State))
	case d.Model:
		refusal = refuse(http.StatusBadRequest, "UserError", "a model's deployment takes no properties")
	case s.components[d.Component].Name == "":
		r.Job.Component = d.Component
		return nil
	default:
		return s.fit(r, s.componentID(d.Component))
	}
	return &refusal
}

func (s *Service) listStores(c call) reply {
	list := []any{}
	for _, d := range backwards(s.stores) {
		properties := map[string]any{
			"datastoreType": d.Type, "accountName": text(d.Account), "endpoint": text(d.Endpoint), "protocol": text(d.Protocol), "isDefault": false,
			"credentials": map[string]any{"credentialsType": "None"},
		}
		if d.Type == "AzureDataLakeGen2" {
			properties["filesystem"] = d.Container
		} else {
			properties["containerName"] = text(d.Container)
		}
		list = append(list, map[string]any{"id": s.scope() + "/datastores/" + d.Name, "name": d.Name, "properties": properties})
	}
	return s.page(c, list)
}
