//go:build unix

package e2e

import (
	"errors"
	"strings"
	"testing"
	"time"
)

const configs = "kafka-configs --bootstrap-server {K} "

// values puts each value of a line into a line of its own: the order of several is that of a hash map.
func values(s string) string {
	return sorted(strings.NewReplacer(", ", "\n", " are ", "\n", ",", "\n").Replace(s))
}

func topicFile(t *testing.T, p *pair) {
	p.file(t, "topic.properties", "# a comment\nmax.message.bytes = 3000000\n")
}

// brokerKeys sets what a call then removes: the broker's configuration is the same for both tools. It gets there by ZooKeeper.
func brokerKeys(t *testing.T, p *pair) {
	for _, whose := range []string{"--broker 0", "--broker-defaults"} {
		if r := p.ours(t, "", p.fill(configs+"--alter "+whose+" --add-config log.cleaner.threads=2,log.retention.ms=300000000", "")); r.Status != 0 {
			t.Fatalf("%+v", r)
		}
		Await(t, 20*time.Second, "the broker's configuration", func() error {
			if r := p.ours(t, "", p.fill(configs+"--describe "+whose, "")); strings.Count(r.Out, "\n  log.cleaner.threads=2 ")+strings.Count(r.Out, "\n  log.retention.ms=300000000 ") != 2 {
				return errors.New(r.Out)
			}
			return nil
		})
	}
}

