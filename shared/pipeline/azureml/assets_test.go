package azureml_test

import (
	"strings"
	"testing"

	"carillon/shared/pipeline"
	"carillon/shared/pipeline/azureml"
	"carillon/shared/pipeline/azureml/azuremltest"
)

// withAssets is a workspace with data assets, a component that takes data, and an endpoint with one that is not known.
func withAssets(t *testing.T) far {
	f := newFar(t)
	f.PutData(
		azuremltest.DataAsset{Name: "heart", Version: "1", Type: "uri_folder", URI: "azureml://datastores/d/paths/heart/1/"},
		azuremltest.DataAsset{Name: "heart", Version: "2", Type: "uri_folder", URI: "azureml://datastores/d/paths/heart/2/"},
		azuremltest.DataAsset{Name: "table", Version: "2026.11", Type: "mltable", URI: "azureml://datastores/d/paths/table"},
		azuremltest.DataAsset{Name: "file", Version: "1", Type: "uri_file", URI: "https://bells.blob.core.windows.net/in/a.csv"},
		azuremltest.DataAsset{Name: "empty", Type: "uri_file"},
		azuremltest.DataAsset{Name: "odd", Version: "1", Type: "custom", URI: "azureml://datastores/d/paths/odd"},
	)
	f.PutComponent(azuremltest.Component{Name: "data", Version: "1", Inputs: map[string]azuremltest.ComponentInput{
		"folder": {Type: "uri_folder", Optional: true}, "table": {Type: "mltable", Optional: true}, "file": {Type: "uri_file", Optional: true},
		"text": {Type: "string", Optional: true}, "model": {Type: "mlflow_model", Optional: true},
	}})
	f.PutBatchEndpoint(
		azuremltest.BatchEndpoint{Name: "data", Default: "d", Deployments: []azuremltest.Deployment{{Name: "d", Component: "data:1"}}},
		azuremltest.BatchEndpoint{Name: "far", Default: "d", Deployments: []azuremltest.Deployment{{Name: "d", Component: "azureml://registries/r/components/c/versions/1"}}},
	)
	return f
}

func TestDataAssets(t *testing.T) {
	const job, endpoint, elsewhere = "job", "endpoint", "elsewhere"
	f := withAssets(t)
	for i, c := range []struct {
		to, input, value string
		want             azuremltest.Input
	}{
		{job, "folder", "azureml:heart@latest", azuremltest.Input{Type: "uri_folder", Value: "azureml://datastores/d/paths/heart/2/"}},
		{job, "folder", "azureml:heart:1", azuremltest.Input{Type: "uri_folder", Value: "azureml://datastores/d/paths/heart/1/"}},
		{job, "folder", "azureml:/heart@latest", azuremltest.Input{Type: "uri_folder", Value: "azureml://datastores/d/paths/heart/2/"}},
		{job, "file", "azureml:file@latest", azuremltest.Input{Type: "uri_file", Value: "https://bells.blob.core.windows.net/in/a.csv"}},
		{job, "table", "azureml:table:2026.11", azuremltest.Input{Type: "mltable", Value: "azureml://datastores/d/paths/table"}},
		{job, "folder", "uri_folder:azureml:table@latest", azuremltest.Input{Type: "uri_folder", Value: "azureml://datastores/d/paths/table"}},
		{job, "text", "azureml:heart@latest", azuremltest.Input{Type: "literal", Value: "azureml:heart@latest"}},
		{job, "model", "azureml:heart:1", azuremltest.Input{Type: "mlflow_model", Value: "azureml:heart:1"}},
		{job, "folder", "azureml://datastores/d/paths/x/", azuremltest.Input{Type: "uri_folder", Value: "azureml://datastores/d/paths/x/"}},
		{endpoint, "folder", "azureml:heart@latest", azuremltest.Input{Type: "uri_folder", Value: "azureml://datastores/d/paths/heart/2/"}},
		{elsewhere, "any", "azureml:table@latest", azuremltest.Input{Type: "mltable", Value: "azureml://datastores/d/paths/table"}},
		{elsewhere, "any", "mltable:azureml:heart@latest", azuremltest.Input{Type: "mltable", Value: "azureml://datastores/d/paths/heart/2/"}},
	} {
		s := of(azureml.PipelineJob, "component:data:1", "a"+string(rune('a'+i)))
		switch c.to {
		case endpoint:
			s = of(azureml.BatchEndpoint, "data", s.Occurrence)
		case elsewhere:
			s = of(azureml.BatchEndpoint, "far", s.Occurrence)
		}
		s.Name = s.Occurrence
		s.Parameters = map[string]string{c.input: c.value}
		if _, r := f.submit(t, s); r.Job.Inputs[c.input] != c.want {
			t.Errorf("%s, %s = %s: got %+v, want %+v", c.to, c.input, c.value, r.Job.Inputs[c.input], c.want)
		}
		if s.Parameters[c.input] != c.value {
			t.Errorf("the caller's parameters are %v", s.Parameters)
		}
	}
}

