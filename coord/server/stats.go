package server

import (
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// stats counts for the four-letter words.
type stats struct {
	connects, revalidated, rejected, dropped, sessionless atomic.Int64
	received, sent, bytesIn, bytesOut                     atomic.Int64
	expired, authFailed, tooLarge                         atomic.Int64
	lastSize, minSize, maxSize                            atomic.Int64 // of answers, in bytes

	largeRejected, throttled atomic.Int64
	overQuota, quotaTold     atomic.Int64 // quotaTold: when the log was last told, a time.Duration of Server.since

	reads, updates latencies
}

func (s *stats) init() { s.minSize.Store(math.MaxInt64) }

// replied counts an answer of size bytes, its length not included.
func (s *stats) replied(size int) {
	s.sent.Add(1)
	s.bytesOut.Add(int64(size + 4))
	n := int64(size)
	s.lastSize.Store(n)
	if n > s.maxSize.Load() {
		s.maxSize.Store(n)
	}
	if n < s.minSize.Load() {
		s.minSize.Store(n)
	}
}

// Buckets of a latency in microseconds: 8 per doubling.
const (
	bucketBits = 3
	numBuckets = 48 << bucketBits
)

// latencies are the times that requests of one kind took.
type latencies struct {
	mu       sync.Mutex
	count    int64
	sum      time.Duration
	min, max time.Duration
	buckets  [numBuckets]int64
}

func (l *latencies) add(d time.Duration, n int64) {
	if n == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == 0 || d < l.min {
		l.min = d
	}
	l.max = max(l.max, d)
	l.count += n
	l.sum += d * time.Duration(n)
	l.buckets[bucketOf(d)] += n
}

func (l *latencies) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count, l.sum, l.min, l.max = 0, 0, 0, 0
	clear(l.buckets[:])
}

// bucketOf has the three bits behind the leading one as its last digits.
func bucketOf(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us < 1<<bucketBits {
		return int(us)
	}
	shift := bits.Len64(us) - 1 - bucketBits
	return min((shift+1)<<bucketBits|int(us>>shift)&(1<<bucketBits-1), numBuckets-1)
}

// bucketEnd is where a bucket ends, in microseconds.
func bucketEnd(i int) int64 {
	if i < 1<<bucketBits {
		return int64(i) + 1
	}
	shift := i>>bucketBits - 1
	return int64(1<<bucketBits|i&(1<<bucketBits-1)+1) << shift
}

// summary is a moment's view of latencies, in ms.
type summary struct {
	count     int64
	sum       time.Duration
	avg       float64
	min, max  int64
	p50, p95  int64
	p99, p999 int64
}

func (l *latencies) summary() (s summary) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == 0 {
		return s
	}
	s = summary{count: l.count, sum: l.sum, min: l.min.Milliseconds(), max: l.max.Milliseconds()}
	s.avg = float64(l.sum) / float64(time.Millisecond) / float64(l.count)
	for _, q := range []struct {
		part float64
		to   *int64
	}{{.5, &s.p50}, {.95, &s.p95}, {.99, &s.p99}, {.999, &s.p999}} {
		*q.to = min(l.quantileLocked(q.part), s.max)
	}
	return s
}

// quantileLocked is in ms.
func (l *latencies) quantileLocked(part float64) int64 {
	left := int64(math.Ceil(part * float64(l.count)))
	for i, n := range l.buckets {
		if left -= n; left <= 0 {
			return bucketEnd(i) / 1000
		}
	}
	return l.max.Milliseconds()
}

// merge is the summary of both together; its quantiles are not.
func merge(a, b summary) summary {
	switch {
	case a.count == 0:
		return b
	case b.count == 0:
		return a
	}
	m := summary{count: a.count + b.count, sum: a.sum + b.sum, min: min(a.min, b.min), max: max(a.max, b.max)}
	m.avg = float64(m.sum) / float64(time.Millisecond) / float64(m.count)
	return m
}
