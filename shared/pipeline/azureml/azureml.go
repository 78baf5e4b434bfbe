// Package azureml makes runs in an Azure Machine Learning workspace, and never claims to know more of a submission than
// the workspace proved: it was taken, it certainly started nothing, it will never be taken, or nobody can say.
//
// Published pipelines and pipeline endpoints (v1) and batch endpoints (v2) take no caller's name: two requests are two
// runs. So the id of the occurrence travels with each run as a tag, and a submission that is made Again, as after a
// lost answer, only looks for a run that bears it. That none is found proves nothing, as nobody documents how soon a
// run can be found, nor that batch endpoints keep tags: then nothing more is sent, and a person decides. Pipeline jobs
// (v2) bear the submission's name, and the workspace makes no second job of a name.
//
// The facts of the v1 service come from Microsoft's client and public code, not from a specification; those of v2 from
// the specification of the resource manager and from recordings of Microsoft's own tests. Where a comment says
// "inferred" or "not established", that one function is the place to change.
package azureml

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"carillon/shared/pipeline"
)

// The kinds of pipelines here.
const (
	Published        = "published"         // a published pipeline of v1
	PipelineEndpoint = "pipeline_endpoint" // an endpoint of v1, which runs its default version
	BatchEndpoint    = "batch_endpoint"    // a batch endpoint with a pipeline component: "endpoint" or "endpoint/deployment"
	PipelineJob      = "pipeline_job"      // "component:NAME:VERSION", "component:NAME@latest", "job:NAME", an earlier job as template, or "schedule:NAME", the job that a v2 schedule holds
)

const endpointList = "/PipelineEndpoints"

// scheduleTag is the tag, and of v2 the property too, with the name of a run's schedule.
const scheduleTag = "carillon_schedule"

// Workspace is one workspace. It is safe for concurrent use, needs no closing, and calls no host but its own, the
// cloud's resource manager and its own batch endpoints (a Credential calls those that it needs by its own means).
type Workspace struct {
	v1        service // the pipelines of v1, and the run history of both
	arm       service
	inference service

	scoring scoring
	id      string // the workspace's resource id
	scope   string // the same, escaped for a path
	studio  string // where people look at it, "" when the cloud is not known
	wsid    string // how the studio names it
	compute string // as a job's settings name it, "" for none
	storage string // the hosts of storage accounts end so; "" when the cloud is not known

	pause time.Duration // before a question is put again

	components *remembered[declaration] // by name:version; a version never changes
	endpoints  *remembered[door]        // by the pipeline's id

	ran *remembered[map[dataPath]time.Time] // for which files a v1 schedule has made runs, and the last one's time, by its id
}

// Open checks the configuration, all of it, and asks nobody.
func Open(c Config) (*Workspace, error) {
	if c.Cloud.ActiveDirectoryAuthorityHost == "" && c.Cloud.Services == nil {
		c.Cloud = cloud.AzurePublic
	}
	base, arm, inference, err := c.addresses()
	if err := errors.Join(c.check(), err); err != nil {
		return nil, fmt.Errorf("the Azure ML workspace is not well described:\n%w", err)
	}
	if c.Transport == nil {
		c.Transport = newTransport()
	}
	group, name := url.PathEscape(c.ResourceGroup), url.PathEscape(c.Workspace)
	const provider = "/providers/Microsoft.MachineLearningServices/workspaces/"
	place := c.place()
	w := &Workspace{
		v1: oneHost(base, c.tokenScope(), c), arm: oneHost(arm, c.tokenScope(), c),
		scoring: scoring{only: inference, suffix: place.inference, region: c.Region, audience: place.audience},
		id:      "/subscriptions/" + c.Subscription + "/resourceGroups/" + c.ResourceGroup + provider + c.Workspace,
		scope:   "/subscriptions/" + c.Subscription + "/resourceGroups/" + group + provider + name,
		studio:  place.studio,
		wsid:    "/subscriptions/" + c.Subscription + "/resourcegroups/" + group + "/workspaces/" + name,
		storage: place.storage,
		pause:   time.Second,

		components: &remembered[declaration]{},
		endpoints:  &remembered[door]{keep: keepDoor},
		ran:        &remembered[map[dataPath]time.Time]{keep: 30 * time.Second},
	}
	w.inference = w.scoring.service(c)
	if w.compute = c.Compute; c.Compute != "" && c.Compute != "serverless" {
		w.compute = w.id + "/computes/" + c.Compute
	}
	return w, nil
}

// Targets returns what runs the pipelines of the workspace, by their kind. Each lists its own kind alone.
func (w *Workspace) Targets() map[string]pipeline.Target {
	return map[string]pipeline.Target{
		Published:        switched{&v1{w: w, kind: Published, submit: "/PipelineRuns/PipelineSubmit/", list: "/Pipelines"}},
		PipelineEndpoint: &v1{w: w, kind: PipelineEndpoint, submit: "/PipelineRuns/PipelineEndpointSubmit/Id/", list: endpointList},
		BatchEndpoint:    &batch{v2{w: w, kind: BatchEndpoint}},
		PipelineJob:      &jobs{v2{w: w, kind: PipelineJob}},
	}
}
