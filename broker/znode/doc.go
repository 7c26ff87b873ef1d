// Package znode is Kafka's layout in ZooKeeper: the paths, the JSON in them, and the rules by which brokers and controllers
// write them, as Apache Kafka 3.9 does.
//
// # Layers
//
//	Client            one ZooKeeper session after the other, never two at once; which handler wants which path
//	  Session         one session: reads, writes, multi. Ends for good when the session does
//	    typed calls   Broker, Topic, PartitionState, Config, … (one file per noun)
//	Registrar         this broker's /brokers/ids node, in each session anew
//	ConfigChanges     the notifications below /config/changes
//
// A Session is what code holds on to when a write must not survive it: a controller elected in a session uses that Session
// until it resigns, so that nothing it still has to say can be said under the next one. Everything else asks the Client for
// the current session at each call.
//
// # The life of a session
//
//	Open -> connect -> Session published -> … -> server says expired (or Client.Close)
//	     -> the Session is dead: its connection can never be used again, its calls return ErrSessionExpired
//	     -> Hooks.Before in order of registration (the controller resigns)
//	     -> connect, names resolved anew, every second until it works -> Session published -> Hooks.After (register, elect)
//
// go-zookeeper carries requests that were queued under an expired session over into its next one, without an error. So a
// library connection lives for one session here: the dialer given to it refuses once the session is dead, which makes it
// impossible, whatever is queued, that a request reaches a server under another session.
//
// # Watches
//
// A handler is registered for a path once, and stays through all sessions. While there is one, each read of the path arms
// the one-shot watch if it is not armed. So the rule for users is the one of Apache Kafka: register, then read; after an
// event, read again; after a new session, read again. The library has a channel for each watch; nobody listens to those
// (they would pile up): the connection's event callback puts events into a queue, and one goroutine hands them to handlers.
//
// # What a lost reply means
//
// A request that was not sent is sent again once there is a connection, as is one whose answer was lost. A write may
// thereby happen twice, so a failure of the second attempt is not yet a failure: the node is read back, and if it is as this
// write would have left it, the write succeeded. Sequential nodes can be made twice; those who use them allow it.
//
// # Goroutines
//
//	keeper      one per Client: waits for the end of the session, runs the hooks, connects anew
//	dispatcher  one per Client: calls handlers
//	library     three per connection, ended by closing it
//
// Batch starts at most MaxInFlight goroutines for as long as it runs: go-zookeeper has a blocking call per request, and
// keeps as many requests on the wire as there are callers.
package znode
