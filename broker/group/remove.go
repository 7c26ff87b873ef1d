package group

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/group/classic"
	"ottla/broker/topic"
)

// deleteGroups serves versions 0 to 2. Groups without members go, with their offsets. They are answered once that is in the log, all
// of them in one wait.
func (c *Coordinator) deleteGroups(ctx context.Context, _ *api.Request, req *kmsg.DeleteGroupsRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrDeleteGroupsResponse()
	loading, cancel := context.WithTimeout(ctx, loadWait) // for all groups together
	defer cancel()
	waits := make([]*asked, 0, len(req.Groups))
	seen := map[string]bool{}
	for _, id := range req.Groups {
		if seen[id] {
			continue
		}
		seen[id] = true
		var wait *asked
		s, kerror := c.shard(loading, id)
		if kerror == nil {
			var err error
			wait, err = s.ask(id, false, func(t classic.Ticket) classic.Event { return classic.Delete{Ticket: t} })
			if _, kerror, _ = parked(nil, err); kerror == nil && wait == nil {
				kerror = kerr.GroupIDNotFound
			}
		}
		waits = append(waits, wait)
		resp.Groups = append(resp.Groups, kmsg.DeleteGroupsResponseGroup{Group: id, ErrorCode: code(kerror)})
	}
	for i, wait := range waits {
		if wait == nil {
			continue
		}
		answer, err := wait.wait(ctx)
		if err != nil {
			return nil, err
		}
		resp.Groups[i].ErrorCode = code(answer.(classic.ErrorReply).Err)
	}
	return resp, nil
}

// offsetDelete serves version 0 (KIP-496). An error of the group stands alone.
func (c *Coordinator) offsetDelete(ctx context.Context, _ *api.Request, req *kmsg.OffsetDeleteRequest) (kmsg.Response, error) {
	refuse := func(err *kerr.Error) (kmsg.Response, error) {
		resp := kmsg.NewPtrOffsetDeleteResponse()
		resp.ErrorCode = code(err)
		return resp, nil
	}
	resp := kmsg.NewPtrOffsetDeleteResponse()
	var partitions []topic.Partition
	var results []slot // of each of them, in the response
	seen := map[topic.Partition]bool{}
	for _, t := range req.Topics {
		if len(t.Partitions) == 0 && c.metadata.PartitionCount(t.Topic) > 0 {
			continue
		}
		rt := kmsg.OffsetDeleteResponseTopic{Topic: t.Topic, Partitions: make([]kmsg.OffsetDeleteResponseTopicPartition, 0, len(t.Partitions))}
		for _, p := range t.Partitions {
			rp := kmsg.OffsetDeleteResponseTopicPartition{Partition: p.Partition}
			if tp := (topic.Partition{Topic: t.Topic, Partition: p.Partition}); !c.metadata.HasPartition(t.Topic, p.Partition) {
				rp.ErrorCode = code(kerr.UnknownTopicOrPartition)
			} else if seen[tp] {
				continue
			} else {
				seen[tp] = true
				partitions = append(partitions, tp)
				results = append(results, slot{len(resp.Topics), len(rt.Partitions)})
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	s, kerror := c.member(ctx, req.Group)
	if kerror != nil {
		return refuse(kerror)
	}
	answer, kerror, err := parked(s.do(ctx, req.Group, false, func(t classic.Ticket) classic.Event {
		return classic.DeleteOffsets{Ticket: t, Partitions: partitions}
	}))
	switch {
	case err != nil:
		return nil, err
	case kerror != nil:
		return refuse(kerror)
	case answer == nil:
		return refuse(kerr.GroupIDNotFound)
	}
	reply := answer.(classic.DeleteOffsetsReply)
	if reply.Err != nil {
		return refuse(reply.Err)
	}
	for i, e := range reply.Errs {
		resp.Topics[results[i].topic].Partitions[results[i].partition].ErrorCode = code(e)
	}
	return resp, nil
}
