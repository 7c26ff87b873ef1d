package zk

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ottla/coord"
	"ottla/coord/config"
	"ottla/coord/coordtest"
	"ottla/coord/coordtest/conformance"
)

// TestSecured: TLS by zkCli's file and SASL by a JAAS file, for our commands and for the shells.
func TestSecured(t *testing.T) {
	dir := t.TempDir()
	lines := []string{"dataDir=" + filepath.Join(dir, "data"), "secureClientPort=0", "secureClientPortAddress=127.0.0.1", "clientPort=0", "clientPortAddress=127.0.0.1"}
	files := map[string]string{}
	for _, s := range conformance.Setups {
		if s.Name == "secured" {
			more, properties := s.Prepare(t, dir)
			for k, v := range more {
				lines = append(lines, k+"="+v)
			}
			for k, v := range properties {
				lines = append(lines, k+"="+v)
			}
			files["trust"] = more["ssl.trustStore.location"]
		}
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cfg, _, err := config.Load(config.Source{File: write("zoo.cfg", strings.Join(lines, "\n"))})
	if err != nil {
		t.Fatal(err)
	}
	server := coordtest.Start(t, func(o *coord.Options) { o.Config = cfg })
	secure, plain := server.SecureAddr().String(), server.Addr().String()
	client := "zookeeper.client.secure=true\nzookeeper.ssl.trustStore.location=" + files["trust"] + "\n"
	good := write("client.properties", client+"zookeeper.ssl.hostnameVerification=false\n")
	kafka := write("kafka.properties", "zookeeper.ssl.client.enable=true\nzookeeper.ssl.truststore.location="+files["trust"]+"\nzookeeper.ssl.endpoint.identification.algorithm=\n")
	jaas := func(password string) string {
		return write("jaas-"+password+".conf", "Client {\n org.apache.zookeeper.server.auth.DigestLoginModule required\n username=\"alice\"\n password=\""+password+"\";\n};\n")
	}
	alice := jaas("alice-secret")
	for _, c := range []struct{ addr, flags, want string }{
		{secure, "whoami --client-config " + good, "SCHEME  USER\nip      127.0.0.1\n"},
		{secure, "whoami --client-config " + kafka, "SCHEME  USER\nip      127.0.0.1\n"},
		{secure, "whoami --jaas " + alice + " --client-config " + good, "sasl    alice\n"},
		{plain, "whoami --jaas " + alice, "sasl    alice\n"},
		{plain, "whoami --jaas " + jaas("wrong"), "!SASL login failed for user alice"},
		{plain, "whoami --jaas " + good, "!"},
		{plain, "whoami --jaas /no/such/file", "!no such file"},
		{secure, "whoami --client-config " + write("system.properties", "zookeeper.client.secure=true"), "!certificate"},
		{secure, "whoami --client-config " + write("anyname.properties", "zookeeper.client.secure=true\nzookeeper.ssl.hostnameVerification=false"), "!certificate"},
		{secure, "whoami --client-config " + write("crl.properties", client+"zookeeper.ssl.crl=true"), "!not implemented"},
	} {
		out, _, err := run(t, c.addr, strings.Fields(c.flags)...)
		if part, isError := strings.CutPrefix(c.want, "!"); isError {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v, want %q in it", c.flags, err, part)
			}
		} else if err != nil || !strings.Contains(strings.Join(strings.Fields(out), " "), strings.Join(strings.Fields(c.want), " ")) {
			t.Errorf("%s: %v, %q", c.flags, err, out)
		}
	}
	t.Setenv("CLIENT_JVMFLAGS", "-Xmx1g -Djava.security.auth.login.config="+alice)
	if out, errs, status := shellRun(t, "", secure, "-zk-tls-config-file", kafka, "create", "/mine", "x", "auth::cdrwa"); status != 0 || errs != "Created /mine\n" {
		t.Errorf("%d, %q, %q", status, out, errs)
	}
	if out, errs, status := shellRun(t, "", secure, "-zk-tls-config-file", kafka, "getAcl", "/mine"); status != 0 || !strings.HasSuffix(out, "'sasl,'alice\n: cdrwa\n") {
		t.Errorf("%d, %q, %q", status, out, errs)
	}
}
