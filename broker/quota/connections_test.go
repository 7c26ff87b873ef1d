package quota

import (
	"net/netip"
	"testing"
	"time"
)

var (
	one = netip.MustParseAddr("10.0.0.1")
	two = netip.MustParseAddr("10.0.0.2")
)

func TestConnectionLimits(t *testing.T) {
	table := &Table{}
	c := NewConnections(window, []string{"CLIENT", "BROKER"}, "BROKER", func(ip netip.Addr) (int, bool) { return table.Load().IP(ip) })
	enter := func(listener string, ip netip.Addr, want Admission) {
		t.Helper()
		if a, _, _ := c.Enter(listener, ip, 0); a != want {
			t.Errorf("%s from %v: %v, want %v", listener, ip, a, want)
		}
	}
	c.SetLimits(&ConnectionLimits{Max: 3, Rate: Unlimited, PerIP: 2, Overrides: map[netip.Addr]int{two: 3}, Listeners: map[string]ListenerLimits{"BROKER": {3, Unlimited}}})
	enter("CLIENT", one, Admitted)
	enter("CLIENT", one, Admitted)
	enter("CLIENT", one, TooMany)
	enter("CLIENT", two, Admitted)
	enter("CLIENT", two, Full)
	changed := c.Changed()
	enter("BROKER", two, Admitted) // brokers come in over the broker's limit
	if c.Excess() != 1 || c.Protected("CLIENT") || !c.Protected("BROKER") {
		t.Error(c.Excess())
	}
	enter("BROKER", two, Admitted)
	enter("BROKER", two, TooMany)
	enter("BROKER", one, TooMany)
	select {
	case <-changed:
		t.Error("nobody has left")
	default:
	}
	for range 2 {
		c.Leave("CLIENT", one)
	}
	<-changed
	c.Leave("BROKER", two)
	enter("CLIENT", one, Admitted)
	c.SetLimits(&ConnectionLimits{Max: 1, Rate: Unlimited, PerIP: 2})
	if c.Excess() != 2 {
		t.Error(c.Excess())
	}
	// A broker with one listener protects none.
	if c := NewConnections(window, []string{"CLIENT"}, "CLIENT", nil); c.Protected("CLIENT") {
		t.Error("the only listener is protected")
	}
}

func TestConnectionRates(t *testing.T) {
	table := &Table{}
	table.Store(None.WithIP(two, 1))
	c := NewConnections(window, []string{"CLIENT", "BROKER"}, "BROKER", func(ip netip.Addr) (int, bool) { return table.Load().IP(ip) })
	c.SetLimits(&ConnectionLimits{Max: Unlimited, Rate: 2, PerIP: Unlimited, Listeners: map[string]ListenerLimits{"BROKER": {Unlimited, 3}}})
	for i := range 20 { // two a second over ten seconds
		if wait := c.Arrive("CLIENT", 0); wait != 0 {
			t.Fatalf("connection %d waits for %v", i, wait)
		}
	}
	if wait := c.Arrive("CLIENT", 0); wait != 500*time.Millisecond {
		t.Errorf("waits for %v", wait)
	}
	for range 40 {
		c.Arrive("CLIENT", 0)
	}
	if wait := c.Arrive("CLIENT", 0); wait != time.Second {
		t.Errorf("waits for %v, longer than a sample", wait)
	}
	for i := range 30 { // the other listener has its own limit and not the broker's
		if wait := c.Arrive("BROKER", 0); wait != 0 {
			t.Fatalf("connection %d waits for %v", i, wait)
		}
	}
	if wait := c.Arrive("BROKER", 0); wait == 0 {
		t.Error("a listener's own limit does not count")
	}
	for i := range 12 {
		a, _, wait := c.Enter("CLIENT", two, 0)
		if want := i >= 10; (a == Throttled) != want || (wait > 0) != want {
			t.Errorf("connection %d of an address with a limit: %v, %v", i, a, wait)
		}
	}
	if a, _, _ := c.Enter("CLIENT", one, 0); a != Admitted {
		t.Errorf("another address: %v", a)
	}
}
