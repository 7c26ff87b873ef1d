//go:build unix

package e2e

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// load is an idempotent producer that writes numbered records with acks=all for as long as it runs, and remembers which were
// acknowledged and where.
type load struct {
	topic  string
	client *kgo.Client
	cancel context.CancelFunc
	done   sync.WaitGroup
	acked  atomic.Int64

	mu    sync.Mutex
	place map[int]place // by number: where it was acknowledged to be
	sent  int
	fails []error
}

type place struct {
	partition int32
	offset    int64
}

// startLoad begins to produce 20,000 records a second to a topic that exists, or as many as go.
func startLoad(t *testing.T, addresses, topic string) *load {
	t.Helper()
	return produceLoad(t, addresses, topic, 20, time.Millisecond)
}

// startTrickle is a load that leaves the machine to others.
func startTrickle(t *testing.T, addresses, topic string) *load {
	t.Helper()
	return produceLoad(t, addresses, topic, 10, 5*time.Millisecond)
}

// produceLoad sends so many records every so often.
func produceLoad(t *testing.T, addresses, topic string, count int, every time.Duration) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{topic: topic, cancel: cancel, place: map[int]place{}}
	l.client = Client(t, addresses, kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(time.Millisecond), kgo.MaxBufferedRecords(500),
		kgo.MetadataMinAge(100*time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.ProducerBatchMaxBytes(64<<10),
		kgo.UnknownTopicRetries(-1)) // metadata of one broker may be ahead of the partitions of another
	l.done.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			if n%count == 0 {
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
			}
			l.mu.Lock()
			l.sent = n + 1
			l.mu.Unlock()
			l.client.Produce(ctx, kgo.StringRecord(strconv.Itoa(n)), func(r *kgo.Record, err error) {
				l.mu.Lock()
				defer l.mu.Unlock()
				switch {
				case err == nil:
					l.place[n] = place{r.Partition, r.Offset}
					l.acked.Add(1)
				case ctx.Err() == nil:
					l.fails = append(l.fails, fmt.Errorf("record %d: %w", n, err))
				}
			})
		}
	})
	t.Cleanup(func() { cancel(); l.done.Wait() })
	return l
}

// progress waits until n more records are acknowledged than now.
func (l *load) progress(t *testing.T, n int64) {
	t.Helper()
	goal := l.acked.Load() + n
	Await(t, 60*time.Second, fmt.Sprint(n, " more acknowledged records"), func() error {
		if now := l.acked.Load(); now < goal {
			return fmt.Errorf("%d are missing", goal-now)
		}
		return nil
	})
}

// finish stops producing and checks what is in the topic.
func (l *load) finish(t *testing.T) {
	t.Helper()
	l.halt(t)
	l.check(t, fmt.Sprint(l.client.OptValue(kgo.SeedBrokers).([]string)[0]))
}

// halt stops producing. What is under way is still delivered, and nothing may have failed.
func (l *load) halt(t *testing.T) {
	t.Helper()
	flush, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	l.cancel()
	l.done.Wait()
	if err := l.client.Flush(flush); err != nil {
		t.Errorf("flush: %v", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, err := range l.fails {
		t.Error(err)
	}
}

// abandon stops producing, and what is under way is not waited for: its broker will not come back.
func (l *load) abandon() {
	l.cancel()
	l.done.Wait()
	l.client.Close()
}

// check reads the topic back and wants each acknowledged record where it was said to be, and no record twice.
func (l *load) check(t *testing.T, address string) {
	t.Helper()
	seen := readAll(t, address, l.topic)
	l.mu.Lock()
	defer l.mu.Unlock()
	lost, moved := 0, 0
	for n, want := range l.place {
		switch got := seen[n]; {
		case len(got) == 0:
			lost++
		case got[0] != want:
			moved++
		}
	}
	doubled := 0
	for _, got := range seen {
		if len(got) > 1 {
			doubled++
		}
	}
	if lost+moved+doubled > 0 {
		t.Errorf("of %d acknowledged records %d are lost and %d are elsewhere; %d records are there more than once", len(l.place), lost, moved, doubled)
	}
	t.Logf("%d records acknowledged, %d read", len(l.place), len(seen))
}

// readAll reads a topic of numbered records from its beginning to its end.
func readAll(t *testing.T, address, topic string) map[int][]place {
	t.Helper()
	cl := Client(t, address, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer cl.Close()
	ends := endOffsets(t, cl, topic)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	seen := map[int][]place{}
	for left := remaining(ends, nil); left > 0; left = remaining(ends, seen) {
		fs := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("reading %s back: %d records are missing after two minutes", topic, left)
		}
		fs.EachRecord(func(r *kgo.Record) {
			n, err := strconv.Atoi(string(r.Value))
			if err != nil {
				t.Fatalf("%s-%d offset %d holds %q", topic, r.Partition, r.Offset, r.Value)
			}
			seen[n] = append(seen[n], place{r.Partition, r.Offset})
		})
	}
	return seen
}

func remaining(ends map[int32]int64, seen map[int][]place) (left int64) {
	for _, end := range ends {
		left += end
	}
	for _, ps := range seen {
		left -= int64(len(ps))
	}
	return left
}
