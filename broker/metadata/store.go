package metadata

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/topic"
)

// Store holds the current Image. Safe for concurrent use.
type Store struct {
	image atomic.Pointer[Image]

	mu      sync.Mutex // one writer at a time
	changed chan struct{}
}

// NewStore returns a store that knows of nothing yet.
func NewStore() *Store {
	s := &Store{changed: make(chan struct{})}
	s.image.Store(&Image{controllerID: -1, topics: map[string]*Topic{}, names: map[topic.ID]string{}})
	return s
}

// Load returns the current image.
func (s *Store) Load() *Image { return s.image.Load() }

// Apply publishes the image after the request and returns the partitions that it deleted. The request must not be changed
// afterwards: the image keeps its slices.
func (s *Store) Apply(req *kmsg.UpdateMetadataRequest) (deleted []topic.Partition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, deleted := s.image.Load().apply(req)
	s.image.Store(next)
	close(s.changed)
	s.changed = make(chan struct{})
	return deleted
}

// Changed is closed when the image changes from what a Load after this call sees. Take it before looking.
func (s *Store) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Wait returns the first image for which done says true, at once if the current one is it, or the last image seen and
// ctx's error. done runs on the caller's goroutine.
func (s *Store) Wait(ctx context.Context, done func(*Image) bool) (*Image, error) {
	for {
		changed := s.Changed() // before the look: a change in between is not missed
		im := s.Load()
		if done(im) {
			return im, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return im, ctx.Err()
		}
	}
}
