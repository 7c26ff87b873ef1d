package quota

import (
	"math"
	"time"
)

// Window is over what a rate is measured: Samples samples of Size each.
type Window struct {
	Samples int           // quota.window.num
	Size    time.Duration // quota.window.size.seconds
}

// length is after how long without an event nothing of the past counts.
func (w Window) length() time.Duration { return time.Duration(w.Samples) * w.Size }

// sample is the sum of what happened from start until Window.Size later.
type sample struct {
	start, last time.Duration // of the events in it
	sum         float64
}

// Rate is a sum over a sliding window, as Apache Kafka's metric of that name computes it, so that decisions agree. Times are
// milliseconds of any clock that does not jump, truncated by the caller (see Now). The zero value has seen nothing.
type Rate struct {
	samples []sample
	current int
}

// millis drops what is below a millisecond: Kafka's arithmetic knows nothing smaller.
func millis(t time.Duration) time.Duration { return t - t%time.Millisecond }

// Record adds v at the time now; negative v takes back.
func (r *Rate) Record(w Window, v float64, now time.Duration) {
	now = millis(now)
	if len(r.samples) == 0 {
		r.samples = append(r.samples, sample{start: now, last: now})
	}
	s := &r.samples[r.current]
	if now-s.start >= w.Size {
		// One more sample than the window has: the oldest may reach into it.
		r.current = (r.current + 1) % (w.Samples + 1)
		if r.current >= len(r.samples) {
			r.current = len(r.samples)
			r.samples = append(r.samples, sample{})
		}
		s = &r.samples[r.current]
		*s = sample{start: now, last: now}
	}
	s.sum += v
	s.last = now
}

// PerSecond is the rate at the time now.
func (r *Rate) PerSecond(w Window, now time.Duration) float64 {
	now = millis(now)
	covered := r.window(w, now)
	sum := 0.0
	for i := range r.samples {
		sum += r.samples[i].sum
	}
	return sum / covered.Seconds()
}

// window is the time that the samples cover. Samples come with events, so what is missing of the whole windows but the last is
// added: after a silence, or at the beginning, a rate is not taken for higher than it is.
func (r *Rate) window(w Window, now time.Duration) time.Duration {
	now = millis(now)
	oldest := now
	for i := range r.samples {
		s := &r.samples[i]
		if now-s.last >= w.length() {
			*s = sample{start: now, last: now}
		}
		oldest = min(oldest, s.start)
	}
	covered := now - oldest
	if whole := int(covered / w.Size); whole < w.Samples-1 {
		covered += time.Duration(w.Samples-1-whole) * w.Size
	}
	return max(covered, time.Millisecond)
}

// Throttle is how long nothing must happen for the rate to come back to limit, 0 if it is not above.
func (r *Rate) Throttle(w Window, limit float64, now time.Duration) time.Duration {
	rate := r.PerSecond(w, now)
	if rate <= limit {
		return 0
	}
	return rounded((rate - limit) / limit * float64(r.window(w, now).Milliseconds()))
}

// rounded is a number of milliseconds as an answer can carry it.
func rounded(ms float64) time.Duration {
	return time.Duration(max(0, min(math.Floor(ms+0.5), math.MaxInt32))) * time.Millisecond
}

// isForgotten says whether nothing that was recorded counts any more.
func (r *Rate) isForgotten(w Window, now time.Duration) bool {
	for i := range r.samples {
		if millis(now)-r.samples[i].last < w.length() {
			return false
		}
	}
	return true
}

// Bucket is a token bucket that limit tokens a second flow into, up to as many as a whole window's. It is full at first, and
// may be overdrawn. The zero value is full.
type Bucket struct {
	used bool
	have float64
	last time.Duration
}

// fill lets flow in what is due by now.
func (b *Bucket) fill(w Window, limit float64, now time.Duration) {
	now = millis(now)
	full := w.length().Seconds() * limit
	if !b.used {
		b.used, b.have = true, full
	} else {
		b.have = min(full, b.have+limit*(now-b.last).Seconds())
	}
	b.last = now
}

// Take takes n tokens, whether they are there or not.
func (b *Bucket) Take(w Window, limit, n float64, now time.Duration) {
	b.fill(w, limit, now)
	b.have = min(w.length().Seconds()*limit, b.have-n)
}

// Throttle is how long it takes until the bucket is no longer overdrawn, 0 if it is not.
func (b *Bucket) Throttle(w Window, limit float64, now time.Duration) time.Duration {
	b.fill(w, limit, now)
	if b.have >= 0 {
		return 0
	}
	return rounded(-b.have / limit * 1000)
}

func (b *Bucket) isForgotten(w Window, limit float64, now time.Duration) bool {
	return !b.used || b.have+limit*(now-b.last).Seconds() >= w.length().Seconds()*limit
}
