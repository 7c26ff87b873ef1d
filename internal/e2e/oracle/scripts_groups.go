package oracle

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func join(t *target, v int16, group, member string) *kmsg.JoinGroupRequest {
	q := kmsg.NewPtrJoinGroupRequest()
	q.Group, q.MemberID, q.SessionTimeoutMillis, q.RebalanceTimeoutMillis, q.ProtocolType = group, member, 10000, 500, "consumer"
	q.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte("m")}, {Name: "sticky"}}
	return q
}

// groups has the life of a group in each version, and simple consumers.
func groups(l *lab) {
	for v := int16(0); v <= 6; v++ {
		for _, kind := range []int8{0, 2, 9} {
			q := kmsg.NewPtrFindCoordinatorRequest()
			q.CoordinatorKey, q.CoordinatorType, q.CoordinatorKeys = "g", kind, []string{"g", "h", "g", ""}
			l.each(fmt.Sprint("find coordinator of type ", kind), v, func(*target) kmsg.Request { return q })
		}
		empty := kmsg.NewPtrFindCoordinatorRequest()
		l.each("find coordinator of nothing", v, func(*target) kmsg.Request { return empty })
	}
	for v := int16(0); v <= 9; v++ {
		life(l, v)
	}
	simple(l)
	for v := int16(0); v <= 5; v++ {
		q := kmsg.NewPtrDescribeGroupsRequest()
		q.Groups, q.IncludeAuthorizedOperations = []string{"nobody", "simple", "", "life-9", "simple"}, true
		l.each("describe groups", v, func(*target) kmsg.Request { return q })
		list := kmsg.NewPtrListGroupsRequest()
		l.each("list groups", v, func(*target) kmsg.Request { return list })
		filtered := kmsg.NewPtrListGroupsRequest()
		filtered.StatesFilter, filtered.TypesFilter = []string{"Empty", "stable", "Nonsense"}, []string{"classic", "Consumer"}
		l.each("list some groups", v, func(*target) kmsg.Request { return filtered })
	}
	for v := int16(0); v <= 2; v++ {
		q := kmsg.NewPtrDeleteGroupsRequest()
		q.Groups = []string{"nobody", "", fmt.Sprintf("simple-%d", v), "life-9"}
		l.each("delete groups", v, func(*target) kmsg.Request { return q })
	}
	for v := int16(0); v <= 9; v++ { // at last: on Apache Kafka these leave an empty group behind for a while
		l.each("join without protocols", v, func(t *target) kmsg.Request {
			q := join(t, v, "without", "")
			q.Protocols = nil
			return q
		})
		l.each("join without a type", v, func(t *target) kmsg.Request {
			q := join(t, v, "without", "")
			q.ProtocolType = ""
			return q
		})
	}
	q := kmsg.NewPtrOffsetDeleteRequest()
	q.Group = "simple"
	for _, name := range []string{"wire", "nobody"} {
		t := kmsg.NewOffsetDeleteRequestTopic()
		t.Topic = name
		t.Partitions = []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}, {Partition: 9}}
		q.Topics = append(q.Topics, t)
	}
	l.same("delete offsets", 0, 0, q)
	q.Group = "nobody"
	l.same("delete offsets of nobody", 0, 0, q)
	q.Group = ""
	l.same("delete offsets of no name", 0, 0, q)
	for _, q := range []kmsg.Request{kmsg.NewPtrConsumerGroupHeartbeatRequest(), kmsg.NewPtrConsumerGroupDescribeRequest()} {
		l.same("KIP-848", 0, 0, q)
	}
	d := kmsg.NewPtrConsumerGroupDescribeRequest()
	d.Groups = []string{"g", "", "g"}
	l.same("KIP-848 describe", 0, 0, d)
}

