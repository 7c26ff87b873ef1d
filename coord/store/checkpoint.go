package store

import "iter"

// Record is one key of a checkpoint. The store knows nothing about what it means.
type Record struct {
	Bucket string
	Key    []byte
	Value  []byte // nil removes the key
}

// Header is what a checkpoint says about itself, written in the same transaction as its records.
type Header struct {
	// Index and Term name the last log entry that the records contain; 0 and 0 before the first checkpoint.
	Index, Term uint64
	// Conf is the members of the group at Index, as coord/ensemble encodes it; nil is the group of this member alone.
	Conf []byte
	// Meta belongs to the state machine: what is not a record, such as the last zxid.
	Meta []byte
}

// LoadFunc takes a checkpoint in. Load returns its error.
type LoadFunc func(h Header, records iter.Seq2[Record, error]) error

// Checkpoints keeps one checkpoint: the state at exactly one log index. Commit replaces it by a later one in one step: after
// a crash at any moment Load finds the old one or the new one. The real implementation is bbolt; tests put a file in its
// place. One goroutine at a time.
type Checkpoints interface {
	// Load calls fn with the header and the records, bucket by bucket in the order of their names and in the order of the keys
	// within; not at all if there is no checkpoint. A record is valid until the next one is asked for. An error among the
	// records means that the checkpoint cannot be read, and ends them; fn returns it. What Load gives out is durable, also if
	// the process that committed it died while it did: the log behind it is removed on the strength of it.
	Load(fn LoadFunc) error
	// Commit applies the changes, which come in the order of Load and each key once, and sets the header; it returns once both are durable. The slices of a record may be reused
	// by the iterator after the next one was asked for.
	Commit(h Header, changes iter.Seq[Record]) error
	Close() error
}
