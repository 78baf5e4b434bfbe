package azureml_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"carillon/shared/pipeline"
	"carillon/shared/pipeline/azureml"
	"carillon/shared/pipeline/azureml/azuremltest"
	"carillon/shared/schedule"
)

// list returns the ids of all pipelines of a kind, read in pages of each size.
func (f far) list(t *testing.T, kind string) (all []pipeline.Pipeline) {
	t.Helper()
	all, next, err := f.targets[kind].List(t.Context(), "", 1000)
	if err != nil || next != "" {
		t.Fatal(next, err)
	}
	for size := 1; size <= len(all)+1; size++ {
		var paged []pipeline.Pipeline
		for after, first := "", true; first || after != ""; first = false {
			page, next, err := f.targets[kind].List(t.Context(), after, size)
			if err != nil {
				t.Fatal(err)
			}
			paged, after = append(paged, page...), next
		}
		if !reflect.DeepEqual(paged, all) {
			t.Errorf("in pages of %d: %v, want %v", size, idsOf(paged), idsOf(all))
		}
	}
	return all
}

func idsOf(pipelines []pipeline.Pipeline) (ids []string) {
	for _, p := range pipelines {
		ids = append(ids, p.Ref.ID)
	}
	return ids
}

// Ids are in their order even where names that go on sort before what stands between a name and the rest of an id.
func TestListBatchEndpoints(t *testing.T) {
	f := newFar(t)
	f.PutBatchEndpoint(
		azuremltest.BatchEndpoint{Name: "train-2", Default: "m", Deployments: []azuremltest.Deployment{{Name: "m", Model: true}}},
		azuremltest.BatchEndpoint{Name: "train", Description: "the endpoint", Default: "green", Deployments: []azuremltest.Deployment{
			{Name: "green", Component: "train:1", Description: "the deployment"}, {Name: "blue", Component: "train:1", State: "Failed"}, {Name: "red", Component: "x"},
		}},
		azuremltest.BatchEndpoint{Name: "empty"},
	)
	all := f.list(t, azureml.BatchEndpoint)
	want := []string{"empty", "fail", "fail/blue", "train", "train-2", "train-2/m", "train/blue", "train/green", "train/red", "wait", "wait/blue"}
	if !slices.Equal(idsOf(all), want) {
		t.Fatalf("got %v, want %v", idsOf(all), want)
	}
	for i, part := range map[int]string{0: "no default deployment", 3: "", 4: "a model", 6: "blue is Failed", 7: ""} {
		if p := all[i]; !strings.Contains(p.Problem, part) || (p.Problem == "") != (part == "") {
			t.Errorf("%s: %q", p.Ref.ID, p.Problem)
		}
	}
	if all[3].Description != "the endpoint" || all[7].Description != "the deployment" || all[3].Name != "train" {
		t.Errorf("%+v, %+v", all[3], all[7])
	}
	if p := all[3]; !slices.Equal(p.Deployments, []string{"blue", "green", "red"}) || p.Default != "green" || all[0].Default != "" || all[7].Deployments != nil {
		t.Errorf("deployments: %+v, %+v, %+v", p, all[0], all[7])
	}
	p, err := f.targets[azureml.BatchEndpoint].Get(t.Context(), all[7].Ref)
	if err != nil || !reflect.DeepEqual(p.Parameters, map[string]string{"who": "world", "data": "", "times": ""}) || p.Required != nil {
		t.Errorf("%+v, %v", p, err)
	}
	p, err = f.targets[azureml.BatchEndpoint].Get(t.Context(), all[3].Ref)
	if err != nil || !slices.Equal(p.Deployments, []string{"blue", "green", "red"}) || p.Default != "green" || len(p.Parameters) != 3 {
		t.Errorf("%+v, %v", p, err)
	}
	f.Fail(azuremltest.ListDeployments, azuremltest.Fault{Status: 500})
	if p, err = f.targets[azureml.BatchEndpoint].Get(t.Context(), all[3].Ref); err != nil || p.Deployments != nil || len(p.Parameters) != 3 {
		t.Errorf("%+v, %v", p, err)
	}
	f.Fail(azuremltest.ListDeployments, azuremltest.Fault{Of: "empty", Status: 404}) // it has just gone
	if got, _, err := f.targets[azureml.BatchEndpoint].List(t.Context(), "", 1000); err != nil || !slices.Equal(idsOf(got), want[1:]) {
		t.Errorf("%v, %v", idsOf(got), err)
	}
}

