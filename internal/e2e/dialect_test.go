//go:build unix

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A call is a command line that is run four times: Apache's tool on Apache's servers is the oracle; our tool on Apache's, Apache's
// tool on ours and our tool on ours must end with the same status and print the same. In it {K} and {Z} are the servers, {T} is a
// name that each tool has for itself, peer-a or peer-b, {D} a directory with files and {L} the log directory of the broker.
type call struct {
	line  string
	stdin string
	set   string // of scripts/apache; "" is kafka-3.9
	// edit takes away what differs between any two runs, or on purpose. It changes all outputs, or with theirs Apache's only.
	edit   func(string) string
	theirs func(string) string
	errs   bool // compare standard error instead: its lines that are no log
	long   bool // in the long form only
	// Reasons to leave some of the runs out.
	notOurTool, notOurBroker string
	needs                    string // an API without which our broker is left out
	// before is run before each of the four calls.
	before func(t *testing.T, p *pair)
}

// ourDialect is why tools of other versions are run on both servers, and ours is not compared with them.
const ourDialect = "our dialect is that of 3.9"

// pair is a ZooKeeper and a broker.
type pair struct {
	kafka, zookeeper string
	dir              string          // {D}
	logs             string          // {L}: the broker's log directory
	apis             map[string]bool // of our broker
}

func (p *pair) fill(text, name string) string {
	return strings.NewReplacer("{K}", p.kafka, "{Z}", p.zookeeper, "{T}", name, "{D}", p.dir, "{L}", p.logs).Replace(text)
}

// words splits a line at blanks; '…' keeps some together.
func words(line string) []string {
	var out []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			out = append(out, part)
		} else {
			out = append(out, strings.Fields(part)...)
		}
	}
	return out
}

// ours runs a tool of ours.
func (p *pair) ours(t *testing.T, stdin, line string) Printed {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, Binary(t), append([]string{"as"}, words(line)...)...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = strings.NewReader(stdin), &out, &errs, 5*time.Second
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		t.Fatalf("%s: %v", line, errors.Join(err, ctx.Err()))
	}
	return Printed{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

func (p *pair) theirs(t *testing.T, b *Toolbox, stdin, line string) Printed {
	t.Helper()
	w := words(line)
	if w[0] == "zookeeper-shell" {
		w = slices.Insert(w, 1, "-server") // as their script does
	}
	return b.Run(t, time.Minute, stdin, w[0], w[1:]...)
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
	{regexp.MustCompile(`\nWATCHER::\n|\nWatchedEvent .*\n`), ""}, // comes at any time
	{regexp.MustCompile(`(test-group|perf-consumer)-\d+`), "$1-N"},
	{regexp.MustCompile(`n\d{10}`), "nNUMBER"},
	{regexp.MustCompile(`Time:\d{13}`), "Time:MS"},
	{regexp.MustCompile(`"timestamp":\d{13}`), `"timestamp":MS`},
	{regexp.MustCompile(`"avg_throughput":[\d.E]+`), `"avg_throughput":N`},
	{regexp.MustCompile(`127\.0\.0\.1:\d{5}`), "127.0.0.1:PPPPP"},
	{regexp.MustCompile(`Cluster ID: [\w-]{22}`), "Cluster ID: ID"},
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "UUID"},
}

// logged are lines that a tool of Apache's logs, and the traces that it prints of exceptions.
var logged = regexp.MustCompile(`(?m)^(\[\d{4}-.*|\s+at .*|java\..*|Caused by.*|org\.apache\..*| \(.*\))\n?`)

func comparable(s string) string {
	s = logged.ReplaceAllString(s, "")
	for _, n := range noise {
		s = n.in.ReplaceAllString(s, n.out)
	}
	return strings.TrimRight(s, "\n")
}

