package server

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"slices"
	"strings"

	"ottla/coord/acl"
	"ottla/coord/wire"
)

// authMax bounds the identities of one connection in bytes: every write carries them.
const authMax = 64 << 10

// authenticate answers an auth request at once: it counts for requests behind it and need not wait for those before it.
func (c *conn) authenticate(xid int32, body []byte) bool {
	d := wire.NewDecoder(body)
	d.Int() // a type that was never used
	scheme, data := d.String(), d.Buffer()
	if d.Err() != nil {
		c.kill()
		return false
	}
	auth, ok := c.prove(string(scheme), data)
	if ok && len(auth) <= authMax {
		c.setAuth(auth)
		return c.immediate(xid, wire.CodeOK)
	}
	c.srv.stats.authFailed.Add(1)
	c.srv.cfg.Logger.Warn().Str("client", c.nc.RemoteAddr().String()).Bytes("scheme", scheme[:min(len(scheme), 32)]).Msg("authentication failed")
	return c.immediate(xid, wire.CodeAuthFailed)
}

// immediate answers out of turn; a failure ends the connection.
func (c *conn) immediate(xid int32, code wire.Code) bool {
	c.mu.Lock()
	c.replyLocked(xid, 0, code)
	if code != wire.CodeOK {
		c.finishLocked()
	}
	c.mu.Unlock()
	return code == wire.CodeOK
}

// prove returns the connection's identities with what the client has just proven. Digest believes every password: it is the ACL
// that tells a wrong one.
func (c *conn) prove(scheme string, data []byte) ([]byte, bool) {
	switch scheme {
	case acl.SchemeIP:
		return c.auth, true // its address is known from the start
	case acl.SchemeX509:
		// The certificate was looked at in the handshake; asking again changes nothing, and without one there is nothing to prove.
		return c.auth, c.srv.cfg.X509 && hasScheme(c.auth, acl.SchemeX509)
	case acl.SchemeDigest:
		if c.srv.cfg.NoDigest {
			return nil, false
		}
		id := wire.ID{Scheme: acl.SchemeDigest, ID: Digest(data)}
		auth := addIdentity(c.auth, id)
		if id.ID == c.srv.cfg.SuperDigest {
			auth = addIdentity(auth, wire.ID{Scheme: acl.SchemeSuper})
		}
		return auth, true
	}
	return nil, false
}

// Digest is the identity of scheme digest for "user:password": the user, a colon, and the base64 of the SHA-1 of the whole.
func Digest(data []byte) string {
	user, _, _ := bytes.Cut(data, []byte(":"))
	sum := sha1.Sum(data)
	return string(user) + ":" + base64.StdEncoding.EncodeToString(sum[:])
}

func hasScheme(auth []byte, scheme string) bool {
	return slices.ContainsFunc(acl.Identities(auth), func(id wire.ID) bool { return id.Scheme == scheme })
}

// addIdentity returns a new Auth with id, or auth itself if it is in there.
func addIdentity(auth []byte, id wire.ID) []byte {
	for _, had := range acl.Identities(auth) {
		if had == id {
			return auth
		}
	}
	return acl.AppendIdentity(bytes.Clone(auth), id)
}

// userName is what whoAmI shows of an identity: nothing of a scheme that lists cannot have.
func (s *Server) userName(id wire.ID) string {
	switch {
	case id.Scheme == acl.SchemeDigest:
		user, _, _ := strings.Cut(id.ID, ":")
		return user
	case id.Scheme == acl.SchemeSuper, id.Scheme == acl.SchemeSASL && !s.cfg.SASLEntries:
		return ""
	}
	return id.ID
}
