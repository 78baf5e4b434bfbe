package azureml

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"time"

	"carillon/shared/pipeline"
)

// batch is a pipeline.Target for batch endpoints that run pipeline components.
type batch struct{ v2 }

var _ pipeline.Target = (*batch)(nil)

// endpointEntity is a batch endpoint.
type endpointEntity struct {
	Name       string
	Properties struct {
		Description       string
		ScoringURI        string
		ProvisioningState string
		Defaults          struct{ DeploymentName string }
	}
}

// deploymentEntity is a deployment of one. Older ones say only in their properties which component they run.
type deploymentEntity struct {
	Name       string
	Properties struct {
		Description             string
		ProvisioningState       string
		Model                   *struct{ ReferenceType string }
		DeploymentConfiguration struct {
			DeploymentConfigurationType string
			ComponentID                 struct{ AssetID string }
		}
		Properties words
	}
}

func (d deploymentEntity) component() string {
	if id := d.Properties.DeploymentConfiguration.ComponentID.AssetID; id != "" {
		return id
	}
	return d.Properties.Properties["ComponentDeployment.ComponentId"]
}

// door is an endpoint and the deployment behind it that is to run.
type door struct {
	endpoint   endpointEntity
	deployment deploymentEntity // without a name: there is none
	address    string           // where it is called
	declared   declaration
	problem    string // why nothing can be run there
}

// keepDoor is how long an endpoint is believed to be as it was read.
const keepDoor = time.Minute

var doorID = regexp.MustCompile(`^(` + entityName + `)(?:/(` + entityName + `))?$`)

// door reads an endpoint, its deployment and what that takes.
func (w *Workspace) door(ctx context.Context, pipelineID string) (d door, err error) {
	parts := doorID.FindStringSubmatch(pipelineID)
	path := "/batchEndpoints/" + parts[1]
	if err := w.get(ctx, path, &d.endpoint); err != nil {
		return door{}, err
	}
	deployment := cmp.Or(parts[2], d.endpoint.Properties.Defaults.DeploymentName)
	if versionName.MatchString(deployment) {
		err := w.get(ctx, path+"/deployments/"+deployment, &d.deployment)
		if err == nil {
			d.declared, err = w.ofID(ctx, d.deployment.component())
		}
		if err != nil {
			return door{}, err
		}
	}
	d.problem = d.closed()
	if d.address, err = w.scoring.address(parts[1], d.endpoint.Properties.ScoringURI); err != nil && d.problem == "" {
		d.problem = err.Error()
	}
	w.endpoints.put(pipelineID, d, time.Now())
	return d, nil
}

// closed says why nothing can be run there, "" for nothing. A model's deployment is refused as it does not keep what
// its runs are found by: the documentation says so of properties.
func (d door) closed() string {
	endpoint, deployment := d.endpoint.Properties, d.deployment.Properties
	switch {
	case endpoint.ProvisioningState != "" && !strings.EqualFold(endpoint.ProvisioningState, "Succeeded"):
		return "the endpoint is " + tidy(endpoint.ProvisioningState)
	case d.deployment.Name == "":
		return "it has no default deployment: name one, as endpoint/deployment"
	case deployment.ProvisioningState != "" && !strings.EqualFold(deployment.ProvisioningState, "Succeeded"):
		return "the deployment " + d.deployment.Name + " is " + tidy(deployment.ProvisioningState)
	case deployment.Model != nil || strings.EqualFold(deployment.DeploymentConfiguration.DeploymentConfigurationType, "Model"):
		return "the deployment " + d.deployment.Name + " runs a model, not a pipeline component"
	}
	return ""
}

// Submit starts a run or, for a submission that is made Again, finds the one that an earlier try has made. Whether
// steps go on after one has failed is the deployment's setting, not the submission's. An endpoint is called as it is
// remembered, and once more if that is refused and it has changed since.
func (t *batch) Submit(ctx context.Context, s pipeline.Submission) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", &pipeline.Error{Outcome: pipeline.NotDone, Err: err}
	}
	if s.Pipeline.Kind != t.kind || !doorID.MatchString(s.Pipeline.ID) {
		return "", pipeline.Refusef("pipeline %s: %w", s.Pipeline, pipeline.ErrNotFound)
	}
	if err := findable(s); err != nil {
		return "", err
	}
	ctx = hiding(ctx, s)
	if s.Again {
		return t.find(ctx, s)
	}
	before, known := t.w.endpoints.get(s.Pipeline.ID, time.Now())
	var refused error
	if known {
		var runID string
		if runID, refused = t.invoke(ctx, s, before); refused == nil || pipeline.OutcomeOf(refused) != pipeline.Refused {
			return runID, refused
		}
	}
	d, err := t.w.door(ctx, s.Pipeline.ID)
	if err != nil {
		return "", unread(s, err)
	}
	if known && reflect.DeepEqual(d, before) {
		return "", refused // for what the endpoint still is
	}
	return t.invoke(ctx, s, d)
}

