// Package quota decides what a client may use: bytes produced and fetched a second, a share of the request threads' time,
// changes of topics, new connections. It is policy alone: time is an argument, nothing here waits, and callers delay whom it
// says to delay (KIP-13, 55, 124, 219, 599, 612).
//
// # Whose quota
//
// Limits stand below /config in ZooKeeper. Of those that match a client, the first counts:
//
//	users/<user>/clients/<client-id>         one sensor per user and client id
//	users/<user>/clients/<default>           likewise
//	users/<user>                             one for all clients of the user
//	users/<default>/clients/<client-id>      one per user and client id
//	users/<default>/clients/<default>        likewise
//	users/<default>                          one per user
//	clients/<client-id>, clients/<default>   one per client id, whoever the user
//
// A Limits is an immutable set of them; a Table holds the one in force and swaps it whole.
//
// # How it is measured
//
// A Rate sums what happens in samples of quota.window.size.seconds, quota.window.num of them, and divides by the time that
// they cover. A client above its limit waits for as long as it takes the average to come back, (rate - limit) / limit * window,
// so that the throttle times that clients are told agree with Apache Kafka's to the millisecond. Changes of topics are counted
// in a token Bucket instead, since a single request may be larger than a whole window.
//
// Sensors come into being with the first request of a limited client; one whose samples have all expired is the same as none
// and is dropped, and there are at most sensorsMax of a kind, whatever client ids are made up.
package quota
