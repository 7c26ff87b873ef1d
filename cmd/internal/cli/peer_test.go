//go:build unix

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ottla/internal/e2e"
)

// apache runs a tool of Apache's, from a set of scripts/apache.
func (s servers) apache(t *testing.T, stdin, set, line string) result {
	t.Helper()
	words := strings.Fields(strings.NewReplacer("{K}", s.kafka, "{Z}", s.zookeeper).Replace(line))
	var command []string
	if words[0] == "zookeeper-shell" {
		command = append([]string{filepath.Join(e2e.Root, "scripts", "apache"), "run", set + "/" + words[0], "-server"}, words[1:]...) // their script adds -server
	} else {
		command = e2e.Apache(t, set, words[0], words[1:]...)
	}
	cmd := exec.Command(command[0], command[1:]...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// noise are parts of outputs that differ between any two runs.
var noise = []struct {
	in  *regexp.Regexp
	out string
}{
	{regexp.MustCompile(`TopicId: [\w-]{22}`), "TopicId: ID"},
	{regexp.MustCompile(`(Zxid|ephemeralOwner) = 0x[0-9a-f]+`), "$1 = ZXID"},
	{regexp.MustCompile(`time = .*`), "time = TIME"},
	{regexp.MustCompile(`peer-[ab]`), "peer-x"},
	{regexp.MustCompile(`n\d{10}`), "nNUMBER"},
	{regexp.MustCompile(`Time:\d{13}`), "Time:MS"},
}

func quiet(s string) string {
	for _, n := range noise {
		s = n.in.ReplaceAllString(s, n.out)
	}
	return strings.TrimRight(s, "\n")
}

// A comparison is a call of a tool. In it {T} is a topic that theirs and ours have each for themselves, peer-a and peer-b.
type comparison struct {
	line  string
	stdin string
	set   string // of scripts/apache; "" is kafka-3.9
	// edit says how theirs differs from ours on purpose. It changes their output.
	edit func(string) string
	// errs compares standard error instead: its lines that are no log.
	errs bool
	long bool // compared in the long form only
}

// logged are lines of standard error that log4j writes.
var logged = regexp.MustCompile(`(?m)^(\[\d{4}-.*|\s+at .*|java\..*|Caused by.*|org\.apache\..*| \(.*\))\n?`)

func sorted(s string) string {
	lines := strings.Split(s, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

const old = "kafka-2.8"

var comparisons = []comparison{
	{line: "kafka-topics --create --bootstrap-server {K} --topic {T} --partitions 2 --config retention.ms=100000000 --config segment.bytes=100000"},
	{line: "kafka-topics --create --bootstrap-server {K} --topic {T}", long: true},
	{line: "kafka-topics --create --bootstrap-server {K} --topic {T} --if-not-exists", long: true},
	{line: "kafka-topics --create --bootstrap-server {K} --topic {T}.dot --replica-assignment 0,0", long: true},
	{line: "kafka-topics --create --bootstrap-server {K} --topic {T}3 --replication-factor 3", long: true},
	{line: "kafka-topics --create --bootstrap-server {K} --topic {T}! --partitions 1", long: true},
	{line: "kafka-topics --create --bootstrap-server {K} --topic {T}4 --config nope=1", long: true},
	{line: "kafka-topics --list --bootstrap-server {K}"},
	{line: "kafka-topics --describe --bootstrap-server {K}", edit: sorted}, // their topics come in the order of a hash map
	{line: "kafka-topics --describe --bootstrap-server {K} --topics-with-overrides", long: true, edit: sorted},
	{line: "kafka-topics --describe --bootstrap-server {K} --at-min-isr-partitions", long: true, edit: sorted},
	{line: "kafka-topics --describe --bootstrap-server {K} --topic nope"},
	{line: "kafka-topics --alter --bootstrap-server {K} --topic {T} --partitions 3", long: true},
	{line: "kafka-topics --alter --bootstrap-server {K} --topic {T} --partitions 1", long: true},
	{line: "kafka-topics --delete --bootstrap-server {K} --topic nope", long: true},
	{line: "kafka-topics --delete --bootstrap-server {K} --topic nope --if-exists", long: true},
	{line: "kafka-topics --list", errs: true, long: true, edit: firstLine},

	{set: old, line: "kafka-topics --create --zookeeper {Z} --topic old-{T} --partitions 1 --replication-factor 1 --config retention.ms=500000000"},
	{set: old, line: "kafka-topics --create --zookeeper {Z} --topic old-{T} --partitions 1 --replication-factor 1", long: true},
	{set: old, line: "kafka-topics --create --zookeeper {Z} --topic x-{T} --partitions 1 --replication-factor 3", long: true},
	{set: old, line: "kafka-topics --list --zookeeper {Z}"},
	{set: old, line: "kafka-topics --describe --zookeeper {Z}", edit: func(s string) string { // the order of a hash map
		s = strings.ReplaceAll(s, "Configs: segment.bytes=100000,retention.ms=100000000", "Configs: retention.ms=100000000,segment.bytes=100000")
		return strings.ReplaceAll(s, "compression.type=producer,cleanup.policy=compact", "cleanup.policy=compact,compression.type=producer")
	}},
	{set: old, line: "kafka-topics --describe --zookeeper {Z} --topic nope", long: true},
	{set: old, line: "kafka-topics --alter --zookeeper {Z} --topic old-{T} --partitions 3", long: true},
	{set: old, line: "kafka-topics --alter --zookeeper {Z} --topic old-{T} --config retention.ms=700000000", long: true},
	{set: old, line: "kafka-configs --zookeeper {Z} --alter --entity-type topics --entity-name old-{T} --add-config segment.bytes=200000", long: true},
	{set: old, line: "kafka-configs --zookeeper {Z} --describe --entity-type topics --entity-name old-{T}", long: true, edit: func(s string) string {
		return strings.ReplaceAll(s, "segment.bytes=200000,retention.ms=700000000", "retention.ms=700000000,segment.bytes=200000")
	}},
	{set: old, line: "kafka-topics --delete --zookeeper {Z} --topic old-{T}", long: true},

	{line: "kafka-console-producer --broker-list {K} --topic {T} --property parse.key=true --property key.separator=: --property parse.headers=true --property headers.delimiter=|",
		stdin: "h:1,i:2|k1:v1\nx:y|k2:v2\n"},
	{line: "kafka-console-consumer --bootstrap-server {K} --topic peer-a --from-beginning --max-messages 2 --property print.key=true --property print.timestamp=true --property print.partition=true --property print.offset=true --property print.headers=true", edit: sorted},
	{line: "kafka-console-consumer --bootstrap-server {K} --topic peer-a --partition 0 --offset 0 --timeout-ms 10000 --property print.value=false --property print.key=true --property line.separator=; --property key.separator=/", long: true},
	{line: "kafka-console-consumer --bootstrap-server {K} --topic {T} --from-beginning --group {T} --max-messages 2", edit: sorted},

	{line: "kafka-consumer-groups --bootstrap-server {K} --describe --group peer-a", edit: sorted},
	{line: "kafka-consumer-groups --bootstrap-server {K} --describe --group peer-a --state", long: true},
	{line: "kafka-consumer-groups --bootstrap-server {K} --describe --group peer-a --members --verbose", long: true},
	{line: "kafka-consumer-groups --bootstrap-server {K} --describe --group member", long: true, edit: sorted},
	{line: "kafka-consumer-groups --bootstrap-server {K} --describe --group member --state", long: true},
	{line: "kafka-consumer-groups --bootstrap-server {K} --describe --group member --members --verbose"},
	{line: "kafka-consumer-groups --bootstrap-server {K} --describe --group nobody", long: true},
	{line: "kafka-consumer-groups --bootstrap-server {K} --list", long: true, edit: sorted},
	{line: "kafka-consumer-groups --bootstrap-server {K} --list --state --type", long: true, edit: sorted},
	{line: "kafka-consumer-groups --bootstrap-server {K} --reset-offsets --group {T} --topic peer-a --to-earliest --dry-run", long: true, edit: func(s string) string {
		return sorted(strings.Join(strings.Fields(s), "\n")) // Apache Kafka 3.9 forgets the ends of these lines
	}},

	{line: "kafka-configs --bootstrap-server {K} --describe --topic peer-a"},
	{line: "kafka-configs --bootstrap-server {K} --describe --topic peer-a --all", long: true},
	{line: "kafka-configs --bootstrap-server {K} --describe --entity-type brokers", long: true},
	{line: "kafka-configs --bootstrap-server {K} --alter --topic {T} --add-config max.message.bytes=2000000,cleanup.policy=[delete,compact]"},
	{line: "kafka-configs --bootstrap-server {K} --describe --topic {T}", long: true},
	{line: "kafka-configs --bootstrap-server {K} --alter --entity-type topics --entity-name {T} --delete-config cleanup.policy", long: true},
	{line: "kafka-configs --bootstrap-server {K} --alter --topic {T} --delete-config nope", errs: true, long: true},
	{line: "kafka-configs --bootstrap-server {K} --alter --broker-defaults --add-config log.retention.ms=200000000", long: true},
	{line: "kafka-configs --bootstrap-server {K} --describe --broker-defaults", long: true},

	{line: "zookeeper-shell {Z} ls /brokers"},
	{line: "zookeeper-shell {Z} get -s /controller_epoch", long: true},
	{line: "zookeeper-shell {Z} get /nope", errs: true, long: true},
	{line: "zookeeper-shell {Z} create /{T} data", errs: true, long: true},
	{line: "zookeeper-shell {Z} getAcl /brokers", long: true},
	{line: "zookeeper-shell {Z}", stdin: "create /{T}-2 \"two words\"\nget /{T}-2\nset /{T}-2 more\nstat /{T}-2\ncreate -s /{T}-2/n x\nls -R /{T}-2\nls -s /{T}-2\ndelete /{T}-2\ndeleteall /{T}-2\nget /brokers\nhistory\nquit\n"},
}

func firstLine(s string) string { l, _, _ := strings.Cut(s, "\n"); return l }

// TestToolsAgainstApache runs Apache's tools and ours against the same ZooKeeper and broker of Apache's, and wants the same
// standard output and exit status. What differs on purpose is in the table.
func TestToolsAgainstApache(t *testing.T) {
	e2e.Peers(t, "zookeeper", "kafka-3.9", old)
	t.Setenv("JAVA_OPTS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto")
	zk := e2e.ZooKeeper(t)
	kafka := e2e.Kafka(t, filepath.Join(t.TempDir(), "kafka"), 0, zk.Address)
	s := servers{kafka.Address, zk.Address}
	defer s.member(t)()
	for _, c := range comparisons {
		if c.long && !e2e.Long() {
			continue
		}
		t.Run(c.line, func(t *testing.T) {
			set := c.set
			if set == "" {
				set = "kafka-3.9"
			}
			theirs := s.apache(t, strings.ReplaceAll(c.stdin, "{T}", "peer-a"), set, strings.ReplaceAll(c.line, "{T}", "peer-a"))
			ours := s.call(t, strings.ReplaceAll(c.stdin, "{T}", "peer-b"), strings.ReplaceAll(c.line, "{T}", "peer-b"))
			if ours.code != theirs.code {
				t.Errorf("status %d, theirs %d", ours.code, theirs.code)
			}
			a, b := quiet(theirs.out), quiet(ours.out)
			if c.errs {
				a, b = quiet(logged.ReplaceAllString(theirs.errs, "")), quiet(ours.errs)
			}
			if c.edit != nil {
				a, b = c.edit(a), c.edit(b)
			}
			if d := cmp.Diff(a, b); d != "" {
				t.Errorf("theirs (-), ours (+):\n%s\ntheir standard error: %s\nours: %s", d, theirs.errs, ours.errs)
			}
		})
	}
	for _, server := range []*e2e.Server{kafka, zk} {
		server.Stop(t)
	}
}

// member keeps a consumer in the group "member", for descriptions of it, until it is called off.
func (s servers) member(t *testing.T) (stop func()) {
	t.Helper()
	s.prints(t, "ottla topic create watched -p 2 -b {K}", "")
	p := e2e.Start(t, "", "member", e2e.Binary(t), "as", "kafka-console-consumer", "--bootstrap-server", s.kafka, "--topic", "watched", "--group", "member")
	await(t, func() error {
		if r := s.call(t, "", "ottla group describe member -b {K}"); !strings.Contains(r.out, "Stable, 1 members") {
			return fmt.Errorf("%s%s", r.out, r.errs)
		}
		return nil
	})
	return p.Kill
}
