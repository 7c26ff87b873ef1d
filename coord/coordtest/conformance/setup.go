package conformance

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// Setup is one configuration of a server, with the checks that belong to it.
type Setup struct {
	Name string

	config map[string]string
	// jvm are system properties: what ZooKeeper does not take from zoo.cfg.
	jvm    map[string]string
	jaas   string
	tls    string        // ssl.clientAuth, "" is no TLS
	enter  func(*Client) // what every client has to do first
	groups []group
	alone  []group // run when the others are over: they restart the server
}

type group struct {
	name   string
	checks []check
}

// Setups are all configurations.
var Setups = []*Setup{
	{
		Name: "plain", config: Config,
		groups: []group{
			{"session", sessionChecks}, {"node", nodeChecks}, {"acl", aclChecks}, {"multi", multiChecks}, {"watch", watchChecks},
			{"hostile", hostileChecks}, {"word", wordChecks}, {"default", defaultChecks}, {"more", moreChecks}, {"watched", watchedChecks},
		},
		alone: []group{{"restart", restartChecks}},
	},
	{
		Name: "secured",
		config: with(Config, map[string]string{
			"extendedTypesEnabled": "true", "enforceQuota": "true", "reconfigEnabled": "true", "client.portUnification": "true",
			"authProvider.1": "org.apache.zookeeper.server.auth.SASLAuthenticationProvider", "superUser": "admin", "superUser.1": "root",
			"X509AuthenticationProvider.superUser": "CN=super",
		}),
		jvm:    map[string]string{"znode.container.checkIntervalMs": "500"},
		jaas:   jaasText,
		tls:    "want",
		groups: []group{{"ttl", ttlChecks}, {"quota", quotaChecks}, {"sasl", saslChecks}, {"tls", tlsChecks}},
	},
	{
		Name: "guarded",
		config: with(Config, map[string]string{
			"sessionRequireClientSASLAuth": "true", "maxClientCnxns": "5",
			"authProvider.1": "org.apache.zookeeper.server.auth.SASLAuthenticationProvider",
		}),
		jvm:    map[string]string{"jute.maxbuffer": "20000"},
		jaas:   jaasText,
		tls:    "need",
		enter:  func(c *Client) { c.login("alice", "alice-secret") },
		groups: []group{{"guarded", guardedChecks}},
	},
	{
		Name:   "open",
		config: with(Config, map[string]string{"skipACL": "yes", "allowSaslFailedClients": "true", "DigestAuthenticationProvider.enabled": "false"}),
		jaas:   jaasText,
		enter:  func(*Client) {},
		groups: []group{{"open", openChecks}},
	},
}

func with(base, more map[string]string) map[string]string {
	all := maps.Clone(base)
	maps.Copy(all, more)
	return all
}

const jaasText = `Server {
    org.apache.zookeeper.server.auth.DigestLoginModule required
    user_alice="alice-secret"
    user_admin="admin-secret"
    user_ümläut="grüße";
};
`

// Prepare writes the files that the configuration names into dir, and returns the lines of zoo.cfg and the system properties. Without a secure
// port in them, which belongs to whoever starts the server.
func (s *Setup) Prepare(t testing.TB, dir string) (config, properties map[string]string) {
	t.Helper()
	config, properties = maps.Clone(s.config), map[string]string{}
	maps.Copy(properties, s.jvm)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if s.jaas != "" {
		properties["java.security.auth.login.config"] = write("jaas.conf", s.jaas)
	}
	if s.tls != "" {
		config["serverCnxnFactory"] = "org.apache.zookeeper.server.NettyServerCnxnFactory"
		config["ssl.clientAuth"] = s.tls
		config["ssl.keyStore.location"] = write("server.pem", pki().server)
		config["ssl.trustStore.location"] = write("trust.pem", pki().trust)
	}
	return config, properties
}

// Secure says whether the server has a port for TLS.
func (s *Setup) Secure() bool { return s.tls != "" }

// Target is a server that runs.
type Target struct {
	Addr, Secure string
	// Apache says that it is a real ZooKeeper, for the few checks of what is different, and known to be.
	Apache bool
	// Restart stops it cleanly and starts it again on the same addresses and data.
	Restart func()
}

// Run checks a server that was started with what Prepare said.
func (s *Setup) Run(t *testing.T, target Target) {
	run := func(t *testing.T, g group, parallel bool) {
		t.Run(g.name, func(t *testing.T) {
			if parallel {
				t.Parallel()
			}
			for _, c := range g.checks {
				t.Run(c.name, func(t *testing.T) {
					if c.slow && parallel {
						t.Parallel()
					}
					c.run(&Env{T: t, Target: target, enter: s.enter})
				})
			}
		})
	}
	t.Run("checks", func(t *testing.T) {
		for _, g := range s.groups {
			run(t, g, true)
		}
	})
	for _, g := range s.alone {
		run(t, g, false)
	}
}
