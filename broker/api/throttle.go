package api

import (
	"context"
	"sync/atomic"
	"time"
)

// born is the beginning of the clock that mutes are kept on.
var born = time.Now()

// mute is until when a connection is not read, in nanoseconds since born.
type mute struct{ until atomic.Int64 }

// Mute keeps the connection from being read, and what it has sent already from being run, for d from now on (KIP-219: a client
// that is over its quota is answered at once, then not listened to). Answers are written meanwhile. The longest mute counts. Any
// goroutine may call it.
func (c *Conn) Mute(d time.Duration) {
	until := int64(time.Since(born) + d)
	for {
		old := c.mute.until.Load()
		if until <= old || c.mute.until.CompareAndSwap(old, until) {
			return
		}
	}
}

// Muted is for how long the connection is not to be read; 0 or less: it may be.
func (c *Conn) Muted() time.Duration {
	until := c.mute.until.Load()
	if until == 0 {
		return 0
	}
	return time.Duration(until) - time.Since(born)
}

// Waits sums the time that requests wait for others, which is not their own (see Waiting).
type Waits struct{ sum atomic.Int64 }

// Total is the sum so far.
func (w *Waits) Total() time.Duration { return time.Duration(w.sum.Load()) }

type waitsKey struct{}

// WithWaits has Waiting below ctx sum into w.
func WithWaits(ctx context.Context, w *Waits) context.Context {
	return context.WithValue(ctx, waitsKey{}, w)
}

// WaitsOf is what Waiting sums into; false if nobody wants to know.
func WaitsOf(ctx context.Context) (*Waits, bool) {
	w, ok := ctx.Value(waitsKey{}).(*Waits)
	return w, ok
}

// Waiting says that a handler waits for others from now until done is called: such time is not counted against a client's share
// of the request threads' time, as little as the purgatory's is in Apache Kafka.
func Waiting(ctx context.Context) (done func()) {
	w, ok := WaitsOf(ctx)
	if !ok {
		return func() {}
	}
	begin := time.Now()
	return func() { w.sum.Add(int64(time.Since(begin))) }
}

// Waited is Waiting for a wait that is over.
func Waited(ctx context.Context, d time.Duration) {
	if w, ok := WaitsOf(ctx); ok {
		w.sum.Add(int64(d))
	}
}
