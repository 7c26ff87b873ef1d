package admin

import (
	"context"
	"maps"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// store is a ZooKeeper of settings, by place below /config.
type store map[string]map[string]string

func (s store) QuotaEntities(context.Context) (map[string]map[string]string, []error, error) {
	return s, nil, nil
}

func (s store) Entity(_ context.Context, kind, name string) (map[string]string, bool, error) {
	c := map[string]string{}
	maps.Copy(c, s[kind+"/"+name])
	return c, len(c) > 0, nil
}

func (s store) ChangeEntity(_ context.Context, kind, name string, settings map[string]string) error {
	s[kind+"/"+name] = settings
	if len(settings) == 0 {
		delete(s, kind+"/"+name)
	}
	return nil
}

func handlersOn(s store) *handlers {
	return &handlers{Config{
		Entities: func(context.Context) (Entities, error) { return s, nil },
		Resolves: func(_ context.Context, host string) bool { return host == "10.0.0.1" },
		Altering: new(sync.Mutex), Log: zerolog.Nop(),
	}}
}

func TestJavaDouble(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.0", 200: "200.0", 0.5: "0.5", -3: "-3.0", 0.001: "0.001", 1e-4: "1.0E-4", 1.5e-7: "1.5E-7", 9999999: "9999999.0", 1e7: "1.0E7", 1.25e10: "1.25E10",
		math.Inf(1): "Infinity", math.Inf(-1): "-Infinity", 1e300: "1.0E300",
	} {
		if got := javaDouble(v); got != want {
			t.Errorf("%v is %s, want %s", v, got, want)
		}
	}
}

type entity = []kmsg.AlterClientQuotasRequestEntryEntity

func of(kind, name string) kmsg.AlterClientQuotasRequestEntryEntity {
	e := kmsg.NewAlterClientQuotasRequestEntryEntity()
	if e.Type = kind; name != "<default>" {
		e.Name = &name
	}
	return e
}

