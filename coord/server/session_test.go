package server_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"ottla/coord/coordtest/conformance"
	"ottla/coord/fsm"
	"ottla/coord/server"
	"ottla/coord/wire"
)

func short(c *server.Config) {
	c.TickTime = 100 * time.Millisecond
	c.MinSessionTimeout = 200 * time.Millisecond
}

func TestExpiry(t *testing.T) {
	b := start(t, short)
	watcher, c := conformance.Dial(t, b.addr), conformance.Dial(t, b.addr)
	watcher.Session = watcher.Connect(wire.ConnectRequest{TimeoutMs: 2000})
	c.Session = c.Connect(wire.ConnectRequest{TimeoutMs: 300})
	c.Create("/e", "", wire.FlagEphemeral)
	heard := time.Now()
	watcher.OK(wire.OpExists, conformance.PathFlag("/e", true))
	if r, ev := watcher.Next(); r != nil || ev.Type != wire.EventNodeDeleted || ev.Path != "/e" {
		t.Fatalf("got %+v %+v", r, ev)
	}
	if d := time.Since(heard); d < 295*time.Millisecond {
		t.Errorf("died after %v", d)
	}
	c.WantClosed()
	if got := c.Attach(); got.Session.TimeoutMs != 0 {
		t.Errorf("attached to a dead session: %+v", got.Session)
	}
}

// What an older connection had sent is done before the session moves.
func TestWriteBeforeAttach(t *testing.T) {
	b := start(t, nil)
	c := conformance.Open(t, b.addr)
	b.log.hold.Lock()
	c.Write(conformance.Request(1, wire.OpSetData, conformance.SetData("/", nil, -1))) // on its way before the attach
	eventually(t, "the write to be under way", func() bool { return containsOutstanding(t, b, 1) })
	done := make(chan *conformance.Client)
	go func() { done <- c.Attach() }()
	b.log.hold.Unlock()
	n := <-done
	if v := n.Stat("/").Version; v != 1 {
		t.Errorf("version %d, want 1: the write was before the attach", v)
	}
}

func containsOutstanding(t *testing.T, b *bench, n int) bool {
	return strings.Contains(word(t, b.addr, "srvr"), fmt.Sprintf("Outstanding: %d\n", n))
}

// A second server over the same state is what a restart looks like from here: every session gets its full timeout.
func TestRestartKeepsSessions(t *testing.T) {
	b := start(t, short)
	c := conformance.Dial(t, b.addr)
	c.Session = c.Connect(wire.ConnectRequest{TimeoutMs: 500})
	c.Create("/e", "", wire.FlagEphemeral)
	if err := b.srv.Close(); err != nil {
		t.Fatal(err)
	}
	c.WantClosed()

	again := resume(t, b, short)
	n := conformance.Dial(t, again.addr)
	n.Session = n.Connect(wire.ConnectRequest{TimeoutMs: 500, SessionID: c.Session.SessionID, Password: c.Session.Password[:]})
	if n.Session.SessionID != c.Session.SessionID {
		t.Fatal("the session did not survive")
	}
	n.Stat("/e")
	fresh := conformance.Dial(t, again.addr)
	if s := fresh.Connect(wire.ConnectRequest{TimeoutMs: 500}); s.SessionID <= c.Session.SessionID {
		t.Errorf("session id %x made after %x", s.SessionID, c.Session.SessionID)
	}
	// Nobody is heard of any more: all of it goes.
	eventually(t, "sessions to expire", func() bool {
		left := 0
		again.st.View(func(m *fsm.Machine) { left = m.Sessions() + m.Tree().Ephemerals() })
		return left == 0
	})
}

// A clock that was set back does not make a session id twice.
func TestSessionIDsGoUp(t *testing.T) {
	now := time.Unix(1700000000, 0)
	b := start(t, func(c *server.Config) { c.Now = func() time.Time { return now } })
	first := conformance.Open(t, b.addr).Session.SessionID
	if err := b.srv.Close(); err != nil {
		t.Fatal(err)
	}
	again := resume(t, b, func(c *server.Config) { c.Now = func() time.Time { return now.Add(-time.Hour) } })
	if second := conformance.Open(t, again.addr).Session.SessionID; second <= first || uint64(second)>>56 != 1 {
		t.Errorf("session %x after %x", second, first)
	}
}

