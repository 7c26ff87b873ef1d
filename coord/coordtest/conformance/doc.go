// Package conformance is what a client of ZooKeeper may rely on, as tests that run against an address: our coordinator, or a real
// ZooKeeper 3.9 for comparison.
//
// Every check works below a node of its own and leaves the server as it found it, but for numbers that only grow. The server is expected to be
// configured with Config; what cannot be the same on both (zxid epochs, version strings) is not looked at.
package conformance

// Config is what the tested server must be set to, as lines of zoo.cfg.
var Config = map[string]string{
	"tickTime":               "2000",
	"maxClientCnxns":         "0",
	"4lw.commands.whitelist": "*",
	"DigestAuthenticationProvider.superDigest": SuperDigest,
}

// SuperDigest belongs to the credentials "super:conform".
const SuperDigest = "super:3DaSx+xxsoWmENCocJYjwrdEBTA="
