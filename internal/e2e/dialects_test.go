//go:build unix

package e2e

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A dialect is how one kind of client is asked to produce and to consume in a group. A producer sends the texts "message N"; a
// member prints a line for each record, commits within a second what it has read, and leaves its group on SIGTERM.
type dialect struct {
	name     string
	producer func(t *testing.T, addresses, topic string, count int)
	member   func(t *testing.T, addresses, topic, group string) []string
	parse    func(line string) (partition int32, offset int64, ok bool) // of what a member prints
}

// forever is more records than any test makes: members run until they are told to leave.
const forever = "1000000000"

var dialects = []dialect{
	{"kafka-4", javaProducer("kafka-4"), javaMember("kafka-4"), javaLine}, // the slowest to start comes first
	{"kafka-3.9", javaProducer("kafka-3.9"), javaMember("kafka-3.9"), javaLine},
	{"kafka-node", kafkaNodeProducer, consumes(Node, "tutorial/group.js"), plainLine},
	{"platformatic", produces(Node, "platformatic/producer.mjs"), consumes(Node, "platformatic/group.mjs"), plainLine},
	{"kafkajs", produces(Node, "kafkajs/producer.js"), consumes(Node, "kafkajs/group.js"), plainLine},
	{"librdkafka", produces(Python, "producer.py"), consumes(Python, "group.py"), plainLine},
	{"franz-go", ottlaProducer, ottlaMember, plainLine},
}

// produces and consumes are the programs of testdata: ADDRESS TOPIC COUNT, and a group behind it.
func produces(program func(t testing.TB, program string, args ...string) []string, name string) func(*testing.T, string, string, int) {
	return func(t *testing.T, addresses, topic string, count int) {
		t.Helper()
		Run(t, 2*time.Minute, "", program(t, name, first(addresses), topic, strconv.Itoa(count))...)
	}
}

func consumes(program func(t testing.TB, program string, args ...string) []string, name string) func(*testing.T, string, string, string) []string {
	return func(t *testing.T, addresses, topic, group string) []string {
		t.Helper()
		return program(t, name, first(addresses), topic, forever, group)
	}
}

func first(addresses string) string { a, _, _ := strings.Cut(addresses, ","); return a }

func plainLine(line string) (p int32, o int64, ok bool) {
	n, err := fmt.Sscanf(line, "%d %d message ", &p, &o)
	return p, o, err == nil && n == 2
}

// franz-go is in our own commands.
func ottlaProducer(t *testing.T, addresses, topic string, count int) {
	t.Helper()
	var in strings.Builder
	for i := range count {
		fmt.Fprintf(&in, "message %d\n", i)
	}
	if _, err := Try(time.Minute, "", in.String(), Binary(t), "produce", topic, "--bootstrap-server", addresses); err != nil {
		t.Fatal(err)
	}
}

func ottlaMember(t *testing.T, addresses, topic, group string) []string {
	t.Helper()
	return []string{Binary(t), "consume", topic, "--bootstrap-server", addresses, "--group", group, "--from-beginning", "--print", "partition,offset,value"}
}

// kafkaNodeProducer: kafka-node's plain Producer writes to partition 0; half of the records come from franz-go, so that the
// group has something to share.
func kafkaNodeProducer(t *testing.T, addresses, topic string, count int) {
	t.Helper()
	Run(t, time.Minute, "", Node(t, "tutorial/producer.js", first(addresses), topic, strconv.Itoa(count/2))...)
	franzProduce(t, addresses, topic, count-count/2)
}

func javaProducer(set string) func(t *testing.T, addresses, topic string, count int) {
	return func(t *testing.T, addresses, topic string, count int) {
		t.Helper()
		var in strings.Builder
		for i := range count {
			fmt.Fprintf(&in, "key %d:message %d\n", i, i)
		}
		if _, err := Try(2*time.Minute, "", in.String(), Apache(t, set, "kafka-console-producer", "--bootstrap-server", addresses, "--topic", topic,
			"--property", "parse.key=true", "--property", "key.separator=:")...); err != nil {
			t.Fatal(err)
		}
	}
}

func javaMember(set string) func(t *testing.T, addresses, topic, group string) []string {
	return func(t *testing.T, addresses, topic, group string) []string {
		t.Helper()
		return Apache(t, set, "kafka-console-consumer", "--bootstrap-server", addresses, "--topic", topic, "--group", group, "--from-beginning",
			"--property", "print.partition=true", "--property", "print.offset=true", "--consumer-property", "auto.commit.interval.ms=200",
			"--consumer-property", "session.timeout.ms=10000", "--consumer-property", "heartbeat.interval.ms=500")
	}
}

// javaLine reads what the Apache console consumers print with print.partition and print.offset.
func javaLine(line string) (p int32, o int64, ok bool) {
	n, err := fmt.Sscanf(line, "Partition:%d\tOffset:%d\t", &p, &o)
	return p, o, err == nil && n == 2
}

// franzProduce spreads the texts over all partitions, in gzip: no other codec is known to every client of testdata.
func franzProduce(t *testing.T, addresses, topic string, count int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cl := Client(t, addresses, kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()),
		kgo.ProducerBatchCompression(kgo.GzipCompression()))
	defer cl.Close()
	var records []*kgo.Record
	for i := range count {
		records = append(records, kgo.StringRecord(fmt.Sprint("message ", i)))
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}
