package store

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"iter"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"ottla/internal/fs"
)

// Options is what Open needs.
type Options struct {
	// Dir is the data directory (dataDir), LogDir where the log goes (dataLogDir, "" is Dir). Missing directories are made.
	Dir, LogDir string
	FS          fs.FS // nil is the operating system's
	// Checkpoints is where the checkpoint is kept; nil is bbolt in Dir/state.db. With an FS other than the operating system's it
	// must be set, since bbolt maps its own file.
	Checkpoints  Checkpoints
	SegmentBytes int64 // of the log; 0 is DefaultSegmentBytes
	// Import makes a data directory for Store.Import, also where a ZooKeeper has its own. Until that has ended no start takes the directory.
	Import bool
	Logger zerolog.Logger
}

// Store is an opened data directory.
type Store struct {
	o      Options
	locks  []io.Closer
	meta   meta
	header Header
	log    *Log
}

// Open locks the directories and reads or makes the identity of the member. Load comes next.
func Open(o Options) (*Store, error) {
	if o.FS == nil {
		o.FS = fs.OS
	}
	if o.LogDir == "" {
		o.LogDir = o.Dir
	}
	if o.Checkpoints == nil {
		o.Checkpoints = OpenBolt(filepath.Join(o.Dir, "state.db"))
	}
	s := &Store{o: o}
	if err := s.open(); err != nil {
		s.unlock()
		return nil, err
	}
	return s, nil
}

