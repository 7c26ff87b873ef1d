package znode_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"ottla/broker/znode"
	"ottla/broker/znode/znodetest"
)

func testNullAndEmptyData(t *testing.T, address string) {
	s, ctx := session(t, open(t, address)), testContext(t)
	for _, c := range []struct {
		path string
		data []byte
	}{{"/null", nil}, {"/empty", []byte{}}, {"/text", []byte("x")}} {
		if _, err := s.Write(ctx, znode.Fence{}, znode.Create(c.path, c.data)); err != nil {
			t.Fatal(err)
		}
		data, _, err := s.Get(ctx, c.path)
		if err != nil || (data == nil) != (c.data == nil) || string(data) != string(c.data) {
			t.Errorf("%s: read %#v, %v; want %#v", c.path, data, err, c.data)
		}
	}
	if _, err := s.Write(ctx, znode.Fence{}, znode.Set("/null", []byte{}, 0)); err != nil {
		t.Fatal(err)
	}
	if data, _, err := s.Get(ctx, "/null"); err != nil || data == nil {
		t.Errorf("after setting empty data: %#v, %v", data, err)
	}
}

func testFencedWrites(t *testing.T, address string) {
	s, ctx := session(t, open(t, address)), testContext(t)
	elected, err := s.Elect(ctx, 1, time.Now())
	if err != nil || elected.Epoch != 1 {
		t.Fatal(elected, err)
	}
	if _, err := s.Write(ctx, elected.Fence, znode.Create("/a", nil)); err != nil {
		t.Fatal(err)
	}
	_, err = s.Write(ctx, elected.Fence, znode.Create("/a", nil))
	if !errors.Is(err, znode.ErrNodeExists) || errors.Is(err, znode.ErrFenced) {
		t.Errorf("second create: %v", err)
	}
	w, err := s.Write(ctx, elected.Fence, znode.Set("/a", []byte("1"), 0))
	if err != nil || w.Stat.Version != 1 || w.Stat.Czxid == 0 {
		t.Errorf("set: %+v, %v", w, err)
	}
	_, err = s.Write(ctx, elected.Fence, znode.Set("/a", []byte("1"), 0))
	if !errors.Is(err, znode.ErrBadVersion) || errors.Is(err, znode.ErrFenced) {
		t.Errorf("set with an old version: %v", err)
	}
	if _, err := s.Elect(ctx, 1, time.Now()); !errors.Is(err, nil) {
		// the same session, and the epoch as before: not the outcome of this attempt
		if !errors.Is(err, znode.ErrNotElected) {
			t.Error(err)
		}
	}
	if err := s.Resign(ctx, elected); err != nil {
		t.Fatal(err)
	}
	next, err := s.Elect(ctx, 2, time.Now())
	if err != nil || next.Epoch != 2 {
		t.Fatal(next, err)
	}
	if _, err := s.Write(ctx, elected.Fence, znode.Create("/b", nil)); !errors.Is(err, znode.ErrFenced) {
		t.Errorf("write of the former controller: %v", err)
	}
	if _, err := s.Batch(ctx, elected.Fence, []znode.Op{znode.Create("/b", nil), znode.Create("/c", nil)}); !errors.Is(err, znode.ErrFenced) {
		t.Errorf("batch of the former controller: %v", err)
	}
	if err := s.Resign(ctx, elected); err != nil {
		t.Error(err)
	}
	if id, _, _, ok, err := s.Controller(ctx); id != 2 || !ok || err != nil {
		t.Errorf("a former controller's resignation: controller %d, %v, %v", id, ok, err)
	}
}

