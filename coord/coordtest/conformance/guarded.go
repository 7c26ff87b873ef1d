package conformance

import (
	"crypto/x509/pkix"
	"errors"
	"math"
	"net"
	"time"

	"ottla/coord/wire"
)

// Only clients that logged in, five connections, short frames, and TLS for those who show a certificate. One after the other: connections are
// counted.
var guardedChecks = []check{
	{name: "nothing before the login", run: enforced},
	{name: "the session is there before", run: enforcedSession},
	{name: "another identity is not enough", run: enforcedDigest},
	{name: "everything after the login", run: enforcedLogin},
	{name: "wrong password", run: enforcedWrong},
	{name: "a certificate is not enough", run: enforcedTLS},
	{name: "TLS needs a certificate", run: tlsNeeded},
	{name: "connections are counted", run: tooManyConnections},
	{name: "frames are short", run: shortFrames},
}

func enforced(e *Env) {
	for _, op := range []wire.Op{wire.OpPing, wire.OpExists, wire.OpCreate, wire.OpCloseSession, wire.OpWhoAmI, wire.OpSync, wire.OpMulti, 99} {
		c := Dial(e, e.Addr)
		c.Connect(wire.ConnectRequest{TimeoutMs: 5000})
		c.Write(Request(7, op, PathFlag("/", false)))
		if r := c.Reply(); r.Xid != 7 || r.Zxid != 0 || r.Code != wire.CodeSessionClosedRequireAuth || len(r.Body) != 0 {
			e.Errorf("op %d: %+v", op, r)
		}
		c.WantClosed()
	}
}

func enforcedSession(e *Env) {
	c := Dial(e, e.Addr)
	c.Session = c.Connect(wire.ConnectRequest{TimeoutMs: 5000})
	c.Write(Request(7, wire.OpPing, nil))
	c.Reply()
	c.WantClosed()
	n := c.Attach()
	if n.Session.SessionID != c.Session.SessionID || n.Session.SessionID == 0 {
		e.Errorf("session %x, want %x", n.Session.SessionID, c.Session.SessionID)
	}
	n.login("alice", "alice-secret")
	n.OK(wire.OpCloseSession, nil)
}

func enforcedDigest(e *Env) {
	c := Dial(e, e.Addr)
	c.Connect(wire.ConnectRequest{TimeoutMs: 5000})
	c.Auth("u:p")
	c.Fails(wire.CodeSessionClosedRequireAuth, wire.OpExists, PathFlag("/", false))
	c.WantClosed()
}

func enforcedLogin(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.OK(wire.OpCreate, Create(p, nil, 0, []wire.ACL{entry(31, "auth", "")}))
	c.OK(wire.OpPing, nil)
	wantIdentities(e, c, "sasl:alice")
	c.OK(wire.OpDelete, PathInt(p, -1))
}

func enforcedWrong(e *Env) {
	c := Dial(e, e.Addr)
	c.Connect(wire.ConnectRequest{TimeoutMs: 5000})
	_, challenge := c.saslToken([]byte{})
	r, answer := c.saslToken([]byte(digestAnswer(string(challenge), "alice", "wrong", true)))
	if r.Code != wire.CodeSessionClosedRequireAuth || answer != nil {
		e.Errorf("%v %q", r.Code, answer)
	}
	c.WantClosed()
}

func enforcedTLS(e *Env) {
	c, err := dialTLS(e, e.Secure, pki().client(pkix.Name{CommonName: "client"}), nil)
	if err != nil {
		e.Fatal(err)
	}
	c.Connect(wire.ConnectRequest{TimeoutMs: 5000})
	c.Fails(wire.CodeSessionClosedRequireAuth, wire.OpExists, PathFlag("/", false))
	c.WantClosed()
}

func tlsNeeded(e *Env) {
	wantNoTLS(e, e.Secure, nil, nil)
	c, err := dialTLS(e, e.Secure, pki().client(pkix.Name{CommonName: "client"}), nil)
	if err != nil {
		e.Fatal(err)
	}
	c.Connect(wire.ConnectRequest{TimeoutMs: 5000})
	c.login("alice", "alice-secret")
	wantIdentities(e, c, "sasl:alice", "x509:CN=client")
	c.OK(wire.OpCloseSession, nil)
}

func tooManyConnections(e *Env) {
	open := openSome(e, 5)
	for range 3 {
		c := Dial(e, e.Addr)
		if !isClosed(c.Conn, patience) {
			e.Error("one more than five connections")
		}
	}
	// A word counts too; another listener counts for itself.
	c := Dial(e, e.Addr)
	c.Conn.Write([]byte("ruok"))
	if b, err := c.frame(patience); err == nil {
		e.Errorf("a word was answered: %x", b)
	}
	s, err := dialTLS(e, e.Secure, pki().client(pkix.Name{CommonName: "client"}), nil)
	if err != nil {
		e.Fatal(err)
	}
	s.Conn.Close()
	for _, nc := range open {
		nc.Close()
	}
	for _, nc := range openSome(e, 4) { // there is room again
		nc.Close()
	}
}

