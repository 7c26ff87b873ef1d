package dataplane

import (
	"context"
	"time"
	"unsafe"

	"golang.org/x/sync/semaphore"
)

const (
	// fetchesMax is how much memory the large fetches of consumers, and as much those of followers, have at a time.
	fetchesMax = 128 << 20
	// waitMax is the longest that a fetch waits, whatever it asks for; largeWaitMax that of a large one, which keeps memory from
	// others meanwhile.
	waitMax      = 5 * time.Minute
	largeWaitMax = time.Second
)

// scale shares memory out to large fetches: a partition takes a few bytes in a request, or none if it is in a session, and
// hundreds while it is served. Followers have their own, so that no consumer can keep a produce from being acknowledged.
type scale struct{ consumers, followers *semaphore.Weighted }

func newScale() scale {
	return scale{semaphore.NewWeighted(fetchesMax), semaphore.NewWeighted(fetchesMax)}
}

// weigh waits until there is memory for the fetch of n partitions. Small ones never wait.
func (s scale) weigh(ctx context.Context, f *fetch, n int) error {
	if n <= partitionsSmall {
		return nil
	}
	of := s.consumers
	if f.replica >= 0 {
		of = s.followers
	}
	weight := min(int64(n)*int64(unsafe.Sizeof(fetchPart{})), fetchesMax)
	if err := of.Acquire(ctx, weight); err != nil {
		return err
	}
	f.weighed, f.weight = of, weight
	return nil
}

// unweigh gives the memory back.
func (f *fetch) unweigh() {
	if f.weighed != nil {
		f.weighed.Release(f.weight)
		f.weighed, f.weight = nil, 0
	}
}

// patience is how long a fetch may wait for records.
func (f *fetch) patience() time.Duration {
	wait := min(time.Duration(f.maxWait)*time.Millisecond, waitMax)
	if f.weighed != nil && f.replica < 0 {
		wait = min(wait, largeWaitMax)
	}
	return wait
}
