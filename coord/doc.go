// Package coord is the coordinator: a server that speaks ZooKeeper's protocol, put together from the packages below it.
//
//	config     zoo.cfg and its environment
//	server     listeners, connections, the pipeline of requests, four-letter words
//	ensemble   one durable order of requests: raft over the log; applies them to the state
//	state      the tree, sessions and watches, and the lock around them (tree, watch, fsm)
//	store      write-ahead log, checkpoint, recovery
//
// # The life of a write
//
//	connection -> server's proposer, which batches what waits -> ensemble: one entry, one write and fdatasync for all that
//	wait -> state.Apply: judged, applied, watch events queued, then the answer -> connection
//
// # Starting and stopping
//
// New does everything that can fail, in the order of its lines, and returns once all that was ever acknowledged is in memory; Serve
// only accepts. Close undoes it in the opposite order: clients away, the log drained and a last checkpoint made, files closed.
//
// The wall clock and the file system are fields of Options, so that a test can move the one and cut the power of the other.
//
// If the disk fails the coordinator stops: Serve closes everything and returns the reason. It must not go on, since nobody knows what a disk
// holds after a failed write, and the next start finds out.
package coord
