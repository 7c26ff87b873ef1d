package quota

import (
	"sync"
	"time"
)

// sensorsMax bounds the sensors of a kind. Beyond it those of others are dropped: who makes up a client id for each request has
// no quota to speak of anyway, and takes none from whoever keeps to one for a window's time again.
const sensorsMax = 1 << 16

// sensorsSwept is the number of sensors from which on those that are forgotten are looked for.
const sensorsSwept = 1 << 10

// Meter measures clients against the limits of a Table. Safe for concurrent use.
type Meter struct {
	table  *Table
	window Window // of rates
	bucket Window // of Mutations
	rates  [kinds]sensors[Rate]
	tokens sensors[Bucket]
}

type sensors[T any] struct {
	mu     sync.Mutex
	all    map[Subject]*T
	sweep  int // size of all at which to sweep next
	forget func(*T, Subject, time.Duration) bool
}

// NewMeter returns a meter that has seen nothing. window is quota.window.*, bucket controller.quota.window.*.
func NewMeter(t *Table, window, bucket Window) *Meter {
	m := &Meter{table: t, window: window, bucket: bucket}
	for kind := range m.rates {
		m.rates[kind].forget = func(r *Rate, _ Subject, now time.Duration) bool { return r.isForgotten(window, now) }
	}
	m.tokens.forget = func(b *Bucket, s Subject, now time.Duration) bool {
		limit, _, ok := t.Load().Lookup(Mutations, s.User, s.Client)
		return !ok || b.isForgotten(bucket, limit, now)
	}
	return m
}

// get finds or makes the sensor of s. mu is held.
func (ss *sensors[T]) get(s Subject, now time.Duration) *T {
	if x, ok := ss.all[s]; ok {
		return x
	}
	if len(ss.all) >= max(ss.sweep, sensorsSwept) {
		for s, x := range ss.all {
			if ss.forget(x, s, now) {
				delete(ss.all, s)
			}
		}
		for s := range ss.all {
			if len(ss.all) <= sensorsMax/2 {
				break // room enough that looking through all of them remains rare
			}
			delete(ss.all, s)
		}
		ss.sweep = 2 * len(ss.all)
	}
	if ss.all == nil {
		ss.all = map[Subject]*T{}
	}
	x := new(T)
	ss.all[s] = x
	return x
}

// Limited says whether a client has a limit of any of the kinds.
func (m *Meter) Limited(user, client string, kinds ...Kind) bool {
	l := m.table.Load()
	for _, kind := range kinds {
		if _, _, ok := l.Lookup(kind, user, client); ok {
			return true
		}
	}
	return false
}

// Record counts v of a kind (not Mutations) for a client, and returns for how long it is to be throttled. 0: not at all.
func (m *Meter) Record(kind Kind, user, client string, v float64, now time.Duration) time.Duration {
	limit, s, ok := m.table.Load().Lookup(kind, user, client)
	if !ok {
		return 0
	}
	ss := &m.rates[kind]
	ss.mu.Lock()
	defer ss.mu.Unlock()
	r := ss.get(s, now)
	r.Record(m.window, v, now)
	return r.Throttle(m.window, limit, now)
}

// Most is the most of a kind that a client may have at once without being throttled for it, however long it has been quiet. ok is
// false when there is no limit.
func (m *Meter) Most(kind Kind, user, client string) (most float64, ok bool) {
	limit, _, ok := m.table.Load().Lookup(kind, user, client)
	return limit * float64(m.window.Samples-1) * m.window.Size.Seconds(), ok
}

// Longest is the longest that a client is throttled for its share of request time or its new connections.
func (m *Meter) Longest() time.Duration { return m.window.Size }

// Change takes n changes of partitions from a client's bucket. Strict: an empty bucket gives nothing, and wait says for how
// long; else it gives what is asked for, and wait is for how long the client is to be throttled afterwards.
func (m *Meter) Change(user, client string, n float64, strict bool, now time.Duration) (wait time.Duration) {
	limit, s, ok := m.table.Load().Lookup(Mutations, user, client)
	if !ok {
		return 0
	}
	m.tokens.mu.Lock()
	defer m.tokens.mu.Unlock()
	b := m.tokens.get(s, now)
	if strict {
		if wait := b.Throttle(m.bucket, limit, now); wait > 0 {
			return wait
		}
		b.Take(m.bucket, limit, n, now)
		return 0
	}
	b.Take(m.bucket, limit, n, now)
	return b.Throttle(m.bucket, limit, now)
}
