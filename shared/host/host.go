// Package host is the near side: the one value that every platform serves. An adapter (Azure Functions, Lambda, a
// plain machine) turns what its platform delivers into calls of these functions and adds no logic of its own.
package host

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// Functions are the verbs of Carillon. An event function that returns nil acknowledges the event; an error gives
// it back, and the platform delivers it again. All may be called concurrently, repeatedly and out of order.
type Functions struct {
	// Recurrence is called by a timer, at least once a minute. until is when the next call is expected: what is
	// due by then is sent now, with the delay that is left.
	Recurrence func(ctx context.Context, now, until time.Time) error
	// Submit and Follow get the body of a message of their queue.
	Submit func(ctx context.Context, body []byte) error
	Follow func(ctx context.Context, body []byte) error
	// Datastore gets whatever tells that data may have changed, as it came: an event, a list of them, a message of its
	// queue. nil where nothing is watched: deliveries are refused then.
	Datastore func(ctx context.Context, body []byte) error
	// API answers everything below /api/ but /api/studio, which Studio answers, and /api/events, which Webhook does.
	// Webhook may be nil: then nothing is there.
	API     http.Handler
	Studio  http.Handler
	Webhook http.Handler
}

// WebhookPath is where other programs post events.
const WebhookPath = "/api/events"

// FacadePath is below which the routes of Azure ML v1 are answered, by what is API.
const FacadePath = "/api/azureml"

// FacadeRoots begin v1's own paths, which stand below FacadePath. A platform that has its root to itself answers them there,
// too: some clients keep nothing but the host of the URL that they are given.
var FacadeRoots = []string{"/pipelines/v1.0/", "/history/v1.0/"}

// Right is what a key may do. Each holds those before it.
type Right int

const (
	List    Right = iota // look at everything
	Operate              // enable, disable, trigger, cancel; post events; submit as v1's clients do
	Author               // create, change, delete
)

func (r Right) String() string { return [...]string{"list", "operate", "author"}[r] }

// RightFor is the right that a request to the API or the page takes.
func RightFor(r *http.Request) Right {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return List
	}
	if r.URL.Path == WebhookPath && (r.Method == http.MethodPost || r.Method == http.MethodOptions) {
		return Operate
	}
	if len(r.URL.Path) > len(FacadePath) && strings.EqualFold(r.URL.Path[:len(FacadePath)+1], FacadePath+"/") {
		return Operate // submits, looks up by a query, cancels
	}
	if r.Method == http.MethodPost {
		switch r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:] {
		case "preview": // computes, and changes nothing
			return List
		case "enable", "disable", "trigger", "cancel", "backfill", "enable-all", "disable-all":
			return Operate
		}
	}
	return Author
}
