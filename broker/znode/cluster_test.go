package znode_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"ottla/broker/znode"
	"ottla/broker/znode/znodetest"
	"ottla/coord/coordtest"
	"ottla/internal/fs"
)

func testClusterID(t *testing.T, address string) {
	c, ctx := open(t, address), testContext(t)
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() { ids[i] = must(session(t, c).ClusterID(ctx, rand.Read)) })
	}
	wg.Wait()
	if len(ids[0]) != 22 || len(slices.Compact(ids)) != 1 {
		t.Error(ids)
	}
	data, _, err := session(t, c).Get(ctx, znode.ClusterIDPath)
	if want := `{"version":"1","id":"` + ids[0] + `"}`; string(data) != want || err != nil {
		t.Errorf("%s, %v", data, err)
	}
}

func testSequences(t *testing.T, address string) {
	s, ctx := session(t, open(t, address)), testContext(t)
	for want := int32(1001); want < 1004; want++ {
		if id, err := s.NextBrokerID(ctx, 1000); id != want || err != nil {
			t.Error(id, err)
		}
	}
	if err := s.MakePersistentPaths(ctx); err != nil {
		t.Fatal(err)
	}
	// many at a time: by compare-and-set each block is given once
	var mu sync.Mutex
	var starts []int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 5 {
				start, count, err := s.AllocateProducerIDs(ctx, int32(i))
				if err != nil || count != 1000 {
					t.Error(start, count, err)
					return
				}
				mu.Lock()
				starts = append(starts, start)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.Sort(starts)
	for i, start := range starts {
		if start != int64(i)*1000 {
			t.Fatalf("blocks begin at %v", starts)
		}
	}
	must(s.Write(ctx, znode.Fence{}, znode.Set(znode.ProducerIDBlockPath, []byte{}, -1)))
	if _, _, err := s.AllocateProducerIDs(ctx, 1); err == nil {
		t.Error("empty data is no block, and not none either")
	}
	must(s.Write(ctx, znode.Fence{}, znode.Set(znode.ProducerIDBlockPath, []byte(`{"version":1,"broker":1,"block_start":"9223372036854774808","block_end":"9223372036854775807"}`), -1)))
	if _, _, err := s.AllocateProducerIDs(ctx, 1); !errors.Is(err, znode.ErrProducerIDsExhausted) {
		t.Error(err)
	}
}

func testFeatures(t *testing.T, address string) {
	s, ctx := session(t, open(t, address)), testContext(t)
	if epoch, err := s.FeatureEpoch(ctx); epoch != -1 || err != nil {
		t.Error(epoch, err)
	}
	for range 2 {
		if err := s.EnableFeatures(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if epoch, err := s.FeatureEpoch(ctx); epoch != 0 || err != nil {
		t.Error(epoch, err)
	}
	// what a controller with an old protocol version left behind
	must(s.Write(ctx, znode.Fence{}, znode.Set(znode.FeaturePath, []byte(`{"features":{},"version":1,"status":0}`), -1)))
	if err := s.EnableFeatures(ctx); err != nil {
		t.Fatal(err)
	}
	data, _ := must2(s.Get(ctx, znode.FeaturePath))
	if want := `{"features":{},"version":2,"status":1}`; string(data) != want {
		t.Errorf("%s", data)
	}
}

func testConsumerOffsets(t *testing.T, address string) {
	s, ctx := session(t, open(t, address)), testContext(t)
	if offset, found, err := s.ConsumerOffset(ctx, "g", "t", 0); offset != -1 || found || err != nil {
		t.Error(offset, found, err)
	}
	for _, want := range []int64{5, 7} {
		if err := s.SetConsumerOffset(ctx, "g", "t", 0, want); err != nil {
			t.Fatal(err)
		}
		if offset, found, err := s.ConsumerOffset(ctx, "g", "t", 0); offset != want || !found || err != nil {
			t.Error(offset, found, err)
		}
	}
	if data, _ := must2(s.Get(ctx, "/consumers/g/offsets/t/0")); string(data) != "7" {
		t.Errorf("%s", data)
	}
}

// testConfigChanges follows changes: those that are there, those that come, after a new session; old ones are purged.
func testConfigChanges(t *testing.T, address string) {
	proxy := znodetest.NewProxy(t, address)
	c, ctx := open(t, proxy.Address), testContext(t)
	other := session(t, open(t, address))
	change := func(kind, name, value string) {
		t.Helper()
		if err := other.SetEntity(ctx, kind, name, map[string]string{"k": value}); err != nil {
			t.Fatal(err)
		}
		if err := other.NotifyEntity(ctx, kind, name); err != nil {
			t.Fatal(err)
		}
	}
	change("topics", "a", "1")
	must(other.Write(ctx, znode.Fence{}, znode.CreateSequential(znode.ConfigChangesPath+"/config_change_", []byte("not JSON"))))
	must(other.CreateAll(ctx, znode.ConfigChangesPath+"/foreign", nil))
	var mu sync.Mutex
	var seen []string
	var clock time.Duration
	f, err := znode.FollowConfigChanges(ctx, c, func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(clock) }, zerolog.Nop(),
		func(ctx context.Context, s *znode.Session, kind, name string) {
			config, _, err := s.Entity(ctx, kind, name)
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, fmt.Sprint(kind, "/", name, "=", config["k"], err))
		})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	saw := func(want ...string) {
		t.Helper()
		await(t, fmt.Sprint(want), func() bool {
			mu.Lock()
			defer mu.Unlock()
			return slices.Equal(seen, want)
		})
	}
	saw("topics/a=1<nil>")
	change("brokers", "<default>", "2")
	saw("topics/a=1<nil>", "brokers/<default>=2<nil>")
	old := session(t, c)
	must(old.Write(ctx, znode.Fence{}, znode.CreateEphemeral("/alive", nil)))
	proxy.Cut()
	await(t, "the end of the session", func() bool { _, exists := must2(other.Exists(ctx, "/alive")); return !exists })
	change("topics", "a", "3")
	proxy.Heal()
	await(t, "a new session", func() bool { return session(t, c) != old })
	await(t, "the change that was missed", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return seen[len(seen)-1] == "topics/a=3<nil>"
	})
	mu.Lock()
	clock = 16 * time.Minute
	seen = nil
	mu.Unlock()
	change("topics", "a", "4")
	saw("topics/a=4<nil>")
	await(t, "purge", func() bool { return len(must(other.Children(ctx, znode.ConfigChangesPath))) == 0 })
}

