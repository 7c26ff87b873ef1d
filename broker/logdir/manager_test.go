package logdir

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"go.uber.org/goleak"

	"ottla/broker/commitlog"
	"ottla/broker/topic"
	"ottla/internal/fs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func defaults(string) commitlog.Settings { return commitlog.DefaultSettings() }

var me = Meta{ClusterID: "tOsZcvfuT7Guu-sOvApjBQ", BrokerID: 1}

// startManager opens directories as a broker of this cluster; the test closes it at the end if it has not.
func startManager(t testing.TB, c Config, settings func(string) commitlog.Settings) *Manager {
	t.Helper()
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.FS == nil {
		c.FS = fs.OS
	}
	m, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close(false) })
	if err := m.SetMeta(me); err != nil {
		t.Fatal(err)
	}
	if err := m.Load(context.Background(), settings); err != nil {
		t.Fatal(err)
	}
	return m
}

func part(name string, n int32) topic.Partition { return topic.Partition{Topic: name, Partition: n} }

// put makes the partition's log if there is none and appends one batch.
func put(t testing.TB, m *Manager, p topic.Partition, value string) *commitlog.Log {
	t.Helper()
	l, _, err := m.Create(p, topic.ID{1}, commitlog.DefaultSettings())
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld()
	w.now = m.c.Now()
	set, _ := w.set(nil, 1, false)
	if err := l.Append(0, []*commitlog.AppendSet{set}); err != nil {
		t.Fatal(err)
	}
	l.SetHighWatermark(l.LogEnd())
	return l
}

