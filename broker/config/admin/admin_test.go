package admin

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/config"
	"ottla/internal/loggers"
)

// tree is the part of ZooKeeper below /config, with a log of what was done to it.
type tree struct {
	nodes map[string]map[string]string
	log   []string
	fail  error
}

func (z *tree) Entity(_ context.Context, kind, name string) (map[string]string, bool, error) {
	m, ok := z.nodes[kind+"/"+name]
	return maps.Clone(m), ok, z.fail
}

func (z *tree) Entities(_ context.Context, kind string) (map[string]map[string]string, []error, error) {
	m := map[string]map[string]string{}
	for path, c := range z.nodes {
		if k, name, _ := strings.Cut(path, "/"); k == kind {
			m[name] = maps.Clone(c)
		}
	}
	return m, nil, z.fail
}

func (z *tree) SetEntity(_ context.Context, kind, name string, c map[string]string) error {
	if z.fail != nil {
		return z.fail
	}
	z.nodes[kind+"/"+name] = maps.Clone(c)
	z.log = append(z.log, "set "+kind+"/"+name)
	return nil
}

func (z *tree) NotifyEntity(_ context.Context, kind, name string) error {
	z.log = append(z.log, "notify "+kind+"/"+name)
	return z.fail
}

// server is the handlers over a tree, as a broker runs them.
type server struct {
	t     *testing.T
	reg   *api.Registry
	store *config.Store
	z     *tree

	loggers *loggers.Set
	log     bytes.Buffer // what the loggers wrote
}

func newServer(t *testing.T, properties string, id int32, topics ...string) *server {
	t.Helper()
	c, _, err := config.Load(config.Sources{File: "f", ReadFile: func(string) ([]byte, error) { return []byte(properties), nil }})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, reg: api.NewRegistry(), store: config.NewStore(c, zerolog.Nop()), z: &tree{nodes: map[string]map[string]string{}}}
	s.loggers = loggers.New(zerolog.New(&s.log).Level(zerolog.InfoLevel))
	for _, name := range []string{"kafka.log", "kafka.log.LogCleaner", "kafka.request.logger"} {
		s.loggers.Logger(name)
	}
	for _, n := range topics {
		s.z.nodes["topics/"+n] = map[string]string{}
	}
	if err := s.store.LoadBroker(t.Context(), s.z, id); err != nil {
		t.Fatal(err)
	}
	Register(s.reg, Config{Store: s.store, HasTopic: func(n string) bool { _, ok := s.z.nodes["topics/"+n]; return ok },
		Entities: func(context.Context) (config.Entities, error) { return s.z, nil }, Loggers: s.loggers, Log: zerolog.Nop()})
	return s
}

// do runs a request through its wire form, both ways.
func (s *server) do(q kmsg.Request) kmsg.Response {
	s.t.Helper()
	b := s.raw(q.Key(), q.GetVersion(), q.AppendTo(nil))
	r := q.ResponseKind()
	r.SetVersion(q.GetVersion())
	if err := r.ReadFrom(b); err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *server) raw(key, version int16, body []byte) []byte {
	s.t.Helper()
	e, ok := s.reg.Lookup(key)
	if !ok || version < e.Min || version > e.Max {
		s.t.Fatalf("%s v%d is not served", kmsg.NameForKey(key), version)
	}
	r, err := e.Handle(s.t.Context(), &api.Request{Key: key, Version: version, Body: body})
	if err != nil {
		s.t.Fatal(err)
	}
	return r.AppendTo(nil)
}

// exchange is one recorded with Apache Kafka 3.9.2: bodies without headers.
type exchange struct {
	n            int
	what         string
	key, version int16
	q, r         []byte
}

func (x exchange) String() string {
	return fmt.Sprintf("%d %s v%d %s", x.n, kmsg.NameForKey(x.key), x.version, x.what)
}

