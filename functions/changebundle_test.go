package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"

	"carillon/shared/azure/azuritetest"
	"carillon/shared/azure/hostdouble"
)

// blobs are the containers of a cloud.
type blobs struct {
	t      testing.TB
	client *azblob.Client
}

func (c *cloud) blobs(containers ...string) blobs {
	c.t.Helper()
	client, err := azblob.NewClientFromConnectionString(c.storage.ConnectionString(), &azblob.ClientOptions{
		ClientOptions: azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: 3}},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, name := range containers {
		if _, err := client.CreateContainer(c.t.Context(), name, nil); err != nil {
			c.t.Fatal(err)
		}
	}
	return blobs{c.t, client}
}

// upload writes a blob and returns its ETag as events have it.
func (b blobs) upload(container, path, text string) string {
	b.t.Helper()
	answer, err := b.client.UploadBuffer(b.t.Context(), container, path, []byte(text), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.Trim(string(*answer.ETag), `"`)
}

func watching(name, more string) string {
	return fmt.Sprintf(`{"name":%q,"pipeline":{"kind":"published","id":%q},"experiment":"test","trigger":{"type":"datastore",%s}}`, name, train, more)
}

// fired counts the workspace's runs by the path that each was given.
func (c *cloud) fired() map[string]int {
	paths := map[string]int{}
	for _, r := range c.workspace.Runs() {
		for _, at := range r.DataPaths {
			paths[at.DataStoreName+"/"+at.RelativePath]++
		}
	}
	return paths
}

func (c *cloud) await(what string, done func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("%s: the workspace has %v", what, c.fired())
		}
	}
}

const changeStores = datastores + ", polled=AzureWebJobsStorage/polled"

// A blob is uploaded, and a run gets its path: told by the blob trigger, by Event Grid over HTTP, or found by a look.
func TestBundleOfChanges(t *testing.T) {
	t.Parallel()
	folder, c := bundle(t), newCloud(t)
	c.settings["CARILLON_DATASTORES"] = changeStores
	b := c.blobs("inbox", "polled")
	s := site{t, hostdouble.Start(t, folder, c.settings)}
	b.upload("polled", "in/before", "x")
	s.must("author", "POST", "/api/schedules", watching("told", `"datastore":"inbox","path_on_datastore":"in","include":["*.csv"],"data_path_parameter_name":"d"`), nil)
	s.must("author", "POST", "/api/schedules", watching("polls", `"datastore":"polled","path_on_datastore":"in","polling_interval":1,"data_path_parameter_name":"d"`), nil)
	var watched struct {
		Watch struct{ Looked, Problem string }
	}
	c.await("the baseline", func() bool {
		s.host.FireTimer("recurrence")
		s.must("list", "GET", "/api/schedules/polls", "", &watched)
		return watched.Watch.Looked != ""
	})
	for _, name := range []string{"a.csv", "with space%20+.csv", "größe.csv"} {
		b.upload("inbox", "in/"+name, "1")
		if err := s.host.BlobEvent("blob_inbox", "inbox", "in/"+name); err != nil {
			t.Error(err)
		}
		c.await(name, func() bool { return c.fired()["inbox/in/"+name] == 1 })
	}
	etag := b.upload("inbox", "in/b.csv", "1")
	event := fmt.Sprintf(`[{"eventType":"Microsoft.Storage.BlobCreated","eventTime":%q,"subject":"/blobServices/default/containers/inbox/blobs/in/b.csv",
		"data":{"api":"PutBlob","eTag":%q,"url":"https://devstoreaccount1.blob.core.windows.net/inbox/in/b.csv","sequencer":"1"}}]`, time.Now().UTC().Format(time.RFC3339Nano), etag)
	for range 3 {
		s.must("webhook", "POST", "/api/events", event, nil)
	}
	if err := s.host.BlobEvent("blob_inbox", "inbox", "in/b.csv"); err != nil { // by the other way, too
		t.Error(err)
	}
	c.await("b.csv", func() bool { return c.fired()["inbox/in/b.csv"] == 1 })
	b.upload("polled", "in/new", "1")
	c.await("in/new", func() bool {
		s.host.FireTimer("recurrence")
		return c.fired()["polled/in/new"] == 1
	})
	if fired := c.fired(); len(fired) != 5 || fired["polled/in/before"] != 0 {
		t.Errorf("fired: %v", fired)
	}
	var explained struct {
		Matches []struct{ Schedule, Verdict string }
	}
	s.must("list", "GET", "/api/explain?datastore=inbox&path=in/b.csv", "", &explained)
	if len(explained.Matches) != 1 || explained.Matches[0].Schedule != "told" {
		t.Errorf("explained: %+v", explained)
	}
	s.must("author", "POST", "/api/schedules", watching("missing", `"datastore":"polled","path_on_datastore":"in","polling_interval":1`), nil)
	if _, err := b.client.DeleteContainer(t.Context(), "polled", nil); err != nil {
		t.Fatal(err)
	}
	c.await("a problem", func() bool {
		s.host.FireTimer("recurrence")
		s.must("list", "GET", "/api/schedules/missing", "", &watched)
		return strings.Contains(watched.Watch.Problem, "does not exist")
	})
}

