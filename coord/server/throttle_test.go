package server

import (
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	var b bucket
	b.init(ConnectThrottle{Tokens: 3, Fill: 2, Every: 10 * time.Millisecond})
	for _, x := range []struct {
		at   time.Duration
		n    int
		want bool
	}{
		{0, 3, true}, {0, 1, false}, {9, 1, false}, {10, 3, false}, {10, 2, true}, {19, 1, false}, {20, 1, true}, {20, 1, true}, {20, 1, false},
		{1e9, 4, false}, {1e9, 3, true}, {1e9, 1, false}, // never more than it holds
	} {
		if got := b.take(x.at*time.Millisecond, x.n); got != x.want {
			t.Errorf("%d at %d ms: %v", x.n, x.at, got)
		}
	}
	var none bucket
	none.init(ConnectThrottle{})
	if !none.take(0, 1000) {
		t.Error("a bucket without a size refused")
	}
}
