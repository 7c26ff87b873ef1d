package znode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/rs/zerolog"
)

// SessionMarks remembers this broker's session beyond a crash. The marks lie in the log directories, whose locks are held:
// so whoever wrote them is gone, and what its session still holds in ZooKeeper is nobody's.
type SessionMarks interface {
	// Sessions lists the sessions of the broker that last used these directories.
	Sessions() []int64
	// Remember replaces the mark in each directory, durably, before the session registers anything.
	Remember(session int64) error
}

// Registration is what a broker says of itself.
type Registration struct {
	Broker Broker
	Marks  SessionMarks
	Now    func() time.Time
	Logger zerolog.Logger
}

// Registrar keeps this broker registered under /brokers/ids, in each session anew. Safe for concurrent use.
type Registrar struct {
	reg   Registration
	epoch atomic.Int64

	mu     sync.Mutex // one registration at a time
	own    []int64    // sessions that are over and were ours, of this process or of the one before
	failed bool       // Register has returned an error: nothing is renewed
}

// Register registers the broker: it returns once /brokers/ids/N is this session's, and from then on renews it after each
// change of session, before hooks that are registered later. What an earlier process on the same log directories left
// behind is removed; if another process holds the id, that is logged and waited for, until ctx ends.
func Register(ctx context.Context, c *Client, reg Registration) (*Registrar, error) {
	r := &Registrar{reg: reg, own: reg.Marks.Sessions()}
	r.epoch.Store(-1)
	// Before the first registration: the session may end right after it.
	c.OnSession(Hooks{After: r.renew})
	for {
		s, err := c.Session(ctx)
		if err == nil {
			err = r.register(ctx, s)
		}
		if errors.Is(err, ErrSessionExpired) {
			continue
		}
		if err != nil {
			r.mu.Lock()
			r.failed = true
			r.mu.Unlock()
			return nil, err
		}
		return r, nil
	}
}

// renew registers in a new session, and tries until that works or the session ends: a controller must not be elected on an
// unregistered broker, so the hooks behind this one wait as well.
func (r *Registrar) renew(ctx context.Context, s *Session) {
	for {
		err := r.register(ctx, s)
		if err == nil || ctx.Err() != nil {
			return
		}
		r.reg.Logger.Error().Err(err).Msg("broker could not be registered again; trying on")
		select {
		case <-time.After(registrationRetry):
		case <-ctx.Done():
		}
	}
}

// Epoch is the broker epoch: the czxid of the registration in force, or of the last one.
func (r *Registrar) Epoch() int64 { return r.epoch.Load() }

// ErrEndpointTaken means that another broker advertises an address that this one would advertise.
var ErrEndpointTaken = errors.New("another broker advertises the same address")

// register makes this session's registration. If it is there already, it is kept.
func (r *Registrar) register(ctx context.Context, s *Session) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed {
		return nil
	}
	if !slices.Contains(r.own, s.id) {
		if err := r.reg.Marks.Remember(s.id); err != nil {
			return fmt.Errorf("remember session: %w", err)
		}
		defer func() { r.own = append(r.own, s.id) }()
	}
	if err := r.removeStale(ctx, s); err != nil {
		return err
	}
	if err := r.checkEndpoints(ctx, s); err != nil {
		return err
	}
	for warned := false; ; warned = true {
		epoch, owner, err := s.createRegistration(ctx, r.reg.Broker, r.reg.Now())
		if err != nil {
			return err
		}
		if owner == 0 {
			r.epoch.Store(epoch)
			r.reg.Logger.Info().Int32("broker", r.reg.Broker.ID).Int64("epoch", epoch).Msg("registered")
			return nil
		}
		if slices.Contains(r.own, owner) {
			if err := r.removeStale(ctx, s); err != nil {
				return err
			}
			continue
		}
		if !warned {
			r.reg.Logger.Warn().Int32("broker", r.reg.Broker.ID).Str("owner", fmt.Sprintf("%#x", owner)).
				Msg("broker id is registered by another session; waiting for that one to end (a broker that was killed keeps its id until its session times out)")
		}
		select {
		case <-time.After(registrationPause):
		case <-s.dead:
			return s.Err()
		case <-ctx.Done():
			return fmt.Errorf("%s is held by session %#x of another process: %w", BrokerIDPath(r.reg.Broker.ID), owner, context.Cause(ctx))
		}
	}
}

const (
	registrationPause = 200 * time.Millisecond // while another session has the id
	registrationRetry = 5 * time.Second        // after an error
)

// removeStale deletes the registration, and the controllership, of sessions that were this broker's own.
func (r *Registrar) removeStale(ctx context.Context, s *Session) error {
	for _, path := range []string{ControllerPath, BrokerIDPath(r.reg.Broker.ID)} {
		_, stat, err := s.Get(ctx, path)
		if isNoNode(err) {
			continue
		}
		if err != nil {
			return err
		}
		if stat.EphemeralOwner == 0 || stat.EphemeralOwner == s.id || !slices.Contains(r.own, stat.EphemeralOwner) {
			continue
		}
		_, err = s.Write(ctx, Fence{}, Delete(path, stat.Version))
		if err != nil && !isNoNode(err) && !errors.Is(err, ErrBadVersion) {
			return err
		}
		r.reg.Logger.Info().Str("path", path).Str("session", fmt.Sprintf("%#x", stat.EphemeralOwner)).Msg("removed what an earlier session of this broker left")
	}
	return nil
}

// checkEndpoints refuses to advertise an address that another broker has.
func (r *Registrar) checkEndpoints(ctx context.Context, s *Session) error {
	others, _, err := s.Brokers(ctx)
	if err != nil {
		return err
	}
	for _, other := range others {
		for _, theirs := range other.Endpoints {
			for _, ours := range r.reg.Broker.Endpoints {
				if other.ID != r.reg.Broker.ID && ours.Host == theirs.Host && ours.Port == theirs.Port {
					return fmt.Errorf("%w: %s of broker %d; configure another advertised.listeners", ErrEndpointTaken, theirs.HostPort(), other.ID)
				}
			}
		}
	}
	return nil
}

// createRegistration makes the node as Apache Kafka does, create and setData in one multi, whose Stat has the czxid: the
// broker epoch. owner is another session that has the node, 0 if it is ours now.
func (s *Session) createRegistration(ctx context.Context, b Broker, now time.Time) (epoch int64, owner int64, err error) {
	path, data := BrokerIDPath(b.ID), b.encode(now)
	for {
		var stat Stat
		_, err := s.do(ctx, func(conn *zk.Conn) error {
			results, err := conn.Multi(
				&zk.CreateRequest{Path: s.path(path), Acl: s.client.acl(path), Flags: zk.FlagEphemeral},
				&zk.SetDataRequest{Path: s.path(path), Data: data, Version: 0},
			)
			if err == nil {
				stat = *results[1].Stat
			}
			return err
		})
		if err == nil {
			return stat.Czxid, 0, nil
		}
		if !errors.Is(err, ErrNodeExists) {
			return 0, 0, pathError("create", path, err)
		}
		_, stat, err = s.Get(ctx, path)
		if isNoNode(err) {
			continue
		}
		if err != nil {
			return 0, 0, err
		}
		if stat.EphemeralOwner == s.id { // the reply to a first attempt was lost
			return stat.Czxid, 0, nil
		}
		return 0, stat.EphemeralOwner, nil
	}
}
