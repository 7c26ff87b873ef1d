package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"math"
	"os"
	"path/filepath"
	"strings"

	"ottla/internal/fs"
)

// A delta is the changes from the checkpoint in state.db to a later one, in the order of Checkpoints.Load. It is a sequence of blocks
//
//	length u32 of the payload | crc32c u32 of it | payload
//
// in little-endian. The first has the header:
//
//	"OTTLADLT"  version u32 (1)  index u64 of the checkpoint that it continues
//	index u64 | term u64 | length u32, conf | length u32, meta
//
// the others have whole records, and the last is empty but for the number of records, u64:
//
//	length u8, bucket | length u32 of the key | length u32 of the value plus 1, 0 if the key is removed | key | value
const (
	deltaMagic   = "OTTLADLT"
	deltaVersion = 1
	deltaBlock   = 64 << 10 // from which size on a block is written
)

// deltaWriter writes a delta under a temporary name.
type deltaWriter struct {
	f     fs.File
	off   int64
	block []byte
	count uint64
	last  Record // for the order

	bucket string   // that is being written
	long   []Record // of it, which go behind its others
}

// writeDelta makes the file at path appear whole and durable.
func writeDelta(fsys fs.FS, path string, base uint64, h Header, changes iter.Seq[Record]) (err error) {
	tmp := path + ".tmp"
	f, err := fsys.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	w := &deltaWriter{f: f}
	le := binary.LittleEndian
	b := le.AppendUint32([]byte(deltaMagic), deltaVersion)
	for _, v := range []uint64{base, h.Index, h.Term} {
		b = le.AppendUint64(b, v)
	}
	b = append(le.AppendUint32(b, uint32(len(h.Conf))), h.Conf...)
	b = append(le.AppendUint32(b, uint32(len(h.Meta))), h.Meta...)
	w.block = append(w.block, b...)
	err = w.flush()
	for r := range changes {
		if err != nil {
			break
		}
		err = w.add(r)
	}
	if err == nil {
		err = w.end()
	}
	if err == nil {
		err = f.Datasync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := fsys.Rename(tmp, path); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(path))
}

// order compares records as Load yields them: by bucket, keys that are too long for bbolt behind the others, by key.
func order(a, b *Record) int {
	if c := strings.Compare(a.Bucket, b.Bucket); c != 0 {
		return c
	}
	if la, lb := len(a.Key) > boltKeyMax, len(b.Key) > boltKeyMax; la != lb {
		if lb {
			return -1
		}
		return 1
	}
	return bytes.Compare(a.Key, b.Key)
}

func (w *deltaWriter) add(r Record) error {
	if len(r.Key) == 0 {
		return errors.New("a record without a key")
	}
	if r.Bucket != w.bucket {
		if err := w.putLong(); err != nil {
			return err
		}
		w.bucket = r.Bucket
	}
	if len(r.Key) > boltKeyMax {
		w.long = append(w.long, Record{r.Bucket, bytes.Clone(r.Key), bytes.Clone(r.Value)})
		return nil
	}
	return w.put(&r)
}

func (w *deltaWriter) putLong() error {
	long := w.long
	w.long = nil
	for i := range long {
		if err := w.put(&long[i]); err != nil {
			return err
		}
	}
	return nil
}

func (w *deltaWriter) put(r *Record) error {
	if w.count > 0 && order(&w.last, r) >= 0 {
		return fmt.Errorf("changes of a checkpoint out of order: %s %q after %s %q", r.Bucket, r.Key, w.last.Bucket, w.last.Key)
	}
	if len(r.Bucket) > math.MaxUint8 {
		return fmt.Errorf("a bucket's name of %d bytes", len(r.Bucket))
	}
	w.last = Record{Bucket: r.Bucket, Key: append(w.last.Key[:0], r.Key...)}
	le := binary.LittleEndian
	b := append(append(w.block, byte(len(r.Bucket))), r.Bucket...)
	size := uint32(0)
	if r.Value != nil {
		size = uint32(len(r.Value)) + 1
	}
	b = le.AppendUint32(le.AppendUint32(b, uint32(len(r.Key))), size)
	w.block = append(append(b, r.Key...), r.Value...)
	w.count++
	if len(w.block) < deltaBlock {
		return nil
	}
	return w.flush()
}

// flush writes the block that is being filled, if there is something in it.
func (w *deltaWriter) flush() error {
	if len(w.block) == 0 {
		return nil
	}
	return w.write()
}

func (w *deltaWriter) write() error {
	var head [8]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(w.block)))
	binary.LittleEndian.PutUint32(head[4:], crc32.Checksum(w.block, castagnoli))
	n, err := w.f.WriteVAt([][]byte{head[:], w.block}, w.off)
	w.off += n
	w.block = w.block[:0]
	return err
}

func (w *deltaWriter) end() error {
	if err := w.putLong(); err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.block = binary.LittleEndian.AppendUint64(w.block, w.count)
	return w.write()
}

