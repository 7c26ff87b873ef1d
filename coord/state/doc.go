// Package state owns the coordinator's state in memory: the machine of package fsm, the watches, and the lock around both.
//
//	Apply(index, term, entry)   the apply loop: one goroutine, in log order. Requests are applied in slices of 64 under the write lock;
//	                            after each request its watch events are fired and its outcome is given to the Sink, before anybody
//	                            can read the new state
//	View(fn)                    readers: any goroutine, under the read lock. A watch that belongs to a read is set inside fn, and the
//	                            answer is put into the connection's queue inside fn, so that no event comes before the answer that it
//	                            belongs behind, and none is missed
//	Checkpoint()                what changed since the last one, at the boundary of one entry, read out while Apply goes on
//	Restore(…)                  the state again, from the records of all checkpoints
//
// Locks, outermost first: whole (one entry, or the begin of a checkpoint), mu (machine), watchMu (tables), then whatever the Sink
// and the watchers take, which must be locks that nobody holds while calling into here.
//
// # Records
//
// A checkpoint's records are opaque to their store: bucket, key and value are bytes with versions and checksums of their own, laid out
// in the docs of packages tree and fsm. A value of nil deletes the key. A store keeps them by bucket and key and gives them
// back to Restore bucket by bucket in the order of Buckets, and by ascending key in a bucket.
package state
