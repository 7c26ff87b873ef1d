package compact

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"ottla/broker/commitlog"
	"ottla/broker/record"
	"ottla/internal/fs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func settings() Settings {
	return Settings{Enable: true, Threads: 2, DedupeBytes: 4 << 20, LoadFactor: 0.9, IOBytes: 64 << 10, BytesPerSecond: math.MaxFloat64, Backoff: 5 * time.Millisecond}
}

// eventually waits until done says true.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// TestReadersBesideTheCleaner: while records are appended and cleaned all the time, readers of every offset see only what was sent, in
// order; searches by time and for aborted transactions work; and retention may come in between.
func TestReadersBesideTheCleaner(t *testing.T) {
	w := newWorld(t, fs.NewCrash(), "/t-0") // a disk whose syncs cost nothing
	w.st.SegmentBytes, w.st.FlushMessages, w.st.FileDeleteDelayMs = 2000, commitlog.Forever, 0
	must(t, w.start(true, 0, 0))
	c := New(Config{
		Settings: settings(), Logs: func() []*commitlog.Log { return []*commitlog.Log{w.log} }, Checkpoint: func(*commitlog.Log) error { return nil },
		Now: w.clock, Logger: zerolog.Nop(),
	})
	c.Start()
	var readers sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	for n := range 3 {
		readers.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(n)))
			for ctx.Err() == nil {
				if err := readSome(w.log, rnd); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	readers.Go(func() {
		for ctx.Err() == nil {
			w.log.Housekeep(w.clock().Add(time.Hour))
			time.Sleep(time.Millisecond)
		}
	})
	for i := 0; i < 1000 && !t.Failed(); i++ {
		v := fmt.Sprintf("%d %s", i, strings.Repeat("v", i%50))
		must(t, w.send(0, false, record.Codec(i%5), rec{key: fmt.Sprint("k", i%37), value: v}))
	}
	must(t, w.log.Roll())
	eventually(t, "everything is cleaned", func() bool { return cleanedTo(w.log) == w.log.Sections().Active })
	cancel()
	readers.Wait()
	if st := c.Status(); st.Cleaned == 0 || st.Failed > 0 || st.Uncleanable > 0 {
		t.Errorf("%+v", st)
	}
	must(t, w.checkClean())
	if n := w.log.Size(); n > 37*120*2 {
		t.Errorf("the log has still %d bytes", n)
	}
	// A log can be closed while the cleaner is at it.
	must(t, w.send(0, false, record.None, rec{key: "k", value: strings.Repeat("v", 3000)[:1500]}))
	must(t, w.log.Roll())
	must(t, w.log.Close(true))
	c.Close()
}

// readSome reads from any offset to the log's end.
func readSome(log *commitlog.Log, rnd *rand.Rand) error {
	offset := rnd.Int64N(log.LogEnd() + 1)
	last := int64(-1)
	for until := log.LogEnd(); offset < until; {
		end := log.LogEnd() // as of now: all that lay between an older one and the offset may be gone
		s, err := log.Read(offset, end, 1000, true)
		if err != nil {
			return err
		}
		b := make([]byte, s.Len)
		_, err = s.ReadAt(b, 0)
		s.Release()
		if err != nil && s.Len > 0 {
			return err
		}
		before := offset
		for len(b) > 0 {
			e, err := record.NextEntry(b)
			if err == record.ErrShort || err == nil && e.Size > len(b) {
				break
			}
			if err == nil {
				err = record.CheckEntryCRC(b)
			}
			if err != nil {
				return err
			}
			if e.BaseOffset <= last || e.LastOffset < offset {
				return fmt.Errorf("batch [%d, %d] behind %d, from %d on", e.BaseOffset, e.LastOffset, last, offset)
			}
			for r, err := range record.All(b[:e.Size]) {
				if err != nil {
					return err
				}
				if !strings.HasPrefix(string(r.Value), fmt.Sprint(r.Offset, " ")) {
					return fmt.Errorf("%q at %d", r.Value, r.Offset)
				}
			}
			last, offset = e.LastOffset, e.NextOffset()
			b = b[e.Size:]
		}
		if offset == before && log.LogEnd() == end { // else all below the end has been superseded meanwhile
			return fmt.Errorf("no progress at %d of %d", offset, end)
		}
	}
	if _, _, err := log.OffsetForTimestamp(rnd.Int64N(1e12), log.LogEnd()); err != nil {
		return err
	}
	_, err := log.AbortedTxns(0, log.LogEnd())
	return err
}

// TestReconfigure: threads, memory and pace change while the cleaner works; a pace that is next to nothing holds nobody up who stops it.
func TestReconfigure(t *testing.T) {
	w := newWorld(t, fs.OS, t.TempDir())
	must(t, w.start(true, 0, 0))
	defer func() { _ = w.log.Close(false) }()
	slow := settings()
	slow.BytesPerSecond = 1
	c := New(Config{
		Settings: slow, Logs: func() []*commitlog.Log { return []*commitlog.Log{w.log} }, Checkpoint: func(*commitlog.Log) error { return nil },
		Now: w.clock, Logger: zerolog.Nop(),
	})
	for i := range 50 {
		must(t, w.send(0, false, record.None, rec{key: fmt.Sprint("k", i%3), value: strings.Repeat("v", 100)}))
	}
	must(t, w.log.Roll())
	c.Start()
	defer c.Close()
	eventually(t, "the cleaner is at it", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.busy[w.log]
	})
	if cleanedTo(w.log) != 0 {
		t.Error("one byte a second was a lot")
	}
	c.Reconfigure(settings())
	eventually(t, "it is clean", func() bool { return cleanedTo(w.log) == w.log.Sections().Active })
	must(t, w.checkClean())
	disabled := settings()
	disabled.Enable = false
	c.Reconfigure(disabled)
	must(t, w.send(0, false, record.None, rec{key: "k0", value: strings.Repeat("v", 800)}))
	must(t, w.log.Roll())
	if c.Status().Uncleanable != 0 || cleanedTo(w.log) == w.log.Sections().Active {
		t.Error("a disabled cleaner cleans")
	}
}

// BenchmarkClean cleans a log of which nine records in ten go.
func BenchmarkClean(b *testing.B) {
	for _, codec := range []record.Codec{record.None, record.LZ4} {
		b.Run(codec.String(), func(b *testing.B) {
			var bytes int64
			for range b.N {
				b.StopTimer()
				w := newWorld(b, fs.OS, b.TempDir())
				w.st.SegmentBytes, w.st.FlushMessages = 16<<20, commitlog.Forever
				must(b, w.start(true, 0, 0))
				for i := range 1000 {
					recs := make([]rec, 100)
					for j := range recs {
						recs[j] = rec{key: fmt.Sprint("key ", (100*i+j)*7919%10000), value: strings.Repeat("value ", 20)}
					}
					must(b, w.send(0, false, codec, recs...))
				}
				must(b, w.log.Roll())
				w.w.memory, w.w.room = 16<<20, 256<<10
				bytes += w.log.Size()
				b.StartTimer()
				_, err := w.clean()
				must(b, err)
				b.StopTimer()
				must(b, w.log.Close(false))
			}
			b.ReportMetric(float64(bytes)/1e6/b.Elapsed().Seconds(), "MB/s")
		})
	}
}
