//go:build unix

package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// soak is a long run of everything at once: topics with a producer for each of their partitions and a group whose members come and
// go, retention deleting behind them, and other topics created and deleted beside them.
//
// Each partition has one producer, which writes the numbers from 0 on: a record's offset is its number, so a lost, doubled or
// reordered record shows in the first record behind it, when it is acknowledged and when it is read.
type soak struct {
	address    string
	topics     int
	partitions int           // of each topic; a multiple of producers
	producers  int           // of each topic
	members    int           // of each topic's group
	every      time.Duration // between two records of a producer
	value      int           // bytes
	length     time.Duration
	begin      time.Time

	acked, read, repeated, changes, churned atomic.Int64

	mu     sync.Mutex
	first  []time.Duration // latencies of the first sixth of the time
	last   []time.Duration // and of the last
	errors []string
}

func (s *soak) errorf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.errors) < 20 {
		s.errors = append(s.errors, fmt.Sprintf(format, args...))
	}
}

func (s *soak) topic(i int) string { return fmt.Sprintf("soak-%02d", i) }

// TestSoak runs for half an hour, or for SOAK_SECONDS; with a tenth of the clients if that is less than five minutes.
func TestSoak(t *testing.T) {
	if !Long() {
		t.Skip("half an hour; scripts/long-soak runs it")
	}
	coord := Coordinator(t)
	metrics := FreePort(t)
	b := Broker(t, 0, coord.Address, "log.initial.task.delay.ms=500", "log.retention.check.interval.ms=1000", "log.segment.delete.delay.ms=1000",
		fmt.Sprint("ottla.metrics.listener=127.0.0.1:", metrics))
	length := 30 * time.Minute
	if n, err := strconv.Atoi(os.Getenv("SOAK_SECONDS")); err == nil {
		length = time.Duration(n) * time.Second
	}
	size := func(short, long int) int {
		if length < 5*time.Minute {
			return short
		}
		return long
	}
	s := &soak{
		address: b.Address, topics: size(2, 20), partitions: size(20, 100), producers: size(5, 10), members: size(4, 10),
		every: 100 * time.Millisecond, value: 1000, length: length,
	}
	segment := strconv.Itoa(size(2<<10, 64<<10))
	retained := strconv.Itoa(size(8<<10, 128<<10))
	for i := range s.topics {
		createTopic(t, s.address, s.topic(i), int32(s.partitions), map[string]*string{"segment.bytes": &segment, "retention.bytes": &retained})
	}

	s.begin = time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), s.length)
	defer cancel()
	var producers, consumers sync.WaitGroup
	ends := make([][]int64, s.topics) // by topic and partition, once its producer has ended
	groups := make([]*soakGroup, s.topics)
	consuming, stopConsuming := context.WithCancel(context.Background())
	defer stopConsuming()
	for i := range s.topics {
		ends[i] = make([]int64, s.partitions)
		for p := range s.producers {
			producers.Go(func() { s.produce(ctx, i, p, ends[i]) })
		}
		groups[i] = &soakGroup{soak: s, topic: s.topic(i), next: make([]int64, s.partitions)}
		consumers.Go(func() { groups[i].run(consuming) })
	}
	producers.Go(func() { s.churn(ctx) })
	early, late := s.sample(t, ctx, b.Process, metrics)
	producers.Wait()
	Await(t, time.Minute, "the groups read everything", func() error {
		for i, g := range groups {
			if err := g.reached(ends[i]); err != nil {
				return err
			}
		}
		return nil
	})
	stopConsuming()
	consumers.Wait()
	s.check(t, ends)
	b.Stop(t)
	coord.Stop(t)
	for _, e := range s.errors {
		t.Error(e)
	}

	p, q := percentile(s.first, 0.99), percentile(s.last, 0.99)
	Result(t, "%v of %d partitions, %d producers, %d consumers: %d records acknowledged and read, %d read again, %d changes of members, %d topics made and deleted; p99 %v at first and %v at last; %v, then %v",
		s.length, s.topics*s.partitions, s.topics*s.producers, s.topics*s.members, s.acked.Load(), s.repeated.Load(), s.changes.Load(), s.churned.Load(),
		p, q, early, late)
	if length < 5*time.Minute {
		return // too short for a trend
	}
	if q > p*3/2 {
		t.Errorf("the p99 of the last sixth, %v, is more than 1.5 times that of the first, %v", q, p)
	}
	for what, grown := range map[string]float64{
		"resident memory": late.rss/early.rss - 1, "descriptors": late.descriptors/early.descriptors - 1, "goroutines": late.goroutines/early.goroutines - 1,
	} {
		if grown >= 0.05 {
			t.Errorf("%s grew by %.1f %% between the first sixth and the end", what, 100*grown)
		}
	}
}

