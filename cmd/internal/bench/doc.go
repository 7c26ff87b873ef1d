// Package bench has `ottla bench`: load and latency of any Kafka or ZooKeeper server.
//
// Requests are laid out before the run and sent over plain connections, several outstanding on each, so that the server is
// measured and not a client: franz-go and go-zookeeper spend more time on a small request than a server does.
//
// # Closed and open loop
//
// In a closed loop a connection keeps its number of outstanding requests: the answer to one lets the next go. The server sets
// the pace, and a stall delays few requests, so percentiles flatter it. In an open loop (--rate) requests have fixed times, and
// latency counts from the time at which a request was due, sent or not: a stall costs every request that it delayed.
//
// # Goroutines
//
//	pipe.run: one sender and one receiver for each connection; one goroutine for both with one request outstanding
//
// A pipe ends by itself: the sender at the end of the run, the receiver when all is answered, or some seconds later.
package bench
