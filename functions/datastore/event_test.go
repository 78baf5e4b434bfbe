package datastore

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

const (
	topic    = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/acme"
	endpoint = "https://acme.blob.core.windows.net"
	subject  = "/blobServices/default/containers/"
)

// grid is an event in Event Grid's schema. data are pairs.
func grid(kind, subject string, data ...string) string {
	return event(map[string]any{
		"topic": topic, "subject": subject, "eventType": kind, "eventTime": "2026-11-22T18:41:00.9584103Z",
		"id": "831e1650", "dataVersion": "", "metadataVersion": "1",
	}, data)
}

// cloud is the same as a CloudEvent.
func cloud(kind, subject string, data ...string) string {
	return event(map[string]any{
		"source": topic, "subject": subject, "type": kind, "time": "2026-11-22T18:41:00.9584103Z", "id": "831e1650", "specversion": "1.0",
	}, data)
}

func event(e map[string]any, data []string) string {
	all := map[string]string{}
	for i := 0; i+1 < len(data); i += 2 {
		all[data[i]] = data[i+1]
	}
	e["data"] = all
	text, _ := json.Marshal(e)
	return string(text)
}

const created = "Microsoft.Storage.BlobCreated"

func TestEvents(t *testing.T) {
	at := time.Date(2026, 11, 22, 18, 41, 0, 958410300, time.UTC)
	full := Event{Account: "acme", Container: "inbox", Path: "a/b.csv", ETag: "0x8D4", Time: at, Sequencer: "0044"}
	put := []string{"api", "PutBlob", "url", endpoint + "/inbox/a/b.csv", "eTag", "0x8D4", "sequencer", "0044"}
	moved := []string{"api", "RenameFile", "destinationUrl", "https://acme.dfs.core.windows.net/inbox/a/b.csv", "sourceUrl", "https://acme.dfs.core.windows.net/inbox/old", "sequencer", "0044"}
	renamed, folder := full, full
	renamed.ETag, folder.ETag = "", ""
	folder.Directory = true
	hint := Event{Datastore: "inbox", Path: "incoming/a.csv"}
	blob := Event{Datastore: "inbox", Account: "acme", Container: "inbox", Path: "a b.csv", Time: time.Date(2026, 11, 22, 17, 40, 48, 0, time.UTC), BlobTrigger: true}
	quoted, _ := json.Marshal(grid(created, "", put...))
	for _, c := range []struct {
		name, body string
		want       []Event
	}{
		{"Event Grid", grid(created, subject+"inbox/blobs/a/b.csv", put...), []Event{full}},
		{"Event Grid, a list of one", "[" + grid(created, "", put...) + "]", []Event{full}},
		{"CloudEvents", cloud(created, subject+"inbox/blobs/a/b.csv", put...), []Event{full}},
		{"CloudEvents, a list", "[" + cloud(created, "", put...) + "," + grid(created, "", put...) + "]", []Event{full, full}},
		{"in base64", base64.StdEncoding.EncodeToString([]byte(grid(created, "", put...))), []Event{full}},
		{"in base64, twice", base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(grid(created, "", put...))))), []Event{full}},
		{"in a string", string(quoted), []Event{full}},
		{"with a byte order mark", "\ufeff\n" + grid(created, "", put...), []Event{full}},
		{"an ETag of HTTP", grid(created, "", append(put, "eTag", `W/"0x8D4"`)...), []Event{full}},
		{"a renamed file", grid("Microsoft.Storage.BlobRenamed", subject+"inbox/blobs/a/b.csv", moved...), []Event{renamed}},
		{"a renamed folder", cloud("Microsoft.Storage.DirectoryRenamed", "", moved...), []Event{folder}},
		{"a renamed folder with a slash", grid("Microsoft.Storage.DirectoryRenamed", "", append(moved, "destinationUrl", endpoint+"/inbox/a/b.csv/")...), []Event{folder}},
		{"an empty list", "[]", nil},
		{"a hint", `{"datastore":"inbox","path":"incoming/a.csv"}`, []Event{hint}},
		{"a hint of a folder", `{"datastore":"inbox","path":"incoming","directory":true}`, []Event{{Datastore: "inbox", Path: "incoming", Directory: true}}},
		{
			"a blob trigger", `{"blobTrigger":"blob_inbox","url":"https://acme.blob.core.windows.net/inbox/a%20b.csv","name":"a b.csv","lastModified":"2026-11-22T17:40:48+00:00"}`,
			[]Event{blob},
		},
		{"a blob trigger without a URL", `{"blobTrigger":"blob_inbox","name":"a b.csv"}`, []Event{{Datastore: "inbox", Path: "a b.csv", BlobTrigger: true}}},
		{
			"poison", `{"Type":"BlobTrigger","FunctionId":"Host.Functions.blob_inbox","BlobType":"BlockBlob","ContainerName":"c","BlobName":"a%20b.csv","ETag":"\"0x8D4\""}`,
			[]Event{{Datastore: "inbox", Container: "c", Path: "a%20b.csv", ETag: "0x8D4", BlobTrigger: true}},
		},
		{
			"poison of another app", `{"Type":"BlobTrigger","FunctionId":"Host.Functions.Other","BlobType":"BlockBlob","ContainerName":"c","BlobName":"a","ETag":"\"1\""}`,
			[]Event{{Container: "c", Path: "a", ETag: "1", BlobTrigger: true}},
		},
		{"a time that is none", `{"eventType":"` + created + `","eventTime":"soon","data":{"url":"` + endpoint + `/c/a"}}`, []Event{{Account: "acme", Container: "c", Path: "a"}}},
		{"nothing but a subject", `{"eventType":"` + created + `","topic":"` + topic + `","subject":"` + subject + `c/blobs/a%20b/x.csv"}`, []Event{{Account: "acme", Container: "c", Path: "a%20b/x.csv"}}},
	} {
		got, err := Events([]byte(c.body))
		if err != nil || fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s:\ngot  %+v, %v\nwant %+v", c.name, got, err, c.want)
		}
	}
}

