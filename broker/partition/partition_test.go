package partition

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"go.uber.org/goleak"

	"ottla/broker/commitlog"
	"ottla/broker/purgatory"
	"ottla/broker/record"
	"ottla/broker/topic"
	"ottla/internal/fs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, hw int64, change func(*commitlog.Options)) *Partition {
	t.Helper()
	tp := topic.Partition{Topic: "t", Partition: 0}
	o := commitlog.Options{FS: fs.OS, Dir: filepath.Join(t.TempDir(), tp.String()), Partition: tp, Settings: commitlog.DefaultSettings(), Now: time.Now, Logger: zerolog.Nop()}
	if change != nil {
		change(&o)
	}
	l, err := commitlog.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	p := New(Options{Partition: tp, Self: 1, Log: l, HighWatermark: hw, Settings: DefaultSettings(), LagMax: 30 * time.Second, Live: func(int32) bool { return true }, Now: time.Now})
	t.Cleanup(func() {
		p.Close()
		if err := l.Close(true); err != nil {
			t.Error(err)
		}
	})
	return p
}

func records(t *testing.T, values ...string) []byte {
	t.Helper()
	b := record.NewBuilder(record.BuilderOptions{})
	for i, v := range values {
		b.Append(nil, []byte(v), nil, int64(1000+i))
	}
	out, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(out)
}

