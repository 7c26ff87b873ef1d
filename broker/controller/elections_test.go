package controller_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/topic"
	"ottla/broker/znode"
)

// testElections: a replica that is preferred and in sync gets the leadership back, by request; and what else can come of one. Texts are
// those that Apache Kafka 3.9 was recorded with.
func testElections(t *testing.T, address string) {
	a := start(t, nodeConfig{id: 0, address: address})
	controllerOf(t, a)
	b := start(t, nodeConfig{id: 1, address: address})
	know(t, a, b)
	mustCreate(a, "t", 2)
	elect := func(n *node, version int16, kind int8, partitions ...topic.Partition) *kmsg.ElectLeadersResponse {
		q := kmsg.NewPtrElectLeadersRequest()
		q.ElectionType, q.TimeoutMillis = kind, 10_000
		for _, p := range partitions {
			q.Topics = append(q.Topics, kmsg.ElectLeadersRequestTopic{Topic: p.Topic, Partitions: []int32{p.Partition}})
		}
		return ask[*kmsg.ElectLeadersResponse](n, version, q)
	}
	type want struct {
		code *kerr.Error
		text string
	}
	check := func(what string, resp *kmsg.ElectLeadersResponse, wants ...want) {
		t.Helper()
		var got []kmsg.ElectLeadersResponseTopicPartition
		for _, rt := range resp.Topics {
			got = append(got, rt.Partitions...)
		}
		if resp.ErrorCode != 0 || len(got) != len(wants) {
			t.Fatalf("%s: %+v", what, resp)
		}
		for i, w := range wants {
			if kerr.TypedErrorForCode(got[i].ErrorCode) != w.code || deref(got[i].ErrorMessage) != w.text {
				t.Errorf("%s: %+v %s, want %v", what, got[i], deref(got[i].ErrorMessage), w)
			}
		}
	}
	t0 := topic.Partition{Topic: "t"}
	notNeeded := want{kerr.ElectionNotNeeded, "Leader election not needed for topic partition."}
	for version := int16(0); version <= 2; version++ {
		check("nothing to do", elect(a, version, 0, topic.Partition{Topic: "nothing"}, t0),
			want{kerr.UnknownTopicOrPartition, "The partition does not exist."}, notNeeded)
		check("all", elect(a, version, 0))
	}
	check("unclean", elect(a, 2, 1, t0), notNeeded)
	check("not the controller", elect(b, 2, 0, t0), want{kerr.NotController, "<null>"})

	// A topic that has two replicas in sync, as from another controller, led by the one that is not preferred.
	s, ctx := a.session(), ctxOf(t)
	node := znode.Topic{Name: "u", Partitions: map[int32]znode.Assignment{0: {Replicas: []int32{1, 0}}}}
	if err := s.CreateTopic(ctx, node); err != nil {
		t.Fatal(err)
	}
	u0 := topic.Partition{Topic: "u"}
	await(t, "a leader", func() bool { return cache{a.store}.LeaderOf(u0) == 1 })
	check("preferred already", elect(a, 1, 0, u0), notNeeded)

	q := kmsg.NewPtrListPartitionReassignmentsRequest()
	if r := ask[*kmsg.ListPartitionReassignmentsResponse](a, 0, q); r.ErrorCode != 0 || len(r.Topics) != 0 || deref(r.ErrorMessage) != "" {
		t.Errorf("%+v", r)
	}
	if r := ask[*kmsg.ListPartitionReassignmentsResponse](b, 0, q); r.ErrorCode != kerr.NotController.Code ||
		deref(r.ErrorMessage) != "This is not the correct controller for this cluster." {
		t.Errorf("%+v", r)
	}
}

// testFeatures: there are none in ZooKeeper mode.
func testFeatures(t *testing.T, address string) {
	a := start(t, nodeConfig{id: 0, address: address})
	controllerOf(t, a)
	for _, c := range []struct {
		feature string
		level   int16
		kind    int8
		text    string
	}{
		{"metadata.version", 20, 1, "Could not apply finalized feature update because the provided feature is not supported."},
		{"", 1, 1, "Feature name can not be empty."},
		{"f", 1, 9, "Received unknown upgrade type."},
		{"f", 0, 2, "Can not delete non-existing finalized feature."},
		{"f", 0, 1, "Can not provide versionLevel: 0 less than 1 without setting the SAFE downgradeType in the request."},
	} {
		q := kmsg.NewPtrUpdateFeaturesRequest()
		q.FeatureUpdates = []kmsg.UpdateFeaturesRequestFeatureUpdate{{Feature: c.feature, MaxVersionLevel: c.level, UpgradeType: c.kind}}
		r := ask[*kmsg.UpdateFeaturesResponse](a, 1, q)
		if len(r.Results) != 1 || r.ErrorCode != 0 || r.Results[0].ErrorCode != kerr.InvalidRequest.Code || deref(r.Results[0].ErrorMessage) != c.text {
			t.Errorf("%+v: %+v", c, r)
		}
	}
}
