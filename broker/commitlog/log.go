package commitlog

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/producer"
	"ottla/broker/topic"
)

// Log is one partition's log in one directory. Safe for concurrent use. Everything that reads takes no lock; what writes goes
// through one mutex, which is never held around a sync.
//
// Invariant: LogStart <= HighWatermark <= LogEnd as far as the partition keeps it so, RecoveryPoint <= SyncedEnd <= LogEnd, and the
// bases of the segment list strictly rise, the last segment being the active one.
type Log struct {
	o   Options
	dir string

	settings atomic.Pointer[Settings]
	segments atomic.Pointer[[]*segment]

	// Published for readers in this order by an append: segment.size, indexes, producer state, logEnd. Readers load the other way
	// round: the high watermark, firstUnstable, logEnd, then segments.
	logStart      atomic.Int64
	logEnd        atomic.Int64
	firstUnstable atomic.Int64 // -1: no transaction is open or undecided
	hw            atomic.Int64
	generation    atomic.Uint64 // odd while a truncation is under way
	recoveryPoint atomic.Int64
	cleanedTo     atomic.Int64
	epochs        epochs

	names    sync.Mutex  // held around the syncs of directories; innermost
	newDir   atomic.Bool // the parent's entry for dir is not yet durable
	newNames atomic.Bool // nor are all names in dir

	sync syncGroup
	stop atomic.Pointer[stopped]

	// cleaning is held by the cleaner while it works here; taken before flushing. leaving asks it to stop.
	cleaning   sync.Mutex
	leaving    atomic.Bool
	unfinished []int64 // base offsets of cleaned segments whose files could not be removed; under cleaning
	// renames is held exclusively while cleaned segments take the place of others, shared while a sealed segment's file is opened:
	// both have the same names. Taken after flushing and before mu.
	renames sync.RWMutex

	// flushing serialises what moves the recovery point; taken before mu.
	flushing    sync.Mutex
	savedEpochs []epochStart // what leader-epoch-checkpoint holds
	settledEnd  int64        // the log's end if the directory is as a clean close leaves it, -1 otherwise
	closed      bool

	// unstable guards the open and undecided transactions in producers, beside mu: held for moments, so that the high watermark does
	// not wait for an append's write. Taken after mu.
	unstable sync.Mutex

	mu        sync.Mutex
	producers producer.State
	append    appending
	reload    bool    // while loading: the producers' state must be built anew
	closing   bool    // Close is under way: no more appends
	snapshots []int64 // offsets of the .snapshot files, ascending
	// looseSnapshot is the one of them that is not at a segment's begin, -1 without one.
	looseSnapshot int64
	doomed        []doomed
	nextExpiry    time.Time
	topicID       atomic.Pointer[topic.ID] // nil: not known; written under mu
}

// stopped is why a log serves no more.
type stopped struct {
	err      error
	reported atomic.Bool
	failure  bool // not a close
}

// doomed are files that wait for the end of file.delete.delay.ms.
type doomed struct {
	due   time.Time
	paths []string
}

// ErrClosed is wrapped by what a closed log answers: its partition has left this broker.
var ErrClosed = errors.New("log is closed")

func (o *Options) defaults() {
	if o.Random == nil {
		o.Random = rand.Int64N
	}
	if o.Cache == nil {
		o.Cache = NewCache(16, 64)
	}
	if o.SnapshotEveryBytes <= 0 {
		o.SnapshotEveryBytes = 16 << 20
	}
	if o.ExpireEvery <= 0 {
		o.ExpireEvery = 10 * time.Minute
	}
	if o.IO == nil {
		o.IO = noTokens{}
	}
	o.Dir = filepath.Clean(o.Dir)
}

// LogStart is the first offset that may be read.
func (l *Log) LogStart() int64 { return l.logStart.Load() }

// LogEnd is the offset that the next record gets.
func (l *Log) LogEnd() int64 { return l.logEnd.Load() }

// SyncedEnd is the offset below which everything survives a power cut.
func (l *Log) SyncedEnd() int64 { return l.sync.end.Load() }

// RecoveryPoint is where a scan after a crash begins: the value for recovery-point-offset-checkpoint. It follows SyncedEnd with
// each Flush.
func (l *Log) RecoveryPoint() int64 { return l.recoveryPoint.Load() }

// Producers is what is remembered of the producers, in no order.
func (l *Log) Producers() []producer.Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.producers.Entries()
}

// ProducerCount is how many producers are remembered.
func (l *Log) ProducerCount() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.producers.Len()
}

