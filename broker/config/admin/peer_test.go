package admin

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/znode/znodetest"
)

func TestMain(m *testing.M) { os.Exit(znodetest.Main(m)) }

// apacheKafka starts a real broker 0 with the extra properties and returns its address.
func apacheKafka(t *testing.T, properties ...string) string {
	t.Helper()
	zk := znodetest.ZooKeeper(t)
	apache, err := filepath.Abs("../../../scripts/apache")
	if err != nil {
		t.Fatal(err)
	}
	home := os.Getenv("APACHE_PEERS")
	if home == "" {
		cache, _ := os.UserHomeDir()
		home = filepath.Join(cache, ".cache", "apache-peers")
	}
	if _, err := os.Stat(filepath.Join(home, "kafka-3.9", "jars")); err != nil {
		if os.Getenv("OTTLA_PEERS") == "required" {
			t.Fatal("Apache Kafka is missing: run scripts/setup")
		}
		t.Skip("Apache Kafka is missing; scripts/setup fetches it")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	dir := t.TempDir()
	t.Cleanup(func() { _ = exec.Command(apache, "kill", dir).Run() })
	for try := 1; ; try++ {
		cmd := exec.Command(apache, append([]string{"kafka", dir, "0", port, zk + "/config-peer", "zookeeper.session.timeout.ms=4000", "zookeeper.connection.timeout.ms=60000"}, properties...)...)
		cmd.Env = append(os.Environ(), "HEAP=384m", "JAVA_OPTS=-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
		out, err := cmd.CombinedOutput()
		if err == nil {
			return "127.0.0.1:" + port
		}
		// The shared ZooKeeper's sessions are short: on a machine that is busy one can end while the broker starts.
		if t.Logf("start %d: %v: %s", try, err, out); try == 3 {
			t.FailNow()
		}
	}
}

// wire is a plain connection to a broker.
type wire struct {
	t    *testing.T
	conn net.Conn
}

func dial(t *testing.T, address string) *wire {
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &wire{t, c}
}

func (w *wire) do(q kmsg.Request) kmsg.Response {
	w.t.Helper()
	_ = w.conn.SetDeadline(time.Now().Add(60 * time.Second))
	if _, err := w.conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, q, 1)); err != nil {
		w.t.Fatal(err)
	}
	var size [4]byte
	if _, err := io.ReadFull(w.conn, size[:]); err != nil {
		w.t.Fatalf("%T: %v", q, err)
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(w.conn, b); err != nil {
		w.t.Fatal(err)
	}
	r := q.ResponseKind()
	r.SetVersion(q.GetVersion())
	b = b[4:]
	if r.IsFlexible() {
		b = b[1:]
	}
	if err := r.ReadFrom(b); err != nil {
		w.t.Fatal(err)
	}
	return r
}

const (
	set      = kmsg.IncrementalAlterConfigOpSet
	del      = kmsg.IncrementalAlterConfigOpDelete
	appends  = kmsg.IncrementalAlterConfigOpAppend
	subtract = kmsg.IncrementalAlterConfigOpSubtract

	topics     = kmsg.ConfigResourceTypeTopic
	brokers    = kmsg.ConfigResourceTypeBroker
	loggerType = kmsg.ConfigResourceTypeBrokerLogger
)

// change is one operation: "key=value", or "key" for null.
type change struct {
	op   kmsg.IncrementalAlterConfigOp
	text string
}

func incremental(kind kmsg.ConfigResourceType, name string, changes ...change) *kmsg.IncrementalAlterConfigsRequest {
	q := kmsg.NewPtrIncrementalAlterConfigsRequest()
	q.Version = 1
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kind, name
	for _, c := range changes {
		o := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		key, value, ok := strings.Cut(c.text, "=")
		if o.Name, o.Op = key, c.op; ok {
			o.Value = &value
		}
		r.Configs = append(r.Configs, o)
	}
	q.Resources = append(q.Resources, r)
	return q
}

func replace(kind kmsg.ConfigResourceType, name string, settings ...string) *kmsg.AlterConfigsRequest {
	q := kmsg.NewPtrAlterConfigsRequest()
	q.Version = 2
	r := kmsg.NewAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kind, name
	for _, s := range settings {
		o := kmsg.NewAlterConfigsRequestResourceConfig()
		key, value, ok := strings.Cut(s, "=")
		if o.Name = key; ok {
			o.Value = &value
		}
		r.Configs = append(r.Configs, o)
	}
	q.Resources = append(q.Resources, r)
	return q
}

func describe(kind kmsg.ConfigResourceType, name string, keys ...string) *kmsg.DescribeConfigsRequest {
	q := kmsg.NewPtrDescribeConfigsRequest()
	q.Version, q.IncludeSynonyms, q.IncludeDocumentation = 4, true, true
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kind, name, keys
	q.Resources = append(q.Resources, r)
	return q
}

// outcome is an answer to an alteration or a description as text.
func outcome(r kmsg.Response) string {
	text := func(s *string) string {
		if s == nil {
			return "null"
		}
		return *s
	}
	var b strings.Builder
	switch r := r.(type) {
	case *kmsg.IncrementalAlterConfigsResponse:
		for _, x := range r.Resources {
			fmt.Fprintf(&b, "%s %q: %d %s\n", x.ResourceType, x.ResourceName, x.ErrorCode, text(x.ErrorMessage))
		}
	case *kmsg.AlterConfigsResponse:
		for _, x := range r.Resources {
			fmt.Fprintf(&b, "%s %q: %d %s\n", x.ResourceType, x.ResourceName, x.ErrorCode, text(x.ErrorMessage))
		}
	case *kmsg.DescribeConfigsResponse:
		b.WriteString(strings.Join(rows(r), "\n"))
	}
	return b.String()
}

// twice asks for one resource twice.
func twice(q *kmsg.IncrementalAlterConfigsRequest) *kmsg.IncrementalAlterConfigsRequest {
	q.Resources = append(q.Resources, q.Resources[0])
	return q
}

func validateOnly(q *kmsg.IncrementalAlterConfigsRequest) *kmsg.IncrementalAlterConfigsRequest {
	q.ValidateOnly = true
	return q
}

const peerKeys = `broker.id=0
zookeeper.connect=%s/config-peer
zookeeper.session.timeout.ms=4000
zookeeper.connection.timeout.ms=60000
log.dirs=%s
listeners=PLAINTEXT://%s
advertised.listeners=PLAINTEXT://%s
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
password.encoder.secret=golden
log.retention.hours=24
log.roll.ms=1000000
message.max.bytes=2000000
num.io.threads=4
my.unknown.key=5
listener.name.external.ssl.keystore.password=secret
`

// alterations are sent to Apache Kafka and to us, in order; each answer must be the same, but for those in ours.
func alterations() []kmsg.Request {
	return []kmsg.Request{
		incremental(topics, "t", change{set, "retention.ms=5000"}, change{set, "segment.bytes= 2000 "}),
		incremental(topics, "t", change{appends, "leader.replication.throttled.replicas=0:1,1:1"}),
		incremental(topics, "t", change{appends, "leader.replication.throttled.replicas=1:1,2:1"}),
		incremental(topics, "t", change{subtract, "leader.replication.throttled.replicas=0:1,5:5"}),
		incremental(topics, "t", change{subtract, "retention.ms=1"}),
		incremental(topics, "t", change{subtract, "cleanup.policy=delete"}),
		describe(topics, "t"),
		incremental(topics, "t", change{appends, "cleanup.policy=delete"}),
		incremental(topics, "t", change{del, "no.such.key"}),
		incremental(topics, "t", change{appends, "no.such.key=1"}),
		incremental(topics, "t", change{set, "retention.ms=1"}, change{set, "retention.ms=2"}),
		incremental(topics, "t", change{set, "retention.ms"}),
		incremental(topics, "t", change{set, "retention.ms"}, change{appends, "cleanup.policy"}),
		incremental(topics, "t", change{set, "retention.ms="}),
		incremental(topics, "t", change{set, "retention.ms=-2"}),
		incremental(topics, "t", change{set, "segment.bytes=1"}),
		incremental(topics, "t", change{set, "cleanup.policy=shred"}),
		incremental(topics, "t", change{set, "min.compaction.lag.ms=10"}, change{set, "max.compaction.lag.ms=5"}),
		incremental(topics, "t", change{set, "remote.storage.enable=true"}),
		incremental(topics, "t", change{set, "local.retention.ms=10000000000"}),
		incremental(topics, "t", change{set, "leader.replication.throttled.replicas=x"}),
		incremental(topics, "t", change{set, "compression.type=gzip"}, change{set, "message.timestamp.type=LogAppendTime"}, change{set, "preallocate=TRUE"}, change{set, "min.cleanable.dirty.ratio=0.50"}),
		incremental(topics, "t", change{4, "retention.ms=1"}),
		incremental(topics, "no-such", change{set, "retention.ms=1"}),
		incremental(topics, "bad/name", change{set, "retention.ms=1"}),
		incremental(topics, "", change{set, "retention.ms=1"}),
		twice(incremental(topics, "t", change{set, "retention.ms=1"})),
		validateOnly(incremental(topics, "t", change{set, "retention.ms=77"})),
		validateOnly(incremental(topics, "t", change{set, "retention.ms=x"})),
		incremental(topics, "t"),
		describe(topics, "t"),
		replace(topics, "t", "retention.ms=6000"),
		describe(topics, "t", "retention.ms", "segment.bytes", "nothing"),
		replace(topics, "t", "retention.ms"),
		replace(topics, "t", "retention.ms", "flush.ms"),
		replace(topics, "t", "flush.ms=1", "flush.ms=2"),
		replace(topics, "t", "nope=1"),
		replace(topics, "t", "retention.ms=soon"),
		replace(topics, "no-such", "retention.ms=1"),
		replace(topics, "", "retention.ms=1"),
		replace(kmsg.ConfigResourceType(77), "t", "retention.ms=1"),
		replace(kmsg.ConfigResourceType(0), "t", "retention.ms=1"),
		replace(loggerType, "0", "kafka=INFO"),
		replace(topics, "t"),
		describe(topics, "t", "retention.ms"),
		describe(topics, "no-such"),
		describe(topics, "bad/name"),
		describe(topics, ""),
		describe(brokers, "1"),
		describe(brokers, "x"),
		describe(brokers, "00"),
		describe(loggerType, ""),
		describe(loggerType, "1"),
		describe(loggerType, "x"),
		describe(kmsg.ConfigResourceType(0), "x"),
		describe(kmsg.ConfigResourceType(77), "x"),
		describe(kmsg.ConfigResourceType(32), "x"),
		describe(kmsg.ConfigResourceType(16), "x"),
		describe(kmsg.ConfigResourceType(16), ""),
		incremental(kmsg.ConfigResourceType(32), "x", change{set, "a=1"}),

		incremental(brokers, "1", change{set, "log.cleaner.threads=2"}),
		incremental(brokers, "x", change{set, "log.cleaner.threads=2"}),
		incremental(brokers, "0", change{set, "broker.id=2"}),
		incremental(brokers, "0", change{set, "broker.id=2"}, change{set, "log.dirs=/x"}),
		incremental(brokers, "0", change{set, "ssl.keystore.location=/x"}),
		incremental(brokers, "", change{set, "listener.name.x.ssl.keystore.location=/x"}),
		incremental(brokers, "", change{set, "listeners=PLAINTEXT://:1"}),
		incremental(brokers, "0", change{set, "log.retention.ms=soon"}),
		incremental(brokers, "0", change{set, "log.retention.ms=0"}),
		incremental(brokers, "0", change{set, "log.retention.hours=5"}),
		incremental(brokers, "0", change{appends, "log.retention.ms=5"}),
		incremental(brokers, "0", change{appends, "no.such.key=5"}),
		validateOnly(incremental(brokers, "0", change{set, "num.io.threads=100"})),
		validateOnly(incremental(brokers, "0", change{set, "num.io.threads=1"})),
		incremental(brokers, "0", change{set, "log.cleaner.threads=0"}),
		validateOnly(incremental(brokers, "0", change{set, "log.cleaner.threads=5"})),
		validateOnly(incremental(brokers, "0", change{set, "metric.reporters=com.example.Nope"})),
		incremental(brokers, "0", change{set, "unknown.key=1"}),
		incremental(brokers, "0", change{set, "compression.type=brotli"}),
		incremental(brokers, "0", change{set, "log.segment.bytes=1"}),
		incremental(brokers, "0", change{set, "log.message.timestamp.type=x"}),
		incremental(brokers, "0", change{set, "max.connections.per.ip=0"}),
		incremental(brokers, "0", change{set, "principal.builder.class=com.example.Nope"}),
		incremental(brokers, "0", change{set, "leader.replication.throttled.rate=x"}),
		incremental(brokers, "0", change{set, "leader.replication.throttled.rate=-1"}),
		incremental(brokers, "0", change{set, "leader.replication.throttled.rate=2000"}, change{set, "log.cleaner.threads=2"}, change{set, "log.retention.ms=10000"},
			change{set, "listener.name.external.ssl.keystore.password=other"}),
		incremental(brokers, "", change{set, "log.retention.ms=20000"}, change{set, "log.segment.bytes=2000000"}, change{set, "min.insync.replicas=2"}, change{set, "metric.reporters="}),
		validateOnly(incremental(brokers, "0", change{set, "log.retention.ms=99999"})),
		replace(brokers, "1", "log.retention.ms=1"),
		replace(brokers, "x", "log.retention.ms=1"),
		replace(brokers, "0", "broker.id=1"),
		incremental(loggerType, "", change{set, "root=INFO"}),
		incremental(loggerType, "1", change{set, "root=INFO"}),
		incremental(loggerType, "0", change{set, "no.such.logger=INFO"}),
		incremental(loggerType, "0", change{set, "root=LOUD"}),
		incremental(loggerType, "0", change{del, "root"}),
		incremental(loggerType, "0", change{appends, "root=INFO"}),
		incremental(loggerType, "0", change{subtract, "root=INFO"}),
		incremental(loggerType, "0", change{set, "root=WARN"}),
		incremental(loggerType, "0", change{set, "kafka.log.LogCleaner=DEBUG"}, change{set, "kafka.request.logger=TRACE"}),
		incremental(loggerType, "0", change{set, "kafka.log.LogCleaner=debug"}),
		incremental(loggerType, "0", change{del, "kafka.log.LogCleaner"}),
		incremental(loggerType, "0", change{del, "no.such.logger"}),
		incremental(kmsg.ConfigResourceType(0), "0", change{set, "root=WARN"}),
		incremental(kmsg.ConfigResourceType(16), "0", change{set, "metrics=*"}),
		incremental(kmsg.ConfigResourceType(77), "0", change{set, "root=WARN"}),
	}
}

// ours are the answers of ours that differ from Apache Kafka's, by request, and why.
var ours = map[string]string{
	`TOPIC "t" APPEND no.such.key=1`:                          "Apache Kafka fails inside (-1)",
	`TOPIC "t" UNKNOWN retention.ms=1`:                        "Apache Kafka fails inside (-1)",
	`BROKER "0" APPEND no.such.key=5`:                         "Apache Kafka fails inside (-1)",
	`BROKER "0" SET log.cleaner.threads=0`:                    "Apache Kafka divides by zero",
	`BROKER "0" SET log.retention.ms=0`:                       "without Scala's 'requirement failed'",
	`BROKER "0" SET max.connections.per.ip=0`:                 "without Scala's 'requirement failed'",
	`BROKER "0" SET num.io.threads=100`:                       "there is no pool of threads that must not grow too fast",
	`BROKER "0" SET num.io.threads=1`:                         "likewise",
	`BROKER "0" SET log.cleaner.threads=5`:                    "likewise",
	`BROKER "0" SET metric.reporters=com.example.Nope`:        "another text",
	`BROKER "0" SET principal.builder.class=com.example.Nope`: "no class can be loaded",
	`BROKER_LOGGER "1" SET root=INFO`:                         "Apache Kafka names its own id instead of the one it got",
}

func TestPeerAnswers(t *testing.T) {
	address := apacheKafka(t, "password.encoder.secret=golden", "log.retention.hours=24", "log.roll.ms=1000000", "message.max.bytes=2000000", "num.io.threads=4", "my.unknown.key=5",
		"listener.name.external.ssl.keystore.password=secret")
	kafka := dial(t, address)
	create := kmsg.NewPtrCreateTopicsRequest()
	create.Version, create.TimeoutMillis = 4, 30000
	for _, n := range []string{"t", "u"} {
		c := kmsg.NewCreateTopicsRequestTopic()
		c.Topic, c.NumPartitions, c.ReplicationFactor = n, 1, 1
		create.Topics = append(create.Topics, c)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) { // until the controller has seen the broker
		r := kafka.do(create).(*kmsg.CreateTopicsResponse)
		if code := r.Topics[1].ErrorCode; code == 0 || code == 36 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("topics are not created: %+v", r.Topics)
		}
	}
	var dir, zk string
	for _, c := range kafka.do(describe(brokers, "0", "log.dirs", "zookeeper.connect")).(*kmsg.DescribeConfigsResponse).Resources[0].Configs {
		if c.Name == "log.dirs" {
			dir = *c.Value
		} else {
			zk = strings.TrimSuffix(*c.Value, "/config-peer")
		}
	}
	s := newServer(t, fmt.Sprintf(peerKeys, zk, dir, address, address), 0, "t", "u")
	for i, q := range alterations() {
		want, got := outcome(kafka.do(q)), outcome(s.do(q))
		if why := ours[kmsgText(q)]; (got != want) != (why != "") {
			t.Errorf("%d: %T %+v (%s)\n%s", i, q, kmsgText(q), why, cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")))
		}
	}
	// What the broker's dynamic configuration has become: it arrives by a notification.
	for _, q := range []kmsg.Request{describe(brokers, "0"), describe(brokers, ""), describe(topics, "u")} {
		var want string
		got := outcome(s.do(q))
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end) && want != got; time.Sleep(50 * time.Millisecond) {
			want = outcome(kafka.do(q))
		}
		if got != want {
			t.Errorf("%+v:\n%s", kmsgText(q), cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")))
		}
	}
}

// kmsgText is a request for people.
func kmsgText(q kmsg.Request) string {
	switch q := q.(type) {
	case *kmsg.IncrementalAlterConfigsRequest:
		s := fmt.Sprintf("%s %q", q.Resources[0].ResourceType, q.Resources[0].ResourceName)
		for _, c := range q.Resources[0].Configs {
			v := "null"
			if c.Value != nil {
				v = *c.Value
			}
			s += fmt.Sprintf(" %s %s=%s", c.Op, c.Name, v)
		}
		return s
	case *kmsg.AlterConfigsRequest:
		return fmt.Sprintf("%s %q", q.Resources[0].ResourceType, q.Resources[0].ResourceName)
	case *kmsg.DescribeConfigsRequest:
		return fmt.Sprintf("%s %q", q.Resources[0].ResourceType, q.Resources[0].ResourceName)
	}
	return ""
}
