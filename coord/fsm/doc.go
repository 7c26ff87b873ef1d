// Package fsm is the coordinator's state machine: the tree and the sessions, changed by entries of the replicated log.
//
// An entry holds requests as they came from clients, not effects. Existence, versions, sequence numbers, access control, multi: all
// of it is judged when the entry is applied, on the state that all earlier entries left, and so in the same way on every member
// and again at replay. Whatever a judgement needs beside that state is in the request: the session and the stamp of the connection it
// came through, the identities that the connection had proven when the request was read, the wall clock, and the switches of the
// configuration that matter. Nothing here asks a clock, draws a random number or lets the order of a map reach state or answers.
//
// # Zxid
//
// epoch<<32 | counter. The first request of a newer raft term opens an epoch: epoch = max(epoch+1, term), counter 0. Then every request
// takes the next counter, failed ones included, as in ZooKeeper. A reattach, and an expiry or a reaping that came too late, take
// none.
//
// # Formats
//
// An entry:
//
//	version u8 = 1 | flags u8 | count u16 | incarnation u64 | first seq u64 | requests
//
// and each request:
//
//	length u32 of what follows | op i32 | session i64 | attach u32 | cxid i32 | time i64 (ms) | auth length u32 | auth | body
//
// flags are the rules by which the requests are judged: switches of the configuration of the server that proposed them, and what a version of
// this program brought that judges otherwise than the one before, so that an old entry has the outcome at replay that it had at first.
//
// body is the client's record, untouched; auth is pairs of jute strings, scheme and id. (incarnation, first seq + i) names a request for the
// server that proposed it. Integers are big-endian.
//
// A session's record, under its id as key: version u8 = 1 | password [16] | timeout i32 (ms) | attach u32 | crc32c u32.
// The meta record: version u8 = 1 | zxid i64 | term u64 | next ACL u32 | nodes, lists, sessions u64 | count u8 | count * (server id u8, last session id i64) | crc32c u32.
package fsm
