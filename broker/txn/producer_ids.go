package txn

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
)

const (
	// idWait is how long a request waits for a block.
	idWait = time.Second
	// retryMin and retryMax bound the pause after the controller could not be asked.
	retryMin = 50 * time.Millisecond
	retryMax = time.Second
)

// ProducerIDs hands out producer ids from blocks that the controller gives. Safe for concurrent use.
type ProducerIDs struct {
	allocator Allocator
	logger    zerolog.Logger
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	work      sync.WaitGroup

	mu      sync.Mutex
	current Block // First is the next id to give
	size    int32 // of the current block when it was whole
	next    Block // Count is 0 while there is none
	ready   chan struct{}
	closed  bool
}

// NewProducerIDs asks for nothing before the first Take. Close it.
func NewProducerIDs(a Allocator, logger zerolog.Logger) *ProducerIDs {
	p := &ProducerIDs{allocator: a, logger: logger}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// Close returns when no block is being asked for any more.
func (p *ProducerIDs) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.work.Wait()
}

// Take returns an id that was never returned before, by any broker. When no block comes for a second it fails with
// COORDINATOR_LOAD_IN_PROGRESS, and with ctx's error.
func (p *ProducerIDs) Take(ctx context.Context) (int64, error) {
	var timeout <-chan time.Time
	for {
		id, ready := p.take()
		if ready == nil {
			return id, nil
		}
		if timeout == nil {
			t := time.NewTimer(idWait)
			defer t.Stop()
			timeout = t.C
		}
		select {
		case <-ready:
		case <-timeout:
			return 0, kerr.CoordinatorLoadInProgress
		case <-p.ctx.Done():
			return 0, kerr.CoordinatorNotAvailable
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// take returns an id, or what is closed when it is worth another try.
func (p *ProducerIDs) take() (id int64, ready <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current.Count == 0 {
		p.current, p.next = p.next, Block{}
		p.size = p.current.Count
	}
	if p.current.Count == 0 {
		p.askLocked()
		return 0, p.ready
	}
	id = p.current.First
	p.current.First++
	p.current.Count--
	if p.next.Count == 0 && p.current.Count <= p.size/10 {
		p.askLocked()
	}
	return id, nil
}

// askLocked starts asking for the next block unless that goes on already.
func (p *ProducerIDs) askLocked() {
	if p.ready != nil {
		return
	}
	p.ready = make(chan struct{})
	if !p.closed {
		p.work.Go(p.ask)
	}
}

// ask gets the next block, however long that takes.
func (p *ProducerIDs) ask() {
	for pause := retryMin; ; pause = min(2*pause, retryMax) {
		b, err := p.allocator.AllocateProducerIDs(p.ctx)
		if err == nil && b.Count > 0 {
			p.mu.Lock()
			p.next = b
			close(p.ready)
			p.ready = nil
			p.mu.Unlock()
			return
		}
		if p.ctx.Err() != nil {
			return
		}
		if pause == retryMin { // the first time; the others would say the same
			p.logger.Warn().Err(err).Msg("no block of producer ids from the controller yet")
		}
		select {
		case <-time.After(pause):
		case <-p.ctx.Done():
			return
		}
	}
}
