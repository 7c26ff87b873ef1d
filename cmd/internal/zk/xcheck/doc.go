// Package xcheck is a proxy between a ZooKeeper client and two servers that are to behave alike: it sends every request to both,
// answers with what the first one says, and reports where the second one differs.
//
//	client ──▶ proxy ──▶ A ──▶ client
//	              └────▶ B ──▶ compared with A's
//
// Requests of all clients go one at a time, the next when both servers have answered, so that both see them in one order. Of each
// connection the i-th answer of A is held against the i-th of B, the i-th event likewise, and how many answers came before it: an
// event has its place among them.
//
// What cannot be the same is mapped, and the mapping must hold: an id of a session, or a zxid, of A always stands for the same of B,
// zxids in the same order, and what a server says of the time of one zxid never changes. Passwords are looked at for their length.
// Lists that the protocol leaves unordered (children, ephemeral nodes, identities) are sorted. Nothing else is passed over.
//
// Not compared: four-letter words, which A answers; what servers do by themselves at a time of their own (sessions that expire,
// containers that vanish). A SASL login answers the challenge of one server, so it cannot go to both: such a connection is ended.
//
// Each connection has three goroutines: one reads the client and waits for the pair of answers, two read the servers. All are the
// Proxy's, which Serve ends.
package xcheck
