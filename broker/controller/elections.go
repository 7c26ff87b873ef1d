package controller

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/controller/planner"
	"ottla/broker/topic"
	"ottla/broker/znode"
)

// Kinds of elections in ElectLeaders (KIP-460).
const (
	electPreferred = 0
	electUnclean   = 1
)

// elected is what became of one partition of an ElectLeaders request.
type elected struct {
	leader int32
	err    error // why there was no election
}

// ElectLeaders: versions 0 to 2. From 1 on there are unclean elections and an error of the whole. It answers once this broker knows
// the leaders that were elected.
func (h *Handlers) electLeaders(ctx context.Context, r *api.Request, q *kmsg.ElectLeadersRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrElectLeadersResponse()
	asked := h.Metadata.All()
	if q.Topics != nil {
		asked = asked[:0]
		for _, t := range q.Topics {
			for _, p := range t.Partitions {
				asked = append(asked, topic.Partition{Topic: t.Topic, Partition: p})
			}
		}
	}
	slices.SortFunc(asked, func(a, b topic.Partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	asked = slices.Compact(asked)

	var results []elected
	err := error(kerr.UnknownServerError)
	if q.ElectionType == electPreferred || q.ElectionType == electUnclean {
		timed, cancel := writing(ctx, r, q.TimeoutMillis)
		defer cancel()
		err = h.Controller.inOffice(timed, func(t *term) (err error) {
			results, err = t.elect(asked, q.ElectionType == electUnclean)
			return err
		})
	}
	if errors.Is(err, kerr.NotController) || isSessionLost(err) {
		results, err = repeat(elected{err: errNotController}, len(asked)), nil
	} else if err != nil {
		resp.ErrorCode = h.code(err, "election", "")
		if q.Topics == nil {
			return resp, nil
		}
		results = repeat(elected{err: err}, len(asked))
	}
	wait, cancel := awaiting(ctx, r, q.TimeoutMillis)
	defer cancel()
	for i, tp := range asked {
		e := results[i]
		if e.err == nil && (q.TimeoutMillis <= 0 && h.Metadata.LeaderOf(tp) != e.leader ||
			h.Metadata.Wait(wait, func() bool { return h.Metadata.LeaderOf(tp) == e.leader }) != nil) {
			e.err = kerr.RequestTimedOut
		}
		if q.Topics == nil && errors.Is(e.err, errNotNeeded) {
			continue // of all partitions, only those that needed an election are told
		}
		if n := len(resp.Topics); n == 0 || resp.Topics[n-1].Topic != tp.Topic {
			rt := kmsg.NewElectLeadersResponseTopic()
			rt.Topic = tp.Topic
			resp.Topics = append(resp.Topics, rt)
		}
		rp := kmsg.NewElectLeadersResponseTopicPartition()
		rp.Partition, rp.ErrorCode, rp.ErrorMessage = tp.Partition, h.code(e.err, "election", tp.Topic), text(e.err)
		rt := &resp.Topics[len(resp.Topics)-1]
		rt.Partitions = append(rt.Partitions, rp)
	}
	return resp, nil
}

func repeat(e elected, n int) []elected { return slices.Repeat([]elected{e}, n) }

var errNotNeeded = planner.Refuse(kerr.ElectionNotNeeded, "Leader election not needed for topic partition.")

// elect holds elections on the event loop.
func (t *term) elect(asked []topic.Partition, unclean bool) ([]elected, error) {
	results := make([]elected, len(asked))
	var electable []topic.Partition
	for i, tp := range asked {
		switch t.plan.Electable(tp, unclean) {
		case planner.NotNeeded:
			results[i].err = errNotNeeded
		case planner.NoPartition:
			results[i].err = planner.Refuse(kerr.UnknownTopicOrPartition, "The partition does not exist.")
		case planner.BeingDeleted:
			results[i].err = planner.Refuse(kerr.InvalidTopicException, "The topic is being deleted")
		default:
			electable = append(electable, tp)
		}
	}
	if len(electable) == 0 {
		return results, nil
	}
	ev, code, strategy := planner.Event(planner.PreferredElection{Partitions: electable}), kerr.PreferredLeaderNotAvailable, "PreferredReplicaPartitionLeaderElectionStrategy"
	if unclean {
		ev, code, strategy = planner.UncleanElection{Partitions: electable}, kerr.EligibleLeadersNotAvailable, "OfflinePartitionLeaderElectionStrategy(true)"
	}
	if _, err := t.step(ev); err != nil {
		return nil, err
	}
	for i, tp := range asked {
		if results[i].err != nil {
			continue
		}
		if results[i].leader = t.plan.Leader(tp); t.plan.Electable(tp, unclean) != planner.NotNeeded {
			results[i].err = planner.Refuse(code, "Failed to elect leader for partition %s under strategy %s", tp, strategy)
		}
	}
	return results, nil
}

// ListPartitionReassignments: version 0. This controller begins none; it tells of those that it found.
func (h *Handlers) listReassignments(ctx context.Context, _ *api.Request, q *kmsg.ListPartitionReassignmentsRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrListPartitionReassignmentsResponse()
	resp.ErrorMessage = kmsg.StringPtr("")
	var all map[topic.Partition]znode.Assignment
	err := h.Controller.inOffice(ctx, func(t *term) error {
		all = t.plan.Reassignments()
		return nil
	})
	if err != nil {
		resp.ErrorCode = h.code(err, "list of reassignments", "")
		resp.ErrorMessage = describe(resp.ErrorCode)
		return resp, nil
	}
	asked := map[topic.Partition]bool{}
	for _, t := range q.Topics {
		for _, p := range t.Partitions {
			asked[topic.Partition{Topic: t.Topic, Partition: p}] = true
		}
	}
	at := map[string]int{}
	for tp, a := range all {
		if q.Topics != nil && !asked[tp] {
			continue
		}
		i, ok := at[tp.Topic]
		if !ok {
			i = len(resp.Topics)
			at[tp.Topic] = i
			rt := kmsg.NewListPartitionReassignmentsResponseTopic()
			rt.Topic = tp.Topic
			resp.Topics = append(resp.Topics, rt)
		}
		rp := kmsg.NewListPartitionReassignmentsResponseTopicPartition()
		rp.Partition, rp.Replicas, rp.AddingReplicas, rp.RemovingReplicas = tp.Partition, a.Replicas, a.Adding, a.Removing
		resp.Topics[i].Partitions = append(resp.Topics[i].Partitions, rp)
	}
	return resp, nil
}

// describe is Apache Kafka's own text for a code, for answers that carry it.
func describe(code int16) *string {
	if code == errNotController.Code {
		return kmsg.StringPtr("This is not the correct controller for this cluster.")
	}
	return nil
}
