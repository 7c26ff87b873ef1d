//go:build unix

package e2e

import (
	"regexp"
	"strings"
	"testing"
)

// rows puts the cells of a table one below the other: Apache Kafka 3.9 forgets the ends of lines of what it resets and deletes, and
// prints them in the order of a hash map.
func rows(s string) string {
	s = regexp.MustCompile(`\.(watched|peer-x) `).ReplaceAllString(s, ". $1 ")
	return sorted(strings.Join(strings.Fields(s), "\n"))
}

const groups = "kafka-consumer-groups --bootstrap-server {K} "

// plan writes files that offsets are reset by.
func plan(t *testing.T, p *pair) {
	p.file(t, "one.csv", "peer-a,0,1\n")
	p.file(t, "two.csv", "peer-a,peer-a,0,1\npeer-b,peer-a,0,9\n")
	p.file(t, "empty.properties", "")
}

// groupCalls follow recordCalls, which leave two records in a topic {T} of three partitions, and offsets in the group {T}.
var groupCalls = []call{
	{line: groups + "--reset-offsets --group {T} --topic {T} --to-latest --execute", edit: rows}, // their consumer has committed where it was in empty partitions too
	{line: groups + "--describe --group {T}", edit: sorted},
	{line: groups + "--describe --group {T} --offsets", long: true, edit: sorted},
	{line: groups + "--describe --group {T} --state", long: true},
	{line: groups + "--describe --group {T} --members --verbose", long: true},
	{line: groups + "--describe --group member", long: true, edit: sorted},
	{line: groups + "--describe --group member --state", long: true},
	{line: groups + "--describe --group member --members"},
	{line: groups + "--describe --group member --members --verbose", long: true},
	{line: groups + "--describe --group nobody", long: true},
	{line: groups + "--describe --group nobody --state", long: true},
	{line: groups + "--describe --group nobody --members", long: true},
	{line: groups + "--describe --group nobody", long: true, errs: true},
	{line: groups + "--describe --group {T} --group member --group nobody", edit: sorted},
	{line: groups + "--describe --all-groups --state", long: true, edit: rows},
	{line: groups + "--describe --all-groups --members", long: true, edit: rows},
	{line: groups + "--describe --all-groups --offsets --timeout 20000 --command-config {D}/empty.properties", long: true, edit: rows, before: plan},
	{line: groups + "--describe --group {T} --state Empty", long: true, errs: true, edit: firstLine},
	{line: groups + "--describe", long: true, errs: true, edit: then(firstLine, reduced(`: .*`))},
	{line: groups + "--describe --group {T} --members --state", long: true, errs: true, edit: then(firstLine, reduced(`: .*`))},
	{line: groups + "--list", edit: sorted},
	{line: groups + "--list --state --type", edit: sorted},
	{line: groups + "--list --state", long: true, edit: sorted},
	{line: groups + "--list --type", long: true, edit: sorted},
	{line: groups + "--list --state stable,EMPTY", long: true, edit: sorted},
	{line: groups + "--list --state Stable", long: true, edit: sorted},
	{line: groups + "--list --type consumer", long: true},
	{line: groups + "--list --type Classic --state Empty", long: true, edit: sorted},
	{line: groups + "--list --state nope", long: true, errs: true, edit: firstLine},
	{line: groups + "--list --type nope", long: true, errs: true, edit: firstLine},
	{line: groups + "--list --group {T}", long: true, errs: true, edit: firstLine},
	{line: groups + "--list --describe --group {T}", long: true, errs: true, edit: reduced(`(?s).*`)}, // which of two complaints comes first
	{line: groups[:21], long: true, errs: true, edit: reduced(`(?s).*`)},

	{line: groups + "--reset-offsets --group {T} --topic {T} --to-earliest --dry-run", edit: rows},
	{line: groups + "--reset-offsets --group {T} --topic {T} --to-earliest", long: true, edit: rows},
	{line: groups + "--reset-offsets --group {T} --topic {T} --to-earliest --execute", edit: rows},
	{line: groups + "--describe --group {T}", edit: sorted},
	{line: groups + "--reset-offsets --group {T} --all-topics --to-latest --execute", edit: rows},
	{line: groups + "--reset-offsets --group {T} --topic {T}:0,1 --to-offset 1 --execute", edit: rows},
	{line: groups + "--reset-offsets --group {T} --topic {T}:0 --topic watched --to-offset 0 --execute", long: true, edit: rows},
	{line: groups + "--reset-offsets --group {T} --topic {T} --to-offset 99 --dry-run", long: true, edit: rows},
	{line: groups + "--reset-offsets --group {T} --topic {T} --shift-by -1 --execute", edit: rows},
	{line: groups + "--reset-offsets --group {T} --topic {T} --shift-by 5 --dry-run", long: true, edit: rows},
	{line: groups + "--reset-offsets --group {T} --topic {T} --shift-by -99 --dry-run", long: true, edit: rows},
	{line: groups + "--reset-offsets --group unknown --topic {T} --shift-by 1 --dry-run", long: true, errs: true, edit: then(firstLine, reduced(`-\d since`))},
	{line: groups + "--reset-offsets --group {T} --all-topics --to-current --execute", edit: rows},
	{line: groups + "--reset-offsets --group unknown --topic {T} --to-current --dry-run", long: true, edit: rows},
	{line: groups + "--reset-offsets --group {T} --topic {T} --to-datetime 2020-01-01T00:00:00.000 --execute", edit: rows},
	{line: groups + "--reset-offsets --group {T} --topic {T} --to-datetime 2099-01-01T00:00:00.000+01:00 --dry-run", long: true, edit: rows},
	{line: groups + "--reset-offsets --group {T} --topic {T} --by-duration P1DT2H --dry-run", edit: rows},
	{line: groups + "--reset-offsets --group {T} --topic {T} --by-duration PT0S --dry-run", long: true, edit: rows},
	{line: groups + "--reset-offsets --group {T} --topic {T} --by-duration soon --dry-run", long: true, edit: rows},
	{line: groups + "--reset-offsets --group {T} --topic {T} --to-earliest --export --dry-run", edit: sorted},
	{line: groups + "--reset-offsets --all-groups --topic {T} --to-earliest --export --dry-run", long: true, edit: sorted},
	{line: groups + "--reset-offsets --all-groups --topic {T} --to-latest --dry-run", long: true, edit: rows},
	{line: groups + "--reset-offsets --group {T} --from-file {D}/one.csv --dry-run", edit: rows, before: plan},
	{line: groups + "--reset-offsets --group peer-a --group peer-b --from-file {D}/two.csv --dry-run", long: true, edit: rows, before: plan},
	{line: groups + "--reset-offsets --group peer-a --group other --from-file {D}/two.csv --dry-run", long: true, edit: rows, before: plan},
	{line: groups + "--reset-offsets --group {T} --topic nope --to-earliest --dry-run", long: true},
	{line: groups + "--reset-offsets --group {T} --topic {T}:x --to-earliest --dry-run", long: true, errs: true, edit: firstLine},
	{line: groups + "--reset-offsets --group member --topic watched --to-earliest --execute", edit: rows},
	{line: groups + "--reset-offsets --group {T} --to-earliest --dry-run", long: true, errs: true, edit: firstLine},
	{line: groups + "--reset-offsets --group {T} --topic {T} --dry-run", long: true, errs: true, edit: then(firstLine, reduced(`: .*`))},
	{line: groups + "--reset-offsets --topic {T} --to-earliest --dry-run", long: true, errs: true, edit: then(firstLine, reduced(`: .*`))},
	{line: groups + "--reset-offsets --group {T} --topic {T} --to-earliest --to-latest --dry-run", long: true, errs: true, edit: reduced(`(?s).*`)},
	{line: groups + "--reset-offsets --group {T} --topic {T} --to-earliest --execute --dry-run", long: true, errs: true, edit: firstLine},

	{line: groups + "--delete-offsets --group {T} --topic {T}:0", edit: rows},
	{line: groups + "--delete-offsets --group {T} --topic {T}", long: true, edit: rows},
	{line: groups + "--delete-offsets --group member --topic watched", edit: rows},
	{line: groups + "--delete-offsets --group nobody --topic watched", long: true, edit: rows},
	{line: groups + "--delete-offsets --group {T}", long: true, errs: true, edit: then(firstLine, reduced(`: .*`))},
	{line: groups + "--delete --group {T}-1"},
	{line: groups + "--delete --group {T}-1 --group {T}", edit: sorted, theirs: reduced(`, '$`), long: true},
	{line: groups + "--delete --group member", edit: sorted},
	{line: groups + "--delete --group {T} --topic {T}", long: true, errs: true, edit: firstLine},
	{line: groups + "--delete", long: true, errs: true, edit: then(firstLine, reduced(`: .*`))},
	{set: "kafka-4", notOurTool: ourDialect, line: groups + "--describe --group member --offsets --verbose", edit: sorted},
	{set: "kafka-4", notOurTool: ourDialect, line: groups + "--describe --group member --state --verbose", long: true, edit: sorted},
	{set: "kafka-4", notOurTool: ourDialect, line: groups + "--describe --group member --members --verbose", long: true, edit: sorted},
	{set: "kafka-4", notOurTool: ourDialect, line: groups + "--list --state --type", edit: sorted},
	{set: "kafka-4", notOurTool: ourDialect, line: groups + "--reset-offsets --group new --topic {T} --to-latest --execute", edit: rows},
	{set: "kafka-2.8", notOurTool: ourDialect, line: groups + "--describe --group member", edit: sorted},
	{set: "kafka-2.8", notOurTool: ourDialect, line: groups + "--reset-offsets --group new --topic {T} --to-earliest --execute", edit: rows},
}
