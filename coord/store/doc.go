// Package store keeps what the coordinator must not lose: a write-ahead log, and a checkpoint of the state at one exact log
// index. It deals in opaque bytes; coord/ensemble says what an entry is, coord/state what a checkpoint record is.
//
// # The life of a write
//
// coord/ensemble hands a group of entries to Log.Append: one write at the end of the active segment and one fdatasync, after
// which the entries are committed (in a group of one), applied and acknowledged. Nothing is acknowledged before that fdatasync.
// When enough log lies behind the last checkpoint, what has changed since goes into Checkpoints.Commit, a file with the log
// index in it, and Log.Compact drops the segments that it covers. Then Merge brings the file into state.db, in small transactions
// with pauses between them. A start loads the checkpoint, the file over state.db if there is one, and reads the log behind it.
//
// The package starts no goroutine. Log belongs to one goroutine (the raft loop), Checkpoints to one at a time.
//
// # Files
//
//	DIR/lock                    excludes a second server
//	DIR/meta                    format version, cluster id, member id; text, written once
//	DIR/state.db                the checkpoint, absent before the first
//	DIR/delta                   its continuation, until it is merged; a backup takes both, from a stopped coordinator
//	LOGDIR/log/XXXXXXXXXXXXXXXX.wal   segments, named by their first index in hex; preallocated to 64 MiB, sparse at first
//
// A segment is a sequence of records, each beginning at a multiple of 8, followed by zeros. Integers are little-endian:
//
//	 0  crc32c  u32   of everything behind it, padding excluded
//	 4  length  u32   of the payload
//	 8  kind    u8    1 segment, 2 hard state, 3 entry, 4 membership entry
//	 9  zero    [3]u8
//	12  synced  u32   offset in this file up to which everything was durable when this record was written
//	16  term    u64   of the entry; of a hard state: the current term; of a segment: the term of the entry before its first
//	24  index   u64   of the entry; of a hard state: the commit index; of a segment: the index of its first entry
//	32  payload       then zeros up to a multiple of 8
//
// The payload of a hard state is the vote (u64). That of a segment, always the first record of its file:
//
//	"OTTLAWAL"  version u32 (1)  crc32c of the last record of the previous segment u32 (0 if none)
//	cluster id u64  hard state at this point: term u64, vote u64, commit u64
//
// One entry of 5 bytes, 0x68656c6c6f, term 2, index 7, written when the file was durable up to offset 80:
//
//	crc crc crc crc 05 00 00 00 03 00 00 00 50 00 00 00
//	02 00 00 00 00 00 00 00 07 00 00 00 00 00 00 00
//	68 65 6c 6c 6f 00 00 00
//
// # Torn or damaged
//
// A power cut may leave the last group in any mixture of old and new sectors. That group was never acknowledged, and is cut.
// A bad record further forward is damage: somebody was told that it is safe. The synced field tells the two apart. Let X be
// the offset of the first record that is not valid. If any valid record behind X was written when the file was durable beyond
// X, or if there is a valid next segment, then X was durable once: the start is refused with the file, the offset and the
// ways out. Otherwise what lies behind X is an unfinished group; it is zeroed and a line in the log says so. What is left in
// doubt is damage to the very last group, which looks like one that was never finished.
//
// # Syncs that an acknowledgement depends on
//
//	append       fdatasync of the active segment after each group with entries, or with a new term or vote
//	new segment  fdatasync of the full one if its last hard state is not yet durable; sync of the directory after creating
//	             the next one, before its first group is acknowledged
//	recovery     fdatasync of the last segment, since the previous process may have died between write and sync, and what is
//	             read from the page cache will be shown to clients; sync of its directory, and of the data directory for meta, for
//	             the same reason
//	first start  meta: the file, its directory; the directories made for it
//	checkpoint   delta: the file, then its directory after it was renamed: from then on the log before it may go. A merge needs no order
//	             but its own: delta goes after the last transaction, and one that comes back is recognised by its index
//	restart mark sync of the directory after the mark was removed, or it would discard what is written afterwards
//
// A failed write or sync is final: the Log refuses everything from then on, since the kernel may report success next time for
// pages that it dropped.
package store
