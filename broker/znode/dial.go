package znode

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// hosts offers the configured servers in turn, by name, so that each attempt resolves the name anew. It is a
// zk.HostProvider. Called from one goroutine.
type hosts struct {
	servers []string
	next    int
	rounds  int // over all servers since the last session
}

// quickRounds are tried without the library's pause of a second, which it takes, and fails what waits to be sent with
// ErrNoServer, when a round is over: a coordinator that restarts is back within a few tenths of a second.
const quickRounds = 5

func (h *hosts) Init(servers []string) error {
	h.servers = servers
	h.next = rand.IntN(len(servers)) // not everybody at the same server
	return nil
}

func (h *hosts) Len() int { return len(h.servers) }

func (h *hosts) Next() (server string, retryStart bool) {
	server = h.servers[h.next%len(h.servers)]
	h.next++
	if h.next%len(h.servers) == 0 {
		h.rounds++
		retryStart = h.rounds > quickRounds
	}
	return server, retryStart
}

func (h *hosts) Connected() { h.rounds = 0 }

// dialer makes the connections of one session, and none after its end.
type dialer struct {
	session *Session
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	timeout time.Duration // for connecting, and again for the server's answer to the session request
	failed  bool          // the last attempt: pause before this one
	failure atomic.Pointer[error]
}

const quickPause = 100 * time.Millisecond

var errSessionOver = errors.New("the session is over")

func (d *dialer) connect(network, address string, _ time.Duration) (net.Conn, error) {
	if d.failed {
		select {
		case <-time.After(quickPause):
		case <-d.session.dead:
		}
	}
	d.failed = true
	ctx, cancel := d.session.Context(context.Background())
	defer cancel()
	ctx, cancelTimeout := context.WithTimeout(ctx, d.timeout)
	defer cancelTimeout()
	if d.session.Err() != nil {
		return nil, errSessionOver
	}
	tcp, err := d.dial(ctx, network, address)
	if err != nil {
		d.failure.Store(&err)
		return nil, err
	}
	s := d.session
	s.mu.Lock()
	defer s.mu.Unlock()
	conn := &sessionConn{Conn: tcp, dialer: d, handshake: time.Now().Add(d.timeout), closed: make(chan struct{})}
	if s.watching {
		conn.watches = make(chan struct{})
	}
	if s.Err() != nil { // died while dialing: kill did not see this connection
		_ = tcp.Close()
		return nil, errSessionOver
	}
	s.tcp = conn
	d.failed = false
	return conn, nil
}

// lastFailure says why there was no session when last tried, nil if that is not known.
func (d *dialer) lastFailure() error {
	if err := d.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// sessionConn is a connection to a server, with two corrections to how the library uses it.
//
// It bounds the time that a server may take to grant the session. The library would wait for ten times its read timeout, two
// minutes by default, for a server that accepts and says nothing.
//
// And when a session moves to a new connection, it holds answers back until the library has sent setWatches. That request
// names the last zxid seen, for the server to fire what changed since; but the library reads the zxid while it already takes
// answers, so that one answer could hide all changes between the two connections.
type sessionConn struct {
	net.Conn
	dialer      *dialer
	handshake   time.Time
	established atomic.Bool

	watches  chan struct{} // closed when setWatches has been written; nil if there is nothing to wait for
	sent     sync.Once
	waited   bool // of the reading goroutine
	closed   chan struct{}
	closeOne sync.Once
}

// watchesWait bounds the wait for setWatches, which the library leaves out if the last watch fired just before.
const watchesWait = 2 * time.Second

func (c *sessionConn) SetReadDeadline(t time.Time) error {
	if !c.established.Load() && (t.IsZero() || t.After(c.handshake)) {
		t = c.handshake
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *sessionConn) Read(b []byte) (int, error) {
	if c.watches != nil && !c.waited && c.established.Load() {
		c.waited = true
		select {
		case <-c.watches:
		case <-c.closed:
		case <-time.After(watchesWait):
		}
	}
	n, err := c.Conn.Read(b)
	if err != nil && !c.established.Load() {
		c.dialer.failure.Store(&err) // such as a login that failed
		c.dialer.failed = true       // the library dials on the goroutine that reads before there is a session
	}
	return n, err
}

func (c *sessionConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	const opSetWatches = 101 // behind length and xid; the library writes a whole frame at a time
	if c.watches != nil && len(b) >= 12 && binary.BigEndian.Uint32(b[8:]) == opSetWatches && c.established.Load() {
		c.sent.Do(func() { close(c.watches) })
	}
	return n, err
}

func (c *sessionConn) Close() error {
	c.closeOne.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
