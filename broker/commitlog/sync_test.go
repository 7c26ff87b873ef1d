package commitlog

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/internal/fs"
)

// TestOneSyncServesAll holds a sync back while more appends come: all of them share the next one.
func TestOneSyncServesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fs.NewCrash()
		c.Now = func() time.Time { return time.UnixMilli(1e12) }
		f := fs.NewFaulty(c)
		o := testOptions(t, "/d/t-0")
		o.FS, o.Now, o.Settings.FlushMessages = f, c.Now, 1
		l := open(t, o)
		release := make(chan struct{})
		stalled := f.Inject(fs.Rule{Op: fs.OpDatasync, Name: "*.log", Stall: release})
		var wg sync.WaitGroup
		send := func() {
			set := batch{}.set()
			if err := l.Append(0, []*AppendSet{set}); err != nil {
				t.Error(err)
			}
			if set.SyncTo != set.LastOffset+1 {
				t.Errorf("SyncTo is %d for offset %d", set.SyncTo, set.LastOffset)
			}
			wg.Go(func() {
				if err := l.Sync(set.SyncTo); err != nil || l.SyncedEnd() < set.SyncTo {
					t.Errorf("synced to %d, want %d: %v", l.SyncedEnd(), set.SyncTo, err)
				}
			})
		}
		send()
		synctest.Wait()
		for range 20 {
			send() // appends go on while the disk is busy
		}
		synctest.Wait()
		if l.LogEnd() != 21 || l.SyncedEnd() != 0 || stalled.Hits() != 1 {
			t.Errorf("end %d, synced %d, %d syncs", l.LogEnd(), l.SyncedEnd(), stalled.Hits())
		}
		close(release)
		wg.Wait()
		if l.SyncedEnd() != 21 || stalled.Hits() != 2 {
			t.Errorf("synced to %d by %d syncs, want 21 by 2", l.SyncedEnd(), stalled.Hits())
		}
	})
}

// TestRequestSyncNeverBlocks asks from the side, and is told when it is done.
func TestRequestSyncNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fs.NewFaulty(fs.NewCrash())
		o := testOptions(t, "/d/t-0")
		o.FS, o.Settings.FlushMessages = f, 1
		l := open(t, o)
		release := make(chan struct{})
		syncs := f.Inject(fs.Rule{Op: fs.OpDatasync, Name: "*.log", Stall: release})
		var ends []int64
		l.OnSynced(func(end int64, err error) {
			if err != nil {
				t.Error(err)
			}
			ends = append(ends, end)
		})
		for range 5 {
			appendAll(t, l, batch{}.set())
			l.RequestSync(l.LogEnd())
			synctest.Wait()
		}
		close(release)
		synctest.Wait()
		if l.SyncedEnd() != 5 || syncs.Hits() != 2 || len(ends) != 2 || ends[0] != 1 || ends[1] != 5 {
			t.Errorf("synced to %d by %d syncs, told of %v", l.SyncedEnd(), syncs.Hits(), ends)
		}
		l.RequestSync(5)
		if err := l.Sync(5); err != nil || syncs.Hits() != 2 {
			t.Errorf("%v, %d syncs", err, syncs.Hits())
		}
	})
}

// TestFlushMessages asks for a sync with every n-th record.
func TestFlushMessages(t *testing.T) {
	o := testOptions(t, t.TempDir()+"/t-0")
	o.Settings.FlushMessages = 3
	l := open(t, o)
	var got []int64
	for range 4 {
		s := batch{}.set()
		appendAll(t, l, s)
		got = append(got, s.SyncTo)
	}
	if got[0] != 0 || got[1] != 0 || got[2] != 3 || got[3] != 4 || l.SyncBeforeAck() {
		t.Errorf("SyncTo: %v", got)
	}
}

// TestDuplicateWaitsForTheFirst: a repetition must not be acknowledged before what it repeats is durable.
func TestDuplicateWaitsForTheFirst(t *testing.T) {
	o := testOptions(t, t.TempDir()+"/t-0")
	o.Settings.FlushMessages = 1
	l := open(t, o)
	appendAll(t, l, batch{producer: 1, n: 2}.set())
	again := batch{producer: 1, n: 2}.set()
	appendAll(t, l, again)
	if !again.Duplicate || again.SyncTo != 2 {
		t.Errorf("%+v", again)
	}
}

// TestTruncationEndsAWait: who waits for records that are cut off must not wait for ever, and a sync that began before the cut
// must not count for what is appended after it.
func TestTruncationEndsAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fs.NewFaulty(fs.NewCrash())
		o := testOptions(t, "/d/t-0")
		o.FS = f
		l := open(t, o)
		appendAll(t, l, batch{}.set())
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
		appendAll(t, l, batch{n: 4}.set())
		release := make(chan struct{})
		f.Inject(fs.Rule{Op: fs.OpDatasync, Name: "*.log", Stall: release, Times: 1})
		done := make(chan error)
		go func() { done <- l.Sync(5) }()
		synctest.Wait()
		l.SetHighWatermark(1)
		if err := l.Truncate(1); err != nil {
			t.Fatal(err)
		}
		appendAll(t, l, batch{n: 2}.set())
		close(release)
		if err := <-done; !errors.Is(err, kerr.NotLeaderForPartition) {
			t.Errorf("waiting for what was cut off: %v", err)
		}
	})
}

// TestSyncWaitsForNames lets somebody else be at syncing the names when a segment is new: its records are not durable before that.
func TestSyncWaitsForNames(t *testing.T) {
	f := fs.NewFaulty(fs.OS)
	o := testOptions(t, t.TempDir()+"/t-0")
	o.FS, o.Settings.FlushMessages = f, 1
	l := open(t, o)
	appendAll(t, l, batch{}.set())
	if err := l.Sync(l.LogEnd()); err != nil {
		t.Fatal(err)
	}
	if err := l.Roll(); err != nil {
		t.Fatal(err)
	}
	appendAll(t, l, batch{}.set())
	release := make(chan struct{})
	stalled := f.Inject(fs.Rule{Op: fs.OpSyncDir, Stall: release})
	flushed, synced := make(chan error, 1), make(chan error, 1)
	go func() { flushed <- l.syncNames() }() // as a flush does
	for deadline := time.Now().Add(10 * time.Second); stalled.Hits() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the names are not synced")
		}
	}
	go func() { synced <- l.Sync(l.LogEnd()) }()
	select {
	case <-synced:
		t.Errorf("synced to %d while the segment's name is not", l.SyncedEnd())
		synced <- nil
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	if err := errors.Join(<-flushed, <-synced); err != nil || l.SyncedEnd() != 2 {
		t.Errorf("synced to %d: %v", l.SyncedEnd(), err)
	}
}
