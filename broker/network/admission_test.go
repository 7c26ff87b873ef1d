package network

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"ottla/broker/api"
	"ottla/broker/quota"
)

func limited(t *testing.T, l *quota.ConnectionLimits, ipRate func(netip.Addr) (int, bool)) *Server {
	if ipRate == nil {
		ipRate = quota.None.IP
	}
	limits := quota.NewConnections(quota.Window{Samples: 11, Size: time.Second}, []string{"PLAINTEXT", "OTHER"}, "OTHER", ipRate)
	limits.SetLimits(l)
	return start(t, false, []api.Entry{echo(3, 0, 8)}, func(c *Config) { c.Connections, c.RequestTimeout = limits, 200*time.Millisecond })
}

func dialTo(t *testing.T, s *Server, listener string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr(listener).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

func ask(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := c.Write(frame(3, 0, 1, "x")); err != nil {
		t.Fatal(err)
	}
	expect(t, c, 1, "test/x")
}

// Beyond max.connections a connection waits until another is gone; that of a broker comes in, and the idlest client gives way.
func TestMaxConnections(t *testing.T) {
	s := limited(t, &quota.ConnectionLimits{Max: 2, Rate: quota.Unlimited, PerIP: quota.Unlimited, Listeners: map[string]quota.ListenerLimits{"OTHER": {Max: 2, Rate: quota.Unlimited}}}, nil)
	first, second := dialTo(t, s, "PLAINTEXT"), dialTo(t, s, "PLAINTEXT")
	ask(t, first)
	ask(t, second)
	third := dialTo(t, s, "PLAINTEXT")
	third.Write(frame(3, 0, 7, "waited"))
	_ = third.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := third.Read(make([]byte, 1)); err == nil {
		t.Fatalf("a third connection is served: %d", n)
	}
	_ = third.SetReadDeadline(time.Now().Add(10 * time.Second))
	first.Close()
	expect(t, third, 7, "test/waited")

	eventually(t, "both are idle", func() bool {
		n := 0
		s.each(func(c *conn) {
			if c.since.Load() != 0 {
				n++
			}
		})
		return n == 2
	})
	broker := dialTo(t, s, "OTHER")
	ask(t, broker)
	expectClosed(t, second) // it has been idle for longer than the third
	ask(t, third)
	s.SetConnectionLimits(&quota.ConnectionLimits{Max: 1, Rate: quota.Unlimited, PerIP: quota.Unlimited})
	expectClosed(t, third)
	ask(t, broker)
}

func TestMaxConnectionsOfAnAddress(t *testing.T) {
	s := limited(t, &quota.ConnectionLimits{Max: quota.Unlimited, Rate: quota.Unlimited, PerIP: 1, Overrides: map[netip.Addr]int{netip.MustParseAddr("127.0.0.1"): 2}}, nil)
	first, second := dialTo(t, s, "PLAINTEXT"), dialTo(t, s, "PLAINTEXT")
	ask(t, first)
	ask(t, second)
	expectClosed(t, dialTo(t, s, "PLAINTEXT"))
	second.Close()
	eventually(t, "it does not count any more", func() bool { return s.Connections() == 1 })
	ask(t, dialTo(t, s, "PLAINTEXT"))
}

// A connection above the rate of its listener waits; one above that of its address is closed, later.
func TestConnectionRates(t *testing.T) {
	s := limited(t, &quota.ConnectionLimits{Max: quota.Unlimited, Rate: quota.Unlimited, PerIP: quota.Unlimited, Listeners: map[string]quota.ListenerLimits{"OTHER": {Max: quota.Unlimited, Rate: 1}}},
		func(netip.Addr) (int, bool) { return 2, true })
	for range 10 {
		ask(t, dialTo(t, s, "OTHER"))
	}
	begin := time.Now()
	ask(t, dialTo(t, s, "OTHER")) // the eleventh within ten seconds
	if waited := time.Since(begin); waited < 500*time.Millisecond || waited > 5*time.Second {
		t.Errorf("waited for %v", waited)
	}
	for range 9 {
		ask(t, dialTo(t, s, "PLAINTEXT"))
	}
	begin = time.Now()
	refused := dialTo(t, s, "PLAINTEXT") // the twenty-first of this address
	refused.Write(frame(3, 0, 1, "x"))
	expectClosed(t, refused)
	if waited := time.Since(begin); waited < 20*time.Millisecond {
		t.Errorf("closed after %v", waited)
	}
}
