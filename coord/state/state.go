package state

import (
	"fmt"
	"sync"

	"ottla/coord/fsm"
	"ottla/coord/watch"
)

// sliceMax is how many requests are applied before readers get a turn.
const sliceMax = 64

// Sink hears of everything that is applied, on the apply loop's goroutine. A server is one.
type Sink interface {
	// Applied reports a request's outcome. It is called under the write lock, in log order, after the watch events of the request
	// were delivered. incarnation and seq name the request for the server that proposed it; every server hears of all of them.
	// m may be read; nothing may be kept of r and res. Applied must not block.
	Applied(m *fsm.Machine, incarnation, seq uint64, r *fsm.Request, res *fsm.Result)
	// Released is called after each slice, without the lock: the moment to wake whoever has something to send.
	Released()
}

// State is the state of one server. Safe for concurrent use, except as its methods say.
type State struct {
	sink Sink

	whole sync.Mutex // held for a whole entry
	index uint64     // of the last entry applied
	term  uint64
	ckpt  *Checkpoint // running, or abandoned

	mu      sync.RWMutex
	machine *fsm.Machine

	watchMu sync.Mutex
	watches *watch.Tables
	fired   [5]uint64 // events delivered, by type

	req fsm.Request // Apply's own, so that it does not allocate
	res fsm.Result
}

// New is the state of a server that has never run. SetSink must be called before the first Apply if anybody is to hear of it.
func New() *State {
	return &State{machine: fsm.New(), watches: watch.New()}
}

// SetSink names who hears of applied requests. Not to be called once Apply runs.
func (s *State) SetSink(sink Sink) { s.sink = sink }

// Apply applies one committed batch of requests and returns how many it held. One goroutine calls it, with indexes and terms that do not
// decrease; batches that share a log entry share its index. An empty entry (raft's own) only moves the index. entry is not changed, and not kept.
// An error says that the entry cannot be understood: the server must stop, since it would no longer be the same as the
// others.
func (s *State) Apply(index, term uint64, entry []byte) (requests int, err error) {
	s.whole.Lock()
	defer s.whole.Unlock()
	if index < s.index || term < s.term {
		return 0, fmt.Errorf("entry %d of term %d applied after entry %d of term %d", index, term, s.index, s.term)
	}
	if len(entry) > 0 {
		e, err := fsm.DecodeEntry(entry)
		if err != nil {
			return 0, fmt.Errorf("entry %d of term %d: %w", index, term, err)
		}
		requests = e.Count
		for seq := e.FirstSeq; seq != e.FirstSeq+uint64(e.Count); {
			seq = s.applySlice(term, &e, seq)
			if s.sink != nil {
				s.sink.Released()
			}
		}
	}
	s.index, s.term = index, term
	return requests, nil
}

// applySlice applies the next requests of an entry and returns the number of the first that is left.
func (s *State) applySlice(term uint64, e *fsm.Entry, seq uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range sliceMax {
		if !e.Next(&s.req) {
			break
		}
		s.machine.Apply(term, e.Flags, &s.req, &s.res)
		s.fire()
		if s.sink != nil {
			s.sink.Applied(s.machine, e.Incarnation, seq, &s.req, &s.res)
		}
		seq++
	}
	return seq
}

func (s *State) fire() {
	if len(s.res.Events) == 0 {
		return
	}
	s.watchMu.Lock()
	defer s.watchMu.Unlock()
	for i := range s.res.Events {
		e := &s.res.Events[i]
		s.fired[e.Type] += uint64(s.watches.Fire(e))
	}
}

// View calls fn with the state as it is between two requests. fn must not block, must not keep what it reads beyond its return, except
// lists of access control, and must not call Apply, View, Checkpoint or Restore.
func (s *State) View(fn func(m *fsm.Machine)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	fn(s.machine)
}

// Watch registers w. To be called inside View or Applied, so that it is set at the state that was read.
func (s *State) Watch(w watch.Watcher, table watch.Table, path []byte, mode watch.Mode) {
	s.watchMu.Lock()
	defer s.watchMu.Unlock()
	s.watches.Add(w, table, path, mode)
}

// WatchModes is how w is registered for path.
func (s *State) WatchModes(w watch.Watcher, table watch.Table, path []byte) watch.Mode {
	s.watchMu.Lock()
	defer s.watchMu.Unlock()
	return s.watches.Modes(w, table, path)
}

// Unwatch takes modes away from w, and says whether it had one of them.
func (s *State) Unwatch(w watch.Watcher, table watch.Table, path []byte, mode watch.Mode) bool {
	s.watchMu.Lock()
	defer s.watchMu.Unlock()
	return s.watches.Remove(w, table, path, mode)
}

// UnwatchAll forgets a watcher. It hears of nothing that is applied after the return.
func (s *State) UnwatchAll(w watch.Watcher) {
	s.watchMu.Lock()
	defer s.watchMu.Unlock()
	s.watches.RemoveAll(w)
}

// WatchCounts are the numbers of watching connections, watched paths and registrations, and of events delivered so far by type.
func (s *State) WatchCounts() (watchers, paths, total int, fired [5]uint64) {
	s.watchMu.Lock()
	defer s.watchMu.Unlock()
	watchers, paths, total = s.watches.Counts()
	return watchers, paths, total, s.fired
}

// Applied is the index and term of the last entry applied. It waits for a running Apply.
func (s *State) Applied() (index, term uint64) {
	s.whole.Lock()
	defer s.whole.Unlock()
	return s.index, s.term
}
