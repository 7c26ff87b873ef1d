package server

import (
	"sync"
	"time"
)

// bucket is a bucket of tokens that fills up with time: each connect request takes one or more. Pure but for its lock; times come from
// outside, counted from any zero.
type bucket struct {
	size, fill int           // fill tokens come every so often
	every      time.Duration // 0: the bucket is never asked

	mu     sync.Mutex
	tokens int
	last   time.Duration // when tokens last came
}

func (b *bucket) init(t ConnectThrottle) {
	b.size, b.fill, b.every, b.tokens = t.Tokens, max(t.Fill, 1), t.Every, t.Tokens
	if b.every <= 0 {
		b.every = time.Millisecond
	}
}

// take takes n tokens if there are so many.
func (b *bucket) take(now time.Duration, n int) bool {
	if b.size <= 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if periods := int64((now - b.last) / b.every); periods > 0 {
		b.last += time.Duration(periods) * b.every
		b.tokens = int(min(int64(b.tokens)+min(periods, int64(b.size))*int64(b.fill), int64(b.size)))
	}
	if b.tokens < n {
		return false
	}
	b.tokens -= n
	return true
}

// admitLarge books a request that is large, and says whether it fits into what large ones may take together.
func (s *Server) admitLarge(size int) bool {
	if s.large.Add(int64(size)) <= s.cfg.LargeRequests.Bytes {
		return true
	}
	s.large.Add(int64(-size))
	s.stats.largeRejected.Add(1)
	return false
}

// isLarge says whether a frame of this size counts as large.
func (s *Server) isLarge(size int) bool {
	return s.cfg.LargeRequests.Threshold > 0 && size > s.cfg.LargeRequests.Threshold
}
