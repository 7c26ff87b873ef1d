package partition

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/commitlog"
	"ottla/broker/purgatory"
	"ottla/broker/record"
	"ottla/internal/fs"
)

// faulty opens a partition on a disk that can be made to stall.
func faulty(t *testing.T, change func(*commitlog.Options)) (*Partition, *fs.Faulty) {
	disk := fs.NewFaulty(fs.OS)
	return open(t, 0, func(o *commitlog.Options) {
		o.FS = disk
		if change != nil {
			change(o)
		}
	}), disk
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// A fetch that began under one leadership and ends under another acknowledges nothing: in between the follower may have cut
// back what it had.
func TestFetchOfAnEarlierLeadershipAcknowledgesNothing(t *testing.T) {
	p, disk := faulty(t, nil)
	lead(t, p, 1, 1, 1, 2)
	set := &commitlog.AppendSet{Records: append(records(t, "a"), records(t, "b")...), LogAppendTime: -1}
	for rest := set.Records; len(rest) > 0; {
		h, err := record.ParseHeader(rest)
		if err != nil {
			t.Fatal(err)
		}
		set.Batches, rest = append(set.Batches, h), rest[h.Size():]
	}
	if _, err := p.Append([]*commitlog.AppendSet{set}, []int16{1}); err != nil || set.Err != nil {
		t.Fatal(err, set.Err)
	}
	stall := make(chan struct{})
	rule := disk.Inject(fs.Rule{Op: fs.OpRead, Stall: stall})
	done := make(chan error, 1)
	go func() {
		q, r := Fetch{Offset: 1, LeaderEpoch: 1, LastEpoch: -1, Replica: 2, View: Everything, MaxBytes: 1, MinOne: true}, Fetched{}
		defer r.Slice.Release()
		done <- p.Read(&q, &r)
	}()
	eventually(t, "the read hangs", func() bool { return rule.Hits() > 0 })
	if _, err := p.MakeFollower(State{Leader: 2, LeaderEpoch: 2, PartitionEpoch: 2, ISR: []int32{1, 2}, Replicas: []int32{1, 2}}); err != nil {
		t.Fatal(err)
	}
	lead(t, p, 3, 3, 1, 2)
	rule.Remove()
	close(stall)
	if err := <-done; !errors.Is(err, kerr.NotLeaderForPartition) {
		t.Errorf("read: %v", err)
	}
	if hw := p.HighWatermark(); hw != 0 {
		t.Errorf("high watermark %d", hw)
	}
}

// A produce that waits for the disk is let go when its partition leaves the broker: nobody would tell it of the sync.
func TestCloseLetsGoWhoWaitsForTheDisk(t *testing.T) {
	p, disk := faulty(t, func(o *commitlog.Options) { o.Settings.FlushMessages = 1 })
	lead(t, p, 1, 1, 1)
	stall := make(chan struct{})
	rule := disk.Inject(fs.Rule{Op: fs.AnySync, Stall: stall})
	defer func() { rule.Remove(); close(stall) }()
	b := records(t, "a")
	h, err := record.ParseHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	set := &commitlog.AppendSet{Records: b, Batches: []record.Header{h}, LogAppendTime: -1}
	epoch, err := p.Append([]*commitlog.AppendSet{set}, []int16{1})
	if err != nil || set.Err != nil {
		t.Fatal(err, set.Err)
	}
	acked := func() bool { done, _ := p.Acked(epoch, 1, set); return done }
	w := purgatory.Watch([]purgatory.Place{p.AckPlace(1, set)}, time.Hour, nil, acked)
	defer w.Forget()
	eventually(t, "the sync hangs", func() bool { return rule.Hits() > 0 })
	if acked() {
		t.Fatal("acknowledged before it is safe")
	}
	p.Close()
	select {
	case <-w.Ready():
	case <-time.After(10 * time.Second):
		t.Fatal("it still waits")
	}
	if done, err := p.Acked(epoch, 1, set); !done || !errors.Is(err, kerr.NotLeaderForPartition) {
		t.Errorf("%v, %v", done, err)
	}
}

// A smaller min.insync.replicas may be all that was missing.
func TestSmallerMinISRLetsGo(t *testing.T) {
	p := open(t, 0, nil)
	two := DefaultSettings()
	two.MinISR = 2
	lead(t, p, 1, 1, 1, 2)
	done := make(chan error, 1)
	go func() {
		_, _, err := p.Commit(context.Background(), p.Role().LeaderEpoch, records(t, "a"), time.Hour)
		done <- err
	}()
	eventually(t, "it waits", func() bool { return p.Produces.Waiting() == 1 })
	p.SetSettings(two)
	lead(t, p, 1, 2, 1) // the follower left the ISR, which is too small then, though it has everything
	q, r := Fetch{Offset: 1, LeaderEpoch: 1, LastEpoch: -1, Replica: 2, View: Everything, MaxBytes: 100}, Fetched{}
	if err := p.Read(&q, &r); err != nil {
		t.Fatal(err)
	}
	r.Slice.Release()
	if hw := p.HighWatermark(); hw != 0 {
		t.Fatalf("high watermark %d", hw)
	}
	p.SetSettings(DefaultSettings())
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("committed, and not told")
		p.Close()
	}
}
