// Package dataplane serves the records: Produce, Fetch, ListOffsets, DeleteRecords, OffsetForLeaderEpoch and DescribeProducers. It finds partitions through Replicas, says where
// others are through Metadata, and leaves files to partition and commitlog.
//
// # A produce
//
//	network hands over all whole requests that one read brought
//	-> each decoded in place (requests alias the connection's buffer, nothing is copied)
//	-> each partition of each judged: known? hosted? leader? record.Validate
//	-> grouped by partition, one partition.Append each: one write of the log for all of them
//	-> each request an answer of its own: there now (acks=1), or pending at its partitions' Produces key until acknowledged
//
// # A fetch
//
//	decode -> session (KIP-227) -> read plans of all partitions within the byte limits
//	-> too little: a purgatory.Waiter at the partitions' Fetches keys, its condition over memory only; then plan again
//	-> answer: header bytes with cuts in them, at each cut a region of a log file (or converted records)
//	-> network streams it; Close releases the regions and gives everything back to the pool
//
// An answer's header is one buffer; the records are never in memory, except when a client of old (Fetch 0-3) needs them
// converted: then at most convertPartitionMax a partition and convertMax an answer. Converted sets are sent as the exact bytes.
//
// Every answer names every topic and partition that was asked for, also when there is nothing to say: kafka-node counts down
// before it compares and never comes back from an empty list. Only an incremental fetch leaves out what has not changed.
//
// # Allocation
//
// Requests, answers and their scratch space are pooled; a produce or fetch of one partition makes fewer than ten objects,
// whatever the size of its batches (see the benchmarks).
//
// The package starts no goroutine.
package dataplane