// Handlers are killed and storage fails while blobs come, told of twice and out of order: each version that was there
// to be seen makes one run.
func TestBundleOfChangesWithFaults(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	folder, c := bundle(t), newCloud(t)
	b := c.blobs("inbox", "polled")
	failing := make(chan struct{})
	c.settings["CARILLON_DATASTORES"] = changeStores
	c.settings["AzureWebJobsStorage"] = c.storage.Through(t, func(*http.Request) azuritetest.Fault {
		select {
		case <-failing:
			return azuritetest.Fault{}
		default:
		}
		switch rand.IntN(100) {
		case 0:
			return azuritetest.Fault{Status: 500}
		case 1:
			return azuritetest.Fault{Done: true, Break: true}
		}
		return azuritetest.Fault{}
	})
	hosts := []site{{t, hostdouble.Start(t, folder, c.settings)}, {t, hostdouble.Start(t, folder, c.settings)}}
	hosts[0].must("author", "POST", "/api/schedules", watching("told", `"datastore":"inbox","data_path_parameter_name":"d"`), nil)
	hosts[0].must("author", "POST", "/api/schedules", watching("polls", `"datastore":"polled","polling_interval":1,"data_path_parameter_name":"d"`), nil)
	uploaded := map[string]bool{}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		h := hosts[rand.IntN(2)].host
		name := fmt.Sprintf("f%03d", len(uploaded))
		for _, container := range []string{"inbox", "polled"} {
			b.upload(container, name, "1")
			uploaded[container+"/"+name] = true
		}
		for range 1 + rand.IntN(2) {
			h.BlobEvent("blob_inbox", "inbox", name) // an error leaves a message in the poison queue, which is read
		}
		switch rand.IntN(6) {
		case 0:
			h.KillHandler()
		case 1:
			h.FireTimer("recurrence")
		}
		if h.Stopped() {
			h.Resume()
		}
	}
	close(failing)
	for _, s := range hosts {
		if s.host.Stopped() {
			s.host.Resume()
		}
	}
	for deadline := time.Now().Add(150 * time.Second); ; time.Sleep(time.Second) {
		hosts[0].host.FireTimer("recurrence")
		states := map[string]int{}
		for _, r := range hosts[0].runs() {
			states[r.Status]++
		}
		if fired := c.fired(); len(fired)+states["Submitting"]+states["Waiting"]+states["Uncertain"]+states["Skipped"] >= len(uploaded) || time.Now().After(deadline) {
			for path, n := range fired {
				if n > 1 || !uploaded[path] {
					t.Errorf("%s made %d runs", path, n)
				}
			}
			if len(fired)+states["Submitting"]+states["Waiting"]+states["Uncertain"]+states["Skipped"] < len(uploaded) {
				t.Errorf("%d versions, %d have a run, %v", len(uploaded), len(fired), states)
			}
			t.Logf("%d versions made %d runs; %v", len(uploaded), len(fired), states)
			return
		}
	}
}
