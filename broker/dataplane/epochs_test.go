package dataplane

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func epochQuestion(version int16, name string, number, current, epoch int32) *kmsg.OffsetForLeaderEpochRequest {
	q := kmsg.NewPtrOffsetForLeaderEpochRequest()
	q.Version = version
	p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.LeaderEpoch = number, current, epoch
	q.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: name, Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{p}}}
	return q
}

func TestOffsetForLeaderEpoch(t *testing.T) {
	b := newTestBroker(t, nil)
	b.make(topicSpec{name: "wire", leaders: []int32{0}})
	c := b.dial()
	p := b.partition("wire", 0)
	role := p.Role()
	for _, x := range []struct {
		name         string
		current, ask int32
		want         *kerr.Error
		epoch        int32
		end          int64
	}{
		{"wire", -1, role.LeaderEpoch, nil, role.LeaderEpoch, p.Log().LogEnd()},
		{"wire", role.LeaderEpoch, -1, nil, -1, -1},
		{"wire", -1, role.LeaderEpoch + 9, nil, -1, -1},
		{"wire", role.LeaderEpoch + 1, role.LeaderEpoch, kerr.UnknownLeaderEpoch, -1, -1},
		{"none", -1, 0, kerr.UnknownTopicOrPartition, -1, -1},
	} {
		for version := int16(0); version <= 4; version++ {
			want, epoch := x.want, x.epoch
			if version < 2 && want == kerr.UnknownLeaderEpoch { // which have no current epoch
				continue
			}
			if version == 0 {
				epoch = -1
			}
			got := call[*kmsg.OffsetForLeaderEpochResponse](c, epochQuestion(version, x.name, 0, x.current, x.ask)).Topics[0].Partitions[0]
			if err := kerr.TypedErrorForCode(got.ErrorCode); err != want || got.LeaderEpoch != epoch || got.EndOffset != x.end {
				t.Errorf("v%d %+v: %+v", version, x, got)
			}
		}
	}
}
