package server

import (
	"sync"
	"time"

	"ottla/coord/fsm"
)

// Bounds of a batch; a connection that would go beyond waits, which stops its reading.
const (
	batchRequests = 1024
	batchBytes    = 256 << 10
	// batchesUnderWay is how many batches may be on their way through the log. While they are, the next one gathers. With one the disk would
	// idle between two batches; with many, batches would be small.
	batchesUnderWay = 2
)

// proposer gathers the writes of all connections into batches and remembers whose they are.
type proposer struct {
	log         Log
	incarnation uint64
	flags       uint8

	mu      sync.Mutex
	work    sync.Cond // for run: something to propose, or room under way, or closed
	room    sync.Cond // for add: the batch was taken
	batch   fsm.Batch
	owners  []*conn
	size    int // of the largest recent batch in bytes, a guess at the next one's
	nextSeq uint64
	stopped bool
	// Batches under way, oldest first. The apply loop reads the head's owners without the lock: they do not change any more.
	underWay []sent
	spare    [][]*conn

	applying sent // the apply loop's: the head of underWay
}

// sent is a batch under way: request first+i is of owners[i], nil for the server's own.
type sent struct {
	first  uint64
	owners []*conn
	at     time.Time
}

func (p *proposer) init(log Log, incarnation uint64, flags uint8) {
	p.log, p.incarnation, p.flags = log, incarnation, flags
	p.work.L, p.room.L = &p.mu, &p.mu
	p.batch.Reset(nil, flags, incarnation, 0)
}

// add puts a request into the next batch, waiting for room; its slices are copied. False after close.
func (p *proposer) add(owner *conn, r *fsm.Request) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.stopped && (p.batch.Count() >= batchRequests || p.batch.Len() >= batchBytes) {
		p.room.Wait()
	}
	if p.stopped {
		return false
	}
	p.batch.Append(r)
	p.owners = append(p.owners, owner)
	if len(p.owners) == 1 {
		p.work.Signal()
	}
	return true
}

// run proposes until close, or until the log fails.
func (p *proposer) run() error {
	for {
		batch, ok := p.next()
		if !ok {
			return nil
		}
		if err := p.log.Propose(batch); err != nil {
			closed := p.isStopped()
			p.close()
			if closed {
				return nil
			}
			return err
		}
	}
}

// next waits for requests and for room under way.
func (p *proposer) next() ([]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.stopped && (len(p.owners) == 0 || len(p.underWay) >= batchesUnderWay) {
		p.work.Wait()
	}
	if p.stopped {
		return nil, false
	}
	p.underWay = append(p.underWay, sent{p.nextSeq, p.owners, time.Now()})
	p.nextSeq += uint64(len(p.owners))
	b := p.batch.Bytes()
	p.size = max(len(b), p.size-p.size/16)
	p.batch.Reset(make([]byte, 0, min(p.size, 2*batchBytes)), p.flags, p.incarnation, p.nextSeq)
	p.owners = nil
	if n := len(p.spare); n > 0 {
		p.owners, p.spare = p.spare[n-1][:0], p.spare[:n-1]
	}
	p.room.Broadcast()
	return b, true
}

// owner is whose request seq is. The apply loop calls it for each of this server's requests, in order.
func (p *proposer) owner(seq uint64) *conn {
	if len(p.applying.owners) == 0 {
		p.mu.Lock()
		p.applying = p.underWay[0]
		p.mu.Unlock()
	}
	i := seq - p.applying.first
	c := p.applying.owners[i]
	if i == uint64(len(p.applying.owners)-1) {
		p.done()
	}
	return c
}

// done takes the batch that was applied off the way.
func (p *proposer) done() {
	clear(p.applying.owners)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spare = append(p.spare, p.applying.owners)
	p.applying = sent{}
	n := copy(p.underWay, p.underWay[1:])
	p.underWay[n] = sent{}
	p.underWay = p.underWay[:n]
	p.work.Signal()
}

func (p *proposer) isStopped() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopped
}

// moving says whether the log is keeping up: no batch has been on its way for longer than patience.
func (p *proposer) moving(patience time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.underWay) == 0 || time.Since(p.underWay[0].at) < patience
}

// close makes add and run return.
func (p *proposer) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	p.work.Broadcast()
	p.room.Broadcast()
}
