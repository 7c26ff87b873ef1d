package config

import (
	"time"

	"ottla/broker/config/keys"
	"ottla/internal/keystore"
	"ottla/internal/zkdial"
)

// Config is everything the broker's keys say, resolved and typed: one immutable snapshot. The static one comes from Load;
// Store.Config returns it with the dynamic layers of /config/brokers applied. Fields ending in Ms or Bytes are Kafka's
// own numbers; durations are saturated (Kafka's "for ever", 9223372036854775807 ms, is about 292 years).
type Config struct {
	BrokerID           int32 // -1: take it from meta.properties, else generate one
	BrokerIDGeneration bool  // broker.id.generation.enable
	ReservedBrokerID   int32 // reserved.broker.max.id: generated ids start above it
	Rack               string

	Network     Network
	ZooKeeper   ZooKeeper
	Log         Log
	Topic       TopicConfig // what a topic without overrides gets
	Replica     Replica
	Controller  Controller
	Group       Group
	Offsets     Offsets
	Transaction Transaction

	AutoCreateTopics  bool  // auto.create.topics.enable
	DeleteTopics      bool  // delete.topic.enable
	NumPartitions     int32 // num.partitions
	ReplicationFactor int16 // default.replication.factor as it counts here
	RequestTimeout    time.Duration
	FetchMaxBytes     int32 // fetch.max.bytes
	FetchSessions     int32 // max.incremental.fetch.session.cache.slots
	PartitionLimit    int32 // max.request.partition.size.limit
	FetchPurge        int32 // fetch.purgatory.purge.interval.requests
	ProducePurge      int32 // producer.purgatory.purge.interval.requests

	ProducerIDExpiration    time.Duration // producer.id.expiration.ms
	ProducerIDExpirationRun time.Duration // producer.id.expiration.check.interval.ms
	QuotaWindows            int32         // quota.window.num
	QuotaWindow             time.Duration // quota.window.size.seconds
	ControllerQuotaWindows  int32         // controller.quota.window.num
	ControllerQuotaWindow   time.Duration // controller.quota.window.size.seconds

	MetricsListener string        // ottla.metrics.listener: host:port, "" for none
	SlowRequest     time.Duration // ottla.request.slow.ms: 0 for none

	values *values
}

// Network is what the listeners and their connections need.
type Network struct {
	Listeners            []Listener        // as bound, in the order of the key
	Advertised           []Listener        // as registered and told to clients
	Security             map[string]string // listener name -> PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL
	InterBroker          string            // name of the listener that brokers and controller use
	ControlPlane         string            // control.plane.listener.name, "" for none
	SendBufferBytes      int32             // -1: the system's
	ReceiveBufferBytes   int32             // -1: the system's
	RequestMaxBytes      int32             // socket.request.max.bytes
	Backlog              int32             // socket.listen.backlog.size
	BacklogSet           bool              // somebody has set it: else the system's limit does
	MaxConnections       int32
	MaxConnectionsPerIP  int32
	MaxConnectionsIP     map[string]int32            // max.connections.per.ip.overrides: host or address -> count
	MaxConnectionRate    int32                       // max.connection.creation.rate
	OfListener           map[string]ListenerSettings // by name: those of listener.name.NAME.*
	MaxIdle              time.Duration               // connections.max.idle.ms; negative or 0: never closed for idleness
	QueuedMaxRequests    int32
	QueuedMaxBytes       int64 // queued.max.request.bytes, -1: no bound
	NetworkThreads       int32
	IOThreads            int32
	BackgroundThreads    int32
	FailedAuthentication time.Duration // connection.failed.authentication.delay.ms
}

// ListenerSettings are a listener's own, or the broker's where it has none.
type ListenerSettings struct {
	MaxConnections    int32
	MaxConnectionRate int32
}

// ZooKeeper is how to reach the coordinator.
type ZooKeeper struct {
	Connect           string   // zookeeper.connect as given
	Servers           []string // host:port
	Chroot            string   // "" or a path that starts with a slash and does not end with one
	SessionTimeout    time.Duration
	ConnectionTimeout time.Duration
	MaxInFlight       int32
	SetACL            bool             // zookeeper.set.acl: nodes belong to the identities of the brokers
	TLS               *keystore.Client // nil: none
	Login             *zkdial.Login    // nil: none
}

