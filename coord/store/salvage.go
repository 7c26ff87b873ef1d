package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	iofs "io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"

	"github.com/rs/zerolog"
	"go.etcd.io/bbolt"

	"ottla/internal/fs"
)

// Salvage reads what is left of a damaged data directory, whose coordinator is stopped, and puts a whole one in its place. For one goroutine.
type Salvage struct {
	dir, logDir string
	locks       *Store
	meta        meta
	// MetaLost says why the file meta was made out from the log, "" if it is whole.
	MetaLost string
}

// OpenSalvage locks the directories.
func OpenSalvage(dir, logDir string) (*Salvage, error) {
	if logDir == "" {
		logDir = dir
	}
	s := &Salvage{dir: dir, logDir: filepath.Join(logDir, "log"), locks: &Store{}}
	dirs := []string{dir}
	if filepath.Clean(logDir) != filepath.Clean(dir) {
		dirs = append(dirs, logDir)
	}
	for _, d := range dirs {
		if _, err := os.Stat(d); err != nil {
			return nil, err
		}
	}
	s.locks.o = Options{FS: fs.OS}
	if err := s.locks.lock(dirs); err != nil {
		s.Close()
		return nil, err
	}
	if err := s.identify(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close gives the directories free.
func (s *Salvage) Close() error { return s.locks.unlock() }

// identify reads meta, or finds its content in the log's segments, each of which has the number of the cluster.
func (s *Salvage) identify() error {
	path := filepath.Join(s.dir, "meta")
	b, err := fs.ReadFile(fs.OS, path, 4096)
	if err == nil {
		if s.meta, err = parseMeta(b); err == nil {
			if s.meta.importing {
				return fmt.Errorf("%s was being filled by an import, which did not end: there is nothing to repair. Run the import again", s.dir)
			}
			return nil
		}
		if errors.Is(err, ErrVersion) {
			return fmt.Errorf("%s: %w", path, err)
		}
	} else if !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	s.MetaLost = err.Error()
	firsts, err := s.segments()
	if err != nil {
		return err
	}
	s.meta = meta{member: 1}
	for _, first := range firsts {
		f, err := fs.OS.OpenFile(segmentPath(s.logDir, first), os.O_RDONLY, 0)
		if err != nil {
			return err
		}
		r, err := newReader(f)
		if err == nil {
			var rec record
			if rec, _, err = r.next(); err == nil {
				if info, ok := parseSegmentInfo(rec.payload); ok {
					s.meta.cluster = info.cluster
				}
			}
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(s.dir, "state.db")); s.meta.cluster == 0 && err != nil {
		return fmt.Errorf("%s holds no data of a coordinator: neither meta nor state.db nor a segment of the log can be read", s.dir)
	}
	return nil
}

func (s *Salvage) segments() ([]uint64, error) {
	list, err := fs.OS.ReadDir(s.logDir)
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return nil, err
	}
	var firsts []uint64
	for _, e := range list {
		if first, ok := parseSegmentName(e.Name()); ok {
			firsts = append(firsts, first)
		}
	}
	slices.Sort(firsts)
	return firsts, nil
}

// Checkpoint gives the checkpoint to fn as a start would read it, without the delta if so wanted. fn is not called if there is none.
func (s *Salvage) Checkpoint(delta bool, fn LoadFunc) error {
	path := filepath.Join(s.dir, "state.db")
	if delta {
		return OpenBoltIn(fs.View(fs.OS), path).Load(fn)
	}
	return (&bolt{path: path}).Load(fn)
}

// Pieces returns the records of state.db and delta that have right checksums, in the order of Checkpoints.Load, and the header that is
// left of them: zero if there is none. note hears of each damage.
func (s *Salvage) Pieces(note func(string)) (h Header, records []Record, err error) {
	have := map[[2]string]Record{}
	put := func(r Record) {
		key := [2]string{r.Bucket, string(r.Key)}
		if r.Value == nil {
			delete(have, key)
			return
		}
		have[key] = Record{r.Bucket, bytes.Clone(r.Key), bytes.Clone(r.Value)}
	}
	path := filepath.Join(s.dir, "state.db")
	if _, err := os.Stat(path); err == nil {
		if h, err = boltPieces(path, put, note); err != nil {
			return h, nil, err
		}
	}
	d, err := openDelta(fs.View(fs.OS), filepath.Join(s.dir, "delta"))
	var damage *DamageError
	switch {
	case errors.Is(err, iofs.ErrNotExist):
	case errors.As(err, &damage):
		note(damage.Error())
	case err != nil:
		return h, nil, err
	default:
		if d.h.Index > h.Index {
			err = d.pieces(put, note)
			h = d.h
		}
		if err = errors.Join(err, d.f.Close()); err != nil {
			return h, nil, err
		}
	}
	for _, r := range have {
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b Record) int { return order(&a, &b) })
	return h, records, nil
}

// pieces gives all records of whole blocks to put. Behind a damaged length nothing is found again.
func (d *delta) pieces(put func(Record), note func(string)) error {
	for {
		for d.ok {
			put(d.now)
			if len(d.rest) == 0 {
				break
			}
			if err := d.advance(); err != nil {
				note(err.Error())
				d.rest, d.ok = nil, false
			}
		}
		if d.off >= d.size {
			return nil
		}
		at := d.off
		d.ok = false
		err := d.advance()
		var damage *DamageError
		switch {
		case err == nil:
		case !errors.As(err, &damage):
			return err
		default:
			note(err.Error())
			d.rest, d.ok = nil, false
			if d.off == at { // the block's checksum is wrong; perhaps its length is right
				var head [8]byte
				if d.size-at < 8 {
					return nil
				}
				if _, err := d.f.ReadAt(head[:], at); err != nil {
					return err
				}
				d.off = min(at+8+int64(binary.LittleEndian.Uint32(head[:])), d.size)
			}
		}
		if !d.ok && err == nil { // the end
			return nil
		}
	}
}

// boltPieces gives all records of a damaged state.db that can be read to put.
func boltPieces(path string, put func(Record), note func(string)) (h Header, err error) {
	b := &bolt{path: path}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	guard := func(fn func() error) (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("%v", p)
			}
		}()
		return fn()
	}
	var db *bbolt.DB
	if err := guard(func() (err error) { db, err = b.open(path, true); return err }); err != nil {
		note(err.Error())
		return h, nil
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		if err := guard(func() (err error) { h, _, err = readCheckpoint(tx); return err }); errors.Is(err, ErrVersion) {
			return fmt.Errorf("%s: %w", path, err)
		} else if err != nil {
			note(path + ": " + err.Error())
		}
		var names []string
		if err := guard(func() error {
			recs := tx.Bucket([]byte(bucketRecs))
			if recs == nil {
				return errors.New("bucket records is missing")
			}
			return recs.ForEachBucket(func(name []byte) error {
				names = append(names, string(name))
				return nil
			})
		}); err != nil {
			note(path + ": " + err.Error())
		}
		for _, name := range append(names, bucketLong) {
			take := func(k, v []byte) error {
				value, _, ok := unseal(name, k, v)
				bucket, key := name, k
				if name == bucketLong {
					at := bytes.IndexByte(k, 0)
					if ok = ok && at >= 0 && len(value) >= 4 && uint64(len(value)-4) >= uint64(binary.LittleEndian.Uint32(value)); ok {
						n := 4 + binary.LittleEndian.Uint32(value)
						bucket, key, value = string(k[:at]), value[4:n], value[n:]
					}
				}
				if !ok {
					note(fmt.Sprintf("%s: record %s %q has a wrong checksum", path, name, k))
					return nil
				}
				put(Record{bucket, key, value})
				return nil
			}
			// From the begin to a page that cannot be read, then from the end back to it.
			walk := func(first, next func(c *bbolt.Cursor) ([]byte, []byte)) error {
				return guard(func() error {
					bk := tx.Bucket([]byte(bucketRecs))
					if name == bucketLong {
						bk = tx.Bucket([]byte(bucketLong))
					} else if bk != nil {
						bk = bk.Bucket([]byte(name))
					}
					if bk == nil {
						return nil
					}
					c := bk.Cursor()
					for k, v := first(c); k != nil; k, v = next(c) {
						if err := take(k, v); err != nil {
							return err
						}
					}
					return nil
				})
			}
			if err := walk((*bbolt.Cursor).First, (*bbolt.Cursor).Next); err != nil {
				note(fmt.Sprintf("%s: a page of %s cannot be read: %v", path, name, err))
				walk((*bbolt.Cursor).Last, (*bbolt.Cursor).Prev)
			}
		}
		return nil
	})
	return h, err
}

