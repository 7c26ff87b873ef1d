// Package producer knows what one partition remembers of its producers: sequence numbers, so that a batch sent twice is
// stored once, and transactions, so that readers of committed data know how far they may read.
//
// It is pure: batches, offsets and times are arguments, and the snapshot is a byte slice. A State belongs to one log and is
// guarded by that log's mutex.
//
// # The life of a batch
//
// The log judges the batches of one append before anything is written, each on what the ones before it in the same append
// would leave behind: Stage. A batch that repeats one of its producer's last five is a duplicate and is answered with the
// offsets of the first time. Once the bytes are in the file, Stage.Commit makes it all true at once; when the write fails,
// Stage.Discard forgets it. A log that is loaded replays its batches with State.Replay, which judges nothing.
//
// # Transactions
//
// A transaction is open from its first batch until its marker. The last stable offset is the first offset of the earliest
// transaction that is open, or whose marker lies at or above the high watermark: until then the outcome may still be lost.
//
// # Snapshot, big-endian
//
//	 0 version int16 = 1
//	 2 crc uint32               CRC-32C of everything from 6 on
//	 6 count int32
//	10 entries of 46 bytes:
//	    0 producerId int64
//	    8 epoch int16
//	   10 lastSequence int32    -1 when the producer has only markers here
//	   14 lastOffset int64      -1 likewise
//	   22 offsetDelta int32     of the last batch: its last offset minus its first
//	   26 timestamp int64       ms
//	   34 coordinatorEpoch int32, -1 none
//	   38 currentTxnFirstOffset int64, -1 none
//
// Only the last batch of a producer is kept in the file; in memory the last five are.
package producer
