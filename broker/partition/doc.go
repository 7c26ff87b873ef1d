// Package partition is one replica of one partition on this broker: which role it has, how far its records are committed,
// and who waits for that.
//
//	Acks       pure: ISR, ends, epochs -> high watermark; on the leader only
//	Partition  role + Acks + commitlog.Log + the keys at which produces and fetches wait
//
// # An append
//
//	Append (role held shared: leadership cannot change under it) -> leader? enough replicas? -> commitlog.Append
//	  -> Acks.Appended -> high watermark -> published (log, then atomic) -> fetches and produces woken
//	acks=1 waits for nothing, or for the group fsync (flush.messages); acks=all for the high watermark
//
// # Durability precedes visibility
//
// With flush.messages=1 this replica counts itself in the high watermark with its synced end, so that no reader sees a record
// that a power cut could take back. commitlog syncs on its own goroutine and calls back (Log.OnSynced), which advances the
// high watermark.
//
// # Locks
//
// Partition.role is taken before Partition.mu; commitlog's mutex below both. Readers take none: role and high watermark are
// atomics. Published in the order end, last stable offset, high watermark and read in the reverse one.
//
// The package starts no goroutine.
package partition
