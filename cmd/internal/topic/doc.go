// Package topic has `ottla topic` and kafka-topics.
//
// kafka-topics with --bootstrap-server asks a broker, as Apache Kafka's tool of 3.9 does; with --zookeeper it reads and writes
// the znodes itself, as that of 2.8 did, and the controller notices. The texts of both are those of the Apache tools, which
// peer_test.go compares on the same server.
package topic
