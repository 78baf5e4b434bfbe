package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"carillon/shared/source"
)

// binding is the trigger of a function.
type binding struct {
	Type       string         `json:"type"`
	Direction  string         `json:"direction"`
	Name       string         `json:"name"`
	DataType   string         `json:"dataType,omitempty"`
	Path       string         `json:"path,omitempty"`
	Source     string         `json:"source,omitempty"`
	QueueName  string         `json:"queueName,omitempty"`
	Connection string         `json:"connection"`
	Properties map[string]any `json:"properties,omitempty"`
}

// triggers are the functions that datastores with events have, by their names: one for each, and one for each connection
// that hears of what the host gives up. functions/datastore/poison does that for AzureWebJobsStorage. The names and the
// bindings are those that shared/azure answers to.
func triggers(datastores []source.Named) map[string]binding {
	made := map[string]binding{}
	for _, d := range datastores {
		if !d.Events {
			continue
		}
		made["blob_"+d.Name] = binding{
			Type: "blobTrigger", Direction: "in", Name: "blob", Path: d.Container + "/{name}", Source: "EventGrid", Connection: d.Connection,
			Properties: map[string]any{"supportsDeferredBinding": true}, // the content stays where it is
		}
		account := strings.ToLower(d.Connection)                      // the host takes Lake and LAKE for one
		if strings.TrimPrefix(account, "azurewebjobs") == "storage" { // and leaves out AzureWebJobs as one likes
			continue
		}
		if _, ok := made["poison_"+account]; !ok {
			made["poison_"+account] = binding{
				Type: "queueTrigger", Direction: "in", Name: "message", DataType: "binary", QueueName: "webjobs-blobtrigger-poison", Connection: d.Connection,
			}
		}
	}
	return made
}

func (b binding) write(folder string) error {
	text, err := json.MarshalIndent(map[string]any{"bindings": []binding{b}}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "function.json"), append(text, '\n'), 0o644)
}
