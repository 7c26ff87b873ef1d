//go:build unix

package e2e

import "strings"

var topicCalls = []call{
	{line: "kafka-topics --create --bootstrap-server {K} --topic {T} --partitions 2 --config retention.ms=100000000 --config segment.bytes=100000"},
	{line: "kafka-topics --create --bootstrap-server {K} --topic {T}", long: true},
	{line: "kafka-topics --create --bootstrap-server {K} --topic {T} --if-not-exists", long: true},
	{line: "kafka-topics --create --bootstrap-server {K} --topic {T}.dot --replica-assignment 0,0", long: true},
	{line: "kafka-topics --create --bootstrap-server {K} --topic {T}3 --replication-factor 3", long: true},
	{line: "kafka-topics --create --bootstrap-server {K} --topic {T}! --partitions 1", long: true},
	{line: "kafka-topics --create --bootstrap-server {K} --topic {T}4 --config nope=1", long: true},
	{line: "kafka-topics --list --bootstrap-server {K}"},
	{line: "kafka-topics --list --bootstrap-server {K} --exclude-internal", long: true},
	{line: "kafka-topics --list --bootstrap-server {K} --topic watch.*|nope", long: true},
	{line: "kafka-topics --list --bootstrap-server {K} --topic nope", long: true},
	{line: "kafka-topics --describe --bootstrap-server {K} --unavailable-partitions", long: true},
	{line: "kafka-topics --describe --bootstrap-server {K} --under-replicated-partitions", long: true},
	{line: "kafka-topics --describe --bootstrap-server {K} --under-min-isr-partitions --exclude-internal", long: true},
	{line: "kafka-topics --describe --bootstrap-server {K} --topic-id AAAAAAAAAAAAAAAAAAAAAQ", long: true, notOurTool: "theirs looks for an id by a request of a later version"},
	{line: "kafka-topics --describe --bootstrap-server {K} --topic nope --if-exists", long: true},
	{line: "kafka-topics --create --bootstrap-server {K} --topic {T} --partitions 2 --replication 1", long: true},
	{line: "kafka-topics --create --bootstrap-server {K} --topic {T}5 --partitions 0", long: true},
	{line: "kafka-topics --create --bootstrap-server {K} --topic {T}5 --replication-factor 0", long: true},
	{line: "kafka-topics --create --bootstrap-server {K} --topic {T}5 --config x", long: true, edit: reduced(`(?s).*`)},
	{line: "kafka-topics --create --bootstrap-server {K} --topic {T}5 --replica-assignment 0,0:0", long: true, edit: reduced(`(?s).*`)},
	{line: "kafka-topics --create --bootstrap-server {K}", errs: true, long: true, edit: firstLine},
	{line: "kafka-topics --create --list --bootstrap-server {K}", errs: true, long: true, edit: firstLine},
	{line: "kafka-topics --create --bootstrap-server {K} --topic {T} --replica-assignment 0 --partitions 2", errs: true, long: true, edit: firstLine},
	{line: "kafka-topics --alter --bootstrap-server {K} --topic {T} --config a=b", errs: true, long: true, edit: firstLine},
	{line: "kafka-topics --alter --bootstrap-server {K} --topic {T} --delete-config a", errs: true, long: true, edit: firstLine},
	{line: "kafka-topics --alter --bootstrap-server {K} --topic nope --partitions 3 --if-exists", long: true},
	{line: "kafka-topics --delete --bootstrap-server {K} --topic {T} --exclude-internal", errs: true, long: true, edit: firstLine},
	{set: "kafka-4", notOurTool: ourDialect, line: "kafka-topics --describe --bootstrap-server {K} --topic watched"},
	{set: "kafka-4", notOurTool: ourDialect, line: "kafka-topics --create --bootstrap-server {K} --topic {T}-4 --partitions 3 --config retention.ms=1000000", long: true},
	{set: "kafka-4", notOurTool: ourDialect, line: "kafka-topics --alter --bootstrap-server {K} --topic {T}-4 --partitions 4", long: true},
	{set: "kafka-4", notOurTool: ourDialect, line: "kafka-topics --delete --bootstrap-server {K} --topic {T}-4", long: true},
	{line: "kafka-topics --describe --bootstrap-server {K}", edit: sorted}, // their topics come in the order of a hash map
	{line: "kafka-topics --describe --bootstrap-server {K} --topics-with-overrides", long: true, edit: sorted},
	{line: "kafka-topics --describe --bootstrap-server {K} --at-min-isr-partitions", long: true, edit: sorted},
	{line: "kafka-topics --describe --bootstrap-server {K} --topic nope"},
	{line: "kafka-topics --alter --bootstrap-server {K} --topic {T} --partitions 3"},
	{line: "kafka-topics --alter --bootstrap-server {K} --topic {T} --partitions 1", long: true},
	{line: "kafka-topics --delete --bootstrap-server {K} --topic nope", long: true},
	{line: "kafka-topics --delete --bootstrap-server {K} --topic nope --if-exists", long: true},
	{line: "kafka-topics --list", errs: true, long: true, edit: firstLine},

	{set: "kafka-2.8", line: "kafka-topics --create --zookeeper {Z} --topic old-{T} --partitions 1 --replication-factor 1 --config retention.ms=500000000"},
	{set: "kafka-2.8", line: "kafka-topics --create --zookeeper {Z} --topic old-{T} --partitions 1 --replication-factor 1", long: true},
	{set: "kafka-2.8", line: "kafka-topics --create --zookeeper {Z} --topic x-{T} --partitions 1 --replication-factor 3", long: true},
	{set: "kafka-2.8", line: "kafka-topics --list --zookeeper {Z}"},
	{set: "kafka-2.8", line: "kafka-topics --describe --zookeeper {Z}", edit: func(s string) string { // the order of a hash map
		s = strings.ReplaceAll(s, "Configs: segment.bytes=100000,retention.ms=100000000", "Configs: retention.ms=100000000,segment.bytes=100000")
		return strings.ReplaceAll(s, "compression.type=producer,cleanup.policy=compact", "cleanup.policy=compact,compression.type=producer")
	}},
	{set: "kafka-2.8", line: "kafka-topics --describe --zookeeper {Z} --topic nope", long: true},
	{set: "kafka-2.8", line: "kafka-topics --alter --zookeeper {Z} --topic old-{T} --partitions 3", long: true},
	{set: "kafka-2.8", line: "kafka-topics --alter --zookeeper {Z} --topic old-{T} --config retention.ms=700000000", long: true},
	{set: "kafka-2.8", line: "kafka-topics --delete --zookeeper {Z} --topic old-{T}", long: true},
}
