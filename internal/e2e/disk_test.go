//go:build unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"ottla/internal/fs"
)

// ledger is a client that writes numbered records to partitions of a topic, each once, and knows which were acknowledged.
type ledger struct {
	t     *testing.T
	topic string
	n     int
	acked map[int]place
}

func newLedger(t *testing.T, topic string) *ledger {
	return &ledger{t: t, topic: topic, acked: map[int]place{}}
}

// try sends one record to a partition, with padding, and returns the broker's own error: the client does not try again.
func (l *ledger) try(address string, partition int32, size int) error {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cl := Client(l.t, address, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableIdempotentWrite(), kgo.RecordRetries(0), kgo.MetadataMinAge(50*time.Millisecond), kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer cl.Close()
	n := l.n
	l.n++
	r := cl.ProduceSync(ctx, &kgo.Record{Topic: l.topic, Partition: partition, Key: []byte(strconv.Itoa(n)), Value: []byte(strings.Repeat("x", size))})[0]
	if r.Err == nil {
		l.acked[n] = place{partition, r.Record.Offset}
	}
	return r.Err
}

func (l *ledger) must(address string, partition int32, size int) {
	l.t.Helper()
	if err := l.try(address, partition, size); err != nil {
		l.t.Fatalf("record %d: %v", l.n-1, err)
	}
}

// check reads partitions from start to end: every acknowledged record of theirs is where it was said to be, and no offset is missing.
func (l *ledger) check(address string, partitions ...int32) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	adm := Client(l.t, address, kgo.MetadataMinAge(50*time.Millisecond))
	defer adm.Close()
	var starts, listed kadm.ListedOffsets
	Await(l.t, 20*time.Second, "the partitions have leaders", func() error {
		starts, _ = kadm.NewClient(adm).ListStartOffsets(ctx, l.topic)
		listed, _ = kadm.NewClient(adm).ListEndOffsets(ctx, l.topic)
		for _, p := range partitions {
			for _, at := range []kadm.ListedOffsets{starts, listed} {
				if o, ok := at.Lookup(l.topic, p); !ok || o.Err != nil {
					return fmt.Errorf("%s-%d: %w", l.topic, p, o.Err)
				}
			}
		}
		return nil
	})
	ends := map[int32]int64{}
	for p, o := range listed[l.topic] {
		ends[p] = o.Offset
	}
	from, want := map[int32]kgo.Offset{}, map[place]int{}
	left := int64(0)
	for _, p := range partitions {
		s, _ := starts.Lookup(l.topic, p)
		from[p] = kgo.NewOffset().At(s.Offset)
		left += ends[p] - s.Offset
		for n, at := range l.acked {
			if at.partition == p && at.offset >= s.Offset {
				want[at] = n
			}
		}
	}
	cl := Client(l.t, address, kgo.MetadataMinAge(50*time.Millisecond), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{l.topic: from}))
	defer cl.Close()
	next := map[int32]int64{}
	for left > 0 {
		fs := cl.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			l.t.Fatalf("%d records are missing of %v to %v, read up to %v: %v", left, starts, ends, next, err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			left--
			at := place{r.Partition, r.Offset}
			if n, ok := want[at]; ok && strconv.Itoa(n) != string(r.Key) {
				l.t.Errorf("at %v is record %s, acknowledged was %d", at, r.Key, n)
			}
			delete(want, at)
			if before, ok := next[r.Partition]; ok && r.Offset != before {
				l.t.Errorf("offset %d of partition %d follows %d", r.Offset, r.Partition, before-1)
			}
			next[r.Partition] = r.Offset + 1
		})
	}
	if len(want) > 0 {
		l.t.Errorf("acknowledged and gone: %v", want)
	}
}

// full makes the disk below dir full: nothing can be written or made; renames, removals and reads go on.
func full(b *inside, dir string) *fs.Injected {
	return b.disk.Inject(fs.Rule{Op: fs.OpWrite | fs.OpCreate | fs.OpPreallocate | fs.OpMkdir, Under: dir, Short: 17, Err: syscall.ENOSPC})
}

