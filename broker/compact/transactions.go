package compact

import (
	"cmp"
	"slices"

	"ottla/broker/commitlog"
	"ottla/broker/producer"
	"ottla/broker/record"
)

// transactions follows the transactions of a log that is read from its begin: which batches were aborted, and which markers have no
// batch of their transaction before them any more.
type transactions struct {
	aborted   []commitlog.AbortedTxn // to come, by first offset
	added     map[int64]bool         // by last offset, of those that were ever added
	aborting  map[int64]*abortion    // by producer: an aborted transaction whose marker is to come
	committed map[int64]bool         // by producer: a committed one with a batch that was read
}

type abortion struct {
	txn  commitlog.AbortedTxn
	seen bool // a batch of it was read
}

func newTransactions() *transactions {
	return &transactions{added: map[int64]bool{}, aborting: map[int64]*abortion{}, committed: map[int64]bool{}}
}

// add tells of aborted transactions that overlap with what comes. Those that are known already are passed over.
func (t *transactions) add(txns []commitlog.AbortedTxn) {
	for _, x := range txns {
		if !t.added[x.LastOffset] {
			t.added[x.LastOffset] = true
			t.aborted = append(t.aborted, x)
		}
	}
	slices.SortFunc(t.aborted, func(a, b commitlog.AbortedTxn) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
}

// upTo begins the aborted transactions that have begun at offset.
func (t *transactions) upTo(offset int64) {
	n := 0
	for ; n < len(t.aborted) && t.aborted[n].FirstOffset <= offset; n++ {
		x := t.aborted[n]
		if t.aborting[x.ProducerID] == nil {
			t.aborting[x.ProducerID] = &abortion{txn: x}
		}
	}
	t.aborted = t.aborted[n:]
}

// batch reads a batch of data, and says whether it was aborted.
func (t *transactions) batch(e *record.EntryInfo) (aborted bool) {
	t.upTo(e.LastOffset)
	if e.Magic < 2 || !e.Header.IsTransactional() {
		return false
	}
	if x := t.aborting[e.Header.ProducerID]; x != nil {
		x.seen = true
		return true
	}
	t.committed[e.Header.ProducerID] = true
	return false
}

// control reads a control batch. needless: it marks the end of a transaction of which nothing was read, or of none. aborted is the
// transaction, if it was one that readers must still know of.
func (t *transactions) control(e *record.EntryInfo, b []byte) (needless bool, aborted *commitlog.AbortedTxn) {
	t.upTo(e.LastOffset)
	if e.Header.Count == 0 {
		return true, nil // emptied before
	}
	m, ok := producer.ReadMarker(b)
	if !ok {
		return false, nil
	}
	id := e.Header.ProducerID
	if m.Type == record.Commit {
		had := t.committed[id]
		delete(t.committed, id)
		return !had, nil
	}
	x := t.aborting[id]
	delete(t.aborting, id)
	if x != nil && x.seen {
		return false, &x.txn
	}
	return true, nil
}
