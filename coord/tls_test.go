package coord_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ottla/coord"
	"ottla/coord/config"
	"ottla/coord/coordtest"
	"ottla/coord/coordtest/conformance"
)

// secured loads a file with TLS and the given lines.
func secured(t *testing.T, lines ...string) *config.Config {
	t.Helper()
	dir := t.TempDir()
	for _, s := range conformance.Setups {
		if !s.Secure() {
			continue
		}
		more, _ := s.Prepare(t, dir)
		for k, v := range more {
			if strings.HasPrefix(k, "ssl.") {
				lines = append(lines, k+"="+v)
			}
		}
		break
	}
	path := filepath.Join(dir, "zoo.cfg")
	if err := os.WriteFile(path, []byte(strings.Join(append(lines, "dataDir="+filepath.Join(dir, "data"), "4lw.commands.whitelist=*"), "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, err := config.Load(config.Source{File: path})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Who names a port for TLS and no other gets no other.
func TestOnlyTLS(t *testing.T) {
	cfg := secured(t, "secureClientPort=0", "secureClientPortAddress=127.0.0.1")
	srv := coordtest.Start(t, func(o *coord.Options) { o.Config = cfg })
	if srv.Addr() != srv.SecureAddr() {
		t.Fatalf("listens at %v and %v", srv.Addr(), srv.SecureAddr())
	}
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}, Config: &tls.Config{InsecureSkipVerify: true}} // who the server is, is tested elsewhere
	nc, err := d.Dial("tcp", srv.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(nc, "conf")
	buf := make([]byte, 4096)
	n, _ := nc.Read(buf)
	if want := fmt.Sprintf("clientPort=-1\nsecureClientPort=%s\n", srv.Port()); !strings.HasPrefix(string(buf[:n]), want) {
		t.Errorf("conf begins with %q, want %q", buf[:min(n, 60)], want)
	}
}

func TestTLSThatCannotBe(t *testing.T) {
	broken := secured(t, "secureClientPort=0")
	if err := os.WriteFile(broken.TLS.Key.Path, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := secured(t, fmt.Sprint("secureClientPort=", l.Addr().(*net.TCPAddr).Port), "secureClientPortAddress=127.0.0.1")
	for _, x := range []struct {
		cfg  *config.Config
		want []string
	}{
		{broken, []string{broken.TLS.Key.Path, "no private key", "ssl.*"}},
		{taken, []string{"is taken by another program", "set secureClientPort to another port"}},
	} {
		s, err := coord.New(coord.Options{Config: x.cfg})
		if err == nil {
			s.Close()
			t.Error("started")
			continue
		}
		for _, want := range x.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("no %q in %v", want, err)
			}
		}
	}
}
