package commitlog

import (
	"os"
	"syscall"
	"testing"

	"ottla/broker/record"
	"ottla/internal/fs"
)

// copied is the beginning of a replacement for a section: all that it holds.
func copied(t *testing.T, c *Cleaning, s Section) *Replacement {
	t.Helper()
	r, err := c.Replace(s.Base, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	if err := c.Entries(s, s.Base, &buf, func(_ record.EntryInfo, b []byte) error { return r.Append(b) }); err != nil {
		t.Fatal(err)
	}
	return r
}

// sealedFour has four sealed segments and an active one.
func sealedFour(t *testing.T, o Options) *Log {
	l := open(t, o)
	for i := range 5 {
		appendAll(t, l, batch{}.set())
		if i == 4 {
			break
		}
		if err := l.Roll(); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func begin(t *testing.T, l *Log) (Sections, *Cleaning) {
	t.Helper()
	v := l.Sections()
	c, err := l.BeginCleaning(v.Generation)
	if err != nil {
		t.Fatal(err)
	}
	return v, c
}

// TestTruncationEndsACleaning: why a record was to go may be a later one that is gone with the truncation, although the segment of the
// first is what it was. And nothing that was cleaned says that what comes in the place of the truncated records is clean.
func TestTruncationEndsACleaning(t *testing.T) {
	l := sealedFour(t, testOptions(t, t.TempDir()))
	v, c := begin(t, l)
	r := copied(t, c, v.Sealed[0])
	last := v.Sealed[len(v.Sealed)-1]
	if err := l.Truncate(last.Base); err != nil {
		t.Fatal(err)
	}
	if err := r.Swap(v.Sealed[:1]); !GivenUp(err) {
		t.Errorf("the segment was put in place: %v", err)
	}
	if err := c.Done(last.Next); !GivenUp(err) {
		t.Errorf("clean up to %d of %d: %v", last.Next, l.LogEnd(), err)
	}
	c.End()
	if to, ok := l.CleanedTo(); ok {
		t.Errorf("clean up to %d", to)
	}
	if _, err := l.BeginCleaning(v.Generation); !GivenUp(err) {
		t.Errorf("a cleaning that was planned before: %v", err)
	}
	v, c = begin(t, l)
	defer c.End()
	if err := copied(t, c, v.Sealed[0]).Swap(v.Sealed[:1]); err != nil {
		t.Error(err)
	}
	if err := c.Done(v.Sealed[0].Next); err != nil {
		t.Error(err)
	}
}

// TestUnfinishedSegmentGoesFirst: with a file that ends in .cleaned beside it, a start would drop a later swap, whose old segments may be
// gone by then.
func TestUnfinishedSegmentGoesFirst(t *testing.T) {
	o := testOptions(t, t.TempDir())
	faulty := fs.NewFaulty(fs.OS)
	o.FS = faulty
	l := sealedFour(t, o)
	v, c := begin(t, l)
	r := copied(t, c, v.Sealed[0])
	rule := faulty.Inject(fs.Rule{Op: fs.OpRemove, Name: "*.cleaned", Err: syscall.ENOSPC})
	r.Discard()
	c.End()
	file := name(o.Dir, v.Sealed[0].Base, ".log"+cleanedSuffix)
	if _, err := os.Stat(file); err != nil {
		t.Fatal(err)
	}
	if c, err := l.BeginCleaning(v.Generation); err == nil {
		c.End()
		t.Error("another cleaning begins beside it")
	}
	rule.Remove()
	_, c = begin(t, l)
	defer c.End()
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}

// TestCheckpointBeyondTheEnd: records that come where a log lost some are not clean.
func TestCheckpointBeyondTheEnd(t *testing.T) {
	o := testOptions(t, t.TempDir())
	o.Cleaned, o.CleanedTo = true, 100
	l := open(t, o)
	for range 101 {
		appendAll(t, l, batch{}.set())
	}
	if to, ok := l.CleanedTo(); !ok || to != 0 {
		t.Errorf("clean up to %d, %t", to, ok)
	}
}
