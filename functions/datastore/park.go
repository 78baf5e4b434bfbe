package datastore

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"carillon/shared/store"
)

// pending is an event on its way. One that cannot be acted on is parked in the store, and the clock brings it again: who
// delivers events gives up soon (a blob trigger after a third of a second), and a datastore may be out of reach for longer.
type pending struct {
	Event Event  `json:"event"`
	Token string `json:"token,omitempty"` // of a renamed folder: where its listing goes on
	Sure  bool   `json:"sure,omitempty"`  // a file that is still empty is meant to be

	parked store.Parked
}

const (
	// mostTries is after how many an event is given up, with a record: about five hours.
	mostTries = 24
	// againAfter is when an event that could not be acted on is brought first.
	againAfter = 30 * time.Second
	// emptyFor is how long a file that was created empty, and may be about to be written, is waited for.
	emptyFor = time.Minute
)

// errEmpty: the file is empty, and another event may tell of its content.
var errEmpty = errors.New("the file is empty still")

// again acts on an event that the clock brings.
func (f *Function) again(ctx context.Context, message json.RawMessage) error {
	var p pending
	err := json.Unmarshal(message, &p.parked)
	if err == nil {
		err = json.Unmarshal(p.parked.Body, &p)
	}
	if err != nil {
		f.Log.ErrorContext(ctx, "a parked event cannot be read; it is dropped", "error", err)
		return f.DB.Unpark(ctx, p.parked)
	}
	return f.act(ctx, p)
}

func (p pending) last() bool { return p.parked.Tries >= mostTries }

// act acts on an event. When that cannot be done now it is parked; only when that fails, too, it is given back.
func (f *Function) act(ctx context.Context, p pending) error {
	next, err := f.event(ctx, p)
	switch {
	case err == nil && next != "":
		p.Token = next
		return f.park(ctx, p, 0)
	case err == nil:
	case errors.Is(err, errEmpty):
		p.Sure = true
		return f.park(ctx, p, emptyFor)
	case p.last():
		f.Log.ErrorContext(ctx, "a change is given up", "path", p.Event.Path, "error", err)
	case p.parked.Row != "": // it is where the clock finds it
		f.Log.WarnContext(ctx, "a change still cannot be acted on", "path", p.Event.Path, "error", err)
		return nil
	default:
		f.Log.WarnContext(ctx, "a change cannot be acted on now; it is tried again", "path", p.Event.Path, "error", err)
		return f.park(ctx, p, againAfter)
	}
	if p.parked.Row == "" {
		return nil
	}
	return f.DB.Unpark(ctx, p.parked)
}

// park keeps an event, in the place of where it stood.
func (f *Function) park(ctx context.Context, p pending, wait time.Duration) error {
	ctx = context.WithoutCancel(ctx) // the time of a call may be what was over
	body, err := json.Marshal(p)
	if err == nil {
		err = f.DB.Park(ctx, p.Event.Path, body, f.Now().Add(wait))
	}
	if err != nil || p.parked.Row == "" {
		return err
	}
	return f.DB.Unpark(ctx, p.parked)
}
