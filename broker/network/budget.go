package network

import "sync"

// budget bounds the bytes that the requests of all connections hold beyond each connection's first buffer.
//
// Memory is drawn as bytes arrive, so two half-read requests could each hold what the other waits for. Therefore one
// connection at a time may draw beyond the limit (the overdraft): its request ends, and with it the wait of the others.
// If it does not, because its client has stopped sending, the reaper closes it (see Server.reap). In all, at most
// limit + one request is held. What connections have begun to send and not gone on with counts, too, down to the last byte:
// at twice the limit they are closed as they begin to wait.
//
// Ordinary requests leave reserve bytes untouched. Those may be used by the requests between brokers: a produce that waits
// for its followers must never keep their fetches from being read.
type budget struct {
	limit, reserve int64

	mu        sync.Mutex
	used      int64
	overdraft *conn
	beyond    int64         // of used: what the overdraft has drawn when it did not fit
	changed   chan struct{} // closed when memory came free; non-nil only while somebody waits
}

// draw takes n bytes for c, waiting until they are there. It returns false when stop was closed first.
func (b *budget) draw(c *conn, n int64, reserved bool, stop <-chan struct{}) bool {
	for {
		b.mu.Lock()
		limit := b.limit
		if !reserved {
			limit -= b.reserve
		}
		fits := b.used+n <= limit
		if fits || b.overdraft == nil || b.overdraft == c {
			if !fits {
				b.overdraft = c
				b.beyond += n
			}
			b.used += n
			b.mu.Unlock()
			return true
		}
		if b.changed == nil {
			b.changed = make(chan struct{})
		}
		changed := b.changed
		b.mu.Unlock()
		select {
		case <-changed:
		case <-stop:
			return false
		}
	}
}

// tryDraw takes n ordinary bytes if that makes nobody wait.
func (b *budget) tryDraw(n int64) bool {
	if n <= 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used+n > b.limit-b.reserve {
		return false
	}
	b.used += n
	return true
}

// repay gives back n bytes that c has drawn.
func (b *budget) repay(c *conn, n int64) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	if b.overdraft == c {
		b.overdraft, b.beyond = nil, 0
	}
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// hold counts n bytes of a connection that has sent a part of a request and waits for the rest, and asks nobody: they are there
// already. It returns false when so much is held that this connection must go. One request may be larger than the limit, and its client
// may pause: what the overdraft has drawn does not count, and it is never the one that must go.
func (b *budget) hold(c *conn, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used += n
	return b.overdraft == c || b.used-b.beyond <= 2*b.limit
}

// letGo ends hold.
func (b *budget) letGo(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// contended says whether some connection waits for memory, or more is held than there should be.
func (b *budget) contended() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed != nil || b.used > b.limit
}

// BetweenBrokers says whether the API carries what brokers and controllers say to each other: Fetch, LeaderAndIsr, StopReplica,
// UpdateMetadata, ControlledShutdown, OffsetForLeaderEpoch, WriteTxnMarkers, AlterPartition, AllocateProducerIds. Consumers
// send Fetch, too, but small ones.
func BetweenBrokers(key int16) bool {
	switch key {
	case 1, 4, 5, 6, 7, 23, 27, 56, 67:
		return true
	}
	return false
}
