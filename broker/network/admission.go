package network

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"ottla/broker/quota"
)

// lingerersMax is how many refused connections are kept open until their time is over; more are closed at once.
const lingerersMax = 1000

// address is a client's address; IPv4 in IPv6 is IPv4.
func address(nc *net.TCPConn) netip.Addr {
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// enter waits until the connection may come in and says whether it may; one that may not is closed. It runs on the listener's
// acceptor: while one waits, so do those behind it, in the kernel.
func (s *Server) enter(nc *net.TCPConn, listener string) bool {
	limits := s.cfg.Connections
	if limits == nil {
		return true
	}
	ip := address(nc)
	if wait := limits.Arrive(listener, s.Elapsed()); wait > 0 && !s.sleep(wait) {
		_ = nc.Close()
		return false
	}
	for {
		changed := limits.Changed() // before Enter: what changes after it is not missed
		admission, most, wait := limits.Enter(listener, ip, s.Elapsed())
		switch admission {
		case quota.Admitted:
			if limits.Protected(listener) {
				s.shed()
			}
			return true
		case quota.TooMany:
			s.refused(zerolog.InfoLevel).Stringer("client", ip).Str("listener", listener).Int("max", most).Msg("connection refused: its address has as many as it may (max.connections.per.ip)")
			_ = nc.Close()
			return false
		case quota.Throttled:
			s.refused(zerolog.InfoLevel).Stringer("client", ip).Str("listener", listener).Dur("for", wait).Msg("connection refused: its address makes them too fast (" + quota.ConnectionRate + ")")
			s.closeLater(nc, wait)
			return false
		}
		s.refused(zerolog.WarnLevel).Stringer("client", ip).Str("listener", listener).Msg("connection waits: there are as many as there may be (max.connections)")
		select {
		case <-changed:
		case <-s.quit.Done():
			_ = nc.Close()
			return false
		}
	}
}

// refused is a line about a connection, nil when there have been too many.
func (s *Server) refused(level zerolog.Level) *zerolog.Event {
	if !s.refusals.Sample(level) {
		return nil
	}
	return s.cfg.Refusals.WithLevel(level)
}

// closeLater closes a refused connection when its time is over: closed at once, its client would be back at once.
func (s *Server) closeLater(nc *net.TCPConn, wait time.Duration) {
	if s.lingerers.Add(1) > lingerersMax {
		s.lingerers.Add(-1)
		_ = nc.Close()
		return
	}
	s.wg.Go(func() { // the acceptor that calls holds wg above zero
		s.sleep(wait)
		_ = nc.Close()
		s.lingerers.Add(-1)
	})
}

// sleep returns false when the server closes first.
func (s *Server) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.quit.Done():
		return false
	}
}

// leave ends what enter began.
func (s *Server) leave(c *conn) {
	if s.cfg.Connections != nil {
		s.cfg.Connections.Leave(c.info.Listener, c.ip)
	}
}

// SetConnectionLimits puts other limits in force. Connections beyond max.connections are closed, those first that have been idle
// for longest; none that is served a request.
func (s *Server) SetConnectionLimits(l *quota.ConnectionLimits) {
	s.cfg.Connections.SetLimits(l)
	s.shed()
}

// shed closes idle connections of clients until there are no more than there may be. Those that are busy have their turn when
// the reaper calls.
func (s *Server) shed() {
	limits := s.cfg.Connections
	if limits == nil || limits.Excess() == 0 {
		return
	}
	s.shedding.Lock()
	defer s.shedding.Unlock()
	type candidate struct {
		c     *conn
		since int64
	}
	var idle []candidate
	excess := limits.Excess()
	s.each(func(c *conn) {
		if c.ctx.Err() != nil {
			excess-- // it is on its way
		} else if since := c.since.Load(); since != 0 && !limits.Protected(c.info.Listener) {
			idle = append(idle, candidate{c, since})
		}
	})
	slices.SortFunc(idle, func(a, b candidate) int { return cmp.Compare(a.since, b.since) })
	for _, i := range idle[:min(max(excess, 0), len(idle))] {
		i.c.stop()
	}
}
