//go:build unix

package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// rawConn speaks Kafka's protocol a frame at a time, so that a test decides what is sent and when an answer is read.
type rawConn struct {
	net.Conn
	format *kmsg.RequestFormatter
	next   int32
}

func dialRaw(t *testing.T, address string) *rawConn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &rawConn{Conn: c, format: kmsg.NewRequestFormatter(kmsg.FormatterClientID("raw"))}
}

func (c *rawConn) send(req kmsg.Request) error {
	c.next++
	_, err := c.Write(c.format.AppendRequest(nil, req, c.next))
	return err
}

// skip reads an answer and throws it away.
func (c *rawConn) skip() error {
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(size[:])))
	return err
}

// fetch4 is a Fetch v4 of partition 0 of a topic.
func fetch4(topic string, offset int64, wait time.Duration) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(4)
	req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = -1, int32(wait.Milliseconds()), 1, 50<<20
	p := kmsg.NewFetchRequestTopicPartition()
	p.FetchOffset, p.PartitionMaxBytes = offset, 10<<20
	req.Topics = []kmsg.FetchRequestTopic{{Topic: topic, Partitions: []kmsg.FetchRequestTopicPartition{p}}}
	return req
}

// latencies produces one record after the other, acks=all, and returns how long each took.
func latencies(t *testing.T, address, topic string, rate int, seconds int) []time.Duration {
	t.Helper()
	cl := Client(t, address, kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0), kgo.MaxProduceRequestsInflightPerBroker(1), kgo.DisableIdempotentWrite())
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	value := make([]byte, 200)
	var took []time.Duration
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for range rate * seconds {
		begin := <-tick.C
		if err := cl.ProduceSync(ctx, &kgo.Record{Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	return took
}

func percentile(took []time.Duration, p float64) time.Duration {
	slices.Sort(took)
	return took[int(p*float64(len(took)-1))]
}

// TestSlowClients lets a consumer never read its socket and 500 connections wait at the end of the partition that a producer
// writes to: the producer must not notice. (The waiting ones hear of each record, so they share its work; they ask for more
// than comes, as one that waits for a full batch.)
func TestSlowClients(t *testing.T) {
	coord := Coordinator(t)
	b := Broker(t, 0, coord.Address)
	createTopic(t, b.Address, "slow", 1, nil)
	rate, seconds := 100, Scale(3, 20)
	latencies(t, b.Address, "slow", rate, 1) // warm
	alone := latencies(t, b.Address, "slow", rate, seconds)

	deaf := dialRaw(t, b.Address)
	for range 200 {
		_ = deaf.SetWriteDeadline(time.Now().Add(time.Second))
		if err := deaf.send(fetch4("slow", 0, 0)); err != nil {
			break // its answers fill the socket, the broker reads no more
		}
	}
	end := endOffsets(t, Client(t, b.Address), "slow")[0]
	var waiting sync.WaitGroup
	for range 500 {
		c := dialRaw(t, b.Address)
		req := fetch4("slow", end, 30*time.Second)
		req.MinBytes = 20 << 20
		if err := c.send(req); err != nil {
			t.Fatal(err)
		}
		waiting.Go(func() { _ = c.skip() })
	}
	beside := latencies(t, b.Address, "slow", rate, seconds)
	p, q := percentile(alone, 0.99), percentile(beside, 0.99)
	Result(t, "p99 of %d produces alone %v, beside the slow ones %v; p50 %v and %v", len(alone), p, q, percentile(alone, 0.5), percentile(beside, 0.5))
	Within(t, "the producer's p99", q, max(p*3/2, time.Millisecond))
	b.Kill() // ends the waiting ones
	waiting.Wait()
}

// TestClaimedFrames opens 200 connections that each claim a frame of 100 MiB and send one byte of it.
func TestClaimedFrames(t *testing.T) {
	coord := Coordinator(t)
	b := Broker(t, 0, coord.Address)
	createTopic(t, b.Address, "t", 1, nil)
	latencies(t, b.Address, "t", 100, 1)
	before := rss(t, b.Process)
	for range 200 {
		c := dialRaw(t, b.Address)
		if _, err := c.Write([]byte{0x06, 0x40, 0, 0, 0}); err != nil { // 100 MiB
			t.Fatal(err)
		}
	}
	latencies(t, b.Address, "t", 100, 1) // others are served, and the broker has had time to read
	grown := rss(t, b.Process) - before
	Result(t, "200 claims of 100 MiB: resident memory grew by %d KiB", grown>>10)
	if grown > 50<<20 {
		t.Errorf("200 claims of 100 MiB cost %d MiB", grown>>20)
	}
	c := dialRaw(t, b.Address)
	if _, err := c.Write([]byte{0x7f, 0xff, 0xff, 0xff, 0}); err != nil { // 2 GiB: more than socket.request.max.bytes
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !strings.Contains(fmt.Sprint(err), "reset") {
		t.Errorf("a frame above socket.request.max.bytes: %v, want a closed connection", err)
	}
	b.Stop(t)
}

// rss is a process's resident memory in bytes.
func rss(t *testing.T, p *Process) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Skipf("no /proc here: %v", err)
	}
	var kib int64
	for line := range strings.Lines(string(status)) {
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
