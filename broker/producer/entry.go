package producer

import "ottla/broker/record"

// batchesKept is how many batches a producer may have in flight, and so how many a repetition can mean.
const batchesKept = 5

// Batch is what is remembered of one batch of a producer.
type Batch struct {
	LastOffset   int64
	Timestamp    int64 // ms: the batch's greatest
	LastSequence int32
	OffsetDelta  int32 // last offset minus first
}

// FirstOffset is the offset of the batch's first record.
func (b Batch) FirstOffset() int64 { return b.LastOffset - int64(b.OffsetDelta) }

// FirstSequence is the sequence number of the batch's first record. Sequences wrap from 2^31-1 to 0.
func (b Batch) FirstSequence() int32 {
	return int32((int64(b.LastSequence) - int64(b.OffsetDelta)) & (1<<31 - 1))
}

// Entry is what a partition remembers of one producer. A value: copies are independent.
type Entry struct {
	ID               int64
	TxnFirstOffset   int64 // first offset of the open transaction, -1 without one
	Timestamp        int64 // ms: of the last batch or marker, as it was stamped
	Seen             int64 // ms: when the log last heard of the producer, by the broker's clock
	CoordinatorEpoch int32 // of the last marker, -1 without one
	Epoch            int16 // -1 when nothing was ever stored

	kept    int8
	batches [batchesKept]Batch // oldest first
}

func newEntry(id int64) Entry {
	return Entry{ID: id, TxnFirstOffset: -1, Timestamp: -1, CoordinatorEpoch: -1, Epoch: -1}
}

// Batches are the last batches of the current epoch, oldest first. The slice aliases the entry.
func (e *Entry) Batches() []Batch { return e.batches[:e.kept] }

// Last is the last batch of the current epoch.
func (e *Entry) Last() (Batch, bool) {
	if e.kept == 0 {
		return Batch{}, false
	}
	return e.batches[e.kept-1], true
}

// lastSequence is -1 when the producer has no batch in the current epoch.
func (e *Entry) lastSequence() int32 {
	if b, ok := e.Last(); ok {
		return b.LastSequence
	}
	return -1
}

// duplicate finds the batch that h repeats.
func (e *Entry) duplicate(h *record.Header) (Batch, bool) {
	if h.ProducerEpoch != e.Epoch {
		return Batch{}, false
	}
	for _, b := range e.Batches() {
		if b.FirstSequence() == h.BaseSequence && b.LastSequence == h.LastSequence() {
			return b, true
		}
	}
	return Batch{}, false
}

// enter moves to an epoch; the batches of another one mean nothing any more.
func (e *Entry) enter(epoch int16) {
	if e.Epoch != epoch {
		e.Epoch, e.kept = epoch, 0
	}
}

func (e *Entry) add(b Batch) {
	if e.kept == batchesKept {
		copy(e.batches[:], e.batches[1:])
		e.kept--
	}
	e.batches[e.kept] = b
	e.kept++
}
