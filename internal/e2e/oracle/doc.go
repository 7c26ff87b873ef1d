// Package oracle sends the same requests to our broker and to Apache Kafka 3.9 and compares the answers field by field. What the two
// answer is the specification; where ours differs on purpose, testdata/differences.txt says so with the reason.
//
// # The life of a request
//
//	a script (by hand, recorded, or generated from a seed) -> built for each of the two with what that one answered before (topic ids,
//	member ids, sessions) -> sent to both at once -> both bodies decoded -> made comparable -> differences, field by field
//
// Comparable means: ids that a server invents are numbered in the order in which they appear, times of now and the server's own
// address and directory are replaced by a word, and arrays whose order means nothing (orderFree) are sorted. Nothing else. Where
// nothing had to be replaced or sorted the two bodies must be equal to the byte.
//
// Both brokers are number 0 of clusters of their own on one coordinator, with the same configuration and the same past: a script that
// makes a topic makes it on both.
package oracle