// TestFullDisk: a produce is refused with KAFKA_STORAGE_ERROR and undone; everything acknowledged stays readable, deletion goes on, and
// the partition takes writes again once there is room.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	b := startInside(t, "log.dirs="+dir, "log.retention.check.interval.ms=50", "log.segment.delete.delay.ms=0")
	createTopic(t, b.address, "t", 2, map[string]*string{"segment.bytes": ptr("2000")})
	createTopic(t, b.address, "other", 1, nil)
	l := newLedger(t, "t")
	for i := range 10 {
		l.must(b.address, int32(i%2), 500)
	}
	disk := full(b, dir)
	for range 5 {
		if err := l.try(b.address, 0, 500); !errors.Is(err, kerr.KafkaStorageError) {
			t.Errorf("produce on a full disk: %v", err)
		}
	}
	l.check(b.address, 0, 1)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cl := Client(t, b.address)
	defer cl.Close()
	adm := kadm.NewClient(cl)
	segments := func() int { files, _ := filepath.Glob(filepath.Join(dir, "t-0", "*.log")); return len(files) }
	before := segments()
	var to kadm.Offsets
	to.Add(kadm.Offset{Topic: "t", Partition: 0, At: 4})
	deleted, err := adm.DeleteRecords(ctx, to)
	if r, ok := deleted.Lookup("t", 0); err != nil || !ok || r.Err != nil || r.LowWatermark != 4 {
		t.Errorf("DeleteRecords on a full disk: %+v, %v", r, err)
	}
	Await(t, 10*time.Second, "its segments go", func() error {
		if n := segments(); n >= before {
			return fmt.Errorf("%d segments, were %d", n, before)
		}
		return nil
	})
	if r, err := adm.DeleteTopics(ctx, "other"); err != nil || r["other"].Err != nil {
		t.Errorf("a topic is deleted on a full disk: %v, %v", r["other"].Err, err)
	}
	disk.Remove()
	for i := range 4 {
		l.must(b.address, int32(i%2), 500)
	}
	l.check(b.address, 0, 1)
	b.restart()
	l.check(b.address, 0, 1)
}

// TestReadOnlyDirectory: a directory that cannot be written is out of service, the other one is not; without another one the broker
// does not start, and says why.
func TestReadOnlyDirectory(t *testing.T) {
	failedDirectory(t, syscall.EROFS)
}

// TestFailingDirectory is the same with a disk that answers EIO.
func TestFailingDirectory(t *testing.T) {
	failedDirectory(t, syscall.EIO)
}