func TestListComponents(t *testing.T) {
	f := newFar(t)
	f.PutComponent(
		azuremltest.Component{Name: "train", Version: "2.1", Inputs: map[string]azuremltest.ComponentInput{"b": {Type: "string"}, "a": {Type: "uri_file"}}},
		azuremltest.Component{Name: "train-2", Version: "1"},
		azuremltest.Component{Name: "step", Version: "1", Type: "command"},
	)
	all := f.list(t, azureml.PipelineJob)
	if want := []string{"component:fail:1", "component:train-2:1", "component:train:2.1", "component:wait:1"}; !slices.Equal(idsOf(all), want) {
		t.Fatalf("got %v, want %v", idsOf(all), want)
	}
	if p := all[0]; p.Name != "Train" || p.Description != "it trains" || p.Parameters["who"] != "world" {
		t.Errorf("%+v", p)
	}
	if p := all[2]; p.Name != "train" || !slices.Equal(p.Required, []string{"a", "b"}) || len(p.Parameters) != 2 {
		t.Errorf("%+v", p)
	}
	for id, want := range map[string]string{"component:step:1": "is a command component", "component:train@latest": ""} {
		p, err := f.targets[azureml.PipelineJob].Get(t.Context(), schedule.PipelineRef{Kind: azureml.PipelineJob, ID: id})
		if err != nil || p.Ref.ID != id || !strings.Contains(p.Problem, want) || (p.Problem == "") != (want == "") {
			t.Errorf("%s: %+v, %v", id, p, err)
		}
	}
}

func TestListsOfV2ThatCannotBeHad(t *testing.T) {
	for kind, ops := range map[string][]azuremltest.Op{
		azureml.BatchEndpoint: {azuremltest.ListBatchEndpoints, azuremltest.ListDeployments},
		azureml.PipelineJob:   {azuremltest.ListComponents, azuremltest.GetVersion},
	} {
		for _, op := range ops {
			for _, fault := range []azuremltest.Fault{
				{Status: 500}, {Status: 403}, {Status: 200, Drop: true}, {Status: 200, Body: "[]"}, {Status: 200, Body: `{"value":7}`},
				{Status: 200, Body: `{"value":[],"nextLink":"https://evil.example/subscriptions"}`},
				{Status: 200, Body: `{"value":[],"nextLink":"/subscriptions/others"}`},
			} {
				f := newFar(t)
				if op == azuremltest.ListDeployments || op == azuremltest.GetVersion {
					fault.Of = "fail" // the first of them
				}
				f.Fail(op, fault)
				if got, next, err := f.targets[kind].List(t.Context(), "", 10); err == nil || got != nil || next != "" || errors.Is(err, pipeline.ErrNotFound) {
					t.Errorf("%s, %+v: %v, %v", op, fault, idsOf(got), err)
				}
			}
		}
	}
}

// full is a workspace with so many endpoints and components, whose names begin with n.
func full(t *testing.T, n int) far {
	f := newFar(t)
	for i := range n {
		name := fmt.Sprintf("n%02d", i)
		f.PutComponent(azuremltest.Component{Name: name, Version: "1", Type: []string{"pipeline", "command"}[i%2]})
		f.PutBatchEndpoint(
			azuremltest.BatchEndpoint{Name: name, Default: "a", Deployments: []azuremltest.Deployment{{Name: "a", Component: "train:1"}, {Name: "b", Component: "train:1"}}},
			azuremltest.BatchEndpoint{Name: name + "-2"},
		)
	}
	return f
}

