package keystore

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	jks "github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"
)

// authority is a certificate authority and one certificate signed by it.
type authority struct {
	ca, leaf *x509.Certificate
	key      any // of the leaf
	der      []byte
}

func newAuthority(t testing.TB, key any, public any) *authority {
	t.Helper()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(c, parent *x509.Certificate, public any) *x509.Certificate {
		c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, c, parent, public, caKey)
		if err != nil {
			t.Fatal(err)
		}
		out, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	root := &x509.Certificate{Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a := &authority{key: key}
	a.ca = sign(root, root, &caKey.PublicKey)
	a.leaf = sign(&x509.Certificate{Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}, a.ca, public)
	if a.der, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		t.Fatal(err)
	}
	return a
}

func ecAuthority(t testing.TB) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newAuthority(t, key, &key.PublicKey)
}

func encode(typ string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der})
}

func write(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (a *authority) pem() []byte {
	return bytes.Join([][]byte{encode("CERTIFICATE", a.ca.Raw), encode("PRIVATE KEY", a.der), encode("CERTIFICATE", a.leaf.Raw)}, nil)
}

func (a *authority) pkcs12(t testing.TB, password string) []byte {
	data, err := pkcs12.Modern.Encode(a.key, a.leaf, []*x509.Certificate{a.ca}, password)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (a *authority) jks(t testing.TB, password string) []byte {
	ks := jks.New()
	chain := []jks.Certificate{{Type: "X509", Content: a.leaf.Raw}, {Type: "X509", Content: a.ca.Raw}}
	if err := ks.SetPrivateKeyEntry("server", jks.PrivateKeyEntry{CreationTime: time.Now(), PrivateKey: a.der, CertificateChain: chain}, []byte(password)); err != nil {
		t.Fatal(err)
	}
	if err := ks.SetTrustedCertificateEntry("ca", jks.TrustedCertificateEntry{CreationTime: time.Now(), Certificate: chain[1]}); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := ks.Store(&b, []byte(password)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestKeyInEveryFormat(t *testing.T) {
	a, dir := ecAuthority(t), t.TempDir()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	r := newAuthority(t, rsaKey, &rsaKey.PublicKey)
	sec1, err := x509.MarshalECPrivateKey(a.key.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		of       *authority
		file     string
		data     []byte
		typ      Type
		password string
	}{
		"PEM":             {a, "a.pem", a.pem(), "", ""},
		"PEM, PKCS #1":    {r, "b.pem", append(encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), append(encode("CERTIFICATE", r.leaf.Raw), encode("CERTIFICATE", r.ca.Raw)...)...), PEM, ""},
		"PEM, SEC 1":      {a, "c", append(encode("EC PRIVATE KEY", sec1), append(encode("CERTIFICATE", a.leaf.Raw), encode("CERTIFICATE", a.ca.Raw)...)...), "", ""},
		"PKCS12":          {a, "a.p12", a.pkcs12(t, "secret"), "", "secret"},
		"PKCS12 by type":  {r, "store", r.pkcs12(t, "secret"), PKCS12, "secret"},
		"JKS":             {a, "a.jks", a.jks(t, "secret"), "", "secret"},
		"PKCS12 as .jks":  {a, "b.jks", a.pkcs12(t, "secret"), "", "secret"},
		"JKS, an RSA key": {r, "c.jks", r.jks(t, "secret"), JKS, "secret"},
	} {
		path := write(t, filepath.Join(dir, x.file), x.data)
		c, err := Key(path, x.typ, x.password)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(c.Certificate) != 2 || !c.Leaf.Equal(x.of.leaf) || !bytes.Equal(c.Certificate[1], x.of.ca.Raw) {
			t.Errorf("%s: %d certificates, the first of %s", name, len(c.Certificate), c.Leaf.Subject)
		}
		if x.password != "" {
			if _, err := Key(path, x.typ, "wrong"); err == nil || strings.Contains(err.Error(), "wrong ") {
				t.Errorf("%s with another password: %v", name, err)
			}
		}
	}
}

func TestTrustedInEveryFormat(t *testing.T) {
	a, dir := ecAuthority(t), t.TempDir()
	p12, err := pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{a.ca}, "secret")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"a.pem": encode("CERTIFICATE", a.ca.Raw), "a.p12": p12, "a.jks": a.jks(t, "secret"), "both.p12": a.pkcs12(t, "secret")} {
		certs, err := Trusted(write(t, filepath.Join(dir, name), data), "", "secret")
		found := false
		for _, c := range certs {
			found = found || c.Equal(a.ca)
		}
		if err != nil || !found {
			t.Errorf("%s: %d certificates, %v", name, len(certs), err)
		}
	}
}

func TestFilesThatWillNotDo(t *testing.T) {
	a, b, dir := ecAuthority(t), ecAuthority(t), t.TempDir()
	for name, x := range map[string]struct {
		data []byte
		want string
	}{
		"empty.pem":     {nil, "no private key"},
		"nokey.pem":     {encode("CERTIFICATE", a.leaf.Raw), "no private key"},
		"nocert.pem":    {encode("PRIVATE KEY", a.der), "none of its certificates"},
		"other.pem":     {append(encode("PRIVATE KEY", a.der), encode("CERTIFICATE", b.leaf.Raw)...), "none of its certificates"},
		"encrypted.pem": {encode("ENCRYPTED PRIVATE KEY", a.der), "openssl pkcs8"},
		"broken.pem":    {encode("PRIVATE KEY", a.der[:20]), "cannot be read"},
		"broken.p12":    {[]byte("hello"), "key store"},
		"broken.jks":    {[]byte{0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0xff}, "key store"},
	} {
		if _, err := Key(write(t, filepath.Join(dir, name), x.data), "", "secret"); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", name, err, x.want)
		}
	}
	if _, err := Key(dir, "", ""); err == nil {
		t.Error("a directory was taken")
	}
	if _, err := Trusted(filepath.Join(dir, "empty.pem"), "", ""); err == nil || !strings.Contains(err.Error(), "no certificates") {
		t.Errorf("an empty trust store: %v", err)
	}
	if _, err := ParseType("BCFKS"); err == nil {
		t.Error("BCFKS was taken")
	}
}

