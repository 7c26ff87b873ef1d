package logdir

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"ottla/broker/commitlog"
)

// flushEveryMin bounds how often flush.ms is looked after.
const flushEveryMin = 10 * time.Millisecond

// run does what is due in one directory until Close. It is the only ticker of all its logs.
func (m *Manager) run(d *dir) {
	start := time.Now()
	flush, retention := start.Add(m.c.FlushEvery), start.Add(min(m.c.RetentionDelay, m.c.RetentionCheckEvery))
	synced := map[*commitlog.Log]time.Time{} // of logs with a flush.ms below FlushEvery
	timer := time.NewTimer(m.c.FlushEvery)
	defer timer.Stop()
	for {
		next := flush
		if retention.Before(next) {
			next = retention
		}
		if every := m.flushOften(d, synced, time.Now()); time.Now().Add(every).Before(next) {
			next = time.Now().Add(every)
		}
		timer.Reset(time.Until(next))
		select {
		case <-m.stop:
			return
		case <-timer.C:
		}
		if d.failure() != nil {
			return
		}
		now := time.Now()
		if !now.Before(flush) {
			m.flush(d)
			flush = time.Now().Add(m.c.FlushEvery)
		}
		if !now.Before(retention) {
			m.retain(d)
			retention = time.Now().Add(m.c.RetentionCheckEvery)
		}
	}
}

// flushOften syncs the logs whose flush.ms is over, and says when to look again.
func (m *Manager) flushOften(d *dir, synced map[*commitlog.Log]time.Time, now time.Time) time.Duration {
	next := m.c.FlushEvery
	seen := make(map[*commitlog.Log]time.Time)
	for _, l := range m.logsIn(d) {
		ms := l.Settings().FlushMs
		if ms >= m.c.FlushEvery.Milliseconds() {
			continue
		}
		every := max(time.Duration(ms)*time.Millisecond, flushEveryMin)
		last := synced[l]
		if now.Sub(last) >= every {
			if err := l.Sync(l.LogEnd()); err != nil {
				m.c.Logger.Debug().Err(err).Str("log", l.Partition().String()).Msg("log is not synced")
			}
			last = now
		}
		seen[l] = last
		next = min(next, every-now.Sub(last))
	}
	clear(synced)
	for l, t := range seen {
		synced[l] = t
	}
	return max(next, flushEveryMin)
}

// flush moves the recovery points of a directory, then its checkpoints, and removes what has been dead for long enough.
func (m *Manager) flush(d *dir) {
	now := m.c.Now()
	each(m.logsIn(d), m.flushers, func(l *commitlog.Log) {
		if err := l.Flush(); err != nil && l.Err() == nil {
			m.c.Logger.Warn().Err(err).Str("log", l.Partition().String()).Msg("log is not flushed; its recovery point stays")
		}
		l.Housekeep(now)
	})
	d.sweep(now)
	if d.failure() != nil {
		return
	}
	if err := d.checkpoint(m.logsIn); err != nil {
		m.c.Logger.Warn().Err(m.fileError(d, err)).Str("dir", d.path).Msg("checkpoints are not written")
	}
}

// retain applies retention to a directory's logs.
func (m *Manager) retain(d *dir) {
	now := m.c.Now()
	for _, l := range m.logsIn(d) {
		if _, err := l.DeleteOldSegments(now); err != nil && l.Err() == nil {
			m.c.Logger.Warn().Err(err).Str("log", l.Partition().String()).Msg("old segments are not deleted")
		}
	}
}

// How many logs of a directory are flushed, and closed, at a time: most of it is waiting for the disk, whose journal takes syncs that
// come together in one go. In the background few, for the sake of those who wait for their own.
const (
	flushers = 4
	closers  = 32
)

// each runs fn on all logs, workers at a time.
func each(logs []*commitlog.Log, workers int, fn func(*commitlog.Log)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(workers, len(logs)) {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(len(logs)); i = next.Add(1) {
				fn(logs[i-1])
			}
		})
	}
	wg.Wait()
}

// Close stops the background work, closes the logs and unlocks the directories. With clean each log is flushed; then the checkpoints
// are written and the directory is marked as closed cleanly, unless one of its logs could not be.
func (m *Manager) Close(clean bool) error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	loaded := m.loaded
	m.mu.Unlock()
	close(m.stop)
	m.work.Wait()
	var err error
	for _, d := range m.dirs {
		if cerr := m.closeDir(d, clean && loaded); cerr != nil {
			err = cerr
		}
	}
	m.unlock()
	return err
}

// closeDir closes one directory's logs.
func (m *Manager) closeDir(d *dir, clean bool) error {
	logs := m.logsIn(d)
	var mu sync.Mutex
	var failure error
	each(logs, m.closers, func(l *commitlog.Log) {
		if err := l.Close(clean); err != nil {
			mu.Lock()
			failure = err
			mu.Unlock()
		}
	})
	if !clean || d.failure() != nil {
		return d.failure()
	}
	if failure == nil {
		if failure = d.checkpoint(m.logsIn); failure == nil {
			failure = d.markClean()
		}
	}
	if failure != nil {
		return fmt.Errorf("log directory %s is not closed cleanly: %w", d.path, failure)
	}
	return nil
}
