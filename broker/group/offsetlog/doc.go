// Package offsetlog knows what lies in the partitions of __consumer_offsets: the keys and values of its records, and how a
// partition's records add up to groups and offsets. It does no I/O.
//
// # Keys
//
// A key begins with an int16 version, which says what it is a key of:
//
//	0, 1   group string, topic string, partition int32      an offset commit; 1 is written
//	2      group string                                     a group's metadata
//	3 …    records of later group protocols, skipped
//
// # Values
//
// A value begins with an int16 version of its own. A null value is a tombstone: the offset, or the group, is gone.
//
//	offset  0  offset int64, metadata string, commitTimestamp int64
//	        1  0, then expireTimestamp int64                written when the client asked for a retention time
//	        2  as 0
//	        3  offset int64, leaderEpoch int32, metadata string, commitTimestamp int64        written otherwise
//	        4  3 with compact strings and tags
//	group   0  protocolType string, generation int32, protocol and leader nullable string, members
//	        1  members with rebalanceTimeout int32 before sessionTimeout
//	        2  currentStateTimestamp int64 behind leader
//	        3  members with groupInstanceId nullable string behind memberId                   written
//	        4  3 with compact strings and tags
//
// A member is memberId, [groupInstanceId,] clientId, clientHost strings, [rebalanceTimeout int32,] sessionTimeout int32,
// subscription bytes, assignment bytes. Times are milliseconds since 1970. Strings have int16 lengths, bytes and arrays int32.
//
// For example, the offset 5 of leader epoch 0 that group "g" committed for partition 0 of "t" without metadata:
//
//	key    00 01  00 01 67  00 01 74  00 00 00 00
//	value  00 03  00 00 00 00 00 00 00 05  00 00 00 00  00 00  00 00 01 92 …
//
// The versions that are written are those of Apache Kafka 3.9, byte for byte, so that its brokers take partitions over.
package offsetlog
