package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"carillon/shared/source"
)

func TestTriggers(t *testing.T) {
	named, err := source.ParseNamed("inbox=AzureWebJobsStorage/inb:events, raw=Lake/raw:events, more=LAKE/more:events, silent=Other/silent, s=Storage/abc:events")
	if err != nil {
		t.Fatal(err)
	}
	made := triggers(named)
	names := slices.Sorted(maps.Keys(made))
	if want := "[blob_inbox blob_more blob_raw blob_s poison_lake]"; fmt.Sprint(names) != want {
		t.Errorf("made are %v, want %s", names, want)
	}
	folder := t.TempDir()
	for name, want := range map[string]string{
		"blob_raw": `{
  "bindings": [
    {
      "type": "blobTrigger",
      "direction": "in",
      "name": "blob",
      "path": "raw/{name}",
      "source": "EventGrid",
      "connection": "Lake",
      "properties": {
        "supportsDeferredBinding": true
      }
    }
  ]
}
`,
		"poison_lake": `{
  "bindings": [
    {
      "type": "queueTrigger",
      "direction": "in",
      "name": "message",
      "dataType": "binary",
      "queueName": "webjobs-blobtrigger-poison",
      "connection": "Lake"
    }
  ]
}
`,
	} {
		if err := made[name].write(filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(folder, name, "function.json")); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
	}
}
