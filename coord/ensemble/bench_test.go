package ensemble

import (
	"fmt"
	"iter"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"ottla/coord/store"
)

// counter is a machine that answers each batch to whom it came from.
type counter struct{ waiting chan chan struct{} }

func (c *counter) Apply(_, _ uint64, batch []byte) (int, error) {
	if batch == nil {
		return 0, nil
	}
	(<-c.waiting) <- struct{}{}
	return 1, nil
}

func (c *counter) Snapshot() (Snapshot, error) {
	return Snapshot{Changes: func(func(store.Record) bool) {}}, nil
}

// n clients, each with one write of 165 bytes outstanding, on the real disk: how many are acknowledged per second.
func BenchmarkPropose(b *testing.B) {
	for _, n := range []int{1, 64, 1024} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			st, err := store.Open(store.Options{Dir: b.TempDir(), Logger: zerolog.Nop()})
			must(b, err)
			must(b, st.Load(func(store.Header, iter.Seq2[store.Record, error]) error { return nil }))
			m := &counter{waiting: make(chan chan struct{}, n)}
			e, err := New(Config{Store: st, Machine: m, Logger: zerolog.Nop()})
			must(b, err)
			var order sync.Mutex // the order of waiting is that of the log
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for w := range n {
				wg.Go(func() {
					done := make(chan struct{}, 1)
					for i := w; i < b.N; i += n {
						batch := make([]byte, 165)
						order.Lock()
						m.waiting <- done
						err := e.Propose(batch)
						order.Unlock()
						if err != nil {
							b.Error(err)
							return
						}
						<-done
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			s := e.Stats()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
			b.ReportMetric(float64(s.Batches)/float64(s.Groups), "writes/sync")
			must(b, e.Close())
			must(b, st.Close())
		})
	}
}
