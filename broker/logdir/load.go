package logdir

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ottla/broker/commitlog"
	"ottla/broker/topic"
)

// Load opens every log, num.recovery.threads.per.data.dir at a time in each directory; settings gives a topic's values. Afterwards
// Create works and the background work runs. A directory that fails goes offline; two logs of the same partition are an error, and
// so are no directory left and the end of ctx.
func (m *Manager) Load(ctx context.Context, settings func(topicName string) commitlog.Settings) error {
	started := time.Now()
	var wg sync.WaitGroup
	var total, opened atomic.Int64
	stop := m.tellProgress(&total, &opened)
	defer stop()
	for _, d := range m.dirs {
		if d.failure() == nil {
			wg.Go(func() {
				if err := m.loadDir(ctx, d, settings, &total, &opened); err != nil && ctx.Err() == nil {
					m.failed(d, err)
				}
			})
		}
	}
	wg.Wait()
	err := ctx.Err()
	if err == nil {
		m.mu.RLock()
		err = m.twice
		m.mu.RUnlock()
	}
	if err == nil {
		err = m.allOffline()
	}
	if err != nil {
		for _, l := range m.Logs() {
			_ = l.Close(false) // as a crash would leave it
		}
		return err
	}
	m.mu.Lock()
	m.loaded = true
	m.mu.Unlock()
	for _, d := range m.dirs {
		if d.failure() == nil {
			m.work.Go(func() { m.run(d) })
		}
	}
	m.c.Logger.Info().Int64("logs", opened.Load()).Dur("took", time.Since(started)).Msg("logs are loaded")
	return nil
}

// loadDir opens the logs of one directory.
func (m *Manager) loadDir(ctx context.Context, d *dir, settings func(string) commitlog.Settings, total, opened *atomic.Int64) error {
	if err := d.begin(); err != nil {
		return err
	}
	found, err := d.partitions(m.c.Now())
	if err != nil {
		return err
	}
	total.Add(int64(len(found)))
	if !d.clean && len(found) > 0 {
		m.c.Logger.Info().Str("dir", d.path).Int("logs", len(found)).Msg("directory was not closed cleanly: logs are checked from their recovery points")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan topic.Partition)
	var wg sync.WaitGroup
	for range min(m.c.RecoveryThreads, len(found)) {
		wg.Go(func() {
			for p := range next {
				if err := m.loadLog(d, p, settings(p.Topic)); err != nil {
					cancel(err)
					return
				}
				opened.Add(1)
			}
		})
	}
	for _, p := range found {
		select {
		case next <- p:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
	}
	close(next)
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, p := range found {
			m.offline[p] = d
		}
		return err
	}
	if d.clean {
		return nil
	}
	logs := m.logsIn(d)
	if err := d.checkpoint(m.logsIn); err != nil {
		// Where records are missing, recovery points must not stay beyond the end: what is appended there is not yet durable.
		short := slices.ContainsFunc(logs, func(l *commitlog.Log) bool { return l.LogEnd() < d.points[l.Partition()] })
		if short || !commitlog.Passes(err) {
			return err
		}
		m.c.Logger.Warn().Err(err).Str("dir", d.path).Msg("checkpoints are not written")
	}
	return nil
}

// progressEvery is how often a line says how far loading is.
const progressEvery = 2 * time.Second

// tellProgress writes how far loading is, again and again until the result is called.
func (m *Manager) tellProgress(total, opened *atomic.Int64) (stop func()) {
	done := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				m.c.Logger.Info().Int64("logs", opened.Load()).Int64("of", total.Load()).Msg("logs are being loaded")
			case <-done:
				return
			}
		}
	})
	return func() { close(done); work.Wait() }
}

// loadLog opens one log.
func (m *Manager) loadLog(d *dir, p topic.Partition, s commitlog.Settings) error {
	l, err := d.openLog(p, s, false, m)
	if err != nil {
		return err
	}
	hw := min(d.written[highWatermarkFile].entries[p], l.LogEnd())
	l.SetHighWatermark(max(hw, l.LogStart()))
	m.mu.Lock()
	defer m.mu.Unlock()
	if other, ok := m.logs[p]; ok {
		_ = l.Close(false) // neither may be served
		m.twice = &identityError{fmt.Sprintf("partition %s is in two log directories, %s and %s: move one of them away", p, other.dir.path, d.path)}
		return nil
	}
	m.logs[p] = hosted{l, d}
	if hw > 0 {
		m.hw[p] = hw
	}
	return nil
}
