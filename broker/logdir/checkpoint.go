package logdir

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"

	"ottla/broker/commitlog"
	"ottla/broker/topic"
	ofs "ottla/internal/fs"
)

// The checkpoints of a directory.
const (
	recoveryPointFile = "recovery-point-offset-checkpoint"
	highWatermarkFile = "replication-offset-checkpoint"
	logStartFile      = "log-start-offset-checkpoint"
	// cleanerFile says how far the cleaner has been through the logs that it was at.
	cleanerFile = "cleaner-offset-checkpoint"
)

// offsets are the entries of one checkpoint.
type offsets map[topic.Partition]int64

func encodeOffsets(o offsets) []byte {
	entries := make([]string, 0, len(o))
	for p, offset := range o {
		entries = append(entries, fmt.Sprintf("%s %d %d", p.Topic, p.Partition, offset))
	}
	slices.Sort(entries)
	return commitlog.EncodeCheckpoint(entries)
}

func decodeOffsets(b []byte) (offsets, error) {
	entries, err := commitlog.DecodeCheckpoint(b, 3)
	if err != nil {
		return nil, err
	}
	o := make(offsets, len(entries))
	for _, f := range entries {
		partition, err := strconv.ParseInt(f[1], 10, 32)
		if err != nil || partition < 0 {
			return nil, fmt.Errorf("checkpoint has partition %q of topic %s", f[1], f[0])
		}
		offset, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil || offset < 0 {
			return nil, fmt.Errorf("checkpoint has offset %q for %s-%s", f[2], f[0], f[1])
		}
		o[topic.Partition{Topic: f[0], Partition: int32(partition)}] = offset
	}
	return o, nil
}

// checkpointBytesMax bounds what a damaged directory makes us read: a million partitions with the longest names.
const checkpointBytesMax = 300 << 20

// readCheckpoint reads one of the directory's checkpoints. Without the file, or with one that makes no sense (damaged), there are no
// entries, which costs a longer scan (recovery points) or deleted records that show again (log starts), but loses nothing.
func (d *dir) readCheckpoint(file string) (o offsets, damaged bool, err error) {
	b, err := ofs.ReadFile(d.fs, filepath.Join(d.path, file), checkpointBytesMax)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if o, err = decodeOffsets(b); err != nil {
		d.log.Error().Err(err).Str("file", filepath.Join(d.path, file)).Msg("checkpoint cannot be read and counts as empty")
		return nil, true, nil
	}
	return o, false, nil
}

// written is what a checkpoint on disk says.
type written struct {
	bytes   []byte
	entries offsets
}

// writeCheckpoint replaces a checkpoint if it has changed.
func (d *dir) writeCheckpointLocked(file string, o offsets) error {
	b := encodeOffsets(o)
	if w, ok := d.written[file]; ok && bytes.Equal(b, w.bytes) {
		return nil
	}
	d.tokens.Acquire()
	defer d.tokens.Release()
	if err := ofs.WriteFileAtomic(d.fs, d.path, filepath.Join(d.path, file), b); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	d.written[file] = written{b, o}
	return nil
}

// checkpoint writes what the directory's logs say now. list is asked for them while no other checkpoint is written: a log that was
// deleted before must not speak for a new one of its name.
func (d *dir) checkpoint(list func(*dir) []*commitlog.Log) error {
	d.checkpoints.Lock()
	defer d.checkpoints.Unlock()
	logs := list(d)
	points, watermarks, starts, cleaned := make(offsets, len(logs)), make(offsets, len(logs)), offsets{}, offsets{}
	for _, l := range logs {
		p := l.Partition()
		points[p] = l.RecoveryPoint()
		watermarks[p] = l.HighWatermark()
		if start := l.LogStart(); start > l.FirstSegment() {
			starts[p] = start
		}
		if to, ok := l.CleanedTo(); ok {
			cleaned[p] = to
		}
	}
	if err := d.writeCheckpointLocked(recoveryPointFile, points); err != nil {
		return err
	}
	if err := d.writeCheckpointLocked(logStartFile, starts); err != nil {
		return err
	}
	// A directory whose logs were never cleaned has no such file.
	if _, known := d.written[cleanerFile]; len(cleaned) > 0 || known && len(d.written[cleanerFile].entries) > 0 {
		if err := d.writeCheckpointLocked(cleanerFile, cleaned); err != nil {
			return err
		}
	}
	return d.writeCheckpointLocked(highWatermarkFile, watermarks)
}

// mentioned says whether a checkpoint on disk speaks of the partition: of a log of that name that was deleted since.
func (d *dir) mentioned(p topic.Partition) bool {
	d.checkpoints.Lock()
	defer d.checkpoints.Unlock()
	for _, w := range d.written {
		if _, ok := w.entries[p]; ok {
			return true
		}
	}
	return false
}
