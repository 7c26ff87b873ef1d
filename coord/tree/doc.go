// Package tree holds the znodes: a trie with one map of children per parent, the table of access control lists, and the
// bookkeeping that lets a checkpoint write only what changed.
//
// It knows what a change does to a node and its parent, and how to take a change back; it does not know when a change is
// allowed. Zxids and times come with each call. There is no lock, clock, goroutine or I/O in it: the owner (package state) lets one
// writer or many readers in.
//
// # What changes what
//
//	create N   N: czxid = mzxid = pzxid = zxid, ctime = mtime = time, versions 0. Parent: created += 1, pzxid = zxid
//	delete N   parent: pzxid = zxid
//	set data   mzxid = zxid, mtime = time, version += 1
//	set ACL    aversion += 1
//
// Clients see cversion = 2*created - children, which is creations plus deletions; the number of a sequential node is created
// alone. created stops at 2147483647.
//
// # Checkpoints
//
// Each node carries the generation in which it was last changed. BeginCapture closes the generation; the capture then encodes its
// nodes slice by slice while the writer goes on, and the writer encodes a captured node itself before it changes it. So the
// records of a capture are the tree at the moment of BeginCapture.
//
// A node's record, under its path as key:
//
//	version u8 = 1 | flags u8 (1: data is null) | acl u32 | czxid mzxid pzxid ctime mtime i64 | version created aversion i32 |
//	owner i64 | data... | crc32c u32 of the key and everything before
package tree
