package server

import (
	"crypto/rand"
	"errors"
	"os"
	"time"

	"ottla/coord/fsm"
	"ottla/coord/wire"
)

// handshake reads the connect request, or a four-letter word in its place. False: the connection is over.
func (c *conn) handshake() bool {
	for {
		if head := c.in.Peek(4); head != nil && c.word(head) {
			return false
		}
		frame, err := c.in.Next(c.srv.cfg.MaxFrame)
		if err != nil {
			return false
		}
		if frame != nil {
			r, err := wire.DecodeConnectRequest(frame)
			return err == nil && c.connect(&r)
		}
		if err := c.in.Fill(c.nc); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				c.srv.stats.sessionless.Add(1)
			}
			return false
		}
	}
}

// connect opens a session or attaches to one, and answers.
func (c *conn) connect(r *wire.ConnectRequest) bool {
	s := c.srv
	s.stats.connects.Add(1)
	if !s.connecting.take(s.since(), s.connectCost(r)) {
		s.stats.throttled.Add(1)
		return false
	}
	var zxid int64
	s.state.View(func(m *fsm.Machine) { zxid = m.Zxid() })
	if r.LastZxidSeen > zxid {
		// The client has seen a state that is not here yet, and must not go back.
		s.cfg.Logger.Warn().Str("client", c.nc.RemoteAddr().String()).Int64("client zxid", r.LastZxidSeen).Int64("our zxid", zxid).
			Msg("refusing a client that has seen a later state; it has to try another server")
		return false
	}
	timeout := clampTimeout(r.TimeoutMs, s.cfg.MinSessionTimeout, s.cfg.MaxSessionTimeout)
	var res connectResult
	var ok bool
	if r.SessionID == 0 {
		res, ok = c.open(timeout)
	} else {
		s.stats.revalidated.Add(1)
		res, ok = c.propose(&fsm.Request{
			Op: fsm.OpAttach, Session: r.SessionID, Time: s.wall(), Body: fsm.AttachBody(r.Password, timeout),
		})
	}
	if !ok {
		return false
	}
	answer := wire.ConnectResponse{HasReadOnly: r.HasReadOnly}
	if res.code == wire.CodeOK {
		c.id, c.attach = res.session.ID, res.session.Attach
		answer.TimeoutMs, answer.SessionID, answer.Password = res.session.TimeoutMs, res.session.ID, res.session.Password
	}
	c.mu.Lock()
	o := c.outLocked()
	o.b = wire.AppendConnectResponse(o.b, &answer)
	c.sent++
	c.received++
	if res.code != wire.CodeOK {
		c.finishLocked()
	}
	c.mu.Unlock()
	s.stats.sent.Add(1)
	s.stats.received.Add(1)
	return c.flush()
}

// connectCost is how many tokens a connect request takes.
func (s *Server) connectCost(r *wire.ConnectRequest) int {
	switch {
	case !s.cfg.ConnectThrottle.Weighted:
		return 1
	case r.SessionID == 0:
		return 3
	}
	return 2
}

// open makes a new session.
func (c *conn) open(timeoutMs int32) (connectResult, bool) {
	var password [wire.PasswordSize]byte
	if _, err := rand.Read(password[:]); err != nil {
		return connectResult{}, false
	}
	for {
		res, ok := c.propose(&fsm.Request{
			Op: wire.OpCreateSession, Session: c.srv.nextSession.Add(1), Time: c.srv.wall(),
			Body: fsm.CreateSessionBody(password, timeoutMs),
		})
		if !ok || res.code != wire.CodeNodeExists {
			return res, ok
		}
		// Another process with our id, or a clock that was set back, has used the number: go on above it.
		var last int64
		c.srv.state.View(func(m *fsm.Machine) { last = m.LastSession(c.srv.cfg.ServerID) })
		for next := c.srv.nextSession.Load(); next < last && !c.srv.nextSession.CompareAndSwap(next, last); {
			next = c.srv.nextSession.Load()
		}
	}
}

// propose puts a connect request through the log and waits for the outcome.
func (c *conn) propose(r *fsm.Request) (connectResult, bool) {
	c.mu.Lock()
	dead := c.dead
	if !dead {
		c.enqueueLocked(waiting{op: r.Op, start: c.srv.since()})
	}
	c.mu.Unlock()
	if dead || !c.srv.proposer.add(c, r) {
		return connectResult{}, false
	}
	select {
	case res := <-c.connected:
		return res, true
	case <-c.gone:
		return connectResult{}, false
	}
}

func clampTimeout(ms int32, low, high time.Duration) int32 {
	return int32(min(max(time.Duration(ms)*time.Millisecond, low), high) / time.Millisecond)
}
