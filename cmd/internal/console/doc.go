// Package console has `ottla produce` and `ottla consume`, and kafka-console-producer and kafka-console-consumer.
//
//	standard input -> lines (line.go: headers, key, value) -> producer -> broker
//	broker -> consumer -> format (format.go, the property names of Apache Kafka's formatter) -> standard output
//
// Both pairs share producer.go and consumer.go; they differ in options and in what they say. client properties, in Java's names,
// are translated in properties.go.
//
// A consumer prints what it read before it waits for more, and commits only what it has printed. SIGINT and SIGTERM end it: it
// commits, leaves its group and says how much it read.
package console
