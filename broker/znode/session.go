package znode

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// Stat is a node's statistics.
type Stat = zk.Stat

// Session is one ZooKeeper session. Its methods wait while there is no connection, until ctx or the session ends. Safe for
// concurrent use.
type Session struct {
	client *Client
	conn   *zk.Conn
	ended  <-chan zk.Event // closed when the library's goroutines are done
	id     int64

	dead     chan struct{} // closed when the session is over
	deadOnce sync.Once

	mu        sync.Mutex
	connected bool
	wake      chan struct{} // closed and replaced when connected becomes true
	tcp       net.Conn      // the connection in use, closed with the session
	armed     map[watch]bool
	events    uint64 // seen so far, to notice one between a read's request and its answer
	watching  bool   // a watch has been set: a new connection begins with setWatches
}

// watch is one of the two watches that a server keeps for a path: on data and existence, or on children.
type watch struct {
	path     string // with chroot
	children bool
}

// newSession returns a session that is not connected; its library connection is set by the caller.
func newSession(c *Client) *Session {
	return &Session{client: c, dead: make(chan struct{}), wake: make(chan struct{}), armed: map[watch]bool{}}
}

// ID is the session's id, as in ephemeralOwner.
func (s *Session) ID() int64 { return s.id }

// Done is closed when the session is over.
func (s *Session) Done() <-chan struct{} { return s.dead }

// Err is nil while the session lives, then ErrSessionExpired or ErrClosed.
func (s *Session) Err() error {
	select {
	case <-s.dead:
		if s.client.isClosed() {
			return ErrClosed
		}
		return ErrSessionExpired
	default:
		return nil
	}
}

// Context is ctx, ended also by the end of the session.
func (s *Session) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := make(chan struct{})
	go func() {
		select {
		case <-s.dead:
			cancel(s.Err())
		case <-ctx.Done():
		case <-stop:
		}
	}()
	var once sync.Once
	return ctx, func() { once.Do(func() { close(stop) }); cancel(context.Canceled) }
}

// kill ends the session for this process: no request of it leaves any more. The server may still keep it until its timeout.
func (s *Session) kill() {
	s.deadOnce.Do(func() {
		close(s.dead)
		s.mu.Lock()
		s.connected = false
		tcp := s.tcp
		s.mu.Unlock()
		if tcp != nil {
			// The library does not close the connection over which it learned that the session is gone.
			_ = tcp.Close()
		}
	})
}

// state follows the library's connection. Called in order, on its goroutines.
func (s *Session) state(state zk.State) {
	switch state {
	case zk.StateHasSession:
		s.mu.Lock()
		if tcp, ok := s.tcp.(*sessionConn); ok {
			tcp.established.Store(true)
		}
		if !s.connected && s.Err() == nil {
			s.connected = true
			close(s.wake)
			s.wake = make(chan struct{})
		}
		s.mu.Unlock()
	case zk.StateExpired:
		s.kill()
	case zk.StateDisconnected, zk.StateConnecting:
		s.mu.Lock()
		s.connected = false
		s.mu.Unlock()
	}
}

// await returns once the session is connected.
func (s *Session) await(ctx context.Context) error {
	for {
		if err := s.Err(); err != nil {
			return err
		}
		s.mu.Lock()
		connected, wake := s.connected, s.wake
		s.mu.Unlock()
		if connected {
			return nil
		}
		select {
		case <-wake:
		case <-s.dead:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// do sends op until a server has answered it. lost says that an earlier attempt may have been carried out.
func (s *Session) do(ctx context.Context, op func(*zk.Conn) error) (lost bool, err error) {
	for {
		if err := s.await(ctx); err != nil {
			return lost, err
		}
		begin := time.Now()
		err := op(s.conn)
		if answered(err) {
			if told := s.client.cfg.Answered; told != nil {
				told(time.Since(begin))
			}
			return lost, err
		}
		if dead := s.Err(); dead != nil {
			return lost, dead
		}
		if errors.Is(err, zk.ErrSessionExpired) {
			// The server says so while the connection is still up: it closes it, and the library learns the same when it
			// connects again. For the caller the session is over now.
			return lost, ErrSessionExpired
		}
		lost = lost || !errors.Is(err, zk.ErrNoServer)
		select { // an error that comes back at once must not spin
		case <-time.After(retryPause):
		case <-s.dead:
		case <-ctx.Done():
			return lost, context.Cause(ctx)
		}
	}
}

const retryPause = 10 * time.Millisecond

// arm says whether a read of w must set the watch, and how many events there have been before the read.
func (s *Session) arm(w watch) (set bool, before uint64) {
	if !s.client.wants(w) {
		return false, 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	set = !s.armed[w]
	s.watching = s.watching || set
	return set, s.events
}

// didArm records that a read has set the watch. If any event came in the meantime, that watch may already be used up: then
// it counts as not set, and the next read sets it (again, which costs a channel in the library until it fires).
func (s *Session) didArm(w watch, before uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.events == before {
		s.armed[w] = true
	}
}

// disarm notes an event, which uses up the watches that it tells of.
func (s *Session) disarm(ev zk.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events++
	if ev.Type != zk.EventNodeChildrenChanged {
		delete(s.armed, watch{ev.Path, false})
	}
	if ev.Type == zk.EventNodeChildrenChanged || ev.Type == zk.EventNodeDeleted {
		delete(s.armed, watch{ev.Path, true})
	}
}
