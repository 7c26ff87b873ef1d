package client

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"ottla/coord/coordtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSeeds(t *testing.T) {
	if d := cmp.Diff([]string{"a:1", "b:9092", "[::1]:9092", "[::1]:7"}, Seeds("a:1, b,[::1],,[::1]:7")); d != "" {
		t.Error(d)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	ctx := context.Background()
	k := Kafka{Servers: "127.0.0.1:1", Timeout: 5 * time.Second}
	if _, err := k.Open(ctx); err == nil || !strings.Contains(err.Error(), "nothing listens at 127.0.0.1:1") || !strings.Contains(err.Error(), "`ottla up`") {
		t.Errorf("Kafka: %v", err)
	}
	if _, err := (&Kafka{Servers: " , "}).Open(ctx); err == nil {
		t.Error("no server was accepted")
	}
	if _, err := (&Kafka{Servers: "x", Properties: "/nonexistent"}).Open(ctx); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("properties: %v", err)
	}
	z := ZooKeeper{Connect: "127.0.0.1:1", Timeout: 5 * time.Second}
	if _, err := z.Open(ctx); err == nil || !strings.Contains(err.Error(), "nothing listens at 127.0.0.1:1") || !strings.Contains(err.Error(), "`ottla coordinator`") {
		t.Errorf("ZooKeeper: %v", err)
	}
	if _, _, err := z.Layout(ctx); err == nil || !strings.Contains(err.Error(), "nothing listens") {
		t.Errorf("layout: %v", err)
	}
}

// silentServer accepts and says nothing.
func silentServer(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func TestServersThatDoNotAnswer(t *testing.T) {
	at := silentServer(t)
	k := Kafka{Servers: at, Timeout: 300 * time.Millisecond}
	if _, err := k.Open(context.Background()); err == nil || !strings.Contains(err.Error(), at) {
		t.Errorf("Kafka: %v", err)
	}
	z := ZooKeeper{Connect: at, Timeout: 300 * time.Millisecond}
	if _, err := z.Open(context.Background()); err == nil || !strings.Contains(err.Error(), "no session within 300ms") {
		t.Errorf("ZooKeeper: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := z.Open(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestChroot(t *testing.T) {
	addr := coordtest.Start(t).Addr().String()
	ctx := context.Background()
	root := ZooKeeper{Connect: addr}
	tree, err := root.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	if _, err := tree.Create("/kafka", nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	below := ZooKeeper{Connect: "127.0.0.1:1," + addr + "/kafka/"}
	b, err := below.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for user, want := range map[string]string{"/": "/kafka", "/a": "/kafka/a", "/a/": "/kafka/a", "/a//b": "/kafka/a/b"} {
		if at, err := b.At(user); err != nil || at != want {
			t.Errorf("%s is at %s, %v", user, at, err)
		}
	}
	if _, err := b.At("a"); err == nil {
		t.Error("a path without a slash")
	}
	if b.Shown("/kafka") != "/" || b.Shown("/kafka/a") != "/a" {
		t.Error("Shown is not the reverse of At")
	}
	missing := ZooKeeper{Connect: addr + "/typo"}
	if _, _, err := missing.Layout(ctx); err == nil || !strings.Contains(err.Error(), "no chroot /typo") {
		t.Errorf("a missing chroot: %v", err)
	}
	if there, _, _ := tree.Exists("/typo"); there {
		t.Error("the chroot was made")
	}
	c, s, err := below.Layout(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := s.CreateAll(ctx, "/brokers/ids", nil); err != nil {
		t.Error(err)
	}
	if there, _, _ := tree.Exists("/kafka/brokers/ids"); !there {
		t.Error("the layout is not below the chroot")
	}
}

// TestLost: a session that cannot reach its server is lost after a while, one that the server ended at once.
func TestLost(t *testing.T) {
	server := coordtest.Start(t)
	z := ZooKeeper{Connect: server.Addr().String(), SessionTimeout: 4 * time.Second}
	tree, err := z.Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := tree.Lost(ctx, time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a healthy session: %v", err)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := tree.Lost(ctx, 100*time.Millisecond); err != nil {
		t.Errorf("without a server: %v", err)
	}
}

func TestReadProperties(t *testing.T) {
	path := filepath.Join(t.TempDir(), "client.properties")
	if err := os.WriteFile(path, []byte("# a comment\nclient.id = me\nacks=1\nacks=all\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	m, err := ReadProperties(path)
	if err != nil || m["client.id"] != "me" || m["acks"] != "all" {
		t.Errorf("%v, %v", m, err)
	}
}
