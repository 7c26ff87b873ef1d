//go:build unix

package e2e

import (
	"regexp"
	"strings"
	"testing"
)

const offsets = "kafka-get-offsets --bootstrap-server {K} "

// deletions writes files that records are deleted by.
func deletions(t *testing.T, p *pair) {
	p.file(t, "peer-a.json", `{"partitions": [{"topic": "peer-a", "partition": 0, "offset": 1}, {"topic": "peer-a", "partition": 2, "offset": -1}], "version": 1}`)
	p.file(t, "peer-b.json", `{"partitions": [{"topic": "peer-b", "partition": 0, "offset": 1}, {"topic": "peer-b", "partition": 2, "offset": -1}], "version": 1}`)
	p.file(t, "far.json", `{"partitions": [{"topic": "peer-a", "partition": 0, "offset": 99}]}`)
	p.file(t, "twice.json", `{"partitions": [{"topic": "peer-a", "partition": 0, "offset": 1}, {"topic": "peer-a", "partition": 0, "offset": 1}]}`)
	p.file(t, "none.json", `{"version": 1}`)
	p.file(t, "new.json", `{"version": 2}`)
}

var clusterCalls = []call{
	{line: offsets + "--topic peer-a"},
	{line: offsets + "--topic peer-a --time earliest", long: true},
	{line: offsets + "--topic peer-a --time -3", long: true},
	{line: offsets + "--topic peer-a --time earliest-local", long: true},
	{line: offsets + "--topic peer-a --time latest-tiered", long: true},
	{line: offsets + "--topic peer-a --time 0", long: true},
	{line: offsets + "--topic peer-a --time 9999999999999", long: true},
	{line: offsets + "--topic 'peer-a|watched' --partitions 0,1 --exclude-internal-topics"},
	{line: offsets + "--topic-partitions peer-a:1-,watched:0,:-0", long: true},
	{line: offsets + "--topic-partitions peer-a:0-2,x:5", long: true},
	{line: "kafka-get-offsets --broker-list {K} --topic-partitions peer-a", long: true},
	{line: offsets + "--topic nope", errs: true, long: true},
	{line: offsets + "--topic peer-a --time yesterday", errs: true, long: true},
	{line: offsets + "--topic peer-a --partitions a", errs: true, long: true},
	{line: offsets + "--topic-partitions peer-a --topic peer-a", errs: true, long: true},
	{line: offsets + "--topic-partitions a:b", errs: true, long: true, theirs: reduced(`org.apache.kafka.tools.TerseException: `), edit: firstLine},
	{set: "kafka-4", notOurTool: ourDialect, line: offsets + "--topic peer-a"},
	{set: "kafka-2.8", notOurTool: ourDialect, line: offsets + "--topic peer-a", long: true},

	{needs: "DeleteRecords", line: "kafka-delete-records --bootstrap-server {K} --offset-json-file {D}/{T}.json", edit: sorted, before: deletions},
	{needs: "DeleteRecords", line: offsets + "--topic {T} --time earliest"},
	{needs: "DeleteRecords", line: "kafka-delete-records --bootstrap-server {K} --offset-json-file {D}/far.json", long: true},
	{needs: "DeleteRecords", line: "kafka-delete-records --bootstrap-server {K} --offset-json-file {D}/twice.json", errs: true, long: true, edit: firstLine},
	{needs: "DeleteRecords", line: "kafka-delete-records --bootstrap-server {K} --offset-json-file {D}/none.json", errs: true, long: true, edit: firstLine},
	{needs: "DeleteRecords", line: "kafka-delete-records --bootstrap-server {K} --offset-json-file {D}/new.json", errs: true, long: true, edit: firstLine},
	{needs: "DeleteRecords", line: "kafka-delete-records --bootstrap-server {K}", errs: true, long: true, edit: firstLine},
	{needs: "DeleteRecords", set: "kafka-4", notOurTool: ourDialect, line: "kafka-delete-records --bootstrap-server {K} --offset-json-file {D}/peer-a.json", edit: sorted},

	{line: "kafka-cluster cluster-id --bootstrap-server {K}"},
	{line: "kafka-cluster unregister --id 5 --bootstrap-server {K}", long: true},
	{line: "kafka-cluster cluster-id", errs: true, long: true, edit: reduced(`(?s).*`)},
	{line: "kafka-features --bootstrap-server {K} describe"},
	{line: "kafka-features --bootstrap-server {K} upgrade --feature metadata.version=5", needs: "UpdateFeatures"},
	{line: "kafka-features --bootstrap-server {K} downgrade --feature metadata.version=5 --dry-run", needs: "UpdateFeatures", long: true},
	{line: "kafka-features --bootstrap-server {K} disable --feature x", needs: "UpdateFeatures", long: true},
	{line: "kafka-features --bootstrap-server {K} upgrade", errs: true, long: true},
	{line: "kafka-features --bootstrap-server {K} upgrade --feature x", errs: true, long: true},
	{line: "kafka-features --bootstrap-server {K} upgrade --feature x=y", errs: true, long: true, edit: reduced(`(?s).*`)},

	{line: "kafka-broker-api-versions --bootstrap-server {K}", notOurBroker: "APIs of later steps: TestJavaTools/API_versions compares the rest"},
	{line: "kafka-broker-api-versions --bootstrap-server {K}", edit: served},
	{set: "kafka-4", notOurTool: ourDialect, line: "kafka-broker-api-versions --bootstrap-server {K}", edit: served},
	{set: "kafka-2.8", notOurTool: ourDialect, line: "kafka-broker-api-versions --bootstrap-server {K}", long: true, edit: served},
	{line: "kafka-broker-api-versions", errs: true, long: true, edit: reduced(`(?s).*`)},

	{line: "kafka-log-dirs --describe --bootstrap-server {K} --topic-list peer-a,watched", needs: "DescribeLogDirs", edit: dirs},
	{line: "kafka-log-dirs --describe --bootstrap-server {K} --topic-list peer-a --broker-list 0", needs: "DescribeLogDirs", long: true, edit: dirs},
	{line: "kafka-log-dirs --describe --bootstrap-server {K} --topic-list nope", needs: "DescribeLogDirs", long: true, edit: dirs},
	{line: "kafka-log-dirs --describe --bootstrap-server {K} --broker-list 0,7", errs: true, long: true},
	{line: "kafka-log-dirs --bootstrap-server {K}", errs: true, long: true, edit: firstLine},
	{set: "kafka-4", notOurTool: ourDialect, line: "kafka-log-dirs --describe --bootstrap-server {K} --topic-list peer-a", needs: "DescribeLogDirs", edit: dirs},

	{line: elect + "preferred --all-topic-partitions", needs: "ElectLeaders"},
	{line: elect + "preferred --topic peer-a --partition 0", needs: "ElectLeaders"},
	{line: elect + "UNCLEAN --topic peer-a --partition 1", needs: "ElectLeaders", long: true},
	{line: elect + "preferred --topic nope --partition 0", needs: "ElectLeaders", long: true},
	{line: elect + "preferred --path-to-json-file {D}/elect.json", needs: "ElectLeaders", long: true, before: ballots},
	{line: elect + "preferred --path-to-json-file {D}/none.json", errs: true, long: true, before: ballots, edit: firstLine},
	{line: elect + "preferred", errs: true, long: true, edit: firstLine},
	{line: elect + "preferred --topic x", errs: true, long: true, edit: firstLine},
	{line: elect + "preferred --all-topic-partitions --partition 0", errs: true, long: true, edit: firstLine},
	{line: "kafka-leader-election", errs: true, long: true, edit: reduced(`(?s).*`)},
	{set: "kafka-4", notOurTool: ourDialect, line: elect + "preferred --topic peer-a --partition 0", needs: "ElectLeaders"},

	{line: txns + "list", needs: "ListTransactions"},
	{line: txns + "list --duration-filter 1000", needs: "ListTransactions", notOurTool: "3.9 does not have the option", long: true, edit: reduced(`(?s).*`)},
	{line: txns + "describe --transactional-id nobody", notOurBroker: "the coordinator of a transactional id is refused until there are transactions", errs: true},
	{line: txns + "describe-producers --topic watched --partition 0", needs: "DescribeProducers"},
	{set: "kafka-4", notOurTool: ourDialect, line: txns + "list", needs: "ListTransactions"},

	{line: acls + "--list", needs: "DescribeAcls", edit: firstLine},
	{line: acls + "--add --allow-principal User:alice --operation read --topic peer-a", needs: "CreateAcls", edit: squeezed},
	{line: acls + "--add --allow-principal User:alice --producer --topic peer-a", needs: "CreateAcls", long: true, edit: then(squeezed, reduced("(?s)Adding.*Error"))},
	{line: acls + "--remove --force --allow-principal User:alice --consumer --topic peer-a --group g", needs: "DeleteAcls", long: true, edit: squeezed},
	{line: acls + "--list --topic peer-a --principal User:alice", needs: "DescribeAcls", long: true, edit: squeezed},
	{line: acls + "--add --allow-principal User:alice --operation read", errs: true, long: true, edit: firstLine},
	{line: acls + "--add --topic peer-a", errs: true, long: true, edit: firstLine},
	{line: acls + "--add --list", errs: true, long: true, edit: then(firstLine, strings.TrimSpace)},
	{line: acls + "--add --consumer --topic x", errs: true, long: true, edit: firstLine},
	{line: acls + "--add --idempotent --cluster", errs: true, long: true, edit: firstLine},
	{set: "kafka-4", notOurTool: ourDialect, line: acls + "--list", needs: "DescribeAcls", edit: firstLine},
	{set: "kafka-2.8", notOurTool: ourDialect, line: acls + "--list", needs: "DescribeAcls", long: true, edit: firstLine},
}

