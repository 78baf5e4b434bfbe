package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"carillon/shared/host"
)

const (
	// Beat is how often the clock of a plain machine ticks, on the quarter minutes.
	Beat = 15 * time.Second

	workers      = 8               // messages of one queue under way
	shutdownTime = 5 * time.Second // for requests that are under way
)

// Host serves Functions on this machine: a ticker is the timer, the state file's queues deliver messages, and one
// listener answers HTTP. Its fields are set once.
type Host struct {
	Functions host.Functions
	Submit    *Queue
	Follow    *Queue
	Datastore *Queue // nil where Functions has no Datastore
	Backup    func(w io.Writer) (int64, error)
	Keys      Keys
	Log       *slog.Logger

	poke chan struct{} // a change was made: do not wait for the next beat
}

// Serve answers on the listener and drives the functions until ctx ends, then lets what is under way finish.
func (h *Host) Serve(ctx context.Context, listener net.Listener) error {
	h.poke = make(chan struct{}, 1)
	server := &http.Server{
		Handler:           h.handler(listener.Addr()),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(h.Log.Handler(), slog.LevelWarn),
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var group sync.WaitGroup
	group.Go(func() { h.tick(ctx) })
	group.Go(func() { h.receive(ctx, h.Submit, h.Functions.Submit) })
	group.Go(func() { h.receive(ctx, h.Follow, h.Functions.Follow) })
	if h.Datastore != nil {
		group.Go(func() { h.receive(ctx, h.Datastore, h.Functions.Datastore) })
	}
	group.Go(func() {
		<-ctx.Done()
		soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
		defer cancel()
		if server.Shutdown(soon) != nil {
			server.Close()
		}
	})
	err := server.Serve(listener)
	stop()
	group.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve HTTP: %w", err)
}

// tick calls the timer function at once, on every beat, and when something was changed.
func (h *Host) tick(ctx context.Context) {
	for {
		now := time.Now()
		next := now.Truncate(Beat).Add(Beat)
		if err := h.Functions.Recurrence(context.WithoutCancel(ctx), now, next); err != nil {
			h.Log.ErrorContext(ctx, "the clock could not do all that is due; the next beat goes on", "error", err)
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-h.poke:
			timer.Stop()
		}
	}
}

func (h *Host) receive(ctx context.Context, from *Queue, function func(context.Context, []byte) error) {
	from.Receive(ctx, workers, func(ctx context.Context, body []byte) error {
		err := function(context.WithoutCancel(ctx), body)
		if err != nil {
			h.Log.WarnContext(ctx, "a message is given back", "queue", from.Name(), "error", err)
		}
		return err
	})
}

func (h *Host) changed() {
	select {
	case h.poke <- struct{}{}:
	default: // one is on its way
	}
}
