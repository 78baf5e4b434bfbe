package datastore

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Event says that something may have changed at a path. It is a hint: what the file is like now, whoever acts on the
// event asks the datastore.
type Event struct {
	// Where: the datastore by its name, or the storage account and the container, or all of them, of which the name
	// is the surest. An account on a domain of its own may be named by a part of that domain.
	Datastore string
	Account   string
	Container string

	// Path goes from the container's root, as the file is called: decoded, with whatever a blob's name may hold. It is
	// that of a folder when Directory is set: the folder was renamed to it, and everything in it is new there.
	Path      string
	Directory bool

	ETag      string    // after the change, without quotes; "" where the event does not tell
	Time      time.Time // of the change, UTC; zero where the event does not tell. Of a blob trigger, LastModified, cut to the second
	Sequencer string    // orders the events of one path, as text; "" where the event does not tell

	// BlobTrigger: it comes from the host's blob trigger, which also tells of files that were created empty and are
	// about to be written (CreateFile, SftpCreate).
	BlobTrigger bool
}

// ErrBody: a body, or a part of it, is no event that is read here. The same body will never be one.
var ErrBody = errors.New("this is no event of a datastore")

const expected = "expected are Event Grid's events of Microsoft.Storage (in its own schema or as CloudEvents 1.0, one or a list), " +
	`a call or a poison message of the blob trigger, or {"datastore": "inbox", "path": "incoming/a.csv"}`

// Events reads the changes that a body tells of; it may tell of none. A list is read to its end: when a part of it
// cannot be read, both the events of the others and an error come back. Every error wraps ErrBody. Body is JSON, or that
// in base64. It is one of these, or a list of them:
//
//   - An event of Event Grid in its own schema or as a CloudEvent 1.0. Microsoft.Storage.BlobCreated,
//     Microsoft.Storage.BlobRenamed and Microsoft.Storage.DirectoryRenamed count, other types do not.
//   - {"blobTrigger": "blob_inbox", "url": "https://…", "name": "a.csv", "lastModified": "2026-11-22T17:40:48Z"}: the
//     call of a blob trigger, in the form that shared/azure gives it.
//   - {"Type": "BlobTrigger", "FunctionId": "Host.Functions.blob_inbox", "ContainerName": "inbox", "BlobName": "a.csv", …}:
//     what a Functions host sends to webjobs-blobtrigger-poison.
//   - {"datastore": "inbox", "path": "incoming/a.csv"}, with "directory": true for a renamed folder.
func Events(body []byte) ([]Event, error) {
	elements, err := split(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBody, err)
	}
	var events []Event
	var wrong []error
	for i, text := range elements {
		event, ok, err := read(text)
		if err != nil && len(elements) > 1 {
			err = fmt.Errorf("number %d: %w", i+1, err)
		}
		if err != nil {
			wrong = append(wrong, err)
		}
		if ok {
			events = append(events, event)
		}
	}
	if len(wrong) == 0 {
		return events, nil
	}
	return events, fmt.Errorf("%w: %w", ErrBody, first(wrong))
}

// first keeps an error readable when a long list is wrong in everything.
func first(wrong []error) error {
	const most = 3
	if n := len(wrong) - most; n > 0 {
		wrong = append(wrong[:most:most], fmt.Errorf("and %d more", n))
	}
	return errors.Join(wrong...)
}

// Validation returns the code that Event Grid wants to see again before it delivers events in its own schema to a webhook.
func Validation(body []byte) (code string, ok bool) {
	elements, err := split(body)
	if err != nil || len(elements) != 1 {
		return "", false
	}
	var e struct {
		EventType string
		Data      json.RawMessage
	}
	if json.Unmarshal(elements[0], &e) != nil || e.EventType != "Microsoft.EventGrid.SubscriptionValidationEvent" {
		return "", false
	}
	var data struct{ ValidationCode string }
	return data.ValidationCode, json.Unmarshal(e.Data, &data) == nil && data.ValidationCode != ""
}

// split returns the elements of a list, or the one that the body is.
func split(body []byte) ([]json.RawMessage, error) {
	sent := body
	for range 3 {
		body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
		switch {
		case len(body) == 0:
			return nil, errors.New("it is empty; " + expected)
		case body[0] == '{':
			return []json.RawMessage{body}, nil
		case body[0] == '[':
			var elements []json.RawMessage
			if err := json.Unmarshal(body, &elements); err != nil {
				return nil, fmt.Errorf("it is no JSON (%w); %s", err, expected)
			}
			return elements, nil
		}
		inner, ok := unwrapped(body)
		if !ok {
			break
		}
		body = inner
	}
	return nil, fmt.Errorf("it is %.40q; %s", sent, expected)
}

