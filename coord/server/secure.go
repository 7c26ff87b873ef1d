package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"time"

	"ottla/coord/acl"
	"ottla/coord/wire"
)

// transport is what a listener's connections speak.
type transport struct {
	tls   *tls.Config // nil: plain
	plain bool        // plain too: the first byte tells
}

// tlsHandshakeRecord is the first byte of a TLS connection. A plain one begins with a length, which is less than 16 MiB, or with a letter.
const tlsHandshakeRecord = 0x16

// secure does the TLS handshake if the listener wants one, and takes the client's certificate as an identity. False: the connection is over.
func (c *conn) secure() bool {
	t := c.transport
	if t.tls == nil {
		return true
	}
	under := c.nc
	if t.plain {
		var first [1]byte
		if _, err := under.Read(first[:]); err != nil {
			return false
		}
		if first[0] != tlsHandshakeRecord {
			c.in.Add(first[:])
			return true
		}
		under = &prefixed{Conn: under, prefix: first[:]}
	}
	tc := tls.Server(under, t.tls)
	ctx, cancel := context.WithTimeout(context.Background(), c.srv.cfg.SessionlessTimeout)
	defer cancel()
	if err := tc.HandshakeContext(ctx); err != nil {
		c.srv.stats.authFailed.Add(1)
		c.srv.cfg.Logger.Warn().Err(err).Str("client", c.nc.RemoteAddr().String()).Msg("TLS handshake failed")
		return false
	}
	tc.SetDeadline(time.Time{})
	tc.SetReadDeadline(time.Now().Add(c.srv.cfg.SessionlessTimeout))
	c.mu.Lock()
	c.nc = tc
	c.mu.Unlock()
	if certs := tc.ConnectionState().PeerCertificates; len(certs) > 0 {
		name := javaName(certs[0])
		auth := addIdentity(c.auth, wire.ID{Scheme: acl.SchemeX509, ID: name})
		if super := c.srv.cfg.X509Super; super != "" && super == name {
			auth = addIdentity(auth, wire.ID{Scheme: acl.SchemeSuper, ID: name})
		}
		if len(auth) > authMax {
			return false
		}
		c.setAuth(auth)
	}
	return true
}

// prefixed gives back a byte that was read to see what is coming.
type prefixed struct {
	net.Conn
	prefix []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.prefix) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.prefix)
	p.prefix = p.prefix[n:]
	return n, nil
}

// nameKeywords are the attributes that Java writes with a keyword in the names of RFC 2253.
var nameKeywords = map[string]string{
	"2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.9": "STREET",
	"0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
}

// attribute is one part of a name, its value as it stands in the certificate.
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// javaName is the subject as Java's X500Principal.getName writes it, which is what lists of access control hold: the last part first, commas without
// spaces, attributes without a keyword as their numbers and the hex of their encoding.
func javaName(cert *x509.Certificate) string {
	var parts []asn1.RawValue
	if _, err := asn1.Unmarshal(cert.RawSubject, &parts); err != nil {
		return cert.Subject.String()
	}
	var b strings.Builder
	for i := len(parts) - 1; i >= 0; i-- {
		var set []attribute
		if rest, err := asn1.UnmarshalWithParams(parts[i].FullBytes, &set, "set"); err != nil || len(rest) > 0 {
			return cert.Subject.String()
		}
		if i < len(parts)-1 {
			b.WriteByte(',')
		}
		for j, a := range set {
			if j > 0 {
				b.WriteByte('+')
			}
			text, ok := directoryString(a.Value)
			if key := nameKeywords[a.Type.String()]; key != "" && ok {
				fmt.Fprintf(&b, "%s=%s", key, escapeName(text))
			} else {
				fmt.Fprintf(&b, "%s=#%s", a.Type, hex.EncodeToString(a.Value.FullBytes))
			}
		}
	}
	return b.String()
}

// directoryString reads the kinds of string that names are made of.
func directoryString(v asn1.RawValue) (string, bool) {
	var s string
	_, err := asn1.Unmarshal(v.FullBytes, &s)
	return s, err == nil
}

// escapeName puts a backslash before what RFC 2253 wants one, and where Java puts one besides.
func escapeName(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case strings.ContainsRune(`,=+<>#;"\`, r), r == ' ' && (i == 0 || i == len(s)-1):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
