// Package group coordinates consumer groups: who is in a group, which partitions each member owns, and how far the group has
// read. All of it is kept in the partitions of the internal topic __consumer_offsets, in Apache Kafka's records
// (offsetlog), so that either kind of broker can take a partition over from the other.
//
// # The life of a request
//
// A group belongs to the partition that its id hashes to, and to the broker that leads it. FindCoordinator tells clients which
// that is. When this broker becomes leader (Elected) it reads the partition from its begin to its end in the background and
// gets a shard: the groups of the partition with one mutex. Until then requests for them are answered COORDINATOR_LOAD_IN_PROGRESS, after
// a short wait; without a shard, NOT_COORDINATOR.
//
// A handler runs on its connection's goroutine. It turns the request into an event for the group, a pure state machine (classic),
// and steps it under the shard's mutex:
//
//	handler: Join ─> shard.do ─> Group.Step ─┬─> replies: handed to whoever waits for them, on their goroutines
//	                                         ├─> writes: queued; the shard's writer appends them, acks=all, several
//	                                         │   in one append, and steps their groups with the outcome (Stored)
//	                                         └─> next deadline: into the one timer heap
//
// A handler whose answer is not there yet waits for it, for its connection's end or for the coordinator's. Writes are queued under
// the same mutex that their steps hold, so the log has the order of the steps; their outcomes come back in that order.
//
// When the leadership is lost (Resigned), the shard is dropped and everything parked is answered NOT_COORDINATOR. Its appends carry
// the leader epoch, so that what comes too late is refused by the log itself.
//
// # Goroutines
//
//	timers   one; sleeps until the earliest deadline of all groups, then sends ticks
//	expiry   one; every offsets.retention.check.interval.ms
//	load     one for each partition that is being loaded; loadsMax of them read at a time
//	writer   one for each shard that has something to write, gone when its queue is empty
//	deletion one for each TopicsDeleted
//
// Close ends and awaits them all. Handlers belong to their connections.
//
// # What is bounded
//
// Requests bound what waits: a connection has one at a time, and its writes are queued once. Handed-out member ids are bounded per group
// and time out; a group that nobody has joined and that has no offset is forgotten at once. What lies in the partitions, a value
// for each group and each of its offsets, is held in memory, as in Kafka: offsets.retention.minutes bounds it.
package group