// testWatchIsSetAgainAfterEachEvent counts the events of a node that changes after each read.
func testWatchIsSetAgainAfterEachEvent(t *testing.T, address string) {
	c, ctx := open(t, address), testContext(t)
	s := session(t, c)
	events := make(chan znode.Event, 100)
	c.HandleData("/n", func(ev znode.Event) { events <- ev })
	c.HandleChildren("/n", func(ev znode.Event) { events <- ev })
	if _, exists, err := s.Exists(ctx, "/n"); exists || err != nil {
		t.Fatal(exists, err)
	}
	expect := func(want znode.EventType) {
		t.Helper()
		select {
		case ev := <-events:
			if ev.Type != want || ev.Path != "/n" || ev.Session != s {
				t.Fatalf("event %+v, want %v", ev, want)
			}
		case <-ctx.Done():
			t.Fatalf("no event, want %v", want)
		}
	}
	write := func(op znode.Op) {
		t.Helper()
		if _, err := s.Write(ctx, znode.Fence{}, op); err != nil {
			t.Fatal(err)
		}
	}
	write(znode.Create("/n", nil))
	expect(znode.Created)
	for i := range 20 {
		for range 3 { // reads of a watch that is set do not set it again
			must2(s.Get(ctx, "/n"))
		}
		write(znode.Set("/n", []byte{byte(i)}, -1))
		expect(znode.DataChanged)
	}
	write(znode.Set("/n", nil, -1)) // nobody has read: no event
	must(s.Children(ctx, "/n"))
	write(znode.Create("/n/child", nil))
	expect(znode.ChildrenChanged)
	must2(s.Get(ctx, "/n"))
	write(znode.Delete("/n/child", -1))
	write(znode.Delete("/n", -1))
	expect(znode.Deleted)
	select {
	case ev := <-events:
		t.Errorf("unexpected %+v", ev)
	default:
	}
}

func must2[T, U any](v T, u U, err error) (T, U) {
	if err != nil {
		panic(err)
	}
	return v, u
}

// testReconnect drops the connection under load. The session survives, nothing is lost or doubled, watches still work.
func testReconnect(t *testing.T, address string) {
	proxy := znodetest.NewProxy(t, address)
	c, ctx := open(t, proxy.Address), testContext(t)
	s := session(t, c)
	changed := make(chan znode.Event, 1)
	c.HandleData("/watched", func(ev znode.Event) { changed <- ev })
	must(s.Write(ctx, znode.Fence{}, znode.Create("/watched", nil)))
	must(s.Write(ctx, znode.Fence{}, znode.Create("/counter", nil)))
	must2(s.Get(ctx, "/watched"))
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range int32(300) { // each by compare-and-set: a doubled or lost one would show
			if _, err := s.Write(ctx, znode.Fence{}, znode.Set("/counter", fmt.Append(nil, i), i)); err != nil {
				t.Errorf("write %d: %v", i, err)
				return
			}
			if i%60 == 30 {
				proxy.Drop()
			}
		}
	})
	wg.Wait()
	if s.Err() != nil {
		t.Fatal("the session did not survive")
	}
	must(s.Write(ctx, znode.Fence{}, znode.Set("/watched", []byte("x"), -1)))
	select {
	case <-changed:
	case <-ctx.Done():
		t.Error("the watch was lost with the connection")
	}
}

// testNoEventIsLostBetweenConnections changes a watched node while the connection is replaced and the session is busy.
func testNoEventIsLostBetweenConnections(t *testing.T, address string) {
	proxy := znodetest.NewProxy(t, address)
	c, ctx := open(t, proxy.Address), testContext(t)
	s, other := session(t, c), session(t, open(t, address))
	changed := make(chan struct{}, 100)
	c.HandleData("/watched", func(znode.Event) { changed <- struct{}{} })
	must(s.Write(ctx, znode.Fence{}, znode.Create("/watched", nil)))
	busy, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			path := fmt.Sprint("/busy-", i)
			must(s.Write(ctx, znode.Fence{}, znode.Create(path, nil)))
			for busy.Err() == nil {
				_, _ = s.Write(busy, znode.Fence{}, znode.Set(path, nil, -1))
			}
		})
	}
	for round := range 20 {
		must2(s.Get(ctx, "/watched"))
		proxy.Drop()
		must(other.Write(ctx, znode.Fence{}, znode.Set("/watched", []byte{byte(round)}, -1)))
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("round %d: the event was lost", round)
		}
	}
	stop()
	wg.Wait()
}

