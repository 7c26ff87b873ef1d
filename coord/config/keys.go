package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// Key is one row of the table.
type Key struct {
	Name    string
	Type    string // int, bool, string, list, class
	Default string // "" is none
	Range   string // what a value may be, for people
	Env     string // the variable of the docker image, "" if it has none
	Doc     string
	Secret  bool // its value is not to be shown

	// One of these says what a value does. With none, the key is accepted and has no effect.
	set    func(c *Config, v string) error
	refuse func(v string) string // why a value is not possible, "" if it is
	warn   func(v string) string // what somebody may miss, "" if nothing
}

// Effect is how the key is treated: "set", "refused", "warns" or "accepted".
func (k *Key) Effect() string {
	switch {
	case k.set != nil:
		return "set"
	case k.refuse != nil:
		return "refused"
	case k.warn != nil:
		return "warns"
	}
	return "accepted"
}

// Keys returns the table, in the order in which it should be shown. Names that end in * stand for all keys of that beginning.
func Keys() []Key { return append([]Key(nil), keys...) }

var keys = append(append(generalKeys, securityKeys...), otherKeys...)

var generalKeys = []Key{
	{Name: "dataDir", Type: "string", Env: "ZOO_DATA_DIR", Doc: "Directory of the data: the checkpoint and, without dataLogDir, the log. Required in a file.",
		set: text(func(c *Config) *string { return &c.DataDir })},
	{Name: "dataLogDir", Type: "string", Env: "ZOO_DATA_LOG_DIR", Doc: "Directory of the write-ahead log; best on a disk of its own. The default is dataDir.",
		set: text(func(c *Config) *string { return &c.DataLogDir })},
	{Name: "clientPort", Type: "int", Default: "2181", Range: "0 to 65535", Doc: "Port for clients. 0 lets the system choose.",
		set: number(0, 65535, func(c *Config, n int64) { c.ClientPort = int(n) })},
	{Name: "clientPortAddress", Type: "string", Doc: "Address for clients: a host name or an IP address. The default is every address.",
		set: text(func(c *Config) *string { return &c.ClientPortAddress })},
	{Name: "tickTime", Type: "int", Default: "3000", Range: "1 to 2147483647", Env: "ZOO_TICK_TIME", Doc: "Milliseconds of a tick, the unit of session timeouts.",
		set: millis(1, func(c *Config) *time.Duration { return &c.TickTime })},
	{Name: "minSessionTimeout", Type: "int", Default: "-1", Range: "-1 to 2147483647", Doc: "Shortest session timeout in milliseconds that a client gets; -1 is two ticks.",
		set: millis(-1, func(c *Config) *time.Duration { return &c.MinSessionTimeout })},
	{Name: "maxSessionTimeout", Type: "int", Default: "-1", Range: "-1 to 2147483647", Doc: "Longest session timeout in milliseconds that a client gets; -1 is twenty ticks.",
		set: millis(-1, func(c *Config) *time.Duration { return &c.MaxSessionTimeout })},
	{Name: "maxClientCnxns", Type: "int", Default: "60", Range: "0 to 2147483647", Env: "ZOO_MAX_CLIENT_CNXNS", Doc: "Connections from one address; 0 is no limit.",
		set: number(0, math.MaxInt32, func(c *Config, n int64) { c.MaxClientCnxns = int(n) })},
	{Name: "maxCnxns", Type: "int", Default: "0", Range: "0 to 2147483647", Doc: "Connections in all; 0 is no limit.",
		set: number(0, math.MaxInt32, func(c *Config, n int64) { c.MaxCnxns = int(n) })},
	{Name: "globalOutstandingLimit", Type: "int", Default: "1000", Range: "1 to 2147483647", Doc: "Requests in flight above which only idle connections are read.",
		set: number(1, math.MaxInt32, func(c *Config, n int64) { c.GlobalOutstandingLimit = int(n) })},
	{Name: "request_throttle_max_requests", Type: "int", Default: "0", Range: "0 to 2147483647", Doc: "The same as globalOutstandingLimit; the lower one counts, 0 is none.",
		set: number(0, math.MaxInt32, func(c *Config, n int64) { c.Throttle.Requests = int(n) })},
	{Name: "largeRequestThreshold", Type: "int", Default: "-1", Range: "-1 to 2147483647", Doc: "Bytes above which a request is large; -1 is never.",
		set: number(-1, math.MaxInt32, func(c *Config, n int64) { c.Throttle.LargeThreshold = int(n) })},
	{Name: "largeRequestMaxBytes", Type: "int", Default: "104857600", Range: "1 to 9223372036854775807", Doc: "Bytes of large requests in flight; a connection that would go beyond is closed.",
		set: number(1, math.MaxInt64, func(c *Config, n int64) { c.Throttle.LargeBytes = n })},
	{Name: "connection_throttle_tokens", Type: "int", Default: "0", Range: "0 to 2147483647", Doc: "Clients that may connect at once; 0 is no limit.",
		set: number(0, math.MaxInt32, func(c *Config, n int64) { c.Throttle.ConnectTokens = int(n) })},
	{Name: "connection_throttle_fill_count", Type: "int", Default: "1", Range: "1 to 2147483647", Doc: "Clients more that may connect after each connection_throttle_fill_time.",
		set: number(1, math.MaxInt32, func(c *Config, n int64) { c.Throttle.ConnectFill = int(n) })},
	{Name: "connection_throttle_fill_time", Type: "int", Default: "1", Range: "1 to 2147483647", Doc: "Milliseconds; see connection_throttle_fill_count.",
		set: millis(1, func(c *Config) *time.Duration { return &c.Throttle.ConnectEvery })},
	{Name: "connection_throttle_weight_enabled", Type: "bool", Default: "false", Range: "true or false", Doc: "New sessions count 3 times, old ones that come back twice.",
		set: boolean(func(c *Config, on bool) { c.Throttle.ConnectWeighted = on })},
	{Name: "connection_throttle_*", Type: "string", Doc: "No effect: nobody is refused by chance."},
	{Name: "throttled_op_wait_time", Type: "int", Doc: "No effect: requests do not wait in a queue that is long enough."},
	{Name: "jute.maxbuffer", Type: "int", Default: "1048575", Range: "1024 to 1073741823", Doc: "Longest request in bytes. ZooKeeper takes it from JVMFLAGS only; here the file will do.",
		set: number(1024, 1<<30-1, func(c *Config, n int64) { c.MaxBuffer = int(n) })},
	{Name: "4lw.commands.whitelist", Type: "list", Default: "srvr", Range: "* or words, separated by commas", Env: "ZOO_4LW_COMMANDS_WHITELIST", Doc: "Four-letter words that are answered.",
		set: words},
	{Name: "readonlymode.enabled", Type: "bool", Default: "false", Range: "true or false", Doc: "A standalone server is never read-only; true only adds isro to the answered words.",
		set: boolean(func(c *Config, on bool) {
			if on {
				c.Words = append(c.Words, "isro")
			}
		})},
	{Name: "skipACL", Type: "bool", Default: "no", Range: "yes or no", Doc: "Allow everything to everybody.",
		set: boolean(func(c *Config, on bool) { c.SkipACL = on })},
	{Name: "extendedTypesEnabled", Type: "bool", Default: "false", Range: "true or false", Doc: "Allow nodes with a time to live.",
		set: boolean(func(c *Config, on bool) { c.ExtendedTypes = on })},
	{Name: "DigestAuthenticationProvider.superDigest", Type: "string", Range: "super: and the base64 of a SHA-1", Doc: "Who proves this digest may do everything.",
		Secret: true, set: superDigest},
	{Name: "DigestAuthenticationProvider.digestAlg", Type: "string", Default: "SHA1", Range: "SHA1", Doc: "Hash of the digest scheme.",
		refuse: unless("SHA1", "digests would not match those in ACLs")},
	{Name: "snapCount", Type: "int", Range: "2 to 2147483647", Doc: "Transactions between two checkpoints. The default is 524288.",
		set: number(2, math.MaxInt32, func(c *Config, n int64) { c.CheckpointTxns = n })},
	{Name: "snapSizeLimitInKb", Type: "int", Range: "-1 to 2147483647", Doc: "KiB of log between two checkpoints; 0 or less is the default, 262144.",
		set: number(math.MinInt32, math.MaxInt32, func(c *Config, n int64) { c.CheckpointBytes = max(n, 0) << 10 })},
	{Name: "preAllocSize", Type: "int", Default: "65536", Range: "64 to 1048576", Doc: "KiB of a file of the log, reserved when it is made.",
		set: number(64, 1<<20, func(c *Config, n int64) { c.SegmentBytes = n << 10 })},
	{Name: "fsync.warningthresholdms", Type: "int", Default: "1000", Range: "1 to 2147483647", Doc: "Milliseconds that a write to the log may take before it is worth a warning.",
		set: millis(1, func(c *Config) *time.Duration { return &c.SlowSync })},
	{Name: "znode.container.checkIntervalMs", Type: "int", Default: "60000", Range: "1 to 2147483647", Doc: "Milliseconds between looking for empty containers and expired nodes.",
		set: millis(1, func(c *Config) *time.Duration { return &c.ContainerCheck })},
	{Name: "znode.container.maxNeverUsedIntervalMs", Type: "int", Default: "0", Range: "0 to 2147483647", Doc: "Milliseconds that a container may stay which never had a child; 0 is for ever.",
		set: millis(0, func(c *Config) *time.Duration { return &c.ContainerUnused })},
	{Name: "znode.container.maxPerMinute", Type: "int", Default: "10000", Range: "1 to 2147483647", Doc: "Containers and expired nodes that are deleted in a minute.",
		set: number(1, math.MaxInt32, func(c *Config, n int64) { c.ContainerRate = int(n) })},
	{Name: "emulate353TTLNodes", Type: "bool", Default: "false", Doc: "No effect: it is about the form of ZooKeeper's own files."},
	{Name: "enforceQuota", Type: "bool", Default: "false", Range: "true or false", Doc: "Refuse writes beyond the hard limits of quotas, and tell of soft ones in the log.",
		set: boolean(func(c *Config, on bool) { c.EnforceQuota = on })},
	{Name: "reconfigEnabled", Type: "bool", Default: "false", Range: "true or false", Doc: "A standalone server answers reconfig with UNIMPLEMENTED instead of RECONFIGDISABLED.",
		set: boolean(func(c *Config, on bool) { c.Reconfig = on })},
	{Name: "clientPortListenBacklog", Type: "int", Default: "-1", Range: "-1 to 2147483647", Doc: "Shown by conf; the system's backlog is used.",
		set: number(-1, math.MaxInt32, func(c *Config, n int64) { c.ListenBacklog = int(n) })},
	{Name: "forceSync", Type: "bool", Default: "yes", Range: "yes or no", Doc: "Writes are always synced before they are acknowledged.",
		warn: when(false, "every write is synced all the same")},
}

