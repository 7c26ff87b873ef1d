package coordtest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"path/filepath"
	"slices"

	"ottla/coord/store"
	seam "ottla/internal/fs"
)

// StateDir is where OnDisk keeps the checkpoint. It must exist.
const StateDir = "/state"

// NewDisk returns an empty disk in memory, with StateDir on it for good.
func NewDisk() *seam.Crash {
	c := seam.NewCrash()
	if err := c.MkdirAll(StateDir, 0o755); err != nil {
		panic(err)
	}
	c.Persist()
	return c
}

// NewCheckpoints stands in for bbolt, which maps its own file and so cannot be on a Crash. Like bbolt's, its commit happened wholly or
// not at all: the whole checkpoint is one file, dir/state.db, which is replaced atomically. It keeps everything in memory while it works.
func NewCheckpoints(fsys seam.FS, dir string) store.Checkpoints {
	return &checkpoints{fsys, dir}
}

type checkpoints struct {
	fsys seam.FS
	dir  string
}

const checkpointMax = 1 << 30

type recordKey struct{ bucket, key string }

func (c *checkpoints) read() (h store.Header, records map[recordKey][]byte, err error) {
	if err := c.fsys.SyncDir(c.dir); err != nil { // a process that died may not have
		return h, nil, err
	}
	b, err := seam.ReadFile(c.fsys, filepath.Join(c.dir, "state.db"), checkpointMax)
	records = map[recordKey][]byte{}
	if errors.Is(err, fs.ErrNotExist) {
		return h, records, nil
	}
	if err != nil {
		return h, nil, err
	}
	take := func() []byte {
		if len(b) < 4 || uint64(len(b)-4) < uint64(binary.BigEndian.Uint32(b)) {
			err = fmt.Errorf("%s/state.db is torn, which an atomic file never is", c.dir)
			b = nil
			return nil
		}
		n := 4 + binary.BigEndian.Uint32(b)
		f := b[4:n:n]
		b = b[n:]
		return f
	}
	if head := take(); len(head) == 16 {
		h.Index, h.Term = binary.BigEndian.Uint64(head), binary.BigEndian.Uint64(head[8:])
	}
	h.Conf, h.Meta = take(), take()
	for len(b) > 0 {
		bucket, key := string(take()), string(take())
		records[recordKey{bucket, key}] = take()
	}
	return h, records, err
}

func (c *checkpoints) Load(fn store.LoadFunc) error {
	h, records, err := c.read()
	if err != nil || h.Index == 0 {
		return err
	}
	return fn(h, func(yield func(store.Record, error) bool) {
		for _, k := range sorted(records) {
			if !yield(store.Record{Bucket: k.bucket, Key: []byte(k.key), Value: records[k]}, nil) {
				return
			}
		}
	})
}

func sorted(records map[recordKey][]byte) []recordKey {
	return slices.SortedFunc(maps.Keys(records), func(a, b recordKey) int {
		return slices.Compare([]string{a.bucket, a.key}, []string{b.bucket, b.key})
	})
}

func (c *checkpoints) Commit(h store.Header, changes iter.Seq[store.Record]) error {
	_, records, err := c.read()
	if err != nil {
		return err
	}
	for r := range changes {
		k := recordKey{r.Bucket, string(r.Key)}
		if r.Value == nil {
			delete(records, k)
		} else {
			records[k] = slices.Clone(r.Value)
		}
	}
	field := func(b, f []byte) []byte { return append(binary.BigEndian.AppendUint32(b, uint32(len(f))), f...) }
	head := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, h.Index), h.Term)
	b := field(field(field(nil, head), h.Conf), h.Meta)
	for _, k := range sorted(records) {
		b = field(field(field(b, []byte(k.bucket)), []byte(k.key)), records[k])
	}
	return seam.WriteFileAtomic(c.fsys, c.dir, filepath.Join(c.dir, "state.db"), b)
}

func (c *checkpoints) Close() error { return nil }