func sorted(s string) string {
	lines := strings.Split(s, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func firstLine(s string) string { l, _, _ := strings.Cut(s, "\n"); return l }

// reduced removes what matches.
func reduced(pattern string) func(string) string {
	re := regexp.MustCompile(pattern)
	return func(s string) string { return re.ReplaceAllString(s, "") }
}

// then edits by several functions, one after the other.
func then(edits ...func(string) string) func(string) string {
	return func(s string) string {
		for _, f := range edits {
			s = f(s)
		}
		return s
	}
}

// TestTools compares tools and brokers, ours and Apache's, by the calls of the tables.
func TestTools(t *testing.T) {
	Peers(t, "zookeeper", "kafka-3.9", "kafka-4", "kafka-2.8")
	zk, coord := ZooKeeper(t), Coordinator(t)
	lines := []string{"offsets.topic.num.partitions=5", "num.partitions=1", "delete.topic.enable=true"}
	kafkaDir, brokerDir := t.TempDir(), t.TempDir()
	kafka, broker := Kafka(t, kafkaDir, 0, zk.Address, lines...), BrokerOn(t, brokerDir, 0, coord.Address, lines...)
	apache, ottla := &pair{kafka: kafka.Address, zookeeper: zk.Address, dir: t.TempDir(), logs: filepath.Join(kafkaDir, "data")}, &pair{kafka: broker.Address, zookeeper: coord.Address, dir: t.TempDir(), logs: filepath.Join(brokerDir, "data"), apis: apisOf(t, broker.Address)}
	sets := map[string]*Toolbox{}
	for _, p := range []*pair{apache, ottla} {
		defer p.member(t)()
	}
	compare := func(tables ...[]call) {
		for _, c := range slices.Concat(tables...) {
			if c.long && !Long() {
				continue
			}
			if c.set == "" {
				c.set = "kafka-3.9"
			}
			if sets[c.set] == nil {
				sets[c.set] = OpenTools(t, c.set)
			}
			t.Run(c.set+" "+c.line, func(t *testing.T) { c.compare(t, sets[c.set], apache, ottla) })
		}
	}
	compare(topicCalls, recordCalls, groupCalls, configCalls, clusterCalls, perfCalls, shellCalls)
	kafka.Stop(t)
	broker.Stop(t)
	compare(dumpCalls) // of files that nobody writes
	zk.Stop(t)
	coord.Stop(t)
}

func (c *call) compare(t *testing.T, b *Toolbox, apache, ottla *pair) {
	run := func(p *pair, name string, tool func(t *testing.T, stdin, line string) Printed) (Printed, string) {
		t.Helper()
		if c.before != nil {
			c.before(t, p)
		}
		r := tool(t, p.fill(c.stdin, name), p.fill(c.line, name))
		text := r.Out
		if c.errs {
			text = r.Errs
		}
		if text = comparable(strings.NewReplacer(p.dir, "{D}", p.logs, "{L}").Replace(text)); c.edit != nil {
			text = c.edit(text)
		}
		return r, text
	}
	java := func(p *pair) func(t *testing.T, stdin, line string) Printed {
		return func(t *testing.T, stdin, line string) Printed { return p.theirs(t, b, stdin, line) }
	}
	want, wanted := run(apache, "peer-a", java(apache))
	check := func(what string, got Printed, text, wanted string) {
		t.Helper()
		if got.Status != want.Status {
			t.Errorf("%s: status %d, Apache's %d", what, got.Status, want.Status)
		}
		if d := cmp.Diff(wanted, text); d != "" {
			t.Errorf("%s: Apache's (-), ours (+):\n%s\ntheir standard error: %s\nours: %s", what, d, want.Errs, got.Errs)
		}
	}
	edited := wanted
	if c.theirs != nil {
		edited = c.theirs(wanted)
	}
	if c.needs != "" && !ottla.apis[c.needs] {
		t.Logf("our broker does not have %s yet", c.needs)
		c.notOurBroker = "lacks " + c.needs
	}
	if c.notOurTool == "" {
		got, text := run(apache, "peer-b", apache.ours)
		check("our tool on their server", got, text, edited)
	}
	if c.notOurBroker == "" {
		got, text := run(ottla, "peer-a", java(ottla))
		check("their tool on our server", got, text, wanted)
	}
	if c.notOurTool == "" && c.notOurBroker == "" {
		got, text := run(ottla, "peer-b", ottla.ours)
		check("our tool on our server", got, text, edited)
	}
}

// member keeps a consumer in the group "member", for descriptions of it, until it is called off.
func (p *pair) member(t *testing.T) (stop func()) {
	t.Helper()
	if r := p.ours(t, "", p.fill("kafka-topics --create --topic watched --partitions 2 --bootstrap-server {K}", "")); r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	consumer := Start(t, "", "member", append([]string{Binary(t), "as"}, words(p.fill("kafka-console-consumer --bootstrap-server {K} --topic watched --group member", ""))...)...)
	Await(t, 30*time.Second, "the member has joined", func() error {
		if r := p.ours(t, "", p.fill("kafka-consumer-groups --bootstrap-server {K} --describe --group member --state", "")); !strings.Contains(r.Out, "Stable") {
			return fmt.Errorf("%s%s", r.Out, r.Errs)
		}
		return nil
	})
	return consumer.Kill
}

// file writes a file in {D}.
func (p *pair) file(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// apisOf names what a broker advertises.
func apisOf(t *testing.T, address string) map[string]bool {
	t.Helper()
	resp, err := kmsg.NewPtrApiVersionsRequest().RequestWith(t.Context(), Client(t, address))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, k := range resp.ApiKeys {
		names[kmsg.NameForKey(k.ApiKey)] = true
	}
	return names
}
