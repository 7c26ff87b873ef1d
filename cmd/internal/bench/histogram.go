package bench

import (
	"math/bits"
	"time"
)

// Histogram counts durations in buckets less than 1 % wide, from nanoseconds to hours, in 57 KiB. The zero value is empty. Not
// safe for concurrent use: each goroutine has its own, see Merge.
type Histogram struct {
	counts [64 * steps]uint64
	count  uint64
	sum    time.Duration
	max    time.Duration
}

// steps is how many buckets there are between two powers of two.
const (
	stepBits = 7
	steps    = 1 << stepBits
)

// bucket is the place of a duration: exact below steps, then the leading bits.
func bucket(d time.Duration) int {
	n := uint64(max(d, 0))
	if n < steps {
		return int(n)
	}
	shift := bits.Len64(n) - stepBits - 1
	return (shift+1)*steps + int(n>>shift) - steps
}

// upper is the largest duration of a bucket.
func upper(b int) time.Duration {
	if b < steps {
		return time.Duration(b)
	}
	shift := b/steps - 1
	return time.Duration((uint64(b%steps+steps+1) << shift) - 1)
}

// Add counts a duration.
func (h *Histogram) Add(d time.Duration) {
	h.counts[bucket(d)]++
	h.count++
	h.sum += d
	h.max = max(h.max, d)
}

// Merge adds what another has counted.
func (h *Histogram) Merge(o *Histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.count += o.count
	h.sum += o.sum
	h.max = max(h.max, o.max)
}

// Count is how many durations there are.
func (h *Histogram) Count() uint64 { return h.count }

// Max is the longest.
func (h *Histogram) Max() time.Duration { return h.max }

// Mean is 0 without any.
func (h *Histogram) Mean() time.Duration {
	if h.count == 0 {
		return 0
	}
	return h.sum / time.Duration(h.count)
}

// Quantile is a duration that the share q, from 0 to 1, does not exceed, at most 1 % too long.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(q*float64(h.count) + 0.5)
	var seen uint64
	for b, n := range h.counts {
		if seen += n; n > 0 && seen >= max(rank, 1) {
			return min(upper(b), h.max)
		}
	}
	return h.max
}
