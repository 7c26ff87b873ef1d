package dataplane

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/partition"
)

// offsets serves ListOffsets. Version 0 answers an array of segment starts, later ones a single offset with its time; from
// version 4 on a leader epoch fences stale clients. Special timestamps came with versions 7 (-3), 8 (-4) and 9 (-5).
type offsets struct{ cfg Config }

func (h *offsets) handle(_ context.Context, _ *api.Request, q *kmsg.ListOffsetsRequest) (kmsg.Response, error) {
	view := partition.Committed
	switch {
	case q.ReplicaID != -1:
		view = partition.Everything
	case q.IsolationLevel == 1:
		view = partition.Stable
	}
	resp := kmsg.NewPtrListOffsetsResponse()
	for _, t := range q.Topics {
		rt := kmsg.NewListOffsetsResponseTopic()
		rt.Topic = t.Topic
		seen := make(map[int32]int, len(t.Partitions))
		for _, p := range t.Partitions {
			seen[p.Partition]++
		}
		for i := range t.Partitions {
			p := &t.Partitions[i]
			rp := kmsg.NewListOffsetsResponseTopicPartition()
			rp.Partition = p.Partition
			err := error(kerr.InvalidRequest)
			if q.Version == 0 || seen[p.Partition] == 1 {
				err = h.lookup(q.Version, t.Topic, p, view, &rp)
			}
			if rp.ErrorCode = api.Code(err); err != nil {
				rp.Timestamp, rp.Offset, rp.LeaderEpoch, rp.OldStyleOffsets = -1, -1, -1, nil
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp, nil
}

func (h *offsets) lookup(version int16, name string, q *kmsg.ListOffsetsRequestTopicPartition, view partition.View, r *kmsg.ListOffsetsResponseTopicPartition) error {
	p, err := h.cfg.lookup(name, q.Partition)
	if err != nil {
		return err
	}
	if !servesTimestamp(version, q.Timestamp) {
		return kerr.UnsupportedVersion
	}
	if version == 0 {
		r.OldStyleOffsets, err = p.OffsetsBefore(q.Timestamp, max(0, int(q.MaxNumOffsets)), view)
		return err
	}
	found, err := p.OffsetFor(q.Timestamp, view, q.CurrentLeaderEpoch)
	if err == kerr.OffsetNotAvailable && version < 5 {
		return kerr.LeaderNotAvailable
	}
	r.Timestamp, r.Offset, r.LeaderEpoch = found.Timestamp, found.Offset, found.LeaderEpoch
	return err
}

// servesTimestamp says whether the version knows the timestamp, if it is a special one.
func servesTimestamp(version int16, ts int64) bool {
	switch {
	case ts >= partition.EarliestOffset:
		return true
	case ts == partition.MaxTimestamp:
		return version >= 7
	case ts == partition.EarliestLocalOffset:
		return version >= 8
	case ts == partition.LatestTieredOffset:
		return version >= 9
	default:
		return false
	}
}
