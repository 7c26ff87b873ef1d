package admin

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/config"
	"ottla/broker/quota"
)

// Entities is where the settings of users, clients and addresses are kept: a znode.Session. Names are sanitized.
type Entities interface {
	// QuotaEntities reads all, by their place below /config: users/bob, users/bob/clients/app, clients/app, ips/10.0.0.1.
	QuotaEntities(ctx context.Context) (all map[string]map[string]string, skipped []error, err error)
	// Entity reads one; it is empty if there is none.
	Entity(ctx context.Context, kind, name string) (settings map[string]string, exists bool, err error)
	// ChangeEntity replaces the settings of one, and notifies all brokers.
	ChangeEntity(ctx context.Context, kind, name string, settings map[string]string) error
}

// Config is what the handlers need. All fields must be set.
type Config struct {
	// Entities returns the present ZooKeeper session; the error is answered to the client.
	Entities func(ctx context.Context) (Entities, error)
	// Resolves says whether a name is an address, or a host that has one.
	Resolves func(ctx context.Context, host string) bool
	// Altering is held while an entity is read, changed and written back. SCRAM credentials share it: they are settings of users too.
	Altering *sync.Mutex
	Log      zerolog.Logger
}

// handlers serves the two APIs. Safe for concurrent use.
type handlers struct{ Config }

// Register adds DescribeClientQuotas and AlterClientQuotas, each v0-1.
func Register(r *api.Registry, c Config) {
	h := &handlers{c}
	api.Register(r, 0, 1, h.describe)
	api.Register(r, 0, 1, h.alter)
}

// The types of the parts of an entity, as they stand in requests.
const (
	user     = "user"
	clientID = "client-id"
	ip       = "ip"
)

// part is one part of an entity. A nil name is the default's.
type part struct {
	kind string
	name *string
}

// parse reads an entity's place below /config.
func parse(path string) ([]part, error) {
	elements := strings.Split(path, "/")
	kinds := map[string]string{"users": user, "clients": clientID, "ips": ip}
	var parts []part
	for i := 0; i+1 < len(elements); i += 2 {
		p := part{kind: kinds[elements[i]]}
		if node := elements[i+1]; node != quota.Default {
			name, err := url.QueryUnescape(node)
			if err != nil {
				return nil, fmt.Errorf("%s is not the name of a quota entity: %w", path, err)
			}
			p.name = &name
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// filter is what DescribeClientQuotas looks for, by kind of part.
type filter struct {
	components map[string]kmsg.DescribeClientQuotasRequestComponent
	strict     bool
}

// Match types.
const (
	matchExact   = 0
	matchDefault = 1
	matchAny     = 2
)

func newFilter(q *kmsg.DescribeClientQuotasRequest) (filter, error) {
	f := filter{map[string]kmsg.DescribeClientQuotasRequestComponent{}, q.Strict}
	for _, c := range q.Components {
		if c.MatchType < matchExact || c.MatchType > matchAny || c.MatchType == matchExact && c.Match == nil {
			return f, kerr.UnknownServerError // as Kafka, which does not expect these
		}
	}
	for _, c := range q.Components {
		what := map[string]string{user: "user", clientID: "client", ip: "ip"}[c.EntityType]
		switch _, twice := f.components[c.EntityType]; {
		case c.EntityType == "":
			return f, refuse(kerr.InvalidRequest, "Unexpected empty filter component entity type")
		case what == "":
			return f, refuse(kerr.UnsupportedVersion, "Custom entity type '%s' not supported", c.EntityType)
		case twice:
			return f, refuse(kerr.InvalidRequest, "Duplicate %s filter component entity type", what)
		}
		f.components[c.EntityType] = c
	}
	if _, byIP := f.components[ip]; byIP && len(f.components) > 1 {
		return f, refuse(kerr.InvalidRequest, "Invalid entity filter component combination, IP filter component should not be used with user or clientId filter component.")
	}
	return f, nil
}

// matches says whether an entity is looked for.
func (f filter) matches(parts []part) bool {
	for kind, c := range f.components {
		i := slices.IndexFunc(parts, func(p part) bool { return p.kind == kind })
		if i < 0 {
			return false
		}
		switch name := parts[i].name; c.MatchType {
		case matchExact:
			if name == nil || *name != *c.Match {
				return false
			}
		case matchDefault:
			if name != nil {
				return false
			}
		}
	}
	return !f.strict || len(parts) == len(f.components)
}

func (h *handlers) describe(ctx context.Context, _ *api.Request, q *kmsg.DescribeClientQuotasRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrDescribeClientQuotasResponse()
	resp.ErrorMessage = kmsg.StringPtr("")
	f, err := newFilter(q)
	if err == nil {
		resp.Entries, err = h.entries(ctx, f)
	}
	if err != nil {
		resp.ErrorCode, resp.ErrorMessage = h.answer(err, "description")
		resp.Entries = nil
	}
	return resp, nil
}

// entries reads what the filter matches, in the order of the places below /config.
func (h *handlers) entries(ctx context.Context, f filter) ([]kmsg.DescribeClientQuotasResponseEntry, error) {
	entries := []kmsg.DescribeClientQuotasResponseEntry{} // not null, which stands for an error
	z, err := h.Entities(ctx)
	if err != nil {
		return nil, err
	}
	all, skipped, err := z.QuotaEntities(ctx)
	if err != nil {
		return nil, err
	}
	for _, err := range skipped {
		h.Log.Warn().Err(err).Msg("quota cannot be read and is not described")
	}
	for _, path := range sortedKeys(all) {
		parts, err := parse(path)
		if err != nil {
			h.Log.Warn().Err(err).Msg("quota is not described")
			continue
		}
		if !f.matches(parts) {
			continue
		}
		e := kmsg.NewDescribeClientQuotasResponseEntry()
		for _, key := range sortedKeys(all[path]) {
			if !slices.Contains(keysOf(parts), key) {
				continue // SCRAM credentials
			}
			v := kmsg.NewDescribeClientQuotasResponseEntryValue()
			v.Key = key
			if v.Value, err = strconv.ParseFloat(all[path][key], 64); err != nil {
				return nil, fmt.Errorf("quota %s of %s: %w", key, path, err)
			}
			e.Values = append(e.Values, v)
		}
		if len(e.Values) == 0 {
			continue
		}
		for _, p := range parts {
			ee := kmsg.NewDescribeClientQuotasResponseEntryEntity()
			ee.Type, ee.Name = p.kind, p.name
			e.Entity = append(e.Entity, ee)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// keysOf are the settings that an entity can have.
func keysOf(parts []part) []string {
	if parts[0].kind == ip {
		return []string{quota.ConnectionRate}
	}
	return quota.Keys[:]
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func refuse(code *kerr.Error, format string, args ...any) error {
	return &config.Refusal{Code: code, Text: fmt.Sprintf(format, args...)}
}
