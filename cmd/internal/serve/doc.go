// Package serve has the commands that run servers: up, coordinator and broker, and the start scripts of a tutorial.
//
// A server runs on the main goroutine until it fails or a signal comes. The first SIGINT or SIGTERM stops it within grace: the
// broker before its coordinator, since a broker hands its partitions over and closes its session there. The second signal has
// its usual effect, whatever still runs.
package serve
