package conformance

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"ottla/coord/wire"
)

var saslChecks = []check{
	{name: "as the Java client does", run: saslJava},
	{name: "as kazoo does", run: saslKazoo},
	{name: "challenge", run: saslChallenge},
	{name: "first token is ignored", run: saslFirstToken},
	{name: "wrong password", run: saslWrongPassword},
	{name: "unknown user", run: saslUnknownUser},
	{name: "broken answers", run: saslBroken},
	{name: "a third token", run: saslThird},
	{name: "auth packet of scheme sasl", run: saslAuthPacket},
	{name: "lists with users", run: saslEntries},
	{name: "auth becomes users", run: saslCreator},
	{name: "a super user", run: saslSuper},
	{name: "beside digest", run: saslBesideDigest},
	{name: "identity ends with the connection", run: saslReattach},
	{name: "names outside ASCII", run: saslUnicode},
}

// digestAnswer is a client's second token. java: with the fields that the Java client sends, its name as authorisation id among them.
func digestAnswer(challenge, user, password string, java bool) string {
	nonce := regexp.MustCompile(`nonce="([^"]*)"`).FindStringSubmatch(challenge)[1]
	const realm, cnonce, uri = "zk-sasl-md5", "0123456789", "zookeeper/zk-sasl-md5"
	hash := func(s string) string {
		sum := md5.Sum([]byte(s))
		return hex.EncodeToString(sum[:])
	}
	secret := md5.Sum(latin1(user + ":" + realm + ":" + password))
	a1 := string(secret[:]) + ":" + nonce + ":" + cnonce
	head, tail := "", ""
	if java {
		a1 += ":" + user
		head, tail = "charset=utf-8,", `,maxbuf=65536,authzid="`+user+`"`
	}
	response := hash(hash(a1) + ":" + nonce + ":00000001:" + cnonce + ":auth:" + hash("AUTHENTICATE:"+uri))
	return fmt.Sprintf(`%susername="%s",realm="%s",nonce="%s",cnonce="%s",nc=00000001,qop=auth,digest-uri="%s",response=%s%s`,
		head, user, realm, nonce, cnonce, uri, response, tail)
}

// latin1 is text as it is hashed: in ISO 8859-1 where that can be.
func latin1(s string) []byte {
	var b []byte
	for _, r := range s {
		if r > 0xff {
			return []byte(s)
		}
		b = append(b, byte(r))
	}
	return b
}

// saslToken sends a token and reads the answer; nil is null.
func (c *Client) saslToken(token []byte) (Reply, []byte) {
	c.T.Helper()
	r := c.Do(wire.OpSASL, wire.AppendBuffer(nil, token))
	d := wire.NewDecoder(r.Body)
	answer := d.Buffer()
	if d.Err() != nil || len(d.Rest()) != 0 || r.Zxid != 0 {
		c.T.Errorf("sasl: %+v", r)
	}
	return r, answer
}

// login runs a whole exchange that has to succeed.
func (c *Client) login(user, password string) {
	c.T.Helper()
	_, challenge := c.saslToken([]byte{})
	r, answer := c.saslToken([]byte(digestAnswer(string(challenge), user, password, true)))
	if r.Code != wire.CodeOK || !regexp.MustCompile(`^rspauth=[0-9a-f]{32}$`).Match(answer) {
		c.T.Fatalf("login of %s: %v %q", user, r.Code, answer)
	}
}

// identities are those that whoAmI tells of, but for the address.
func (c *Client) identities() (out []string) {
	c.T.Helper()
	d := wire.NewDecoder(c.OK(wire.OpWhoAmI, nil).Body)
	n, _ := d.Count(8)
	for range n {
		if scheme, user := string(d.String()), string(d.String()); scheme != "ip" {
			out = append(out, scheme+":"+user)
		}
	}
	slices.Sort(out)
	return out
}

func wantIdentities(e *Env, c *Client, want ...string) {
	e.Helper()
	if got := c.identities(); !slices.Equal(got, want) {
		e.Errorf("identities %q, want %q", got, want)
	}
}

func saslJava(e *Env) {
	c := e.Client()
	c.login("alice", "alice-secret")
	wantIdentities(e, c, "sasl:alice")
}

