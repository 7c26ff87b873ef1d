package keys

// Keys that Apache Kafka does not have. They begin with "ottla.", and DescribeConfigs shows them only when somebody has set them.
var ownKeys = []Key{
	own("ottla.metrics.listener", String, null, nil, Medium, ReadOnly,
		"host:port where the broker answers HTTP: /metrics for Prometheus, /healthz while the process lives, /readyz once the broker leads what it should and until it stops. An empty host means every interface; anybody may ask. Unset: nowhere."),
	own("ottla.request.slow.ms", Long, "1000", atLeast(0), Low, ClusterWide,
		"A request that takes this long is logged at WARN by kafka.request.logger, with the parts of its time; at most ten a second. What a Fetch, JoinGroup or SyncGroup is meant to wait does not count. 0 logs none."),
}

func own(name string, t Type, def string, r Range, i Importance, m Mode, doc string) Key {
	k := internal(name, t, def, r, i, m, doc)
	k.Own = true
	return k
}
