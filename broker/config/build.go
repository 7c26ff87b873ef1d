package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ottla/broker/config/keys"
)

// millis is n milliseconds, saturated: Kafka's "for ever" does not fit a Duration.
func millis(n int64) time.Duration {
	const most = math.MaxInt64 / int64(time.Millisecond)
	return time.Duration(min(max(n, -most), most)) * time.Millisecond
}

func seconds(n int64) time.Duration {
	return millis(min(max(n, math.MinInt64/1000), math.MaxInt64/1000) * 1000)
}

// build makes the typed Config. Errors of several keys are joined.
func build(v *values) (*Config, error) {
	ms := func(name string) time.Duration { return millis(int64(v.int(name))) }
	long := func(name string) time.Duration { return millis(v.long(name)) }
	c := &Config{
		BrokerID: v.int("broker.id"), BrokerIDGeneration: v.bool("broker.id.generation.enable"), ReservedBrokerID: v.int("reserved.broker.max.id"), Rack: v.string("broker.rack"),
		AutoCreateTopics: v.bool("auto.create.topics.enable"), DeleteTopics: v.bool("delete.topic.enable"), NumPartitions: v.int("num.partitions"),
		ReplicationFactor: 1, // see single
		RequestTimeout:    ms("request.timeout.ms"), FetchMaxBytes: v.int("fetch.max.bytes"), FetchSessions: v.int("max.incremental.fetch.session.cache.slots"),
		PartitionLimit: v.int("max.request.partition.size.limit"), FetchPurge: v.int("fetch.purgatory.purge.interval.requests"), ProducePurge: v.int("producer.purgatory.purge.interval.requests"),
		ProducerIDExpiration: ms("producer.id.expiration.ms"), ProducerIDExpirationRun: ms("producer.id.expiration.check.interval.ms"),
		QuotaWindows: v.int("quota.window.num"), QuotaWindow: seconds(int64(v.int("quota.window.size.seconds"))),
		ControllerQuotaWindows: v.int("controller.quota.window.num"), ControllerQuotaWindow: seconds(int64(v.int("controller.quota.window.size.seconds"))),
		MetricsListener: v.string("ottla.metrics.listener"), SlowRequest: long("ottla.request.slow.ms"),
		Log: Log{
			Dirs: logDirs(v), RecoveryThreads: v.int("num.recovery.threads.per.data.dir"),
			RetentionCheck: long("log.retention.check.interval.ms"), InitialTaskDelay: long("log.initial.task.delay.ms"), FlushScheduler: long("log.flush.scheduler.interval.ms"),
			RecoveryCheckpoint: ms("log.flush.offset.checkpoint.interval.ms"), StartOffsetCheckpoint: ms("log.flush.start.offset.checkpoint.interval.ms"),
			HighWatermarkCheckpoint: long("replica.high.watermark.checkpoint.interval.ms"), DirFailureTimeout: long("log.dir.failure.timeout.ms"),
			CleanerEnable: v.bool("log.cleaner.enable"), CleanerThreads: v.int("log.cleaner.threads"), CleanerDedupeBytes: v.long("log.cleaner.dedupe.buffer.size"),
			CleanerIOBufferBytes: v.int("log.cleaner.io.buffer.size"), CleanerIOBufferLoadFactor: v.float("log.cleaner.io.buffer.load.factor"),
			CleanerIOBytesPerSecond: v.float("log.cleaner.io.max.bytes.per.second"), CleanerBackoff: long("log.cleaner.backoff.ms"),
		},
		Replica: Replica{
			LagTimeMax: long("replica.lag.time.max.ms"), SocketTimeout: ms("replica.socket.timeout.ms"), SocketReceiveBytes: v.int("replica.socket.receive.buffer.bytes"),
			FetchMaxBytes: v.int("replica.fetch.max.bytes"), FetchResponseBytes: v.int("replica.fetch.response.max.bytes"), FetchMinBytes: v.int("replica.fetch.min.bytes"),
			FetchWaitMax: ms("replica.fetch.wait.max.ms"), FetchBackoff: ms("replica.fetch.backoff.ms"), Fetchers: v.int("num.replica.fetchers"), SelectorClass: v.string("replica.selector.class"),
		},
		Controller: Controller{
			SocketTimeout: ms("controller.socket.timeout.ms"), ControlledShutdown: v.bool("controlled.shutdown.enable"), ControlledShutdownRetries: v.int("controlled.shutdown.max.retries"),
			ControlledShutdownBackoff: long("controlled.shutdown.retry.backoff.ms"), AutoRebalance: v.bool("auto.leader.rebalance.enable"),
			ImbalanceCheck: seconds(v.long("leader.imbalance.check.interval.seconds")), ImbalancePercentage: v.int("leader.imbalance.per.broker.percentage"),
		},
		Group: Group{
			MinSessionTimeout: ms("group.min.session.timeout.ms"), MaxSessionTimeout: ms("group.max.session.timeout.ms"),
			InitialRebalanceDelay: ms("group.initial.rebalance.delay.ms"), MaxSize: v.int("group.max.size"),
		},
		Offsets: Offsets{
			Partitions: v.int("offsets.topic.num.partitions"), ReplicationFactor: 1, SegmentBytes: v.int("offsets.topic.segment.bytes"), LoadBufferBytes: v.int("offsets.load.buffer.size"),
			CompressionCodec: v.int("offsets.topic.compression.codec"), Retention: millis(int64(v.int("offsets.retention.minutes")) * 60_000), RetentionCheck: long("offsets.retention.check.interval.ms"),
			CommitTimeout: ms("offsets.commit.timeout.ms"), RequiredAcks: v.short("offsets.commit.required.acks"), MetadataMaxBytes: v.int("offset.metadata.max.bytes"),
		},
		Transaction: Transaction{
			Partitions: v.int("transaction.state.log.num.partitions"), ReplicationFactor: 1, MinISR: v.int("transaction.state.log.min.isr"),
			SegmentBytes: v.int("transaction.state.log.segment.bytes"), LoadBufferBytes: v.int("transaction.state.log.load.buffer.size"),
			MaxTimeout: ms("transaction.max.timeout.ms"), IDExpiration: ms("transactional.id.expiration.ms"),
			AbortCheck: ms("transaction.abort.timed.out.transaction.cleanup.interval.ms"), ExpirationCheck: ms("transaction.remove.expired.transaction.cleanup.interval.ms"),
			PartitionVerification: v.bool("transaction.partition.verification.enable"),
		},
		values: v,
	}
	c.Controller.ProtocolVersion, _ = keys.FullVersion(v.string("inter.broker.protocol.version"))
	var errs []error
	var err error
	if c.Network, err = buildNetwork(v); err != nil {
		errs = append(errs, err)
	}
	if c.ZooKeeper, err = buildZooKeeper(v); err != nil {
		errs = append(errs, err)
	}
	topic, err := resolveTopic(v, nil)
	if err != nil {
		errs = append(errs, err)
	} else {
		c.Topic = *topic
	}
	errs = append(errs, c.check(v)...)
	return c, errors.Join(errs...)
}

