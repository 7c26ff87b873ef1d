package broker

import (
	"ottla/broker/commitlog"
	"ottla/broker/compact"
	"ottla/broker/config"
	"ottla/broker/group"
	"ottla/broker/partition"
	"ottla/broker/record"

	"crypto/rand"
	"time"

	"github.com/rs/zerolog"
)

// codecs are the names of compression.type that force a codec; "producer" forces none.
var codecs = map[string]record.Codec{
	"uncompressed": record.None, "gzip": record.Gzip, "snappy": record.Snappy, "lz4": record.LZ4, "zstd": record.Zstd,
}

// topicSettings are what a topic's configuration means for its logs and for its partitions.
func topicSettings(c *config.Config, t *config.TopicConfig) (commitlog.Settings, partition.Settings) {
	log := commitlog.Settings{
		SegmentBytes: int64(t.SegmentBytes), SegmentMs: t.SegmentMs, SegmentJitterMs: t.SegmentJitterMs,
		SegmentIndexBytes: int64(t.SegmentIndexBytes), IndexIntervalBytes: int64(t.IndexIntervalBytes),
		RetentionMs: t.RetentionMs, RetentionBytes: t.RetentionBytes, FileDeleteDelayMs: t.FileDeleteDelayMs,
		FlushMessages: t.FlushMessages, FlushMs: t.FlushMs, Preallocate: t.Preallocate, Delete: t.Delete, Compact: t.Compact,
		ProducerExpirationMs: c.ProducerIDExpiration.Milliseconds(),
		MinDirtyRatio:        t.MinDirtyRatio, MinCompactionLagMs: t.MinCompactionLagMs, MaxCompactionLagMs: t.MaxCompactionLagMs, DeleteRetentionMs: t.DeleteRetentionMs,
	}
	p := partition.Settings{
		MinISR: int(t.MinInSyncReplicas), MessageBytesMax: int(t.MaxMessageBytes), TimestampType: record.CreateTime,
		TimestampBeforeMax: t.TimestampBeforeMs, TimestampAfterMax: t.TimestampAfterMs, NoDownConversion: !t.DownConversion,
	}
	if t.LogAppendTime {
		p.TimestampType = record.LogAppendTime
	}
	if codec, forced := codecs[t.CompressionType]; forced {
		p.Compression = record.Compression{Forced: true, Codec: codec}
		switch codec {
		case record.Gzip:
			p.Compression.Level = int(t.GzipLevel)
		case record.LZ4:
			p.Compression.Level = int(t.LZ4Level)
		case record.Zstd:
			p.Compression.Level = int(t.ZstdLevel)
		}
	}
	return log, p
}

// cleanerSettings are what the configuration means for the log cleaner.
func cleanerSettings(c *config.Config) compact.Settings {
	return compact.Settings{
		Enable: c.Log.CleanerEnable, Threads: int(c.Log.CleanerThreads), DedupeBytes: c.Log.CleanerDedupeBytes, LoadFactor: c.Log.CleanerIOBufferLoadFactor,
		IOBytes: int(c.Log.CleanerIOBufferBytes), BytesPerSecond: c.Log.CleanerIOBytesPerSecond, Backoff: c.Log.CleanerBackoff,
	}
}

// groupSettings are what the configuration means for the group coordinator.
func groupSettings(c *config.Config, now func() time.Time, log zerolog.Logger) group.Config {
	return group.Config{
		MinSessionTimeout: c.Group.MinSessionTimeout, MaxSessionTimeout: c.Group.MaxSessionTimeout,
		InitialRebalanceDelay: c.Group.InitialRebalanceDelay, MaxSize: int(c.Group.MaxSize),
		OffsetMetadataMaxBytes: int(c.Offsets.MetadataMaxBytes), OffsetsRetention: c.Offsets.Retention,
		RetentionCheckPeriod: c.Offsets.RetentionCheck, CommitTimeout: c.Offsets.CommitTimeout,
		CompressionCodec: int8(c.Offsets.CompressionCodec), LoadBufferBytes: int(c.Offsets.LoadBufferBytes),
		OffsetsTopicPartitions: c.Offsets.Partitions, OffsetsTopicSegmentBytes: c.Offsets.SegmentBytes, OffsetsTopicReplicas: c.Offsets.ReplicationFactor,
		Now: now, Random: rand.Read, Logger: log,
	}
}