func failedDirectory(t *testing.T, errno error) {
	good, bad := t.TempDir(), t.TempDir()
	b := startInside(t, "log.dirs="+good+","+bad)
	createTopic(t, b.address, "t", 4, nil)
	l := newLedger(t, "t")
	in := map[string][]int32{}
	for p := range int32(4) {
		for range 3 {
			l.must(b.address, p, 100)
		}
		for _, d := range []string{good, bad} {
			if _, err := os.Stat(filepath.Join(d, fmt.Sprint("t-", p))); err == nil {
				in[d] = append(in[d], p)
			}
		}
	}
	if len(in[good]) != 2 || len(in[bad]) != 2 {
		t.Fatalf("four partitions lie in %v", in)
	}
	disk := b.disk.Inject(fs.Rule{Op: fs.AnyChange, Under: bad, Err: errno})
	for i, p := range in[bad] {
		err := l.try(b.address, p, 100)
		if i == 0 && !errors.Is(err, kerr.KafkaStorageError) {
			t.Errorf("produce to the failing directory: %v", err)
		}
		if err == nil {
			t.Errorf("partition %d took a record", p)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cl := Client(t, b.address)
	defer cl.Close()
	Await(t, 10*time.Second, "the cluster knows", func() error {
		topics, err := kadm.NewClient(cl).ListTopics(ctx, "t")
		if err != nil {
			return err
		}
		for _, p := range in[bad] {
			if leader := topics["t"].Partitions[p].Leader; leader != -1 {
				return fmt.Errorf("partition %d has leader %d", p, leader)
			}
		}
		return nil
	})
	for _, p := range in[good] {
		l.must(b.address, p, 100)
	}
	l.check(b.address, in[good]...)
	disk.Remove()
	b.restart()
	l.check(b.address, 0, 1, 2, 3)
	for p := range int32(4) {
		l.must(b.address, p, 100)
	}
}

// TestClockJumps: the clock is an hour ahead, then an hour behind. Nothing is lost, nobody leaves a group, and searches by time still
// find what the log says.
func TestClockJumps(t *testing.T) {
	b := startInside(t, "log.dirs="+t.TempDir(), "log.retention.check.interval.ms=20", "log.cleaner.backoff.ms=20", "producer.id.expiration.ms=7200000", "log.roll.ms=1800000")
	createTopic(t, b.address, "t", 1, map[string]*string{"message.timestamp.type": ptr("LogAppendTime")})
	l := startTrickle(t, b.address, "t")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	rebalances := 0
	group := Client(t, b.address, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, a map[string][]int32) { rebalances += len(a) }))
	defer group.Close()
	read := func(n int) {
		t.Helper()
		for got := 0; got < n; {
			fs := group.PollFetches(ctx)
			if err := fs.Err0(); err != nil {
				t.Fatal(err)
			}
			got += fs.NumRecords()
		}
		if err := group.CommitUncommittedOffsets(ctx); err != nil {
			t.Errorf("commit: %v", err)
		}
	}
	hour := int64(time.Hour)
	for _, shift := range []int64{0, hour, -hour, 0} {
		b.shift.Store(shift)
		l.progress(t, 100)
		read(100)
	}
	l.finish(t)
	if rebalances != 1 {
		t.Errorf("the group's member was assigned its partition %d times", rebalances)
	}
	cl := Client(t, b.address)
	defer cl.Close()
	adm := kadm.NewClient(cl)
	now := time.Now()
	ahead, err := adm.ListOffsetsAfterMilli(ctx, now.Add(30*time.Minute).UnixMilli(), "t")
	if o, ok := ahead.Lookup("t", 0); err != nil || !ok || o.Err != nil || o.Timestamp < now.Add(30*time.Minute).UnixMilli() || o.Offset <= 0 {
		t.Errorf("the first record of the hour ahead: %+v, %v", o, err)
	}
	b.restart()
	l.check(t, b.address)
}

// TestSmallDisk is TestFullDisk on a real file system of a few MiB, with a broker of its own process: long form, for root.
func TestSmallDisk(t *testing.T) {
	if !Long() {
		t.Skip("a file system is mounted for the long form only (OTTLA_LONG)")
	}
	dir := t.TempDir()
	mount := exec.Command("mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", dir)
	if out, err := mount.CombinedOutput(); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	coord := Coordinator(t)
	s := Broker(t, 0, coord.Address, "log.dirs="+dir, "log.retention.check.interval.ms=200", "log.segment.delete.delay.ms=0", "offsets.topic.num.partitions=1", "zookeeper.session.timeout.ms=4000")
	defer func() { s.Stop(t) }() // the process that runs then
	createTopic(t, s.Address, "t", 2, map[string]*string{"segment.bytes": ptr("1000000")})
	l := newLedger(t, "t")
	var refused error
	for i := 0; i < 200 && refused == nil; i++ {
		refused = l.try(s.Address, int32(i%2), 100_000)
	}
	if !errors.Is(refused, kerr.KafkaStorageError) {
		t.Fatalf("%d records of 100 kB on 12 MiB, then: %v", len(l.acked), refused)
	}
	l.check(s.Address, 0, 1)
	s.Kill()
	s.Restart(t)
	l.check(s.Address, 0, 1)
	filled := maps.Clone(l.acked)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cl := Client(t, s.Address)
	defer cl.Close()
	var to kadm.Offsets
	to.Add(kadm.Offset{Topic: "t", Partition: 0, At: endOffsets(t, cl, "t")[0] / 2})
	if deleted, err := kadm.NewClient(cl).DeleteRecords(ctx, to); err != nil || deleted.Error() != nil {
		t.Fatalf("DeleteRecords: %v, %v", err, deleted.Error())
	}
	Await(t, 20*time.Second, "there is room again", func() error { return l.try(s.Address, 1, 100_000) })
	l.check(s.Address, 0, 1)
	Result(t, "a disk of 12 MiB took %d records of 100 kB, and after a deletion %d", len(filled), len(l.acked))
}