func (s *Store) open() error {
	dirs := []string{s.o.Dir}
	if filepath.Clean(s.o.LogDir) != filepath.Clean(s.o.Dir) {
		dirs = append(dirs, s.o.LogDir)
	}
	for _, dir := range dirs {
		if err := s.o.FS.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := s.lock(dirs); err != nil {
		return err
	}
	return s.identify(dirs)
}

// lock keeps other processes away.
func (s *Store) lock(dirs []string) error {
	for _, dir := range dirs {
		l, err := s.o.FS.Lock(filepath.Join(dir, "lock"))
		if errors.Is(err, fs.ErrLocked) {
			return fmt.Errorf("another coordinator is running on the directory %s, and two would overwrite each other's data. "+
				"Stop it, or give this one another dataDir: %w", dir, err)
		}
		if err != nil {
			return err
		}
		s.locks = append(s.locks, l)
	}
	return nil
}

// identify reads the meta file, or writes it at the first start.
func (s *Store) identify(dirs []string) error {
	path := filepath.Join(s.o.Dir, "meta")
	b, err := fs.ReadFile(s.o.FS, path, 4096)
	if err == nil {
		s.meta, err = parseMeta(b)
		if errors.Is(err, ErrVersion) {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err != nil {
			return &DamageError{File: path, Offset: -1, Reason: err.Error(), Way: "Restore the file from a copy"}
		}
		switch {
		case s.meta.importing && !s.o.Import:
			return fmt.Errorf("%s was being filled by an import, which did not end: most of the data would be missing. Run the import again", s.o.Dir)
		case !s.meta.importing && s.o.Import:
			return fmt.Errorf("%s holds the data of a coordinator already, which an import would replace. Give it an empty dataDir", s.o.Dir)
		}
		// The process that named it may have died before it could make the name durable.
		return s.o.FS.SyncDir(s.o.Dir)
	}
	if !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	if err := s.refuseForeign(dirs); err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := s.syncParents(dir); err != nil {
			return err
		}
	}
	var id [8]byte
	rand.Read(id[:])
	s.meta = meta{cluster: binary.BigEndian.Uint64(id[:]), member: 1, fresh: true, importing: s.o.Import}
	return s.writeMeta()
}

// refuseForeign refuses a directory whose data we would seem to have lost.
func (s *Store) refuseForeign(dirs []string) error {
	for _, dir := range dirs {
		if s.o.Import {
			break
		}
		list, err := s.o.FS.ReadDir(filepath.Join(dir, "version-2"))
		if err != nil {
			continue
		}
		for _, e := range list {
			if strings.HasPrefix(e.Name(), "snapshot.") || strings.HasPrefix(e.Name(), "log.") {
				return fmt.Errorf("%s holds the data of an Apache ZooKeeper (version-2/%s), and starting here would look to its clients as if all znodes were gone. "+
					"Stop it and take its data over: ottla coordinator import %s. Or set dataDir to an empty directory", dir, e.Name(), quote(dir))
			}
		}
	}
	for _, name := range []string{"state.db", "log"} {
		if _, err := s.o.FS.Stat(filepath.Join(s.o.Dir, name)); err == nil {
			return &DamageError{File: filepath.Join(s.o.Dir, "meta"), Offset: -1,
				Reason: "the file is missing, but " + name + " is there",
				Way:    "Restore the file from a copy, or set dataDir to an empty directory"}
		}
	}
	return nil
}

// syncParents makes the names on the way to dir durable. It does so for all of them, not only those that this process made: one
// that died may have made them. Those that we may not read were there before.
func (s *Store) syncParents(dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	for {
		parent := filepath.Dir(abs)
		if parent == abs {
			return nil
		}
		if err := s.o.FS.SyncDir(parent); err != nil && !errors.Is(err, iofs.ErrPermission) {
			return err
		}
		abs = parent
	}
}

// meta is the identity of a member.
type meta struct {
	cluster uint64
	member  uint64
	fresh   bool // the log was not yet made

	importing bool // an import has begun and not ended
}

func (s *Store) writeMeta() error {
	log := "open"
	if s.meta.fresh {
		log = "new"
	}
	if s.meta.importing {
		log = "import"
	}
	text := fmt.Sprintf("version=%d\ncluster=%016x\nmember=%d\nlog=%s\n", formatVersion, s.meta.cluster, s.meta.member, log)
	return fs.WriteFileAtomic(s.o.FS, s.o.Dir, filepath.Join(s.o.Dir, "meta"), []byte(text))
}

func parseMeta(b []byte) (meta, error) {
	var m meta
	keys := map[string]string{}
	for sc := bufio.NewScanner(bytes.NewReader(b)); sc.Scan(); {
		k, v, _ := strings.Cut(sc.Text(), "=")
		keys[k] = v
	}
	if v := keys["version"]; v != strconv.Itoa(formatVersion) {
		if n, err := strconv.ParseUint(v, 10, 32); err == nil {
			return m, versionError(n, formatVersion)
		}
		return m, fmt.Errorf("version is %q, not a number", v)
	}
	var err error
	if m.cluster, err = strconv.ParseUint(keys["cluster"], 16, 64); err != nil {
		return m, fmt.Errorf("cluster is %q, not a number in hex", keys["cluster"])
	}
	if m.member, err = strconv.ParseUint(keys["member"], 10, 64); err != nil || m.member == 0 {
		return m, fmt.Errorf("member is %q, not a positive number", keys["member"])
	}
	switch keys["log"] {
	case "new":
		m.fresh = true
	case "import":
		m.fresh, m.importing = true, true
	case "open":
	default:
		return m, fmt.Errorf("log is %q, not new, open or import", keys["log"])
	}
	return m, nil
}

// ErrVersion says that a file has another format: that is no damage, and nothing that a repair may touch.
var ErrVersion = errors.New("it was written by another version of this program")

func versionError(has, reads uint64) error {
	return fmt.Errorf("%w: it has format version %d, and this one reads %d. To go on without it would lose what it holds: start the version that wrote it", ErrVersion, has, reads)
}

// Cluster is the random number that all files of this coordinator carry. Member is this member's number in its group.
func (s *Store) Cluster() uint64 { return s.meta.cluster }

// Member is this member's number in its group.
func (s *Store) Member() uint64 { return s.meta.member }

// Load gives the checkpoint to fn, as Checkpoints.Load does, and opens the log behind it. To be called once, before anything
// below.
func (s *Store) Load(fn LoadFunc) error {
	err := s.o.Checkpoints.Load(func(h Header, records iter.Seq2[Record, error]) error {
		s.header = h
		return fn(h, records)
	})
	if err != nil {
		return err
	}
	s.log, err = OpenLog(LogOptions{
		FS: s.o.FS, Dir: filepath.Join(s.o.LogDir, "log"), Cluster: s.meta.cluster, Index: s.header.Index, Term: s.header.Term,
		Fresh: s.meta.fresh && s.header.Index == 0, SegmentBytes: s.o.SegmentBytes, Logger: s.o.Logger,
	})
	if err != nil {
		return err
	}
	if s.meta.fresh {
		// From now on a missing log is a loss. The directory of the log is made durable with it.
		s.meta.fresh = false
		if err := s.o.FS.SyncDir(s.o.LogDir); err != nil {
			return err
		}
		if err := s.writeMeta(); err != nil {
			return err
		}
	}
	return nil
}

// Import makes the records the first checkpoint, before any entry of the log, and the directory one that a start takes. Only for a Store that was
// opened for it; an import that was interrupted is begun again.
func (s *Store) Import(meta []byte, records iter.Seq[Record]) error {
	path := filepath.Join(s.o.Dir, "state.db")
	if err := s.o.FS.Remove(path); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	if err := s.Commit(Header{Meta: meta}, records); err != nil {
		return err
	}
	s.meta.importing = false
	return s.writeMeta()
}

// Header is that of the checkpoint that was loaded; zero if there is none.
func (s *Store) Header() Header { return s.header }

// Log is the write-ahead log behind the checkpoint.
func (s *Store) Log() *Log { return s.log }

// Commit makes a checkpoint durable. It may run beside the Log's goroutine, one at a time.
func (s *Store) Commit(h Header, records iter.Seq[Record]) error {
	return s.o.Checkpoints.Commit(h, records)
}

// Merge tidies up behind Commit, with a pause between its steps, and returns when it is done or stop is closed. What Commit made durable does not depend on it.
// Never beside a Commit.
func (s *Store) Merge(stop <-chan struct{}) error {
	if m, ok := s.o.Checkpoints.(interface {
		Merge(stop <-chan struct{}, pause time.Duration) error
	}); ok {
		return m.Merge(stop, mergePause)
	}
	return nil
}

// Close closes the log and gives the directories free.
func (s *Store) Close() error {
	var err error
	if s.log != nil {
		err = s.log.Close()
	}
	return errors.Join(err, s.o.Checkpoints.Close(), s.unlock())
}

func (s *Store) unlock() error {
	var errs []error
	for _, l := range s.locks {
		errs = append(errs, l.Close())
	}
	s.locks = nil
	return errors.Join(errs...)
}
