package fs

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func TestUnsyncedIsLost(t *testing.T) {
	c := NewCrash()
	c.Now = func() time.Time { return time.UnixMilli(42) }
	must(t, c.MkdirAll("/d", 0o755))
	must(t, c.SyncDir("/"))
	f := create(t, c, "/d/f", "old")
	must(t, f.Datasync())
	for _, tc := range []struct {
		when       string
		lose, keep string
	}{
		{"named but not dir-synced", "<none>", "old"},
		{"dir-synced", "old", "old"},
		{"overwritten", "old", "new"},
		{"synced", "new", "new"},
		{"truncated", "new", "n"},
		{"grown", "new", "n\x00\x00x"},
		{"renamed", "new", "<none>"},
	} {
		var err error
		switch tc.when {
		case "dir-synced":
			err = c.SyncDir("/d")
		case "overwritten":
			_, err = f.WriteAt([]byte("new"), 0)
		case "synced":
			err = f.Sync()
		case "truncated":
			err = f.Truncate(1)
		case "grown":
			_, err = f.WriteAt([]byte("x"), 3)
		case "renamed":
			err = c.Rename("/d/f", "/d/g")
		}
		must(t, err)
		if got := contents(t, c.Survivor(LoseAll, 1), "/d/f"); got != tc.lose {
			t.Errorf("%s: lose-all leaves %q, want %q", tc.when, got, tc.lose)
		}
		if got := contents(t, c.Survivor(KeepAll, 1), "/d/f"); got != tc.keep {
			t.Errorf("%s: keep-all leaves %q, want %q", tc.when, got, tc.keep)
		}
	}
	if st, err := c.Survivor(KeepAll, 1).Stat("/d/g"); err != nil || !st.ModTime().Equal(time.UnixMilli(42)) {
		t.Errorf("modification time %v, %v", st, err)
	}
}

func TestNameNeedsItsWholePath(t *testing.T) {
	c := NewCrash()
	must(t, c.MkdirAll("/a/b", 0o755))
	f := create(t, c, "/a/b/f", "x")
	must(t, f.Sync())
	must(t, c.SyncDir("/a/b"))
	must(t, c.SyncDir("/"))
	if got := contents(t, c.Survivor(LoseAll, 0), "/a/b/f"); got != "<none>" {
		t.Fatalf("found %q below a directory whose name was not synced", got)
	}
	must(t, c.SyncDir("/a"))
	if got := contents(t, c.Survivor(LoseAll, 0), "/a/b/f"); got != "x" {
		t.Fatalf("found %q", got)
	}
}

func TestRemoveNeedsSyncDir(t *testing.T) {
	c := NewCrash()
	must(t, c.MkdirAll("/d/e", 0o755))
	create(t, c, "/d/e/f", "x")
	c.Persist()
	must(t, c.RemoveAll("/d"))
	if got := contents(t, c.Survivor(LoseAll, 0), "/d/e/f"); got != "x" {
		t.Fatalf("removal became durable by itself: %q", got)
	}
	must(t, c.SyncDir("/"))
	if _, err := c.Survivor(LoseAll, 0).Stat("/d"); !os.IsNotExist(err) {
		t.Fatalf("stat after a synced removal: %v", err)
	}
	// A new file of an old name is not the old file.
	create(t, c, "/f", "one")
	c.Persist()
	must(t, c.Remove("/f"))
	must(t, create(t, c, "/f", "two").Sync())
	if got := contents(t, c.Survivor(LoseAll, 0), "/f"); got != "one" {
		t.Fatalf("unsynced replacement: %q", got)
	}
	must(t, c.SyncDir("/"))
	if got := contents(t, c.Survivor(LoseAll, 0), "/f"); got != "two" {
		t.Fatalf("synced replacement: %q", got)
	}
}

func TestTearTearsAtSectors(t *testing.T) {
	c := NewCrash()
	f := create(t, c, "/f", strings.Repeat("a", 4*sectorSize))
	c.Persist()
	_, err := f.WriteAt([]byte(strings.Repeat("b", 4*sectorSize)), 0)
	must(t, err)
	seen := map[string]bool{}
	torn := false
	for seed := range uint64(200) {
		got := contents(t, c.Survivor(Tear, seed), "/f")
		if again := contents(t, c.Survivor(Tear, seed), "/f"); got != again {
			t.Fatalf("seed %d gave two results", seed)
		}
		var shape strings.Builder
		for s := range 4 {
			sector := got[s*sectorSize : (s+1)*sectorSize]
			switch strings.Count(sector, "b") {
			case 0:
				shape.WriteByte('a')
			case sectorSize:
				shape.WriteByte('b')
			default:
				torn = true
				shape.WriteByte('t')
			}
		}
		seen[shape.String()] = true
	}
	if !torn || !seen["aaaa"] || !seen["bbbb"] || !seen["abab"] && !seen["abba"] && !seen["aaba"] {
		t.Errorf("torn %v, shapes %v", torn, seen)
	}
}

