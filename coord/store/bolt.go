package store

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	seam "ottla/internal/fs"
)

// OpenBolt returns the checkpoint in the bbolt file at path, which need not exist: the first Commit makes it. The file is open only
// during Load and Commit, so that its mapping does not weigh on an idle server.
//
// Inside, a bucket "records" holds one bucket for each Record.Bucket, and "meta" one key, "checkpoint". A value is
//
//	crc32c u32 of (bucket, 0, key, 0, value) | value
//
// and that of "checkpoint" the same crc over
//
//	version u32 | index u64 | term u64 | number of records u64 | their crcs xored u32 | length u32, conf | length u32, meta
//
// in little-endian, so that a page which bbolt lost or mixed up is noticed at load. Keys longer than bbolt takes are in a
// bucket "long" beside the others, under bucket, 0 and the SHA-256 of the key; their value begins with length u32 and key.
//
// Changes to it go through a file delta beside it, see layered.
func OpenBolt(path string) Checkpoints { return OpenBoltIn(seam.OS, path) }

// OpenBoltIn is OpenBolt with the delta in a file system of the caller's.
func OpenBoltIn(fsys seam.FS, path string) Checkpoints {
	return newLayered(fsys, filepath.Join(filepath.Dir(path), "delta"), &bolt{path: path})
}

type bolt struct{ path string }

const (
	boltKeyMax  = 32 << 10
	bucketLong  = "long"
	bucketCheck = "meta"
	bucketRecs  = "records"
	keyCheck    = "checkpoint"
	boltVersion = 1
)

var boltOptions = bbolt.Options{
	Timeout:        2 * time.Second,
	FreelistType:   bbolt.FreelistMapType,
	NoFreelistSync: true, // the free list is found again at open: less to write, and less that can be wrong
	PageSize:       4096,
}

func (b *bolt) open(path string, readOnly bool) (*bbolt.DB, error) {
	o := boltOptions
	o.ReadOnly = readOnly
	db, err := bbolt.Open(path, 0o600, &o)
	if errors.Is(err, bbolt.ErrTimeout) {
		return nil, fmt.Errorf("%s is locked by another process: wait for the backup or the tool that reads it, then start again", path)
	}
	if err != nil {
		return nil, b.damage(err.Error())
	}
	return db, nil
}

const boltWay = "Restore the file from a backup; the log must reach back to that backup's checkpoint"

func (b *bolt) Close() error { return nil }

// Load implements Checkpoints.
func (b *bolt) Load(fn LoadFunc) (err error) {
	if err := os.Remove(b.tmp()); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a first Commit that was interrupted
		return err
	}
	if _, err := os.Stat(b.path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := b.makeDurable(); err != nil {
		return err
	}
	// A file that is too short faults where it is mapped.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	db, err := b.open(b.path, true)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.View(func(tx *bbolt.Tx) (err error) {
		// bbolt panics on pages that make no sense.
		defer func() {
			if p := recover(); p != nil {
				err = b.damage(fmt.Sprint(p))
			}
		}()
		h, want, err := readCheckpoint(tx)
		if errors.Is(err, ErrVersion) {
			return fmt.Errorf("%s: %w", b.path, err)
		}
		if err != nil {
			return b.damage(err.Error())
		}
		return fn(h, func(yield func(Record, error) bool) {
			if err := loadRecords(tx, want, func(r Record) bool { return yield(r, nil) }); err != nil && err != errStop {
				yield(Record{}, b.damage(err.Error()))
			}
		})
	})
}

func (b *bolt) damage(reason string) error {
	return &DamageError{File: b.path, Offset: -1, Reason: reason, Way: boltWay}
}

// errStop ends loadRecords because its caller has enough.
var errStop = errors.New("stopped")

// loadRecords yields all records and compares what they are together with want.
func loadRecords(tx *bbolt.Tx, want totals, yield func(Record) bool) error {
	recs := tx.Bucket([]byte(bucketRecs))
	if recs == nil {
		return errors.New("bucket records is missing")
	}
	var got totals
	err := recs.ForEachBucket(func(name []byte) error {
		return loadBucket(tx, recs.Bucket(name), string(name), &got, yield)
	})
	if err == nil && got != want {
		err = fmt.Errorf("it holds %d records (checksum %08x), but was written with %d (%08x)", got.count, got.sum, want.count, want.sum)
	}
	return err
}