// A job that is the template of others has data of its own; a value that is given for an input of it is resolved, too.
func TestADataAssetInATemplate(t *testing.T) {
	f := withAssets(t)
	f.AddJob("old", "Completed", map[string]any{
		"jobType": "Pipeline", "componentId": workspaceID + "/components/data/versions/1", "experimentName": "e",
		"inputs": map[string]any{"folder": map[string]any{"jobInputType": "uri_folder", "uri": "azureml://datastores/d/paths/old/", "mode": "ReadOnlyMount"}},
	})
	s := of(azureml.PipelineJob, "job:old", "a")
	s.Parameters = map[string]string{"folder": "azureml:heart@latest"}
	if _, r := f.submit(t, s); r.Job.Inputs["folder"].Value != "azureml://datastores/d/paths/heart/2/" {
		t.Errorf("it was given %v", r.Job.Inputs)
	}
}

func TestTheLatestVersionOfADataAsset(t *testing.T) {
	f := withAssets(t)
	s := of(azureml.BatchEndpoint, "far", "a")
	s.Parameters = map[string]string{"one": "azureml:heart@latest", "other": "azureml:heart@latest"}
	f.submit(t, s)
	if n := f.Asked(azuremltest.GetData); n != 1 {
		t.Errorf("the latest version was asked for %d times in one submission", n)
	}
	f.PutData(azuremltest.DataAsset{Name: "heart", Version: "3", Type: "uri_folder", URI: "azureml://datastores/d/paths/heart/3/"})
	s.Occurrence = "b"
	if _, r := f.submit(t, s); r.Job.Inputs["one"].Value != "azureml://datastores/d/paths/heart/3/" {
		t.Errorf("the next run was given %v", r.Job.Inputs)
	}
	s.Occurrence = "a"
	if _, err := f.targets[azureml.BatchEndpoint].Submit(t.Context(), again(s)); err != nil {
		t.Error(err)
	}
	if n := f.Asked(azuremltest.GetData); n != 2 {
		t.Errorf("a submission that is looked for asked for data: %d", n)
	}
}

func TestDataAssetsThatCannotBeGiven(t *testing.T) {
	f := withAssets(t)
	for _, c := range []struct{ input, value, want string }{
		{"folder", "azureml:none@latest", "azureml:none@latest, which is not in the workspace: register it there"},
		{"folder", "azureml:heart:9", "azureml:heart:9, which is not in the workspace"},
		{"file", "azureml:empty@latest", "write the version that is meant, as azureml:empty:VERSION"},
		{"file", "azureml:odd:1", `version 1 of it is a "custom"`},
		{"file", "azureml:heart@latest", "its input file is a uri_file, and azureml:heart@latest is a uri_folder: give another data asset, or write uri_file:azureml:heart@latest"},
	} {
		s := of(azureml.PipelineJob, "component:data:1", "a")
		s.Parameters = map[string]string{c.input: c.value}
		_, err := f.targets[azureml.PipelineJob].Submit(t.Context(), s)
		if wantOutcome(t, err, pipeline.Refused); !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s = %s: %v", c.input, c.value, err)
		}
	}
	if n := f.Asked(azuremltest.PutJob); n != 0 {
		t.Errorf("%d jobs were sent", n)
	}
	for _, op := range []azuremltest.Op{azuremltest.GetData, azuremltest.GetDataVersion} {
		f.Fail(op, azuremltest.Fault{Status: 503, RetryAfter: "7"})
		s := of(azureml.PipelineJob, "component:data:1", "a")
		s.Parameters = map[string]string{"folder": "azureml:heart@latest"}
		_, err := f.targets[azureml.PipelineJob].Submit(t.Context(), s)
		if wantOutcome(t, err, pipeline.NotDone); !strings.Contains(err.Error(), "the data asset azureml:heart@latest of its input folder could not be read") {
			t.Errorf("%v", err)
		}
	}
}

// The tags of whoever asked for a run stand on it, and cannot take the place of those by which it is found.
func TestTagsThatWereGiven(t *testing.T) {
	f := newFar(t)
	for kind, id := range map[string]string{azureml.Published: succeeds, azureml.BatchEndpoint: "train", azureml.PipelineJob: "component:train:1"} {
		s := of(kind, id, "of-"+strings.ReplaceAll(kind, "_", "-"))
		s.Tags = map[string]string{"OperationId": "7", "none": "", "carillon_occurrence": "mine", "carillon_schedule": "mine"}
		_, r := f.submit(t, s)
		if r.Tags["OperationId"] != "7" || r.Tags["carillon_occurrence"] != s.Occurrence || r.Tags["carillon_schedule"] != s.Schedule {
			t.Errorf("%s: it bears %v", kind, r.Tags)
		}
		if _, kept := r.Job.Properties["OperationId"]; kept {
			t.Errorf("%s: its properties are %v", kind, r.Job.Properties)
		}
	}
}
