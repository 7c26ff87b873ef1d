package acl

import (
	"slices"
	"testing"

	"ottla/coord/wire"
)

func auth(ids ...wire.ID) (b []byte) {
	for _, id := range ids {
		b = AppendIdentity(b, id)
	}
	return b
}

func entry(perms int32, scheme, id string) wire.ACL {
	return wire.ACL{Perms: perms, ID: wire.ID{Scheme: scheme, ID: id}}
}

func TestAllowed(t *testing.T) {
	ip := func(a string) []byte { return auth(wire.ID{Scheme: "ip", ID: a}) }
	user := auth(wire.ID{Scheme: "ip", ID: "9.9.9.9"}, wire.ID{Scheme: "digest", ID: "u:h"})
	for _, c := range []struct {
		acls []wire.ACL
		auth []byte
		perm int32
		want bool
	}{
		{nil, nil, 1, true},
		{wire.OpenACL, nil, 16, true},
		{[]wire.ACL{entry(1, "world", "anyone")}, nil, 2, false},
		{[]wire.ACL{entry(1, "world", "somebody")}, nil, 1, false},
		{[]wire.ACL{entry(1, "world", "anyone")}, nil, 1 | 16, true}, // one of several is enough
		{[]wire.ACL{entry(31, "ip", "10.0.0.0/8")}, ip("10.255.1.2"), 1, true},
		{[]wire.ACL{entry(31, "ip", "10.0.0.0/8")}, ip("11.0.0.1"), 1, false},
		{[]wire.ACL{entry(31, "ip", "10.1.2.3/8")}, ip("10.9.9.9"), 1, true},
		{[]wire.ACL{entry(31, "ip", "0.0.0.0/0")}, ip("1.2.3.4"), 1, true},
		{[]wire.ACL{entry(31, "ip", "0.0.0.0/0")}, ip("::1"), 1, false},
		{[]wire.ACL{entry(31, "ip", "::/0")}, ip("1.2.3.4"), 1, false},
		{[]wire.ACL{entry(31, "ip", "fe80::/10")}, ip("fe80::1"), 1, true},
		{[]wire.ACL{entry(31, "ip", "1.2.3.4")}, ip("1.2.3.4"), 1, true},
		{[]wire.ACL{entry(31, "ip", "nonsense")}, ip("1.2.3.4"), 1, false},
		{[]wire.ACL{entry(31, "ip", "1.2.3.4")}, ip("pipe"), 1, false},
		{[]wire.ACL{entry(31, "digest", "u:h")}, user, 8, true},
		{[]wire.ACL{entry(31, "digest", "u:x")}, user, 8, false},
		{[]wire.ACL{entry(31, "nosuch", "u:h")}, auth(wire.ID{Scheme: "nosuch", ID: "u:h"}), 8, false},
		{[]wire.ACL{entry(0, "digest", "u:h")}, auth(wire.ID{Scheme: "super"}), 8, true},
		{[]wire.ACL{entry(31, "digest", "u:h")}, []byte{1, 2, 3}, 8, false},
	} {
		if got := Allowed(c.acls, c.perm, c.auth); got != c.want {
			t.Errorf("%v, right %d, %v: %v", c.acls, c.perm, Identities(c.auth), got)
		}
	}
	if n := testing.AllocsPerRun(100, func() { Allowed(wire.OpenACL, 1, user) }); n != 0 {
		t.Errorf("an open node costs %v allocations", n)
	}
}

func TestFix(t *testing.T) {
	user := auth(wire.ID{Scheme: "ip", ID: "9.9.9.9"}, wire.ID{Scheme: "digest", ID: "u:h"}, wire.ID{Scheme: "super"}, wire.ID{Scheme: "digest", ID: "v:i"})
	anyone := entry(31, "world", "anyone")
	for _, c := range []struct {
		in, want []wire.ACL // nil: refused
	}{
		{nil, nil},
		{[]wire.ACL{}, nil},
		{wire.OpenACL, wire.OpenACL},
		{[]wire.ACL{anyone, anyone}, []wire.ACL{anyone}},
		{[]wire.ACL{anyone, entry(1, "world", "anyone")}, []wire.ACL{anyone, entry(1, "world", "anyone")}},
		{[]wire.ACL{entry(1, "world", "x")}, nil},
		{[]wire.ACL{anyone, entry(1, "world", "x")}, nil},
		{[]wire.ACL{entry(3, "auth", "whatever")}, []wire.ACL{entry(3, "digest", "u:h"), entry(3, "digest", "v:i")}},
		{[]wire.ACL{entry(1, "digest", "a:b:")}, []wire.ACL{entry(1, "digest", "a:b:")}},
		{[]wire.ACL{entry(1, "digest", ":b")}, []wire.ACL{entry(1, "digest", ":b")}},
		{[]wire.ACL{entry(1, "digest", "a:")}, nil},
		{[]wire.ACL{entry(1, "digest", "a:b:c")}, nil},
		{[]wire.ACL{entry(1, "ip", "fe80::1%eth0")}, nil},
		{[]wire.ACL{entry(1, "ip", "1.2.3.4/33")}, nil},
		{[]wire.ACL{entry(-1, "ip", "1.2.3.4/32")}, []wire.ACL{entry(-1, "ip", "1.2.3.4/32")}},
		{[]wire.ACL{{Perms: 31, ID: wire.ID{ID: "x"}, NullScheme: true}}, nil},
		{[]wire.ACL{{Perms: 31, ID: wire.ID{Scheme: "digest"}, NullID: true}}, nil},
		{[]wire.ACL{{Perms: 31, ID: wire.ID{Scheme: "auth"}, NullID: true}}, []wire.ACL{entry(31, "digest", "u:h"), entry(31, "digest", "v:i")}},
		{[]wire.ACL{entry(1, "sasl", "u")}, nil},
		{[]wire.ACL{entry(1, "x509", "CN=u")}, nil},
	} {
		got, code := Fix(c.in, user, Schemes{Digest: true})
		if ok := code == wire.CodeOK; ok != (c.want != nil) || !slices.Equal(got, c.want) && ok {
			t.Errorf("%v: got %v, %v; want %v", c.in, got, code, c.want)
		}
	}
	if _, code := Fix([]wire.ACL{entry(1, "auth", "")}, auth(wire.ID{Scheme: "ip", ID: "9.9.9.9"}), Schemes{Digest: true}); code == wire.CodeOK {
		t.Error("an address counts as proof")
	}
	all := Schemes{Digest: true, SASL: true, X509: true}
	proven := auth(wire.ID{Scheme: "sasl", ID: "u"}, wire.ID{Scheme: "x509", ID: "CN=u"})
	got, _ := Fix([]wire.ACL{entry(1, "auth", "")}, proven, all)
	if want := []wire.ACL{entry(1, "sasl", "u"), entry(1, "x509", "CN=u")}; !slices.Equal(got, want) {
		t.Errorf("auth became %v, want %v", got, want)
	}
	for _, id := range []string{"u", "u/h@R", "", "a/b/c"} {
		if _, code := Fix([]wire.ACL{entry(1, "sasl", id)}, nil, all); code != wire.CodeOK {
			t.Errorf("sasl %q: %v", id, code)
		}
	}
}
