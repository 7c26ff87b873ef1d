package commitlog

import (
	"math"
	"time"

	"github.com/rs/zerolog"

	"ottla/broker/record"
	"ottla/broker/topic"
	"ottla/internal/fs"
)

// Forever stands for "no limit" in the settings that count messages or milliseconds.
const Forever = math.MaxInt64

// Settings are the topic-level values that a log obeys, under the names of Kafka's keys. A log swaps them as a whole
// (SetSettings), so that an append sees the old ones or the new ones and never a mix.
type Settings struct {
	SegmentBytes       int64 // segment.bytes
	SegmentMs          int64 // segment.ms
	SegmentJitterMs    int64 // segment.jitter.ms
	SegmentIndexBytes  int64 // segment.index.bytes
	IndexIntervalBytes int64 // index.interval.bytes
	RetentionMs        int64 // retention.ms; -1 keeps for ever
	RetentionBytes     int64 // retention.bytes; -1 keeps everything
	FileDeleteDelayMs  int64 // file.delete.delay.ms
	FlushMessages      int64 // flush.messages; Forever leaves it to the background flush
	FlushMs            int64 // flush.ms; Forever likewise
	Preallocate        bool  // preallocate
	Delete             bool  // cleanup.policy contains delete: retention by time and size applies
	Compact            bool  // cleanup.policy contains compact

	// Of compacted logs: when the cleaner takes them, and what it leaves.
	MinDirtyRatio      float64 // min.cleanable.dirty.ratio
	MinCompactionLagMs int64   // min.compaction.lag.ms
	MaxCompactionLagMs int64   // max.compaction.lag.ms; 0 and Forever are no bound
	DeleteRetentionMs  int64   // delete.retention.ms: how long tombstones and markers without data are kept

	ProducerExpirationMs int64 // producer.id.expiration.ms (a broker key)
}

// DefaultSettings are the defaults of Apache Kafka 3.9.
func DefaultSettings() Settings {
	return Settings{
		SegmentBytes: 1 << 30, SegmentMs: 7 * 24 * 3600_000, SegmentIndexBytes: 10 << 20, IndexIntervalBytes: 4096,
		RetentionMs: 7 * 24 * 3600_000, RetentionBytes: -1, FileDeleteDelayMs: 60_000,
		FlushMessages: Forever, FlushMs: Forever, Delete: true, MinDirtyRatio: 0.5, MaxCompactionLagMs: Forever, DeleteRetentionMs: 24 * 3600_000, ProducerExpirationMs: 24 * 3600_000,
	}
}

// Options are what Open needs. FS, Dir, Partition and Now must be set; the zero value of the rest is usable.
type Options struct {
	FS        fs.FS
	Dir       string // the partition's directory; made if missing
	Partition topic.Partition
	Settings  Settings

	// RecoveryPoint is the offset below which everything was flushed: what recovery-point-offset-checkpoint says, else 0.
	RecoveryPoint int64
	// LogStartOffset is what log-start-offset-checkpoint says, else 0.
	LogStartOffset int64
	// CleanShutdown says that the directory was closed cleanly, so that nothing is scanned.
	CleanShutdown bool
	// Cleaned says that a cleaner has gone over the log (cleaner-offset-checkpoint names it), so that offsets may be missing between
	// two segments. Otherwise that is a loss, and what lies behind it was never acknowledged.
	Cleaned bool
	// CleanedTo is the offset that cleaner-offset-checkpoint says, if it says one.
	CleanedTo int64

	// SnapshotEveryBytes is how far the log grows between snapshots of its producers that are taken beside those of each roll: a start
	// after a crash reads the headers behind the last one. 0 means 16 MiB.
	SnapshotEveryBytes int64
	// ExpireEvery is how often Housekeep looks for idle producers (producer.id.expiration.check.interval.ms); 0 means 10 minutes.
	ExpireEvery time.Duration

	// Flushed, if not nil, is told how long each sync of a segment took.
	Flushed func(took time.Duration)

	Now    func() time.Time
	Logger zerolog.Logger
	// Random returns a number in [0, n), for segment.jitter.ms; nil means math/rand.
	Random func(n int64) int64
	// Cache holds descriptors and index pages of sealed segments, shared by all logs of a broker; nil makes a small one.
	Cache *Cache
	// IO bounds how many goroutines sit in a file call of this log directory; nil does not.
	IO Tokens
	// OnFailure is called once, without a lock held, when a write or a sync failed in a way after which the directory must not
	// be used any more (EIO, or any failed sync). The log has already stopped serving. May be nil.
	OnFailure func(err error)
}

// Tokens bounds the goroutines that are in a file call at the same time. Safe for concurrent use.
type Tokens interface {
	Acquire()
	Release()
}

// AppendSet is the records of one producer request for one partition, or of one internal append: it succeeds or fails as a whole.
type AppendSet struct {
	// Records are contiguous batches of magic 2, as record.Validate returns them; Append stamps base offsets and leader epochs
	// into them. They are not kept.
	Records []byte
	// Batches are the headers of Records, in order. Append sets their BaseOffset and LeaderEpoch.
	Batches []record.Header
	// ClientOrigin turns the sequence checks of idempotent producers on. Off for coordinators' records and markers.
	ClientOrigin bool

	// LogAppendTime is set by the caller: the time stamped into the batches in ms, or -1 for CreateTime. A duplicate gets that
	// of the batch it repeats.
	LogAppendTime int64

	// Results. With Err set only LogStartOffset is too. Offsets are -1 when there was nothing to append. A Duplicate was not appended again: the offsets are those of the first time.
	FirstOffset    int64
	LastOffset     int64
	LogStartOffset int64
	Duplicate      bool
	// SyncTo is where SyncedEnd must be before the set may be acknowledged (flush.messages); 0 asks for no sync.
	SyncTo int64
	Err    error
}

// AbortedTxn is a transaction that a reader of committed data must leave out.
type AbortedTxn struct {
	ProducerID  int64
	FirstOffset int64
	LastOffset  int64 // of the abort marker
	LastStable  int64 // the last stable offset behind this abort
}

// TimestampOffset answers a search by time.
type TimestampOffset struct {
	Timestamp   int64 // ms
	Offset      int64
	LeaderEpoch int32 // -1 when unknown
}
