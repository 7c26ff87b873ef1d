package group

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/api"
	"ottla/broker/group/classic"
	"ottla/broker/topic"
)

const (
	// loadsMax is how many partitions are read at a time after many leaders have moved here.
	loadsMax = 4
	// loadWait is how long a request waits for its partition's load. Most loads are over by then, and clients that take
	// COORDINATOR_LOAD_IN_PROGRESS for a failure need not see it.
	loadWait = time.Second
	// loadRetryMax bounds the pause after a load that failed.
	loadRetryMax = 5 * time.Second
)

// Coordinator coordinates the groups whose partitions of __consumer_offsets this broker leads. Safe for concurrent use.
type Coordinator struct {
	cfg      Config
	settings *classic.Settings
	log      Log
	metadata Metadata
	topics   Topics
	legacy   LegacyOffsets

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup
	loads  chan struct{} // one token for each load that reads
	timers *timers

	tickets atomic.Uint64
	// count is the number of partitions of __consumer_offsets, 0 until it is known. It stays as it was seen first: a group must
	// not move because the topic grew.
	count atomic.Int32

	mu     sync.Mutex
	shards map[int32]*shard
	epochs map[int32]int32 // the newest leader epoch heard of, by partition
	closed bool
}

// New starts a coordinator of no partition. Close it.
func New(cfg Config, log Log, metadata Metadata, topics Topics, legacy LegacyOffsets) *Coordinator {
	c := &Coordinator{
		cfg: cfg, log: log, metadata: metadata, topics: topics, legacy: legacy,
		settings: &classic.Settings{MaxSize: cfg.MaxSize, InitialDelay: cfg.InitialRebalanceDelay, MetadataMax: cfg.OffsetMetadataMaxBytes},
		loads:    make(chan struct{}, loadsMax),
		shards:   map[int32]*shard{},
		epochs:   map[int32]int32{},
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.timers = newTimers()
	c.work.Go(func() { c.timers.run(c.ctx) })
	c.work.Go(c.expire)
	return c
}

// Close answers everything that waits with COORDINATOR_NOT_AVAILABLE and returns when no goroutine of the coordinator is left.
func (c *Coordinator) Close() {
	c.mu.Lock()
	c.closed = true
	shards := c.shards
	c.shards = map[int32]*shard{}
	c.mu.Unlock()
	for _, s := range shards {
		s.retire(kerr.CoordinatorNotAvailable)
	}
	c.cancel()
	c.work.Wait()
}

// Elected says that this broker leads a partition of __consumer_offsets in leaderEpoch. It returns at once; the partition is
// loaded in the background. An epoch older than what was heard before, or the one that is served already, is ignored.
func (c *Coordinator) Elected(partition, leaderEpoch int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.shards[partition]
	if known, ok := c.epochs[partition]; c.closed || ok && (leaderEpoch < known || leaderEpoch == known && old != nil) {
		return
	}
	c.epochs[partition] = leaderEpoch
	if old != nil {
		old.retire(kerr.NotCoordinator)
	}
	s := newShard(c, partition, leaderEpoch)
	c.shards[partition] = s
	c.work.Go(s.load)
}

// Resigned says that this broker leads the partition no more since leaderEpoch; a negative epoch, that its replica is gone. What
// is parked is answered before it returns; it waits for no disk.
func (c *Coordinator) Resigned(partition, leaderEpoch int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if leaderEpoch < 0 {
		delete(c.epochs, partition) // a topic made anew begins with epoch 0
	} else if known, ok := c.epochs[partition]; ok && leaderEpoch < known {
		return
	} else {
		c.epochs[partition] = leaderEpoch
	}
	if s := c.shards[partition]; s != nil {
		delete(c.shards, partition)
		s.retire(kerr.NotCoordinator)
	}
}

// TopicsDeleted drops the offsets of the topics, in the background.
func (c *Coordinator) TopicsDeleted(names []string) {
	gone := map[string]bool{}
	for _, n := range names {
		gone[n] = true
	}
	if gone[topic.ConsumerOffsets] {
		c.count.Store(0)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(gone) == 0 {
		return
	}
	c.work.Go(func() { c.stepAll(classic.TopicsDeleted{Topics: gone}) })
}

// expire drops offsets whose time is over, now and then.
func (c *Coordinator) expire() {
	if c.cfg.RetentionCheckPeriod <= 0 {
		return
	}
	t := time.NewTicker(c.cfg.RetentionCheckPeriod)
	defer t.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-t.C:
			c.stepAll(classic.Expire{Retention: c.cfg.OffsetsRetention})
		}
	}
}

// stepAll steps every group with an event, one at a time.
func (c *Coordinator) stepAll(e classic.Event) {
	for _, s := range c.served() {
		s.stepAll(e)
	}
}

// served are the shards, loading ones included, by partition.
func (c *Coordinator) served() []*shard {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]*shard, 0, len(c.shards))
	for _, s := range c.shards {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *shard) int { return int(a.partition) - int(b.partition) })
	return all
}

// partitionCount is the number of partitions of __consumer_offsets, or what it will be made with.
func (c *Coordinator) partitionCount() int32 {
	if n := c.count.Load(); n > 0 {
		return n
	}
	n := c.metadata.PartitionCount(topic.ConsumerOffsets)
	if n <= 0 {
		return c.cfg.OffsetsTopicPartitions
	}
	if !c.count.CompareAndSwap(0, n) {
		return max(c.count.Load(), 1)
	}
	return n
}

// shard finds the loaded shard of a group. It waits a little for one that is being loaded.
func (c *Coordinator) shard(ctx context.Context, group string) (*shard, *kerr.Error) {
	c.mu.Lock()
	s, closed := c.shards[topic.CoordinatorPartition(group, c.partitionCount())], c.closed
	c.mu.Unlock()
	switch {
	case closed:
		return nil, kerr.CoordinatorNotAvailable
	case s == nil:
		return nil, kerr.NotCoordinator
	case s.isLoaded():
		return s, nil
	}
	t := time.NewTimer(loadWait)
	defer t.Stop()
	defer api.Waiting(ctx)()
	select {
	case <-s.loaded:
		return s, nil // a retired one says so itself
	case <-t.C:
	case <-ctx.Done():
	}
	return nil, kerr.CoordinatorLoadInProgress
}

// Loading is how many partitions are being loaded.
func (c *Coordinator) Loading() (n int) {
	for _, s := range c.served() {
		if !s.isLoaded() {
			n++
		}
	}
	return n
}

// loading says whether the group's partition is being loaded.
func (c *Coordinator) loading(group string) bool {
	c.mu.Lock()
	s := c.shards[topic.CoordinatorPartition(group, c.partitionCount())]
	c.mu.Unlock()
	return s != nil && !s.isLoaded()
}

// Counts are the numbers of a coordinator's groups.
type Counts struct {
	Groups  map[classic.State]int
	Offsets int // stored
	Members int
}

// Counts counts the groups that are served.
func (c *Coordinator) Counts() Counts {
	n := Counts{Groups: map[classic.State]int{}}
	for _, s := range c.served() {
		s.mu.Lock()
		for _, e := range s.groups {
			n.Groups[e.group.State()]++
			n.Offsets += e.group.OffsetCount()
			n.Members += e.group.MemberCount()
		}
		s.mu.Unlock()
	}
	return n
}

// now is the time for a step.
func (c *Coordinator) now() classic.Time {
	return classic.Time{At: time.Now(), Wall: c.cfg.Now().UnixMilli()}
}
