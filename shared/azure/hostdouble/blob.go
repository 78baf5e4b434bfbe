package hostdouble

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"
)

const (
	blobTries  = 5
	blobPause  = 30 * time.Millisecond
	blobPoison = "webjobs-blobtrigger-poison"
)

// blobTrigger is a container whose blobs a function hears of.
type blobTrigger struct {
	container  string
	parameter  string // of the path, for the blob's name
	deferred   bool   // the content stays where it is
	connection string // its name
	client     *azblob.Client
	poison     *azqueue.QueueClient
}

var blobPath = regexp.MustCompile(`^([a-z0-9$-]+)/\{([A-Za-z][A-Za-z0-9]*)\}$`)

func readBlob(name string, b bindingJSON, settings map[string]string, wrong *problems) blobTrigger {
	t := blobTrigger{connection: b.Connection}
	if b.Source != "EventGrid" {
		wrong.add("%s: source is %q: this host does not look for blobs by itself, nor does Flex Consumption", name, b.Source)
	}
	if b.DataType != "" && b.DataType != "string" && b.DataType != "binary" {
		wrong.add("%s: this host does not know dataType %q of a blob", name, b.DataType)
	}
	if m := blobPath.FindStringSubmatch(b.Path); m != nil {
		t.container, t.parameter = m[1], m[2]
	} else {
		wrong.add("%s: this host knows paths as container/{name}, not %q", name, b.Path)
	}
	t.deferred = b.Properties["supportsDeferredBinding"] == true
	if service := queueService(name, b, settings, wrong); service != nil {
		t.poison = service.NewQueueClient(blobPoison)
		connection, _ := wrong.connection(name, b, settings)
		var err error
		options := &azblob.ClientOptions{ClientOptions: azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}}}
		if t.client, err = azblob.NewClientFromConnectionString(connection, options); err != nil {
			wrong.add("%s: the connection %s: %w", name, b.Connection, err)
		}
	}
	return t
}

// BlobEvent is what follows an event of Event Grid that a blob was created: calls of the function until one succeeds, five at
// most and one shortly after the other, and then a message to webjobs-blobtrigger-poison in the account of the blob. It
// returns the error of the last call. The container is the event's: the host does not compare it with the trigger's. A
// blob that is gone, or was never there, makes no call and no error.
func (h *Host) BlobEvent(function, container, path string) error {
	h.t.Helper()
	l := h.now()
	for _, f := range h.app.functions {
		trigger, ok := f.trigger.(blobTrigger)
		if !ok || f.name != function {
			continue
		}
		if f.disabled {
			return fmt.Errorf("%s is disabled", function)
		}
		return h.tellOfBlob(l, f, trigger, container, path)
	}
	return fmt.Errorf("%s is no blob trigger of this app", function)
}

func (h *Host) tellOfBlob(l *life, f function, t blobTrigger, container, path string) error {
	var last error
	var etag azcore.ETag
	for try := 1; try <= blobTries; try++ {
		e, tag, err := t.event(l.ctx, f, container, path)
		if bloberror.HasCode(err, bloberror.BlobNotFound, bloberror.ContainerNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the host cannot read the blob: %w", err)
		}
		e.try, etag = try, tag
		if last = h.call(l, e); last == nil {
			return nil
		}
		if !sleep(l.ctx, blobPause) {
			return last
		}
	}
	message, _ := json.Marshal(map[string]string{
		"Type": "BlobTrigger", "FunctionId": "Host.Functions." + f.name, "BlobType": "BlockBlob",
		"ContainerName": container, "BlobName": path, "ETag": string(etag),
	})
	if err := enqueue(l.ctx, t.poison, base64.StdEncoding.EncodeToString(message)); err != nil && l.ctx.Err() == nil {
		h.t.Logf("Functions host: poison of %s: %v", f.name, err)
	}
	return last
}

// event is one call of the function for the blob as it is now.
func (t blobTrigger) event(ctx context.Context, f function, container, path string) (event, azcore.ETag, error) {
	client := t.client.ServiceClient().NewContainerClient(container).NewBlobClient(path)
	properties, err := client.GetProperties(ctx, nil)
	if err != nil {
		return event{}, "", err
	}
	data := any(t.reference(container, path))
	if !t.deferred {
		answer, err := client.DownloadStream(ctx, nil)
		if err != nil {
			return event{}, "", err
		}
		content, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			return event{}, "", err
		}
		data = content
	}
	root, _, _ := strings.Cut(client.URL(), "/"+container+"/")
	metadata := map[string]any{"Uri": encoded(root + "/" + container + "/" + escaped(path)), "Properties": described(properties), "Metadata": plainMetadata(properties)}
	if container == t.container {
		metadata[t.parameter] = encoded(path)
	}
	return event{function: f, id: guid(), data: data, metadata: metadata}, *properties.ETag, nil
}

// reference stands for the content of a blob.
func (t blobTrigger) reference(container, path string) map[string]any {
	content, _ := json.Marshal(map[string]string{"Connection": t.connection, "ContainerName": container, "BlobName": path})
	return map[string]any{
		"Version": "1.0", "Source": "AzureStorageBlobs", "ContentType": "application/json",
		"Content": map[string]any{"Length": len(content), "IsEmpty": false, "MediaType": "application/json"},
	}
}

// escaped is a blob's name in a URL, as .NET's Uri.EscapeDataString makes it of each part.
func escaped(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i] = strings.ReplaceAll(url.QueryEscape(part), "+", "%20")
	}
	return strings.Join(parts, "/")
}

func plainMetadata(p blob.GetPropertiesResponse) map[string]string {
	plain := map[string]string{}
	for name, value := range p.Metadata {
		plain[strings.ToLower(name)] = *value
	}
	return plain
}

// described are a blob's properties as the host puts them. An ETag becomes an empty object on the way.
func described(p blob.GetPropertiesResponse) map[string]any {
	never := time.Time{}.Format(withOffset)
	modified := p.LastModified.Format(withOffset)
	all := map[string]any{
		"LastModified": modified, "CreatedOn": modified, "AccessTierChangedOn": modified, "Metadata": plainMetadata(p),
		"ContentLength": *p.ContentLength, "ContentType": *p.ContentType, "ContentHash": base64.StdEncoding.EncodeToString(p.ContentMD5),
		"ETag": map[string]any{}, "CopyCompletedOn": never, "ExpiresOn": never, "LastAccessed": never,
		"BlobType": 0, "CopyStatus": 0, "LeaseDuration": 0, "LeaseState": 0, "LeaseStatus": 1, "BlobSequenceNumber": 0, "BlobCommittedBlockCount": 0, "TagCount": 0,
		"IsIncrementalCopy": false, "IsLatestVersion": false, "IsSealed": false, "HasLegalHold": false, "IsServerEncrypted": true, "AccessTierInferred": true,
		"AcceptRanges": "bytes", "AccessTier": "Hot", "ImmutabilityPolicy": map[string]any{"ExpiresOn": nil, "PolicyMode": nil},
	}
	for _, name := range []string{
		"ObjectReplicationDestinationPolicyId", "ObjectReplicationSourceProperties", "CopyStatusDescription", "CopyId", "CopyProgress", "CopySource", "BlobCopyStatus",
		"DestinationSnapshot", "ContentEncoding", "ContentDisposition", "ContentLanguage", "CacheControl", "EncryptionKeySha256", "EncryptionScope", "ArchiveStatus",
		"VersionId", "RehydratePriority",
	} {
		all[name] = nil
	}
	return all
}
