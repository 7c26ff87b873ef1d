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

// Checkpoints keeps one checkpoint: the state at exactly one log index. Commit replaces it by a later one in one step: after
// a crash at any moment Load finds the old one or the new one. The real implementation is bbolt; tests put a file in its
// place. One goroutine at a time.
type Checkpoints interface {
	// Load returns the header and passes every record to fn, bucket by bucket in the order of their names and in the order
	// of the keys within. The record's slices are valid until fn returns. An error of fn ends Load. Without a checkpoint the
	// header is zero and fn is not called. What Load returns is durable, also if the process that committed it died while it did:
	// the log behind it is removed on the strength of it.
	Load(fn func(Record) error) (Header, error)
	// Commit applies the changes and sets the header; it returns once both are durable. The slices of a record may be reused
	// by the iterator after the next one was asked for.
	Commit(h Header, changes iter.Seq[Record]) error
	Close() error
}
