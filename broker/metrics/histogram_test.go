package metrics

import (
	"math"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBucketsAreNarrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Int64Range(0, 1<<48).Draw(t, "v")
		b := bucketOf(v)
		if b < 0 || b >= buckets {
			t.Fatalf("bucket %d of %d", b, buckets)
		}
		if m := middleOf(b); math.Abs(m-float64(v)) > float64(v)/14 {
			t.Fatalf("%d is shown as %v", v, m)
		}
		if v > 0 && bucketOf(v-1) > b {
			t.Fatalf("%d is above %d", v-1, v)
		}
	})
	if bucketOf(math.MaxInt64) != buckets-1 {
		t.Error(bucketOf(math.MaxInt64))
	}
}

func TestQuantiles(t *testing.T) {
	h := NewHistograms(2)
	for i := range int64(1000) {
		h.Add(time.Second, i+1, (i-899)*1000) // 1 to 1000; 900 times nothing, then up to 100000
	}
	a, b := h.Distribution(time.Second, 0), h.Distribution(time.Second, 1)
	for _, x := range []struct {
		d       *Distribution
		q, want float64
	}{{a, .5, 500}, {a, .99, 990}, {a, .999, 999}, {b, .5, 0}, {b, .89, 0}, {b, .95, 50_000}, {b, .99, 90_000}} {
		if got := x.d.Quantile(x.q); math.Abs(got-x.want) > x.want*.07 {
			t.Errorf("quantile %v is %v, want about %v", x.q, got, x.want)
		}
	}
	if a.Count != 1000 || b.Count != 1000 {
		t.Error(a.Count, b.Count)
	}
	b.Merge(a)
	if got := b.Quantile(.25); b.Count != 2000 || got != 0 {
		t.Error(b.Count, got)
	}
}

// Values count for two generations, then only in the number of all.
func TestOldValuesAreForgotten(t *testing.T) {
	h := NewHistograms(1)
	at := time.Minute
	quantile := func() float64 { return h.Distribution(at, 0).Quantile(.5) }
	h.Add(at, 100)
	if got := quantile(); math.Abs(got-100) > 7 {
		t.Error(got)
	}
	at += period + 1
	h.Add(at, 7)
	h.Add(at, 7)
	if got := quantile(); got != 7 {
		t.Error(got)
	}
	at += period + 1
	if got := h.Distribution(at, 0); got.Quantile(.99) != 7 || got.Quantile(.0) != 7 {
		t.Error("the first value still counts")
	}
	at += 3 * period
	if got := h.Distribution(at, 0); got.Quantile(.99) != 0 || got.Count != 3 {
		t.Error(got.Quantile(.99), got.Count)
	}
}

func TestHistogramsConcurrently(t *testing.T) {
	h := NewHistograms(3)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 1000 {
				h.Add(time.Duration(i)*time.Second, int64(g), 1, 0)
				if i%100 == 0 {
					h.Distribution(time.Duration(i)*time.Second, 1)
				}
			}
		})
	}
	wg.Wait()
	if n := h.Distribution(time.Hour, 0).Count; n != 8000 {
		t.Error(n)
	}
}

func TestMeter(t *testing.T) {
	var m Meter
	now := time.Duration(0)
	for range 120 { // half of a core's time, for two minutes
		now += time.Second
		m.Add(now, int64(time.Second/2))
	}
	if sum, share := m.share(now, 1); sum != time.Minute || math.Abs(share-.5) > .01 {
		t.Error(sum, share)
	}
	if _, share := m.share(now, 2); math.Abs(share-.25) > .01 {
		t.Error(share)
	}
	for range 120 { // then nothing
		now += time.Second
		m.Add(now, 0)
	}
	if sum, share := m.share(now, 1); sum != time.Minute || share != 0 {
		t.Error(sum, share)
	}
	for range 120 { // more than there is
		now += time.Second
		m.Add(now, int64(3*time.Second))
	}
	if _, share := m.share(now, 1); share != 1 {
		t.Error(share)
	}
}

func BenchmarkEnd(b *testing.B) {
	r := NewRequests(&RequestLog{}, func() time.Duration { return 0 })
	x := exchange()
	b.ReportAllocs()
	for b.Loop() {
		r.End(x)
	}
}
