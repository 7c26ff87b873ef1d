//go:build unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// secured starts `ottla broker` with options of the JVM, which a broker of Java would take its login from.
func secured(t testing.TB, options, zk string, lines ...string) *Server {
	dir := t.TempDir()
	return broker(t, "broker 0", dir, 0, zk, lines, func(cfg string) []string {
		return []string{"env", "KAFKA_OPTS=" + options, Binary(t), "broker", cfg}
	})
}

// TestBrokerOnSecuredCoordinator has a broker log in to both coordinators, with zookeeper.set.acl=true. What it leaves there is what
// Apache Kafka leaves, list by list, also in a second session.
func TestBrokerOnSecuredCoordinator(t *testing.T) {
	t.Parallel()
	login := jaas(t, t.TempDir(), "kafka")
	option := "-Djava.security.auth.login.config=" + login
	lines := []string{saslProvider, superDigest, "tickTime=500"}
	t.Run("ottla", func(t *testing.T) {
		brokerOnSecured(t, Coordinator(t, append(lines, "java.security.auth.login.config="+login)...), option)
	})
	t.Run("ZooKeeper", func(t *testing.T) {
		Peers(t, "zookeeper")
		brokerOnSecured(t, zooKeeperWith(t, []string{option}, lines...), option)
	})
}

func brokerOnSecured(t *testing.T, coord *Server, option string) {
	b := secured(t, option, coord.Address, "zookeeper.set.acl=true", "zookeeper.session.timeout.ms=2000")
	c := connect(t, coord.Address)
	if err := c.AddAuth("digest", []byte("super:admin")); err != nil {
		t.Fatal(err)
	}
	compare(t, dump(t, c), recorded(t, "secured-fresh"), securedFresh)

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cl := Client(t, b.Address, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 2, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	turn := func(value string) {
		t.Helper()
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		for got := ""; got != value; {
			f := cl.PollFetches(ctx)
			if err := f.Err(); err != nil {
				t.Fatal(err)
			}
			f.EachRecord(func(r *kgo.Record) { got = string(r.Value) })
		}
	}
	turn("before")

	// The session ends while the broker stands still; its next one has to prove again who it is.
	owner := func() int64 {
		_, s, err := c.Get("/brokers/ids/0")
		if err != nil {
			return 0
		}
		return s.EphemeralOwner
	}
	first := owner()
	b.Signal(syscall.SIGSTOP)
	Await(t, 30*time.Second, "the session is over", func() error {
		if owner() != 0 {
			return errors.New("still registered")
		}
		return nil
	})
	b.Signal(syscall.SIGCONT)
	Await(t, 30*time.Second, "the broker is registered again", func() error {
		if now := owner(); now == 0 || now == first {
			return errors.New("not registered")
		}
		return nil
	})
	Await(t, 30*time.Second, "the broker leads again", func() error { _, err := leaders(t, b.Address, "t", 2); return err })
	turn("after")

	tree := dump(t, c)
	for _, p := range slices.Sorted(maps.Keys(tree)) {
		own := p != "/" && p != "/consumers" && !strings.HasPrefix(p, "/zookeeper")
		if acl := tree[p].ACL; own && !strings.HasPrefix(acl, "sasl:kafka:31 ") || own && strings.Contains(acl, "anyone:31") {
			t.Errorf("%s has the list %s", p, acl)
		}
	}
	other := connect(t, coord.Address)
	if _, err := other.Set("/brokers/topics/t", nil, -1); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("somebody else may write: %v", err)
	}
	b.Stop(t)

	wrong := jaas(t, t.TempDir(), "nobody")
	_, err := Try(time.Minute, t.TempDir(), "", "env", "KAFKA_OPTS=-Djava.security.auth.login.config="+wrong, Binary(t), "broker",
		"--override", "zookeeper.connect="+coord.Address, "--override", "zookeeper.connection.timeout.ms=1000", "--override", "log.dirs="+t.TempDir(),
		"--override", fmt.Sprint("listeners=PLAINTEXT://127.0.0.1:", FreePort(t)))
	if err == nil || !strings.Contains(err.Error(), "SASL login to ZooKeeper failed as user nobody") {
		t.Errorf("a wrong login: %v", err)
	}
	coord.Stop(t)
}

// TestBrokerWithCertificate has a broker known by its certificate, out of stores as Java makes them.
func TestBrokerWithCertificate(t *testing.T) {
	t.Parallel()
	Peers(t, "zookeeper")
	s := makeStores(t)
	test := func(t *testing.T, start func(t testing.TB, lines ...string) *Server) {
		secure := FreePort(t)
		coord := start(t, superDigest, "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory", "authProvider.x509=org.apache.zookeeper.server.auth.X509AuthenticationProvider",
			fmt.Sprint("secureClientPort=", secure), "secureClientPortAddress=127.0.0.1",
			"ssl.keyStore.location="+s.serverJKS, "ssl.keyStore.password=secret", "ssl.trustStore.location="+s.trustJKS, "ssl.trustStore.password=secret")
		b := Broker(t, 0, fmt.Sprint("localhost:", secure), "zookeeper.set.acl=true", "zookeeper.ssl.client.enable=true", "zookeeper.ssl.enabled.protocols=TLSv1.2,TLSv1.3",
			"zookeeper.clientCnxnSocket=org.apache.zookeeper.ClientCnxnSocketNetty", "zookeeper.ssl.keystore.location="+s.clientP12, "zookeeper.ssl.keystore.password=secret",
			"zookeeper.ssl.truststore.location="+s.trustJKS, "zookeeper.ssl.truststore.password=secret")
		c := connect(t, coord.Address)
		list, _, err := c.GetACL("/brokers/ids/0")
		want := []zk.ACL{{Perms: zk.PermAll, Scheme: "x509", ID: "CN=client,O=Acme"}, {Perms: zk.PermRead, Scheme: "world", ID: "anyone"}}
		if err != nil || !slices.Equal(list, want) {
			t.Errorf("the list is %v, %v; want %v", list, err, want)
		}
		b.Stop(t)
		coord.Stop(t)
	}
	t.Run("ottla", func(t *testing.T) { test(t, Coordinator) })
	t.Run("ZooKeeper", func(t *testing.T) { test(t, ZooKeeper) })
}

// securedFresh is what is meant to differ from secured-fresh, which was recorded with an authorizer.
var securedFresh = moment{
	absent: []absence{
		{"/kafka-acl", "the authorizer"},
		{"/kafka-acl-changes", "the authorizer"},
		{"/kafka-acl-extended", "the authorizer"},
		{"/kafka-acl-extended-changes", "the authorizer"},
	},
	changed: []change{{"/", children(4), "none of the four roots of the authorizer"}},
}
