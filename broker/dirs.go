package broker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"ottla/broker/logdir"
	"ottla/broker/topic"
)

// hostedLogs are the log directories as replica.Table sees them.
type hostedLogs struct{ *logdir.Manager }

// Offline is replica.Logs'.
func (l hostedLogs) Offline() bool {
	return slices.ContainsFunc(l.Dirs(), func(d logdir.DirStatus) bool { return d.Error != nil })
}

// dirFailure is the news that a log directory went offline.
type dirFailure struct {
	dir string
	err error
}

// dirFailed passes the news on. It is called by whoever met the failure, an append for example, which holds its partition: so nothing
// is done here. Each directory fails at most once, and there is room for all.
func (s *Server) dirFailed(dir string, err error) { s.dirFailures <- dirFailure{dir, err} }

// followDirs takes failed directories out of service, on a goroutine of its own.
func (s *Server) followDirs() {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		for {
			select {
			case f := <-s.dirFailures:
				if s.takeOut(f) {
					work.Go(func() { s.reportDirFailure(ctx) })
				}
			case <-ctx.Done():
				return
			}
		}
	})
	s.started("failed log directories", quietly(func() { cancel(); work.Wait() }))
}

// takeOut ends the partitions of a failed directory. It says whether the broker goes on with other directories; without any it stops.
func (s *Server) takeOut(f dirFailure) bool {
	s.log.Error().Err(f.err).Str("dir", f.dir).Msg("log directory is offline: its partitions are not served until the disk is mended and the broker restarted")
	s.table.DirFailed(f.dir)
	if slices.ContainsFunc(s.dirs.Dirs(), func(d logdir.DirStatus) bool { return d.Error == nil }) {
		return true
	}
	s.fail(fmt.Errorf("all log directories are offline, the last one is %s: %w", f.dir, f.err))
	return false
}

// reportTimeout bounds the attempts to tell the controller of a failed directory.
const reportTimeout = time.Minute

// reportDirFailure lets the controller know, which asks for the state of all partitions here.
func (s *Server) reportDirFailure(ctx context.Context) {
	timed, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	session, err := s.zk.Session(timed)
	if err == nil {
		err = session.NotifyLogDirFailure(timed, s.id)
	}
	if err != nil && ctx.Err() == nil {
		s.log.Error().Err(err).Msg("the controller could not be told of the failed log directory")
	}
}

// logLag is by how much a hosted partition's log is behind its high watermark; -1 if it is not hosted.
func (s *Server) logLag(p topic.Partition) int64 {
	hosted := s.table.Hosted()[p]
	if hosted == nil {
		return -1
	}
	return max(0, hosted.HighWatermark()-hosted.Log().LogEnd())
}
