package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"ottla/broker/api"
	"ottla/broker/quota"
)

// Listener is one address to accept connections on. All are plaintext.
type Listener struct {
	Name string // upper case; requests carry it, so that Metadata can answer with the address of the same listener
	Addr string // host:port; an empty host means all interfaces, port 0 any free one
}

// Config is what a Server needs. The zero value of a limit means its default.
type Config struct {
	Listeners []Listener
	Registry  *api.Registry // complete when Start is called

	MaxRequestBytes int           // socket.request.max.bytes; 100 MiB
	MaxIdle         time.Duration // connections.max.idle.ms; 10 minutes; negative: never
	RequestTimeout  time.Duration // request.timeout.ms: longest write without progress; 30 s

	// InFlightBytes bounds the memory of half-read and running requests, each connection's first 64 KiB not counted; 256 MiB.
	// ReservedBytes of it, an eighth, are kept for the APIs that Reserved says yes to; BetweenBrokers.
	InFlightBytes, ReservedBytes int64
	Reserved                     func(key int16) bool

	// Limited says whether a client may have to be throttled (api.Conn.Mute) for a request that is swept; nil: nobody. Its requests
	// are run one at a time. clientID is valid during the call.
	Limited func(c *api.Conn, clientID []byte) bool

	// Connections says which connections may come in; nil: all.
	Connections *quota.Connections
	// Backlog is how many connections the kernel keeps until they are accepted; 0: as many as the system allows.
	Backlog int

	// SendBufferBytes and ReceiveBufferBytes are the sockets' kernel buffers; 0 leaves the system's.
	SendBufferBytes, ReceiveBufferBytes int

	// Observer is told of each request; nil: nobody.
	Observer Observer

	Logger zerolog.Logger
	// Refusals says which connections were refused, some of them if they are many.
	Refusals zerolog.Logger
	Now      func() time.Time // time.Now when nil
}

// Server accepts connections and runs their requests.
//
//	New -> Bind (addresses are known, clients may connect) -> Start (requests are run) -> Close
type Server struct {
	cfg    Config
	log    zerolog.Logger
	born   time.Time
	budget budget
	routes routes
	// portable turns the raw socket calls off, so that tests can run what other systems run.
	portable bool

	lns []net.Listener // in the order of cfg.Listeners

	quit      context.Context // ends when Close begins: handlers that wait return
	quitNow   context.CancelFunc
	closing   atomic.Bool
	lastConn  atomic.Uint64
	shedding  sync.Mutex
	lingerers atomic.Int32         // connections that are refused, and closed later
	refusals  zerolog.BurstSampler // does not let a flood of refused connections be one of the log
	wg        sync.WaitGroup       // acceptors and reaper

	counts map[string]*listenerCount

	mu     sync.Mutex
	conns  map[*conn]struct{}
	connWG sync.WaitGroup // conns; under mu while adding, so that Close cannot miss one
}

