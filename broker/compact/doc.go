// Package compact is the cleaner of compacted logs: of each key it keeps the last record.
//
//	policy        pure: which part of a log is dirty, which log is worth cleaning next
//	OffsetMap     pure: the last offset of each key, by hash, in bounded memory
//	transactions  pure: which batches belong to aborted transactions, which markers nothing needs any more
//	filter        pure: what is left of one batch
//	clean         one round over one log
//	Cleaner       the threads, their memory and their pace
//
// # A round
//
//	take the log with the greatest share of dirty bytes (above min.cleanable.dirty.ratio, or older than max.compaction.lag.ms)
//	-> read its dirty part, from the checkpoint up to the first segment that must be left alone: the active one, one that reaches
//	   beyond the last stable offset, one that is younger than min.compaction.lag.ms; note the last offset of each key, until
//	   the map is full
//	-> rewrite all segments below that, several small ones into one: of each batch what survives, whole batches as they are
//	-> commitlog swaps each group in (package commitlog, swap.go) -> cleaner-offset-checkpoint
//
// Offsets never change, and what is left of a batch keeps its range of offsets and its sequence numbers. A batch that holds the last
// sequence of a producer stays as a header when its records are gone, and so does the last one of the part that was cleaned.
//
// # Deletions
//
// A record without a value marks its key as deleted. When such a batch is cleaned for the first time, its header gets a delete horizon:
// now plus delete.retention.ms. A round after that drops the mark. Markers of transactions whose records are all gone go the same
// way. In batches of formats 0 and 1, which have no room for a horizon, marks go with segments that were last written
// delete.retention.ms before the last cleaned one.
//
// # Memory
//
// log.cleaner.dedupe.buffer.size bounds the maps of all threads together, 24 bytes for a key. A map is made when there is something to
// clean, as large as that needs, and let go when the thread idles.
//
// # Goroutines
//
// log.cleaner.threads of them, owned by Cleaner; a log is cleaned by one at a time. A log that is closed or deleted waits until the
// cleaner has noticed, which is within one buffer's work.
package compact
