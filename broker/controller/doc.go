// Package controller is the part of a broker that can be elected controller of the cluster, and the administration of topics.
//
//	Controller   elected through /controller; while in office it runs the planner on what happens in ZooKeeper and drives all
//	             brokers, this one included, with LeaderAndIsr, UpdateMetadata and StopReplica over the network
//	Topics       makes, grows and deletes topics by writing the znodes that the controller acts on. Any broker may
//	Handlers     CreateTopics, DeleteTopics, CreatePartitions, ControlledShutdown, AllocateProducerIds, ElectLeaders,
//	             ListPartitionReassignments, UpdateFeatures
//
// # The life of a topic's creation
//
//	CreateTopics -> validate -> Topics: /config/topics/T, then /brokers/topics/T
//	  ZooKeeper: children of /brokers/topics changed -> event queue -> term.topicsChanged: list, read the new nodes
//	  -> planner.Step -> writes: …/partitions, …/partitions/P, …/partitions/P/state, each multi[check /controller_epoch, create]
//	  -> planner.Step(Written) -> LeaderAndIsr, UpdateMetadata queued on each broker's channel
//	UpdateMetadata arrives here too -> local metadata has leaders -> CreateTopics answers
//
// # Goroutines
//
// One event loop per Controller. Watches, sessions, timers, answers of brokers and requests of handlers only put tasks into its
// queue; all state of a term is the loop's. A task reads ZooKeeper and waits for its writes, so the next one sees their effect.
// One goroutine per broker while in office: its peer.Channel.
//
// # Terms
//
// A term begins with winning the election in a session and ends with it: when the session expires, /controller names somebody
// else, or a write is refused because the controller epoch has moved on. All of a term's reads and writes go through that one
// session, and its writes through the fence, so nothing of it can come late. When a session expires the loop's queue is drained
// and the term ended before the next session is made.
package controller
