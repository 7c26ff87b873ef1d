package config

import (
	"fmt"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/config/keys"
)

// Of the keys that state one time in several units the finest that is set counts.

func hours(n int32) int64 { return int64(n) * 3600_000 }

func rollMs(v *values) int64 {
	if n, ok := get[int64](v, "log.roll.ms"); ok {
		return n
	}
	return hours(v.int("log.roll.hours"))
}

func jitterMs(v *values) int64 {
	if n, ok := get[int64](v, "log.roll.jitter.ms"); ok {
		return n
	}
	return hours(v.int("log.roll.jitter.hours"))
}

func retentionMs(v *values) int64 {
	n, ok := get[int64](v, "log.retention.ms")
	if !ok {
		if m, set := get[int32](v, "log.retention.minutes"); set {
			n = int64(m) * 60_000
		} else {
			n = hours(v.int("log.retention.hours"))
		}
	}
	if n < 0 {
		return -1
	}
	return n
}

func flushMs(v *values) int64 {
	if n, ok := get[int64](v, "log.flush.interval.ms"); ok {
		return n
	}
	return v.long("log.flush.scheduler.interval.ms")
}

// timestampMs is one of the bounds on timestamps; at its default the superseded common bound counts instead.
func timestampMs(v *values, name string) int64 {
	if n := v.long(name); n != math.MaxInt64 {
		return n
	}
	return v.long("log.message.timestamp.difference.max.ms")
}

// topicDefault is what a topic key is without an override: the broker's synonym, in the topic key's unit.
func topicDefault(v *values, k keys.Key) any {
	switch k.Name {
	case "segment.ms":
		return rollMs(v)
	case "segment.jitter.ms":
		return jitterMs(v)
	case "retention.ms":
		return retentionMs(v)
	case "flush.ms":
		return flushMs(v)
	case "message.timestamp.before.max.ms", "message.timestamp.after.max.ms":
		return timestampMs(v, "log."+k.Name)
	case "message.format.version": // ignored from protocol version 3.0 on, and lower ones are not spoken
		return k.DefaultValue()
	}
	if len(k.Synonyms) == 1 {
		if p, ok := v.parsed[k.Synonyms[0]]; ok {
			return p
		}
	}
	return k.DefaultValue()
}

// topicValues resolves every topic key. Overrides that are not in the table are ignored: another broker may know them.
func topicValues(v *values, overrides map[string]string) (map[string]any, error) {
	m := make(map[string]any, len(keys.Topic.All()))
	for _, k := range keys.Topic.All() {
		text, ok := overrides[k.Name]
		if !ok {
			m[k.Name] = topicDefault(v, k)
			continue
		}
		p, err := k.Parse(text)
		if err != nil {
			return nil, err
		}
		m[k.Name] = p
	}
	return m, nil
}

