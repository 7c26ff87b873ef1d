package znode

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/rs/zerolog"
)

// requestBytesMax is what brokers raise jute.maxbuffer to.
const requestBytesMax = 4 << 20

// replyBytesMax bounds an answer: children of a node with many topics are larger than any request.
const replyBytesMax = 64 << 20

// Config is what a Client needs.
type Config struct {
	Servers        []string // host:port
	Chroot         string   // "" or a path without a slash at its end
	SessionTimeout time.Duration
	ConnectTimeout time.Duration // how long Open waits for the first session
	MaxInFlight    int           // requests of one Batch on the wire at a time; 0: 64
	// SecureACL gives new nodes to the session's identities (zookeeper.set.acl), see acl.go.
	SecureACL bool
	// Dial connects to a server; nil: TCP. TLS and SASL go here, see zkdial.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Answered, if not nil, is told how long a server took to answer a request.
	Answered func(took time.Duration)
	Logger   zerolog.Logger
}

// Hooks are called around each change of session, in the order of their registration, on the keeper's goroutine: the next
// session is not made before all Before have returned. ctx ends with the Client, and for After also with the new session.
type Hooks struct {
	Before func(ctx context.Context)
	After  func(ctx context.Context, s *Session)
}

// Client holds a ZooKeeper session at a time. Safe for concurrent use.
type Client struct {
	cfg    Config
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	session  *Session
	changed  chan struct{} // closed and replaced when session changes
	hooks    []Hooks
	handlers map[watch]Handler
	stats    Stats
	queue    []queued
	queuedC  chan struct{} // has a token while queue may have something
}

// Open connects, waiting at most cfg.ConnectTimeout for a session, and makes the chroot if it is missing.
func Open(ctx context.Context, cfg Config) (*Client, error) {
	if len(cfg.Servers) == 0 {
		return nil, errors.New("no ZooKeeper server is configured (zookeeper.connect)")
	}
	if cfg.MaxInFlight <= 0 {
		cfg.MaxInFlight = 64
	}
	if cfg.Dial == nil {
		cfg.Dial = new(net.Dialer).DialContext
	}
	c := &Client{cfg: cfg, changed: make(chan struct{}), handlers: map[watch]Handler{}, queuedC: make(chan struct{}, 1)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.wg.Go(c.dispatch)

	wait, cancel := context.WithTimeoutCause(ctx, cfg.ConnectTimeout, fmt.Errorf("no ZooKeeper server granted a session within %v at %s",
		cfg.ConnectTimeout, strings.Join(cfg.Servers, ",")))
	defer cancel()
	s, err := c.connect(wait)
	if err == nil {
		err = c.makeChroot(wait, s)
	}
	if err != nil {
		if s != nil {
			s.close()
		}
		c.cancel()
		c.wg.Wait()
		return nil, err
	}
	c.publish(s)
	c.wg.Go(func() { c.keep(s) })
	return c, nil
}

// Session is the current session, or the next one if there is none just now.
func (c *Client) Session(ctx context.Context) (*Session, error) {
	for {
		c.mu.Lock()
		s, changed := c.session, c.changed
		c.mu.Unlock()
		if c.isClosed() {
			return nil, ErrClosed
		}
		if s.Err() == nil {
			return s, nil
		}
		select {
		case <-changed:
		case <-c.ctx.Done():
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// OnSession registers hooks for the sessions after the current one.
func (c *Client) OnSession(h Hooks) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hooks = append(c.hooks, h)
}

// Stats are what happened to the client's sessions.
type Stats struct {
	Connects    int64 // to a server that had, or granted, the session
	Disconnects int64
	Expires     int64
	Connected   bool // at this moment
}

// Stats is what happened so far.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	s, stats := c.session, c.stats
	c.mu.Unlock()
	if s != nil {
		s.mu.Lock()
		stats.Connected = s.connected
		s.mu.Unlock()
	}
	return stats
}

func (c *Client) count(f func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.stats)
}

// Close ends the session at the server, whereby its ephemeral nodes vanish at once, and waits for the Client's goroutines.
// Calls that wait return ErrClosed.
func (c *Client) Close() {
	c.cancel()
	c.wg.Wait()
}

func (c *Client) isClosed() bool { return c.ctx.Err() != nil }

func (c *Client) publish(s *Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = s
	close(c.changed)
	c.changed = make(chan struct{})
}

// keep replaces the session each time it ends, until the Client is closed.
func (c *Client) keep(s *Session) {
	for {
		select {
		case <-s.dead:
		case <-c.ctx.Done():
		}
		if c.isClosed() {
			s.close()
			return
		}
		c.cfg.Logger.Warn().Str("session", fmt.Sprintf("%#x", s.id)).Msg("ZooKeeper session expired")
		c.wg.Go(s.close) // takes the library a second or more; nothing can be sent on it any more
		for _, h := range c.hooksNow() {
			if h.Before != nil {
				h.Before(c.ctx)
			}
		}
		next, err := c.connect(c.ctx)
		if err != nil {
			return // only because of Close
		}
		s = next
		c.cfg.Logger.Info().Str("session", fmt.Sprintf("%#x", s.id)).Msg("new ZooKeeper session")
		c.publish(s)
		ctx, cancel := s.Context(c.ctx)
		for _, h := range c.hooksNow() {
			if h.After != nil && ctx.Err() == nil {
				h.After(ctx, s)
			}
		}
		cancel()
	}
}

func (c *Client) hooksNow() []Hooks {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Hooks(nil), c.hooks...)
}

