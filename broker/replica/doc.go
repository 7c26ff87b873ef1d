// Package replica is the table of the partitions that this broker hosts, and the two requests by which the controller changes it.
//
//	LeaderAndIsr -> fence -> per partition: accept by leader epoch and topic id -> log made if missing -> role set
//	             -> the table is swapped once -> coordinators learn of internal partitions won and lost
//	StopReplica  -> fence -> per partition: accept by leader epoch -> deleted: taken out, closed, directory renamed away
//
// One controller request runs at a time, under the table's mutex; produces and fetches look partitions up in an immutable map
// behind one atomic pointer and never wait for it.
//
// The package starts no goroutine. It closes partitions, and leaves logs to logdir, which owns them.
package replica
