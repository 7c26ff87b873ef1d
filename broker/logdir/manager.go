package logdir

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/commitlog"
	"ottla/broker/topic"
	"ottla/internal/fs"
)

// Config is what the Manager needs of the broker's configuration.
type Config struct {
	FS                  fs.FS
	Dirs                []string      // log.dirs; made if missing
	RecoveryThreads     int           // num.recovery.threads.per.data.dir; 0 means 1
	IOThreads           int           // num.io.threads; x 8, at least 64, file calls at a time in each directory
	FlushEvery          time.Duration // background flush and checkpoints; 0 means 5 s
	RetentionCheckEvery time.Duration // log.retention.check.interval.ms; 0 means 5 min
	RetentionDelay      time.Duration // log.initial.task.delay.ms: how long after the start it begins, at most RetentionCheckEvery; 0 means 30 s
	ProducerExpiryEvery time.Duration // producer.id.expiration.check.interval.ms; 0 means 10 min
	Files               int           // descriptors for sealed segments; 0 means 512
	SnapshotEveryBytes  int64         // as of commitlog.Options
	Now                 func() time.Time
	Logger              zerolog.Logger
	Flushed             func(took time.Duration) // as of commitlog.Options
	// OnDirFailure is called once for each directory that goes offline after Open, without a lock held. May be nil.
	OnDirFailure func(dir string, err error)
}

// Manager owns the log directories. Safe for concurrent use.
type Manager struct {
	c     Config
	dirs  []*dir
	meta  Meta
	cache *commitlog.Cache

	flushers, closers int

	stop chan struct{}
	work sync.WaitGroup

	mu      sync.RWMutex
	loaded  bool
	logs    map[topic.Partition]hosted
	offline map[topic.Partition]*dir // partitions of directories that failed
	making  map[topic.Partition]making
	// leftOver are logs that were deleted while the disk was full.
	leftOver map[topic.Partition]leftOver
	hw       offsets // as loaded
	twice    error   // while loading: a partition was found in two directories
	closed   bool
}

// making is a log that is being made, and where.
type making struct {
	dir  *dir
	done chan struct{} // closed when it is there, or could not be made
}

// hosted is a log and where it lies.
type hosted struct {
	log *commitlog.Log
	dir *dir
}

// indexPages is how many pages of offset indexes are cached: 8 MiB.
const indexPages = 2048

// Open makes missing directories, locks all and reads meta.properties: the first thing that a broker does, before it knows its
// cluster. A directory that is locked, or that contradicts another, is an error which says what to do. One that cannot be used is
// offline, unless it is the last.
func Open(c Config) (*Manager, error) {
	if c.RecoveryThreads <= 0 {
		c.RecoveryThreads = 1
	}
	if c.FlushEvery <= 0 {
		c.FlushEvery = 5 * time.Second
	}
	if c.RetentionCheckEvery <= 0 {
		c.RetentionCheckEvery = 5 * time.Minute
	}
	if c.RetentionDelay <= 0 {
		c.RetentionDelay = 30 * time.Second
	}
	if c.Files <= 0 {
		c.Files = 512
	}
	m := &Manager{
		c: c, meta: Meta{BrokerID: -1}, cache: commitlog.NewCache(c.Files, indexPages), stop: make(chan struct{}),
		flushers: flushers, closers: closers,
		logs: map[topic.Partition]hosted{}, offline: map[topic.Partition]*dir{}, making: map[topic.Partition]making{}, leftOver: map[topic.Partition]leftOver{}, hw: offsets{},
	}
	for _, path := range c.Dirs {
		d := &dir{path: filepath.Clean(path), fs: c.FS, log: c.Logger, tokens: newTokens(c.IOThreads)}
		m.dirs = append(m.dirs, d)
		err := d.open()
		if err == nil {
			err = m.meta.agree(d.meta, d.path)
		}
		var identity *identityError
		if errors.As(err, &identity) {
			m.unlock()
			return nil, err
		}
		if err != nil {
			c.Logger.Error().Err(err).Str("dir", d.path).Msg("log directory is offline")
			d.err = err
		}
	}
	if err := m.allOffline(); err != nil {
		m.unlock()
		return nil, err
	}
	return m, nil
}

