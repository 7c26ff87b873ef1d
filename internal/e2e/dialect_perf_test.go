//go:build unix

package e2e

import (
	"regexp"
	"strings"
)

// figures takes the numbers of a measurement away, and how many lines it took.
func figures(s string) string {
	s = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d:\d{3}`).ReplaceAllString(s, "TIME")
	return regexp.MustCompile(`-?\d+\.\d+(E-?\d+)?`).ReplaceAllString(s, "N")
}

// whole takes whole numbers of milliseconds away too.
var whole = then(figures, func(s string) string {
	s = regexp.MustCompile(`\d+ ms`).ReplaceAllString(s, "N ms")
	return regexp.MustCompile(`= \d+`).ReplaceAllString(s, "= N")
})

// joining takes the times of joining and fetching away, which are whole numbers.
var joining = then(figures, func(s string) string {
	return regexp.MustCompile(`N, -?\d+, -?\d+, N, N`).ReplaceAllString(s, "N, MS, MS, N, N")
})

// polls joins what a consumer's polls returned: how many there are is up to chance.
func polls(s string) string {
	s = regexp.MustCompile(`(?m)^.*"records_consumed".*\n|^.*"offsets_committed".*\n`).ReplaceAllString(s, "")
	return s
}

const (
	verified = "kafka-verifiable-producer --bootstrap-server {K} --topic {T}-v "
	checked  = "kafka-verifiable-consumer --bootstrap-server {K} --topic {T}-v --group-id {T}-v "
)

var perfCalls = []call{
	{line: "kafka-topics --create --bootstrap-server {K} --topic {T}-v"},
	{line: verified + "--max-messages 5"},
	{line: verified + "--max-messages 3 --acks 1 --value-prefix 7 --repeating-keys 2 --message-create-time 1700000000000", long: true},
	{line: verified + "--max-messages 3 --acks 0 --throughput 1000", long: true},
	{line: "kafka-verifiable-producer --bootstrap-server {K} --max-messages 1", long: true, errs: true, edit: reduced(`(?s).*`)},
	{line: verified + "--acks 2", long: true, errs: true, edit: reduced(`(?s).*`)},
	{line: checked + "--max-messages 5 --verbose", edit: polls},
	{line: checked + "--max-messages 3 --group-instance-id one --assignment-strategy org.apache.kafka.clients.consumer.RoundRobinAssignor", long: true, edit: polls},
	{line: strings.Replace(checked, "-id {T}-v", "-id {T}-w", 1) + "--max-messages 3 --enable-autocommit --session-timeout 10000", long: true, edit: polls},
	{line: "kafka-consumer-groups --bootstrap-server {K} --describe --group {T}-v"},
	{set: "kafka-4", notOurTool: ourDialect, line: verified + "--max-messages 5"},
	{set: "kafka-4", notOurTool: ourDialect, line: checked + "--max-messages 5 --verbose", edit: polls},
	{set: "kafka-2.8", notOurTool: ourDialect, line: verified + "--max-messages 5", long: true},
	{set: "kafka-2.8", notOurTool: ourDialect, line: checked + "--max-messages 5 --verbose", long: true, edit: polls},

	{line: "kafka-producer-perf-test --topic {T}-v --num-records 1000 --record-size 100 --throughput -1 --producer-props bootstrap.servers={K} acks=1 compression.type=lz4", edit: whole},
	{line: "kafka-producer-perf-test --topic {T}-v --num-records 10 --payload-monotonic --throughput 1000 --producer-props bootstrap.servers={K}", long: true, edit: whole},
	{line: "kafka-producer-perf-test --topic {T}-v --num-records 10", long: true, errs: true, edit: reduced(`(?s).*`)},
	{line: "kafka-consumer-perf-test --bootstrap-server {K} --topic {T}-v --messages 1000 --group {T}-p", edit: joining},
	{line: "kafka-consumer-perf-test --bootstrap-server {K} --topic {T}-v --messages 100 --hide-header --threads 2", long: true, edit: joining},
	{line: "kafka-consumer-perf-test --bootstrap-server {K} --topic {T}-v --messages 1000000 --timeout 2000 --show-detailed-stats", long: true, edit: firstLine},
	{line: "kafka-consumer-perf-test --bootstrap-server {K} --topic {T}-v", long: true, errs: true, edit: firstLine},
	{line: "kafka-e2e-latency {K} {T}-e 5 all 100", edit: whole},
	{line: "kafka-e2e-latency {K} {T}-e 5 0 100", long: true, errs: true, edit: firstLine},
	{line: "kafka-e2e-latency {K}", long: true, errs: true, edit: firstLine},
	{set: "kafka-4", notOurTool: ourDialect, line: "kafka-producer-perf-test --topic {T}-v --num-records 1000 --record-size 100 --throughput -1 --producer-props bootstrap.servers={K}", edit: whole},
	{set: "kafka-4", notOurTool: ourDialect, line: "kafka-consumer-perf-test --bootstrap-server {K} --topic {T}-v --messages 1000 --group {T}-p4", edit: joining, long: true},
	{set: "kafka-4", notOurTool: ourDialect, line: "kafka-e2e-latency --bootstrap-server {K} --topic {T}-e --num-records 5 --producer-acks all --record-size 100", long: true, edit: whole},
	{set: "kafka-2.8", notOurTool: ourDialect, line: "kafka-producer-perf-test --topic {T}-v --num-records 1000 --record-size 100 --throughput -1 --producer-props bootstrap.servers={K}", long: true, edit: whole},
}