func saslKazoo(e *Env) {
	c := e.Client()
	_, challenge := c.saslToken([]byte{})
	if r, answer := c.saslToken([]byte(digestAnswer(string(challenge), "alice", "alice-secret", false))); r.Code != 0 || !bytes.HasPrefix(answer, []byte("rspauth=")) {
		e.Errorf("%v %q", r.Code, answer)
	}
	wantIdentities(e, c, "sasl:alice")
}

func saslChallenge(e *Env) {
	seen := map[string]bool{}
	for range 2 {
		_, challenge := e.Another().saslToken([]byte{})
		if !regexp.MustCompile(`^realm="zk-sasl-md5",nonce="[A-Za-z0-9+/]{40}",charset=utf-8,algorithm=md5-sess$`).Match(challenge) || seen[string(challenge)] {
			e.Errorf("challenge %q", challenge)
		}
		seen[string(challenge)] = true
	}
}

func saslFirstToken(e *Env) {
	c := e.Client()
	_, challenge := c.saslToken([]byte(`username="alice"`))
	if r, _ := c.saslToken([]byte(digestAnswer(string(challenge), "alice", "alice-secret", true))); r.Code != 0 {
		e.Errorf("%v", r.Code)
	}
}

// wantLoginRefused says that the last answer ended the connection, but not its session.
func wantLoginRefused(e *Env, c *Client, r Reply, answer []byte, code wire.Code) {
	e.Helper()
	if r.Code != code || answer != nil {
		e.Errorf("%v %q, want %v", r.Code, answer, code)
	}
	c.WantClosed()
	n := c.Attach()
	if n.Session.SessionID != c.Session.SessionID {
		e.Error("the session is gone")
	}
	n.closeSession()
}

func saslWrongPassword(e *Env) {
	for _, java := range []bool{true, false} {
		c := e.Another()
		_, challenge := c.saslToken([]byte{})
		r, answer := c.saslToken([]byte(digestAnswer(string(challenge), "alice", "wrong", java)))
		wantLoginRefused(e, c, r, answer, wire.CodeAuthFailed)
	}
}

func saslUnknownUser(e *Env) {
	c := e.Client()
	_, challenge := c.saslToken([]byte{})
	r, answer := c.saslToken([]byte(digestAnswer(string(challenge), "nobody", "alice-secret", true)))
	wantLoginRefused(e, c, r, answer, wire.CodeAuthFailed)
}

func saslBroken(e *Env) {
	for name, change := range map[string]func(string) string{
		"nothing":       func(string) string { return "" },
		"no fields":     func(string) string { return "hello" },
		"another nonce": func(s string) string { return strings.Replace(s, `nonce="`, `nonce="x`, 1) },
		"another realm": func(s string) string { return strings.Replace(s, `realm="zk`, `realm="my`, 1) },
		"integrity":     func(s string) string { return strings.Replace(s, "qop=auth", "qop=auth-int", 1) },
		"twice":         func(s string) string { return s + `,username="alice"` },
		"another uri":   func(s string) string { return strings.Replace(s, `"zookeeper/`, `"kafka/`, 1) },
		"another name":  func(s string) string { return strings.Replace(s, `authzid="alice"`, `authzid="admin"`, 1) },
	} {
		c := e.Another()
		_, challenge := c.saslToken([]byte{})
		r, answer := c.saslToken([]byte(change(digestAnswer(string(challenge), "alice", "alice-secret", true))))
		if r.Code != wire.CodeAuthFailed || answer != nil {
			e.Errorf("%s: %v %q", name, r.Code, answer)
		}
		c.WantClosed()
	}
}

func saslThird(e *Env) {
	c := e.Client()
	c.login("alice", "alice-secret")
	r, answer := c.saslToken([]byte{})
	wantLoginRefused(e, c, r, answer, wire.CodeAuthFailed)
}

func saslAuthPacket(e *Env) {
	c := e.Client()
	if r := c.Do(wire.OpAuth, AuthPacket("sasl", "alice")); r.Code != wire.CodeAuthFailed {
		e.Errorf("%v", r.Code)
	}
	c.WantClosed()
}