// delta reads a delta, which is read once from its begin to its end.
type delta struct {
	path  string
	f     fs.File
	size  int64
	off   int64
	base  uint64
	h     Header
	block []byte
	rest  []byte
	buf   []byte
	count uint64
	now   Record // valid if ok
	ok    bool
}

// openDelta opens the delta at path and reads its header; the error is fs.ErrNotExist if there is none.
func openDelta(fsys fs.FS, path string) (*delta, error) {
	f, err := fsys.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	d := &delta{path: path, f: f}
	if err := d.begin(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return d, nil
}

func (d *delta) begin() error {
	st, err := d.f.Stat()
	if err != nil {
		return err
	}
	d.size = st.Size()
	b, err := d.next()
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	bad := func() error { return d.damage("its header is not valid") }
	if len(b) < 44 || string(b[:8]) != deltaMagic {
		return bad()
	}
	if v := le.Uint32(b[8:]); v != deltaVersion {
		return fmt.Errorf("%s: %w", d.path, versionError(uint64(v), deltaVersion))
	}
	d.base, d.h.Index, d.h.Term = le.Uint64(b[12:]), le.Uint64(b[20:]), le.Uint64(b[28:])
	b = b[36:]
	for _, field := range []*[]byte{&d.h.Conf, &d.h.Meta} {
		if len(b) < 4 || uint64(len(b)-4) < uint64(le.Uint32(b)) {
			return bad()
		}
		n := 4 + le.Uint32(b)
		if n > 4 {
			*field = bytes.Clone(b[4:n])
		}
		b = b[n:]
	}
	return d.advance()
}

func (d *delta) damage(reason string) error {
	return &DamageError{File: d.path, Offset: d.off, Reason: reason, Way: "Restore state.db and delta together from a backup; the log must reach back to that backup's checkpoint"}
}

// next reads a block; it is valid until the next one is.
func (d *delta) next() ([]byte, error) {
	var head [8]byte
	if d.size-d.off < 8 {
		return nil, d.damage("it ends too early")
	}
	if _, err := d.f.ReadAt(head[:], d.off); err != nil {
		return nil, err
	}
	n := int64(binary.LittleEndian.Uint32(head[:]))
	if n > d.size-d.off-8 {
		return nil, d.damage("it ends too early")
	}
	if int64(cap(d.buf)) < n {
		d.buf = make([]byte, n)
	}
	b := d.buf[:n]
	if _, err := d.f.ReadAt(b, d.off+8); err != nil {
		return nil, err
	}
	if crc32.Checksum(b, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, d.damage("a block has a wrong checksum")
	}
	d.off += 8 + n
	return b, nil
}

// advance moves d.now to the next record, which is valid until the one after it is asked for; not ok behind the last.
func (d *delta) advance() error {
	if len(d.rest) == 0 {
		b, err := d.next()
		if err != nil {
			return err
		}
		if d.off == d.size {
			if d.ok = false; len(b) != 8 || binary.LittleEndian.Uint64(b) != d.count {
				return d.damage("records are missing")
			}
			return nil
		}
		d.rest = b
	}
	le := binary.LittleEndian
	b := d.rest
	bad := d.damage("a record is not valid")
	if len(b) < 1 || len(b) < 9+int(b[0]) {
		return bad
	}
	bucket := b[1 : 1+b[0]]
	b = b[1+len(bucket):]
	key, value := uint64(le.Uint32(b)), uint64(le.Uint32(b[4:]))
	b = b[8:]
	r := Record{}
	if string(bucket) == d.now.Bucket { // keeps the string
		r.Bucket = d.now.Bucket
	} else {
		r.Bucket = string(bucket)
	}
	if key+max(value, 1)-1 > uint64(len(b)) {
		return bad
	}
	r.Key, b = b[:key:key], b[key:]
	if value > 0 {
		r.Value, b = b[:value-1:value-1], b[value-1:]
	}
	d.rest, d.now, d.ok = b, r, true
	d.count++
	return nil
}

// overlay yields the records of the delta and those of the checkpoint below it that it does not replace.
func (d *delta) overlay(below iter.Seq2[Record, error]) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		// upTo yields the delta's records before r, and says whether r is replaced.
		upTo := func(r *Record) (replaced, ok bool) {
			for d.ok {
				c := -1
				if r != nil {
					c = order(&d.now, r)
				}
				if c > 0 {
					break
				}
				if d.now.Value != nil && !yield(d.now, nil) {
					return false, false
				}
				if err := d.advance(); err != nil {
					yield(Record{}, err)
					return false, false
				}
				if c == 0 {
					return true, true
				}
			}
			return false, true
		}
		for r, err := range below {
			if err != nil {
				yield(Record{}, err)
				return
			}
			replaced, ok := upTo(&r)
			if !ok || !replaced && !yield(r, nil) {
				return
			}
		}
		upTo(nil)
	}
}
