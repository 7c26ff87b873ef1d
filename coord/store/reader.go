package store

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"ottla/internal/fs"
)

// reader reads the records of one segment one after the other. Its buffer grows to the largest record, which is never more
// than the file holds.
type reader struct {
	f    fs.File
	size int64
	off  int64 // of the next record
	buf  []byte
	at   int64 // offset of buf[0]
	have int   // bytes of buf that are read
}

const readerBuffer = 256 << 10

func newReader(f fs.File) (*reader, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return &reader{f: f, size: st.Size()}, nil
}

// window returns n bytes from off on; the file must hold them. Valid until the next call.
func (r *reader) window(off int64, n int) ([]byte, error) {
	if off < r.at || off+int64(n) > r.at+int64(r.have) {
		if want := min(int64(max(n, readerBuffer)), r.size-off); int64(cap(r.buf)) < want {
			r.buf = make([]byte, want)
		}
		r.buf = r.buf[:cap(r.buf)]
		m, err := r.f.ReadAt(r.buf[:min(int64(len(r.buf)), r.size-off)], off)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		r.at, r.have = off, m
		if m < n {
			return nil, io.ErrUnexpectedEOF
		}
	}
	return r.buf[off-r.at:][:n], nil
}

// next returns the record at r.off and moves behind it. ok is false if there is no valid record; r.off stays then.
func (r *reader) next() (rec record, ok bool, err error) {
	if r.size-r.off < recordHeader {
		return record{}, false, nil
	}
	h, err := r.window(r.off, recordHeader)
	if err != nil {
		return record{}, false, err
	}
	rec, n, ok := parseHeader(h, r.size-r.off)
	if !ok {
		return record{}, false, nil
	}
	b, err := r.window(r.off, recordHeader+n)
	if err != nil {
		return record{}, false, err
	}
	if crc32.Checksum(b[4:], castagnoli) != rec.crc {
		return record{}, false, nil
	}
	rec.payload = b[recordHeader:]
	r.off += recordSize(n)
	return rec, true, nil
}

// tail says what lies behind the last valid record.
type tail struct {
	empty  bool  // nothing but zeros, or the end of the file
	proof  bool  // a valid record shows that more was durable once
	proofA int64 // offset of that record
}

// tail looks at everything from r.off, where no valid record is, to the end of the file.
func (r *reader) tail() (tail, error) {
	bad := r.off
	t := tail{empty: true}
	for off := bad; off < r.size; {
		n := min(readerBuffer, r.size-off)
		b, err := r.window(off, int(n))
		if err != nil {
			return t, err
		}
		if isZero(b) {
			off += n
			continue
		}
		t.empty = false
		// A record may begin at any multiple of 8. One that straddles the window is read when its offset comes.
		for end := off + n; off < end; off += recordAlign {
			if r.size-off < recordHeader {
				return t, nil
			}
			h, err := r.window(off, recordHeader)
			if err != nil {
				return t, err
			}
			if binary.LittleEndian.Uint64(h) == 0 { // neither checksum nor length
				continue
			}
			if rec, _, ok := parseHeader(h, r.size-off); !ok || int64(rec.synced) <= bad || int64(rec.synced) > off {
				continue
			}
			r.off = off
			if _, ok, err := r.next(); err != nil || ok {
				r.off = bad
				t.proof, t.proofA = ok, off
				return t, err
			}
		}
	}
	r.off = bad
	return t, nil
}

func isZero(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
