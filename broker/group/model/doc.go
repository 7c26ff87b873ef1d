// Package model is what the protocol says of one consumer group (the classic protocol of JoinGroup, SyncGroup, Heartbeat, LeaveGroup,
// with static members of KIP-345, KIP-394, KIP-814, and offsets): which answers a coordinator may give to what it is asked. It was
// written from the protocol and the behaviour of Apache Kafka 3.9, and shares no code with the coordinator. Tests hold coordinators
// against it, ours and Apache's. It is pure: time is told to it, and what the protocol leaves open it is told too.
//
// # Use
//
// Whoever drives it asks a coordinator and the model the same, with a ticket for each request:
//
//	g.Advance(now)            timers that are over
//	g.Ask(ticket, request)
//	for o := range g.Take()   which tickets must be answered now, and how
//
// A request is a kmsg request, an answer a kmsg response. A join phase that ends is an outcome of its own: which member leads is the
// coordinator's choice where the last leader is not there, and only the answers tell the ids of new members. So they are all
// collected, and Began is told of them; until then the model stands still.
package model
