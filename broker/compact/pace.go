package compact

import (
	"context"
	"sync"
	"time"
)

// pace bounds the bytes that all threads read and write in a second. Safe for concurrent use.
type pace struct {
	perSecond float64

	mu   sync.Mutex
	free time.Time // when what was asked for so far will have been paid off
}

// paceSlack is how far ahead of its rate the cleaner may be: it sleeps now and then, not after every batch.
const paceSlack = 100 * time.Millisecond

// wait takes n bytes and waits for their time; errStopped once ctx has ended, and whatever check says, which is asked now and then.
func (p *pace) wait(ctx context.Context, n int, check func() error) error {
	if ctx.Err() != nil {
		return errStopped
	}
	cost := float64(n) / p.perSecond * float64(time.Second)
	if cost < 1e-3 { // no bound to speak of
		return nil
	}
	p.mu.Lock()
	now := time.Now()
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(min(cost, float64(time.Hour))))
	ahead := p.free.Sub(now)
	p.mu.Unlock()
	for ; ahead > paceSlack; ahead -= paceSlack {
		select {
		case <-time.After(paceSlack):
		case <-ctx.Done():
			return errStopped
		}
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}
