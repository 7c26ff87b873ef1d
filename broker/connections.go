package broker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"ottla/broker/config"
	"ottla/broker/config/keys"
	"ottla/broker/quota"
)

// This file is how the configuration of connections gets to what counts them.

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
