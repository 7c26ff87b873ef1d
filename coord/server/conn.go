package server

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"ottla/coord/acl"
	"ottla/coord/fsm"
	"ottla/coord/wire"
	"ottla/internal/digestmd5"
)

// conn is one client's connection.
type conn struct {
	srv       *Server
	transport transport
	raw       net.Conn // the socket
	nc        net.Conn // what the protocol is spoken over: the socket, or TLS on it
	ip        string

	// Of the connection's own goroutine.
	in      wire.Buffer
	auth    []byte // identities proven, as requests carry them; replaced, never changed
	attach  uint32
	id      int64
	request fsm.Request
	sweep   sweep

	exchange *digestmd5.Server
	admitted bool // has an identity that enforce.auth.schemes asks for, or none is

	session   *session // set by the apply loop before connected is sent to
	connected chan connectResult
	gone      chan struct{} // closed when the connection is over
	wakeup    chan struct{}

	mu        sync.Mutex
	changed   sync.Cond // for the connection's goroutine: an answer left, or is there
	out       *outBuffer
	inWrite   int // bytes that a write is busy with
	writing   bool
	queue     waitQueue
	inFlight  int64 // requests of the queue that count against the global limit
	large     int64 // bytes of the queue's large requests
	watchAuth []byte
	ready     bool // the apply loop is going to wake the writer
	finished  bool // close when everything is sent
	overrun   bool
	dead      bool
	received  int64 // packets
	sent      int64
	traffic   traffic

	established time.Duration // on the server's monotonic clock
}

// sweep counts what one read of the socket brought.
type sweep struct {
	start         time.Duration
	frames, bytes int64
	reads         int64 // answered in it
	op            wire.Op
	xid           int32 // of the last of them
}

// connectResult is what the apply loop made of a connect request.
type connectResult struct {
	code    wire.Code
	session fsm.Session
}

func newConn(s *Server, nc net.Conn, t transport) *conn {
	c := &conn{
		srv: s, transport: t, raw: nc, nc: nc, ip: remoteIP(nc),
		connected: make(chan connectResult, 1), gone: make(chan struct{}), wakeup: make(chan struct{}, 1),
	}
	c.changed.L = &c.mu
	c.established = s.since()
	c.setAuth(acl.AppendIdentity(nil, wire.ID{Scheme: acl.SchemeIP, ID: c.ip}))
	return c
}

// remoteIP is the client's address as text, an IPv4 one always as such.
func remoteIP(nc net.Conn) string {
	text := nc.RemoteAddr().String()
	if a, err := netip.ParseAddrPort(text); err == nil {
		return a.Addr().Unmap().WithZone("").String()
	}
	return text
}

func (c *conn) setAuth(auth []byte) {
	c.auth, c.admitted = auth, c.srv.isAdmitted(auth)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watchAuth = auth
}

// serve runs the connection to its end.
func (c *conn) serve() {
	defer c.cleanup()
	if t, ok := c.nc.(*net.TCPConn); ok {
		t.SetNoDelay(true)
	}
	c.nc.SetReadDeadline(time.Now().Add(c.srv.cfg.SessionlessTimeout))
	if !c.secure() || !c.handshake() {
		return
	}
	c.nc.SetReadDeadline(time.Time{})
	var writer sync.WaitGroup
	writer.Go(c.writeLoop)
	c.readLoop()
	c.kill()
	writer.Wait()
}

// cleanup forgets the connection everywhere. Its session lives on.
func (c *conn) cleanup() {
	c.kill()
	c.srv.clock.detach(c)
	// Inside View, so that no read that the apply loop runs for this connection can set a watch after it.
	c.srv.state.View(func(*fsm.Machine) { c.srv.state.UnwatchAll(c) })
	c.mu.Lock()
	c.srv.outstanding.Add(-c.inFlight)
	c.srv.large.Add(-c.large)
	c.inFlight, c.large = 0, 0
	c.out = nil
	c.mu.Unlock()
	c.srv.stats.dropped.Add(1)
}

// readLoop handles frames until the client goes, breaks a rule or closes its session.
func (c *conn) readLoop() {
	c.sweep.start = c.srv.since()
	for {
		frame, err := c.in.Next(c.srv.cfg.MaxFrame)
		switch {
		case err != nil:
			c.srv.stats.tooLarge.Add(1)
			return
		case frame == nil:
			if !c.sweepDone() || c.in.Fill(c.nc) != nil {
				return
			}
			c.sweep = sweep{start: c.srv.since()}
			c.session.heard.Store(int64(c.sweep.start))
			continue
		}
		c.sweep.frames++
		c.sweep.bytes += int64(len(frame) + 4)
		if !c.awaitRoom() {
			return
		}
		if !c.handle(frame, c.sweep.start) {
			c.sweepDone()
			<-c.gone // whoever finishes the connection does so once the answers are sent
			return
		}
	}
}

// sweepDone sends the answers to what one read of the socket brought, and counts.
func (c *conn) sweepDone() bool {
	var now time.Duration
	if c.sweep.frames > 0 {
		s := &c.srv.stats
		s.received.Add(c.sweep.frames)
		s.bytesIn.Add(c.sweep.bytes)
		now = c.srv.since()
		s.reads.add(now-c.sweep.start, c.sweep.reads)
	}
	c.mu.Lock()
	c.received += c.sweep.frames
	c.traffic.note(c.sweep.op, c.sweep.xid, now, now-c.sweep.start, c.sweep.reads)
	pending := (c.out != nil || c.finished) && !c.writing
	c.mu.Unlock()
	return !pending || c.flush()
}

