package server

import (
	"crypto/tls"
	"sync"
	"time"

	"ottla/coord/acl"
	"ottla/coord/watch"
	"ottla/coord/wire"
)

const (
	outSoft  = 4 << 20  // more than this waiting for the client: its connection is not read
	outHard  = 64 << 20 // more than this when an event comes: its connection is closed
	outKeep  = 256 << 10
	flushAt  = 64 << 10 // answers of one sweep are sent in pieces of about this size
	readsMax = 128      // reads that may wait behind writes
	readsTop = 2 << 20  // bytes of them, about
	// finishTimeout is how long a client may take to accept what is still queued when its connection ends.
	finishTimeout = 5 * time.Second
)

// outBuffer is a pooled buffer of frames.
type outBuffer struct{ b []byte }

var outBuffers = sync.Pool{New: func() any { return &outBuffer{b: make([]byte, 0, 4<<10)} }}

// waiting is a request in the connection's queue: a write on its way through the log, or a read behind one.
type waiting struct {
	xid   int32
	op    wire.Op
	read  bool
	start time.Duration // when it was read from the socket
	large int           // bytes that it counts among the large requests
	body  []byte        // of a read: its own copy
	auth  []byte        // of a read: identities when it came
}

// waitQueue is a first-in first-out of waiting requests that reuses its memory.
type waitQueue struct {
	items []waiting
	head  int
	reads int
	bytes int // of the reads' bodies
}

func (q *waitQueue) len() int { return len(q.items) - q.head }

func (q *waitQueue) push(w waiting) {
	if w.read {
		q.reads++
		q.bytes += len(w.body)
	}
	if q.head > 0 && len(q.items) == cap(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, w)
}

func (q *waitQueue) peek() *waiting {
	if q.len() == 0 {
		return nil
	}
	return &q.items[q.head]
}

func (q *waitQueue) pop() waiting {
	w := q.items[q.head]
	q.items[q.head] = waiting{}
	q.head++
	if w.read {
		q.reads--
		q.bytes -= len(w.body)
	}
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
		if cap(q.items) > 4*readsMax {
			q.items = nil
		}
	}
	return w
}

// outLocked is the buffer to append frames to.
func (c *conn) outLocked() *outBuffer {
	if c.out == nil {
		c.out = outBuffers.Get().(*outBuffer)
		c.out.b = c.out.b[:0]
	}
	return c.out
}

func (c *conn) queuedLocked() int {
	if c.out == nil {
		return c.inWrite
	}
	return len(c.out.b) + c.inWrite
}

// replyLocked appends an answer that has no record.
func (c *conn) replyLocked(xid int32, zxid int64, code wire.Code) {
	o := c.outLocked()
	o.b = wire.AppendInt(o.b, wire.ReplyHeaderSize)
	o.b = wire.AppendReplyHeader(o.b, xid, zxid, code)
	c.sentLocked(wire.ReplyHeaderSize)
}

// replyBodyLocked appends an answer with its record.
func (c *conn) replyBodyLocked(xid int32, zxid int64, body []byte) {
	c.replyRecordLocked(xid, zxid, wire.CodeOK, body)
}

func (c *conn) replyRecordLocked(xid int32, zxid int64, code wire.Code, body []byte) {
	o := c.outLocked()
	o.b = wire.AppendInt(o.b, int32(wire.ReplyHeaderSize+len(body)))
	o.b = wire.AppendReplyHeader(o.b, xid, zxid, code)
	o.b = append(o.b, body...)
	c.sentLocked(wire.ReplyHeaderSize + len(body))
}

func (c *conn) sentLocked(size int) {
	c.sent++
	c.srv.stats.replied(size)
}

// WatchEvent implements watch.Watcher: it queues the event unless the client may not read the node.
// Behind the answer to its closeSession a client hears of nothing more.
func (c *conn) WatchEvent(e *watch.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead || c.finished || c.overrun || !acl.Allowed(e.ACL, wire.PermRead, c.watchAuth) && !c.srv.cfg.SkipACL {
		return
	}
	if c.queuedLocked() > outHard {
		c.overrun = true
	} else {
		o := c.outLocked()
		o.b = append(o.b, e.Frame()...)
		c.sent++
		c.srv.stats.sent.Add(1)
	}
	c.readyLocked()
}

// readyLocked has the apply loop wake the writer once it has let go of the state. Only the apply loop calls it.
func (c *conn) readyLocked() {
	if !c.ready {
		c.ready = true
		c.srv.ready = append(c.srv.ready, c)
	}
}

// wake has the writer look at the queue. Called by the apply loop, without locks.
func (c *conn) wake() {
	c.mu.Lock()
	c.ready = false
	overrun := c.overrun
	c.mu.Unlock()
	if overrun {
		c.srv.cfg.Logger.Warn().Str("client", c.nc.RemoteAddr().String()).Msg("client does not take its watch events; closing its connection")
		c.kill()
		return
	}
	select {
	case c.wakeup <- struct{}{}:
	default:
	}
}

// writeLoop sends what the apply loop queued, until the connection ends.
func (c *conn) writeLoop() {
	for {
		select {
		case <-c.gone:
			return
		case <-c.wakeup:
			if !c.flush() {
				return
			}
		}
	}
}

// flush writes everything queued, unless somebody else is at it, who then writes it. It may be called from any goroutine that may block. False: the
// connection is over.
func (c *conn) flush() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing {
		return true
	}
	c.writing = true
	for c.out != nil && !c.dead {
		o := c.out
		c.out, c.inWrite = nil, len(o.b)
		if c.finished {
			c.nc.SetWriteDeadline(time.Now().Add(finishTimeout))
		}
		c.mu.Unlock()
		_, err := c.nc.Write(o.b)
		if cap(o.b) <= outKeep {
			outBuffers.Put(o)
		}
		c.mu.Lock()
		c.inWrite = 0
		c.changed.Broadcast()
		if err != nil {
			c.killLocked()
		}
	}
	c.writing = false
	if c.finished && !c.dead {
		c.sayGoodbyeLocked()
		c.killLocked()
	}
	return !c.dead
}

// sayGoodbyeLocked ends a TLS connection as TLS wants it: a client must be able to tell the end from a cut.
func (c *conn) sayGoodbyeLocked() {
	tc, ok := c.nc.(*tls.Conn)
	if !ok {
		return
	}
	c.writing = true
	c.mu.Unlock()
	tc.SetWriteDeadline(time.Now().Add(finishTimeout))
	tc.CloseWrite()
	c.mu.Lock()
	c.writing = false
}

// finishLocked ends the connection once everything queued is sent; the caller sees to it that it is flushed.
func (c *conn) finishLocked() {
	c.finished = true
	if c.writing && !c.dead {
		// The write that is under way may take for ever.
		c.nc.SetWriteDeadline(time.Now().Add(finishTimeout))
	}
}

// kill ends the connection at once. It may be called from anywhere, also twice.
func (c *conn) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.killLocked()
}

func (c *conn) killLocked() {
	if c.dead {
		return
	}
	c.dead = true
	close(c.gone)
	c.raw.Close() // not TLS's own, which may wait for the client
	c.changed.Broadcast()
}
