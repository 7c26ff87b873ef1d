//go:build unix

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestMixedCluster puts one of our brokers and one of Apache Kafka 3.9 into one cluster. Each is the controller of both for a
// while, takes over from the other, and hands over to it.
func TestMixedCluster(t *testing.T) {
	coordinators(t, func(t *testing.T, coord *Server) {
		const ours, apache = 0, 1
		c := connect(t, coord.Address)
		session := "zookeeper.session.timeout.ms=6000"
		brokers := []*Server{ours: Broker(t, ours, coord.Address, session), apache: nil}
		brokers[apache] = Kafka(t, t.TempDir(), apache, coord.Address, session)
		both := brokers[ours].Address + "," + brokers[apache].Address

		phase := func(name string, controller int) {
			t.Helper()
			awaitController(t, c, controller)
			t.Run(name, func(t *testing.T) { mixedStory(t, brokers, name) })
		}
		restart := func(id int) {
			t.Helper()
			brokers[id].Stop(t)
			awaitController(t, c, 1-id)
			awaitLeaderless(t, brokers[1-id].Address, "lasting", 6)
			// What one controller begins without the other broker, both have in the end.
			createTopic(t, brokers[1-id].Address, fmt.Sprint("while-", id, "-is-away"), 2, nil)
			brokers[id].Restart(t)
		}

		createTopic(t, both, "lasting", 6, nil)
		lasting := startTrickle(t, both, "lasting")
		phase("ours-is-controller", ours)
		restart(ours)
		phase("Apache-is-controller", apache)
		restart(apache)
		phase("ours-again", ours)
		if Long() {
			for round := range 2 {
				for _, id := range []int{ours, apache} {
					brokers[id].Kill()
					awaitController(t, c, 1-id)
					Await(t, time.Minute, "the registration vanishes", func() error { return absent(c, fmt.Sprint("/brokers/ids/", id)) })
					brokers[id].Restart(t)
					phase(fmt.Sprintf("killed-%d-%d", id, round), 1-id)
				}
			}
		}
		lasting.progress(t, 100)
		lasting.finish(t)
		Result(t, "mixed cluster: %d records acknowledged while the controller changed hands, all there once", len(lasting.place))

		brokers[apache].Stop(t)
		brokers[ours].Stop(t)
	})
}

// awaitController waits until a broker is the controller.
func awaitController(t *testing.T, c *zk.Conn, id int) {
	t.Helper()
	Await(t, time.Minute, fmt.Sprint("broker ", id, " is the controller"), func() error {
		data, _, err := c.Get("/controller")
		if err != nil {
			return err
		}
		var node struct{ BrokerID int }
		if err := json.Unmarshal(data, &node); err != nil || node.BrokerID != id {
			return fmt.Errorf("/controller holds %s", data)
		}
		return nil
	})
}

// awaitLeaderless waits until a broker has learned that partitions of a topic have no leader.
func awaitLeaderless(t *testing.T, address, topic string, partitions int) {
	t.Helper()
	Await(t, 30*time.Second, "partitions of "+topic+" have no leader", func() error {
		if ls, err := leaders(t, address, topic, partitions); err == nil {
			return fmt.Errorf("leaders %v", ls)
		}
		return nil
	})
}

