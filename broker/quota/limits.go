package quota

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
)

// Kind is what a limit is about.
type Kind int

const (
	ProduceBytes   Kind = iota // producer_byte_rate: bytes of Produce requests a second
	FetchBytes                 // consumer_byte_rate: bytes of Fetch answers a second
	RequestPercent             // request_percentage: 100 is one request thread's time
	Mutations                  // controller_mutation_rate: partitions made and deleted a second
	kinds
)

// Keys are the settings of a user or client, by kind, as they stand in ZooKeeper. ConnectionRate is the only one of an address.
var Keys = [kinds]string{"producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate"}

// ConnectionRate is the setting of an address: new connections a second.
const ConnectionRate = "connection_creation_rate"

// Default is the name of an entity's node that counts for all that have none of their own.
const Default = "<default>"

// Entity is whose limit it is: a user, a client id, or both. The names are clear text; a default is marked.
type Entity struct {
	User, Client               string
	HasUser, HasClient         bool
	DefaultUser, DefaultClient bool // in place of the name
}

// ParseEntity reads an entity's place below /config: kind users with name bob or bob/clients/app, or kind clients. Names are
// percent-encoded there.
func ParseEntity(kind, name string) (Entity, error) {
	var e Entity
	var err error
	bad := fmt.Errorf("%s/%s is not the name of a quota entity", kind, name)
	switch parts := strings.Split(name, "/"); {
	case kind == "clients" && len(parts) == 1:
		err = e.client(name)
	case kind == "users" && len(parts) == 1:
		err = e.user(name)
	case kind == "users" && len(parts) == 3 && parts[1] == "clients":
		if err = e.user(parts[0]); err == nil {
			err = e.client(parts[2])
		}
	default:
		return e, bad
	}
	if err != nil {
		return e, fmt.Errorf("%w: %w", bad, err)
	}
	return e, nil
}

func (e *Entity) user(node string) (err error) {
	e.HasUser, e.DefaultUser = true, node == Default
	if !e.DefaultUser {
		e.User, err = url.QueryUnescape(node)
	}
	return err
}

func (e *Entity) client(node string) (err error) {
	e.HasClient, e.DefaultClient = true, node == Default
	if !e.DefaultClient {
		e.Client, err = url.QueryUnescape(node)
	}
	return err
}

// Values are the limits of one entity; NaN: none of this kind.
type Values [kinds]float64

// ParseValues reads an entity's settings. Keys that are no limits (SCRAM credentials) are left alone; a bad value is left out
// and the error names it, the others count.
func ParseValues(settings map[string]string) (Values, error) {
	var v Values
	var bad error
	for kind, key := range Keys {
		v[kind] = math.NaN()
		text, ok := settings[key]
		if !ok {
			continue
		}
		var n float64
		var err error
		if kind := Kind(kind); kind == ProduceBytes || kind == FetchBytes { // a whole number, as Kafka's Long
			var i int64
			i, err = strconv.ParseInt(text, 10, 64)
			n = float64(i)
		} else {
			n, err = strconv.ParseFloat(text, 64)
		}
		if err != nil || math.IsNaN(n) {
			bad = fmt.Errorf("%s=%s is not a number", key, text)
			continue
		}
		v[kind] = min(n, math.MaxInt64) // Java's "Infinity" is as good as that, and can be counted with
	}
	return v, bad
}

func (v Values) isEmpty() bool {
	for _, n := range v {
		if !math.IsNaN(n) {
			return false
		}
	}
	return true
}

// Limits are all limits at one moment. Immutable; the zero value has none.
type Limits struct {
	clients map[Entity]Values
	has     [kinds]bool

	ips       map[netip.Addr]int
	ipDefault int // -1: none
}

// None has no limit.
var None = &Limits{ipDefault: -1}

// With is l with other limits of one entity; empty ones take it out.
func (l *Limits) With(e Entity, v Values) *Limits { return l.WithAll(map[Entity]Values{e: v}) }

// WithAll is l with other limits of several entities.
func (l *Limits) WithAll(all map[Entity]Values) *Limits {
	n := *l
	n.clients = make(map[Entity]Values, len(l.clients)+len(all))
	maps.Copy(n.clients, l.clients)
	for e, v := range all {
		if v.isEmpty() {
			delete(n.clients, e)
		} else {
			n.clients[e] = v
		}
	}
	n.has = [kinds]bool{}
	for _, v := range n.clients {
		for kind := range v {
			n.has[kind] = n.has[kind] || !math.IsNaN(v[kind])
		}
	}
	return &n
}

// WithIP is l with another rate of new connections for an address, or with the zero Addr for all that have none. Below 0: none.
func (l *Limits) WithIP(ip netip.Addr, rate int) *Limits {
	n := *l
	if !ip.IsValid() {
		n.ipDefault = rate
		return &n
	}
	n.ips = make(map[netip.Addr]int, len(l.ips)+1)
	maps.Copy(n.ips, l.ips)
	if rate < 0 {
		delete(n.ips, ip)
	} else {
		n.ips[ip] = rate
	}
	return &n
}

// IP is how many new connections a second an address may make. ok is false when there is no limit.
func (l *Limits) IP(ip netip.Addr) (rate int, ok bool) {
	if rate, ok := l.ips[ip]; ok {
		return rate, true
	}
	return l.ipDefault, l.ipDefault >= 0
}

// Subject is who is counted together: all clients of a user, all users of a client id, or one pair.
type Subject struct {
	User, Client       string
	HasUser, HasClient bool
}

// Lookup finds the limit of a kind that counts for a client, and who shares it. ok is false when there is none.
func (l *Limits) Lookup(kind Kind, user, client string) (limit float64, s Subject, ok bool) {
	if !l.has[kind] {
		return 0, s, false
	}
	pair := Subject{User: user, Client: client, HasUser: true, HasClient: true}
	one, app := Subject{User: user, HasUser: true}, Subject{Client: client, HasClient: true}
	for _, try := range [...]struct {
		e Entity
		s Subject
	}{
		{Entity{HasUser: true, User: user, HasClient: true, Client: client}, pair},
		{Entity{HasUser: true, User: user, HasClient: true, DefaultClient: true}, pair},
		{Entity{HasUser: true, User: user}, one},
		{Entity{HasUser: true, DefaultUser: true, HasClient: true, Client: client}, pair},
		{Entity{HasUser: true, DefaultUser: true, HasClient: true, DefaultClient: true}, pair},
		{Entity{HasUser: true, DefaultUser: true}, one},
		{Entity{HasClient: true, Client: client}, app},
		{Entity{HasClient: true, DefaultClient: true}, app},
	} {
		if try.e.HasClient && client == "" {
			continue // as in Apache Kafka, who gives no client id has the limits of the user alone
		}
		if v, ok := l.clients[try.e]; ok && !math.IsNaN(v[kind]) {
			return v[kind], try.s, true
		}
	}
	return 0, s, false
}

// Any says whether there is a limit of the kind for anybody.
func (l *Limits) Any(kind Kind) bool { return l.has[kind] }

// Table holds the limits in force. Safe for concurrent use; Load takes no lock. The zero value has none. Who writes must not do
// so concurrently.
type Table struct{ current atomic.Pointer[Limits] }

// Load is what is in force.
func (t *Table) Load() *Limits {
	if l := t.current.Load(); l != nil {
		return l
	}
	return None
}

// Store puts l in force.
func (t *Table) Store(l *Limits) { t.current.Store(l) }
