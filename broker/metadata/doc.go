// Package metadata is what this broker knows of the cluster: live brokers with their addresses, the controller, and each
// partition's leader, ISR and replicas.
//
// The controller's UpdateMetadata requests are the only source. Each becomes a new immutable Image that replaces the old one
// in one atomic step, so a reader loads one pointer and sees one moment of the cluster, without a lock:
//
//	UpdateMetadata -> Updater: fence by broker epoch and controller epoch -> Store.Apply: copy what changes -> swap
//	             -> wake those who wait for a topic to appear or vanish (CreateTopics, DeleteTopics, …)
//	Metadata, DescribeCluster -> Query: load the image -> answer; unknown topics go to auto-creation
//
// The package starts no goroutine.
package metadata
