// Package server speaks ZooKeeper's protocol to clients: connections, sessions' clocks, the way of a request through the pipeline,
// and the four-letter words.
//
// # Life of a request
//
//	read    connection's goroutine: frame -> decode -> View: judge, register the watch, append the answer to the out-queue ->
//	        when no whole request is left in the buffer, one write
//	write   connection's goroutine: frame -> entry in the connection's waiting queue -> proposer's batch
//	        proposer: whatever waits becomes one batch -> Log.Propose
//	        apply loop (the log's goroutine): state.Apply -> events to the out-queues -> Applied: answer to the out-queue ->
//	        Released: wake the connection's writer
//	        connection's writer: one write of everything queued
//
// A read behind a write of its own connection waits in that connection's queue and is run by the apply loop right after that write, so
// requests of one connection are executed and answered in their order; it never waits for anybody else's. Only auth and sasl are answered
// at once. The apply loop never blocks and touches no socket.
//
// # Goroutines
//
//	Serve             one per listener, the caller's
//	conn.serve        one per connection; owns decoding and proven identities; writes what it answered itself
//	conn.writeLoop    one per connection with a session; writes what the apply loop queued
//	proposer.run      one; calls Log.Propose
//	clock.run         one; expires sessions, reaps containers and nodes with a time to live
//
// Close ends and waits for all of them.
//
// # Identities
//
// A connection begins with its address (ip), and with the name in its certificate if the TLS handshake brought one (x509). Auth packets and
// SASL exchanges add to them; they are answered at once, and count for the requests behind them. The connection's goroutine owns the list;
// each write takes it into the log, where it is judged. With EnforceAuth nothing else is answered before one of the wanted schemes is there.
//
// # Limits
//
// A frame may claim MaxFrame bytes; memory follows what arrived. A connection with more than 4 MiB of answers that its client
// did not take is not read until they are gone; one to which events pile up to 64 MiB is closed, its session lives on. Above
// GlobalOutstandingLimit requests in flight, only connections without one are read. The proposer's batch is bounded and makes
// connections wait. A connection may wait with 128 reads behind its writes, and prove 64 KiB of identities. LargeRequests and ConnectThrottle,
// both off at first, close connections that go beyond. What takes longer than SessionlessTimeout to become a session is closed, a TLS
// handshake included.
//
// # Locks
//
// state's locks, then conn.mu, clock.mu or proposer.mu, which are never held together and never while calling into state or the log.
package server
