package group

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/group/classic"
	"ottla/broker/group/offsetlog"
	"ottla/broker/record"
)

// appendBytes is how much is put into one append, unless a single batch is larger.
const appendBytes = 1 << 20

// write appends what is queued, all that has gathered during one append with the next, until the queue is empty. One append at a
// time keeps the order, and lets a thousand commits share one round to the followers and one fsync.
func (s *shard) write() {
	for {
		s.mu.Lock()
		queue := s.queue
		s.queue = nil
		if len(queue) == 0 {
			s.writing = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		for len(queue) > 0 {
			queue = queue[s.writeSome(queue):]
		}
	}
}

// writeSome appends the first of the queue and as many behind it as fit into one append, tells their groups what came of it, and
// returns how many they were.
func (s *shard) writeSome(queue []queued) int {
	var batches []byte
	var parts [][]byte
	for _, q := range queue {
		batch, err := offsetlog.Batch(q.write.Records, q.write.Time, q.write.Offsets, record.Codec(s.c.cfg.CompressionCodec))
		if err != nil {
			if len(parts) > 0 {
				break // it comes first next time
			}
			s.stored(queue[:1], err)
			return 1
		}
		if len(parts) > 0 && len(batches)+len(batch) > appendBytes {
			break
		}
		batches = append(batches, batch...)
		parts = append(parts, batch)
	}
	err := s.append(batches)
	if len(parts) > 1 && refused(err) {
		// One of them is at fault, and nothing was written: each is tried alone.
		for i, batch := range parts {
			s.stored(queue[i:i+1], s.append(batch))
		}
		return len(parts)
	}
	s.stored(queue[:len(parts)], err)
	return len(parts)
}

// append appends batches within the commit timeout.
func (s *shard) append(batches []byte) error {
	ctx, cancel := context.WithTimeout(s.c.ctx, s.c.cfg.CommitTimeout)
	defer cancel()
	if s.ctx.Err() != nil {
		return kerr.NotLeaderForPartition // retired: the log would say the same
	}
	err := s.c.log.Append(ctx, s.partition, s.epoch, batches)
	var known *kerr.Error
	if err != nil && !errors.As(err, &known) && ctx.Err() != nil {
		return kerr.RequestTimedOut
	}
	return err
}

// refused says whether the log would not take the batches as they are.
func refused(err error) bool {
	return errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) || errors.Is(err, kerr.InvalidRecord)
}

// stored tells the groups what came of their writes.
func (s *shard) stored(done []queued, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range done {
		s.stepLocked(q.entry, classic.Stored{Write: q.write.ID, Err: err})
	}
}