func read(t testing.TB, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestFilesOfACleanStop compares what a stopped broker leaves with what Apache Kafka leaves.
func TestFilesOfACleanStop(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet")
	m := startManager(t, Config{Dirs: []string{dir}}, defaults)
	for range 3 {
		put(t, m, part("orders", 0), "x")
	}
	l := put(t, m, part("__consumer_offsets", 17), "x")
	l.SetHighWatermark(0)
	if err := m.Logs()[0].AdvanceLogStart(0); err != nil {
		t.Fatal(err)
	}
	if log, _ := m.Log(part("orders", 0)); log.AdvanceLogStart(2) != nil {
		t.Fatal("cannot advance the log start")
	}
	if err := m.Close(true); err != nil {
		t.Fatal(err)
	}
	var files []string
	_ = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if !e.IsDir() {
			files = append(files, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	want := []string{
		".kafka_cleanshutdown", ".lock",
		"__consumer_offsets-17/00000000000000000000.index", "__consumer_offsets-17/00000000000000000000.log",
		"__consumer_offsets-17/00000000000000000000.timeindex", "__consumer_offsets-17/00000000000000000001.snapshot",
		"__consumer_offsets-17/leader-epoch-checkpoint", "__consumer_offsets-17/partition.metadata",
		"log-start-offset-checkpoint", "meta.properties",
		"orders-0/00000000000000000000.index", "orders-0/00000000000000000000.log", "orders-0/00000000000000000000.timeindex",
		"orders-0/00000000000000000003.snapshot", "orders-0/leader-epoch-checkpoint", "orders-0/partition.metadata",
		"recovery-point-offset-checkpoint", "replication-offset-checkpoint",
	}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Error(diff)
	}
	for file, want := range map[string]string{
		".kafka_cleanshutdown":             `{"version":0,"brokerEpoch":-1}`,
		"recovery-point-offset-checkpoint": "0\n2\n__consumer_offsets 17 1\norders 0 3\n",
		"replication-offset-checkpoint":    "0\n2\n__consumer_offsets 17 0\norders 0 3\n",
		"log-start-offset-checkpoint":      "0\n1\norders 0 2\n",
		"orders-0/leader-epoch-checkpoint": "0\n1\n0 2\n",
		"orders-0/partition.metadata":      "version: 0\ntopic_id: AQAAAAAAAAAAAAAAAAAAAA",
	} {
		if got := read(t, dir, file); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
	if got := read(t, dir, "meta.properties"); !regexp.MustCompile(`^#\n#\w+ \w+ \d\d [\d:]+ UTC \d+\nbroker.id=1\nversion=0\ncluster.id=tOsZcvfuT7Guu-sOvApjBQ\n$`).MatchString(got) {
		t.Errorf("meta.properties: %q", got)
	}

	again := startManager(t, Config{Dirs: []string{dir}}, defaults)
	if _, err := os.Stat(filepath.Join(dir, cleanFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the mark of the clean stop is still there: %v", err)
	}
	orders, _ := again.Log(part("orders", 0))
	if orders == nil || orders.LogStart() != 2 || orders.LogEnd() != 3 || orders.HighWatermark() != 3 || orders.TopicID() != (topic.ID{1}) || again.CheckpointedHighWatermark(part("orders", 0)) != 3 {
		t.Errorf("opened again: %+v", orders)
	}
	if again.CheckpointedHighWatermark(part("__consumer_offsets", 17)) != 0 || again.Meta() != me || again.Dir(part("orders", 0)) != dir {
		t.Error("high watermark, identity or directory is another one")
	}
}

// TestIdentity: whose directories these are is checked before anything is opened, and the error says what to do.
func TestIdentity(t *testing.T) {
	meta := func(text string) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, metaFile), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	kafka := "#\n#Sun Nov 22 11:45:34 UTC 2026\nbroker.id=1\nversion=0\ncluster.id=tOsZcvfuT7Guu-sOvApjBQ\n"
	for _, c := range []struct {
		name string
		dirs []string
		want string // of the error
	}{
		{"none yet", []string{t.TempDir()}, ""},
		{"of Kafka", []string{meta(kafka), t.TempDir()}, ""},
		{"only the cluster", []string{meta("version=0\ncluster.id = tOsZcvfuT7Guu-sOvApjBQ\n")}, ""},
		{"another cluster", []string{meta("version=0\ncluster.id=other\nbroker.id=1\n")}, "belong to cluster other .* check zookeeper.connect"},
		{"another broker", []string{meta("version=0\nbroker.id=2\n")}, "belong to broker 2 .* set broker.id=2"},
		{"two brokers", []string{meta(kafka), meta("version=0\nbroker.id=2\n")}, "belongs to broker 2, another one to broker 1"},
		{"two clusters", []string{meta(kafka), meta("version=0\ncluster.id=other\n")}, "belongs to cluster other"},
		{"KRaft", []string{meta("version=1\nnode.id=1\ncluster.id=x\n")}, "formatted for KRaft"},
		{"nonsense", []string{meta("version=0\nbroker.id=one\n")}, "broker.id=one is not a broker id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Open(Config{FS: fs.OS, Dirs: c.dirs, Now: time.Now, Logger: zerolog.Nop()})
			if err == nil {
				err = m.SetMeta(me)
				defer m.Close(false)
			}
			if c.want == "" && err != nil || c.want != "" && (err == nil || !regexp.MustCompile(c.want).MatchString(err.Error())) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			if c.want == "" {
				for _, dir := range c.dirs {
					if got := read(t, dir, metaFile); !strings.Contains(got, "broker.id=1") || !strings.Contains(got, me.ClusterID) {
						t.Errorf("%s: %s", dir, got)
					}
				}
			}
		})
	}
	dir := t.TempDir()
	m := startManager(t, Config{Dirs: []string{dir}}, defaults)
	if _, err := Open(Config{FS: fs.OS, Dirs: []string{dir}, Now: time.Now}); err == nil || !strings.Contains(err.Error(), "in use by another broker") {
		t.Errorf("a second broker on the same directory: %v", err)
	}
	if err := m.Close(true); err != nil {
		t.Fatal(err)
	}
	startManager(t, Config{Dirs: []string{dir}}, defaults)
}

// TestLoadsKafkasDirectory opens the recorded directory of Apache Kafka 3.9, and stops cleanly: nothing of it is lost.
func TestLoadsKafkasDirectory(t *testing.T) {
	dir := unpack(t, "clean")
	m, err := Open(Config{FS: fs.OS, Dirs: []string{dir}, RecoveryThreads: 4, Now: time.Now, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(false)
	if err := m.SetMeta(Meta{ClusterID: m.Meta().ClusterID, BrokerID: 0}); err != nil {
		t.Fatal(err)
	}
	if err := m.Load(context.Background(), defaults); err != nil {
		t.Fatal(err)
	}
	if n := len(m.Logs()); n != 18 {
		t.Errorf("%d logs", n)
	}
	l, _ := m.Log(part("deleted-records", 0))
	if l == nil || l.LogStart() != 37 || l.LogEnd() != 60 || l.HighWatermark() != 60 {
		t.Errorf("%+v", l)
	}
	before := read(t, dir, recoveryPointFile)
	if err := m.Close(true); err != nil {
		t.Fatal(err)
	}
	sorted := func(s string) map[string]bool {
		set := map[string]bool{}
		for _, x := range strings.Split(s, "\n") {
			set[x] = true
		}
		return set
	}
	if diff := cmp.Diff(sorted(before), sorted(read(t, dir, recoveryPointFile))); diff != "" {
		t.Error(diff)
	}
}

func TestSpreadsOverDirectories(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	m := startManager(t, Config{Dirs: dirs}, defaults)
	var wg sync.WaitGroup
	for n := range int32(12) {
		wg.Go(func() {
			for range 2 { // twice at the same time: made once
				wg.Go(func() {
					if _, _, err := m.Create(part("t", n), topic.ID{}, commitlog.DefaultSettings()); err != nil {
						t.Error(err)
					}
				})
			}
		})
	}
	wg.Wait()
	total := 0
	for _, dir := range dirs {
		list, _ := filepath.Glob(filepath.Join(dir, "t-*"))
		total += len(list)
		if len(list) < 2 {
			t.Errorf("%s has %d partitions", dir, len(list))
		}
	}
	if total != 12 {
		t.Errorf("%d partitions were made", total)
	}
}

func TestSamePartitionTwice(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir()}
	for _, dir := range dirs {
		if err := os.Mkdir(filepath.Join(dir, "t-0"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m, err := Open(Config{FS: fs.OS, Dirs: dirs, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(false)
	if err := m.Load(context.Background(), defaults); err == nil || !strings.Contains(err.Error(), "partition t-0 is in two log directories") {
		t.Errorf("%v", err)
	}
}

// TestDelete removes a partition, makes it again at once, and removes what is left when its time has come.
func TestDelete(t *testing.T) {
	dir := t.TempDir()
	now := time.UnixMilli(1e12)
	m := startManager(t, Config{Dirs: []string{dir}, Now: func() time.Time { return now }, FlushEvery: time.Hour}, defaults)
	long := part(strings.Repeat("x", 249), 0)
	for _, p := range []topic.Partition{part("t", 0), long} {
		old := put(t, m, p, "old")
		m.flush(m.dirs[0])
		s, err := old.Read(0, 1, 100, true)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Delete(p); err != nil {
			t.Fatal(err)
		}
		if l, offline := m.Log(p); l != nil || offline {
			t.Error("it is still there")
		}
		if err := m.Delete(p); err != nil {
			t.Errorf("deleted twice: %v", err)
		}
		if _, err := s.ReadAt(make([]byte, s.Len), 0); err != nil {
			t.Errorf("a read that was under way: %v", err)
		}
		s.Release()
		if err := old.Append(0, nil); !errors.Is(err, kerr.NotLeaderForPartition) {
			t.Errorf("append to a deleted log: %v", err)
		}
		if _, err := old.Read(0, 1, 100, true); !errors.Is(err, kerr.NotLeaderForPartition) {
			t.Errorf("read of a deleted log: %v", err)
		}
		put(t, m, p, "new")
		if got := read(t, dir, recoveryPointFile); strings.Contains(got, p.Topic+" 0 1") {
			t.Errorf("the old recovery point is still there: %q", got)
		}
	}
	waiting := func() (names []string) {
		list, _ := os.ReadDir(dir)
		for _, e := range list {
			if strings.HasSuffix(e.Name(), deleteSuffix) {
				names = append(names, e.Name())
			}
		}
		return names
	}
	names := waiting()
	if len(names) != 2 || !regexp.MustCompile(`^t-0\.[0-9a-f]{32}-delete$`).MatchString(names[0]) || len(names[1]) != 255 {
		t.Errorf("%q", names)
	}
	now = now.Add(59 * time.Second)
	m.flush(m.dirs[0])
	if len(waiting()) != 2 {
		t.Error("removed too early")
	}
	now = now.Add(time.Second)
	m.flush(m.dirs[0])
	if names := waiting(); len(names) != 0 {
		t.Errorf("%q are still there", names)
	}
	put(t, m, part("t", 1), "x")
	if err := m.Delete(part("t", 1)); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(true); err != nil {
		t.Fatal(err)
	}
	again := startManager(t, Config{Dirs: []string{dir}, FlushEvery: time.Hour}, defaults)
	again.flush(again.dirs[0])
	if names := waiting(); len(names) != 0 || len(again.Logs()) != 2 {
		t.Errorf("after a restart %q are there, %d logs", names, len(again.Logs()))
	}
}

// TestFailedDirectory breaks one of two disks: its logs stop, the others go on, nothing is made anew for what it holds.
func TestFailedDirectory(t *testing.T) {
	bad, good := filepath.Join(t.TempDir(), "bad"), filepath.Join(t.TempDir(), "good")
	f := fs.NewFaulty(fs.OS)
	type failure struct {
		dir string
		err error
	}
	failures := make(chan failure, 9)
	m := startManager(t, Config{FS: f, Dirs: []string{bad, good}, FlushEvery: time.Hour, OnDirFailure: func(dir string, err error) { failures <- failure{dir, err} }}, defaults)
	first, second := put(t, m, part("t", 0), "x"), put(t, m, part("t", 1), "x")
	third := put(t, m, part("t", 2), "x")
	if m.Dir(part("t", 0)) != bad || m.Dir(part("t", 1)) != good || m.Dir(part("t", 2)) != bad {
		t.Fatal("not where they should be")
	}
	f.Inject(fs.Rule{Op: fs.OpDatasync, Name: "*.log", Err: syscall.EIO, Times: 1})
	if err := first.Flush(); !errors.Is(err, kerr.KafkaStorageError) {
		t.Errorf("%v", err)
	}
	if got := <-failures; got.dir != bad || !errors.Is(got.err, syscall.EIO) {
		t.Errorf("%v", got)
	}
	for _, l := range []*commitlog.Log{first, third} {
		if err := l.Append(0, nil); !errors.Is(err, kerr.KafkaStorageError) {
			t.Errorf("%s: %v", l.Partition(), err)
		}
		if got, offline := m.Log(l.Partition()); got != nil || !offline {
			t.Errorf("%s is not offline", l.Partition())
		}
	}
	if _, _, err := m.Create(part("t", 0), topic.ID{1}, commitlog.DefaultSettings()); !errors.Is(err, kerr.KafkaStorageError) {
		t.Errorf("made anew: %v", err)
	}
	if err := second.Flush(); err != nil {
		t.Errorf("the other directory: %v", err)
	}
	put(t, m, part("t", 3), "x")
	if m.Dir(part("t", 3)) != good || m.Dir(part("t", 0)) != bad {
		t.Error("not where they should be")
	}
	if d := m.Dirs(); d[0].Path != bad || d[0].Error == nil || d[1].Error != nil {
		t.Errorf("%v", d)
	}
	if err := m.Close(true); err == nil || len(failures) != 0 {
		t.Errorf("closed with %v, %d more failures", err, len(failures))
	}
	if _, err := os.Stat(filepath.Join(bad, cleanFile)); err == nil {
		t.Error("the failed directory is marked as closed cleanly")
	}
	if _, err := os.Stat(filepath.Join(good, cleanFile)); err != nil {
		t.Error(err)
	}
	again := startManager(t, Config{Dirs: []string{bad, good}}, defaults)
	if n := len(again.Logs()); n != 4 {
		t.Errorf("%d logs after a restart on mended disks", n)
	}
}

func TestNoDirectoryLeft(t *testing.T) {
	f := fs.NewFaulty(fs.OS)
	f.Inject(fs.Rule{Op: fs.OpReadDir, Err: syscall.EIO})
	m, err := Open(Config{FS: f, Dirs: []string{t.TempDir()}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(false)
	if err := m.Load(context.Background(), defaults); !errors.Is(err, syscall.EIO) {
		t.Errorf("%v", err)
	}
	f.Inject(fs.Rule{Op: fs.OpMkdir, Err: syscall.EACCES})
	if _, err := Open(Config{FS: f, Dirs: []string{t.TempDir()}, Now: time.Now}); !errors.Is(err, syscall.EACCES) {
		t.Errorf("%v", err)
	}
}

// TestBackground lets hours pass: flushes move the recovery points, flush.ms is kept, retention comes.
func TestBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fs.NewCrash()
		s := commitlog.DefaultSettings()
		settings := func(name string) commitlog.Settings {
			s := s
			if name == "quick" {
				s.FlushMs = 100
			}
			return s
		}
		m := startManager(t, Config{FS: c, Dirs: []string{"/data"}}, settings)
		slow := put(t, m, part("slow", 0), "x")
		quick, _, err := m.Create(part("quick", 0), topic.ID{}, settings("quick"))
		if err != nil {
			t.Fatal(err)
		}
		put(t, m, part("quick", 0), "x")
		time.Sleep(5100 * time.Millisecond) // the next look at flush.ms comes with the first flush
		if slow.RecoveryPoint() != 1 || slow.SyncedEnd() != 1 {
			t.Errorf("not flushed after 5 s: %d", slow.RecoveryPoint())
		}
		if b, err := fs.ReadFile(c, "/data/"+recoveryPointFile, 1000); err != nil || string(b) != "0\n2\nquick 0 1\nslow 0 1\n" {
			t.Errorf("%q, %v", b, err)
		}
		put(t, m, part("quick", 0), "x")
		put(t, m, part("slow", 0), "x")
		time.Sleep(250 * time.Millisecond)
		if quick.SyncedEnd() != 2 || slow.SyncedEnd() != 1 {
			t.Errorf("flush.ms=100 after 250 ms: synced to %d, the other to %d", quick.SyncedEnd(), slow.SyncedEnd())
		}
		changed := s
		changed.RetentionMs = 1000
		m.SetSettings("slow", changed)
		time.Sleep(time.Hour)
		if slow.LogStart() != 2 || quick.LogStart() != 0 {
			t.Errorf("retention: log starts %d and %d", slow.LogStart(), quick.LogStart())
		}
		if err := m.Close(true); err != nil {
			t.Fatal(err)
		}
	})
}

// TestTokens holds all of them: the next one waits for a release, and never more than the bound are out.
func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTokens(1)
		for range 64 {
			k.Acquire()
		}
		var wg sync.WaitGroup
		got := 0
		var mu sync.Mutex
		for range 10 {
			wg.Go(func() {
				k.Acquire()
				mu.Lock()
				got++
				mu.Unlock()
			})
		}
		synctest.Wait()
		if got != 0 {
			t.Errorf("%d beyond the bound", got)
		}
		for n := range 10 {
			k.Release()
			synctest.Wait()
			if got != n+1 {
				t.Errorf("%d after %d releases", got, n+1)
			}
		}
		wg.Wait()
		for range 64 {
			k.Release()
		}
		if k.held.Load() != 0 {
			t.Errorf("%d are still out", k.held.Load())
		}
	})
}

func FuzzDecodeOffsets(f *testing.F) {
	f.Add([]byte("0\n2\norders 0 18231\n__consumer_offsets 17 402\n"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := decodeOffsets(b)
		if err != nil {
			return
		}
		again, err := decodeOffsets(encodeOffsets(o))
		if diff := cmp.Diff(len(o), len(again)); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
		for p, offset := range o {
			if again[p] != offset {
				t.Errorf("%s: %d, again %d", p, offset, again[p])
			}
		}
	})
}

func FuzzDecodeMeta(f *testing.F) {
	f.Add([]byte("#\n#Sun Nov 22 11:45:34 UTC 2026\nbroker.id=0\nversion=0\ncluster.id=tOsZcvfuT7Guu-sOvApjBQ\n"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = decodeMeta(b) })
}

// BenchmarkLoad opens 10,000 idle partitions after a clean stop and closes them cleanly: figures for each start and stop.
func BenchmarkLoad(b *testing.B) {
	const partitions = 10000
	dir := b.TempDir()
	c := Config{Dirs: []string{dir}, RecoveryThreads: 2, FlushEvery: time.Hour, Logger: zerolog.Nop()}
	m := startManager(b, c, defaults)
	for n := range int32(partitions) {
		l, _, err := m.Create(part("t", n), topic.ID{}, commitlog.DefaultSettings())
		if err != nil {
			b.Fatal(err)
		}
		set, _ := newWorld().set(nil, 1, false)
		if err := l.Append(0, []*commitlog.AppendSet{set}); err != nil {
			b.Fatal(err)
		}
	}
	if err := m.Close(true); err != nil {
		b.Fatal(err)
	}
	var stop time.Duration
	var heap uint64
	b.ResetTimer()
	for range b.N {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		m := startManager(b, c, defaults)
		if len(m.Logs()) != partitions {
			b.Fatal(len(m.Logs()))
		}
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&after)
		heap = after.HeapAlloc - before.HeapAlloc
		began := time.Now()
		if err := m.Close(true); err != nil {
			b.Fatal(err)
		}
		stop += time.Since(began)
		b.StartTimer()
	}
	b.ReportMetric(stop.Seconds()/float64(b.N), "stop-s/op")
	b.ReportMetric(float64(heap)/partitions, "heap-B/partition")
}