func logDirs(v *values) []string {
	text, ok := get[string](v, "log.dirs")
	if !ok {
		text = v.string("log.dir")
	}
	return csv(text)
}

// buildZooKeeper takes zookeeper.connect apart: hosts, then the path that all nodes are kept under.
func buildZooKeeper(v *values) (ZooKeeper, error) {
	z := ZooKeeper{Connect: v.string("zookeeper.connect"), MaxInFlight: v.int("zookeeper.max.in.flight.requests")}
	session := v.int("zookeeper.session.timeout.ms")
	z.SessionTimeout = millis(int64(session))
	z.ConnectionTimeout = z.SessionTimeout
	if n, ok := get[int32](v, "zookeeper.connection.timeout.ms"); ok {
		z.ConnectionTimeout = millis(int64(n))
	}
	if _, ok := get[string](v, "zookeeper.connect"); !ok {
		return z, errors.New("Missing required configuration `zookeeper.connect` which has no default value.")
	}
	hosts, path := z.Connect, ""
	if i := strings.IndexByte(hosts, '/'); i >= 0 {
		hosts, path = hosts[:i], strings.TrimRight(hosts[i:], "/")
	}
	bad := func(why string) (ZooKeeper, error) {
		return z, fmt.Errorf("Invalid value %s for configuration zookeeper.connect: %s (want host:port,…[/path])", z.Connect, why)
	}
	for _, h := range csv(hosts) {
		host, port, err := net.SplitHostPort(h)
		if err != nil { // no port, or an IPv6 address without brackets
			host, port = strings.Trim(h, "[]"), "2181"
			if name, p, ok := cutLast(h); ok && !strings.Contains(name, ":") {
				host, port = name, p
			}
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
			return bad(fmt.Sprintf("%q is not host:port", h))
		}
		z.Servers = append(z.Servers, net.JoinHostPort(host, port))
	}
	if len(z.Servers) == 0 {
		return bad("it names no host")
	}
	if strings.Contains(path, "//") || strings.ContainsAny(path, "\x00 ,") {
		return bad(fmt.Sprintf("%q is not the path of a node", path))
	}
	z.Chroot = path
	if session <= 0 {
		return z, fmt.Errorf("Invalid value %d for configuration zookeeper.session.timeout.ms: Value must be at least 1", session)
	}
	return z, nil
}

