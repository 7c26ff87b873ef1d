// Package client connects commands to a Kafka broker or a ZooKeeper server, ours or any other, and says what to do when it
// cannot.
//
// A Kafka or a ZooKeeper is a set of flags; Open connects, within the flags' timeout. What a command asks afterwards is bounded
// by the context that the caller derives from Context.
package client