// Scanned is what Scan found.
type Scanned struct {
	Damage   []*DamageError
	Last     uint64 // the highest index of a readable entry or header
	Term     uint64 // the highest term that anything in the log names
	Segments int
}

// Scan gives every entry of the log that can be read to fn, in the order of the files, also those behind damage. Its data is valid until fn returns. A group at
// the end that was never finished is left out.
func (s *Salvage) Scan(fn func(path string, off int64, e Entry) error) (*Scanned, error) {
	firsts, err := s.segments()
	if err != nil {
		return nil, err
	}
	sc := &Scanned{Segments: len(firsts)}
	for i, first := range firsts {
		if err := s.scan(sc, segmentPath(s.logDir, first), i+1 == len(firsts), fn); err != nil {
			return nil, err
		}
	}
	return sc, nil
}

func (s *Salvage) scan(sc *Scanned, path string, last bool, fn func(string, int64, Entry) error) error {
	f, err := fs.OS.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := newReader(f)
	if err != nil {
		return err
	}
	for {
		at := r.off
		rec, ok, err := r.next()
		if err != nil {
			return err
		}
		if ok {
			sc.Term = max(sc.Term, rec.term)
			switch {
			case rec.isEntry():
				sc.Last = max(sc.Last, rec.index)
				err = fn(path, at, Entry{Index: rec.index, Term: rec.term, Membership: rec.kind == kindMembership, Data: rec.payload})
			case rec.kind == kindSegment:
				err = s.segment(sc, path, at, rec)
			}
			if err != nil {
				return err
			}
			continue
		}
		t, err := r.tail()
		if err != nil {
			return err
		}
		if t.empty || last && !t.proof {
			return nil
		}
		sc.Damage = append(sc.Damage, &DamageError{File: path, Offset: at, Reason: "a record is not valid"})
		if r.off, err = r.resume(at + recordAlign); err != nil || r.off == r.size {
			return err
		}
	}
}

