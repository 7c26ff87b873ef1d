//go:build unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestLogKeysApplyAtOnce sets the broker keys that are defaults of topic keys, and topic keys over them, while records are produced:
// each counts from then on, and no longer once it is taken back.
func TestLogKeysApplyAtOnce(t *testing.T) {
	dir := t.TempDir()
	b := startInside(t, "log.dirs="+dir, "log.retention.check.interval.ms=20", "log.segment.delete.delay.ms=0", "log.cleaner.backoff.ms=20")
	createTopic(t, b.address, "t", 1, nil)
	createTopic(t, b.address, "own", 1, map[string]*string{"compression.type": ptr("lz4"), "segment.bytes": ptr("1000000"), "retention.ms": ptr("-1"), "cleanup.policy": ptr("delete")})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cl := Client(t, b.address, kgo.ProducerBatchCompression(kgo.SnappyCompression()), kgo.DisableIdempotentWrite(), kgo.RecordRetries(0))
	defer cl.Close()
	adm := kadm.NewClient(cl)
	alter := func(op kadm.IncrementalOp, key, value string) {
		t.Helper()
		rs, err := adm.AlterBrokerConfigs(ctx, []kadm.AlterConfig{{Op: op, Name: key, Value: &value}})
		if err == nil {
			_, err = rs.On("", func(r *kadm.AlterConfigsResponse) error { return r.Err })
		}
		if err != nil {
			t.Fatalf("%s=%s: %v", key, value, err)
		}
	}
	send := func(topic string, key []byte, ts time.Time) error {
		return cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: key, Value: []byte(strings.Repeat("v", 200)), Timestamp: ts}).FirstErr()
	}
	// last is the last record of a topic, as it is stored.
	last := func(topic string) *kgo.Record {
		t.Helper()
		end := endOffsets(t, cl, topic)[0]
		reader := Client(t, b.address, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(end - 1)}}))
		defer reader.Close()
		fs := reader.PollRecords(ctx, 1)
		if err := fs.Err(); err != nil || fs.NumRecords() != 1 {
			t.Fatalf("%s at %d: %v", topic, end-1, err)
		}
		return fs.Records()[0]
	}
	now := time.Now()
	wants := func(want error, topic string, key []byte, ts time.Time) func() error {
		return func() error {
			if err := send(topic, key, ts); !errors.Is(err, want) {
				return fmt.Errorf("produce: %v, want %v", err, want)
			}
			return nil
		}
	}
	stored := func(topic, what string, ok func(r *kgo.Record) bool) func() error {
		return func() error {
			if err := send(topic, []byte("k"), now); err != nil {
				return err
			}
			if r := last(topic); !ok(r) {
				return fmt.Errorf("stored is %+v, want %s", r, what)
			}
			return nil
		}
	}
	segments := func(topic string) int {
		files, _ := filepath.Glob(filepath.Join(dir, topic+"-0", "*.log"))
		return len(files)
	}
	for _, x := range []struct {
		key, value   string
		with, within func() error // what is seen while it is set, and after
	}{
		{"log.message.timestamp.type", "LogAppendTime", stored("t", "LogAppendTime", func(r *kgo.Record) bool { return r.Attrs.TimestampType() == 1 }),
			stored("t", "CreateTime", func(r *kgo.Record) bool {
				return r.Attrs.TimestampType() == 0 && r.Timestamp.Equal(now.Truncate(time.Millisecond))
			})},
		{"compression.type", "gzip", stored("t", "gzip", func(r *kgo.Record) bool { return r.Attrs.CompressionType() == 1 }),
			stored("t", "the producer's snappy", func(r *kgo.Record) bool { return r.Attrs.CompressionType() == 2 })},
		{"compression.type", "zstd", stored("own", "the topic's own lz4", func(r *kgo.Record) bool { return r.Attrs.CompressionType() == 3 }),
			stored("own", "the topic's own lz4", func(r *kgo.Record) bool { return r.Attrs.CompressionType() == 3 })},
		{"message.max.bytes", "20", wants(kerr.MessageTooLarge, "t", nil, now), wants(nil, "t", nil, now)},
		{"log.message.timestamp.after.max.ms", "1000", wants(kerr.InvalidTimestamp, "t", nil, now.Add(time.Hour)), wants(nil, "t", nil, now.Add(time.Minute))},
		{"log.message.timestamp.before.max.ms", "1000", wants(kerr.InvalidTimestamp, "t", nil, now.Add(-time.Hour)), wants(nil, "t", nil, now.Add(-time.Hour))},
		{"log.cleanup.policy", "compact", wants(kerr.InvalidRecord, "t", nil, now), wants(nil, "t", nil, now)},
		{"log.cleanup.policy", "compact,delete", wants(nil, "own", nil, now), wants(nil, "own", nil, now)},
		{"log.segment.bytes", "300", func() error {
			if err := send("t", []byte("k"), now); err != nil || segments("t") < 4 || segments("own") != 1 {
				return fmt.Errorf("%d segments of t, %d of own: %v", segments("t"), segments("own"), err)
			}
			return nil
		}, func() error {
			n := segments("t")
			if err := errors.Join(send("t", []byte("k"), now), send("t", []byte("k"), now), send("t", []byte("k"), now)); err != nil || segments("t") > n {
				return fmt.Errorf("%d segments of t, were %d: %v", segments("t"), n, err)
			}
			return nil
		}},
		{"log.retention.bytes", "1", func() error {
			if n := segments("t"); n > 2 {
				return fmt.Errorf("%d segments", n)
			}
			return nil
		}, func() error { return nil }},
		{"log.retention.ms", "1", func() error {
			if n := endOffsets(t, cl, "own")[0]; n == 0 || segments("own") != 1 {
				return fmt.Errorf("a topic with a retention of its own has %d records in %d segments", n, segments("own"))
			}
			starts, err := adm.ListStartOffsets(ctx, "t")
			if o, _ := starts.Lookup("t", 0); err != nil || o.Offset != endOffsets(t, cl, "t")[0] {
				return fmt.Errorf("the log begins at %d: %w", o.Offset, err)
			}
			return nil
		}, func() error { return nil }},
	} {
		alter(kadm.SetConfig, x.key, x.value)
		Await(t, 10*time.Second, x.key+"="+x.value, x.with)
		alter(kadm.DeleteConfig, x.key, "")
		Await(t, 10*time.Second, x.key+" taken back", x.within)
	}
	// A format of old is taken, and changes nothing.
	alterTopic(t, ctx, b.address, "own", "message.format.version", "0.10.2")
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "own", Value: []byte("v"), Headers: []kgo.RecordHeader{{Key: "h"}}}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if r := last("own"); len(r.Headers) != 1 {
		t.Errorf("message.format.version counts: %+v", r)
	}
}
