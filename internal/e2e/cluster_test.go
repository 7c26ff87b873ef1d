package e2e

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A dialect is how one kind of client is asked to produce and to consume in a group. A producer sends the texts "message N"; a
// member prints a "PARTITION OFFSET VALUE" line for each record and leaves its group on SIGTERM.
type dialect struct {
	name     string
	producer func(t *testing.T, addresses, topic string, count int)
	member   func(t *testing.T, addresses, topic, group string) []string
	parse    func(line string) (partition int32, offset int64, ok bool)
}

// forever is more records than any test makes: members run until they are told to leave.
const forever = "1000000000"

func produces(program func(t testing.TB, program string, args ...string) []string, name string) func(*testing.T, string, string, int) {
	return func(t *testing.T, addresses, topic string, count int) {
		Run(t, 2*time.Minute, "", program(t, name, first(addresses), topic, strconv.Itoa(count))...)
	}
}

func consumes(program func(t testing.TB, program string, args ...string) []string, name string) func(*testing.T, string, string, string) []string {
	return func(t *testing.T, addresses, topic, group string) []string {
		return program(t, name, first(addresses), topic, forever, group)
	}
}

func first(addresses string) string { a, _, _ := strings.Cut(addresses, ","); return a }

// plain reads the lines of testdata's programs.
func plain(line string) (int32, int64, bool) {
	var p int32
	var o int64
	n, err := fmt.Sscanf(line, "%d %d message ", &p, &o)
	return p, o, err == nil && n == 2
}

// console reads what the Apache console consumers print with print.partition and print.offset.
func console(line string) (int32, int64, bool) {
	var p int32
	var o int64
	n, err := fmt.Sscanf(line, "Partition:%d\tOffset:%d\t", &p, &o)
	return p, o, err == nil && n == 2
}

func javaTools(set string) dialect {
	return dialect{
		name: set,
		producer: func(t *testing.T, addresses, topic string, count int) {
			var in strings.Builder
			for i := range count {
				fmt.Fprintf(&in, "key %d:message %d\n", i, i)
			}
			if _, err := Try(2*time.Minute, "", in.String(), Apache(t, set, "kafka-console-producer", "--bootstrap-server", addresses, "--topic", topic,
				"--property", "parse.key=true", "--property", "key.separator=:")...); err != nil {
				t.Fatal(err)
			}
		},
		member: func(t *testing.T, addresses, topic, group string) []string {
			return Apache(t, set, "kafka-console-consumer", "--bootstrap-server", addresses, "--topic", topic, "--group", group, "--from-beginning",
				"--property", "print.partition=true", "--property", "print.offset=true",
				"--consumer-property", "auto.commit.interval.ms=200", "--consumer-property", "session.timeout.ms=10000")
		},
		parse: console,
	}
}

var dialects = []dialect{
	{"kafkajs", produces(Node, "kafkajs/producer.js"), consumes(Node, "kafkajs/group.js"), plain},
	{"kafka-node", kafkaNodeProducer, consumes(Node, "tutorial/group.js"), plain},
	{"platformatic", produces(Node, "platformatic/producer.mjs"), consumes(Node, "platformatic/group.mjs"), plain},
	{"librdkafka", produces(Python, "producer.py"), consumes(Python, "group.py"), plain},
	javaTools("kafka-3.9"),
	javaTools("kafka-4"),
}

// kafkaNodeProducer: kafka-node's plain Producer writes to partition 0; the rest comes from franz-go, so that its group has
// something to share.
func kafkaNodeProducer(t *testing.T, addresses, topic string, count int) {
	Run(t, time.Minute, "", Node(t, "tutorial/producer.js", first(addresses), topic, strconv.Itoa(count/2))...)
	franzProduce(t, addresses, topic, count-count/2)
}

