package commitlog

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"sync/atomic"
)

// epochStart says that a leader epoch's first record has this offset, or would have.
type epochStart struct {
	epoch int32
	start int64
}

// epochs is the leader epoch cache: epochs and starts both strictly rise. Written under the log's mutex, read without.
type epochs struct {
	list atomic.Pointer[[]epochStart]
}

func (c *epochs) load() []epochStart {
	if p := c.list.Load(); p != nil {
		return *p
	}
	return nil
}

func (c *epochs) store(list []epochStart) { c.list.Store(&list) }

func (c *epochs) latest() (int32, bool) {
	if list := c.load(); len(list) > 0 {
		return list[len(list)-1].epoch, true
	}
	return -1, false
}

// assign adds an epoch; entries that it contradicts, with an epoch or a start not below its own, go.
func (c *epochs) assign(epoch int32, start int64) {
	list := slices.Clone(c.load())
	for len(list) > 0 && (list[len(list)-1].epoch >= epoch || list[len(list)-1].start >= start) {
		list = list[:len(list)-1]
	}
	c.store(append(list, epochStart{epoch, start}))
}

// cutEnd removes the epochs that begin at end or later.
func (c *epochs) cutEnd(end int64) {
	list := c.load()
	n := sort.Search(len(list), func(i int) bool { return list[i].start >= end })
	if n < len(list) {
		c.store(slices.Clone(list[:n]))
	}
}

// cutStart removes the epochs that end before start, and lets the one that holds it begin there.
func (c *epochs) cutStart(start int64) {
	list := c.load()
	n := sort.Search(len(list), func(i int) bool { return list[i].start > start })
	if n == 0 || n == 1 && list[0].start == start {
		return
	}
	list = slices.Clone(list[n-1:])
	list[0].start = start
	c.store(list)
}

// end answers OffsetForLeaderEpoch for a log that ends at logEnd.
func (c *epochs) end(epoch int32, logEnd int64) (int32, int64) {
	list := c.load()
	if epoch == -1 || len(list) == 0 || epoch > list[len(list)-1].epoch {
		return -1, -1
	}
	i := sort.Search(len(list), func(i int) bool { return list[i].epoch > epoch })
	switch {
	case i == len(list) && list[i-1].epoch == epoch:
		return epoch, logEnd
	case i == 0:
		return epoch, list[0].start
	}
	return list[i-1].epoch, list[i].start
}

// at is the epoch of the record with this offset, -1 when unknown.
func (c *epochs) at(offset int64) int32 {
	list := c.load()
	if i := sort.Search(len(list), func(i int) bool { return list[i].start > offset }); i > 0 {
		return list[i-1].epoch
	}
	return -1
}

func encodeEpochs(list []epochStart) []byte {
	entries := make([]string, len(list))
	for i, e := range list {
		entries[i] = fmt.Sprintf("%d %d", e.epoch, e.start)
	}
	return EncodeCheckpoint(entries)
}

// decodeEpochs reads leader-epoch-checkpoint. Entries that do not rise are an error.
func decodeEpochs(b []byte) ([]epochStart, error) {
	entries, err := DecodeCheckpoint(b, 2)
	if err != nil {
		return nil, err
	}
	list := make([]epochStart, 0, len(entries))
	for _, f := range entries {
		epoch, err := strconv.ParseInt(f[0], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("leader epoch %q: %w", f[0], err)
		}
		start, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("start offset %q: %w", f[1], err)
		}
		e := epochStart{int32(epoch), start}
		if n := len(list); epoch < 0 || start < 0 || n > 0 && (list[n-1].epoch >= e.epoch || list[n-1].start >= start) {
			return nil, fmt.Errorf("leader epoch %d from offset %d does not follow the one before", epoch, start)
		}
		list = append(list, e)
	}
	return list, nil
}

// AssignEpoch records that leader epoch e begins at the log's end: a new leader's first act. An epoch that is not greater than the
// latest is ignored. It reaches the disk with the first records of the epoch or with the close, since until then it says nothing
// that a restart would not find out anew.
func (l *Log) AssignEpoch(e int32) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.Err(); err != nil {
		return err
	}
	if latest, ok := l.epochs.latest(); !ok || latest < e {
		l.epochs.assign(e, l.logEnd.Load())
	}
	return nil
}

// LatestEpoch is the greatest leader epoch known; false: none is.
func (l *Log) LatestEpoch() (int32, bool) { return l.epochs.latest() }

// EndOffsetForEpoch answers OffsetForLeaderEpoch (KIP-101): the greatest known epoch that is not above e, and the offset at which
// the next one begins, the log's end for the latest. (-1, -1) when e is above all or none is known.
func (l *Log) EndOffsetForEpoch(e int32) (epoch int32, end int64) {
	return l.epochs.end(e, l.logEnd.Load())
}

// EpochAt is the leader epoch that wrote offset, -1 when unknown.
func (l *Log) EpochAt(offset int64) int32 { return l.epochs.at(offset) }
