// Package ensemble turns batches of requests into one durable order, and feeds it to the state machine: raft over the
// write-ahead log of coord/store. A standalone server is a group of one voter on the same path.
//
// # The life of a batch
//
//	Propose (any goroutine)   puts it behind those that wait, wakes the loop
//	loop                      takes all that wait, packs them into entries of at most 256 KiB, steps raft, and writes what raft wants written:
//	                          one write and one fdatasync for the whole group. In a group of one this runs on the loop itself:
//	                          there is nobody to whom a heartbeat would be late
//	                          raft then knows the entries as stable, hence committed, and hands them out
//	apply                     gives each batch to Machine.Apply, in order; while it does, the loop writes the next group. A small entry with
//	                          nothing behind it is applied by the loop
//
// No timer holds a batch back: a group is whatever arrived while the group before was being written.
//
// # Goroutines
//
//	loop        owns the RawNode, the Log, the entry cache
//	apply       calls the Machine; starts a checkpoint when one is due
//	checkpoint  at most one: Store.Commit, then removes the log segments that are no longer needed
//
// All three end before Close returns. The first error of any of them stops the ensemble: Done is closed, Err tells it. After a failed
// write or fsync nothing is acknowledged any more, and nothing can be: only a restart knows what the disk holds.
//
// # What is where in an entry
//
// The data of an entry is a sequence of batches, each behind its length as a uvarint. The entry that opens a term is empty. The group's members
// at a checkpoint's index are in the checkpoint's header as raft's ConfState; without one the group is this member alone.
//
// # Memory
//
// Entries are kept in memory until they are applied. The loop takes no more batches while 64 MiB are not applied yet, and Propose
// blocks once 16 MiB wait behind that. At a start the log is read in pieces of 16 MiB.
package ensemble