// allOffline is an error when no directory is left.
func (m *Manager) allOffline() error {
	var errs []error
	for _, d := range m.dirs {
		err := d.failure()
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("no log directory can be used: %w", errors.Join(errs...))
}

func (m *Manager) unlock() {
	for _, d := range m.dirs {
		if d.lock != nil {
			d.lock.Close()
			d.lock = nil
		}
	}
}

// Meta is what the directories agree on.
func (m *Manager) Meta() Meta { return m.meta }

// SetMeta compares who this broker is with what is stored, and writes it where it is missing. An error says which of the two is
// wrong and what to do.
func (m *Manager) SetMeta(want Meta) error {
	if err := m.meta.fits(want); err != nil {
		return err
	}
	for _, d := range m.dirs {
		if d.failure() != nil || d.meta == want {
			continue
		}
		if err := fs.WriteFileAtomic(d.fs, d.path, filepath.Join(d.path, metaFile), encodeMeta(want, m.c.Now())); err != nil {
			m.failed(d, err)
			continue
		}
		d.meta = want
	}
	m.meta = want
	return m.allOffline()
}

// Log is the partition's log, or nil when this broker has none. offline says that it had one in a directory that failed.
func (m *Manager) Log(p topic.Partition) (l *commitlog.Log, offline bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.logs[p].log, m.offline[p] != nil
}

// Logs lists all logs that are online, in no order.
func (m *Manager) Logs() []*commitlog.Log {
	m.mu.RLock()
	defer m.mu.RUnlock()
	ls := make([]*commitlog.Log, 0, len(m.logs))
	for _, h := range m.logs {
		ls = append(ls, h.log)
	}
	return ls
}

// logsIn lists the logs of one directory.
func (m *Manager) logsIn(d *dir) []*commitlog.Log {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var ls []*commitlog.Log
	for _, h := range m.logs {
		if h.dir == d {
			ls = append(ls, h.log)
		}
	}
	return ls
}

// CheckpointedHighWatermark is the partition's entry of replication-offset-checkpoint as it was loaded, else 0. It belongs to the log
// that was loaded: a log made since begins at 0.
func (m *Manager) CheckpointedHighWatermark(p topic.Partition) int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.hw[p]
}

// OfflineCount is how many partitions were in directories that are offline.
func (m *Manager) OfflineCount() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.offline)
}

// DirOf is the log directory that a log lies in.
func DirOf(l *commitlog.Log) string { return filepath.Dir(l.Dir()) }

// DirStatus describes one log directory.
type DirStatus struct {
	Path  string
	Error error // why it is offline; nil while it serves
}

// Dirs lists the directories in the configuration's order.
func (m *Manager) Dirs() []DirStatus {
	var list []DirStatus
	for _, d := range m.dirs {
		list = append(list, DirStatus{d.path, d.failure()})
	}
	return list
}

// Dir is the directory that holds, or held, the partition's log; "" without one.
func (m *Manager) Dir(p topic.Partition) string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if h, ok := m.logs[p]; ok {
		return h.dir.path
	}
	if d := m.offline[p]; d != nil {
		return d.path
	}
	return ""
}

// CheckpointCleaned writes the cleaner-offset-checkpoint, and the others, of the directory that the log lies in.
func (m *Manager) CheckpointCleaned(l *commitlog.Log) error {
	m.mu.RLock()
	h, ok := m.logs[l.Partition()]
	m.mu.RUnlock()
	if !ok || h.log != l {
		return nil // gone meanwhile
	}
	if err := h.dir.checkpoint(m.logsIn); err != nil {
		return m.fileError(h.dir, err)
	}
	return nil
}

// SetSettings gives all logs of a topic new values.
func (m *Manager) SetSettings(topicName string, s commitlog.Settings) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for p, h := range m.logs {
		if p.Topic == topicName {
			h.log.SetSettings(s)
		}
	}
}

// failed takes a directory offline for good, with all its logs.
func (m *Manager) failed(d *dir, err error) {
	d.mu.Lock()
	first := d.err == nil
	if first {
		d.err = err
	}
	d.mu.Unlock()
	m.mu.Lock()
	var stopped []*commitlog.Log
	for p, h := range m.logs {
		if h.dir == d {
			stopped = append(stopped, h.log)
			m.offline[p] = d
			delete(m.logs, p)
		}
	}
	closing := !m.closed
	if closing {
		m.work.Add(1)
	}
	m.mu.Unlock()
	for _, l := range stopped {
		l.Fail(err)
	}
	letGo := func() {
		for _, l := range stopped {
			_ = l.Close(false) // it has stopped already; this gives its descriptors back
		}
	}
	if closing {
		// Beside us: a call that hangs on the dead disk must not hold up the news.
		go func() {
			defer m.work.Done()
			letGo()
		}()
	} else {
		letGo()
	}
	if !first {
		return
	}
	m.c.Logger.Error().Err(err).Str("dir", d.path).Int("partitions", len(stopped)).Msg("log directory is offline")
	if m.c.OnDirFailure != nil {
		m.c.OnDirFailure(d.path, err)
	}
}