func testQuotaEntities(t *testing.T, address string) {
	s, ctx := session(t, open(t, address)), testContext(t)
	if all, _, err := s.QuotaEntities(ctx); len(all) > 0 || err != nil {
		t.Errorf("of none: %v, %v", all, err)
	}
	want := []string{"clients/<default>", "ips/10.0.0.1", "users/%C3%A9", "users/<default>/clients/<default>", "users/bob/clients/app"}
	for _, path := range want {
		kind, name, _ := strings.Cut(path, "/")
		if err := s.SetEntity(ctx, kind, name, map[string]string{"at": path}); err != nil {
			t.Fatal(err)
		}
	}
	must(s.Write(ctx, znode.Fence{}, znode.Create(znode.EntityPath("clients", "bad"), []byte("{"))))
	all, skipped, err := s.QuotaEntities(ctx)
	if len(skipped) != 1 || err != nil {
		t.Errorf("skipped %v, %v", skipped, err)
	}
	if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for path, config := range all {
		if config["at"] != path {
			t.Errorf("%s has %v", path, config)
		}
	}
}

// broker is a registration on a test's own marks.
func broker(t *testing.T, id, port int32, dirs ...string) znode.Registration {
	return znode.Registration{
		Broker: znode.Broker{ID: id, JMXPort: -1, Endpoints: []znode.Endpoint{{Listener: "PLAINTEXT", Host: "127.0.0.1", Port: port}}},
		Marks:  znode.MarkFiles{FS: fs.OS, Dirs: dirs}, Now: time.Now, Logger: zerolog.New(zerolog.NewTestWriter(t)),
	}
}

