// Package sim runs the assembled coordinator against a virtual clock and a disk that fails, crashes it anywhere, and checks all that its
// clients saw. A seed decides everything; the same seed gives the same trace to the byte.
//
// # How a run is deterministic
//
// The server is the real one, with its goroutines, in a bubble of testing/synctest. The simulation does one thing at a time: it sends one
// request, lets one sync of the disk end, cuts the power at one operation of the disk, or moves the clock; then it waits until every
// goroutine is blocked. What clients received meanwhile is the next piece of the trace. Randomness of the server comes from the seed
// (testing/cryptotest), its connections are pipes, and its disk is internal/fs.Crash under internal/fs.Faulty. bbolt's place is taken by a
// file that is replaced atomically: a commit of it happened or did not.
//
// # What is checked
//
//	order     the zxid of every answer decides when it happened: a write at its zxid, a read behind the last write that its header names.
//	          In that order coord/coordtest/model must give the same answer, stat and times included.
//	events    each connection receives exactly the events that the model predicts, in the order of the writes, and each before any
//	          answer that shows its write
//	crashes   behind a crash the whole tree is read: it must be what the acknowledged writes make, followed by some of those that were
//	          under way, of each connection the first ones, in some order
//	sessions  go on after a crash; an ephemeral node is there as long as its session and not longer
//	history   operations on single nodes are linearizable (porcupine), across crashes
package sim
