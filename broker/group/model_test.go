package group

import (
	"context"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/group/grouptest"
	"ottla/broker/group/model"
)

// memoryTarget is a coordinator in memory, in the time of a bubble.
type memoryTarget struct {
	b     *broker
	ctx   context.Context
	began time.Time
}

func (m memoryTarget) Ask(r kmsg.Request) <-chan grouptest.Answer {
	answer := make(chan grouptest.Answer, 1)
	go func() {
		resp, err := call[kmsg.Response](m.b, m.ctx, r.GetVersion(), r)
		answer <- grouptest.Answer{Response: resp, Err: err}
	}()
	synctest.Wait()
	return answer
}

func (m memoryTarget) Pace() time.Duration { return time.Millisecond }

func (m memoryTarget) Now() time.Duration { return time.Since(m.began) }

func (m memoryTarget) Sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (m memoryTarget) Slack() time.Duration { return time.Millisecond }

func (m memoryTarget) Late() bool { return false } // a bubble's time waits for whatever is slow

// TestAgainstTheModel plays random scripts, whose seeds are printed when they fail.
func TestAgainstTheModel(t *testing.T) {
	scripts := uint64(600)
	if os.Getenv("OTTLA_LONG") != "" {
		scripts = 50_000
	}
	first := uint64(time.Now().UnixNano())
	t.Logf("seeds from %d", first)
	for i := range scripts {
		playInMemory(t, first+i)
		if t.Failed() {
			return
		}
	}
}

func playInMemory(t *testing.T, seed uint64) {
	synctest.Test(t, func(t *testing.T) {
		limits := model.Limits{
			MinSession: 100 * time.Millisecond, MaxSession: 30 * time.Minute, MaxSize: 3 + int(seed%4),
			InitialDelay: []time.Duration{0, 3 * time.Second}[seed%2], MetadataMax: 20,
		}
		b := start(t, newMemoryLog(), func(c *Config) {
			c.MinSessionTimeout, c.MaxSessionTimeout, c.MaxSize = limits.MinSession, limits.MaxSession, limits.MaxSize
			c.InitialRebalanceDelay, c.OffsetMetadataMaxBytes = limits.InitialDelay, limits.MetadataMax
		})
		defer b.Close()
		b.lead(0)
		synctest.Wait()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		play, err := grouptest.Run(grouptest.Script{
			Seed: seed, Steps: 100, Group: fmt.Sprint("g", seed), Topics: [2]string{"t", "u"}, Limits: limits,
			Session: 10 * time.Second, Rebalance: 16 * time.Second,
		}, memoryTarget{b, ctx, time.Now()})
		if err != nil || play.Late {
			t.Error(err)
		}
	})
}