// What happens to a blob besides its coming counts for nothing, and so does whatever is not of a storage account.
func TestEventsThatDoNotCount(t *testing.T) {
	url := endpoint + "/inbox/a"
	for _, kind := range []string{
		"Microsoft.Storage.BlobDeleted", "Microsoft.Storage.BlobTierChanged", "Microsoft.Storage.DirectoryCreated", "Microsoft.Storage.DirectoryDeleted",
		"Microsoft.Storage.AsyncOperationInitiated", "Microsoft.Storage.BlobInventoryPolicyCompleted", "Microsoft.Storage.LifecyclePolicyCompleted",
		"Microsoft.EventGrid.SubscriptionValidationEvent", "Microsoft.EventGrid.SubscriptionDeletedEvent", "Microsoft.MachineLearningServices.RunCompleted", "of.mine",
	} {
		for _, body := range []string{grid(kind, "", "url", url), cloud(kind, "x"), `{"eventType":"` + kind + `","data":"text"}`, `{"type":"` + kind + `"}`} {
			if got, err := Events([]byte(body)); err != nil || len(got) > 0 {
				t.Errorf("%s: got %v, %v", body, got, err)
			}
		}
	}
	for api, counts := range map[string]bool{
		"PutBlob": true, "PutBlockList": true, "CopyBlob": true, "FlushWithClose": true, "SftpCommit": true, "PutBlobFromURL": true, "CopyBlobFromURL": true, "": true,
		"CreateFile": false, "SftpCreate": false, "SftpWrite": false,
	} {
		if got, err := Events([]byte(grid(created, "", "api", api, "url", url))); err != nil || len(got) == 1 != counts {
			t.Errorf("%s: got %v, %v, want that it counts: %t", api, got, err, counts)
		}
	}
}

