package azureml_test

import (
	"encoding/json"
	"strings"
	"testing"

	"carillon/shared/pipeline"
	"carillon/shared/pipeline/azureml"
	"carillon/shared/schedule"
)

// What is wrong with a value is said when the schedule is made, by field, and not by the first run.
func TestCheckedValues(t *testing.T) {
	f := newFar(t)
	f.AddJob("done", "Completed", finished())
	job, endpoint := schedule.PipelineRef{Kind: azureml.PipelineJob, ID: "component:train:1"}, schedule.PipelineRef{Kind: azureml.BatchEndpoint, ID: "train"}
	template := schedule.PipelineRef{Kind: azureml.PipelineJob, ID: "job:done"}
	for _, row := range []struct {
		ref         schedule.PipelineRef
		field, name string
		text        string
		says        string // "" for nothing
	}{
		{job, "parameters", "times", "7", ""},
		{job, "parameters", "times", "many", "whole number"},
		{job, "parameters", "times", "{{ len .Changes }}", ""},
		{job, "parameters", "who", "uri_file:me", ""},
		{job, "parameters", "data", "azureml://datastores/d/paths/a", ""},
		{job, "parameters", "data", "uri_file(download):https://acme.blob.core.windows.net/in/a.csv", ""},
		{job, "parameters", "data", "azureml:heart@latest", ""},
		{job, "parameters", "data", "uri_folder:azureml:heart:3", ""},
		{job, "parameters", "data", "azureml://datastores/d/paths/{{ .Change.Path }}", ""},
		{job, "parameters", "data", "azureml:heart", "has to say where data are"},
		{job, "parameters", "data", "uri_blob:x", "has to say where data are"},
		{job, "parameters", "data", "uri_folder(teleport):{{ .Change.Path }}", "mode teleport: there are direct"},
		{job, "outputs", "model", "uri_folder(upload):", ""},
		{job, "outputs", "model", "azureml://datastores/d/paths/${{name}}", ""},
		{job, "outputs", "model", "/tmp/x", "has to say where data are"},
		{job, "outputs", "model", "uri_folder(ro_mount):", "mode ro_mount: there are direct"},
		{job, "settings", "force_rerun", `"perhaps"`, "true or false"},
		{job, "settings", "force_rerun", `true`, ""},
		{job, "settings", "default_compute", `["a"]`, "a name"},
		{job, "settings", "something_else", `{"a": 1}`, ""},
		{template, "parameters", "data", "nowhere", "has to say where data are"},
		{template, "parameters", "who", "anybody", ""},
		{endpoint, "parameters", "times", "7.5", "whole number"},
		{endpoint, "parameters", "data", "uri_file(download):azureml://datastores/d/paths/a", "a call of a batch endpoint has none"},
		{endpoint, "outputs", "model", "azureml://datastores/d/paths/m/", ""},
	} {
		s := pipeline.Submission{Pipeline: row.ref}
		switch texts := map[string]string{row.name: row.text}; row.field {
		case "parameters":
			s.Parameters = texts
		case "outputs":
			s.Outputs = texts
		default:
			s.Settings = map[string]json.RawMessage{row.name: []byte(row.text)}
		}
		errs, err := f.targets[row.ref.Kind].(pipeline.Checker).Check(t.Context(), s)
		if err != nil || (len(errs) == 0) != (row.says == "") || row.says != "" && (errs[0].Field != row.field+"."+row.name || !strings.Contains(errs[0].Message, row.says)) {
			t.Errorf("%s: %s = %s: %v, %v", row.ref, row.name, row.text, errs, err)
		}
	}
	gone := pipeline.Submission{Pipeline: schedule.PipelineRef{Kind: azureml.PipelineJob, ID: "component:gone:1"}}
	if _, err := f.targets[azureml.PipelineJob].(pipeline.Checker).Check(t.Context(), gone); err == nil {
		t.Error("what is not there is checked")
	}
}
