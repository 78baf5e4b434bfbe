package hostdouble_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"carillon/shared/azure/hostdouble"
)

const blobFile = `{"bindings": [{"type": "blobTrigger", "direction": "in", "name": "blob", "path": "data/{name}", "source": "EventGrid",
	"connection": "AzureWebJobsStorage", "properties": {"supportsDeferredBinding": true}}]}`

// blobFunctions are one with deferred content, one without, and one that hears of what the host gave up.
var blobFunctions = map[string]string{
	"blob_data": blobFile, "blob_whole": strings.Replace(blobFile, "true", "false", 1),
	"poison": strings.NewReplacer("%SUBMIT%", "webjobs-blobtrigger-poison").Replace(functionFiles["submit"]),
}

// put uploads a blob and returns its ETag.
func (q queues) put(container, path, content string) string {
	q.t.Helper()
	client, err := azblob.NewClientFromConnectionString(q.connection, nil)
	if err != nil {
		q.t.Fatal(err)
	}
	if _, err := client.CreateContainer(q.t.Context(), container, nil); err != nil && !bloberror.HasCode(err, bloberror.ContainerAlreadyExists) {
		q.t.Fatal(err)
	}
	answer, err := client.UploadBuffer(q.t.Context(), container, path, []byte(content), &blockblob.UploadBufferOptions{
		Metadata: map[string]*string{"owner": to.Ptr("me")}, HTTPHeaders: &blob.HTTPHeaders{BlobContentType: to.Ptr("application/json")},
	})
	if err != nil {
		q.t.Fatal(err)
	}
	return string(*answer.ETag)
}

type blobCall struct {
	Data     struct{ Blob json.RawMessage }
	Metadata struct {
		URI, Name  string
		Properties struct {
			ContentLength int
			LastModified  time.Time
			ETag          json.RawMessage
		}
		Metadata map[string]string
	}
}

func TestBlobEvent(t *testing.T) {
	q := newQueues(t)
	h := hostdouble.Start(t, stage(t, hostFile, blobFunctions), settings(q.connection))
	const name = "dir 1/100% #1 ü+?.json"
	q.put("data", name, `{"a":1}`)
	q.put("other", "x", "")
	for function, data := range map[string]string{
		"blob_data":  `{"Content":{"IsEmpty":false,"Length":`,
		"blob_whole": `"eyJhIjoxfQ=="`,
	} {
		if err := h.BlobEvent(function, "data", name); err != nil {
			t.Fatal(err)
		}
		call := bodyOf[blobCall](t, seen(t, h, "/"+function, 1)[0])
		m := call.Metadata
		if !strings.HasPrefix(string(call.Data.Blob), data) || m.Name != fmt.Sprintf("%q", name) ||
			!strings.HasSuffix(m.URI, `/devstoreaccount1/data/dir%201/100%25%20%231%20%C3%BC%2B%3F.json"`) || !strings.HasPrefix(m.URI, `"http`) {
			t.Errorf("%s: %+v, data %s", function, m, call.Data.Blob)
		}
		if m.Properties.ContentLength != 7 || m.Properties.LastModified.IsZero() || string(m.Properties.ETag) != "{}" || m.Metadata["owner"] != "me" {
			t.Errorf("%s: %+v", function, m)
		}
	}
	if calls := h.Invocations(); len(calls) != 2 || calls[0].Try != 1 || calls[0].Err != nil {
		t.Errorf("calls: %+v", calls)
	}
	if err := h.BlobEvent("blob_data", "other", "x"); err != nil {
		t.Error(err)
	}
	if m := bodyOf[blobCall](t, seen(t, h, "/blob_data", 2)[1]).Metadata; m.Name != "" || !strings.HasSuffix(m.URI, `/other/x"`) {
		t.Errorf("another container's: %+v", m)
	}
	for _, path := range []string{"gone", "dir 1"} {
		if err := h.BlobEvent("blob_data", "data", path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := h.BlobEvent("blob_data", "no-such-container", "x"); err != nil || len(h.Invocations()) != 3 {
		t.Errorf("what is gone: %v, %d calls", err, len(h.Invocations()))
	}
	if h.BlobEvent("submit", "data", name) == nil || h.BlobEvent("none", "data", name) == nil {
		t.Error("a function hears of blobs that is not for them")
	}
}

// A blob that fails is told of five times at once, and then given up to a queue that a function may read.
func TestBlobPoison(t *testing.T) {
	q := newQueues(t)
	once := strings.Replace(hostFile, `"maxDequeueCount": 2`, `"maxDequeueCount": 1`, 1)
	h := hostdouble.Start(t, stage(t, once, blobFunctions), settings(q.connection, "DO", "500", "AzureWebJobs.poison.Disabled", "true"))
	tag := q.put("data", "a b", "x")
	began := time.Now()
	if h.BlobEvent("blob_data", "data", "a b") == nil {
		t.Error("a call that fails succeeds")
	}
	calls := ended(t, h, "blob_data", 5)
	if took := calls[4].Began.Sub(began); len(calls) != 5 || calls[4].Try != 5 || calls[3].ID == calls[4].ID || took > 10*time.Second {
		t.Errorf("after %v: %+v", took, calls)
	}
	h.Stop()
	if n := q.left("webjobs-blobtrigger-poison"); n != 1 {
		t.Fatalf("%d messages were given up", n)
	}
	h = hostdouble.Start(t, stage(t, once, blobFunctions), settings(q.connection))
	var got map[string]string
	if err := json.Unmarshal(ended(t, h, "poison", 1)[0].Body, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"Type": "BlobTrigger", "FunctionId": "Host.Functions.blob_data", "BlobType": "BlockBlob", "ContainerName": "data", "BlobName": "a b", "ETag": tag,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("poison is %v, want %v", got, want)
	}
}

func TestDisabledBlobTrigger(t *testing.T) {
	h := hostdouble.Start(t, stage(t, hostFile, blobFunctions), settings(nowhere, "AzureWebJobs.blob_data.Disabled", "1"))
	if err := h.BlobEvent("blob_data", "data", "x"); err == nil || !strings.Contains(err.Error(), "disabled") {
		t.Errorf("a disabled trigger: %v", err)
	}
	if err := h.BlobEvent("blob_whole", "data", "x"); err == nil || len(h.Invocations()) != 0 {
		t.Errorf("an account that does not answer: %v", err)
	}
}

// With messageEncoding none the host leaves messages as they are, and gives up none for its text.
func TestPlainMessages(t *testing.T) {
	q := newQueues(t)
	none := strings.Replace(hostFile, `"queues": {`, `"queues": {"messageEncoding": "none", `, 1)
	h := hostdouble.Start(t, stage(t, none, nil), settings(q.connection))
	for n, text := range []string{`[{"plain": "ü"}]`, base("x"), "hello"} {
		q.send("submitted", text)
		if call := ended(t, h, "submit", n+1)[n]; string(call.Body) != text {
			t.Errorf("%s: got %s", text, call.Body)
		}
		if call := bodyOf[messageCall](t, seen(t, h, "/submit", n+1)[n]); call.Data.Message != base(text) {
			t.Errorf("%s: the handler got %s", text, call.Data.Message)
		}
	}
}
