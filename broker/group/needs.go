package group

import (
	"context"
	"time"

	"github.com/rs/zerolog"
)

// Config is what the coordinator needs of the broker's configuration. Keys in the comments are Kafka's.
type Config struct {
	MinSessionTimeout      time.Duration // group.min.session.timeout.ms
	MaxSessionTimeout      time.Duration // group.max.session.timeout.ms
	InitialRebalanceDelay  time.Duration // group.initial.rebalance.delay.ms
	MaxSize                int           // group.max.size, members of one group
	OffsetMetadataMaxBytes int           // offset.metadata.max.bytes

	OffsetsRetention     time.Duration // offsets.retention.minutes
	RetentionCheckPeriod time.Duration // offsets.retention.check.interval.ms
	CommitTimeout        time.Duration // offsets.commit.timeout.ms: how long one append may take
	CompressionCodec     int8          // offsets.topic.compression.codec: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd
	LoadBufferBytes      int           // offsets.load.buffer.size: how much of a partition is read at a time

	// What __consumer_offsets is made with when it is missing: offsets.topic.num.partitions, offsets.topic.segment.bytes.
	// OffsetsTopicReplicas is offsets.topic.replication.factor, or what the broker makes of it.
	OffsetsTopicPartitions   int32
	OffsetsTopicSegmentBytes int32
	OffsetsTopicReplicas     int16

	// Now is the wall clock, for the times that go into records. Session and rebalance timers run on time.Now's monotonic
	// reading, so that a clock that jumps expires nobody.
	Now func() time.Time
	// Random fills its argument with random bytes; crypto/rand.Read.
	Random func([]byte) (int, error)
	Logger zerolog.Logger
}

// Log is the partitions of __consumer_offsets that this broker leads. Safe for concurrent use.
type Log interface {
	// Append writes whole record batches of magic 2 (base offsets counting from 0, to be stamped) at the end of a partition
	// as leader of leaderEpoch, and returns once they are committed: acks=all with min.insync.replicas, and on the disk
	// where the topic is flushed before it is acknowledged. batches may be changed in place and is not kept.
	//
	// An error is, or wraps, a *kerr.Error: NOT_LEADER_OR_FOLLOWER when the broker does not lead the partition in
	// leaderEpoch, REQUEST_TIMED_OUT when ctx ended before the batches were committed (they may be later), else as Produce
	// answers. The coordinator has one Append at a time in flight for a partition.
	Append(ctx context.Context, partition, leaderEpoch int32, batches []byte) error

	// Scan calls each with the partition's entries, in order, from its log start to where its log ended when Scan was
	// called. entries holds one or more whole entries (any magic), about maxBytes of them and more only if a single one is
	// larger; it is valid until each returns. It fails when the broker stops leading in leaderEpoch, with ctx, and with
	// what each returns.
	Scan(ctx context.Context, partition, leaderEpoch int32, maxBytes int, each func(entries []byte) error) error
}

// Broker is a live broker with its address on one listener.
type Broker struct {
	ID   int32
	Host string
	Port int32
}

// Metadata is what the coordinator asks of the broker's image of the cluster. Safe for concurrent use.
type Metadata interface {
	// PartitionCount is the number of partitions of a topic, 0 when there is no such topic.
	PartitionCount(topic string) int32
	// HasPartition says whether the partition exists.
	HasPartition(topic string, partition int32) bool
	// Leader is the broker that leads the partition, with its address on the listener. ok is false when there is no leader, it
	// is not alive, or it does not have that listener.
	Leader(topic string, partition int32, listener string) (b Broker, ok bool)
	// Changed is closed when the image changes from the one that is current now; take it before asking.
	Changed() <-chan struct{}
}

// Topics makes internal topics. Safe for concurrent use.
type Topics interface {
	// Ensure makes the topic unless it exists already, and returns once it is in ZooKeeper (this broker's Metadata follows
	// later). It may be called by many at once, also by other brokers; who comes second gets nil.
	Ensure(ctx context.Context, name string, partitions int32, replicas int16, configs map[string]string) error
}

// LegacyOffsets keeps the offsets of OffsetCommit and OffsetFetch version 0: the znodes /consumers/GROUP/offsets/TOPIC/PARTITION,
// decimal text. Safe for concurrent use.
type LegacyOffsets interface {
	// Set writes an offset, making the nodes above it where they are missing.
	Set(ctx context.Context, group, topic string, partition int32, offset int64) error
	// Get reads an offset. ok is false when there is none.
	Get(ctx context.Context, group, topic string, partition int32) (offset int64, ok bool, err error)
}
