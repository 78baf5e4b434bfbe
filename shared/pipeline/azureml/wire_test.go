package azureml

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

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
	f := fence{"https", "westeurope.api.azureml.ms", refusing{t}}
	for _, url := range []string{
		"http://westeurope.api.azureml.ms/", "https://westeurope.api.azureml.ms.evil.example/", "https://evil.example/westeurope.api.azureml.ms",
		"https://westeurope.api.azureml.ms:444/",
	} {
		q, err := http.NewRequest("GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.RoundTrip(q); err == nil || !strings.Contains(err.Error(), "is not called") {
			t.Errorf("%s: %v", url, err)
		}
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
