// Package keystore loads keys and certificates from the files that Java servers keep them in: PEM, PKCS #12 and JKS.
//
//	type     recognised by            holds
//	PEM      .pem, .crt, .key         a private key (PKCS #8, PKCS #1 or SEC 1; not encrypted) and certificates, in any order
//	PKCS12   .p12, .pfx, .pkcs12      one key and its chain, or trusted certificates
//	JKS      .jks                     one key and its chain, or trusted certificates; password required
//
// A file of another name is looked at for what it is.
package keystore

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf16"

	jks "github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"
)

// fileMax is the largest file that is read, in bytes.
const fileMax = 16 << 20

// Type is what a file is.
type Type string

// Types, under Java's names.
const (
	PEM    Type = "PEM"
	PKCS12 Type = "PKCS12"
	JKS    Type = "JKS"
)

// ParseType reads a type as a user writes it; "" leaves it to the file.
func ParseType(s string) (Type, error) {
	switch t := Type(strings.ToUpper(strings.TrimSpace(s))); t {
	case "", PEM, PKCS12, JKS:
		return t, nil
	default:
		return "", fmt.Errorf("key stores of type %s cannot be read; PEM, PKCS12 and JKS can", s)
	}
}

// Key loads a private key with its chain of certificates, the server's own first.
func Key(path string, typ Type, password string) (tls.Certificate, error) {
	data, typ, err := read(path, typ)
	if err != nil {
		return tls.Certificate{}, err
	}
	var key crypto.PrivateKey
	var chain []*x509.Certificate
	switch typ {
	case PKCS12:
		var leaf *x509.Certificate
		var rest []*x509.Certificate
		if key, leaf, rest, err = pkcs12.DecodeChain(data, password); err == nil {
			chain = append([]*x509.Certificate{leaf}, rest...)
		}
	case JKS:
		key, chain, err = jksKey(data, password)
	default:
		key, chain, err = pemKey(data)
	}
	if err == nil && key == nil {
		err = errors.New("it holds no private key")
	}
	if err == nil {
		chain, err = ordered(key, chain)
	}
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("key store %s: %w", path, err)
	}
	c := tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, cert := range chain {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	return c, nil
}

// Trusted loads the certificates of a trust store.
func Trusted(path string, typ Type, password string) ([]*x509.Certificate, error) {
	data, typ, err := read(path, typ)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	switch typ {
	case PKCS12:
		if certs, err = pkcs12.DecodeTrustStore(data, password); err != nil {
			// Not one that Java marked as a trust store: take the certificates of any.
			if _, leaf, rest, chainErr := pkcs12.DecodeChain(data, password); chainErr == nil {
				certs, err = append(rest, leaf), nil
			}
		}
	case JKS:
		certs, err = jksTrusted(data, password)
	default:
		certs, err = pemCertificates(data)
	}
	if err == nil && len(certs) == 0 {
		err = errors.New("it holds no certificates")
	}
	if err != nil {
		return nil, fmt.Errorf("trust store %s: %w", path, err)
	}
	return certs, nil
}

func read(path string, typ Type) ([]byte, Type, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, "", err
	}
	if !st.Mode().IsRegular() || st.Size() > fileMax {
		return nil, "", fmt.Errorf("%s is not a key store: it has to be a file of at most %d bytes", path, fileMax)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, "", err
	}
	if typ == "" {
		typ = detect(path, data)
	}
	return data, typ, nil
}

func detect(path string, data []byte) Type {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".pem", ".crt", ".cer", ".key":
		return PEM
	case ".p12", ".pfx", ".pkcs12":
		return PKCS12
	}
	switch {
	case bytes.HasPrefix(data, []byte{0xfe, 0xed, 0xfe, 0xed}):
		return JKS
	case bytes.Contains(data, []byte("-----BEGIN ")):
		return PEM
	}
	return PKCS12 // also what newer versions of Java write into a .jks
}