var otherKeys = []Key{
	{Name: "portUnification", Type: "bool", Default: "false", Doc: "TLS on the quorum port.", refuse: whenTrue("TLS is not implemented")},
	{Name: "sslQuorum", Type: "bool", Default: "false", Doc: "TLS between members.", refuse: whenTrue("TLS is not implemented")},
	{Name: "ensembleAuthName", Type: "string", Secret: true, Doc: "Name that clients must know.", refuse: always("connections with another name would be let in")},
	{Name: "quorum.auth.*", Type: "string", Doc: "SASL between members.", refuse: quorumAuth},

	{Name: "server.*", Type: "string", Range: "host:port:port[:role][;[address:]port]", Env: "ZOO_SERVERS", Doc: "A member of an ensemble. One line alone is a standalone server."},
	{Name: "group.*", Type: "string", Doc: "Groups of voters.", refuse: always("ensembles are not implemented")},
	{Name: "weight.*", Type: "string", Doc: "Weights of voters.", refuse: always("ensembles are not implemented")},
	{Name: "dynamicConfigFile", Type: "string", Doc: "Members of an ensemble.", refuse: always("ensembles are not implemented")},
	{Name: "standaloneEnabled", Type: "bool", Default: "true", Env: "ZOO_STANDALONE_ENABLED", Doc: "No effect: a single server is a group of one either way."},
	{Name: "initLimit", Type: "int", Env: "ZOO_INIT_LIMIT", Doc: "No effect on a standalone server."},
	{Name: "syncLimit", Type: "int", Env: "ZOO_SYNC_LIMIT", Doc: "No effect on a standalone server."},
	{Name: "connectToLearnerMasterLimit", Type: "int", Doc: "No effect on a standalone server."},
	{Name: "electionAlg", Type: "int", Doc: "No effect on a standalone server."},
	{Name: "leaderServes", Type: "bool", Doc: "No effect on a standalone server."},
	{Name: "peerType", Type: "string", Doc: "No effect on a standalone server."},
	{Name: "quorumListenOnAllIPs", Type: "bool", Doc: "No effect on a standalone server."},
	{Name: "syncEnabled", Type: "bool", Doc: "No effect on a standalone server."},
	{Name: "multiAddress.*", Type: "bool", Doc: "No effect on a standalone server."},
	{Name: "localSessionsEnabled", Type: "bool", Default: "false", Doc: "Sessions are always global, which only costs a write each.", warn: when(true, "all sessions are global")},
	{Name: "localSessionsUpgradingEnabled", Type: "bool", Doc: "See localSessionsEnabled."},
	{Name: "autopurge.snapRetainCount", Type: "int", Env: "ZOO_AUTOPURGE_SNAPRETAINCOUNT", Doc: "No effect: what a checkpoint replaces is removed at once."},
	{Name: "autopurge.purgeInterval", Type: "int", Env: "ZOO_AUTOPURGE_PURGEINTERVAL", Doc: "No effect: what a checkpoint replaces is removed at once."},
	{Name: "snapshot.*", Type: "string", Doc: "No effect on our own files."},
	{Name: "serverCnxnFactory", Type: "class", Doc: "No effect."},
	{Name: "tcpKeepAlive", Type: "bool", Doc: "Always on."},
	{Name: "clientTcpKeepAlive", Type: "bool", Doc: "Always on."},
	{Name: "admin.enableServer", Type: "bool", Range: "true or false", Env: "ZOO_ADMINSERVER_ENABLED", Doc: "The AdminServer, JSON over HTTP. Without this key it runs if admin.serverPort is set.",
		set: boolean(func(c *Config, on bool) { c.HTTP.Admin, c.HTTP.adminSaid = on, true })},
	{Name: "admin.serverPort", Type: "int", Range: "0 to 65535", Doc: "Port of the AdminServer. The default is 8080; 0 lets the system choose.",
		set: number(0, 65535, func(c *Config, n int64) {
			c.HTTP.AdminPort = int(n)
			c.HTTP.Admin = c.HTTP.Admin || !c.HTTP.adminSaid
		})},
	{Name: "admin.serverAddress", Type: "string", Default: "0.0.0.0", Doc: "Address of the AdminServer.",
		set: text(func(c *Config) *string { return &c.HTTP.AdminAddress })},
	{Name: "admin.commandURL", Type: "string", Default: "/commands", Range: "a path that begins with /", Doc: "Where the AdminServer has its commands.",
		set: func(c *Config, v string) error {
			if len(v) < 2 || v[0] != '/' || strings.ContainsAny(v, "{}? #") {
				return errRange
			}
			c.HTTP.CommandURL = strings.TrimSuffix(v, "/")
			return nil
		}},
	{Name: "admin.idleTimeout", Type: "int", Default: "30000", Range: "1 to 2147483647", Doc: "Milliseconds that an idle HTTP connection stays open.",
		set: millis(1, func(c *Config) *time.Duration { return &c.HTTP.IdleTimeout })},
	{Name: "admin.snapshot.enabled", Type: "bool", Default: "true", Range: "true or false", Doc: "Snapshots over HTTP, for who has every right on the root.",
		set: boolean(func(c *Config, on bool) { c.HTTP.Snapshot = on })},
	{Name: "admin.rateLimiterIntervalInMS", Type: "int", Default: "300000", Range: "0 to 2147483647", Doc: "Milliseconds between two snapshots over HTTP.",
		set: millis(0, func(c *Config) *time.Duration { return &c.HTTP.SnapshotEvery })},
	{Name: "admin.restore.enabled", Type: "bool", Default: "false", Doc: "Restoring over HTTP.", warn: when(true, "a snapshot is restored into a stopped coordinator: ottla coordinator import")},
	{Name: "admin.portUnification", Type: "bool", Default: "false", Doc: "TLS on the AdminServer's port.", refuse: whenTrue("the AdminServer has no TLS")},
	{Name: "admin.forceHttps", Type: "bool", Default: "false", Doc: "Only TLS on the AdminServer's port.", refuse: whenTrue("the AdminServer has no TLS")},
	{Name: "admin.needClientAuth", Type: "bool", Default: "false", Doc: "Certificates of the AdminServer's clients.", refuse: whenTrue("the AdminServer has no TLS")},
	{Name: "metricsProvider.className", Type: "class", Range: "PrometheusMetricsProvider or DefaultMetricsProvider", Doc: "Metrics for Prometheus; without it they are in mntr and the AdminServer only.",
		set: func(c *Config, v string) error {
			switch v[strings.LastIndex(v, ".")+1:] {
			case "PrometheusMetricsProvider":
				c.HTTP.Metrics = true
			case "DefaultMetricsProvider", "NullMetricsProvider":
			default:
				return errRange
			}
			return nil
		}},
	{Name: "metricsProvider.httpHost", Type: "string", Default: "0.0.0.0", Doc: "Address for Prometheus.",
		set: text(func(c *Config) *string { return &c.HTTP.MetricsAddress })},
	{Name: "metricsProvider.httpPort", Type: "int", Default: "7000", Range: "0 to 65535", Doc: "Port for Prometheus; 0 lets the system choose.",
		set: number(0, 65535, func(c *Config, n int64) { c.HTTP.MetricsPort = int(n) })},
	{Name: "metricsProvider.exportJvmInfo", Type: "bool", Default: "true", Range: "true or false", Doc: "Also metrics of the process and of its runtime, which is Go's here.",
		set: boolean(func(c *Config, on bool) { c.HTTP.MetricsRuntime = on })},
	{Name: "metricsProvider.ssl.*", Type: "string", Secret: true, Doc: "TLS of the metrics.", refuse: always("metrics have no TLS")},
	{Name: "metricsProvider.httpsPort", Type: "int", Doc: "TLS of the metrics.", refuse: always("metrics have no TLS")},
	{Name: "metricsProvider.*", Type: "string", Doc: "No effect: threads and queues."},
	{Name: "audit.*", Type: "bool", Default: "false", Doc: "There is no audit log.", warn: when(true, "there is no audit log")},
	{Name: "flushDelay", Type: "int", Doc: "No effect: writes that wait share one sync."},
	{Name: "maxBatchSize", Type: "int", Doc: "No effect: writes that wait share one sync."},
	{Name: "maxWriteQueuePollTime", Type: "int", Doc: "No effect."},
	{Name: "nioServer.*", Type: "int", Doc: "No effect."},
	{Name: "netty.*", Type: "string", Doc: "No effect."},
	{Name: "commitProcessor.*", Type: "int", Doc: "No effect."},
	{Name: "request_throttle_*", Type: "string", Doc: "No effect."},
}

