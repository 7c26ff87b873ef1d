// Package commitlog is one partition's log on disk, in Apache Kafka 3.9's files to the byte: segments, their indexes, leader epochs,
// the snapshots of its producers; appending, reading, rolling, retention, truncation and recovery.
//
// # The life of an append
//
//	Append  judges each set's producers on staged state, stamps offsets and leader epoch into the bytes, writes all sets with one
//	        call behind the active segment's end (rolling first if they do not fit), and publishes: the segment's size, its
//	        indexes, the producers' state and first unstable offset, the log's end. All under the log's one mutex.
//	Sync    for who must not answer before the disk has it (flush.messages): one fdatasync for everybody who waits, without the mutex.
//	Flush   every few seconds by logdir: index files, then the sync, then the recovery point.
//
// # The life of a read
//
// Read takes no lock. It loads the log's end, then the immutable list of segments, finds the segment, and in it two positions: where
// the batch with the offset begins, and where what may be read ends. Both are often known without touching a file (tail); else an
// index entry leads near, and the headers of a few batches behind it are read. What comes out is a Slice: a region of a file, which
// a reference keeps open. A log that is truncated meanwhile gets another generation, and the slice is not Valid any more.
//
// Indexes of the active segment are in the heap and go to their files when the log is flushed, rolled or closed, in one write each: an
// entry costs 3 ns there and 1.2 us as a write of its own. Those of sealed segments are read from their files, through a small cache
// of pages; segments that are read often keep their descriptors in the same Cache. So a log holds one descriptor, and neither a
// goroutine nor a timer. RequestSync starts a goroutine, which lives for as long as somebody waits for it.
//
// # Cleaning
//
// Package compact decides what survives in a compacted log. Here it reads sealed segments (Sections, Cleaning.Entries) and writes what
// is left into a Replacement, which Swap puts in their place as swap.go tells. Readers of what was replaced keep its files; who comes
// later finds the new ones. When segments were deleted or truncated meanwhile, the swap is refused, and tried again another time.
//
// # Locks
//
//	cleaning  one Cleaning at a time; Close waits for it
//	flushing  one Flush, Truncate, retention, swap or Close at a time; held around their file calls
//	renames   held by a swap around its renames, shared by whoever opens a sealed segment's file by its name
//	mu        writers; held around the write and around a roll's file calls, never around a sync of records
//	unstable  the transactions that hold the last stable offset back; never held around a file call but in a truncation
//	syncGroup.mu, writtenIndexes.mu, names   inside of both
//
// # Files
//
// All integers are big-endian. NNN is the base offset, 20 digits.
//
//	NNN.log        batches one after the other (package record), formats 0, 1 and 2 mixed
//	NNN.index      entries of 8 bytes: offset - base int32, position int32. Written for the first batch that begins more than
//	               index.interval.bytes behind the last indexed one: its last offset, its position
//	NNN.timeindex  entries of 12 bytes: timestamp int64 (ms), offset - base int32. Beside each entry of the index, the greatest
//	               timestamp so far if it has grown, and the last offset of the batch that had it; always once more at the end
//	NNN.txnindex   entries of 34 bytes, one for each aborted transaction, in the segment of its marker: version int16 = 0,
//	               producerId int64, firstOffset int64, lastOffset int64 (the marker), lastStableOffset int64 (behind it)
//	NNN.snapshot   state of the producers before offset NNN (package producer)
//	leader-epoch-checkpoint   text: 0, count, then "epoch startOffset" a line
//	partition.metadata        text: "version: 0", "topic_id: …"
//
// For example, the indexes of a segment with base 90 whose batch [93, 95] begins at byte 1541 with the timestamp 1700000003040:
//
//	.index      00000005 00000605
//	.timeindex  0000018bcfe9fbe0 00000005
//
// # What is believed after a crash
//
// Index, then sync, then recovery point: segments below the recovery point are synced with their indexes and are not looked into. In
// the segment of the recovery point, index entries below it are kept as far as they rise and lead to the batch that they claim; from
// there on headers are read, from the recovery point on checksums are compared too, and the file is cut behind the last whole batch;
// later segments are removed. All of it is synced before it is shown.
package commitlog