// invocation is the body of a call, as the documentation has it.
type invocation struct {
	Properties struct {
		InputData  map[string]batchInput
		OutputData map[string]batchOutput
		Tags       map[string]string
		Properties map[string]string `json:"properties"`
	} `json:"properties"`
}

type batchInput struct {
	JobInputType string
	URI          string  `json:"Uri,omitempty"`
	Value        *string `json:",omitempty"` // a text, whatever its type; that numbers are taken so is inferred
}

type batchOutput struct {
	JobOutputType string
	URI           string `json:"Uri,omitempty"`
}

// batchKinds are the types of inputs and outputs in the words of batch endpoints.
var batchKinds = map[string]string{
	"literal": "Literal", "uri_file": "UriFile", "uri_folder": "UriFolder", "mltable": "MLTable", "mlflow_model": "MLFlowModel",
	"custom_model": "CustomModel", "triton_model": "TritonModel",
}

// newInvocation bears the occurrence twice: as a tag and in the properties. Whether a job keeps either is not
// established, only that the service's interface has both.
func newInvocation(s pipeline.Submission, values, places map[string]value) invocation {
	var i invocation
	i.Properties.InputData, i.Properties.Tags, i.Properties.Properties = map[string]batchInput{}, tags(s), marks(s)
	i.Properties.Properties["experimentName"] = s.Experiment
	for name, v := range values {
		in := batchInput{JobInputType: batchKinds[v.kind], URI: v.text}
		if v.kind == "literal" {
			in.URI, in.Value = "", &v.text
		}
		i.Properties.InputData[name] = in
	}
	i.Properties.OutputData = map[string]batchOutput{}
	for name, v := range places {
		i.Properties.OutputData[name] = batchOutput{batchKinds[v.kind], v.text}
	}
	return i
}

func (t *batch) invoke(ctx context.Context, s pipeline.Submission, d door) (string, error) {
	if d.problem != "" {
		return "", pipeline.Refusef("pipeline %s cannot run: %s", s.Pipeline, d.problem)
	}
	values, err := t.w.values(ctx, s, d.declared)
	if err != nil {
		return "", err
	}
	places, err := d.declared.places(s)
	if err != nil {
		return "", err
	}
	for _, of := range []map[string]value{values, places} {
		for name, v := range of {
			if v.mode != "" {
				return "", pipeline.Refusef("pipeline %s: %s has the mode %s, and a call of a batch endpoint has none: leave it out", s.Pipeline, name, v.mode)
			}
		}
	}
	header := http.Header{}
	if _, deployment, named := strings.Cut(s.Pipeline.ID, "/"); named {
		header.Set("azureml-model-deployment", deployment)
	}
	var made struct{ Name string }
	err = t.w.inference.stream(ctx, http.MethodPost, d.address, header, newInvocation(s, values, places), into(&made))
	if err == nil && !id.MatchString(made.Name) {
		err = &failure{sent: true, err: fmt.Errorf("it was accepted without a usable name, %q", tidy(made.Name))}
	}
	if err != nil {
		return "", notSubmitted(s, err)
	}
	return made.Name, nil
}

// mostLooked is how many pages of jobs are looked through for one. The list is asked for the jobs with the property
// alone, so that one page should do.
const mostLooked = 5

// find returns the run that bears the occurrence. Its errors start nothing: NotDone when the question could not be put
// and may be put again, else Unknown.
func (t *batch) find(ctx context.Context, s pipeline.Submission) (string, error) {
	var found string
	var suspects []string
	path := t.w.resource("/jobs", "properties", pipeline.OccurrenceTag+"="+s.Occurrence, "listViewType", "All")
	err := eachListed(ctx, t.w, path, mostLooked, func(j jobEntity) bool {
		switch {
		case !id.MatchString(j.Name):
		case j.bears(s.Occurrence):
			found = j.Name
		case j.bare() && len(suspects) < mostSuspects:
			suspects = append(suspects, j.Name)
		}
		return found == ""
	})
	if err != nil && !errors.Is(err, errTooLong) {
		return "", notFound(s, err)
	}
	var failed error
	for i := 0; found == "" && i < len(suspects); i++ {
		var j jobEntity
		switch err := t.w.get(ctx, "/jobs/"+suspects[i], &j); {
		case err != nil && !answered(err, http.StatusNotFound):
			failed = err
		case err == nil && j.bears(s.Occurrence):
			found = suspects[i]
		}
	}
	switch {
	case found != "":
		return found, nil
	case failed != nil:
		return "", notFound(s, failed)
	}
	return "", notFound(s, errors.New("the workspace shows no such run, which does not prove that there is none"))
}