// life is a group of one member in one version of its requests.
func life(l *lab, v int16) {
	group := fmt.Sprintf("life-%d", v)
	at := func(most int16) int16 { return min(v, most) }
	named := func(t *target) string { return t.members[group] }
	learn := func() {
		for _, t := range []*target{l.ours, l.theirs} {
			if r, ok := t.lastResponse.(*kmsg.JoinGroupResponse); ok {
				if t.members[group] == "" {
					t.members[group] = r.MemberID
				}
				t.generation[group] = r.Generation
			}
		}
	}
	for _, x := range []struct {
		what   string
		change func(q *kmsg.JoinGroupRequest)
	}{
		{"no group", func(q *kmsg.JoinGroupRequest) { q.Group = "" }},
		{"short session", func(q *kmsg.JoinGroupRequest) { q.SessionTimeoutMillis = 1 }},
		{"long session", func(q *kmsg.JoinGroupRequest) { q.SessionTimeoutMillis = 1 << 30 }},
		{"unknown member", func(q *kmsg.JoinGroupRequest) { q.MemberID = "somebody" }},
		{"unknown instance", func(q *kmsg.JoinGroupRequest) { q.MemberID, q.InstanceID = "somebody", kmsg.StringPtr("i") }},
	} {
		l.each("join with "+x.what, v, func(t *target) kmsg.Request {
			q := join(t, v, group+"-odd", "")
			x.change(q)
			return q
		})
	}
	l.each("join", v, func(t *target) kmsg.Request { return join(t, v, group, "") })
	learn()
	l.each("join again", v, func(t *target) kmsg.Request { return join(t, v, group, named(t)) })
	learn()
	heartbeat := func(what string, generation func(t *target) int32, member func(t *target) string) {
		l.each("heartbeat "+what, at(4), func(t *target) kmsg.Request {
			q := kmsg.NewPtrHeartbeatRequest()
			q.Group, q.Generation, q.MemberID = group, generation(t), member(t)
			return q
		})
	}
	current := func(t *target) int32 { return t.generation[group] }
	heartbeat("before sync", current, named)
	sync := func(what string, change func(q *kmsg.SyncGroupRequest, t *target)) {
		l.each("sync "+what, at(5), func(t *target) kmsg.Request {
			q := kmsg.NewPtrSyncGroupRequest()
			q.Group, q.Generation, q.MemberID = group, current(t), named(t)
			q.ProtocolType, q.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
			q.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: named(t), MemberAssignment: []byte("assigned")}}
			change(q, t)
			return q
		})
	}
	sync("of another type", func(q *kmsg.SyncGroupRequest, _ *target) { q.ProtocolType = kmsg.StringPtr("connect") })
	sync("of another protocol", func(q *kmsg.SyncGroupRequest, _ *target) { q.Protocol = kmsg.StringPtr("sticky") })
	sync("of another generation", func(q *kmsg.SyncGroupRequest, _ *target) { q.Generation += 3 })
	sync("of nobody", func(q *kmsg.SyncGroupRequest, _ *target) { q.MemberID = "nobody" })
	sync("of no group", func(q *kmsg.SyncGroupRequest, _ *target) { q.Group = "" })
	sync("", func(*kmsg.SyncGroupRequest, *target) {})
	sync("again", func(*kmsg.SyncGroupRequest, *target) {})
	heartbeat("", current, named)
	heartbeat("of another generation", func(t *target) int32 { return current(t) + 1 }, named)
	heartbeat("of nobody", current, func(*target) string { return "nobody" })
	l.each("describe", at(5), func(*target) kmsg.Request {
		q := kmsg.NewPtrDescribeGroupsRequest()
		q.Groups, q.IncludeAuthorizedOperations = []string{group}, true
		return q
	})
	commit := func(what string, change func(q *kmsg.OffsetCommitRequest, t *target)) {
		l.each("commit "+what, max(1, at(9)), func(t *target) kmsg.Request {
			q := commitOf(group, "wire", 0, 9, "wire", 9, 1, "nobody", 0, 1)
			q.Generation, q.MemberID = current(t), named(t)
			change(q, t)
			return q
		})
	}
	commit("", func(*kmsg.OffsetCommitRequest, *target) {})
	commit("of another generation", func(q *kmsg.OffsetCommitRequest, _ *target) { q.Generation++ })
	commit("of nobody", func(q *kmsg.OffsetCommitRequest, _ *target) { q.MemberID = "nobody" })
	commit("simple in a living group", func(q *kmsg.OffsetCommitRequest, _ *target) { q.Generation, q.MemberID = -1, "" })
	commit("with much metadata", func(q *kmsg.OffsetCommitRequest, _ *target) {
		q.Topics[0].Partitions[0].Metadata = kmsg.StringPtr(string(make([]byte, 5000)))
	})
	if v >= 1 {
		l.each("delete a living group", min(v, 2), func(*target) kmsg.Request {
			q := kmsg.NewPtrDeleteGroupsRequest()
			q.Groups = []string{group}
			return q
		})
	}
	leave := func(what string, change func(q *kmsg.LeaveGroupRequest, t *target)) {
		l.each("leave "+what, at(5), func(t *target) kmsg.Request {
			q := kmsg.NewPtrLeaveGroupRequest()
			q.Group, q.MemberID = group, named(t)
			q.Members = []kmsg.LeaveGroupRequestMember{{MemberID: named(t)}, {MemberID: "nobody"}, {MemberID: "", InstanceID: kmsg.StringPtr("i")}}
			change(q, t)
			return q
		})
	}
	leave("as nobody", func(q *kmsg.LeaveGroupRequest, _ *target) {
		q.MemberID, q.Members = "nobody", []kmsg.LeaveGroupRequestMember{{MemberID: "nobody"}}
	})
	leave("no group", func(q *kmsg.LeaveGroupRequest, _ *target) { q.Group = "" })
	leave("without members", func(q *kmsg.LeaveGroupRequest, _ *target) { q.MemberID, q.Members = "", nil })
	leave("", func(*kmsg.LeaveGroupRequest, *target) {})
	leave("again", func(*kmsg.LeaveGroupRequest, *target) {})
	l.each("heartbeat after leaving", at(4), func(t *target) kmsg.Request {
		q := kmsg.NewPtrHeartbeatRequest()
		q.Group, q.Generation, q.MemberID = group, current(t), named(t)
		return q
	})
	l.each("describe the empty group", at(5), func(*target) kmsg.Request {
		q := kmsg.NewPtrDescribeGroupsRequest()
		q.Groups = []string{group}
		return q
	})
}