// Log is what the log directories need beside the settings of each topic.
type Log struct {
	Dirs                      []string
	RecoveryThreads           int32         // num.recovery.threads.per.data.dir
	RetentionCheck            time.Duration // log.retention.check.interval.ms
	InitialTaskDelay          time.Duration // log.initial.task.delay.ms
	FlushScheduler            time.Duration // log.flush.scheduler.interval.ms
	RecoveryCheckpoint        time.Duration // log.flush.offset.checkpoint.interval.ms
	StartOffsetCheckpoint     time.Duration // log.flush.start.offset.checkpoint.interval.ms
	HighWatermarkCheckpoint   time.Duration // replica.high.watermark.checkpoint.interval.ms
	DirFailureTimeout         time.Duration // log.dir.failure.timeout.ms
	CleanerEnable             bool
	CleanerThreads            int32
	CleanerDedupeBytes        int64
	CleanerIOBufferBytes      int32
	CleanerIOBufferLoadFactor float64
	CleanerIOBytesPerSecond   float64
	CleanerBackoff            time.Duration
}

// Replica is replication.
type Replica struct {
	LagTimeMax         time.Duration // replica.lag.time.max.ms
	SocketTimeout      time.Duration
	SocketReceiveBytes int32
	FetchMaxBytes      int32
	FetchResponseBytes int32
	FetchMinBytes      int32
	FetchWaitMax       time.Duration
	FetchBackoff       time.Duration
	Fetchers           int32
	SelectorClass      string
}

// Controller is what the elected broker, and one that leaves, need.
type Controller struct {
	SocketTimeout             time.Duration // controller.socket.timeout.ms
	ControlledShutdown        bool
	ControlledShutdownRetries int32
	ControlledShutdownBackoff time.Duration
	AutoRebalance             bool          // auto.leader.rebalance.enable
	ImbalanceCheck            time.Duration // leader.imbalance.check.interval.seconds
	ImbalancePercentage       int32
	ProtocolVersion           string // inter.broker.protocol.version, in full: "3.9-IV0"
}

// Group is the group coordinator.
type Group struct {
	MinSessionTimeout     time.Duration
	MaxSessionTimeout     time.Duration
	InitialRebalanceDelay time.Duration
	MaxSize               int32
}

// Offsets is __consumer_offsets and what it keeps.
type Offsets struct {
	Partitions        int32
	ReplicationFactor int16 // as it counts here
	SegmentBytes      int32
	LoadBufferBytes   int32
	CompressionCodec  int32 // as in batch attributes
	Retention         time.Duration
	RetentionCheck    time.Duration
	CommitTimeout     time.Duration
	RequiredAcks      int16
	MetadataMaxBytes  int32
}

// Transaction is __transaction_state and its coordinator.
type Transaction struct {
	Partitions            int32
	ReplicationFactor     int16 // as it counts here
	MinISR                int32
	SegmentBytes          int32
	LoadBufferBytes       int32
	MaxTimeout            time.Duration
	IDExpiration          time.Duration
	AbortCheck            time.Duration
	ExpirationCheck       time.Duration
	PartitionVerification bool
}

// TopicConfig is one topic's configuration, resolved. Immutable.
type TopicConfig struct {
	Delete  bool // cleanup.policy has delete
	Compact bool // cleanup.policy has compact

	RetentionMs         int64 // -1: by time never
	RetentionBytes      int64 // -1: by size never
	SegmentBytes        int32
	SegmentMs           int64
	SegmentJitterMs     int64
	SegmentIndexBytes   int32
	IndexIntervalBytes  int32
	FlushMessages       int64
	FlushMs             int64
	FileDeleteDelayMs   int64
	Preallocate         bool
	MaxMessageBytes     int32
	MinInSyncReplicas   int32
	UncleanElection     bool
	CompressionType     string // producer, uncompressed, gzip, snappy, lz4, zstd
	GzipLevel           int32
	LZ4Level            int32
	ZstdLevel           int32
	LogAppendTime       bool  // message.timestamp.type
	TimestampBeforeMs   int64 // how much older than the broker's clock a record may be
	TimestampAfterMs    int64 // how much newer
	DownConversion      bool
	DeleteRetentionMs   int64 // tombstones
	MinDirtyRatio       float64
	MinCompactionLagMs  int64
	MaxCompactionLagMs  int64
	LeaderThrottle      string // leader.replication.throttled.replicas
	FollowerThrottle    string
	RemoteStorage       bool
	LocalRetentionMs    int64 // as it counts: -2 is replaced by RetentionMs
	LocalRetentionBytes int64 // as it counts: -2 is replaced by RetentionBytes
}

// Listener is one listener: bound, or advertised.
type Listener struct {
	Name string // upper case
	Host string // without brackets; "" binds every address
	Port int32  // 0 lets the system choose (tests)
}

// Get returns a broker key's value as text, as DescribeConfigs prints it: resolved over all layers, else the default.
// ok is false when the key has no value (null) or is not in the table and not set.
func (c *Config) Get(name string) (value string, ok bool) { return c.values.get(name) }

// Key finds a broker key in the table.
func Key(name string) (keys.Key, bool) { return keys.Broker.Lookup(name) }