func lead(t *testing.T, p *Partition, epoch, version int32, isr ...int32) bool {
	t.Helper()
	fresh, err := p.MakeLeader(State{Leader: 1, LeaderEpoch: epoch, PartitionEpoch: version, ISR: isr, Replicas: []int32{1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	return fresh
}

func commit(t *testing.T, p *Partition, values ...string) (first, last int64) {
	t.Helper()
	first, last, err := p.Commit(context.Background(), p.Role().LeaderEpoch, records(t, values...), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return first, last
}

func TestRoles(t *testing.T) {
	p := open(t, 0, nil)
	q, r := Fetch{LeaderEpoch: -1, LastEpoch: -1, Replica: -1, MaxBytes: 1 << 20}, Fetched{}
	refused := func(want error) {
		t.Helper()
		if _, _, err := p.Commit(context.Background(), p.Role().LeaderEpoch, records(t, "x"), time.Second); !errors.Is(err, want) {
			t.Errorf("append: %v", err)
		}
		if err := p.Read(&q, &r); !errors.Is(err, want) || r.HW != -1 {
			t.Errorf("read: %v, %+v", err, r)
		}
		if _, err := p.OffsetFor(LatestOffset, Committed, -1); !errors.Is(err, want) {
			t.Errorf("offsets: %v", err)
		}
	}
	refused(kerr.NotLeaderForPartition) // no role yet
	if !lead(t, p, 3, 5, 1) {
		t.Error("a first leadership is not new")
	}
	if first, last := commit(t, p, "a", "b"); first != 0 || last != 1 {
		t.Errorf("committed %d to %d", first, last)
	}
	if lead(t, p, 3, 6, 1, 2) || p.Role().PartitionEpoch != 6 || p.Role().Since != 3 {
		t.Errorf("same epoch, larger ISR: %+v", p.Role())
	}
	if lead(t, p, 9, 5, 1); p.Role().LeaderEpoch != 3 {
		t.Errorf("an old partition epoch was applied: %+v", p.Role())
	}
	if !lead(t, p, 4, 7, 1) || p.Role().Since != 3 || p.Role().EpochStart != 2 {
		t.Errorf("re-elected: %+v", p.Role())
	}
	for epoch, want := range map[int32]error{3: kerr.FencedLeaderEpoch, 5: kerr.UnknownLeaderEpoch, 4: nil, -1: nil} {
		q.LeaderEpoch = epoch
		if err := p.Read(&q, &r); !errors.Is(err, want) {
			t.Errorf("read at epoch %d: %v", epoch, err)
		}
		r.Slice.Release()
		if _, err := p.OffsetFor(EarliestOffset, Committed, epoch); !errors.Is(err, want) {
			t.Errorf("offsets at epoch %d: %v", epoch, err)
		}
	}
	if epoch, end := p.Log().EndOffsetForEpoch(3); epoch != 3 || end != 2 {
		t.Errorf("epoch 3 ends at %d (%d)", end, epoch)
	}
	if fresh, err := p.MakeFollower(State{Leader: 2, LeaderEpoch: 5, PartitionEpoch: 8, ISR: []int32{2}, Replicas: []int32{1, 2}}); !fresh || err != nil {
		t.Errorf("follower: %v %v", fresh, err)
	}
	q.LeaderEpoch = -1
	refused(kerr.NotLeaderForPartition)
	if p.HighWatermark() != 2 {
		t.Errorf("high watermark %d", p.HighWatermark())
	}
	if lead(t, p, 6, 9, 1); p.Role().Since != 6 {
		t.Errorf("leader again: %+v", p.Role())
	}
}

// A record of an earlier leadership may be gone although this broker leads again.
func TestAckedBelongsToItsLeadership(t *testing.T) {
	p := open(t, 0, nil)
	lead(t, p, 1, 1, 1, 2)
	h, err := record.ParseHeader(records(t, "a"))
	if err != nil {
		t.Fatal(err)
	}
	set := &commitlog.AppendSet{Records: records(t, "a"), Batches: []record.Header{h}, LogAppendTime: -1}
	epoch, err := p.Append([]*commitlog.AppendSet{set}, []int16{AcksAll})
	if err != nil || set.Err != nil {
		t.Fatal(err, set.Err)
	}
	if done, _ := p.Acked(epoch, AcksAll, set); done {
		t.Fatal("acknowledged without the follower")
	}
	w := purgatory.Watch([]purgatory.Place{p.AckPlace(AcksAll, set)}, time.Hour, nil, func() bool { done, _ := p.Acked(epoch, AcksAll, set); return done })
	defer w.Forget()
	lead(t, p, 2, 2, 1, 2) // re-elected: it goes on waiting
	if w.Outcome() != purgatory.Waiting {
		t.Fatal("let go at a re-election")
	}
	if _, err := p.MakeFollower(State{Leader: 2, LeaderEpoch: 3, PartitionEpoch: 3, ISR: []int32{1, 2}, Replicas: []int32{1, 2}}); err != nil {
		t.Fatal(err)
	}
	if w.Outcome() != purgatory.Completed {
		t.Fatal("waits although leadership is lost")
	}
	lead(t, p, 4, 4, 1)
	if done, err := p.Acked(epoch, AcksAll, set); !done || !errors.Is(err, kerr.NotLeaderForPartition) {
		t.Errorf("acked %v, %v", done, err)
	}
}

func TestOffsetsOfANewLeader(t *testing.T) {
	p := open(t, 0, nil)
	lead(t, p, 1, 1, 1)
	commit(t, p, "a", "b", "c")
	// A new leader whose mark is behind what it has: it does not know yet what is committed.
	lead(t, p, 2, 2, 1, 2)
	h, err := record.ParseHeader(records(t, "d"))
	if err != nil {
		t.Fatal(err)
	}
	set := &commitlog.AppendSet{Records: records(t, "d"), Batches: []record.Header{h}, LogAppendTime: -1}
	if _, err := p.Append([]*commitlog.AppendSet{set}, []int16{1}); err != nil {
		t.Fatal(err)
	}
	if o, err := p.OffsetFor(LatestOffset, Committed, 2); err != nil || o.Offset != 3 || o.LeaderEpoch != 2 {
		t.Errorf("latest %+v, %v", o, err)
	}
	lead(t, p, 3, 3, 1, 2)
	for _, ts := range []int64{LatestOffset, 99999} {
		if o, err := p.OffsetFor(ts, Committed, 3); !errors.Is(err, kerr.OffsetNotAvailable) {
			t.Errorf("%d: %+v, %v", ts, o, err)
		}
	}
	if o, err := p.OffsetFor(1001, Committed, 3); err != nil || o.Offset != 1 || o.Timestamp != 1001 || o.LeaderEpoch != 1 {
		t.Errorf("a committed record by its time: %+v, %v", o, err)
	}
	if o, err := p.OffsetFor(EarliestOffset, Committed, 3); err != nil || o.Offset != 0 {
		t.Errorf("earliest: %+v, %v", o, err)
	}
	if o, err := p.OffsetFor(LatestOffset, Everything, 3); err != nil || o.Offset != 4 {
		t.Errorf("latest for a follower: %+v, %v", o, err)
	}
	if os, err := p.OffsetsBefore(LatestOffset, 10, Committed); err != nil || !slices.Equal(os, []int64{3, 0}) {
		t.Errorf("version 0: %v, %v", os, err)
	}
	// The follower catches up.
	q, r := Fetch{Offset: 4, LeaderEpoch: 3, LastEpoch: -1, Replica: 2, View: Everything, MaxBytes: 100}, Fetched{}
	if err := p.Read(&q, &r); err != nil || r.HW != 4 {
		t.Errorf("follower: %+v, %v", r, err)
	}
	r.Slice.Release()
	if o, err := p.OffsetFor(LatestOffset, Committed, 3); err != nil || o.Offset != 4 {
		t.Errorf("latest: %+v, %v", o, err)
	}
	q.Replica = 7
	if err := p.Read(&q, &r); !errors.Is(err, kerr.UnknownLeaderEpoch) {
		t.Errorf("a stranger's fetch: %v", err)
	}
	if q.LeaderEpoch = -1; !errors.Is(p.Read(&q, &r), kerr.NotLeaderForPartition) {
		t.Error("a stranger's fetch without epoch")
	}
}

func TestCommitWaitsAndGivesUp(t *testing.T) {
	p := open(t, 0, nil)
	lead(t, p, 1, 1, 1, 2)
	if _, _, err := p.Commit(context.Background(), p.Role().LeaderEpoch, records(t, "a"), 20*time.Millisecond); !errors.Is(err, kerr.RequestTimedOut) {
		t.Errorf("timeout: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := p.Commit(ctx, p.Role().LeaderEpoch, records(t, "b"), time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	done := make(chan error, 1)
	go func() {
		_, _, err := p.Commit(context.Background(), p.Role().LeaderEpoch, records(t, "c"), time.Hour)
		done <- err
	}()
	for deadline := time.Now().Add(10 * time.Second); p.Log().LogEnd() < 3; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not appended")
		}
	}
	q, r := Fetch{Offset: 3, LeaderEpoch: -1, LastEpoch: -1, Replica: 2, View: Everything, MaxBytes: 100}, Fetched{}
	if err := p.Read(&q, &r); err != nil {
		t.Fatal(err)
	}
	r.Slice.Release()
	if err := <-done; err != nil || p.HighWatermark() != 3 {
		t.Errorf("%v, high watermark %d", err, p.HighWatermark())
	}
	bad := records(t, "d")
	if _, _, err := p.Commit(context.Background(), p.Role().LeaderEpoch, bad[:len(bad)-1], time.Second); err == nil {
		t.Error("a batch that is cut off was appended")
	}
	if p.Produces.Waiting() != 0 {
		t.Error("a waiter is left")
	}
	lead(t, p, 2, 2, 1)
	end := p.Log().LogEnd()
	if _, _, err := p.Commit(context.Background(), 1, records(t, "e"), time.Second); !errors.Is(err, kerr.NotLeaderForPartition) || p.Log().LogEnd() != end {
		t.Errorf("in a later leader epoch: %v, end %d after %d", err, p.Log().LogEnd(), end)
	}
}

// What the checkpoint said is shown before anything is appended, within what the log has.
func TestHighWatermarkFromCheckpoint(t *testing.T) {
	dir := ""
	p := open(t, 99, func(o *commitlog.Options) { dir = o.Dir })
	if p.HighWatermark() != 0 || p.Log().HighWatermark() != 0 {
		t.Errorf("%d beyond the log of %s", p.HighWatermark(), dir)
	}
	lead(t, p, 1, 1, 1)
	commit(t, p, "a", "b", "c")
	if p.Log().HighWatermark() != 3 || p.Limit(Stable) != 3 || p.Written() == 0 {
		t.Errorf("log's mark %d, stable %d, written %d", p.Log().HighWatermark(), p.Limit(Stable), p.Written())
	}
}
