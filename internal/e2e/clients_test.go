//go:build unix

package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// TestKafkaJSAdmin makes the admin calls of kafkajs.
func TestKafkaJSAdmin(t *testing.T) {
	coord := Coordinator(t)
	b := Broker(t, 0, coord.Address)
	printed(t, "admin.js", Run(t, time.Minute, "", Node(t, "kafkajs/admin.js", b.Address, "administered", "2")...),
		`{"created":true}`, `{"created again":false}`, `{"listed":true}`, `{"partitions":[0,1,2]}`,
		`{"offsets":[{"partition":0,"offset":"0","high":"0","low":"0"},{"partition":1,"offset":"0","high":"0","low":"0"},{"partition":2,"offset":"0","high":"0","low":"0"}]}`,
		`{"retention.ms":"3600000"}`, `{"committed":"0"}`, `{"groups":true}`, `{"brokers":1}`, `{"listed after deletion":false}`)
	b.Stop(t)
}

// TestKazooRecipes runs recipes of kazoo, the Python client, on both coordinators.
func TestKazooRecipes(t *testing.T) {
	coordinators(t, func(t *testing.T, coord *Server) {
		t.Log(Run(t, time.Minute, "", Python(t, "recipes.py", coord.Address)...))
	})
}

// TestListeners gives a broker two listeners with advertised addresses of their own: who asks on one is told of that one.
func TestListeners(t *testing.T) {
	coord := Coordinator(t)
	dir, inside, outside := t.TempDir(), FreePort(t), FreePort(t)
	at := func(host string, port int) string { return fmt.Sprint(host, ":", port) }
	cfg := filepath.Join(dir, "server.properties")
	writeProperties(t, cfg, "broker.id=0", "zookeeper.connect="+coord.Address, "log.dirs="+filepath.Join(dir, "data"),
		"inter.broker.listener.name=INSIDE", "listener.security.protocol.map=INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT",
		fmt.Sprintf("listeners=INSIDE://127.0.0.1:%d,OUTSIDE://0.0.0.0:%d", inside, outside),
		fmt.Sprintf("advertised.listeners=INSIDE://127.0.0.1:%d,OUTSIDE://localhost:%d", inside, outside))
	b := Start(t, dir, "broker of two listeners", Binary(t), "broker", cfg)
	Await(t, 20*time.Second, "the broker serves", func() error { return serves(at("127.0.0.1", inside)) })
	for asked, want := range map[string]string{at("127.0.0.1", inside): at("127.0.0.1", inside), at("127.0.0.1", outside): at("localhost", outside)} {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		bs, err := kadm.NewClient(Client(t, asked)).ListBrokers(ctx)
		cancel()
		if err != nil || len(bs) != 1 || hostPort(bs[0].Host, bs[0].Port) != want {
			t.Errorf("%s names %v, %v; want %s", asked, bs, err, want)
		}
	}
	createTopic(t, at("127.0.0.1", outside), "t", 1, nil)
	franzProduce(t, at("127.0.0.1", outside), "t", 3)
	if ends := endOffsets(t, Client(t, at("127.0.0.1", inside)), "t"); ends[0] != 3 {
		t.Errorf("the topic ends at %d", ends[0])
	}
	b.Stop(t)
}