// produce is the producer p of a topic: it writes to its share of the partitions, one record at a time.
func (s *soak) produce(ctx context.Context, topic, p int, ends []int64) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.address), kgo.DefaultProduceTopic(s.topic(topic)), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0), kgo.ClientID(fmt.Sprintf("producer-%d-%d", topic, p)))
	if err != nil {
		s.errorf("%v", err)
		return
	}
	defer cl.Close()
	share := s.partitions / s.producers
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		partition := p*share + n%share
		value := make([]byte, s.value)
		number := ends[partition]
		binary.BigEndian.PutUint64(value, uint64(number))
		sent := time.Now()
		// Not under ctx: a record that is on its way is waited for.
		produced, cancel := context.WithTimeout(context.Background(), time.Minute)
		r, err := cl.ProduceSync(produced, &kgo.Record{Partition: int32(partition), Value: value}).First()
		cancel()
		if err != nil {
			s.errorf("%s-%d: record %d: %v", s.topic(topic), partition, number, err)
			return
		}
		if r.Offset != number {
			s.errorf("%s-%d: record %d was acknowledged at offset %d", s.topic(topic), partition, number, r.Offset)
			return
		}
		ends[partition]++
		s.acked.Add(1)
		s.latency(sent, time.Since(sent))
	}
}

func (s *soak) latency(at time.Time, took time.Duration) {
	since := at.Sub(s.begin)
	s.mu.Lock()
	defer s.mu.Unlock()
	if since < s.length/6 {
		s.first = append(s.first, took)
	} else if since > s.length-s.length/6 {
		s.last = append(s.last, took)
	}
}

// churn makes a topic, writes to it, reads it and deletes it, over and over.
func (s *soak) churn(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		if err := s.churnOne(fmt.Sprint("churn-", n)); err != nil {
			s.errorf("churn-%d: %v", n, err)
			return
		}
		s.churned.Add(1)
		select {
		case <-time.After(s.every):
		case <-ctx.Done():
		}
	}
}

func (s *soak) churnOne(topic string) error {
	const records = 50
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.address), kgo.DefaultProduceTopic(topic), kgo.ConsumeTopics(topic), kgo.UnknownTopicRetries(-1),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		return err
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	if _, err := admin.CreateTopic(ctx, 5, 1, nil, topic); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	var batch []*kgo.Record
	for i := range records {
		batch = append(batch, kgo.StringRecord(strconv.Itoa(i)))
	}
	if err := cl.ProduceSync(ctx, batch...).FirstErr(); err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	for read := 0; read < records; {
		fs := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d records read: %w", read, records, ctx.Err())
		}
		read += fs.NumRecords()
	}
	if _, err := admin.DeleteTopic(ctx, topic); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	return nil
}

// soakGroup is a topic's group: what its members read together has no hole.
type soakGroup struct {
	*soak
	topic string

	mu   sync.Mutex
	next []int64 // by partition: the number that comes next
}

// run keeps members in the group until ctx ends; one leaves and another joins every few seconds.
func (g *soakGroup) run(ctx context.Context) {
	var members []*soakMember
	defer func() {
		for _, m := range members {
			m.leave()
		}
	}()
	change := time.NewTicker(max(2*time.Second, g.length/90))
	defer change.Stop()
	for {
		for len(members) < g.members {
			m, err := g.join()
			if err != nil {
				g.errorf("%s: %v", g.topic, err)
				return
			}
			members = append(members, m)
		}
		select {
		case <-change.C:
			members[0].leave()
			members = members[1:]
			g.changes.Add(1)
		case <-ctx.Done():
			return
		}
	}
}

