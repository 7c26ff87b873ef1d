package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"time"

	"ottla/coord/wire"
)

var tlsChecks = []check{
	{name: "certificate becomes an identity", run: tlsIdentity},
	{name: "names as Java writes them", run: tlsNames},
	{name: "without a certificate", run: tlsWithout},
	{name: "a certificate that nobody trusts", run: tlsUntrusted},
	{name: "protocols", run: tlsProtocols},
	{name: "no TLS where TLS is wanted", run: tlsPlain},
	{name: "one port for both", run: tlsUnified},
	{name: "lists with names", run: tlsEntries},
	{name: "auth becomes the name", run: tlsCreator},
	{name: "a super user", run: tlsSuper},
	{name: "four-letter word", run: tlsWord},
	{name: "large requests and answers", run: tlsLarge},
	{name: "bytes one by one", run: tlsTrickle},
}

// keys are a certificate authority, a server and what is needed to make clients.
type keys struct {
	authority     *x509.Certificate
	key           *ecdsa.PrivateKey
	server, trust string // PEM
	pool          *x509.CertPool
}

// pki is made once for a test process.
var pki = sync.OnceValue(func() *keys {
	k := &keys{key: newKey()}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	k.authority = sign(t, t, &k.key.PublicKey, k.key)
	k.trust = encode("CERTIFICATE", k.authority.Raw)
	k.pool = x509.NewCertPool()
	k.pool.AddCert(k.authority)
	server := newKey()
	cert := sign(&x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, k.authority, &server.PublicKey, k.key)
	der, err := x509.MarshalPKCS8PrivateKey(server)
	if err != nil {
		panic(err)
	}
	k.server = encode("PRIVATE KEY", der) + encode("CERTIFICATE", cert.Raw)
	return k
})

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func sign(t, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) *x509.Certificate {
	t.NotBefore, t.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, t, parent, public, key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return cert
}

func encode(typ string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}))
}

// client makes a certificate for a client with this name.
func (k *keys) client(name pkix.Name) *tls.Certificate {
	key := newKey()
	t := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: name, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	return &tls.Certificate{Certificate: [][]byte{sign(t, k.authority, &key.PublicKey, k.key).Raw}, PrivateKey: key}
}

// dialTLS connects; a nil certificate shows none.
func dialTLS(e *Env, addr string, cert *tls.Certificate, change func(*tls.Config)) (*Client, error) {
	e.Helper()
	c := &tls.Config{RootCAs: pki().pool, ServerName: "localhost"}
	if cert != nil {
		c.Certificates = []tls.Certificate{*cert}
	}
	if change != nil {
		change(c)
	}
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: c}
	nc, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	e.Cleanup(func() { nc.Close() })
	return &Client{T: e, Conn: nc}, nil
}

// openTLS is dialTLS with a session.
func openTLS(e *Env, addr string, cert *tls.Certificate) *Client {
	e.Helper()
	c, err := dialTLS(e, addr, cert, nil)
	if err != nil {
		e.Fatal(err)
	}
	c.Session = c.Connect(wire.ConnectRequest{TimeoutMs: 30000})
	e.Cleanup(c.closeSession)
	return c
}

func tlsIdentity(e *Env) {
	c := openTLS(e, e.Secure, pki().client(pkix.Name{CommonName: "client", OrganizationalUnit: []string{"dev"}, Organization: []string{"Acme"}, Country: []string{"US"}}))
	wantIdentities(e, c, "x509:CN=client,OU=dev,O=Acme,C=US")
	c.OK(wire.OpAuth, AuthPacket("x509", ""))
	wantIdentities(e, c, "x509:CN=client,OU=dev,O=Acme,C=US")
}

