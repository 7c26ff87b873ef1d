package client

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"ottla/coord/wire"
	"ottla/internal/digestmd5"
	"ottla/internal/jaas"
	"ottla/internal/keystore"
)

// security is how a session is protected: by TLS, by a SASL login, by both or by nothing.
type security struct {
	tls            *tls.Config // nil: none
	user, password string      // no user: no login
}

const (
	jaasProperty = "java.security.auth.login.config"
	jaasSection  = "Client"
)

// security reads the files that the flags or, for a login, the environment of Java's tools name.
func (z *ZooKeeper) security() (*security, error) {
	s := &security{}
	section, login := jaasSection, true
	if z.ClientConfig != "" {
		m, err := ReadProperties(z.ClientConfig)
		if err != nil {
			return nil, err
		}
		p := tlsProperties{}
		for k, v := range m { // ZooKeeper writes keyStore, Kafka keystore
			p[strings.TrimPrefix(strings.ToLower(k), "zookeeper.")] = strings.TrimSpace(v)
		}
		if v, ok := p["sasl.clientconfig"]; ok {
			section = v
		}
		login = p["sasl.client"] != "false"
		if s.tls, err = p.config(); err != nil {
			return nil, fmt.Errorf("%s: %w", z.ClientConfig, err)
		}
	}
	file := z.JAAS
	for _, name := range []string{"CLIENT_JVMFLAGS", "JVMFLAGS", "KAFKA_OPTS"} {
		for flag := range strings.FieldsSeq(os.Getenv(name)) {
			if v, ok := strings.CutPrefix(flag, "-D"+jaasProperty+"="); ok && file == "" {
				file = strings.Trim(v, `"'`)
			}
		}
	}
	if file == "" || !login {
		return s, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	sections, err := jaas.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	i := slices.IndexFunc(sections[section], func(m jaas.Module) bool { return m.Name() == "DigestLoginModule" })
	switch {
	case i >= 0:
		s.user, s.password = sections[section][i].Options["username"], sections[section][i].Options["password"]
		if s.user == "" {
			return nil, fmt.Errorf("%s: section %s has no username", file, section)
		}
	case len(sections[section]) > 0:
		return nil, fmt.Errorf("%s: section %s has no DigestLoginModule, and other logins are not implemented", file, section)
	case z.JAAS != "":
		return nil, fmt.Errorf("%s has no section %s with a DigestLoginModule", file, section)
	}
	return s, nil
}

// tlsProperties are ZooKeeper's properties of TLS, or Kafka's for it, in small letters and without the word zookeeper.
type tlsProperties map[string]string

func (p tlsProperties) first(names ...string) string {
	for _, n := range names {
		if p[n] != "" {
			return p[n]
		}
	}
	return ""
}

func (p tlsProperties) store(name string) keystore.Store {
	return keystore.Store{Path: p["ssl."+name+".location"], Type: p["ssl."+name+".type"], Password: p["ssl."+name+".password"], PasswordPath: p["ssl."+name+".passwordpath"]}
}

func (p tlsProperties) config() (*tls.Config, error) {
	if p.first("client.secure", "ssl.client.enable") != "true" {
		return nil, nil
	}
	for _, k := range slices.Sorted(maps.Keys(p)) {
		if strings.HasPrefix(k, "ssl.") && (strings.Contains(k, "crl") || strings.Contains(k, "ocsp")) && p[k] == "true" {
			return nil, fmt.Errorf("%s=true is not implemented: revoked certificates would be taken; leave it out to connect all the same", k)
		}
	}
	words := func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
	}
	c := keystore.Client{
		Key: p.store("keystore"), Trust: p.store("truststore"),
		Protocols: words(p.first("ssl.enabledprotocols", "ssl.enabled.protocols")), Suites: words(p.first("ssl.ciphersuites", "ssl.cipher.suites")),
		AnyName: p["ssl.hostnameverification"] == "false",
	}
	if v, ok := p["ssl.endpoint.identification.algorithm"]; ok && v == "" {
		c.AnyName = true
	}
	if v := p["ssl.protocol"]; len(c.Protocols) == 0 && v != "" && v != "TLS" {
		c.Protocols = []string{v}
	}
	config, unknown, err := c.Config()
	if err == nil && len(unknown) > 0 {
		err = fmt.Errorf("cipher suites that are not known: %s", strings.Join(unknown, ", "))
	}
	return config, err
}

// dial connects, with TLS if there is to be.
func (s *security) dial(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var d net.Dialer
	if s.tls == nil {
		return d.DialContext(ctx, network, address)
	}
	c := s.tls.Clone()
	if host, _, err := net.SplitHostPort(address); err == nil {
		c.ServerName = host
	}
	return (&tls.Dialer{NetDialer: &d, Config: c}).DialContext(ctx, network, address)
}

// xidLogin is what Java's client gives its SASL requests.
const xidLogin = 0

// errLogin is a login that failed, and will.
var errLogin = errors.New("SASL login failed")

// login proves who the session's client is, on a connection that no one else uses yet.
func (s *security) login(r *raw) error {
	l := &digestmd5.Login{User: s.user, Password: s.password, Nonce: rand.Text()}
	token := []byte{}
	for step := range 2 {
		body, code, err := r.exchange(xidLogin, wire.OpSASL, wire.AppendBuffer(nil, token))
		if err != nil {
			return err
		}
		if code != wire.CodeOK {
			return fmt.Errorf("%w for user %s: %w; check the password in the JAAS file", errLogin, s.user, code)
		}
		d := wire.NewDecoder(body)
		answer := d.Buffer()
		switch {
		case d.Err() != nil:
			return fmt.Errorf("%w: %w", errLogin, d.Err())
		case answer == nil:
			return fmt.Errorf("%w: the server has no SASL; leave the JAAS file out, or give it a section Server there", errLogin)
		case step == 0:
			if token, err = l.Answer(answer); err != nil {
				return fmt.Errorf("%w: %w", errLogin, err)
			}
		default:
			if err := l.Verify(answer); err != nil {
				return fmt.Errorf("%w: %w", errLogin, err)
			}
		}
	}
	return nil
}
