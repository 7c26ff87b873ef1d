package broker

import (
	"errors"
	"fmt"
	"slices"

	"ottla/broker/metadata"
	"ottla/broker/topic"
)

// Ready says why clients should not be sent to this broker yet, or not any more; nil: they may be. A broker is ready once it leads
// every partition that the controller wants it to lead, none waits for it to become leader, and the groups that it coordinates are
// loaded. From then on it is until it stops: what happens in the cluster later is no reason to take it from its clients. May be
// called at any time.
func (s *Server) Ready() error {
	switch state(s.meters.state.Load()) {
	case running:
	case starting, recovering:
		return errors.New("starting")
	default:
		return errors.New("stopping")
	}
	if s.meters.ready.Load() {
		return nil
	}
	if err := s.leadsAll(); err != nil {
		return err
	}
	s.meters.ready.Store(true)
	return nil
}

// leadsAll compares what the controller tells everybody with what is led here.
func (s *Server) leadsAll() error {
	im := s.metadata.Load()
	if _, ok := im.Broker(s.id); !ok {
		return errors.New("the controller has not heard of this broker yet")
	}
	all, missing, first := 0, 0, topic.Partition{}
	for t := range im.Topics() {
		for i := range t.Partitions {
			p := &t.Partitions[i]
			tp := topic.Partition{Topic: t.Name, Partition: p.ID}
			switch {
			case p.Leader == s.id:
				if hosted := s.table.Hosted()[tp]; hosted != nil && hosted.Role().Leads && hosted.Role().LeaderEpoch >= p.LeaderEpoch {
					all++
					continue
				}
			case p.Leader == metadata.NoLeader && slices.Contains(p.ISR, s.id) && !slices.Contains(p.OfflineReplicas, s.id):
			default:
				continue
			}
			if all, missing = all+1, missing+1; missing == 1 {
				first = tp
			}
		}
	}
	if missing > 0 {
		return fmt.Errorf("%d of %d partitions are not led yet that this broker should lead, such as %s", missing, all, first)
	}
	if n := s.groups.Loading(); n > 0 {
		return fmt.Errorf("%d partitions of %s are being loaded", n, topic.ConsumerOffsets)
	}
	return nil
}
