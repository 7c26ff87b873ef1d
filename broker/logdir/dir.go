package logdir

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"ottla/broker/commitlog"
	"ottla/broker/topic"
	"ottla/internal/fs"
)

const (
	lockFile  = ".lock"
	cleanFile = ".kafka_cleanshutdown"
	cleanText = `{"version":0,"brokerEpoch":-1}`

	deleteSuffix = "-delete"
	nameBytesMax = 255
)

// dir is one log directory.
type dir struct {
	path   string
	fs     fs.FS
	log    zerolog.Logger
	tokens *tokens
	lock   io.Closer
	meta   Meta

	// Read by Load.
	clean      bool
	points     offsets
	starts     offsets
	cleaned    offsets
	allCleaned bool // it is not known which are

	checkpoints sync.Mutex // one writer at a time; below, what is on disk
	written     map[string]written

	mu     sync.Mutex
	err    error // why the directory is offline
	doomed []doomed
}

// doomed is a partition's directory that waits for its removal.
type doomed struct {
	path string
	due  time.Time
}

// failure is why the directory is offline, or nil.
func (d *dir) failure() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// open makes, locks and identifies the directory.
func (d *dir) open() error {
	if err := d.make(); err != nil {
		return err
	}
	lock, err := d.fs.Lock(filepath.Join(d.path, lockFile))
	if errors.Is(err, fs.ErrLocked) {
		return &identityError{fmt.Sprintf("log directory %s is in use by another broker (%s is locked): stop that one, or give this one another log.dirs", d.path, lockFile)}
	}
	if err != nil {
		return err
	}
	d.lock = lock
	d.meta, err = d.readMeta()
	return err
}

// make makes the directory and its missing parents, durably. The name of one that is there is synced too: whoever made it may have
// died before.
func (d *dir) make() error {
	parents := []string{filepath.Dir(d.path)}
	for p := d.path; ; p = parents[len(parents)-1] {
		if _, err := d.fs.Stat(p); err == nil || !errors.Is(err, iofs.ErrNotExist) || filepath.Dir(p) == p {
			break
		}
		parents = append(parents, filepath.Dir(p))
	}
	if err := d.fs.MkdirAll(d.path, 0o755); err != nil {
		return err
	}
	for _, p := range parents {
		if err := d.fs.SyncDir(p); err != nil {
			return err
		}
	}
	return nil
}

// begin reads what the last life left, and takes the mark of a clean stop away before anything is opened.
func (d *dir) begin() error {
	_, err := d.fs.Stat(filepath.Join(d.path, cleanFile))
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	d.clean = err == nil
	if d.points, _, err = d.readCheckpoint(recoveryPointFile); err != nil {
		return err
	}
	if d.starts, _, err = d.readCheckpoint(logStartFile); err != nil {
		return err
	}
	if d.cleaned, d.allCleaned, err = d.readCheckpoint(cleanerFile); err != nil {
		return err
	}
	watermarks, _, err := d.readCheckpoint(highWatermarkFile)
	if err != nil {
		return err
	}
	d.written = map[string]written{recoveryPointFile: {nil, d.points}, logStartFile: {nil, d.starts}, highWatermarkFile: {nil, watermarks}, cleanerFile: {nil, d.cleaned}}
	if !d.clean {
		return nil
	}
	if err := d.fs.Remove(filepath.Join(d.path, cleanFile)); err != nil {
		return err
	}
	return d.fs.SyncDir(d.path)
}

// partitions lists the directory's logs. What waits for its removal is scheduled, what is of no use here is named.
func (d *dir) partitions(now time.Time) ([]topic.Partition, error) {
	entries, err := d.fs.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	var found []topic.Partition
	for _, e := range entries {
		name := e.Name()
		switch {
		case !e.IsDir():
		case strings.HasSuffix(name, deleteSuffix):
			d.doom(filepath.Join(d.path, name), now)
		case strings.HasSuffix(name, "-future"), strings.HasSuffix(name, "-stray"):
			d.log.Warn().Str("dir", filepath.Join(d.path, name)).Msg("unfinished move of a replica is left alone")
		default:
			p, err := topic.ParseDir(name)
			if err == nil {
				err = topic.Validate(p.Topic)
			}
			if err != nil {
				d.log.Warn().Err(err).Str("dir", filepath.Join(d.path, name)).Msg("directory is not of a partition and is left alone")
				continue
			}
			found = append(found, p)
		}
	}
	return found, nil
}

// openLog opens a partition's log; with fresh set there is none yet.
func (d *dir) openLog(p topic.Partition, s commitlog.Settings, fresh bool, m *Manager) (*commitlog.Log, error) {
	o := commitlog.Options{
		FS: d.fs, Dir: filepath.Join(d.path, p.String()), Partition: p, Settings: s, CleanShutdown: d.clean || fresh,
		Now: m.c.Now, Logger: m.c.Logger, Cache: m.cache, IO: d.tokens, SnapshotEveryBytes: m.c.SnapshotEveryBytes, ExpireEvery: m.c.ProducerExpiryEvery, OnFailure: func(err error) { m.failed(d, err) },
		Flushed: m.c.Flushed,
	}
	if !fresh { // else these speak of a log of this name that was deleted
		o.RecoveryPoint, o.LogStartOffset = d.points[p], d.starts[p]
		o.CleanedTo, o.Cleaned = d.cleaned[p]
		o.Cleaned = o.Cleaned || d.allCleaned
	}
	return commitlog.Open(o)
}

// markClean says that all logs were closed and checkpointed.
func (d *dir) markClean() error {
	return fs.WriteFileAtomic(d.fs, d.path, filepath.Join(d.path, cleanFile), []byte(cleanText))
}

// deleteName is the name of a partition's directory that waits for its removal: unique, and no longer than a file system allows.
func deleteName(p topic.Partition) string {
	var unique [16]byte
	_, _ = rand.Read(unique[:]) // never fails
	suffix := fmt.Sprintf("-%d.%s%s", p.Partition, hex.EncodeToString(unique[:]), deleteSuffix)
	return p.Topic[:min(len(p.Topic), nameBytesMax-len(suffix))] + suffix
}

// doom schedules the removal of a directory.
func (d *dir) doom(path string, due time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.doomed = append(d.doomed, doomed{path, due})
}

// sweep removes the directories whose time has come.
func (d *dir) sweep(now time.Time) {
	d.mu.Lock()
	var due, later []doomed
	for _, x := range d.doomed {
		if now.Before(x.due) {
			later = append(later, x)
		} else {
			due = append(due, x)
		}
	}
	d.doomed = later
	d.mu.Unlock()
	for _, x := range due {
		if err := d.fs.RemoveAll(x.path); err != nil && !os.IsNotExist(err) {
			d.log.Warn().Err(err).Str("dir", x.path).Msg("deleted partition cannot be removed; the next start will")
		}
	}
}
