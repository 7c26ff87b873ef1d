// Package cluster has `ottla cluster` and the tools of Apache Kafka that ask about brokers as a whole: kafka-cluster,
// kafka-broker-api-versions, kafka-features, kafka-log-dirs, kafka-leader-election and kafka-transactions.
//
// What both dialects show is read once, by functions that return plain structs; each dialect prints them in its own way. The
// texts of the kafka-* tools are those of 3.9, which internal/e2e compares on the same servers.
package cluster