func tlsNames(e *Env) {
	oid := func(n ...int) asn1.ObjectIdentifier { return n }
	attribute := func(id asn1.ObjectIdentifier, v any) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: id, Value: v}
	}
	cn := oid(2, 5, 4, 3)
	for want, parts := range map[string][]pkix.AttributeTypeAndValue{
		`CN=a\,b\+c\"d\\e\<f\>g\;h`: {attribute(cn, `a,b+c"d\e<f>g;h`)},
		`CN=\#hash`:                 {attribute(cn, "#hash")},
		`CN=\ space\ `:              {attribute(cn, " space ")},
		`CN=a  b`:                   {attribute(cn, "a  b")},
		`CN=grüße`:                  {attribute(cn, "grüße")},
		`CN=a\=b\#c`:                {attribute(cn, "a=b#c")},
		`UID=u,DC=example,DC=com`: {attribute(oid(0, 9, 2342, 19200300, 100, 1, 25), "com"), attribute(oid(0, 9, 2342, 19200300, 100, 1, 25), "example"),
			attribute(oid(0, 9, 2342, 19200300, 100, 1, 1), "u")},
		`CN=x,STREET=Way 1,L=Town,ST=State,C=DE`: {attribute(oid(2, 5, 4, 6), "DE"), attribute(oid(2, 5, 4, 8), "State"), attribute(oid(2, 5, 4, 7), "Town"),
			attribute(oid(2, 5, 4, 9), "Way 1"), attribute(cn, "x")},
		`2.5.4.5=#130133,CN=x`: {attribute(cn, "x"), attribute(oid(2, 5, 4, 5), "3")}, // serialNumber
		`1.2.840.113549.1.9.1=#1603614062,CN=x`: {attribute(cn, "x"),
			attribute(oid(1, 2, 840, 113549, 1, 9, 1), asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte("a@b")})},
		`2.5.4.17=#13053132333435,CN=x`: {attribute(cn, "x"), attribute(oid(2, 5, 4, 17), "12345")}, // postalCode
	} {
		c := openTLS(e, e.Secure, pki().client(pkix.Name{ExtraNames: parts}))
		wantIdentities(e, c, "x509:"+want)
	}
}

func tlsWithout(e *Env) {
	c := openTLS(e, e.Secure, nil)
	wantIdentities(e, c)
	// There is nothing to prove.
	if r := c.Do(wire.OpAuth, AuthPacket("x509", "")); r.Code != wire.CodeAuthFailed {
		e.Errorf("auth x509 without a certificate: %v", r.Code)
	}
	c.WantClosed()
}

// wantNoTLS says that no connection comes about: with TLS 1.3 the client may believe so until it reads.
func wantNoTLS(e *Env, addr string, cert *tls.Certificate, change func(*tls.Config)) {
	e.Helper()
	c, err := dialTLS(e, addr, cert, change)
	if err != nil {
		return
	}
	c.Conn.SetDeadline(time.Now().Add(patience))
	c.Conn.Write(connectFrame(wire.ConnectRequest{TimeoutMs: 10000, Password: make([]byte, 16)}))
	var ne net.Error
	if n, err := c.Conn.Read(make([]byte, 1)); n != 0 || errors.As(err, &ne) && ne.Timeout() {
		e.Errorf("%d bytes, %v; want the connection refused", n, err)
	}
}

