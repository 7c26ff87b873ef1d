package quota

import (
	"math"
	"net/netip"
	"sync"
	"time"
)

// ConnectionLimits bound the connections of a broker. Immutable. Unlimited is no bound.
type ConnectionLimits struct {
	Max       int // max.connections
	Rate      int // max.connection.creation.rate, a second
	Listeners map[string]ListenerLimits
	PerIP     int                // max.connections.per.ip
	Overrides map[netip.Addr]int // max.connections.per.ip.overrides
}

// ListenerLimits are those with the prefix listener.name.NAME.; without it a listener has the broker's.
type ListenerLimits struct{ Max, Rate int }

// Unlimited is Kafka's default for each of the limits.
const Unlimited = math.MaxInt32

// NoConnectionLimits is how a broker begins whose configuration says nothing.
var NoConnectionLimits = &ConnectionLimits{Max: Unlimited, Rate: Unlimited, PerIP: Unlimited}

func (l *ConnectionLimits) listener(name string) ListenerLimits {
	if own, ok := l.Listeners[name]; ok {
		return own
	}
	return ListenerLimits{l.Max, l.Rate}
}

// Connections counts connections and says which may come in (KIP-402, KIP-612). The listener that brokers use among themselves
// is bound by its own limits only, if there is another one: clients must not shut brokers out.
//
//	accepted by the kernel -> Arrive: how long the acceptor must wait -> Enter: in, or why not -> Leave
//
// Safe for concurrent use.
type Connections struct {
	window    Window
	protected string // "" if no listener is
	ipRate    func(netip.Addr) (rate int, limited bool)

	mu         sync.Mutex
	limits     *ConnectionLimits
	total      int
	byListener map[string]int
	byIP       map[netip.Addr]int
	rate       Rate
	rates      map[string]*Rate
	ipRates    map[netip.Addr]*Rate
	ipSweep    int
	changed    chan struct{} // closed when there may be room; made by who waits for it
}

// NewConnections counts those of the listeners. interBroker is the one that brokers use; ipRate finds the limit of an address
// (Limits.IP).
func NewConnections(w Window, listeners []string, interBroker string, ipRate func(netip.Addr) (int, bool)) *Connections {
	c := &Connections{
		window: w, ipRate: ipRate, limits: NoConnectionLimits,
		byListener: map[string]int{}, byIP: map[netip.Addr]int{}, rates: map[string]*Rate{}, ipRates: map[netip.Addr]*Rate{},
	}
	if len(listeners) > 1 {
		c.protected = interBroker
	}
	for _, name := range listeners {
		c.rates[name] = new(Rate)
	}
	return c
}

// SetLimits puts other limits in force, for the next connection on.
func (c *Connections) SetLimits(l *ConnectionLimits) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limits = l
	c.tellLocked()
}

func (c *Connections) tellLocked() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// Changed is closed when there may be room where there was none.
func (c *Connections) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	return c.changed
}

// bounded is at most what Kafka delays by for a rate of connections or a share of time.
func bounded(w Window, wait time.Duration) time.Duration { return min(wait, w.Size) }

// Arrive counts a new connection into the rates of its listener and of the broker, and returns for how long its listener must
// accept nothing, this one included.
func (c *Connections) Arrive(listener string, now time.Duration) (wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if listener != c.protected {
		c.rate.Record(c.window, 1, now)
		wait = bounded(c.window, c.rate.Throttle(c.window, float64(c.limits.Rate), now))
	}
	r := c.rates[listener]
	r.Record(c.window, 1, now)
	return max(wait, bounded(c.window, r.Throttle(c.window, float64(c.limits.listener(listener).Rate), now)))
}

// Admission is what becomes of a connection.
type Admission int

const (
	Admitted  Admission = iota // it counts, until Leave
	Full                       // the listener or the broker has as many as it may: ask again after Changed
	TooMany                    // its address has: close it
	Throttled                  // its address makes them too fast: close it, but not before the wait is over
)

// Enter says what becomes of a connection that has arrived. most is the limit that made it TooMany.
func (c *Connections) Enter(listener string, ip netip.Addr, now time.Duration) (a Admission, most int, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byListener[listener] >= c.limits.listener(listener).Max || listener != c.protected && c.total >= c.limits.Max {
		return Full, 0, 0
	}
	if wait := c.ipThrottleLocked(ip, now); wait > 0 {
		if listener != c.protected {
			c.rate.Record(c.window, -1, now)
		}
		c.rates[listener].Record(c.window, -1, now)
		return Throttled, 0, wait
	}
	most, ok := c.limits.Overrides[ip]
	if !ok {
		most = c.limits.PerIP
	}
	if c.byIP[ip] >= most {
		return TooMany, most, 0
	}
	c.byIP[ip]++
	c.byListener[listener]++
	c.total++
	return Admitted, 0, 0
}

func (c *Connections) ipThrottleLocked(ip netip.Addr, now time.Duration) time.Duration {
	limit, ok := c.ipRate(ip)
	if !ok {
		return 0
	}
	r := c.ipRates[ip]
	if r == nil {
		if len(c.ipRates) >= max(c.ipSweep, sensorsSwept) {
			for ip, r := range c.ipRates {
				if r.isForgotten(c.window, now) {
					delete(c.ipRates, ip)
				}
			}
			c.ipSweep = 2 * len(c.ipRates)
		}
		r = new(Rate)
		c.ipRates[ip] = r
	}
	r.Record(c.window, 1, now)
	wait := bounded(c.window, r.Throttle(c.window, float64(limit), now))
	if wait > 0 {
		r.Record(c.window, -1, now)
	}
	return wait
}

// Leave ends a connection that was admitted.
func (c *Connections) Leave(listener string, ip netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byIP[ip]--; c.byIP[ip] == 0 {
		delete(c.byIP, ip)
	}
	c.byListener[listener]--
	c.total--
	c.tellLocked()
}

// Excess is how many connections there are beyond max.connections: after it was lowered, or when brokers came in over it. Those of
// clients give way.
func (c *Connections) Excess() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, c.total-c.limits.Max)
}

// Protected says whether connections of the listener never give way.
func (c *Connections) Protected(listener string) bool {
	return c.protected != "" && listener == c.protected
}
