// Package perf has the tools of Apache Kafka that drive a broker to test or to measure it: kafka-verifiable-producer and
// -consumer, which print each step as a line of JSON, and kafka-producer-perf-test, kafka-consumer-perf-test and
// kafka-e2e-latency. `ottla bench` measures with less of a client in the way.
//
// Each command has one client of franz-go; a producer's callbacks run on goroutines of its own, so what they count and print is
// behind a mutex.
package perf
