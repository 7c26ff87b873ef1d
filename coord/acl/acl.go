// Package acl decides who may do what: identities, the matching of access control lists, and the list that a node may be given.
//
// It is pure. The state machine uses it for writes, with the identities that travel in the log, and the server for reads and for the
// filtering of watch events.
//
//	scheme   proven by                          an entry matches
//	world    nobody needs to                    everybody; the id is "anyone"
//	ip       connecting                         the address, or the leading bits of it: "10.0.0.0/8"
//	digest   user and password                  the same user and hash
//	sasl     a SASL exchange                    the same user
//	x509     the certificate of a TLS handshake the same name
//	auth     (only in a request)                becomes the caller's proven identities
//	super    the configured digest              everything, always
//
// An Auth is the identities of a connection as bytes: pairs of jute strings, scheme and id.
package acl

import (
	"net/netip"
	"slices"
	"strings"

	"ottla/coord/wire"
)

// Schemes of identities.
const (
	SchemeIP     = "ip"
	SchemeDigest = "digest"
	SchemeSASL   = "sasl"
	SchemeX509   = "x509"
	SchemeSuper  = "super" // who has it may do everything
	schemeAuth   = "auth"
)

// AppendIdentity appends an identity to an Auth.
func AppendIdentity(auth []byte, id wire.ID) []byte {
	return wire.AppendString(wire.AppendString(auth, id.Scheme), id.ID)
}

// Identities decodes an Auth.
func Identities(auth []byte) (ids []wire.ID) {
	eachIdentity(auth, func(scheme, id []byte) bool {
		ids = append(ids, wire.ID{Scheme: string(scheme), ID: string(id)})
		return true
	})
	return ids
}

func eachIdentity(auth []byte, f func(scheme, id []byte) bool) {
	for d := wire.NewDecoder(auth); len(d.Rest()) > 0; {
		scheme, id := d.String(), d.String()
		if d.Err() != nil || !f(scheme, id) {
			return
		}
	}
}

// Allowed says whether somebody with the identities auth has one of the permissions perm by a node's list. An empty list allows
// everything; entries are alternatives. It does not allocate for nodes that are open to all.
func Allowed(acls []wire.ACL, perm int32, auth []byte) bool {
	if len(acls) == 0 {
		return true
	}
	for i := range acls {
		if acls[i].Perms&perm != 0 && acls[i].ID == wire.WorldAnyone {
			return true
		}
	}
	allowed := false
	eachIdentity(auth, func(scheme, id []byte) bool {
		if string(scheme) == SchemeSuper {
			allowed = true
			return false
		}
		for i := range acls {
			a := &acls[i]
			if a.Perms&perm != 0 && a.Scheme == string(scheme) && matches(a.Scheme, a.ID.ID, string(id)) {
				allowed = true
				return false
			}
		}
		return true
	})
	return allowed
}

// matches compares an entry's id with an identity of the same scheme.
func matches(scheme, entry, id string) bool {
	switch scheme {
	case SchemeIP:
		p, ok := parseNet(entry)
		if !ok {
			return false
		}
		a, err := netip.ParseAddr(id)
		return err == nil && p.Contains(a)
	case SchemeDigest, SchemeX509:
		return entry == id
	case SchemeSASL:
		return entry == id || id == SchemeSuper // a user of that name
	}
	return false
}

// Schemes are those that a server knows, beside world and ip, which all know.
type Schemes struct{ Digest, SASL, X509 bool }

// proven says whether the scheme is one of them, all of which prove who somebody is, as an address does not.
func (s Schemes) proven(scheme string) bool {
	switch scheme {
	case SchemeDigest:
		return s.Digest
	case SchemeSASL:
		return s.SASL
	case SchemeX509:
		return s.X509
	}
	return false
}

// Fix is the list that a create or setACL stores: without duplicates, "auth" replaced by what the connection has proven. Any other code than
// CodeOK is why the list may not be stored.
func Fix(acls []wire.ACL, auth []byte, schemes Schemes) (fixed []wire.ACL, code wire.Code) {
	if len(acls) == 1 && acls[0] == wire.OpenACL[0] {
		return wire.OpenACL, wire.CodeOK
	}
	for i, a := range acls {
		if slices.Contains(acls[:i], a) {
			continue
		}
		switch {
		case a.Scheme == schemeAuth: // whatever the id, which some clients send as null
			n := len(fixed)
			eachIdentity(auth, func(scheme, id []byte) bool {
				if schemes.proven(string(scheme)) {
					fixed = append(fixed, wire.ACL{Perms: a.Perms, ID: wire.ID{Scheme: string(scheme), ID: string(id)}})
				}
				return true
			})
			if len(fixed) == n {
				return nil, wire.CodeInvalidACL
			}
		case a.NullScheme, a.Scheme != wire.WorldAnyone.Scheme && a.Scheme != SchemeIP && !schemes.proven(a.Scheme):
			return nil, wire.CodeInvalidACL
		case a.NullID:
			return nil, wire.CodeMarshallingError // as ZooKeeper, which stumbles over it
		case a.ID != wire.WorldAnyone && !validID(a.ID):
			return nil, wire.CodeInvalidACL
		default:
			fixed = append(fixed, a)
		}
	}
	if len(fixed) == 0 {
		return nil, wire.CodeInvalidACL
	}
	return fixed, wire.CodeOK
}

// validID says whether the id is one that its scheme could match.
func validID(id wire.ID) bool {
	switch id.Scheme {
	case SchemeIP:
		_, ok := parseNet(id.ID)
		return ok
	case SchemeSASL:
		// The name of a Kerberos principal, which has at most one @ and before it at most one slash; without an @, anything.
		name, realm, ok := strings.Cut(id.ID, "@")
		return !ok || !strings.ContainsAny(realm, "/@") && strings.Count(name, "/") <= 1
	case SchemeX509:
		return validName(id.ID)
	case SchemeDigest:
		// Two parts at a colon; empty ones at the end do not count.
		parts := strings.Split(strings.TrimRight(id.ID, ":"), ":")
		return len(parts) == 2
	}
	return false
}

// parseNet reads an address, or an address and the number of its leading bits that count.
func parseNet(s string) (netip.Prefix, bool) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return p, err == nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, a.BitLen()), true
}