// resolveTopic types a topic's configuration.
func resolveTopic(v *values, overrides map[string]string) (*TopicConfig, error) {
	m, err := topicValues(v, overrides)
	if err != nil {
		return nil, err
	}
	long := func(name string) int64 { return m[name].(int64) }
	int := func(name string) int32 { return m[name].(int32) }
	flag := func(name string) bool { return m[name].(bool) }
	policy := m["cleanup.policy"].([]string)
	t := &TopicConfig{
		Delete: slices.Contains(policy, "delete"), Compact: slices.Contains(policy, "compact"),
		RetentionMs: long("retention.ms"), RetentionBytes: long("retention.bytes"),
		SegmentBytes: int("segment.bytes"), SegmentMs: long("segment.ms"), SegmentJitterMs: long("segment.jitter.ms"), SegmentIndexBytes: int("segment.index.bytes"),
		IndexIntervalBytes: int("index.interval.bytes"), FlushMessages: long("flush.messages"), FlushMs: long("flush.ms"), FileDeleteDelayMs: long("file.delete.delay.ms"),
		Preallocate: flag("preallocate"), MaxMessageBytes: int("max.message.bytes"), MinInSyncReplicas: int("min.insync.replicas"), UncleanElection: flag("unclean.leader.election.enable"),
		CompressionType: m["compression.type"].(string), GzipLevel: int("compression.gzip.level"), LZ4Level: int("compression.lz4.level"), ZstdLevel: int("compression.zstd.level"),
		LogAppendTime: m["message.timestamp.type"] == "LogAppendTime", TimestampBeforeMs: long("message.timestamp.before.max.ms"), TimestampAfterMs: long("message.timestamp.after.max.ms"),
		DownConversion: flag("message.downconversion.enable"), DeleteRetentionMs: long("delete.retention.ms"), MinDirtyRatio: m["min.cleanable.dirty.ratio"].(float64),
		MinCompactionLagMs: long("min.compaction.lag.ms"), MaxCompactionLagMs: long("max.compaction.lag.ms"),
		LeaderThrottle: keys.Format(m["leader.replication.throttled.replicas"]), FollowerThrottle: keys.Format(m["follower.replication.throttled.replicas"]),
		RemoteStorage: flag("remote.storage.enable"), LocalRetentionMs: long("local.retention.ms"), LocalRetentionBytes: long("local.retention.bytes"),
	}
	if t.TimestampBeforeMs == math.MaxInt64 {
		t.TimestampBeforeMs = long("message.timestamp.difference.max.ms")
	}
	if t.TimestampAfterMs == math.MaxInt64 {
		t.TimestampAfterMs = long("message.timestamp.difference.max.ms")
	}
	if t.LocalRetentionMs == -2 {
		t.LocalRetentionMs = t.RetentionMs
	}
	if t.LocalRetentionBytes == -2 {
		t.LocalRetentionBytes = t.RetentionBytes
	}
	return t, nil
}

// ResolveTopic resolves a topic's overrides over the broker's configuration. A wrong value, which only another program can
// have written, is an error, and so is one that keys contradict each other by.
func (c *Config) ResolveTopic(overrides map[string]string) (*TopicConfig, error) {
	return resolveTopic(c.values, overrides)
}

// ValidateTopicConfigs judges the whole set of overrides that a topic is to have. The error is INVALID_CONFIG with a text for the client (see Refusal).
func (c *Config) ValidateTopicConfigs(overrides map[string]string) error {
	for _, name := range sortedKeys(overrides) {
		if _, ok := keys.Topic.Lookup(name); !ok {
			return invalidConfig("Unknown topic config name: %s", name)
		}
	}
	m, err := topicValues(c.values, overrides)
	if err != nil {
		return &Refusal{kerr.InvalidConfig, err.Error(), true}
	}
	if min, max := m["min.compaction.lag.ms"].(int64), m["max.compaction.lag.ms"].(int64); min > max {
		return invalidConfig("conflict topic config setting min.compaction.lag.ms (%d) > max.compaction.lag.ms (%d)", min, max)
	}
	if m["remote.storage.enable"].(bool) {
		return &Refusal{kerr.InvalidConfig, "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.", true}
	}
	return nil
}

// Refusal is a request that cannot be fulfilled: a protocol error with the text for the client. Errors.As finds the *kerr.Error
// in it.
type Refusal struct {
	Code  *kerr.Error
	Text  string
	value bool // a value is wrong: alterations name the resource before the text
}

func (r *Refusal) Error() string { return r.Text }

// Unwrap gives the protocol error.
func (r *Refusal) Unwrap() error { return r.Code }

// IsValue says whether it is a value that is refused (Kafka's ConfigException), not the request.
func (r *Refusal) IsValue() bool { return r.value }

func invalidConfig(format string, args ...any) error {
	return &Refusal{kerr.InvalidConfig, fmt.Sprintf(format, args...), false}
}

func invalidRequest(format string, args ...any) error {
	return &Refusal{kerr.InvalidRequest, fmt.Sprintf(format, args...), false}
}
