//go:build unix

package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"ottla/broker/group/grouptest"
	"ottla/broker/group/model"
)

// groupLimits are what the brokers of these tests are started with.
var groupLimits = model.Limits{MinSession: 100 * time.Millisecond, MaxSession: 30 * time.Minute, MaxSize: 4, MetadataMax: 20}

var groupLines = []string{"group.min.session.timeout.ms=100", "group.max.size=4", "offset.metadata.max.bytes=20", "offsets.topic.num.partitions=5"}

var groupTopics = [2]string{"t", "u"}

// groupScript plays one script, again if the machine was too busy for its timers, with twice the time for everything. Nil without an error:
// it remained too busy.
func groupScript(address string, seed uint64) (*grouptest.Play, error) {
	for try := range 4 {
		scale := 1 << try
		target := grouptest.Dial(address, scale)
		p, err := grouptest.Run(grouptest.Script{
			Seed: seed, Steps: 50, Group: fmt.Sprint(seed, strings.Repeat("~", try)), Topics: groupTopics, Limits: groupLimits,
			Session: time.Duration(scale) * time.Second, Rebalance: time.Duration(scale) * 1600 * time.Millisecond,
		}, target)
		target.Close()
		if err == nil || !p.Late {
			return p, err
		}
	}
	return nil, nil
}

// groupScripts plays scripts against a broker, many at a time.
func groupScripts(t *testing.T, address string, seeds []uint64) map[uint64]*grouptest.Play {
	t.Helper()
	adm := kadm.NewClient(Client(t, address))
	if _, err := adm.CreateTopics(context.Background(), 2, 1, nil, groupTopics[:]...); err != nil {
		t.Fatal(err)
	}
	Await(t, time.Minute, "groups have coordinators", func() error {
		for _, seed := range seeds {
			if _, err := adm.FetchOffsets(context.Background(), fmt.Sprint(seed)); err != nil {
				return err
			}
		}
		return nil
	})
	plays := map[uint64]*grouptest.Play{}
	var mu sync.Mutex
	var work sync.WaitGroup
	tokens := make(chan struct{}, Scale(30, 12))
	for _, seed := range seeds {
		work.Go(func() {
			tokens <- struct{}{}
			defer func() { <-tokens }()
			p, err := groupScript(address, seed)
			if err != nil {
				t.Error(err)
			}
			if p == nil {
				t.Logf("seed %d is not judged: the machine was too busy", seed)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			plays[seed] = p
		})
	}
	work.Wait()
	if len(plays) < (len(seeds)+1)/2 {
		t.Skipf("%d of %d scripts could be judged: the machine is too busy", len(plays), len(seeds))
	}
	return plays
}

// TestGroupProtocol plays random groups against our broker and, in its long form, the same against Apache Kafka 3.9: both must answer as
// the protocol has it, and the same as each other up to the first choice that it leaves them.
func TestGroupProtocol(t *testing.T) {
	first := uint64(time.Now().Unix())
	t.Logf("seeds from %d", first)
	var seeds []uint64
	for i := range uint64(Scale(30, 200)) {
		seeds = append(seeds, first+i)
	}
	if one := os.Getenv("OTTLA_SEED"); one != "" {
		seed, err := strconv.ParseUint(one, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = []uint64{seed}
	}
	zk := Coordinator(t)
	t.Log("ours")
	ours := groupScripts(t, Broker(t, 0, zk.Address+"/ours", groupLines...).Address, seeds)
	if !Long() {
		return
	}
	t.Log("Apache's")
	theirs := groupScripts(t, Kafka(t, t.TempDir(), 0, zk.Address+"/theirs", groupLines...).Address, seeds)
	compared := 0
	for seed, o := range ours {
		a := theirs[seed]
		if a == nil {
			continue
		}
		n := max(len(o.Lines), len(a.Lines))
		if open := max(o.Open, a.Open); open >= 0 {
			n = min(n, open)
		}
		compared += n
		for i := range n {
			if i >= len(o.Lines) || i >= len(a.Lines) || o.Lines[i] != a.Lines[i] {
				t.Errorf("seed %d: ours\n%q\nApache's\n%q", seed, o.Lines[max(0, i-5):min(i+1, len(o.Lines))], a.Lines[max(0, i-5):min(i+1, len(a.Lines))])
				break
			}
		}
	}
	lines := func(plays map[uint64]*grouptest.Play) (n int) {
		for _, p := range plays {
			n += len(slices.DeleteFunc(slices.Clone(p.Lines), func(l string) bool { return l == "time passes" }))
		}
		return n
	}
	Result(t, "%d scripts, %d lines on ours, %d on Apache's, %d compared", len(seeds), lines(ours), lines(theirs), compared)
}
