//go:build unix

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

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
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cl := Client(t, addresses)
	defer cl.Close()
	ts, err := kadm.NewClient(cl).ListTopics(ctx, topic)
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
		t.Run("groups", func(t *testing.T) {
			for _, d := range dialects {
				t.Run(d.name, func(t *testing.T) {
					t.Parallel()
					groupStory(t, addresses, "t-"+strings.ReplaceAll(d.name, ".", "-"), d)
				})
			}
		})
		t.Run("a broker comes back", func(t *testing.T) { brokerComesBack(t, brokers, addresses) })
		for _, b := range brokers {
			b.Stop(t)
		}
		coord.Stop(t)
	})
}

func brokerComesBack(t *testing.T, brokers []*Server, addresses string) {
	const topic = "comes-back"
	createTopic(t, first(addresses), topic, 12, nil)
	before := spread(t, addresses, topic)
	franzProduce(t, addresses, topic, 120)
	brokers[1].Stop(t)
	awaitLeaderless(t, brokers[0].Address, topic, 12)
	brokers[1].Restart(t)
	Await(t, 30*time.Second, "broker 1 leads its partitions again", func() error {
		after, err := leaders(t, addresses, topic, 12)
		if err == nil && fmt.Sprint(after) != fmt.Sprint(before) {
			err = fmt.Errorf("leaders %v, before %v", after, before)
		}
		return err
	})
	franzProduce(t, addresses, topic, 120)
	sum := int64(0)
	for _, end := range endOffsets(t, Client(t, addresses), topic) {
		sum += end
	}
	if sum != 240 {
		t.Errorf("%d records are there, 240 were acknowledged", sum)
	}
}

// spread waits until a topic of 12 partitions has leaders on three brokers.
func spread(t *testing.T, addresses, topic string) (ls map[int32]int32) {
	t.Helper()
	Await(t, 30*time.Second, "leaders on all three brokers", func() (err error) {
		if ls, err = leaders(t, addresses, topic, 12); err != nil {
			return err
		}
		on := map[int32]bool{}
		for _, l := range ls {
			on[l] = true
		}
		if len(on) != 3 {
			return fmt.Errorf("leaders %v", ls)
		}
		return nil
	})
	return ls
}

// groupStory makes a topic with leaders on all brokers and lets a group of the dialect read it, whose members come (+) and go
// (-). After each change the group shares the partitions, reads all that there is, commits it, and has read nothing again that
// was committed before the change.
func groupStory(t *testing.T, addresses, topic string, d dialect) {
	steps := []string{"+a", "+b", "-a"}
	if Long() {
		steps = append(steps, "+c", "+d", "-c", "-b", "+e", "-d")
	}
	count := Scale(120, 1000)
	createTopic(t, first(addresses), topic, 12, nil)
	spread(t, addresses, topic)
	d.producer(t, addresses, topic, count)
	group := topic + "-group"
	watch := observe(t, addresses, topic, group, 12)

	var all []*member
	live := map[string]*member{}
	committed := map[int32]int64{}
	for n, step := range steps {
		before := map[*member]map[place]int{}
		for _, m := range all {
			before[m] = m.read()
		}
		name := step[1:]
		if step[0] == '+' {
			live[name] = startMember(t, name, d, addresses, topic, group)
			all = append(all, live[name])
		} else {
			live[name].leave(t)
			delete(live, name)
		}
		watch.owners(t, len(live))
		if n > 0 {
			franzProduce(t, addresses, topic, count)
		}
		reads(t, watch, all...)
		for _, m := range all {
			for at, times := range m.read() {
				if times > before[m][at] && at.offset < committed[at.partition] {
					t.Errorf("after %s, %s read partition %d offset %d again, and %d was committed", step, m.name, at.partition, at.offset, committed[at.partition])
				}
			}
		}
		committed = watch.committed(t)
	}
	for _, m := range live {
		m.leave(t)
	}
	watch.stop(t)
	Result(t, "%s: %d members in %d steps, %d records, one owner in each of %d stable looks", d.name, len(all), len(steps), count*len(steps), watch.looks)
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

// leave asks the member to go, as a user's Ctrl-C or a supervisor would.
func (m *member) leave(t *testing.T) {
	t.Helper()
	m.Signal(syscall.SIGTERM)
	_ = m.Wait(time.Minute) // JVMs end with 143
	if m.Running() {
		t.Fatalf("%s does not leave", m.name)
	}
}

// reads waits until the members together have read every record of the topic.
func reads(t *testing.T, o *observer, ms ...*member) {
	t.Helper()
	ends := endOffsets(t, o.client, o.topic)
	Await(t, time.Minute, "the members read every record", func() error {
		var seen []map[place]int
		for _, m := range ms {
			seen = append(seen, m.read())
		}
		missing := 0
		for p, end := range ends {
			for offset := range end {
				if !slices.ContainsFunc(seen, func(r map[place]int) bool { return r[place{p, offset}] > 0 }) {
					missing++
				}
			}
		}
		if missing > 0 {
			return fmt.Errorf("%d are missing", missing)
		}
		return nil
	})
}