// What one entry's failure leaves is listed, up to it and then from it.
func TestAListGoesOnWhereItFailed(t *testing.T) {
	f := full(t, 12)
	whole := func(kind string) []pipeline.Pipeline {
		all, next, err := f.targets[kind].List(t.Context(), "", 1000)
		if err != nil || next != "" {
			t.Fatal(next, err)
		}
		return all
	}
	for kind, op := range map[string]azuremltest.Op{azureml.BatchEndpoint: azuremltest.ListDeployments, azureml.PipelineJob: azuremltest.GetVersion} {
		all := whole(kind)
		for _, name := range []string{"n00", "n05", "n05-2", "n10"} { // n05/a comes behind n05-2
			if kind == azureml.PipelineJob {
				name = strings.TrimSuffix(name, "-2")
			}
			w, err := azureml.Open(f.config()) // which remembers nothing
			if err != nil {
				t.Fatal(err)
			}
			f.Fail(op, azuremltest.Fault{Of: name, Status: 500})
			first, next, err := w.Targets()[kind].List(t.Context(), "", 1000)
			if err != nil || next == "" || len(first) == 0 || len(first) == len(all) {
				t.Fatalf("%s, %s: %d of %d, and on after %q: %v", kind, name, len(first), len(all), next, err)
			}
			rest, end, err := w.Targets()[kind].List(t.Context(), next, 1000)
			if got := append(first, rest...); err != nil || end != "" || !reflect.DeepEqual(got, all) {
				t.Errorf("%s, %s: %v, then %v, of %v: %v", kind, name, idsOf(first), idsOf(rest), idsOf(all), err)
			}
			f.Fail(op, azuremltest.Fault{Of: name, Status: 500})
			w, _ = azureml.Open(f.config())
			if got, _, err := w.Targets()[kind].List(t.Context(), next, 1000); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s, %s, again: %v, %v", kind, name, idsOf(got), err)
			}
		}
	}
}

// A call that is over keeps what it has, however slow the workspace is, and asks about a few entries at once.
func TestAListThatTakesTooLong(t *testing.T) {
	const together = 8
	for kind, op := range map[string]azuremltest.Op{azureml.BatchEndpoint: azuremltest.ListDeployments, azureml.PipelineJob: azuremltest.GetVersion} {
		f := full(t, 30)
		ctx, cancel := context.WithCancel(t.Context())
		var asked, under atomic.Int32
		all := make(chan struct{})
		hold := func(ctx context.Context) {
			n, nth := under.Add(1), asked.Add(1)
			switch {
			case nth == together:
				close(all)
			case nth == 2*together+3:
				cancel()
			}
			if nth <= 2*together && n > together {
				t.Errorf("%s: %d questions at once", kind, n)
			}
			<-all // none is answered before so many are asked
			under.Add(-1)
		}
		for range 100 {
			f.Fail(op, azuremltest.Fault{Hold: hold})
		}
		got, next, err := f.targets[kind].List(ctx, "", 1000)
		if err != nil || next == "" || len(got) < together/2 {
			t.Errorf("%s: %d, and on after %q: %v", kind, len(got), next, err)
		}
		rest, end, err := f.targets[kind].List(t.Context(), next, 1000)
		whole, _, _ := f.targets[kind].List(t.Context(), "", 1000)
		if err != nil || end != "" || !reflect.DeepEqual(append(got, rest...), whole) {
			t.Errorf("%s: %v, then %v: %v", kind, idsOf(got), idsOf(rest), err)
		}
	}
}

// A list that leads back to itself is not followed for ever.
func TestAListThatDoesNotEnd(t *testing.T) {
	f := newFar(t)
	again := azuremltest.Fault{Status: 200, Body: `{"value":[],"nextLink":"` + f.URL + workspaceID + `/components?api-version=2024-04-01"}`}
	for range 1000 {
		f.Fail(azuremltest.ListComponents, again)
	}
	if _, _, err := f.targets[azureml.PipelineJob].List(t.Context(), "", 10); err == nil || !strings.Contains(err.Error(), "does not end") {
		t.Errorf("%v", err)
	}
	if n := f.Asked(azuremltest.ListComponents); n > 200 {
		t.Errorf("it was asked for %d times", n)
	}
}