// recorded reads the exchanges of one file of the recorder, admin.jsonl first, then clients and cluster.
func recorded(t *testing.T) (all []exchange) {
	b, err := os.ReadFile("../../../testdata/config/admin.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	sc := bufio.NewScanner(z)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var d struct {
			N                 int
			What              string
			Key, Version      int16
			Request, Response string
		}
		if err := json.Unmarshal(sc.Bytes(), &d); err != nil {
			t.Fatal(err)
		}
		q, _ := hex.DecodeString(d.Request)
		r, _ := hex.DecodeString(d.Response)
		req := kmsg.RequestForKey(d.Key)
		req.SetVersion(d.Version)
		skip := 10 + (int(q[8])<<8 | int(q[9]))
		flexible := 0
		if req.IsFlexible() {
			flexible = 1
		}
		all = append(all, exchange{d.N, d.What, d.Key, d.Version, q[skip+flexible:], r[4+flexible:]})
	}
	return all
}

func decode(t *testing.T, x exchange) *kmsg.DescribeConfigsResponse {
	r := kmsg.NewPtrDescribeConfigsResponse()
	r.Version = x.version
	if err := r.ReadFrom(x.r); err != nil {
		t.Fatal(err)
	}
	return r
}

// rows is an answer as text, one entry a line.
func rows(r *kmsg.DescribeConfigsResponse) (lines []string) {
	text := func(s *string) string {
		if s == nil {
			return "null"
		}
		return *s
	}
	for _, x := range r.Resources {
		lines = append(lines, fmt.Sprintf("%s %s: %d %s", x.ResourceType, x.ResourceName, x.ErrorCode, text(x.ErrorMessage)))
		for _, c := range x.Configs {
			line := fmt.Sprintf("%s=%s %s %s read-only=%t sensitive=%t default=%t doc=%t", c.Name, text(c.Value), c.ConfigType, c.Source, c.ReadOnly, c.IsSensitive, c.IsDefault, c.Documentation != nil)
			for _, y := range c.ConfigSynonyms {
				line += fmt.Sprintf(" < %s=%s %s", y.Name, text(y.Value), y.Source)
			}
			lines = append(lines, line)
		}
	}
	return lines
}

// kafkas are the properties of the broker that the exchanges were recorded from, as its own answers show them. Its SASL
// listener is left out: it would refuse our start.
const kafkas = `broker.id=0
zookeeper.connect=127.0.0.1:14301
zookeeper.session.timeout.ms=40000
log.dirs=/var/kafka/wire_/k0/data
listeners=PLAINTEXT://127.0.0.1:14310
advertised.listeners=PLAINTEXT://127.0.0.1:14310
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
auto.leader.rebalance.enable=false
num.partitions=2
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=6000
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256
listener.name.sasl_plaintext.plain.sasl.jaas.config=x
listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config=x
`

func TestDescribeIsKafkasToTheByte(t *testing.T) {
	s := newServer(t, kafkas, 0, "made-1", "kafka-3.9", "kafka-2.8", "__consumer_offsets")
	s.z.nodes["topics/made-1"] = map[string]string{"retention.ms": "1000"}
	compared := 0
	for _, x := range recorded(t) {
		if x.what == "" || x.key != 32 { // those of tools come from brokers set up otherwise
			continue
		}
		want := decode(t, x)
		for i, r := range want.Resources { // the SASL listener
			for j, c := range r.Configs {
				if c.Name == "listeners" || c.Name == "advertised.listeners" {
					want.Resources[i].Configs[j].Value = kmsg.StringPtr("PLAINTEXT://127.0.0.1:14310")
					for k, y := range c.ConfigSynonyms {
						if y.Source == kmsg.ConfigSourceStaticBrokerConfig {
							c.ConfigSynonyms[k].Value = kmsg.StringPtr("PLAINTEXT://127.0.0.1:14310")
						}
					}
				}
			}
		}
		compared++
		got := s.raw(x.key, x.version, x.q)
		if bytes.Equal(got, want.AppendTo(nil)) {
			continue
		}
		r := kmsg.NewPtrDescribeConfigsResponse()
		r.Version = x.version
		if err := r.ReadFrom(got); err != nil {
			t.Fatal(err)
		}
		t.Errorf("%s:\n%s", x, cmp.Diff(rows(want), rows(r)))
	}
	if compared != 6 {
		t.Errorf("%d exchanges", compared)
	}
}

