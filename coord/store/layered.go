package store

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"iter"
	"path/filepath"
	"time"

	"ottla/internal/fs"
)

// base is the lower layer of a checkpoint: something that changes in transactions.
type base interface {
	Checkpoints
	// exists says whether there was a Commit.
	exists() (bool, error)
	// update calls fn with what applies changes in one durable transaction; a nil header keeps the old one.
	update(fn func(apply func(h *Header, changes []Record) error) error) error
}

// layered is a checkpoint of two layers. Commit writes the changes into one file, the delta, whose appearance is the moment of the commit; Merge
// brings them into the base, slowly, since a large transaction would hold up the log's disk and take memory. Until it has, Load puts
// the delta over the base: its records are whole, so a base in which some of them are already makes no difference.
type layered struct {
	fs      fs.FS
	path    string // of the delta
	base    base
	pending bool // a delta may be there
	index   uint64
	known   bool // index is the base's
	step    int  // records of one transaction of a merge
}

// newLayered puts a delta at path over a base.
func newLayered(fsys fs.FS, path string, b base) *layered {
	return &layered{fs: fsys, path: path, base: b, pending: true, step: mergeRecords}
}

// Slices of a merge, and the pause between them.
const (
	mergeRecords = 2000
	mergeBytes   = 4 << 20
	mergePause   = 20 * time.Millisecond
)

// Load implements Checkpoints.
func (l *layered) Load(fn LoadFunc) error {
	if err := l.fs.Remove(l.path + ".tmp"); err != nil && !errors.Is(err, iofs.ErrNotExist) { // of a Commit that was interrupted
		return err
	}
	d, err := openDelta(l.fs, l.path)
	if errors.Is(err, iofs.ErrNotExist) {
		l.pending = false
		return l.base.Load(func(h Header, records iter.Seq2[Record, error]) error {
			l.index, l.known = h.Index, true
			return fn(h, records)
		})
	}
	if err != nil {
		return err
	}
	defer d.f.Close()
	// The process that named it may have died before it could make the name durable.
	if err := d.f.Datasync(); err != nil {
		return err
	}
	if err := l.fs.SyncDir(filepath.Dir(l.path)); err != nil {
		return err
	}
	loaded := false
	err = l.base.Load(func(h Header, records iter.Seq2[Record, error]) error {
		loaded = true
		l.index, l.known = h.Index, true
		if h.Index >= d.h.Index { // it was merged, and only not yet removed
			return fn(h, records)
		}
		if err := l.belongs(d, h.Index); err != nil {
			return err
		}
		return fn(d.h, d.overlay(records))
	})
	if err == nil && !loaded {
		err = l.belongs(d, 0)
	}
	return err
}

// belongs says whether the delta continues the checkpoint at index.
func (l *layered) belongs(d *delta, index uint64) error {
	if d.base == index {
		if ok, err := l.base.exists(); err != nil || ok {
			return err
		}
	}
	return &DamageError{File: l.path, Offset: -1,
		Reason: fmt.Sprintf("it continues the checkpoint at entry %d, but state.db has the one at %d", d.base, index),
		Way:    "Restore state.db and delta together from a backup, or remove delta if state.db alone was restored"}
}

// Commit implements Checkpoints.
func (l *layered) Commit(h Header, changes iter.Seq[Record]) error {
	ok, err := l.base.exists()
	if err != nil {
		return err
	}
	if !ok {
		if err := l.fs.Remove(l.path); err != nil && !errors.Is(err, iofs.ErrNotExist) { // of a base that an operator took away
			return err
		}
		l.pending = false
		l.index, l.known = h.Index, true
		return l.base.Commit(h, changes)
	}
	if err := l.Merge(nil, 0); err != nil {
		return err
	}
	if err := l.learn(); err != nil {
		return err
	}
	l.pending = true
	return writeDelta(l.fs, l.path, l.index, h, changes)
}

// Merge brings the last Commit into the base, with a pause after each of its transactions. It may be stopped, and called again.
func (l *layered) Merge(stop <-chan struct{}, pause time.Duration) error {
	if !l.pending {
		return nil
	}
	if err := l.learn(); err != nil {
		return err
	}
	d, err := openDelta(l.fs, l.path)
	if errors.Is(err, iofs.ErrNotExist) {
		l.pending = false
		return nil
	}
	if err != nil {
		return err
	}
	done := l.index >= d.h.Index
	if !done {
		if err = l.belongs(d, l.index); err == nil {
			done, err = l.merge(d, stop, pause)
		}
	}
	if cerr := d.f.Close(); err == nil {
		err = cerr
	}
	if err != nil || !done {
		return err
	}
	l.index, l.pending = max(l.index, d.h.Index), false
	if err := l.fs.Remove(l.path); err != nil {
		return err
	}
	return l.fs.SyncDir(filepath.Dir(l.path))
}

// learn asks the base for its index, if nobody has loaded it.
func (l *layered) learn() error {
	if l.known {
		return nil
	}
	return l.base.Load(func(h Header, _ iter.Seq2[Record, error]) error {
		l.index, l.known = h.Index, true
		return nil
	})
}

// merge reports whether it came to the end.
func (l *layered) merge(d *delta, stop <-chan struct{}, pause time.Duration) (done bool, err error) {
	err = l.base.update(func(apply func(*Header, []Record) error) error {
		for {
			slice, err := d.slice(l.step)
			if err != nil {
				return err
			}
			if !d.ok {
				done = true
				return apply(&d.h, slice)
			}
			if err := apply(nil, slice); err != nil {
				return err
			}
			select {
			case <-stop:
				return nil
			case <-time.After(pause):
			}
		}
	})
	return done && err == nil, err
}

// slice takes the next records out of the delta.
func (d *delta) slice(most int) (list []Record, err error) {
	for size := 0; d.ok && len(list) < most && size < mergeBytes; {
		r := Record{Bucket: d.now.Bucket, Key: append([]byte(nil), d.now.Key...)}
		if d.now.Value != nil {
			r.Value = append([]byte{}, d.now.Value...)
		}
		list = append(list, r)
		size += len(r.Key) + len(r.Value)
		if err := d.advance(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Close implements Checkpoints.
func (l *layered) Close() error { return l.base.Close() }
