package config

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"ottla/internal/zkdial"
)

// secured loads a configuration with options of the JVM; jaas is what the JAAS file "/jaas" holds.
func secured(lines, options, jaas string) (*Config, error) {
	c, _, err := Load(Sources{File: "/f", Environ: []string{"KAFKA_OPTS=" + options}, ReadFile: func(name string) ([]byte, error) {
		switch name {
		case "/f":
			return []byte("zookeeper.connect=a:1\n" + lines), nil
		case "/jaas":
			return []byte(jaas), nil
		}
		return nil, fmt.Errorf("%s: %w", name, os.ErrNotExist)
	}})
	return c, err
}

func TestZooKeeperLogin(t *testing.T) {
	const option = "-Djava.security.auth.login.config=/jaas"
	const digest = `{ org.apache.zookeeper.server.auth.DigestLoginModule required username="u" password="p\"q"; };`
	for _, c := range []struct {
		lines, options, jaas string
		want                 string // user:password of the login, "" for none; or a part of the error
	}{
		{"", "", "", ""},
		{"", "-Xmx1g " + option, "Client " + digest, `u:p"q`},
		{"zookeeper.set.acl=true", option, "Client " + digest, `u:p"q`},
		{"", `"-Dx=y" -Djava.security.auth.login.config="/jaas"`, "Client " + digest, `u:p"q`},
		{"", option + " -Dzookeeper.sasl.clientconfig=ZK", "Client { x.Y required; }; ZK " + digest, `u:p"q`},
		{"", option, "KafkaServer " + digest, ""},
		{"", option + " -Dzookeeper.sasl.client=false", "KafkaServer " + digest, ""},
		{"", option + " -Dzookeeper.sasl.client=false", "Client " + digest, "zookeeper.sasl.client=false"},
		{"", option, "Client { com.sun.security.auth.module.Krb5LoginModule required; };", "Krb5LoginModule"},
		{"", option, "Client { a.DigestLoginModule required password=p; };", "no username"},
		{"", option, "Client {", "/jaas"},
		{"", "-Djava.security.auth.login.config=/missing", "", "/missing"},
		{"zookeeper.set.acl=true", "", "", "zookeeper.set.acl=true"},
		{"zookeeper.set.acl=true", option, "KafkaServer " + digest, "zookeeper.set.acl=true"},
		{"zookeeper.set.acl=true\nzookeeper.ssl.client.enable=true", "", "", "zookeeper.set.acl=true"},
	} {
		got, err := secured(c.lines, c.options, c.jaas)
		if err != nil {
			if c.want == "" || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v: %v", c, err)
			}
			continue
		}
		login := ""
		if l := got.ZooKeeper.Login; l != nil {
			login = l.User + ":" + l.Password
		}
		if login != c.want || got.ZooKeeper.SetACL != strings.Contains(c.lines, "set.acl") {
			t.Errorf("%+v: login %q", c, login)
		}
	}
	if d, err := (&ZooKeeper{Login: &zkdial.Login{User: "u"}}).Dialer(); err != nil || d.TLS != nil || d.Login.User != "u" {
		t.Errorf("%+v, %v", d, err)
	}
}

// A key that is not set is taken from the JVM's properties, as Kafka does.
func TestZooKeeperTLS(t *testing.T) {
	c, err := secured("zookeeper.ssl.cipher.suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
		"-Dzookeeper.client.secure=true -Dzookeeper.ssl.hostnameVerification=false -Dzookeeper.ssl.ciphersuites=nonsense", "")
	if err != nil {
		t.Fatal(err)
	}
	tls := c.ZooKeeper.TLS
	if tls == nil || !tls.AnyName || len(tls.Protocols) != 1 || tls.Protocols[0] != "TLSv1.2" || len(tls.Suites) != 1 {
		t.Errorf("%+v", tls)
	}
	if c, err := secured("zookeeper.ssl.enabled.protocols=TLSv1.2,TLSv1.3\nzookeeper.ssl.client.enable=true", "", ""); err != nil || c.ZooKeeper.TLS.AnyName || len(c.ZooKeeper.TLS.Protocols) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
	for _, lines := range []string{"zookeeper.ssl.keystore.location=/missing", "zookeeper.ssl.truststore.location=/missing", "zookeeper.ssl.truststore.type=XYZ\nzookeeper.ssl.truststore.location=/x",
		"zookeeper.ssl.protocol=SSLv3", "zookeeper.ssl.cipher.suites=nonsense", "zookeeper.ssl.crl.enable=true"} {
		if _, err := secured("zookeeper.ssl.client.enable=true\n"+lines, "", ""); err == nil || !strings.Contains(err.Error(), "zookeeper.ssl.") {
			t.Errorf("%s: %v", lines, err)
		}
	}
}
