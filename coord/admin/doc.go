// Package admin is the coordinator's HTTP rim: the AdminServer, whose commands answer in JSON as those of ZooKeeper 3.9 do, and the metrics for
// Prometheus under ZooKeeper's names.
//
//	GET /commands                 the names as links
//	GET /commands/NAME            JSON: the fields of the command, then "command" and "error", null or a text; status 200 also for an unknown name
//	GET /commands/snapshot        the data as a snapshot file of ZooKeeper; Authorization: SCHEME DATA of who has every right on the root
//	GET /metrics                  Prometheus' text format
//
// Neither matters to clients: a port that is taken is said in the log, and the coordinator goes on without. Each has its own port, or they share one
// if it is the same. Every request has a goroutine of net/http; Close ends them all.
package admin
