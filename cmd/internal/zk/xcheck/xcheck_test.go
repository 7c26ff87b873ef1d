package xcheck

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"go.uber.org/goleak"

	"ottla/coord/coordtest"
	"ottla/coord/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// start runs a proxy; the result ends it and returns what it found.
func start(t *testing.T, a, b string) (address string, stop func() (Summary, []Difference)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var found []Difference
	p := &Proxy{A: a, B: b, Report: func(d Difference) { found = append(found, d) }}
	ctx, cancel := context.WithCancel(context.Background())
	var sum Summary
	var wg sync.WaitGroup
	wg.Go(func() {
		if sum, err = p.Serve(ctx, l); err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), func() (Summary, []Difference) {
		cancel()
		wg.Wait()
		return sum, found
	}
}

func connect(t *testing.T, address string) *zk.Conn {
	t.Helper()
	c, events, err := zk.Connect([]string{address}, 10*time.Second, zk.WithLogger(quiet{}))
	if err != nil {
		t.Fatal(err)
	}
	for ev := range events {
		if ev.State == zk.StateHasSession {
			break
		}
	}
	return c
}

func TestTwins(t *testing.T) {
	a, b := coordtest.Start(t), coordtest.Start(t)
	other := connect(t, b.Address()) // the zxids and ids of B are others
	if _, err := other.Create("/x", nil, 0, zk.WorldACL(zk.PermAll)); err != nil || other.Delete("/x", -1) != nil {
		t.Fatal(err)
	}
	other.Close()
	address, stop := start(t, a.Address(), b.Address())
	one, two := connect(t, address), connect(t, address)
	_, _, events, err := one.ChildrenW("/")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/n", "/n/e"} {
		if _, err := two.Create(path, []byte("1"), int32(len(path)/4), zk.WorldACL(zk.PermAll)); err != nil {
			t.Fatal(err)
		}
	}
	<-events
	if _, err := one.Multi(&zk.SetDataRequest{Path: "/n", Data: []byte("2"), Version: 0}, &zk.DeleteRequest{Path: "/n/e", Version: 5}); err != zk.ErrBadVersion {
		t.Fatal(err)
	}
	if _, _, err := one.Get("/n/e"); err != nil {
		t.Fatal(err)
	}
	two.Close()
	if _, _, err := one.Get("/n/e"); err != zk.ErrNoNode {
		t.Errorf("the other session's node: %v", err)
	}
	one.Close()
	// /x counted one child of the root more on B: its cversion differs wherever it is shown, and nothing else.
	sum, found := stop()
	for _, d := range found {
		if d.Request != "getChildren2 /" || d.Field != "cversion" && d.Field != "pzxid" {
			t.Errorf("%v", d)
		}
	}
	if sum.Connections != 2 || sum.Events != 1 || sum.Requests < 7 || len(found) == 0 {
		t.Errorf("%+v, %v", sum, found)
	}
}

// TestDifferences: what is planted on B is found.
func TestDifferences(t *testing.T) {
	a, b := coordtest.Start(t), coordtest.Start(t)
	address, stop := start(t, a.Address(), b.Address())
	c := connect(t, address)
	open := zk.WorldACL(zk.PermAll)
	if _, err := c.Create("/n", []byte("1"), 0, open); err != nil {
		t.Fatal(err)
	}
	behind := connect(t, b.Address())
	for _, step := range []func() error{
		func() error { _, err := behind.Set("/n", []byte("2"), -1); return err },
		func() error { _, _, err := c.Get("/n"); return err },
		func() error { _, err := behind.Create("/m", nil, 0, open); return err },
		func() error { _, err := c.Create("/m", nil, 0, open); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	behind.Close()
	c.Close()
	_, found := stop()
	var text strings.Builder
	for _, d := range found {
		text.WriteString(d.String() + "\n")
	}
	for _, part := range []string{`getData /n: reply data: A "1", B "2"`, "getData /n: reply version: A 0, B 1", "create /m: reply error: A 0, B -110", "getData /n: reply mzxid: A 0x"} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("%q is missing in\n%s", part, text.String())
		}
	}
}

func TestMapping(t *testing.T) {
	m := newMapping()
	for _, c := range []struct {
		a, b int64
		want bool
	}{{1, 101, true}, {5, 105, true}, {1, 101, true}, {1, 102, false}, {3, 106, false}, {3, 100, false}, {3, 103, true}, {0, 0, true}, {0, 7, false}, {-1, -1, true}, {4, 103, false}} {
		if got := m.zxid(c.a, c.b); got != c.want {
			t.Errorf("zxid %d %d: %v", c.a, c.b, got)
		}
	}
	for a, want := range map[int64]int64{1: 101, 2: 101, 9: 105, 0: 0} {
		if got := m.zxidOfB(a); got != want {
			t.Errorf("B's zxid for %d: %d", a, got)
		}
	}
	if !m.session(1, 2) || !m.session(1, 2) || m.session(1, 3) || m.session(4, 2) || m.session(0, 5) || !m.session(0, 0) {
		t.Error("sessions are not kept apart")
	}
	if !m.time(0, 1, 10) || m.time(0, 1, 11) || !m.time(1, 1, 11) {
		t.Error("times are not kept")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(wire.AppendReplyHeader(nil, 1, 2, 0), int32(wire.OpMulti))
	f.Add(wire.AppendEvent(nil, 7, 1, "/a"), int32(0))
	f.Fuzz(func(t *testing.T, frame []byte, op int32) {
		a, b := read(frame, wire.Op(op)), read(frame, wire.Op(op))
		newMapping().compare(&a, &b, func(name, x, y string) {
			// A stat of arbitrary bytes may give one zxid two times; all else is the same.
			if name != "ctime" && name != "mtime" {
				t.Errorf("%s differs from itself: %s, %s", name, x, y)
			}
		})
		handshake(frame)
	})
}
