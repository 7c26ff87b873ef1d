// Package zkdata reads and writes the data of Apache ZooKeeper: the snapshots and transaction logs of a version-2 directory.
//
// Read does what a ZooKeeper does at its start: it takes the newest valid snapshot, which is fuzzy (written while the tree changed), and
// replays the logs from there so that what the snapshot already holds does no harm; then it drops the ephemeral nodes of sessions
// that have ended. WriteSnapshot makes a file that ZooKeeper 3.5 to 3.9 start on.
//
// Everything here is decoded within the bounds of the file, whatever it holds. The package starts no goroutine and writes no file but the
// one that it is given.
//
// # Files
//
// Integers are big-endian, strings and buffers jute's: length i32 (-1 is null), bytes.
//
//	snapshot.ZXID   "ZKSN" version i32 (2) dbid i64 (-1)
//	                sessions i32 | (id i64, timeout i32)*
//	                lists i32 | (number i64, ACL vector)*
//	                (path, data, list i64, czxid mzxid ctime mtime i64, version cversion aversion i32, owner i64, pzxid i64)*, "/"
//	                seal | zxid i64, digest version i32, digest i64, seal | last zxid i64, seal
//	log.ZXID        "ZKLG" version i32 (2) dbid i64
//	                (Adler-32 i64, entry, 'B')*, zeros
//
// ZXID is in hex: in a snapshot's name the last transaction applied before the snapshot began, in a log's its first. The path of the root is
// "". A seal is the Adler-32 of everything before it as i64, and "/"; what follows the first one is newer than version 3.5 (digest) or 3.8
// (last zxid) and may be missing. A snapshot may be compressed as a whole, which .gz or .snappy in its name say. An entry is
//
//	session i64, cxid i32, zxid i64, time i64 (ms), type i32 | record | digest version i32, digest i64 (since 3.6)
package zkdata
