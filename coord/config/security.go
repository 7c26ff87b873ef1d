package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"ottla/internal/jaas"
	"ottla/internal/keystore"
)

// SASL is who may log in with DIGEST-MD5.
type SASL struct {
	File          string            // a JAAS file; "" is none
	Section       string            // of the file
	Users         map[string]string // passwords by user, from the file; nil: there is no SASL
	SuperPassword string            // goes before the file's for the user super
	Super         []string          // users who may do everything
	AllowFailed   bool
	Entries       bool // lists of access control may have entries of scheme sasl
}

// TLS is how clients' connections are encrypted.
type TLS struct {
	Port        int    // 0 lets the system choose, -1 is none
	Address     string // "" is every address
	Unification bool   // TLS on the client port too

	Key, Trust  keystore.Store
	Auth        keystore.ClientAuth
	Protocols   []string
	Suites      []string
	ClientNames bool
	Reload      bool
	Super       string // name of the certificate that may do everything
	Entries     bool   // lists of access control may have entries of scheme x509

	protocol string // ssl.protocol
	names    bool   // ssl.hostnameVerification
}

// Used says whether anybody can connect with TLS.
func (t *TLS) Used() bool { return t.Port >= 0 || t.Unification }

// Server is what the listeners need.
func (t *TLS) Server() *keystore.Server {
	return &keystore.Server{
		Key: t.Key, Trust: t.Trust, Auth: t.Auth, Protocols: t.Protocols, Suites: t.Suites, ClientNames: t.ClientNames, Reload: t.Reload,
	}
}

const jaasKey = "java.security.auth.login.config"

