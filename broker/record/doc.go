// Package record knows what a partition's bytes look like: record batches of magic 2, message sets of magic 0 and 1, and the
// four codecs inside both. It works over byte slices that its callers own; it opens no file, reads no clock and starts no
// goroutine.
//
// # The life of a produce
//
// Validate looks at what a client sent for one partition. A single batch of magic 2 that nothing forces open is checked by
// its header, its checksum and the lengths of its records, and is returned as it is, aliasing the request. Everything else
// (messages of magic 0 or 1, another compression.type) is read record by record and built anew as one batch of magic 2. The
// log then stamps it in place with SetBaseOffset and SetLeaderEpoch, which no checksum covers. On the way out a batch leaves
// as it lies in the file, unless the client is too old for its magic: DownConvert.
//
// # Batch of magic 2, big-endian
//
//	 0 baseOffset int64        stamped by the leader
//	 8 batchLength int32       bytes behind this field
//	12 partitionLeaderEpoch    int32, stamped by the leader
//	16 magic int8 = 2
//	17 crc uint32              CRC-32C of everything from 21 on
//	21 attributes int16        0-2 codec, 3 LogAppendTime, 4 transactional, 5 control, 6 delete horizon in baseTimestamp
//	23 lastOffsetDelta int32
//	27 baseTimestamp int64     ms
//	35 maxTimestamp int64      ms
//	43 producerId int64        -1 none
//	51 producerEpoch int16     -1 none
//	53 baseSequence int32      -1 none
//	57 recordCount int32
//	61 records                 compressed as a whole when a codec is set
//
// A record: varint length, int8 attributes, varlong timestampDelta, varint offsetDelta, varint keyLen (-1 null), key, varint
// valueLen (-1 null), value, varint headerCount, then per header varint keyLen, key, varint valueLen (-1 null), value. All
// varints are zig-zag.
//
// # Message of magic 0 and 1, big-endian
//
//	 0 offset int64
//	 8 size int32              bytes behind this field
//	12 crc uint32              CRC-32 (IEEE) of everything from 16 on
//	16 magic int8
//	17 attributes int8         0-2 codec, 3 LogAppendTime (magic 1)
//	18 timestamp int64         only magic 1
//	   keyLen int32 (-1 null), key, valueLen int32 (-1 null), value
//
// A compressed message is a wrapper whose value is a compressed message set. Inner offsets are absolute in magic 0; in magic 1
// they are relative, and the wrapper carries the offset of its last inner message. A wrapper's LogAppendTime overrides the
// timestamps inside.
//
// All three share their first 17 bytes' shape (offset, size, …, magic at 16), which is what lets one file mix them.
package record
