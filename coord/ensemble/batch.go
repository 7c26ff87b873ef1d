package ensemble

import (
	"encoding/binary"
	"errors"
	"sync"
)

// entryBytes is how large an entry gets by packing. A larger batch is an entry of its own.
const entryBytes = 256 << 10

// queue is the batches that wait for the loop. Safe for concurrent use.
type queue struct {
	limit int // bytes that may wait before put blocks

	mu     sync.Mutex
	space  sync.Cond
	list   [][]byte
	bytes  int
	closed bool
}

func newQueue(limit int) *queue {
	q := &queue{limit: limit}
	q.space.L = &q.mu
	return q
}

// put adds a batch; it blocks while limit bytes wait. False once the queue is closed.
func (q *queue) put(batch []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.bytes >= q.limit && !q.closed {
		q.space.Wait()
	}
	if q.closed {
		return false
	}
	q.list = append(q.list, batch)
	q.bytes += len(batch)
	return true
}

// take returns everything that waits and makes room. reuse is the list of the call before, cleared.
func (q *queue) take(reuse [][]byte) [][]byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.list
	q.list, q.bytes = reuse[:0], 0
	q.space.Broadcast()
	return list
}

// close makes put fail from now on; what waits can still be taken.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.space.Broadcast()
}

func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.list) == 0
}

// pack returns an entry of the first batches, and the batches that are left.
func pack(batches [][]byte) (entry []byte, rest [][]byte) {
	n, size := 0, 0
	for n < len(batches) && (n == 0 || size+len(batches[n]) <= entryBytes) {
		size += len(batches[n]) + binary.MaxVarintLen32
		n++
	}
	entry = make([]byte, 0, size)
	for _, b := range batches[:n] {
		entry = binary.AppendUvarint(entry, uint64(len(b)))
		entry = append(entry, b...)
	}
	return entry, batches[n:]
}

var errEntry = errors.New("the log entry is not a sequence of batches: it was written by another version")

// unpack calls fn with each batch of an entry.
func unpack(entry []byte, fn func(batch []byte) error) error {
	for len(entry) > 0 {
		n, w := binary.Uvarint(entry)
		if w <= 0 || n > uint64(len(entry)-w) {
			return errEntry
		}
		if err := fn(entry[w : w+int(n) : w+int(n)]); err != nil {
			return err
		}
		entry = entry[w+int(n):]
	}
	return nil
}
