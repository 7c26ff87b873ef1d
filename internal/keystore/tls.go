package keystore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Store names a file and what opens it.
type Store struct {
	Path         string
	Type         string // see ParseType
	Password     string
	PasswordPath string // a file that holds the password; it goes before Password
}

func (s *Store) open() (typ Type, password string, err error) {
	if typ, err = ParseType(s.Type); err != nil || s.PasswordPath == "" {
		return typ, s.Password, err
	}
	b, err := os.ReadFile(s.PasswordPath)
	return typ, strings.TrimRight(string(b), "\r\n"), err
}

// ClientAuth says what a server wants of its clients.
type ClientAuth string

// What there is to want, under Java's names.
const (
	Need ClientAuth = "need" // a certificate that a trusted one signed
	Want ClientAuth = "want" // the same, or none
	None ClientAuth = "none"
)

// Server is the TLS side of a listener.
type Server struct {
	Key   Store
	Trust Store // no Path: the certificates that the system trusts
	Auth  ClientAuth
	// Protocols are TLSv1.2, TLSv1.3 and older ones; none means those two.
	Protocols []string
	// Suites are the standard names of cipher suites; none means a choice that is sound. Those of TLS 1.3 cannot be chosen among, only left
	// out as a whole.
	Suites []string
	// ClientNames has a client's certificate checked for the address that it comes from, or a name of that address.
	ClientNames bool
	// Reload looks for new files, at most once a second and only when somebody connects. Files that cannot be loaded leave the old ones in
	// place, and Failed hears of it.
	Reload bool
	Failed func(error)

	mu      sync.Mutex
	config  *tls.Config
	stamps  [2]stamp
	checked time.Time
}

type stamp struct {
	size int64
	at   time.Time
}

func stampOf(path string) (s stamp) {
	if st, err := os.Stat(path); err == nil {
		s = stamp{st.Size(), st.ModTime()}
	}
	return s
}

// Config loads the files and returns what tls.Server wants. The receiver is not to be changed afterwards; the result may be used by any number of
// goroutines. unknown are the suites of which there is no implementation.
func (s *Server) Config() (c *tls.Config, unknown []string, err error) {
	suites, unknown, err := parseSuites(s.Suites)
	if err != nil {
		return nil, nil, err
	}
	if s.config, err = s.load(suites); err != nil {
		return nil, nil, err
	}
	s.stamps = s.stat()
	return &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		return s.forClient(hello, suites), nil
	}}, unknown, nil
}

func (s *Server) stat() [2]stamp { return [2]stamp{stampOf(s.Key.Path), stampOf(s.Trust.Path)} }

// forClient is the configuration for one connection.
func (s *Server) forClient(hello *tls.ClientHelloInfo, suites []uint16) *tls.Config {
	s.mu.Lock()
	if s.Reload && time.Since(s.checked) > time.Second {
		s.checked = time.Now()
		if now := s.stat(); now != s.stamps {
			if c, err := s.load(suites); err == nil {
				s.config, s.stamps = c, now
			} else if s.Failed != nil {
				s.Failed(err)
			}
		}
	}
	c := s.config
	s.mu.Unlock()
	if s.ClientNames {
		c = c.Clone()
		c.VerifyConnection = func(state tls.ConnectionState) error { return verifyClientName(hello.Context(), hello.Conn, state) }
	}
	return c
}

func (s *Server) load(suites []uint16) (*tls.Config, error) {
	typ, password, err := s.Key.open()
	if err != nil {
		return nil, err
	}
	key, err := Key(s.Key.Path, typ, password)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{Certificates: []tls.Certificate{key}, CipherSuites: suites}
	if c.MinVersion, c.MaxVersion, err = versions(s.Protocols, s.Suites); err != nil {
		return nil, err
	}
	if s.Trust.Path != "" {
		if c.ClientCAs, err = s.Trust.pool(); err != nil {
			return nil, err
		}
	}
	switch ClientAuth(strings.ToLower(string(s.Auth))) {
	case "", Need:
		c.ClientAuth = tls.RequireAndVerifyClientCert
	case Want:
		c.ClientAuth = tls.VerifyClientCertIfGiven
	case None:
	default:
		return nil, fmt.Errorf("client authentication is %q, want need, want or none", s.Auth)
	}
	return c, nil
}

var protocols = map[string]uint16{"TLSV1": tls.VersionTLS10, "TLSV1.1": tls.VersionTLS11, "TLSV1.2": tls.VersionTLS12, "TLSV1.3": tls.VersionTLS13}

// versions is the range that the protocols span; suites of only one side of TLS 1.3 narrow it.
func versions(names, suites []string) (low, high uint16, err error) {
	if len(names) == 0 {
		names = []string{"TLSv1.2", "TLSv1.3"}
	}
	for _, n := range names {
		v, ok := protocols[strings.ToUpper(n)]
		if !ok {
			return 0, 0, fmt.Errorf("TLS protocol %q is not one of TLSv1, TLSv1.1, TLSv1.2 and TLSv1.3", n)
		}
		if low == 0 || v < low {
			low = v
		}
		high = max(high, v)
	}
	if len(suites) > 0 {
		of13 := func(name string) bool { return slices.Contains(suites13, name) }
		if !slices.ContainsFunc(suites, of13) {
			high = min(high, tls.VersionTLS12)
		} else if !slices.ContainsFunc(suites, func(n string) bool { return !of13(n) }) {
			low = max(low, tls.VersionTLS13)
		}
	}
	if low > high {
		return 0, 0, errors.New("the TLS protocols have none of the cipher suites")
	}
	return low, high, nil
}

var suites13 = []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}

func parseSuites(names []string) (ids []uint16, unknown []string, err error) {
	known := append(tls.CipherSuites(), tls.InsecureCipherSuites()...)
	found := len(names) == 0
	for _, n := range names {
		if slices.Contains(suites13, n) {
			found = true
			continue
		}
		if i := slices.IndexFunc(known, func(s *tls.CipherSuite) bool { return s.Name == n }); i >= 0 {
			ids, found = append(ids, known[i].ID), true
		} else {
			unknown = append(unknown, n)
		}
	}
	if !found {
		return nil, nil, fmt.Errorf("none of the cipher suites is known: %s", strings.Join(names, ", "))
	}
	return ids, unknown, nil
}

// verifyClientName checks that a client's certificate, if it has one, is for its address or for a name of it.
func verifyClientName(ctx context.Context, nc net.Conn, state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return nil
	}
	host, _, err := net.SplitHostPort(nc.RemoteAddr().String())
	if err != nil {
		return err
	}
	err = state.PeerCertificates[0].VerifyHostname(host)
	if err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	names, _ := net.DefaultResolver.LookupAddr(ctx, host)
	for _, name := range names {
		if state.PeerCertificates[0].VerifyHostname(strings.TrimSuffix(name, ".")) == nil {
			return nil
		}
	}
	return err
}