const (
	elect = "kafka-leader-election --bootstrap-server {K} --election-type "
	txns  = "kafka-transactions --bootstrap-server {K} "
	acls  = "kafka-acls --bootstrap-server {K} "
)

func ballots(t *testing.T, p *pair) {
	p.file(t, "elect.json", `{"partitions": [{"topic": "peer-a", "partition": 0}, {"topic": "peer-a", "partition": 1}]}`)
	p.file(t, "none.json", `{"version": 1}`)
}

// squeezed has one blank where there were several, lines included.
func squeezed(s string) string { return strings.Join(strings.Fields(s), " ") }

// served keeps the lines of APIs that every broker of 3.9 with one replica has.
func served(s string) string {
	var out []string
	for line := range strings.Lines(s) {
		if regexp.MustCompile(`^\s(Produce|Fetch|ListOffsets|Metadata|OffsetCommit|OffsetFetch|FindCoordinator|JoinGroup|CreateTopics|DescribeConfigs|InitProducerId|DescribeGroups)\(`).MatchString(line) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// dirs sorts the partitions in an answer of kafka-log-dirs, whose order is that of a hash map, and takes sizes and paths away.
func dirs(s string) string {
	s = regexp.MustCompile(`"size":\d+`).ReplaceAllString(s, `"size":N`)
	s = regexp.MustCompile(`"logDir":"[^"]*"`).ReplaceAllString(s, `"logDir":"DIR"`)
	return sorted(strings.NewReplacer("{", "\n{", "}", "\n}", "},", "\n}").Replace(s))
}
