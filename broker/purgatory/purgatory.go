// Package purgatory holds what waits: fetches for data, produces for their replicas.
//
// A Waiter watches Keys. Whoever changes what a key stands for calls Key.Wake, which asks every waiter there whether its
// condition holds now. The condition is a function over memory: a waker, which may be a producer's own goroutine, touches
// no file and no socket for somebody else. All it does for a waiter whose time has come is to close its channel; the
// waiter's goroutine then reads the log and writes its answer itself.
//
// # Life of a waiter
//
//	Watch: registered at its keys -> asked once more (what happened in between is not missed) -> waits
//	done exactly once, by the first of: a wake whose try says yes, its deadline, Cancel
//	Forget: taken off its keys, by the goroutine that owns the waiter, which every waiter owes
//
// # Turns
//
// Hundreds of fetches may wait for the same partition, and one append makes all of them ready. Made runnable at once they
// would stand in the scheduler's queues before the producer's next request. Waiters that share a Turnstile are therefore let
// go a few at a time: each lets the next one go when it leaves (Leave).
//
// The package starts no goroutine; deadlines are time.AfterFunc. All of it is safe for concurrent use.
package purgatory

import (
	"sync"
	"sync/atomic"
	"time"
)

// Outcome is how a waiter was done.
type Outcome int32

// The outcomes.
const (
	Waiting   Outcome = iota // not done
	Completed                // its condition held
	Expired                  // its time was over
	Cancelled                // Cancel was called
)

// Key is something to wait at, embedded in what it stands for. The zero value is ready to use. Must not be copied.
type Key struct {
	waiting atomic.Int32 // len(places), so that waking nobody costs one load

	mu     sync.Mutex
	places place // ring; places itself is its sentinel
}

// place is a waiter's link in the ring of one key.
type place struct {
	prev, next *place
	key        *Key
	w          *Waiter
}

// Waiter waits at one or more keys.
type Waiter struct {
	try     func() bool
	outcome atomic.Int32
	ready   chan struct{}
	timer   *time.Timer
	gate    *Turnstile
	places  []place
	one     [1]place

	inside bool    // guarded by gate.mu: let go and not left
	gone   bool    // guarded by gate.mu: forgotten; its turn goes to the next
	next   *Waiter // guarded by gate.mu: in the queue of the gate
}

// Watch makes a waiter at the keys that is done at the latest after the timeout. try must be fast, must not block, and must
// not call into this package; it may run on several goroutines at once. gate may be nil. The caller owes a Forget.
func Watch(keys []*Key, timeout time.Duration, gate *Turnstile, try func() bool) *Waiter {
	w := &Waiter{try: try, ready: make(chan struct{}), gate: gate}
	if len(keys) == 1 {
		w.places = w.one[:]
	} else {
		w.places = make([]place, len(keys))
	}
	for i, k := range keys {
		w.places[i] = place{key: k, w: w}
		k.add(&w.places[i])
	}
	if try() {
		w.finish(Completed)
		return w
	}
	w.timer = time.AfterFunc(timeout, func() { w.finish(Expired) })
	return w
}

// Ready is closed when the waiter is done and, with a Turnstile, has its turn.
func (w *Waiter) Ready() <-chan struct{} { return w.ready }

// Outcome says how the waiter was done.
func (w *Waiter) Outcome() Outcome { return Outcome(w.outcome.Load()) }

// Cancel makes the waiter done if it is not.
func (w *Waiter) Cancel() { w.finish(Cancelled) }

// finish makes the waiter done; false if it already was.
func (w *Waiter) finish(o Outcome) bool {
	if !w.outcome.CompareAndSwap(int32(Waiting), int32(o)) {
		return false
	}
	if w.gate != nil && o == Completed {
		w.gate.enter(w)
	} else {
		close(w.ready)
	}
	return true
}

// Forget takes the waiter off its keys and ends it if it is not done. Called once, by the waiter's owner.
func (w *Waiter) Forget() {
	w.Cancel()
	if w.timer != nil {
		w.timer.Stop()
	}
	if w.gate != nil {
		w.gate.mu.Lock()
		w.gone = true
		w.gate.mu.Unlock()
		w.gate.leave(w)
	}
	for i := range w.places {
		w.places[i].key.remove(&w.places[i])
	}
}

// Leave lets the next waiter of the turnstile go. Called by who got a Completed waiter with a Turnstile, as soon as it has
// what it waited for and before it does anything slow; more calls do nothing.
func (w *Waiter) Leave() {
	if w.gate != nil {
		w.gate.leave(w)
	}
}

func (k *Key) add(p *place) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.places.next == nil {
		k.places.prev, k.places.next = &k.places, &k.places
	}
	p.prev, p.next = k.places.prev, &k.places
	p.prev.next, p.next.prev = p, p
	k.waiting.Add(1)
}

func (k *Key) remove(p *place) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p.prev.next, p.next.prev = p.next, p.prev
	k.waiting.Add(-1)
}

// Waiting is the number of waiters at the key, those that are done and not yet forgotten among them.
func (k *Key) Waiting() int { return int(k.waiting.Load()) }

// Wake asks every waiter at the key whether its condition holds, in the order in which they came, and makes those done for
// which it does.
func (k *Key) Wake() {
	if k.waiting.Load() == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.places.next == nil {
		return
	}
	for p := k.places.next; p != &k.places; p = p.next {
		if p.w.Outcome() == Waiting && p.w.try() {
			p.w.finish(Completed)
		}
	}
}

// CancelAll makes every waiter at the key done.
func (k *Key) CancelAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.places.next == nil {
		return
	}
	for p := k.places.next; p != &k.places; p = p.next {
		p.w.Cancel()
	}
}

// Turnstile lets completed waiters go a few at a time.
type Turnstile struct {
	width int

	mu          sync.Mutex
	inside      int
	first, last *Waiter
}

// NewTurnstile returns a turnstile that lets width waiters be inside at once.
func NewTurnstile(width int) *Turnstile { return &Turnstile{width: max(width, 1)} }

func (t *Turnstile) enter(w *Waiter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.gone {
		close(w.ready) // forgotten while it was being completed
		return
	}
	if t.inside < t.width {
		t.inside++
		w.inside = true
		close(w.ready)
		return
	}
	if t.last == nil {
		t.first = w
	} else {
		t.last.next = w
	}
	t.last = w
}

func (t *Turnstile) leave(w *Waiter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !w.inside {
		return
	}
	w.inside = false
	for t.first != nil {
		next := t.first
		if t.first = next.next; t.first == nil {
			t.last = nil
		}
		next.next = nil
		if !next.gone {
			next.inside = true
			close(next.ready)
			return
		}
	}
	t.inside--
}