func TestAlterAndDescribe(t *testing.T) {
	s := store{"users/carol": {"SCRAM-SHA-256": "secret"}}
	h := handlersOn(s)
	alter := func(e entity, key string, value float64, remove bool) (int16, string) {
		q := kmsg.NewPtrAlterClientQuotasRequest()
		q.Entries = []kmsg.AlterClientQuotasRequestEntry{{Entity: e, Ops: []kmsg.AlterClientQuotasRequestEntryOp{{Key: key, Value: value, Remove: remove}}}}
		resp, err := h.alter(t.Context(), nil, q)
		if err != nil {
			t.Fatal(err)
		}
		a := resp.(*kmsg.AlterClientQuotasResponse).Entries[0]
		if a.ErrorMessage == nil {
			return a.ErrorCode, ""
		}
		return a.ErrorCode, *a.ErrorMessage
	}
	for _, c := range []struct {
		e     entity
		key   string
		value float64
		code  *kerr.Error
		text  string
	}{
		{entity{of("user", "bö b")}, "producer_byte_rate", 1024, nil, ""},
		{entity{of("client-id", "app"), of("user", "<default>")}, "request_percentage", 200, nil, ""},
		{entity{of("client-id", "<default>")}, "consumer_byte_rate", 7, nil, ""},
		{entity{of("ip", "10.0.0.1")}, "connection_creation_rate", 5, nil, ""},
		{nil, "x", 1, kerr.InvalidRequest, "Invalid empty client quota entity"},
		{entity{of("user", "")}, "x", 1, kerr.InvalidRequest, "Empty user not supported"},
		{entity{of("tenant", "a")}, "x", 1, kerr.InvalidRequest, "Unhandled client quota entity type: tenant"},
		{entity{of("ip", "10.0.0.1"), of("user", "a")}, "x", 1, kerr.InvalidRequest, "Invalid quota entity combination, IP entity should not be used with user/client ID entity."},
		{entity{of("ip", "no.host")}, "x", 1, kerr.InvalidRequest, "no.host is not a valid IP or resolvable host."},
		{entity{of("user", "a")}, "connection_creation_rate", 1, kerr.InvalidRequest, "Invalid configuration key connection_creation_rate"},
		{entity{of("user", "a")}, "producer_byte_rate", 1.5, kerr.InvalidRequest, "Configuration producer_byte_rate must be a LONG value"},
		{entity{of("ip", "<default>")}, "connection_creation_rate", 0.5, kerr.InvalidRequest, "Configuration connection_creation_rate must be a INT value"},
		{entity{of("ip", "<default>")}, "connection_creation_rate", -1, kerr.InvalidRequest, "Configuration connection_creation_rate must be a INT value"},
	} {
		if code, text := alter(c.e, c.key, c.value, false); kerr.TypedErrorForCode(code) != c.code || text != c.text {
			t.Errorf("%v %s=%v: %d %s", c.e, c.key, c.value, code, text)
		}
	}
	want := store{
		"users/carol": {"SCRAM-SHA-256": "secret"}, "users/b%C3%B6%20b": {"producer_byte_rate": "1024"}, "clients/<default>": {"consumer_byte_rate": "7"},
		"users/<default>/clients/app": {"request_percentage": "200.0"}, "ips/10.0.0.1": {"connection_creation_rate": "5"},
	}
	if !maps.EqualFunc(s, want, maps.Equal[map[string]string, map[string]string]) {
		t.Errorf("stored %v, want %v", s, want)
	}

	type component = kmsg.DescribeClientQuotasRequestComponent
	name := "app"
	for _, c := range []struct {
		what   string
		strict bool
		by     []component
		want   int
		code   *kerr.Error
	}{
		{"all", false, nil, 4, nil},
		{"all of nothing", true, nil, 0, nil},
		{"users", false, []component{{EntityType: "user", MatchType: matchAny}}, 2, nil},
		{"users alone", true, []component{{EntityType: "user", MatchType: matchAny}}, 1, nil},
		{"a client", false, []component{{EntityType: "client-id", MatchType: matchExact, Match: &name}}, 1, nil},
		{"default client", false, []component{{EntityType: "client-id", MatchType: matchDefault}}, 1, nil},
		{"pairs", true, []component{{EntityType: "client-id", MatchType: matchAny}, {EntityType: "user", MatchType: matchDefault}}, 1, nil},
		{"addresses", false, []component{{EntityType: "ip", MatchType: matchAny}}, 1, nil},
		{"twice", false, []component{{EntityType: "ip", MatchType: matchAny}, {EntityType: "ip", MatchType: matchAny}}, 0, kerr.InvalidRequest},
		{"mixed", false, []component{{EntityType: "ip", MatchType: matchAny}, {EntityType: "user", MatchType: matchAny}}, 0, kerr.InvalidRequest},
		{"other", false, []component{{EntityType: "tenant", MatchType: matchAny}}, 0, kerr.UnsupportedVersion},
		{"match", false, []component{{EntityType: "user", MatchType: 9}}, 0, kerr.UnknownServerError},
	} {
		q := kmsg.NewPtrDescribeClientQuotasRequest()
		q.Components, q.Strict = c.by, c.strict
		resp, err := h.describe(t.Context(), nil, q)
		if err != nil {
			t.Fatal(err)
		}
		r := resp.(*kmsg.DescribeClientQuotasResponse)
		if kerr.TypedErrorForCode(r.ErrorCode) != c.code || len(r.Entries) != c.want || (r.Entries == nil) != (c.code != nil) {
			t.Errorf("%s: %+v", c.what, r)
		}
	}
	if code, _ := alter(entity{of("user", "bö b")}, "producer_byte_rate", 0, true); code != 0 || slices.Contains(sortedKeys(s), "users/b%C3%B6%20b") {
		t.Error(code, s)
	}
}
