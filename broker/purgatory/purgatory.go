// Package purgatory holds what waits: fetches for data, produces for their replicas.
//
// A Waiter watches Keys. Whoever changes what a key stands for calls Key.Wake, which asks every waiter there whether its
// condition holds now. The condition is a function over memory: a waker, which may be a producer's own goroutine, touches
// no file and no socket for somebody else. All it does for a waiter whose time has come is to close its channel; the
// waiter's goroutine then reads the log and writes its answer itself.
//
// A key's progress is a number that only grows (bytes written, an offset). A waiter says from which progress on it is worth
// asking, so that five hundred who want a mebibyte cost an append of a kibibyte one comparison each.
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
// go a few at a time: each lets the next one go when it leaves (Leave). Nobody waits for a turn beyond its deadline: who is
// inside may hang on a slow disk that the others have nothing to do with.
//
// The package starts no goroutine; deadlines are time.AfterFunc. All of it is safe for concurrent use.
package purgatory

import (
	"math"
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
	waiting atomic.Int32 // len(entries), so that waking nobody costs one load

	mu      sync.Mutex
	entries []entry // in no order
}

// entry is a waiter at a key. Entries lie side by side: most of a wake is running over their needs.
type entry struct {
	need int64
	at   *place
}

// place is one of the keys of a waiter.
type place struct {
	key *Key
	w   *Waiter
	i   int // in key.entries; guarded by key.mu
}

// Place names a key to wait at, and from which progress of it on the condition may hold.
type Place struct {
	Key  *Key
	Need int64
}

// Always is a progress that every waiter is asked at.
const Always = math.MaxInt64

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
	queued bool    // guarded by gate.mu: in the queue of the gate
	gone   bool    // guarded by gate.mu: forgotten, or its deadline is over; its turn goes to the next
	next   *Waiter // guarded by gate.mu: in the queue of the gate
}

// Watch makes a waiter at the places that is done at the latest after the timeout. try must be fast, must not block, and must
// not call into this package; it may run on several goroutines at once. gate may be nil. at is not kept. The caller owes a
// Forget.
func Watch(at []Place, timeout time.Duration, gate *Turnstile, try func() bool) *Waiter {
	w := &Waiter{try: try, ready: make(chan struct{}), gate: gate}
	if len(at) == 1 {
		w.places = w.one[:]
	} else {
		w.places = make([]place, len(at))
	}
	for i, a := range at {
		w.places[i] = place{key: a.Key, w: w}
		a.Key.add(&w.places[i], a.Need)
	}
	if try() {
		w.finish(Completed)
		return w
	}
	w.timer = time.AfterFunc(timeout, func() {
		if !w.finish(Expired) && w.gate != nil {
			w.gate.late(w)
		}
	})
	return w
}

// Ready is closed when the waiter is done and, with a Turnstile, has its turn or its deadline is over.
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
	w.Detach()
}

// Detach takes a waiter that is done off its keys: no Wake asks for it any more once Detach has returned, so that its owner may change
// what the question looks at. Called by the owner; more calls do nothing.
func (w *Waiter) Detach() {
	w.Cancel()
	for i := range w.places {
		w.places[i].key.remove(&w.places[i])
	}
	w.places = nil
}

// Leave lets the next waiter of the turnstile go. Called by who got a Completed waiter with a Turnstile, as soon as it has
// what it waited for and before it does anything slow; more calls do nothing.
func (w *Waiter) Leave() {
	if w.gate != nil {
		w.gate.leave(w)
	}
}

func (k *Key) add(p *place, need int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p.i = len(k.entries)
	k.entries = append(k.entries, entry{need, p})
	k.waiting.Add(1)
}

func (k *Key) remove(p *place) {
	k.mu.Lock()
	defer k.mu.Unlock()
	last := len(k.entries) - 1
	k.entries[p.i] = k.entries[last]
	k.entries[p.i].at.i = p.i
	k.entries[last] = entry{}
	k.entries = k.entries[:last]
	if cap(k.entries) > 64 && last < cap(k.entries)/4 {
		k.entries = append(make([]entry, 0, cap(k.entries)/2), k.entries...) // a crowd has left
	}
	k.waiting.Add(-1)
}

// Waiting is the number of waiters at the key, those that are done and not yet forgotten among them.
func (k *Key) Waiting() int { return int(k.waiting.Load()) }

// Wake asks the waiters at the key who need no more than the progress whether their condition holds, and makes those done for
// which it does. Always asks all.
func (k *Key) Wake(progress int64) {
	if k.waiting.Load() == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, e := range k.entries {
		if e.need <= progress && e.at.w.Outcome() == Waiting && e.at.w.try() {
			e.at.w.finish(Completed)
		}
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
		close(w.ready) // forgotten, or late, while it was being completed
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
	w.queued = true
}

// late lets a waiter go whose deadline is over, without a turn if it has none.
func (t *Turnstile) late(w *Waiter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.inside || w.gone {
		return
	}
	w.gone = true
	if w.queued {
		close(w.ready)
	}
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
		next.next, next.queued = nil, false
		if !next.gone {
			next.inside = true
			close(next.ready)
			return
		}
	}
	t.inside--
}
