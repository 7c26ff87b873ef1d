package server

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"ottla/coord/fsm"
	"ottla/coord/state"
)

// Log is the replicated log as the server uses it.
type Log interface {
	// Propose hands over a batch, which belongs to the log from then on. Batches are applied (state.Apply) in the order of the calls, or not at
	// all once it returned an error. It blocks while too much is under way. One goroutine calls it.
	Propose(batch []byte) error
}

// ErrClosed is returned by Serve after Close.
var ErrClosed = errors.New("coordinator server is closed")

// Server serves clients on any number of listeners.
//
//	New(…) before the log is replayed; Start once it was; Serve for each listener; Close.
type Server struct {
	cfg         Config
	state       *state.State
	incarnation uint64    // names the requests of this process in the log
	epoch       time.Time // zero of the monotonic clock of sessions and latencies
	flags       uint8     // of entries

	proposer proposer
	clock    clock
	stats    stats

	outstanding atomic.Int64 // requests in flight with a positive xid
	large       atomic.Int64 // bytes of large requests in flight
	connecting  bucket
	nextSession atomic.Int64
	traceMask   atomic.Int64 // of gtmk and stmk

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]map[string]int // connections by address
	conns     map[*conn]struct{}

	running sync.WaitGroup // everything but Serve's callers
	serving sync.WaitGroup

	// Of the apply loop: connections with something new to send, and those that lost their session.
	ready   []*conn
	evicted []*conn
	applyAt time.Duration // when the slice that is being applied began, 0 if not asked yet
}

// New makes the server known to the state, whose Apply must not run yet.
func New(cfg Config, st *state.State, log Log) (*Server, error) {
	cfg.setDefaults()
	var seed [8]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, state: st, incarnation: binary.BigEndian.Uint64(seed[:]), epoch: time.Now(),
		listeners: map[net.Listener]map[string]int{}, conns: map[*conn]struct{}{},
	}
	s.flags = cfg.flags()
	s.proposer.init(log, s.incarnation, s.flags)
	s.clock.init(s)
	s.stats.init()
	s.connecting.init(cfg.ConnectThrottle)
	s.traceMask.Store(306) // ZooKeeper's own
	st.SetSink(s)
	return s, nil
}

// Start begins to propose and to watch over sessions, each of which gets its full timeout. The state has been recovered.
func (s *Server) Start() {
	s.state.View(func(m *fsm.Machine) {
		s.clock.restart(m)
		s.nextSession.Store(max(firstSession(s.cfg.ServerID, s.cfg.Now()), m.LastSession(s.cfg.ServerID)))
	})
	s.running.Add(2)
	go func() {
		defer s.running.Done()
		if err := s.proposer.run(); err != nil {
			s.cfg.Logger.Error().Err(err).Msg("the log takes no more writes; closing all client connections")
			s.dropAll()
		}
	}()
	go func() {
		defer s.running.Done()
		s.clock.run()
	}()
}

// firstSession is where the numbering of a server's sessions begins: the server's id, 40 bits of a millisecond clock, a counter.
func firstSession(server uint8, now time.Time) int64 {
	return int64(uint64(now.UnixMilli())<<24>>8 | uint64(server)<<56)
}

// since is the monotonic clock.
func (s *Server) since() time.Duration { return time.Since(s.epoch) }

// Serve accepts clients until the listener fails or Close is called, which returns ErrClosed. It closes the listener.
func (s *Server) Serve(l net.Listener) error { return s.serve(l, transport{}) }

// ServeTLS is Serve for clients with TLS; with plainToo also for those without, which the first byte of a connection tells.
func (s *Server) ServeTLS(l net.Listener, c *tls.Config, plainToo bool) error {
	return s.serve(l, transport{c, plainToo})
}

func (s *Server) serve(l net.Listener, t transport) error {
	defer l.Close()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.listeners[l] = map[string]int{}
	s.serving.Add(1)
	s.mu.Unlock()
	defer s.serving.Done()

	var pause time.Duration
	for {
		nc, err := l.Accept()
		if err != nil {
			if s.isClosed() {
				return ErrClosed
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			// Out of descriptors, or a connection that died while it waited: both pass.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.cfg.Logger.Warn().Err(err).Dur("retry in", pause).Msg("cannot accept a connection")
			select {
			case <-time.After(pause):
				continue
			case <-s.clock.stop:
				return ErrClosed
			}
		}
		pause = 0
		s.accept(l, nc, t)
	}
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// accept starts a connection, or closes it at once if there are too many.
func (s *Server) accept(l net.Listener, nc net.Conn, t transport) {
	c := newConn(s, nc, t)
	s.mu.Lock()
	byIP := s.listeners[l]
	tooMany := s.cfg.MaxClientCnxns > 0 && byIP[c.ip] >= s.cfg.MaxClientCnxns || s.cfg.MaxCnxns > 0 && len(s.conns) >= s.cfg.MaxCnxns
	if tooMany || s.closed {
		closed := s.closed
		s.mu.Unlock()
		if !closed {
			s.stats.rejected.Add(1)
			s.cfg.Logger.Warn().Str("client", nc.RemoteAddr().String()).Int("limit", s.cfg.MaxClientCnxns).Msg("too many connections from this address")
		}
		nc.Close()
		return
	}
	byIP[c.ip]++
	s.conns[c] = struct{}{}
	s.running.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.running.Done()
		c.serve()
		s.mu.Lock()
		delete(s.conns, c)
		if byIP[c.ip]--; byIP[c.ip] == 0 {
			delete(byIP, c.ip)
		}
		s.mu.Unlock()
	}()
}

// Close stops accepting, closes all connections and waits for every goroutine. Sessions live on in the log. The log may be closed
// before or after, but a Propose that blocks must return for Close to return.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	for l := range s.listeners {
		l.Close()
	}
	s.mu.Unlock()
	close(s.clock.stop)
	s.proposer.close()
	s.dropAll()
	s.serving.Wait()
	s.running.Wait()
	return nil
}

// dropAll closes all connections.
func (s *Server) dropAll() {
	s.mu.Lock()
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.kill()
	}
}

// numConns is the number of connections, those without a session included.
func (s *Server) numConns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Applied implements state.Sink.
func (s *Server) Applied(m *fsm.Machine, incarnation, seq uint64, r *fsm.Request, res *fsm.Result) {
	if s.applyAt == 0 {
		s.applyAt = s.since()
	}
	var owner *conn
	if incarnation == s.incarnation {
		owner = s.proposer.owner(seq)
	}
	switch {
	case res.Opened != 0:
		s.clock.open(&res.Session, owner, s.applyAt)
	case r.Op == fsm.OpAttach && res.Code == 0:
		if old := s.clock.attached(&res.Session, owner, s.applyAt); old != nil && old != owner {
			s.evicted = append(s.evicted, old)
		}
	}
	if res.Quota != nil {
		s.overQuota(res)
	}
	if owner != nil {
		owner.applied(m, r, res)
	}
	if res.Closed != 0 {
		if c := s.clock.closed(res.Closed); c != nil {
			c.sessionClosed()
		}
	}
}

// Released implements state.Sink.
func (s *Server) Released() {
	s.applyAt = 0
	for i, c := range s.ready {
		c.wake()
		s.ready[i] = nil
	}
	s.ready = s.ready[:0]
	for i, c := range s.evicted {
		c.kill()
		s.evicted[i] = nil
	}
	s.evicted = s.evicted[:0]
}
