package commitlog

import (
	"os"
	"slices"

	"ottla/broker/producer"
	"ottla/internal/fs"
)

const (
	snapshotSuffix = ".snapshot"
	// snapshotBytesMax bounds what a damaged directory makes us read: some six million producers.
	snapshotBytesMax = 256 << 20
)

// writeSnapshot writes the producers' state as of offset to its file.
func (l *Log) writeSnapshot(offset int64, entries []producer.Entry, durable bool) error {
	l.o.IO.Acquire()
	defer l.o.IO.Release()
	f, err := l.o.FS.OpenFile(name(l.dir, offset, snapshotSuffix), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	l.newNames.Store(true)
	if _, err := f.WriteAt(producer.EncodeSnapshot(entries), 0); err != nil {
		return err
	}
	if durable {
		return f.Sync()
	}
	return nil
}

// readSnapshot reads and judges one snapshot file.
func (l *Log) readSnapshot(offset int64) ([]producer.Entry, error) {
	path := name(l.dir, offset, snapshotSuffix)
	st, err := l.o.FS.Stat(path)
	if err != nil {
		return nil, err
	}
	b, err := fs.ReadFile(l.o.FS, path, snapshotBytesMax)
	if err != nil {
		return nil, err
	}
	return producer.DecodeSnapshot(b, st.ModTime().UnixMilli())
}

// addSnapshotLocked records that there is a snapshot at offset, which may be the log's end or an older one.
func (l *Log) addSnapshotLocked(offset int64) {
	if i, found := slices.BinarySearch(l.snapshots, offset); !found {
		l.snapshots = slices.Insert(l.snapshots, i, offset)
	}
}

// lastSnapshotLocked is the offset of the newest snapshot, the log start without one.
func (l *Log) lastSnapshotLocked() int64 {
	if n := len(l.snapshots); n > 0 {
		return l.snapshots[n-1]
	}
	return l.logStart.Load()
}

// dropSnapshotsLocked removes the snapshots whose offsets drop names.
func (l *Log) dropSnapshotsLocked(drop func(offset int64) bool) error {
	var err error
	l.snapshots = slices.DeleteFunc(l.snapshots, func(offset int64) bool {
		if !drop(offset) {
			return false
		}
		if rerr := l.o.FS.Remove(name(l.dir, offset, snapshotSuffix)); rerr != nil && !gone(rerr) {
			err = rerr
		}
		return true
	})
	return err
}

// loadProducersLocked sets the producers' state to that of the newest good snapshot at or below offset, and returns where replay must
// go on: the snapshot's offset, else the log start. A bad snapshot is removed; one of a later offset is passed over.
func (l *Log) loadProducersLocked(offset int64) (from int64) {
	now, expire := l.now(), l.settings.Load().ProducerExpirationMs
	for i := len(l.snapshots) - 1; i >= 0; i-- {
		at := l.snapshots[i]
		if at > offset {
			continue
		}
		entries, err := l.readSnapshot(at)
		if err == nil {
			l.producers.Load(entries, now, expire)
			return max(at, l.logStart.Load())
		}
		l.o.Logger.Warn().Err(err).Str("log", l.o.Partition.String()).Int64("offset", at).Msg("producer snapshot is not usable and is removed")
		_ = l.dropSnapshotsLocked(func(offset int64) bool { return offset == at }) // unusable either way
	}
	l.producers.Load(nil, now, expire)
	return l.logStart.Load()
}
