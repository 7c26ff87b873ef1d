package logdir

import "sync/atomic"

// tokens bound how many goroutines are in a file call of one directory at the same time, so that a disk that stalls does not take
// a thread for each of them. Taking one that is free is an atomic addition.
type tokens struct {
	max  int64
	held atomic.Int64 // holders and those who wait
	wake chan struct{}
}

// newTokens makes a bound of eight for each I/O thread, at least 64.
func newTokens(ioThreads int) *tokens {
	return &tokens{max: int64(max(64, 8*ioThreads)), wake: make(chan struct{})}
}

// Acquire takes a token, waiting for one if all are out.
func (t *tokens) Acquire() {
	if t.held.Add(1) > t.max {
		<-t.wake
	}
}

// Release gives a token back: to one who waits, if there is one.
func (t *tokens) Release() {
	if t.held.Add(-1) >= t.max {
		t.wake <- struct{}{}
	}
}