func (s *Salvage) segment(sc *Scanned, path string, at int64, rec record) error {
	info, ok := parseSegmentInfo(rec.payload)
	switch {
	case !ok || at != 0:
		sc.Damage = append(sc.Damage, &DamageError{File: path, Offset: at, Reason: "the segment's header is not valid"})
	case info.version != formatVersion:
		return fmt.Errorf("%s: %w", path, versionError(uint64(info.version), formatVersion))
	case s.meta.cluster != 0 && info.cluster != s.meta.cluster:
		return fmt.Errorf("%s belongs to the cluster %016x, but this data directory to %016x: a directory was mixed up, and no repair can bring them together. Put the right one back", path, info.cluster, s.meta.cluster)
	default:
		sc.Term = max(sc.Term, info.hs.Term)
		sc.Last = max(sc.Last, rec.index-1)
	}
	return nil
}

// resume returns the offset of the next valid record at or behind off, the size of the file if there is none.
func (r *reader) resume(off int64) (int64, error) {
	for ; r.size-off >= recordHeader; off += recordAlign {
		h, err := r.window(off, recordHeader)
		if err != nil {
			return 0, err
		}
		if binary.LittleEndian.Uint64(h) == 0 {
			continue
		}
		if _, _, ok := parseHeader(h, r.size-off); !ok {
			continue
		}
		r.off = off
		if _, ok, err := r.next(); err != nil || ok {
			return off, err
		}
	}
	return r.size, nil
}

// Replace makes the records the only content of the directory: a checkpoint at h, with an empty log behind it. What was there is renamed, and the new names
// are returned. Interrupted, it leaves a directory that starts with the old data, is refused, or starts with the new data.
func (s *Salvage) Replace(h Header, records iter.Seq[Record]) (kept []string, err error) {
	fresh := filepath.Join(s.dir, "state.db.repaired")
	for _, name := range []string{fresh, fresh + ".tmp"} { // of a repair that was interrupted
		if err := os.Remove(name); err != nil && !errors.Is(err, iofs.ErrNotExist) {
			return nil, err
		}
	}
	if err := (&bolt{path: fresh}).Commit(h, records); err != nil {
		return nil, err
	}
	aside := func(path string) error {
		for n := 1; ; n++ {
			to := fmt.Sprintf("%s.damaged-%d", path, n)
			if _, err := os.Lstat(to); err == nil {
				continue
			} else if !errors.Is(err, iofs.ErrNotExist) {
				return err
			}
			err := os.Rename(path, to)
			if err == nil {
				kept = append(kept, to)
			} else if errors.Is(err, iofs.ErrNotExist) {
				err = nil
			}
			return err
		}
	}
	if s.MetaLost != "" {
		if err := aside(filepath.Join(s.dir, "meta")); err != nil {
			return kept, err
		}
	}
	for _, name := range []string{"delta", "state.db"} {
		if err := aside(filepath.Join(s.dir, name)); err != nil {
			return kept, err
		}
	}
	if err := os.Rename(fresh, filepath.Join(s.dir, "state.db")); err != nil {
		return kept, err
	}
	if err := fs.OS.SyncDir(s.dir); err != nil {
		return kept, err
	}
	firsts, err := s.segments()
	if err != nil {
		return kept, err
	}
	for _, first := range firsts {
		if err := aside(segmentPath(s.logDir, first)); err != nil {
			return kept, err
		}
	}
	if err := os.MkdirAll(s.logDir, 0o755); err != nil {
		return kept, err
	}
	if err := fs.WriteFileAtomic(fs.OS, s.logDir, filepath.Join(s.logDir, restartMark), nil); err != nil {
		return kept, err
	}
	if s.MetaLost != "" {
		err = (&Store{o: Options{FS: fs.OS, Dir: s.dir}, meta: s.meta}).writeMeta()
	}
	if err != nil {
		return kept, err
	}
	return kept, s.begin(h)
}

// begin makes the new log.
func (s *Salvage) begin(h Header) error {
	l, err := OpenLog(LogOptions{FS: fs.OS, Dir: s.logDir, Cluster: s.meta.cluster, Index: h.Index, Term: h.Term, Logger: zerolog.Nop()})
	if err != nil {
		return err
	}
	return l.Close()
}
