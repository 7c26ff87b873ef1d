package commitlog

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"ottla/broker/record"
)

// segmentIDs tells segments apart in a Cache, also a truncated one from its former self.
var segmentIDs atomic.Uint64

// segment is one .log file with its indexes. The last segment of a log is active: it has its descriptor open and its indexes in
// the heap, and grows under the log's mutex. When it is sealed, a new value without those takes its place in the log's list, and
// readers that still hold the old one may finish with it.
type segment struct {
	id   uint64
	base int64
	// next is the base of the segment that follows, MaxInt64 for the active one: no offset here reaches it.
	next int64
	// size is the bytes that may be read; for the active segment it is published before the log's end.
	size atomic.Int64
	// maxTime is the greatest timestamp in ms, -1 without one. Published as size is.
	maxTime atomic.Int64

	active *active // nil once sealed
	// replaced says that cleaned segments took this one's place: its file names are theirs now.
	replaced atomic.Bool
	// firstTime is the greatest timestamp in ms of a sealed segment's first batch, -1 without one; timeUnknown until it was looked up.
	firstTime atomic.Int64

	// Of a sealed segment.
	offsetEntries int
	timeEntries   int
	txns          bool  // it has a transaction index
	modified      int64 // ms: when its file was last written
}

// active is what only the active segment has.
type active struct {
	file  *handle
	ix    indexes
	tail  tail
	files writtenIndexes

	// Below: for the writer, under the log's mutex.
	created    int64 // ms
	jitter     int64 // ms by which this segment rolls earlier than segment.ms
	firstTime  int64 // ms: greatest timestamp of the first batch, -1 unknown or none
	maxTimeRel int32 // last offset, behind base, of the batch that has maxTime
	indexedAt  int64 // where the last indexed batch begins
	snapshotAt int64 // the size at which the last snapshot of the producers was taken
}

// writtenIndexes says how much of the indexes is in their files. Its mutex is held around the file calls, by flush, roll and close.
type writtenIndexes struct {
	mu      sync.Mutex
	offsets int
	times   int
	txns    int
	exist   bool // .index and .timeindex are there and hold just that much

	// As they were found when the segment was opened.
	found struct {
		both    bool
		offsets int
		times   int
		last    timeEntry
	}
}

// complete says whether the files that were found hold what the heap does and the last time entry: what a clean close leaves.
func (s *segment) complete() bool {
	f, ix := &s.active.files.found, &s.active.ix
	last := timeEntry{s.maxTime.Load(), s.active.maxTimeRel}
	times := ix.times.len()
	if last.ts >= 0 && (times == 0 || ix.times.at(times-1) != last) {
		times++
	}
	return f.both && f.offsets == ix.offsets.len() && f.times == times && (times == 0 || f.last == last)
}

func newSegment(base int64) *segment {
	s := &segment{id: segmentIDs.Add(1), base: base, next: math.MaxInt64}
	s.maxTime.Store(-1)
	s.firstTime.Store(timeUnknown)
	return s
}

const timeUnknown = math.MinInt64

// name is the file of the segment that begins at base.
func name(dir string, base int64, suffix string) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", base, suffix))
}

// parseName splits a file name into offset and suffix; false when it is none of a segment's.
func parseName(file string) (base int64, suffix string, ok bool) {
	i := strings.IndexByte(file, '.')
	if i < 1 || i > 20 {
		return 0, "", false
	}
	base, err := strconv.ParseInt(file[:i], 10, 64)
	return base, file[i:], err == nil && base >= 0
}

// note takes the batch of size bytes that was written at pos into the indexes and the greatest timestamp. Writer only.
func (s *segment) note(pos, lastOffset, maxTime int64, interval int64) {
	a := s.active
	rel := int32(lastOffset - s.base)
	if maxTime > s.maxTime.Load() {
		s.maxTime.Store(maxTime)
		a.maxTimeRel = rel
	}
	if pos == 0 {
		a.firstTime = maxTime
	}
	if pos-a.indexedAt > interval {
		a.ix.addOffset(offsetEntry{rel, int32(pos)})
		a.ix.addTime(timeEntry{s.maxTime.Load(), a.maxTimeRel})
		a.indexedAt = pos
	}
}

// fits says whether offset can be told relative to base.
func (s *segment) fits(offset int64) bool {
	return offset >= s.base && offset-s.base <= math.MaxInt32
}

// tail remembers where the last batches begin, which is where followers and tailing consumers read, and where high watermarks
// lie. A reader finds them without touching the file. One writer, any number of readers.
type tail struct {
	n     atomic.Uint64
	slots [tailSlots]struct{ offset, pos atomic.Int64 }
}

const tailSlots = 32

// add says that the batch to come will have this base offset and position.
func (t *tail) add(offset, pos int64) {
	n := t.n.Load()
	t.slots[n%tailSlots].offset.Store(offset)
	t.slots[n%tailSlots].pos.Store(pos)
	t.n.Store(n + 1)
}

// find is where the batch with this base offset begins, or would.
func (t *tail) find(offset int64) (pos int64, ok bool) {
	n := t.n.Load()
	for i := n; i > 0 && i+tailSlots > n+1; i-- {
		s := &t.slots[(i-1)%tailSlots]
		if s.offset.Load() != offset {
			continue
		}
		pos = s.pos.Load()
		// The slot belongs to the writer again once it is tailSlots behind.
		return pos, t.n.Load()-i < tailSlots-1
	}
	return 0, false
}

// sealed is the value that takes s's place when next begins.
func (s *segment) sealed(next, now int64) *segment {
	z := &segment{id: s.id, base: s.base, next: next, modified: now}
	z.size.Store(s.size.Load())
	z.maxTime.Store(s.maxTime.Load())
	z.firstTime.Store(timeUnknown)
	ix := &s.active.ix
	z.offsetEntries, z.timeEntries, z.txns = ix.offsets.len(), ix.times.len(), ix.txns.len() > 0
	return z
}

// largestTime is what retention compares: the greatest timestamp, else when the file was last written.
func (s *segment) largestTime(now int64) int64 {
	if t := s.maxTime.Load(); t >= 0 {
		return t
	}
	if s.active != nil {
		return now
	}
	return s.modified
}

// endTimeIndex adds the last entry that a time index must have once its segment is complete. Writer only.
func (s *segment) endTimeIndex() {
	if t := s.maxTime.Load(); t >= 0 {
		s.active.ix.addTime(timeEntry{t, s.active.maxTimeRel})
	}
}

// reaches says whether the entry holds offset or something behind it. The last offset of an entry decides everything about order in a
// log: of a compressed message of old it is the only one known.
func reaches(e record.EntryInfo, offset int64) bool { return e.LastOffset >= offset }