// Generation changes with every truncation, when it begins and when it ends.
func (l *Log) Generation() uint64 { return l.generation.Load() }

// HighWatermark is what SetHighWatermark said last; the log start before that.
func (l *Log) HighWatermark() int64 { return l.hw.Load() }

// Partition is whose log this is.
func (l *Log) Partition() topic.Partition { return l.o.Partition }

// Dir is the partition's directory.
func (l *Log) Dir() string { return l.dir }

// Settings are the values in force.
func (l *Log) Settings() Settings { return *l.settings.Load() }

// SetSettings changes the values for everything that begins from now on.
func (l *Log) SetSettings(s Settings) { l.settings.Store(&s) }

// SyncBeforeAck says that flush.messages is 1: nothing is acknowledged or shown before it is synced, so this replica counts in the
// high watermark with its SyncedEnd.
func (l *Log) SyncBeforeAck() bool { return l.settings.Load().FlushMessages <= 1 }

// Size is the bytes of all segments.
func (l *Log) Size() int64 {
	var n int64
	for _, s := range *l.segments.Load() {
		n += s.size.Load()
	}
	return n
}

// Segments is how many segments there are.
func (l *Log) Segments() int { return len(*l.segments.Load()) }

// SetHighWatermark tells the log how far the partition is committed, before the partition shows hw to readers. The log uses it for
// the last stable offset and as retention's limit. It waits for no file call.
func (l *Log) SetHighWatermark(hw int64) {
	l.hw.Store(hw)
	if l.firstUnstable.Load() < 0 {
		return
	}
	l.unstable.Lock()
	defer l.unstable.Unlock()
	l.producers.Decide(hw)
	l.firstUnstable.Store(l.producers.FirstUnstable())
}

// LastStable is the last stable offset that goes with the high watermark hw, which must be loaded before: no record below it belongs
// to a transaction whose outcome is open.
func (l *Log) LastStable(hw int64) int64 {
	if first := l.firstUnstable.Load(); first >= 0 && first < hw {
		return max(first, l.logStart.Load()) // its begin may have been deleted
	}
	return hw
}

// Err is why the log serves no more, or nil. It wraps KAFKA_STORAGE_ERROR after a failure of the disk and NOT_LEADER_OR_FOLLOWER
// after Close.
func (l *Log) Err() error {
	if s := l.stop.Load(); s != nil {
		return s.err
	}
	return nil
}

// Fail stops the log because its directory failed elsewhere. OnFailure is not called.
func (l *Log) Fail(err error) {
	s := &stopped{err: fmt.Errorf("%w: log directory of %s is offline: %w", kerr.KafkaStorageError, l.o.Partition, err), failure: true}
	s.reported.Store(true)
	l.halt(s)
}

// failed stops the log because of err, from a file call that leaves it unknown what the disk holds. The caller's outermost method
// runs report once its locks are gone.
func (l *Log) failed(err error) error {
	return l.halt(&stopped{err: fmt.Errorf("%w: %s: %w", kerr.KafkaStorageError, l.o.Partition, err), failure: true})
}

// halt makes s the reason, unless there is one; it returns the reason.
func (l *Log) halt(s *stopped) error {
	if l.stop.CompareAndSwap(nil, s) {
		l.sync.stop(s.err)
		return s.err
	}
	return l.stop.Load().err
}

// report calls OnFailure, once. No lock may be held.
func (l *Log) report() {
	s := l.stop.Load()
	if s == nil || !s.failure || s.reported.Swap(true) {
		return
	}
	l.o.Logger.Error().Err(s.err).Str("dir", l.dir).Msg("log stopped")
	if l.o.OnFailure != nil {
		l.o.OnFailure(s.err)
	}
}

// fileError judges the error of a file call that was not a sync: a full disk or a lack of descriptors passes, all else stops the log.
func (l *Log) fileError(err error) error {
	if Passes(err) {
		return fmt.Errorf("%w: %s: %w", kerr.KafkaStorageError, l.o.Partition, err)
	}
	return l.failed(err)
}

// now is the wall clock in ms.
func (l *Log) now() int64 { return l.o.Now().UnixMilli() }

// activeSegment is the last of the list.
func (l *Log) activeSegment() *segment {
	segs := *l.segments.Load()
	return segs[len(segs)-1]
}

func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// FirstSegment is the base offset of the oldest segment: at most the log start.
func (l *Log) FirstSegment() int64 { return (*l.segments.Load())[0].base }