// unwrapped takes off base64 or the quotes of a JSON string.
func unwrapped(body []byte) ([]byte, bool) {
	if body[0] == '"' {
		var text string
		err := json.Unmarshal(body, &text)
		return []byte(text), err == nil
	}
	text, err := base64.StdEncoding.AppendDecode(nil, body)
	return text, err == nil
}

// element is everything that is read of any form.
type element struct {
	EventType, Type, Topic, Source, Subject, EventTime, Time string          // Event Grid's two schemas
	Data                                                     json.RawMessage // of them
	BlobTrigger, URL, Name, LastModified                     string          // a blob trigger's call
	FunctionID, ContainerName, BlobName, ETag                string          // a poison message, and Type
	Datastore, Path                                          string          // a hint
	Directory                                                bool
}

// read returns the event that one element is. Without an error, !ok says that it counts for nothing.
func read(text []byte) (event Event, ok bool, err error) {
	var e element
	if err := json.Unmarshal(text, &e); err != nil {
		return Event{}, false, fmt.Errorf("it cannot be read (%w); %s", err, expected)
	}
	kind := cmp.Or(e.EventType, e.Type)
	switch {
	case e.BlobTrigger != "":
		event, err = e.triggered()
	case kind == "BlobTrigger":
		event = Event{Container: e.ContainerName, Path: e.BlobName, ETag: bareETag(e.ETag), BlobTrigger: true}
		event.Datastore = datastoreOf(strings.TrimPrefix(e.FunctionID, "Host.Functions."))
		if event.Container == "" {
			err = errors.New("a message of the blob trigger without a ContainerName")
		}
	case kind != "":
		event, ok, err = e.sent(kind)
		if !ok || err != nil {
			return Event{}, false, err
		}
	case e.Datastore != "":
		event = Event{Datastore: e.Datastore, Path: e.Path, Directory: e.Directory, Time: parseTime(e.Time)}
	default:
		err = fmt.Errorf("%.80q is of no kind that is known; %s", text, expected)
	}
	if err == nil {
		err = event.check()
	}
	return event, err == nil, err
}

// check refuses what no file can be called.
func (e Event) check() error {
	switch {
	case e.Path == "" && !e.Directory:
		return errors.New("it does not say which file has changed")
	case !utf8.ValidString(e.Path):
		return fmt.Errorf("%.80q cannot be a path: it is not UTF-8", e.Path)
	}
	return nil
}

// triggered reads a blob trigger's call. Its path parameter stands in when the URL is missing.
func (e *element) triggered() (Event, error) {
	event := Event{Datastore: datastoreOf(e.BlobTrigger), Path: e.Name, Time: parseTime(e.LastModified), BlobTrigger: true}
	if e.URL == "" && event.Datastore != "" {
		return event, nil
	}
	p, err := locate(e.URL, e.Name)
	event.Account, event.Container, event.Path = p.account, p.container, p.path
	return event, err
}

// datastoreOf is the datastore whose container a blob function watches, by the name that the function is packaged under.
func datastoreOf(function string) string {
	name, ok := strings.CutPrefix(function, "blob_")
	if !ok {
		return ""
	}
	return name
}

// begun are the operations that make an empty file, or write a part of one, with an event: another follows when it is
// whole.
var begun = map[string]bool{"CreateFile": true, "SftpCreate": true, "SftpWrite": true}

// sent reads what Event Grid delivers. Types that are not of data that came are nothing, and no error.
func (e *element) sent(kind string) (event Event, ok bool, err error) {
	kind, ok = strings.CutPrefix(kind, "Microsoft.Storage.")
	renamed := kind == "BlobRenamed" || kind == "DirectoryRenamed"
	if !ok || kind != "BlobCreated" && !renamed {
		return Event{}, false, nil
	}
	var data struct{ API, URL, DestinationURL, ETag, Sequencer string }
	if len(e.Data) > 0 {
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return Event{}, false, fmt.Errorf("the data of a %s cannot be read: %w", kind, err)
		}
	}
	if begun[data.API] {
		return Event{}, false, nil
	}
	address := data.URL
	if renamed {
		address = data.DestinationURL
	}
	p, err := e.place(address)
	if err != nil {
		return Event{}, false, fmt.Errorf("a %s: %w", kind, err)
	}
	event = Event{
		Account: p.account, Container: p.container, Path: p.path, Directory: kind == "DirectoryRenamed",
		ETag: bareETag(data.ETag), Time: parseTime(cmp.Or(e.EventTime, e.Time)), Sequencer: data.Sequencer,
	}
	if event.Directory {
		event.Path = strings.TrimSuffix(event.Path, "/")
	}
	return event, true, nil
}

func bareETag(text string) string { return strings.Trim(strings.TrimPrefix(text, "W/"), `"`) }

// parseTime is zero for what is no time: an event is not refused for that.
func parseTime(text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}
