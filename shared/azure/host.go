package azure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"carillon/shared/host"
)

// PortVariable is where a Functions host says on which port of 127.0.0.1 its custom handler has to answer.
const PortVariable = "FUNCTIONS_CUSTOMHANDLER_PORT"

// What a Functions host makes of a handler that exits. Carillon never exits with 0: the host would not start it again,
// and every later call would fail.
const (
	ExitFault   = 1   // started again, and counted: the third within 30 minutes stops the host
	ExitRecycle = 200 // started again, and not counted
)

// Events are the functions that the Functions host calls by itself, each with the name of its trigger's binding in
// function.json. So are those that scripts/bundle makes for each team's datastores: BlobFunction and PoisonFunction begin
// their names. Everything else is HTTP, and is proxied.
//
// datastore gets Carillon's own hints, changes what Event Grid sends to a Storage queue, poison what the host gave up of
// the blob triggers, lost what it gave up of changes: all are for Functions.Datastore.
var Events = map[string]string{
	"recurrence": "tick", "submit": "message", "follow": "message", "datastore": "message", "changes": "message", "poison": "message",
	"lost": "message",
}

// What the names of functions begin with that scripts/bundle makes, with their bindings.
const (
	BlobFunction   = "blob_" // and a datastore's name: it has a blob trigger
	BlobBinding    = "blob"
	PoisonFunction = "poison_" // and a connection: as poison, on another storage account
	poisonBinding  = "message"
)

// bindingOf is the name of the trigger's binding of a function that the host calls by itself.
func bindingOf(function string) (binding string, ok bool) {
	if strings.ContainsAny(function, "/?%") {
		return "", false
	}
	switch {
	case strings.HasPrefix(function, BlobFunction):
		return BlobBinding, true
	case strings.HasPrefix(function, PoisonFunction):
		return poisonBinding, true
	}
	binding, ok = Events[function]
	return binding, ok
}

const (
	usualDeadline = 4 * time.Minute // every hosting plan allows five
	stopTime      = 10 * time.Second
	watchEvery    = time.Second
)

// Host serves Functions as the custom handler of an Azure Functions host. Its fields are set once.
type Host struct {
	Functions host.Functions

	// Deadline ends the context of every call; 0 is four minutes. An event call that does not return is given back a
	// sixteenth later. Both have to be below functionTimeout: there the Functions host kills the process, with every
	// call in it.
	Deadline time.Duration

	// SignedIn says that App Service authentication stands before the app (its WEBSITE_AUTH_ENABLED is true), so that
	// X-MS-CLIENT-PRINCIPAL-NAME comes from it. Otherwise anybody could send that header.
	SignedIn bool

	Log *slog.Logger // NewLog makes one
}

// Stopped is why Serve ended, and what the process has to exit with.
type Stopped struct {
	Code int // ExitFault or ExitRecycle
	Err  error
}

func (s *Stopped) Error() string { return s.Err.Error() }
func (s *Stopped) Unwrap() error { return s.Err }

// parent is who started this process: the Functions host. It is read before anything can take time.
var parent = os.Getppid()

// Serve answers on a port of 127.0.0.1 (the text of PortVariable) until ctx ends or the Functions host is gone. To
// the Functions host an open port means ready: call it when all else is. The error is a *Stopped, and never nil.
func (h *Host) Serve(ctx context.Context, port string) error {
	listener, err := listen(port)
	if err != nil {
		return &Stopped{ExitFault, err}
	}
	server := &http.Server{
		Handler:           h.Handler(),
		ReadHeaderTimeout: 30 * time.Second, // and no idle time: the host would meet a connection that is being closed
		ErrorLog:          slog.NewLogLogger(h.Log.Handler(), slog.LevelWarn),
	}
	watched, unwatch := context.WithCancel(context.Background())
	defer unwatch()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return &Stopped{ExitFault, fmt.Errorf("serve the Functions host: %w", err)}
	case <-orphaned(watched, os.Getppid, parent):
		server.Close()
		return &Stopped{ExitFault, errors.New("the Functions host that started this handler is gone")}
	case <-ctx.Done():
		shutdown(server)
		return &Stopped{ExitRecycle, context.Cause(ctx)}
	}
}

func listen(port string) (net.Listener, error) {
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return nil, fmt.Errorf("%s has to be the port that the Functions host has chosen, not %q", PortVariable, port)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return nil, fmt.Errorf("listen for the Functions host: %w", err)
	}
	return listener, nil
}

// shutdown lets calls that are under way finish.
func shutdown(server *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		server.Close()
	}
}

// orphaned closes its channel when the process has another parent than it was started by: a Functions host that is
// killed leaves its handler running, on a port that the next one may get. It watches until ctx ends.
func orphaned(ctx context.Context, now func() int, started int) <-chan struct{} {
	gone := make(chan struct{})
	go func() {
		beat := time.NewTicker(watchEvery)
		defer beat.Stop()
		for now() == started {
			select {
			case <-ctx.Done():
				return
			case <-beat.C:
			}
		}
		close(gone)
	}()
	return gone
}

func (h *Host) deadline() time.Duration { return cmp.Or(h.Deadline, usualDeadline) }
