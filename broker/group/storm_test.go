package group

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestStorm lets 40 clients live in 8 groups while the leadership comes and goes, appends are slow or fail, and connections
// end. No acknowledged commit may be lost, no two members may own a partition in a generation, nobody may wait for ever.
func TestStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemoryLog()
		b := start(t, log, func(c *Config) {
			c.InitialRebalanceDelay = 500 * time.Millisecond
			c.RetentionCheckPeriod = time.Second
		})
		defer b.Close()
		s := &storm{b: b, acked: map[string]int64{}, owners: map[string]string{}, over: make(chan struct{})}
		epoch := int32(0)
		b.lead(epoch)
		log.set(func() {
			log.delay = 5 * time.Millisecond
			log.fail = func([]byte) error {
				if rand.IntN(20) == 0 {
					return kerr.NotEnoughReplicas
				}
				return nil
			}
		})
		var work sync.WaitGroup
		for i := range 40 {
			work.Go(func() { s.client(fmt.Sprint("g", i%8), fmt.Sprint("c", i)) })
		}
		for range 30 {
			time.Sleep(time.Duration(rand.IntN(4000)) * time.Millisecond)
			epoch += 2
			for p := range int32(2) {
				log.set(func() { delete(log.leader, p) })
				b.Resigned(p, epoch-1)
			}
			time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
			b.lead(epoch)
		}
		close(s.over)
		work.Wait() // synctest reports a deadlock if somebody waits for ever
		b.lead(epoch + 1)
		synctest.Wait()
		for key, want := range s.acked {
			var partition int32
			var group string
			if _, err := fmt.Sscanf(key, "%d %s", &partition, &group); err != nil {
				t.Fatal(err)
			}
			r := kmsg.NewPtrOffsetFetchRequest()
			r.Group = group
			r.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{partition}}}
			got := must[*kmsg.OffsetFetchResponse](b, 5, r).Topics[0].Partitions[0].Offset
			if got < want {
				t.Errorf("%s: offset %d was acknowledged, %d is there", key, want, got)
			}
		}
		if len(s.acked) == 0 || s.generations == 0 {
			t.Errorf("%d offsets acknowledged, %d assignments", len(s.acked), s.generations)
		}
		t.Logf("%d offsets acknowledged, %d assignments", len(s.acked), s.generations)
	})
}

type storm struct {
	b    *broker
	over chan struct{}

	mu          sync.Mutex
	acked       map[string]int64  // the largest acknowledged offset, by partition and group
	owners      map[string]string // by group, coordinator's life, generation and partition
	last        int64
	generations int
}

func (s *storm) ended() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

// client is a consumer that does its best.
func (s *storm) client(group, name string) {
	member := ""
	for !s.ended() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(100+rand.IntN(60_000))*time.Millisecond)
		member = s.live(ctx, group, member)
		cancel()
		time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
	}
}

// live joins once and stays until it is told to go; it returns the member id to go on with.
func (s *storm) live(ctx context.Context, group, member string) string {
	join := joinRequest(group, member)
	join.RebalanceTimeoutMillis = 3000
	j, err := call[*kmsg.JoinGroupResponse](s.b, ctx, 4, join)
	switch {
	case err != nil:
		return ""
	case j.ErrorCode == kerr.MemberIDRequired.Code:
		return j.MemberID
	case j.ErrorCode != 0:
		return ""
	}
	assignments := map[string]string{}
	for p := range 4 {
		if len(j.Members) > 0 {
			assignments[j.Members[p%len(j.Members)].MemberID] += string(rune('0' + p))
		}
	}
	y, err := call[*kmsg.SyncGroupResponse](s.b, ctx, 3, syncRequest(group, j.MemberID, j.Generation, assignments))
	if err != nil || y.ErrorCode != 0 {
		return j.MemberID
	}
	s.own(group, j, string(y.MemberAssignment))
	for range rand.IntN(10) {
		for _, p := range y.MemberAssignment {
			if !s.commit(ctx, group, j, int32(p-'0')) {
				return j.MemberID
			}
		}
		time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond)
		h, err := call[*kmsg.HeartbeatResponse](s.b, ctx, 3, heartbeatRequest(group, j.MemberID, j.Generation))
		if err != nil || h.ErrorCode != 0 {
			return j.MemberID
		}
	}
	if rand.IntN(2) == 0 {
		l := kmsg.NewPtrLeaveGroupRequest()
		l.Group, l.MemberID = group, j.MemberID
		if _, err := call[*kmsg.LeaveGroupResponse](s.b, ctx, 1, l); err == nil {
			return ""
		}
	}
	return j.MemberID
}

// own notes whose the partitions are. The leader is part of the key: a generation that was never stored may come a second time
// after the leadership has moved.
func (s *storm) own(group string, j *kmsg.JoinGroupResponse, partitions string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generations++
	for _, p := range partitions {
		key := fmt.Sprint(group, " ", j.Generation, " ", j.LeaderID, " ", string(p))
		if was, ok := s.owners[key]; ok && was != j.MemberID {
			s.b.t.Errorf("partition %s belongs to %s and %s", key, was, j.MemberID)
		}
		s.owners[key] = j.MemberID
	}
}

// commit commits an offset larger than any before.
func (s *storm) commit(ctx context.Context, group string, j *kmsg.JoinGroupResponse, partition int32) bool {
	s.mu.Lock()
	s.last++
	offset := s.last
	s.mu.Unlock()
	r := commitRequest(group, j.MemberID, j.Generation, offset)
	r.Topics[0].Partitions[0].Partition = partition
	c, err := call[*kmsg.OffsetCommitResponse](s.b, ctx, 6, r)
	if err != nil || c.Topics[0].Partitions[0].ErrorCode != 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := fmt.Sprint(partition, " ", group)
	s.acked[key] = max(s.acked[key], offset)
	return true
}