func saslEntries(e *Env) {
	c, o, p := e.Client(), e.Another(), e.Path("/n")
	c.OK(wire.OpCreate, Create(p, nil, 0, []wire.ACL{entry(wire.PermAll, "sasl", "alice")}))
	c.Fails(wire.CodeNoAuth, wire.OpGetData, PathFlag(p, false))
	c.login("alice", "alice-secret")
	c.OK(wire.OpSetData, SetData(p, nil, -1))
	o.Fails(wire.CodeNoAuth, wire.OpGetData, PathFlag(p, false))
	for _, id := range []string{"kafka/host@REALM", "kafka@REALM", "a/b", "", "x y"} {
		c.OK(wire.OpSetACL, SetACL(p, []wire.ACL{entry(wire.PermAll, "sasl", id), entry(wire.PermAll, "sasl", "alice")}, -1))
	}
	for _, id := range []string{"a/b/c@R", "a@b@c", "a@b/c"} {
		c.Fails(wire.CodeInvalidACL, wire.OpSetACL, SetACL(p, []wire.ACL{entry(wire.PermAll, "sasl", id)}, -1))
	}
	// Names of users are shown in full to whoever may read.
	c.OK(wire.OpSetACL, SetACL(p, []wire.ACL{entry(wire.PermAll, "sasl", "alice"), entry(wire.PermRead, "world", "anyone")}, -1))
	d := wire.NewDecoder(o.OK(wire.OpGetACL, Str(p)).Body)
	if acls, _ := d.ACLs(); len(acls) != 2 || acls[0].ID != (wire.ID{Scheme: "sasl", ID: "alice"}) {
		e.Errorf("list %v", acls)
	}
}

// saslCreator is what Kafka does with zookeeper.set.acl=true.
func saslCreator(e *Env) {
	c, o, p := e.Client(), e.Another(), e.Path("/n")
	list := []wire.ACL{entry(wire.PermAll, "auth", ""), entry(wire.PermRead, "world", "anyone")}
	c.Fails(wire.CodeInvalidACL, wire.OpCreate, Create(p, nil, 0, list))
	c.login("alice", "alice-secret")
	c.OK(wire.OpCreate, Create(p, nil, 0, list))
	d := wire.NewDecoder(c.OK(wire.OpGetACL, Str(p)).Body)
	if acls, _ := d.ACLs(); !slices.Contains(acls, entry(wire.PermAll, "sasl", "alice")) || len(acls) != 2 {
		e.Errorf("list %v", acls)
	}
	o.OK(wire.OpGetData, PathFlag(p, false))
	o.Fails(wire.CodeNoAuth, wire.OpSetData, SetData(p, nil, -1))
	o.login("alice", "alice-secret")
	o.OK(wire.OpSetData, SetData(p, nil, -1))
}

func saslSuper(e *Env) {
	c, o, p := e.Client(), e.Another(), e.Path("/n")
	c.OK(wire.OpCreate, Create(p, nil, 0, []wire.ACL{digest(31, hashUP)}))
	o.login("admin", "admin-secret")
	o.OK(wire.OpSetData, SetData(p, nil, -1))
	o.OK(wire.OpSetACL, SetACL("/zookeeper/config", []wire.ACL{entry(wire.PermRead, "world", "anyone")}, -1))
	wantIdentities(e, o, "sasl:admin", "super:")
}

func saslBesideDigest(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Auth("u:p")
	c.login("alice", "alice-secret")
	wantIdentities(e, c, "digest:u", "sasl:alice")
	c.OK(wire.OpCreate, Create(p, nil, 0, []wire.ACL{entry(wire.PermAll, "auth", "anything")}))
	d := wire.NewDecoder(c.OK(wire.OpGetACL, Str(p)).Body)
	acls, _ := d.ACLs()
	if len(acls) != 2 || !slices.Contains(acls, digest(31, hashUP)) || !slices.Contains(acls, entry(31, "sasl", "alice")) {
		e.Errorf("list %v", acls)
	}
}

func saslReattach(e *Env) {
	c := e.Client()
	c.login("alice", "alice-secret")
	n := c.Attach()
	wantIdentities(e, n)
	n.login("alice", "alice-secret")
	wantIdentities(e, n, "sasl:alice")
	n.closeSession()
}

func saslUnicode(e *Env) {
	c := e.Client()
	c.login("ümläut", "grüße")
	wantIdentities(e, c, "sasl:ümläut")
}
