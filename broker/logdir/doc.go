// Package logdir owns the broker's log directories (log.dirs): their locks, their identity, the checkpoints, and which partition's
// log lies in which of them.
//
// # The life of a directory
//
// Open makes and locks it and reads meta.properties, before the broker knows its cluster. SetMeta compares that with the cluster and
// broker id found since. Load opens all logs in it, several at a time: if .kafka_cleanshutdown is there, nothing is scanned; the file
// is removed first, durably, so that a crash from then on is seen as one. Then the directory works until Close, which flushes all
// logs, writes the checkpoints and, last, .kafka_cleanshutdown.
//
// A directory in which a write or a sync failed is offline for good: its logs stop, its partitions are remembered as offline, and
// the others go on. It is tried again when the broker restarts.
//
// # Who runs
//
// One goroutine for each directory does all that is due in it: every few seconds the flush of each log that grew, then the
// checkpoints (so that what recovery-point-offset-checkpoint promises is already durable), and now and then retention. Directories
// do not wait for each other's disks. Loading, flushing and closing many logs take some goroutines more for as long as they last, since
// syncs that come together share a journal commit. Close awaits all.
//
// # Files of a directory
//
//	.lock                            locked while a broker runs
//	meta.properties                  Java properties: version=0, broker.id, cluster.id
//	.kafka_cleanshutdown             {"version":0,"brokerEpoch":-1}; only its being there counts
//	recovery-point-offset-checkpoint what is never scanned again, per partition
//	replication-offset-checkpoint    the high watermarks
//	log-start-offset-checkpoint      log starts that no segment begins with
//	cleaner-offset-checkpoint        up to where compacted logs are clean
//	TOPIC-PARTITION/                 a log: package commitlog
//	TOPIC-PARTITION.HEX-delete/      a log that waits for its removal
//
// A checkpoint is text: a line "0" (the version), a line with the number of entries, and a line "topic partition offset" each:
//
//	0
//	2
//	orders 0 18231
//	__consumer_offsets 17 402
package logdir
