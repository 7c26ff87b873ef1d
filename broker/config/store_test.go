package config

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/config/secret"
)

// tree is the part of ZooKeeper below /config: kind/name -> settings.
type tree map[string]map[string]string

func (z tree) Entity(_ context.Context, kind, name string) (map[string]string, bool, error) {
	m, ok := z[kind+"/"+name]
	return maps.Clone(m), ok, nil
}

func (z tree) Entities(_ context.Context, kind string) (map[string]map[string]string, []error, error) {
	m := map[string]map[string]string{}
	var skipped []error
	for path, c := range z {
		k, name, _ := strings.Cut(path, "/")
		switch {
		case k == kind && name == "broken":
			skipped = append(skipped, errors.New("a node is broken"))
		case k == kind:
			m[name] = c
		}
	}
	return m, skipped, nil
}

func (z tree) SetEntity(_ context.Context, kind, name string, c map[string]string) error {
	z[kind+"/"+name] = c
	return nil
}

func (z tree) NotifyEntity(_ context.Context, kind, name string) error {
	z["notified"] = map[string]string{"entity": kind + "/" + name}
	return nil
}

// newStore returns a started store of broker 7, its log, and what its subscriber is told.
func newStore(t *testing.T, z tree, properties string) (s *Store, log *bytes.Buffer, told *[]Change) {
	t.Helper()
	log, told = &bytes.Buffer{}, &[]Change{}
	c, _, err := load(t, "zookeeper.connect=a:1\n"+properties)
	if err != nil {
		t.Fatal(err)
	}
	s = NewStore(c, zerolog.New(log))
	if err := s.LoadBroker(t.Context(), z, 7); err != nil {
		t.Fatal(err)
	}
	s.Subscribe(func(c Change) { *told = append(*told, c) })
	return s, log, told
}

func TestLayers(t *testing.T) {
	z := tree{"brokers/<default>": {"log.retention.ms": "1000", "log.segment.bytes": "2000"}, "brokers/7": {"log.segment.bytes": "3000"}}
	s, _, told := newStore(t, z, "log.retention.hours=1\nmessage.max.bytes=4000")
	c := s.Config()
	if c.BrokerID != 7 || c.Topic.RetentionMs != 1000 || c.Topic.SegmentBytes != 3000 || c.Topic.MaxMessageBytes != 4000 {
		t.Errorf("%+v", c.Topic)
	}
	z["topics/t"] = map[string]string{"retention.ms": "5", "unknown": "kept"}
	if err := s.LoadTopics(t.Context(), z); err != nil {
		t.Fatal(err)
	}
	if tc := s.Topic("t"); tc.RetentionMs != 5 || tc.SegmentBytes != 3000 {
		t.Errorf("%+v", tc)
	}
	if s.Topic("other").RetentionMs != 1000 {
		t.Error("a topic without overrides has no defaults")
	}

	// The broker's own setting goes: the default counts, for topics too.
	delete(z, "brokers/7")
	delete(z["brokers/<default>"], "log.retention.ms")
	if err := s.Apply(t.Context(), z, Brokers, "7"); err != nil {
		t.Fatal(err)
	}
	if tc := s.Topic("t"); tc.RetentionMs != 5 || tc.SegmentBytes != 2000 || s.Topic("other").RetentionMs != 3600_000 {
		t.Errorf("%+v", tc)
	}
	z["topics/t"] = map[string]string{"unknown": "kept"}
	if err := s.Apply(t.Context(), z, Topics, "t"); err != nil {
		t.Fatal(err)
	}
	if s.Topic("t").RetentionMs != 3600_000 {
		t.Error("an override that was removed counts")
	}
	// What is of others, or changes nothing, is not told.
	for _, e := range [][2]string{{Brokers, "8"}, {"users", "bob"}, {Brokers, "7"}, {Topics, "t"}, {Topics, "gone"}} {
		if err := s.Apply(t.Context(), z, e[0], e[1]); err != nil {
			t.Fatal(err)
		}
	}
	var what []string
	for _, c := range *told {
		what = append(what, c.Topic+":"+strings.Join(c.Keys, ","))
	}
	want := []string{"t:retention.ms,unknown", ":log.retention.hours,log.retention.ms,log.segment.bytes", "t:retention.ms"}
	if d := cmp.Diff(want, what); d != "" {
		t.Error(d)
	}
	if c := (*told)[1]; c.Old.Topic.SegmentBytes != 3000 || c.New.Topic.SegmentBytes != 2000 {
		t.Error("a change does not carry both configurations")
	}
	// After a new session everything is read again: what went meanwhile is gone.
	z["brokers/<default>"] = map[string]string{"log.segment.bytes": "5000"}
	delete(z, "topics/t")
	z["topics/u"] = map[string]string{"retention.ms": "9"}
	if err := s.Reload(t.Context(), z); err != nil || s.Topic("t").SegmentBytes != 5000 || s.Topic("u").RetentionMs != 9 {
		t.Errorf("%v %+v", err, s.Topic("t"))
	}
	delete(z, "topics/u")
	z["topics/broken"] = nil
	if err := s.LoadTopics(t.Context(), z); err != nil || s.Topic("u").RetentionMs != 9 {
		t.Errorf("%v: what cannot be read does not stay as it was", err)
	}
	s.Forget("t")
	if s.Topic("t") != &s.Config().Topic {
		t.Error("a forgotten topic is remembered")
	}
}

