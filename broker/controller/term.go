package controller

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/controller/planner"
	"ottla/broker/peer"
	"ottla/broker/topic"
	"ottla/broker/znode"
)

// term is a time in office. All of it belongs to the event loop.
type term struct {
	c        *Controller
	s        *znode.Session
	elected  znode.Elected
	plan     *planner.Planner
	channels map[int32]*peer.Channel
	watched  map[string]bool // paths with a handler, to be dropped in the end
	ctx      context.Context // ends with the term
	cancel   context.CancelFunc
	log      zerolog.Logger
}

func newTerm(c *Controller, s *znode.Session, elected znode.Elected) *term {
	t := &term{c: c, s: s, elected: elected, channels: map[int32]*peer.Channel{}, watched: map[string]bool{}}
	t.ctx, t.cancel = context.WithCancel(c.ctx)
	t.log = c.cfg.Logger.With().Int32("controller", c.cfg.BrokerID).Int32("controller_epoch", elected.Epoch).Logger()
	t.plan = planner.New(planner.Config{
		Epoch: elected.Epoch, Replication: c.cfg.Replication, DeleteTopic: c.cfg.DeleteTopics, Unclean: c.cfg.Unclean, NewTopicID: t.newTopicID,
	})
	return t
}

func (t *term) newTopicID() topic.ID {
	id, err := topic.NewID(t.c.cfg.Random)
	if err != nil {
		panic("no random bytes: " + err.Error()) // crypto/rand does not fail
	}
	return id
}

// end stops all that the term has going on, without writing.
func (t *term) end() {
	t.cancel()
	for path := range t.watched {
		t.c.client.Unhandle(path)
	}
	for _, ch := range t.channels {
		ch.Close()
	}
	for _, ch := range t.channels {
		ch.Wait()
	}
}

// post runs f on the loop if the term still lasts then. An error of f ends it, if it is one that does.
func (t *term) post(f func() error) {
	t.c.post(func() {
		if t.c.term == t {
			t.judge(f())
		}
	})
}

// judge decides what an error of a task means for the term. It returns the error.
func (t *term) judge(err error) error {
	switch {
	case err == nil || t.ctx.Err() != nil:
	case errors.Is(err, znode.ErrFenced), errors.Is(err, znode.ErrSessionExpired), errors.Is(err, znode.ErrClosed):
		t.c.resign(err.Error())
		// If it was the epoch, /controller has changed hands; the watch tells when it does so again.
		t.c.later(electionRetry, t.c.consider)
	default:
		t.log.Error().Err(err).Msg("event could not be handled")
	}
	return err
}

func (t *term) watchData(path string, f func() error) {
	t.watched[path] = true
	t.c.client.HandleData(path, func(znode.Event) { t.post(f) })
}

func (t *term) watchChildren(path string, f func() error) {
	t.watched[path] = true
	t.c.client.HandleChildren(path, func(znode.Event) { t.post(f) })
}

// begin takes over the cluster. Watches come before the reads that they guard, so nothing is missed.
func (t *term) begin() error {
	if err := t.s.EnableFeatures(t.ctx); err != nil {
		return err
	}
	t.watchChildren(znode.BrokerIDsPath, t.brokersChanged)
	t.watchChildren(znode.TopicsPath, t.topicsChanged)
	t.watchChildren(znode.DeleteTopicsPath, t.deletionsChanged)
	t.watchChildren(znode.LogDirEventsPath, t.logDirsChanged)
	t.watchData(znode.PreferredElectionPath, t.preferredElection)
	t.watchData(znode.ReassignPath, t.reassign)
	for _, path := range []string{znode.LogDirEventsPath, znode.ISRChangesPath} {
		// All that they could tell is read below.
		stale, err := t.s.ChildPaths(t.ctx, path)
		if err == nil {
			err = t.s.DeleteNodes(t.ctx, t.elected.Fence, stale)
		}
		if err != nil && !errors.Is(err, znode.ErrNoNode) {
			return err
		}
	}
	ev := planner.Loaded{}
	var err error
	if ev.Brokers, err = t.readBrokers(); err != nil {
		return err
	}
	names, err := t.s.TopicNames(t.ctx)
	if err != nil {
		return err
	}
	if ev.Topics, err = t.readTopics(names); err != nil {
		return err
	}
	var partitions []topic.Partition
	for _, tp := range ev.Topics {
		for id := range tp.Partitions {
			partitions = append(partitions, topic.Partition{Topic: tp.Name, Partition: id})
		}
	}
	var skipped []error
	if ev.States, skipped, err = t.s.PartitionStates(t.ctx, partitions); err != nil {
		return err
	}
	t.report(skipped)
	if ev.Deleting, err = t.s.DeletionRequests(t.ctx); err != nil {
		return err
	}
	if _, err := t.step(ev); err != nil {
		return err
	}
	if err := t.reassign(); err != nil {
		return err
	}
	if err := t.preferredElection(); err != nil {
		return err
	}
	if t.c.cfg.AutoRebalance {
		t.rebalanceAfter(5 * time.Second)
	}
	return nil
}

// report logs what could not be understood and is left out.
func (t *term) report(skipped []error) {
	for _, err := range skipped {
		t.log.Error().Err(err).Msg("znode is not understood and ignored")
	}
}

