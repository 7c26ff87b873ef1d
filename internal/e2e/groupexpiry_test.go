//go:build unix

package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// TestOffsetExpiry waits, in its long form, for committed offsets to expire, by every rule there is (KIP-211), on ours and on Apache Kafka 3.9.
func TestOffsetExpiry(t *testing.T) {
	if !Long() {
		t.Skip("retention is counted in minutes")
	}
	lines := []string{"offsets.retention.minutes=1", "offsets.retention.check.interval.ms=500", "offsets.topic.num.partitions=3"}
	zk := Coordinator(t)
	var work sync.WaitGroup
	defer work.Wait()
	for _, s := range []*Server{
		Broker(t, 0, zk.Address+"/ours", lines...), Kafka(t, t.TempDir(), 0, zk.Address+"/theirs", lines...)} {
		createTopic(t, s.Address, "t", 1, nil)
		createTopic(t, s.Address, "u", 1, nil)
		work.Go(func() { offsetsExpire(t, s) })
	}
}

// offsetsExpire notes when which offset was seen for the last time.
func offsetsExpire(t *testing.T, s *Server) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	adm := kadm.NewClient(Client(t, s.Address))
	old := Client(t, s.Address, kgo.MaxVersions(kversion.V2_0_0())) // OffsetCommit version 4: with a retention time
	began := time.Now()
	simple := func(group string, retention time.Duration) {
		r := kmsg.NewPtrOffsetCommitRequest()
		r.Group, r.Generation, r.RetentionTimeMillis = group, -1, retention.Milliseconds()
		for _, name := range []string{"t", "u"} {
			r.Topics = append(r.Topics, kmsg.OffsetCommitRequestTopic{Topic: name, Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 1}}})
		}
		Await(t, time.Minute, "commit of "+group, func() error {
			resp, err := r.RequestWith(ctx, old)
			if err == nil {
				err = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
			}
			return err
		})
	}
	member := func(group string) *kgo.Client {
		cl := Client(t, s.Address, kgo.ConsumerGroup(group), kgo.ConsumeTopics("t"), kgo.DisableAutoCommit(), kgo.HeartbeatInterval(time.Second))
		Await(t, time.Minute, "a member of "+group, func() error {
			if _, generation := cl.GroupMetadata(); generation < 0 {
				return fmt.Errorf("generation %d", generation)
			}
			return cl.CommitRecords(ctx, &kgo.Record{Topic: "t"}, &kgo.Record{Topic: "u"})
		})
		return cl
	}
	simple("simple", -time.Millisecond)
	simple("soon", 5*time.Second)
	simple("later", 80*time.Second)
	member("living") // which stays, and subscribes to t alone
	leaver := member("left")

	// When each offset must go; those that are not named stay.
	const never = 0
	goes := map[string]time.Duration{
		"simple t": 60 * time.Second, "simple u": 60 * time.Second, "soon t": 5 * time.Second, "soon u": 5 * time.Second, "later t": 80 * time.Second, "later u": 80 * time.Second,
		"living t": never, "living u": 60 * time.Second, "left t": never, "left u": never,
	}
	seen := map[string]time.Duration{}
	for tick := time.NewTicker(250 * time.Millisecond); ; <-tick.C {
		now := time.Since(began)
		if now > 20*time.Second && leaver != nil {
			leaver.Close()
			leaver = nil
			goes["left t"], goes["left u"] = now+60*time.Second, now+60*time.Second
		}
		if now > 100*time.Second {
			tick.Stop()
			break
		}
		for _, group := range []string{"simple", "soon", "later", "living", "left"} {
			offsets, err := adm.FetchOffsets(ctx, group)
			if err != nil {
				t.Errorf("%s: %s: %v", s.name, group, err)
				return
			}
			offsets.Each(func(o kadm.OffsetResponse) {
				if o.At >= 0 {
					seen[group+" "+o.Topic] = now
				}
			})
		}
	}
	for offset, at := range goes {
		last := seen[offset]
		if at == never && last < 99*time.Second || at != never && (last < at-2*time.Second || last > at+8*time.Second) {
			t.Errorf("%s: the offset of %s was seen last after %v, and should go after %v", s.name, offset, last, at)
		}
	}
	groups, err := adm.ListGroups(ctx)
	if err != nil {
		t.Error(err)
	}
	if len(groups.Groups()) != 1 {
		t.Errorf("%s: groups %v are left, want living alone", s.name, groups.Groups())
	}
}
