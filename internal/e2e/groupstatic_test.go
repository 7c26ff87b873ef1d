//go:build unix

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// TestStaticMembers restarts static members of a group of Java consumers, the leader and the other: whoever comes back gets its partitions
// again without a rebalance, also as leader (KIP-345, KIP-814), and goes on where it was.
func TestStaticMembers(t *testing.T) {
	Peers(t, "kafka-3.9")
	zk := Coordinator(t)
	t.Run("ours", func(t *testing.T) { staticMembers(t, Broker(t, 0, zk.Address+"/ours").Address) })
	if Long() {
		t.Run("Apache", func(t *testing.T) { staticMembers(t, Kafka(t, t.TempDir(), 0, zk.Address+"/theirs").Address) })
	}
}

func staticMembers(t *testing.T, address string) {
	const topic, group = "static", "static-group"
	createTopic(t, address, topic, 4, nil)
	franzProduce(t, address, topic, 40)
	start := func(instance string) *Process {
		return Start(t, "", instance, Apache(t, "kafka-3.9", "kafka-verifiable-consumer", "--bootstrap-server", address, "--topic", topic, "--group-id", group,
			"--group-instance-id", instance, "--session-timeout", "30000", "--reset-policy", "earliest")...)
	}
	adm := kadm.NewClient(Client(t, address))
	// members are the group's member ids by instance id, once it is stable and all are there.
	members := func(n int) map[string]string {
		t.Helper()
		ids := map[string]string{}
		Await(t, time.Minute, "the group is stable", func() error {
			gs, err := adm.DescribeGroups(context.Background(), group)
			if err != nil {
				return err
			}
			clear(ids)
			for _, m := range gs[group].Members {
				ids[*m.InstanceID] = m.MemberID
			}
			if g := gs[group]; g.State != "Stable" || len(ids) != n {
				return fmt.Errorf("%s with %v", g.State, ids)
			}
			return nil
		})
		return ids
	}
	running := map[string]*Process{"a": start("a")}
	members(1)
	running["b"] = start("b")
	members(2)
	for i, bounced := range []string{"a", "b"} {
		other := []string{"b", "a"}[i]
		had := assigned(t, running[bounced], 2)
		assigned(t, running[other], 2) // and has said so
		before, events := members(2), len(rebalances(running[other]))
		running[bounced].Kill()
		running[bounced] = start(bounced)
		if got := assigned(t, running[bounced], 2); !slices.Equal(got, had) {
			t.Errorf("%s had %v and has %v after its restart", bounced, had, got)
		}
		after := members(2)
		if after[bounced] == before[bounced] || after[other] != before[other] {
			t.Errorf("members %v after the restart of %s, before %v", after, bounced, before)
		}
		franzProduce(t, address, topic, 40)
		Await(t, time.Minute, "what is new is read and committed", func() error {
			offsets, err := adm.FetchOffsets(context.Background(), group)
			sum := int64(0)
			offsets.Each(func(o kadm.OffsetResponse) { sum += o.At })
			if err == nil && sum != int64(40*(i+2)) {
				err = fmt.Errorf("%d are committed", sum)
			}
			return err
		})
		if now := rebalances(running[other]); len(now) != events {
			t.Errorf("%s saw a rebalance when %s came back: %v", other, bounced, now[events:])
		}
	}
}

// rebalances are the lines of a verifiable consumer about its partitions.
func rebalances(p *Process) (lines []string) {
	for s := bufio.NewScanner(strings.NewReader(p.Output())); s.Scan(); {
		if strings.Contains(s.Text(), "partitions_assigned") || strings.Contains(s.Text(), "partitions_revoked") {
			lines = append(lines, s.Text())
		}
	}
	return lines
}

// assigned waits until a verifiable consumer has been given n partitions.
func assigned(t *testing.T, p *Process, n int) (partitions []int) {
	t.Helper()
	Await(t, time.Minute, "partitions are assigned", func() error {
		var event struct {
			Name       string
			Partitions []struct{ Partition int }
		}
		lines := rebalances(p)
		if len(lines) == 0 {
			return fmt.Errorf("no event")
		}
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &event); err != nil {
			return err
		}
		if event.Name != "partitions_assigned" || len(event.Partitions) != n {
			return fmt.Errorf("%s", lines[len(lines)-1])
		}
		partitions = nil
		for _, p := range event.Partitions {
			partitions = append(partitions, p.Partition)
		}
		slices.Sort(partitions)
		return nil
	})
	return partitions
}