// testExpiry cuts a client off until its session is gone: what it still has to say must not reach the server.
func testExpiry(t *testing.T, address string) {
	proxy := znodetest.NewProxy(t, address)
	c, ctx := open(t, proxy.Address), testContext(t)
	other := session(t, open(t, address))
	old := session(t, c)
	must(old.Write(ctx, znode.Fence{}, znode.CreateEphemeral("/e", nil)))
	var order []string
	after := make(chan *znode.Session, 1)
	c.OnSession(znode.Hooks{
		Before: func(context.Context) { order = append(order, fmt.Sprint("before 1, old: ", old.Err())) },
		After:  func(context.Context, *znode.Session) { order = append(order, "after 1") },
	})
	c.OnSession(znode.Hooks{
		Before: func(context.Context) { order = append(order, "before 2") },
		After:  func(_ context.Context, s *znode.Session) { order = append(order, "after 2"); after <- s },
	})
	events := make(chan znode.Event, 10)
	c.HandleData("/w", func(ev znode.Event) { events <- ev })

	proxy.Cut()
	var wg sync.WaitGroup
	for i := range 50 { // more than the library queues
		wg.Go(func() {
			_, err := old.Write(ctx, znode.Fence{}, znode.Create(fmt.Sprint("/late-", i), nil))
			if !errors.Is(err, znode.ErrSessionExpired) {
				t.Errorf("write of the expired session: %v", err)
			}
		})
	}
	await(t, "expiry at the server", func() bool { _, exists := must2(other.Exists(ctx, "/e")); return !exists })
	proxy.Heal()
	var s *znode.Session
	select {
	case s = <-after:
	case <-ctx.Done():
		t.Fatal("no new session")
	}
	wg.Wait()
	if want := "[before 1, old: ZooKeeper session expired before 2 after 1 after 2]"; fmt.Sprint(order) != want {
		t.Errorf("hooks: %v", order)
	}
	if s.ID() == old.ID() || session(t, c) != s {
		t.Error("the new session is not a new one")
	}
	for _, name := range must(other.Children(ctx, "/")) {
		if len(name) > 5 && name[:5] == "late-" {
			t.Errorf("%s was written under the new session", name)
		}
	}
	if _, exists := must2(s.Exists(ctx, "/w")); exists {
		t.Fatal("/w")
	}
	must(other.Write(ctx, znode.Fence{}, znode.Create("/w", nil)))
	select {
	case ev := <-events:
		if ev.Session != s {
			t.Error("event of an old session")
		}
	case <-ctx.Done():
		t.Error("no event in the new session")
	}
}

func TestOpenGivesUp(t *testing.T) {
	start := time.Now()
	_, err := znode.Open(context.Background(), znode.Config{Servers: []string{"127.0.0.1:1"}, SessionTimeout: time.Second, ConnectTimeout: 300 * time.Millisecond})
	if err == nil || time.Since(start) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := znode.Open(ctx, znode.Config{Servers: []string{"127.0.0.1:1"}, SessionTimeout: time.Second, ConnectTimeout: time.Hour}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func testCallsEndWithTheClient(t *testing.T, address string) {
	proxy := znodetest.NewProxy(t, address)
	c := open(t, proxy.Address)
	s := session(t, c)
	proxy.Cut()
	done := make(chan error)
	go func() {
		_, err := s.Write(context.Background(), znode.Fence{}, znode.Create("/x", nil))
		done <- err
	}()
	c.Close()
	if err := <-done; !errors.Is(err, znode.ErrClosed) {
		t.Error(err)
	}
	if _, err := c.Session(context.Background()); !errors.Is(err, znode.ErrClosed) {
		t.Error(err)
	}
}

func testDeleteAll(t *testing.T, address string) {
	s, ctx := session(t, open(t, address)), testContext(t)
	var ops []znode.Op
	must(s.CreateAll(ctx, "/t/partitions", nil))
	for i := range 200 {
		ops = append(ops, znode.Create(fmt.Sprint("/t/partitions/", i), nil))
	}
	results := must(s.Batch(ctx, znode.Fence{}, ops))
	for i, r := range results {
		if r.Err != nil || r.Path != ops[i].Path {
			t.Fatalf("%+v", r)
		}
	}
	must(s.CreateAll(ctx, "/t/partitions/7/state", []byte("{}")))
	if err := s.DeleteAll(ctx, znode.Fence{}, "/t"); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteAll(ctx, znode.Fence{}, "/t"); err != nil {
		t.Errorf("second time: %v", err)
	}
	if _, exists := must2(s.Exists(ctx, "/t")); exists {
		t.Error("/t is still there")
	}
}
