package store

import (
	"context"
	"math/rand/v2"
	"time"
)

const maxStandBack = 200 * time.Millisecond

// StandBack waits before a try of something that others were faster at (0 is the first one, which does not wait): at
// random, and longer with each, so that none of many is beaten every time. The error is that of ctx.
func StandBack(ctx context.Context, try int) error {
	if try == 0 {
		return nil
	}
	select {
	case <-time.After(rand.N(min(time.Millisecond<<min(try, 10), maxStandBack))):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