// The name of a blob is decoded once, and nothing of it is lost.
func TestEventPaths(t *testing.T) {
	long := strings.Repeat("ü/", 511) + "ab" // 1,024 characters
	for _, c := range []struct{ url, subject, account, container, path string }{
		{endpoint + "/c/my%20file.csv", "", "acme", "c", "my file.csv"},
		{endpoint + "/c/my file.csv", "", "acme", "c", "my file.csv"},
		{endpoint + "/c/a+b.csv", "", "acme", "c", "a+b.csv"},
		{endpoint + "/c/100%25.csv", "", "acme", "c", "100%.csv"},
		{endpoint + "/c/a%2520b", "", "acme", "c", "a%20b"},
		{endpoint + "/c/a%2Fb", "", "acme", "c", "a/b"},
		{endpoint + "/c/a%23b%3Fc", "", "acme", "c", "a#b?c"},
		{endpoint + "/c/a#b", "", "acme", "c", "a#b"},
		{endpoint + "/c/%C3%A9t%C3%A9/%E6%97%A5%E6%9C%AC.csv", "", "acme", "c", "été/日本.csv"},
		{endpoint + "/c/été/日本.csv", "", "acme", "c", "été/日本.csv"},
		{endpoint + "/c/trailing...", "", "acme", "c", "trailing..."},
		{endpoint + "/c/a//b/", "", "acme", "c", "a//b/"},
		{endpoint + "/c//a", "", "acme", "c", "/a"},
		{endpoint + "/c/a/../b", "", "acme", "c", "a/../b"},
		{endpoint + "/c/" + long, "", "acme", "c", long},
		{"https://acme.dfs.core.windows.net/c/a/b", "", "acme", "c", "a/b"},
		{"https://acme.z22.blob.storage.azure.net/c/a", "", "acme", "c", "a"},
		{"https://acme.blob.core.chinacloudapi.cn:443/c/a", "", "acme", "c", "a"},
		{"HTTPS://acme.blob.core.windows.net/c/a", "", "acme", "c", "a"},
		{endpoint + "/a.csv", "", "acme", "$root", "a.csv"},
		{endpoint + "/%24web/index.html", "", "acme", "$web", "index.html"},
		{"http://127.0.0.1:10000/devstoreaccount1/c/a%20b/x", "", "devstoreaccount1", "c", "a b/x"},
		{"http://[::1]:10000/devstoreaccount1/c/a", "", "devstoreaccount1", "c", "a"},
		{"http://azurite:10000/devstoreaccount1/c/a", "", "devstoreaccount1", "c", "a"},
		{"http://devstoreaccount1.blob.localhost:10000/c/a", "", "devstoreaccount1", "c", "a"},
		{endpoint + "/c/a%20b?sv=1&sig=x", "", "acme", "c", "a b"},
		{endpoint + "/c/a%20b?sv=1", subject + "c/blobs/a b", "acme", "c", "a b"},
		{endpoint + "/c/what?.csv", subject + "c/blobs/what?.csv", "acme", "c", "what?.csv"},
		{endpoint + "/c/100%.csv", subject + "c/blobs/100%.csv", "acme", "c", "100%.csv"},
		{endpoint + "/c/a%20b", subject + "c/blobs/a%20b", "acme", "c", "a b"},
		{"", subject + "c/blobs/a%20b#c/blobs/d", "", "c", "a%20b#c/blobs/d"},
		{"ftp://x/c/a", subject + "c/blobs/a", "", "c", "a"},
	} {
		text, _ := json.Marshal(map[string]any{"type": created, "subject": c.subject, "data": map[string]string{"url": c.url}})
		got, err := Events(text)
		if err != nil || len(got) != 1 {
			t.Errorf("%.80s: got %v, %v", c.url, got, err)
			continue
		}
		if e := got[0]; e.Account != c.account || e.Container != c.container || e.Path != c.path {
			t.Errorf("%.80s, %s: got %.80q, want %.80q", c.url, c.subject, []string{e.Account, e.Container, e.Path}, []string{c.account, c.container, c.path})
		}
	}
	own := `{"type":"` + created + `","source":"` + topic + `/x","data":{"url":"https://data.example.com/c/a"}}`
	if got, err := Events([]byte(own)); err != nil || got[0].Account != "acme" {
		t.Errorf("a domain of its own: got %v, %v", got, err)
	}
}