// New returns a server that does nothing yet.
func New(cfg Config) *Server {
	if cfg.MaxRequestBytes == 0 {
		cfg.MaxRequestBytes = 100 << 20
	}
	if cfg.MaxIdle == 0 {
		cfg.MaxIdle = 10 * time.Minute
	}
	if cfg.RequestTimeout == 0 {
		cfg.RequestTimeout = 30 * time.Second
	}
	if cfg.InFlightBytes == 0 {
		cfg.InFlightBytes = 256 << 20
	}
	if cfg.ReservedBytes == 0 {
		cfg.ReservedBytes = cfg.InFlightBytes / 8
	}
	if cfg.Reserved == nil {
		cfg.Reserved = BetweenBrokers
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{cfg: cfg, log: cfg.Logger, born: time.Now(), conns: map[*conn]struct{}{}, counts: map[string]*listenerCount{}}
	for _, l := range cfg.Listeners {
		s.counts[l.Name] = new(listenerCount)
	}
	s.refusals = zerolog.BurstSampler{Burst: 5, Period: time.Second}
	s.budget = budget{limit: cfg.InFlightBytes, reserve: cfg.ReservedBytes}
	s.quit, s.quitNow = context.WithCancel(context.Background())
	return s
}

// Bind takes all addresses, or none and returns an error. From here on the kernel accepts connections; nothing reads them
// before Start.
func (s *Server) Bind() error {
	for _, l := range s.cfg.Listeners {
		ln, err := net.Listen("tcp", l.Addr)
		if err != nil {
			for _, open := range s.lns {
				open.Close()
			}
			s.lns = nil
			return fmt.Errorf("listener %s: %w", l.Name, err)
		}
		s.lns = append(s.lns, ln)
		if s.cfg.Backlog > 0 {
			setBacklog(ln.(*net.TCPListener), s.cfg.Backlog)
		}
	}
	return nil
}

// Addr is the address that the listener of that name is bound to, nil if there is none or before Bind.
func (s *Server) Addr(name string) net.Addr {
	for i, l := range s.cfg.Listeners {
		if l.Name == name && i < len(s.lns) {
			return s.lns[i].Addr()
		}
	}
	return nil
}

// Start begins to run requests. The registry must be complete. Called once, after Bind.
func (s *Server) Start() {
	s.routes = newRoutes(s.cfg.Registry)
	for i, ln := range s.lns {
		s.wg.Go(func() { s.accept(ln, s.cfg.Listeners[i].Name) })
	}
	s.wg.Go(s.reaper)
}

// ListenerStats are the connections of one listener.
type ListenerStats struct {
	Name           string
	Open           int
	Opened, Closed int64 // since the start
	Idle           int64 // closed because they were
}

// Stats are the connections, and the memory of requests.
type Stats struct {
	Listeners               []ListenerStats // in the order of the configuration
	MemoryUsed, MemoryLimit int64           // bytes; of Config.InFlightBytes
}

// listenerCount counts the connections of one listener.
type listenerCount struct{ opened, closed, idle atomic.Int64 }

// Stats counts.
func (s *Server) Stats() Stats {
	var st Stats
	for _, l := range s.cfg.Listeners {
		c := s.counts[l.Name]
		closed := c.closed.Load() // before opened: what is open is never negative
		opened := c.opened.Load()
		st.Listeners = append(st.Listeners, ListenerStats{Name: l.Name, Open: int(opened - closed), Opened: opened, Closed: closed, Idle: c.idle.Load()})
	}
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	st.MemoryUsed, st.MemoryLimit = s.budget.used, s.budget.limit
	return st
}

// Connections is the number of open connections.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *Server) accept(ln net.Listener, name string) {
	var pause time.Duration
	for {
		nc, err := ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// Descriptors ran out, or the peer was gone before us: neither ends a broker.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.log.Warn().Err(err).Str("listener", name).Dur("pause", pause).Msg("accept")
			select {
			case <-time.After(pause):
				continue
			case <-s.quit.Done():
				return
			}
		}
		pause = 0
		if tc := nc.(*net.TCPConn); s.enter(tc, name) {
			s.admit(tc, name)
		}
	}
}

// admit makes nc a connection of the server, unless the server is closing.
func (s *Server) admit(nc *net.TCPConn, listener string) {
	if s.cfg.SendBufferBytes > 0 {
		_ = nc.SetWriteBuffer(s.cfg.SendBufferBytes) // a hint; the connection works without
	}
	if s.cfg.ReceiveBufferBytes > 0 {
		_ = nc.SetReadBuffer(s.cfg.ReceiveBufferBytes)
	}
	c := newConn(s, nc, listener)
	s.log.Debug().Str("client", c.info.ClientHost).Str("listener", listener).Uint64("connection", c.info.ID).Msg("connection opened")
	s.mu.Lock()
	if s.closing.Load() {
		s.mu.Unlock()
		c.stop()
		s.leave(c)
		return
	}
	s.conns[c] = struct{}{}
	s.connWG.Add(1)
	s.mu.Unlock()
	s.counts[listener].opened.Add(1)
	go func() {
		defer s.connWG.Done()
		err := c.serve()
		c.finish(err)
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		s.counts[listener].closed.Add(1)
		s.leave(c)
	}()
}

// Elapsed is the time since New, never 0. The wall clock may jump; connections must not be closed for that.
func (s *Server) Elapsed() time.Duration { return time.Since(s.born) + 1 }

// each calls f for every connection, without the server's mutex held.
func (s *Server) each(f func(*conn)) {
	s.mu.Lock()
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		f(c)
	}
}

// reaper looks at all connections now and then: one ticker instead of a timer per connection and read.
func (s *Server) reaper() {
	period := min(s.cfg.RequestTimeout/4, time.Minute)
	if s.cfg.MaxIdle > 0 {
		period = min(period, s.cfg.MaxIdle/4)
	}
	t := time.NewTicker(max(period, 10*time.Millisecond))
	defer t.Stop()
	for {
		select {
		case <-t.C:
			now, contended := s.Elapsed(), s.budget.contended()
			s.each(func(c *conn) { c.reap(now, contended) })
			s.shed()
		case <-s.quit.Done():
			return
		}
	}
}

// Close stops accepting, lets what was read whole be answered, and returns when every connection is closed and every
// goroutine has ended. Handlers that wait are told through their context. When ctx ends first, connections are cut and
// Close returns its error, still after every goroutine has ended.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	first := s.closing.CompareAndSwap(false, true)
	s.mu.Unlock()
	if first {
		for _, ln := range s.lns {
			ln.Close()
		}
		s.quitNow()
	}
	s.each((*conn).hurry)
	done := make(chan struct{})
	go func() { s.connWG.Wait(); s.wg.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.each((*conn).stop)
		<-done
		return ctx.Err()
	}
}
