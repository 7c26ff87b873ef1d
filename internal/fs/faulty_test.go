package fs

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
)

func TestRuleFailsTheOperation(t *testing.T) {
	for _, tc := range []struct {
		op  Op
		run func(f *Faulty, file File) error
	}{
		{OpOpen, func(f *Faulty, _ File) error { _, err := f.OpenFile("/f", os.O_RDONLY, 0); return err }},
		{OpCreate, func(f *Faulty, _ File) error { _, err := f.OpenFile("/f", os.O_CREATE, 0); return err }},
		{OpMkdir, func(f *Faulty, _ File) error { return f.MkdirAll("/f", 0) }},
		{OpReadDir, func(f *Faulty, _ File) error { _, err := f.ReadDir("/f"); return err }},
		{OpStat, func(f *Faulty, _ File) error { _, err := f.Stat("/f"); return err }},
		{OpRename, func(f *Faulty, _ File) error { return f.Rename("/g", "/f") }},
		{OpRemove, func(f *Faulty, _ File) error { return f.Remove("/f") }},
		{OpRemove, func(f *Faulty, _ File) error { return f.RemoveAll("/f") }},
		{OpSyncDir, func(f *Faulty, _ File) error { return f.SyncDir("/f") }},
		{OpLock, func(f *Faulty, _ File) error { _, err := f.Lock("/f"); return err }},
		{OpRead, func(_ *Faulty, file File) error { _, err := file.ReadAt(make([]byte, 1), 0); return err }},
		{OpWrite, func(_ *Faulty, file File) error { _, err := file.WriteAt([]byte("x"), 0); return err }},
		{OpTruncate, func(_ *Faulty, file File) error { return file.Truncate(0) }},
		{OpSync, func(_ *Faulty, file File) error { return file.Sync() }},
		{OpDatasync, func(_ *Faulty, file File) error { return file.Datasync() }},
		{OpPreallocate, func(_ *Faulty, file File) error { return file.Preallocate(1) }},
	} {
		f := NewFaulty(NewCrash())
		file := create(t, f, "/f", "x")
		other := f.Inject(Rule{Op: tc.op, Name: "other*", Err: syscall.EIO})
		in := f.Inject(Rule{Op: tc.op, Name: "f", Err: syscall.ENOSPC, Times: 1})
		err := tc.run(f, file)
		var pe *fs.PathError
		if !errors.Is(err, syscall.ENOSPC) || !errors.As(err, &pe) || pe.Op != tc.op.String() {
			t.Errorf("%v: %v", tc.op, err)
		}
		if in.Hits() != 1 || other.Hits() != 0 {
			t.Errorf("%v: %d hits, %d of the other name", tc.op, in.Hits(), other.Hits())
		}
		if err := tc.run(f, file); errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%v: hit twice", tc.op)
		}
	}
}

func TestRuleSkipTimesAndRemove(t *testing.T) {
	f := NewFaulty(NewCrash())
	file := create(t, f, "/f", "x")
	in := f.Inject(Rule{Op: OpSync, Skip: 2, Times: 2, Err: syscall.EIO})
	forever := f.Inject(Rule{Op: OpSync, Skip: 5, Err: syscall.EIO})
	var got string
	for range 8 {
		if file.Sync() != nil {
			got += "x"
		} else {
			got += "."
		}
	}
	if got != "..xx...x" { // the second rule does not see what the first one hit
		t.Errorf("hits %s", got)
	}
	if in.Hits() != 2 || forever.Hits() != 1 {
		t.Errorf("%d and %d hits", in.Hits(), forever.Hits())
	}
	forever.Remove()
	must(t, file.Sync())
}

func TestShortWriteAndRead(t *testing.T) {
	f := NewFaulty(NewCrash())
	file := create(t, f, "/f", "..........")
	f.Inject(Rule{Op: OpWrite, Times: 2, Err: syscall.ENOSPC, Short: 3})
	n, err := file.WriteVAt([][]byte{[]byte("ab"), []byte("cd"), []byte("ef")}, 1)
	if n != 3 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("short WriteVAt = %d, %v", n, err)
	}
	m, err := file.WriteAt([]byte("wxyz"), 6)
	if m != 3 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("short WriteAt = %d, %v", m, err)
	}
	if got := contents(t, f, "/f"); got != ".abc..wxy." {
		t.Errorf("content %q", got)
	}
	f.Inject(Rule{Op: OpRead, Times: 1, Err: syscall.EIO, Short: 2})
	b := make([]byte, 4)
	if n, err := file.ReadAt(b, 1); n != 2 || !errors.Is(err, syscall.EIO) || string(b[:2]) != "ab" {
		t.Errorf("short ReadAt = %d, %v, %q", n, err, b)
	}
}

func TestSwallow(t *testing.T) {
	c := NewCrash()
	f := NewFaulty(c)
	file := create(t, f, "/f", "old")
	c.Persist()
	f.Inject(Rule{Op: OpDatasync, Swallow: true, Times: 1})
	_, err := file.WriteAt([]byte("new"), 0)
	must(t, err)
	must(t, file.Datasync())
	if got := contents(t, c.Survivor(LoseAll, 0), "/f"); got != "old" {
		t.Errorf("a swallowed sync was done: %q", got)
	}
	must(t, file.Datasync())
	if got := contents(t, c.Survivor(LoseAll, 0), "/f"); got != "new" {
		t.Errorf("the next sync was not done: %q", got)
	}
	f.Inject(Rule{Op: OpWrite, Swallow: true})
	if n, err := file.WriteAt([]byte("xxx"), 0); n != 3 || err != nil {
		t.Errorf("swallowed write = %d, %v", n, err)
	}
	if got := contents(t, f, "/f"); got != "new" {
		t.Errorf("content %q", got)
	}
}

func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFaulty(NewCrash())
		file := create(t, f, "/f", "x")
		release := make(chan struct{})
		in := f.Inject(Rule{Op: OpDatasync, Stall: release})
		done := make(chan error, 1)
		go func() { done <- file.Datasync() }()
		synctest.Wait()
		if in.Hits() != 1 || len(done) != 0 {
			t.Fatalf("%d hits, returned %v", in.Hits(), len(done) != 0)
		}
		close(release)
		must(t, <-done)
	})
}

func TestFaultyHidesTheFileBehind(t *testing.T) {
	file, err := NewFaulty(OS).OpenFile(t.TempDir()+"/f", os.O_CREATE|os.O_RDWR, 0o644)
	must(t, err)
	defer file.Close()
	if file.OS() != nil {
		t.Error("sendfile would pass the rules by")
	}
}
