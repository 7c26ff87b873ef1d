package broker

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"ottla/broker/api"
	"ottla/broker/auth"
	"ottla/broker/quota"
	quotaadmin "ottla/broker/quota/admin"
	"ottla/broker/znode"
)

// quotas keeps the table of client quotas as ZooKeeper has it. Its methods run one at a time.
type quotas struct {
	table quota.Table
	log   zerolog.Logger
	meter *quota.Meter
	born  time.Time // of the clock that is measured on: the wall clock may jump

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
	q.table.Store(limits.WithAll(clients))
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
		q.table.Store(q.withIP(ctx, limits, name, settings))
	} else if e, v, ok := q.parse(kind, name, settings); ok {
		q.table.Store(limits.With(e, v))
	}
	return nil
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

// register adds the APIs that alter and describe the settings of users, clients and addresses.
func (q *quotas) register(reg *api.Registry, s *Server) {
	var altering sync.Mutex
	quotaadmin.Register(reg, quotaadmin.Config{
		Entities: func(ctx context.Context) (quotaadmin.Entities, error) { return s.zk.Session(ctx) },
		Resolves: func(ctx context.Context, host string) bool { _, err := resolve(ctx, host); return err == nil },
		Altering: &altering, Log: q.log,
	})
	auth.RegisterSCRAM(reg, auth.Config{
		Entities:     func(ctx context.Context) (auth.Entities, error) { return s.zk.Session(ctx) },
		IsController: func() bool { return s.controller.IsActive() },
		Altering:     &altering, Log: q.log,
	})
}