func TestDatastores(t *testing.T) {
	f := newFar(t)
	f.PutDatastore(
		azuremltest.Datastore{Name: "workspaceblobstore", Type: "AzureBlob", Account: "bells", Container: "azureml-blobstore-1", Endpoint: "core.windows.net", Protocol: "https"},
		azuremltest.Datastore{Name: "lake", Type: "AzureDataLakeGen2", Account: "lake2", Container: "raw", Endpoint: "core.windows.net", Protocol: "https"},
		azuremltest.Datastore{Name: "short", Type: "AzureBlob", Account: "bells", Container: "in"},
		azuremltest.Datastore{Name: "bare", Type: "AzureBlob", Account: "bells", Container: "inbox"},
		azuremltest.Datastore{Name: "share", Type: "AzureFile", Account: "bells", Container: "files", Endpoint: "core.windows.net", Protocol: "https"},
		azuremltest.Datastore{Name: "one", Type: "OneLake"},
		azuremltest.Datastore{Name: "plain", Type: "AzureBlob", Account: "bells", Container: "inbox", Endpoint: "core.windows.net", Protocol: "http"},
		azuremltest.Datastore{Name: "away", Type: "AzureBlob", Account: "bells", Container: "inbox", Endpoint: "evil.example", Protocol: "https"},
		azuremltest.Datastore{Name: "odd", Type: "AzureBlob", Account: "evil.example/", Container: "inbox", Endpoint: "core.windows.net", Protocol: "https"},
		azuremltest.Datastore{Name: "inbox", Type: "AzureBlob", Account: "bells", Container: "inbox", Endpoint: "core.windows.net", Protocol: "https"},
	)
	w, err := azureml.Open(f.config())
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.Datastores(t.Context())
	want := []azureml.Store{
		{Name: "bare", Type: "AzureBlob", Account: "bells", Container: "inbox", Endpoint: "core.windows.net"},
		{Name: "inbox", Type: "AzureBlob", Account: "bells", Container: "inbox", Endpoint: "core.windows.net"},
		{Name: "lake", Type: "AzureDataLakeGen2", Account: "lake2", Container: "raw", Endpoint: "core.windows.net"},
		{Name: "workspaceblobstore", Type: "AzureBlob", Account: "bells", Container: "azureml-blobstore-1", Endpoint: "core.windows.net"},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, fault := range []azuremltest.Fault{{Status: 500}, {Status: 200, Body: "{}"}} {
		f.Fail(azuremltest.ListDatastores, fault)
		if got, err := w.Datastores(t.Context()); err == nil {
			t.Errorf("%+v: %v", fault, got)
		}
	}
	config := f.config()
	config.Cloud = cloud.AzureChina
	f.Audience = "https://management.chinacloudapi.cn"
	if w, err = azureml.Open(config); err != nil {
		t.Fatal(err)
	}
	if got, err := w.Datastores(t.Context()); err != nil || len(got) != 1 || got[0].Endpoint != "core.chinacloudapi.cn" {
		t.Errorf("another cloud's: %+v, %v", got, err)
	}
}

func TestBatchEndpointsOfOtherClouds(t *testing.T) {
	for audience, c := range map[string]struct {
		arm   string
		cloud cloud.Configuration
	}{
		"https://ml.azure.us": {"https://management.usgovcloudapi.net", cloud.AzureGovernment},
		"https://ml.azure.cn": {"https://management.chinacloudapi.cn", cloud.AzureChina},
	} {
		f := newFar(t)
		f.Audience, f.InferenceAudience = c.arm, audience
		config := f.config()
		config.Cloud = c.cloud
		w, err := azureml.Open(config)
		if err != nil {
			t.Fatal(err)
		}
		f.targets = w.Targets()
		f.submit(t, of(azureml.BatchEndpoint, "train", "a"))
	}
}

// A resource group may have parentheses in its name, which are escaped in one place and not in another.
func TestAListInAGroupWithParentheses(t *testing.T) {
	f := newFar(t)
	f.ResourceGroup = "bells(old)"
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		f.PutDatastore(azuremltest.Datastore{Name: name, Type: "AzureBlob", Account: "bells", Container: "inbox"})
	}
	w, err := azureml.Open(f.config())
	if err != nil {
		t.Fatal(err)
	}
	stores, err := w.Datastores(t.Context())
	if err != nil || len(stores) != 5 || f.Asked(azuremltest.ListDatastores) != 3 {
		t.Errorf("%d datastores after %d pages, %v", len(stores), f.Asked(azuremltest.ListDatastores), err)
	}
}
