package controller

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/controller/planner"
	"ottla/broker/znode"
)

// Controller takes part in the election, and is the controller while it is elected. Safe for concurrent use.
type Controller struct {
	cfg    Config
	client *znode.Client
	queue  *queue
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	active atomic.Bool
	// unclean counts the unclean elections of the present term, uncleanBefore those of terms that are over.
	unclean, uncleanBefore atomic.Int64
	deletions              atomic.Pointer[planner.Deletions]

	// Of the event loop alone:
	session *znode.Session // nil until there is one
	term    *term          // nil while not in office
}

// Start takes part in the election in the client's session, and in each later one. The broker must be registered, and what
// registers it must have hooked into the client before, so that it does so first in each new session.
func Start(ctx context.Context, client *znode.Client, cfg Config) (*Controller, error) {
	c := &Controller{cfg: cfg, client: client, queue: newQueue()}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.wg.Go(c.run)
	// Before the session is asked for: it may end right after.
	client.OnSession(znode.Hooks{Before: c.beforeSession, After: c.afterSession})
	client.HandleData(znode.ControllerPath, func(znode.Event) { c.post(c.consider) })
	s, err := client.Session(ctx)
	if err != nil {
		c.Close()
		return nil, err
	}
	c.post(func() {
		if c.session == nil { // else it is a later one already
			c.session = s
		}
		c.consider()
	})
	return c, nil
}

// Close ends the term, if there is one, and the part in elections. /controller goes with the session.
func (c *Controller) Close() {
	c.client.Unhandle(znode.ControllerPath)
	c.cancel()
	c.wg.Wait()
}

// IsActive says whether this broker is the controller.
func (c *Controller) IsActive() bool { return c.active.Load() }

// Queue is how many events wait for the event loop.
func (c *Controller) Queue() int { return c.queue.size() }

// Deletions are what this broker, as controller, has to delete.
func (c *Controller) Deletions() planner.Deletions {
	if d := c.deletions.Load(); d != nil && c.IsActive() {
		return *d
	}
	return planner.Deletions{}
}

// UncleanElections is how often this broker, as controller, has given a partition a leader that was not in sync.
func (c *Controller) UncleanElections() int64 { return c.uncleanBefore.Load() + c.unclean.Load() }

// UncleanAllowed tells that unclean elections have been allowed for topics, or by default if none is named.
func (c *Controller) UncleanAllowed(topics ...string) {
	c.post(func() {
		if c.term != nil {
			c.term.uncleanAllowed(topics)
		}
	})
}

func (c *Controller) post(f func()) { c.queue.put(task{run: f}) }

func (c *Controller) run() {
	defer func() {
		c.resign("this broker is stopping")
		c.queue.close()
	}()
	for {
		if c.ctx.Err() != nil {
			return
		}
		t, ok := c.queue.take()
		if !ok {
			select {
			case <-c.queue.wake:
			case <-c.ctx.Done():
			}
			continue
		}
		if told := c.cfg.Queued; told != nil {
			told(time.Since(t.at))
		}
		t.run()
	}
}

// errNotController is the error of what was asked of a broker that is not the controller, or not any more.
var errNotController = kerr.NotController

// inOffice runs f on the event loop if this broker is the controller, and returns its error; else errNotController.
func (c *Controller) inOffice(ctx context.Context, f func(*term) error) error {
	done := make(chan error, 1)
	c.queue.put(task{
		run: func() {
			if c.term == nil {
				done <- errNotController
				return
			}
			done <- f(c.term)
		},
		drop: func() { done <- errNotController },
	})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// beforeSession ends what the expired session began, before there can be another.
func (c *Controller) beforeSession(ctx context.Context) {
	done := make(chan struct{})
	c.queue.replace(task{
		run: func() {
			c.resign("the ZooKeeper session expired")
			close(done)
		},
		drop: func() { close(done) },
	})
	select {
	case <-done:
	case <-ctx.Done():
	}
}

func (c *Controller) afterSession(_ context.Context, s *znode.Session) {
	c.post(func() {
		c.session = s
		c.consider()
	})
}

// electionRetry is the pause after a term that could not begin, or an election that failed for no good reason.
const electionRetry = time.Second

// consider looks who is controller: it ends a term that is over, and stands for election if there is nobody.
func (c *Controller) consider() {
	s := c.session
	if s == nil {
		return
	}
	err := c.considerIn(s)
	if err == nil || c.ctx.Err() != nil || s.Err() != nil {
		return
	}
	c.cfg.Logger.Error().Err(err).Msg("controller election failed; trying again")
	c.later(electionRetry, c.consider)
}

// later posts f after d, unless the controller is closed.
func (c *Controller) later(d time.Duration, f func()) {
	c.wg.Go(func() {
		select {
		case <-time.After(d):
			c.post(f)
		case <-c.ctx.Done():
		}
	})
}

func (c *Controller) considerIn(s *znode.Session) error {
	if s.Err() != nil {
		return s.Err()
	}
	// Exists sets the watch also while there is no controller.
	stat, exists, err := s.Exists(c.ctx, znode.ControllerPath)
	if err != nil {
		return err
	}
	if exists && c.term != nil && stat.EphemeralOwner == s.ID() {
		return nil
	}
	if c.term != nil {
		c.resign("/controller is not ours any more")
	}
	if exists && stat.EphemeralOwner == s.ID() {
		// A term that could not begin, and whose end was lost: nobody governs.
		if _, err := s.Write(c.ctx, znode.Fence{}, znode.Delete(znode.ControllerPath, stat.Version)); err != nil && !errors.Is(err, znode.ErrNoNode) {
			return err
		}
		c.post(c.consider)
		return nil
	}
	if exists {
		return nil
	}
	elected, err := s.Elect(c.ctx, c.cfg.BrokerID, c.cfg.Now())
	if errors.Is(err, znode.ErrNotElected) {
		// The winner's node has used up the watch, and may be gone again.
		if _, exists, err = s.Exists(c.ctx, znode.ControllerPath); err == nil && !exists {
			c.post(c.consider)
		}
		return err
	}
	if err != nil {
		return err
	}
	return c.takeOffice(s, elected)
}

// takeOffice begins a term. If it cannot, the controllership is given back, for somebody else to try.
func (c *Controller) takeOffice(s *znode.Session, elected znode.Elected) error {
	c.cfg.Logger.Info().Int32("broker", c.cfg.BrokerID).Int32("epoch", elected.Epoch).Msg("elected controller")
	c.term = newTerm(c, s, elected)
	err := c.term.begin()
	if err == nil {
		c.active.Store(true)
		return nil
	}
	c.resign("the term could not begin: " + err.Error())
	if errors.Is(err, znode.ErrFenced) {
		return nil // the watch tells about the other
	}
	if rerr := s.Resign(c.ctx, elected); rerr != nil {
		err = errors.Join(err, rerr)
	}
	return err
}

// resign ends the term, if there is one.
func (c *Controller) resign(why string) {
	if c.term == nil {
		return
	}
	c.active.Store(false)
	c.uncleanBefore.Add(c.unclean.Swap(0))
	c.term.end()
	c.term = nil
	c.cfg.Logger.Info().Int32("broker", c.cfg.BrokerID).Str("reason", why).Msg("not controller any more")
}
