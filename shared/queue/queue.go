// Package queue carries hints that something is to be done. A message may be lost, doubled, late or out of order:
// what has to happen is in the store, and the clock finds it there when a message does not.
package queue

import (
	"context"
	"time"
)

// MaxDelay and MaxBody hold on every backend; a Queue refuses more (SQS takes 15 minutes, Storage queues 64 KiB
// before their base64).
const (
	MaxDelay = 15 * time.Minute
	MaxBody  = 32 << 10
)

// Queue sends. Receiving is the platform's business: it calls a function of host.Functions with the body, again
// until that returns nil, for a bounded number of times.
type Queue interface {
	// Send puts a message up for delivery after delay (0 is at once). The message is durable, where the
	// backend is, when Send returns nil; an error leaves open whether it was sent. Safe for concurrent use.
	Send(ctx context.Context, body []byte, delay time.Duration) error
}
