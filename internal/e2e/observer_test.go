//go:build unix

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// observer looks at a group all the time: whenever it is stable, each partition has exactly one owner.
type observer struct {
	client     *kgo.Client
	admin      *kadm.Client
	topic      string
	group      string
	partitions int32
	cancel     context.CancelFunc
	done       sync.WaitGroup

	mu     sync.Mutex
	looks  int            // in which each partition had one owner
	stable map[string]int // of the last look, if the group was stable in it: partitions by member
	wrong  []string
}

func observe(t *testing.T, addresses, topic, group string, partitions int32) *observer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cl := Client(t, addresses)
	o := &observer{client: cl, admin: kadm.NewClient(cl), topic: topic, group: group, partitions: partitions, cancel: cancel}
	o.done.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			o.look(ctx)
			<-tick.C
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
	o.stable = nil
	if g.State != "Stable" {
		return
	}
	owners := make([][]string, o.partitions)
	stable := map[string]int{}
	for _, m := range g.Members {
		stable[m.MemberID] = 0
		c, ok := m.Assigned.AsConsumer()
		if !ok {
			continue
		}
		for _, t := range c.Topics {
			for _, p := range t.Partitions {
				if t.Topic != o.topic || p < 0 || p >= o.partitions {
					o.wrong = append(o.wrong, fmt.Sprintf("%s has %s-%d, which is not there", m.MemberID, t.Topic, p))
					continue
				}
				owners[p] = append(owners[p], m.MemberID)
				stable[m.MemberID]++
			}
		}
	}
	whole := true
	for p, by := range owners {
		switch {
		case len(by) == 1:
		case len(by) == 0 && cooperative(g.Protocol):
			whole = false
		default:
			o.wrong = append(o.wrong, fmt.Sprintf("partition %d has the owners %v", p, by))
		}
	}
	if whole {
		o.looks++
		o.stable = stable
	}
}

// cooperative assignors leave a partition without an owner for the generation in which it changes hands (KIP-429).
func cooperative(protocol string) bool { return strings.Contains(protocol, "cooperative") }

// owners waits until the group is stable and n members share the partitions, each with one at least.
func (o *observer) owners(t *testing.T, n int) {
	t.Helper()
	Await(t, time.Minute, fmt.Sprint("the group is stable with ", n, " members that share the partitions"), func() error {
		o.mu.Lock()
		defer o.mu.Unlock()
		if len(o.stable) != n {
			return fmt.Errorf("it has %v", o.stable)
		}
		for member, owned := range o.stable {
			if owned == 0 {
				return fmt.Errorf("%s owns nothing: %v", member, o.stable)
			}
		}
		return nil
	})
}

// committed waits until the group has committed all that is in the topic, and returns up to where.
func (o *observer) committed(t *testing.T) map[int32]int64 {
	t.Helper()
	ends := endOffsets(t, o.client, o.topic)
	Await(t, 30*time.Second, "the group commits what it has read", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		offsets, err := o.admin.FetchOffsets(ctx, o.group)
		if err != nil {
			return err
		}
		for p, end := range ends {
			r, ok := offsets.Lookup(o.topic, p)
			if end > 0 && (!ok || r.Err != nil || r.At != end) {
				return fmt.Errorf("partition %d ends at %d, and committed is %d (%v)", p, end, r.At, r.Err)
			}
		}
		return nil
	})
	return ends
}

// stop ends the looking, and fails the test for what was seen.
func (o *observer) stop(t *testing.T) {
	t.Helper()
	o.cancel()
	o.done.Wait()
	slices.Sort(o.wrong)
	for _, w := range slices.Compact(o.wrong) {
		t.Error(w)
	}
	if o.looks == 0 {
		t.Error("the group was never seen stable")
	}
}
