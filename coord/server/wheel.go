package server

import (
	"slices"
	"time"
)

// wheel sorts sessions into buckets of one tick by when they are due, as ZooKeeper does: a session that was last heard of at t dies at
// the end of the tick in which t + timeout falls. Hearing of a session moves nothing; it is looked at again when its bucket is due. Pure:
// times come from outside, counted from any zero.
type wheel struct {
	tick    time.Duration
	buckets map[int64][]*session // by number of the tick at whose begin they are due
}

func newWheel(tick time.Duration) wheel {
	return wheel{tick: tick, buckets: map[int64][]*session{}}
}

// due is the tick at which a session dies that is not heard of again.
func (w *wheel) due(s *session) int64 {
	return int64((time.Duration(s.heard.Load())+s.timeout())/w.tick) + 1
}

// add puts a session in, or in earlier. A session may be in several buckets; only the one it is marked with counts.
func (w *wheel) add(s *session) {
	s.bucket = w.due(s)
	w.buckets[s.bucket] = append(w.buckets[s.bucket], s)
}

// expired takes out and returns the sessions that are due at now, in the order of their ids.
func (w *wheel) expired(now time.Duration) (dead []*session) {
	current := int64(now / w.tick)
	for bucket, list := range w.buckets {
		if bucket > current {
			continue
		}
		delete(w.buckets, bucket)
		for _, s := range list {
			switch {
			case s.gone || s.bucket != bucket:
			case w.due(s) > current:
				w.add(s)
			default:
				dead = append(dead, s)
			}
		}
	}
	slices.SortFunc(dead, func(a, b *session) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	return dead
}