// shake does a handshake over a socket and returns what the client saw of the server.
func shake(t *testing.T, server *tls.Config, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			served <- err
			return
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(10 * time.Second))
		tc := tls.Server(nc, server)
		if err = tc.Handshake(); err == nil {
			_, err = tc.Write([]byte{1})
		}
		served <- err
	}()
	tc, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", l.Addr().String(), client)
	if err != nil {
		<-served
		return tls.ConnectionState{}, err
	}
	defer tc.Close()
	_, err = tc.Read(make([]byte, 1))
	if serr := <-served; serr != nil {
		err = serr
	}
	return tc.ConnectionState(), err
}

func TestReload(t *testing.T) {
	a, b, dir := ecAuthority(t), ecAuthority(t), t.TempDir()
	path := write(t, filepath.Join(dir, "key.pem"), a.pem())
	failed := make(chan error, 10)
	s := &Server{Key: Store{Path: path}, Auth: None, Reload: true, Failed: func(err error) { failed <- err }}
	c, _, err := s.Config()
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.ca)
	pool.AddCert(b.ca)
	served := func() *x509.Certificate {
		t.Helper()
		s.mu.Lock()
		s.checked = time.Time{} // as if a second had passed
		s.mu.Unlock()
		state, err := shake(t, c, &tls.Config{RootCAs: pool, ServerName: "localhost"})
		if err != nil {
			t.Fatal(err)
		}
		return state.PeerCertificates[0]
	}
	if !served().Equal(a.leaf) {
		t.Error("another certificate than in the file")
	}
	write(t, path, []byte("broken"))
	if !served().Equal(a.leaf) {
		t.Error("a broken file took the old certificate away")
	}
	select {
	case err := <-failed:
		if !strings.Contains(err.Error(), path) {
			t.Error(err)
		}
	default:
		t.Error("nobody heard of the broken file")
	}
	write(t, path, b.pem())
	if !served().Equal(b.leaf) {
		t.Error("the new certificate is not in use")
	}
}

func TestClientNames(t *testing.T) {
	a, dir := ecAuthority(t), t.TempDir()
	path := write(t, filepath.Join(dir, "key.pem"), a.pem())
	s := &Server{Key: Store{Path: path}, Trust: Store{Path: path}, ClientNames: true}
	c, _, err := s.Config()
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.ca)
	good := tls.Certificate{Certificate: [][]byte{a.leaf.Raw}, PrivateKey: a.key}
	if _, err := shake(t, c, &tls.Config{RootCAs: pool, ServerName: "localhost", Certificates: []tls.Certificate{good}}); err != nil {
		t.Errorf("a certificate for 127.0.0.1: %v", err)
	}
	if err := verifyClientName(t.Context(), address{}, tls.ConnectionState{PeerCertificates: []*x509.Certificate{a.leaf}}); err == nil {
		t.Error("a certificate for another address was taken")
	}
	if _, err := shake(t, c, &tls.Config{RootCAs: pool, ServerName: "localhost"}); err == nil {
		t.Error("no certificate was taken")
	}
}

// address is a connection from an address of the documentation, which has no name.
type address struct{ net.Conn }

func (address) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1} }

func TestVersionsAndSuites(t *testing.T) {
	for _, x := range []struct {
		protocols, suites []string
		low, high         uint16
	}{
		{nil, nil, tls.VersionTLS12, tls.VersionTLS13},
		{[]string{"TLSv1.3"}, nil, tls.VersionTLS13, tls.VersionTLS13},
		{[]string{"TLSv1.2", "tlsv1.1"}, nil, tls.VersionTLS11, tls.VersionTLS12},
		{nil, []string{"TLS_AES_128_GCM_SHA256"}, tls.VersionTLS13, tls.VersionTLS13},
		{nil, []string{"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}, tls.VersionTLS12, tls.VersionTLS12},
	} {
		low, high, err := versions(x.protocols, x.suites)
		if err != nil || low != x.low || high != x.high {
			t.Errorf("%v %v: %x to %x, %v", x.protocols, x.suites, low, high, err)
		}
	}
	if _, _, err := versions([]string{"TLSv1.3"}, []string{"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}); err == nil {
		t.Error("a protocol that has none of the suites was taken")
	}
	if _, _, err := versions([]string{"SSLv3"}, nil); err == nil {
		t.Error("SSLv3 was taken")
	}
	ids, unknown, err := parseSuites([]string{"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"})
	if err != nil || len(ids) != 1 || len(unknown) != 1 {
		t.Errorf("%v %v %v", ids, unknown, err)
	}
	if _, _, err := parseSuites([]string{"TLS_NOPE"}); err == nil {
		t.Error("a suite that nobody knows was taken")
	}
}

func FuzzStores(f *testing.F) {
	a := ecAuthority(f)
	f.Add(a.pem())
	f.Add(a.jks(f, "secret"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := write(t, filepath.Join(dir, "store"), data)
		for _, typ := range []Type{PEM, JKS} {
			if c, err := Key(path, typ, "secret"); err == nil && (c.PrivateKey == nil || len(c.Certificate) == 0) {
				t.Error("neither a key nor an error")
			}
			Trusted(path, typ, "secret")
		}
	})
}
