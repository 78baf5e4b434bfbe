package azureml

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

func TestStatuses(t *testing.T) {
	for _, c := range []struct {
		wire string
		want schedule.Status
	}{
		{`"NotStarted"`, schedule.Queued}, {`"Queued"`, schedule.Queued}, {`"Starting"`, schedule.Queued},
		{`"Provisioning"`, schedule.Queued}, {`"Preparing"`, schedule.Queued}, {`"Running"`, schedule.Running},
		{`"Finalizing"`, schedule.Running}, {`"CancelRequested"`, schedule.Running}, {`"NotResponding"`, schedule.Running},
		{`"Paused"`, schedule.Running}, {`"Unknown"`, schedule.Running}, {`"Completed"`, schedule.Completed},
		{`"Finished"`, schedule.Completed}, {`"Failed"`, schedule.Failed}, {`"Canceled"`, schedule.Canceled},
		{`"COMPLETED"`, schedule.Completed}, {`0`, schedule.Queued}, {`1`, schedule.Running}, {`4`, schedule.Canceled},
	} {
		var s runStatus
		if err := json.Unmarshal([]byte(c.wire), &s); err != nil {
			t.Fatal(err)
		}
		if got, known := s.status(); got != c.want || !known {
			t.Errorf("%s: got %s, known %t, want %s", c.wire, got, known, c.want)
		}
	}
	for _, wire := range []string{`2`, `3`, `7`, `-1`, `"soon"`, `null`, `""`, `1.5`, `true`} {
		var s runStatus
		if err := json.Unmarshal([]byte(wire), &s); err != nil {
			t.Fatal(err)
		}
		if got, known := s.status(); got != schedule.Running || known {
			t.Errorf("%s: got %s, known %t", wire, got, known)
		}
	}
}

func TestEntityStatuses(t *testing.T) {
	for wire, want := range map[string]entityStatus{
		`"Active"`: "Active", `0`: "Active", `1`: "Deprecated", `2`: "Disabled", `"2"`: "Disabled", `"Disabled"`: "Disabled", `null`: "", `9`: "9",
	} {
		var s entityStatus
		if err := json.Unmarshal([]byte(wire), &s); err != nil || s != want {
			t.Errorf("%s: got %q, %v, want %q", wire, s, err, want)
		}
	}
}

func TestInstants(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for wire, want := range map[string]time.Time{
		`"2026-01-02T03:04:05Z"`:              at,
		`"2026-01-02T05:04:05.0000000+02:00"`: at,
		`"2026-01-02T03:04:05"`:               at,
		`"2026-01-02T03:04:05.5"`:             at.Add(500 * time.Millisecond),
		`"0001-01-01T00:00:00"`:               {},
		`"soon"`:                              {},
		`null`:                                {},
		`7`:                                   {},
	} {
		var i instant
		if err := json.Unmarshal([]byte(wire), &i); err != nil || !i.Equal(want) {
			t.Errorf("%s: got %v, %v, want %v", wire, i, err, want)
		}
	}
}

func TestBasesAndLinks(t *testing.T) {
	for _, c := range []struct {
		cloud      cloud.Configuration
		base, link string
	}{
		{cloud.AzurePublic, "https://westeurope.api.azureml.ms", "https://ml.azure.com/runs/r?wsid=/subscriptions/s/resourcegroups/g/workspaces/w"},
		{cloud.AzureGovernment, "https://westeurope.api.ml.azure.us", "https://ml.azure.us/runs/r?wsid=/subscriptions/s/resourcegroups/g/workspaces/w"},
		{cloud.AzureChina, "https://westeurope.api.ml.azure.cn", "https://studio.ml.azure.cn/runs/r?wsid=/subscriptions/s/resourcegroups/g/workspaces/w"},
	} {
		base, err := Config{Region: "westeurope", Cloud: c.cloud}.base()
		if err != nil || base.String() != c.base {
			t.Errorf("got %v, %v, want %s", base, err, c.base)
		}
		w := Workspace{studio: places[c.cloud.ActiveDirectoryAuthorityHost].studio, wsid: "/subscriptions/s/resourcegroups/g/workspaces/w"}
		if got := w.link("r"); got != c.link {
			t.Errorf("got %s, want %s", got, c.link)
		}
	}
	if got := (&Workspace{}).link("r"); got != "" {
		t.Errorf("a cloud without a known studio: %s", got)
	}
}

type refusing struct{ t *testing.T }

func (r refusing) RoundTrip(q *http.Request) (*http.Response, error) {
	r.t.Errorf("%s went through", q.URL)
	return nil, http.ErrServerClosed
}

