package network

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"ottla/broker/api"
)

// sweepMax bounds the requests of one sweep, pendingMax the answers that may be pending on a connection; a client that has
// more in flight waits.
const (
	sweepMax   = 64
	pendingMax = 256
	lingerMax  = 100 * time.Millisecond
)

// conn is one connection. Its fields belong to its goroutine unless they say otherwise.
type conn struct {
	srv    *Server
	nc     *net.TCPConn
	raw    syscall.RawConn // nil: portable reads and writes
	info   api.Conn
	ip     netip.Addr
	ctx    context.Context
	cancel context.CancelFunc

	// in.b[r:w] has been read and not yet run. in is nil when nothing is held.
	in       *buffer
	r, w     int
	drawn    int64 // of srv.budget, for in
	parked   int64 // likewise, while it waits with a part of a request
	reading  rawRead
	received time.Time
	arrived  time.Duration // the same, for spans
	waits    api.Waits     // of the request that runs

	sweep    []*api.Request // reused by every sweep
	headers  []header
	clientID string // the last one, so that it need not be made a string for every request

	// out is used by the connection's goroutine or, while pending is draining, by that one.
	out     output
	pending pending

	// since is when the connection began to wait for bytes, on the server's own clock (Server.Elapsed), 0 while it does not. Read
	// by the reaper.
	since atomic.Int64
	// partial says that what it waits for is the rest of a request.
	partial atomic.Bool

	dead     chan struct{} // closed when the socket is
	deadOnce sync.Once
}

func newConn(s *Server, nc *net.TCPConn, listener string) *conn {
	c := &conn{srv: s, nc: nc, dead: make(chan struct{})}
	c.ip = address(nc)
	c.info = api.Conn{ID: s.lastConn.Add(1), Listener: listener, Principal: "User:ANONYMOUS", ClientHost: c.ip.String()}
	c.ctx, c.cancel = context.WithCancel(s.quit)
	if s.cfg.Observer != nil {
		c.ctx = api.WithWaits(c.ctx, &c.waits)
	}
	c.out.init(c)
	c.pending.c = c
	if !s.portable {
		c.initRaw()
	}
	return c
}

// stop cuts the connection: reads, writes and waits in progress fail. Any goroutine may call it.
func (c *conn) stop() {
	c.deadOnce.Do(func() {
		close(c.dead)
		c.cancel()
		_ = c.nc.Close()
	})
}

// hurry wakes a connection that waits for bytes, so that it sees that the server is closing.
func (c *conn) hurry() { _ = c.nc.SetReadDeadline(time.Unix(1, 0)) }

// finish ends the connection after its goroutine has returned err.
func (c *conn) finish(err error) {
	if c.srv.closing.Load() && errors.Is(err, io.EOF) {
		c.linger()
	}
	c.stop()
	c.pending.wait() // the drain goroutine sees dead and ends
	c.releaseIn()
	c.out.release()
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		c.srv.log.Debug().Err(err).Str("client", c.info.ClientHost).Uint64("connection", c.info.ID).Msg("connection closed")
	default:
		c.srv.log.Info().Err(err).Str("client", c.info.ClientHost).Str("listener", c.info.Listener).Msg("connection closed")
	}
}

// linger waits a little for the client to close its side. Closing a socket with unread bytes resets it, and a reset may
// overtake the last answers.
func (c *conn) linger() {
	_ = c.nc.CloseWrite()
	_ = c.nc.SetReadDeadline(time.Now().Add(lingerMax))
	_, _ = io.Copy(io.Discard, c.nc) // ends at the deadline at the latest
}

// reap closes the connection if it has been waiting too long: idle for MaxIdle, or with half a request while others wait for
// the memory that it holds.
func (c *conn) reap(now time.Duration, contended bool) {
	since := c.since.Load()
	if since == 0 {
		return
	}
	waited := now - time.Duration(since)
	if c.srv.cfg.MaxIdle > 0 && waited > c.srv.cfg.MaxIdle || contended && c.partial.Load() && waited > c.srv.cfg.RequestTimeout {
		if c.ctx.Err() == nil {
			c.srv.counts[c.info.Listener].idle.Add(1)
		}
		c.stop()
	}
}