// openSome opens so many connections, waiting for those of earlier checks to be gone.
func openSome(e *Env, n int) (open []net.Conn) {
	for end := time.Now().Add(patience); len(open) < n; {
		nc, err := net.Dial("tcp", e.Addr)
		if err != nil {
			e.Fatal(err)
		}
		if !isClosed(nc, 200*time.Millisecond) {
			open = append(open, nc)
			e.Cleanup(func() { nc.Close() })
			continue
		}
		nc.Close()
		if time.Now().After(end) {
			e.Fatalf("only %d connections of %d", len(open), n)
		}
	}
	return open
}

// isClosed waits that long for the server to close a connection that nothing was sent on.
func isClosed(nc net.Conn, wait time.Duration) bool {
	nc.SetReadDeadline(time.Now().Add(wait))
	_, err := nc.Read(make([]byte, 1))
	var ne net.Error
	return err != nil && !(errors.As(err, &ne) && ne.Timeout())
}

func shortFrames(e *Env) {
	for _, nc := range openSome(e, 4) {
		nc.Close()
	}
	c, p := e.Client(), e.Path("/n")
	c.Create(p, "", 0)
	rest := len(SetData(p, nil, -1)) + 8
	c.OK(wire.OpSetData, SetData(p, make([]byte, 20000-rest), -1))
	// More than what a frame may have comes back, in answers that have no limit.
	c.OK(wire.OpGetData, PathFlag(p, false))
	c.Write(Request(1, wire.OpSetData, SetData(p, make([]byte, 20000-rest+1), -1)))
	c.WantClosed()
	for _, n := range []int32{math.MaxInt32, -1} {
		x := Dial(e, e.Addr)
		x.Write(wire.AppendInt(nil, n))
		x.WantClosed()
	}
	n := c.Attach()
	n.login("alice", "alice-secret")
	if s := n.Stat(p); s.Version != 1 {
		e.Errorf("stat %+v", s)
	}
	n.OK(wire.OpCloseSession, nil)
}

// Everything is allowed, logins may fail, and there is no digest.
var openChecks = []check{
	{name: "no list counts", run: skippedACL},
	{name: "no digest", run: digestOff},
	{name: "failed login", run: saslFailedAllowed},
	{name: "login without lists", run: saslWithoutProvider},
}

func skippedACL(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.OK(wire.OpCreate, Create(p, []byte("x"), 0, []wire.ACL{entry(0, "world", "anyone")}))
	c.OK(wire.OpGetData, PathFlag(p, true))
	c.OK(wire.OpSetData, SetData(p, nil, -1))
	wantEvents(e, c, Event{Type: wire.EventNodeDataChanged, Path: p})
	c.OK(wire.OpCreate, Create(p+"/k", nil, 0, wire.OpenACL))
	c.OK(wire.OpDelete, PathInt(p+"/k", -1))
	c.OK(wire.OpSetACL, SetACL(p, []wire.ACL{entry(0, "ip", "10.0.0.1")}, 0))
	c.Fails(wire.CodeInvalidACL, wire.OpSetACL, SetACL(p, nil, -1))
	c.OK(wire.OpSetData, SetData("/zookeeper/config", []byte{}, -1))
}

func digestOff(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Fails(wire.CodeInvalidACL, wire.OpCreate, Create(p, nil, 0, []wire.ACL{digest(31, hashUP)}))
	if r := c.Do(wire.OpAuth, AuthPacket("digest", "u:p")); r.Code != wire.CodeAuthFailed {
		e.Errorf("auth digest: %v", r.Code)
	}
	c.WantClosed()
}

func saslFailedAllowed(e *Env) {
	c := e.Client()
	_, challenge := c.saslToken([]byte{})
	if r, answer := c.saslToken([]byte(digestAnswer(string(challenge), "alice", "wrong", true))); r.Code != wire.CodeOK || answer != nil {
		e.Errorf("%v %q", r.Code, answer)
	}
	c.OK(wire.OpExists, PathFlag("/", false))
	wantIdentities(e, c)
}

func saslWithoutProvider(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.login("alice", "alice-secret")
	wantIdentities(e, c, "sasl:") // of a scheme that nothing else knows of
	c.Fails(wire.CodeInvalidACL, wire.OpCreate, Create(p, nil, 0, []wire.ACL{entry(31, "auth", "")}))
	c.Fails(wire.CodeInvalidACL, wire.OpCreate, Create(p, nil, 0, []wire.ACL{entry(31, "sasl", "alice")}))
}