func TestContainersAndTTLAreReaped(t *testing.T) {
	var mu sync.Mutex
	now := time.Unix(1700000000, 0)
	b := start(t, func(c *server.Config) {
		c.TickTime, c.ContainerCheck, c.ExtendedTypes = 30*time.Second, time.Millisecond, true // looks do not wait for a tick
		c.MinSessionTimeout = time.Second
		c.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	c := conformance.Open(t, b.addr)
	exists := func(p string) bool { return c.Do(wire.OpExists, conformance.PathFlag(p, false)).Code == 0 }
	c.OK(wire.OpCreateContainer, conformance.Create("/unused", nil, wire.FlagContainer, wire.OpenACL))
	c.OK(wire.OpCreateContainer, conformance.Create("/used", nil, wire.FlagContainer, wire.OpenACL))
	c.Create("/used/x", "", 0)
	c.OK(wire.OpCreateTTL, wire.AppendLong(conformance.Create("/ttl", nil, wire.FlagPersistentTTL, wire.OpenACL), 1000))
	c.OK(wire.OpCreateTTL, wire.AppendLong(conformance.Create("/parent", nil, wire.FlagPersistentTTL, wire.OpenACL), 1000))
	c.Create("/parent/x", "", 0)
	c.OK(wire.OpExists, conformance.PathFlag("/used", true))
	c.OK(wire.OpDelete, conformance.PathInt("/used/x", -1))
	eventually(t, "the used container to go", func() bool { return !exists("/used") })
	if len(c.Events) != 1 || c.Events[0].Type != wire.EventNodeDeleted {
		t.Errorf("events %v", c.Events)
	}
	if !exists("/unused") || !exists("/ttl") || !exists("/parent") {
		t.Error("reaped too early")
	}
	mu.Lock()
	now = now.Add(1001 * time.Millisecond)
	mu.Unlock()
	eventually(t, "the node to outlive its time", func() bool { return !exists("/ttl") })
	if !exists("/parent") {
		t.Error("a node with children was reaped")
	}
}

// What a tutorial's client library does.
func TestGoZooKeeper(t *testing.T) {
	b := start(t, func(c *server.Config) { c.Now = nil })
	c := b.zk()
	acl := zk.WorldACL(zk.PermAll)
	if _, err := c.Create("/app", []byte("v0"), 0, acl); err != nil {
		t.Fatal(err)
	}
	_, _, events, err := c.GetW("/app")
	if err != nil {
		t.Fatal(err)
	}
	o := b.zk()
	if st, err := o.Set("/app", []byte("v1"), 0); err != nil || st.Version != 1 {
		t.Fatalf("%+v %v", st, err)
	}
	if e := <-events; e.Type != zk.EventNodeDataChanged || e.Path != "/app" {
		t.Errorf("event %+v", e)
	}
	p, err := c.CreateProtectedEphemeralSequential("/app/lock-", nil, acl)
	if err != nil {
		t.Fatal(err)
	}
	kids, _, err := o.Children("/app")
	if err != nil || len(kids) != 1 || "/app/"+kids[0] != p {
		t.Errorf("children %v, made %s, %v", kids, p, err)
	}
	res, err := o.Multi(&zk.CreateRequest{Path: "/m", Acl: acl}, &zk.CheckVersionRequest{Path: "/app", Version: 7})
	if !errors.Is(err, zk.ErrBadVersion) || len(res) != 2 {
		t.Errorf("multi: %v %+v", err, res)
	}
	if err := c.AddAuth("digest", []byte("u:p")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create("/mine", nil, 0, zk.AuthACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := o.Get("/mine"); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("read of a private node: %v", err)
	}
	l1, l2 := zk.NewLock(c, "/lock", acl), zk.NewLock(o, "/lock", acl)
	if err := l1.Lock(); err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() { got <- l2.Lock() }()
	if err := l1.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if _, err := o.Sync("/app"); err != nil {
		t.Fatal(err)
	}
}
