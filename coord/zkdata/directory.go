package zkdata

import (
	"bufio"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Options is what Read needs.
type Options struct {
	// Dir is a data directory, or its version-2; LogDir that of the logs, "" if they are in the same.
	Dir, LogDir string
	// TrustEmpty allows logs without a snapshot, as snapshot.trust.empty does: directories of 3.4 may have none.
	TrustEmpty bool
	// Salvage ends a log at its first damaged transaction and goes no further, where ZooKeeper does not start.
	Salvage bool
}

// Report is what Read found.
type Report struct {
	Snapshot     string   // the file it began with, "" if there was none
	SnapshotZxid int64    // of its name
	Logs         []string // the files that were replayed
	Transactions int
	Last         time.Time // of the last transaction
	// Notes say what was not as it should be: snapshots passed over, an unfinished transaction at the end, what was given up.
	Notes []string
}

func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// DamageError says that a transaction which was acknowledged cannot be read.
type DamageError struct {
	File   string
	Offset int64
	Err    error
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s is damaged at offset %d: %v. ZooKeeper does not start on it either. "+
		"Take the directory of another member, or give up this transaction and all after it with --salvage", e.File, e.Offset, e.Err)
}

func (e *DamageError) Unwrap() error { return e.Err }

type file struct {
	path string
	zxid int64
}

// version2 is the directory of the files themselves.
func version2(dir string) string {
	if sub := filepath.Join(dir, "version-2"); filepath.Base(dir) != "version-2" {
		if st, err := os.Stat(sub); err == nil && st.IsDir() {
			return sub
		}
	}
	return dir
}

// list returns the files of a beginning by their zxid.
func list(dir, prefix string) ([]file, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []file
	for _, e := range entries {
		hex, ok := strings.CutPrefix(e.Name(), prefix)
		hex, _, _ = strings.Cut(hex, ".") // .gz, .snappy
		zxid, err := strconv.ParseUint(hex, 16, 64)
		if ok && err == nil && !e.IsDir() {
			files = append(files, file{filepath.Join(dir, e.Name()), int64(zxid)})
		}
	}
	slices.SortFunc(files, func(a, b file) int { return int(min(max(a.zxid-b.zxid, -1), 1)) })
	return files, nil
}

// Read loads the database of a directory as a ZooKeeper would. It changes nothing there; no ZooKeeper may run on it.
func Read(o Options) (*Database, *Report, error) {
	if o.LogDir == "" {
		o.LogDir = o.Dir
	}
	snapshots, err := list(version2(o.Dir), "snapshot.")
	if err != nil {
		return nil, nil, err
	}
	logs, err := list(version2(o.LogDir), "log.")
	if err != nil {
		return nil, nil, err
	}
	if len(snapshots)+len(logs) == 0 {
		return nil, nil, fmt.Errorf("%s holds no snapshot and no log of a ZooKeeper", version2(o.Dir))
	}
	rep := &Report{}
	d, err := newest(snapshots, rep)
	if err != nil {
		return nil, rep, err
	}
	if d == nil {
		if len(snapshots) > 0 {
			return nil, rep, fmt.Errorf("none of the %d snapshots in %s can be read: %s", len(snapshots), version2(o.Dir), strings.Join(rep.Notes, "; "))
		}
		if !o.TrustEmpty {
			return nil, rep, fmt.Errorf("%s has logs but no snapshot, so what was before them may be missing. "+
				"If it comes from a ZooKeeper 3.4 that never made one, say so with --trust-empty", version2(o.LogDir))
		}
		d = fresh()
	}
	for i, f := range logs {
		if i+1 < len(logs) && logs[i+1].zxid <= d.Zxid+1 {
			continue // the snapshot is newer
		}
		if f.zxid > d.Zxid+1 && len(rep.Logs) == 0 && rep.SnapshotZxid&0xffffffff != 0 && f.zxid>>32 == d.Zxid>>32 {
			rep.note("%s begins with transaction 0x%x, but the snapshot ends at 0x%x: those between are missing, or were no writes", f.path, f.zxid, d.Zxid)
		}
		rep.Logs = append(rep.Logs, f.path)
		var damage *DamageError
		if err := replayFile(d, f.path, rep); errors.As(err, &damage) && o.Salvage {
			rep.note("given up: everything from offset %d of %s on, after transaction 0x%x (%v)", damage.Offset, f.path, d.Zxid, damage.Err)
			for _, later := range logs[i+1:] {
				rep.note("given up: %s", later.path)
			}
			break
		} else if err != nil {
			return nil, rep, err
		}
	}
	if err := d.finish(); err != nil {
		return nil, rep, err
	}
	return d, rep, nil
}

// newest loads the newest snapshot that can be read; nil if there is none.
func newest(snapshots []file, rep *Report) (*Database, error) {
	for _, f := range slices.Backward(snapshots) {
		d, err := loadSnapshot(f.path)
		if errors.Is(err, os.ErrPermission) {
			return nil, err
		}
		if err != nil {
			rep.note("snapshot passed over: %s: %v", f.path, err)
			continue
		}
		d.Zxid = f.zxid
		rep.Snapshot, rep.SnapshotZxid = f.path, f.zxid
		return d, nil
	}
	return nil, nil
}

func loadSnapshot(path string) (*Database, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := decompress(path, bufio.NewReader(f))
	if err != nil {
		return nil, err
	}
	return readSnapshot(r)
}

// replayFile applies the transactions of a log above the database's zxid. The log ends at a length of zero or in the middle of a transaction:
// that one was never acknowledged. A wrong checksum is damage.
func replayFile(d *Database, path string, rep *Report) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	j := newJuteReader(f)
	if st.Size() == 0 {
		rep.note("%s is empty", path)
		return nil
	}
	if magic, version := j.int(), j.int(); j.err != nil || magic != logMagic || version != formatVersion {
		if j.err != nil || magic == 0 {
			rep.note("%s was never begun", path)
			return nil
		}
		return &DamageError{path, 0, errors.New("it does not begin like a log of ZooKeeper")}
	}
	j.long()
	for at := int64(16); ; {
		sum := j.long()
		entry := j.buffer()
		end := j.int8()
		if j.err != nil && !errors.Is(j.err, io.ErrUnexpectedEOF) {
			return &DamageError{path, at, j.err}
		}
		if j.err != nil || len(entry) == 0 || end != 'B' {
			if len(entry) > 0 || j.err != nil && sum != 0 {
				rep.note("an unfinished transaction at offset %d, the end of %s, is left out", at, path)
			}
			return nil
		}
		if int64(adler32.Checksum(entry)) != sum {
			return &DamageError{path, at, errors.New("a transaction has a wrong checksum")}
		}
		if h, err := peekZxid(entry); err != nil {
			return &DamageError{path, at, err}
		} else if h > d.Zxid {
			h, err := d.replay(entry)
			if err != nil {
				return &DamageError{path, at, err}
			}
			rep.Transactions++
			rep.Last = time.UnixMilli(h.time)
		}
		at += int64(len(entry)) + 13
	}
}