// connect makes a session. It tries until ctx ends.
func (c *Client) connect(ctx context.Context) (*Session, error) {
	s := newSession(c)
	// A server that says nothing must not take the time in which the others could have granted the session.
	d := &dialer{session: s, dial: c.cfg.Dial, timeout: max(c.cfg.SessionTimeout/time.Duration(len(c.cfg.Servers)), time.Second)}
	conn, ended, err := zk.Connect(c.cfg.Servers, c.cfg.SessionTimeout,
		zk.WithDialer(d.connect), zk.WithHostProvider(&hosts{}), zk.WithEventCallback(func(ev zk.Event) { c.event(s, ev) }),
		zk.WithMaxConnBufferSize(requestBytesMax), zk.WithMaxBufferSize(replyBytesMax),
		zk.WithLogInfo(false), func(conn *zk.Conn) { conn.SetLogger(libraryLog{c.cfg.Logger}) })
	if err != nil {
		return nil, err
	}
	s.conn, s.ended = conn, ended
	if err := s.await(ctx); err != nil {
		s.close()
		if last := d.lastFailure(); last != nil {
			err = fmt.Errorf("%w; at last: %w", err, last)
		}
		return nil, err
	}
	s.id = conn.SessionID()
	return s, nil
}

// close ends the session and waits until the library's goroutines have ended.
func (s *Session) close() {
	if s.Err() == nil || s.client.isClosed() {
		// Tells the server, and waits up to a second for its answer. Before kill, which would cut the connection.
		s.conn.Close()
	}
	s.kill()
	s.conn.Close() // the library's second Close does nothing; for an expired session this is the first
	for range s.ended {
		continue
	}
}

// event is the library's callback. It runs on the connection's own goroutines, so it only takes note.
func (c *Client) event(s *Session, ev zk.Event) {
	switch ev.Type {
	case zk.EventSession:
		switch ev.State {
		case zk.StateHasSession:
			c.count(func(s *Stats) { s.Connects++ })
		case zk.StateDisconnected:
			c.count(func(s *Stats) { s.Disconnects++ })
		case zk.StateExpired:
			c.count(func(s *Stats) { s.Expires++ })
		}
		s.state(ev.State)
	case zk.EventNodeCreated, zk.EventNodeDeleted, zk.EventNodeDataChanged, zk.EventNodeChildrenChanged:
		s.disarm(ev)
		c.enqueue(s, ev)
	}
}

func (c *Client) makeChroot(ctx context.Context, s *Session) error {
	if c.cfg.Chroot == "" {
		return nil
	}
	_, err := s.do(ctx, func(conn *zk.Conn) error { return c.makeAll(conn, c.cfg.Chroot) })
	return pathError("create chroot", c.cfg.Chroot, err)
}

// makeAll creates a path without regard to the chroot, with null data, and the missing ones above it.
func (c *Client) makeAll(conn *zk.Conn, path string) error {
	_, err := conn.Create(path, nil, zk.FlagPersistent, c.acl(path))
	if errors.Is(err, zk.ErrNoNode) && parent(path) != "/" {
		if err := c.makeAll(conn, parent(path)); err != nil {
			return err
		}
		_, err = conn.Create(path, nil, zk.FlagPersistent, c.acl(path))
	}
	if errors.Is(err, zk.ErrNodeExists) {
		return nil
	}
	return err
}

// libraryLog passes the library's messages on; they repeat what the session's state says, so they are for debugging.
type libraryLog struct{ log zerolog.Logger }

func (l libraryLog) Printf(format string, args ...any) {
	l.log.Debug().Msgf("zk: "+format, args...)
}
