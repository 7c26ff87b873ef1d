package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"ottla/internal/fs"
)

func openStore(dir string, change ...func(*Options)) (*Store, error) {
	o := Options{Dir: dir, Logger: zerolog.Nop()}
	for _, fn := range change {
		fn(&o)
	}
	s, err := Open(o)
	if err != nil {
		return nil, err
	}
	if err := s.Load(readAll); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func TestStoreIdentity(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s, err := openStore(dir)
	must(t, err)
	cluster := s.Cluster()
	if cluster == 0 || s.Member() != 1 {
		t.Errorf("cluster %x, member %d", cluster, s.Member())
	}
	_, err = openStore(dir)
	if !errors.Is(err, fs.ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second server: %v", err)
	}
	appendN(t, s.Log(), 3, 10, 1)
	must(t, s.Commit(Header{Index: 2, Term: 1}, records(Record{"b", []byte("k"), []byte("v")})))
	must(t, s.Close())
	s, err = openStore(dir)
	must(t, err)
	if s.Cluster() != cluster || s.Header().Index != 2 || s.Log().FirstIndex() != 3 || s.Log().LastIndex() != 3 {
		t.Errorf("reopened: %x %+v", s.Cluster(), s.Header())
	}
	must(t, s.Close())
}

func TestStoreSeparateLogDir(t *testing.T) {
	data, logs := t.TempDir(), t.TempDir()
	with := func(o *Options) { o.LogDir = logs }
	s, err := openStore(data, with)
	must(t, err)
	if _, err := openStore(t.TempDir(), with); !errors.Is(err, fs.ErrLocked) {
		t.Errorf("log directory shared: %v", err)
	}
	must(t, s.Close())
	var d *DamageError
	if _, err := openStore(data, func(o *Options) { o.LogDir = t.TempDir() }); !errors.As(err, &d) || !strings.Contains(d.Way, "mount") {
		t.Errorf("started without its log: %v", err)
	}
	if _, err := openStore(data, with); err != nil {
		t.Error(err)
	}
}

func TestStoreRefusesForeignData(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "version-2"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "version-2", "acceptedEpoch"), nil, 0o644))
	s, err := openStore(dir)
	must(t, err)
	must(t, s.Close())
	dir = t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "version-2"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "version-2", "snapshot.1f"), nil, 0o644))
	if _, err := openStore(dir); err == nil || !strings.Contains(err.Error(), "version-2/snapshot.1f") {
		t.Errorf("started beside a ZooKeeper's data: %v", err)
	}
}

func TestStoreRefusesWithoutMeta(t *testing.T) {
	dir := t.TempDir()
	s, err := openStore(dir)
	must(t, err)
	must(t, s.Close())
	meta := filepath.Join(dir, "meta")
	for _, tc := range []string{"", "version=2\ncluster=1\nmember=1\nlog=open\n", "version=1\ncluster=x\nmember=1\nlog=open\n",
		"version=1\ncluster=1\nmember=0\nlog=open\n", "version=1\ncluster=1\nmember=1\n", strings.Repeat("x", 5000)} {
		must(t, os.WriteFile(meta, []byte(tc), 0o644))
		if _, err := openStore(dir); err == nil || !strings.Contains(err.Error(), meta) {
			t.Errorf("meta %.20q: %v", tc, err)
		}
	}
	must(t, os.Remove(meta))
	var d *DamageError
	if _, err := openStore(dir); !errors.As(err, &d) || d.File != meta {
		t.Errorf("started without meta: %v", err)
	}
}

func TestStoreIOErrorsAreReported(t *testing.T) {
	// Each operation of a first start fails once: the error comes out, and the next start is sound.
	for n := 0; ; n++ {
		c := fs.NewCrash()
		must(t, c.MkdirAll("/state", 0o755))
		f := fs.NewFaulty(c)
		rule := f.Inject(fs.Rule{Op: fs.AnyChange | fs.OpOpen | fs.OpReadDir | fs.OpRead | fs.OpLock, Skip: n, Times: 1, Err: os.ErrDeadlineExceeded})
		s, err := openStore("/d", func(o *Options) { o.FS, o.Checkpoints = f, fileCheckpoints{c, "/state"} })
		if err == nil {
			err = s.Close()
		}
		if rule.Hits() == 0 {
			must(t, err)
			break
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("operation %d: %v", n, err)
		}
		s, err = openStore("/d", func(o *Options) { o.FS, o.Checkpoints = c, fileCheckpoints{c, "/state"} })
		if err != nil {
			t.Errorf("start after an error in operation %d: %v", n, err)
			continue
		}
		must(t, s.Close())
	}
}

func TestStartIsQuick(t *testing.T) {
	dir := t.TempDir()
	for _, what := range []string{"first", "second"} {
		start := time.Now()
		s, err := openStore(dir)
		must(t, err)
		took := time.Since(start)
		must(t, s.Close())
		if took > time.Second {
			t.Errorf("%s start took %v", what, took)
		}
		t.Logf("%s start: %v", what, took)
	}
}
