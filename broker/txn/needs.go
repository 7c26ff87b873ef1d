package txn

import "context"

// Block is a run of producer ids that belongs to this broker alone: First, First+1, … First+Count-1.
type Block struct {
	First int64
	Count int32
}

// Allocator gets blocks of producer ids from the controller (AllocateProducerIds). One call is in flight at a time.
type Allocator interface {
	// AllocateProducerIDs returns a block that nobody else ever gets. It fails when the controller cannot be reached or
	// refuses; the caller tries again later.
	AllocateProducerIDs(ctx context.Context) (Block, error)
}
