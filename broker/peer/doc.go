// Package peer sends requests to other brokers, this one included: always over the network, so that a controller treats itself as
// it treats the others.
//
//	Channel      the controller's way to one broker: in order, one request in flight, each retried until it is answered or
//	             the channel is closed because the broker is gone
//	Controller   a broker's way to whoever is controller: AllocateProducerIds, ControlledShutdown
//
// Versions are fixed by inter.broker.protocol.version 3.4 and later (LeaderAndIsr 7, UpdateMetadata 8, StopReplica 4,
// ControlledShutdown 3): receivers expect these without ApiVersions before them. AllocateProducerIds does negotiate.
//
// A Channel has one goroutine, which ends with Close. A Controller has none.
package peer