type soakMember struct {
	client *kgo.Client
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func (g *soakGroup) join() (*soakMember, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(g.address), kgo.ConsumerGroup("group-of-"+g.topic), kgo.ConsumeTopics(g.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.AutoCommitMarks(), kgo.AutoCommitInterval(time.Second), kgo.BlockRebalanceOnPoll())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &soakMember{client: cl, cancel: cancel}
	m.done.Go(func() {
		for ctx.Err() == nil {
			fs := cl.PollFetches(ctx)
			fs.EachError(func(topic string, p int32, err error) {
				if ctx.Err() == nil {
					g.errorf("%s-%d: %v", topic, p, err)
				}
			})
			fs.EachRecord(g.take)
			cl.MarkCommitRecords(fs.Records()...)
			cl.AllowRebalance()
		}
	})
	return m, nil
}

func (m *soakMember) leave() {
	m.cancel()
	m.done.Wait()
	m.client.CloseAllowingRebalance() // commits what is marked
}

func (g *soakGroup) take(r *kgo.Record) {
	if number := int64(binary.BigEndian.Uint64(r.Value)); number != r.Offset {
		g.errorf("%s-%d: offset %d holds record %d", g.topic, r.Partition, r.Offset, number)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch next := g.next[r.Partition]; {
	case r.Offset == next:
		g.next[r.Partition]++
		g.read.Add(1)
	case r.Offset < next:
		g.repeated.Add(1)
	default:
		g.errorf("%s-%d: offset %d was read, %d to %d never", g.topic, r.Partition, r.Offset, next, r.Offset-1)
		g.next[r.Partition] = r.Offset + 1
	}
}

func (g *soakGroup) reached(ends []int64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for p, end := range ends {
		if g.next[p] < end {
			return fmt.Errorf("%s-%d is read up to %d of %d", g.topic, p, g.next[p], end)
		}
	}
	return nil
}

// check compares the ends of all partitions with what was acknowledged, and wants retention to have deleted.
func (s *soak) check(t *testing.T, ends [][]int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	admin := kadm.NewClient(Client(t, s.address))
	deleted := 0
	for i := range s.topics {
		starts, err := admin.ListStartOffsets(ctx, s.topic(i))
		if err != nil {
			t.Fatal(err)
		}
		listed, err := admin.ListEndOffsets(ctx, s.topic(i))
		if err != nil {
			t.Fatal(err)
		}
		for p, end := range ends[i] {
			if o, _ := listed.Lookup(s.topic(i), int32(p)); o.Offset != end || o.Err != nil {
				t.Errorf("%s-%d ends at %d (%v), acknowledged are %d", s.topic(i), p, o.Offset, o.Err, end)
			}
			if o, _ := starts.Lookup(s.topic(i), int32(p)); o.Offset > 0 {
				deleted++
			}
		}
	}
	if deleted < s.topics*s.partitions/2 {
		t.Errorf("retention has deleted from %d of %d partitions", deleted, s.topics*s.partitions)
	}
}

// usage is what a process takes.
type usage struct{ rss, descriptors, goroutines float64 }

func (u usage) String() string {
	return fmt.Sprintf("%.0f MiB, %.0f descriptors, %.0f goroutines", u.rss/(1<<20), u.descriptors, u.goroutines)
}

// sample looks at the broker until ctx ends, and returns its usage behind the first sixth of the time and at the end: of each, the
// mean of the samples of a thirtieth of the time, since collections of garbage and members that come and go make it rise and fall.
func (s *soak) sample(t *testing.T, ctx context.Context, p *Process, metrics int) (early, late usage) {
	t.Helper()
	var first, last []usage
	tick := time.NewTicker(s.length / 600)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return mean(t, first), mean(t, last)
		}
		since := time.Since(s.begin)
		window := s.length / 30
		if since > s.length/6 && since < s.length/6+window {
			first = append(first, measure(t, p, metrics))
		} else if since > s.length-window {
			last = append(last, measure(t, p, metrics))
		}
	}
}

func measure(t *testing.T, p *Process, metrics int) usage {
	t.Helper()
	fds, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "fd"))
	if err != nil {
		t.Skipf("no /proc here: %v", err)
	}
	return usage{rss: float64(rss(t, p)), descriptors: float64(len(fds)), goroutines: value(scrape(t, fmt.Sprint("127.0.0.1:", metrics)), "go_goroutines")}
}

func mean(t *testing.T, us []usage) (sum usage) {
	t.Helper()
	if len(us) == 0 {
		t.Fatal("no samples")
	}
	for _, u := range us {
		sum.rss += u.rss
		sum.descriptors += u.descriptors
		sum.goroutines += u.goroutines
	}
	n := float64(len(us))
	return usage{sum.rss / n, sum.descriptors / n, sum.goroutines / n}
}
