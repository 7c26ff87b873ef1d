package server

import (
	"crypto/rand"
	"encoding/base64"
	"slices"

	"ottla/coord/acl"
	"ottla/coord/wire"
	"ottla/internal/digestmd5"
)

// SASL is the login with user and password that DIGEST-MD5 gives.
type SASL struct {
	// Password looks a user up. It is called on connections' goroutines.
	Password func(user string) (password string, ok bool)
	// Super are the users who may do everything.
	Super []string
	// AllowFailed keeps a connection whose login failed, without the identity, unless SASL is enforced.
	AllowFailed bool
}

// sasl takes one token of an exchange, at once as auth requests are. A server without SASL answers with a null token, as ZooKeeper does.
func (c *conn) sasl(xid int32, body []byte) bool {
	d := wire.NewDecoder(body)
	token := d.Buffer()
	if d.Err() != nil || token == nil {
		c.kill()
		return false
	}
	s := c.srv.cfg.SASL
	if s == nil {
		return c.saslAnswer(xid, wire.CodeOK, nil)
	}
	if c.exchange == nil {
		var nonce [30]byte
		if _, err := rand.Read(nonce[:]); err != nil {
			c.kill()
			return false
		}
		c.exchange = &digestmd5.Server{Nonce: base64.StdEncoding.EncodeToString(nonce[:]), Password: s.Password}
	}
	answer, err := c.exchange.Next(token)
	if err != nil {
		c.srv.stats.authFailed.Add(1)
		c.srv.cfg.Logger.Warn().Err(err).Str("client", c.nc.RemoteAddr().String()).Msg("SASL login failed")
		switch enforced := slices.Contains(c.srv.cfg.EnforceAuth, acl.SchemeSASL); {
		case enforced:
			return c.saslAnswer(xid, wire.CodeSessionClosedRequireAuth, nil)
		case !s.AllowFailed:
			return c.saslAnswer(xid, wire.CodeAuthFailed, nil)
		}
	}
	if user, ok := c.exchange.User(); ok {
		auth := addIdentity(c.auth, wire.ID{Scheme: acl.SchemeSASL, ID: user})
		if slices.Contains(s.Super, user) {
			auth = addIdentity(auth, wire.ID{Scheme: acl.SchemeSuper})
		}
		if len(auth) > authMax {
			return c.saslAnswer(xid, wire.CodeAuthFailed, nil)
		}
		c.setAuth(auth)
	}
	return c.saslAnswer(xid, wire.CodeOK, answer)
}

// saslAnswer answers out of turn; unlike others, a failure has a record too, and ends the connection.
func (c *conn) saslAnswer(xid int32, code wire.Code, token []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replyRecordLocked(xid, 0, code, wire.AppendBuffer(nil, token))
	if code != wire.CodeOK {
		c.finishLocked()
	}
	return code == wire.CodeOK
}

// admit says whether the connection may ask for something, and answers if not.
func (c *conn) admit(xid int32) bool {
	if c.admitted {
		return true
	}
	c.srv.cfg.Logger.Warn().Str("client", c.nc.RemoteAddr().String()).Strs("want", c.srv.cfg.EnforceAuth).
		Msg("client has none of the identities that enforce.auth.schemes asks for")
	return c.immediate(xid, wire.CodeSessionClosedRequireAuth)
}

// isAdmitted says whether one of the identities is enough.
func (s *Server) isAdmitted(auth []byte) bool {
	return len(s.cfg.EnforceAuth) == 0 ||
		slices.ContainsFunc(acl.Identities(auth), func(id wire.ID) bool { return slices.Contains(s.cfg.EnforceAuth, id.Scheme) })
}
