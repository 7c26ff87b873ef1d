package server_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"ottla/coord/coordtest/conformance"
	"ottla/coord/server"
	"ottla/coord/wire"
)

// eventually polls until ok or the deadline.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("not within 20 s: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func TestTooManyConnectionsOfOneAddress(t *testing.T) {
	b := start(t, func(c *server.Config) { c.MaxClientCnxns = 2 })
	first, second := conformance.Open(t, b.addr), conformance.Open(t, b.addr)
	for range 3 {
		conformance.Dial(t, b.addr).WantClosed()
	}
	second.OK(wire.OpExists, conformance.PathFlag("/", false))
	first.Conn.Close()
	eventually(t, "room for another", func() bool {
		nc, err := net.Dial("tcp", b.addr)
		if err != nil {
			return false
		}
		defer nc.Close()
		nc.Write([]byte("ruok"))
		nc.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, _ := nc.Read(make([]byte, 8))
		return n == 4
	})
}

func TestSessionlessConnectionIsDropped(t *testing.T) {
	b := start(t, func(c *server.Config) { c.SessionlessTimeout = 50 * time.Millisecond })
	silent, half := conformance.Dial(t, b.addr), conformance.Dial(t, b.addr)
	half.Write([]byte{0, 0})
	silent.WantClosed()
	half.WantClosed()
	// One that said who it is stays.
	c := conformance.Open(t, b.addr)
	eventually(t, "the timeout to pass", func() bool {
		c.OK(wire.OpPing, nil)
		return strings.Contains(word(t, b.addr, "mntr"), "zk_sessionless_connections_expired\t2\n")
	})
}