// mixedStory does through both brokers what a cluster is for: topics, records, groups, configurations.
func mixedStory(t *testing.T, brokers []*Server, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for i, b := range brokers {
		topic, group := fmt.Sprint(name, "-", i), fmt.Sprint("group-", name, "-", i)
		adm := kadm.NewClient(Client(t, b.Address))
		retention := "7200000"
		createTopic(t, b.Address, topic, 5, map[string]*string{"retention.ms": &retention})
		on := map[int32]int{}
		Await(t, 30*time.Second, topic+" has leaders on both", func() error {
			clear(on)
			ls, err := leaders(t, b.Address, topic, 5)
			for _, l := range ls {
				on[l]++
			}
			if err == nil && len(on) != 2 {
				err = fmt.Errorf("leaders %v", ls)
			}
			return err
		})
		if r, err := adm.CreatePartitions(ctx, 1, topic); err != nil || r.Error() != nil {
			t.Fatal("create partitions: ", err, r.Error())
		}
		Await(t, 30*time.Second, topic+" has grown", func() error { _, err := leaders(t, b.Address, topic, 6); return err })
		franzProduce(t, b.Address, topic, 60)

		// Groups whose coordinators are both brokers.
		for n, coordinators := 0, map[int32]bool{}; len(coordinators) < 2; n++ {
			if n > 20 {
				t.Fatalf("20 groups, and the coordinators are %v", coordinators)
			}
			id := fmt.Sprint(group, "-", n)
			cl := Client(t, b.Address, kgo.ConsumeTopics(topic), kgo.ConsumerGroup(id), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			for seen := 0; seen < 60; {
				fs := cl.PollFetches(ctx)
				if err := fs.Err0(); err != nil {
					t.Fatalf("%s: %d records of 60: %v", id, seen, err)
				}
				seen += fs.NumRecords()
			}
			if err := cl.CommitUncommittedOffsets(ctx); err != nil {
				t.Fatal(err)
			}
			cl.Close()
			Await(t, 30*time.Second, "what "+id+" committed", func() error {
				found := adm.FindGroupCoordinators(ctx, id)
				if err := found.Error(); err != nil {
					return err
				}
				committed, err := adm.FetchOffsets(ctx, id)
				sum := int64(0)
				committed.Each(func(o kadm.OffsetResponse) { sum += o.At })
				if err != nil || sum != 60 {
					return fmt.Errorf("%d of 60, %v", sum, err)
				}
				coordinators[found[id].NodeID] = true
				return nil
			})
		}

		// A configuration changed at one broker is seen at the other.
		alterTopic(t, ctx, b.Address, topic, "retention.ms", "3600000")
		for _, other := range brokers {
			Await(t, 30*time.Second, "the configuration is seen at "+other.Address, func() error {
				return configured(t, ctx, other.Address, topic, "retention.ms", "3600000")
			})
		}
		if r, err := adm.DeleteTopic(ctx, topic); err != nil || r.Err != nil {
			t.Fatal("delete: ", err, r.Err)
		}
		for _, other := range brokers {
			Await(t, 30*time.Second, topic+" vanishes at "+other.Address, func() error {
				ts, err := kadm.NewClient(Client(t, other.Address)).ListTopics(ctx)
				if err == nil && ts.Has(topic) {
					err = fmt.Errorf("it is still listed")
				}
				return err
			})
		}
	}
}

// alterTopic sets one configuration of a topic.
func alterTopic(t *testing.T, ctx context.Context, address, topic, key, value string) {
	t.Helper()
	alterConfigs(t, ctx, Client(t, address), kmsg.ConfigResourceTypeTopic, topic, [2]string{key, value})
}

// alterConfigs sets configurations by IncrementalAlterConfigs.
func alterConfigs(t *testing.T, ctx context.Context, cl *kgo.Client, kind kmsg.ConfigResourceType, name string, configs ...[2]string) {
	t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kind, name
	for _, kv := range configs {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Value = kv[0], &kv[1]
		r.Configs = append(r.Configs, c)
	}
	req.Resources = append(req.Resources, r)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil || resp.Resources[0].ErrorCode != 0 {
		t.Fatalf("alter %s: %v %+v", name, err, resp)
	}
}

// configured is nil if the broker at the address itself says that a topic has a value.
func configured(t *testing.T, ctx context.Context, address, topic, key, value string) error {
	t.Helper()
	cl := Client(t, address)
	defer cl.Close()
	req := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeTopic, topic, []string{key}
	req.Resources = append(req.Resources, r)
	resp, err := cl.SeedBrokers()[0].Request(ctx, req)
	if err != nil {
		return err
	}
	for _, c := range resp.(*kmsg.DescribeConfigsResponse).Resources[0].Configs {
		if c.Name == key && c.Value != nil && *c.Value == value {
			return nil
		}
	}
	return fmt.Errorf("%s is not %s yet: %+v", key, value, resp)
}