func tlsUntrusted(e *Env) {
	key := newKey()
	t := &x509.Certificate{SerialNumber: big.NewInt(9), Subject: pkix.Name{CommonName: "client"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	wantNoTLS(e, e.Secure, &tls.Certificate{Certificate: [][]byte{sign(t, t, &key.PublicKey, key).Raw}, PrivateKey: key}, func(c *tls.Config) {
		cert := c.Certificates[0]
		c.Certificates = nil
		// Shown whether the server asks for its issuer or not.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	})
}

func tlsProtocols(e *Env) {
	for _, v := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12} {
		wantNoTLS(e, e.Secure, nil, func(c *tls.Config) { c.MinVersion, c.MaxVersion = v, v })
	}
	c, err := dialTLS(e, e.Secure, nil, func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 })
	if err != nil {
		e.Fatal(err)
	}
	c.Session = c.Connect(wire.ConnectRequest{TimeoutMs: 10000})
	c.closeSession()
}

func tlsPlain(e *Env) {
	c := Dial(e, e.Secure)
	c.Write(connectFrame(wire.ConnectRequest{TimeoutMs: 10000, Password: make([]byte, 16)}))
	c.Conn.SetReadDeadline(time.Now().Add(patience))
	// The server may say in the way of TLS what it thinks of it, and closes.
	b, err := io.ReadAll(c.Conn)
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() || len(b) > 0 && b[0] != 0x15 {
		e.Errorf("%x, %v", b, err)
	}
}

func tlsUnified(e *Env) {
	c := openTLS(e, e.Addr, pki().client(pkix.Name{CommonName: "client"}))
	wantIdentities(e, c, "x509:CN=client")
	wantIdentities(e, e.Client())
	if got := word(e, "ruok"); got != "imok" {
		e.Errorf("ruok: %q", got)
	}
}

func tlsEntries(e *Env) {
	c, p := e.Client(), e.Path("/n")
	const name = "CN=client,O=Acme"
	c.OK(wire.OpCreate, Create(p, nil, 0, []wire.ACL{entry(31, "x509", name)}))
	c.Fails(wire.CodeNoAuth, wire.OpGetData, PathFlag(p, false))
	s := openTLS(e, e.Secure, pki().client(pkix.Name{CommonName: "client", Organization: []string{"Acme"}}))
	s.OK(wire.OpSetData, SetData(p, nil, -1))
	o := openTLS(e, e.Secure, pki().client(pkix.Name{CommonName: "client", Organization: []string{"acme"}}))
	o.Fails(wire.CodeNoAuth, wire.OpGetData, PathFlag(p, false))
	for _, id := range []string{"CN=a, O=b", "CN=a;O=b", "cn=a", "", "1.2.3=#0403010203", "OID.1.2.3=#0403010203", `CN="a,b"`, "EMAILADDRESS=a@b", "CN=", "CN=a+O=b"} {
		if r := s.Do(wire.OpSetACL, SetACL(p, []wire.ACL{entry(31, "x509", id), entry(31, "x509", name)}, -1)); r.Code != wire.CodeOK {
			e.Errorf("%q: %v", id, r.Code)
		}
	}
	for _, id := range []string{"client", "XX=a", "CN=a,", "CN=a,,O=b", "1.2.3=#xyz", "=a", "1=a"} {
		if r := s.Do(wire.OpSetACL, SetACL(p, []wire.ACL{entry(31, "x509", id), entry(31, "x509", name)}, -1)); r.Code != wire.CodeInvalidACL {
			e.Errorf("%q: %v", id, r.Code)
		}
	}
}

func tlsCreator(e *Env) {
	c, p := openTLS(e, e.Secure, pki().client(pkix.Name{CommonName: "client"})), e.Path("/n")
	c.OK(wire.OpCreate, Create(p, nil, 0, []wire.ACL{entry(31, "auth", "")}))
	d := wire.NewDecoder(c.OK(wire.OpGetACL, Str(p)).Body)
	if acls, _ := d.ACLs(); len(acls) != 1 || acls[0] != entry(31, "x509", "CN=client") {
		e.Errorf("list %v", acls)
	}
}

func tlsSuper(e *Env) {
	p := e.Path("/n")
	e.Client().OK(wire.OpCreate, Create(p, nil, 0, []wire.ACL{digest(31, hashUP)}))
	s := openTLS(e, e.Secure, pki().client(pkix.Name{CommonName: "super"}))
	s.OK(wire.OpSetData, SetData(p, nil, -1))
	wantIdentities(e, s, "super:", "x509:CN=super")
}

func tlsWord(e *Env) {
	c, err := dialTLS(e, e.Secure, nil, nil)
	if err != nil {
		e.Fatal(err)
	}
	c.Write([]byte("ruok"))
	c.Conn.SetReadDeadline(time.Now().Add(patience))
	if b, err := io.ReadAll(c.Conn); string(b) != "imok" || err != nil {
		e.Errorf("%q, %v", b, err)
	}
}

func tlsLarge(e *Env) {
	c, p := openTLS(e, e.Secure, nil), e.Path("/n")
	data := make([]byte, 900<<10)
	rand.Read(data)
	c.OK(wire.OpCreate, Create(p, data, 0, wire.OpenACL))
	for range 3 {
		d := wire.NewDecoder(c.OK(wire.OpGetData, PathFlag(p, false)).Body)
		if got := d.Buffer(); string(got) != string(data) {
			e.Fatal("data is not what was stored")
		}
	}
}

func tlsTrickle(e *Env) {
	c, err := dialTLS(e, e.Secure, nil, nil)
	if err != nil {
		e.Fatal(err)
	}
	for _, b := range connectFrame(wire.ConnectRequest{TimeoutMs: 10000, Password: make([]byte, 16), HasReadOnly: true}) {
		c.Write([]byte{b})
	}
	c.Session = DecodeConnect(e, c.Frame())
	c.OK(wire.OpExists, PathFlag("/", false))
	c.closeSession()
}
