package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"ottla/broker/config"
	"ottla/broker/config/keys"
	"ottla/broker/quota"
	"ottla/broker/znode"
)

// quotas keeps the table of client quotas as ZooKeeper has it. Its methods run one at a time.
type quotas struct {
	table quota.Table
	log   zerolog.Logger
	// changed is told after each change of the table.
	changed func()

	mu sync.Mutex
}

// quotaKinds are the entities below /config that have quotas.
var quotaKinds = map[string]bool{"users": true, "clients": true, "ips": true}

// load reads everything: at the start, and in each new session.
func (q *quotas) load(ctx context.Context, s *znode.Session) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	all, skipped, err := s.QuotaEntities(ctx)
	if err != nil {
		return err
	}
	for _, err := range skipped {
		q.log.Error().Err(err).Msg("quota cannot be read and is ignored")
	}
	limits := quota.None
	clients := map[quota.Entity]quota.Values{}
	for path, settings := range all {
		kind, name, _ := strings.Cut(path, "/")
		if kind == "ips" {
			limits = q.withIP(ctx, limits, name, settings)
		} else if e, v, ok := q.parse(kind, name, settings); ok {
			clients[e] = v
		}
	}
	q.store(limits.WithAll(clients))
	return nil
}

// apply reads an entity again that was notified as changed.
func (q *quotas) apply(ctx context.Context, s *znode.Session, kind, name string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	settings, _, err := s.Entity(ctx, kind, name)
	if err != nil {
		return err
	}
	limits := q.table.Load()
	if kind == "ips" {
		q.store(q.withIP(ctx, limits, name, settings))
	} else if e, v, ok := q.parse(kind, name, settings); ok {
		q.store(limits.With(e, v))
	}
	return nil
}

func (q *quotas) store(l *quota.Limits) {
	q.table.Store(l)
	if q.changed != nil {
		q.changed()
	}
}

func (q *quotas) parse(kind, name string, settings map[string]string) (quota.Entity, quota.Values, bool) {
	e, err := quota.ParseEntity(kind, name)
	if err != nil {
		q.log.Error().Err(err).Msg("quota is ignored")
		return e, quota.Values{}, false
	}
	v, err := quota.ParseValues(settings)
	if err != nil {
		q.log.Error().Err(err).Str("entity", kind+"/"+name).Msg("quota is ignored")
	}
	return e, v, true
}

// withIP is l with the settings of an address, or of a host's addresses.
func (q *quotas) withIP(ctx context.Context, l *quota.Limits, name string, settings map[string]string) *quota.Limits {
	rate := -1
	if text, ok := settings[quota.ConnectionRate]; ok {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 0 {
			q.log.Error().Str("ip", name).Str("value", text).Msg(quota.ConnectionRate + " is no number and ignored")
			return l
		}
		rate = int(n)
	}
	if name == quota.Default {
		return l.WithIP(netip.Addr{}, rate)
	}
	addrs, err := resolve(ctx, name)
	if err != nil {
		q.log.Error().Err(err).Msg("quota of an address is ignored")
	}
	for _, a := range addrs {
		l = l.WithIP(a, rate)
	}
	return l
}

// resolve finds the addresses of a host, which may be one itself.
func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("address of %s: %w", host, err)
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, nil
}

// connectionLimits are what a configuration says about connections. Hosts that cannot be resolved are in bad, and have no limit
// of their own.
func connectionLimits(ctx context.Context, n *config.Network) (l *quota.ConnectionLimits, bad error) {
	l = &quota.ConnectionLimits{
		Max: int(n.MaxConnections), Rate: int(n.MaxConnectionRate), PerIP: int(n.MaxConnectionsPerIP),
		Listeners: map[string]quota.ListenerLimits{}, Overrides: map[netip.Addr]int{},
	}
	for name, own := range n.OfListener {
		l.Listeners[name] = quota.ListenerLimits{Max: int(own.MaxConnections), Rate: int(own.MaxConnectionRate)}
	}
	for host, most := range n.MaxConnectionsIP {
		addrs, err := resolve(ctx, host)
		if err != nil {
			bad = errors.Join(bad, fmt.Errorf("max.connections.per.ip.overrides: %w", err))
		}
		for _, a := range addrs {
			l.Overrides[a] = int(most)
		}
	}
	return l, bad
}

// limitConnections makes what counts them.
func (s *Server) limitConnections(ctx context.Context) (*quota.Connections, error) {
	c := s.config.Config()
	var names []string
	for _, l := range c.Network.Listeners {
		names = append(names, l.Name)
	}
	limits, err := connectionLimits(ctx, &c.Network)
	if err != nil {
		return nil, err
	}
	conns := quota.NewConnections(quota.Window{Samples: int(c.QuotaWindows), Size: c.QuotaWindow}, names, c.Network.InterBroker,
		func(ip netip.Addr) (int, bool) { return s.quotas.table.Load().IP(ip) })
	conns.SetLimits(limits)
	return conns, nil
}

// connectionKeys say which connections come in.
var connectionKeys = []string{"max.connections", "max.connections.per.ip", "max.connections.per.ip.overrides", "max.connection.creation.rate"}

// relimitConnections puts a changed configuration in force.
func (s *Server) relimitConnections(c config.Change) {
	concerns := func(key string) bool {
		if _, base, ok := keys.SplitListener(key); ok {
			key = base
		}
		return slices.Contains(connectionKeys, key)
	}
	if c.Topic != "" || !slices.ContainsFunc(c.Keys, concerns) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolving)
	defer cancel()
	limits, err := connectionLimits(ctx, &c.New.Network)
	if err != nil {
		s.log.Error().Err(err).Msg("limit of connections is ignored")
	}
	s.network.SetConnectionLimits(limits)
}

// resolving is how long the addresses of hosts may take to be found.
const resolving = 10 * time.Second
