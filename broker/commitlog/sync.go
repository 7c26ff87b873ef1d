package commitlog

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// syncGroup makes one fdatasync serve everybody who waits: whoever finds none running runs it, for all that was appended before
// it began; the others wait for that one, and one of them for the next. No other lock is held meanwhile.
type syncGroup struct {
	end atomic.Int64 // SyncedEnd; written under mu

	mu      sync.Mutex
	changed sync.Cond // signalled when a run ended or the log stopped
	running bool
	want    int64 // the furthest RequestSync
	cuts    uint64
	err     error
	notify  func(end int64, err error)
}

func (g *syncGroup) init(end int64) {
	g.end.Store(end)
	g.changed.L = &g.mu
}

// stop makes everybody who waits, now and later, fail with err.
func (g *syncGroup) stop(err error) {
	g.mu.Lock()
	g.err = err
	g.changed.Broadcast()
	g.mu.Unlock()
}

// cut lowers the end after a truncation. A run that began before counts no more.
func (g *syncGroup) cut(end int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cuts++
	if g.end.Load() > end {
		g.end.Store(end)
	}
	g.want = min(g.want, end)
	g.changed.Broadcast()
}

// idle waits until no run is under way.
func (g *syncGroup) idle() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.running {
		g.changed.Wait()
	}
}

// Sync blocks until SyncedEnd() >= upTo. Everybody who waits shares one fdatasync, which covers every append that returned before it
// began. Once a sync failed, the log has stopped and no sync is tried again.
func (l *Log) Sync(upTo int64) error {
	defer l.report()
	g := &l.sync
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.end.Load() < upTo {
		switch {
		case g.err != nil:
			return g.err
		case upTo > l.logEnd.Load():
			return fmt.Errorf("%w: %s was truncated to %d before offset %d was synced", kerr.NotLeaderForPartition, l.o.Partition, l.logEnd.Load(), upTo)
		case g.running:
			g.changed.Wait()
		default:
			g.running = true
			g.mu.Unlock()
			err := l.syncOnce()
			g.mu.Lock()
			l.handOnLocked(err)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// RequestSync makes SyncedEnd reach upTo without blocking. OnSynced's function tells when.
func (l *Log) RequestSync(upTo int64) {
	g := &l.sync
	g.mu.Lock()
	defer g.mu.Unlock()
	g.want = max(g.want, upTo)
	if !g.running && g.err == nil && g.end.Load() < g.want {
		g.running = true
		go l.syncWanted()
	}
}

// syncWanted runs until nothing that RequestSync asked for is left. Close waits for it.
func (l *Log) syncWanted() {
	err := l.syncOnce()
	l.sync.mu.Lock()
	l.handOnLocked(err)
	l.sync.mu.Unlock()
	l.report()
}

// handOnLocked ends a run, or hands it on to a goroutine if requests are left. After one that failed the next request tries again.
func (l *Log) handOnLocked(err error) {
	g := &l.sync
	if err != nil {
		g.want = g.end.Load()
	}
	g.running = g.err == nil && g.end.Load() < min(g.want, l.logEnd.Load())
	if g.running {
		go l.syncWanted()
	}
	g.changed.Broadcast()
}

// OnSynced sets what is called, without a lock held and never twice at a time, each time SyncedEnd has moved, or with the error
// after which it never will again. nil removes it.
func (l *Log) OnSynced(fn func(end int64, err error)) {
	l.sync.mu.Lock()
	defer l.sync.mu.Unlock()
	l.sync.notify = fn
}

// errNotTried says that a file could not be opened to be synced: nothing has been lost by that.
var errNotTried = errors.New("not synced")

// syncOnce makes everything durable that is in the log now, and publishes it. An error stops the log, unless it is errNotTried for
// want of descriptors.
func (l *Log) syncOnce() error {
	g := &l.sync
	g.mu.Lock()
	cuts := g.cuts
	g.mu.Unlock()
	end := l.logEnd.Load()
	err := l.Err()
	if err == nil {
		if err = l.syncFiles(end); errors.Is(err, errNotTried) {
			err = l.fileError(err)
		} else if err != nil {
			err = l.failed(fmt.Errorf("sync: %w", err))
		}
	}
	g.mu.Lock()
	if err == nil && cuts == g.cuts && end > g.end.Load() {
		g.end.Store(end)
	}
	end = g.end.Load()
	notify, stopped := g.notify, g.err
	g.mu.Unlock()
	if notify != nil {
		notify(end, stopped)
	}
	return err
}

// syncFiles syncs the .log files that hold offsets between the synced end and end, then the names that lead to them.
func (l *Log) syncFiles(end int64) error {
	from := l.sync.end.Load()
	for {
		list := l.segments.Load()
		err := l.syncSegments(*list, from, end)
		if err == nil {
			return l.syncNames()
		}
		// Sealed or deleted meanwhile: look again.
		if !gone(err) || l.segments.Load() == list {
			return err
		}
	}
}

func (l *Log) syncSegments(segs []*segment, from, end int64) error {
	for _, s := range segs {
		if s.next <= from || s.base >= end {
			continue
		}
		h, err := l.open(s, logFile)
		if err != nil {
			return fmt.Errorf("%w: %w", errNotTried, err)
		}
		l.o.IO.Acquire()
		begin := time.Now()
		err = h.file.Datasync()
		took := time.Since(begin)
		l.o.IO.Release()
		h.release()
		if l.o.Flushed != nil {
			l.o.Flushed(took)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