// Create returns the partition's log. If there is none it is made in the live directory that has the fewest, with the topic's id
// unless that is zero. KAFKA_STORAGE_ERROR when no directory can take it, or when it lies in one that is offline.
func (m *Manager) Create(p topic.Partition, id topic.ID, s commitlog.Settings) (l *commitlog.Log, isNew bool, err error) {
	for {
		m.mu.Lock()
		h, ok := m.logs[p]
		other, made := m.making[p]
		switch {
		case ok:
			m.mu.Unlock()
			return h.log, false, nil
		case m.offline[p] != nil:
			d := m.offline[p]
			m.mu.Unlock()
			return nil, false, fmt.Errorf("%w: %s lies in %s, which is offline: %w", kerr.KafkaStorageError, p, d.path, d.failure())
		case !m.loaded || m.closed:
			m.mu.Unlock()
			return nil, false, fmt.Errorf("%w: log directories are not open", kerr.KafkaStorageError)
		case made:
			m.mu.Unlock()
			<-other.done // by somebody else: look again
			continue
		}
		if left, ok := m.leftOver[p]; ok {
			m.mu.Unlock()
			if err := m.moveAway(p, left); err != nil {
				return nil, false, err
			}
			continue
		}
		d := m.emptiestLocked()
		if d == nil {
			m.mu.Unlock()
			return nil, false, fmt.Errorf("%w: no log directory can be used", kerr.KafkaStorageError)
		}
		done := make(chan struct{})
		m.making[p] = making{d, done}
		m.mu.Unlock()

		l, err = m.create(d, p, id, s)

		m.mu.Lock()
		delete(m.making, p)
		close(done)
		switch {
		case err != nil:
		case d.failure() != nil:
			err = fmt.Errorf("%w: %s is offline: %w", kerr.KafkaStorageError, d.path, d.failure())
		case m.closed:
			err = fmt.Errorf("%w: log directories are closed", kerr.KafkaStorageError)
		default:
			m.logs[p] = hosted{l, d}
			delete(m.hw, p)
		}
		m.mu.Unlock()
		if err != nil && l != nil {
			_ = l.Close(false) // err says more
			l = nil
		}
		return l, err == nil, err
	}
}

// emptiestLocked is the live directory with the fewest partitions, nil without one.
func (m *Manager) emptiestLocked() *dir {
	count := map[*dir]int{}
	for _, h := range m.logs {
		count[h.dir]++
	}
	for _, x := range m.making {
		count[x.dir]++
	}
	var best *dir
	for _, d := range m.dirs {
		if d.failure() == nil && (best == nil || count[d] < count[best]) {
			best = d
		}
	}
	return best
}

// create makes a log in d.
func (m *Manager) create(d *dir, p topic.Partition, id topic.ID, s commitlog.Settings) (*commitlog.Log, error) {
	// A checkpoint of a deleted log of this name would speak for the new one after a crash.
	if d.mentioned(p) {
		if err := d.checkpoint(m.logsIn); err != nil {
			return nil, m.fileError(d, err)
		}
	}
	l, err := d.openLog(p, s, true, m)
	if err != nil {
		return nil, m.fileError(d, err)
	}
	return l, l.AssignTopicID(id)
}

// fileError judges an error of the directory: a full disk passes, all else takes it offline.
func (m *Manager) fileError(d *dir, err error) error {
	if !commitlog.Passes(err) {
		m.failed(d, err)
	}
	return fmt.Errorf("%w: %w", kerr.KafkaStorageError, err)
}

// Delete removes the partition's log: its directory is renamed at once, which is durable on return, and removed after
// file.delete.delay.ms. A partition without a log is no error; one in an offline directory is forgotten.
func (m *Manager) Delete(p topic.Partition) error {
	m.mu.Lock()
	h, ok := m.logs[p]
	delete(m.logs, p)
	delete(m.offline, p)
	delete(m.hw, p)
	left, again := m.leftOver[p]
	m.mu.Unlock()
	if !ok && again {
		return m.moveAway(p, left)
	}
	if !ok {
		return nil
	}
	delay := time.Duration(h.log.Settings().FileDeleteDelayMs) * time.Millisecond
	if err := h.log.Close(false); err != nil {
		return err
	}
	return m.moveAway(p, leftOver{h.dir, delay})
}

// leftOver is the directory of a log that is closed for good and could not be renamed. Nothing of its name can be made beside it.
type leftOver struct {
	dir   *dir
	delay time.Duration // before it is removed
}

// moveAway renames the directory of a log that was closed. On a full disk it stays, and is tried again with the next Delete or Create.
func (m *Manager) moveAway(p topic.Partition, x leftOver) error {
	path := filepath.Join(x.dir.path, deleteName(p))
	err := x.dir.fs.Rename(filepath.Join(x.dir.path, p.String()), path)
	if err == nil {
		err = x.dir.fs.SyncDir(x.dir.path)
	}
	m.mu.Lock()
	if delete(m.leftOver, p); err != nil {
		m.leftOver[p] = x
	}
	m.mu.Unlock()
	if err != nil {
		return m.fileError(x.dir, fmt.Errorf("delete %s: %w", p, err))
	}
	x.dir.doom(path, m.c.Now().Add(x.delay))
	m.c.Logger.Info().Str("log", p.String()).Str("dir", x.dir.path).Msg("log is deleted")
	return nil
}
