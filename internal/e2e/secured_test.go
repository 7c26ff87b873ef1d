//go:build unix

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	saslProvider = "authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider"
	// superDigest belongs to super:admin.
	superDigest = "DigestAuthenticationProvider.superDigest=super:xQJmxLMiHGwaqBvst5y6rkB6HQs="
)

// jaas writes a login configuration with the users of the server and one client's login.
func jaas(t testing.TB, dir, user string) string {
	t.Helper()
	const module = "org.apache.zookeeper.server.auth.DigestLoginModule required"
	path := filepath.Join(dir, "jaas.conf")
	text := fmt.Sprintf("Server { %s user_alice=\"alice-secret\" user_kafka=\"kafka-secret\"; };\nClient { %s username=\"%s\" password=\"%s-secret\"; };\n", module, module, user, user)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// stores are key and trust stores as Java's keytool makes them.
type stores struct{ serverJKS, clientP12, trustJKS, clientPEM, caPEM string }

func makeStores(t testing.TB) (s stores) {
	t.Helper()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	s = stores{file("server.jks"), file("client.p12"), file("trust.jks"), file("client.pem"), file("ca.pem")}
	keytool := func(args ...string) string {
		return Run(t, time.Minute, dir, append([]string{"keytool", "-storepass", "secret", "-noprompt"}, args...)...)
	}
	for _, x := range [][]string{
		{"server", s.serverJKS, "JKS", "CN=localhost"}, {"client", s.clientP12, "PKCS12", "CN=client,O=Acme"},
	} {
		keytool("-genkeypair", "-alias", x[0], "-keystore", x[1], "-storetype", x[2], "-keypass", "secret", "-keyalg", "EC", "-dname", x[3], "-ext", "SAN=DNS:localhost,IP:127.0.0.1")
		cert := keytool("-exportcert", "-rfc", "-alias", x[0], "-keystore", x[1])
		if err := os.WriteFile(file(x[0]+".crt"), []byte(cert), 0o600); err != nil {
			t.Fatal(err)
		}
		keytool("-importcert", "-alias", x[0], "-keystore", s.trustJKS, "-storetype", "JKS", "-file", file(x[0]+".crt"))
	}
	ca, err := os.ReadFile(file("server.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pem := Run(t, time.Minute, dir, "openssl", "pkcs12", "-in", s.clientP12, "-passin", "pass:secret", "-nodes")
	for path, data := range map[string][]byte{s.caPEM: ca, s.clientPEM: []byte(pem)} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestSecuredCoordinator lets clients of three languages log in, with SASL and with certificates out of Java's key stores, on both coordinators.
func TestSecuredCoordinator(t *testing.T) {
	t.Parallel()
	Peers(t, "zookeeper")
	s := makeStores(t)
	test := func(t *testing.T, start func(t *testing.T, dir string, lines ...string) *Server) {
		dir, secure := t.TempDir(), FreePort(t)
		login := jaas(t, dir, "alice")
		coord := start(t, login, saslProvider, superDigest, "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory",
			fmt.Sprint("secureClientPort=", secure), "secureClientPortAddress=127.0.0.1", "ssl.clientAuth=want",
			"ssl.keyStore.location="+s.serverJKS, "ssl.keyStore.password=secret", "ssl.trustStore.location="+s.trustJKS, "ssl.trustStore.password=secret")
		secureAddress := fmt.Sprint("127.0.0.1:", secure)

		t.Run("zkCli with SASL", func(t *testing.T) {
			cli := withFlags(Apache(t, "zookeeper", "zkCli", "-server", coord.Address), "-Djava.security.auth.login.config="+login, "-Dzookeeper.fips-mode=false")
			out, err := Try(time.Minute, dir, "create /sasl data auth::cdrwa\ngetAcl /sasl\nwhoami\nset /sasl more\nget /sasl\nquit\n", cli...)
			if err != nil {
				t.Fatal(err)
			}
			wantLines(t, out, "'sasl,'alice", "sasl: alice", "more")
			out, _ = Try(time.Minute, dir, "get /sasl\nquit\n", Apache(t, "zookeeper", "zkCli", "-server", coord.Address)...)
			if strings.Contains(out, "more") {
				t.Errorf("somebody else may read:\n%s", out)
			}
		})
		t.Run("zkCli with TLS", func(t *testing.T) {
			cli := withFlags(Apache(t, "zookeeper", "zkCli", "-server", secureAddress), "-Dzookeeper.clientCnxnSocket=org.apache.zookeeper.ClientCnxnSocketNetty",
				"-Dzookeeper.client.secure=true", "-Dzookeeper.ssl.keyStore.location="+s.clientP12, "-Dzookeeper.ssl.keyStore.password=secret",
				"-Dzookeeper.ssl.trustStore.location="+s.trustJKS, "-Dzookeeper.ssl.trustStore.password=secret")
			out, err := Try(time.Minute, dir, "create /tls data\nsetAcl /tls x509:CN=client,O=Acme:cdrwa\nwhoami\nget /tls\nquit\n", cli...)
			if err != nil {
				t.Fatal(err)
			}
			wantLines(t, out, "x509: CN=client,O=Acme", "data")
		})
		t.Run("kazoo", func(t *testing.T) {
			wantLines(t, Run(t, time.Minute, dir, Python(t, "secured.py", coord.Address, secureAddress, s.caPEM, s.clientPEM)...), "ok sasl", "ok wrong password", "ok tls")
		})
		t.Run("go-zookeeper", func(t *testing.T) { goSecured(t, secureAddress, s) })
		coord.Stop(t)
	}
	t.Run("ottla", func(t *testing.T) {
		test(t, func(t *testing.T, login string, lines ...string) *Server {
			return Coordinator(t, append(lines, "java.security.auth.login.config="+login)...)
		})
	})
	t.Run("ZooKeeper", func(t *testing.T) {
		test(t, func(t *testing.T, login string, lines ...string) *Server {
			return zooKeeperWith(t, []string{"-Djava.security.auth.login.config=" + login}, lines...)
		})
	})
}

// goSecured uses go-zookeeper with a certificate and a digest identity.
func goSecured(t *testing.T, address string, s stores) {
	cert, err := tls.LoadX509KeyPair(s.clientPEM, s.clientPEM)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(s.caPEM)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	dial := func(network, address string, timeout time.Duration) (net.Conn, error) {
		return tls.DialWithDialer(&net.Dialer{Timeout: timeout}, network, address, &tls.Config{RootCAs: pool, ServerName: "localhost", Certificates: []tls.Certificate{cert}})
	}
	c, _, err := zk.Connect([]string{address}, 10*time.Second, zk.WithLogger(quiet{}), zk.WithDialer(dial))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.AddAuth("digest", []byte("u:p")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create("/go", nil, 0, zk.AuthACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	list, _, err := c.GetACL("/go")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"x509:CN=client,O=Acme", "digest:u:"} {
		if !slices.ContainsFunc(list, func(a zk.ACL) bool { return strings.HasPrefix(a.Scheme+":"+a.ID, want) }) {
			t.Errorf("no %s in %v", want, list)
		}
	}
}

// wantLines fails for each line that the output does not hold.
func wantLines(t *testing.T, out string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if !slices.Contains(strings.Split(strings.ReplaceAll(out, "\r", ""), "\n"), l) {
			t.Errorf("no line %q in\n%s", l, out)
		}
	}
}

// TestApacheBrokerOnSecuredCoordinator runs Apache Kafka 3.9 with SASL to our coordinator, which lets nobody else in, and with
// zookeeper.set.acl=true. What it leaves there is what it leaves in ZooKeeper, list by list.
func TestApacheBrokerOnSecuredCoordinator(t *testing.T) {
	t.Parallel()
	Peers(t, "kafka-3.9")
	dir := t.TempDir()
	login := jaas(t, dir, "kafka")
	coord := Coordinator(t, saslProvider, superDigest, "java.security.auth.login.config="+login)
	b := kafkaWith(t, "kafka-3.9", dir, 0, coord.Address, []string{"-Djava.security.auth.login.config=" + login},
		"zookeeper.set.acl=true", "authorizer.class.name=kafka.security.authorizer.AclAuthorizer", "super.users=User:ANONYMOUS")
	c := connect(t, coord.Address)
	if err := c.AddAuth("digest", []byte("super:admin")); err != nil {
		t.Fatal(err)
	}
	compare(t, dump(t, c), recorded(t, "secured-fresh"), moment{})

	// A coordinator that is killed, with everybody's identities to be proven anew.
	Run(t, time.Minute, "", Apache(t, "kafka-3.9", "kafka-topics", "--bootstrap-server", b.Address, "--create", "--topic", "before")...)
	coord.Kill()
	coord.Restart(t)
	Await(t, time.Minute, "a topic is made", func() error {
		_, err := Try(time.Minute, "", "", Apache(t, "kafka-3.9", "kafka-topics", "--bootstrap-server", b.Address, "--create", "--topic", "after", "--if-not-exists")...)
		return err
	})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cl := Client(t, b.Address)
	for _, topic := range []string{"before", "after"} {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("v")}).FirstErr(); err != nil {
			t.Errorf("%s: %v", topic, err)
		}
	}
	Await(t, 30*time.Second, "the topic's node is Kafka's", func() error {
		list, _, err := c.GetACL("/brokers/topics/after")
		if err == nil && (len(list) != 2 || list[0] != zk.ACL{Perms: zk.PermAll, Scheme: "sasl", ID: "kafka"}) {
			err = fmt.Errorf("list %v", list)
		}
		return err
	})
	b.Stop(t)
	coord.Stop(t)
}
