package keys

// Replication.
var replicaKeys = []Key{
	key("replica.lag.time.max.ms", Long, "30000", nil, High, ReadOnly,
		"A follower that has not caught up for this long is no longer in sync."),
	key("replica.socket.timeout.ms", Int, "30000", nil, High, ReadOnly,
		"How long a follower's request waits on its connection."),
	key("replica.socket.receive.buffer.bytes", Int, "65536", nil, High, ReadOnly,
		"SO_RCVBUF of the connections that followers fetch on."),
	key("replica.fetch.max.bytes", Int, "1048576", atLeast(0), Medium, ReadOnly,
		"How many bytes of one partition a follower asks for at a time; a larger first batch is sent whole."),
	key("replica.fetch.response.max.bytes", Int, "10485760", atLeast(0), Medium, ReadOnly,
		"How many bytes a follower asks for at a time, in all."),
	key("replica.fetch.min.bytes", Int, "1", nil, High, ReadOnly,
		"How many bytes the leader waits for before it answers a follower."),
	key("replica.fetch.wait.max.ms", Int, "500", nil, High, ReadOnly,
		"How long the leader lets a follower's fetch wait. Must be below replica.lag.time.max.ms."),
	key("replica.fetch.backoff.ms", Int, "1000", atLeast(0), Medium, ReadOnly,
		"Pause of a follower after a failed fetch."),
	key("replica.high.watermark.checkpoint.interval.ms", Long, "5000", nil, High, ReadOnly,
		"How often the high watermarks are written down."),
	key("replica.selector.class", String, null, nil, Medium, ReadOnly,
		"Who picks the replica a consumer reads from. Only the leader serves here so far."),
	key("num.replica.fetchers", Int, "1", nil, High, ClusterWide,
		"Connections that a follower keeps to each leader."),
	key("num.replica.alter.log.dirs.threads", Int, null, nil, High, ReadOnly,
		"Threads that move replicas between log directories."),
}
