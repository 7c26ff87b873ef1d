package config

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Config is what a coordinator can be told. The fields are those keys of keys.go that have an effect.
type Config struct {
	DataDir           string
	DataLogDir        string // "" is DataDir
	ClientPort        int    // 0 lets the system choose, -1 is none: then there is one for TLS
	ClientPortAddress string // "" is every address
	MyID              int    // 0 if not given

	TickTime          time.Duration
	MinSessionTimeout time.Duration
	MaxSessionTimeout time.Duration

	MaxClientCnxns         int // from one address; 0 is no limit
	MaxCnxns               int // 0 is no limit
	GlobalOutstandingLimit int
	MaxBuffer              int // bytes of a request
	Throttle               Throttle
	ListenBacklog          int // -1 if not given; only shown

	Words         []string // four-letter words that are answered; "*" is all
	SkipACL       bool
	ExtendedTypes bool
	SuperDigest   string
	NoDigest      bool

	SASL         SASL
	TLS          TLS
	Enforce      bool     // whom EnforceAuth does not name is not let in
	EnforceAuth  []string // schemes
	EnforceQuota bool
	Reconfig     bool // only changes how a standalone server refuses

	HTTP HTTP

	Shown []string // what was set, as key=value, secrets hidden

	SegmentBytes    int64 // of the log
	CheckpointTxns  int64 // 0 is our own default
	CheckpointBytes int64 // 0 is our own default
	SlowSync        time.Duration
	ContainerCheck  time.Duration
	ContainerUnused time.Duration // 0 is for ever
	ContainerRate   int           // a minute

}

// Throttle is what bounds how much clients ask for at a time.
type Throttle struct {
	Requests       int   // in flight; 0 leaves it to GlobalOutstandingLimit
	LargeThreshold int   // bytes from which on a request is large; -1: none is
	LargeBytes     int64 // of all large requests in flight

	ConnectTokens, ConnectFill int
	ConnectEvery               time.Duration
	ConnectWeighted            bool
}

// Outstanding is the number of requests in flight above which only idle connections are read.
func (c *Config) Outstanding() int {
	if c.Throttle.Requests > 0 {
		return min(c.Throttle.Requests, c.GlobalOutstandingLimit)
	}
	return c.GlobalOutstandingLimit
}

// HTTP is the AdminServer and the metrics for Prometheus.
type HTTP struct {
	Admin         bool // whether the AdminServer was asked for
	adminSaid     bool // by admin.enableServer, whatever it said
	AdminAddress  string
	AdminPort     int
	CommandURL    string
	IdleTimeout   time.Duration
	Snapshot      bool // /commands/snapshot
	SnapshotEvery time.Duration

	Metrics        bool // whether Prometheus was asked for
	MetricsAddress string
	MetricsPort    int
	MetricsRuntime bool
}

// Default is the configuration without a file: the values of zoo_sample.cfg, which keeps its data where a reboot may remove it.
func Default() *Config {
	c := base()
	c.TickTime = 2 * time.Second
	c.DataDir = filepath.Join(os.TempDir(), "zookeeper")
	c.finish()
	return c
}

// base is the code's defaults, as the table has them.
func base() *Config {
	c := &Config{HTTP: HTTP{AdminPort: 8080}}
	for i := range keys {
		if k := &keys[i]; k.set != nil && k.Default != "" {
			if err := k.set(c, k.Default); err != nil {
				panic("config: default of " + k.Name + ": " + err.Error())
			}
		}
	}
	return c
}

// finish fills what follows from other values.
func (c *Config) finish() {
	if c.MinSessionTimeout <= 0 {
		c.MinSessionTimeout = 2 * c.TickTime
	}
	if c.MaxSessionTimeout <= 0 {
		c.MaxSessionTimeout = 20 * c.TickTime
	}
	if t := &c.TLS; t.Protocols == nil && t.protocol != "TLS" {
		t.Protocols = []string{t.protocol}
	}
}

// SecureAddr is where clients with TLS connect to.
func (c *Config) SecureAddr() string {
	return net.JoinHostPort(c.TLS.Address, strconv.Itoa(c.TLS.Port))
}

// Addr is where clients connect to, for net.Listen.
func (c *Config) Addr() string {
	return net.JoinHostPort(c.ClientPortAddress, strconv.Itoa(c.ClientPort))
}
