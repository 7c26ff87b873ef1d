package group

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/group/offsetlog"
)

// deleteGroups deletes groups and returns the codes by group.
func (b *broker) deleteGroups(version int16, groups ...string) map[string]int16 {
	b.t.Helper()
	r := kmsg.NewPtrDeleteGroupsRequest()
	r.Groups = groups
	codes := map[string]int16{}
	for _, g := range must[*kmsg.DeleteGroupsResponse](b, version, r).Groups {
		codes[g.Group] = g.ErrorCode
	}
	return codes
}

// left is what the log holds in the end.
func (b *broker) left() map[string]int {
	groups := map[string]int{}
	b.log.set(func() {
		for _, log := range b.log.logs {
			var l offsetlog.Loader
			l.Add(log)
			for _, g := range l.Groups() {
				groups[g.ID] = len(g.Offsets)
			}
		}
	})
	return groups
}

func TestDeleteGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newMemoryLog(), func(c *Config) { c.InitialRebalanceDelay = 0 })
		defer b.Close()
		wantCode(t, "delete before the election", b.deleteGroups(2, "g")["g"], kerr.NotCoordinator)
		b.lead(0)
		b.join("living")
		leaves, generation := b.join("left")
		must[*kmsg.OffsetCommitResponse](b, 7, commitRequest("left", leaves, generation, 5))
		l := kmsg.NewPtrLeaveGroupRequest()
		l.Group, l.MemberID = "left", leaves
		must[*kmsg.LeaveGroupResponse](b, 0, l)
		many := kmsg.NewPtrOffsetCommitRequest()
		many.Group, many.Generation = "simple", -1
		for i := range 9000 {
			name := fmt.Sprintf("%0200d", i)
			b.cluster.topics[name] = 1
			many.Topics = append(many.Topics, kmsg.OffsetCommitRequestTopic{Topic: name, Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 1}}})
		}
		must[*kmsg.OffsetCommitResponse](b, 7, many)
		must[*kmsg.OffsetCommitResponse](b, 7, commitRequest("", "", -1, 1))
		synctest.Wait()
		if n := b.left()["simple"]; n != 9000 {
			t.Fatalf("%d offsets were stored", n)
		}
		b.log.set(func() {
			b.log.delay = 10 * time.Millisecond
			b.log.fail = func(batches []byte) error {
				if len(batches) > 1<<20 {
					return kerr.MessageTooLarge
				}
				return nil
			}
		})
		began := time.Now()
		codes := b.deleteGroups(0, "living", "left", "simple", "", "none", "left")
		if len(codes) != 5 {
			t.Errorf("%d answers for 5 groups", len(codes))
		}
		wantCode(t, "with a member", codes["living"], kerr.NonEmptyGroup)
		wantCode(t, "left", codes["left"], nil)
		wantCode(t, "simple", codes["simple"], nil)
		wantCode(t, "the empty id", codes[""], nil)
		wantCode(t, "none", codes["none"], kerr.GroupIDNotFound)
		if d := time.Since(began); d > 50*time.Millisecond {
			t.Errorf("it took %v", d)
		}
		if left := b.left(); len(left) != 1 || left["living"] != 0 {
			t.Errorf("the log holds %v", left)
		}
		b.log.set(func() { b.log.fail = func([]byte) error { return kerr.NotEnoughReplicas } })
		must[*kmsg.OffsetCommitResponse](b, 7, commitRequest("g", "", -1, 1))
		wantCode(t, "a group that is not there since its commit failed", b.deleteGroups(1, "g")["g"], kerr.GroupIDNotFound)
	})
}

func TestOffsetDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newMemoryLog(), func(c *Config) { c.InitialRebalanceDelay = 0 })
		defer b.Close()
		b.lead(0)
		remove := func(group string, topics ...string) *kmsg.OffsetDeleteResponse {
			t.Helper()
			r := kmsg.NewPtrOffsetDeleteRequest()
			r.Group = group
			for _, name := range topics {
				r.Topics = append(r.Topics, kmsg.OffsetDeleteRequestTopic{Topic: name, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}, {Partition: 7}}})
			}
			return must[*kmsg.OffsetDeleteResponse](b, 0, r)
		}
		wantCode(t, "no id", remove("", "t").ErrorCode, kerr.InvalidGroupID)
		wantCode(t, "no group", remove("g", "t").ErrorCode, kerr.GroupIDNotFound)
		wantCode(t, "no group, no topic", remove("g").ErrorCode, kerr.GroupIDNotFound)
		member, generation := b.join("g") // of topic t
		for _, name := range []string{"t", "u"} {
			r := commitRequest("g", member, generation, 5)
			r.Topics[0].Topic = name
			must[*kmsg.OffsetCommitResponse](b, 7, r)
		}
		r := remove("g", "t", "u", "none")
		wantCode(t, "delete", r.ErrorCode, nil)
		if len(r.Topics) != 3 {
			t.Fatalf("%+v", r.Topics)
		}
		for i, want := range [][2]*kerr.Error{
			{kerr.GroupSubscribedToTopic, kerr.UnknownTopicOrPartition}, {nil, kerr.UnknownTopicOrPartition}, {kerr.UnknownTopicOrPartition, kerr.UnknownTopicOrPartition},
		} {
			for j, p := range r.Topics[i].Partitions {
				wantCode(t, fmt.Sprint(r.Topics[i].Topic, " ", p.Partition), p.ErrorCode, want[j])
			}
		}
		if left := b.left(); left["g"] != 1 {
			t.Errorf("the log holds %v", left)
		}
	})
}

// TestNamedTwice: a partition that a request names twice is answered once.
func TestNamedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newMemoryLog(), nil)
		defer b.Close()
		b.lead(0)
		c := commitRequest("g", "", -1, 1)
		again := c.Topics[0].Partitions[0]
		again.Offset = 2
		c.Topics[0].Partitions = append(c.Topics[0].Partitions, again)
		if got := must[*kmsg.OffsetCommitResponse](b, 7, c).Topics[0].Partitions; len(got) != 1 {
			t.Errorf("commit: %+v", got)
		}
		f := kmsg.NewPtrOffsetFetchRequest()
		f.Group, f.Topics = "g", []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0, 1, 0}}}
		if got := must[*kmsg.OffsetFetchResponse](b, 7, f).Topics[0].Partitions; len(got) != 2 || got[0].Offset != 2 {
			t.Errorf("fetch: %+v", got)
		}
		d := kmsg.NewPtrOffsetDeleteRequest()
		d.Group, d.Topics = "g", []kmsg.OffsetDeleteRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}, {Partition: 0}}}}
		if got := must[*kmsg.OffsetDeleteResponse](b, 0, d).Topics[0].Partitions; len(got) != 1 {
			t.Errorf("delete: %+v", got)
		}
	})
}
