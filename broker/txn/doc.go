// Package txn gives producers their ids.
//
// An idempotent producer asks any broker for a producer id (InitProducerId without a transactional id) and numbers its batches under
// it. Ids are never given twice: the controller hands them out to brokers in blocks of 1000 (AllocateProducerIds), and a broker
// counts through its block. What is left of a block when the broker stops is lost, which is of no consequence with 2^63 of them.
//
// # The life of a request
//
// The handler runs on its connection's goroutine and takes the next id of the current block. At 90 % of the block a goroutine asks for
// the next one, so that a request hardly ever waits. If there is none, the request waits for a moment and is then answered
// COORDINATOR_LOAD_IN_PROGRESS, which clients retry.
//
// Transactions are not supported yet: a transactional id is answered with TRANSACTIONAL_ID_AUTHORIZATION_FAILED, which every client
// takes as final.
//
// # Goroutines
//
// One while a block is being asked for; it tries until it has one. Close ends and awaits it.
package txn