var securityKeys = []Key{
	{Name: "secureClientPort", Type: "int", Default: "-1", Range: "-1 to 65535", Doc: "Port for clients with TLS. 0 lets the system choose, -1 is none.",
		set: number(-1, 65535, func(c *Config, n int64) { c.TLS.Port = int(n) })},
	{Name: "secureClientPortAddress", Type: "string", Doc: "Address for clients with TLS. The default is every address.",
		set: text(func(c *Config) *string { return &c.TLS.Address })},
	{Name: "client.portUnification", Type: "bool", Default: "false", Range: "true or false", Doc: "The client port takes TLS too: the first byte of a connection tells.",
		set: boolean(func(c *Config, on bool) { c.TLS.Unification = on })},
	{Name: "client.certReload", Type: "bool", Default: "false", Range: "true or false", Doc: "Use new key and trust stores as soon as the files change.",
		set: boolean(func(c *Config, on bool) { c.TLS.Reload = on })},
	{Name: "ssl.keyStore.location", Type: "string", Doc: "The server's private key and its certificates: PEM, PKCS12 or JKS.",
		set: text(func(c *Config) *string { return &c.TLS.Key.Path })},
	{Name: "ssl.keyStore.password", Type: "string", Secret: true, Doc: "What opens the key store.",
		set: text(func(c *Config) *string { return &c.TLS.Key.Password })},
	{Name: "ssl.keyStore.passwordPath", Type: "string", Doc: "A file with the password of the key store.",
		set: text(func(c *Config) *string { return &c.TLS.Key.PasswordPath })},
	{Name: "ssl.keyStore.type", Type: "string", Range: "PEM, PKCS12 or JKS", Doc: "What the key store is; the default is to look at it.",
		set: storeType(func(c *Config) *string { return &c.TLS.Key.Type })},
	{Name: "ssl.trustStore.location", Type: "string", Doc: "Certificates that may sign clients' ones. The default is those that the system trusts.",
		set: text(func(c *Config) *string { return &c.TLS.Trust.Path })},
	{Name: "ssl.trustStore.password", Type: "string", Secret: true, Doc: "What opens the trust store.",
		set: text(func(c *Config) *string { return &c.TLS.Trust.Password })},
	{Name: "ssl.trustStore.passwordPath", Type: "string", Doc: "A file with the password of the trust store.",
		set: text(func(c *Config) *string { return &c.TLS.Trust.PasswordPath })},
	{Name: "ssl.trustStore.type", Type: "string", Range: "PEM, PKCS12 or JKS", Doc: "What the trust store is; the default is to look at it.",
		set: storeType(func(c *Config) *string { return &c.TLS.Trust.Type })},
	{Name: "ssl.clientAuth", Type: "string", Default: "need", Range: "need, want or none", Doc: "Whether clients show a certificate.",
		set: func(c *Config, v string) error {
			c.TLS.Auth = keystore.ClientAuth(strings.ToLower(v))
			if !slices.Contains([]keystore.ClientAuth{keystore.Need, keystore.Want, keystore.None}, c.TLS.Auth) {
				return errRange
			}
			return nil
		}},
	{Name: "ssl.protocol", Type: "string", Default: "TLSv1.3", Range: "TLSv1.2, TLSv1.3 or TLS", Doc: "Protocol, where ssl.enabledProtocols says nothing; TLS is all that are sound.",
		set: func(c *Config, v string) error {
			if !slices.Contains([]string{"TLSv1.2", "TLSv1.3", "TLS"}, v) {
				return errRange
			}
			c.TLS.protocol = v
			return nil
		}},
	{Name: "ssl.enabledProtocols", Type: "list", Range: "TLSv1.2, TLSv1.3", Doc: "Protocols that clients may use. The default is that of ssl.protocol.",
		set: list(func(c *Config) *[]string { return &c.TLS.Protocols })},
	{Name: "ssl.ciphersuites", Type: "list", Range: "standard names", Doc: "Cipher suites that clients may use. Those of TLSv1.3 cannot be chosen among, only left out as a whole.",
		set: list(func(c *Config) *[]string { return &c.TLS.Suites })},
	{Name: "ssl.hostnameVerification", Type: "bool", Default: "true", Range: "true or false", Doc: "False switches ssl.clientHostnameVerification off as well.",
		set: boolean(func(c *Config, on bool) { c.TLS.names = on })},
	{Name: "ssl.clientHostnameVerification", Type: "bool", Default: "false", Range: "true or false", Doc: "Check that a client's certificate is for its address or a name of it.",
		set: boolean(func(c *Config, on bool) { c.TLS.ClientNames = on })},
	{Name: "ssl.handshakeDetectionTimeoutMillis", Type: "int", Doc: "No effect: the time for a connection to say who it is counts."},
	{Name: "ssl.crl", Type: "bool", Default: "false", Doc: "Revocation lists.", refuse: whenTrue("revoked certificates would be let in")},
	{Name: "ssl.ocsp", Type: "bool", Default: "false", Doc: "Revocation by OCSP.", refuse: whenTrue("revoked certificates would be let in")},
	{Name: "ssl.authProvider", Type: "string", Default: "x509", Doc: "Scheme of the identities of certificates.", refuse: unless("x509", "another class would judge the certificates")},
	{Name: "ssl.sslProvider", Type: "string", Doc: "No effect."},
	{Name: "ssl.quorum.*", Type: "string", Secret: true, Doc: "No effect on a standalone server."},
	{Name: "ssl.*", Type: "string", Secret: true, Doc: "Other keys of TLS.", refuse: always("it is not known what it protects")},
	{Name: "fips-mode", Type: "bool", Default: "true", Doc: "No effect: DIGEST-MD5 works either way, as in ZooKeeper 3.9."},

	{Name: jaasKey, Type: "string", Doc: "A JAAS file with the users of SASL DIGEST-MD5; ZooKeeper takes it from JVMFLAGS only.",
		set: text(func(c *Config) *string { return &c.SASL.File })},
	{Name: "sasl.serverconfig", Type: "string", Default: "Server", Doc: "Section of the JAAS file.",
		set: text(func(c *Config) *string { return &c.SASL.Section })},
	{Name: "SASLAuthenticationProvider.superPassword", Type: "string", Secret: true, Doc: "Password of the SASL user super.",
		set: text(func(c *Config) *string { return &c.SASL.SuperPassword })},
	{Name: "superUser*", Type: "string", Doc: "SASL user who may do everything; more of them as superUser.1 and so on.",
		set: func(c *Config, v string) error {
			c.SASL.Super = append(c.SASL.Super, v)
			return nil
		}},
	{Name: "allowSaslFailedClients", Type: "bool", Default: "false", Range: "true or false", Doc: "Keep connections whose login failed, without the identity.",
		set: boolean(func(c *Config, on bool) { c.SASL.AllowFailed = on })},
	{Name: "authProvider.*", Type: "class", Range: "the classes of digest, ip, SASL and X509", Doc: "Schemes that lists of access control may have.",
		set: authProvider},
	{Name: "DigestAuthenticationProvider.enabled", Type: "bool", Default: "true", Range: "true or false", Doc: "The digest scheme.",
		set: boolean(func(c *Config, on bool) { c.NoDigest = !on })},
	{Name: "X509AuthenticationProvider.superUser", Type: "string", Doc: "Name of the certificate that may do everything.",
		set: text(func(c *Config) *string { return &c.TLS.Super })},
	{Name: "enforce.auth.enabled", Type: "bool", Default: "false", Range: "true or false", Doc: "Let only clients in that have an identity of enforce.auth.schemes.",
		set: boolean(func(c *Config, on bool) { c.Enforce = c.Enforce || on })},
	{Name: "enforce.auth.schemes", Type: "list", Range: "digest, sasl, x509, ip", Doc: "Schemes that are enough for enforce.auth.enabled.",
		set: list(func(c *Config) *[]string { return &c.EnforceAuth })},
	{Name: "sessionRequireClientSASLAuth", Type: "bool", Default: "false", Range: "true or false", Doc: "enforce.auth.enabled with the scheme sasl, whatever else is set.",
		set: boolean(func(c *Config, on bool) {
			if on {
				c.Enforce, c.EnforceAuth = true, []string{"sasl"}
			}
		})},
	{Name: "requireClientAuthScheme", Type: "string", Doc: "No effect, as in ZooKeeper: sessionRequireClientSASLAuth is meant.", warn: func(v string) string {
		return "ZooKeeper never had such a key; sessionRequireClientSASLAuth=true lets only clients in that logged in"
	}},
	{Name: "kerberos.*", Type: "bool", Doc: "No effect: there are no Kerberos names."},
	{Name: "jaasLoginRenew", Type: "int", Doc: "No effect: there is no Kerberos ticket."},
}