func franzProduce(t *testing.T, addresses, topic string, count int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cl := Client(t, addresses, kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	var records []*kgo.Record
	for i := range count {
		records = append(records, kgo.StringRecord(fmt.Sprint("message ", i)))
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// cluster starts three brokers on a coordinator.
func cluster(t *testing.T, coord *Server, lines ...string) (brokers []*Server, addresses string) {
	t.Helper()
	var all []string
	for id := range 3 {
		b := Broker(t, id, coord.Address, lines...)
		brokers, all = append(brokers, b), append(all, b.Address)
	}
	return brokers, strings.Join(all, ",")
}

// leaders maps partitions to leaders, and fails while one has none.
func leaders(t *testing.T, addresses, topic string, partitions int) (map[int32]int32, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ts, err := kadm.NewClient(Client(t, addresses)).ListTopics(ctx, topic)
	if err != nil {
		return nil, err
	}
	got := map[int32]int32{}
	for _, p := range ts[topic].Partitions {
		if p.Err != nil || p.Leader < 0 {
			return nil, fmt.Errorf("partition %d: leader %d, %v", p.Partition, p.Leader, p.Err)
		}
		got[p.Partition] = p.Leader
	}
	if len(got) != partitions {
		return nil, fmt.Errorf("%d partitions of %d", len(got), partitions)
	}
	return got, nil
}

// TestCluster runs three brokers as processes on our coordinator and on ZooKeeper: every client produces and consumes over all
// leaders, in groups with members that join and leave, and a broker that comes back takes its partitions back.
func TestCluster(t *testing.T) {
	coordinators(t, func(t *testing.T, coord *Server) {
		brokers, addresses := cluster(t, coord)
		for _, d := range dialects {
			t.Run(d.name, func(t *testing.T) { groupStory(t, addresses, "t-"+strings.ReplaceAll(d.name, ".", "-"), d) })
		}
		t.Run("a broker comes back", func(t *testing.T) {
			const topic = "t-kafkajs"
			before, err := leaders(t, addresses, topic, 12)
			if err != nil {
				t.Fatal(err)
			}
			brokers[1].Stop(t)
			Await(t, 30*time.Second, "the others learn that broker 1 has gone", func() error {
				_, err := leaders(t, brokers[0].Address, topic, 12)
				if err == nil {
					return fmt.Errorf("all partitions have leaders")
				}
				return nil
			})
			brokers[1].Restart(t)
			Await(t, 30*time.Second, "broker 1 leads its partitions again", func() error {
				after, err := leaders(t, addresses, topic, 12)
				if err == nil && fmt.Sprint(after) != fmt.Sprint(before) {
					err = fmt.Errorf("leaders %v, before %v", after, before)
				}
				return err
			})
			franzProduce(t, addresses, topic, 120)
		})
		for _, b := range brokers {
			b.Stop(t)
		}
		coord.Stop(t)
	})
}

// groupStory makes a topic with leaders on all brokers, and lets the members a, then b, then only b of one group read what the
// dialect's producer wrote before and between.
func groupStory(t *testing.T, addresses, topic string, d dialect) {
	createTopic(t, first(addresses), topic, 12, nil)
	Await(t, 30*time.Second, "leaders on all three brokers", func() error {
		ls, err := leaders(t, addresses, topic, 12)
		if err != nil {
			return err
		}
		on := map[int32]int{}
		for _, l := range ls {
			on[l]++
		}
		if len(on) != 3 {
			return fmt.Errorf("leaders %v", ls)
		}
		return nil
	})
	count := 120
	d.producer(t, addresses, topic, count)
	group := topic + "-group"
	watch := observe(t, addresses, topic, group)

	a := startMember(t, "a", d, addresses, topic, group)
	watch.owners(t, 1)
	b := startMember(t, "b", d, addresses, topic, group)
	watch.owners(t, 2)
	franzProduce(t, addresses, topic, count)
	Await(t, time.Minute, "both read everything so far", func() error { return whole(endOffsets(t, watch.client, topic), a, b) })
	committed := watch.committed(t)
	a.leave(t)
	watch.owners(t, 1)
	franzProduce(t, addresses, topic, count)
	Await(t, time.Minute, "b reads the rest", func() error { return whole(endOffsets(t, watch.client, topic), a, b) })
	b.leave(t)
	watch.stop(t)

	// What a had read and committed, b must not have read again.
	mine := a.read()
	for at, times := range b.read() {
		if times > 1 && at.offset < committed[at.partition] {
			t.Errorf("b read partition %d offset %d %d times", at.partition, at.offset, times)
		}
		if mine[at] > 0 && at.offset < committed[at.partition] {
			t.Errorf("partition %d offset %d was committed at %d and read by both", at.partition, at.offset, committed[at.partition])
		}
	}
}

// member is a running consumer.
type member struct {
	*Process
	parse func(string) (int32, int64, bool)
}

func startMember(t *testing.T, name string, d dialect, addresses, topic, group string) *member {
	t.Helper()
	return &member{Start(t, "", d.name+" member "+name, d.member(t, addresses, topic, group)...), d.parse}
}

// read counts the records that the member has printed.
func (m *member) read() map[place]int {
	seen := map[place]int{}
	for s := bufio.NewScanner(strings.NewReader(m.Output())); s.Scan(); {
		if p, o, ok := m.parse(s.Text()); ok {
			seen[place{p, o}]++
		}
	}
	return seen
}

func (m *member) leave(t *testing.T) {
	t.Helper()
	m.Signal(syscall.SIGTERM)
	_ = m.Wait(time.Minute) // JVMs end with 143
	if m.Running() {
		t.Fatalf("%s does not leave", m.name)
	}
}

// whole says whether the members have read every record up to the ends.
func whole(ends map[int32]int64, ms ...*member) error {
	missing := 0
	var reads []map[place]int
	for _, m := range ms {
		reads = append(reads, m.read())
	}
	for p, end := range ends {
		for o := range end {
			if !slices.ContainsFunc(reads, func(r map[place]int) bool { return r[place{p, o}] > 0 }) {
				missing++
			}
		}
	}
	if missing > 0 {
		return fmt.Errorf("%d records are not read yet", missing)
	}
	return nil
}

// observer looks at a group all the time: whenever it is stable, each partition has exactly one owner.
type observer struct {
	client *kgo.Client
	admin  *kadm.Client
	topic  string
	group  string
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu      sync.Mutex
	members int // of the last stable look
	wrong   []string
}

func observe(t *testing.T, addresses, topic, group string) *observer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cl := Client(t, addresses)
	o := &observer{client: cl, admin: kadm.NewClient(cl), topic: topic, group: group, cancel: cancel}
	o.done.Go(func() {
		for tick := time.NewTicker(30 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			o.look(ctx)
		}
	})
	t.Cleanup(func() { cancel(); o.done.Wait() })
	return o
}

func (o *observer) look(ctx context.Context) {
	gs, err := o.admin.DescribeGroups(ctx, o.group)
	g := gs[o.group]
	if err != nil || g.Err != nil {
		return // the group is not there yet, or its coordinator is not
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if g.State != "Stable" {
		o.members = 0
		return
	}
	o.members = len(g.Members)
	owners := map[int32][]string{}
	for _, m := range g.Members {
		if c, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range c.Topics {
				for _, p := range t.Partitions {
					owners[p] = append(owners[p], m.MemberID)
				}
			}
		}
	}
	for p := range int32(12) {
		if len(owners[p]) != 1 && !(len(owners[p]) == 0 && cooperative(g.Protocol)) {
			o.wrong = append(o.wrong, fmt.Sprintf("partition %d has the owners %v", p, owners[p]))
		}
	}
}

// cooperative assignors leave a partition without an owner for the generation in which it changes hands (KIP-429).
func cooperative(protocol string) bool { return strings.Contains(protocol, "cooperative") }

// owners waits until the group is stable with n members.
func (o *observer) owners(t *testing.T, n int) {
	t.Helper()
	Await(t, time.Minute, fmt.Sprint("the group is stable with ", n, " members"), func() error {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.members != n {
			return fmt.Errorf("it has %d", o.members)
		}
		return nil
	})
}

func (o *observer) committed(t *testing.T) map[int32]int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	offsets, err := o.admin.FetchOffsets(ctx, o.group)
	if err != nil {
		t.Fatal(err)
	}
	at := map[int32]int64{}
	offsets.Each(func(r kadm.OffsetResponse) { at[r.Partition] = r.At })
	return at
}

func (o *observer) stop(t *testing.T) {
	t.Helper()
	o.cancel()
	o.done.Wait()
	for _, w := range slices.Compact(o.wrong) {
		t.Error(w)
	}
}
