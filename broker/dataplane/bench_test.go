package dataplane

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/commitlog"
	"ottla/broker/metrics"
	"ottla/broker/network"
	"ottla/broker/record"
)

// prebuilt is a request frame with its length word.
func prebuilt(body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// exchangeRaw sends frame n times over conns connections with depth requests in flight on each, and reads the answers away.
// The counts of allocations are the whole process's, the client's own being none per request.
func exchangeRaw(b *testing.B, tb *testBroker, conns, depth int, frame func(conn int) []byte, bytes int) {
	b.Helper()
	var wg sync.WaitGroup
	cs := make([]net.Conn, conns)
	for i := range cs {
		cs[i] = tb.dial().Conn
	}
	b.SetBytes(int64(bytes))
	b.ReportAllocs()
	b.ResetTimer()
	cpu := processCPU()
	for i, c := range cs {
		n := b.N / conns
		if i == 0 {
			n += b.N % conns
		}
		f := frame(i)
		free := make(chan struct{}, depth)
		wg.Go(func() {
			for range n {
				free <- struct{}{}
				if _, err := c.Write(f); err != nil {
					b.Error(err)
					return
				}
			}
		})
		wg.Go(func() {
			buf := make([]byte, 256<<10)
			for range n {
				if _, err := io.ReadFull(c, buf[:4]); err != nil {
					b.Error(err)
					return
				}
				for left := int(binary.BigEndian.Uint32(buf)); left > 0; {
					m, err := c.Read(buf[:min(left, len(buf))])
					if err != nil {
						b.Error(err)
						return
					}
					left -= m
				}
				<-free
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(processCPU()-cpu)/float64(b.N), "cpu-ns/op")
}

func benchBroker(b *testing.B) *testBroker {
	var tb *testBroker
	tb = newTestBroker(b, func(c *network.Config) { // as a broker has it
		c.Observer = metrics.NewRequests(new(metrics.RequestLog), func() time.Duration { return tb.net.Elapsed() })
	})
	tb.make(topicSpec{name: "t", leaders: []int32{0, 0, 0, 0}})
	return tb
}

// records100 is a batch of about size bytes of 100-byte records.
func records100(b testing.TB, size int) []byte {
	v := strings.Repeat("x", 100)
	n := max(1, size/113)
	vs := make([]string, n)
	for i := range vs {
		vs[i] = v
	}
	return batch(b, record.None, vs...)
}

func benchmarkProduce(b *testing.B, size, conns int, acks int16) {
	tb := benchBroker(b)
	records := records100(b, size)
	exchangeRaw(b, tb, conns, 5, func(i int) []byte {
		return prebuilt(requestFrame(produceOne(9, acks, "t", int32(i%4), records), 1))
	}, len(records))
}

func BenchmarkProduce1KiB(b *testing.B)        { benchmarkProduce(b, 1<<10, 1, 1) }
func BenchmarkProduce1KiB16Conns(b *testing.B) { benchmarkProduce(b, 1<<10, 16, 1) }
func BenchmarkProduce16KiB4(b *testing.B)      { benchmarkProduce(b, 16<<10, 4, 1) }
func BenchmarkProduce64KiB(b *testing.B)       { benchmarkProduce(b, 64<<10, 1, 1) }
func BenchmarkProduce64KiB4(b *testing.B)      { benchmarkProduce(b, 64<<10, 4, 1) }
func BenchmarkProduce64KiBAll(b *testing.B)    { benchmarkProduce(b, 64<<10, 1, -1) }

// One fdatasync covers everybody who waits for it (flush.messages=1).
func benchmarkSynced(b *testing.B, conns int) {
	tb := newTestBroker(b, nil)
	tb.make(topicSpec{name: "t", leaders: []int32{0}, log: func(s *commitlog.Settings) { s.FlushMessages = 1 }})
	records := records100(b, 16<<10)
	exchangeRaw(b, tb, conns, 5, func(int) []byte { return prebuilt(requestFrame(produceOne(9, -1, "t", 0, records), 1)) }, len(records))
}

func BenchmarkProduceSynced16KiB(b *testing.B)        { benchmarkSynced(b, 1) }
func BenchmarkProduceSynced16KiB16Conns(b *testing.B) { benchmarkSynced(b, 16) }

func benchmarkFetch(b *testing.B, size int32, conns int) {
	tb := benchBroker(b)
	c := tb.dial()
	records := records100(b, 64<<10)
	for n := range int32(4) {
		for range 128 {
			call0(b, c, requestFrame(produceOne(9, 1, "t", n, records), 1))
		}
	}
	exchangeRaw(b, tb, conns, 2, func(i int) []byte {
		q := fetchRequest(11, 0, 1, fetchAsk{number: int32(i % 4), max: size, epoch: -1})
		q.Topics[0].Topic = "t"
		return prebuilt(requestFrame(q, 1))
	}, int(size))
}

func call0(b testing.TB, c *testConn, frame []byte) {
	if _, err := c.exchange(frame); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkFetch1KiB(b *testing.B)   { benchmarkFetch(b, 1<<10, 1) }
func BenchmarkFetch64KiB(b *testing.B)  { benchmarkFetch(b, 64<<10, 1) }
func BenchmarkFetch64KiB4(b *testing.B) { benchmarkFetch(b, 64<<10, 4) }
func BenchmarkFetch256KiB(b *testing.B) { benchmarkFetch(b, 256<<10, 1) }
func BenchmarkFetch1MiB(b *testing.B)   { benchmarkFetch(b, 1<<20, 1) }
func BenchmarkFetch1MiB4(b *testing.B)  { benchmarkFetch(b, 1<<20, 4) }

// The producer's latency beside fetches that wait for what it writes: each append wakes all of them. Two paces; the metrics are
// the producer's 50th and 99th percentile in microseconds.
func BenchmarkProducerBesideWaitingFetches(b *testing.B) {
	for _, readers := range []int{0, 500} {
		for _, min := range []int32{1, 1 << 20} {
			if readers == 0 && min > 1 {
				continue
			}
			b.Run(fmt.Sprintf("readers=%d/min=%d", readers, min), func(b *testing.B) { besideWaiting(b, readers, min) })
		}
	}
}

// besideWaiting measures with the readers in a process of their own, which is this test binary again.
func besideWaiting(b *testing.B, readers int, min int32) {
	tb := benchBroker(b)
	if readers > 0 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %d", readersEnv, tb.net.Addr("PLAINTEXT"), readers, min))
		stop, err := child.StdinPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := child.Start(); err != nil {
			b.Fatal(err)
		}
		defer func() { stop.Close(); _ = child.Wait() }()
		eventually(b, "all wait", func() bool { return tb.partition("t", 0).Fetches.Waiting() == readers })
	}
	c := tb.dial()
	_ = c.SetDeadline(time.Time{})
	frame := requestFrame(produceOne(9, 1, "t", 0, records100(b, 1<<10)), 1)
	took := make([]time.Duration, 0, b.N)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	b.ResetTimer()
	for range b.N {
		<-tick.C
		began := time.Now()
		if _, err := c.exchange(frame); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
}

// readersEnv makes the test binary a process of waiting readers: address, number, min bytes.
const readersEnv = "OTTLA_TEST_READERS"

// beReaders fetches from the end on, again and again, until standard input ends.
func beReaders(spec string) {
	var addr string
	var readers int
	var min int32
	if _, err := fmt.Sscan(spec, &addr, &readers, &min); err != nil {
		panic(err)
	}
	for range readers {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			panic(err)
		}
		go func() {
			c := &testConn{Conn: conn}
			q := fetchRequest(11, 1000, min, fetchAsk{epoch: -1})
			q.Topics[0].Topic = "t"
			for {
				if c.sendFrame(requestFrame(q, 1)) != nil {
					return
				}
				f, err := c.readFrame()
				if err != nil {
					return
				}
				var r kmsg.FetchResponse
				if r.Version = 11; r.ReadFrom(f[4:]) != nil {
					return
				}
				q.Topics[0].Partitions[0].FetchOffset = r.Topics[0].Partitions[0].HighWatermark
			}
		}()
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}