func TestBadDynamicSettingsAreLeftOut(t *testing.T) {
	z := tree{
		"brokers/<default>": {"listeners": "PLAINTEXT://:1", "listener.name.x.ssl.keystore.location": "/x", "log.segment.bytes": "2000", "log.retention.ms": "soon"},
		"brokers/7":         {"broker.id": "9", "ssl.keystore.location": "/x", "listener.name.x.ssl.keystore.password": "not encrypted", "message.max.bytes": "7", "my.own": "1"},
	}
	s, log, _ := newStore(t, z, "")
	c := s.Config()
	if c.Topic.SegmentBytes != 2000 || c.Topic.MaxMessageBytes != 7 || c.BrokerID != 7 || c.Network.Listeners[0].Port != 9092 || c.Topic.RetentionMs != 168*3600_000 {
		t.Errorf("%+v", c)
	}
	for _, key := range []string{"listeners", "listener.name.x.ssl.keystore.location", "log.retention.ms", "broker.id", `"ssl.keystore.location"`, "listener.name.x.ssl.keystore.password"} {
		if !strings.Contains(log.String(), key) {
			t.Errorf("%s is left out silently:\n%s", key, log)
		}
	}
	// Settings that contradict the static ones leave everything as it was.
	z["brokers/7"] = map[string]string{"log.retention.ms": "0"}
	if err := s.Apply(t.Context(), z, Brokers, "7"); err != nil || s.Config() != c || !strings.Contains(log.String(), "contradicts itself") {
		t.Errorf("%v\n%s", err, log)
	}
	// A topic's bad override costs that override alone.
	z["topics/t"] = map[string]string{"retention.ms": "soon", "segment.bytes": "99"}
	tc, err := s.LoadTopic(t.Context(), z, "t")
	if err != nil || tc.RetentionMs != c.Topic.RetentionMs || tc.SegmentBytes != 99 || !strings.Contains(log.String(), "override in ZooKeeper is ignored") {
		t.Errorf("%+v %v", tc, err)
	}
}

func TestListenersChangeAtTheStart(t *testing.T) {
	z := tree{"brokers/7": {"listeners": "PLAINTEXT://:1", "log.segment.bytes": "2000"}}
	s, log, _ := newStore(t, z, "listeners=PLAINTEXT://:5")
	if s.Config().Network.Listeners[0].Port != 1 {
		t.Error("the dynamic listeners do not count at the start")
	}
	z["brokers/7"] = map[string]string{"listeners": "PLAINTEXT://:2", "log.segment.bytes": "3000"}
	if err := s.Apply(t.Context(), z, Brokers, "7"); err != nil {
		t.Fatal(err)
	}
	if c := s.Config(); c.Network.Listeners[0].Port != 1 || c.Topic.SegmentBytes != 3000 || !strings.Contains(log.String(), "next start") {
		t.Errorf("%+v\n%s", c.Network, log)
	}
}

func TestDynamicRefusals(t *testing.T) {
	c, _, err := load(t, "zookeeper.connect=a:1")
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range []map[string]string{{"listeners": "SSL://:1,PLAINTEXT://:2"}, {"principal.builder.class": "x.Y"}} {
		s := NewStore(c, zerolog.Nop())
		if err := s.LoadBroker(t.Context(), tree{"brokers/7": layer}, 7); err == nil || !strings.Contains(err.Error(), sortedKeys(layer)[0]) {
			t.Errorf("%v: %v", layer, err)
		}
	}
}

func TestPasswords(t *testing.T) {
	const key = "listener.name.x.ssl.keystore.password"
	old := secret.Encoder{Secret: "old", Random: rand.Read}
	text, err := old.Encode("geheim")
	if err != nil {
		t.Fatal(err)
	}
	z := tree{"brokers/7": {key: text, "log.segment.bytes": "2000"}}
	s, log, _ := newStore(t, z, "password.encoder.secret=new\npassword.encoder.old.secret=old")
	if got, _ := s.Config().Get(key); got != "geheim" {
		t.Errorf("%q", got)
	}
	if got, err := (&secret.Encoder{Secret: "new"}).Decode(z["brokers/7"][key]); got != "geheim" || z["brokers/7"]["log.segment.bytes"] != "2000" || z["notified"]["entity"] != "brokers/7" {
		t.Errorf("not encrypted anew: %q %v", got, err)
	}
	for _, e := range s.Config().DescribeBroker() {
		if e.Sensitive && (e.Value != nil || slices.ContainsFunc(e.Synonyms, func(y Synonym) bool { return y.Value != "" })) {
			t.Errorf("%+v shows its value", e)
		}
	}
	if strings.Contains(log.String(), "geheim") {
		t.Error("the log shows a password")
	}

	sealed, err := s.Seal(map[string]string{key: "x", "log.segment.bytes": "5"})
	if err != nil || sealed[key] == "x" || sealed["log.segment.bytes"] != "5" {
		t.Errorf("%v %v", sealed, err)
	}
	if d := cmp.Diff(map[string]string{key: "x", "log.segment.bytes": "5"}, s.Open(sealed)); d != "" {
		t.Error(d)
	}
	if m := s.Open(map[string]string{key: "damaged", "a": "b"}); len(m) != 1 {
		t.Errorf("%v", m)
	}

	plain, _, _ := newStore(t, tree{}, "")
	if err := plain.ValidateBrokerConfigs(map[string]string{key: "x"}, true); !errors.Is(err, kerr.InvalidRequest) || strings.Contains(err.Error(), "=x") {
		t.Errorf("%v", err)
	}
	if _, err := plain.Seal(map[string]string{key: "x"}); err == nil {
		t.Error("a password is stored in clear")
	}
}

