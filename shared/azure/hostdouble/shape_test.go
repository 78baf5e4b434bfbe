package hostdouble_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"carillon/shared/azure/hostdouble"
)

// recorded are requests that a real host sent, by their names in ../testdata/calls.jsonl.
func recorded(t *testing.T) map[string]request {
	t.Helper()
	text, err := os.ReadFile("../testdata/calls.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]request{}
	for line := range bytes.Lines(text) {
		var r struct {
			Name, Body string
			Hdr        http.Header
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		ours := strings.NewReplacer(`{"msg":`, `{"message":`, `"dir":"\"dir3\"",`, "", `,"ext":"\"json\""`, "") // our names and paths
		all[r.Name] = request{Header: r.Hdr, Body: ours.Replace(r.Body)}
	}
	return all
}

// shape is what a body looks like: names and kinds of values, and which texts are JSON in their turn. What a host says
// of an exception is its own affair.
func shape(value any) string {
	switch v := value.(type) {
	case map[string]any:
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			inner := shape(v[name])
			if name == "Exception" && v[name] != nil {
				inner = "…"
			}
			parts = append(parts, name+":"+inner)
		}
		return "{" + strings.Join(parts, " ") + "}"
	case string:
		if strings.HasPrefix(v, `"`) {
			return "json"
		}
		return "text"
	}
	return fmt.Sprintf("%T", value)
}

func shapeOf(t *testing.T, r request) string {
	t.Helper()
	var body any
	if err := json.Unmarshal([]byte(r.Body), &body); err != nil {
		t.Fatalf("%s: %v", r.Body, err)
	}
	headers := slices.DeleteFunc(slices.Sorted(maps.Keys(r.Header)), func(name string) bool { return name == "Traceparent" })
	return shape(body) + " " + fmt.Sprint(headers)
}

// TestShapes holds what the double sends against what a real host sent.
func TestShapes(t *testing.T) {
	q := newQueues(t)
	h := hostdouble.Start(t, stage(t, hostFile, nil), settings(q.connection))
	q.send("submitted", base(`{"k":1}`))
	q.send("followed", base(`{"Id":"SPOOF","DequeueCount":"99","x":{"y":2},"list":[1,2],"fooTrigger":"t","n":5}`))
	ended(t, h, "submit", 1)
	ended(t, h, "follow", 1)
	q.put("data", "dir1/my file.json", `{"name":"EVIL"}`)
	blobs := hostdouble.Start(t, stage(t, hostFile, blobFunctions), settings(q.connection))
	for _, function := range []string{"blob_data", "blob_whole"} {
		if err := blobs.BlobEvent(function, "data", "dir1/my file.json"); err != nil {
			t.Error(err)
		}
	}
	failing := hostdouble.Start(t, stage(t, hostFile, nil), settings(nowhere, "DO", "500"))
	if failing.FireTimer("recurrence") == nil {
		t.Error("a tick succeeds")
	}
	ticks := seen(t, failing, "/recurrence", 2)
	real := recorded(t)
	for _, c := range []struct {
		name string
		got  request
	}{
		{"timer, on time", ticks[0]},
		{"timer, second try", ticks[1]},
		{"queue, binary", seen(t, h, "/submit", 1)[0]},
		{"queue, text that overwrites the metadata", seen(t, h, "/follow", 1)[0]},
		{"blob, text", seen(t, blobs, "/blob_whole", 1)[0]},
		{"blob, deferred", seen(t, blobs, "/blob_data", 1)[0]},
	} {
		if got, want := shapeOf(t, c.got), shapeOf(t, real[c.name]); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, want)
		}
	}
}