func (t *term) readBrokers() ([]znode.Broker, error) {
	paths, err := t.s.ChildPaths(t.ctx, znode.BrokerIDsPath)
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		if !t.watched[path] { // its endpoints may change
			t.watchData(path, t.brokersChanged)
		}
	}
	brokers, skipped, err := t.s.Brokers(t.ctx)
	t.report(skipped)
	return brokers, err
}

func (t *term) readTopics(names []string) ([]znode.Topic, error) {
	for _, name := range names {
		t.watchData(znode.TopicPath(name), func() error { return t.topicChanged(name) })
	}
	topics, skipped, err := t.s.Topics(t.ctx, names)
	t.report(skipped)
	return topics, err
}

func (t *term) brokersChanged() error {
	brokers, err := t.readBrokers()
	if err == nil {
		_, err = t.step(planner.BrokersChanged{Brokers: brokers})
	}
	return err
}

func (t *term) topicsChanged() error {
	names, err := t.s.TopicNames(t.ctx)
	if err != nil {
		return err
	}
	var unknown []string
	for _, name := range names {
		if !t.plan.Knows(name) {
			unknown = append(unknown, name)
		}
	}
	fresh, err := t.readTopics(unknown)
	if err == nil {
		_, err = t.step(planner.TopicsChanged{Names: names, New: fresh})
	}
	return err
}

func (t *term) topicChanged(name string) error {
	node, err := t.s.Topic(t.ctx, name)
	if errors.Is(err, znode.ErrNoNode) {
		return nil // the list of topics has changed, too
	}
	if err != nil {
		return err
	}
	if !t.plan.Knows(name) {
		return t.topicsChanged() // it could not be understood before
	}
	_, err = t.step(planner.TopicChanged{Topic: node})
	return err
}

func (t *term) deletionsChanged() error {
	names, err := t.s.DeletionRequests(t.ctx)
	if err == nil {
		_, err = t.step(planner.DeletionRequested{Topics: names})
	}
	return err
}

func (t *term) logDirsChanged() error {
	brokers, nodes, err := t.s.LogDirEvents(t.ctx)
	if err != nil || len(nodes) == 0 {
		return err
	}
	if err := t.s.DeleteNodes(t.ctx, t.elected.Fence, nodes); err != nil {
		return err
	}
	_, err = t.step(planner.LogDirsFailed{Brokers: brokers})
	return err
}

// preferredElection carries out what a tool asked for, once, and removes the request whatever came of it.
func (t *term) preferredElection() error {
	if _, exists, err := t.s.Exists(t.ctx, znode.PreferredElectionPath); err != nil || !exists {
		return err
	}
	partitions, exists, err := t.s.PreferredElection(t.ctx)
	if !exists {
		return err
	}
	if err != nil {
		t.report([]error{err})
	} else if _, err := t.step(planner.PreferredElection{Partitions: partitions}); err != nil {
		return err
	}
	return t.withdraw(znode.PreferredElectionPath)
}

// reassign refuses what a tool asked for: moving a partition takes copying it.
func (t *term) reassign() error {
	if _, exists, err := t.s.Exists(t.ctx, znode.ReassignPath); err != nil || !exists {
		return err
	}
	t.log.Warn().Str("path", znode.ReassignPath).Msg("reassignment of partitions is not supported by this version; the request is removed")
	return t.withdraw(znode.ReassignPath)
}

// withdraw removes a request node, and sets the watch for the next.
func (t *term) withdraw(path string) error {
	if err := t.s.DeleteNodes(t.ctx, t.elected.Fence, []string{path}); err != nil {
		return err
	}
	_, exists, err := t.s.Exists(t.ctx, path)
	if exists { // there is another already, whose event the watch did not see
		t.post(map[string]func() error{znode.PreferredElectionPath: t.preferredElection, znode.ReassignPath: t.reassign}[path])
	}
	return err
}

func (t *term) rebalanceAfter(d time.Duration) {
	t.c.wg.Go(func() {
		select {
		case <-time.After(d):
		case <-t.ctx.Done():
			return
		}
		t.post(func() error {
			t.rebalanceAfter(t.c.cfg.RebalanceInterval)
			_, err := t.step(planner.Rebalance{Percentage: t.c.cfg.RebalancePercentage})
			return err
		})
	})
}

func (t *term) uncleanAllowed(topics []string) {
	_, err := t.step(planner.UncleanAllowed{Topics: topics})
	_ = t.judge(err)
}

// shutdown answers ControlledShutdown.
func (t *term) shutdown(broker int32, epoch int64) (*planner.Shutdown, error) {
	done, err := t.step(planner.ShutdownRequested{Broker: broker, Epoch: epoch})
	return done, t.judge(err)
}

// allocate answers AllocateProducerIds.
func (t *term) allocate(broker int32, epoch int64) (start int64, count int32, err error) {
	b, ok := t.plan.Broker(broker)
	switch {
	case !ok:
		return 0, 0, kerr.BrokerIDNotRegistered
	case b.Epoch != epoch:
		return 0, 0, kerr.StaleBrokerEpoch
	}
	start, count, err = t.s.AllocateProducerIDs(t.ctx, broker)
	return start, count, t.judge(err)
}
