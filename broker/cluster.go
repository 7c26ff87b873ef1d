package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"ottla/broker/commitlog"
	"ottla/broker/config"
	"ottla/broker/partition"
	"ottla/broker/peer"
	"ottla/broker/topic"
	"ottla/broker/txn"
	"ottla/broker/znode"
)

// This file is how the packages below find each other's facts: configuration, the controller, producer ids.

// settings are a topic's values as they were last read.
func (s *Server) settings(name string) (commitlog.Settings, partition.Settings) {
	return topicSettings(s.config.Config(), s.config.Topic(name))
}

// prepareConcurrency is how many topics' configurations are read at a time.
const prepareConcurrency = 32

// prepare reads the configurations of topics whose logs are about to be made.
func (s *Server) prepare(ctx context.Context, topics []string) error {
	session, err := s.zk.Session(ctx)
	if err != nil {
		return err
	}
	var (
		wg    sync.WaitGroup
		slots = make(chan struct{}, prepareConcurrency)
		mu    sync.Mutex
		errs  []error
	)
	for _, name := range topics {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if _, err := s.config.LoadTopic(ctx, session, name); err != nil {
				mu.Lock()
				errs = append(errs, fmt.Errorf("read the configuration of topic %s: %w", name, err))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// reconfigured gives partitions the values of a changed configuration.
func (s *Server) reconfigured(c config.Change) {
	s.table.Reconfigure(func(name string) bool { return c.Topic == "" || name == c.Topic })
	if c.Topic == "" {
		s.cleaner.Reconfigure(cleanerSettings(c.New))
		s.meters.requests.SetSlow(c.New.SlowRequest)
	}
	if s.controller == nil || !slices.Contains(c.Keys, "unclean.leader.election.enable") {
		return
	}
	switch {
	case c.Topic == "" && c.New.Topic.UncleanElection:
		s.controller.UncleanAllowed()
	case c.Topic != "" && s.config.Topic(c.Topic).UncleanElection:
		s.controller.UncleanAllowed(c.Topic)
	}
}

func (s *Server) hasTopic(name string) bool {
	_, ok := s.metadata.Load().Topic(name)
	return ok
}

func (s *Server) entities(ctx context.Context) (config.Entities, error) { return s.zk.Session(ctx) }

// epoch is this broker's epoch; -1 before it has registered.
func (s *Server) epoch() int64 {
	if r := s.registrar.Load(); r != nil {
		return r.Epoch()
	}
	return -1
}

// interBroker is the listener on which the controller is asked.
func (s *Server) interBroker() string {
	n := s.config.Config().Network
	if n.ControlPlane != "" {
		return n.ControlPlane
	}
	return n.InterBroker
}

// controllerNode is where the controller is, as the last UpdateMetadata says.
func (s *Server) controllerNode() (peer.Node, bool) {
	im := s.metadata.Load()
	b, ok := im.Broker(im.Controller())
	if !ok {
		return peer.Node{}, false
	}
	e, ok := b.Endpoint(s.interBroker())
	return peer.Node{ID: b.ID, Host: e.Host, Port: e.Port}, ok
}

// producerIDs gets blocks from the controller.
type producerIDs struct{ s *Server }

// AllocateProducerIDs is txn.Allocator's.
func (p producerIDs) AllocateProducerIDs(ctx context.Context) (txn.Block, error) {
	first, count, err := p.s.peers.AllocateProducerIDs(ctx, p.s.id, p.s.epoch())
	return txn.Block{First: first, Count: count}, err
}

// deleted hears which partitions the cluster has no more.
func (s *Server) deleted(ps []topic.Partition) {
	im := s.metadata.Load()
	var gone []string
	for _, p := range ps {
		if _, still := im.Topic(p.Topic); !still && (len(gone) == 0 || gone[len(gone)-1] != p.Topic) {
			gone = append(gone, p.Topic)
			s.config.Forget(p.Topic)
		}
	}
	if len(gone) > 0 {
		s.groups.TopicsDeleted(gone)
	}
}

// autoCreate makes topics that clients ask for; nil if they may not.
func (s *Server) autoCreate() func(ctx context.Context, name string) error {
	if !s.config.Config().AutoCreateTopics {
		return nil
	}
	return s.topics.AutoCreate
}

// follow applies the notifications below /config/changes, which are kept for 15 minutes: after a longer absence of the session
// everything is read again.
func (s *Server) follow(ctx context.Context) error {
	var err error
	s.changes, err = znode.FollowConfigChanges(ctx, s.zk, s.o.Now, s.log, func(ctx context.Context, session *znode.Session, kind, name string) {
		apply := func() error { return s.config.Apply(ctx, session, kind, name) }
		if quotaKinds[kind] {
			apply = func() error { return s.quotas.apply(ctx, session, kind, name) }
		}
		if err := apply(); err != nil && ctx.Err() == nil {
			s.log.Error().Err(err).Str("entity", kind+"/"+name).Msg("changed configuration could not be read")
		}
	})
	if err != nil {
		return err
	}
	s.started("configuration changes", quietly(s.changes.Close))
	// Notifications are kept for 15 minutes: what a longer absence missed is read whole.
	s.zk.OnSession(znode.Hooks{After: func(ctx context.Context, session *znode.Session) {
		if err := errors.Join(s.config.Reload(ctx, session), s.quotas.load(ctx, session)); err != nil && ctx.Err() == nil {
			s.log.Error().Err(err).Msg("configuration could not be read in the new session")
		}
	}})
	return nil
}
