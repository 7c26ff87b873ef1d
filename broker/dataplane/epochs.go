package dataplane

import (
	"cmp"
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/topic"
)

// epochs serves OffsetForLeaderEpoch (KIP-101, KIP-320): where the records of a leader epoch end, so that whoever has read on from
// another leader knows from where on what it has is not what was kept.
type epochs struct{ cfg Config }

func (h *epochs) handle(_ context.Context, _ *api.Request, q *kmsg.OffsetForLeaderEpochRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrOffsetForLeaderEpochResponse()
	for _, t := range q.Topics {
		rt := kmsg.NewOffsetForLeaderEpochResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			rp.Partition, rp.LeaderEpoch, rp.EndOffset = p.Partition, -1, -1
			found, err := h.cfg.lookup(t.Topic, p.Partition)
			if err == nil {
				rp.LeaderEpoch, rp.EndOffset, err = found.EndOffsetForEpoch(p.LeaderEpoch, p.CurrentLeaderEpoch)
			}
			rp.ErrorCode = api.Code(err)
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp, nil
}

// producers serves DescribeProducers (KIP-664): what hosted partitions, led here or not, remember of their producers.
type producers struct{ cfg Config }

func (h *producers) handle(_ context.Context, _ *api.Request, q *kmsg.DescribeProducersRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrDescribeProducersResponse()
	for _, t := range q.Topics {
		rt := kmsg.NewDescribeProducersResponseTopic()
		rt.Topic = t.Topic
		var failed error
		var text *string
		if err := topic.Validate(t.Topic); err != nil {
			failed, text = kerr.InvalidTopicException, kmsg.StringPtr(err.Error())
		} else if !h.cfg.Metadata.Knows(t.Topic, 0) {
			failed, text = kerr.UnknownTopicOrPartition, kmsg.StringPtr("This server does not host this topic-partition.")
		}
		for _, number := range t.Partitions {
			rp := kmsg.NewDescribeProducersResponseTopicPartition()
			rp.Partition, rp.ErrorCode, rp.ErrorMessage = number, api.Code(failed), text
			if failed == nil {
				err := h.describe(t.Topic, &rp)
				rp.ErrorCode = api.Code(err)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp, nil
}

// describe fills in the producers of one partition, by id.
func (h *producers) describe(name string, r *kmsg.DescribeProducersResponseTopicPartition) error {
	p, err := h.cfg.lookup(name, r.Partition)
	if err != nil {
		return err
	}
	for _, e := range p.Log().Producers() {
		rp := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
		rp.ProducerID, rp.ProducerEpoch = e.ID, int32(e.Epoch)
		rp.LastSequence, rp.LastTimestamp = -1, e.Timestamp
		if last, ok := e.Last(); ok {
			rp.LastSequence = last.LastSequence
		}
		rp.CoordinatorEpoch, rp.CurrentTxnStartOffset = e.CoordinatorEpoch, e.TxnFirstOffset
		r.ActiveProducers = append(r.ActiveProducers, rp)
	}
	slices.SortFunc(r.ActiveProducers, func(a, b kmsg.DescribeProducersResponseTopicPartitionActiveProducer) int {
		return cmp.Compare(a.ProducerID, b.ProducerID)
	})
	return nil
}
