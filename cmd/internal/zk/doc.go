// Package zk has `ottla zk`, zookeeper-shell and zkCli.
//
// `ottla zk` speaks as our other commands do. zkCli prints what the command-line client of ZooKeeper 3.9 prints, and zookeeper-shell
// what Kafka's copy of that of 3.8 prints, to the letter as far as scripts look at it: tests of internal/e2e compare them.
//
// `ottla zk lock` follows the lock recipe that all ZooKeeper libraries share:
//
//	PATH/_c_GUID-lock-NNNNNNNNNN   ephemeral, sequential: one for each contender
//	the lowest number holds the lock; each other contender watches the one before it
//
// The lock is lost when the session may be: when the server says that it expired, when there was no connection for as long as
// the server may take to notice, and when somebody deleted the node. Then the command that runs under it is ended.
package zk
