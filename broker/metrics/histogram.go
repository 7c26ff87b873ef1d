package metrics

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// period is how long a generation of values is collected. Quantiles are those of the current one and the one before: of the last
// two and a half to five minutes, about what Kafka's histograms are biased to.
const period = 150 * time.Second

// Buckets are exact up to 2^subBits and then 2^subBits to each power of two, so a quantile is wrong by less than 7 %.
const (
	subBits = 3
	buckets = (48 - subBits + 1) << subBits // up to 2^48; more counts as that
)

func bucketOf(v int64) int {
	if v < 1<<subBits {
		return int(v)
	}
	shift := bits.Len64(uint64(v)) - subBits - 1
	return min(shift<<subBits+int(v>>shift), buckets-1)
}

// middleOf is the value that stands for a bucket.
func middleOf(b int) float64 {
	if b < 1<<subBits {
		return float64(b)
	}
	shift := b>>subBits - 1
	low := int64(b&(1<<subBits-1)|1<<subBits) << shift
	return float64(low) + float64(int64(1)<<shift-1)/2
}

// Histograms are several distributions of one kind of thing, in which each thing has a value: the parts of a request's time. Safe for
// concurrent use.
type Histograms struct {
	rotate  atomic.Int64 // when the current generation ends, ns since whatever began
	current atomic.Pointer[generation]

	mu   sync.Mutex // of rotations
	last *generation
	past uint64 // things of generations before that
	n    int
}

type generation struct {
	things atomic.Uint64
	counts []atomic.Uint32 // of each distribution buckets, without the values that are 0
}

// NewHistograms makes n distributions.
func NewHistograms(n int) *Histograms {
	h := &Histograms{n: n, last: newGeneration(n)}
	h.current.Store(newGeneration(n))
	return h
}

func newGeneration(n int) *generation { return &generation{counts: make([]atomic.Uint32, n*buckets)} }

// Add counts a thing with its values, one for each distribution; negative ones are 0. now is the time on any clock that does not go
// back.
func (h *Histograms) Add(now time.Duration, values ...int64) {
	if int64(now) >= h.rotate.Load() {
		h.turn(now)
	}
	g := h.current.Load()
	g.things.Add(1)
	for i, v := range values {
		if v > 0 {
			g.counts[i*buckets+bucketOf(v)].Add(1)
		}
	}
}

// turn begins a new generation if it is time.
func (h *Histograms) turn(now time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	end := h.rotate.Load()
	if int64(now) < end {
		return
	}
	h.rotate.Store(int64(now + period))
	if end == 0 {
		return // the first
	}
	h.past += h.last.things.Load()
	h.last = h.current.Load()
	if int64(now)-end >= int64(period) { // nothing came for so long that it is forgotten as well
		h.past += h.last.things.Load()
		h.last = newGeneration(h.n)
	}
	h.current.Store(newGeneration(h.n))
}

// Distribution is a histogram at a moment.
type Distribution struct {
	Count  uint64 // of all values ever
	recent uint64
	counts [buckets]uint64
}

// Distribution is the i-th one.
func (h *Histograms) Distribution(now time.Duration, i int) *Distribution {
	if int64(now) >= h.rotate.Load() {
		h.turn(now)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	d := &Distribution{}
	for _, g := range []*generation{h.last, h.current.Load()} {
		d.recent += g.things.Load()
		for b := range d.counts {
			d.counts[b] += uint64(g.counts[i*buckets+b].Load())
		}
	}
	d.Count = h.past + d.recent
	return d
}

// Merge adds the values of another distribution.
func (d *Distribution) Merge(o *Distribution) {
	d.Count += o.Count
	d.recent += o.recent
	for b, n := range o.counts {
		d.counts[b] += n
	}
}

// Quantile is the value that the share q of the values does not exceed; 0 when there are none.
func (d *Distribution) Quantile(q float64) float64 {
	var above uint64 // values that are not 0
	for _, n := range d.counts {
		above += n
	}
	all := max(d.recent, above)
	rank := uint64(q * float64(all))
	seen := all - above
	if rank < seen {
		return 0
	}
	for b, n := range d.counts {
		if seen += n; n > 0 && rank < seen {
			return middleOf(b)
		}
	}
	for b := buckets - 1; b >= 0; b-- {
		if d.counts[b] > 0 {
			return middleOf(b)
		}
	}
	return 0
}
