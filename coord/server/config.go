package server

import (
	"time"

	"github.com/rs/zerolog"

	"ottla/coord/fsm"
	"ottla/coord/wire"
)

// Config is what a Server needs to know. Zero values mean ZooKeeper's defaults where there is one.
type Config struct {
	// ServerID is the high byte of the session ids that this server makes, 1 to 254; 0 means 1.
	ServerID uint8
	// TickTime is the unit of the session clock; 0 means 3 s.
	TickTime time.Duration
	// MinSessionTimeout and MaxSessionTimeout bound what clients may ask for; 0 means 2 and 20 ticks.
	MinSessionTimeout, MaxSessionTimeout time.Duration
	// MaxClientCnxns bounds the connections from one address per listener, MaxCnxns all of them; 0 means no bound.
	MaxClientCnxns, MaxCnxns int
	// GlobalOutstandingLimit is the number of requests in flight above which only idle connections are read; 0 means 1000.
	GlobalOutstandingLimit int
	// LargeRequests bounds the bytes of large requests on their way; a connection that would go beyond is closed.
	LargeRequests LargeRequests
	// ConnectThrottle bounds how fast clients connect; a connection beyond it is closed.
	ConnectThrottle ConnectThrottle
	// MaxFrame is the longest request in bytes; 0 means wire.MaxFrame.
	MaxFrame int
	// SessionlessTimeout is how long a connection may take to say who it is; 0 means 10 s.
	SessionlessTimeout time.Duration
	// ContainerCheck is how often containers and nodes with a time to live are looked after; 0 means 1 minute.
	ContainerCheck time.Duration
	// ContainerUnused is how long a container may stay that never had a child; 0 means for ever.
	ContainerUnused time.Duration
	// ContainerRate is how many containers and expired nodes are deleted in a minute; 0 means 10000.
	ContainerRate int
	// SkipACL allows everything to everybody.
	SkipACL bool
	// ExtendedTypes allows nodes with a time to live.
	ExtendedTypes bool
	// SuperDigest is "super:" and the base64 of SHA1("super:password"); who proves that identity may do everything.
	SuperDigest string
	// NoDigest leaves the digest scheme out.
	NoDigest bool
	// EnforceAuth are the schemes of which a client must have an identity before it asks for anything; nil lets everybody in.
	EnforceAuth []string
	// SASL is the login with DIGEST-MD5; nil is none. SASLEntries says whether lists of access control may have entries of scheme sasl.
	SASL        *SASL
	SASLEntries bool
	// X509 says whether lists may have entries of scheme x509; X509Super is the name of the certificate whose owner may do everything.
	X509      bool
	X509Super string
	// EnforceQuota refuses what goes beyond a hard limit.
	EnforceQuota bool
	// Reconfig changes only how reconfig is refused.
	Reconfig bool
	// Words are the four-letter words that are answered; "*" means all that there are. nil means srvr.
	Words []string
	// Version is what srvr, stat and mntr say, without what follows the comma.
	Version string
	// Mode is the server's role for srvr, stat and mntr; nil means standalone.
	Mode func() string
	// Figures adds metrics that only the assembly knows, under their names; nil adds none.
	Figures func(values map[string]any, summaries map[string]Figures)
	// Conf are the lines of conf that only the assembly knows.
	Conf Conf
	// Now is the wall clock, for the times in nodes; nil means time.Now.
	Now func() time.Time
	// Logger gets what an operator should know.
	Logger zerolog.Logger
}

// LargeRequests are those of more than Threshold bytes; 0 or less: there are none. Together they may take Bytes; 0 means 100 MiB.
type LargeRequests struct {
	Threshold int
	Bytes     int64
}

// ConnectThrottle is a bucket of Tokens, 0 for no throttle, into which Fill come every Every. A connect request takes one; with Weighted one that
// opens a session takes 3 and one that comes back to it 2.
type ConnectThrottle struct {
	Tokens, Fill int
	Every        time.Duration
	Weighted     bool
}

// Conf is shown by the word conf.
type Conf struct {
	ClientPort, SecureClientPort int // -1: none
	DataDir, DataLogDir          string
	DataDirSize, DataLogSize     func() int64 // bytes; nil: 0
	ListenBacklog                int
	ServerID                     int
}

// DefaultVersion is the version of ZooKeeper whose behaviour this server has; tools look at it to decide what they may ask for.
const DefaultVersion = "3.9.4-ottla"

// versionBuilt follows the version. The date has the form that go-zookeeper's parser wants; it never changes, so that outputs can be compared.
const versionBuilt = ", built on 08/19/2025 19:53 UTC"

func (c *Config) setDefaults() {
	def(&c.ServerID, 1)
	def(&c.TickTime, 3*time.Second)
	def(&c.MinSessionTimeout, 2*c.TickTime)
	def(&c.MaxSessionTimeout, 20*c.TickTime)
	def(&c.GlobalOutstandingLimit, 1000)
	def(&c.LargeRequests.Bytes, 100<<20)
	def(&c.MaxFrame, wire.MaxFrame)
	def(&c.SessionlessTimeout, 10*time.Second)
	def(&c.ContainerCheck, time.Minute)
	def(&c.ContainerRate, 10000)
	def(&c.Version, DefaultVersion)
	if c.Words == nil {
		c.Words = []string{"srvr"}
	}
	if c.Mode == nil {
		c.Mode = func() string { return "standalone" }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// flags are the rules that entries carry.
func (c *Config) flags() (flags uint8) {
	flags = fsm.FlagQuotas
	for _, x := range []struct {
		on   bool
		flag uint8
	}{
		{c.SkipACL, fsm.FlagSkipACL}, {c.ExtendedTypes, fsm.FlagExtendedTypes}, {c.EnforceQuota, fsm.FlagEnforceQuota},
		{c.SASLEntries, fsm.FlagSASL}, {c.X509, fsm.FlagX509}, {c.Reconfig, fsm.FlagReconfig}, {c.NoDigest, fsm.FlagNoDigest},
	} {
		if x.on {
			flags |= x.flag
		}
	}
	return flags
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
