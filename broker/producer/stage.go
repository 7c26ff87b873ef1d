package producer

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/record"
)

// Stage is what the batches of one append would make of a State. It is reused from append to append.
//
//	g := state.Stage()
//	g.Begin()                      // per set of batches that stands or falls as one
//	if g.Append(…) fails { g.Undo() }
//	g.Commit(…) or g.Discard()
type Stage struct {
	s       *State
	entries []Entry // touched by the append, on top of the State's
	events  []event // transactions begun and ended, in order
	undo    []undo  // of the current set: what entries were before it
	marked  struct{ entries, events int }
}

// event is a transaction's begin (Last -1) or end.
type event struct {
	txn Txn
	end bool
}

type undo struct {
	at  int
	was Entry
}

// Stage begins a new append, forgetting what an earlier one left.
func (s *State) Stage() *Stage {
	s.stage.s = s
	s.stage.Discard()
	return &s.stage
}

// Discard forgets everything staged.
func (g *Stage) Discard() {
	g.entries, g.events, g.undo = g.entries[:0], g.events[:0], g.undo[:0]
}

// Begin marks the place that Undo returns to.
func (g *Stage) Begin() {
	g.undo = g.undo[:0]
	g.marked.entries, g.marked.events = len(g.entries), len(g.events)
}

// Undo takes back everything since Begin.
func (g *Stage) Undo() {
	for i := len(g.undo) - 1; i >= 0; i-- {
		g.entries[g.undo[i].at] = g.undo[i].was
	}
	g.entries, g.events, g.undo = g.entries[:g.marked.entries], g.events[:g.marked.events], g.undo[:0]
}

// look is the producer as it would be now, or nil.
func (g *Stage) look(id int64) *Entry {
	for i := range g.entries {
		if g.entries[i].ID == id {
			return &g.entries[i]
		}
	}
	return g.s.entries[id]
}

// touch is the producer, ready to be changed.
func (g *Stage) touch(id int64) *Entry {
	for i := range g.entries {
		if g.entries[i].ID == id {
			if i < g.marked.entries {
				g.undo = append(g.undo, undo{i, g.entries[i]})
			}
			return &g.entries[i]
		}
	}
	if e := g.s.entries[id]; e != nil {
		g.entries = append(g.entries, *e)
	} else {
		g.entries = append(g.entries, newEntry(id))
	}
	return &g.entries[len(g.entries)-1]
}

// Duplicate finds the stored batch that h repeats: the same epoch, first and last sequence as one of the producer's last five.
func (g *Stage) Duplicate(h *record.Header) (Batch, bool) {
	if e := g.look(h.ProducerID); e != nil {
		return e.duplicate(h)
	}
	return Batch{}, false
}

// Append stages a batch of data with a producer id, which gets the offsets from base on. now is the broker's clock in ms. With
// client set it fails with INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER or INVALID_TXN_STATE, and stages nothing;
// without (replay, replication) the leader has already judged.
func (g *Stage) Append(h *record.Header, base int64, client bool, now int64) error {
	if client {
		if err := g.judge(h, base); err != nil {
			return err
		}
	}
	e := g.touch(h.ProducerID)
	e.enter(h.ProducerEpoch)
	e.add(Batch{LastOffset: base + int64(h.LastOffsetDelta), Timestamp: h.MaxTimestamp, LastSequence: h.LastSequence(), OffsetDelta: h.LastOffsetDelta})
	e.Timestamp, e.Seen = h.MaxTimestamp, now
	if h.IsTransactional() && e.TxnFirstOffset < 0 {
		e.TxnFirstOffset = base
		g.events = append(g.events, event{txn: Txn{ProducerID: e.ID, First: base, Last: -1}})
	}
	return nil
}

// judge says whether a client's batch may follow what its producer stored.
func (g *Stage) judge(h *record.Header, base int64) error {
	e := g.look(h.ProducerID)
	if e == nil {
		return nil // unknown: its state may have expired, so any sequence will do
	}
	if h.ProducerEpoch < e.Epoch {
		return fmt.Errorf("%w: epoch %d of producer %d at offset %d is older than %d", kerr.InvalidProducerEpoch, h.ProducerEpoch, h.ProducerID, base, e.Epoch)
	}
	if h.ProducerEpoch != e.Epoch {
		if h.BaseSequence != 0 && e.Epoch >= 0 {
			return fmt.Errorf("%w: producer %d begins its epoch %d at offset %d with sequence %d instead of 0", kerr.OutOfOrderSequenceNumber, h.ProducerID, h.ProducerEpoch, base, h.BaseSequence)
		}
	} else if want := next(e.lastSequence()); h.BaseSequence != want {
		return fmt.Errorf("%w: producer %d, epoch %d, at offset %d sent sequence %d where %d was due", kerr.OutOfOrderSequenceNumber, h.ProducerID, h.ProducerEpoch, base, h.BaseSequence, want)
	}
	if e.TxnFirstOffset >= 0 && !h.IsTransactional() {
		return fmt.Errorf("%w: producer %d sent a batch outside of its open transaction", kerr.InvalidTxnState, h.ProducerID)
	}
	return nil
}

// next is the sequence number that follows.
func next(sequence int32) int32 { return record.AddSequence(sequence, 1) }

// EndTransaction stages the marker m, a batch with header h at offset. With check set it fails with INVALID_PRODUCER_EPOCH or
// TRANSACTION_COORDINATOR_FENCED, and stages nothing.
func (g *Stage) EndTransaction(h *record.Header, m record.Marker, offset int64, check bool, now int64) error {
	if e := g.look(h.ProducerID); check && e != nil {
		if h.ProducerEpoch < e.Epoch {
			return fmt.Errorf("%w: marker of epoch %d for producer %d, which is at %d", kerr.InvalidProducerEpoch, h.ProducerEpoch, h.ProducerID, e.Epoch)
		}
		if m.CoordinatorEpoch < e.CoordinatorEpoch {
			return fmt.Errorf("%w: marker for producer %d from coordinator epoch %d, after one from %d", kerr.TransactionCoordinatorFenced, h.ProducerID, m.CoordinatorEpoch, e.CoordinatorEpoch)
		}
	}
	e := g.touch(h.ProducerID)
	// A marker without data decides nothing: readers need not know of it.
	if e.TxnFirstOffset >= 0 {
		g.events = append(g.events, event{txn: Txn{ProducerID: e.ID, First: e.TxnFirstOffset, Last: offset, Aborted: m.Type == record.Abort}, end: true})
	}
	e.enter(h.ProducerEpoch)
	e.CoordinatorEpoch, e.Timestamp, e.Seen, e.TxnFirstOffset = m.CoordinatorEpoch, h.MaxTimestamp, now, -1
	return nil
}

// Commit makes what was staged true. aborted is called for each transaction that ended in an abort, in order, with the last
// stable offset behind it: the entries of the transaction index. It may be nil.
func (g *Stage) Commit(aborted func(t Txn, lastStable int64)) {
	s := g.s
	for i := range g.entries {
		if e := s.entries[g.entries[i].ID]; e != nil {
			*e = g.entries[i]
			continue
		}
		if s.entries == nil {
			s.entries = map[int64]*Entry{}
		}
		e := g.entries[i]
		s.entries[e.ID] = &e
	}
	for _, ev := range g.events {
		if !ev.end {
			s.open = append(s.open, ev.txn)
			continue
		}
		s.close(ev.txn)
		if ev.txn.Aborted && aborted != nil {
			aborted(ev.txn, s.lastStableAfter(ev.txn))
		}
	}
	g.Discard()
}