// The alterations that were recorded, one after the other, on topics as they were then.
func TestAlterAsRecorded(t *testing.T) {
	s := newServer(t, kafkas, 0, "made-1", "made-2", "made-3", "move")
	s.z.nodes["topics/made-3"] = map[string]string{"retention.ms": "1000"}
	compared := 0
	for _, x := range recorded(t) {
		if x.key == 32 {
			continue
		}
		if x.key == 44 && x.n > 200 { // of a cluster of three: only what was sent to broker 0, or is of topics
			q := kmsg.NewPtrIncrementalAlterConfigsRequest()
			q.Version = x.version
			if err := q.ReadFrom(x.q); err != nil {
				t.Fatal(err)
			}
			if n := q.Resources[0].ResourceName; n == "1" || n == "2" {
				continue
			}
		}
		compared++
		got := s.raw(x.key, x.version, x.q)
		if !bytes.Equal(got, x.r) {
			t.Errorf("%s:\n got %q\nwant %q", x, got, x.r)
		}
	}
	if compared < 20 {
		t.Errorf("%d exchanges", compared)
	}
	if c := s.z.nodes["topics/made-2"]; c["max.message.bytes"] != "70000" {
		t.Errorf("made-2: %v", c)
	}
	if !slices.Equal(s.z.log[:2], []string{"set topics/made-2", "notify topics/made-2"}) {
		t.Errorf("%v", s.z.log)
	}
}

// What a request does to ZooKeeper, and in which order.
func TestAlterWrites(t *testing.T) {
	s := newServer(t, kafkas+"password.encoder.secret=golden\n", 0, "t", "compacted", "__consumer_offsets")
	s.z.nodes["topics/compacted"] = map[string]string{"cleanup.policy": "compact"}
	s.z.nodes["topics/__consumer_offsets"] = map[string]string{"cleanup.policy": "compact"}
	code := func(q kmsg.Request) int16 {
		switch r := s.do(q).(type) {
		case *kmsg.AlterConfigsResponse:
			return r.Resources[0].ErrorCode
		case *kmsg.IncrementalAlterConfigsResponse:
			return r.Resources[0].ErrorCode
		}
		return -1
	}
	password := "listener.name.external.ssl.keystore.password"
	for _, x := range []struct {
		q    kmsg.Request
		code int16
		log  []string
	}{
		{incremental(topics, "t", change{set, "retention.ms=1"}), 0, []string{"set topics/t", "notify topics/t"}},
		{validateOnly(incremental(topics, "t", change{set, "retention.ms=2"})), 0, nil},
		{incremental(topics, "t", change{set, "retention.ms=x"}), 40, nil},
		{incremental(topics, "t", change{set, "cleanup.policy=compacted"}), 40, nil},
		{incremental(topics, "t", change{set, "cleanup.policy=compact"}), 0, []string{"set topics/t", "notify topics/t"}},
		{replace(topics, "t", "cleanup.policy=delete,compact", "retention.ms=1"), 0, []string{"set topics/t", "notify topics/t"}},
		{incremental(topics, "compacted", change{set, "retention.ms=1"}), 0, []string{"set topics/compacted", "notify topics/compacted"}},
		{incremental(topics, "__consumer_offsets", change{set, "retention.ms=1"}), 0, []string{"set topics/__consumer_offsets", "notify topics/__consumer_offsets"}},
		{replace(topics, "compacted", "cleanup.policy=delete"), 0, []string{"set topics/compacted", "notify topics/compacted"}},
		{replace(topics, "compacted", "cleanup.policy=compact"), 0, []string{"set topics/compacted", "notify topics/compacted"}},
		{incremental(brokers, "0", change{set, "log.segment.bytes=2000"}, change{set, password + "=geheim"}), 0, []string{"set brokers/0", "notify brokers/0"}},
		{incremental(brokers, "00", change{set, "log.retention.ms=2000"}), 0, []string{"set brokers/0", "notify brokers/0"}},
		{incremental(brokers, "", change{set, "log.retention.ms=3000"}), 0, []string{"set brokers/<default>", "notify brokers/<default>"}},
		{incremental(brokers, "0", change{set, "listeners=PLAINTEXT://:1"}), 42, nil},
	} {
		s.z.log = nil
		if got := code(x.q); got != x.code || !slices.Equal(s.z.log, x.log) {
			t.Errorf("%s: error %d, %v; want %d, %v", kmsgText(x.q), got, s.z.log, x.code, x.log)
		}
	}
	if n := s.z.nodes["brokers/0"]; n["log.segment.bytes"] != "2000" || n["log.retention.ms"] != "2000" || !strings.Contains(n[password], "encryptedPassword:") {
		t.Errorf("%v", n)
	}
	// Alterations count at once on the broker that carries them out.
	if c := s.store.Config(); c.Topic.SegmentBytes != 2000 || c.Topic.RetentionMs != 2000 || s.store.Topic("t").RetentionMs != 1 || !s.store.Topic("t").Compact {
		t.Errorf("%+v", c.Topic)
	}
	if got, _ := s.store.Config().Get(password); got != "geheim" {
		t.Errorf("%q", got)
	}

	s.z.fail = fmt.Errorf("zk: session has been expired by the server")
	if got := code(incremental(topics, "t", change{set, "retention.ms=9"})); got != -1 {
		t.Errorf("error %d while ZooKeeper fails", got)
	}
	if r := s.do(describe(topics, "t")).(*kmsg.DescribeConfigsResponse).Resources[0]; r.ErrorCode != -1 || len(r.Configs) != 0 {
		t.Errorf("%+v", r)
	}
}