func TestCutAt(t *testing.T) {
	run := func(c *Crash) error {
		f, err := c.OpenFile("/f", os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			return err
		}
		if _, err := f.WriteAt([]byte("x"), 0); err != nil {
			return err
		}
		if err := f.Datasync(); err != nil {
			return err
		}
		return c.SyncDir("/")
	}
	c := NewCrash()
	must(t, run(c))
	if got := fmt.Sprint(c.Trace()); got != "[1 create /f 2 write /f @0 +1 3 datasync /f 4 syncdir /]" {
		t.Errorf("trace %v", got)
	}
	for n := 1; n <= c.Ops(); n++ {
		cut := NewCrash()
		cut.CutAt(n)
		if err := run(cut); !errors.Is(err, ErrPowerCut) {
			t.Fatalf("cut at %d: %v", n, err)
		}
		if cut.Ops() != n || !cut.Off() {
			t.Errorf("cut at %d: %d operations", n, cut.Ops())
		}
		if _, err := cut.ReadDir("/"); !errors.Is(err, ErrPowerCut) {
			t.Errorf("read after the cut: %v", err)
		}
		if got := contents(t, cut.Survivor(LoseAll, 1), "/f"); got != "<none>" {
			t.Errorf("cut at %d: %q", n, got)
		}
	}
}

// The helper that everyone uses leaves the old content or the new at every cut, and each of its two syncs is needed.
func TestWriteFileAtomicSurvivesPowerCuts(t *testing.T) {
	oldData, newData := strings.Repeat("o", 1500), strings.Repeat("n", 1300)
	// broken says how a run with the given fault violates the promise, or "".
	broken := func(rule *Rule) string {
		for n := 1; ; n++ {
			c := NewCrash()
			must(t, c.MkdirAll("/d", 0o755))
			create(t, c, "/d/f", oldData)
			c.Persist()
			c.CutAt(c.Ops() + n)
			fsys := NewFaulty(c)
			if rule != nil {
				fsys.Inject(*rule)
			}
			err := WriteFileAtomic(fsys, "/d", "/d/f", []byte(newData))
			for _, loss := range Losses {
				for seed := range uint64(30) {
					got := contents(t, c.Survivor(loss, seed), "/d/f")
					if got != newData && (err == nil || got != oldData) {
						return fmt.Sprintf("cut at %d (%v), %v, seed %d: %d bytes", n, err, loss, seed, len(got))
					}
				}
			}
			if err == nil {
				return ""
			}
		}
	}
	if s := broken(nil); s != "" {
		t.Error(s)
	}
	for _, op := range []Op{OpSync, OpSyncDir} {
		if broken(&Rule{Op: op, Swallow: true}) == "" {
			t.Errorf("without %v nothing breaks", op)
		}
	}
}

func TestSurvivorIsIndependent(t *testing.T) {
	c := NewCrash()
	f := create(t, c, "/f", "one")
	l, err := c.Lock("/lock")
	must(t, err)
	defer l.Close()
	c.Persist()
	s := c.Survivor(LoseAll, 0)
	_, err = f.WriteAt([]byte("two"), 0)
	must(t, err)
	if got := contents(t, s, "/f"); got != "one" {
		t.Errorf("survivor sees later writes: %q", got)
	}
	if _, err := s.Lock("/lock"); err != nil {
		t.Errorf("lock survived: %v", err)
	}
	create(t, s, "/g", "x")
	if s.Ops() != 2 || s.Off() {
		t.Errorf("%d operations", s.Ops())
	}
}

func TestCrashFileModes(t *testing.T) {
	c := NewCrash()
	must(t, create(t, c, "/f", "x").Close())
	r, err := c.OpenFile("/f", os.O_RDONLY, 0)
	must(t, err)
	if _, err := r.WriteAt([]byte("y"), 0); !errors.Is(err, os.ErrPermission) {
		t.Errorf("write to a file opened for reading: %v", err)
	}
	must(t, r.Close())
	if _, err := r.ReadAt(make([]byte, 1), 0); !errors.Is(err, os.ErrClosed) {
		t.Errorf("read of a closed file: %v", err)
	}
	if err := r.Sync(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("sync of a closed file: %v", err)
	}
	if _, err := c.OpenFile("/f", os.O_WRONLY|os.O_APPEND, 0); !errors.Is(err, os.ErrInvalid) {
		t.Errorf("O_APPEND: %v", err)
	}
	w, err := c.OpenFile("/f", os.O_WRONLY, 0)
	must(t, err)
	if _, err := w.ReadAt(make([]byte, 1), 0); !errors.Is(err, os.ErrPermission) {
		t.Errorf("read of a file opened for writing: %v", err)
	}
	if _, err := w.WriteAt([]byte("y"), -1); !errors.Is(err, os.ErrInvalid) {
		t.Errorf("negative offset: %v", err)
	}
	if err := w.Truncate(-1); !errors.Is(err, os.ErrInvalid) {
		t.Errorf("negative size: %v", err)
	}
}