// awaitRoom blocks while the client has more under way than it should. False: the connection is over.
func (c *conn) awaitRoom() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.crowdedLocked() {
		if c.out != nil && !c.writing {
			c.mu.Unlock()
			c.flush()
			c.mu.Lock()
			continue
		}
		c.changed.Wait()
	}
	return !c.dead
}

func (c *conn) crowdedLocked() bool {
	return !c.dead && (c.queuedLocked() > outSoft || c.queue.reads >= readsMax || c.queue.bytes >= readsTop ||
		c.inFlight > 0 && c.srv.outstanding.Load() > int64(c.srv.cfg.GlobalOutstandingLimit))
}

// handle takes one request. False: nothing more is to be read.
func (c *conn) handle(frame []byte, now time.Duration) bool {
	d := wire.NewDecoder(frame)
	xid, op := d.Int(), wire.Op(d.Int())
	if d.Err() != nil {
		c.kill()
		return false
	}
	body := d.Rest()
	switch op {
	case wire.OpAuth:
		return c.authenticate(xid, body)
	case wire.OpSASL:
		return c.sasl(xid, body)
	}
	if !c.admit(xid) {
		return false
	}
	switch op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL, wire.OpDelete, wire.OpSetData, wire.OpSetACL,
		wire.OpMulti, wire.OpReconfig:
		return c.write(xid, op, body, now)
	case wire.OpCloseSession:
		c.write(xid, op, nil, now)
		return false
	case wire.OpCreateSession:
		c.kill()
		return false
	}
	known := isRead(op)
	c.mu.Lock()
	if c.finished { // its session is over: nothing more is said, even if this was sooner than the writer
		c.mu.Unlock()
		return false
	}
	if c.queue.len() > 0 {
		c.enqueueLocked(waiting{xid: xid, op: op, read: true, start: now, body: append([]byte(nil), body...), auth: c.auth})
		c.mu.Unlock()
		return known
	}
	full := c.out != nil && len(c.out.b) >= flushAt
	c.mu.Unlock()
	if full && !c.flush() {
		return false
	}
	c.srv.state.View(func(m *fsm.Machine) { c.runRead(m, xid, op, body, c.auth) })
	c.sweep.reads++
	c.sweep.op, c.sweep.xid = op, xid
	return known
}

// write puts a request on its way through the log.
func (c *conn) write(xid int32, op wire.Op, body []byte, now time.Duration) bool {
	c.mu.Lock()
	if c.dead {
		c.mu.Unlock()
		return false
	}
	w := waiting{xid: xid, op: op, start: now}
	if c.srv.isLarge(len(body)) {
		if !c.srv.admitLarge(len(body)) {
			c.mu.Unlock()
			c.srv.cfg.Logger.Warn().Str("client", c.nc.RemoteAddr().String()).Int("bytes", len(body)).Msg("too many large requests; closing the connection")
			c.kill()
			return false
		}
		w.large = len(body)
	}
	c.enqueueLocked(w)
	c.mu.Unlock()
	c.request = fsm.Request{Op: op, Session: c.id, Attach: c.attach, Cxid: xid, Time: c.srv.wall(), Auth: c.auth, Body: body}
	if !c.srv.proposer.add(c, &c.request) {
		c.kill()
		return false
	}
	return true
}

func (c *conn) enqueueLocked(w waiting) {
	if w.xid > 0 {
		c.inFlight++
		c.srv.outstanding.Add(1)
	}
	c.large += int64(w.large)
	c.queue.push(w)
}

func (c *conn) dequeueLocked() waiting {
	w := c.queue.pop()
	if w.xid > 0 {
		c.inFlight--
		c.srv.outstanding.Add(-1)
	}
	if w.large > 0 {
		c.large -= int64(w.large)
		c.srv.large.Add(-int64(w.large))
	}
	return w
}

// applied answers the oldest write, then runs the reads that waited for it. Called by the apply loop under the state's lock.
func (c *conn) applied(m *fsm.Machine, r *fsm.Request, res *fsm.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return
	}
	w := c.dequeueLocked()
	c.srv.stats.updates.add(c.srv.applyAt-w.start, 1)
	c.traffic.note(r.Op, w.xid, c.srv.applyAt, c.srv.applyAt-w.start, 1)
	c.traffic.zxid = res.Zxid
	switch {
	case r.Op == wire.OpCreateSession || r.Op == fsm.OpAttach:
		c.connected <- connectResult{res.Code, res.Session}
		return
	case res.Code == wire.CodeSessionExpired || res.Code == wire.CodeSessionMoved:
		// The client learns what happened to its session when it connects again.
		c.finishLocked()
	case res.Code != wire.CodeOK:
		c.replyLocked(w.xid, res.Zxid, res.Code)
	default:
		c.replyBodyLocked(w.xid, res.Zxid, res.Body)
	}
	for !c.dead {
		next := c.queue.peek()
		if next == nil || !next.read {
			break
		}
		w := c.dequeueLocked()
		c.mu.Unlock()
		c.runRead(m, w.xid, w.op, w.body, w.auth)
		c.srv.stats.reads.add(c.srv.applyAt-w.start, 1)
		c.mu.Lock()
	}
	c.readyLocked()
	c.changed.Broadcast()
}

// sessionClosed ends the connection, after the answers and events that are queued. Called by the apply loop.
func (c *conn) sessionClosed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dead {
		c.finishLocked()
		c.readyLocked()
	}
}