// makeDurable syncs what another process may have left in the page cache.
func (b *bolt) makeDurable() error {
	f, err := seam.OS.OpenFile(b.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Datasync(); err != nil {
		return err
	}
	return seam.OS.SyncDir(filepath.Dir(b.path))
}

// totals are what a checkpoint says about all its records together.
type totals struct {
	count uint64
	sum   uint32
}

func loadBucket(tx *bbolt.Tx, bk *bbolt.Bucket, name string, t *totals, yield func(Record) bool) error {
	err := bk.ForEach(func(k, v []byte) error {
		value, crc, ok := unseal(name, k, v)
		if !ok {
			return fmt.Errorf("record %s %q has a wrong checksum", name, k)
		}
		t.count++
		t.sum ^= crc
		if !yield(Record{name, k, value}) {
			return errStop
		}
		return nil
	})
	long := tx.Bucket([]byte(bucketLong))
	if err != nil || long == nil {
		return err
	}
	// Long keys come behind all others, which is after their parents.
	var list []Record
	prefix := append([]byte(name), 0)
	c := long.Cursor()
	for k, v := c.Seek(prefix); len(k) == len(prefix)+sha256.Size && string(k[:len(prefix)]) == string(prefix); k, v = c.Next() {
		value, crc, ok := unseal(bucketLong, k, v)
		if !ok || len(value) < 4 || uint64(len(value)-4) < uint64(binary.LittleEndian.Uint32(value)) {
			return fmt.Errorf("record %s with a long key has a wrong checksum", name)
		}
		n := 4 + binary.LittleEndian.Uint32(value)
		list = append(list, Record{name, value[4:n], value[n:]})
		t.count++
		t.sum ^= crc
	}
	slices.SortFunc(list, func(a, b Record) int { return slices.Compare(a.Key, b.Key) })
	for _, r := range list {
		if !yield(r) {
			return errStop
		}
	}
	return nil
}

func (b *bolt) tmp() string { return b.path + ".tmp" }

func (b *bolt) exists() (bool, error) {
	_, err := os.Stat(b.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Commit implements Checkpoints, for the first time: the file appears under its name when it is whole. Until then it can be written in as many
// steps as is good for memory.
func (b *bolt) Commit(h Header, changes iter.Seq[Record]) error {
	if err := os.Remove(b.tmp()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := b.build(h, changes); err != nil {
		return err
	}
	if err := os.Rename(b.tmp(), b.path); err != nil {
		return err
	}
	return seam.OS.SyncDir(filepath.Dir(b.path))
}

// update implements base.
func (b *bolt) update(fn func(apply func(h *Header, changes []Record) error) error) error {
	db, err := b.open(b.path, false)
	if err != nil {
		return err
	}
	err = fn(func(h *Header, changes []Record) error {
		return db.Update(func(tx *bbolt.Tx) error {
			w, err := newBoltWriter(tx)
			if err != nil {
				return err
			}
			for _, r := range changes {
				if err := w.put(r); err != nil {
					return err
				}
			}
			if h == nil {
				return w.finish(w.header)
			}
			return w.finish(*h)
		})
	})
	return errors.Join(err, db.Close())
}

// How much of a new file is one transaction.
const (
	buildRecords = 20000
	buildBytes   = 16 << 20
)

// build makes the temporary file.
func (b *bolt) build(h Header, changes iter.Seq[Record]) (err error) {
	db, err := b.open(b.tmp(), false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.NoSync = true // but for the end
	next, stop := iter.Pull(changes)
	defer stop()
	var sum totals
	for more := true; more; {
		err := db.Update(func(tx *bbolt.Tx) error {
			w, err := newBoltWriter(tx)
			if err != nil {
				return err
			}
			w.totals = sum
			w.fill = 0.95 // sorted, and most of it will not change
			for n, bytes := 0, 0; n < buildRecords && bytes < buildBytes; n++ {
				var r Record
				if r, more = next(); !more {
					sum = w.totals
					return w.finish(h)
				}
				if err := w.put(r); err != nil {
					return err
				}
				bytes += len(r.Key) + len(r.Value)
			}
			sum = w.totals
			return nil
		})
		if err != nil {
			return err
		}
	}
	return db.Sync()
}

// boltWriter applies the changes of one transaction.
type boltWriter struct {
	tx      *bbolt.Tx
	recs    *bbolt.Bucket
	long    *bbolt.Bucket
	buckets map[string]*bbolt.Bucket
	fill    float64 // of pages, if not 0
	header  Header  // that is there
	totals
}

func newBoltWriter(tx *bbolt.Tx) (*boltWriter, error) {
	w := &boltWriter{tx: tx, buckets: map[string]*bbolt.Bucket{}}
	var err error
	if w.recs, err = tx.CreateBucketIfNotExists([]byte(bucketRecs)); err != nil {
		return nil, err
	}
	if w.long, err = tx.CreateBucketIfNotExists([]byte(bucketLong)); err != nil {
		return nil, err
	}
	if tx.Bucket([]byte(bucketCheck)) != nil {
		if w.header, w.totals, err = readCheckpoint(tx); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *boltWriter) put(r Record) error {
	bk, key, value := w.buckets[r.Bucket], r.Key, r.Value
	if bk == nil {
		var err error
		if bk, err = w.recs.CreateBucketIfNotExists([]byte(r.Bucket)); err != nil {
			return err
		}
		if w.fill > 0 {
			bk.FillPercent = w.fill
		}
		w.buckets[r.Bucket] = bk
	}
	name := r.Bucket
	if len(key) > boltKeyMax {
		sum := sha256.Sum256(key)
		if value != nil {
			value = append(append(binary.LittleEndian.AppendUint32(nil, uint32(len(key))), key...), value...)
		}
		bk, name = w.long, bucketLong
		key = append(append([]byte(r.Bucket), 0), sum[:]...)
	}
	if old := bk.Get(key); len(old) >= 4 {
		w.count--
		w.sum ^= binary.LittleEndian.Uint32(old)
	}
	if value == nil {
		return bk.Delete(key)
	}
	// bbolt keeps key and value until the commit.
	sealed := seal(name, key, value)
	w.count++
	w.sum ^= binary.LittleEndian.Uint32(sealed)
	return bk.Put(slices.Clone(key), sealed)
}

func (w *boltWriter) finish(h Header) error {
	bk, err := w.tx.CreateBucketIfNotExists([]byte(bucketCheck))
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	b := le.AppendUint32(nil, boltVersion)
	b = le.AppendUint64(b, h.Index)
	b = le.AppendUint64(b, h.Term)
	b = le.AppendUint64(b, w.count)
	b = le.AppendUint32(b, w.sum)
	b = append(le.AppendUint32(b, uint32(len(h.Conf))), h.Conf...)
	b = append(le.AppendUint32(b, uint32(len(h.Meta))), h.Meta...)
	return bk.Put([]byte(keyCheck), seal(bucketCheck, []byte(keyCheck), b))
}

func readCheckpoint(tx *bbolt.Tx) (h Header, t totals, err error) {
	bad := errors.New("the checkpoint's header is missing or has a wrong checksum")
	bk := tx.Bucket([]byte(bucketCheck))
	if bk == nil {
		return h, t, bad
	}
	b, _, ok := unseal(bucketCheck, []byte(keyCheck), bk.Get([]byte(keyCheck)))
	if !ok || len(b) < 40 {
		return h, t, bad
	}
	le := binary.LittleEndian
	if v := le.Uint32(b); v != boltVersion {
		return h, t, versionError(uint64(v), boltVersion)
	}
	h.Index, h.Term = le.Uint64(b[4:]), le.Uint64(b[12:])
	t = totals{le.Uint64(b[20:]), le.Uint32(b[28:])}
	b = b[32:]
	for _, field := range []*[]byte{&h.Conf, &h.Meta} {
		if len(b) < 4 || uint64(len(b)-4) < uint64(le.Uint32(b)) {
			return h, t, bad
		}
		n := 4 + le.Uint32(b)
		if n > 4 {
			*field = slices.Clone(b[4:n])
		}
		b = b[n:]
	}
	return h, t, nil
}

// seal puts the checksum before a value.
func seal(bucket string, key, value []byte) []byte {
	b := make([]byte, 4, 4+len(value))
	binary.LittleEndian.PutUint32(b, recordCRC(bucket, key, value))
	return append(b, value...)
}

// unseal checks and removes it.
func unseal(bucket string, key, b []byte) (value []byte, crc uint32, ok bool) {
	if len(b) < 4 {
		return nil, 0, false
	}
	crc = binary.LittleEndian.Uint32(b)
	return b[4:], crc, crc == recordCRC(bucket, key, b[4:])
}

func recordCRC(bucket string, key, value []byte) uint32 {
	crc := crc32.Update(0, castagnoli, []byte(bucket))
	crc = crc32.Update(crc, castagnoli, []byte{0})
	crc = crc32.Update(crc, castagnoli, key)
	crc = crc32.Update(crc, castagnoli, []byte{0})
	return crc32.Update(crc, castagnoli, value)
}