func TestFence(t *testing.T) {
	f := fence{func(u *url.URL) bool { return u.Scheme == "https" && u.Host == "westeurope.api.azureml.ms" }, refusing{t}}
	for _, address := range []string{
		"http://westeurope.api.azureml.ms/", "https://westeurope.api.azureml.ms.evil.example/", "https://evil.example/westeurope.api.azureml.ms",
		"https://westeurope.api.azureml.ms:444/",
	} {
		q, err := http.NewRequest("GET", address, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.RoundTrip(q); err == nil || !strings.Contains(err.Error(), "is not called") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestScoringAddresses(t *testing.T) {
	cloud := scoring{suffix: "inference.ml.azure.com", region: "westeurope", audience: "https://ml.azure.com"}
	anywhere := cloud
	anywhere.region = ""
	one := scoring{only: &url.URL{Scheme: "http", Host: "127.0.0.1:8080"}, audience: "https://ml.azure.com"}
	for _, c := range []struct {
		scoring
		address, want string
	}{
		{cloud, "https://ep.westeurope.inference.ml.azure.com/jobs", "https://ep.westeurope.inference.ml.azure.com/jobs"},
		{cloud, "https://EP.westeurope.inference.ml.azure.com/jobs", "https://ep.westeurope.inference.ml.azure.com/jobs"},
		{anywhere, "https://ep.westus2-main.inference.ml.azure.com/jobs", "https://ep.westus2-main.inference.ml.azure.com/jobs"},
		{cloud, "https://ep.westeurope.inference.ml.azure.com:443/jobs", "https://ep.westeurope.inference.ml.azure.com/jobs"},
		{one, "http://127.0.0.1:8080/inference/ep/jobs", "http://127.0.0.1:8080/inference/ep/jobs"},
		{cloud, "https://ep.eastus.inference.ml.azure.com/jobs", ""},
		{cloud, "https://other.westeurope.inference.ml.azure.com/jobs", ""},
		{cloud, "http://ep.westeurope.inference.ml.azure.com/jobs", ""},
		{cloud, "https://ep.westeurope.inference.ml.azure.com:444/jobs", ""},
		{cloud, "https://ep.westeurope.inference.ml.azure.com:80/jobs", ""},
		{cloud, "https://u@ep.westeurope.inference.ml.azure.com/jobs", ""},
		{cloud, "https://ep.westeurope.inference.ml.azure.com/jobs?x=1", ""},
		{cloud, "https://ep.westeurope.inference.ml.azure.com.evil.example/jobs", ""},
		{cloud, "https://ep.westeurope.evil.example/inference.ml.azure.com", ""},
		{cloud, "https://inference.ml.azure.com/jobs", ""},
		{cloud, "https://ep.a.b.inference.ml.azure.com/jobs", ""},
		{anywhere, "https://ep..inference.ml.azure.com/jobs", ""},
		{cloud, "", ""},
		{cloud, ":", ""},
		{one, "http://127.0.0.1:8081/jobs", ""},
		{one, "http://127.0.0.1/jobs", ""},
		{one, "https://127.0.0.1:8080/jobs", ""},
		{one, "https://ep.westeurope.inference.ml.azure.com/jobs", ""},
		{scoring{}, "https://ep.westeurope.inference.ml.azure.com/jobs", ""},
		{scoring{audience: "https://ml.azure.com"}, "https://ep.westeurope./jobs", ""},
	} {
		got, err := c.scoring.address("ep", c.address)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: got %q, %v, want %q", c.address, got, err, c.want)
		}
	}
}

// Addresses that the resource manager gives are followed within the workspace, however they are written, and nowhere else.
func TestAddressesOfTheResourceManager(t *testing.T) {
	const scope = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/"
	const workspace = "/providers/Microsoft.MachineLearningServices/workspaces/tower"
	w := &Workspace{arm: service{base: "https://management.azure.com"}, id: scope + "rg(1)" + workspace}
	const host = "https://management.azure.com"
	for _, c := range []struct {
		link string
		own  bool
	}{
		{host + scope + "rg(1)" + workspace + "/jobs?api-version=1&$skip=2", true},
		{host + scope + "rg%281%29" + workspace + "/jobs?api-version=1", true},
		{host + ":443" + scope + "rg(1)" + workspace + "/jobs", true},
		{"HTTPS://Management.Azure.COM" + strings.ToLower(scope) + "RG(1)" + strings.ToLower(workspace) + "/jobs/a", true},
		{host + scope + "rg(1)" + workspace, false},
		{host + scope + "rg(1)" + workspace + "-2/jobs", false},
		{host + scope + "rg(2)_ü" + workspace + "/jobs", false},
		{host + scope + "rg(1)" + workspace + "/../cellar/jobs", false},
		{host + scope + "rg(1)" + workspace + "/%2e%2E/cellar/jobs", false},
		{host + scope + "rg(1)" + workspace + "/..%2fcellar/jobs", false},
		{host + scope + "rg(1)" + workspace + "/..%5Ccellar/jobs", false},
		{host + scope + "rg(1)" + workspace + "%2Fjobs", false},
		{host + "/." + scope + "rg(1)" + workspace + "/jobs", false},
		{host + "/" + scope + "rg(1)" + workspace + "/jobs", false},
		{host + ":444" + scope + "rg(1)" + workspace + "/jobs", false},
		{host + ":80" + scope + "rg(1)" + workspace + "/jobs", false},
		{"http://management.azure.com:443" + scope + "rg(1)" + workspace + "/jobs", false},
		{"http://management.azure.com" + scope + "rg(1)" + workspace + "/jobs", false},
		{host + ".evil.example" + scope + "rg(1)" + workspace + "/jobs", false},
		{"https://evil.example" + scope + "rg(1)" + workspace + "/jobs", false},
		{scope + "rg(1)" + workspace + "/jobs", false},
		{"//evil.example" + scope + "rg(1)" + workspace + "/jobs", false},
		{"https:" + scope + "rg(1)" + workspace + "/jobs", false},
		{host + scope + "rg%281" + workspace + "/jobs", false},
		{host + scope + "rg(1%zz" + workspace + "/jobs", false},
		{"", false},
	} {
		path, err := w.next(c.link)
		if (err == nil) != c.own || c.own && !strings.HasSuffix(c.link, path) || path != "" && !strings.HasPrefix(path, "/subscriptions/") {
			t.Errorf("%s: %q, %v", c.link, path, err)
		}
	}
	other := &Workspace{arm: w.arm, id: scope + "ü" + workspace}
	for _, name := range []string{"ü", "Ü", "%C3%BC", "%c3%bc"} {
		if path, err := other.next(host + scope + name + workspace + "/jobs"); err != nil || !strings.HasPrefix(path, scope+"%") {
			t.Errorf("%s: %q, %v", name, path, err)
		}
	}
	for link, own := range map[string]bool{
		host + ":443/subscriptions/11111111-2222-3333-4444-555555555555/providers/x": true,
		host + "/SUBSCRIPTIONS/11111111-2222-3333-4444-555555555555/providers/x?y=z": true,
		host + "/subscriptions/99999999-2222-3333-4444-555555555555/providers/x":     false,
		host + "/providers/x": false, "https://evil.example/subscriptions/11111111-2222-3333-4444-555555555555/providers/x": false, "": false,
	} {
		if path := w.own(link, "/subscriptions/11111111-2222-3333-4444-555555555555"); (path != "") != own {
			t.Errorf("%s: %q", link, path)
		}
	}
}

func TestTypedValues(t *testing.T) {
	for _, c := range []struct {
		declared, text string
		want           value
	}{
		{"string", "uri_file:x", value{kind: "literal", text: "uri_file:x"}},
		{"Number", "7", value{kind: "literal", text: "7"}},
		{"boolean", "", value{kind: "literal", text: ""}},
		{"uri_file", "azureml:a:1", value{kind: "uri_file", text: "azureml:a:1"}},
		{"uri_folder", "uri_file:https://h/x", value{kind: "uri_file", text: "https://h/x"}},
		{"mltable", "azureml://datastores/d/paths/t/", value{kind: "mltable", text: "azureml://datastores/d/paths/t/"}},
		{"custom_model", "azureml:m:1", value{kind: "custom_model", text: "azureml:m:1"}},
		{"", "azureml://datastores/d/paths/a b%", value{kind: "uri_file", text: "azureml://datastores/d/paths/a b%"}},
		{"", "azureml://datastores/d/paths/", value{kind: "uri_folder", text: "azureml://datastores/d/paths/"}},
		{"", "https://bells.blob.core.windows.net/in/a.csv", value{kind: "uri_file", text: "https://bells.blob.core.windows.net/in/a.csv"}},
		{"", "https://bells.dfs.core.windows.net/in/", value{kind: "uri_folder", text: "https://bells.dfs.core.windows.net/in/"}},
		{"", "https://example.com/", value{kind: "literal", text: "https://example.com/"}},
		{"", "http://bells.blob.core.windows.net/in/", value{kind: "literal", text: "http://bells.blob.core.windows.net/in/"}},
		{"", "azureml:a:1", value{kind: "literal", text: "azureml:a:1"}},
		{"", "mltable:azureml:t:1", value{kind: "mltable", text: "azureml:t:1"}},
		{"", "custom_model:azureml:m:1", value{kind: "custom_model", text: "azureml:m:1"}},
		{"uri_folder", "uri_file(download):https://h/x", value{kind: "uri_file", mode: "download", text: "https://h/x"}},
		{"", "mltable(eval_mount):azureml://datastores/d/paths/t", value{kind: "mltable", mode: "eval_mount", text: "azureml://datastores/d/paths/t"}},
		{"", "uri_file(x y):z", value{kind: "literal", text: "uri_file(x y):z"}},
		{"", "uri_file", value{kind: "literal", text: "uri_file"}},
		{"path", "https://h", value{kind: "literal", text: "https://h"}},
	} {
		if got := typed(c.declared, c.text); got != c.want {
			t.Errorf("%s, %s: got %v, want %v", c.declared, c.text, got, c.want)
		}
	}
}

func TestLocatedValues(t *testing.T) {
	folder := pipeline.DataPath{Parameter: "p", Datastore: "d", Path: "in", Folder: true}
	file := pipeline.DataPath{Parameter: "p", Datastore: "d", Path: "in/a"}
	root := pipeline.DataPath{Parameter: "p", Datastore: "d", Folder: true}
	for _, c := range []struct {
		declared string
		path     pipeline.DataPath
		want     value
	}{
		{"", folder, value{kind: "uri_folder", text: "azureml://datastores/d/paths/in"}},
		{"", root, value{kind: "uri_folder", text: "azureml://datastores/d/paths/"}},
		{"uri_folder", file, value{kind: "uri_file", text: "azureml://datastores/d/paths/in/a"}},
		{"MLTable", folder, value{kind: "mltable", text: "azureml://datastores/d/paths/in"}},
	} {
		if got, err := located(c.declared, c.path); err != nil || got != c.want {
			t.Errorf("%s, %v: got %v, %v, want %v", c.declared, c.path, got, err, c.want)
		}
	}
	if _, err := located("integer", file); err == nil || !strings.Contains(err.Error(), "{{ .Change.Path }}") {
		t.Errorf("a number: %v", err)
	}
}

func TestFlags(t *testing.T) {
	for wire, want := range map[string]flag{`true`: true, `"True"`: true, `"true"`: true, `false`: false, `"False"`: false, `null`: false, `""`: false, `7`: false} {
		f := !want
		if wire == `null` {
			f = false // is left as it is
		}
		if err := json.Unmarshal([]byte(wire), &f); err != nil || f != want {
			t.Errorf("%s: got %v, %v", wire, f, err)
		}
	}
}

func TestRemembered(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	minute, ever := &remembered[int]{keep: time.Minute}, &remembered[int]{}
	if _, ok := minute.get("a", now); ok {
		t.Error("nothing is remembered yet")
	}
	minute.put("a", 7, now)
	ever.put("a", 7, now)
	for _, c := range []struct {
		r     *remembered[int]
		after time.Duration
		want  bool
	}{{minute, 59 * time.Second, true}, {minute, time.Minute, false}, {ever, 1000 * time.Hour, true}} {
		if got, ok := c.r.get("a", now.Add(c.after)); ok != c.want || ok && got != 7 {
			t.Errorf("after %v: %d, %t", c.after, got, ok)
		}
	}
	for i := range 3 * mostRemembered {
		ever.put(fmt.Sprint(i), i, now)
	}
	if n := len(ever.values); n > mostRemembered {
		t.Errorf("%d values are kept", n)
	}
}

func TestErrorTexts(t *testing.T) {
	var b errorBody
	b.Error.Message = "no\r\n\x00good"
	b.Error.Details = append(b.Error.Details, struct{ Code, Message string }{"X", "its name"}, struct{ Code, Message string }{"Y", "no"})
	if got := b.text(); got != "no good; its name" {
		t.Errorf("got %q", got)
	}
	if got := tidy(strings.Repeat("é", maxText+1)); got != strings.Repeat("é", maxText)+"…" {
		t.Errorf("a long text has %d bytes", len(got))
	}
}

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"7": 7 * time.Second, " 0 ": 0, "-3": 0, "soon": 0, "": 0, "Fri, 02 Jan 2026 03:05:05 GMT": time.Minute, "Fri, 02 Jan 2026 03:00:00 GMT": 0,
	} {
		if got := parseRetryAfter(text, now); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}
