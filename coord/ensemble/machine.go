package ensemble

import (
	"iter"

	"ottla/coord/store"
)

// Machine is the replicated state machine: what the log is for.
//
// The calls come one after the other, never two at once, but not all from the same goroutine; the iteration of a Snapshot runs beside them. They
// may block (the log then fills
// up behind them and Propose waits), but must not call back into the Ensemble.
type Machine interface {
	// Apply judges one batch and returns how many transactions it held, which is what the checkpoint trigger counts. Batches
	// come in log order, each as it was given to Propose; several may have the same index, because batches that waited
	// together are one entry. A nil batch is the entry with which a leader opens its term: it changes nothing, but the term
	// counts. The machine may keep the slice, not change it. An error means that the batch cannot be understood: the ensemble
	// stops.
	Apply(index, term uint64, batch []byte) (txns int, err error)
	// Snapshot returns what has changed since the previous Snapshot, as of now. The records are read by another goroutine,
	// once, while Apply goes on, and must not show what is applied meanwhile. If a checkpoint fails the ensemble stops, so
	// there is no way back to the set of changes before.
	Snapshot() (Snapshot, error)
}

// Snapshot is a state at one moment, told as the difference to the one before.
type Snapshot struct {
	// Meta goes into store.Header.Meta.
	Meta []byte
	// Changes yields every changed record once; sorted by bucket and key. A record need only be valid until the next
	// one is asked for.
	Changes iter.Seq[store.Record]
}
