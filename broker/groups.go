package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/group"
	"ottla/broker/metadata"
	"ottla/broker/partition"
	"ottla/broker/replica"
	"ottla/broker/topic"
	"ottla/broker/znode"
)

// offsetsLog lets the group coordinator write to and read from the partitions of __consumer_offsets that this broker leads.
type offsetsLog struct{ table *replica.Table }

func (o offsetsLog) leading(p, leaderEpoch int32) (*partition.Partition, error) {
	part, err := o.table.Lookup(topic.ConsumerOffsets, p)
	if err != nil {
		return nil, err
	}
	if part == nil {
		return nil, kerr.NotLeaderForPartition
	}
	if r := part.Role(); !r.Leads || r.LeaderEpoch != leaderEpoch {
		return nil, kerr.NotLeaderForPartition
	}
	return part, nil
}

// Append is group.Log's.
func (o offsetsLog) Append(ctx context.Context, p, leaderEpoch int32, batches []byte) error {
	part, err := o.leading(p, leaderEpoch)
	if err != nil {
		return err
	}
	_, _, err = part.Commit(ctx, leaderEpoch, batches, forever)
	if ctx.Err() != nil && err != nil {
		return kerr.RequestTimedOut
	}
	return err
}

// Scan is group.Log's.
func (o offsetsLog) Scan(ctx context.Context, p, leaderEpoch int32, maxBytes int, each func(entries []byte) error) error {
	part, err := o.leading(p, leaderEpoch)
	if err != nil {
		return err
	}
	log := part.Log()
	var buf []byte
	for at, end := log.LogStart(), log.LogEnd(); at < end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := o.leading(p, leaderEpoch); err != nil {
			return err
		}
		at, buf, err = scanOnce(log, at, end, maxBytes, buf, each)
		if err != nil {
			return err
		}
	}
	return nil
}

// groupCluster answers the group coordinator's questions from the metadata.
type groupCluster struct{ store *metadata.Store }

// PartitionCount is group.Metadata's.
func (c groupCluster) PartitionCount(name string) int32 {
	t, ok := c.store.Load().Topic(name)
	if !ok {
		return 0
	}
	return int32(len(t.Partitions))
}

// HasPartition is group.Metadata's.
func (c groupCluster) HasPartition(name string, p int32) bool {
	_, ok := c.store.Load().Partition(topic.Partition{Topic: name, Partition: p})
	return ok
}

// Leader is group.Metadata's.
func (c groupCluster) Leader(name string, p int32, listener string) (group.Broker, bool) {
	im := c.store.Load()
	state, ok := im.Partition(topic.Partition{Topic: name, Partition: p})
	if !ok {
		return group.Broker{}, false
	}
	b, ok := im.Broker(state.Leader)
	if !ok {
		return group.Broker{}, false
	}
	e, ok := b.Endpoint(listener)
	return group.Broker{ID: b.ID, Host: e.Host, Port: e.Port}, ok
}

// Changed is group.Metadata's.
func (c groupCluster) Changed() <-chan struct{} { return c.store.Changed() }

// legacyOffsets keeps the offsets of OffsetCommit version 0 in ZooKeeper.
type legacyOffsets struct{ zk *znode.Client }

// Set is group.LegacyOffsets'.
func (l legacyOffsets) Set(ctx context.Context, group, name string, p int32, offset int64) error {
	s, err := l.zk.Session(ctx)
	if err != nil {
		return err
	}
	return s.SetConsumerOffset(ctx, group, name, p, offset)
}

// Get is group.LegacyOffsets'.
func (l legacyOffsets) Get(ctx context.Context, group, name string, p int32) (int64, bool, error) {
	s, err := l.zk.Session(ctx)
	if err != nil {
		return 0, false, err
	}
	return s.ConsumerOffset(ctx, group, name, p)
}
