// Package planner decides what a controller does: which broker leads which partition, what is written to ZooKeeper, and what
// the brokers are told. It is pure: no clock, randomness, I/O or goroutine of its own, so a cluster's life can be replayed from
// a script (see testdata).
//
// # Step
//
//	plan := p.Step(event)        // Loaded, BrokersChanged, TopicsChanged, …
//	for len(plan.Writes) > 0 {
//		send plan.Requests; carry out plan.Writes, in any order
//		plan = p.Step(Written{results, in the order of the writes})
//	}
//	send plan.Requests
//
// Between a plan with writes and its Written there is no other event: the executor is a single loop. Requests never depend on
// writes of the same plan; those that do come with the next one. Requests to one broker are in the order in which they must
// arrive.
//
// # How it decides
//
// One rule, decide, says what a partition's state must be, given who is alive: elect a leader if there is none, take the dead
// out of the ISR, leave the rest alone. Every event changes what is known and then lets partitions settle: those whose state
// is not what the rule says are written by compare-and-set, and announced once that succeeded. A write that lost its
// compare-and-set comes back with what is stored; that is taken over and the rule asked again. So events need no bookkeeping
// of their own about partitions: being dead and alive again (a bounce) is two rounds of the same. Preferred elections and
// controlled shutdown have rules of their own, and the same way to settle.
//
// Deletion is the one procedure with a memory, per replica: see deletion.go.
//
// # One copy
//
// With Config.Replication false a new partition gets the first live replica as leader and only member of the ISR, whatever the
// assignment says: nobody would copy anything to the others.
package planner