// ordered puts the certificate of the key first and its issuers behind it.
func ordered(key crypto.PrivateKey, certs []*x509.Certificate) ([]*x509.Certificate, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("its private key is of a kind that TLS cannot use")
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	i := slices.IndexFunc(certs, func(c *x509.Certificate) bool { return ok && public.Equal(c.PublicKey) })
	if i < 0 {
		return nil, errors.New("none of its certificates is for its private key")
	}
	chain := []*x509.Certificate{certs[i]}
	rest := slices.Delete(slices.Clone(certs), i, i+1)
	for {
		last := chain[len(chain)-1]
		i := slices.IndexFunc(rest, func(c *x509.Certificate) bool { return bytes.Equal(last.RawIssuer, c.RawSubject) })
		if i < 0 || bytes.Equal(last.RawIssuer, last.RawSubject) {
			return chain, nil
		}
		chain = append(chain, rest[i])
		rest = slices.Delete(rest, i, i+1)
	}
}

func pemKey(data []byte) (key crypto.PrivateKey, chain []*x509.Certificate, err error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY", block.Headers["DEK-Info"] != "":
			return nil, nil, errors.New("its private key is encrypted; write it as plain PKCS #8 (openssl pkcs8 -topk8 -nocrypt), or use a PKCS12 file")
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			if key, err = privateKey(block.Bytes); err != nil {
				return nil, nil, err
			}
		}
	}
	chain, err = pemCertificates(data)
	return key, chain, err
}

func pemCertificates(data []byte) (certs []*x509.Certificate, err error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, c)
	}
	return certs, nil
}

func privateKey(der []byte) (crypto.PrivateKey, error) {
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		switch k.(type) {
		case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
			return k, nil
		}
		return nil, errors.New("its private key is of a kind that TLS cannot use")
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k, nil
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k, nil
	}
	return nil, errors.New("its private key cannot be read")
}

// jksIntact checks the hash at a JKS file's end, over the password and all before it. The library looks at it last, after it has made
// room for whatever lengths a damaged file claims.
func jksIntact(data []byte, password string) bool {
	if len(data) < sha1.Size {
		return false
	}
	body, want := data[:len(data)-sha1.Size], data[len(data)-sha1.Size:]
	h := sha1.New()
	for _, c := range utf16.Encode([]rune(password)) {
		h.Write([]byte{byte(c >> 8), byte(c)})
	}
	h.Write([]byte("Mighty Aphrodite"))
	h.Write(body)
	return bytes.Equal(h.Sum(nil), want)
}

func jksLoad(data []byte, password string) (jks.KeyStore, error) {
	if !jksIntact(data, password) {
		return jks.KeyStore{}, errors.New("it is damaged, or has another password")
	}
	ks := jks.New(jks.WithOrderedAliases())
	if err := ks.Load(bytes.NewReader(data), []byte(password)); err != nil {
		return ks, fmt.Errorf("it cannot be read: %w", err)
	}
	return ks, nil
}

func jksKey(data []byte, password string) (crypto.PrivateKey, []*x509.Certificate, error) {
	ks, err := jksLoad(data, password)
	if err != nil {
		return nil, nil, err
	}
	for _, alias := range ks.Aliases() {
		if !ks.IsPrivateKeyEntry(alias) {
			continue
		}
		e, err := ks.GetPrivateKeyEntry(alias, []byte(password))
		if err != nil {
			return nil, nil, fmt.Errorf("its private key has another password: %w", err)
		}
		key, err := privateKey(e.PrivateKey)
		if err != nil {
			return nil, nil, err
		}
		var chain []*x509.Certificate
		for _, c := range e.CertificateChain {
			cert, err := x509.ParseCertificate(c.Content)
			if err != nil {
				return nil, nil, err
			}
			chain = append(chain, cert)
		}
		return key, chain, nil
	}
	return nil, nil, nil
}

func jksTrusted(data []byte, password string) (certs []*x509.Certificate, err error) {
	ks, err := jksLoad(data, password)
	if err != nil {
		return nil, err
	}
	for _, alias := range ks.Aliases() {
		var content []byte
		switch {
		case ks.IsTrustedCertificateEntry(alias):
			e, err := ks.GetTrustedCertificateEntry(alias)
			if err != nil {
				return nil, err
			}
			content = e.Certificate.Content
		case ks.IsPrivateKeyEntry(alias): // Java trusts a chain's own certificate as well
			chain, err := ks.GetPrivateKeyEntryCertificateChain(alias)
			if err != nil || len(chain) == 0 {
				continue
			}
			content = chain[0].Content
		default:
			continue
		}
		c, err := x509.ParseCertificate(content)
		if err != nil {
			return nil, err
		}
		certs = append(certs, c)
	}
	return certs, nil
}
