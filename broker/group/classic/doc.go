// Package classic is one consumer group of the classic protocol (JoinGroup, SyncGroup, Heartbeat, LeaveGroup, OffsetCommit) as a
// state machine. It does no I/O, starts no goroutine, reads no clock and rolls no dice: whoever owns a Group hands it events
// and the time, and carries out what Step returns.
//
// # States
//
//	         first join                 all joined, or time over           leader's assignment stored
//	Empty ------------> PreparingRebalance ----------> CompletingRebalance ---------------> Stable
//	  ^                    |          ^  ^                   |                                |
//	  +--------------------+          |  +-------------------+                                |
//	      nobody joined               |   a member joins anew, leaves or does not sync        |
//	                                  +-------------------------------------------------------+
//	                                     a member joins, leaves, fails; the leader joins again
//
//	Dead: gone from here, because it expired or another broker coordinates it. Nothing leads out of it.
//
// # The life of a join
//
// A Join carries a Ticket, the address of whoever waits for its answer. The group keeps the ticket in the member: the join is
// parked. When the last member has joined, or the rebalance timeout is over, the generation rises, the members vote for a
// protocol, and one Step answers all tickets; the leader's answer lists the members. Each member then sends a Sync, which is parked
// in the same way until the leader's has come and its assignments are in the log: Step returned them as a Write, whose outcome comes
// back as a Stored event. Commits of offsets are answered by the Stored of their Write too.
//
// A parked join or sync is answered exactly once: by what it waits for, by what makes it void (the member is removed, its
// instance id taken over, the group unloaded), or with REBALANCE_IN_PROGRESS when the same member asks again on another connection.
//
// # Timers
//
// The group keeps its deadlines itself: one per member (session), one per handed-out member id, one for the join phase, one for the
// sync phase. Next is a time at which the owner must send a Tick at the latest; early or needless ticks do no harm. A member whose
// join or sync is parked does not expire, except a new one, which has never got its member id and cannot send heartbeats: 5
// minutes.
package classic
