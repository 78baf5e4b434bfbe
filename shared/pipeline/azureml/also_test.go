package azureml_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"carillon/shared/pipeline"
	"carillon/shared/pipeline/azureml"
	"carillon/shared/pipeline/azureml/azuremltest"
	"carillon/shared/schedule"
)

func parse(text string) schedule.PipelineRef {
	kind, id, _ := strings.Cut(text, ":")
	return schedule.PipelineRef{Kind: kind, ID: id}
}

func texts(refs []schedule.PipelineRef) (all []string) {
	for _, r := range refs {
		all = append(all, r.String())
	}
	slices.Sort(all)
	return all
}

// What stands for the same pipeline is said of each reference, alone and in lists, and may be another the next time.
func TestAlso(t *testing.T) {
	f := newFar(t)
	const second = "cccccccc-0000-4000-8000-000000000002"
	f.PutEndpoint(azuremltest.Endpoint{ID: second, Name: "second", Pipeline: succeeds})
	f.PutBatchEndpoint(
		azuremltest.BatchEndpoint{Name: "score", Default: "Blue", Deployments: []azuremltest.Deployment{{Name: "blue", Component: "train:1"}, {Name: "green", Component: "train:1"}}},
		azuremltest.BatchEndpoint{Name: "empty"},
	)
	f.PutComponent(azuremltest.Component{Name: "two", Version: "2"}, azuremltest.Component{Name: "two", Version: "1"}) // made last
	f.AddJob("one", "Completed", map[string]any{"jobType": "Pipeline", "componentId": f.scopeID() + "/components/two/versions/1"})
	is := func(ref string, want ...string) {
		t.Helper()
		got, err := pipeline.Also(t.Context(), f.targets, parse(ref))
		if err != nil || !slices.Equal(texts(got), want) {
			t.Errorf("%s is %v, want %v; %v", ref, texts(got), want, err)
		}
	}
	is("batch_endpoint:score", "batch_endpoint:score/Blue")
	is("batch_endpoint:score/blue", "batch_endpoint:score")
	is("batch_endpoint:score/green")
	is("batch_endpoint:empty")
	is("pipeline_job:component:two@latest", "pipeline_job:component:two:1")
	is("pipeline_job:component:two:1", "pipeline_job:component:two@latest")
	is("pipeline_job:component:two:2")
	is("pipeline_job:job:one")
	is("pipeline_endpoint:"+second, "published:"+succeeds)
	is("published:"+strings.ToUpper(succeeds), "pipeline_endpoint:"+succeedsEP, "pipeline_endpoint:"+second)
	for _, gone := range []string{"batch_endpoint:gone", "batch_endpoint:a/b/c", "pipeline_job:component:gone@latest", "pipeline_job:x", "pipeline_endpoint:" + succeeds, "published:?"} {
		is(gone)
		if _, err := f.targets[parse(gone).Kind].(pipeline.Aliases).Also(t.Context(), parse(gone)); !errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("%s: %v", gone, err)
		}
	}
	for _, kind := range pipeline.Kinds(f.targets) {
		listed, _, err := f.targets[kind].List(t.Context(), "", 1000)
		if err != nil || len(listed) < 3 {
			t.Fatal(len(listed), err)
		}
		for _, p := range listed {
			single, err := pipeline.Also(t.Context(), f.targets, p.Ref)
			if err != nil || !strings.EqualFold(fmt.Sprint(texts(p.Also)), fmt.Sprint(texts(single))) {
				t.Errorf("%s is listed as %v, and is %v; %v", p.Ref, texts(p.Also), texts(single), err)
			}
			for _, other := range p.Also {
				if p.Ref.Family() != other.Family() || !schedule.MayHold([]schedule.Stop{{Pipeline: p.Ref}}, other) {
					t.Errorf("%s and %s cannot be found from one another", p.Ref, other)
				}
			}
		}
	}

	f.PutBatchEndpoint(azuremltest.BatchEndpoint{Name: "score", Default: "green", Deployments: []azuremltest.Deployment{{Name: "green", Component: "train:1"}}})
	f.PutComponent(azuremltest.Component{Name: "two", Version: "3"})
	f.PutEndpoint(azuremltest.Endpoint{ID: second, Name: "second", Pipeline: waits})
	is("batch_endpoint:score/green", "batch_endpoint:score")
	is("pipeline_job:component:two:1")
	is("pipeline_job:component:two@latest", "pipeline_job:component:two:3")
	is("published:"+succeeds, "pipeline_endpoint:"+succeedsEP)
}

func TestAlsoThatCannotBeTold(t *testing.T) {
	f := newFar(t)
	for ref, op := range map[string]azuremltest.Op{
		"batch_endpoint:train":            azuremltest.GetBatchEndpoint,
		"pipeline_job:component:train:1":  azuremltest.ListVersions,
		"published:" + succeeds:           azuremltest.ListEndpoints,
		"pipeline_endpoint:" + succeedsEP: azuremltest.ListEndpoints,
	} {
		f.Fail(op, azuremltest.Fault{Status: 500})
		if got, err := pipeline.Also(t.Context(), f.targets, parse(ref)); err == nil || got != nil || !strings.Contains(err.Error(), ref) {
			t.Errorf("%s: %v, %v", ref, texts(got), err)
		}
	}
	f.Fail(azuremltest.ListEndpoints, azuremltest.Fault{Status: 500})
	if got, _, err := f.targets[azureml.Published].List(t.Context(), "", 10); err == nil || !strings.Contains(err.Error(), "pipeline endpoints") {
		t.Errorf("%v, %v", idsOf(got), err)
	}
	f.Fail(azuremltest.ListEndpoints, azuremltest.Fault{Status: 404}) // a workspace that knows none
	if got, _, err := f.targets[azureml.Published].List(t.Context(), "", 10); err != nil || len(got) != 3 {
		t.Errorf("%v, %v", idsOf(got), err)
	}
}
