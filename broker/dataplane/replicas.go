package dataplane

import (
	"time"

	"ottla/broker/api"
	"ottla/broker/partition"
	"ottla/broker/topic"
)

// Replicas finds the partitions that this broker hosts. Safe for concurrent use; called for every partition of every request.
type Replicas interface {
	// Lookup returns the partition, nil if it is not hosted here, or KAFKA_STORAGE_ERROR if its log directory is offline.
	Lookup(name string, number int32) (*partition.Partition, error)
}

// Metadata is what the data plane asks of the metadata image. Safe for concurrent use.
type Metadata interface {
	// Knows says whether the partition exists in the cluster.
	Knows(name string, number int32) bool
	// TopicName finds the name that goes with a topic id.
	TopicName(id topic.ID) (string, bool)
	// Leader says who leads the partition and where it is reached on the listener. false: no leader is known. Host "" means that
	// the leader has no such listener, or is not alive.
	Leader(name string, number int32, listener string) (Leader, bool)
}

// Leader is a partition's leader, for answers that tell a client where to go (KIP-951).
type Leader struct {
	ID, Epoch int32
	Host      string
	Port      int32
	Rack      *string
}

// Quotas throttles clients, by muting their connections; followers are not asked for. Safe for concurrent use.
type Quotas interface {
	// Active says whether anybody is limited: if not, nothing else need be called.
	Active() bool
	// Produced counts a Produce of size bytes, whose handling took so long, and returns for how long its client is throttled.
	// A request that is not answered (acks=0) is not throttled for its time.
	Produced(c *api.Conn, client string, size int, took time.Duration, answered bool) time.Duration
	// Fetched counts a Fetch answer. If its client is to be throttled, the answer must carry nothing, and does not count.
	Fetched(c *api.Conn, client string, size int, took time.Duration) time.Duration
	// FetchMost is the most bytes that a client may get at once without being throttled. ok is false when there is no limit.
	FetchMost(c *api.Conn, client string) (most int, ok bool)
}

// Config is what New needs. The zero value of a number means its default.
type Config struct {
	Replicas Replicas
	Metadata Metadata
	Quotas   Quotas // nil: none

	FetchMaxBytes    int           // fetch.max.bytes; 57671680
	FetchSessionsMax int           // max.incremental.fetch.session.cache.slots; 1000
	SyncTimeout      time.Duration // longest wait of a produce for the disk alone; 30 s

	Now func() time.Time
	// Random fills its argument, for session ids (crypto/rand.Read).
	Random func([]byte) (int, error)
}
