package keystore

import (
	"crypto/tls"
	"crypto/x509"
)

// Client is the TLS side of who connects.
type Client struct {
	Key   Store // no Path: the client shows no certificate
	Trust Store // no Path: the certificates that the system trusts
	// Protocols and Suites are those of Server.
	Protocols, Suites []string
	// AnyName takes a server's certificate that a trusted one signed, whatever name it has.
	AnyName bool
}

// Config loads the files and returns what tls.Client wants, but for the server's name. unknown are the suites of which there is no
// implementation.
func (s *Client) Config() (c *tls.Config, unknown []string, err error) {
	c = &tls.Config{}
	if c.CipherSuites, unknown, err = parseSuites(s.Suites); err != nil {
		return nil, nil, err
	}
	if c.MinVersion, c.MaxVersion, err = versions(s.Protocols, s.Suites); err != nil {
		return nil, nil, err
	}
	if s.Key.Path != "" {
		typ, password, err := s.Key.open()
		if err != nil {
			return nil, nil, err
		}
		key, err := Key(s.Key.Path, typ, password)
		if err != nil {
			return nil, nil, err
		}
		c.Certificates = []tls.Certificate{key}
	}
	if s.Trust.Path != "" {
		if c.RootCAs, err = s.Trust.pool(); err != nil {
			return nil, nil, err
		}
	}
	if s.AnyName { // the chain is verified all the same, which the library does only together with the name
		roots := c.RootCAs
		c.InsecureSkipVerify = true
		c.VerifyConnection = func(state tls.ConnectionState) error {
			o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
			for _, cert := range state.PeerCertificates[1:] {
				o.Intermediates.AddCert(cert)
			}
			_, err := state.PeerCertificates[0].Verify(o)
			return err
		}
	}
	return c, unknown, nil
}

// pool is the certificates of a trust store.
func (s *Store) pool() (*x509.CertPool, error) {
	typ, password, err := s.open()
	if err != nil {
		return nil, err
	}
	certs, err := Trusted(s.Path, typ, password)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, cert := range certs {
		pool.AddCert(cert)
	}
	return pool, nil
}
