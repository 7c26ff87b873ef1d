// Package group has `ottla group` and kafka-consumer-groups.
//
// Both look at groups through read.go: what the coordinators say of members, what is committed, and where the partitions end.
// The columns of kafka-consumer-groups are those of Apache Kafka 3.9, which peer_test.go compares on the same server.
package group