func TestValidateTopicConfigs(t *testing.T) {
	c := mustLoad(t, "")
	for _, x := range []struct {
		name      string
		overrides map[string]string
		want      string // "" is accepted
	}{
		{"nothing", nil, ""},
		{"compacted", map[string]string{"cleanup.policy": "compact"}, ""},
		{"compacted and deleted", map[string]string{"cleanup.policy": "compact,delete"}, ""},
		{"unknown", map[string]string{"no.such": "1"}, "Unknown topic config name: no.such"},
		{"wrong", map[string]string{"retention.ms": "x"}, "Invalid value x for configuration retention.ms: Not a number of type LONG"},
		{"contradiction", map[string]string{"min.compaction.lag.ms": "2", "max.compaction.lag.ms": "1"}, "min.compaction.lag.ms (2) > max.compaction.lag.ms (1)"},
		{"tiered", map[string]string{"remote.storage.enable": "true"}, "Tiered Storage"},
	} {
		err := c.ValidateTopicConfigs(x.overrides)
		if x.want == "" && err != nil || x.want != "" && (!errors.Is(err, kerr.InvalidConfig) || !strings.Contains(err.Error(), x.want)) {
			t.Errorf("%s: %v", x.name, err)
		}
	}
}

func TestValidateBrokerConfigs(t *testing.T) {
	s, _, _ := newStore(t, tree{}, "listeners=PLAINTEXT://:5")
	for _, x := range []struct {
		layer     map[string]string
		perBroker bool
		want      *kerr.Error
	}{
		{map[string]string{"log.segment.bytes": "2000", "own.key": "x", "follower.replication.throttled.rate": "1"}, true, nil},
		{map[string]string{"listeners": "PLAINTEXT://:5"}, true, nil}, // as it is
		{map[string]string{"listeners": "PLAINTEXT://:6"}, true, kerr.InvalidRequest},
		{map[string]string{"log.cleanup.policy": "compact"}, false, nil},
		{map[string]string{"log.cleaner.threads": "2"}, false, nil},
		{map[string]string{"log.cleaner.threads": "3"}, false, kerr.InvalidRequest}, // at most doubled at a time
		{map[string]string{"num.partitions": "2"}, false, kerr.InvalidRequest},
	} {
		if err := s.ValidateBrokerConfigs(x.layer, x.perBroker); x.want == nil && err != nil || x.want != nil && !errors.Is(err, x.want) {
			t.Errorf("%v: %v", x.layer, err)
		}
	}
	if s.Config().Topic.SegmentBytes == 2000 {
		t.Error("validation changes the configuration")
	}
}

func TestDescribeSources(t *testing.T) {
	z := tree{"brokers/<default>": {"log.retention.ms": "1000"}, "brokers/7": {"log.retention.ms": "2000"}}
	s, _, _ := newStore(t, z, "log.retention.ms=3000\nlog.retention.hours=1")
	entries, err := s.Config().DescribeTopic(map[string]string{"retention.ms": " 4000", "strange": "x"})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(entries, func(e Entry) bool { return e.Name == "retention.ms" })
	want := []Synonym{{"retention.ms", "4000", kmsg.ConfigSourceDynamicTopicConfig}, {"log.retention.ms", "2000", kmsg.ConfigSourceDynamicBrokerConfig},
		{"log.retention.ms", "1000", kmsg.ConfigSourceDynamicDefaultBrokerConfig}, {"log.retention.ms", "3000", kmsg.ConfigSourceStaticBrokerConfig},
		{"log.retention.hours", "1", kmsg.ConfigSourceStaticBrokerConfig}, {"log.retention.hours", "168", kmsg.ConfigSourceDefaultConfig}}
	if d := cmp.Diff(want, entries[i].Synonyms); d != "" || *entries[i].Value != "4000" {
		t.Error(d)
	}
	i = slices.IndexFunc(entries, func(e Entry) bool { return e.Name == "strange" })
	if !entries[i].Sensitive || entries[i].Value != nil {
		t.Errorf("%+v", entries[i])
	}
	if d := s.Config().DescribeDefaults(); len(d) != 1 || *d[0].Value != "1000" || len(d[0].Synonyms) != 1 {
		t.Errorf("%+v", d)
	}
}
