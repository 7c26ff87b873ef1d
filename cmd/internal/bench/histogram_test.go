package bench

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestHistogramQuantiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, int64(2*time.Hour)), 1, 300).Draw(t, "values")
		var a, b Histogram
		for i, v := range values {
			if i%2 == 0 {
				a.Add(time.Duration(v))
			} else {
				b.Add(time.Duration(v))
			}
		}
		a.Merge(&b)
		slices.Sort(values)
		if got := a.Max(); got != time.Duration(values[len(values)-1]) || a.Count() != uint64(len(values)) {
			t.Fatalf("max %v, count %d", got, a.Count())
		}
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		rank := min(max(int(q*float64(len(values))+.5), 1), len(values))
		want := float64(values[rank-1])
		if got := float64(a.Quantile(q)); got < want || got > want*1.01+1 {
			t.Fatalf("quantile %v is %v, want %v and at most 1 %% more", q, got, want)
		}
	})
}

func TestHistogramEmpty(t *testing.T) {
	var h Histogram
	if h.Mean() != 0 || h.Quantile(.5) != 0 || h.Max() != 0 {
		t.Error("an empty histogram has values")
	}
}

func TestBucketsAreInOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 10_000 {
		d := time.Duration(rng.Int64N(int64(1) << rng.IntN(62)))
		b := bucket(d)
		if upper(b) < d || b > 0 && upper(b-1) >= d {
			t.Fatalf("%d is in bucket %d, which ends at %d, behind %d", d, b, upper(b), upper(b-1))
		}
	}
}

func TestResultText(t *testing.T) {
	for us, want := range map[float64]string{12: "12 us", 999.4: "999 us", 1234: "1.23 ms", 2_500_000: "2.5 s"} {
		if got := duration(us); got != want {
			t.Errorf("%v us is %q, want %q", us, got, want)
		}
	}
	for n, want := range map[float64]string{3.14159: "3.14", 999: "999", 12345: "12345", 234_567: "235 k", 2_345_678: "2.35 M"} {
		if got := short(n); got != want {
			t.Errorf("%v is %q, want %q", n, got, want)
		}
	}
}