// serve runs the connection until an error ends it. io.EOF is the ordinary end.
func (c *conn) serve() (err error) {
	defer func() {
		if p := recover(); p != nil {
			// One poisonous request must not take the broker from everybody else.
			c.srv.log.Error().Str("client", c.info.ClientHost).Str("stack", string(debug.Stack())).Msg("handler panicked")
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	for {
		if c.info.Muted() > 0 {
			if err := c.muted(); err != nil {
				return err
			}
		}
		frame, err := c.frame()
		if err != nil {
			c.lastWords()
			return err
		}
		if frame == nil {
			if err := c.idle(); err != nil {
				return err
			}
			continue
		}
		h, rt, err := c.srv.routes.parseHeader(frame)
		switch {
		case err != nil && rt != nil && h.key == keyApiVersions && errors.As(err, new(errUnserved)):
			err = c.answerUnsupportedApiVersions(h, rt)
		case err != nil:
		case rt.Sweep != nil:
			err = c.runSweep(h, rt, frame)
		default:
			err = c.run(h, rt, frame)
		}
		if err != nil {
			c.lastWords()
			return err
		}
	}
}

// muted waits until the client is no longer throttled; what was answered leaves before. When the server closes, it is over. One that is not
// read is not heard hanging up, and keeps what it has sent already: for the reaper it is as idle as it looks.
func (c *conn) muted() error {
	if err := c.pending.drained(c.dead); err != nil {
		return err
	}
	if err := c.out.flush(); err != nil {
		return err
	}
	c.out.release()
	c.trim()
	c.partial.Store(c.in != nil)
	c.since.Store(int64(c.srv.Elapsed()))
	defer c.since.Store(0)
	for d := c.info.Muted(); d > 0; d = c.info.Muted() {
		t := time.NewTimer(d)
		select {
		case <-t.C:
		case <-c.dead:
			t.Stop()
			return net.ErrClosed
		case <-c.srv.quit.Done():
			t.Stop()
			return nil
		}
	}
	return nil
}

// lastWords writes the answers to what came before the request that ends the connection.
func (c *conn) lastWords() {
	c.pending.wait()
	_ = c.out.flush() // the connection ends either way
}

// frame returns the first whole request in the buffer, without its length word, or nil if there is none.
func (c *conn) frame() ([]byte, error) {
	have := c.w - c.r
	if have < frameHeader {
		return nil, nil
	}
	b := c.in.b[c.r:c.w]
	n := int(int32(binary.BigEndian.Uint32(b)))
	if n < headerMin || n > c.srv.cfg.MaxRequestBytes {
		return nil, fmt.Errorf("request of %d bytes; the range is %d to %d (socket.request.max.bytes)", n, headerMin, c.srv.cfg.MaxRequestBytes)
	}
	if have < frameHeader+n {
		return nil, nil
	}
	return b[frameHeader : frameHeader+n], nil
}

// consume steps over the first request of the buffer.
func (c *conn) consume(frame []byte) {
	c.r += frameHeader + len(frame)
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
}

// idle is called when no whole request is left: writes what has been answered and waits for bytes.
func (c *conn) idle() error {
	if !c.pending.busy() {
		if err := c.out.flush(); err != nil {
			return err
		}
		c.out.release()
	}
	if c.srv.closing.Load() {
		c.pending.wait()
		return io.EOF
	}
	if err := c.fill(); err != nil {
		if c.srv.closing.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
			c.pending.wait()
			return io.EOF
		}
		return err
	}
	c.received, c.arrived = c.srv.cfg.Now(), c.now()
	return nil
}

// answerUnsupportedApiVersions keeps the order of answers as any other request does.
func (c *conn) answerUnsupportedApiVersions(h header, rt *route) error {
	c.pending.wait()
	frame, _ := c.frame()
	c.consume(frame)
	return c.out.bytes(h, &span{}, func(dst []byte) []byte { return appendUnsupportedApiVersions(dst, rt) })
}

// request fills req from a parsed frame.
func (c *conn) request(req *api.Request, h header, frame []byte) {
	if string(h.clientID) != c.clientID {
		c.clientID = string(h.clientID)
	}
	*req = api.Request{Key: h.key, Version: h.version, CorrelationID: h.correlation, ClientID: c.clientID, Body: frame[h.size:], Size: len(frame), Conn: &c.info, Received: c.received}
}

// run serves one request on this goroutine.
func (c *conn) run(h header, rt *route, frame []byte) error {
	if err := c.pending.drained(c.dead); err != nil {
		return err
	}
	req := new(api.Request) // a handler may keep it
	c.request(req, h, frame)
	if !rt.quick {
		// The handler may wait for long. What came before is written now, and no more memory kept than the request needs.
		if err := c.out.flush(); err != nil {
			return err
		}
		c.out.release()
		frame = c.shrink(frame)
		req.Body = frame[h.size:]
	}
	h.clientID = nil // aliases a buffer that may be somebody else's by now
	begun, waited := c.begin(req), c.waits.Total()
	resp, err := rt.Handle(c.ctx, req)
	c.consume(frame)
	if err != nil {
		return err
	}
	s := c.span(req, begun, c.now())
	s.waited = c.waits.Total() - waited
	return c.out.answer(h, &s, resp)
}

// shrink moves the first frame, if it is all that the buffer holds, into a buffer of just its size. It returns the frame there.
func (c *conn) shrink(frame []byte) []byte {
	size := frameHeader + len(frame)
	if c.w-c.r != size || size > len(c.in.b)/4 || c.drawn != 0 {
		return frame
	}
	c.moveIn(size)
	return c.in.b[frameHeader:size]
}

// runSweep serves this request and all whole ones of the same API and behind it in the buffer.
func (c *conn) runSweep(h header, rt *route, frame []byte) error {
	n, most, bytes := 0, sweepMax, 0
	if limited := c.srv.cfg.Limited; limited != nil && limited(&c.info, h.clientID) {
		most = 1 // each may be the one to be throttled for, before the next is run
		if err := c.pending.drained(c.dead); err != nil {
			return err
		}
	}
	for {
		if n == len(c.sweep) {
			c.sweep, c.headers = append(c.sweep, new(api.Request)), append(c.headers, header{})
		}
		c.request(c.sweep[n], h, frame)
		h.clientID = nil // aliases the buffer
		c.headers[n] = h
		c.consumeSwept(frame)
		n++
		if bytes += len(frame); n == most || bytes > readAhead {
			break
		}
		var err error
		if frame, err = c.frame(); frame == nil || err != nil {
			break // an error shows again, after what came before it
		}
		var next *route
		if h, next, err = c.srv.routes.parseHeader(frame); err != nil || next != rt {
			break
		}
	}
	if err := c.pending.room(c.dead); err != nil {
		return err
	}
	begun := c.begin(c.sweep[:n]...)
	answers := rt.Sweep(c.ctx, c.sweep[:n])
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
	ran := c.now()
	for i, a := range answers {
		s := c.span(c.sweep[i], begun, ran)
		s.together = uint8(n)
		if err := c.sweptAnswer(c.headers[i], &s, a); err != nil {
			for _, a := range answers[i+1:] {
				abandon(a)
			}
			return err
		}
	}
	clear(answers)
	if most == 1 {
		return c.pending.drained(c.dead)
	}
	return nil
}

// sweptAnswer queues an answer of a sweep: behind what is pending, or at once.
func (c *conn) sweptAnswer(h header, s *span, a api.Answer) error {
	if !c.pending.busy() {
		if ready(a) {
			resp, err := a.Result()
			if err != nil {
				return err
			}
			return c.out.answer(h, s, resp)
		}
		if err := c.out.flush(); err != nil {
			abandon(a)
			return err
		}
	}
	c.pending.push(h, s, a)
	return nil
}

// consumeSwept is consume for a frame that is still in use: the buffer is not reset.
func (c *conn) consumeSwept(frame []byte) { c.r += frameHeader + len(frame) }

func ready(a api.Answer) bool {
	ch := a.Ready()
	if ch == nil {
		return true
	}
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