func list(field func(*Config) *[]string) func(*Config, string) error {
	return func(c *Config, v string) error {
		var items []string
		for s := range strings.SplitSeq(v, ",") {
			if s = strings.TrimSpace(s); s != "" {
				items = append(items, s)
			}
		}
		*field(c) = items
		return nil
	}
}

func storeType(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		if _, err := keystore.ParseType(v); err != nil {
			return errRange
		}
		*field(c) = v
		return nil
	}
}

// authProvider notes a scheme by the name of its Java class.
func authProvider(c *Config, v string) error {
	switch v[strings.LastIndex(v, ".")+1:] {
	case "DigestAuthenticationProvider", "IPAuthenticationProvider":
		// always there
	case "SASLAuthenticationProvider":
		c.SASL.Entries = true
	case "X509AuthenticationProvider":
		c.TLS.Entries = true
	default:
		return errors.New("not a class whose scheme is known; lists of access control with it would open or close doors that they should not")
	}
	return nil
}

// security checks what goes together and reads the JAAS file.
func (l *loader) security(c *Config) {
	fail := func(format string, args ...any) { l.errs = append(l.errs, fmt.Errorf(format, args...)) }
	t := &c.TLS
	if t.Used() {
		t.Entries = true
		if t.Key.Path == "" {
			fail("secureClientPort or client.portUnification is set, but no ssl.keyStore.location. Without a key there is no TLS; " +
				"name a PEM, PKCS12 or JKS file with the server's private key and certificate")
		}
	}
	if !t.Used() && (t.Key.Path != "" || t.Trust.Path != "") {
		l.warnings = append(l.warnings, "ssl.keyStore or ssl.trustStore is set, but neither secureClientPort nor client.portUnification: nothing is encrypted")
	}
	t.ClientNames = t.ClientNames && t.names
	if c.SASL.File != "" {
		if err := c.SASL.read(); err != nil {
			fail("%s: %w", jaasKey, err)
		}
	}
	if !c.Enforce {
		c.EnforceAuth = nil
		return
	}
	if len(c.EnforceAuth) == 0 {
		fail("enforce.auth.enabled is true, but enforce.auth.schemes is empty: nobody could do anything. Name the schemes, such as sasl or x509")
	}
	for _, s := range c.EnforceAuth {
		known := s == "ip" || s == "digest" && !c.NoDigest || s == "sasl" && c.SASL.Entries || s == "x509" && t.Entries
		switch {
		case !known:
			fail("clients have to have an identity of scheme %s, which no provider is set for. Write %s", s, map[string]string{
				"sasl": "authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider",
				"x509": "secureClientPort", "digest": "DigestAuthenticationProvider.enabled=true",
			}[s])
		case s == "sasl" && c.SASL.Users == nil:
			fail("clients have to log in with SASL, but there are no users: nobody could do anything. Set %s to a JAAS file with a section %s", jaasKey, c.SASL.Section)
		}
	}
}

// read takes the users out of the JAAS file.
func (s *SASL) read() error {
	b, err := os.ReadFile(s.File)
	if err != nil {
		return err
	}
	f, err := jaas.Parse(string(b))
	if err != nil {
		return fmt.Errorf("%s: %w", s.File, err)
	}
	modules, ok := f[s.Section]
	if !ok {
		return fmt.Errorf("%s has no section %s, so nobody could log in. Add it: %s { org.apache.zookeeper.server.auth.DigestLoginModule required user_NAME=\"PASSWORD\"; };",
			s.File, s.Section, s.Section)
	}
	s.Users = map[string]string{}
	for _, m := range modules {
		if m.Name() != "DigestLoginModule" {
			return fmt.Errorf("%s: section %s names %s; only DigestLoginModule is known, so its users could not log in", s.File, s.Section, m.Class)
		}
		for key, password := range m.Options {
			if user, ok := strings.CutPrefix(key, "user_"); ok {
				s.Users[user] = password
			}
		}
	}
	return nil
}

// Password looks a user up.
func (s *SASL) Password(user string) (string, bool) {
	password, ok := s.Users[user]
	if user == "super" && ok && s.SuperPassword != "" {
		password = s.SuperPassword
	}
	return password, ok
}