var configCalls = []call{
	{line: configs + "--describe --topic peer-a"},
	{line: configs + "--describe --topic peer-a --all", long: true},
	{line: configs + "--describe --entity-type topics", long: true, edit: sorted},
	{line: configs + "--describe --topic nope", long: true, errs: true, edit: reduced(`(?s).*`)},
	{line: configs + "--alter --topic {T} --add-config max.message.bytes=2000000,leader.replication.throttled.replicas=[0:0,1:0]"},
	{line: configs + "--describe --topic {T}", long: true},
	{line: configs + "--alter --entity-type topics --entity-name {T} --delete-config leader.replication.throttled.replicas", long: true},
	{line: configs + "--alter --topic {T} --add-config-file {D}/topic.properties", before: topicFile},
	{line: configs + "--describe --topic {T}"},
	{line: configs + "--alter --topic {T} --add-config a=1 --add-config-file {D}/topic.properties", long: true, errs: true},
	{line: configs + "--alter --topic {T} --add-config retention.ms=soon", long: true, errs: true, edit: reduced(`(?s).*`)},
	{line: configs + "--alter --topic {T} --add-config nope=1", long: true, errs: true, edit: reduced(`(?s).*`)},
	{line: configs + "--alter --topic {T} --add-config nope", long: true, errs: true},
	{line: configs + "--alter --topic {T} --add-config n/o=1", long: true, errs: true},
	{line: configs + "--alter --topic {T} --delete-config nope", errs: true, long: true},
	{line: configs + "--alter --topic {T}", errs: true, long: true},
	{line: configs + "--alter --entity-type topics --add-config a=1", errs: true, long: true},
	{line: configs + "--describe", errs: true, long: true},
	{line: configs + "--describe --entity-type tables", errs: true, long: true, edit: reduced(`must be.*`)},
	{line: configs + "--describe --entity-type topics --entity-type brokers", errs: true, long: true},
	{line: configs + "--describe --entity-type users --topic {T}", errs: true, long: true, edit: reduced(`(?s).*`)},
	{line: configs + "--describe --broker x", errs: true, long: true},
	{line: configs + "--describe --entity-type broker-loggers", errs: true, long: true},
	{line: configs, errs: true, long: true, edit: firstLine},
	{line: configs + "--describe --alter --topic {T}", errs: true, long: true, edit: firstLine},
	{line: "kafka-configs --describe --topic {T}", errs: true, long: true, edit: reduced(`(?s).*`)},

	{line: configs + "--describe --entity-type brokers", long: true},
	{line: configs + "--alter --broker-defaults --add-config log.retention.ms=200000000", long: true},
	{line: configs + "--describe --broker-defaults", long: true},
	{line: configs + "--alter --broker 0 --add-config log.cleaner.threads=2,log.retention.ms=300000000"},
	{line: configs + "--describe --entity-type brokers --entity-name 0"},
	{line: configs + "--alter --entity-type brokers --entity-name 0 --delete-config log.cleaner.threads", long: true, before: brokerKeys},
	{line: configs + "--alter --broker 0 --add-config log.cleaner.threads=2", long: true},
	{line: configs + "--alter --broker 0 --delete-config log.cleaner.threads,log.retention.ms", before: brokerKeys},
	{line: configs + "--alter --entity-type brokers --entity-default --delete-config log.retention.ms", long: true, before: brokerKeys},
	{line: configs + "--alter --broker 0 --add-config broker.id=7", errs: true, long: true, edit: reduced(`(?s).*`)},
	{line: configs + "--describe --broker-logger 0", notOurBroker: "loggers have other names", edit: firstLine},
	{line: configs + "--alter --broker-logger 0 --add-config kafka.server.KafkaApis=DEBUG", long: true, notOurBroker: "loggers have other names"},
	{line: configs + "--alter --broker-logger 0 --delete-config kafka.server.KafkaApis", long: true, notOurBroker: "loggers have other names"},
	{line: configs + "--alter --broker-logger 0 --add-config no.such.Logger=DEBUG", errs: true, long: true},

	{needs: "AlterClientQuotas", line: configs + "--alter --user {T} --add-config producer_byte_rate=1024,consumer_byte_rate=2048.5"},
	{needs: "AlterClientQuotas", line: configs + "--alter --entity-type users --entity-name {T} --entity-type clients --entity-name app --add-config request_percentage=20000000"},
	{needs: "AlterClientQuotas", line: configs + "--alter --client app-{T} --add-config consumer_byte_rate=1000000"},
	{needs: "AlterClientQuotas", line: configs + "--alter --user-defaults --add-config producer_byte_rate=70000000", long: true},
	{needs: "AlterClientQuotas", line: configs + "--alter --entity-type clients --entity-default --add-config producer_byte_rate=70000000", long: true},
	{needs: "AlterClientQuotas", line: configs + "--alter --ip 10.0.0.1 --add-config connection_creation_rate=3", long: true},
	{needs: "AlterClientQuotas", line: configs + "--alter --ip-defaults --add-config connection_creation_rate=50000", long: true},
	{needs: "AlterClientQuotas", line: configs + "--describe --user {T}", edit: values},
	{needs: "AlterClientQuotas", line: configs + "--describe --entity-type users --entity-name {T} --entity-type clients --entity-name app", edit: values},
	{needs: "AlterClientQuotas", line: configs + "--describe --entity-type users --entity-name {T} --entity-type clients", long: true, edit: values},
	{needs: "AlterClientQuotas", line: configs + "--describe --entity-type clients --entity-name app-{T}", long: true, edit: values},
	{needs: "AlterClientQuotas", line: configs + "--describe --user-defaults", long: true, edit: values},
	{needs: "AlterClientQuotas", line: configs + "--describe --client-defaults", long: true, edit: values},
	{needs: "AlterClientQuotas", line: configs + "--describe --entity-type ips", long: true, edit: values},
	{needs: "AlterClientQuotas", line: configs + "--describe --ip-defaults", long: true, edit: values},
	{needs: "AlterClientQuotas", line: configs + "--alter --user {T} --delete-config producer_byte_rate,consumer_byte_rate"},
	{needs: "AlterClientQuotas", line: configs + "--alter --user {T} --delete-config producer_byte_rate", errs: true, long: true},
	{needs: "AlterClientQuotas", line: configs + "--alter --user {T} --add-config producer_byte_rate=fast", errs: true, long: true},
	{needs: "AlterClientQuotas", line: configs + "--alter --user {T} --add-config nope=1", errs: true, long: true},
	{needs: "AlterClientQuotas", line: configs + "--alter --client {T} --add-config nope=1", errs: true, long: true},
	{needs: "AlterClientQuotas", line: configs + "--alter --ip 10.0.0.1 --add-config nope=1", errs: true, long: true},
	{needs: "AlterClientQuotas", line: configs + "--alter --ip no.such.host.invalid --add-config connection_creation_rate=3", errs: true, long: true},
	{needs: "AlterUserScramCredentials", line: configs + "--alter --user {T} --add-config SCRAM-SHA-256=[iterations=8192,password=alice-secret],SCRAM-SHA-512=[password=alice-secret]"},
	{needs: "AlterUserScramCredentials", line: configs + "--describe --user {T}", edit: values},
	{needs: "AlterUserScramCredentials", line: configs + "--describe --entity-type users", long: true, edit: values},
	{needs: "AlterUserScramCredentials", line: configs + "--alter --user {T} --delete-config SCRAM-SHA-512"},
	{needs: "AlterUserScramCredentials", line: configs + "--alter --user {T} --delete-config SCRAM-SHA-512", errs: true, long: true, edit: reduced(`(?s).*`)},
	{needs: "AlterUserScramCredentials", line: configs + "--alter --user {T} --add-config SCRAM-SHA-256=[iterations=5,password=x]", errs: true, long: true},
	{needs: "AlterUserScramCredentials", line: configs + "--alter --user {T} --add-config SCRAM-SHA-256=[password=x],producer_byte_rate=1", errs: true, long: true},
	{needs: "AlterUserScramCredentials", line: configs + "--alter --user-defaults --add-config SCRAM-SHA-256=[password=x]", errs: true, long: true},
	{needs: "AlterUserScramCredentials", line: configs + "--alter --client {T} --add-config SCRAM-SHA-256=[password=x]", errs: true, long: true, edit: reduced(`Set.*`)},
	{line: configs + "--describe --entity-type client-metrics", errs: true, long: true, edit: reduced(`(?s).*`)},

	{set: "kafka-2.8", line: "kafka-configs --zookeeper {Z} --alter --entity-type topics --entity-name old-{T} --add-config segment.bytes=200000", long: true},
	{set: "kafka-2.8", line: "kafka-configs --zookeeper {Z} --describe --entity-type topics --entity-name old-{T}", edit: values},
	{set: "kafka-2.8", line: "kafka-configs --zookeeper {Z} --alter --entity-type users --entity-name old-{T} --add-config producer_byte_rate=5,SCRAM-SHA-256=[password=x]"},
	{set: "kafka-2.8", line: "kafka-configs --zookeeper {Z} --describe --entity-type users --entity-name old-{T}", edit: then(values, reduced(`(salt|stored_key|server_key)=[\w+/=]*`))},
	{set: "kafka-2.8", line: "kafka-configs --zookeeper {Z} --alter --entity-type users --entity-name old-{T} --entity-type clients --entity-name 'my app' --add-config producer_byte_rate=5", long: true},
	{set: "kafka-2.8", line: "kafka-configs --zookeeper {Z} --describe --entity-type users --entity-name old-{T} --entity-type clients", long: true},
	{set: "kafka-2.8", line: "kafka-configs --zookeeper {Z} --alter --entity-type clients --entity-default --add-config producer_byte_rate=50000000", long: true},
	{set: "kafka-2.8", line: "kafka-configs --zookeeper {Z} --describe --entity-type clients --entity-default", long: true},
	{set: "kafka-2.8", line: "kafka-configs --zookeeper {Z} --alter --entity-type users --entity-name old-{T} --delete-config producer_byte_rate,SCRAM-SHA-256"},
	{set: "kafka-2.8", line: "kafka-configs --zookeeper {Z} --alter --entity-type users --entity-name old-{T} --delete-config nope", long: true, errs: true},
	{set: "kafka-2.8", line: "kafka-configs --zookeeper {Z} --alter --entity-type brokers --entity-name 0 --add-config log.cleaner.threads=2", long: true, errs: true, edit: reduced(`(?s).*`)},
	{set: "kafka-2.8", line: "kafka-configs --zookeeper {Z} --alter --entity-type brokers --entity-name 77 --add-config log.cleaner.threads=2", long: true},
	{set: "kafka-2.8", line: "kafka-configs --zookeeper {Z} --describe --entity-type brokers --entity-name 77", long: true},
	{set: "kafka-4", notOurTool: ourDialect, line: configs + "--alter --topic {T} --add-config segment.bytes=1500000"},
	{set: "kafka-4", notOurTool: ourDialect, line: configs + "--describe --topic {T}", edit: sorted},
	{set: "kafka-4", notOurTool: ourDialect, line: configs + "--describe --broker 0 --all", long: true, notOurBroker: "the static configuration differs"},
	{set: "kafka-4", notOurTool: ourDialect, line: configs + "--describe --entity-type groups", long: true, errs: true, edit: reduced(`(?s).*`)},
}
