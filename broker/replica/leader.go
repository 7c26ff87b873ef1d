package replica

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/partition"
	"ottla/broker/topic"
)

// Register adds LeaderAndIsr v0-7 and StopReplica v0-4.
func (t *Table) Register(r *api.Registry) {
	api.Register(r, 0, 7, t.leaderAndISR)
	t.registerStop(r)
}

func (t *Table) leaderAndISR(ctx context.Context, r *api.Request, req *kmsg.LeaderAndISRRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrLeaderAndISRResponse()
	states := topicStates(req)
	unprepared := t.prepare(ctx, states)
	t.mu.Lock()
	defer t.mu.Unlock()
	refused := t.cfg.Fence.Check(req.ControllerEpoch, req.BrokerEpoch)
	resp.ErrorCode = api.Code(refused)
	c := t.changeLocked()
	c.unprepared = unprepared
	for _, ts := range states {
		answers := make([]kmsg.LeaderAndISRResponseTopicPartition, 0, len(ts.PartitionStates))
		for i := range ts.PartitionStates {
			s := &ts.PartitionStates[i]
			tp := topic.Partition{Topic: ts.Topic, Partition: s.Partition}
			err := refused // which is told of each partition as well
			if err == nil {
				err = c.become(tp, ts.TopicID, s)
			}
			t.cfg.Logger.Debug().Err(err).Stringer("partition", tp).Int32("controller", req.ControllerID).Int32("controller_epoch", s.ControllerEpoch).
				Int32("leader", s.Leader).Int32("leader_epoch", s.LeaderEpoch).Int32("partition_epoch", s.ZKVersion).Ints32("isr", s.ISR).Msg("LeaderAndIsr")
			a := kmsg.NewLeaderAndISRResponseTopicPartition()
			a.Topic, a.Partition, a.ErrorCode = ts.Topic, s.Partition, api.Code(err)
			answers = append(answers, a)
		}
		if r.Version < 5 {
			resp.Partitions = append(resp.Partitions, answers...)
			continue
		}
		rt := kmsg.NewLeaderAndISRResponseTopic()
		rt.TopicID, rt.Partitions = ts.TopicID, answers
		resp.Topics = append(resp.Topics, rt)
	}
	c.publish()
	return resp, nil
}

// topicStates gives the partition states by topic in every version: 0 and 1 list them flat.
func topicStates(req *kmsg.LeaderAndISRRequest) []kmsg.LeaderAndISRRequestTopicState {
	if req.Version >= 2 {
		return req.TopicStates
	}
	var states []kmsg.LeaderAndISRRequestTopicState
	at := map[string]int{}
	for _, p := range req.PartitionStates {
		i, ok := at[p.Topic]
		if !ok {
			i = len(states)
			at[p.Topic] = i
			states = append(states, kmsg.LeaderAndISRRequestTopicState{Topic: p.Topic})
		}
		states[i].PartitionStates = append(states[i].PartitionStates, p)
	}
	return states
}

// prepare has the configurations read of topics that have partitions new to this broker. Without the mutex: it waits for
// ZooKeeper, and what it reads comes back through Reconfigure.
func (t *Table) prepare(ctx context.Context, states []kmsg.LeaderAndISRRequestTopicState) error {
	hosted := t.Hosted()
	var names []string
	for _, ts := range states {
		if slices.ContainsFunc(ts.PartitionStates, func(s kmsg.LeaderAndISRRequestTopicPartition) bool {
			return hosted[topic.Partition{Topic: ts.Topic, Partition: s.Partition}] == nil
		}) {
			names = append(names, ts.Topic)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return t.cfg.Prepare(ctx, names)
}

// become gives a partition the role that the controller asks for.
func (c *change) become(tp topic.Partition, id topic.ID, s *kmsg.LeaderAndISRRequestTopicPartition) error {
	cfg := &c.t.cfg
	if topic.Validate(tp.Topic) != nil || tp.Partition < 0 {
		return kerr.UnknownTopicOrPartition // it would become the name of a directory
	}
	if !slices.Contains(s.Replicas, cfg.Self) {
		return kerr.UnknownTopicOrPartition
	}
	if err := c.accept(tp, id, s.LeaderEpoch); err != nil {
		return err
	}
	leads := s.Leader == cfg.Self
	if !leads && s.Leader >= 0 && !c.t.live(s.Leader) {
		// A leader that nobody has told us of is not followed. The log is made all the same, as in Apache Kafka.
		cfg.Logger.Warn().Stringer("partition", tp).Int32("leader", s.Leader).Msg("the leader is not among the live brokers: not following it")
		_, err := c.open(tp, id, s.IsNew)
		return err
	}
	p, err := c.open(tp, id, s.IsNew)
	if err != nil {
		cfg.Logger.Error().Err(err).Stringer("partition", tp).Msg("cannot open the log")
		return err
	}
	state := partition.State{
		ControllerEpoch: s.ControllerEpoch, Leader: s.Leader, LeaderEpoch: s.LeaderEpoch, PartitionEpoch: s.ZKVersion, ISR: s.ISR,
		Replicas: s.Replicas, Adding: s.AddingReplicas, Removing: s.RemovingReplicas, Recovering: s.LeaderRecoveryState == 1,
	}
	old := p.Role()
	if leads {
		fresh, err := p.MakeLeader(state)
		if err == nil && fresh {
			c.after = append(c.after, func() { cfg.Elected(tp, s.LeaderEpoch) })
		}
		return err
	}
	_, err = p.MakeFollower(state)
	if err == nil && old.Leads {
		c.after = append(c.after, func() { cfg.Resigned(tp, s.LeaderEpoch) })
	}
	return err
}

// accept checks a decision's topic id and leader epoch against the hosted partition. A decision with the known leader epoch is
// refused as stale, unless all it does is to give the log a topic id that it did not have.
func (c *change) accept(tp topic.Partition, id topic.ID, leaderEpoch int32) error {
	p := c.get(tp)
	known := topic.ID{}
	if p != nil {
		known = p.Log().TopicID()
	} else if log, _ := c.t.cfg.Logs.Log(tp); log != nil {
		known = log.TopicID()
	}
	if !known.IsZero() && !id.IsZero() && known != id {
		return kerr.InconsistentTopicID
	}
	if p == nil {
		return nil
	}
	switch current := p.Role().LeaderEpoch; {
	case leaderEpoch > current:
		return nil
	case leaderEpoch == current && known.IsZero() && !id.IsZero():
		return nil
	default:
		return kerr.StaleControllerEpoch
	}
}
