//go:build unix

package e2e

import (
	"regexp"
	"slices"
	"strings"
)

// batches takes away from a dump what differs between any two logs with the same records: times, checksums, ids of producers.
func batches(s string) string {
	for _, r := range [][2]string{
		{`CreateTime: \d+`, "CreateTime: MS"}, {`crc: \d+`, "crc: N"}, {`producerId: \d+`, "producerId: N"}, {`partitionLeaderEpoch: \d+`, "partitionLeaderEpoch: N"},
	} {
		s = regexp.MustCompile(r[0]).ReplaceAllString(s, r[1])
	}
	return s
}

// decoded keeps the groups, topics and partitions that offsets were committed of.
func decoded(s string) string {
	all := regexp.MustCompile(`"group":"[^"]*","topic":"[^"]*","partition":\d+`).FindAllString(s, -1)
	slices.Sort(all)
	return strings.Join(slices.Compact(all), "\n")
}

// notOurDump is why our kafka-dump-log is not compared here.
const notOurDump = "its own tests compare it"

const firstSegment = "/00000000000000000000"

// dumpCalls look at the files of both brokers after their stop. They have got the same records.
var dumpCalls = []call{
	{line: "kafka-dump-log --files {L}/peer-a-v-0" + firstSegment + ".log", notOurTool: notOurDump, edit: then(batches, firstLine)},
	{line: "kafka-dump-log --files {L}/watched-0" + firstSegment + ".log --deep-iteration --print-data-log", notOurTool: notOurDump, edit: batches},
	{line: "kafka-dump-log --files {L}/watched-0" + firstSegment + ".index,{L}/watched-0" + firstSegment + ".timeindex --index-sanity-check", notOurTool: notOurDump},
	{line: "kafka-dump-log --files {L}/__consumer_offsets-0" + firstSegment + ".log,{L}/__consumer_offsets-1" + firstSegment + ".log,{L}/__consumer_offsets-2" + firstSegment +
		".log,{L}/__consumer_offsets-3" + firstSegment + ".log,{L}/__consumer_offsets-4" + firstSegment + ".log --offsets-decoder", notOurTool: notOurDump, edit: decoded},
	{set: "kafka-4", line: "kafka-dump-log --files {L}/peer-a-v-0" + firstSegment + ".log --deep-iteration --print-data-log", notOurTool: notOurDump, long: true, edit: then(batches, firstLine)},
	{set: "kafka-2.8", line: "kafka-dump-log --files {L}/peer-a-v-0" + firstSegment + ".log --deep-iteration --print-data-log", notOurTool: notOurDump, long: true, edit: then(batches, firstLine)},
}