func TestEventsThatCannotBeRead(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{"", "it is empty"},
		{" \n", "it is empty"},
		{"null", "expected are"},
		{"hello", "it is \"hello\"; expected are"},
		{"7", "expected are"},
		{"{", "cannot be read"},
		{"[", "no JSON"},
		{"[7]", "cannot be read"},
		{"[null]", "no kind that is known"},
		{`""`, "it is empty"},
		{`{}`, "no kind that is known"},
		{`{"path":"a"}`, "no kind that is known"},
		{`{"datastore":"inbox"}`, "which file has changed"},
		{`{"datastore":7,"path":"a"}`, "cannot be read"},
		{`{"eventType":7}`, "cannot be read"},
		{grid(created, ""), "which file has changed"},
		{grid(created, subject+"c", "url", endpoint+"/"), "which file has changed"},
		{grid(created, "", "url", endpoint+"/c/"), "none of a blob"},
		{grid(created, "", "url", endpoint+"/c/100%.csv"), "none of a blob"},
		{grid(created, "", "url", "http://127.0.0.1:10000/devstoreaccount1"), "none of a blob"},
		{grid(created, "", "url", endpoint+"/c/%FF"), "not UTF-8"},
		{`{"eventType":"` + created + `","data":[]}`, "the data of a BlobCreated"},
		{`{"eventType":"` + created + `","data":{"url":7}}`, "the data of a BlobCreated"},
		{grid("Microsoft.Storage.BlobRenamed", "", "url", endpoint+"/c/old"), "which file has changed"},
		{`{"Type":"BlobTrigger","BlobName":"a"}`, "ContainerName"},
		{`{"Type":"BlobTrigger","ContainerName":"a"}`, "which file has changed"},
		{`{"blobTrigger":"blob_inbox"}`, "which file has changed"},
		{`{"blobTrigger":"other","name":"a"}`, "none of a blob"},
		{strings.Repeat("[", 100_000), "no JSON"},
		{`{"type":` + strings.Repeat("[", 100_000), "cannot be read"},
		{base64.StdEncoding.EncodeToString([]byte("hello")), "expected are"},
	} {
		got, err := Events([]byte(c.body))
		if len(got) > 0 || !errors.Is(err, ErrBody) || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 1000 {
			t.Errorf("%.80q: got %v and the error %v, want one with %q", c.body, got, err, c.want)
		}
	}
}

// A part that cannot be read is told, and the others are not lost.
func TestEventsBesideBadOnes(t *testing.T) {
	good, bad := grid(created, "", "url", endpoint+"/c/a"), `{"x":1}`
	got, err := Events([]byte("[" + good + "," + bad + "," + good + ",7]"))
	if len(got) != 2 || !errors.Is(err, ErrBody) || !strings.Contains(err.Error(), "number 2: ") || !strings.Contains(err.Error(), "number 4: ") {
		t.Errorf("got %v, %v", got, err)
	}
	got, err = Events([]byte("[" + strings.Repeat(bad+",", 10_000) + good + "]"))
	if len(got) != 1 || err == nil || len(err.Error()) > 2000 || !strings.Contains(err.Error(), "and 9997 more") {
		t.Errorf("got %v, %.2000v", got, err)
	}
}

func TestValidation(t *testing.T) {
	asked := grid("Microsoft.EventGrid.SubscriptionValidationEvent", "", "validationCode", "512d38b6", "validationUrl", "https://rp-eastus2.eventgrid.azure.net/x")
	for body, want := range map[string]string{
		asked: "512d38b6", "[" + asked + "]": "512d38b6", base64.StdEncoding.EncodeToString([]byte(asked)): "512d38b6",
		"[" + asked + "," + asked + "]":                                   "",
		grid("Microsoft.EventGrid.SubscriptionValidationEvent", ""):       "",
		grid(created, "", "validationCode", "x"):                          "",
		`{"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent"}`: "",
		`{"eventType":"Microsoft.EventGrid.SubscriptionDeletedEvent"}`:    "",
		"": "", "[]": "", "7": "", "[7]": "", "null": "",
	} {
		if code, ok := Validation([]byte(body)); code != want || ok != (want != "") {
			t.Errorf("%.80s: got %q, %t, want %q", body, code, ok, want)
		}
	}
}

// Whatever comes, what is read can be worked with.
func FuzzEvents(f *testing.F) {
	for _, seed := range []string{
		"", "[]", "{}", `"{}"`, "e30=", grid(created, subject+"c/blobs/a", "api", "PutBlob", "url", endpoint+"/c/a%20b?x", "eTag", `"1"`),
		"[" + cloud("Microsoft.Storage.DirectoryRenamed", "", "destinationUrl", "http://127.0.0.1:1/a/c/d/") + ",null]",
		`{"blobTrigger":"blob_inbox","url":"https://a.b/c/d","name":"d"}`, `{"Type":"BlobTrigger","FunctionId":"x","ContainerName":"c","BlobName":"b"}`,
		`{"datastore":"inbox","path":"a","directory":true}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := Events(body)
		if err != nil && !errors.Is(err, ErrBody) {
			t.Errorf("%q: %v", body, err)
		}
		for _, e := range events {
			if e.Path == "" && !e.Directory || !utf8.ValidString(e.Path) || e.Datastore == "" && e.Container == "" {
				t.Errorf("%q: %+v", body, e)
			}
		}
		Validation(body)
	})
}
