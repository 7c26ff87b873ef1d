// Package conformance is what a client of ZooKeeper may rely on, as tests that run against an address: our coordinator, or a real
// ZooKeeper 3.9 for comparison.
//
//	plain     nothing switched on; restarted at the end
//	secured   nodes with a time to live, quotas, SASL, TLS
//	guarded   only clients that logged in; few connections, short frames
//	open      skipACL, and logins that may fail
//
// A Setup is one of these configurations with its checks. Every check works below a node of its own and leaves the server as it found it, but for numbers
// that only grow. What cannot be the same on both (zxid epochs, version strings) is not looked at; the few checks of what is different, and known to
// be, ask Target.Apache.
package conformance

// Config is what every tested server is set to, as lines of zoo.cfg; setups add to it.
var Config = map[string]string{
	"tickTime":               "2000",
	"maxClientCnxns":         "0",
	"4lw.commands.whitelist": "*",
	"DigestAuthenticationProvider.superDigest": SuperDigest,
}

// SuperDigest belongs to the credentials "super:conform".
const SuperDigest = "super:3DaSx+xxsoWmENCocJYjwrdEBTA="