// commitOf commits offsets: topic, partition, offset.
func commitOf(group string, of ...any) *kmsg.OffsetCommitRequest {
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Group, q.Generation, q.RetentionTimeMillis = group, -1, -1
	for i := 0; i+2 < len(of); i += 3 {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.Timestamp, p.LeaderEpoch, p.Metadata = int32(of[i+1].(int)), int64(of[i+2].(int)), -1, 0, kmsg.StringPtr("m")
		q.Topics = append(q.Topics, kmsg.OffsetCommitRequestTopic{Topic: of[i].(string), Partitions: []kmsg.OffsetCommitRequestTopicPartition{p}})
	}
	return q
}

// simple has consumers without a group's protocol.
func simple(l *lab) {
	for v := int16(0); v <= 9; v++ {
		l.each("simple commit", v, func(*target) kmsg.Request { return commitOf("simple", "wire", 0, 7, "wire", 1, 8, "nobody", 0, 1) })
		l.each("simple commit of an own group", v, func(*target) kmsg.Request { return commitOf(fmt.Sprintf("simple-%d", v), "wire", 0, 5) })
		l.each("commit without a group", v, func(*target) kmsg.Request { return commitOf("", "wire", 0, 5) })
		l.each("commit nothing", v, func(*target) kmsg.Request { return commitOf("simple") })
		l.each("commit below 0", v, func(*target) kmsg.Request { return commitOf("simple", "empty", 0, -5) })
		l.each("commit with a generation", v, func(*target) kmsg.Request {
			q := commitOf("simple", "wire", 0, 5)
			q.Generation, q.MemberID = 4, "m"
			return q
		})
		fetch := func(what, group string, names []string) {
			l.each("offsets "+what, v, func(*target) kmsg.Request {
				q := kmsg.NewPtrOffsetFetchRequest()
				q.Group, q.RequireStable = group, true
				g := kmsg.NewOffsetFetchRequestGroup()
				g.Group = group
				for _, name := range names {
					q.Topics = append(q.Topics, kmsg.OffsetFetchRequestTopic{Topic: name, Partitions: []int32{0, 1, 9}})
					g.Topics = append(g.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: name, Partitions: []int32{0, 1, 9}})
				}
				q.Groups = []kmsg.OffsetFetchRequestGroup{g}
				return q
			})
		}
		fetch("", "simple", []string{"wire", "nobody"})
		fetch("of nobody", "nobody", []string{"wire"})
		fetch("of no group", "", []string{"wire"})
		if v >= 2 {
			fetch("of all", "simple-3", nil)
		}
	}
}
