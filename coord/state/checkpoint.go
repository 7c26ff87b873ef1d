package state

import (
	"errors"
	"fmt"
	"iter"

	"ottla/coord/fsm"
	"ottla/coord/tree"
	"ottla/coord/watch"
)

// Buckets of the records, in the order in which Checkpoint yields them and Restore wants them.
const (
	BucketACL     = "acl"
	BucketNode    = "node"
	BucketSession = "session"
)

// Buckets lists all buckets in their order.
var Buckets = []string{BucketACL, BucketNode, BucketSession}

// ErrAbandoned is returned by Checkpoint after one whose records were not read to the end: what it took is lost to later ones, so the
// server has to restart from the last that was.
var ErrAbandoned = errors.New("the previous checkpoint was not read to its end")

// Record is one change: Value nil deletes the key.
type Record struct {
	Bucket     string
	Key, Value []byte
}

// Checkpoint is the change of the state from one checkpoint to the next. Applied over all earlier ones it is the state exactly after the
// entry Index.
type Checkpoint struct {
	Index, Term uint64
	Meta        []byte // goes with the records, and replaces the one before

	state    *State
	lists    []Record
	sessions []Record
	nodes    *tree.Capture
	slice    int // captureSlice, but in tests
	used     bool
}

// How many nodes, and about how many bytes of them, are encoded before the writer gets a turn.
const (
	captureSlice      = 256
	captureSliceBytes = 1 << 20
)

// Checkpoint begins a checkpoint: the first one holds everything. It waits for the entry that is being applied and then holds the lock for
// a moment; Records does the work. Only one at a time.
func (s *State) Checkpoint() (*Checkpoint, error) {
	s.whole.Lock()
	defer s.whole.Unlock()
	if s.ckpt != nil {
		return nil, ErrAbandoned
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &Checkpoint{Index: s.index, Term: s.term, Meta: s.machine.Meta(), state: s, nodes: s.machine.Capture(), slice: captureSlice}
	s.machine.ACLChanges(func(key, value []byte) {
		c.lists = append(c.lists, Record{BucketACL, key, value})
	})
	s.machine.SessionChanges(func(key, value []byte) {
		c.sessions = append(c.sessions, Record{BucketSession, key, value})
	})
	s.ckpt = c
	return c, nil
}

// Records yields the changes in the order of Buckets and keys, while Apply goes on. To be called once and read to the end, after which
// the next checkpoint may begin. A record's bytes are valid until the next one is yielded.
func (c *Checkpoint) Records() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		if c.used {
			panic("state: records of a checkpoint read twice")
		}
		c.used = true
		for _, r := range c.lists {
			if !yield(r) {
				return
			}
		}
		if !c.nodeRecords(yield) {
			return
		}
		for _, r := range c.sessions {
			if !yield(r) {
				return
			}
		}
		s := c.state
		s.whole.Lock()
		defer s.whole.Unlock()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.machine.EndCapture(c.nodes)
		s.ckpt = nil
	}
}

// nodeRecords encodes a slice of nodes under the read lock and yields it without.
func (c *Checkpoint) nodeRecords(yield func(Record) bool) bool {
	c.nodes.Prepare()
	var (
		slice []Record
		buf   []byte
		more  = true
	)
	for more {
		slice, buf = slice[:0], buf[:0]
		c.state.View(func(*fsm.Machine) {
			more = c.nodes.Next(func(path string, value []byte) bool {
				r := Record{Bucket: BucketNode, Key: []byte(path)}
				if value != nil {
					start := len(buf)
					buf = append(buf, value...)
					r.Value = buf[start:len(buf):len(buf)]
				}
				slice = append(slice, r)
				return len(slice) < c.slice && len(buf) < captureSliceBytes
			})
		})
		for _, r := range slice {
			if !yield(r) {
				return false
			}
		}
	}
	return true
}

// Restore replaces the state by that of the last checkpoint: its Index, Term and Meta, and all records that are left when every checkpoint's
// changes were put over the earlier ones, bucket by bucket in the order of Buckets, keys ascending. Records are not kept. Entries above index are to be
// applied next. Nobody else may use the state meanwhile. On an error the state is unchanged.
func (s *State) Restore(index, term uint64, meta []byte, records iter.Seq2[Record, error]) error {
	s.whole.Lock()
	defer s.whole.Unlock()
	l := fsm.NewLoader()
	for r, err := range records {
		if err != nil {
			return err
		}
		switch r.Bucket {
		case BucketACL:
			err = l.ACL(r.Key, r.Value)
		case BucketNode:
			err = l.Node(r.Key, r.Value)
		case BucketSession:
			err = l.Session(r.Key, r.Value)
		default:
			err = fmt.Errorf("record of the unknown bucket %q", r.Bucket)
		}
		if err != nil {
			return fmt.Errorf("restore checkpoint %d: %w", index, err)
		}
	}
	m, err := l.Done(meta)
	if err != nil {
		return fmt.Errorf("restore checkpoint %d: %w", index, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.machine, s.index, s.term, s.ckpt = m, index, term, nil
	s.watches = watch.New()
	return nil
}