func TestLoggers(t *testing.T) {
	s := newServer(t, kafkas, 0)
	cleaner := s.loggers.Logger("kafka.log.LogCleaner")
	levels := func() string {
		var all []string
		for _, c := range s.do(describe(loggerType, "0")).(*kmsg.DescribeConfigsResponse).Resources[0].Configs {
			if c.Source != kmsg.ConfigSourceDynamicBrokerLoggerConfig || c.IsSensitive || c.ReadOnly || c.IsDefault {
				t.Errorf("%+v", c)
			}
			if c.Name != "kafka.request.logger" {
				all = append(all, c.Name+"="+*c.Value)
			}
		}
		slices.Sort(all)
		return strings.Join(all, " ")
	}
	for _, x := range []struct {
		q      kmsg.Request
		answer string // the end of it
		levels string
	}{
		{incremental(loggerType, "0"), ": 0 null", "kafka.log.LogCleaner=INFO kafka.log=INFO root=INFO"},
		{incremental(loggerType, "0", change{set, "kafka.log=DEBUG"}), ": 0 null", "kafka.log.LogCleaner=DEBUG kafka.log=DEBUG root=INFO"},
		{incremental(loggerType, "0", change{set, "kafka.log.LogCleaner=ERROR"}, change{set, "root=WARN"}), ": 0 null", "kafka.log.LogCleaner=ERROR kafka.log=DEBUG root=WARN"},
		{incremental(loggerType, "0", change{del, "kafka.log.LogCleaner"}), ": 0 null", "kafka.log.LogCleaner=DEBUG kafka.log=DEBUG root=WARN"},
		{validateOnly(incremental(loggerType, "0", change{set, "root=TRACE"})), ": 0 null", "kafka.log.LogCleaner=DEBUG kafka.log=DEBUG root=WARN"},
		// One that is wrong changes nothing.
		{incremental(loggerType, "0", change{set, "root=INFO"}, change{set, "kafka.log=debug"}), ": 40 Cannot set the log level of kafka.log to debug as it is not a supported log level. Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN", "kafka.log.LogCleaner=DEBUG kafka.log=DEBUG root=WARN"},
		{incremental(loggerType, "0", change{set, "kafka.loh=INFO"}), ": 40 Logger kafka.loh does not exist!", "kafka.log.LogCleaner=DEBUG kafka.log=DEBUG root=WARN"},
		{incremental(loggerType, "0", change{del, "root"}), ": 42 Removing the log level of the root logger is not allowed", "kafka.log.LogCleaner=DEBUG kafka.log=DEBUG root=WARN"},
		{incremental(loggerType, "0", change{del, "kafka.log"}), ": 0 null", "kafka.log.LogCleaner=WARN kafka.log=WARN root=WARN"},
	} {
		if got := strings.TrimSpace(outcome(s.do(x.q))); !strings.HasSuffix(got, x.answer) || levels() != x.levels {
			t.Errorf("%s: %s, %s", kmsgText(x.q), got, levels())
		}
	}
	s.log.Reset()
	cleaner.Info().Msg("not said")
	s.do(incremental(loggerType, "0", change{set, "kafka.log=TRACE"}))
	cleaner.Trace().Msg("said at once")
	if got := s.log.String(); strings.Contains(got, "not said") || !strings.Contains(got, "said at once") {
		t.Error(got)
	}
}