func text(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		if strings.ContainsRune(v, 0) {
			return errors.New("contains a NUL")
		}
		*field(c) = v
		return nil
	}
}

var errRange = errors.New("out of range")

func number(lo, hi int64, set func(c *Config, n int64)) func(*Config, string) error {
	return func(c *Config, v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < lo || n > hi {
			return errRange
		}
		set(c, n)
		return nil
	}
}

func millis(lo int64, field func(*Config) *time.Duration) func(*Config, string) error {
	return number(lo, math.MaxInt32, func(c *Config, n int64) { *field(c) = time.Duration(n) * time.Millisecond })
}

// parseBool takes what ZooKeeper's keys take between them.
func parseBool(v string) (on, ok bool) {
	switch strings.ToLower(v) {
	case "true", "yes":
		return true, true
	case "false", "no":
		return false, true
	}
	return false, false
}

func boolean(set func(c *Config, on bool)) func(*Config, string) error {
	return func(c *Config, v string) error {
		on, ok := parseBool(v)
		if !ok {
			return errRange
		}
		set(c, on)
		return nil
	}
}

func words(c *Config, v string) error {
	var list []string
	for w := range strings.SplitSeq(v, ",") {
		w = strings.TrimSpace(w)
		if w == "" {
			continue
		}
		if len(w) != 4 && w != "*" {
			return errRange
		}
		list = append(list, w)
	}
	c.Words = list
	return nil
}

func superDigest(c *Config, v string) error {
	if !strings.HasPrefix(v, "super:") || len(v) < len("super:")+28 {
		return errRange
	}
	c.SuperDigest = v
	return nil
}

func always(why string) func(string) string { return func(string) string { return why } }

// whenTrue refuses everything but a clear false.
func whenTrue(why string) func(string) string {
	return func(v string) string {
		if on, ok := parseBool(v); ok && !on {
			return ""
		}
		return why
	}
}

func unless(good, why string) func(string) string {
	return func(v string) string {
		if v == good {
			return ""
		}
		return why
	}
}

// when warns if the value is the given one.
func when(on bool, what string) func(string) string {
	return func(v string) string {
		if got, ok := parseBool(v); ok && got == on {
			return what
		}
		return ""
	}
}

func quorumAuth(v string) string {
	if on, ok := parseBool(v); ok && !on {
		return ""
	}
	return "SASL is not implemented"
}