// check compares keys with each other. The texts are Apache Kafka's.
func (c *Config) check(v *values) []error {
	var errs []error
	require := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	if c.MetricsListener != "" {
		_, _, err := net.SplitHostPort(c.MetricsListener)
		require(err == nil, "Invalid value %s for configuration ottla.metrics.listener: it must be host:port, or :port for every interface", c.MetricsListener)
	}
	if c.BrokerIDGeneration {
		require(c.BrokerID >= -1 && c.BrokerID <= c.ReservedBrokerID, "broker.id must be greater than or equal to -1 and not greater than reserved.broker.max.id")
	} else {
		require(c.BrokerID >= 0, "broker.id must be greater than or equal to 0")
	}
	if has(v.merged, "node.id") {
		require(v.int("node.id") == c.BrokerID, "You must set `node.id` to the same value as `broker.id`.")
	}
	require(rollMs(v) >= 1, "log.roll.ms must be greater than or equal to 1")
	require(jitterMs(v) >= 0, "log.roll.jitter.ms must be greater than or equal to 0")
	require(retentionMs(v) >= 1 || retentionMs(v) == -1, "log.retention.ms must be unlimited (-1) or, greater than or equal to 1")
	require(len(c.Log.Dirs) > 0, "At least one log directory must be defined via log.dirs or log.dir.")
	seen := map[string]bool{}
	for _, d := range c.Log.Dirs {
		require(!seen[filepath.Clean(d)], "Duplicate log directory found: %s", strings.Join(c.Log.Dirs, ", "))
		seen[filepath.Clean(d)] = true
	}
	require(c.Log.CleanerThreads > 0 && c.Log.CleanerDedupeBytes/int64(c.Log.CleanerThreads) > 1<<20, "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.")
	require(c.Replica.FetchWaitMax <= c.Replica.SocketTimeout, "replica.socket.timeout.ms should always be at least replica.fetch.wait.max.ms to prevent unnecessary socket timeouts")
	require(c.Replica.FetchWaitMax <= c.Replica.LagTimeMax, "replica.fetch.wait.max.ms should always be less than or equal to replica.lag.time.max.ms to prevent frequent changes in ISR")
	require(c.Offsets.RequiredAcks >= -1 && c.Offsets.RequiredAcks <= v.short("offsets.topic.replication.factor"),
		"offsets.commit.required.acks must be greater or equal to -1 and less or equal to offsets.topic.replication.factor")
	require(c.Offsets.CompressionCodec >= 0 && c.Offsets.CompressionCodec <= 4, "Invalid value %d for configuration offsets.topic.compression.codec: Value must be 0 (none), 1 (gzip), 2 (snappy), 3 (lz4) or 4 (zstd)", c.Offsets.CompressionCodec)
	require(c.Network.QueuedMaxBytes <= 0 || c.Network.QueuedMaxBytes >= int64(c.Network.RequestMaxBytes), "queued.max.request.bytes must be larger or equal to socket.request.max.bytes")
	require(c.Network.MaxConnectionsPerIP > 0 || len(c.Network.MaxConnectionsIP) > 0, "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property is set.")
	require(c.Network.MaxIdle < 0 || c.Network.FailedAuthentication < c.Network.MaxIdle,
		"connection.failed.authentication.delay.ms=%d should always be less than connections.max.idle.ms=%d to prevent failed authentication responses from timing out",
		c.Network.FailedAuthentication.Milliseconds(), c.Network.MaxIdle.Milliseconds())
	require(v.short("offsets.topic.replication.factor") >= 1, "offsets.topic.replication.factor must be at least 1")
	return errs
}
