//go:build unix

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/twmb/franz-go/pkg/kadm"
)

// TestApacheCluster lets three Apache Kafka brokers live on our coordinator: their controller dies, they are bounced, and the
// coordinator is killed under load; topics are made, reassigned and deleted. Nothing that was acknowledged is lost.
func TestApacheCluster(t *testing.T) {
	if !Long() {
		t.Skip("three JVMs on two cores: in the long form only")
	}
	t.Run("3.9", func(t *testing.T) { apacheClusterStory(t, "kafka-3.9", Coordinator(t), nil) })
	t.Run("2.8", func(t *testing.T) { apacheClusterStory(t, "kafka-2.8", Coordinator(t), nil) })
	t.Run("3.9 secured", func(t *testing.T) {
		login := jaas(t, t.TempDir(), "kafka")
		coord := Coordinator(t, saslProvider, superDigest, "java.security.auth.login.config="+login)
		apacheClusterStory(t, "kafka-3.9", coord, []string{"-Djava.security.auth.login.config=" + login}, "zookeeper.set.acl=true")
	})
}

func apacheClusterStory(t *testing.T, set string, coord *Server, flags []string, lines ...string) {
	const topic = "replicated"
	c := connect(t, coord.Address)
	lines = append([]string{"zookeeper.session.timeout.ms=6000", "offsets.topic.num.partitions=3"}, lines...)
	var brokers []*Server
	var addresses []string
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	for id, dir := range dirs {
		b := kafkaWith(t, set, dir, id, coord.Address, flags, lines...)
		brokers, addresses = append(brokers, b), append(addresses, b.Address)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	resp, err := kadm.NewClient(Client(t, addresses[0])).CreateTopic(ctx, 6, 3, map[string]*string{"min.insync.replicas": ptr("2")}, topic)
	if err != nil || resp.Err != nil {
		t.Fatal(err, resp.Err)
	}
	l := startTrickle(t, strings.Join(addresses, ","), topic)
	l.progress(t, 500)

	var died []int
	for range 2 { // controllers
		id := controllerOf(t, c)
		died = append(died, id)
		brokers[id].Kill()
		coord.Kill() // no broker has heard of it yet
		coord.Restart(t)
		Await(t, time.Minute, "the registration vanishes", func() error { return absent(c, fmt.Sprint("/brokers/ids/", id)) })
		l.progress(t, 500)
		brokers[id].Restart(t)
		Await(t, time.Minute, "every replica is in sync", func() error { return inSync(t, brokers[id].Address, topic, 3) })
	}
	for _, b := range brokers {
		b.Stop(t)
		b.Restart(t)
		Await(t, time.Minute, "every replica is in sync", func() error { return inSync(t, b.Address, topic, 3) })
		l.progress(t, 500)
	}
	for range 3 {
		coord.Kill()
		coord.Restart(t)
		l.progress(t, 500)
	}
	reassigned(t, set, brokers, c, topic)
	l.progress(t, 500)
	l.finish(t)
	Result(t, "three brokers of %s, controllers %v killed, each bounced, the coordinator killed 5 times, a topic reassigned: %d records acknowledged, all there once", set, died, len(l.place))

	ctx, cancel = context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if r, err := kadm.NewClient(Client(t, addresses[1])).DeleteTopic(ctx, topic); err != nil || r.Err != nil {
		t.Fatal("delete: ", err, r.Err)
	}
	Await(t, time.Minute, "the topic is deleted", func() error {
		if err := absent(c, "/brokers/topics/"+topic); err != nil {
			return err
		}
		return absent(c, "/admin/delete_topics/"+topic)
	})
	for _, b := range brokers {
		b.Stop(t)
	}
	coord.Stop(t)
}

// reassigned moves every partition of a topic to two of the three brokers, with Apache's tool, and waits until it says so.
func reassigned(t *testing.T, set string, brokers []*Server, c *zk.Conn, topic string) {
	t.Helper()
	type partition struct {
		Topic     string  `json:"topic"`
		Partition int     `json:"partition"`
		Replicas  []int32 `json:"replicas"`
	}
	var plan struct {
		Version    int         `json:"version"`
		Partitions []partition `json:"partitions"`
	}
	plan.Version = 1
	for p := range 6 {
		plan.Partitions = append(plan.Partitions, partition{topic, p, []int32{int32(p % 3), int32((p + 1) % 3)}})
	}
	b, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	tool := func(verb string) string {
		return Run(t, time.Minute, "", Apache(t, set, "kafka-reassign-partitions", "--bootstrap-server", brokers[0].Address, "--reassignment-json-file", file, verb)...)
	}
	tool("--execute")
	Await(t, 2*time.Minute, "the reassignment is complete", func() error {
		if out := tool("--verify"); strings.Count(out, "is completed.")+strings.Count(out, "is complete.") != len(plan.Partitions) {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	if err := inSync(t, brokers[0].Address, topic, 2); err != nil {
		t.Error(err)
	}
	if err := absent(c, "/admin/reassign_partitions"); err != nil {
		t.Error("/admin/reassign_partitions: ", err)
	}
}

// controllerOf waits until there is a controller.
func controllerOf(t *testing.T, c *zk.Conn) int {
	t.Helper()
	var node struct{ BrokerID int }
	Await(t, time.Minute, "there is a controller", func() error {
		data, _, err := c.Get("/controller")
		if err == nil {
			err = json.Unmarshal(data, &node)
		}
		return err
	})
	return node.BrokerID
}
