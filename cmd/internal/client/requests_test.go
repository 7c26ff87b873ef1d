package client

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"go.uber.org/goleak"

	"ottla/coord/coordtest"
	"ottla/coord/wire"
)

// TestLastingWatch: a watch that stays is there again after the connection was lost, and the identities are too.
func TestLastingWatch(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	server := coordtest.Start(t)
	defer func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tree, err := (&ZooKeeper{Connect: server.Address(), Auth: []string{"digest:u:p"}}).Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	heard := make(chan Event, 100)
	defer tree.Listen(func(ev Event) { heard <- ev })()
	if err := tree.AddWatch(ctx, "/w", true); err != nil {
		t.Fatal(err)
	}
	if err := tree.RemoveWatches(ctx, "/other", wire.WatcherAny); !errors.Is(err, wire.CodeNoWatcher) {
		t.Errorf("a watch that there is not was removed: %v", err)
	}
	tree.mu.Lock()
	old := tree.latest
	tree.mu.Unlock()
	old.Conn.Close()
	for n := 0; ; n++ { // until the watch is there again, a change is heard
		if _, err := tree.Create("/w", nil, 0, zk.WorldACL(zk.PermAll)); err == nil {
			_ = tree.Delete("/w", -1)
		}
		select {
		case ev := <-heard:
			if ev.Path != "/w" || ev.Zxid <= 0 || ev.Type != zk.EventNodeCreated && ev.Type != zk.EventNodeDeleted {
				t.Errorf("%+v", ev)
			}
			tree.mu.Lock()
			if tree.latest == old {
				t.Error("the connection was never lost")
			}
			tree.mu.Unlock()
			who, err := tree.WhoAmI(ctx)
			if err != nil || len(who) != 2 || who[1] != (Identity{"digest", "u"}) {
				t.Errorf("%v, %v", who, err)
			}
			return
		case <-ctx.Done():
			t.Fatal("no event")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestNoAnswer: who waits for an answer hears of the connection's end.
func TestNoAnswer(t *testing.T) {
	server := coordtest.Start(t)
	tree, err := (&ZooKeeper{Connect: server.Address()}).Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := tree.WhoAmI(ctx); !errors.Is(err, zk.ErrConnectionClosed) && !errors.Is(err, zk.ErrNoServer) {
		t.Errorf("%v", err)
	}
	for _, c := range []struct {
		err  error
		code wire.Code
	}{{zk.ErrNoNode, wire.CodeNoNode}, {wire.CodeNoWatcher, wire.CodeNoWatcher}, {errors.New("unknown error: -125"), wire.CodeQuotaExceeded}} {
		if code, ok := CodeOf(c.err); !ok || code != c.code {
			t.Errorf("%v is %v", c.err, code)
		}
	}
	if _, ok := CodeOf(errors.New("unknown error: x")); ok {
		t.Error("a text is a code")
	}
}
