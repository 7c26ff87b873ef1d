package dataplane

import (
	"time"

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

// Config is what New needs. The zero value of a number means its default.
type Config struct {
	Replicas Replicas
	Metadata Metadata

	FetchMaxBytes    int           // fetch.max.bytes; 57671680
	FetchSessionsMax int           // max.incremental.fetch.session.cache.slots; 1000
	SyncTimeout      time.Duration // longest wait of a produce for the disk alone; 30 s

	Now func() time.Time
	// Random fills its argument, for session ids (crypto/rand.Read).
	Random func([]byte) (int, error)
}
