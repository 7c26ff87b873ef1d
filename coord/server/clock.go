package server

import (
	"sync"
	"sync/atomic"
	"time"

	"ottla/coord/fsm"
	"ottla/coord/tree"
	"ottla/coord/wire"
)

// session is a session as this server's clock sees it.
type session struct {
	id        int64
	heard     atomic.Int64 // when its client was last heard of: a time.Duration of Server.since
	timeoutMs atomic.Int32 // that of the last connection

	// Of clock.mu.
	attach  uint32
	bucket  int64
	expired bool // its end is in the log's hands, and hearing of it does not help any more
	gone    bool
	conn    *conn // nil if its client is not connected
}

func (s *session) timeout() time.Duration {
	return time.Duration(s.timeoutMs.Load()) * time.Millisecond
}

// clock knows when sessions end, and ends them; it also looks for containers and nodes with a time to live that are over.
type clock struct {
	srv  *Server
	stop chan struct{}

	mu       sync.Mutex
	sessions map[int64]*session
	wheel    wheel

	allowed float64 // of run: containers that ContainerRate lets the next look delete
}

func (k *clock) init(s *Server) {
	k.srv, k.stop = s, make(chan struct{})
	k.sessions, k.wheel = map[int64]*session{}, newWheel(s.cfg.TickTime)
}

// restart gives every session its full timeout from now.
func (k *clock) restart(m *fsm.Machine) {
	now := k.srv.since()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sessions, k.wheel = map[int64]*session{}, newWheel(k.srv.cfg.TickTime)
	m.EachSession(func(s fsm.Session) { k.addLocked(&s, nil, now) })
}

func (k *clock) addLocked(s *fsm.Session, c *conn, now time.Duration) {
	t := &session{id: s.ID, attach: s.Attach, conn: c}
	t.heard.Store(int64(now))
	t.timeoutMs.Store(s.TimeoutMs)
	k.sessions[s.ID] = t
	k.wheel.add(t)
	if c != nil {
		c.session = t
	}
}

// open takes in a new session; c is its connection if that is here.
func (k *clock) open(s *fsm.Session, c *conn, now time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.addLocked(s, c, now)
}

// attached notes that a session has a new connection, and returns the one before if it is here.
func (k *clock) attached(s *fsm.Session, c *conn, now time.Duration) (old *conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.sessions[s.ID]
	if t == nil {
		return nil
	}
	old, t.conn = t.conn, c
	t.attach, t.expired = s.Attach, false
	t.timeoutMs.Store(s.TimeoutMs)
	t.heard.Store(int64(now))
	k.wheel.add(t)
	if c != nil {
		c.session = t
	}
	return old
}

// closed forgets a session and returns its connection if that is here.
func (k *clock) closed(id int64) *conn {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.sessions[id]
	if t == nil {
		return nil
	}
	t.gone = true
	delete(k.sessions, id)
	return t.conn
}

// detach notes that a connection has gone.
func (k *clock) detach(c *conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if t := c.session; t != nil && t.conn == c {
		t.conn = nil
	}
}

// run wakes at every tick until stop.
func (k *clock) run() {
	tick := k.srv.cfg.TickTime
	t := time.NewTimer(tick - k.srv.since()%tick)
	defer t.Stop()
	look := time.NewTicker(k.srv.cfg.ContainerCheck) // containers have a rhythm of their own, which may be far shorter than a tick
	defer look.Stop()
	planned := (k.srv.since()/tick + 1) * tick
	for {
		select {
		case <-k.stop:
			return
		case <-look.C:
			k.reap()
			continue
		case <-t.C:
		}
		now := k.srv.since()
		t.Reset(tick - now%tick)
		// A server that was stopped for a while, or whose disk is, has not heard its clients: what they sent waits in sockets. They get one
		// more tick to be heard.
		if now-planned < tick/2 && k.srv.proposer.moving(tick/2) {
			k.expire(now)
		}
		planned = (k.srv.since()/tick + 1) * tick
	}
}

// expire proposes the end of sessions that are due.
func (k *clock) expire(now time.Duration) {
	k.mu.Lock()
	dead := k.wheel.expired(now)
	requests := make([]fsm.Request, 0, len(dead))
	for _, s := range dead {
		s.expired = true
		requests = append(requests, fsm.Request{Op: fsm.OpExpire, Session: s.id, Attach: s.attach, Time: k.srv.wall()})
	}
	k.mu.Unlock()
	for i := range requests {
		k.srv.stats.expired.Add(1)
		k.srv.cfg.Logger.Info().Hex("session", sessionBytes(requests[i].Session)).Msg("session expired")
		k.srv.proposer.add(nil, &requests[i])
	}
}

// reap proposes the end of containers that are empty again and of nodes whose time is over.
func (k *clock) reap() {
	now, unused := k.srv.wall(), k.srv.cfg.ContainerUnused.Milliseconds()
	// As many as ContainerRate allows for the time between two looks; what is allowed and not used is not saved, but for a part of one.
	rate := float64(k.srv.cfg.ContainerRate) * k.srv.cfg.ContainerCheck.Minutes()
	k.allowed = min(k.allowed+rate, max(rate, 1))
	most := int(k.allowed)
	var paths []string
	k.srv.state.View(func(m *fsm.Machine) {
		m.Tree().Reapable(func(n *tree.Node) {
			if len(paths) < most && n.NumChildren() == 0 && n.Over(now, unused) {
				paths = append(paths, n.Path())
			}
		})
	})
	k.allowed -= float64(len(paths))
	for _, path := range paths {
		k.srv.proposer.add(nil, &fsm.Request{Op: fsm.OpReap, Time: now, Body: fsm.ReapBody(path, unused)})
	}
}

// overQuota counts a request that went beyond a limit, and tells of one in ten seconds. Called by the apply loop.
func (s *Server) overQuota(res *fsm.Result) {
	if res.Code == wire.CodeQuotaExceeded {
		s.stats.overQuota.Add(1)
	}
	now := s.since()
	if told := time.Duration(s.stats.quotaTold.Load()); told != 0 && now-told < 10*time.Second {
		return
	}
	s.stats.quotaTold.Store(int64(now))
	s.cfg.Logger.Warn().Bytes("path", res.Quota).Bool("refused", res.Code == wire.CodeQuotaExceeded).Msg("quota exceeded")
}

// wall is the wall clock in ms.
func (s *Server) wall() int64 { return s.cfg.Now().UnixMilli() }

func sessionBytes(id int64) []byte { return wire.AppendLong(nil, id) }
