// Package network is the broker's front: listeners, connections, framing and the order of answers. What a request means it
// learns from the api.Registry alone.
//
// # The life of a request
//
//	client bytes -> conn.fill (pooled buffer) -> frame -> header -> Registry entry
//	  Handle: earlier answers are written, the handler runs here, its answer is appended to the output
//	  Sweep:  all whole requests of that API in the buffer run together; answers that are not there yet queue up
//	no whole request left -> one write of everything that was answered -> wait for bytes, holding no buffer
//
// A frame is
//
//	length int32 | key int16 | version int16 | correlation int32 | client id nullable string | [tags] | body     request
//	length int32 | correlation int32 | [tags] | body                                                            answer
//
// with tags (a compact map, skipped) in flexible versions; ControlledShutdown v0 has no client id, and ApiVersions answers
// never carry tags in the header. A frame that claims less than a header or more than socket.request.max.bytes, a header
// that does not parse, an API or version that is not registered: the connection is closed without an answer, as Apache
// Kafka does. Only ApiVersions of an unknown version is answered: version 0, UNSUPPORTED_VERSION, its own range.
//
// # Goroutines
//
//	acceptor   one per listener, from Start to Close
//	conn       one per connection: reads, runs handlers, writes. The only reader of its socket
//	drain      at most one per connection, alive only while answers of a sweep are pending; meanwhile the only writer
//	reaper     one per server: closes idle connections and those that hold memory without sending
//
// Server.Close waits for all of them.
//
// # Memory
//
// Buffers come in powers of two from pools, begin at 64 KiB and double as bytes arrive, whatever length a frame claims. A
// connection that waits for bytes, or whose handler waits, holds none or one just large enough. What exceeds the
// first 64 KiB of a connection is drawn from one budget for the broker (see budget), of which a part is kept for requests
// between brokers. Answers leave in pieces of at most 256 KiB.
//
// A write that makes no progress for the request timeout closes the connection.
package network