func word(t *testing.T, addr, w string) string {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.Write([]byte(w))
	nc.SetReadDeadline(time.Now().Add(20 * time.Second))
	var out bytes.Buffer
	if _, err := out.ReadFrom(nc); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestWordsNotInWhitelist(t *testing.T) {
	b := start(t, func(c *server.Config) { c.Words = []string{"ruok", "conf"} })
	for _, w := range []string{"srvr", "stat", "mntr", "isro", "cons", "dump", "envi", "wchs", "stmk"} {
		if got, want := word(t, b.addr, w), w+" is not executed because it is not in the whitelist.\n"; got != want {
			t.Errorf("%s: %q", w, got)
		}
	}
	if got := word(t, b.addr, "ruok"); got != "imok" {
		t.Errorf("ruok: %q", got)
	}
}

// A client that asks for far more than it takes is not read any further, and gets everything once it reads.
func TestSlowReaderIsHeldBack(t *testing.T) {
	b := start(t, nil)
	c := conformance.Open(t, b.addr)
	data := bytes.Repeat([]byte("x"), 1<<20-1000)
	c.OK(wire.OpCreate, conformance.Create("/big", data, 0, wire.OpenACL))
	const requests = 60
	sent := make(chan error, 1)
	go func() {
		var all []byte
		for i := range int32(requests) {
			all = append(all, conformance.Request(i+1, wire.OpGetData, conformance.PathFlag("/big", false))...)
		}
		_, err := c.Conn.Write(all)
		sent <- err
	}()
	other := conformance.Open(t, b.addr) // somebody else is served meanwhile
	for range 50 {
		other.OK(wire.OpSetData, conformance.SetData("/", nil, -1))
	}
	for i := range int32(requests) {
		if r := c.Reply(); r.Xid != i+1 || len(r.Body) != 4+len(data)+wire.StatSize {
			t.Fatalf("answer %d: xid %d, %d bytes", i+1, r.Xid, len(r.Body))
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

// A client that does not take its watch events is cut off before they fill the memory. Its session lives on.
func TestSlowWatcherIsCutOff(t *testing.T) {
	b := start(t, nil)
	c, slow := conformance.Open(t, b.addr), conformance.Open(t, b.addr)
	path := "/" + strings.Repeat("n", 400<<10)
	c.Create(path, "", 0)
	slow.OK(wire.OpAddWatch, conformance.PathInt(path, wire.AddWatchPersistent))
	slow.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	for range 200 { // 80 MB of events
		c.OK(wire.OpSetData, conformance.SetData(path, nil, -1))
	}
	eventually(t, "the slow watcher to be cut off", func() bool {
		return strings.Contains(word(t, b.addr, "mntr"), "zk_watch_count\t0\n")
	})
	if got := slow.Attach(); got.Session.SessionID != slow.Session.SessionID {
		t.Error("the session is gone")
	}
}

// Above the global limit only connections with nothing under way are read.
func TestGlobalOutstandingLimit(t *testing.T) {
	b := start(t, func(c *server.Config) { c.GlobalOutstandingLimit = 10 })
	c, other := conformance.Open(t, b.addr), conformance.Open(t, b.addr)
	b.log.hold.Lock()
	var all []byte
	for i := range int32(100) {
		all = append(all, conformance.Request(i+1, wire.OpSetData, conformance.SetData("/", nil, -1))...)
	}
	c.Write(all)
	eventually(t, "the limit to be reached", func() bool { return strings.Contains(word(t, b.addr, "srvr"), "Outstanding: 11\n") })
	// A read of somebody else is answered, as is his own first write once the log moves.
	other.OK(wire.OpExists, conformance.PathFlag("/", false))
	b.log.hold.Unlock()
	for i := range int32(100) {
		if r := c.Reply(); r.Xid != i+1 || r.Code != 0 {
			t.Fatalf("answer %d: %+v", i+1, r)
		}
	}
	eventually(t, "nothing to be outstanding", func() bool { return strings.Contains(word(t, b.addr, "srvr"), "Outstanding: 0\n") })
}

// What was under way on a connection that goes does not count for ever.
func TestOutstandingOfLostConnection(t *testing.T) {
	b := start(t, nil)
	c := conformance.Open(t, b.addr)
	b.log.hold.Lock()
	for i := range int32(20) {
		c.Write(conformance.Request(i+1, wire.OpSetData, conformance.SetData("/", nil, -1)))
	}
	eventually(t, "requests to be under way", func() bool { return strings.Contains(word(t, b.addr, "srvr"), "Outstanding: 20\n") })
	c.Conn.Close()
	eventually(t, "none to count", func() bool { return strings.Contains(word(t, b.addr, "srvr"), "Outstanding: 0\n") })
	b.log.hold.Unlock()
	o := conformance.Open(t, b.addr)
	if s := o.Stat("/"); s.Version != 20 {
		t.Errorf("%d writes of the lost connection were applied, want 20", s.Version)
	}
}

// A request of 1 MB cannot make the server build an answer of many GB.
func TestMultiReadIsBounded(t *testing.T) {
	b := start(t, nil)
	c := conformance.Open(t, b.addr)
	c.Create("/n", strings.Repeat("x", 500<<10), 0)
	part := conformance.Part{Op: wire.OpGetData, Body: conformance.PathFlag("/n", false)}
	many := func(n int) (parts []conformance.Part) {
		for range n {
			parts = append(parts, part)
		}
		return parts
	}
	c.OK(wire.OpMultiRead, conformance.Multi(many(50)...))
	c.Write(conformance.Request(9, wire.OpMultiRead, conformance.Multi(many(20000)...)))
	c.WantClosed()
}

// Reads that wait behind a write are bounded in bytes too; none is lost.
func TestLargeReadsBehindAWrite(t *testing.T) {
	b := start(t, nil)
	c := conformance.Open(t, b.addr)
	path := "/" + strings.Repeat("n", 900<<10)
	b.log.hold.Lock()
	sent := make(chan error, 1)
	go func() {
		_, err := c.Conn.Write(conformance.Request(1, wire.OpSetData, conformance.SetData("/", nil, -1)))
		for i := int32(2); i <= 40 && err == nil; i++ {
			_, err = c.Conn.Write(conformance.Request(i, wire.OpExists, conformance.PathFlag(path, false)))
		}
		sent <- err
	}()
	eventually(t, "reads to wait", func() bool { return !strings.Contains(word(t, b.addr, "srvr"), "Outstanding: 0\n") })
	b.log.hold.Unlock()
	for i := int32(1); i <= 40; i++ {
		if r := c.Reply(); r.Xid != i {
			t.Fatalf("answer %d has xid %d", i, r.Xid)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

// Large requests that do not fit any more cost their connections; those under way are answered, and their sessions live.
func TestLargeRequestsAreBounded(t *testing.T) {
	b := start(t, func(c *server.Config) { c.LargeRequests = server.LargeRequests{Threshold: 1000, Bytes: 5000} })
	big := func(path string) []byte { return conformance.Create(path, make([]byte, 2000), 0, wire.OpenACL) }
	first, second := conformance.Open(t, b.addr), conformance.Open(t, b.addr)
	b.log.hold.Lock()
	first.Write(append(conformance.Request(1, wire.OpCreate, big("/a")), conformance.Request(2, wire.OpCreate, big("/b"))...))
	eventually(t, "two requests under way", func() bool { return strings.Contains(word(t, b.addr, "srvr"), "Outstanding: 2\n") })
	second.Write(conformance.Request(1, wire.OpCreate, big("/c")))
	second.WantClosed()
	third := conformance.Dial(t, b.addr) // small ones go on, as soon as the log does
	b.log.hold.Unlock()
	for range 2 {
		if r := first.Reply(); r.Code != wire.CodeOK {
			t.Errorf("%v", r.Code)
		}
	}
	third.Connect(wire.ConnectRequest{TimeoutMs: 10000})
	third.OK(wire.OpCreate, big("/c")) // there is room again
	n := second.Attach()
	n.OK(wire.OpExists, conformance.PathFlag("/c", false))
}

func TestConnectThrottle(t *testing.T) {
	b := start(t, func(c *server.Config) {
		c.ConnectThrottle = server.ConnectThrottle{Tokens: 3, Fill: 1, Every: time.Hour}
	})
	c := conformance.Open(t, b.addr)
	conformance.Open(t, b.addr)
	n := c.Attach()
	for range 3 {
		x := conformance.Dial(t, b.addr)
		x.Write(wire.AppendConnectRequest(nil, &wire.ConnectRequest{TimeoutMs: 10000}))
		x.WantClosed()
	}
	n.OK(wire.OpExists, conformance.PathFlag("/", false)) // who is in is not concerned
	if got := word(t, b.addr, "ruok"); got != "imok" {
		t.Errorf("ruok: %q", got)
	}
}

// Neither a handshake that never comes nor one that is broken holds anything up.
func TestUnfinishedTLS(t *testing.T) {
	b := start(t, func(c *server.Config) { c.SessionlessTimeout = 200 * time.Millisecond })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	either, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("none") }}
	go b.srv.ServeTLS(l, config, false)
	go b.srv.ServeTLS(either, config, true)
	for _, addr := range []string{l.Addr().String(), either.Addr().String()} {
		for _, first := range [][]byte{nil, {0x16}, {0x16, 3, 1}, []byte("\x16\x03\x01\x00\x05hello")} {
			c := conformance.Dial(t, addr)
			c.Write(first)
			c.Conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.Copy(io.Discard, c.Conn); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: a connection that sent %x stays open", addr, first)
			}
		}
	}
	c := conformance.Open(t, either.Addr().String())
	c.OK(wire.OpExists, conformance.PathFlag("/", false))
	// Close ends those that are in the middle of it.
	conformance.Dial(t, l.Addr().String()).Write([]byte{0x16})
}
