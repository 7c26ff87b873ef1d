package config

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// load reads text as server.properties, over what every broker needs.
func load(t *testing.T, text string) (*Config, []string, error) {
	t.Helper()
	return Load(Sources{File: "server.properties", ReadFile: func(string) ([]byte, error) { return []byte(text), nil }})
}

func mustLoad(t *testing.T, text string) *Config {
	t.Helper()
	c, _, err := load(t, "zookeeper.connect=localhost:2181\nbroker.id=0\n"+text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// differs says where the start is judged otherwise than by Apache Kafka, and why.
var differs = map[string]string{
	"listeners=PLAINTEXT://localhost:9092 zookeeper.connect=":                                 "Apache Kafka finds out when it connects",
	"inter.broker.listener.name=FOO listener.security.protocol.map=FOO listeners=FOO://:9092": "Apache Kafka shows the exception of its substring",
	"inter.broker.protocol.version=2.8 log.message.format.version=3.9":                        "3.4 to 3.9 are spoken",
	"zookeeper.set.acl=true":                       "no identity to own the nodes; Apache Kafka finds out when it connects",
	"authorizer.class.name=nope":                   "not available; Apache Kafka loads the class later",
	"remote.log.storage.system.enable=true":        "not available; Apache Kafka looks for the class later",
	"inter.broker.protocol.version=2.8":            "3.4 to 3.9 are spoken",
	"inter.broker.protocol.version=3.3":            "3.4 to 3.9 are spoken",
	"inter.broker.protocol.version=4.0-IV0":        "3.4 to 3.9 are spoken",
	"listeners=PLAINTEXT://localhost:99999":        "no such port; Apache Kafka finds out when it binds",
	"listeners=PLAINTEXT://localhost:-1":           "likewise",
	"zookeeper.session.timeout.ms=0":               "no session is that short",
	"early.start.listeners=X":                      "of KRaft, without effect",
	"process.roles=broker":                         "the text explains what to do",
	"zookeeper.metadata.migration.enable=true":     "the text says that it is not available",
	"log.cleaner.threads=0":                        "Apache Kafka divides by zero",
	"max.connections.per.ip.overrides=localhost":   "Apache Kafka shows the exception of its substring",
	"max.connections.per.ip.overrides=localhost:x": "Apache Kafka shows the exception of its parser",
}

// start.jsonl is what Apache Kafka 3.9.2 made of configurations, over zookeeper.connect=localhost:2181 and broker.id=0.
func TestStartIsJudgedAsByKafka(t *testing.T) {
	f, err := os.Open("../../testdata/config/start.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for sc := bufio.NewScanner(f); sc.Scan(); n++ {
		var c struct {
			Props   map[string]*string
			Ok, Err *string
		}
		if err := json.Unmarshal(sc.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		props := map[string]string{"zookeeper.connect": "localhost:2181", "broker.id": "0"}
		name := ""
		for _, k := range sortedKeys(c.Props) {
			if v := c.Props[k]; v == nil {
				delete(props, k)
				name += "no " + k + " "
			} else {
				props[k] = *v
				name += k + "=" + *v + " "
			}
		}
		name = strings.TrimSpace(name)
		var text strings.Builder
		for k, v := range props {
			text.WriteString(k + "=" + v + "\n")
		}
		got, _, err := load(t, text.String())
		if why := differs[name]; why != "" {
			if (err == nil) == (c.Err == nil) && (err == nil || strings.Contains(err.Error(), strings.TrimPrefix(*c.Err, "requirement failed: "))) {
				t.Errorf("%s does not differ: %v", name, err)
			}
			continue
		}
		switch {
		case strings.HasPrefix(name, "group.consumer."): // of KIP-848, which a cluster with a coordinator does not offer: not judged
			continue
		case strings.Contains(name, "CONTROLLER://"), strings.Contains(name, "SASL_PLAINTEXT://"): // refused by rules of our own
			if err == nil {
				t.Errorf("%s is served", name)
			}
			continue
		case c.Err == nil && strings.Contains(*c.Ok, "SSL)"): // a TLS listener
			if err == nil || !strings.Contains(err.Error(), "TLS is not available") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		switch {
		case c.Err == nil && err != nil:
			t.Errorf("%s: %v, want %s", name, err, *c.Ok)
		case c.Err != nil && err == nil:
			t.Errorf("%s is accepted, want %s", name, *c.Err)
		case c.Err != nil && !strings.Contains(err.Error(), trimKafka(*c.Err)):
			t.Errorf("%s:\n got %v\nwant %s", name, err, *c.Err)
		case c.Err == nil:
			if s := summary(got); s != *c.Ok {
				t.Errorf("%s:\n got %s\nwant %s", name, s, *c.Ok)
			}
		}
	}
	if n < 100 {
		t.Errorf("only %d configurations compared", n)
	}
}

// trimKafka drops what Scala's require adds, and the list brackets of one text.
func trimKafka(s string) string {
	return strings.TrimSuffix(strings.TrimPrefix(s, "requirement failed: "), ": [CONTROLLER]")
}

// summary is a Config as the recorder printed Kafka's.
func summary(c *Config) string {
	points := func(ls []Listener) string {
		var s []string
		for _, l := range ls {
			host := l.Host
			if host == "" {
				host = "null"
			}
			s = append(s, fmt.Sprintf("EndPoint(%s,%d,ListenerName(%s),%s)", host, l.Port, l.Name, c.Network.Security[l.Name]))
		}
		return strings.Join(s, ";")
	}
	control := "None"
	if c.Network.ControlPlane != "" {
		control = "Some(ListenerName(" + c.Network.ControlPlane + "))"
	}
	return fmt.Sprintf("listeners=%s advertised=%s inter=%s control=%s broker=%d dirs=%s retention=%d roll=%d", points(c.Network.Listeners), points(c.Network.Advertised),
		c.Network.InterBroker, control, c.BrokerID, strings.Join(c.Log.Dirs, "|"), c.Topic.RetentionMs, c.Topic.SegmentMs)
}

func TestDefaultsWithoutFile(t *testing.T) {
	c, warned, err := Load(Sources{})
	if err != nil || len(warned) != 0 {
		t.Fatal(err, warned)
	}
	if c.BrokerID != 0 || c.ZooKeeper.Servers[0] != "localhost:2181" || c.ZooKeeper.ConnectionTimeout != 18*time.Second || c.Network.Listeners[0] != (Listener{"PLAINTEXT", "", 9092}) ||
		c.Log.Dirs[0] != "/tmp/kafka-logs" || c.Group.InitialRebalanceDelay != 0 {
		t.Errorf("%+v", c)
	}
	// With a file Kafka's own defaults hold, and the internal topics' three replicas count as one.
	c, warned, err = load(t, "zookeeper.connect=zk:2181/kafka\n")
	if err != nil {
		t.Fatal(err)
	}
	if c.BrokerID != -1 || c.Group.InitialRebalanceDelay != 3*time.Second || c.Offsets.ReplicationFactor != 1 || c.ZooKeeper.Chroot != "/kafka" || c.ReplicationFactor != 1 {
		t.Errorf("%+v", c)
	}
	want := []string{"transaction.state.log.replication.factor=3: counts as 1: brokers do not replicate in this version", "offsets.topic.replication.factor=3: counts as 1: brokers do not replicate in this version"}
	if d := cmp.Diff(want, warned); d != "" {
		t.Error(d)
	}
}

func TestPrecedence(t *testing.T) {
	read := func(string) ([]byte, error) {
		return []byte("broker.id=1\nzookeeper.connect=file:1\nlog.dirs=/file\nnum.partitions=2\nnum.partitions=3\n"), nil
	}
	c, _, err := Load(Sources{File: "f", ReadFile: read, Environ: []string{"KAFKA_ZOOKEEPER_CONNECT=env:1", "KAFKA_LOG_DIRS=/env", "KAFKA_ZOOKEEPER_CLIENTCNXNSOCKET=x"},
		Overrides: []string{"log.dirs=/first", "log.dirs=/last=1"}})
	if err != nil {
		t.Fatal(err)
	}
	if c.BrokerID != 1 || c.ZooKeeper.Connect != "env:1" || c.Log.Dirs[0] != "/last=1" || c.NumPartitions != 3 || c.values.string("zookeeper.clientCnxnSocket") != "x" {
		t.Errorf("%+v", c)
	}
	// What `ottla up` lays under the environment.
	c, _, err = Load(Sources{Base: map[string]string{"log.dirs": "/base", "log.flush.interval.messages": "1"}, Environ: []string{"KAFKA_LOG_DIRS=/env"}})
	if err != nil || c.Log.Dirs[0] != "/env" || c.Topic.FlushMessages != 1 {
		t.Errorf("%+v %v", c, err)
	}
	// A node.id from outside names the broker before the built-in broker.id does.
	c, _, err = Load(Sources{Environ: []string{"KAFKA_NODE_ID=7"}})
	if err != nil || c.BrokerID != 7 {
		t.Errorf("%+v %v", c, err)
	}
	if _, _, err := Load(Sources{Overrides: []string{"nonsense"}}); err == nil {
		t.Error("an override without = is taken")
	}
	if _, _, err := Load(Sources{File: "f", ReadFile: func(string) ([]byte, error) { return nil, os.ErrNotExist }}); err == nil {
		t.Error("a missing file is taken")
	}
}

func TestErrorsNameKeyValueRangeAndPlace(t *testing.T) {
	_, _, err := Load(Sources{File: "s.properties", ReadFile: func(string) ([]byte, error) {
		return []byte("zookeeper.connect=a:1\n\nlog.segment.bytes=13\nnum.partitions=many\n"), nil
	}, Environ: []string{"KAFKA_COMPRESSION_TYPE=brotli"}, Overrides: []string{"delete.topic.enable=maybe"}})
	want := `environment: Invalid value brotli for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer (want string, one of uncompressed, zstd, lz4, snappy, gzip, producer)
--override: Invalid value maybe for configuration delete.topic.enable: Expected value to be either true or false (want boolean)
s.properties line 3: Invalid value 13 for configuration log.segment.bytes: Value must be at least 14 (want int, at least 14)
s.properties line 4: Invalid value many for configuration num.partitions: Not a number of type INT (want int, at least 1)`
	if err == nil || cmp.Diff(want, err.Error()) != "" {
		t.Error(cmp.Diff(want, fmt.Sprint(err)))
	}
}

func TestUnknownKeysWarn(t *testing.T) {
	_, warned, err := Load(Sources{File: "s.properties", ReadFile: func(string) ([]byte, error) {
		return []byte("zookeeper.connect=a:1\nlog.retension.ms=5\nport=9092\nmy.own.thing=1\nlistener.name.internal.ssl.keystore.location=/k\nleader.replication.throttled.rate=5\n" +
			"transaction.state.log.replication.factor=1\noffsets.topic.replication.factor=1\ndefault.replication.factor=3\nmetric.reporters=com.example.Reporter\nsuper.users=User:a\n"), nil
	}})
	want := []string{
		"leader.replication.throttled.rate is no key of a broker and is ignored (s.properties line 6)",
		"log.retension.ms is no key of a broker and is ignored (s.properties line 2): did you mean log.retention.ms?",
		"my.own.thing is no key of a broker and is ignored (s.properties line 4)",
		"port is no key of a broker and is ignored (s.properties line 3): use listeners",
		"metric.reporters=com.example.Reporter: Java reporters cannot be loaded; metrics are served for Prometheus",
		"super.users=User:a: means something to an authorizer only",
		"default.replication.factor=3: counts as 1: brokers do not replicate in this version",
	}
	if d := cmp.Diff(want, warned); d != "" || err != nil {
		t.Error(d, err)
	}
}

func TestRefusals(t *testing.T) {
	for _, line := range []string{
		"process.roles=broker,controller", "zookeeper.metadata.migration.enable=true", "controller.listener.names=CONTROLLER", "inter.broker.protocol.version=3.3", "inter.broker.protocol.version=0.10.2",
		"inter.broker.protocol.version=4.0-IV1", "authorizer.class.name=kafka.security.authorizer.AclAuthorizer", "principal.builder.class=x.Y", "security.providers=x.Y",
		"create.topic.policy.class.name=x.Y", "alter.config.policy.class.name=x.Y", "client.quota.callback.class=x.Y", "config.providers=file", "zookeeper.set.acl=true",
		"zookeeper.ssl.crl.enable=true", "zookeeper.ssl.ocsp.enable=true", "remote.log.storage.system.enable=true",
		"listeners=PLAINTEXT://:9092,SSL://:9093", "listeners=PLAINTEXT://:9092,SASL_SSL://:9093", "listeners=PLAINTEXT://:9092,SASL_PLAINTEXT://:9093",
		"group.coordinator.rebalance.protocols=consumer", "group.coordinator.rebalance.protocols=classic,consumer",
	} {
		_, _, err := load(t, "zookeeper.connect=a:1\n"+line)
		key, _, _ := strings.Cut(line, "=")
		if err == nil || !strings.Contains(err.Error(), key+"=") {
			t.Errorf("%s: %v", line, err)
		}
	}
	for _, line := range []string{"authorizer.class.name=", "zookeeper.set.acl=false", "inter.broker.protocol.version=3.4", "inter.broker.protocol.version=3.9", "ssl.keystore.location=/k",
		"sasl.enabled.mechanisms=PLAIN", "password.encoder.secret=s", "process.roles=", "principal.builder.class=org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"} {
		if _, _, err := load(t, "zookeeper.connect=a:1\n"+line); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	_, _, err := load(t, "zookeeper.connect=a:1\npassword.encoder.secret=s\npassword.encoder.cipher.algorithm=DES")
	if err == nil {
		t.Error("an unknown cipher is taken")
	}
}

func TestZooKeeperConnect(t *testing.T) {
	for in, want := range map[string]string{
		"a:2181": "a:2181 ", "a": "a:2181 ", "a:1,b:2/x/y": "a:1,b:2 /x/y", " a:1 , b:2 ": "a:1,b:2 ", "[::1]:5/x": "[::1]:5 /x", "::1": "[::1]:2181 ", "a:1/": "a:1 ", "a:1,b/k/": "a:1,b:2181 /k",
		"": "!", "a:x": "!", "a:0": "!", "a:99999": "!", "/x": "!", "a:1/x//y": "!", "a:1/x,b:2": "!", ":5": "!",
	} {
		c, _, err := load(t, "zookeeper.connect="+in)
		got := "!"
		if err == nil {
			got = strings.Join(c.ZooKeeper.Servers, ",") + " " + c.ZooKeeper.Chroot
		}
		if got != want {
			t.Errorf("%q: %q (%v), want %q", in, got, err, want)
		}
	}
}

func TestAdvertise(t *testing.T) {
	c := mustLoad(t, "listeners=PLAINTEXT://:0,X://[::1]:0\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,X:PLAINTEXT\nadvertised.listeners=X://h:0,PLAINTEXT://:0")
	got := c.Network.Advertise([]Listener{{"PLAINTEXT", "127.0.0.1", 1234}, {"X", "::1", 5678}}, "me")
	if d := cmp.Diff([]Listener{{"X", "h", 5678}, {"PLAINTEXT", "me", 1234}}, got); d != "" {
		t.Error(d)
	}
	if s := c.Network.Listeners[1].String(); s != "X://[::1]:0" {
		t.Error(s)
	}
}

func TestTopicDefaults(t *testing.T) {
	c := mustLoad(t, "log.retention.hours=2\nlog.retention.minutes=3\nlog.roll.hours=5\nlog.roll.jitter.ms=7\nlog.flush.scheduler.interval.ms=9\nlog.message.timestamp.difference.max.ms=11\nlog.message.timestamp.after.max.ms=12\nlog.message.format.version=0.10.2")
	d := c.Topic
	if d.RetentionMs != 3*60_000 || d.SegmentMs != 5*3600_000 || d.SegmentJitterMs != 7 || d.FlushMs != 9 || d.TimestampBeforeMs != 11 || d.TimestampAfterMs != 12 || !d.Delete || d.Compact || d.LocalRetentionMs != 3*60_000 {
		t.Errorf("%+v", d)
	}
	r, err := c.ResolveTopic(map[string]string{"retention.ms": "1", "cleanup.policy": "compact, delete", "message.timestamp.type": "LogAppendTime", "max.message.bytes": "5", "who.knows": "x"})
	if err != nil || r.RetentionMs != 1 || !r.Compact || !r.Delete || !r.LogAppendTime || r.MaxMessageBytes != 5 || r.SegmentMs != d.SegmentMs {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := c.ResolveTopic(map[string]string{"retention.ms": "soon"}); err == nil {
		t.Error("a wrong value is taken")
	}
}