func testRegistration(t *testing.T, address string) {
	c, ctx := open(t, address), testContext(t)
	s := session(t, c)
	if err := s.MakePersistentPaths(ctx); err != nil {
		t.Fatal(err)
	}
	dirs := []string{t.TempDir(), t.TempDir()}
	r, err := znode.Register(ctx, c, broker(t, 5, 9092, dirs...))
	if err != nil {
		t.Fatal(err)
	}
	data, stat := must2(s.Get(ctx, "/brokers/ids/5"))
	if stat.EphemeralOwner != s.ID() || stat.Czxid != r.Epoch() || stat.Version != 1 {
		t.Errorf("%+v, epoch %d, %s", stat, r.Epoch(), data)
	}
	brokers, skipped, err := s.Brokers(ctx)
	if len(brokers) != 1 || brokers[0].Epoch != r.Epoch() || len(skipped) != 0 || err != nil {
		t.Error(brokers, skipped, err)
	}
	for _, dir := range dirs {
		if b, err := os.ReadFile(filepath.Join(dir, ".ottla-session")); string(b) != fmt.Sprintf("%#x\n", uint64(s.ID())) || err != nil {
			t.Errorf("mark %q, %v", b, err)
		}
	}
	// another broker with the same address
	if _, err := znode.Register(ctx, open(t, address), broker(t, 6, 9092)); !errors.Is(err, znode.ErrEndpointTaken) {
		t.Error(err)
	}
	// another process with the same id: it is told who has it, and waits
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	other := open(t, address)
	if _, err := znode.Register(short, other, broker(t, 5, 9093, t.TempDir())); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%#x", s.ID())) {
		t.Error(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := znode.Register(ctx, other, broker(t, 5, 9093, t.TempDir()))
		done <- err
	}()
	c.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// testStaleRegistration is a start after kill -9: the session of the killed process is still there, and so are its nodes. The
// marks say that they are nobody's.
func testStaleRegistration(t *testing.T, address string) {
	killed, ctx := open(t, address), testContext(t)
	s := session(t, killed)
	if err := s.MakePersistentPaths(ctx); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	before, err := znode.Register(ctx, killed, broker(t, 5, 9092, dir))
	if err != nil {
		t.Fatal(err)
	}
	elected := must(s.Elect(ctx, 5, time.Now()))
	c := open(t, address) // killed lives on: that is the session that has not timed out
	begin := time.Now()
	r, err := znode.Register(ctx, c, broker(t, 5, 9092, dir))
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > time.Second || r.Epoch() <= before.Epoch() {
		t.Errorf("took %v, epoch %d after %d", took, r.Epoch(), before.Epoch())
	}
	if _, _, _, exists, err := session(t, c).Controller(ctx); exists || err != nil {
		t.Error("the killed process is still controller", err)
	}
	next := must(session(t, c).Elect(ctx, 5, time.Now()))
	if next.Epoch != elected.Epoch+1 {
		t.Error(next)
	}
	if _, err := s.Write(ctx, elected.Fence, znode.Create("/x", nil)); !errors.Is(err, znode.ErrFenced) {
		t.Error(err)
	}
}

// testRegistrationInNewSession: the epoch rises, and the hook comes before those that were registered later.
func testRegistrationInNewSession(t *testing.T, address string) {
	proxy := znodetest.NewProxy(t, address)
	c, ctx := open(t, proxy.Address), testContext(t)
	other := session(t, open(t, address))
	if err := other.MakePersistentPaths(ctx); err != nil {
		t.Fatal(err)
	}
	r, err := znode.Register(ctx, c, broker(t, 5, 9092, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	before := r.Epoch()
	after := make(chan int64, 1)
	c.OnSession(znode.Hooks{After: func(context.Context, *znode.Session) { after <- r.Epoch() }})
	proxy.Cut()
	await(t, "expiry", func() bool { _, exists := must2(other.Exists(ctx, znode.BrokerIDPath(5))); return !exists })
	proxy.Heal()
	select {
	case epoch := <-after:
		_, stat := must2(other.Get(ctx, znode.BrokerIDPath(5)))
		if epoch <= before || epoch != stat.Czxid {
			t.Errorf("epoch %d after %d, node %d", epoch, before, stat.Czxid)
		}
	case <-ctx.Done():
		t.Fatal("no new session")
	}
}

// TestCoordinatorRestart restarts the coordinator under load: the session and its watches live on, calls only take longer.
func TestCoordinatorRestart(t *testing.T) {
	srv := coordtest.Start(t)
	c, ctx := open(t, srv.Address()), testContext(t)
	s := session(t, c)
	fired := make(chan struct{}, 1)
	c.HandleData("/w", func(znode.Event) { fired <- struct{}{} })
	must(s.Write(ctx, znode.Fence{}, znode.Create("/w", nil)))
	must(s.Write(ctx, znode.Fence{}, znode.Create("/n", nil)))
	must2(s.Get(ctx, "/w"))
	stop, stopped := make(chan struct{}), make(chan time.Duration)
	go func() {
		var longest time.Duration
		for i := int32(0); ; i++ {
			select {
			case <-stop:
				stopped <- longest
				return
			default:
			}
			begin := time.Now()
			if _, err := s.Write(ctx, znode.Fence{}, znode.Set("/n", nil, i)); err != nil {
				t.Errorf("write %d: %v", i, err)
				<-stop
				stopped <- longest
				return
			}
			longest = max(longest, time.Since(begin))
		}
	}()
	for range 3 {
		time.Sleep(50 * time.Millisecond)
		srv.Restart()
	}
	must(s.Write(ctx, znode.Fence{}, znode.Set("/w", nil, -1)))
	select {
	case <-fired:
	case <-ctx.Done():
		t.Error("the watch was lost")
	}
	close(stop)
	t.Logf("longest write over restarts: %v", (<-stopped).Round(time.Millisecond))
	if s.Err() != nil {
		t.Error(s.Err())
	}
}
